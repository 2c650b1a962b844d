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
    from rich.text import Text

    console.print(Text(found.sentence))
    heads, rows = found.table()
    for number, row in enumerate(rows, 1):
        console.print()
        console.print(Text.assemble(f"{number}  ", (row[0], "bold")))
        facts = (f"{head} {cell}" for head, cell in zip(heads[1:], row[1:], strict=True))
        console.print(Text("   " + " · ".join(facts)))
    if found.notes:
        console.print()
    for note in found.notes:
        console.print(Text(note), style="dim")
