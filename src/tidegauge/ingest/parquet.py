"""Parquet files as bodies."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from tidegauge.errors import BadInput
from tidegauge.ingest.parsed import Format, Parsed, require_distinct_columns, require_sound


def read(body: bytes) -> Parsed:
    """Read a whole Parquet file.

    Raises
    ------
    BadInput
        With the code ``bad_parquet`` or ``duplicate_column``.

    Examples
    --------
    >>> read(b"nonsense")
    Traceback (most recent call last):
    tidegauge.errors.BadInput: the body is not a Parquet file: ...
    """
    try:
        with pq.ParquetFile(pa.BufferReader(body)) as file:
            table = file.read()
        require_sound(table)
    except (pa.ArrowException, OSError, ValueError, EOFError) as error:
        said = str(error).partition("\n")[0]
        raise BadInput(f"the body is not a Parquet file: {said}", code="bad_parquet") from None
    return require_distinct_columns(table)


def write(table: pa.Table) -> bytes:
    """Write a table as a Parquet file.

    Examples
    --------
    >>> read(write(pa.table({"age": [42]}))).to_pydict()
    {'age': [42]}
    """
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())


FORMAT = Format(
    "Parquet",
    ("application/vnd.apache.parquet", "application/x-parquet", "application/parquet"),
    read,
    write,
)
