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
from tidegauge.profile.ordered import ordered_arrays
from tidegauge.profile.values import numbers, plain, rows_of

Arrays = dict[str, NDArray[Any]]


def column_arrays(
    column: pa.Array, bins: Bins | None, cells: Cells, zone: str | None = None
) -> Arrays:
    """Summarise one column of a batch.

    Parameters
    ----------
    column : pyarrow array of length n
    bins : Bins or None
        Without bins, only missing values are counted.
    cells : Cells
        The n rows' windows and segments.
    zone : str, optional
        Given for a column of times: the zone of those that carry none.

    Returns
    -------
    dict of name to array
        Each with the axes (window, segment, …), ``registers`` with (window, …).
    """
    if isinstance(bins, NumericBins):
        return _numeric(column, bins, cells, zone)
    if isinstance(bins, CategoryBins):
        return _categorical(column, bins, cells)
    missing = np.asarray(pc.is_null(column)).astype(np.int64)
    return {"missing": cells.histogram(missing, 2)[:, :, 1]}


def _numeric(column: pa.Array, bins: NumericBins, cells: Cells, zone: str | None) -> Arrays:
    values, errors = numbers(column, zone)
    if cells.single:
        out = ordered_arrays(values, bins, centre(bins))
        unread = np.array([[len(errors)]])
        return {**out, "missing": out["missing"] - unread, "type_errors": unread}
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
        "registers": _registers((held + 0.0).view(np.uint64), inner),
    }


def centre(bins: NumericBins) -> float:
    """Return the value about which squares are summed, so that they do not cancel."""
    return float(bins.edges[len(bins.edges) // 2])


def _categorical(column: pa.Array, bins: CategoryBins, cells: Cells) -> Arrays:
    encoded = encode(column)
    codes, unseen = bins.codes(encoded)
    counts = cells.histogram(codes, bins.size + 1)
    words = hash_strings(encoded.dictionary)
    if cells.window is None:
        held = registers(words)[None]
    else:
        valid = np.flatnonzero(codes < bins.size)
        rows = rows_of(encoded, 0)[valid]
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
    >>> encode(pa.array([7.0, 0.5, float("nan")])).to_pylist()
    ['7', '0.5', None]
    """
    column = plain(column)
    if pa.types.is_dictionary(column.type):
        words = _texts(column.dictionary)
        if words is not column.dictionary:
            column = pa.DictionaryArray.from_arrays(column.indices, words)
        used = np.bincount(rows_of(column, len(words)), minlength=len(words))[: len(words)]
        if used.all() and not words.null_count:
            return column
        return pc.dictionary_encode(column.dictionary_decode())
    if pa.types.is_primitive(column.type) and not pa.types.is_floating(column.type):
        encoded = pc.dictionary_encode(column)
        return pa.DictionaryArray.from_arrays(encoded.indices, _texts(encoded.dictionary))
    return pc.dictionary_encode(_texts(column))


def _texts(values: pa.Array) -> pa.Array:
    """Values as text; whole numbers without a point, NaN as null."""
    values = plain(values)
    kind = values.type
    if pa.types.is_string(kind):
        return values
    if pa.types.is_floating(kind):
        encoded = pc.dictionary_encode(pc.cast(values, pa.float64()))
        # Adding zero makes 0 of -0.
        different = pc.add(encoded.dictionary, 0.0)
        different = pc.if_else(pc.is_nan(different), None, different)
        return pc.cast(different, pa.string()).take(encoded.indices)
    try:
        return pc.cast(values, pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        texts = [None if v is None else str(v) for v in values.to_pylist()]
        return pa.array(texts, pa.string())


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
