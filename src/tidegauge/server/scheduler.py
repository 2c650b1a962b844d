"""The scheduler: closes windows as event time passes, restates them, makes first baselines.

Every server has one; the one whose server holds the lease works. It reads in the catalog's news
what all servers brought to the lake, and is done with news only once all they ask for is stored:
after a crash, or a takeover, they are worked on again. Whatever it writes to the catalog it writes
under its term of the lease.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from tidegauge.catalog import Catalog, Term
from tidegauge.catalog.news import MOST, Unread
from tidegauge.errors import Conflict, LeaseLost, Unavailable
from tidegauge.monitor.closing import Yardstick
from tidegauge.profile import Baseline
from tidegauge.server.baselining import from_stored
from tidegauge.server.known import Model
from tidegauge.server.learning import Learning
from tidegauge.server.news import Fresh, by_model, has_late
from tidegauge.server.progress import (
    Progress,
    closable,
    count_closable,
    utc_now,
    window_start,
)
from tidegauge.server.watching import ModelWatch

if TYPE_CHECKING:
    from tidegauge.server.runtime import Runtime

_log = logging.getLogger(__name__)

#: Without a baseline, so many windows with at least so many records become one.
FIRST_WINDOWS = 14
FIRST_RECORDS = 1_000
_LOOKED_AT = 90
#: A round closes at most so many windows of a model, so that years of them hold up no other.
MOST_WINDOWS = 496
_NOTHING = Fresh()


class _StillLearning(Exception):
    """A model's round must wait for what its baseline teaches."""

    def __init__(self, yardstick: Yardstick) -> None:
        super().__init__("still learning")
        self.yardstick = yardstick


