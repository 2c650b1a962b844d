"""The page of a model: how is it, since when, and what is it about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from tidegauge.catalog.tables import Incident
from tidegauge.metrics.registry import Family, Metric, Scale, all_metrics
from tidegauge.metrics.result import Result
from tidegauge.profile.layout import to_datetime
from tidegauge.report.charts import Count, Lane, Spec, alarm_counts, timeline
from tidegauge.report.format import ago, instant, plural, share
from tidegauge.schema import Role
from tidegauge.server.pages.book import Chapter
from tidegauge.server.pages.decomposed import WhyPanel, why_panel
from tidegauge.server.pages.estimated import guessed, guesses_of, label_words, unlabelled
from tidegauge.server.pages.history import History
from tidegauge.server.pages.lines import Line
from tidegauge.server.pages.marks import marks_of
from tidegauge.server.pages.ranking import ColumnGroup, column_groups, counts_of
from tidegauge.server.pages.segments import SegmentView, segment_view
from tidegauge.server.pages.verdict import Verdict, by_kind, verdict_of

#: Incidents that stand on the page itself: the worst, and of those that go on.
SHOWN, GOING_ON = 3, 2
#: Windows whose change is explained where no range was asked for.
EXPLAINED = 7
_LEAD, _SECOND, _LANE, _COUNTS = 150, 100, 76, 48

#: What a metric asks, in words.
QUESTIONS = {
    "bias": "how much more often the outcome came true than was predicted",
    "concept_drift": "how far the same inputs come to another end",
    "bias regression": "how far the outcome lay above what was predicted, on average",
    "error_share": "share of failed answers",
    "latency_p95": "slowest 5 % of answers",
    "roc_auc": "how well the score ranks",
    "accuracy": "share of right answers",
    "mae": "mean error",
    "row_count": "records in each window",
}
#: What is how old, in words.
AGES = {"model_age": "version {},", "baseline_age": "baseline", "label_age": "newest label"}
#: What stands at the value axis, where the metric's name is too long for a low chart.
AXES = {
    "row_count": "records",
    "location_shift": "shift (σ)",
    "shape_shift": "shape (σ)",
    "missing_share": "missing (%)",
    "unseen_share": "unseen (%)",
    "type_error_share": "errors (%)",
    "out_of_range_share": "outside (%)",
    "total_variation": "moved",
    "latency_p95": "latency",
    "error_share": "errors (%)",
}


@dataclass(frozen=True)
class Drawn:
    """One chart of the page.

    Parameters
    ----------
    id, title, about : str
    spec : dict
    height : int
        That it will take, in pixels.
    newest : Result or None
        Its newest value, for who sees no chart.
    """

    id: str
    title: str
    about: str
    spec: Spec
    height: int
    newest: Result | None = None


@dataclass(frozen=True)
class ModelView:
    """What the page shows.

    Parameters
    ----------
    verdict : Verdict
    incidents : sequence of Incident
        The most harmful of the range.
    counted : list of (severity, int)
    lanes : tuple of Drawn
        Over one time axis.
    calm : list of str
        What needs no chart, in words.
    figures : tuple of Result
        Performance in the newest window with labels.
    labels : Result or None
        The newest window with labels.
    why : WhyPanel or None
        Where the parts of a change in performance are fetched.
    guesses : tuple of Result
        Estimates of the newest window, where that was not measured in whole.
    columns : tuple of ColumnGroup
    segments : SegmentView or None
    versions : tuple of (name, first window)
    ages : str
        How old version, baseline and newest label are at the end of the newest window.
    """

    verdict: Verdict
    incidents: Sequence[Incident]
    counted: list[tuple[str, int]]
    lanes: tuple[Drawn, ...]
    calm: list[str]
    figures: tuple[Result, ...]
    labels: Result | None
    why: WhyPanel | None
    guesses: tuple[Result, ...]
    columns: tuple[ColumnGroup, ...]
    segments: SegmentView | None
    versions: tuple[tuple[str | None, datetime], ...]
    ages: str


def model_view(history: History, by_segment: Chapter | None) -> ModelView:
    """Put the page together.

    Parameters
    ----------
    history : History
    by_segment : Chapter or None
        Results of the leading performance metric for all segments.
    """
    figures = figures_of(history)
    leading = history.judged[0] if history.judged else None
    segments = None
    if leading is not None and by_segment is not None:
        segments = segment_view(history, leading, by_segment)
    return ModelView(
        verdict_of(history),
        _shown(history),
        by_kind(history.within),
        tuple(lanes_of(history)),
        calm_of(history),
        figures,
        figures[0] if figures else None,
        _why(history),
        guesses_of(history),
        tuple(column_groups(history)),
        segments,
        tuple((name, to_datetime(start)) for name, start in history.versions),
        ages_of(history),
    )


def _why(history: History) -> WhyPanel | None:
    """Explain the range that was asked for, else the newest windows of it."""
    span = history.span
    if not len(history.windows) or history.asked.segment is not None:
        return None
    newest = to_datetime(int(history.windows[-1])) + span.width
    start = span.start if span.asked else max(span.start, newest - EXPLAINED * span.width)
    metric = history.asked.metric
    known = metric is not None and metric != "concept_drift" and _performs(metric)
    return why_panel(history, start, newest, metric if known else None, history.asked.version)


def ages_of(history: History) -> str:
    """Return, in words, what was how old at the end of the newest window; "" if nothing is told."""
    lines = [(what, line) for metric, what in AGES.items() if len(line := history.line(metric))]
    if not lines:
        return ""
    newest = max(int(line.starts[-1]) for _, line in lines)
    told, end = [], to_datetime(newest)
    for what, line in lines:
        last = line.last()
        if last is not None and last.window_end is not None and int(line.starts[-1]) == newest:
            name, end = history.chapter.versions[int(line.versions[-1])], last.window_end
            since = end - timedelta(seconds=last.value or 0.0)
            told.append(f"{what.format(name or 'model')} {ago(since, end).replace('ago', 'old')}")
    return f"as of {instant(end)}: {' · '.join(told)}"


def _shown(history: History) -> list[Incident]:
    """Return the worst incidents of the range, and the worst of those that still go on."""
    worst = history.within[:SHOWN]
    going_on = [one for one in history.within if one.state != "resolved" and one not in worst]
    return [*worst, *(one for one in going_on[:GOING_ON] if one.severity != "info")]


def figures_of(history: History) -> tuple[Result, ...]:
    """Return every performance metric in the newest window with labels, those judged first."""
    lead = history.line(history.judged[0].name) if history.judged else None
    if lead is None:
        return ()
    held = np.flatnonzero(lead.n > 0)
    if not len(held):
        return ()
    at = to_datetime(int(lead.starts[held[-1]]))
    judged = [one.name for one in history.judged]
    names = [
        metric
        for metric, column, segment in history.chapter.keys
        if column is None and segment == history.asked.segment_json and _performs(metric)
    ]
    found = [history.line(name).at(at) for name in dict.fromkeys([*judged, *sorted(names)])]
    return tuple(one for one in found if one is not None)


def _performs(name: str) -> bool:
    known = all_metrics()
    return name in known and known[name].family is Family.PERFORMANCE


def lanes_of(history: History) -> list[Drawn]:
    """Return the charts over the page's one time axis."""
    lane = lane_of(history)
    out = []
    for at, metric in enumerate(_asked_metrics(history)):
        line, guess = history.line(metric.name), history.estimate(metric.name)
        if len(line) or len(guess):
            height = _LEAD if at == 0 else _SECOND
            labels = label_words(history, metric.name)
            asked = question(history, metric.name) or "performance"
            about = f"{asked} · {labels}" if labels else asked
            out.append(_lane(history, lane, line, about, ("performance",), height, guess=guess))
    for key, title, lines in _by_column(history):
        if _any_alarm(lines):
            out.append(_counted(history, lane, key, title, counts_of(history, lines, key)))
    volume = history.line("row_count")
    if len(volume):
        about = QUESTIONS["row_count"]
        out.append(_lane(history, lane, volume, about, ("volume",), _LANE, zero=True))
    for line, about in _service(history):
        out.append(_lane(history, lane, line, about, ("service",), _LANE, zero=True))
    return out


