"""Newline-delimited JSON: one object a line; a corrupt line does not spoil the others."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from tidegauge.ingest.json import explained, loads
from tidegauge.ingest.parsed import CorruptLine, Format, Parsed
from tidegauge.ingest.raw import json_text, plain_rows


def read(body: bytes) -> Parsed:
    r"""Read one object a line; empty lines are skipped, corrupt ones kept as `CorruptLine`.

    Examples
    --------
    >>> first, second = read(b'{"age": 42}\n{"age": \n')
    >>> first
    {'age': 42}
    >>> second
    CorruptLine(text='{"age": ', message='line 2, column 9: not JSON: unexpected end of data')
    """
    rows: list[Any] = []
    for number, line in enumerate(body.split(b"\n"), start=1):
        if line and not line.isspace():
            try:
                rows.append(loads(line))
            except ValueError as error:
                text = line.rstrip(b"\r").decode("utf-8", errors="replace")
                message = explained(error).replace("line 1", f"line {number}", 1)
                rows.append(CorruptLine(text, message))
    return rows


def write(table: pa.Table) -> bytes:
    r"""Write one row of a table a line.

    Examples
    --------
    >>> write(pa.table({"age": [42, 7]}))
    b'{"age":42}\n{"age":7}\n'
    """
    return "".join(f"{json_text(row)}\n" for row in plain_rows(table)).encode()


FORMAT = Format(
    "NDJSON",
    (
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
        "application/jsonlines",
    ),
    read,
    write,
    rows=True,
)
