"""Upkeep of all tables, where this server holds the lease: in a thread of its own, in steps.

Windows are closed by another thread, which no step holds up. Between steps it is asked whether the
lease is still this server's; what a server that has lost it still does is refused by the tables'
own logs, or does no harm.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from tidegauge.catalog import Catalog, Term
from tidegauge.errors import LeaseLost, Unavailable
from tidegauge.lake.names import TableKind
from tidegauge.lake.retention import WITH_PROFILES, WITH_RECORDS, drop_before, has_before
from tidegauge.lake.swapping import Overtaken
from tidegauge.lake.upkeep import RETENTION, compact_step, shorten_log, vacuum
from tidegauge.schema.retention import Retention
from tidegauge.server.erasing import Eraser
from tidegauge.server.known import Model
from tidegauge.server.tallies import Durations, Tally

if TYPE_CHECKING:
    from tidegauge.server.runtime import Runtime

_log = logging.getLogger(__name__)

#: A checkpoint is written after so many versions, and the log before it shortened.
CHECKPOINT_VERSIONS = 64
#: How often files out of use are looked for, where there may be any.
VACUUM_SECONDS = 900.0
#: A table to which nothing comes is looked at less and less often, at least this often.
LONGEST_PAUSE = 600.0
_KINDS: tuple[TableKind, ...] = ("records", "labels", "quarantine", "profiles", "points")
_BOUNDS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


@dataclass
class _Seen:
    """What is known of a table between two looks; times by the monotonic clock."""

    version: int = -1
    look_at: float = 0.0
    pause: float = 0.0
    checkpoint: int = 0
    vacuum_at: float = 0.0
    #: Until then files may come to be out of use for long enough.
    littered_until: float = 0.0


class Figures:
    """What upkeep has done since the start, for ``/metrics``."""

    def __init__(self) -> None:
        self.seconds = Durations(
            "tidegauge_upkeep_seconds", "Steps of the tables' upkeep.", _BOUNDS, ("work",)
        )
        self.files = Tally(
            "tidegauge_upkeep_files",
            "Files of tables that were joined into others, written so, dropped with old dates, "
            "and deleted.",
            ("what",),
        )
        self.failures = Tally(
            "tidegauge_upkeep_failures", "Steps of upkeep that failed and are tried again."
        )

    def collectors(self) -> tuple[Any, ...]:
        """Return what a registry takes."""
        return self.seconds, self.files, self.failures


class Upkeep:
    """Keeps up the tables of all models, drops what was kept long enough, erases.

    Parameters
    ----------
    runtime : Runtime
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.figures = Figures()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._term: Term | None = None
        self._seen: dict[tuple[int, TableKind], _Seen] = {}
        #: By model: what it was last held to, and when to look again.
        self._retained: dict[int, tuple[Retention, float]] = {}
        self._eraser: Eraser | None = None

    @property
    def alive(self) -> bool:
        """Whether its thread is there."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin to work, whenever this server holds the lease."""
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the step that goes on."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        interval = self._runtime.settings.upkeep_interval.total_seconds()
        # Erasures move on faster than tables need to be looked at.
        pace, at = min(interval, 1.0), time.monotonic() + interval
        while not self._stop.wait(pace):
            clock = time.monotonic()
            try:
                if clock < at:
                    self.erase()
                else:
                    at = clock + interval
                    self.run_once()
            except (LeaseLost, Unavailable):
                self._term = None  # What is known of it is told by the scheduler.
            except Exception:
                self.figures.failures.add()
                _log.exception("a round of upkeep failed; it goes on")

    def run_once(self) -> None:
        """Look at all tables once, where this server holds the lease.

        Raises
        ------
        LeaseLost, Unavailable
        """
        self.erase()
        catalog = self._begin()
        if catalog is None:
            return
        for model in self._runtime.models():
            if not self._goes_on():
                return
            with self._tried(model, "retention"):
                self._retain(model, catalog)
            for kind in _KINDS:
                if self._goes_on():
                    with self._tried(model, kind):
                        self._table(model, kind)

    def erase(self) -> None:
        """Bring erasures a step further, where this server holds the lease."""
        catalog = self._begin()
        if catalog is not None and self._eraser is not None:
            self._eraser.advance()

    def _begin(self) -> Catalog | None:
        """Return the catalog under the lease's term; None where another server has it."""
        term = self._runtime.claim.term
        if term is None:
            self._term = None
            return None
        if term != self._term:
            self._term, self._seen, self._retained = term, {}, {}
            self._eraser = Eraser(self._runtime, self._runtime.catalog.under(term), self._require)
        return self._runtime.catalog.under(term)

    def _goes_on(self) -> bool:
        term = self._term
        return not self._stop.is_set() and term is not None and self._runtime.claim.term == term

    def _require(self) -> None:
        if not self._goes_on():
            raise LeaseLost("upkeep is another server's now, or this one ends")

    def _tried(self, model: Model, what: str) -> Any:
        return _Tried(self.figures, f"{what} of {model.project}/{model.name}")

    def _table(self, model: Model, kind: TableKind) -> None:
        """Do what one table needs, a bounded part of it at once."""
        names = (model.project, model.name, kind)
        lake, clock = self._runtime.lake, time.monotonic()
        interval = self._runtime.settings.upkeep_interval.total_seconds()
        # What an earlier owner of the lease left is in no hurry.
        new = _Seen(pause=interval, vacuum_at=clock + VACUUM_SECONDS)
        seen = self._seen.setdefault((model.id, kind), new)
        if clock < seen.look_at:
            return
        version = lake.table_version(*names)
        if version is None:
            seen.look_at = clock + interval
            return
        if version != seen.version:
            done = self._timed("compact", lambda: compact_step(lake, *names, go_on=self._goes_on))
            self.figures.files.add(("joined",), done.compacted)
            self.figures.files.add(("written",), done.written)
            if seen.version < 0 or done.compacted:
                seen.littered_until = clock + RETENTION.total_seconds() + 2 * VACUUM_SECONDS
            # Its own commit is no news, unless there is more to do.
            seen.version = (lake.table_version(*names) or 0) if not done.more else version
            seen.pause = interval
            seen.look_at = clock if done.more else clock + interval
        else:
            seen.pause = min(2 * seen.pause, LONGEST_PAUSE)
            seen.look_at = clock + seen.pause
        if seen.version - seen.checkpoint >= CHECKPOINT_VERSIONS and self._goes_on():
            self._timed("checkpoint", lambda: shorten_log(lake, *names))
            seen.checkpoint = seen.version
        if clock >= seen.vacuum_at and clock < seen.littered_until and self._goes_on():
            deleted = self._timed("vacuum", lambda: vacuum(lake, *names))
            self.figures.files.add(("deleted",), deleted)
            seen.vacuum_at = clock + VACUUM_SECONDS

    def _timed(self, work: str, step: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        try:
            return step()
        finally:
            self.figures.seconds.observe(time.perf_counter() - began, (work,))

    def _retain(self, model: Model, catalog: Catalog) -> None:
        """Drop what was kept for long enough, by the dates of its events."""
        now, kept = datetime.now(UTC), model.retention
        known, at = self._retained.get(model.id, (Retention(), 0.0))
        if known == kept and time.monotonic() < at:
            return
        noted = False
        if kept.records is not None:
            day = _closed(catalog, model, (now - kept.records).date())
            noted = self._drop_records(model, catalog, day)
        if kept.profiles is not None:
            day = (now - kept.profiles).date()
            self._drop(model, WITH_PROFILES, day)
            first = datetime(day.year, day.month, 1, tzinfo=UTC)
            catalog.windows.forget_before(model.id, first)
        self._retained[model.id] = kept, 0.0 if noted else time.monotonic() + LONGEST_PAUSE

    def _drop_records(self, model: Model, catalog: Catalog, day: date | None) -> bool:
        """Drop records, a round after it was noted that their windows cannot be restated.

        Returns whether it was noted now.
        """
        noted = False
        names, lake = (model.project, model.name), self._runtime.lake
        if day is not None and any(has_before(lake, *names, kind, day) for kind in WITH_RECORDS):
            start = datetime(day.year, day.month, day.day, tzinfo=UTC)
            if model.records_from is None or model.records_from < start:
                settings = {"records_from": start.isoformat()}
                catalog.models.configure(model.id, settings=settings)
                self._runtime.refresh()
                noted = True
        if model.records_from is not None:
            self._drop(model, WITH_RECORDS, model.records_from.date())
        return noted

    def _drop(self, model: Model, kinds: Iterable[TableKind], day: date) -> None:
        for kind in kinds:
            names = (model.project, model.name, kind)
            dropped = drop_before(self._runtime.lake, *names, day, go_on=self._goes_on)
            if dropped.files:
                self.figures.files.add(("dropped",), dropped.files)
                seen = self._seen.setdefault((model.id, kind), _Seen())
                litter = RETENTION.total_seconds() + 2 * VACUUM_SECONDS
                seen.littered_until = time.monotonic() + litter
                _log.info(
                    "kept for long enough: %d rows of %s of %s/%s, from %s to %s",
                    *(dropped.rows, kind, model.project, model.name),
                    *(dropped.first, dropped.last),
                )


class _Tried(suppress):
    """Goes on with the next table where one fails, and says so."""

    def __init__(self, figures: Figures, what: str) -> None:
        super().__init__(Exception)
        self._figures = figures
        self._what = what

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if kind is None or not issubclass(kind, Exception):
            return False
        if issubclass(kind, LeaseLost | Unavailable):
            return False
        if not issubclass(kind, Overtaken):  # Others were faster; the next round looks again.
            self._figures.failures.add()
            _log.error("upkeep of %s failed; it is tried again", self._what, exc_info=error)
        return True


def _closed(catalog: Catalog, model: Model, day: date) -> date | None:
    """Return the day before which records are needed no more; None where all are.

    Those of a window that is to be closed yet are.
    """
    if catalog.baselines.active(model.id) is None:
        return day
    closed = catalog.models.get(model.project, model.name).progress.get("closed_until")
    return None if closed is None else min(day, datetime.fromisoformat(closed).date())
