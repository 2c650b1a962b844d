"""What would have fired: stored windows judged again under other policies; nothing is written.

From stored profiles, so no record is read again. What rests on facts beside the records (staleness)
is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tidegauge.errors import Conflict
from tidegauge.lake.profiles import ProfileRow, get_profiles
from tidegauge.metrics.result import State
from tidegauge.monitor.closing import ClosedWindows, Yardstick, close_windows
from tidegauge.monitor.policy import Policies
from tidegauge.monitor.spans import Deviations
from tidegauge.profile.codec import profile_from_bytes
from tidegauge.profile.profile import merge_profiles
from tidegauge.server.ages import facts_of
from tidegauge.server.known import Model
from tidegauge.server.past import stored_past
from tidegauge.server.watching import CHUNK

if TYPE_CHECKING:
    from tidegauge.server.runtime import Runtime


@dataclass(frozen=True)
class Fired:
    """The alarms of one metric and column.

    Parameters
    ----------
    metric : str
    column : str or None
    windows : int
        In how many there was one, of the whole or of a segment.
    threshold : bool
        Whether a threshold raised them, not the budget.
    """

    metric: str
    column: str | None
    windows: int
    threshold: bool


@dataclass(frozen=True)
class Backtest:
    """What would have fired over some windows.

    Parameters
    ----------
    start, end : datetime
    windows : int
    alarmed : int
        Windows with any alarm.
    expected_false : float
        Windows with an alarm that the budget allows for when nothing is wrong.
    alarms : tuple of Fired
        Those of most windows first.
    """

    start: datetime
    end: datetime
    windows: int
    alarmed: int
    expected_false: float
    alarms: tuple[Fired, ...]


def backtest(runtime: Runtime, model: Model, policies: Policies, days: int) -> Backtest:
    """Judge a model's stored windows again.

    Parameters
    ----------
    runtime : Runtime
    model : Model
    policies : Policies
    days : int
        How far back from the newest closed window.

    Raises
    ------
    Conflict
        If there is no baseline, or no window is closed yet.
    """
    baseline = runtime.baseline(model)
    end = runtime.catalog.windows.closed_until(model.id)
    if baseline is None or end is None:
        wanted = "a baseline" if baseline is None else "a closed window"
        raise Conflict(
            f"model {model.name!r} has not {wanted} yet, so there is nothing to test on",
            code="nothing_closed",
        )
    start = end - timedelta(days=days)
    names = model.project, model.name
    rows = get_profiles(runtime.lake, *names, start, end, baseline_id=baseline.id)
    yardstick = Yardstick(baseline, model.window, policies)
    windows: dict[tuple[str, str | None], set[int]] = defaultdict(set)
    bounded: dict[tuple[str, str | None], bool] = {}
    for version in dict.fromkeys(row.version for row in rows):
        own = [row for row in rows if row.version == version]
        for closed in _closed(runtime, model, yardstick, version, own):
            for one in closed.judged:
                alarmed = (one.state == State.ALARM.value).any(axis=1)
                if alarmed.any():
                    series = one.series
                    key = series.metric.name, series.column.name if series.column else None
                    windows[key] |= {int(at) for at in closed.profile.windows[alarmed]}
                    monitor = policies.of(series.metric, series.column)
                    bounded[key] = monitor is not None and monitor.threshold is not None
    count = len({row.window_start for row in rows})
    fired = [Fired(*key, len(at), bounded[key]) for key, at in windows.items()]
    return Backtest(
        min((row.window_start for row in rows), default=start),
        end,
        count,
        len(set().union(*windows.values())),
        count * policies.false_alarms.level(model.window),
        tuple(sorted(fired, key=lambda one: (-one.windows, one.metric, one.column or ""))),
    )


def _closed(
    runtime: Runtime,
    model: Model,
    yardstick: Yardstick,
    version: str | None,
    rows: Sequence[ProfileRow],
) -> Iterator[ClosedWindows]:
    """Close windows again, as many at once as the scheduler does."""
    layout = yardstick.baseline.layout
    earlier: Deviations | None = None
    for at in range(0, len(rows), CHUNK):
        chunk = rows[at : at + CHUNK]
        profile = merge_profiles([profile_from_bytes(row.profile, layout) for row in chunk])
        (facts,), _ = facts_of(runtime, model, yardstick.baseline, [(version, profile)], None)
        closed = close_windows(
            profile,
            yardstick,
            model=model.name,
            version=version,
            computed_at=datetime.now(UTC),
            final_before=chunk[-1].window_end,
            facts=facts,
            earlier=earlier,
            past=stored_past(runtime, model, version, layout),
        )
        earlier = closed.deviations
        yield closed
