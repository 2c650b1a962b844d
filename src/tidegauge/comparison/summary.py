"""From verdicts to what a report shows: columns ranked by how much they matter, one sentence."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidegauge.engine.source import Source
from tidegauge.explain import ScoreImpact
from tidegauge.metrics import Family, Result, all_metrics
from tidegauge.metrics.result import Basis, State
from tidegauge.monitor import Judged
from tidegauge.monitor.statistics import MIN_RECORDS
from tidegauge.profile import Baseline, Profile
from tidegauge.profile.histogram import display_bins
from tidegauge.profile.layout import to_datetime
from tidegauge.profile.profile import ROWS
from tidegauge.report.data import ColumnReport, Histogram, ReportData, SourceInfo
from tidegauge.schema import Column, Role
from tidegauge.version import __version__


def source_info(source: Source, profile: Profile) -> SourceInfo:
    """Return name, rows and time range of one side."""
    held = profile[ROWS]
    start = end = None
    if "minimum" in held and np.isfinite(held["minimum"][:, 0]).any():
        with contextlib.suppress(OverflowError):  # times beyond the year 9999
            start = to_datetime(int(held["minimum"][:, 0].min()))
            end = to_datetime(int(held["maximum"][:, 0].max()))
    return SourceInfo(source.name, int(held["n"][:, 0].sum()), start, end)


def report_data(
    judged: list[Judged],
    baseline: Baseline,
    now: Profile,
    table: pa.Table,
    sides: tuple[SourceInfo, SourceInfo],
    moment: datetime,
    notes: list[str],
    window: str | None,
) -> ReportData:
    """Gather everything that a report shows."""
    columns = _columns(judged, baseline, now)
    performance = tuple(
        _result(one, _worst(one), now) for one in judged if one.series.column is None
    )
    alarms = sum(one.alarms for one in judged)
    return ReportData(
        verdict=verdict([column.name for column in columns], alarms, table),
        alarms=alarms,
        reference=sides[0],
        current=sides[1],
        columns=tuple(columns),
        performance=performance,
        results=table,
        computed_at=moment,
        version=__version__,
        notes=tuple(notes),
        window=window,
        segments={name: values for name, _, values in now.layout.segment_groups},
        task=now.layout.schema.task.value if now.layout.schema.task else None,
    )


def _columns(judged: Sequence[Judged], baseline: Baseline, now: Profile) -> list[ColumnReport]:
    impact = ScoreImpact.learn(baseline)
    total = now.total()
    by_column: dict[str, list[Judged]] = {}
    for one in judged:
        if one.series.column is not None:
            by_column.setdefault(one.series.column.name, []).append(one)
    reports = []
    for name, own in by_column.items():
        column = now.layout.schema[name]
        moved = impact.of(total, baseline.total, name)
        reports.append(
            _column(column, own, None if moved is None else float(moved[0, 0]), baseline, now)
        )
    return sorted(reports, key=_harm)


def _harm(column: ColumnReport) -> tuple[bool, bool, float, float]:
    """What matters most comes first: alarms, those of the model's output before its inputs."""
    head = column.headline
    value = 0.0 if head is None or head.value is None else head.value
    output = column.role in (Role.SCORE, Role.PREDICTION, Role.LABEL)
    return (
        column.alarms == 0,
        not (output and column.alarms > 0),
        -abs(column.impact or 0.0),
        -value,
    )


def _column(
    column: Column, own: Sequence[Judged], impact: float | None, baseline: Baseline, now: Profile
) -> ColumnReport:
    drift = _headline(own)
    window = 0 if drift is None else _worst(drift)
    histogram = None
    if column.name in now.layout.bins and "counts" in now[column.name]:
        bars = display_bins(baseline.total, now, column.name)
        then, then_below, then_above = bars.shares(baseline.total[column.name]["counts"][0, 0])
        counts = now[column.name]["counts"][window, 0]
        shares, below, above = bars.shares(counts)
        histogram = Histogram(
            tuple(bars.edges.tolist()),
            bars.labels,
            tuple(then.tolist()),
            tuple(shares.tolist()),
            (float(then_below), float(below)),
            (float(then_above), float(above)),
        )
    return ColumnReport(
        name=column.name,
        type=column.type.value,
        role=column.role.value,
        unit=column.unit,
        headline=None if drift is None else _result(drift, window, now),
        results=tuple(_result(one, window, now) for one in own),
        alarms=sum(one.alarms for one in own),
        impact=impact,
        histogram=histogram,
    )


