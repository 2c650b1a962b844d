"""A comparison in the terminal, and the progress of long work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from tidegauge.metrics.result import Basis, Result, State
from tidegauge.report.arithmetic import arithmetic, expected, foreseen, shift, why
from tidegauge.report.data import ColumnReport, ReportData, SourceInfo
from tidegauge.report.format import (
    count,
    interval,
    known,
    p_value,
    plural,
    quantity,
    share,
    signed,
    span,
)
from tidegauge.report.sections.columns import (
    elsewhere,
    group_of,
    harmless_below,
    judged_first,
    leading,
    state_of,
)
from tidegauge.report.sections.fairness import fairness_of
from tidegauge.report.sections.overall import overall_state, was_asked_for
from tidegauge.report.sections.tables import as_results, segment_name, worst
from tidegauge.report.states import look_of, shown_state

_MOST_COLUMNS = 15
_MOST_WORST = 5
_MOST_MODEL = 8
_WIDE = 100
_MOST_CELL = 24
_MOST_WORDS = 32
#: Colours of the tones; a console without colour shows shape and word alone.
_STYLES = {"alarm": "bold red", "warning": "yellow", "unknown": "blue", "": "default"}


def print_report(data: ReportData, console: Console, *, verbose: bool = False) -> None:
    """Print a comparison: the verdict, the sides, performance, the columns that matter, notes.

    Parameters
    ----------
    data : ReportData
    console : rich.console.Console
        Its width and colours decide how much is shown; 80 columns are enough.
    verbose : bool
        Show the arithmetic of every alarm of the whole too.
    """
    console.print()
    console.print(_verdict(data))
    console.print(_side("reference", data.reference), _side("current", data.current), sep="\n")
    if data.performance:
        console.print()
        console.print(_performance(data.performance, console.width))
    if data.columns:
        console.print()
        console.print(_columns(data, console.width))
        left = len(data.columns) - len(_shown(data))
        if left:
            console.print(Text(f"    … and {_rest(data, left)}", style="dim"))
    _worst(data, console)
    _fairness(data, console)
    _asked(data, console)
    if verbose:
        _sums(data, console)
    for note in data.notes:
        console.print(Padding(Text(f"note: {note}", style="dim"), (0, 0, 0, 2)))
    console.print()


def mark(state: str, word: bool = True) -> Text:
    """Return a state as its shape, word and colour.

    Examples
    --------
    >>> mark("alarm").plain
    '▲ alarm'
    """
    look = look_of(state)
    said = f"{look.glyph} {look.word}" if word else look.glyph
    return Text(said, style=_STYLES[look.tone] if look.tone else "dim")


def _verdict(data: ReportData) -> Text:
    look = look_of(overall_state(data))
    style = _STYLES[look.tone] if look.tone else "bold"
    return Text.assemble((f"{look.glyph} ", style), (data.verdict, style))


def _side(name: str, info: SourceInfo) -> Text:
    said = [info.name or "unnamed", plural(info.rows, "row")]
    if info.start and info.end:
        said.append(span(info.start, info.end))
    return Text(f"  {name:<9} {' · '.join(said)}", style="dim")


def table(headings: Sequence[str], rows: Sequence[Sequence[Text | str]]) -> Table:
    """Return a table in which only the first column gives way; ``>`` before a heading is right."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for at, heading in enumerate(headings):
        name = heading.removeprefix(">")
        widest = max([cell_len(name), *(cell_len(str(row[at])) for row in rows)])
        table.add_column(
            name,
            justify="right" if heading.startswith(">") else "left",
            no_wrap=True,
            overflow="ellipsis",
            min_width=12 if at == 0 else min(widest, _MOST_CELL),
        )
    for row in rows:
        table.add_row(*row)
    return table


def _value(result: Result) -> Text:
    tone = look_of(shown_state(result)).tone
    return Text(_amount(result.value, result.unit), style=_STYLES[tone] if tone else "")


def _amount(value: float | None, unit: str | None) -> str:
    """Write a value; what a metric counts is plain from its name."""
    return count(value) if unit in ("rows", "values") else quantity(value, unit)


