"""Rows that leave quarantine: stored under the name that they had there, each once.

A row is named by the journal it came through, its entry's offset there, and its place in the
entry. In the table it goes into it has that name with ``replay:`` before it, so that any process
can tell, however long after, that it is there already.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction

from tidegauge.errors import Conflict
from tidegauge.lake.columns import BATCH, JOURNAL, ROW
from tidegauge.lake.names import TableKind
from tidegauge.lake.rewriting import Place, files_of, opened, rewritten
from tidegauge.lake.swapping import Overtaken, discard, swap
from tidegauge.lake.tables import Lake
from tidegauge.lake.writing import commit_if_newest, written_rows

#: What stands before the journal of a row that came out of quarantine.
REPLAYED = "replay:"
_TRIES = 200


def names_of(table: pa.Table) -> list[str]:
    """Return the names of rows, as texts.

    Examples
    --------
    >>> names_of(pa.table({"_journal": ["j", None], "_batch": [7, 8], "_row": [0, 1]}))
    ['j:7:0', ':8:1']
    """
    n = table.num_rows
    journals = table[JOURNAL].to_pylist() if JOURNAL in table.column_names else [None] * n
    batches, rows = table[BATCH].to_pylist(), table[ROW].to_pylist()
    return [
        f"{journal or ''}:{'' if batch is None else batch}:{'' if row is None else row}"
        for journal, batch, row in zip(journals, batches, rows, strict=True)
    ]


def name_in_sql(columns: Collection[str], prefix: str = "") -> str:
    """Return a row's name in SQL, for DuckDB and for Delta's predicates alike.

    Examples
    --------
    >>> name_in_sql(["_batch", "_row"])
    "concat('', ':', _batch, ':', _row)"
    """
    journal = f"{prefix}{JOURNAL}" if JOURNAL in columns else "''"
    return f"concat({journal}, ':', {prefix}{BATCH}, ':', {prefix}{ROW})"


def append_once(
    lake: Lake,
    project: str,
    model: str,
    kind: TableKind,
    table: pa.Table,
    known: Callable[[Sequence[str]], set[str]],
) -> int:
    """Add rows that are not there yet, in one commit; return how many those were.

    The commit counts only if nobody committed since the look that none of them was there; else it
    looks again.

    Parameters
    ----------
    table : pyarrow.Table
        Rows with the lake's own columns, under the names that they had.
    known : callable
        Tells which of some names the table has now.

    Raises
    ------
    Conflict
        If others came between too often.
    """
    place, actions = lake.place(project, model, kind), list[AddAction]()
    for _ in range(_TRIES):
        handle = lake.open_table(project, model, kind)
        if handle is None or not set(table.column_names) <= set(_columns(handle)):
            # What the table lacks is a commit of its own, and must not stand between these two.
            lake.append(project, model, kind, table.slice(0, 0))
            continue
        written = {action.path for action in actions}
        if written & {held["path"] for held in files_of(handle)}:
            return int(table.num_rows)  # It was committed, and the answer was lost.
        names = names_of(table)
        there = known(names)
        if there:
            discard(lake, project, model, kind, written)
            actions = []
            table = table.filter(pa.array([name not in there for name in names]))
        if not table.num_rows:
            return 0
        if not actions:
            actions = written_rows(handle, place, table, kind)
        try:
            commit_if_newest(handle, place, actions)
        except CommitFailedError:
            continue
        return int(table.num_rows)
    raise Conflict(
        f"{project}/{model}: others write {kind} all the time; try again", code="busy_table"
    )


def drop(lake: Lake, project: str, model: str, kind: TableKind, names: Collection[str]) -> int:
    """Take rows out of a table by their names; return how many were there.

    Raises
    ------
    Conflict
        If others change the same files all the time.
    """
    if not names:
        return 0
    place, wanted = lake.place(project, model, kind), set(names)
    listed = pa.array(sorted(wanted))
    batches = [int(name.rsplit(":", 2)[1] or 0) for name in wanted]
    low, high = min(batches), max(batches)

    def left(part: pa.Table) -> pa.Table:
        return part.filter(pc.invert(pc.is_in(pa.array(names_of(part)), value_set=listed)))

    for _ in range(_TRIES):
        handle = lake.open_table(project, model, kind)
        if handle is None:
            return 0
        old = [
            held
            for held in files_of(handle)
            if _may_hold(held, low, high) and _holds(place, held["path"], wanted)
        ]
        if not old:
            return 0
        new = [made for held in old if (made := rewritten(place, held, left)) is not None]
        try:
            swap(lake, project, model, kind, handle, old, new, rows_change=True)
        except Overtaken:
            continue
        before = sum(int(held["num_records"]) for held in old)
        return before - sum(_rows(made) for made in new)
    raise Conflict(
        f"{project}/{model}: others change {kind} all the time; try again", code="busy_table"
    )


def _may_hold(held: Mapping[str, Any], low: int, high: int) -> bool:
    """Whether a file may have rows of some entries; rows without an offset are in any."""
    least, greatest = held.get(f"min.{BATCH}"), held.get(f"max.{BATCH}")
    nulls = held.get(f"null_count.{BATCH}")
    return nulls != 0 or least is None or greatest is None or (least <= high and greatest >= low)


def _holds(place: Place, path: str, wanted: set[str]) -> bool:
    with opened(place, path) as file:
        own = [name for name in (JOURNAL, BATCH, ROW) if name in file.schema_arrow.names]
        return any(
            not wanted.isdisjoint(names_of(file.read_row_group(at, columns=own)))
            for at in range(file.num_row_groups)
        )


def _rows(action: AddAction) -> int:
    return int(orjson.loads(action.stats)["numRecords"])


def _columns(handle: DeltaTable) -> list[str]:
    return [field.name for field in handle.schema().fields]
