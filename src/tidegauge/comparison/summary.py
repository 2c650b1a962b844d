"""From verdicts to what a report shows: columns ranked by how much they matter, one sentence."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.engine.source import Source
from tidegauge.explain import ScoreImpact
from tidegauge.metrics import Family, Result, all_metrics
from tidegauge.metrics.result import Basis, State
from tidegauge.monitor import Judged
from tidegauge.monitor.statistics import MIN_RECORDS
from tidegauge.monitor.tables import interval_of
from tidegauge.profile import Baseline, Profile
from tidegauge.profile.histogram import display_bins
from tidegauge.profile.layout import to_datetime
from tidegauge.profile.profile import ROWS
from tidegauge.report.data import ColumnReport, Histogram, ReportData, SourceInfo
from tidegauge.report.estimated import LEADING, certain, with_interval
from tidegauge.report.format import quantity
from tidegauge.schema import Column, Role
from tidegauge.version import __version__

_OUTPUTS = frozenset({Role.SCORE, Role.PREDICTION, Role.LABEL})
#: What is computed alike for numbers and words, so that columns can be ranked by it.
_DISTANCE = "js_distance"
_DRIFT_OF = {"score": "prediction drift", "prediction": "prediction drift", "label": "label drift"}
#: Widths of windows to propose, where the reference covers enough of them.
_WIDTHS = (
    (timedelta(days=1), "1d", "day to day"),
    (timedelta(hours=1), "1h", "hour to hour"),
)
_ENOUGH = 7


def source_info(source: Source, profile: Profile) -> SourceInfo:
    """Return name, rows and time range of one side."""
    held = profile[ROWS]
    start = end = None
    if "minimum" in held and np.isfinite(held["minimum"][:, 0]).any():
        with contextlib.suppress(OverflowError):  # times beyond the year 9999
            start = to_datetime(int(held["minimum"][:, 0].min()))
            end = to_datetime(int(held["maximum"][:, 0].max()))
    return SourceInfo(source.name, int(held["n"][:, 0].sum()), start, end)


def without_windows(reference: SourceInfo) -> list[str]:
    """Say what a comparison without windows cannot know, where its times could tell it.

    Examples
    --------
    >>> from datetime import timedelta, UTC
    >>> start = datetime(2026, 1, 1, tzinfo=UTC)
    >>> without_windows(SourceInfo("a", 9, start, start + timedelta(days=30)))[0][-40:]
    '--window 1d tells it from the reference.'
    """
    if reference.start is None or reference.end is None:
        return []
    length = reference.end - reference.start
    for width, name, words in _WIDTHS:
        if length >= _ENOUGH * width:
            return [
                f"how much varies from {words} is unknown here, so only the noise of sampling was "
                f"allowed for; --window {name} tells it from the reference."
            ]
    return []


def report_data(
    judged: list[Judged],
    baseline: Baseline,
    now: Profile,
    table: pa.Table,
    sides: tuple[SourceInfo, SourceInfo],
    moment: datetime,
    notes: list[str],
    window: str | None,
    basis: NDArray[np.object_],
    guesses: Sequence[Judged] = (),
) -> ReportData:
    """Gather everything that a report shows."""
    columns = _columns(judged, baseline, now)
    measured = tuple(
        _result(one, _worst(one), now, basis) for one in judged if one.series.column is None
    )
    guessed = np.full(basis.shape, Basis.ESTIMATED.value, dtype=object)
    estimated = [_result(one, _worst(one), now, guessed) for one in guesses]
    estimated = [one for one in estimated if one.value is not None and not certain(one)]
    estimated.sort(key=lambda one: one.metric not in LEADING)
    named = {one.metric for one in estimated}
    performance = (
        *estimated,
        *(one for one in measured if one.value is not None or one.metric not in named),
    )
    alarms = sum(one.alarms for one in judged)
    said = (verdict(columns, measured, alarms, table), _foreseen(estimated, measured))
    return ReportData(
        verdict=" ".join(said).strip(),
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


def _foreseen(estimated: Sequence[Result], measured: Sequence[Result]) -> str:
    """Say how performance is estimated, where no label of the current side tells it."""
    known = {one.metric for one in measured if one.value is not None}
    found = [one for one in estimated if one.metric not in known]
    names = [one.metric for one in found]
    leading = next((name for name in LEADING if name in names), None)
    if leading is None:
        return ""
    one = found[names.index(leading)]
    usual = quantity(one.expected, one.unit)
    return f"By estimate {leading} is {with_interval(one)}, where the reference had {usual}."


def _columns(judged: Sequence[Judged], baseline: Baseline, now: Profile) -> list[ColumnReport]:
    impact = ScoreImpact.learn(baseline)
    total = now.total()
    by_column: dict[str, list[Judged]] = {}
    for one in judged:
        # A combination of columns, by which records are divided, is no column of its own.
        if one.series.column is not None and one.series.column.name in now.layout.schema:
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
    output = column.role in _OUTPUTS
    return (
        column.alarms == 0,
        not (output and column.alarms > 0),
        -abs(column.impact or 0.0),
        -(column.distance or 0.0),
    )


def _column(
    column: Column, own: Sequence[Judged], impact: float | None, baseline: Baseline, now: Profile
) -> ColumnReport:
    drift = _leading(own)
    window = 0 if drift is None else _worst(drift)
    results = tuple(_result(one, window, now) for one in own)
    return ColumnReport(
        name=column.name,
        type=column.type.value,
        role=column.role.value,
        unit=column.unit,
        headline=None if drift is None else _result(drift, window, now),
        results=results,
        alarms=sum(one.alarms for one in own),
        impact=impact,
        histogram=_histogram(column.name, window, baseline, now),
        alarmed=tuple(one.series.metric.name for one in own if _alarmed(one)),
        distance=next((one.effect for one in results if one.metric == _DISTANCE), None),
    )


def _histogram(name: str, window: int, baseline: Baseline, now: Profile) -> Histogram | None:
    if name not in now.layout.bins or "counts" not in now[name]:
        return None
    bars = display_bins(baseline.total, now, name)
    then, then_below, then_above = bars.shares(baseline.total[name]["counts"][0, 0])
    shares, below, above = bars.shares(now[name]["counts"][window, 0])
    return Histogram(
        tuple(bars.edges.tolist()),
        bars.labels,
        tuple(then.tolist()),
        tuple(shares.tolist()),
        (float(then_below), float(below)),
        (float(then_above), float(above)),
    )


def _leading(own: Sequence[Judged]) -> Judged | None:
    """What of a column's drift says most: the first that is an alarm, else the first of all."""
    drift = [one for one in own if one.series.metric.family is Family.DRIFT]
    alarmed = [one for one in drift if _alarmed(one)]
    judged = [one for one in drift if one.series.metric.judged]
    return next(iter((*alarmed, *judged)), None)


