"""The coordinated sample: of every window the k rows whose ``prediction_id`` hashes smallest.

Which rows are kept depends on their ids alone. So samples of parts merge into the sample of the
whole, and two versions that scored the same traffic hold the same rows.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

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
    windows = rows["_window"].to_numpy()
    order = np.lexsort((rows["_hash"].to_numpy(), windows))
    ordered = windows[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    return rows.take(pa.array(order[rank < k]))


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
        part = pa.Table.from_batches([batch]).take(pa.array(rows))
        part = part.append_column("_window", pa.array(windows[rows]))
        self._parts.append(part.append_column("_hash", pa.array(hashes[rows])))
        self._held += len(part)
        if self._held > 4 * self.k * max(1, len(self._limits) + len(names)):
            self._prune()

    def _prune(self) -> None:
        kept = smallest(pa.concat_tables(self._parts, promote_options="permissive"), self.k)
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
