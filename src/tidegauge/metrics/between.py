"""The largest difference and the smallest ratio between groups, with intervals that hold.

Values of groups (shares of records, means) go in, one value a window comes out: the greatest less
the smallest, or the smallest over the greatest; where there are several kinds of value (classes,
error rates), of the kind where groups lie furthest apart. Nothing here knows what is compared.

Intervals. With one pair of groups it is Newcombe's of a difference of shares (1998, method 10), or
that of Donner and Zou of a ratio (2012, MOVER-R), on Wilson's limits; of means on Student's. The
greatest and the smallest of many groups are found by looking, so the greatest difference is too
large on average, and the interval has to know:

- The upper end is the greatest of all pairs' upper ends. Whichever pair is truly furthest apart,
  its own upper end lies above the truth in 97.5 %, so this one does.
- The lower end is the greatest of all pairs' lower ends at a critical value ``c`` at which, in
  97.5 %, none of them lies above the truth; in 95 % where all groups may be alike, since then no
  interval can lie below the truth, which is 0. As in Tukey's test ``c`` comes from the range of as
  many normal values as there are groups; but only those groups count that may well be the greatest
  or the smallest (within ``NEAR`` standard errors), so that two groups far apart from all others
  are compared as if there were no others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from tidegauge.metrics.registry import Values

Flags = NDArray[np.bool_]
Places = NDArray[np.int64]
#: Given a critical value that broadcasts, the two-sided limits: (window, group, kind) each.
Limits = Callable[[Values], tuple[Values, Values]]

#: Of the normal distribution, for 95 % in the middle.
Z = float(special.ndtri(0.975))
#: Groups within so many standard errors of the greatest may be the greatest.
NEAR = 2.5
#: Cells of one array of pairs at a time.
_MOST = 2_000_000
#: Groups from which on the critical value is that of so many.
_MANY = 256


@dataclass(frozen=True, eq=False)
class Groups:
    """A value of each group, of one or more kinds.

    Parameters
    ----------
    value : (window, group, kind) float64
    records : (window, group, kind) float64
        That each rests on.
    enough : (window, group, kind) bool
        Which are compared.
    limits : callable
        Their limits at a critical value.
    """

    value: Values
    records: Values
    enough: Flags
    limits: Limits


@dataclass(frozen=True, eq=False)
class Spread:
    """How far groups lie apart, in each window; NaN where fewer than two can be compared.

    Parameters
    ----------
    value, lower, upper : (window,) float64
    kind, greatest, smallest : (window,) int64
        Where the value comes from: its kind, and its two groups; -1 where there is no value.
    """

    value: Values
    lower: Values
    upper: Values
    kind: Places
    greatest: Places
    smallest: Places


def shares(hits: Values, records: Values, fewest: int) -> Groups:
    """Return groups by the share of their records that are hits, with Wilson's limits.

    Parameters
    ----------
    hits, records : (window, group, kind) float64
    fewest : int
        Records that a group needs to be compared.

    Examples
    --------
    >>> two = np.array([[[30.0], [50.0]]])
    >>> held = shares(two, two + 50.0, 30)
    >>> held.value[0, :, 0], [end[0, :, 0].round(3) for end in held.limits(Z)]
    (array([0.375, 0.5  ]), [array([0.277, 0.404]), array([0.485, 0.596])])
    """
    with np.errstate(all="ignore"):
        share = hits / records

    def limits(z: Values) -> tuple[Values, Values]:
        with np.errstate(all="ignore"):
            spread = z**2 / records
            middle = (share + spread / 2) / (1 + spread)
            half = z * np.sqrt(share * (1 - share) / records + spread / (4 * records))
            half = half / (1 + spread)
            low = np.where(hits <= 0, 0.0, np.clip(middle - half, 0.0, share))
            high = np.where(hits >= records, 1.0, np.clip(middle + half, share, 1.0))
            return low, high

    return Groups(share, records, records >= max(fewest, 1), limits)


def means(mean: Values, variance: Values, records: Values, fewest: int) -> Groups:
    """Return groups by their mean, with Student's limits.

    Parameters
    ----------
    mean, variance, records : (window, group, kind) float64
        The variance is that of the mean.
    fewest : int
        Records that a group needs to be compared.
    """
    enough = (records >= max(fewest, 2)) & np.isfinite(mean) & np.isfinite(variance)

    def limits(z: Values) -> tuple[Values, Values]:
        with np.errstate(all="ignore"):
            half = _student(z, records - 1) * np.sqrt(variance)
            return mean - half, mean + half

    return Groups(mean, records, enough, limits)


def _student(z: Values, df: Values) -> Values:
    """Quantiles of Student's t by normal ones (Abramowitz and Stegun 26.7.5)."""
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    out: Values = z + first / df + second / df**2 + third / df**3
    return out


