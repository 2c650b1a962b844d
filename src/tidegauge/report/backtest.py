"""A backtest in the terminal: what would have fired, under one set of monitors or two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tidegauge.report.format import count, interval, number

if TYPE_CHECKING:
    from rich.console import Console

_MOST = 30


def print_backtest(
    model: str, tried: Sequence[tuple[str, Mapping[str, Any]]], console: Console
) -> None:
    """Print what a server answered.

    Parameters
    ----------
    model : str
    tried : sequence of (title, answer)
        The monitors as they are, and others beside them; over the same windows.
    console : Console
    """
    from rich.table import Table
    from rich.text import Text

    first = tried[0][1]
    start, end = (datetime.fromisoformat(first[name]) for name in ("start", "end"))
    console.print(Text.assemble((model, "bold"), f": {interval(start, end)}"))
    table = Table(box=None, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", overflow="fold")
    for title, _ in tried:
        table.add_column(title, justify="right")
    rows = (
        ("windows", "windows", count),
        ("with any alarm", "alarmed", count),
        ("false ones to be expected", "expected_false", number),
    )
    for told, name, write in rows:
        table.add_row(told, *(write(answer[name]) for _, answer in tried))
    found = [{_key(one): one for one in answer["alarms"]} for _, answer in tried]
    every = sorted(
        {key for alarms in found for key in alarms},
        key=lambda key: (-max(a[key]["windows"] for a in found if key in a), key[0], key[1] or ""),
    )
    table.add_row("")
    table.add_row("windows with an alarm of" if every else "no alarm at all")
    for metric, column in every[:_MOST]:
        cells = [_cell(alarms.get((metric, column))) for alarms in found]
        table.add_row(f"  {metric}{f' of {column!r}' if column else ''}", *cells)
    console.print(table)
    if len(every) > _MOST:
        console.print(f"… and {len(every) - _MOST} more metrics and columns, of fewer windows")
    if any(one["threshold"] for _, answer in tried for one in answer["alarms"]):
        console.print("* by a threshold, which the expected false ones leave out", style="dim")


def _key(alarm: Mapping[str, Any]) -> tuple[str, str | None]:
    return alarm["metric"], alarm["column"]


def _cell(alarm: Mapping[str, Any] | None) -> str:
    if alarm is None:
        return "–"
    return f"{'* ' if alarm['threshold'] else ''}{count(alarm['windows'])}"
