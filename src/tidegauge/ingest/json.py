"""JSON bodies: an array of flat objects, or a single one."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

import orjson
import pyarrow as pa

from tidegauge.errors import BadInput
from tidegauge.ingest.parsed import Format, Parsed
from tidegauge.ingest.raw import json_text, plain_rows

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def loads(text: bytes) -> Any:
    """Read one JSON value; a number beyond a double (``1e400``) stays the text that it was.

    Raises
    ------
    ValueError
        If it is not JSON.

    Examples
    --------
    >>> loads(b'{"a": [1, 2.5, 1e400]}')
    {'a': [1, 2.5, '1e400']}
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if text.startswith(_BYTE_ORDER_MARK):
            return loads(text.removeprefix(_BYTE_ORDER_MARK))
        if "infinity" not in error.msg:
            raise
    try:
        return json.loads(text, parse_float=_number_or_text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def explained(error: ValueError) -> str:
    """Return where in a text, and why, it is no JSON.

    Examples
    --------
    >>> try:
    ...     loads(b"[1,]")
    ... except ValueError as error:
    ...     explained(error)
    'line 1, column 3: not JSON: ...'
    """
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}: not JSON: {error.msg}"
    return f"not JSON: {error}"


def read(body: bytes) -> Parsed:
    """Read an array of objects, or one object.

    Raises
    ------
    BadInput
        With the code ``bad_json``, naming line and column.

    Examples
    --------
    >>> read(b'[{"age": 42}, {"age": null}]')
    [{'age': 42}, {'age': None}]
    >>> read(b'[{"age": 42,]')
    Traceback (most recent call last):
    tidegauge.errors.BadInput: the body: line 1, column 13: not JSON: ...
    """
    if not body.strip():
        raise BadInput("the body is empty; send an array of objects", code="bad_json")
    try:
        value = loads(body)
    except ValueError as error:
        raise BadInput(f"the body: {explained(error)}", code="bad_json") from None
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return [value]
    raise BadInput(
        f"the body is JSON, but neither an array of objects nor an object: {json_text(value)[:40]}",
        code="bad_json",
    )


def write(table: pa.Table) -> bytes:
    """Write the rows of a table as an array of objects.

    Examples
    --------
    >>> write(pa.table({"age": [42]}))
    b'[{"age":42}]'
    """
    return json_text(plain_rows(table)).encode()


def _number_or_text(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON; send null, or {constant!r} as text")


FORMAT = Format("JSON", ("application/json",), read, write, rows=True)