def difference(groups: Groups) -> Spread:
    """Return the greatest value less the smallest, of the kind where that is most.

    Examples
    --------
    >>> table = np.array([[[30.0], [50.0], [45.0]]])
    >>> found = difference(shares(table, np.full((1, 3, 1), 100.0), 30))
    >>> [float(end[0].round(3)) for end in (found.lower, found.value, found.upper)]
    [0.038, 0.2, 0.326]
    """
    return _spread(groups, ratio=False)


def ratio(groups: Groups) -> Spread:
    """Return the smallest value over the greatest, of the kind where that is least.

    Values are shares, or other values that are not negative; a kind whose greatest value is 0
    has no ratio.
    """
    return _spread(groups, ratio=True)


def _spread(groups: Groups, *, ratio: bool) -> Spread:
    windows, held, _ = groups.value.shape
    if not windows or held < 2:
        nan, none = np.full(windows, np.nan), np.full(windows, -1, dtype=np.int64)
        return Spread(nan, nan, nan, none, none, none)
    with np.errstate(all="ignore"):
        high = np.where(groups.enough, groups.value, -np.inf)
        low = np.where(groups.enough, groups.value, np.inf)
        top, bottom = high.max(axis=1), low.min(axis=1)  # (window, kind)
        defined = groups.enough.sum(axis=1) >= 2
        if ratio:
            defined &= top > 0
        apart = bottom / top if ratio else top - bottom
        order = np.where(defined, -apart if ratio else apart, -np.inf)
        kind = order.argmax(axis=1)
        each = np.arange(windows)
        known = defined[each, kind]
        value = np.where(known, apart[each, kind], np.nan)
        lower, upper = _ends(groups, defined, top, bottom, apart, ratio=ratio)
    lower, upper = (np.where(known, end, np.nan) for end in (lower, upper))
    return Spread(
        value,
        np.minimum(lower, value),
        np.maximum(upper, value),
        np.where(known, kind, -1),
        np.where(known, high[each, :, kind].argmax(axis=1), -1),
        np.where(known, low[each, :, kind].argmin(axis=1), -1),
    )


def _ends(
    groups: Groups, defined: Flags, top: Values, bottom: Values, apart: Values, *, ratio: bool
) -> tuple[Values, Values]:
    """Return the ends of the interval: (window,) each."""
    usual = groups.limits(np.full((1, 1, 1), Z))
    c = _critical(groups, defined, top, bottom, apart, usual, ratio=ratio)[:, None, :]
    strict = groups.limits(c)
    windows, held, kinds = groups.value.shape
    step = max(1, _MOST // (held * held * kinds))
    pair = _ratio_ends if ratio else _difference_ends
    ends = []
    for at in range(0, windows, step):
        part = slice(at, at + step)
        used = groups.enough[part] & defined[part, None, :]
        both = used[:, :, None, :] & used[:, None, :, :]
        both &= ~np.eye(held, dtype=np.bool_)[None, :, :, None]
        value = groups.value[part]
        wide = pair(value, usual[0][part], usual[1][part])
        narrow = pair(value, strict[0][part], strict[1][part])
        axes = (1, 2, 3)
        if ratio:
            low = np.where(both & np.isfinite(wide[0]), wide[0], np.inf).min(axis=axes)
            high = np.where(both & np.isfinite(narrow[1]), narrow[1], np.inf).min(axis=axes)
            ends.append((np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)))
        else:
            low = np.where(both, narrow[0], -np.inf).max(axis=axes)
            high = np.where(both, wide[1], -np.inf).max(axis=axes)
            ends.append((np.maximum(low, 0.0), high))
    low, high = (np.concatenate(parts) for parts in zip(*ends, strict=True))
    return low, high


def _difference_ends(value: Values, low: Values, high: Values) -> tuple[Values, Values]:
    """Newcombe's limits of every pair's difference: (window, group, other group, kind) each."""
    apart = value[:, :, None, :] - value[:, None, :, :]
    down, up = (value - low) ** 2, (high - value) ** 2
    return (
        apart - np.sqrt(down[:, :, None, :] + up[:, None, :, :]),
        apart + np.sqrt(up[:, :, None, :] + down[:, None, :, :]),
    )


