"""Rows that their table can never take, as quarantine keeps them: whole, and with the reason."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa

from tidegauge.errors import SchemaMismatch
from tidegauge.lake.columns import OWN, VERSION
from tidegauge.lake.entries import EntryKind

_FIELDS: dict[str, pa.DataType] = {
    "index": pa.int64(),
    "code": pa.string(),
    "column": pa.string(),
    "message": pa.string(),
    "record": pa.string(),
    "resource": pa.string(),
    "version": pa.string(),
}


def refused_rows(rows: pa.Table, kind: EntryKind, error: SchemaMismatch) -> pa.Table:
    """Return rows of a records or labels table as rows of the quarantine table.

    Parameters
    ----------
    rows : pyarrow.Table
    kind : {"records", "labels"}
    error : SchemaMismatch
        Why they are refused.

    Examples
    --------
    >>> error = SchemaMismatch("column 'age' is stored as double", code="unstorable")
    >>> refused_rows(pa.table({"prediction_id": ["a"], "age": ["old"]}), "records", error)[
    ...     "record"].to_pylist()
    ['{"prediction_id":"a","age":"old"}']
    """
    shown = [name for name in rows.column_names if name not in OWN]
    records = [orjson.dumps(row, default=_plain).decode() for row in rows.select(shown).to_pylist()]
    versions = rows[VERSION].to_pylist() if VERSION in rows.column_names else [None] * len(rows)
    count = rows.num_rows
    values: dict[str, list[Any]] = {
        "index": list(range(count)),
        "code": [error.code] * count,
        "column": [None] * count,
        "message": [error.message] * count,
        "record": records,
        "resource": ["labels" if kind == "labels" else "predictions"] * count,
        "version": versions,
    }
    return pa.table(list(values.values()), schema=pa.schema(_FIELDS))


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)
