"""What is looked up for an incident's evidence: segments, hours, impact, performance meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from tidegauge.catalog.incidents import Alarm
from tidegauge.explain.hours import HOUR, Hole, holes
from tidegauge.metrics.registry import Family, all_metrics
from tidegauge.metrics.result import State
from tidegauge.monitor.closing import ClosedWindows, Yardstick
from tidegauge.profile import Profiler
from tidegauge.profile.layout import Layout, to_datetime
from tidegauge.schema import Role, Schema

#: Brings the records of ``[start, end)``, some columns only.
Rows = Callable[[datetime, datetime, Sequence[str]], Iterable[pa.RecordBatch]]

_MOST_WINDOWS = 7


def holed_windows(alarms: Sequence[Alarm]) -> list[tuple[datetime, datetime]]:
    """Return the newest windows in which values are missing, from the alarms of an incident."""
    return sorted({(a.window_start, a.window_end) for a in _lost(alarms)})[-_MOST_WINDOWS:]


def _lost(alarms: Sequence[Alarm]) -> list[Alarm]:
    return [a for a in alarms if a.metric == "missing_share" and a.column and a.segment is None]


def find_holes(
    alarms: Sequence[Alarm],
    windows: Sequence[tuple[datetime, datetime]],
    yardstick: Yardstick,
    rows: Rows,
) -> dict[str, list[Hole]]:
    """Find the hours in which the values of the alarmed columns are missing.

    Parameters
    ----------
    alarms : sequence of Alarm
        Of a quality incident.
    windows : sequence of (start, end)
        Those to look into; their records are read.
    yardstick : Yardstick
    rows : callable
        Brings the records of a window again, some columns only.
    """
    lost = _lost(alarms)
    columns = sorted({a.column for a in lost if a.column})
    if not columns or yardstick.width <= HOUR:
        return {}
    layout = _narrow(yardstick.baseline.layout, columns)
    usual = {a.column: a.expected or 0.0 for a in lost}
    found: dict[str, list[Hole]] = {column: [] for column in columns}
    for start, end in windows:
        profiler = Profiler(layout, HOUR, sample=0)
        for batch in rows(start, end, layout.schema.names):
            profiler.update(batch)
        hourly = profiler.finish()
        alarmed = {a.column for a in lost if a.window_start == start}
        for column in alarmed:
            if column is not None:
                found[column] += holes(hourly, column, usual[column])
    return found


def told_holes(
    hours: Sequence[Mapping[str, Any]], windows: Sequence[tuple[datetime, datetime]]
) -> dict[str, list[Hole]]:
    """Return the holes of some windows from an incident's evidence, by column."""
    found: dict[str, list[Hole]] = {}
    for told in hours:
        start, end = (datetime.fromisoformat(told[name]) for name in ("start", "end"))
        if any(first <= start < last for first, last in windows):
            segments = tuple(told["segments"])
            hole = Hole(start, end, told["missing"], told["records"], segments)
            for column in told["columns"]:
                found.setdefault(column, []).append(hole)
    return found


def _narrow(layout: Layout, columns: Sequence[str]) -> Layout:
    """The layout of some columns, with time and segments; nothing else is counted."""
    schema = layout.schema
    time = schema.role(Role.TIMESTAMP)
    wanted = {*columns, *schema.segment_columns, *([time.name] if time else [])}
    bins = {name: held for name, held in layout.bins.items() if name in wanted}
    return Layout(schema.select(wanted), bins, layout.segments, (), layout.baseline_id)


def find_impact(
    columns: Iterable[str], closed: Sequence[ClosedWindows], yardstick: Yardstick
) -> dict[str, float]:
    """Return the largest impact on the mean score that columns had in some windows."""
    out: dict[str, float] = {}
    for column in columns:
        for one in closed:
            moved = yardstick.impact.of(one.profile, yardstick.baseline.total, column)
            if moved is None or not np.isfinite(moved[:, 0]).any():
                continue
            values = moved[:, 0][np.isfinite(moved[:, 0])]
            strongest = float(values[np.abs(values).argmax()])
            if abs(strongest) > abs(out.get(column, 0.0)):
                out[column] = strongest
    return out


def performance_metric(schema: Schema) -> str | None:
    """Return the first performance metric that is judged for a model; None where none is."""
    for one in all_metrics().values():
        mine = one.within(schema)
        if mine.family is Family.PERFORMANCE and mine.judged and mine.applies_to(None, schema.task):
            return one.name
    return None


def known_windows(points: pa.Table) -> frozenset[datetime]:
    """Return the windows in which a performance metric could be judged.

    Parameters
    ----------
    points : pyarrow.Table
        Its results, ``RESULT_SCHEMA``.
    """
    if not points.num_rows:
        return frozenset()
    rows = points.select(["segment", "state", "window_start"]).to_pylist()
    told = {State.OK.value, State.ALARM.value}
    return frozenset(
        row["window_start"] for row in rows if row["segment"] is None and row["state"] in told
    )


def alarms_of(closed: ClosedWindows, width: timedelta) -> list[Alarm]:
    """Return the alarms among some windows' verdicts."""
    profile = closed.profile
    names = [None if s is None else json.dumps(s.to_json()) for s in profile.layout.segments]
    out = []
    for one in closed.judged:
        for w, s in np.argwhere(one.state == "alarm"):
            start = to_datetime(int(profile.windows[w]))

            def number(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float | None:
                value = float(values[w, s])  # noqa: B023 - called at once
                return value if np.isfinite(value) else None

            series = one.series
            out.append(
                Alarm(
                    metric=series.metric.name,
                    column=series.column.name if series.column else None,
                    segment=names[s],
                    window_start=start,
                    window_end=start + width,
                    value=float(series.value[w, s]),
                    expected=number(one.expected),
                    lower=number(one.lower),
                    upper=number(one.upper),
                    p_value=number(one.p_value),
                    effect=number(one.effect),
                    n_current=int(series.n_current[w, s]),
                    spread=number(one.spread),
                    level=number(one.level),
                    reason=one.reason[w, s],
                )
            )
    return out


def merged_impact(old: Mapping[str, float], new: Mapping[str, float]) -> dict[str, float]:
    """Return, for every column, the stronger of two impacts.

    Examples
    --------
    >>> merged_impact({"a": 0.1}, {"a": -0.3, "b": 0.2})
    {'a': -0.3, 'b': 0.2}
    """
    return {
        name: max(old.get(name, 0.0), new.get(name, 0.0), key=abs)
        for name in dict.fromkeys([*old, *new])
    }
