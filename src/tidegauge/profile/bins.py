"""The bins of a column: made once from the baseline, shared by every profile compared with it.

Numeric bins are right-closed, ``(edge[i-1], edge[i]]``, open at both ends. The first edge lies
just below the baseline's minimum and the last is its maximum, so the two end bins hold exactly
the values outside the baseline's range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tidegauge.profile.hashing import hash_strings
from tidegauge.profile.values import rows_of

#: Number of quantile bins of a numeric column, before the tails are refined.
FINE_BINS = 220
#: Up to this many distinct values, each gets a bin of its own.
EXACT_VALUES = 220
#: Named values of a categorical column; the rest shares the bin ``other``.
NAMED_VALUES = 200

_GRID = 4096


@dataclass(frozen=True)
class NumericBins:
    """Bins of a numeric or datetime column.

    Parameters
    ----------
    edges : (B - 1,) float64, strictly increasing
    low, high : float
        The range outside which a value counts as out of range.
    exact : bool
        Whether every inner bin holds a single baseline value (its right edge).

    Examples
    --------
    >>> bins = NumericBins(np.array([-0.5, 0.0, 1.0]), 0.0, 1.0)
    >>> bins.codes(np.array([-1.0, 0.0, 0.5, 1.0, 2.0, np.nan, np.inf])).tolist()
    [0, 1, 2, 2, 3, 4, 5]
    """

    edges: NDArray[np.float64]
    low: float
    high: float
    exact: bool = False

    @property
    def size(self) -> int:
        """Number of bins B, the open ends included."""
        return len(self.edges) + 1

    @cached_property
    def _lookup(self) -> _Lookup:
        return _Lookup(self.edges)

    def codes(self, values: NDArray[np.float64]) -> NDArray[np.int32]:
        """Return the bin of each value; NaN gets ``size``, ±Infinity ``size + 1``.

        Parameters
        ----------
        values : (n,) float64

        Returns
        -------
        (n,) int32 in ``[0, size + 1]``
        """
        codes: NDArray[np.int32] = self._lookup(values)
        odd = np.flatnonzero(~np.isfinite(values))
        if odd.size:
            codes[odd] = np.where(np.isnan(values[odd]), self.size, self.size + 1)
        return codes

    @property
    def inside(self) -> slice:
        """The bins within ``[low, high]``, where the edges resolve that range."""
        first = int(np.searchsorted(self.edges, self.low, side="left"))
        last = int(np.searchsorted(self.edges, self.high, side="right"))
        return slice(first, last)

    def coarse(self, weights: NDArray[np.float64], bins: int = 10) -> NDArray[np.int64]:
        """Group the fine bins into about ``bins`` of equal weight.

        Parameters
        ----------
        weights : (B,) float64
            Baseline counts of the fine bins.
        bins : int
            Number of groups wanted; fewer come out where single bins are heavy.

        Returns
        -------
        (groups,) int64
            First fine bin of each group, for ``numpy.add.reduceat``.

        Examples
        --------
        >>> bins = NumericBins(np.arange(3.0), 0.0, 2.0)
        >>> bins.coarse(np.array([1.0, 1.0, 1.0, 1.0]), 2).tolist()
        [0, 2]
        """
        return coarse_groups(weights, bins)

    def to_json(self) -> dict[str, Any]:
        """Return a form that JSON can hold."""
        return {
            "kind": "numeric",
            "edges": self.edges.tolist(),
            "low": self.low,
            "high": self.high,
            "exact": self.exact,
        }


def coarse_groups(weights: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """Return the first fine bin of each of about ``bins`` groups of equal weight.

    Examples
    --------
    >>> coarse_groups(np.array([5.0, 1.0, 1.0, 1.0, 1.0, 1.0]), 2).tolist()
    [0, 1]
    """
    total = float(weights.sum())
    if total <= 0:
        return np.zeros(1, dtype=np.int64)
    before = np.concatenate(([0.0], np.cumsum(weights)[:-1])) / total
    starts = np.searchsorted(before, np.arange(bins) / bins - 1e-12, side="left")
    return np.unique(np.minimum(starts, len(weights) - 1)).astype(np.int64)


class _Lookup:
    """Exact binary search made quick: a grid names the few edges that can matter.

    The map from a value to its grid cell is monotone, so an edge in an earlier cell is smaller
    than the value and one in a later cell is larger: only edges in the same cell are compared.
    """

    def __init__(self, edges: NDArray[np.float64]) -> None:
        self.edges = edges
        self.steps = -1
        if len(edges) < 8:
            return
        with np.errstate(all="ignore"):
            self.low, self.high = np.quantile(edges, [0.06, 0.94])
            self.scale = (_GRID - 2) / (self.high - self.low)
        if not (np.isfinite(self.scale) and 0 < self.scale < 1e300):
            return
        cells = self._cells(edges)
        per_cell = np.bincount(cells, minlength=_GRID)
        self.first = np.concatenate(([0], np.cumsum(per_cell)[:-1])).astype(np.int32)
        self.padded = np.append(edges, np.inf)
        self.ends = per_cell[0] + per_cell[-1] > 0
        self.steps = int(per_cell[1:-1].max(initial=0))
        if self.steps > 4:
            self.steps = -1

    def _cells(self, values: NDArray[np.float64]) -> NDArray[np.int32]:
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (values - self.low) * self.scale
            scaled += 1.0
            np.clip(scaled, 0.0, _GRID - 1, out=scaled)
            cells: NDArray[np.int32] = scaled.astype(np.int32)
        np.clip(cells, 0, _GRID - 1, out=cells)
        return cells

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.int32]:
        if self.steps < 0:
            found: NDArray[np.int32] = np.searchsorted(self.edges, values).astype(np.int32)
            return found
        cells = self._cells(values)
        codes: NDArray[np.int32] = self.first[cells]
        for _ in range(self.steps):
            codes += values > self.padded[codes]
        if self.ends:
            tails = np.flatnonzero((cells == 0) | (cells == _GRID - 1))
            codes[tails] = np.searchsorted(self.edges, values[tails], side="left")
        return codes


@dataclass(frozen=True)
class CategoryBins:
    """Bins of a categorical or boolean column: its known values, then ``other``.

    Parameters
    ----------
    values : tuple of str
        Known values, the most frequent first; bin ``len(values)`` is ``other``.
    vocabulary : (v,) uint64, sorted, optional
        Hashes of all baseline values, to tell an unseen value from a rare one. ``None`` where
        there were too many to keep.

    Examples
    --------
    >>> bins = CategoryBins(("UA", "AA"), np.sort(hash_strings(pa.array(["UA", "AA", "HA"]))))
    >>> codes, unseen = bins.codes(pa.array(["AA", "HA", None, "ZZ"]))
    >>> codes.tolist(), unseen.tolist()
    ([1, 2, 3, 2], [False, False, False, True])
    """

    values: tuple[str, ...]
    vocabulary: NDArray[np.uint64] | None = None
    _set: pa.Array = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_set", pa.array(list(self.values), pa.string()))

    @property
    def size(self) -> int:
        """Number of bins, ``other`` included."""
        return len(self.values) + 1

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each bin."""
        return (*self.values, "(other)")

    def codes(self, values: pa.Array) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Return the bin of each value (null gets ``size``), and whether it was never seen.

        Parameters
        ----------
        values : pyarrow array of length n, dictionary-encoded or string

        Returns
        -------
        codes : (n,) int32 in ``[0, size]``
        unseen : (n,) bool
        """
        encoded = values if pa.types.is_dictionary(values.type) else pc.dictionary_encode(values)
        words = encoded.dictionary
        if not pa.types.is_string(words.type):
            words = pc.cast(words, pa.string())
        known = pc.index_in(words, value_set=self._set).fill_null(len(self.values))
        table = np.append(known.to_numpy(zero_copy_only=False), self.size).astype(np.int32)
        null_words = np.flatnonzero(np.asarray(pc.is_null(words)))
        table[null_words] = self.size
        novel = np.append(self._unseen(words, table[:-1]), False)
        rows = rows_of(encoded, len(words))
        return table[rows], novel[rows]

    def _unseen(self, words: pa.Array, table: NDArray[np.int32]) -> NDArray[np.bool_]:
        novel = np.zeros(len(words), dtype=np.bool_)
        rare = np.flatnonzero(table == len(self.values))
        if self.vocabulary is None or rare.size == 0:
            return novel
        hashes = hash_strings(words.take(pa.array(rare)))
        at = np.minimum(np.searchsorted(self.vocabulary, hashes), len(self.vocabulary) - 1)
        novel[rare] = self.vocabulary[at] != hashes if len(self.vocabulary) else True
        return novel

    def to_json(self) -> dict[str, Any]:
        """Return a form that JSON can hold."""
        words = None if self.vocabulary is None else [int(h) for h in self.vocabulary]
        return {"kind": "category", "values": list(self.values), "vocabulary": words}


Bins = NumericBins | CategoryBins


def bins_from_json(data: Mapping[str, Any]) -> Bins:
    """Return the bins that ``to_json`` gave.

    Examples
    --------
    >>> bins_from_json(CategoryBins(("a",)).to_json()).values
    ('a',)
    """
    if data["kind"] == "numeric":
        return NumericBins(
            np.asarray(data["edges"], dtype=np.float64), data["low"], data["high"], data["exact"]
        )
    words = data["vocabulary"]
    vocabulary = None if words is None else np.asarray(words, dtype=np.uint64)
    return CategoryBins(tuple(data["values"]), vocabulary)


def numeric_bins(
    sample: NDArray[np.float64],
    low: float,
    high: float,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
) -> NumericBins:
    """Make the bins of a numeric column from a sample of the baseline.

    Where at most ``EXACT_VALUES`` distinct values occur, each gets its own bin; otherwise the
    edges are quantiles that are values of the sample, with the tails halved nine more times on
    each side, so that heavy tails are resolved.

    Parameters
    ----------
    sample : (n,) float64
        Finite values.
    low, high : float
        Smallest and largest finite value of the whole baseline.
    minimum, maximum : float, optional
        A range from the schema; it becomes part of the edges.

    Examples
    --------
    >>> numeric_bins(np.array([1.0, 2.0, 2.0, 3.0]), 1.0, 3.0).edges.round(3).tolist()
    [1.0, 1.0, 2.0, 3.0]
    """
    if not low <= high:
        low = high = 0.0
    ordered = np.sort(sample)
    distinct = ordered[np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]]
    exact = len(distinct) <= EXACT_VALUES
    if exact:
        inner = distinct
    else:
        tail = 0.5 ** np.arange(1, 10) / FINE_BINS
        levels = np.concatenate((tail, np.arange(1, FINE_BINS) / FINE_BINS, 1 - tail))
        inner = ordered[np.minimum((levels * len(ordered)).astype(np.int64), len(ordered) - 1)]
    with np.errstate(over="ignore"):
        below = np.nextafter([low, low if minimum is None else minimum], -np.inf)
    bounds = [*below, low, high]
    if maximum is not None:
        bounds.append(maximum)
    edges = np.unique(np.concatenate((inner, bounds)))
    edges = edges[np.isfinite(edges)]
    return NumericBins(
        edges,
        low if minimum is None else float(minimum),
        high if maximum is None else float(maximum),
        exact=exact,
    )
