"""The page of a segment column: for whom is it worse, by how much, and is it fair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from markupsafe import Markup

from tidegauge.metrics.registry import Direction, Family, Metric, all_metrics
from tidegauge.metrics.result import Result, State
from tidegauge.profile.layout import OTHER, to_datetime, to_micros
from tidegauge.report.charts import IntervalRow, Spec, intervals, timeline
from tidegauge.report.format import interval, plural, quantity
from tidegauge.schema.divisions import CROSS
from tidegauge.server.pages.asked import read_time, segment_of
from tidegauge.server.pages.book import Chapter
from tidegauge.server.pages.history import History
from tidegauge.server.pages.lines import Line
from tidegauge.server.pages.marks import marks_of
from tidegauge.server.pages.model import Drawn, lane_of, question
from tidegauge.server.pages.ranking import line_picture
from tidegauge.server.pages.segments import SegmentView, segment_view
from tidegauge.server.pages.verdict import Verdict

#: Segments that are drawn.
MOST_DRAWN = 40
_LANE = 110


@dataclass(frozen=True)
class Part:
    """One segment of the column in the window that is shown.

    Parameters
    ----------
    value : str
    href : str
        The model's page, of this segment alone.
    result : Result or None
        Its performance; None where it has none.
    estimated : bool
        Whether that was estimated, no label being there.
    records : int
    share : float
        Of the window's records.
    few : str
        Why it cannot be judged; nothing where it can.
    alarms, judged : int
        Windows of the range in alarm, and those that could be judged.
    picture : Markup
        Its performance over the range.
    """

    value: str
    href: str
    result: Result | None
    estimated: bool
    records: int
    share: float
    few: str
    alarms: int
    judged: int
    picture: Markup


@dataclass(frozen=True)
class FairLine:
    """One metric of fairness.

    Parameters
    ----------
    result : Result or None
        In the window that is shown.
    metric : str
    picture : Markup
        Over the range.
    adverse : bool
        Whether four fifths are not kept.
    """

    result: Result | None
    metric: str
    picture: Markup
    adverse: bool


@dataclass(frozen=True)
class Shown:
    """The window that is shown, and those that can be gone to.

    Parameters
    ----------
    start, end : datetime
    why : str
        ``asked``, ``worst`` or ``newest``.
    before, after : datetime or None
    worst, newest : datetime
    """

    start: datetime
    end: datetime
    why: str
    before: datetime | None
    after: datetime | None
    worst: datetime
    newest: datetime

    @property
    def words(self) -> str:
        """The window as people say it."""
        return interval(self.start, self.end)


@dataclass(frozen=True)
class SegmentPage:
    """What the page shows.

    Parameters
    ----------
    column : str
    verdict : Verdict
    metric : str or None
        The performance that is shown; None where the model has none.
    about : str
        What it asks.
    metrics : tuple of str
        Others that can be shown.
    shown : Shown or None
    whole : Result or None
        Performance of all records in that window.
    parts : tuple of Part
        The worst first, those with too few records last.
    chart : dict or None
    height : int
    under : str
        What the chart leaves out.
    fair : tuple of FairLine
    lanes : tuple of Drawn
    states : SegmentView or None
        Segments by window.
    """

    column: str
    verdict: Verdict
    metric: str | None
    about: str
    metrics: tuple[str, ...]
    shown: Shown | None
    whole: Result | None
    parts: tuple[Part, ...]
    chart: Spec | None
    height: int
    under: str
    fair: tuple[FairLine, ...]
    lanes: tuple[Drawn, ...]
    states: SegmentView | None


def leading(history: History) -> Metric | None:
    """Return the performance metric that the page shows: as asked, else the judged one."""
    asked = all_metrics().get(history.asked.metric or "")
    if asked is not None and asked.family is Family.PERFORMANCE:
        found = asked.within(history.model.schema)
        if found.applies_to(None, history.model.schema.task):
            return found
    return history.judged[0] if history.judged else None


def segment_page_view(
    history: History, column: str, by_metric: Chapter | None, by_size: Chapter
) -> SegmentPage:
    """Put the page together.

    Parameters
    ----------
    history : History
        Of the whole.
    column : str
    by_metric : Chapter or None
        Results of the leading performance metric for all segments.
    by_size : Chapter
        Numbers of records of all segments.
    """
    metric = leading(history)
    sizes = _lines(history, by_size, column, "row_count")
    lines: dict[str, Line] = {}
    guesses: dict[str, Line] = {}
    if by_metric is not None and metric is not None:
        lines = _lines(history, by_metric, column, metric.name)
        guesses = _lines(history, by_metric, column, metric.name, estimated=True)
    fair = _fair_lines(history, column)
    shown = _shown(history, [*lines.values()], [*guesses.values(), *fair.values(), *sizes.values()])
    parts = _parts(history, column, metric, shown, sizes, lines, guesses)
    whole = None if metric is None or shown is None else _whole(history, metric.name, shown.start)
    chart, under = _chart(metric, parts, whole)
    states = None
    if metric is not None and by_metric is not None:
        states = segment_view(history, metric, by_metric, column)
    return SegmentPage(
        column,
        _verdict(column, metric, parts, fair, shown),
        None if metric is None else metric.name,
        "" if metric is None else question(history, metric.name),
        _others(history, metric),
        shown,
        whole,
        parts,
        chart,
        22 * min(len(parts), MOST_DRAWN) + 60,
        under,
        tuple(_fair(name, line, shown, history) for name, line in fair.items()),
        tuple(_lanes(history, column, fair)),
        states,
    )


def _lines(
    history: History, chapter: Chapter, column: str, metric: str, *, estimated: bool = False
) -> dict[str, Line]:
    """Return a metric's line of each segment of a column that has any."""
    found = {}
    for name, held, segment in chapter.estimated if estimated else chapter.keys:
        if name != metric or held is not None or segment is None:
            continue
        own, value = segment_of(segment)
        if own == column:
            line = chapter.line(metric, None, segment, estimated=estimated)
            line = history.served(line, chapter)
            if len(line):
                found[value] = line
    return found


