"""Records and values as JSON text: what quarantine, ``_extra`` and messages show."""

from __future__ import annotations

import datetime
import decimal
import json
import math
from collections.abc import Sequence
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.types as pt

_SHOWN = 60


def json_text(value: object) -> str:
    """Return a value as JSON; numbers that JSON does not know become texts that we read again.

    Examples
    --------
    >>> json_text({"a": float("nan"), "b": [1, None]})
    '{"a":"NaN","b":[1,null]}'
    """
    plain = json_value(value)
    try:
        return orjson.dumps(plain).decode()
    except TypeError:
        return json.dumps(plain, separators=(",", ":"))


def shown(value: object) -> str:
    """Return a value as short JSON for a message.

    Examples
    --------
    >>> shown("abc")
    '"abc"'
    """
    text = json_text(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def plain_rows(table: pa.Table, indices: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """Return the rows of a table as dicts, or those at some places, whatever their types."""
    columns = [_some(table.column(i), indices) for i in range(table.num_columns)]
    names = table.column_names
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _some(column: Any, indices: Sequence[int] | None) -> list[Any]:
    if indices is None or len(indices) == len(column):
        return python_values(column)
    try:
        return python_values(column.take(pa.array(indices, pa.int64())))
    except pa.ArrowNotImplementedError:
        values = python_values(column)
        return [values[index] for index in indices]


def python_values(column: Any) -> list[Any]:
    """Return Python values; times that Python cannot have as text or number.

    Examples
    --------
    >>> python_values(pa.chunked_array([pa.array([1, None], pa.timestamp("ns"))]))
    [datetime.datetime(1970, 1, 1, 0, 0), None]
    """
    kind = column.type
    if pt.is_timestamp(kind) and kind.unit == "ns":
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)
    try:
        values: list[Any] = column.to_pylist()
        return values
    except (ValueError, OverflowError, KeyError, pa.ArrowException):
        pass
    for other in (pa.string(), pa.int64()):
        try:
            return list(column.cast(other).to_pylist())
        except (ValueError, pa.ArrowException):
            continue
    return [str(value) for value in column]


def json_value(value: object) -> object:
    """Return a value as JSON has it; what JSON does not know as text.

    Examples
    --------
    >>> json_value((bytes([1]), datetime.timedelta(seconds=90), float("inf")))
    ['01', '0:01:30', 'Infinity']
    """
    if isinstance(value, str | bool | None):
        return value
    if isinstance(value, int):
        return value if value.bit_length() < 4096 else hex(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {str(key): json_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(inner) for inner in value]
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return json_value(float(value))
    return value.hex() if isinstance(value, bytes) else str(value)
