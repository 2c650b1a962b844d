"""In the terminal: quarantine, what a replay came to, new columns, a schema's history."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tidegauge.report.format import ago, count, instant, plural

if TYPE_CHECKING:
    from rich.console import Console

_LONGEST = 80


def print_groups(model: str, found: Mapping[str, Any], console: Console) -> None:
    """Print the groups of a quarantine.

    Parameters
    ----------
    model : str
    found : mapping
        As the server answered.
    console : Console
    """
    groups: Sequence[Mapping[str, Any]] = found["groups"]
    if not groups:
        console.print(f"{model}: nothing is in quarantine", markup=False)
        return
    console.print(f"{model}: {plural(found['rows'], 'row')} in quarantine", markup=False)
    table = _table("what is wrong", "column", "rows", "first", "last", "for example")
    now = datetime.now(UTC)
    for one in groups:
        sent = "" if one["resource"] == "predictions" else " (labels)"
        table.add_row(
            printable(one["code"]) + sent,
            printable(one["column"] or "—"),
            count(one["rows"]),
            *(ago(_time(one[name]), now) for name in ("first_seen", "last_seen")),
            printable(one["message"], _LONGEST),
        )
    console.print(table)
    if found["more_groups"]:
        console.print(f"… and {plural(found['more_groups'], 'smaller group')}")


def print_rows(rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print quarantined rows, each with what is wrong and as it was sent."""
    from rich.text import Text

    if not rows:
        console.print("nothing like that is in quarantine")
    for one in rows:
        version = "" if one["version"] is None else f", version {printable(one['version'])}"
        head = f"{instant(_time(one['received_at']))}, {one['resource']}{version}"
        console.print(Text.assemble((head, "dim")))
        console.print(Text(printable(one["message"])))
        record = one["record"]
        text = record if isinstance(record, str) else json.dumps(record, indent=2)
        console.print(Text(printable(text, lines=True)), soft_wrap=True)


def print_replayed(model: str, done: Mapping[str, Any], console: Console) -> None:
    """Print what a replay came to."""
    parts = [f"{plural(done['replayed'], 'row')} stored"]
    if done["repeated"]:
        parts.append(f"{count(done['repeated'])} had been stored before")
    parts.append(f"{count(done['stayed'])} stay in quarantine")
    console.print(f"{model}: {', '.join(parts)}", markup=False, soft_wrap=True)
    if done["reasons"]:
        table = _table("why they stay", "column", "rows", "for example")
        for one in done["reasons"]:
            table.add_row(
                printable(one["code"]),
                printable(one["column"] or "—"),
                count(one["rows"]),
                printable(one["message"], _LONGEST),
            )
        console.print(table)


def print_new_columns(model: str, found: Mapping[str, Any], console: Console) -> None:
    """Print the columns that a schema does not know."""
    columns: Sequence[Mapping[str, Any]] = found["columns"]
    if not columns:
        console.print(f"{model}: its schema knows all columns that came", markup=False)
        return
    table = _table("column", "looks", "rows", "first", "last", "for example")
    now = datetime.now(UTC)
    for one in columns:
        table.add_row(
            printable(one["name"], _LONGEST),
            one["type"] or "no column",
            count(one["rows"]),
            *(ago(_time(one[name]), now) for name in ("first_seen", "last_seen")),
            printable(one["example"], _LONGEST),
        )
    console.print(table)
    if found["left_out"]:
        console.print(f"… and {plural(found['left_out'], 'value')} under further names")
    console.print(f"Take them in: tidegauge columns accept {model} NAME[=TYPE] …", markup=False)


def print_history(schemas: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print the schemas that a model had, the newest first."""
    from rich.text import Text

    for one in schemas:
        who = f"{instant(_time(one['created_at']))}, {printable(one['by'])}"
        reason = f": {printable(one['reason'])}" if one["reason"] else ""
        console.print(Text.assemble((f"{one['number']}", "bold"), f"  {who}{reason}"))
        for change in one["changes"]:
            console.print(Text(f"   {printable(change['words'])}"))


def printable(text: str, longest: int = 0, *, lines: bool = False) -> str:
    r"""Return text without what a terminal would obey, cut short if need be.

    Examples
    --------
    >>> printable("a\x1b[2Jb"), printable("abcdef", 4)
    ('a\ufffd[2Jb', 'abc…')
    """
    kept = "".join(
        letter if letter.isprintable() or (lines and letter == "\n") else "\ufffd"
        for letter in text
    )
    return kept if not longest or len(kept) <= longest else f"{kept[: longest - 1]}…"


def _table(*names: str) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(
            name,
            justify="right" if name == "rows" else "left",
            overflow="fold",
            no_wrap=name not in ("column", "for example"),
            header_style="dim",
        )
    return table


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
