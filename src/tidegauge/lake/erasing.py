"""Rows of some prediction ids taken out of a model's tables, file by file; old files found.

Of each file only the columns that hold ids are read; files that hold some are written anew without
them. Who asks for it, and the order of all steps, lives in ``server/erasing.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from tidegauge.lake.names import TableKind
from tidegauge.lake.rewriting import Place, files_of, opened, rewritten
from tidegauge.lake.swapping import File, Overtaken, swap
from tidegauge.lake.tables import Lake

#: The tables that hold single records.
ERASED: tuple[TableKind, ...] = ("records", "labels", "quarantine", "samples")
_BATCH_ROWS = 262_144
#: Files that are looked at together.
_THREADS = 4
#: Files that are replaced in one commit.
_PART = 64
_TRIES = 20


@dataclass(frozen=True)
class Erased:
    """What was taken out of one table.

    Parameters
    ----------
    rows : int
    files : int
        Files that were written anew, or dropped where no row was left.
    paths : tuple of str
        The files of before.
    """

    rows: int = 0
    files: int = 0
    paths: tuple[str, ...] = ()


class Ids:
    """Prediction ids to be found, whatever type they are stored in.

    Parameters
    ----------
    ids : collection of str
    columns : collection of str
        The columns of records that hold ids; of labels it is ``prediction_id``.

    Examples
    --------
    >>> ids = Ids(["a1", "7"], ["prediction_id"])
    >>> ids.among(pa.chunked_array([["a1", "a2", None]])).to_pylist()
    [True, False, False]
    >>> ids.among(pa.chunked_array([[7.0, 8.0]])).to_pylist()
    [True, False]
    >>> ids.is_of('{"prediction_id": 7, "age": "old"}'), ids.is_of('{"age": 7}')
    (True, False)
    """

    def __init__(self, ids: Collection[str], columns: Collection[str]) -> None:
        self.columns = frozenset(columns)
        self._ids = frozenset(ids)
        self._texts = pa.array(sorted(self._ids), pa.string())
        numbers = set()
        for one in self._ids:
            with suppress(ValueError):
                numbers.add(float(one))
        self._numbers = pa.array(sorted(numbers), pa.float64())

    def among(self, values: pa.ChunkedArray[Any]) -> Any:
        """Tell of each value whether it is one of the ids."""
        if pa.types.is_floating(values.type) or pa.types.is_integer(values.type):
            return pc.is_in(values.cast(pa.float64(), safe=False), value_set=self._numbers)
        return pc.is_in(values.cast(pa.string()), value_set=self._texts)

    def is_of(self, record: str | None, *, resource: str | None = "predictions") -> bool:
        """Tell whether a quarantined record, a JSON object, has one of the ids."""
        try:
            held = orjson.loads(record or "")
        except ValueError:
            return False
        if not isinstance(held, dict):
            return False
        names = ("prediction_id",) if resource == "labels" else self.columns
        return any(_text(held.get(name)) in self._ids for name in names)

    def is_named_in(self, record: str | None) -> bool:
        """Tell whether a quarantined text that is no record has one of the ids in it."""
        if not record:
            return False
        try:
            readable = isinstance(orjson.loads(record), dict)
        except ValueError:
            readable = False
        return not readable and any(one in record for one in self._ids)


def erase_rows(
    lake: Lake,
    project: str,
    model: str,
    kind: TableKind,
    ids: Ids,
    *,
    before: Callable[[Erased], None] = lambda erased: None,
    go_on: Callable[[], None] = lambda: None,
) -> Erased:
    """Take the rows of ids out of a table; beside others that write and read.

    Rows that others add meanwhile are taken out as well, as long as they come before the end.

    Parameters
    ----------
    before : callable
        Told of each part before it is committed, so that it can be counted after a crash, too.
    go_on : callable
        Called between two files; raises to end the work.

    Raises
    ------
    Overtaken
        If others replace the same files all the time.
    """
    rows, files = 0, 0
    paths: list[str] = []
    clean: set[str] = set()
    overtaken = 0
    while True:
        handle = lake.open_table(project, model, kind)
        if handle is None:
            return Erased()
        held = [file for file in files_of(handle) if file["path"] not in clean]
        place = lake.place(project, model, kind)
        found = dict(_holding(place, held, kind, ids, go_on))
        clean |= {file["path"] for file in held if not found[file["path"]]}
        part = [file for file in held if found[file["path"]]][:_PART]
        if not part:
            return Erased(rows, files, tuple(paths))
        made = []
        for file in part:
            go_on()
            new = rewritten(place, file, lambda table: table.filter(_others(table, kind, ids)))
            made += [] if new is None else [new]
        old = [file["path"] for file in part]
        taken = Erased(sum(found[path] for path in old), len(old), tuple(old))
        before(taken)
        try:
            swap(lake, project, model, kind, handle, part, made, rows_change=True)
        except Overtaken:
            before(Erased())
            overtaken += 1
            if overtaken >= _TRIES:
                raise
            continue
        clean |= {action.path for action in made}
        rows, files = rows + taken.rows, files + taken.files
        paths += old


def count_rows(lake: Lake, project: str, model: str, kind: TableKind, ids: Ids) -> int:
    """Return how many rows of some ids a table has."""
    handle = lake.open_table(project, model, kind)
    if handle is None:
        return 0
    place = lake.place(project, model, kind)
    return sum(count for _, count in _holding(place, files_of(handle), kind, ids, lambda: None))


def count_unreadable(lake: Lake, project: str, model: str, ids: Ids) -> int:
    """Return how many quarantined texts that are no records have one of the ids in them."""
    handle = lake.open_table(project, model, "quarantine")
    if handle is None:
        return 0
    place, count = lake.place(project, model, "quarantine"), 0
    for file in files_of(handle):
        for part in _parts(place, file["path"], ["record"]):
            if "record" in part.column_names:
                count += sum(map(ids.is_named_in, part["record"].to_pylist()))
    return count


def is_gone(lake: Lake, project: str, model: str, kind: TableKind, paths: Sequence[str]) -> bool:
    """Tell whether a table has none of some files any more."""
    handle = lake.open_table(project, model, kind)
    there = set() if handle is None else {file["path"] for file in files_of(handle)}
    return not there.intersection(paths)


def _holding(
    place: Place,
    files: Sequence[File],
    kind: TableKind,
    ids: Ids,
    go_on: Callable[[], None],
) -> Iterator[tuple[str, int]]:
    """Yield of each file how many rows it has of the ids."""

    def count(file: File) -> tuple[str, int]:
        go_on()
        parts = _parts(place, file["path"], _read(kind, ids))
        return file["path"], sum(int(pc.sum(_ours(part, kind, ids)).as_py() or 0) for part in parts)

    with ThreadPoolExecutor(_THREADS, "erase") as pool:
        yield from pool.map(count, files)


def _parts(place: Place, path: str, columns: Sequence[str]) -> Iterator[pa.Table]:
    with opened(place, path) as file:
        present = [name for name in columns if name in file.schema_arrow.names]
        if not present:
            return
        for batch in file.iter_batches(_BATCH_ROWS, columns=present, use_threads=False):
            yield pa.Table.from_batches([batch])


def _read(kind: TableKind, ids: Ids) -> list[str]:
    """Return the columns of a table that tell whose rows they are."""
    if kind == "quarantine":
        return ["resource", "record"]
    return ["prediction_id"] if kind == "labels" else sorted(ids.columns)


def _ours(part: pa.Table, kind: TableKind, ids: Ids) -> Any:
    """Tell of each row whether it is one of the ids."""
    nobody: Any = pa.repeat(pa.scalar(False), part.num_rows)
    if kind == "quarantine":
        if "record" not in part.column_names:
            return nobody
        texts = part["record"].to_pylist()
        resources = (
            part["resource"].to_pylist()
            if "resource" in part.column_names
            else [None] * part.num_rows
        )
        ours = [ids.is_of(text, resource=one) for text, one in zip(texts, resources, strict=True)]
        return pa.array(ours, pa.bool_())
    mask = nobody
    for name in _read(kind, ids):
        if name in part.column_names:
            mask = pc.or_(mask, ids.among(part[name]))
    return mask


def _others(part: pa.Table, kind: TableKind, ids: Ids) -> Any:
    return pc.invert(_ours(part, kind, ids))


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return str(int(value)) if float(value).is_integer() else str(value)