def _band(result: Result) -> str:
    low, high = result.lower, result.upper
    if known(low) and known(high):
        return f"{_amount(low, result.unit)} – {_amount(high, result.unit)}"
    if known(high):
        return f"≤ {_amount(high, result.unit)}"
    return f"≥ {_amount(low, result.unit)}" if known(low) else ""


def _named(state: str, name: str) -> Text:
    shape = mark(state, word=False) if state != "shown" else Text(" ")
    return Text.assemble("  ", shape, " ", name)


def _fairness(data: ReportData, console: Console) -> None:
    """Print how far the values of each segment column lie apart."""
    for held in fairness_of(data):
        shown = held.few(data.asked)
        if not shown:
            continue
        headings = [f"    fairness by {held.column}", ">value", "95 %"]
        rows: list[list[Text | str]] = [
            [_named(shown_state(one), one.metric), _value(one), _ends(one)] for one in shown
        ]
        if console.width >= _WIDE:
            headings.append("between")
            for row, one in zip(rows, shown, strict=True):
                row.append(Text(one.reason or "", style="dim"))
        console.print()
        console.print(table(headings, rows))


def _ends(result: Result) -> str:
    """Write the interval of a value."""
    if not known(result.ci_lower) or not known(result.ci_upper):
        return ""
    return f"{_amount(result.ci_lower, result.unit)} – {_amount(result.ci_upper, result.unit)}"


def _asked(data: ReportData, console: Console) -> None:
    """Print the metrics that somebody asked for by name, the least likely by chance first."""
    listed = [*data.performance, *(one for column in data.columns for one in column.results)]
    found = [one for one in listed if was_asked_for(one)]
    if not found:
        return
    found.sort(key=lambda one: one.p_value if known(one.p_value) else 2.0)
    rows: list[list[Text | str]] = [
        [_named("shown", one.column or "(model)"), one.metric, _value(one), p_value(one.p_value)]
        for one in found[:_MOST_COLUMNS]
    ]
    console.print()
    console.print(table(["    asked for", "metric", ">value", ">p"], rows))
    if len(found) > len(rows):
        console.print(Text(f"    … and {len(found) - len(rows)} more", style="dim"))


def _performance(results: Sequence[Result], width: int) -> Table:
    wide = width >= _WIDE
    rows: list[list[Text | str]] = []
    listed = judged_first([one for one in results if not was_asked_for(one)])
    for result in listed[: max(_MOST_MODEL, sum(shown_state(one) != "shown" for one in listed))]:
        expected = result.expected
        row: list[Text | str] = [
            _named(shown_state(result), result.metric),
            _value(result),
            _amount(expected, result.unit) if known(expected) else "",
            _band(result),
        ]
        row += [count(result.n_current)] if wide else []
        apart = _ends(result) if result.basis in (Basis.ESTIMATED, Basis.PARTIAL) else ""
        labels = result.basis or "" if known(result.value) else ""
        rows.append([*row, f"{labels} {apart}".strip()])
    headings = ["    model", ">value", ">expected", "band", *([">n"] if wide else []), "labels"]
    return table(headings, rows)


def _shown(data: ReportData) -> list[ColumnReport]:
    """Return the columns that are listed: what alarms or cannot be judged, at most fifteen."""
    loud = [one for one in data.columns if state_of(one) in ("alarm", "too_few")]
    loud.sort(key=lambda one: state_of(one) != "alarm")
    return (loud or list(data.columns[:3]))[:_MOST_COLUMNS]


def _rest(data: ReportData, left: int) -> str:
    quiet = sum(state_of(one) not in ("alarm", "too_few") for one in data.columns)
    loud = len(data.columns) - quiet
    if loud <= _MOST_COLUMNS:
        return f"{left} more, quiet"
    return f"{left} more, {loud - _MOST_COLUMNS} of them not quiet"


def _columns(data: ReportData, width: int) -> Table:
    wide = width >= _WIDE
    harmless = harmless_below(data)
    rows: list[list[Text | str]] = []
    for column in _shown(data):
        head = leading(column) or Result("")
        state = state_of(column)
        row: list[Text | str] = [_named(state, column.name), _moved(head, wide=wide)]
        row += [_missing(column), signed(column.impact) if known(column.impact) else ""]
        row += [*_effects(column), count(head.n_current)] if wide else []
        rows.append([*row, _remark(column, state, harmless)])
    headings = ["    column", "how it moved", ">missing", ">on score"]
    headings += [">ks or tv", ">psi", ">n"] if wide else []
    return table([*headings, ""], rows)