def _alarmed(one: Judged) -> bool:
    return bool((one.state[:, 0] == State.ALARM.value).any())


def _worst(one: Judged) -> int:
    """The window of the whole that stands out most: an alarm first, then the largest effect."""
    alarm = one.state[:, 0] == State.ALARM.value
    size = np.nan_to_num(np.abs(one.effect[:, 0]), nan=-1.0)
    return int(np.lexsort((size, alarm))[-1])


def _result(
    one: Judged, window: int, now: Profile, basis: NDArray[np.object_] | None = None
) -> Result:
    series, performs = one.series, one.series.metric.family == "performance"
    interval = interval_of(series)

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
        basis=Basis(basis[window, 0]) if performs and basis is not None else None,
        spread=number(one.spread),
        level=number(one.level),
        reason=one.reason[window, 0],
        ci_lower=number(interval[0]),
        ci_upper=number(interval[1]),
    )


def verdict(
    columns: Sequence[ColumnReport], performance: Sequence[Result], alarms: int, table: pa.Table
) -> str:
    """Say in one sentence whether anything is wrong."""
    if alarms == 0:
        return _well(columns, performance, table)
    count = "1 alarm" if alarms == 1 else f"{alarms} alarms"
    worse = [one.metric for one in performance if one.state is State.ALARM]
    drifted = [one for one in columns if _of(one, Family.DRIFT)]
    broken = [one for one in columns if any(m.endswith("_share") for m in one.alarmed)]
    beyond = [one for one in columns if one.alarmed and one not in (*drifted, *broken)]
    parts = [f"{_list(worse)} {_is(worse)} off"] if worse else []
    parts += _drifted(drifted)
    parts += [f"{_quoted(broken)} {_has(broken)} damaged values"] if broken else []
    parts += [f"{_quoted(beyond)} {_is(beyond)} out of bounds"] if beyond else []
    if not parts:
        return f"{count}, in segments only: {_segments(table)}."
    return f"{count}: {'; '.join(parts)}."


def _is(names: Sequence[object]) -> str:
    return "is" if len(names) == 1 else "are"


def _has(names: Sequence[object]) -> str:
    return "has" if len(names) == 1 else "have"


def _of(column: ColumnReport, family: Family) -> bool:
    metrics = all_metrics()
    return any(name in metrics and metrics[name].family is family for name in column.alarmed)


def _drifted(columns: Sequence[ColumnReport]) -> list[str]:
    """Say which columns drifted; predictions and labels are named as such, before the inputs."""
    named: dict[str, list[ColumnReport]] = {}
    for one in columns:
        named.setdefault(_DRIFT_OF.get(one.role, ""), []).append(one)
    told = [f"{what}: {_quoted(held)}" for what, held in sorted(named.items()) if what]
    inputs = named.get("", [])
    return told + ([f"{_quoted(inputs)} {_has(inputs)} drifted"] if inputs else [])


def _well(columns: Sequence[ColumnReport], performance: Sequence[Result], table: pa.Table) -> str:
    """Say that nothing is wrong, or that this cannot be told."""
    states = zip(*(table[n].to_pylist() for n in ("state", "lower", "upper")), strict=True)
    judged = {state for state, *band in states if state != "ok" or band != [None, None]}
    few = [one.headline for one in columns if one.headline is not None]
    few = [one for one in (*few, *performance) if one.state is State.TOO_FEW]
    if State.TOO_FEW.value in judged and State.OK.value not in judged:
        needed = _most([one.reason for one in few if one.reason])
        what = "windows" if "window" in needed else "records"
        needed = needed or f"a window needs at least {MIN_RECORDS}"
        return f"Too few {what} to tell: {needed}."
    said = "No alarm: nothing differs from the reference beyond what is usual"
    if not few:
        return f"{said}."
    names = list(dict.fromkeys(one.column or one.metric for one in few))
    needed = _most([one.reason for one in few if one.reason])
    return f"{said}. Not judged: {_list(names)}{f' ({needed})' if needed else ''}."


def _most(texts: Sequence[str]) -> str:
    """The text that stands there most often."""
    return Counter(texts).most_common(1)[0][0] if texts else ""


def _quoted(columns: Sequence[ColumnReport]) -> str:
    return _list([f"'{one.name}'" for one in columns])


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
