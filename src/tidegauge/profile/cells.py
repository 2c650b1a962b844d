"""Sums over cells: the (window, segment) places to which the rows of one batch belong.

Every accumulator asks this class for histograms, totals and extremes, so windows and segments
are divided in one place only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Cells:
    """The rows of a batch, by window and segment.

    Parameters
    ----------
    rows : int
        Number of rows.
    slots : (w,) int64
        Place of each of the batch's windows on the profile's window axis.
    window : (n,) int64 or None
        Index into ``slots`` of each row; ``None`` where all are in one window.
    segments : int
        Length of the segment axis.
    groups : tuple of (first index, number of values, (n,) codes)
        One entry a segment column.
    """

    rows: int
    slots: NDArray[np.int64]
    window: NDArray[np.int64] | None
    segments: int
    groups: tuple[tuple[int, int, NDArray[np.int64]], ...] = ()

    @property
    def single(self) -> bool:
        """Whether all rows belong into one cell."""
        return self.window is None and self.segments == 1

    def take(self, rows: NDArray[np.int64]) -> Cells:
        """Return the cells of some rows of the batch."""
        return Cells(
            len(rows),
            self.slots,
            None if self.window is None else self.window[rows],
            self.segments,
            tuple((first, size, codes[rows]) for first, size, codes in self.groups),
        )

    def histogram(
        self, codes: NDArray[Any], size: int, weights: NDArray[np.float64] | None = None
    ) -> NDArray[Any]:
        """Count (or sum ``weights``) by cell and code.

        Parameters
        ----------
        codes : (n,) integer in ``[0, size)``
        size : int
        weights : (n,) float64, optional

        Returns
        -------
        (w, segment, size) int64, or float64 with weights
        """
        w = len(self.slots)
        kind = np.int64 if weights is None else np.float64
        out = np.zeros((w, self.segments, size), dtype=kind)
        for first, values, segment in self.groups:
            cell = segment if self.window is None else self.window * values + segment
            flat = np.bincount(cell * size + codes, weights, w * values * size)
            out[:, first : first + values] = flat.reshape(w, values, size)
        if self.groups:
            first, values, _ = self.groups[0]
            out[:, 0] = out[:, first : first + values].sum(axis=1)
        else:
            cell = codes if self.window is None else self.window * size + codes
            out[:, 0] = np.bincount(cell, weights, w * size).reshape(w, size)
        return out

    def totals(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum values by cell.

        Returns
        -------
        (w, segment) float64
        """
        if self.single:
            out = np.zeros((1, self.segments))
            out[0, 0] = values.sum()
            return out
        zeros = np.zeros(len(values), dtype=np.int64)
        return self.histogram(zeros, 1, values)[:, :, 0]

    def counts(self) -> NDArray[np.int64]:
        """Count rows by cell.

        Returns
        -------
        (w, segment) int64
        """
        counts: NDArray[np.int64] = self.histogram(np.zeros(self.rows, dtype=np.int64), 1)[:, :, 0]
        return counts

    def extremes(
        self, values: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Smallest and largest finite value of each cell (∞ and -∞ where there is none).

        Returns
        -------
        minimum, maximum : (w, segment) float64
        """
        w = len(self.slots)
        low = np.full((w, self.segments), np.inf)
        high = np.full((w, self.segments), -np.inf)
        if values.size == 0:
            return low, high
        if self.single:
            low[0, 0], high[0, 0] = values.min(), values.max()
            return low, high
        for first, size, segment in self.groups:
            cell = segment if self.window is None else self.window * size + segment
            lows, highs = np.full(w * size, np.inf), np.full(w * size, -np.inf)
            np.minimum.at(lows, cell, values)
            np.maximum.at(highs, cell, values)
            low[:, first : first + size] = lows.reshape(w, size)
            high[:, first : first + size] = highs.reshape(w, size)
        if self.groups:
            first, size, _ = self.groups[0]
            low[:, 0] = low[:, first : first + size].min(axis=1)
            high[:, 0] = high[:, first : first + size].max(axis=1)
        elif self.window is not None:
            np.minimum.at(low[:, 0], self.window, values)
            np.maximum.at(high[:, 0], self.window, values)
        return low, high