def _by_column(history: History) -> list[tuple[str, str, list[tuple[str, Line]]]]:
    """Return what is judged of columns: key, what it is called, and the lines."""
    quality = [(name, line) for (name, _), line in history.quality.items()]
    return [
        ("drift", "columns that drift", list(history.drift.items())),
        ("quality", "columns with missing, unseen or broken values", quality),
    ]


def _any_alarm(lines: list[tuple[str, Line]]) -> bool:
    return any(line.alarms.any() for _, line in lines)


def calm_of(history: History) -> list[str]:
    """Return, in words, what is judged of columns and was never in alarm: it needs no chart."""
    told = {"drift": "no column drifted", "quality": "no value missing, unseen or broken"}
    return [
        f"{told[key]}, of {plural(len({name for name, _ in lines}), 'column')} judged"
        for key, _, lines in _by_column(history)
        if lines and not _any_alarm(lines)
    ]


def _asked_metrics(history: History) -> list[Metric]:
    known = all_metrics()
    wanted = history.asked.metric
    more = [known[wanted]] if wanted in known and _performs(str(wanted)) else []
    leading = guessed(history) if unlabelled(history) else None
    first = [] if leading is None else [leading[0]]
    return list({one.name: one for one in [*first, *history.judged, *more]}.values())


def question(history: History, metric: str) -> str:
    """Return what a metric asks, in words; nothing for one that is not known here."""
    task = history.model.schema.task
    return QUESTIONS.get(f"{metric} {task}", QUESTIONS.get(metric, ""))


