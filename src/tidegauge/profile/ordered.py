"""The quick way for numbers that all belong into one cell: sort them, and find the edges in them.

One large sort is several times cheaper than a bin for each value, and lets go of the interpreter
for longer, so columns really are summarised side by side. Counts are those of ``NumericBins.codes``
to the last one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.profile.bins import NumericBins
from tidegauge.profile.distinct import registers

Arrays = dict[str, NDArray[Any]]


def ordered_arrays(values: NDArray[np.float64], bins: NumericBins, centre: float) -> Arrays:
    """Summarise numbers by bin.

    Parameters
    ----------
    values : (n,) float64
        NaN counts as missing, ±Infinity as infinite.
    bins : NumericBins
    centre : float
        The value about which squares are summed.

    Returns
    -------
    dict of name to array
        As of a numeric column, each with the axes (1, 1, …), ``registers`` with (1, …).

    Examples
    --------
    >>> bins = NumericBins(np.array([-0.5, 0.0, 1.0]), 0.0, 1.0)
    >>> out = ordered_arrays(np.array([0.5, np.nan, 2.0, np.inf, 0.25]), bins, 0.0)
    >>> out["counts"].tolist(), out["sums"].tolist(), out["missing"].tolist()
    ([[[0, 0, 2, 1]]], [[[0.0, 0.0, 0.75, 2.0]]], [[1]])
    """
    ordered = np.sort(values)
    first, end = np.searchsorted(ordered, [-np.inf, np.inf], side="right")
    last = np.searchsorted(ordered, np.inf, side="left")
    finite = ordered[first:last]
    inner = np.searchsorted(finite, bins.edges, side="right")
    bounds = np.concatenate(([0], inner, [len(finite)]))
    counts = np.diff(bounds)
    held = np.flatnonzero(counts)
    sums = np.zeros(bins.size)
    if len(held):
        sums[held] = np.add.reduceat(finite, bounds[held])
    centred = finite - centre
    infinite = first + end - last
    return {
        "counts": counts[None, None],
        "sums": sums[None, None],
        # Not by BLAS, whose own threads would wait for each other beside ours.
        "squares": np.array([[np.einsum("i,i->", centred, centred)]]),
        "minimum": np.array([[finite[0] if len(finite) else np.inf]]),
        "maximum": np.array([[finite[-1] if len(finite) else -np.inf]]),
        "missing": np.array([[len(values) - end]]),
        "infinite": np.array([[infinite]]),
        "registers": registers((_distinct(finite, bounds, held, bins) + 0.0).view(np.uint64))[None],
    }


def _distinct(
    finite: NDArray[np.float64],
    bounds: NDArray[np.int64],
    held: NDArray[np.int64],
    bins: NumericBins,
) -> NDArray[np.float64]:
    """Values among which every distinct one is; one a bin where each bin holds a single value."""
    if len(held) == 0:
        return finite
    lows, highs = finite[bounds[held]], finite[bounds[held + 1] - 1]
    return lows if bins.exact and np.array_equal(lows, highs) else finite
