"""Frames as Arrow: read from whatever offers them, cut to size, written as IPC streams.

PyArrow is optional, so nothing else may import this file before it knows that PyArrow is there.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from datetime import tzinfo
from functools import partial
from typing import IO, Any

from tidegauge_client.errors import NaiveTimeError
from tidegauge_client.pandas_frame import is_pandas, with_named_index

# Typed as Any: PyArrow's own types differ between the versions that are allowed.
pa: Any = importlib.import_module("pyarrow")
pc: Any = importlib.import_module("pyarrow.compute")


def read(frame: Any) -> Any:
    """Return a `pyarrow.RecordBatchReader` over `frame`, or None if Arrow can't hold its values.

    Examples
    --------
    >>> read(pa.table({"age": [42]})).schema.names
    ['age']
    """
    try:
        if is_pandas(frame):
            return pa.Table.from_pandas(with_named_index(frame), preserve_index=False).to_reader()
        if isinstance(frame, dict):
            return pa.table(frame).to_reader()
        if isinstance(frame, list):
            return pa.Table.from_pylist(frame).to_reader()
        if not hasattr(frame, "__arrow_c_stream__"):
            return pa.Table.from_batches([pa.record_batch(frame)]).to_reader()
        return pa.RecordBatchReader.from_stream(frame)
    except (pa.ArrowException, TypeError):
        return None


def wire_ready(reader: Any, zone: tzinfo | None) -> Any:
    """Return `reader` with each time in a zone, naive ones in `zone`, and each UUID as its text.

    Raises
    ------
    NaiveTimeError
        If a column is naive and `zone` is None.

    Examples
    --------
    >>> import datetime
    >>> naive = pa.table({"timestamp": pa.array([0], pa.timestamp("us"))}).to_reader()
    >>> wire_ready(naive, datetime.UTC).schema.field("timestamp").type
    TimestampType(timestamp[us, tz=UTC])
    """
    schema = reader.schema
    changes: dict[int, Callable[[Any], Any]] = {}
    for index, field in enumerate(schema):
        if pa.types.is_timestamp(field.type) and field.type.tz is None:
            if zone is None:
                raise NaiveTimeError(field.name)
            changes[index] = partial(_in_zone, zone=str(zone))
            schema = schema.set(index, field.with_type(pa.timestamp(field.type.unit, str(zone))))
        elif getattr(field.type, "extension_name", "") == "arrow.uuid":
            changes[index] = _uuid_text
            schema = schema.set(index, field.with_type(pa.string()))
    if not changes:
        return reader

    def batches() -> Iterator[Any]:
        for batch in reader:
            columns = [
                changes[index](column) if index in changes else column
                for index, column in enumerate(batch.columns)
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _in_zone(column: Any, zone: str) -> Any:
    """Declare naive times to be in `zone`; an hour repeated or skipped there: its first instant."""
    return pc.assume_timezone(column, zone, ambiguous="earliest", nonexistent="earliest")


def _uuid_text(column: Any) -> Any:
    return pa.array(
        [None if value is None else str(value) for value in column.to_pylist()], pa.string()
    )


def bodies(
    reader: Any, max_records: int, max_bytes: int, too_large: Callable[[int], None]
) -> Iterator[tuple[bytes, int]]:
    """Yield IPC streams of at most so many rows and bytes, each with its number of rows.

    A row that alone is too large is told to `too_large`, with the bytes it takes, and left out.

    Examples
    --------
    >>> reader = pa.table({"age": [1, 2, 3]}).to_reader()
    >>> [rows for body, rows in bodies(reader, 2, 10_000, print)]
    [2, 1]
    """
    for table in _gathered(reader, max_records, max_bytes):
        pending = [table]
        while pending:
            piece = pending.pop()
            body = _stream(piece)
            if len(body) <= max_bytes:
                yield body, piece.num_rows
            elif piece.num_rows == 1:
                too_large(len(body))
            else:
                half = piece.num_rows // 2
                pending += [piece.slice(half), piece.slice(0, half)]


def write(reader: Any, file: IO[bytes]) -> None:
    """Write all of `reader` to `file` as one IPC stream."""
    with pa.ipc.new_stream(file, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)


def _gathered(reader: Any, max_records: int, max_bytes: int) -> Iterator[Any]:
    """Yield tables of about the right size from batches of any: many small, few large."""
    waiting: list[Any] = []
    records = size = 0
    for batch in reader:
        step = max(1, min(max_records, max_bytes * batch.num_rows // max(1, batch.nbytes)))
        for start in range(0, batch.num_rows, step):
            piece = batch.slice(start, step)
            if waiting and (
                records + piece.num_rows > max_records or size + piece.nbytes > max_bytes
            ):
                yield pa.Table.from_batches(waiting)
                waiting, records, size = [], 0, 0
            waiting.append(piece)
            records += piece.num_rows
            size += piece.nbytes
    if waiting:
        yield pa.Table.from_batches(waiting)


def _stream(table: Any) -> bytes:
    """Return `table` as one IPC stream of one batch, with no more dictionary than it uses."""
    for index, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            column = table.column(index)
            if sum(len(chunk.dictionary) for chunk in column.chunks) > table.num_rows:
                values = column.cast(field.type.value_type).dictionary_encode()
                table = table.set_column(index, field.name, values)
    table = table.unify_dictionaries().combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
