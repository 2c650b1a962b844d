"""Display bins: a column's fine bins gathered into few that a person can look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegauge.profile.bins import CategoryBins, NumericBins
from tidegauge.profile.profile import Array, Profile

#: Bars of a numeric column, and named bars of a categorical one.
BARS = 40
NAMED_BARS = 15


@dataclass(frozen=True, eq=False)
class DisplayBins:
    """Which fine bins make which bar.

    Parameters
    ----------
    edges : (K + 1,) float64
        Of a numeric column; empty for a categorical one.
    labels : tuple of str
        Of a categorical column; empty for a numeric one.
    matrix : (B, K) float64
        Share of each fine bin that falls into each bar; a row of zeros lies outside.
    below, above : (B,) float64
        Share of each fine bin outside the drawn range.
    """

    edges: NDArray[np.float64]
    labels: tuple[str, ...]
    matrix: NDArray[np.float64]
    below: NDArray[np.float64]
    above: NDArray[np.float64]

    def shares(self, counts: Array) -> tuple[Array, Array, Array]:
        """Return shares by bar, below and above: (..., K), (...), (...).

        Parameters
        ----------
        counts : (..., B)
        """
        total = np.maximum(counts.sum(axis=-1), 1)[..., None]
        shares = counts / total
        return shares @ self.matrix, shares @ self.below, shares @ self.above


def display_bins(reference: Profile, current: Profile, column: str) -> DisplayBins:
    """Choose the bars for one column from the whole of both profiles.

    Numeric bars are of equal width between the 0.5 % and 99.5 % quantiles of either side, or
    one a value where there are few; the mass of a fine bin is spread evenly over its width.
    """
    bins = reference.layout.bins[column]
    counts = [
        p.arrays[column]["counts"][:, 0].sum(axis=0).astype(float) for p in (reference, current)
    ]
    if isinstance(bins, CategoryBins):
        return _categories(bins, counts)
    return _numbers(bins, counts, _range(reference, current, column))


def _categories(bins: CategoryBins, counts: list[NDArray[np.float64]]) -> DisplayBins:
    weight = counts[0] / max(counts[0].sum(), 1) + counts[1] / max(counts[1].sum(), 1)
    named = np.argsort(-weight[:-1], kind="stable")[:NAMED_BARS]
    rest = weight.sum() - weight[named].sum() > 0
    matrix = np.zeros((bins.size, len(named) + rest))
    if rest:
        matrix[:, -1] = 1.0
    matrix[named] = 0.0
    matrix[named, np.arange(len(named))] = 1.0
    labels = [bins.values[k] for k in named] + (["(other)"] if rest else [])
    outside = np.zeros(bins.size)
    return DisplayBins(np.empty(0), tuple(labels), matrix, outside, outside)


def _range(reference: Profile, current: Profile, column: str) -> tuple[float, float]:
    lows = [p.arrays[column]["minimum"][:, 0].min(initial=np.inf) for p in (reference, current)]
    highs = [p.arrays[column]["maximum"][:, 0].max(initial=-np.inf) for p in (reference, current)]
    return float(min(lows)), float(max(highs))


def _numbers(
    bins: NumericBins, counts: list[NDArray[np.float64]], span: tuple[float, float]
) -> DisplayBins:
    low, high = span
    left = np.concatenate(([-np.inf], bins.edges))
    right = np.concatenate((bins.edges, [np.inf]))
    left, right = np.clip(left, low, high), np.clip(right, low, high)
    occupied = [np.flatnonzero(c) for c in counts]
    if not any(len(o) for o in occupied):
        return DisplayBins(
            np.array([0.0, 1.0]),
            (),
            np.zeros((bins.size, 1)),
            np.zeros(bins.size),
            np.zeros(bins.size),
        )
    if bins.exact and len(bins.edges) <= BARS:
        return _values(bins, left, right)
    start, stop = _core(counts, left, right)
    edges = np.linspace(start, stop, BARS + 1)
    width = np.maximum(right - left, 0)
    overlap = np.minimum(right[:, None], edges[1:]) - np.maximum(left[:, None], edges[:-1])
    point = width <= 0
    matrix = np.maximum(overlap, 0) / np.where(width > 0, width, 1)[:, None]
    at = np.clip(np.searchsorted(edges, right[point], side="left") - 1, 0, BARS - 1)
    matrix[point] = 0.0
    matrix[np.flatnonzero(point), at] = 1.0
    with np.errstate(over="ignore"):  # Where it overflows, the bin lies outside as a whole.
        before = (start - left) / np.where(point, 1, width)
        after = (right - stop) / np.where(point, 1, width)
    below = np.where(point, right < start, np.clip(before, 0, 1))
    above = np.where(point, left > stop, np.clip(after, 0, 1))
    matrix[np.flatnonzero(point & ((below > 0) | (above > 0)))] = 0.0
    return DisplayBins(edges, (), matrix, below.astype(float), above.astype(float))


def _core(
    counts: list[NDArray[np.float64]], left: NDArray[np.float64], right: NDArray[np.float64]
) -> tuple[float, float]:
    """The range between the outer quantiles of either side."""
    starts, stops = [], []
    for c in counts:
        total = c.sum()
        if total:
            share = np.cumsum(c) / total
            starts.append(left[int(np.searchsorted(share, 0.005, side="right"))])
            stops.append(right[min(int(np.searchsorted(share, 0.995, side="left")), len(c) - 1)])
    start, stop = float(min(starts)), float(max(stops))
    return (start, stop) if stop > start else (start - 0.5, start + 0.5)


def _values(
    bins: NumericBins, left: NDArray[np.float64], right: NDArray[np.float64]
) -> DisplayBins:
    """One bar a value, drawn half-way to its neighbours."""
    values = np.unique(np.append(bins.edges[1:], right[-1]))
    middle = values[1:] / 2 + values[:-1] / 2
    outer = middle[0] - values[0] if len(middle) else 0.5
    with np.errstate(over="ignore"):
        ends = np.nan_to_num([values[0] - outer, values[-1] + outer])
    edges = np.concatenate((ends[:1], middle, ends[1:]))
    matrix = np.zeros((bins.size, len(values)))
    at = np.clip(np.searchsorted(values, right, side="left"), 0, len(values) - 1)
    matrix[np.arange(bins.size), at] = 1.0
    del left
    return DisplayBins(edges, (), matrix, np.zeros(bins.size), np.zeros(bins.size))