def _fair_lines(history: History, column: str) -> dict[str, Line]:
    known = all_metrics()
    names = {
        metric
        for metric, held, segment in history.chapter.keys
        if held == column and segment is None
    }
    lines = {
        name: history.line(name, column)
        for name, one in known.items()
        if one.family is Family.FAIRNESS and name in names
    }
    return {name: line for name, line in lines.items() if len(line)}


def _shown(history: History, judged: Sequence[Line], others: Sequence[Line]) -> Shown | None:
    """Return the window that is shown: as asked, else the worst, else the newest with values."""
    held = [line for line in judged if np.isfinite(line.value).any()] or list(others)
    if not held:
        return None
    starts = np.unique(np.concatenate([line.starts for line in held]))
    alarms = np.zeros(len(starts))
    for line in held:
        np.add.at(alarms, np.searchsorted(starts, line.starts), line.alarms)
    newest, width = to_datetime(int(starts[-1])), history.span.width
    worst = to_datetime(int(starts[len(starts) - 1 - int(np.argmax(alarms[::-1]))]))
    start, why = (worst, "worst") if alarms.any() else (newest, "newest")
    asked = read_time(history.asked.window, "window")
    if asked is not None:
        at = min(int(np.searchsorted(starts, to_micros(asked))), len(starts) - 1)
        start, why = to_datetime(int(starts[at])), "asked"
    here = int(np.searchsorted(starts, to_micros(start)))
    before = to_datetime(int(starts[here - 1])) if here else None
    after = to_datetime(int(starts[here + 1])) if here + 1 < len(starts) else None
    return Shown(start, start + width, why, before, after, worst, newest)


def _whole(history: History, metric: str, start: datetime) -> Result | None:
    found = history.line(metric).at(start)
    if found is None or found.value is None:
        return history.estimate(metric).at(start)
    return found


