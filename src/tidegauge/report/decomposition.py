"""A decomposition in the terminal: the sentence, the parts as bars, the segments, the notes."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from tidegauge.explain.parts import Decomposition, Part, SegmentParts
from tidegauge.report.format import plural, share
from tidegauge.report.terminal import table

_BAR = 16
_MOST_SEGMENTS = 10


def print_decomposition(change: Decomposition, console: Console) -> None:
    """Print a decomposition; 80 columns are enough.

    Parameters
    ----------
    change : Decomposition
    console : rich.console.Console
    """
    console.print()
    _print_one(change, console)
    if change.outcome is not None:
        console.print()
        _print_one(change.outcome, console)
    console.print()


def _print_one(change: Decomposition, console: Console) -> None:
    console.print(Text(change.sentence, style="bold"))
    sides = (
        f"{plural(change.n_reference, 'record')} before, {plural(change.n_current, 'record')} now"
    )
    if change.total is not None and change.labelled < 1:
        sides += f" ({share(change.labelled)} of all; the others lack a label or a usable answer)"
    console.print(Text(f"  {sides}", style="dim"))
    lines = change.lines()
    if lines:
        most = max(abs(part.value) for _, part in lines) or 1.0
        rows = [(label, str(part), _bar(part, most, change.direction)) for label, part in lines]
        unit = "" if change.unit in (None, "share") else str(change.unit)
        console.print()
        console.print(table(("", f">{unit or 'part'}", ""), rows))
    if change.segments:
        console.print()
        console.print(_segments(change.segments))
        left = len(change.segments) - _MOST_SEGMENTS
        if left > 0:
            console.print(Text(f"    … and {plural(left, 'more segment')}", style="dim"))
    for note in change.notes:
        console.print(Padding(Text(f"note: {note}", style="dim"), (0, 0, 0, 2)))


def _bar(part: Part, most: float, direction: str) -> Text:
    """Return a bar as long as the part, marked where it is no more than chance."""
    if not part.clear:
        return Text("within chance", style="dim")
    style = "default"
    if direction in ("higher_is_better", "lower_is_better"):
        style = "red" if (part.value < 0) is (direction == "higher_is_better") else "green"
    return Text("█" * max(1, round(abs(part.value) / most * _BAR)), style=style)


def _segments(segments: tuple[SegmentParts, ...]) -> object:
    """Return the segments that add most, as a table."""
    shown = sorted(segments, key=lambda one: -abs(one.total))[:_MOST_SEGMENTS]
    rows = [
        (
            f"{one.segment.column}: {one.segment.value}",
            f"{share(one.reference_share)} → {share(one.current_share)}",
            str(one.mix),
            str(one.within),
            "" if one.relation is None else str(one.relation),
        )
        for one in shown
    ]
    return table(("segment", ">share", ">more or fewer", ">other inputs", ">relation"), rows)
