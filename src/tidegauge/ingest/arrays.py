"""From Arrow columns as they were sent to Arrow columns as they are stored.

Casts and checks are vectorised. A column whose type, or a value of it, does not fit is handed to
``values.py``, which names the values that do not.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from tidegauge.errors import BadInput
from tidegauge.ingest.raw import python_values
from tidegauge.ingest.times import localized, outside_of_years
from tidegauge.ingest.values import Converted, convert_values
from tidegauge.schema import Column, ColumnType, Role
from tidegauge.schema.arrow import TIMESTAMP, arrow_type, decoded, is_number, is_text


def convert_array(array: Any, column: Column, zone: str) -> Converted:
    """Convert one column; values that do not fit become null.

    Parameters
    ----------
    array : pyarrow.ChunkedArray
    column : Column
    zone : str
        The zone of times that name none, except in the column with the role ``timestamp``.

    Raises
    ------
    BadInput
        With the code ``naive_timestamp``, if the type of the ``timestamp`` column has no zone.

    Examples
    --------
    >>> age = Column("age", ColumnType.NUMERIC)
    >>> convert_array(pa.chunked_array([[42, None]]), age, "UTC").array.to_pylist()
    [42.0, None]
    """
    target: Any = arrow_type(column)
    if pt.is_null(array.type):
        return Converted(pa.nulls(len(array), target), [])
    plain = decoded(array)
    if column.role is Role.TIMESTAMP:
        require_zone(plain.type, column.name)
    fitting = _cast(plain, column, target, zone)
    if fitting is not None:
        return Converted(fitting, [])
    return convert_values(python_values(plain), column, zone)


def require_zone(kind: Any, name: str) -> None:
    """Refuse a column of times whose type has no time zone.

    Raises
    ------
    BadInput
        With the code ``naive_timestamp``.
    """
    if pt.is_date(kind) or (pt.is_timestamp(kind) and kind.tz is None):
        raise BadInput(
            f"column {name!r} is {kind}, without a time zone; send timestamp[us, tz=UTC] (in "
            "pandas: .dt.tz_localize('UTC'))",
            code="naive_timestamp",
        )


def _cast(array: Any, column: Column, target: Any, zone: str) -> Any:
    """Return the column in its target type; None where a value does not fit."""
    kind = array.type
    if pt.is_string(target):
        return _texts(array, column)
    if column.type is ColumnType.NUMERIC and is_number(kind):
        return array if kind == target else array.cast(target, safe=False)
    if column.type is ColumnType.BOOLEAN:
        return array if pt.is_boolean(kind) else _truths(array)
    if column.type is ColumnType.DATETIME:
        return _times(array, None if column.role is Role.TIMESTAMP else zone)
    if column.type is ColumnType.EMBEDDING:
        return _vectors(array, target)
    return None


def _texts(array: Any, column: Column) -> Any:
    kind = array.type
    if is_text(kind):
        return array if pt.is_string(kind) else array.cast(pa.string())
    if pt.is_integer(kind):
        return array.cast(pa.string())
    if column.role is Role.PREDICTION_ID:
        return None
    if pt.is_floating(kind):
        wide = array.cast(pa.float64())
        return _without_nan(wide).cast(pa.string())
    if pt.is_timestamp(kind):
        return _time_texts(array)
    simple = pt.is_boolean(kind) or pt.is_decimal(kind) or pt.is_date(kind) or pt.is_time(kind)
    return array.cast(pa.string()) if simple else None


def _time_texts(array: Any) -> Any:
    """Write times as ISO 8601, those with a zone in UTC; needs no time zone data."""
    kind = array.type
    texts = array.cast(pa.int64()).cast(pa.timestamp(kind.unit)).cast(pa.string())
    texts = pc.replace_substring(texts, " ", "T")
    return texts if kind.tz is None else pc.binary_join_element_wise(texts, "Z", "")


def _without_nan(array: Any) -> Any:
    missing: Any = pc.is_nan(array)
    if not pc.any(missing).as_py():
        return array
    return pc.if_else(missing, pa.scalar(None, array.type), array)


def _truths(array: Any) -> Any:
    if not is_number(array.type):
        return None
    numbers = _without_nan(array.cast(pa.float64(), safe=False))
    ones: Any = pc.equal(numbers, pa.scalar(1.0))
    known: Any = pc.or_(ones, pc.equal(numbers, pa.scalar(0.0)))
    return ones if pc.all(known).as_py() is not False else None


def _times(array: Any, zone: str | None) -> Any:
    kind = array.type
    try:
        if is_text(kind):
            times = _parsed(array, zone)
        elif pt.is_timestamp(kind) and kind.tz is not None:
            times = array if kind == TIMESTAMP else array.cast(TIMESTAMP, safe=kind.unit != "ns")
        elif zone is not None and (pt.is_date(kind) or pt.is_timestamp(kind)):
            exact = not (pt.is_timestamp(kind) and kind.unit == "ns")
            times = localized(array.cast(pa.timestamp("us"), safe=exact), zone)
        else:
            return None
    except pa.ArrowException:
        return None
    return None if outside_of_years(times) else times


def _parsed(array: Any, zone: str | None) -> Any:
    try:
        return array.cast(TIMESTAMP)
    except pa.ArrowException:
        if zone is None:
            raise
    return localized(array.cast(pa.timestamp("us")), zone)


def _vectors(array: Any, target: Any) -> Any:
    kind = array.type
    lists = pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind)
    if not lists or not is_number(kind.value_type):
        return None
    if pc.list_flatten(array).null_count:
        return None
    try:
        return array if kind == target else array.cast(target, safe=False)
    except pa.ArrowException:
        return None
