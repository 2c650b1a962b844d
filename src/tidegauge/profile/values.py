"""Arrow columns as NumPy values: numbers, times, truth, with what could not be read counted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

#: What stands where there is no time.
NO_TIME = int(np.iinfo(np.int64).min)

_NONE = np.empty(0, dtype=np.int64)
_TRUTH = {"true": 1.0, "false": 0.0}
_EPOCH = datetime.fromtimestamp(0, UTC)


def numbers(
    column: pa.Array, zone: str | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return a column as float64, and the rows whose values are no numbers.

    Null, and what is no number, become NaN. Times become seconds since 1970 (UTC).

    Parameters
    ----------
    column : pyarrow array of length n
    zone : str, optional
        Given for a column of times: texts are read as ISO 8601, and those without a zone of
        their own are taken in this one.

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
    >>> numbers(pa.array(["1970-01-01T00:01"]), "UTC")[0].tolist()
    [60.0]
    """
    column = plain(column)
    kind = column.type
    if pa.types.is_dictionary(kind):
        values, errors = numbers(column.dictionary, zone)
        bad = np.zeros(len(values) + 1, dtype=np.bool_)
        bad[errors] = True
        rows = rows_of(column, len(values))
        return np.append(values, np.nan)[rows], np.flatnonzero(bad[rows])
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        out = column.to_numpy(zero_copy_only=False)
        return np.ascontiguousarray(out, dtype=np.float64), _NONE
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _seconds(column, zone or "UTC")
    if pa.types.is_string(kind):
        if zone is not None:
            return _seconds(column, zone)
        return _numbers_in_texts(column)
    if pa.types.is_boolean(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        return pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False), _NONE
    errors = np.flatnonzero(np.asarray(pc.is_valid(column)))
    return np.full(len(column), np.nan), errors


def plain(column: pa.Array) -> pa.Array:
    """Return a column without extension type, run-end encoding and 64-bit text offsets.

    Examples
    --------
    >>> plain(pa.array(["a"], pa.large_string())).type
    DataType(string)
    """
    while isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    if pa.types.is_run_end_encoded(column.type):
        column = plain(pc.run_end_decode(column))
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = pc.cast(column, pa.string())
    return column


def column_of(batch: pa.RecordBatch, name: str) -> pa.Array:
    """Return a column of a batch; nulls where it has none of this name."""
    if name in batch.schema.names:
        return batch.column(name)
    return pa.nulls(batch.num_rows)


def rows_of(encoded: pa.DictionaryArray, null: int) -> NDArray[Any]:
    """Return the place in the dictionary of each row, ``null`` where it holds nothing.

    Examples
    --------
    >>> rows_of(pa.array(["a", None, "a"]).dictionary_encode(), 1).tolist()
    [0, 1, 0]
    """
    indices = encoded.indices
    if indices.null_count:
        # The index type may be too narrow for one place more.
        indices = pc.cast(indices, pa.int64()).fill_null(null)
    rows: NDArray[Any] = indices.to_numpy(zero_copy_only=False)
    return rows


def _numbers_in_texts(column: pa.Array) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    try:
        return pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False), _NONE
    except pa.ArrowInvalid:
        return _word_by_word(column, float, np.nan)


