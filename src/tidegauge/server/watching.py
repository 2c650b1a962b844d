"""One model's windows: which can be closed, which must be computed again, and doing it.

What is written to the catalog is written under the scheduler's term; what is written to the lake is
harmless twice, since of several results the one that was computed last counts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tidegauge.alert.incidents import IncidentKeeper, Watched
from tidegauge.catalog import Catalog
from tidegauge.catalog.windows import WindowRow
from tidegauge.lake.arrivals import Arrival, merged
from tidegauge.lake.points import append_points
from tidegauge.lake.profiles import ProfileRow, get_profiles, put_profiles
from tidegauge.lake.wildcard import ANY
from tidegauge.metrics.result import Basis
from tidegauge.monitor.closing import (
    ClosedWindows,
    Yardstick,
    close_windows,
    deviations_of,
    profile_windows,
)
from tidegauge.monitor.spans import Deviations, span
from tidegauge.profile import Profile
from tidegauge.profile.codec import profile_from_bytes, profile_to_bytes
from tidegauge.profile.layout import to_datetime, to_micros
from tidegauge.profile.profile import merge_profiles
from tidegauge.server import tracing
from tidegauge.server.ages import facts_of
from tidegauge.server.changing import in_types_of
from tidegauge.server.known import Model
from tidegauge.server.news import Fresh
from tidegauge.server.past import stored_past
from tidegauge.server.progress import Progress, window_start

if TYPE_CHECKING:
    from tidegauge.server.runtime import Runtime

_log = logging.getLogger(__name__)

#: Windows that are profiled at once.
CHUNK = 31


class ModelWatch:
    """The work on one model; one thread at a time.

    Parameters
    ----------
    runtime : Runtime
    model : Model
    yardstick : Yardstick
    catalog : Catalog
        The catalog as it is written under the scheduler's term.
    """

    def __init__(
        self, runtime: Runtime, model: Model, yardstick: Yardstick, catalog: Catalog
    ) -> None:
        self.runtime = runtime
        self.model = model
        self.yardstick = yardstick
        self.catalog = catalog
        self._keeper = IncidentKeeper(catalog)
        #: By version: where its judged windows end, and the deviations of the newest of them.
        self._judged: dict[str | None, tuple[datetime, Deviations]] = {}

    def close(self, starts: Sequence[datetime], progress: Progress, now: datetime) -> None:
        """Close windows that follow each other."""
        for at in range(0, len(starts), CHUNK):
            chunk = starts[at : at + CHUNK]
            end = chunk[-1] + self.model.window
            with self._told("window.close", chunk):
                self._compute(chunk, end, progress, now)
            progress.closed_until = end
            if progress.unfinished is None:
                progress.unfinished = chunk[0]
            self.remember(progress)

    def look_for_late(
        self, progress: Progress, fresh: Fresh, closed: datetime | None, now: datetime
    ) -> None:
        """Note the windows that labels or records came for after they were closed.

        Parameters
        ----------
        progress : Progress
        fresh : Fresh
            What came; records are looked for only if they came too late.
        closed : datetime or None
            End of the newest window that was closed before the news were read. Windows that were
            closed since have what the news tell.
        now : datetime
        """
        old = progress.unseen_after
        unseen = [] if old is None else [Arrival(None, old + 1)]
        progress.unseen_after = None
        if closed is None:
            return
        model = self.model
        names = (model.project, model.name, model.schema)
        engine = self.runtime.engine
        labelled = merged([*fresh.labelled, *unseen])
        found = set(engine.labelled_windows(*names, labelled, model.window))
        late = [one for one in fresh.recorded if one[0] < closed]
        if late:
            first = min(first for first, _, _ in late).date()
            last = max(last for _, last, _ in late).date()
            came = merged([arrival for _, _, arrival in late])
            found.update(
                engine.recorded_windows(*names, came, model.window, first=first, last=last)
            )
        found.update(engine.recorded_windows(*names, unseen, model.window))
        gone = self._without_records(found)
        if gone:
            _log.warning(
                "%s/%s: labels or records came for %d windows whose records were dropped, since "
                "they were kept for long enough; these windows stay as they are",
                *(model.project, model.name, len(gone)),
            )
        for start in found - gone:
            if start >= closed:
                continue
            before = progress.restated.get(start)
            at = now if before is None else max(now, before + model.restate_interval)
            progress.due.setdefault(start, at)

    def restate(self, progress: Progress, now: datetime) -> int:
        """Compute again the windows whose time has come; return how many."""
        for start in self._without_records(progress.due):
            del progress.due[start]
        starts = progress.due_now(now, self.model.restate_interval)
        for runs in _together(_runs(starts, self.model.window)):
            with self._told("window.restate", [start for run in runs for start in run]):
                for run, profiles in self._profiled(runs):
                    end = progress.closed_until or run[-1] + self.model.window
                    self._judge(profiles, run, end, progress, now, new=True)
                    for start in run:
                        progress.due.pop(start, None)
                        progress.restated[start] = now
                    self._count_restated(len(run))
        old = now - 2 * self.model.restate_interval
        progress.restated = {k: v for k, v in progress.restated.items() if v > old}
        if starts:
            self.remember(progress)
        return len(starts)

    def _count_restated(self, windows: int) -> None:
        counters = self.runtime.counters
        counters.restated.add(counters.model(self.model.project, self.model.name), windows)

    def _without_records(self, starts: Iterable[datetime]) -> set[datetime]:
        """Return the windows that cannot be computed again, since their records were dropped."""
        known = self.runtime.find(self.model.project, self.model.name) or self.model
        kept = known.records_from
        return set() if kept is None else {start for start in starts if start < kept}

    @contextmanager
    def _told(self, what: str, starts: Sequence[datetime]) -> Iterator[None]:
        """Tell log and trace of windows that are worked on."""
        model = self.model
        about: dict[str, Any] = {
            "project": model.project,
            "model": model.name,
            "windows": len(starts),
            "first_window": starts[0].isoformat(),
        }
        began = time.perf_counter()
        with tracing.work(what, **about):
            yield
            taken = round((time.perf_counter() - began) * 1000, 1)
            _log.info(what, extra={**about, "ms": taken})

    def finish(self, progress: Progress, now: datetime) -> None:
        """Call final the windows for which no more labels are waited for."""
        model = self.model
        if progress.unfinished is None or progress.last_event is None:
            return
        until = self.final_before(progress) - model.window
        waiting = [start for start in progress.due if start <= until]
        if waiting:
            until = min(waiting) - model.window
        if until < progress.unfinished or (progress.closed_until or until) <= progress.unfinished:
            return
        end = min(until + model.window, progress.closed_until or until)
        rows = self.catalog.windows.between(model.id, progress.unfinished, end)
        partial = [row for row in rows if row.basis == Basis.PARTIAL.value]
        for at in range(0, len(partial), CHUNK):
            chunk = partial[at : at + CHUNK]
            for version in dict.fromkeys(row.version for row in chunk):
                starts = [row.start for row in chunk if row.version == version]
                stored = get_profiles(
                    self.runtime.lake,
                    model.project,
                    model.name,
                    starts[0],
                    starts[-1] + model.window,
                    version,
                    baseline_id=self.yardstick.baseline.id,
                )
                wanted = [row for row in stored if row.window_start in set(starts)]
                if wanted:
                    profile = self._restored(wanted)
                    watermark = progress.closed_until or end
                    self._judge([(version, profile)], starts, watermark, progress, now, new=False)
        progress.unfinished = end
        self.remember(progress)

    def final_before(self, progress: Progress) -> datetime:
        """Return the end by which windows are final."""
        assert progress.last_event is not None
        return window_start(progress.last_event - self.model.label_horizon, self.model.window)

    def remember(self, progress: Progress) -> None:
        """Store how far the work has come.

        Raises
        ------
        LeaseLost
            When another server does the work by now.
        """
        self.catalog.models.note(self.model.id, **progress.dump())

    def _restored(self, rows: Sequence[ProfileRow]) -> Profile:
        layout = self.yardstick.baseline.layout
        return merge_profiles([profile_from_bytes(row.profile, layout) for row in rows])

    def _rows(
        self,
        start: datetime,
        end: datetime,
        columns: Iterable[str],
        version: Any = ANY,
        within: Sequence[tuple[datetime, datetime]] = (),
    ) -> Iterator[pa.RecordBatch]:
        model = self.model
        return self.runtime.engine.batches(
            model.project,
            model.name,
            in_types_of(model.schema, self.yardstick.baseline.layout.schema),
            start,
            end,
            version=version,
            columns=columns,
            window=model.window,
            within=within,
        )

    def _compute(
        self, starts: Sequence[datetime], watermark: datetime, progress: Progress, now: datetime
    ) -> None:
        """Profile and judge windows that follow each other."""
        for run, profiles in self._profiled([starts]):
            self._judge(profiles, run, watermark, progress, now, new=True)

    def _profiled(
        self, runs: Sequence[Sequence[datetime]]
    ) -> Iterator[tuple[Sequence[datetime], list[tuple[str | None, Profile]]]]:
        """Yield runs of windows with the profile of each version that served in them.

        The rows of all are read at once, so that labels without a timestamp are looked through
        once, and not for each run.
        """
        model = self.model
        within = [(run[0], run[-1] + model.window) for run in runs]
        start, end = within[0][0], within[-1][1]
        names = model.project, model.name, model.schema
        versions = self.runtime.engine.versions(*names, start, end, within=within)
        known = self.yardstick.baseline.layout.schema.names
        columns = [name for name in known if name in model.schema]
        windows = [one for run in runs for one in run]
        profiles = []
        for version in versions:
            with tracing.part("window.profile", version=version or ""):
                batches = self._rows(start, end, columns, version, within)
                profiles.append((version, profile_windows(batches, self.yardstick, windows)))
        for run in runs:
            found = [(version, _of(profile, run)) for version, profile in profiles]
            found = [(version, part) for version, part in found if part.rows[:, 0].any()]
            if not found:
                silent = profile_windows((), self.yardstick, run)
                found = [(version, silent) for version in self._last_version(run[0])]
            yield run, _served(found)

    def _last_version(self, before: datetime) -> list[str | None]:
        """The version that was active last; where all is silent, it is the one that is missed."""
        known = self.catalog.windows.between(self.model.id, before - 3 * self.model.window, before)
        return [known[-1].version] if known else []

    def _judge(
        self,
        profiles: Sequence[tuple[str | None, Profile]],
        starts: Sequence[datetime],
        watermark: datetime,
        progress: Progress,
        now: datetime,
        *,
        new: bool,
    ) -> None:
        """Judge profiles, store profiles and points in one commit each, keep the incidents."""
        model = self.model
        now = progress.judging_at(now)
        # Whoever takes over judges later than this, whatever their clock says.
        self.remember(progress)
        closed: list[tuple[str | None, ClosedWindows]] = []
        facts, progress.newest_label = facts_of(
            self.runtime,
            model,
            self.yardstick.baseline,
            profiles,
            progress.newest_label,
        )
        for (version, profile), known in zip(profiles, facts, strict=True):
            with tracing.part("window.judge", version=version or ""):
                verdict = close_windows(
                    profile,
                    self.yardstick,
                    model=model.name,
                    version=version,
                    computed_at=now,
                    final_before=self.final_before(progress),
                    facts=known,
                    earlier=self._earlier(version, starts[0]),
                    past=stored_past(self.runtime, model, version, profile.layout),
                    estimate=new,
                )
            closed.append((version, verdict))
        if not closed:
            return
        end = starts[-1] + model.window
        for version, verdict in closed:
            # Windows that were judged again change what later ones are held against.
            self._judged.pop(version, None)
            if end == watermark:
                self._judged[version] = end, verdict.deviations
        lake = self.runtime.lake
        with tracing.part("window.store"):
            if new:
                put_profiles(lake, model.project, model.name, self._profile_rows(closed, now))
            points = pa.concat_tables([verdict.points for _, verdict in closed])
            append_points(lake, model.project, model.name, points)
            self.catalog.windows.record(model.id, self._window_rows(closed, progress, now))
        with tracing.part("window.incidents"):
            for version, verdict in closed:
                self._keeper.absorb(self._watched(version), starts, [verdict], watermark, now)

    def _earlier(self, version: str | None, start: datetime) -> Deviations | None:
        """Return how far the windows before one lay off, as many as the slow test reads."""
        until, held = self._judged.get(version, (None, None))
        if until == start:
            return held
        model, yardstick = self.model, self.yardstick
        rows = get_profiles(
            self.runtime.lake,
            model.project,
            model.name,
            start - span(model.window) * model.window,
            start,
            version,
            baseline_id=yardstick.baseline.id,
        )
        if not rows:
            return None
        return deviations_of(self._restored(rows), yardstick)

    def _watched(self, version: str | None) -> Watched:
        def rows(start: datetime, end: datetime, columns: Sequence[str]) -> Any:
            return self._rows(start, end, columns, version)

        def points(metric: str, start: datetime, end: datetime) -> pa.Table:
            return self.runtime.engine.points(
                self.model.project,
                self.model.name,
                start=start,
                end=end,
                metric=metric,
                segment=ANY,
                version=version,
            )

        return Watched(self.model.id, version, self.yardstick, rows, points)

    def _profile_rows(
        self, closed: Iterable[tuple[str | None, ClosedWindows]], now: datetime
    ) -> Iterator[ProfileRow]:
        for version, verdict in closed:
            for index, start in enumerate(verdict.profile.windows):
                begin = to_datetime(int(start))
                yield ProfileRow(
                    version,
                    begin,
                    begin + self.model.window,
                    self.yardstick.baseline.id,
                    now,
                    profile_to_bytes(verdict.profile.select(np.array([index]))),
                )

    def _window_rows(
        self,
        closed: Iterable[tuple[str | None, ClosedWindows]],
        progress: Progress,
        now: datetime,
    ) -> Iterator[WindowRow]:
        final = self.final_before(progress)
        for version, verdict in closed:
            rows = verdict.profile.rows[:, 0]
            for start, n, labelled in zip(
                verdict.profile.windows, rows, verdict.labelled, strict=True
            ):
                begin = to_datetime(int(start))
                end = begin + self.model.window
                done = labelled >= n or end <= final
                basis = Basis.FINAL if done else Basis.PARTIAL
                yield WindowRow(version, begin, end, int(n), int(labelled), basis.value, now)


def _served(
    profiles: Sequence[tuple[str | None, Profile]],
) -> list[tuple[str | None, Profile]]:
    """Leave each version the windows in which it served; silence is the newest version's.

    Parameters
    ----------
    profiles : sequence of (version, Profile)
        All over the same windows.
    """
    if len(profiles) < 2:
        return list(profiles)
    rows = np.stack([profile.rows[:, 0] for _, profile in profiles])
    silent = rows.sum(axis=0) == 0
    last = np.where(rows > 0, np.arange(rows.shape[1]), -1).max(axis=1)
    out = []
    for i, (version, profile) in enumerate(profiles):
        keep = (rows[i] > 0) | (silent & (i == int(last.argmax())))
        if keep.any():
            out.append((version, profile if keep.all() else profile.select(keep)))
    return out


def _runs(starts: Sequence[datetime], width: timedelta) -> Iterator[list[datetime]]:
    """Split windows into runs without a gap."""
    run: list[datetime] = []
    for start in starts:
        if run and start != run[-1] + width:
            yield run
            run = []
        run.append(start)
    if run:
        yield run


def _together(runs: Iterable[Sequence[datetime]]) -> Iterator[list[Sequence[datetime]]]:
    """Put runs together, in parts of at most `CHUNK` windows."""
    held: list[Sequence[datetime]] = []
    room = CHUNK
    for run in runs:
        for at in range(0, len(run), CHUNK):
            part = run[at : at + CHUNK]
            if len(part) > room:
                yield held
                held, room = [], CHUNK
            held.append(part)
            room -= len(part)
    if held:
        yield held


def _of(profile: Profile, starts: Sequence[datetime]) -> Profile:
    """Return the profile of some of its windows."""
    wanted = np.isin(profile.windows, [to_micros(start) for start in starts])
    return profile if wanted.all() else profile.select(wanted)
