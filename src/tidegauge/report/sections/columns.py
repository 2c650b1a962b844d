"""The columns of a comparison, a row each, grouped by what a reader has to do with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from markupsafe import Markup

from tidegauge.metrics.registry import Direction, Family, all_metrics
from tidegauge.metrics.result import Result, State
from tidegauge.report.charts import (
    Spec,
    distribution,
    outline,
    quantile_ribbon,
    sparkline,
    timeline,
)
from tidegauge.report.data import ColumnReport, ReportData
from tidegauge.report.format import known, plural, share
from tidegauge.report.sections.tracks import Key, Track, moment, tracks
from tidegauge.report.states import shown_state

#: Windows drawn in full, over all columns: beyond it a column keeps its sparkline.
_MOST_POINTS = 2000
#: Below this share of the score's spread a shift is said to do no harm.
_HARDLY = 0.01
#: What stands for that spread where it is not known, for scores of 0–1.
_SPREAD = 0.1
_LEVELS = ("p05", "p25", "median", "p75", "p95")


@dataclass(frozen=True)
class ColumnRow:
    """One column as it is shown.

    Parameters
    ----------
    key : str
        Its id in the page.
    column : ColumnReport
    state : str
    head : Result or None
        What the row shows.
    elsewhere : str
        Says that it alarms, where what the row shows does not.
    drift : str
        What its drift is called where it is no input that drifted.
    missing : Result or None
    results : sequence of Result
        All about the column, the judged ones first.
    alarms : sequence of Result
        Those of the results that are an alarm.
    picture, trend : Markup
        Inline SVG: the two distributions, and the headline over windows.
    outside : str
        What lies beyond the drawn range, in words.
    chart, over_time, spread : dict or None
        Vega-Lite: the distributions, the headline over windows, the quantiles over windows.
    """

    key: str
    column: ColumnReport
    state: str
    head: Result | None
    elsewhere: str
    drift: str
    missing: Result | None
    results: Sequence[Result]
    alarms: Sequence[Result]
    picture: Markup
    trend: Markup
    outside: str
    chart: Spec | None
    over_time: Spec | None
    spread: Spec | None


@dataclass(frozen=True)
class ColumnGroup:
    """Columns of one state.

    Parameters
    ----------
    key : str
        ``output``, ``harm``, ``drift`` (without harm), ``few`` or ``quiet``.
    state : str
        ``alarm``, ``too_few`` or ``ok``.
    title, about : str
    rows : tuple of ColumnRow
    """

    key: str
    state: str
    title: str
    about: str
    rows: tuple[ColumnRow, ...]


_DRIFT_OF = {
    "score": "prediction drift",
    "prediction": "prediction drift",
    "label": "label drift",
}
_GROUPS = (
    (
        "output",
        "alarm",
        "Prediction and label drift",
        "What the model says, and what came true, is not as it was.",
    ),
    ("harm", "alarm", "Alarms", "What matters most first. A row opens to its distributions."),
    ("drift", "alarm", "Drift without harm", "It moved, but this alone hardly moves the score."),
    ("few", "too_few", "Too few to judge", "Not a pass: there are too few records to say."),
    ("quiet", "ok", "Quiet", "Within their bands."),
)


def state_of(column: ColumnReport) -> str:
    """Return the state that a column is shown in."""
    if column.alarms > 0:
        return "alarm"
    if column.headline is None:
        return "not_applicable"
    return str(column.headline.state)


def harmless_below(data: ReportData) -> float | None:
    """Return the impact, in the score's unit, below which drift is said to do no harm.

    ``None`` where nothing is known of the score's spread.
    """
    for column in data.columns:
        if column.role in ("score", "prediction"):
            for result in column.results:
                if result.metric == "std" and result.value:
                    return _HARDLY * (result.expected or result.value)
    return None if data.task == "regression" else _HARDLY * _SPREAD


def group_of(column: ColumnReport, harmless: float | None = None) -> str:
    """Return the key of the group that a column stands in.

    Parameters
    ----------
    column : ColumnReport
    harmless : float or None
        See :func:`harmless_below`.
    """
    state = state_of(column)
    if state == "alarm" and column.role in _DRIFT_OF and _drifted(column):
        return "output"
    if state == "alarm":
        return "drift" if _only_drifted(column, harmless) else "harm"
    return "few" if state == "too_few" else "quiet"


def _only_drifted(column: ColumnReport, harmless: float | None) -> bool:
    """Whether all that a column did is to drift, and the score hardly moves with it."""
    if harmless is None or column.impact is None or not abs(column.impact) < harmless:
        return False
    return _drifted(column)


def _drifted(column: ColumnReport) -> bool:
    """Whether a column alarms for drift, and for nothing else."""
    metrics = all_metrics()
    alarms = [one.metric for one in column.results if one.state is State.ALARM]
    if not alarms:
        return False
    return all(name in metrics and metrics[name].family is Family.DRIFT for name in alarms)


def leading(column: ColumnReport) -> Result | None:
    """Return the result that a row shows: the headline, or what alarms where that does not.

    Examples
    --------
    >>> quiet, loud = Result("location_shift"), Result("missing_share", state=State.ALARM)
    >>> leading(ColumnReport("a", "numeric", "feature", None, quiet, (quiet, loud), 1, None, None))
    Result(metric='missing_share', ...)
    """
    head = column.headline
    if head is not None and head.state is State.ALARM:
        return head
    alarms = [one for one in column.results if one.state is State.ALARM]
    return min(alarms, key=lambda one: one.p_value if known(one.p_value) else 1.0, default=head)


def elsewhere(column: ColumnReport) -> str:
    """Say where a column alarms if not in what its row shows: in a segment or another window."""
    head = leading(column)
    if not column.alarms or (head is not None and head.state is State.ALARM):
        return ""
    alarms = plural(column.alarms, "alarm")
    if not column.alarmed:
        return f"{alarms} in segments"
    return f"{alarms} of {' and '.join(column.alarmed)} in other windows"


def judged_first(results: Sequence[Result]) -> list[Result]:
    """Return results with those first that are judged, alarms before all."""
    order = {"alarm": 0, "shown": 2}
    return sorted(results, key=lambda one: order.get(shown_state(one), 1))


def column_groups(data: ReportData, of_whole: pa.Table) -> list[ColumnGroup]:
    """Return the groups that have any column.

    Parameters
    ----------
    data : ReportData
    of_whole : pyarrow.Table
        Its results of no segment.
    """
    over = _tracks(data, of_whole)
    harmless = harmless_below(data)
    budget = _MOST_POINTS
    rows: dict[str, list[ColumnRow]] = {key: [] for key, *_ in _GROUPS}
    grouped = [(group_of(column, harmless), at, column) for at, column in enumerate(data.columns)]
    for group, at, column in sorted(grouped, key=lambda one: one[0] not in ("output", "harm")):
        head = leading(column)
        track = over.get((column.name, head.metric)) if head else None
        cost = len(track.starts) * 2 if track else 0
        full = track is not None and cost <= budget and group in ("output", "harm", "drift")
        budget -= cost if full else 0
        rows[group].append(_row(at, column, track, over, full=full))
    return [
        ColumnGroup(key, state, title, about, tuple(rows[key]))
        for key, state, title, about in _GROUPS
        if rows[key]
    ]


def _tracks(data: ReportData, of_whole: pa.Table) -> dict[Key, Track]:
    if not data.window:
        return {}
    wanted = {(one.name, head.metric) for one in data.columns if (head := leading(one))}
    alarmed = [one.name for one in data.columns if state_of(one) == "alarm"]
    wanted |= {(name, level) for name in alarmed for level in _LEVELS}
    return tracks(of_whole, wanted)


def _row(
    at: int,
    column: ColumnReport,
    track: Track | None,
    over: Mapping[Key, Track],
    *,
    full: bool,
) -> ColumnRow:
    head = leading(column)
    drifted = column.headline is not None and column.headline.state is State.ALARM
    key = f"c{at}"
    return ColumnRow(
        key=key,
        column=column,
        state=state_of(column),
        head=head,
        elsewhere=elsewhere(column),
        drift=_DRIFT_OF.get(column.role, "") if drifted else "",
        results=judged_first(column.results),
        alarms=[one for one in column.results if one.state is State.ALARM],
        missing=next((one for one in column.results if one.metric == "missing_share"), None),
        picture=Markup(
            outline(
                column.histogram,
                label=f"distributions of {column.name}",
                key=f"o{at}",
                alarm=drifted,
            )
        ),
        trend=_trend(column, track),
        outside=_outside(column),
        chart=_chart(column, alarm=drifted),
        over_time=timeline(
            track.results(head.unit if head else None),
            title=track.metric,
            unit=head.unit if head else None,
            zero=not signed(track.metric),
        )
        if track and full
        else None,
        spread=_spread(column, over) if full else None,
    )


def _chart(column: ColumnReport, *, alarm: bool) -> Spec | None:
    histogram = column.histogram
    if histogram is None or not (histogram.labels or len(histogram.edges) > 1):
        return None
    dates = column.type == "datetime"
    return _lean(
        distribution(histogram, name=column.name, unit=column.unit, alarm=alarm, dates=dates)
    )


def _lean(spec: Spec) -> Spec:
    """Leave out the colours: the page puts in its own."""
    return {**spec, "params": [one for one in spec["params"] if one["name"] != "ink"]}


def _trend(column: ColumnReport, track: Track | None) -> Markup:
    if track is None:
        return Markup()
    return Markup(
        sparkline(
            track.value,
            track.lower if track.bounded else (),
            track.upper if track.bounded else (),
            track.states,
            label=f"{track.metric} of {column.name} over {len(track.starts)} windows",
        )
    )


def _spread(column: ColumnReport, over: Mapping[Key, Track]) -> Spec | None:
    found = {level: over[column.name, level] for level in _LEVELS if (column.name, level) in over}
    if "median" not in found:
        return None
    middle = found["median"]
    windows = [(moment(a), moment(b)) for a, b in zip(middle.starts, middle.ends, strict=True)]
    same = {level: one.value for level, one in found.items() if one.starts == middle.starts}
    expected = next((x for x in middle.expected if x is not None), None)
    spec = quantile_ribbon(windows, same, name=column.name, unit=column.unit, expected=expected)
    return _lean(spec)


def _outside(column: ColumnReport) -> str:
    histogram = column.histogram
    if histogram is None or histogram.labels:
        return ""
    said = []
    for side, (then, now) in (("Below", histogram.below), ("Above", histogram.above)):
        if max(then, now) > 0:
            said.append(f"{side} the drawn range: {share(then)} of reference, {share(now)} now.")
    return " ".join(said)


def signed(metric: str) -> bool:
    """Whether a metric may lie below nought, so that its axis does not begin there."""
    found = all_metrics().get(metric)
    return found is not None and found.direction is Direction.NEITHER


def metric_names(data: ReportData) -> list[str]:
    """Return the metrics that a report names, as they stand in the register."""
    named = {one.metric for column in data.columns for one in column.results}
    named |= {one.metric for one in data.performance}
    return [name for name in all_metrics() if name in named]