def _parts(
    history: History,
    column: str,
    metric: Metric | None,
    shown: Shown | None,
    sizes: dict[str, Line],
    lines: dict[str, Line],
    guesses: dict[str, Line],
) -> tuple[Part, ...]:
    if shown is None:
        return ()
    records = {value: _records(line, shown.start) for value, line in sizes.items()}
    total = sum(records.values())
    parts = []
    for value in dict.fromkeys([*sizes, *lines, *guesses]):
        line = lines.get(value)
        result = None if line is None else line.at(shown.start)
        guess = guesses[value].at(shown.start) if value in guesses else None
        estimated = (result is None or result.value is None) and guess is not None
        held = guess if estimated else result
        n = records.get(value, 0)
        if n == 0 and held is None and not (line is not None and line.alarms.any()):
            continue
        parts.append(
            Part(
                value,
                history.links.model(segment=(column, value)),
                held,
                estimated,
                n,
                n / total if total else 0.0,
                _few(metric, held),
                0 if line is None else int(line.alarms.sum()),
                0 if line is None else int(line.judged.sum()),
                Markup("") if line is None else line_picture(line, f"of {value}"),
            )
        )
    worst = "" if metric is None else metric.direction.value
    return tuple(sorted(parts, key=lambda one: _place(one, worst)))


def _records(line: Line, start: datetime) -> int:
    found = line.at(start)
    return 0 if found is None or found.value is None else int(found.value)


def _few(metric: Metric | None, result: Result | None) -> str:
    """Say why a segment cannot be judged; nothing where it can."""
    if metric is None:
        return ""
    if result is None or result.value is None:
        return "no value in this window" if result is None else result.reason or "not defined"
    if result.state is State.TOO_FEW:
        return result.reason or "too few records"
    if result.n_current < metric.fewest:
        return f"{plural(metric.fewest - result.n_current, 'more record')} needed"
    return ""


def _place(one: Part, direction: str) -> tuple[bool, bool, float, float]:
    """Alarms first, then the worst values, then those with too few records."""
    held = one.result
    alarmed = held is not None and held.state is State.ALARM
    bad = 0.0
    if held is not None and held.value is not None and not one.few:
        if alarmed or direction == Direction.NEITHER.value:
            bad = abs(held.effect if held.effect is not None else held.value)
        else:
            bad = held.value if direction == Direction.LOWER_IS_BETTER.value else -held.value
    return bool(one.few), not alarmed, -bad, -one.records


def _chart(
    metric: Metric | None, parts: Sequence[Part], whole: Result | None
) -> tuple[Spec | None, str]:
    drawn = [one for one in parts if one.result is not None and one.result.value is not None]
    if metric is None or not drawn:
        return None, ""
    rows = [_interval_row(one) for one in drawn[:MOST_DRAWN]]
    unit = drawn[0].result.unit if drawn[0].result is not None else None
    spec = intervals(
        rows, title=metric.name, unit=unit, whole=None if whole is None else whole.value
    )
    told = ["A line is the 95 % interval, grey what is no alarm, the short bar what was expected"]
    if whole is not None and whole.value is not None:
        told.append("the dashed line all records")
    under = ", ".join(told) + "."
    bases = {row.basis for row in rows}
    if "estimated" in bases:
        under += " Dashed and hollow: estimated, no label being there."
    if "partial" in bases:
        under += " Grey points: some labels are still to come."
    if len(drawn) > MOST_DRAWN:
        under += f" The {MOST_DRAWN} worst of {plural(len(drawn), 'segment')} are drawn."
    left = [one.value for one in parts if one not in drawn]
    if left:
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        under += f" Without a value: {', '.join(left[:3])}{more}."
    return spec, under


