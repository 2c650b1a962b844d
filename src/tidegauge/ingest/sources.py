"""The records of a request, column by column, whether they came as rows or as a table."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Protocol

import pyarrow as pa

from tidegauge.ingest.arrays import convert_array
from tidegauge.ingest.checked import RecordError
from tidegauge.ingest.parsed import CorruptLine, Parsed, require_distinct_columns
from tidegauge.ingest.raw import json_text, plain_rows, shown
from tidegauge.ingest.values import Converted, convert_values
from tidegauge.schema import Column


class Source(Protocol):
    """Records whose columns can be asked for by name."""

    size: int
    names: Sequence[str]
    unreadable: Sequence[RecordError]

    def convert(self, name: str, column: Column, zone: str) -> Converted:
        """Return what stands under a name, converted to the type of a column."""

    def objects(self, names: Sequence[str]) -> list[str | None]:
        """Return, a record each, the values under these names as a JSON object; None for none."""

    def records(self, indices: Sequence[int]) -> list[str]:
        """Return these records whole, as JSON."""


def open_source(parsed: Parsed) -> Source:
    """Return the records of a request as a source of columns.

    Raises
    ------
    BadInput
        If a table has two columns of one name.

    Examples
    --------
    >>> open_source([{"age": 42}, "nonsense"]).unreadable[0].code
    'not_an_object'
    """
    return TableSource(parsed) if isinstance(parsed, pa.Table) else RowSource(parsed)


class RowSource:
    """Records as a list; all of the same keys is the fast case, any keys the general one."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self.size = len(rows)
        self.unreadable: Sequence[RecordError] = ()
        self._rows = rows
        self._objects: Sequence[dict[str, Any]] = rows
        if not set(map(type, rows)) <= {dict}:
            self.unreadable = [
                _complaint(index, row) for index, row in enumerate(rows) if type(row) is not dict
            ]
            self._objects = [row if type(row) is dict else {} for row in rows]
        self._columns = _same_keys(self._objects)
        keys = self._columns or dict.fromkeys(chain.from_iterable(self._objects))
        self.names: Sequence[str] = tuple(keys)

    def values(self, name: str) -> Sequence[Any]:
        """Return the values under one name, None where a record has none."""
        if self._columns is not None:
            return self._columns[name]
        return [row.get(name) for row in self._objects]

    def convert(self, name: str, column: Column, zone: str) -> Converted:
        """Return what stands under a name, converted to the type of a column."""
        return convert_values(self.values(name), column, zone)

    def objects(self, names: Sequence[str]) -> list[str | None]:
        """Return, a record each, the values under these names as a JSON object; None for none."""
        wanted = set(names)
        return [
            _object({key: value for key, value in row.items() if key in wanted})
            for row in self._objects
        ]

    def records(self, indices: Sequence[int]) -> list[str]:
        """Return these records whole, as JSON; a corrupt line as the text that it was."""
        rows = (self._rows[index] for index in indices)
        return [row.text if isinstance(row, CorruptLine) else json_text(row) for row in rows]


class TableSource:
    """Records as an Arrow table."""

    def __init__(self, table: pa.Table) -> None:
        self._table = require_distinct_columns(table)
        self.size = table.num_rows
        self.names: Sequence[str] = table.column_names
        self.unreadable: Sequence[RecordError] = ()

    def convert(self, name: str, column: Column, zone: str) -> Converted:
        """Return what stands under a name, converted to the type of a column."""
        return convert_array(self._table.column(name), column, zone)

    def objects(self, names: Sequence[str]) -> list[str | None]:
        """Return, a record each, the values under these names as a JSON object; None for none."""
        return [_object(row) for row in plain_rows(self._table.select(names))]

    def records(self, indices: Sequence[int]) -> list[str]:
        """Return these records whole, as JSON."""
        return [json_text(row) for row in plain_rows(self._table, indices)]


def _same_keys(rows: Sequence[dict[str, Any]]) -> dict[str, Sequence[Any]] | None:
    """Return the columns of rows that all have the same keys; None if they do not."""
    if not rows or not rows[0]:
        return None
    names = tuple(rows[0])
    if sum(map(len, rows)) != len(rows) * len(names):
        return None
    try:
        if len(names) == 1:
            return {names[0]: [row[names[0]] for row in rows]}
        return dict(zip(names, zip(*map(itemgetter(*names), rows), strict=True), strict=True))
    except KeyError:
        return None


def _complaint(index: int, row: object) -> RecordError:
    if isinstance(row, CorruptLine):
        return RecordError(index, None, "bad_ndjson", row.message)
    message = f"{shown(row)} is no object; a record is an object of column names and values"
    return RecordError(index, None, "not_an_object", message)


def _object(values: dict[str, Any]) -> str | None:
    present = {key: value for key, value in values.items() if value is not None}
    return json_text(present) if present else None
