"""The coordinated sample: of every window the k rows whose ``prediction_id`` hashes smallest.

Which rows are kept depends on their ids alone. So samples of parts merge into the sample of the
whole, and two versions that scored the same traffic hold the same rows.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tidegauge.profile.columns import encode
from tidegauge.profile.hashing import hash_array

#: Rows kept of each window.
SAMPLE_SIZE = 2_000


def smallest(rows: pa.Table, k: int) -> pa.Table:
    """Keep the k rows with the smallest ``_hash`` of each ``_window``.

    Parameters
    ----------
    rows : pyarrow.Table
        With int64 ``_window`` and uint64 ``_hash``.
    k : int

    Returns
    -------
    pyarrow.Table
        Ordered by window, then hash.

    Examples
    --------
    >>> rows = pa.table({"_window": [0, 0, 0], "_hash": pa.array([9, 2, 5], pa.uint64())})
    >>> smallest(rows, 2)["_hash"].to_pylist()
    [2, 5]
    """
    if len(rows) == 0:
        return rows
    return rows.take(pa.array(_lowest(rows["_window"].to_numpy(), rows["_hash"].to_numpy(), k)))


def _lowest(windows: NDArray[np.int64], hashes: NDArray[np.uint64], k: int) -> NDArray[np.int64]:
    """Places of the k smallest hashes of each window, by window and hash."""
    order = np.lexsort((hashes, windows))
    ordered = windows[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    lowest: NDArray[np.int64] = order[rank < k]
    return lowest


def by_window(sample: pa.Table | None, windows: NDArray[np.int64]) -> tuple[pa.Table, ...]:
    """Return the rows of each window, by hash; tables without rows where there is no sample.

    Parameters
    ----------
    sample : pyarrow.Table, optional
        Ordered by window, then hash, as ``smallest`` leaves it.
    windows : (W,) int64
        Start of each window.

    Examples
    --------
    >>> rows = pa.table({"_window": [0, 5, 5], "_hash": pa.array([9, 2, 5], pa.uint64())})
    >>> [len(part) for part in by_window(rows, np.array([0, 3, 5]))]
    [1, 0, 2]
    """
    if sample is None:
        none = pa.table({"_window": pa.array([], pa.int64()), "_hash": pa.array([], pa.uint64())})
        return (none,) * len(windows)
    held = sample["_window"].to_numpy()
    first, last = (np.searchsorted(held, windows, side=side) for side in ("left", "right"))
    return tuple(sample.slice(a, b - a) for a, b in zip(first, last, strict=True))


def together(parts: Sequence[pa.Table]) -> pa.Table:
    """Stack samples, whatever the types of their columns.

    Types that have a common one are promoted to it; a column of others becomes text.

    Examples
    --------
    >>> parts = [pa.table({"x": [1]}), pa.table({"x": ["a"], "y": [True]})]
    >>> together(parts).to_pylist()
    [{'x': '1', 'y': None}, {'x': 'a', 'y': True}]
    """
    fields: dict[str, list[pa.Field]] = {}
    for part in parts:
        for field in part.schema:
            fields.setdefault(field.name, []).append(field)
    mixed = [name for name, held in fields.items() if not _promotable(held)]
    for name in mixed:
        parts = [_with_texts(part, name) for part in parts]
    return pa.concat_tables(parts, promote_options="permissive")


def without(sample: pa.Table, ids: Collection[str], columns: Collection[str]) -> pa.Table:
    """Return a sample without the rows of some prediction ids.

    Parameters
    ----------
    sample : pyarrow.Table
    ids : collection of str
    columns : collection of str
        Which of its columns hold ids. Where it has none, rows are known by the hash of their id.

    Examples
    --------
    >>> sample = pa.table({"id": ["a", "b"], "_hash": pa.array([1, 2], pa.uint64())})
    >>> without(sample, ["a"], ["id"])["id"].to_pylist()
    ['b']
    """
    texts = pa.array(sorted(ids), pa.string())
    ours = pc.is_in(sample["_hash"], value_set=pa.array(hash_array(texts)))
    for name in columns:
        if name in sample.column_names:
            held = sample[name]
            if pa.types.is_floating(held.type):
                # Whole numbers are told without a point, as ids are.
                held = pa.chunked_array([[_told(value) for value in held.to_pylist()]], pa.string())
            ours = pc.or_(ours, pc.is_in(held.cast(pa.string()), value_set=texts))
    return sample.filter(pc.invert(ours))


def _told(value: float | None) -> str | None:
    if value is None:
        return None
    return str(int(value)) if value.is_integer() else str(value)


def _promotable(fields: list[pa.Field]) -> bool:
    if all(field.type == fields[0].type for field in fields):
        return True
    try:
        pa.unify_schemas([pa.schema([field]) for field in fields], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return False
    return True


def _with_texts(part: pa.Table, name: str) -> pa.Table:
    at = part.schema.get_field_index(name)
    if at < 0:
        return part
    texts = encode(part.column(at).combine_chunks()).dictionary_decode()
    return part.set_column(at, name, texts)


class Sampler:
    """Collects the coordinated sample of a stream of batches.

    Parameters
    ----------
    k : int
        Rows kept of each window; 0 keeps none.
    """

    def __init__(self, k: int = SAMPLE_SIZE) -> None:
        self.k = k
        self._parts: list[pa.Table] = []
        self._held = 0
        self._limits: dict[int, int] = {}

    def update(
        self, batch: pa.RecordBatch, windows: NDArray[np.int64], hashes: NDArray[np.uint64]
    ) -> None:
        """Offer the rows of a batch.

        Parameters
        ----------
        batch : pyarrow.RecordBatch
        windows : (n,) int64
            Start of each row's window.
        hashes : (n,) uint64
            Hash of each row's id.
        """
        if self.k == 0 or batch.num_rows == 0:
            return
        names, codes = np.unique(windows, return_inverse=True)
        none = int(np.iinfo(np.uint64).max)
        limits = np.array([self._limits.get(int(w), none) for w in names], dtype=np.uint64)
        rows = np.flatnonzero(hashes <= limits[codes])
        if rows.size == 0:
            return
        if rows.size > self.k:
            rows = np.sort(rows[_lowest(windows[rows], hashes[rows], self.k)])
        part = pa.Table.from_batches([batch]).take(pa.array(rows))
        part = part.append_column("_window", pa.array(windows[rows]))
        self._parts.append(part.append_column("_hash", pa.array(hashes[rows])))
        self._held += len(part)
        if self._held > 4 * self.k * max(1, len(self._limits) + len(names)):
            self._prune()

    def _prune(self) -> None:
        kept = smallest(together(self._parts), self.k)
        self._parts, self._held = [kept], len(kept)
        windows = kept["_window"].to_numpy()
        hashes = kept["_hash"].to_numpy()
        names, counts = np.unique(windows, return_counts=True)
        ends = np.cumsum(counts) - 1
        self._limits = {
            int(w): int(hashes[end])
            for w, end, n in zip(names, ends, counts, strict=True)
            if n >= self.k
        }

    def finish(self) -> pa.Table | None:
        """Return the sample, or None where no row was offered."""
        if not self._parts:
            return None
        self._prune()
        return self._parts[0].combine_chunks()
