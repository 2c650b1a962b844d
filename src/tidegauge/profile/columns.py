"""From the values of one column in one batch to that column's arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tidegauge.profile.bins import Bins, CategoryBins, NumericBins
from tidegauge.profile.cells import Cells
from tidegauge.profile.distinct import REGISTERS, registers
from tidegauge.profile.hashing import hash_strings
from tidegauge.profile.values import numbers

Arrays = dict[str, NDArray[Any]]


def column_arrays(column: pa.Array, bins: Bins | None, cells: Cells) -> Arrays:
    """Summarise one column of a batch.

    Parameters
    ----------
    column : pyarrow array of length n
    bins : Bins or None
        Without bins, only missing values are counted.
    cells : Cells
        The n rows' windows and segments.

    Returns
    -------
    dict of name to array
        Each with the axes (window, segment, …), ``registers`` with (window, …).
    """
    if isinstance(bins, NumericBins):
        return _numeric(column, bins, cells)
    if isinstance(bins, CategoryBins):
        return _categorical(column, bins, cells)
    missing = np.asarray(pc.is_null(column)).astype(np.int64)
    return {"missing": cells.histogram(missing, 2)[:, :, 1]}


def _numeric(column: pa.Array, bins: NumericBins, cells: Cells) -> Arrays:
    values, errors = numbers(column)
    codes = bins.codes(values)
    size = bins.size
    counts = cells.histogram(codes, size + 2)
    odd = bool(counts[:, 0, size:].any())
    finite = np.flatnonzero(codes < size) if odd else None
    clean = np.where(codes < size, values, 0.0) if odd else values
    inner = cells if finite is None else cells.take(finite)
    held = values if finite is None else values[finite]
    centred = held - centre(bins)
    minimum, maximum = inner.extremes(held)
    type_errors = _rows(errors, cells)
    return {
        "counts": counts[:, :, :size],
        "sums": cells.histogram(codes, size + 2, clean)[:, :, :size],
        "squares": inner.totals(centred * centred),
        "minimum": minimum,
        "maximum": maximum,
        "missing": counts[:, :, size] - type_errors,
        "infinite": counts[:, :, size + 1],
        "type_errors": type_errors,
        "registers": _value_registers(
            held, codes if finite is None else codes[finite], bins, inner
        ),
    }


def centre(bins: NumericBins) -> float:
    """Return the value about which squares are summed, so that they do not cancel."""
    return float(bins.edges[len(bins.edges) // 2])


def _value_registers(
    values: NDArray[np.float64], codes: NDArray[np.int32], bins: NumericBins, cells: Cells
) -> NDArray[np.uint8]:
    """Registers of numbers; where each is one of few known values, of those that occur."""
    if bins.exact and cells.window is None:
        known = np.append(bins.edges, np.nan)
        if np.array_equal(known[codes], values):
            occurring = np.flatnonzero(np.bincount(codes, minlength=1))
            return registers((known[occurring] + 0.0).view(np.uint64))[None]
    return _registers((values + 0.0).view(np.uint64), cells)


def _categorical(column: pa.Array, bins: CategoryBins, cells: Cells) -> Arrays:
    encoded = encode(column)
    codes, unseen = bins.codes(encoded)
    counts = cells.histogram(codes, bins.size + 1)
    words = hash_strings(encoded.dictionary)
    if cells.window is None:
        held = registers(words)[None]
    else:
        valid = np.flatnonzero(codes < bins.size)
        rows = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)[valid]
        held = _registers(words[rows], cells.take(valid)) if len(words) else _blank(cells)
    return {
        "counts": counts[:, :, : bins.size],
        "missing": counts[:, :, bins.size],
        "unseen": _rows(np.flatnonzero(unseen), cells),
        "registers": held,
    }


def encode(column: pa.Array) -> pa.DictionaryArray:
    """Return any column as dictionary-encoded text, every entry of the dictionary in use.

    Examples
    --------
    >>> encode(pa.array([True, None])).dictionary.to_pylist()
    ['true']
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        if not pa.types.is_string(kind.value_type):
            words = pc.cast(column.dictionary, pa.string())
            column = pa.DictionaryArray.from_arrays(column.indices, words)
        used = pc.drop_null(pc.unique(column.indices))
        if len(used) == len(column.dictionary):
            return column
        return pc.dictionary_encode(column.dictionary_decode())
    if pa.types.is_floating(kind):
        column = pc.cast(column, pa.float64())
        column = pc.if_else(pc.is_nan(column), None, column)
    if not pa.types.is_string(kind):
        encoded = pc.dictionary_encode(column)
        return pa.DictionaryArray.from_arrays(encoded.indices, _texts(encoded.dictionary))
    return pc.dictionary_encode(column)


def _texts(values: pa.Array) -> pa.Array:
    """Distinct values as text; whole numbers without a point."""
    if pa.types.is_floating(values.type):
        return pa.array([f"{v:g}" if v == int(v) else repr(v) for v in values.to_pylist()])
    if pa.types.is_nested(values.type) or pa.types.is_binary(values.type):
        return pa.array([str(v) for v in values.to_pylist()], pa.string())
    return pc.cast(values, pa.string())


def _rows(rows: NDArray[np.int64], cells: Cells) -> NDArray[np.int64]:
    """Count these rows of the batch by cell."""
    if rows.size == 0:
        return np.zeros((len(cells.slots), cells.segments), dtype=np.int64)
    return cells.take(rows).counts()


def _blank(cells: Cells) -> NDArray[np.uint8]:
    return np.zeros((len(cells.slots), REGISTERS), dtype=np.uint8)


def _registers(hashes: NDArray[np.uint64], cells: Cells) -> NDArray[np.uint8]:
    if cells.window is None:
        return registers(hashes)[None]
    out = _blank(cells)
    for w in range(len(cells.slots)):
        out[w] = registers(hashes[cells.window == w])
    return out
