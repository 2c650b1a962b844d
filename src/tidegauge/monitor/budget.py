"""Spending the budget: many p-values of one window, one bound on any false alarm."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.metrics.registry import Values

#: A p-value near 1 would outweigh small ones in the mean of Cauchy quantiles.
_LARGEST = 0.98
_SMALLEST = 1e-300


def combine(p: Values, weight: Values | None = None) -> Values:
    """Combine p-values over the last axis, whatever their dependence; NaN takes no part.

    The weighted mean of Cauchy quantiles. For small p-values it is as strict as Bonferroni's
    bound for one of them, and less strict where several agree.

    Parameters
    ----------
    p : (..., test) float64
    weight : float64, optional
        Broadcasts against ``p``.

    Returns
    -------
    (...) float64
        Source: Liu and Xie (2020), "Cauchy combination test".

    Examples
    --------
    >>> combine(np.array([[0.001, 0.5, np.nan], [np.nan, np.nan, np.nan]])).round(4).tolist()
    [0.002, nan]
    """
    known = np.isfinite(p)
    share = np.where(known, 1.0 if weight is None else weight, 0.0)
    clipped = np.clip(np.where(known, p, 0.5), _SMALLEST, _LARGEST)
    # tan((½ − p)π) = 1 / tan(pπ), which keeps its digits where p is tiny.
    quantile = 1.0 / np.tan(np.pi * clipped)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (share * quantile).sum(axis=-1) / share.sum(axis=-1)
        tail: Values = np.where(mean > 1e3, 1.0 / (np.pi * mean), 0.5 - np.arctan(mean) / np.pi)
    return np.where(known.any(axis=-1), tail, np.nan)


class Spent(NamedTuple):
    """How a window's level was spent; all (window, test), NaN where nothing was tested.

    ``level`` is each test's share: what its p-value must not pass, after the shares of the
    rejected ones before it have been handed on. ``first`` is its share before any was.
    """

    rejected: NDArray[np.bool_]
    level: Values
    first: Values


def spend(p: Values, weight: Values, level: float) -> Spent:
    """Test many hypotheses so that the chance of any false rejection is at most ``level``.

    Holm's step-down method with weights: shares of rejected tests are handed on to the rest.

    Parameters
    ----------
    p : (window, test) float64
        NaN takes no part; its weight is withheld.
    weight : (window, test) float64
        Sums to at most 1 in each window.
    level : float

    Returns
    -------
    Spent
        Source: Holm (1979), section 4.

    Examples
    --------
    >>> out = spend(np.array([[0.01, 0.04, 0.5]]), np.full((1, 3), 1 / 3), 0.06)
    >>> out.rejected.tolist(), out.level.round(2).tolist()
    ([[True, False, False]], [[0.02, 0.03, 0.03]])
    """
    tested = np.isfinite(p) & (weight > 0)
    share = np.where(tested, weight, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        strength = np.where(tested, p / share, np.inf)
        order = np.argsort(strength, axis=-1, kind="stable")
        ranked = np.take_along_axis(share, order, axis=-1)
        # What the tests that are still open, and those that were withheld, weigh together.
        open_ = 1.0 - (np.cumsum(ranked, axis=-1) - ranked)
        open_ = np.maximum(open_, ranked)
        passed = np.take_along_axis(strength, order, axis=-1) * open_ <= level
        passed = np.logical_and.accumulate(passed, axis=-1)
        at = np.minimum(passed.sum(axis=-1, keepdims=True), p.shape[-1] - 1)
        last = np.take_along_axis(open_, at, axis=-1)
        handed = np.where(passed, open_, last)
        levels = level * ranked / handed
    rejected = np.zeros(p.shape, dtype=np.bool_)
    out = np.full(p.shape, np.nan)
    np.put_along_axis(rejected, order, passed, axis=-1)
    np.put_along_axis(out, order, levels, axis=-1)
    nan = np.where(tested, 0.0, np.nan)
    return Spent(rejected & tested, out + nan, level * share + nan)