def _interval_row(one: Part) -> IntervalRow:
    result = one.result
    assert result is not None
    state = "too_few" if one.few else str(result.state)
    return IntervalRow(
        one.value,
        result.value,
        result.ci_lower,
        result.ci_upper,
        result.expected,
        result.lower,
        result.upper,
        state,
        result.n_current,
        one.few or result.reason or "",
        one.href,
        "estimated" if one.estimated else str(result.basis or ""),
    )


def _fair(name: str, line: Line, shown: Shown | None, history: History) -> FairLine:
    result = None if shown is None else line.at(shown.start)
    drawn = line_picture(line.on(history.windows), "")
    adverse = bool(result is not None and (result.reason or "").startswith("below four fifths"))
    return FairLine(result, name, drawn, adverse)


def _lanes(history: History, column: str, fair: dict[str, Line]) -> list[Drawn]:
    """Return the metric of fairness that is asked for, or the first, over time."""
    asked = history.asked.metric or ""
    name = asked if asked in fair else next(iter(fair), None)
    if name is None:
        return []
    line = fair[name]
    spec = timeline(
        line.on(history.windows).results(),
        title=name,
        unit=line.unit,
        marks=marks_of(history, ("fairness",), (column,)),
        brush=True,
        height=_LANE,
        zero=True,
    )
    about = all_metrics()[name].summary.rstrip(".")
    kind = "ratio" if all_metrics()[name].direction is Direction.HIGHER_IS_BETTER else "difference"
    share = line.unit == "share"
    axis = f"{kind} (%)" if share else kind
    held = lane_of(history).hold(spec, axis, 1.0 if share else None)
    return [Drawn(name, name, about[0].lower() + about[1:], held, _LANE + 40, line.last())]


def _others(history: History, metric: Metric | None) -> tuple[str, ...]:
    """Return the performance metrics that the page could show."""
    known = all_metrics()
    names = dict.fromkeys(
        [
            *(one.name for one in history.judged),
            *sorted(
                name
                for name, column, segment in history.chapter.keys
                if column is None
                and segment is None
                and name in known
                and known[name].family is Family.PERFORMANCE
            ),
        ]
    )
    return () if metric is None else tuple(names)


def _verdict(
    column: str,
    metric: Metric | None,
    parts: Sequence[Part],
    fair: dict[str, Line],
    shown: Shown | None,
) -> Verdict:
    about = _fair_words(fair, shown)
    if not parts:
        return Verdict("too_few", f"Nothing is known of {column} in this range.", about)
    groups = [one for one in parts if OTHER not in one.value.split(CROSS)]
    if len(groups) == 1:
        one = f"{column} has one value here, {groups[0].value}: nothing can be compared"
        return Verdict("shown", f"{one}.", about)
    bad = sorted((one for one in parts if one.alarms), key=lambda one: -one.alarms)
    if metric is not None and bad:
        first = bad[0]
        windows = f"in {first.alarms} of {plural(first.judged, 'window')}"
        more = f", {plural(len(bad) - 1, 'other')} too" if len(bad) > 1 else ""
        return Verdict(
            "alarm", f"{metric.name} of {first.value} was out of its band {windows}{more}.", about
        )
    if metric is None or not any(one.judged for one in parts):
        wanting = "no performance is known yet" if metric is not None else "the model has no label"
        return Verdict("too_few", f"No {column} could be judged in this range: {wanting}.", about)
    return Verdict("ok", f"{metric.name} was within its band for every {column}.", about)


def _fair_words(fair: dict[str, Line], shown: Shown | None) -> str:
    """Say how far the groups lie apart, by the first metric of fairness that says it."""
    for name, line in fair.items():
        one = None if shown is None else line.at(shown.start)
        if one is not None and one.value is not None:
            band = ""
            if one.ci_lower is not None and one.ci_upper is not None:
                ends = quantity(one.ci_lower, one.unit), quantity(one.ci_upper, one.unit)
                band = f" (95 %: {ends[0]} to {ends[1]})"
            told = f"{name} {quantity(one.value, one.unit)}{band}"
            return f"{told}: {one.reason}." if one.reason else f"{told}."
    return ""
