"""A stored column gets a wider type: its files are written anew, and one commit names them.

Files are written one after the other, a part at a time, while others go on appending. The commit
counts only if nobody else committed since; if so, what came is written anew as well. Appenders that
began before the change are refused by the table's log, and begin again with the type of now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction

from tidegauge.errors import Conflict
from tidegauge.lake.columns import DATE
from tidegauge.lake.names import TableKind
from tidegauge.lake.rewriting import Place, files_of, rewritten
from tidegauge.lake.swapping import discard
from tidegauge.lake.tables import Lake

_TRIES = 200
#: Fail rather than commit after somebody else, whose files would stay in the type of before.
_AT_ONCE = CommitProperties(max_commit_retries=0)


def widen(
    lake: Lake, project: str, model: str, kind: TableKind, types: Mapping[str, pa.DataType]
) -> int:
    """Store columns in other types from now on; return how many files were written anew.

    Truth values become the numbers 1 and 0, or the texts ``true`` and ``false``; numbers become
    their shortest text, whole ones without a point. Null stays null.

    Parameters
    ----------
    lake : Lake
    project, model, kind : str
        The table; where there is none, nothing is done.
    types : mapping of str to pyarrow.DataType
        Of columns that may be there.

    Raises
    ------
    Conflict
        If others change the table all the time.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> lake = Lake(folder.name)
    >>> version = lake.append("default", "demo", "records", pa.table({"plan": [1.0, 2.5, None]}))
    >>> widen(lake, "default", "demo", "records", {"plan": pa.string()})
    1
    >>> pa.table(lake.table("default", "demo", "records").to_pyarrow_table())["plan"].to_pylist()
    ['1', '2.5', None]
    >>> folder.cleanup()
    """
    work = _Widening(lake.place(project, model, kind), types)
    for _ in range(_TRIES):
        handle = lake.open_table(project, model, kind)
        if handle is None:
            return 0
        held = files_of(handle)
        if not work.changes(handle):
            # Done, perhaps by somebody else, or by a commit of ours whose answer was lost.
            there = {one["path"] for one in held}
            discard(lake, project, model, kind, work.made - there)
            return len(work.made & there)
        try:
            work.commit(handle, held)
        except CommitFailedError:
            continue  # Somebody else committed since; most of the files are made already.
    raise Conflict(
        f"{project}/{model}: others change {kind} all the time; try again", code="busy_table"
    )


class _Widening:
    """The files that were written anew so far, by the path of the one each stands for."""

    def __init__(self, place: Place, types: Mapping[str, pa.DataType]) -> None:
        self._place = place
        self._types = types
        self._new: dict[str, AddAction] = {}

    @property
    def made(self) -> set[str]:
        """Paths of the files that were written."""
        return {action.path for action in self._new.values()}

    def changes(self, handle: DeltaTable) -> bool:
        """Whether any column of the table has another type."""
        stored: pa.Schema = pa.schema(_arrow(handle))
        return any(
            _plain(stored.field(name).type) != kind
            for name, kind in self._types.items()
            if name in stored.names
        )

    def commit(self, handle: DeltaTable, held: Sequence[Mapping[str, Any]]) -> None:
        """Put all files of a table in the place of those that it has, if it has no others yet."""
        actions: list[AddAction | RemoveAction] = [self._anew(one) for one in held]
        stored: pa.Schema = pa.schema(_arrow(handle))
        handle.create_write_transaction(
            actions,
            mode="overwrite",
            schema=Schema.from_arrow(self._widened(stored)),
            partition_by=[DATE],
            commit_properties=_AT_ONCE,
        )

    def _anew(self, held: Mapping[str, Any]) -> AddAction:
        path = held["path"]
        if path not in self._new:
            made = rewritten(self._place, held, self._cast, self._widened)
            assert made is not None  # A file without rows is never written.
            self._new[path] = made
        return self._new[path]

    def _cast(self, part: pa.Table) -> pa.Table:
        return part.cast(self._widened(part.schema.remove_metadata()))

    def _widened(self, schema: pa.Schema) -> pa.Schema:
        return pa.schema([(one.name, self._types.get(one.name, one.type)) for one in schema])


def _arrow(handle: DeltaTable) -> Any:
    return handle.schema().to_arrow()


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type as files have it: Delta tells texts as views."""
    return pa.string() if pa.types.is_string_view(kind) else kind