def _moved(head: Result, *, wide: bool) -> Text:
    tone = look_of(shown_state(head)).tone
    if head.state is State.TOO_FEW:
        said = why(head) or "too few records"
    elif head.metric == "location_shift" and known(head.spread) and not head.reason and wide:
        said = f"{signed(head.value, head.unit)}, expected {expected(head)}"
    else:
        said = shift(head)
        said += f", expected {foreseen(head)}" if head.reason and wide else ""
    if not wide and cell_len(said) > _MOST_WORDS:
        said = f"{said[: _MOST_WORDS - 1].rstrip()}…"
    return Text(said, style=_STYLES[tone] if tone else "")


def _effects(column: ColumnReport) -> list[str]:
    """The distances that people know: Kolmogorov–Smirnov or total variation, and PSI."""
    found = {one.metric: one for one in column.results}
    gap = found.get("ks") or found.get("total_variation")
    return [_amount(one.value, one.unit) if one else "" for one in (gap, found.get("psi"))]


def _sums(data: ReportData, console: Console) -> None:
    """Print the arithmetic of every alarm of the whole."""
    listed = [one for column in data.columns for one in column.results]
    alarms = [one for one in (*data.performance, *listed) if one.state is State.ALARM]
    if not alarms:
        return
    console.print()
    console.print(Text("    arithmetic", style="dim"))
    for one in alarms:
        name = f"{one.column} {one.metric}" if one.column else one.metric
        when = f" ({interval(one.window_start, one.window_end)})" if one.window_start else ""
        said = Text.assemble(
            mark("alarm", word=False), f" {name}{when}: ", (arithmetic(one), "dim")
        )
        console.print(Padding(said, (0, 0, 0, 2)))


def _remark(column: ColumnReport, state: str, harmless: float | None) -> str:
    if elsewhere(column):
        return "in parts"
    group = group_of(column, harmless)
    if group == "drift":
        return "no harm"
    if group == "output":
        return "label drift" if column.role == "label" else "prediction drift"
    return "too few" if state == "too_few" else ""


def _missing(column: ColumnReport) -> Text:
    found = next((one for one in column.results if one.metric == "missing_share"), None)
    if found is None:
        return Text()
    tone = look_of(str(found.state)).tone
    return Text(share(found.value), style=_STYLES[tone] if tone else "")


def _worst(data: ReportData, console: Console) -> None:
    """Print the strongest alarms of single segments and windows."""
    if not data.window and not data.segments:
        return
    found = as_results(worst(data.results, _MOST_WORST, ("column", "metric")))
    if not found:
        return
    rows: list[list[Text | str]] = []
    for result in found:
        name = f"{result.column} {result.metric}" if result.column else result.metric
        row: list[Text | str] = [_named("alarm", name), _value(result), _band(result)]
        row += [interval(result.window_start, result.window_end)] if data.window else []
        rows.append([*row, segment_name(result.segment)])
    headings = ["    strongest", ">value", "band", *(["when"] if data.window else []), "where"]
    console.print()
    console.print(table(headings, rows))
    if data.alarms > len(found):
        console.print(Text(f"    … of {plural(data.alarms, 'alarm')}", style="dim"))


class Show(Protocol):
    """Tells progress how far a stage has come."""

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Show the rows done of a stage, and those in all where that is known."""


@contextmanager
def progress(console: Console, quiet: bool = False) -> Iterator[Show]:
    """Show the progress of long work while the block runs.

    Parameters
    ----------
    console : rich.console.Console
        Nothing is shown where it is no terminal.
    quiet : bool
        Shows nothing.

    Yields
    ------
    callable
        ``show(stage, done, total)``, to be called from any thread.

    Examples
    --------
    >>> with progress(Console(), quiet=True) as show:
    ...     show("reading", 1000, None)
    """
    if quiet or not console.is_terminal:
        yield lambda stage, done, total: None
        return
    columns = [
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:,.0f} rows"),
        TimeElapsedColumn(),
    ]
    with Progress(*columns, console=console, transient=True, refresh_per_second=8) as shown:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = shown.add_task(stage, total=total)
            shown.update(tasks[stage], completed=done)

        yield show
