"""The worst segments in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegauge.explain.worst_segments import WorstSegments

if TYPE_CHECKING:
    from rich.console import Console


def print_worst_segments(found: WorstSegments, console: Console) -> None:
    """Print what the search found.

    Parameters
    ----------
    found : WorstSegments
    console : Console
    """
    from rich.table import Table
    from rich.text import Text

    console.print(Text(found.sentence))
    if found.findings:
        heads, rows = found.table()
        table = Table(box=None, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
        for at, head in enumerate(heads):
            table.add_column(head, justify="right" if at else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        console.print()
        console.print(table)
    for note in found.notes:
        console.print(Text(note), style="dim")