def _word_by_word(
    column: pa.Array, read: Callable[[str], Any], blank: float
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Read each different text once; what ``read`` raises ValueError for is an error."""
    encoded = pc.dictionary_encode(column)
    values = np.full(len(encoded.dictionary) + 1, blank, dtype=type(blank))
    bad = np.zeros(len(values), dtype=np.bool_)
    for place, word in enumerate(encoded.dictionary.to_pylist()):
        try:
            values[place] = read(word)
        except ValueError:
            bad[place] = True
    rows = rows_of(encoded, len(values) - 1)
    return values[rows], np.flatnonzero(bad[rows])


def _seconds(column: pa.Array, zone: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    times = micros(column, zone)
    values = times / 1e6
    none = np.flatnonzero(times == NO_TIME)
    values[none] = np.nan
    return values, none[np.asarray(pc.is_valid(column))[none]]


def micros(column: pa.Array, zone: str = "UTC") -> NDArray[np.int64]:
    """Return times as microseconds since 1970 (UTC); where there is none, ``NO_TIME``.

    Parameters
    ----------
    column : pyarrow array of timestamps, dates, ISO 8601 texts, or whole microseconds
        In anything else there is no time.
    zone : str
        Zone of times that carry none.

    Examples
    --------
    >>> micros(pa.array(["1970-01-01T00:00:01"])).tolist()
    [1000000]
    """
    column = plain(column)
    kind = column.type
    if pa.types.is_dictionary(kind):
        words = np.append(micros(column.dictionary, zone), NO_TIME)
        times: NDArray[np.int64] = words[rows_of(column, len(words) - 1)]
        return times
    if pa.types.is_string(kind):
        return _times_in_texts(column, zone)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _moments(column, zone)
    if not pa.types.is_integer(kind):
        return np.full(len(column), NO_TIME)
    out: NDArray[np.int64] = pc.cast(column, pa.int64(), safe=False).fill_null(NO_TIME).to_numpy()
    return out


def _moments(column: pa.Array, zone: str) -> NDArray[np.int64]:
    if not pa.types.is_timestamp(column.type):
        column = pc.cast(column, pa.timestamp("us"))
    if column.type.tz is None and zone != "UTC":
        column = pc.assume_timezone(column, zone, ambiguous="earliest", nonexistent="earliest")
    whole = pc.cast(column, pa.timestamp("us", column.type.tz), safe=False).view(pa.int64())
    out: NDArray[np.int64] = whole.fill_null(NO_TIME).to_numpy(zero_copy_only=False)
    return out


def _times_in_texts(column: pa.Array, zone: str) -> NDArray[np.int64]:
    """Read ISO 8601 texts, with or without a zone."""
    for kind in (pa.timestamp("us", "UTC"), pa.timestamp("us")):
        try:
            return _moments(pc.cast(column, kind), zone)
        except pa.ArrowInvalid:
            continue
    local = ZoneInfo(zone)

    def read(text: str) -> int:
        moment = datetime.fromisoformat(text)
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=local)
        return (aware - _EPOCH) // timedelta(microseconds=1)

    return _word_by_word(column, read, NO_TIME)[0]


def truth(column: pa.Array, positive: str) -> NDArray[np.int8]:
    """Return 1 where a column holds the positive class, 0 where another, -1 where nothing.

    Parameters
    ----------
    column : pyarrow array of length n
    positive : str
        The positive class as text; ``"1"`` and ``"true"`` mean the same for numbers and truth
        values, and so do ``"0"`` and ``"false"``.

    Examples
    --------
    >>> truth(pa.array([True, False, None]), "1").tolist()
    [1, 0, -1]
    >>> truth(pa.array(["late", "punctual"]), "late").tolist()
    [1, 0]
    """
    column = plain(column)
    if pa.types.is_dictionary(column.type):
        words = np.append(truth(column.dictionary, positive), np.int8(-1))
        held: NDArray[np.int8] = words[rows_of(column, len(words) - 1)]
        return held
    kind = column.type
    if pa.types.is_boolean(kind) or pa.types.is_decimal(kind):
        column = pc.cast(column, pa.float64())
        kind = column.type
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        values = np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
        hit = np.where(np.isnan(values), -1, values == _as_number(positive))
        return hit.astype(np.int8)
    if not pa.types.is_string(kind):
        return np.full(len(column), -1, dtype=np.int8)
    out: NDArray[np.int8] = (
        pc.cast(pc.equal(column, positive), pa.int8()).fill_null(-1).to_numpy(zero_copy_only=False)
    )
    return out


def _as_number(positive: str) -> float:
    """Return a class as a number; NaN, which equals nothing, where it is none."""
    try:
        return _TRUTH.get(positive.lower(), float("nan")) if positive.isalpha() else float(positive)
    except ValueError:
        return float("nan")
