"""Erasures on the terminal: their list, and the receipt of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegauge.errors import BadInput, UnreadableSource

if TYPE_CHECKING:
    from rich.console import Console

#: What is going on in each state.
STATES = {
    "open": "servers empty their journals",
    "purging": "rows are gone; old files wait for queries that may read them",
    "clearing": "servers throw away copies of old files",
    "waiting": "done but for servers that do not answer",
    "done": "nothing of them is left",
}
_TABLES = ("records", "labels", "quarantine", "samples")


def read_ids(given: Iterable[str], path: Path | None) -> list[str]:
    """Return the ids of options and of a file, each once.

    Raises
    ------
    BadInput
        If there are none.
    UnreadableSource
        If the file cannot be read.
    """
    ids = list(given)
    if path is not None:
        try:
            ids += path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise UnreadableSource(f"{path}: not UTF-8 text (byte {error.start})") from None
        except OSError as error:
            raise UnreadableSource(f"{path}: cannot be read: {error.strerror}") from None
    found = list(dict.fromkeys(one for one in ids if one))
    if not found:
        raise BadInput("no ids; give some with --id, or --ids-file with one a line")
    return found


def print_erasures(told: Sequence[dict[str, Any]], console: Console) -> None:
    """Print a list of erasures."""
    from rich.table import Table

    if not told:
        console.print("no erasures")
        return
    table = Table("id", "asked", "by", "ids", "rows", "state", box=None)
    for one in told:
        rows = sum(one["receipt"]["rows"].values())
        about = (one["id"], _time(one["requested_at"]), one["requested_by"])
        table.add_row(*about, str(one["asked"]), str(rows), one["state"])
    console.print(table)


def print_erasure(told: dict[str, Any], console: Console) -> None:
    """Print an erasure's receipt."""
    receipt = told["receipt"]
    lines = [
        ("state", f"{told['state']}: {STATES[told['state']]}"),
        ("asked", f"{told['asked']} ids by {told['requested_by']}, {_time(told['requested_at'])}"),
        ("sha256", told["sha256"]),
    ]
    if told["done_at"]:
        lines.append(("done", _time(told["done_at"])))
    for table in _TABLES:
        rows = receipt["rows"].get(table, 0)
        if rows:
            files = receipt["files_rewritten"].get(table, 0)
            purged = receipt["files_purged"].get(table, 0)
            said = f"{rows} rows; {_files(files)} written anew, {_files(purged)} deleted"
            lines.append((table, said))
    for one in receipt["samples"]:
        said = f"{one['rows']} rows of its sample, in {one['windows']} windows"
        lines.append((f"baseline {one['baseline']}", said))
    if told["state"] == "done" and not receipt["rows"]:
        lines.append(("rows", "none had these ids"))
    for where, count in receipt["answers"].items():
        lines.append(("answers", f"{count} without what they quoted, at {where}"))
    width = max(len(name) for name, _ in lines)
    console.print(f"erasure {told['id']}", style="bold")
    for name, said in lines:
        console.print(f"  {name:<{width}}  {said}", soft_wrap=True, markup=False)
    if receipt["waiting_for"] and told["state"] != "done":
        console.print("waiting for", style="yellow")
        for one in receipt["waiting_for"]:
            console.print(f"  {one['name']} (server {one['server']})", soft_wrap=True, markup=False)
        if told["state"] == "waiting":
            console.print(
                "  Start it once; or, if its folder is gone for good: tidegauge erasures MODEL "
                f"{told['id']} --gone SERVER",
                soft_wrap=True,
                markup=False,
            )
    if told["state"] == "done":
        console.print("left to you", style="bold")
        for line in receipt["left"]:
            console.print(f"  {line}", soft_wrap=True, markup=False)


def _files(count: int) -> str:
    return f"{count} file" if count == 1 else f"{count} files"


def _time(text: str) -> str:
    return text[:19].replace("T", " ") + " UTC"
