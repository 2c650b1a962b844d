"""The changes of one series: in the terminal, and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from tidegauge.metrics.result import plain
from tidegauge.monitor.online import Changes
from tidegauge.report.format import count, instant, plural, quantity
from tidegauge.report.terminal import mark, table

_MOST = 20
_ARROWS = {"up": "↑", "down": "↓"}


def print_changes(
    changes: Changes, console: Console, *, name: str, unit: str | None = None
) -> None:
    """Print changes as a table, under one sentence and above the notes.

    Parameters
    ----------
    changes : Changes
    console : rich.console.Console
    name : str
        Of the series.
    unit : str, optional
        Of the series' values.
    """
    looked = f"{plural(changes.values, 'value')} of {name}, {changes.detector}"
    found = plural(len(changes), "change") if changes else "No change"
    state = mark("warning" if changes else "ok", word=False)
    console.print()
    console.print(Text.assemble(state, " ", (found, "bold"), f" in {looked}"))
    if changes:
        timed = changes[0].time is not None
        rows: list[list[Text | str]] = []
        for one in changes[:_MOST]:
            begun = instant(one.time) if timed else count(one.index + 1)
            seen = instant(one.noticed_at) if timed else count(one.noticed + 1)
            before, after = quantity(one.before, unit), quantity(one.after, unit)
            rows.append([f"  {_ARROWS[one.direction]} {begun}", seen, before, after])
        where = "    since" if timed else "    since row"
        console.print()
        console.print(table([where, "noticed", ">before", ">after"], rows))
        if len(changes) > _MOST:
            console.print(Text(f"    … and {count(len(changes) - _MOST)} more", style="dim"))
    for note in changes.notes:
        console.print(Padding(Text(f"note: {note}", style="dim"), (0, 0, 0, 2)))
    console.print()


def changes_to_json(changes: Changes, **about: Any) -> dict[str, Any]:
    """Return changes as JSON can hold them, after what they are of.

    Examples
    --------
    >>> changes_to_json(Changes(values=3), series="error")["values"]
    3
    """
    names = ("detector", "parameters", "values", "missing", "infinite", "notes")
    rows = [{name: plain(value) for name, value in asdict(one).items()} for one in changes]
    return {**about, **{name: getattr(changes, name) for name in names}, "changes": rows}
