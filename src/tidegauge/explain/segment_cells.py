"""Bins of columns, the segments made of them, and counts of rows in every pair of bins.

A segment here is a *range of neighbouring bins* of one column, or of two columns at once. Bins are
fine or coarse, each coarse one holding several fine ones. All rows are counted once by (coarse bin
of one column, coarse bin of another, class of outcome); every coarse range of every pair of columns
is then four look-ups in running sums of those counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Rows that are spread out into indicators at once.
_ROWS = 16_384


@dataclass(frozen=True, order=True)
class Range:
    """Neighbouring fine bins of one column, ``low`` to ``high - 1``."""

    column: int
    low: int
    high: int


#: One range, or two of different columns.
Ranges = tuple[Range, ...]


@dataclass(frozen=True, eq=False)
class Axes:
    """The bins of several columns; the coarse ones stand one after the other, P in all.

    Parameters
    ----------
    edges : tuple of tuple of int
        For each column the first fine bin of each coarse one, and the number of its fine bins.
    ordered : tuple of int
        How many of a column's coarse bins, from its first on, have an order: neighbours among
        them form ranges. The others (categories, missing values) stand alone.

    Examples
    --------
    >>> axes = Axes(((0, 2, 4, 5), (0, 1, 2)), (2, 0))
    >>> [(r.column, r.low, r.high) for r in axes.ranges]
    [(0, 0, 2), (0, 0, 4), (0, 2, 4), (0, 4, 5), (1, 0, 1), (1, 1, 2)]
    >>> axes.fine_ordered(0), len(axes.fine_ranges(0))
    (4, 11)
    """

    edges: tuple[tuple[int, ...], ...]
    ordered: tuple[int, ...]

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """First coarse bin of each column, and the number of all; (columns + 1,)."""
        sizes = [len(one) - 1 for one in self.edges]
        return np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)

    @property
    def bins(self) -> int:
        """Number of coarse bins P of all columns."""
        return int(self.first[-1])

    def fine_size(self, column: int) -> int:
        """Number of a column's fine bins."""
        return self.edges[column][-1]

    def fine_ordered(self, column: int) -> int:
        """How many of them have an order."""
        return self.edges[column][self.ordered[column]]

    @cached_property
    def _coarse(self) -> NDArray[np.int64]:
        """Coarse ranges, without those of a whole column; (ranges, 3): column, low, high."""
        found = [
            (column, int(self.first[column]) + low, int(self.first[column]) + high)
            for column, edges in enumerate(self.edges)
            for low, high in _ranges(len(edges) - 1, self.ordered[column])
        ]
        return np.array(found, dtype=np.int64).reshape(-1, 3)

    @property
    def column(self) -> NDArray[np.int64]:
        """Column of each coarse range; (ranges,)."""
        return self._coarse[:, 0]

    @property
    def low(self) -> NDArray[np.int64]:
        """First coarse bin of each range, on the common axis; (ranges,)."""
        return self._coarse[:, 1]

    @property
    def high(self) -> NDArray[np.int64]:
        """One past the last; (ranges,)."""
        return self._coarse[:, 2]

    @cached_property
    def ranges(self) -> tuple[Range, ...]:
        """The coarse ranges in fine bins."""
        out = []
        for column, low, high in self._coarse.tolist():
            edges, start = self.edges[column], int(self.first[column])
            out.append(Range(column, edges[low - start], edges[high - start]))
        return tuple(out)

    def fine_ranges(self, column: int) -> NDArray[np.int64]:
        """All ranges of a column's fine bins but the whole; (ranges, 2): low, high."""
        found = _ranges(self.fine_size(column), self.fine_ordered(column))
        return np.array(found, dtype=np.int64).reshape(-1, 2)

    def coarse_codes(self, codes: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """Return coarse bins within each column for fine ones; (n, columns) uint16."""
        out = np.empty_like(codes)
        for column, edges in enumerate(self.edges):
            table = np.searchsorted(edges, np.arange(edges[-1]), side="right") - 1
            out[:, column] = table.astype(np.uint16)[codes[:, column]]
        return out


def _ranges(size: int, ordered: int) -> list[tuple[int, int]]:
    return [
        (low, high)
        for low in range(size)
        for high in range(low + 1, ordered + 1 if low < ordered else low + 2)
        if high - low < size
    ]


def holds(codes: NDArray[np.uint16], ranges: Ranges) -> NDArray[np.bool_]:
    """Whether each row lies in a segment.

    Parameters
    ----------
    codes : (n, columns) uint16
        Fine bins within each column.
    ranges : tuple of Range

    Returns
    -------
    (n,) bool
    """
    out = np.ones(len(codes), dtype=np.bool_)
    for one in ranges:
        held = codes[:, one.column]
        out &= (held >= one.low) & (held < one.high)
    return out


def count_pairs(
    codes: NDArray[np.uint16], outcome: NDArray[np.uint16], classes: int, axes: Axes
) -> NDArray[np.int32]:
    """Count rows by class of outcome and by every pair of coarse bins.

    Parameters
    ----------
    codes : (n, columns) uint16
        Coarse bins within each column.
    outcome : (n,) uint16
        Class of each row, below ``classes``.
    classes : int
    axes : Axes

    Returns
    -------
    (classes, P, P) int32

    Examples
    --------
    >>> codes = np.array([[0, 0], [0, 1], [1, 1]], dtype=np.uint16)
    >>> axes = Axes(((0, 1, 2), (0, 1, 2)), (0, 0))
    >>> count_pairs(codes, np.zeros(3, np.uint16), 1, axes)[0, :2, 2:].tolist()
    [[1, 1], [0, 1]]
    """
    out = np.zeros((classes, axes.bins, axes.bins), dtype=np.int32)
    order = np.argsort(outcome, kind="stable")
    ends = np.cumsum(np.bincount(outcome, minlength=classes))
    offsets = axes.first[:-1]
    for k, end in enumerate(ends):
        start = 0 if k == 0 else int(ends[k - 1])
        for at in range(start, int(end), _ROWS):
            rows = order[at : min(at + _ROWS, int(end))]
            # Indicators of all columns' bins: their products, summed over rows, are the counts,
            # exact in single precision because a part has few rows.
            spread = np.zeros((len(rows), axes.bins), dtype=np.float32)
            spread[np.arange(len(rows))[:, None], codes[rows] + offsets] = 1.0
            out[k] += (spread.T @ spread).astype(np.int32)
    return out


def running(counts: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return sums over all bins before each, along both axes; (classes, P + 1, P + 1).

    A row is counted once for each pair of columns, so 64 columns of 250,000 rows fit.
    """
    classes, bins, _ = counts.shape
    out = np.zeros((classes, bins + 1, bins + 1), dtype=np.int32)
    np.cumsum(counts, axis=1, out=out[:, 1:, 1:])
    np.cumsum(out[:, 1:, 1:], axis=2, out=out[:, 1:, 1:])
    return out


def in_ranges(
    sums: NDArray[np.int32], axes: Axes, ones: NDArray[np.int64], others: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return how many rows of each class lie in each of ``ones`` and each of ``others``.

    Parameters
    ----------
    sums : (classes, P + 1, P + 1) int32
    axes : Axes
    ones, others : (m,) int64
        Coarse ranges, by their number.

    Returns
    -------
    (classes, len(ones), len(others)) float64
    """
    rows = sums[:, axes.high[ones], :] - sums[:, axes.low[ones], :]
    both = rows[:, :, axes.high[others]] - rows[:, :, axes.low[others]]
    return both.astype(np.float64)


def count_fine(
    codes: NDArray[np.uint16],
    outcome: NDArray[np.uint16],
    classes: int,
    axes: Axes,
    columns: tuple[int, ...],
) -> NDArray[Any]:
    """Count rows by class of outcome and the fine bins of one or two columns.

    Returns
    -------
    (classes, bins of the first[, bins of the second]) float64
    """
    sizes = [axes.fine_size(column) for column in columns]
    cell = outcome.astype(np.int64)
    for column, size in zip(columns, sizes, strict=True):
        cell = cell * size + codes[:, column]
    flat = np.bincount(cell, minlength=classes * int(np.prod(sizes)))
    return flat.reshape(classes, *sizes).astype(np.float64)
