"""How surely a change is more than sampling noise: variances and p-values that metrics share."""

from __future__ import annotations

import numpy as np
from scipy import special

from tidegauge.metrics.registry import Direction, Values
from tidegauge.profile.profile import Array


def share_variance(n: Array) -> Values:
    """Return the sampling variance of a share of ``n`` records after the arcsine transform.

    Source: Anscombe (1948), 1 / (4n + 2).

    Examples
    --------
    >>> share_variance(np.array([2])).tolist()
    [0.1]
    """
    variance: Values = 1.0 / (4.0 * n + 2.0)
    return variance


def share_rise_p(a: Array, n: Array, b: Array, m: Array) -> Values:
    """Return the one-sided p-value that a share rose, from ``b`` of ``m`` to ``a`` of ``n``.

    By the difference of arcsine roots: Freeman and Tukey (1950), with 3/8 added as by
    Anscombe (1948).

    Examples
    --------
    >>> share_rise_p(np.array([30.0]), np.array([100]), np.array([10.0]), np.array([100])).round(4)
    array([0.0002])
    """
    rise = _arcsine(a, n) - _arcsine(b, m)
    p: Values = special.ndtr(-rise / np.sqrt(share_variance(n) + share_variance(m)))
    return np.where((n > 0) & (m > 0), p, np.nan)


def share_change_p(a: Array, n: Array, b: Array, m: Array) -> Values:
    """Return the two-sided p-value that a share changed, from ``b`` of ``m`` to ``a`` of ``n``.

    Examples
    --------
    >>> share_change_p(np.array([5.0]), np.array([10]), np.array([5.0]), np.array([10])).tolist()
    [1.0]
    """
    rise = share_rise_p(a, n, b, m)
    return 2.0 * np.minimum(rise, 1.0 - rise)


def _arcsine(part: Array, n: Array) -> Values:
    roots: Values = np.arcsin(np.sqrt((part + 0.375) / (n + 0.75)))
    return roots


def mean_variance(total: Array, squares: Array, n: Array) -> Values:
    """Return the sampling variance of the mean of ``n`` values, from their sums; 0 for one.

    Examples
    --------
    >>> float(mean_variance(np.array(6.0), np.array(14.0), np.array(3)).round(4))
    0.3333
    """
    mean = total / n
    variance: Values = np.maximum(squares / n - mean**2, 0.0) / np.maximum(n - 1, 1)
    return variance


def change_p(
    now: Values,
    then: Values,
    variance_now: Values,
    variance_then: Values,
    direction: Direction = Direction.NEITHER,
) -> Values:
    """Return the p-value of a difference by a two-sample z-test.

    One-sided towards what is worse where a direction is given, two-sided else.

    Examples
    --------
    >>> one = np.array([1.0])
    >>> change_p(one, one, 0 * one, 0 * one).tolist()
    [1.0]
    >>> change_p(3 * one, one, one, 0 * one, Direction.LOWER_IS_BETTER).round(4).tolist()
    [0.0228]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(now == then, 0.0, (now - then) / np.sqrt(variance_now + variance_then))
    p: Values
    if direction is Direction.NEITHER:
        p = 2.0 * special.ndtr(-np.abs(z))
    else:
        p = special.ndtr(-z if direction is Direction.LOWER_IS_BETTER else z)
    return p
