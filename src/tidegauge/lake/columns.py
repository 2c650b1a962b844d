"""The columns that the lake adds to every table; their names begin with ``_``."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidegauge.errors import SchemaMismatch
from tidegauge.lake.names import TableKind

TIMESTAMP = pa.timestamp("us", "UTC")

#: When the row became durable.
INGESTED_AT = "_ingested_at"
#: Id of the journal that it came through; null where it did not come through one.
JOURNAL = "_journal"
#: The journal's offset of the entry it came in; null where it did not come through a journal.
BATCH = "_batch"
#: Its place in that entry.
ROW = "_row"
#: The partition: the date of its event time (for points and profiles, the first of its month).
DATE = "_date"
OWN = (INGESTED_AT, JOURNAL, BATCH, ROW, DATE)
#: Of records, as they come from ingest: the model's version, and unknown fields as JSON.
VERSION = "_version"
EXTRA = "_extra"

#: Tables with few rows a day, which would be all small files if each day had its own folder.
_MONTHLY = frozenset({"points", "profiles"})
_EVENT_TIME = {"points": "window_start", "profiles": "window_start", "samples": "window_start"}


def event_time_column(kind: TableKind, timestamp: str) -> str:
    """Return the name of the column whose date decides a row's partition."""
    return _EVENT_TIME.get(kind, timestamp)


def stamped(
    table: pa.Table,
    kind: TableKind,
    received_at: pa.Array[Any] | datetime,
    *,
    timestamp: str = "timestamp",
    journal: str | None = None,
    batch: pa.Array[Any] | None = None,
    row: pa.Array[Any] | None = None,
) -> pa.Table:
    """Return rows with the lake's own columns added.

    Parameters
    ----------
    table : pyarrow.Table
        Rows as they came.
    kind : str
        The table they go into.
    received_at : pyarrow.Array or datetime
        When each row became durable.
    timestamp : str
        Name of the event time's column; where it is missing or null, the partition is the date of
        a label's ``observed_at``, else of arrival.
    journal : str, optional
        The journal they came through.
    batch, row : pyarrow.Array, optional
        The journal's offset of each row's entry, and its place there.

    Raises
    ------
    SchemaMismatch
        When the rows have columns that cannot be stored.

    Examples
    --------
    >>> from datetime import UTC
    >>> rows = pa.table({"score": [0.5]})
    >>> stamped(rows, "records", datetime(2026, 1, 2, tzinfo=UTC))["_date"].to_pylist()
    [datetime.date(2026, 1, 2)]
    """
    refuse_unstorable(table.schema)
    n = table.num_rows
    if isinstance(received_at, datetime):
        received_at = pa.repeat(pa.scalar(received_at, TIMESTAMP), n)
    if kind == "labels":
        table = _full_labels(table, received_at)
    dates = _dates(table, kind, received_at, event_time_column(kind, timestamp))
    if row is None:
        row = pa.array(np.arange(n, dtype=np.int32))
    return (
        table.append_column(INGESTED_AT, received_at)
        .append_column(JOURNAL, pa.repeat(pa.scalar(journal, pa.string()), n))
        .append_column(BATCH, batch if batch is not None else pa.nulls(n, pa.int64()))
        .append_column(ROW, row)
        .append_column(DATE, dates)
    )


def refuse_unstorable(schema: pa.Schema) -> None:
    """Refuse columns that could not be stored, before their rows are acknowledged.

    Raises
    ------
    SchemaMismatch
        On a name that is kept for the lake, on two names that differ in case only, and on types
        that a Delta table does not have.

    Examples
    --------
    >>> refuse_unstorable(pa.schema([("Age", pa.float64()), ("age", pa.float64())]))
    Traceback (most recent call last):
    tidegauge.errors.SchemaMismatch: columns 'Age' and 'age' differ in case only; rename one
    """
    seen: dict[str, str] = {}
    for name in schema.names:
        if name in OWN:
            raise SchemaMismatch(
                f"the column name {name!r} is kept for the lake's own use; rename the column",
                code="reserved_column",
            )
        twin = seen.setdefault(name.lower(), name)
        if twin != name:
            raise SchemaMismatch(
                f"columns {twin!r} and {name!r} differ in case only; rename one",
                code="duplicate_column",
            )
    for column in schema:
        if pa.types.is_dictionary(column.type) or pa.types.is_null(column.type):
            raise SchemaMismatch(
                f"column {column.name!r} has the type {column.type}; give its values a plain one",
                code="unstorable_type",
            )


def _dates(table: pa.Table, kind: TableKind, received_at: pa.Array[Any], name: str) -> Any:
    times: Any = received_at
    for fallback in ("observed_at", name) if kind == "labels" else (name,):
        if fallback in table.column_names and pa.types.is_timestamp(table[fallback].type):
            times = _first_known(table[fallback], times)
    if kind in _MONTHLY:
        times = pc.floor_temporal(times, unit="month")
    return times.cast(pa.date32())


def _full_labels(table: pa.Table, received_at: pa.Array[Any]) -> pa.Table:
    """Give labels the columns that reading relies on: their event time, and when known."""
    if "timestamp" not in table.column_names:
        table = table.append_column("timestamp", pa.nulls(table.num_rows, TIMESTAMP))
    if "observed_at" not in table.column_names:
        return table.append_column("observed_at", received_at)
    known = _first_known(table["observed_at"], received_at)
    return table.set_column(table.column_names.index("observed_at"), "observed_at", known)


def _first_known(times: Any, otherwise: Any) -> Any:
    coalesce: Any = pc.coalesce
    return coalesce(times.cast(TIMESTAMP), otherwise)


def partition_of(kind: TableKind, day: date) -> date:
    """Return the ``_date`` under which rows of a day stand.

    Examples
    --------
    >>> partition_of("points", date(2026, 5, 17)).isoformat()
    '2026-05-01'
    """
    return day.replace(day=1) if kind in _MONTHLY else day
