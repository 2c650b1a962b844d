"""A stored column gets a wider type: its files are written anew, and one commit names them.

Files are written one after the other, a part at a time, while others go on appending; a file that
they add meanwhile, in the type of before, is replaced by the next commit. Appenders that began
before the change are refused by the table's log and begin again with the type of now.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction

from tidegauge.errors import Conflict
from tidegauge.lake.columns import DATE
from tidegauge.lake.names import TableKind
from tidegauge.lake.rewriting import Place, files_of, opened, removal, rewritten
from tidegauge.lake.tables import Lake

_TRIES = 20


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
        try:
            if work.done(handle):
                return work.written
        except CommitFailedError:
            continue
    raise Conflict(
        f"{project}/{model}: others change {kind} all the time; try again", code="busy_table"
    )


class _Widening:
    """The files that were written anew so far, by the path of the one each stands for."""

    def __init__(self, place: Place, types: Mapping[str, pa.DataType]) -> None:
        self._place = place
        self._types = types
        self._new: dict[str, AddAction] = {}
        self._looked_at: set[str] = set()

    @property
    def written(self) -> int:
        return len(self._new)

    def done(self, handle: DeltaTable) -> bool:
        """Bring the table a step further; return whether nothing is left to do."""
        stored: pa.Schema = pa.schema(_arrow(handle))
        schema = self._widened(stored)
        held = files_of(handle)
        changes = any(
            _plain(stored.field(name).type) != kind
            for name, kind in self._types.items()
            if name in stored.names
        )
        if not changes:
            # What others added meanwhile may be in the type of before.
            held = [one for one in held if self._is_old(one["path"])]
            if not held:
                return True
        actions: list[AddAction | RemoveAction] = [self._anew(one) for one in held]
        if not changes:
            actions += [removal(one) for one in held]
        handle.create_write_transaction(
            actions,
            mode="overwrite" if changes else "append",
            schema=Schema.from_arrow(schema),
            partition_by=[DATE],
            # Files that others replaced meanwhile would be there twice.
            commit_properties=CommitProperties(max_commit_retries=0),
        )
        self._looked_at |= {action.path for action in self._new.values()}
        return False

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

    def _is_old(self, path: str) -> bool:
        """Whether a file has a column in another type; asked of each file once."""
        if path in self._looked_at:
            return False
        with opened(self._place, path) as file:
            schema = file.schema_arrow
        old = any(
            name in schema.names and schema.field(name).type != kind
            for name, kind in self._types.items()
        )
        if not old:
            self._looked_at.add(path)
        return old


def _arrow(handle: DeltaTable) -> Any:
    return handle.schema().to_arrow()


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type as files have it: Delta tells texts as views."""
    return pa.string() if pa.types.is_string_view(kind) else kind