def _ratio_ends(value: Values, low: Values, high: Values) -> tuple[Values, Values]:
    """Donner and Zou's limits of every pair's ratio: (window, group, over group, kind) each."""
    one, other = value[:, :, None, :], value[:, None, :, :]
    product = one * other

    def end(mine: Values, theirs: Values, side: float) -> Values:
        m, t = mine[:, :, None, :], theirs[:, None, :, :]
        inner = product**2 - m * (2 * one - m) * t * (2 * other - t)
        below = t * (2 * other - t)
        root = product + side * np.sqrt(np.maximum(inner, 0.0))
        # Where the limit of the lower one is twice its value, the fraction is of the form 0 / 0.
        limit = m * (2 * one - m) / (2 * product)
        out: Values = np.where(
            np.abs(below) < 1e-12, np.where(side < 0, limit, np.inf), root / below
        )
        return out

    return end(low, high, -1.0), end(high, low, 1.0)


def _critical(
    groups: Groups,
    defined: Flags,
    top: Values,
    bottom: Values,
    apart: Values,
    usual: tuple[Values, Values],
    *,
    ratio: bool,
) -> Values:
    """Critical values for the end that must not be led astray by looking: (window, kind)."""
    error = (usual[1] - usual[0]) / (2 * Z)
    value = groups.value
    at_top = np.where(groups.enough & (value == top[:, None, :]), error, 0.0).max(axis=1)
    at_bottom = np.where(groups.enough & (value == bottom[:, None, :]), error, 0.0).max(axis=1)
    reach_top = NEAR * np.sqrt(error**2 + at_top[:, None, :] ** 2)
    reach_bottom = NEAR * np.sqrt(error**2 + at_bottom[:, None, :] ** 2)
    first = groups.enough & (top[:, None, :] - value <= reach_top)
    last = groups.enough & (value - bottom[:, None, :] <= reach_bottom)
    a, b = first.sum(axis=1), last.sum(axis=1)
    shared = (first & last).any(axis=1)
    together = (first | last).sum(axis=1)
    # Kinds that may well be the one where groups lie furthest apart.
    noise = np.sqrt(at_top**2 + at_bottom**2)
    if ratio:
        noise = noise / np.maximum(top, 1e-300)
    best = np.where(defined, -apart if ratio else apart, -np.inf).max(axis=1, keepdims=True)
    gap = best - (-apart if ratio else apart)
    rivals = np.maximum((defined & (gap <= NEAR * np.sqrt(2.0) * noise)).sum(axis=1), 1)
    key = np.stack(
        [
            np.where(shared, 0, a),
            np.where(shared, together, b),
            np.broadcast_to(rivals[:, None], a.shape),
        ],
        axis=-1,
    ).reshape(-1, 3)
    found, back = np.unique(key, axis=0, return_inverse=True)
    values = np.array([critical(int(x), int(y), int(m)) for x, y, m in found])
    out: Values = values[back.ravel()].reshape(a.shape)
    return out


@cache
def critical(greatest: int, smallest: int, kinds: int = 1) -> float:
    """Return the critical value for the greatest of many differences of normal values.

    Parameters
    ----------
    greatest, smallest : int
        Groups that may be the greatest, and others that may be the smallest. With ``greatest``
        0, each of ``smallest`` groups may be either.
    kinds : int
        Kinds of value among which the furthest apart was chosen.

    Returns
    -------
    float
        ``c`` such that the greatest difference, in its standard deviations, passes it with a
        probability of 0.025 over the number of kinds; 0.05 where each may be either.

    Examples
    --------
    >>> round(critical(1, 1), 3), round(critical(0, 2), 3), round(critical(0, 10), 3)
    (1.96, 1.96, 3.164)
    """
    sums, chance = _above(min(greatest, _MANY), min(smallest, _MANY))
    level = np.log((0.025 if greatest else 0.05) / kinds)
    return float(np.interp(-level, -np.log(np.maximum(chance, 1e-300)), sums) / np.sqrt(2.0))


@cache
def _above(greatest: int, smallest: int) -> tuple[Values, Values]:
    """Chance that the greatest difference passes each of many values."""
    x, weight = np.polynomial.legendre.leggauss(160)
    x, weight = 9.0 * x, 9.0 * weight
    sums = np.linspace(0.5, 12.0, 160)
    density = np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi)
    if greatest == 0:
        if smallest < 2:
            return _above(1, 1)
        n = smallest
        inside = special.ndtr(x[:, None] + sums) - special.ndtr(x)[:, None]
        below = n * (weight * density) @ inside ** (n - 1)
    else:
        first = greatest * density * special.ndtr(x) ** (greatest - 1)
        below = (weight * first) @ special.ndtr(sums - x[:, None]) ** smallest
    chance = np.maximum(1.0 - below, 1e-14)
    return sums, np.minimum.accumulate(chance)