class Scheduler:
    """Works on the models that have news, one after the other, in a thread of its own.

    Parameters
    ----------
    runtime : Runtime

    Attributes
    ----------
    paused : str or None
        Why it cannot work at the moment, in words.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.paused: str | None = None
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._term: Term | None = None
        self._catalog: Catalog = runtime.catalog
        self._watches: dict[int, ModelWatch] = {}
        self._progress: dict[int, Progress] = {}
        #: What was done with nothing but their news noted, and may be stored together.
        self._noted: dict[int, tuple[int, ...]] = {}
        self._looked: dict[int, int] = {}
        self._failures: dict[int, tuple[int, float]] = {}
        self._tried: dict[int, int] = {}
        #: Models that wait until it is learnt what their baseline teaches.
        self._waiting: dict[int, Yardstick] = {}
        self._learning = Learning(self._wake.set)
        self._patient = True
        #: Whether a model has more windows than one round closes.
        self._more = False

    @property
    def alive(self) -> bool:
        """Whether the thread that closes windows is there."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def leads(self) -> bool:
        """Whether this server's scheduler does the work; else another server's does."""
        return self._runtime.claim.term is not None

    def start(self) -> None:
        """Begin to work."""
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the model that is being worked on."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def lag(self, model: Model) -> dict[str, int]:
        """Return windows to close, restatements to make, and windows closed, of one model.

        It is the same whichever server is asked: what it needs is in the catalog.
        """
        # News first: what is read and done with between the two is part of the progress then.
        catalog, key = self._runtime.catalog, (model.project, model.name)
        unread = catalog.news.unread(*key).get(key)
        progress = self._progress.get(model.id) if self._term is not None else None
        if progress is None:
            progress = Progress.load(catalog.models.get(*key).progress)
        return _lag(model, unread, progress)

    def lags(self) -> dict[int, dict[str, int]]:
        """Return the lag of all models by their ids; that is two looks at the catalog."""
        catalog = self._runtime.catalog
        unread = catalog.news.unread()
        stored = {row.id: row.progress for _, row in catalog.models.all()}
        return {
            model.id: _lag(
                model,
                unread.get((model.project, model.name)),
                Progress.load(stored[model.id]),
            )
            for model in self._runtime.models()
            if model.id in stored
        }

    def _run(self) -> None:
        interval = self._runtime.settings.tick_interval.total_seconds()
        while not self._stop.is_set():
            more = False
            try:
                with self._runtime.counters.round_seconds.time():
                    more = self.tick(patient=False)
                self._resume()
            except LeaseLost as error:
                _log.warning("%s", error.message)
            except Unavailable as error:
                self._pause(error.message)
            except Exception as error:
                self._pause(f"its round failed: {error!r}")
                _log.exception("the scheduler's round failed; it goes on")
            if not more:
                self._wake.wait(interval)
                self._wake.clear()

    def tick(self, *, everything: bool = False, patient: bool = True) -> bool:
        """Do one round, if this server holds the lease: look at models with news or things due.

        Parameters
        ----------
        everything : bool
            Look at every model, and at what was stored of it past the journals.
        patient : bool
            Wait for what has to be learnt of a new baseline; else that model is left for a later
            round, and learnt of meanwhile.

        Returns
        -------
        bool
            Whether there is more than one round takes: news, or windows of a model.

        Raises
        ------
        LeaseLost
            When another server took over meanwhile; what was not stored yet, it does again.
        Unavailable
            When the catalog does not answer; the next round begins where this one did.
        """
        claim = self._runtime.claim
        term = claim.term
        if not self._runtime.pulse.alive:
            self._runtime.pulse.beat()
            term = claim.term
        self._begin(term)
        if term is None:
            return False
        try:
            return self._round(everything=everything, patient=patient)
        except LeaseLost:
            claim.lost(term)
            self._begin(None)
            raise
        except BaseException:
            self._begin(None)
            raise

    def _begin(self, term: Term | None) -> None:
        """Forget what is known of models whenever the term is another: others may know better."""
        if term == self._term:
            return
        self._term = None
        self._watches, self._progress, self._looked = {}, {}, {}
        self._noted, self._tried, self._waiting = {}, {}, {}
        if term is None:
            return
        self._catalog = self._runtime.catalog.under(term)
        for _, row in self._catalog.models.all():
            self._progress[row.id] = Progress.load(row.progress)
        self._term = term

    def _round(self, *, everything: bool, patient: bool) -> bool:
        self._more, self._patient = False, patient
        now, clock = utc_now(), time.monotonic()
        models = self._runtime.models()
        resting = {one for one, (_, until) in self._failures.items() if clock < until}
        self._waiting = {
            one: held for one, held in self._waiting.items() if not self._learning.ready(held)
        }
        resting |= set() if patient else self._waiting.keys()
        left = [(model.project, model.name) for model in models if model.id in resting]
        news = self._catalog.news.read(but_not=left)
        fresh = by_model(news)
        for model in models:
            if self._stop.is_set():
                break
            if model.id in resting:
                continue
            failed = self._failures.get(model.id)
            key = model.project, model.name
            try:
                self._look_at(model, fresh.get(key, _NOTHING), now, everything=everything)
                self._failures.pop(model.id, None)
            except (LeaseLost, Unavailable):
                raise
            except _StillLearning as error:
                self._waiting[model.id] = error.yardstick
            except Exception:
                self._failed(model, failed[0] + 1 if failed else 1)
        self._store_noted()
        known = {(model.project, model.name) for model in models}
        self._catalog.news.done([one for key in fresh.keys() - known for one in fresh[key].ids])
        return len(news) == MOST or self._more

    def _failed(self, model: Model, count: int) -> None:
        """Try a model again later, from what is stored of it."""
        wait = min(2**count, 60) * self._runtime.settings.tick_interval.total_seconds()
        self._failures[model.id] = (count, time.monotonic() + wait)
        self._progress.pop(model.id, None)
        self._watches.pop(model.id, None)
        self._looked.pop(model.id, None)
        _log.exception(
            "closing windows of %s/%s failed; trying again in %.0f s",
            model.project,
            model.name,
            wait,
            extra={"project": model.project, "model": model.name},
        )

    def _look_at(self, model: Model, fresh: Fresh, now: datetime, *, everything: bool) -> None:
        progress = self._progress_of(model, everything=everything)
        progress.widen(fresh.first_event, fresh.last_event)
        worked = False
        if progress.first_event is not None and (
            everything
            or fresh.ids
            or progress.unseen_after is not None
            or count_closable(model, progress, now)
            or progress.due_now(now, model.restate_interval)
            or self._has_changed(model, progress)
        ):
            worked = self._work(model, progress, fresh, now, everything=everything)
        self._looked[model.id] = model.revision
        if fresh.ids:
            self._noted[model.id] = fresh.ids
        if worked:
            self._store_noted(model.id)

    def _has_changed(self, model: Model, progress: Progress) -> bool:
        """Whether a model has another baseline than its windows were closed with.

        Asked once after each change of a model, and after the lease was won; no baseline is read.
        """
        if self._looked.get(model.id) == model.revision:
            return False
        active = self._catalog.baselines.active(model.id)
        return (active.id if active else "") != progress.baseline_id

    def _work(
        self, model: Model, progress: Progress, fresh: Fresh, now: datetime, *, everything: bool
    ) -> bool:
        """Close and restate what there is; return whether there was anything."""
        watch = self._watch(model, progress)
        if watch is None:
            return False
        before = progress.closed_until
        starts = closable(model, progress, now, None if everything else MOST_WINDOWS)
        self._more |= len(starts) == MOST_WINDOWS
        watch.close(starts, progress, now)
        watch.look_for_late(progress, fresh, before, now)
        restated = watch.restate(progress, now)
        if starts or restated or everything:
            watch.finish(progress, now)
        return bool(starts or restated)

    def _store_noted(self, *models: int) -> None:
        """Store the progress of models whose news were worked on, then be done with these."""
        chosen = [one for one in models or tuple(self._noted) if one in self._noted]
        ids = [news for model_id in chosen for news in self._noted[model_id]]
        self._catalog.models.note_all({one: self._progress[one].dump() for one in chosen})
        self._catalog.news.done(ids)
        for one in chosen:
            del self._noted[one]

    def _progress_of(self, model: Model, *, everything: bool) -> Progress:
        held = self._progress.get(model.id)
        if held is None:
            row = self._catalog.models.get(model.project, model.name)
            held = self._progress[model.id] = Progress.load(row.progress)
        unknown = held.first_event is None and model.id not in self._looked
        if everything or unknown:
            bounds = self._runtime.engine.time_bounds(model.project, model.name, model.schema)
            if bounds is not None:
                held.widen(*bounds)
        return held

    def _watch(self, model: Model, progress: Progress) -> ModelWatch | None:
        """Return the work on a model; None while it has no baseline."""
        baseline = self._runtime.baseline(model)
        if baseline is None:
            baseline = self._first_baseline(model, progress)
        if baseline is None:
            return None
        held = self._watches.get(model.id)
        if held is None or held.yardstick.baseline.id != baseline.id or held.model != model:
            yardstick = Yardstick(baseline, model.window, model.policies)
            if held is not None and held.yardstick.like(yardstick):
                yardstick = held.yardstick
            held = ModelWatch(self._runtime, model, yardstick, self._catalog)
            self._watches[model.id] = held
        if not self._patient and not self._learning.ready(held.yardstick):
            raise _StillLearning(held.yardstick)
        if progress.baseline_id not in ("", baseline.id):
            progress.begin_again()
        progress.baseline_id = baseline.id
        return held

    def _first_baseline(self, model: Model, progress: Progress) -> Baseline | None:
        """Make the first full windows the baseline, once there are enough of them."""
        first, last = progress.first_event, progress.last_event
        if first is None or last is None:
            return None
        if model.records_from is not None:
            first = max(first, model.records_from)
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
        try:
            self._runtime.put_baseline(
                model, baseline, source="first_windows", first_under=self._catalog
            )
        except LeaseLost:
            raise
        except Conflict:
            return None  # A person set one meanwhile; it is known in a moment.
        return baseline

    def _pause(self, reason: str) -> None:
        if self.paused is None:
            _log.warning("the scheduler pauses: %s", reason)
        self.paused = reason

    def _resume(self) -> None:
        if self.paused is not None:
            _log.warning("the scheduler goes on")
        self.paused = None


def _lag(model: Model, unread: Unread | None, progress: Progress) -> dict[str, int]:
    if not progress.baseline_id:
        return {"windows": int(unread is not None), "restatements": 0, "closed": 0}
    unread = unread or Unread()
    ahead = Progress(progress.first_event, progress.last_event, progress.closed_until)
    ahead.widen(unread.first_event, unread.last_event)
    closed = 0
    if ahead.first_event is not None and ahead.closed_until is not None:
        first = window_start(ahead.first_event, model.window)
        closed = max(0, (ahead.closed_until - first) // model.window)
    return {
        "windows": count_closable(model, ahead, utc_now()),
        "restatements": len(progress.due) + int(has_late(unread, progress.closed_until)),
        "closed": closed,
    }
