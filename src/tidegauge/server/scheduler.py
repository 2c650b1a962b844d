"""The scheduler: closes windows as event time passes, restates them, makes first baselines."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from tidegauge.lake.flusher import Flushed
from tidegauge.lake.names import TableKind
from tidegauge.lake.upkeep import compact, crowded_dates
from tidegauge.monitor.closing import Yardstick
from tidegauge.profile import Baseline
from tidegauge.server.baselining import from_stored
from tidegauge.server.known import Model
from tidegauge.server.watching import ModelWatch, Progress, utc_now, window_start

if TYPE_CHECKING:
    from tidegauge.server.runtime import Runtime

_log = logging.getLogger(__name__)

#: Without a baseline, so many windows with at least so many records become one.
FIRST_WINDOWS = 14
FIRST_RECORDS = 1_000
_LOOKED_AT = 90

_Key = tuple[str, str]


class Scheduler:
    """Works on the models that have news, one after the other, in a thread of its own.

    Parameters
    ----------
    runtime : Runtime
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._news: dict[_Key, Flushed] = {}
        self._guard = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._watches: dict[int, ModelWatch] = {}
        self._progress: dict[int, Progress] = {}
        self._failures: dict[int, tuple[int, datetime]] = {}
        self._tried: dict[int, int] = {}

    def start(self) -> None:
        """Begin to work."""
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread that closes windows is there."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """End after the model that is being worked on."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def notice(self, flushed: list[Flushed]) -> None:
        """Take note of what reached the lake."""
        with self._guard:
            for one in flushed:
                key = one.project, one.model
                held = self._news.get(key)
                self._news[key] = one if held is None else held.merge(one)

    def lag(self, model: Model) -> dict[str, int]:
        """Return windows to close, restatements to make, and windows closed, of one model."""
        progress = self._progress.get(model.id)
        watch = self._watches.get(model.id)
        if progress is None or watch is None:
            with self._guard:
                waiting = int((model.project, model.name) in self._news)
            return {"windows": waiting, "restatements": 0, "closed": 0}
        with self._guard:
            news = self._news.get((model.project, model.name))
        ahead = progress if news is None else _with_news(progress, news)
        closed = 0
        if progress.first_event is not None and progress.closed_until is not None:
            first = window_start(progress.first_event, model.window)
            closed = max(0, (progress.closed_until - first) // model.window)
        return {
            "windows": len(watch.closable(ahead, utc_now())),
            "restatements": len(progress.due) + int(news is not None and news.labels > 0),
            "closed": closed,
        }

    def _run(self) -> None:
        interval = self._runtime.settings.tick_interval.total_seconds()
        first = True
        while not self._stop.is_set():
            try:
                self.tick(everything=first)
                first = False
            except Exception:
                _log.exception("the scheduler's round failed; it goes on")
            self._wake.wait(interval)
            self._wake.clear()

    def tick(self, *, everything: bool = False) -> None:
        """Look once at every model that has news, or something due.

        Parameters
        ----------
        everything : bool
            After a start: what came before may not have been noticed.
        """
        with self._guard:
            news, self._news = self._news, {}
        now = utc_now()
        for model in self._runtime.models():
            if self._stop.is_set():
                return
            fresh = news.get((model.project, model.name))
            failed = self._failures.get(model.id)
            if failed is not None and now < failed[1]:
                if fresh is not None:
                    self.notice([fresh])
                continue
            try:
                self._look_at(model, fresh, now, everything=everything)
                self._failures.pop(model.id, None)
            except Exception:
                count = failed[0] + 1 if failed else 1
                wait = min(2**count, 60) * self._runtime.settings.tick_interval
                self._failures[model.id] = (count, now + wait)
                if fresh is not None:
                    self.notice([fresh])
                _log.exception("closing windows of %s/%s failed", model.project, model.name)

    def _look_at(
        self, model: Model, fresh: Flushed | None, now: datetime, *, everything: bool
    ) -> None:
        progress = self._progress_of(model, everything=everything)
        if fresh is not None:
            progress = self._progress[model.id] = _with_news(progress, fresh)
        if progress.first_event is None:
            return
        watch = self._watch(model, progress)
        if watch is None:
            return
        starts = watch.closable(progress, now)
        watch.close(starts, progress, now)
        if fresh is not None or everything:
            watch.look_for_late(progress, fresh.last_offset if fresh else 0, now)
        restated = watch.restate(progress, now)
        if starts or restated or everything:
            watch.finish(progress, now)
            self._tidy(model)

    def _progress_of(self, model: Model, *, everything: bool) -> Progress:
        held = self._progress.get(model.id)
        if held is None:
            row = self._runtime.catalog.models.get(model.project, model.name)
            held = self._progress[model.id] = Progress.load(row.progress)
        if everything:
            bounds = self._runtime.engine.time_bounds(model.project, model.name, model.schema)
            if bounds is not None:
                held = _widened(held, *bounds)
                self._progress[model.id] = held
        return held

    def _watch(self, model: Model, progress: Progress) -> ModelWatch | None:
        """Return the work on a model; None while it has no baseline."""
        baseline = self._runtime.baseline(model)
        if baseline is None:
            baseline = self._first_baseline(model, progress)
        if baseline is None:
            return None
        held = self._watches.get(model.id)
        if progress.baseline_id not in ("", baseline.id):
            progress.begin_again()
        progress.baseline_id = baseline.id
        if held is None or held.yardstick.baseline.id != baseline.id or held.model != model:
            yardstick = Yardstick(baseline, model.window, model.policies)
            if held is not None and held.yardstick.like(yardstick):
                yardstick = held.yardstick
            held = ModelWatch(self._runtime, model, yardstick)
            self._watches[model.id] = held
        return held

    def _first_baseline(self, model: Model, progress: Progress) -> Baseline | None:
        """Make the first full windows the baseline, once there are enough of them."""
        first, last = progress.first_event, progress.last_event
        if first is None or last is None:
            return None
        start = window_start(first, model.window)
        windows = (last - model.lateness - start) // model.window
        if windows < FIRST_WINDOWS or self._tried.get(model.id) == windows:
            return None
        self._tried[model.id] = windows
        end = start + min(windows, _LOOKED_AT) * model.window
        made = from_stored(self._runtime, model, start, end)
        full = np.flatnonzero(made.baseline.profile.rows[:, 0] >= FIRST_RECORDS)
        if len(full) < FIRST_WINDOWS:
            return None
        profile = made.baseline.profile.select(full[:FIRST_WINDOWS])
        baseline = Baseline(profile, made.baseline.created_at)
        self._runtime.put_baseline(model, baseline, source="first_windows")
        return baseline

    def _tidy(self, model: Model) -> None:
        """Put small files together where there have come to be many."""
        kinds: tuple[TableKind, ...] = ("points", "profiles", "records", "labels")
        for kind in kinds:
            if crowded_dates(self._runtime.lake, model.project, model.name, kind):
                compact(self._runtime.lake, model.project, model.name, kind)


def _widened(progress: Progress, first: datetime | None, last: datetime | None) -> Progress:
    firsts = [t for t in (progress.first_event, first) if t is not None]
    lasts = [t for t in (progress.last_event, last) if t is not None]
    progress.first_event = min(firsts, default=None)
    progress.last_event = max(lasts, default=None)
    return progress


def _with_news(progress: Progress, news: Flushed) -> Progress:
    return _widened(replace(progress), news.first_event, news.last_event)
