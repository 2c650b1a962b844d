"""The page of a column: what happened to this input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from tidegauge.catalog.tables import Incident
from tidegauge.metrics.registry import Family, all_metrics
from tidegauge.metrics.result import Result, State
from tidegauge.profile.layout import to_datetime, to_micros
from tidegauge.report.arithmetic import shift, why
from tidegauge.report.charts import Spec, distribution, quantile_ribbon, timeline
from tidegauge.report.data import Histogram
from tidegauge.report.format import interval, plural, quantity, share
from tidegauge.report.sections.columns import signed
from tidegauge.report.states import shown_state
from tidegauge.schema import Column, ColumnType, Role
from tidegauge.server.pages.asked import read_time
from tidegauge.server.pages.history import History
from tidegauge.server.pages.lines import Line
from tidegauge.server.pages.marks import marks_of
from tidegauge.server.pages.model import Drawn, held_by, lane_of
from tidegauge.server.pages.verdict import Verdict

ALL = "all"
_LEVELS = ("p05", "p25", "median", "p75", "p95")
_ALWAYS = ("missing_share",)
_OTHERS = ("unseen_share", "type_error_share", "out_of_range_share")
_LOST = {"missing_share": "was missing", "unseen_share": "had unseen values"}
_HEIGHT, _LANE = 150, 80
#: What the drift of a column is called that is no input.
DRIFT_OF = {
    Role.SCORE: "Prediction drift",
    Role.PREDICTION: "Prediction drift",
    Role.LABEL: "Label drift",
}
#: What each judged metric of drift is about, in words.
ABOUT = {
    "location_shift": "how far the values moved, in standard deviations of the baseline",
    "shape_shift": "how far their spread, asymmetry and tails changed",
    "total_variation": "share of records that changed their value",
}


@dataclass(frozen=True)
class Chosen:
    """The window whose distribution is drawn.

    Parameters
    ----------
    start, end : datetime
    why : str
        ``worst``, ``newest``, ``asked`` or ``all`` for the whole range.
    before, after : datetime or None
        Start of the windows beside it.
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
        """The window, or the range, as people say it."""
        return interval(self.start, self.end)


@dataclass(frozen=True)
class ColumnView:
    """What the page shows.

    Parameters
    ----------
    column : Column
    verdict : Verdict
    headline : Result or None
        Its judged drift in the chosen window.
    chosen : Chosen or None
    lanes : tuple of Drawn
    judged, shown : tuple of Result
        The metrics of the chosen window.
    sums : tuple of Result
        Those of which the arithmetic is told: the alarms, else the headline.
    incidents : sequence of Incident
        Those of the range that hold the column.
    impact : float or None
        How far its drift alone would have moved the mean score, at its largest.
    """

    column: Column
    verdict: Verdict
    headline: Result | None
    chosen: Chosen | None
    lanes: tuple[Drawn, ...]
    judged: tuple[Result, ...]
    shown: tuple[Result, ...]
    sums: tuple[Result, ...]
    incidents: Sequence[Incident]
    impact: float | None


def column_view(history: History, name: str) -> ColumnView:
    """Put the page of a column together."""
    column = history.model.schema[name]
    lines = {
        metric: history.line(metric, name)
        for metric, held, segment in history.chapter.keys
        if held == name and segment == history.asked.segment_json and not is_fairness(metric)
    }
    lines = {metric: line for metric, line in lines.items() if len(line)}
    drift, drifts = history.drift.get(name), history.drifts.get(name, [])
    chosen = chosen_window(history, drift or next(iter(lines.values()), None))
    incidents = [
        one
        for one in history.within
        if name in one.evidence.get("columns", ()) and one.kind != Family.FAIRNESS
    ]
    impacts = [one.evidence.get("impact", {}).get(name) for one in incidents]
    known = [float(moved) for moved in impacts if moved is not None]
    results = _results(lines, chosen)
    headline = _headline(results, drifts)
    alarms = [one for one in results if one.state is State.ALARM]
    judged = [one for one in results if shown_state(one) != "shown"]
    return ColumnView(
        column,
        _verdict(column, drift, lines, incidents),
        headline,
        chosen,
        tuple(_lanes(history, column, drifts, lines)),
        tuple(judged),
        tuple(one for one in results if one not in judged),
        tuple(alarms or ([headline] if headline else [])),
        incidents,
        max(known, key=abs, default=None),
    )


def is_fairness(metric: str) -> bool:
    """Whether a metric compares the segments of a column, which have a page of their own."""
    known = all_metrics()
    return metric in known and known[metric].family is Family.FAIRNESS


def _headline(results: Sequence[Result], drifts: Sequence[Line]) -> Result | None:
    """Return what is judged of the drift and says most: the first in alarm, else the first."""
    names = [line.metric for line in drifts]
    found = [one for name in names for one in results if one.metric == name]
    return next((one for one in found if one.state is State.ALARM), found[0] if found else None)


def chosen_window(history: History, line: Line | None) -> Chosen | None:
    """Return the window whose distribution is shown: as asked, else the worst, else the newest."""
    if line is None or not len(line):
        return None
    width = history.span.width
    newest = to_datetime(int(line.starts[-1]))
    place = line.worst()
    alarmed = bool(line.alarms.any())
    worst = newest if place is None or not alarmed else to_datetime(int(line.starts[place]))
    asked = history.asked.window
    if asked == ALL:
        span = history.span
        return Chosen(span.start, span.end, ALL, None, None, worst, newest)
    start, why = (worst, "worst") if alarmed else (newest, "newest")
    at = np.searchsorted(line.starts, _micros(asked)) if asked else None
    if at is not None:
        start, why = to_datetime(int(line.starts[min(int(at), len(line) - 1)])), "asked"
    here = int(np.searchsorted(line.starts, _micros(start.isoformat())))
    before = to_datetime(int(line.starts[here - 1])) if here > 0 else None
    after = to_datetime(int(line.starts[here + 1])) if here + 1 < len(line) else None
    return Chosen(start, start + width, why, before, after, worst, newest)