def lane_of(history: History) -> Lane:
    """Return the time axis that all charts of a page share."""
    return Lane(history.span.start, history.span.end, link=history.links.windows)


def _service(history: History) -> list[tuple[Line, str]]:
    column = history.model.schema.role(Role.LATENCY)
    found = [] if column is None else [history.line("latency_p95", column.name)]
    found.append(history.line("error_share"))
    return [(line, QUESTIONS[line.metric]) for line in found if len(line)]


def _lane(
    history: History,
    lane: Lane,
    line: Line,
    about: str,
    kinds: tuple[str, ...],
    height: int,
    *,
    zero: bool = False,
    guess: Line | None = None,
) -> Drawn:
    guessed_here = guess is not None and bool(np.isfinite(guess.value).any())
    spec = timeline(
        line.on(history.windows).results() if len(line) else (),
        title=line.metric,
        unit=line.unit if guess is None or len(line) else guess.unit,
        marks=marks_of(history, kinds, metric=line.metric),
        estimated=guess.results() if guess is not None and guessed_here else (),
        brush=True,
        height=height,
        zero=zero,
    )
    on_axis = held_by(lane, spec, line)
    newest = line.last() or (guess.last() if guess is not None else None)
    return Drawn(line.metric, line.metric, about, on_axis, height + 40, newest)


def held_by(lane: Lane, spec: Spec, line: Line) -> Spec:
    """Return a line's chart as it stands on a page's time axis."""
    known = all_metrics().get(line.metric)
    bounded = known is not None and known.scale in (Scale.ARCSINE, Scale.LOGIT)
    return lane.hold(spec, AXES.get(line.metric, ""), 1.0 if bounded else None)


def _counted(history: History, lane: Lane, key: str, title: str, counts: list[Count]) -> Drawn:
    spec = alarm_counts(
        counts,
        title="columns",
        tone="warning",
        brush=True,
        height=_COUNTS,
        marks=marks_of(history, (key,)),
    )
    alarmed = sum(1 for one in counts if one.loud or one.quiet)
    part = share(alarmed / len(counts)) if counts else ""
    about = f"{title}: in {alarmed} of {plural(len(counts), 'window')} ({part})"
    return Drawn(key, key, about, lane.hold(spec), _COUNTS + 40)
