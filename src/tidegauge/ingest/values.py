"""From Python values of a column, as JSON gives them, to Arrow.

A column goes to Arrow in one call wherever all of its values are of the right kind. Only if one
is not are they looked at one by one, to name those that do not fit.
"""

from __future__ import annotations

import datetime
import decimal
import math
from array import array
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import pyarrow as pa

from tidegauge.ingest.raw import json_text, json_value, shown
from tidegauge.ingest.times import Unfit, localized, outside_of_years, read_time
from tidegauge.schema import Column, ColumnType, Role
from tidegauge.schema.arrow import TIMESTAMP, arrow_type

_NOTHING = type(None)
_DOUBLE = pa.float64()
_INFINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

#: The Python types that go to Arrow as they are.
_CLEAN: dict[ColumnType, set[type]] = {
    ColumnType.NUMERIC: {float, int},
    ColumnType.BOOLEAN: {bool},
    ColumnType.CATEGORICAL: {str},
    ColumnType.TEXT: {str},
    ColumnType.DATETIME: {str},
    ColumnType.EMBEDDING: {list},
}


class Converted(NamedTuple):
    """A column in Arrow, and (index, code, message) of the values that did not fit."""

    array: Any
    faults: list[tuple[int, str, str]]


def convert_values(values: Sequence[Any], column: Column, zone: str) -> Converted:
    """Convert the values of one column; those that do not fit become null.

    Parameters
    ----------
    values : sequence
        One value a record, as JSON gives them; None where it has none.
    column : Column
    zone : str
        The zone of times that name none, except in the column with the role ``timestamp``, where
        a zone is required.

    Examples
    --------
    >>> age = Column("age", ColumnType.NUMERIC)
    >>> array, faults = convert_values([42, None, "42", "NaN"], age, "UTC")
    >>> array.to_pylist()
    [42.0, None, None, nan]
    >>> for index, code, message in faults:
    ...     print(index, code, message)
    2 type_error column 'age': "42" is no number; send it without quotes, or null
    """
    kinds = set(map(type, values))
    whole = _NOTHING not in kinds
    kinds.discard(_NOTHING)
    target: Any = arrow_type(column)
    if not kinds:
        return Converted(pa.nulls(len(values), target), [])
    required = column.role is Role.TIMESTAMP
    clean = {str} if pa.types.is_string(target) else _CLEAN[column.type]
    if kinds <= clean:
        try:
            if whole and target == _DOUBLE:
                return Converted(_doubles(values), [])
            return _at_once(values, target, None if required else zone)
        except (pa.ArrowException, UnicodeEncodeError, OverflowError, _NotAtOnce):
            pass
    return _one_by_one(values, column, target, _reader(column, None if required else zone))


def _doubles(values: Sequence[float]) -> Any:
    """Return numbers, none of them missing, as Arrow has them; for a few that is half the time."""
    packed = pa.py_buffer(array("d", values))
    return pa.Array.from_buffers(_DOUBLE, len(values), [None, packed])


class _NotAtOnce(Exception):
    """The values must be looked at one by one."""


def _at_once(values: Sequence[Any], target: Any, zone: str | None) -> Converted:
    if target == TIMESTAMP:
        times = _times(pa.array(values, pa.string()), zone)
        if outside_of_years(times):
            raise _NotAtOnce
        return Converted(times, [])
    if pa.types.is_list(target):
        inner = set(map(type, chain.from_iterable(v for v in values if v is not None)))
        if not inner <= {float, int}:
            raise _NotAtOnce
    return Converted(pa.array(values, target), [])


def _times(texts: Any, zone: str | None) -> Any:
    try:
        return texts.cast(TIMESTAMP)
    except pa.ArrowInvalid:
        if zone is None:
            raise
    return localized(texts.cast(pa.timestamp("us")), zone)


def _one_by_one(
    values: Sequence[Any], column: Column, target: Any, read: Callable[[Any], Any]
) -> Converted:
    fitting: list[Any] = []
    faults = []
    for index, value in enumerate(values):
        try:
            fitting.append(None if value is None else read(value))
        except Unfit as unfit:
            fitting.append(None)
            faults.append((index, unfit.code, f"column {column.name!r}: {unfit}"))
    return Converted(pa.array(fitting, target), faults)


def _reader(column: Column, zone: str | None) -> Callable[[Any], Any]:
    if column.role is Role.PREDICTION_ID:
        return _identifier
    if column.role is Role.TAG:
        return partial(_text, nested=True)
    if column.role in (Role.VERSION, Role.TRACE_ID):
        return _text
    if column.type is ColumnType.DATETIME:
        return partial(read_time, zone=zone)
    return _READERS[column.type]


def _number(value: Any) -> float:
    if isinstance(value, float):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise Unfit(f"{shown(value)} is beyond the range of a double") from None
    if isinstance(value, str):
        if value in _INFINITE:
            return _INFINITE[value]
        raise Unfit(f"{shown(value)} is no number; {_advice(value)}")
    raise Unfit(f"{shown(value)} is no number; send a number or null")


def _advice(text: str) -> str:
    try:
        number = float(text)
    except ValueError:
        return "send a number or null"
    within = math.isfinite(number)
    return "send it without quotes, or null" if within else "it is beyond the range of a double"


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float | decimal.Decimal) and value in (0, 1):
        return value == 1
    raise Unfit(f"{shown(value)} is neither true nor false; send true, false or null")


def _text(value: Any, nested: bool = False) -> str:
    if isinstance(value, str):
        return _encodable(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return json_text(value)
    if isinstance(value, float):
        return str(pa.scalar(value).cast(pa.string()).as_py())
    if isinstance(value, datetime.datetime | datetime.date | datetime.time | decimal.Decimal):
        return value.isoformat() if not isinstance(value, decimal.Decimal) else str(value)
    if nested:
        plain = json_value(value)
        return plain if isinstance(plain, str) else json_text(plain)
    raise Unfit(f"{shown(value)} is no single value; send text or null")


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unfit(f"{shown(text)} holds half of a character (a lone surrogate)") from None
    return text


def _identifier(value: Any) -> str:
    if isinstance(value, str):
        return _encodable(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return json_text(value)
    raise Unfit(f"{shown(value)} identifies nothing; send text or a whole number")


def _vector(value: Any) -> list[float]:
    if not isinstance(value, list):
        raise Unfit(f"{shown(value)} is no list of numbers")
    if any(isinstance(part, str) or part is None for part in value):
        raise Unfit(f"{shown(value)} holds what is no number")
    return [_number(part) for part in value]


_READERS: dict[ColumnType, Callable[[Any], Any]] = {
    ColumnType.NUMERIC: _number,
    ColumnType.BOOLEAN: _truth,
    ColumnType.CATEGORICAL: _text,
    ColumnType.TEXT: _text,
    ColumnType.EMBEDDING: _vector,
}
