"""Arrow columns as NumPy values: numbers, texts, truth, with what could not be read counted."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_NONE = np.empty(0, dtype=np.int64)


def numbers(column: pa.Array) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return a column as float64, and the rows whose values are no numbers.

    Null, and what is no number, become NaN. Times become seconds since 1970 (UTC).

    Parameters
    ----------
    column : pyarrow array of length n

    Returns
    -------
    values : (n,) float64
    errors : (e,) int64
        Rows that held something which is no number.

    Examples
    --------
    >>> values, errors = numbers(pa.array(["1.5", "x", None]))
    >>> values.tolist(), errors.tolist()
    ([1.5, nan, nan], [1])
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        values, errors = numbers(column.dictionary)
        bad = np.zeros(len(values) + 1, dtype=np.bool_)
        bad[errors] = True
        rows = column.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
        return np.append(values, np.nan)[rows], np.flatnonzero(bad[rows])
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        out = column.to_numpy(zero_copy_only=False)
        return np.ascontiguousarray(out, dtype=np.float64), _NONE
    if pa.types.is_temporal(kind) and not pa.types.is_duration(kind):
        return micros(column).astype(np.float64) / 1e6 + _nan_where_null(column), _NONE
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _parse(column)
    if pa.types.is_boolean(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        return pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False), _NONE
    errors = np.flatnonzero(np.asarray(pc.is_valid(column)))
    return np.full(len(column), np.nan), errors


def _nan_where_null(column: pa.Array) -> NDArray[np.float64] | float:
    if not column.null_count:
        return 0.0
    return np.where(np.asarray(pc.is_null(column)), np.nan, 0.0)


def _parse(column: pa.Array) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    try:
        return pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False), _NONE
    except pa.ArrowInvalid:
        pass
    values = np.full(len(column), np.nan)
    errors = []
    for row, text in enumerate(column.to_pylist()):
        if text is None:
            continue
        try:
            values[row] = float(text)
        except ValueError:
            errors.append(row)
    return values, np.asarray(errors, dtype=np.int64)


def micros(column: pa.Array, zone: str = "UTC") -> NDArray[np.int64]:
    """Return times as microseconds since 1970 (UTC); null becomes the smallest int64.

    Parameters
    ----------
    column : pyarrow array of timestamps, dates or ISO 8601 texts
    zone : str
        Zone of times that carry none.

    Examples
    --------
    >>> micros(pa.array(["1970-01-01T00:00:01"])).tolist()
    [1000000]
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = _parse_times(column)
        kind = column.type
    if not pa.types.is_timestamp(kind):
        column = pc.cast(column, pa.timestamp("us"))
        kind = column.type
    if kind.tz is None and zone != "UTC":
        column = pc.assume_timezone(column, zone, ambiguous="earliest", nonexistent="earliest")
        kind = column.type
    plain = pc.cast(column, pa.timestamp("us", kind.tz), safe=False).view(pa.int64())
    if plain.null_count:
        plain = plain.fill_null(np.iinfo(np.int64).min)
    out: NDArray[np.int64] = plain.to_numpy(zero_copy_only=False)
    return out


def _parse_times(column: pa.Array) -> pa.Array:
    """Read ISO 8601 texts, with or without a zone."""
    try:
        return pc.cast(column, pa.timestamp("us", "UTC"))
    except pa.ArrowInvalid:
        return pc.cast(column, pa.timestamp("us"))


def truth(column: pa.Array, positive: str) -> NDArray[np.int8]:
    """Return 1 where a column holds the positive class, 0 where another, -1 where nothing.

    Parameters
    ----------
    column : pyarrow array of length n
    positive : str
        The positive class as text; ``"1"`` and ``"true"`` mean the same for numbers and truth
        values.

    Examples
    --------
    >>> truth(pa.array([True, False, None]), "1").tolist()
    [1, 0, -1]
    >>> truth(pa.array(["late", "punctual"]), "late").tolist()
    [1, 0]
    """
    kind = column.type
    if pa.types.is_null(kind):
        return np.full(len(column), -1, dtype=np.int8)
    if pa.types.is_boolean(kind):
        hit = column if positive.lower() in ("1", "1.0", "true") else pc.invert(column)
    elif pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        wanted = 1.0 if positive.lower() == "true" else float(positive)
        values = pc.cast(column, pa.float64())
        hit = pc.if_else(pc.is_nan(values), None, pc.equal(values, wanted))
    else:
        hit = pc.equal(pc.cast(column, pa.string()), positive)
    whole = pc.cast(hit, pa.int8()).fill_null(-1)
    out: NDArray[np.int8] = whole.to_numpy(zero_copy_only=False)
    return out