def _headline(own: Sequence[Judged]) -> Judged | None:
    """The one on drift that a column is shown by: the first in alarm, else the first judged."""
    drift = [one for one in own if one.series.metric.family is Family.DRIFT]
    alarmed = [one for one in drift if (one.state[:, 0] == State.ALARM.value).any()]
    judged = [one for one in drift if one.series.metric.judged]
    return next(iter((*alarmed, *judged)), None)


def _worst(one: Judged) -> int:
    """The window of the whole that stands out most: an alarm first, then the largest effect."""
    alarm = one.state[:, 0] == State.ALARM.value
    size = np.nan_to_num(np.abs(one.effect[:, 0]), nan=-1.0)
    return int(np.lexsort((size, alarm))[-1])


def _result(one: Judged, window: int, now: Profile) -> Result:
    series = one.series

    def number(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float | None:
        value = float(values[window, 0])
        return value if np.isfinite(value) else None

    start = end = None
    if now.width is not None:
        start = to_datetime(int(now.windows[window]))
        end = start + now.width
    return Result(
        metric=series.metric.name,
        column=series.column.name if series.column else None,
        window_start=start,
        window_end=end,
        value=number(series.value),
        unit=series.metric.unit_for(series.column),
        direction=series.metric.direction.value,
        expected=number(one.expected),
        lower=number(one.lower),
        upper=number(one.upper),
        p_value=number(one.p_value),
        effect=number(one.effect),
        n_reference=int(series.n_reference[0, 0]),
        n_current=int(series.n_current[window, 0]),
        state=State(one.state[window, 0]),
        basis=Basis.FINAL if series.metric.family == "performance" else None,
        spread=number(one.spread),
        level=number(one.level),
        reason=one.reason[window, 0],
    )


def verdict(columns: Sequence[str], alarms: int, table: pa.Table) -> str:
    """Say in one sentence whether anything is wrong.

    Parameters
    ----------
    columns : sequence of str
        In the order in which they matter.
    alarms : int
    table : pyarrow.Table
        All results.
    """
    if alarms == 0:
        states = zip(*(table[n].to_pylist() for n in ("state", "lower", "upper")), strict=True)
        judged = {state for state, *band in states if state != "ok" or band != [None, None]}
        if State.TOO_FEW.value in judged and State.OK.value not in judged:
            return f"Too few records to tell: a window needs at least {MIN_RECORDS}."
        return "No alarm: nothing differs from the reference beyond what is usual."
    count = "1 alarm" if alarms == 1 else f"{alarms} alarms"
    alarmed = _alarmed(table)
    known = all_metrics()
    worse = list(dict.fromkeys(metric for column, metric in alarmed if column is None))
    drifts = {column for column, m in alarmed if m in known and known[m].family is Family.DRIFT}
    damaged = {column for column, metric in alarmed if metric.endswith("_share")}
    drifted = [name for name in columns if name in drifts]
    broken = [name for name in columns if name in damaged]
    other = {column for column, _ in alarmed} - drifts - damaged
    beyond = [name for name in columns if name in other]
    parts = []
    if worse:
        parts.append(f"{_list(worse)} {'is' if len(worse) == 1 else 'are'} off")
    if drifted:
        parts.append(f"{_quoted(drifted)} {'has' if len(drifted) == 1 else 'have'} drifted")
    if broken:
        parts.append(f"{_quoted(broken)} {'has' if len(broken) == 1 else 'have'} damaged values")
    if beyond:
        parts.append(f"{_quoted(beyond)} {'is' if len(beyond) == 1 else 'are'} out of bounds")
    if not parts:
        return f"{count}, in segments only: {_segments(table)}."
    return f"{count}: {'; '.join(parts)}."


def _alarmed(table: pa.Table) -> list[tuple[str | None, str]]:
    """Column and metric of every alarm that is not in a segment alone."""
    alarm = pc.equal(table["state"], State.ALARM.value)
    rows = table.filter(pc.and_(alarm, pc.is_null(table["segment"])))
    return list(zip(rows["column"].to_pylist(), rows["metric"].to_pylist(), strict=True))


def _quoted(names: Sequence[str]) -> str:
    return _list([f"'{name}'" for name in names])


def _list(names: Sequence[str]) -> str:
    shown = list(names[:3])
    rest = len(names) - len(shown)
    if rest:
        return ", ".join(shown) + f" and {rest} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]


def _segments(table: pa.Table) -> str:
    found = {
        segment
        for segment, state in zip(
            table["segment"].to_pylist(), table["state"].to_pylist(), strict=True
        )
        if segment is not None and state == State.ALARM.value
    }
    named = [" ".join(f"{k} {v}" for k, v in json.loads(s).items()) for s in sorted(found)]
    return _list(named)