def _micros(text: str) -> int:
    moment = read_time(text, "window")
    assert moment is not None
    return to_micros(moment)


def _verdict(
    column: Column, drift: Line | None, lines: dict[str, Line], incidents: Sequence[Incident]
) -> Verdict:
    severities = {one.severity for one in incidents}
    state = "alarm" if "critical" in severities else "warning" if "warning" in severities else "ok"
    known, name = all_metrics(), column.name
    lost = [
        line
        for metric, line in lines.items()
        if line.alarms.any() and not (metric in known and known[metric].family is Family.DRIFT)
    ]
    told = []
    if drift is not None and drift.alarms.any():
        moved = "drifted" if column.role not in DRIFT_OF else "moved"
        told.append(f"{moved} in {int(drift.alarms.sum())} of {plural(len(drift), 'window')}")
    for line in lost:
        worst = line.worst()
        value = quantity(float(line.value[worst]), line.unit) if worst is not None else ""
        told.append(f"{_LOST.get(line.metric, line.metric + ' was off')} (up to {value})")
    newest = drift.last() if drift is not None else None
    if not told:
        if drift is None and not lines:
            return Verdict("too_few", f"{name} has no results in this range.")
        if drift is not None and not drift.judged.any() and newest is not None:
            needed = why(newest) or "too few records"
            return Verdict("too_few", f"{name} could not be judged in this range: {needed}.")
        return Verdict(state, f"{name} kept to its baseline.")
    harmless = ""
    if state == "ok" and all(one.evidence.get("harm_text") for one in incidents):
        harmless = ", without harm"
    now = f"In the newest window: {shift(newest)}." if newest is not None else ""
    shown = state if state != "ok" else "shown"
    what = (
        f"{DRIFT_OF[column.role]}: " if column.role in DRIFT_OF and told[0][:5] == "moved" else ""
    )
    return Verdict(shown, f"{what}{name} {' and '.join(told)}{harmless}.", now)


def _lanes(
    history: History, column: Column, drifts: Sequence[Line], lines: dict[str, Line]
) -> list[Drawn]:
    out = []
    for at, line in enumerate(drifts):
        about = ABOUT.get(line.metric, "distance from the baseline")
        height = _HEIGHT if at == 0 else _LANE
        out.append(
            _lane(history, column, line, about, "drift", height, zero=not signed(line.metric))
        )
    if "median" in lines:
        out.append(_ribbon(history, column, lines))
    for metric in (*_ALWAYS, *_OTHERS):
        held = lines.get(metric)
        if held is not None and (metric in _ALWAYS or np.nan_to_num(held.value).any()):
            about = all_metrics()[metric].summary.split(".")[0]
            out.append(_lane(history, column, held, about, "quality", _LANE, zero=True))
    return out


def _lane(
    history: History,
    column: Column,
    line: Line,
    about: str,
    kind: str,
    height: int,
    *,
    zero: bool,
) -> Drawn:
    spec = timeline(
        line.on(history.windows).results(),
        title=line.metric,
        unit=line.unit,
        marks=marks_of(history, (kind,), (column.name,)),
        brush=True,
        height=height,
        zero=zero,
    )
    held = held_by(lane_of(history), spec, line)
    return Drawn(line.metric, line.metric, about, held, height + 40, line.last())


def _ribbon(history: History, column: Column, lines: dict[str, Line]) -> Drawn:
    windows = history.windows
    width = history.span.width
    starts = [to_datetime(start) for start in windows.tolist()]
    found = {name: lines[name].on(windows).value.tolist() for name in _LEVELS if name in lines}
    expected = lines["median"].expected
    known = expected[np.isfinite(expected)]
    spec = quantile_ribbon(
        [(start, start + width) for start in starts],
        found,
        name=column.name,
        unit=column.unit,
        expected=float(known[-1]) if len(known) else None,
        height=_HEIGHT,
    )
    about = "median, middle half and middle 90 %; dashed: the baseline's median"
    return Drawn("spread", "values", about, lane_of(history).hold(spec), _HEIGHT + 40)


def _results(lines: dict[str, Line], chosen: Chosen | None) -> tuple[Result, ...]:
    if chosen is None:
        return ()
    start = chosen.newest if chosen.why == ALL else chosen.start
    found = [one for line in lines.values() if (one := line.at(start)) is not None]
    known = all_metrics()
    order = {name: at for at, name in enumerate(known)}
    return tuple(
        sorted(
            found,
            key=lambda one: (one.lower is None and one.upper is None, order.get(one.metric, 999)),
        )
    )


def distribution_chart(
    column: Column, histogram: Histogram, chosen: str, *, alarm: bool = False
) -> Spec:
    """Draw a distribution over the baseline's."""
    return distribution(
        histogram,
        name=column.name,
        unit=column.unit,
        alarm=alarm,
        dates=column.type is ColumnType.DATETIME,
        sides=("baseline", chosen),
    )


def outside(histogram: Histogram) -> str:
    """Say what lies beyond the drawn range."""
    told = []
    for side, (then, now) in (("Below", histogram.below), ("Above", histogram.above)):
        if max(then, now) > 0:
            parts = f"{share(then)} of the baseline, {share(now)} here"
            told.append(f"{side} the drawn range: {parts}.")
    return " ".join(told)
