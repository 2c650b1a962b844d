"""Arrow IPC streams: the fastest way in, since nothing has to be parsed."""

from __future__ import annotations

import pyarrow as pa

from tidegauge.errors import BadInput
from tidegauge.ingest.parsed import Format, Parsed, require_distinct_columns, require_sound


def read(body: bytes) -> Parsed:
    """Read all batches of a stream, and check that its buffers are what they claim to be.

    Raises
    ------
    BadInput
        With the code ``bad_arrow`` or ``duplicate_column``.

    Examples
    --------
    >>> read(b"nonsense")
    Traceback (most recent call last):
    tidegauge.errors.BadInput: the body is not an Arrow IPC stream: ...
    """
    if body.startswith(b"ARROW1"):
        raise BadInput(
            "the body is an Arrow file; send an Arrow stream (pyarrow.ipc.new_stream)",
            code="bad_arrow",
        )
    try:
        with pa.ipc.open_stream(pa.py_buffer(body)) as reader:
            table = reader.read_all()
        require_sound(table)
    except (pa.ArrowException, OSError, ValueError, EOFError) as error:
        said = str(error).partition("\n")[0] or "it ends too early"
        raise BadInput(f"the body is not an Arrow IPC stream: {said}", code="bad_arrow") from None
    return require_distinct_columns(table)


def write(table: pa.Table) -> bytes:
    """Write a table as a stream.

    Examples
    --------
    >>> read(write(pa.table({"age": [42]}))).to_pydict()
    {'age': [42]}
    """
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


FORMAT = Format("Arrow IPC stream", ("application/vnd.apache.arrow.stream",), read, write)
