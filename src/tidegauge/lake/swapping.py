"""Files of a table put in the place of others, in one commit that stands on what it has read.

Delta's own check lets two writers take out the same file and put in what each made of it, which
doubles its rows. So a commit here is tried only on the newest version of the table, after a look
that the files to be replaced are still there; others' commits in between make it look again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction
from pyarrow import fs

from tidegauge.errors import Conflict
from tidegauge.lake.columns import DATE
from tidegauge.lake.names import TableKind
from tidegauge.lake.rewriting import Place, day_of, files_of
from tidegauge.lake.tables import Lake
from tidegauge.lake.writing import sync_log

#: What a handle of a table is told of its file: see ``files_of``.
File = Mapping[str, Any]

_TRIES = 100
#: Fail rather than commit after somebody else.
_AT_ONCE = CommitProperties(max_commit_retries=0)


class Overtaken(Conflict):
    """Others changed the files, or the table's columns, meanwhile; look again and begin anew."""

    code = "busy_table"


def swap(
    lake: Lake,
    project: str,
    model: str,
    kind: TableKind,
    handle: DeltaTable,
    old: Sequence[File],
    new: Sequence[AddAction],
    *,
    rows_change: bool,
) -> int:
    """Take files out of a table and put others in; return the table's version then.

    What was written is thrown away where that fails.

    Parameters
    ----------
    lake : Lake
    project, model, kind : str
        The table.
    handle : DeltaTable
        For the caller alone, at the version that was read; afterwards at the newest.
    old : sequence of mapping
        What the log tells of the files to be taken out.
    new : sequence of AddAction
        Files that are written already.
    rows_change : bool
        Whether other rows are there afterwards; readers of changes skip the commit if not.

    Raises
    ------
    Overtaken
        If one of the files is not there any more, or the table has other columns.
    deltalake.exceptions.DeltaError, OSError
        If the store fails.
    """
    try:
        place = lake.place(project, model, kind)
        return _swap(f"{project}/{model}: {kind}", place, handle, old, new, rows_change)
    except Overtaken:  # After any other failure it is not known whether they are in the table.
        discard(lake, project, model, kind, [action.path for action in new])
        raise


def discard(lake: Lake, project: str, model: str, kind: TableKind, paths: Iterable[str]) -> None:
    """Delete files of a table by their paths within it."""
    folder = lake.uri(project, model, kind).removeprefix(f"{lake.root}/")
    for path in paths:
        lake.store.delete(f"{folder}/{path}")


def _swap(
    name: str,
    place: Place,
    handle: DeltaTable,
    old: Sequence[File],
    new: Sequence[AddAction],
    rows_change: bool,
) -> int:
    gone, come = {file["path"] for file in old}, {action.path for action in new}
    schema = handle.schema()
    actions: list[AddAction | RemoveAction] = [*new]
    actions += [_removal(file, rows_change) for file in old]
    for turn in range(_TRIES):
        if turn:
            handle.update_incremental()
        there = {file["path"] for file in files_of(handle)}
        if turn and come and come <= there:
            return int(handle.version())  # It was committed, and the answer was lost.
        if handle.schema() != schema:
            raise Overtaken(f"{name} has other columns by now")
        if not gone <= there:
            raise Overtaken(f"{name}: somebody else replaced the same files")
        require_there(place, come)
        try:
            handle.create_write_transaction(
                actions,
                mode="append",
                schema=schema,
                partition_by=[DATE],
                commit_properties=_AT_ONCE,
            )
        except CommitFailedError:
            continue
        handle.update_incremental()
        version = int(handle.version())
        if isinstance(place, Path):
            sync_log(place, version, version)  # What is replaced may be deleted after this.
        return version
    raise Overtaken(f"{name}: others write all the time; try again")


def require_there(place: Place, paths: Iterable[str]) -> None:
    """Make sure that files which a commit is about to name are still there.

    A process that stood still for very long may come back after others cleaned up behind it.

    Raises
    ------
    FileNotFoundError
    """
    for path in paths:
        if isinstance(place, Path):
            there = (place / path).exists()
        else:
            there = place.get_file_info(path).type == fs.FileType.File
        if not there:
            raise FileNotFoundError(f"{path} was deleted before it was committed; begin again")


def _removal(file: File, rows_change: bool) -> RemoveAction:
    return RemoveAction(
        file["path"],
        rows_change,
        time.time_ns() // 1_000_000,
        size=file["size_bytes"],
        partition_values={DATE: day_of(file)},
    )
