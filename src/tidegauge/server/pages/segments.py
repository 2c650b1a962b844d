"""For whom it was worse: a performance metric by segment and window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from tidegauge.metrics.registry import Metric
from tidegauge.metrics.result import Result
from tidegauge.profile.layout import to_datetime
from tidegauge.report.charts import HeatCell, Spec, heatmap
from tidegauge.report.format import day, instant, plural, quantity
from tidegauge.server.pages.asked import segment_of
from tidegauge.server.pages.book import Chapter
from tidegauge.server.pages.history import History
from tidegauge.server.pages.lines import Ints, Line

_MOST_CELLS, _MOST_ROWS = 2400, 40


@dataclass(frozen=True)
class SegmentRow:
    """One segment over the range.

    Parameters
    ----------
    column, value : str
    name : str
        As people say it; on the page of its column without that.
    href : str
    records : int
        Labelled records that its values rest on, over all windows.
    alarms, windows : int
        Windows in alarm, and windows that could be judged.
    worst, newest : Result or None
    """

    column: str
    value: str
    name: str
    href: str
    records: int
    alarms: int
    windows: int
    worst: Result | None
    newest: Result | None


@dataclass(frozen=True)
class SegmentView:
    """Every segment, those with most alarms first.

    Parameters
    ----------
    metric : str
    rows : tuple of SegmentRow
    chart : dict or None
    height : int
        That it will take, in pixels.
    under : str
        What the chart leaves out.
    """

    metric: str
    rows: tuple[SegmentRow, ...]
    chart: Spec | None
    height: int
    under: str


def segment_view(
    history: History, metric: Metric, chapter: Chapter, only: str | None = None
) -> SegmentView | None:
    """Return the segments of a model; None where it has none.

    Parameters
    ----------
    history : History
    metric : Metric
    chapter : Chapter
        With this metric's results for all segments.
    only : str, optional
        Those of this column alone.
    """
    found: list[tuple[SegmentRow, Line]] = []
    for name, column, segment in chapter.keys:
        if name == metric.name and column is None and segment is not None:
            line = history.served(chapter.line(metric.name, None, segment), chapter)
            own, value = segment_of(segment)
            if len(line) and only in (None, own):
                said = value if only else f"{own} {value}"
                found.append((_row(history, line, own, value, said), line))
    if not found:
        return None
    found.sort(key=lambda pair: (pair[0].column, -pair[0].alarms, -pair[0].records))
    judged = [pair for pair in found if pair[0].windows]
    chart, told = _chart(history, metric, judged[:_MOST_ROWS])
    return SegmentView(
        metric.name,
        tuple(row for row, _ in found),
        chart,
        20 * len(judged) + 50,
        " ".join(part for part in (told, _left_out(found, judged)) if part),
    )


def _left_out(found: list[tuple[SegmentRow, Line]], judged: list[tuple[SegmentRow, Line]]) -> str:
    few = [row.name for row, _ in found if not row.windows]
    told = ""
    if few:
        more = f" and {len(few) - 3} more" if len(few) > 3 else ""
        told = f"Too few records to be judged in any window: {', '.join(few[:3])}{more}."
    if len(judged) > _MOST_ROWS:
        told += f" The {_MOST_ROWS} with most alarms of {plural(len(judged), 'segment')} are drawn."
    return told.strip()


def _row(history: History, line: Line, column: str, value: str, name: str) -> SegmentRow:
    judged = line.judged
    alarmed = line.select(line.alarms)
    worst = alarmed.worst()
    return SegmentRow(
        column,
        value,
        name,
        history.links.model(segment=(column, value)),
        int(line.n.sum()),
        len(alarmed),
        int(judged.sum()),
        None if worst is None else alarmed.result(worst),
        line.select(judged).last(),
    )


def _chart(
    history: History, metric: Metric, judged: list[tuple[SegmentRow, Line]]
) -> tuple[Spec | None, str]:
    windows = history.windows
    if not judged or not len(windows):
        return None, ""
    group = -(-len(windows) * len(judged) // _MOST_CELLS)
    firsts = np.arange(0, len(windows), group)
    starts = [to_datetime(start) for start in windows[firsts].tolist()]
    spans = list(zip(starts, [*starts[1:], history.span.end], strict=True))
    cells = [
        cell
        for row, line in judged
        for cell in _cells(row, line.on(windows), metric, firsts, spans, history)
    ]
    told = "" if group == 1 else f"A cell is {group} windows, in the state of the worst of them."
    gaps = "Gaps: too few records to judge."
    return heatmap(cells, rows="segment"), f"{told} {gaps}".strip()


def _cells(
    row: SegmentRow,
    line: Line,
    metric: Metric,
    firsts: Ints,
    spans: Sequence[tuple[datetime, datetime]],
    history: History,
) -> Iterator[HeatCell]:
    """Yield one segment's cells; where nothing could be judged, none."""
    judged = line.judged
    held = np.logical_or.reduceat(judged, firsts).tolist()
    alarms = np.add.reduceat((line.alarms & judged).astype(np.int64), firsts).tolist()
    records = np.add.reduceat(line.n, firsts).tolist()
    stops = [*firsts[1:].tolist(), len(line)]
    for at, (start, end) in enumerate(spans):
        if not held[at]:
            continue
        if not alarms[at]:
            yield HeatCell(row.name, "ok", start=start, end=end, records=records[at])
            continue
        yield HeatCell(
            row.name,
            "alarm",
            start=start,
            end=end,
            alarms=alarms[at],
            records=records[at],
            told=_told(line, slice(int(firsts[at]), stops[at]), metric),
            href=_narrowed(history, row, start, end),
        )


def _told(line: Line, part: slice, metric: Metric) -> str:
    held = line.select(part)
    at = held.worst()
    assert at is not None
    worst = held.result(at)
    assert worst.window_start is not None
    when = _short(worst.window_start, held.ends - held.starts)
    expected = quantity(worst.expected, worst.unit)
    return f"{metric.name} {quantity(worst.value, worst.unit)} on {when}, expected {expected}"


def _short(moment: datetime, widths: Ints) -> str:
    return day(moment) if len(widths) and widths[0] >= 86_400_000_000 else instant(moment)


def _narrowed(history: History, row: SegmentRow, start: datetime, end: datetime) -> str:
    return history.links.model(segment=(row.column, row.value), start=start, end=end)
