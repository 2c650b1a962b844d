"""What goes through the journal: requests, their entries, and the bytes in which they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import pyarrow as pa

from tidegauge.lake.columns import refuse_unstorable

#: What a journal entry can hold: the tables that are filled by requests.
EntryKind = Literal["records", "labels", "quarantine"]


@dataclass(frozen=True)
class Entry:
    """Rows of one model that belong into one of its tables.

    Parameters
    ----------
    project, model : str
        Whose rows they are.
    kind : {"records", "labels", "quarantine"}
        The table they belong into.
    table : pyarrow.Table
        The rows, checked against the model's schema.
    timestamp : str
        Name of the column with the event time; where it is missing or null, the time of arrival
        decides the partition.

    Raises
    ------
    SchemaMismatch
        When the table has columns that the lake could not store.
    """

    project: str
    model: str
    kind: EntryKind
    table: pa.Table
    timestamp: str = "timestamp"

    def __post_init__(self) -> None:
        refuse_unstorable(self.table.schema)


@dataclass(frozen=True)
class JournalRequest:
    """What is stored together or not at all, and what its senders are answered.

    Parameters
    ----------
    project, model : str
        The model it was sent for; idempotency keys count within it.
    entries : tuple of Entry
        Its records and what of them went to quarantine, for example.
    answers : mapping of str to bytes
        The answer that a repeated request is given, by its idempotency key; several where several
        senders' records are stored together.
    """

    project: str
    model: str
    entries: tuple[Entry, ...]
    answers: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Receipt:
    """What an appended request came to, once that is durable.

    Parameters
    ----------
    offset : int
        The journal's offset of its last entry; 0 where nothing was stored.
    answer : bytes
        Of a request with one key: its own answer, or that of an earlier request with this key.
    replayed : bool
        Whether an earlier request had the same key, so that nothing was stored now.
    """

    offset: int
    answer: bytes = b""
    replayed: bool = False


@dataclass(frozen=True)
class PendingEntry:
    """An entry that is durable in the journal and not yet known to be in the lake.

    Parameters
    ----------
    journal : str
        The id of the journal that took it.
    offset : int
        Its place in that journal.
    project, model, kind, timestamp : str
        As in :class:`Entry`.
    received_at : int
        When it became durable, in microseconds since 1970.
    batch : pyarrow.RecordBatch
        Its rows.
    """

    journal: str
    offset: int
    project: str
    model: str
    kind: EntryKind
    timestamp: str
    received_at: int
    batch: pa.RecordBatch

    @property
    def target(self) -> tuple[str, str, EntryKind]:
        """The table it belongs into: project, model, kind."""
        return self.project, self.model, self.kind


@lru_cache(maxsize=1024)
def schema_bytes(schema: pa.Schema) -> bytes:
    """Return a schema in Arrow's IPC form; it is kept once for all batches that share it."""
    return bytes(schema.serialize())


def encode(table: pa.Table) -> tuple[bytes, pa.Buffer]:
    """Return a table as the IPC bytes of its schema, and of its rows as one batch.

    Examples
    --------
    >>> layout, body = encode(pa.table({"x": [1.0, 2.0]}))
    >>> decode(layout, body).to_pydict()
    {'x': [1.0, 2.0]}
    """
    schema = table.schema.remove_metadata()
    return schema_bytes(schema), _one_batch(table, schema).serialize()


def _one_batch(table: pa.Table, schema: pa.Schema) -> pa.RecordBatch:
    """Return all rows of a table as one batch, without the schema's metadata."""
    batches = table.to_batches()
    if len(batches) > 1:
        batches = table.combine_chunks().to_batches()
    if not batches:
        return pa.RecordBatch.from_pylist([], schema=schema)
    return batches[0].replace_schema_metadata(None)


def decode(layout: bytes, body: pa.Buffer | bytes) -> pa.RecordBatch:
    """Return the batch that :func:`encode` turned into bytes; its columns are views of them.

    Raises
    ------
    pyarrow.ArrowException
        Where they are not such bytes.
    """
    return pa.ipc.read_record_batch(pa.py_buffer(body), schema_of(layout))


@lru_cache(maxsize=1024)
def schema_of(layout: bytes) -> pa.Schema:
    """Return the schema that :func:`schema_bytes` turned into bytes."""
    return pa.ipc.read_schema(pa.py_buffer(layout))
