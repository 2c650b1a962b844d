"""Statistics of weighted records, each with what every single record contributes to it.

A statistic T of n records with weights w is, to first order, T + Σ w ψ / Σ w: ψ is its influence
function, of weighted mean zero. So one sum of squares gives the variance of any statistic, of the
difference of two over the same records (DeLong's covariance for ROC AUC, McNemar's test for a
rate), and of two that weights have made comparable. Source: Hampel (1974); van der Vaart (1998),
chapter 20.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
#: Draws that tell the bias of the widest gap, and the seed they come from.
_DRAWS, _SEED = 500, 20_130_107


@dataclass(frozen=True, eq=False)
class Estimate:
    """A statistic of some records.

    Parameters
    ----------
    value : float
        NaN where it is not defined.
    psi : (n,) float64
        Influence of each record; its weighted mean is zero.
    reach : float
        Influence of one record of the other kind, for shares: what is held in mind where no such
        record was seen. 0 for other statistics.
    bias : float
        By how much chance alone is expected to raise the value.
    """

    value: float
    psi: Floats
    reach: float = 0.0
    bias: float = 0.0


def mean(values: Floats, weights: Floats, *, reach: float = 0.0) -> Estimate:
    """Return the weighted mean.

    Examples
    --------
    >>> mean(np.array([1.0, 3.0]), np.array([1.0, 1.0])).psi.tolist()
    [-1.0, 1.0]
    """
    value = _over(float(weights @ values), float(weights.sum()))
    return Estimate(value, values - value, reach)


def share(hits: Floats, weights: Floats) -> Estimate:
    """Return the weighted share of records that are hits (0 or 1)."""
    return mean(hits, weights, reach=1.0)


def ratio(part: Floats, whole: Floats, weights: Floats, *, shares: bool = True) -> Estimate:
    """Return Σ w part / Σ w whole, such as precision, recall, or F1.

    Parameters
    ----------
    part, whole : (n,) float64
    weights : (n,) float64
    shares : bool
        Whether each part is at most its whole.

    Examples
    --------
    >>> ratio(np.array([1.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.0]), np.ones(3)).value
    0.5
    """
    total = float(weights.sum())
    level = _over(float(weights @ whole), total)
    value = _over(float(weights @ part), float(weights @ whole))
    with np.errstate(divide="ignore", invalid="ignore"):
        psi = (part - value * whole) / level
    return Estimate(value, psi, _over(float(whole.max(initial=0.0)), level) if shares else 0.0)


def roc_auc(scores: Floats, truth: Floats, weights: Floats) -> Estimate:
    """Return the area under the ROC curve, ties counted half.

    The influence is DeLong's placement of each record, scaled so that the sum of squares is his
    variance with n − 1. Source: DeLong, DeLong and Clarke-Pearson (1988).

    Parameters
    ----------
    scores : (n,) float64
    truth : (n,) float64
        1 for positive records, 0 for others.
    weights : (n,) float64

    Examples
    --------
    >>> roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0.0, 0, 1, 1]), np.ones(4)).value
    0.75
    """
    total = float(weights.sum())
    up, down = weights * truth, weights * (1.0 - truth)
    positives, negatives = float(up.sum()), float(down.sum())
    if not positives > 0 or not negatives > 0:
        return Estimate(np.nan, np.full(len(scores), np.nan))
    _, place = np.unique(scores, return_inverse=True)
    above, below = np.bincount(place, up), np.bincount(place, down)
    won = ((np.cumsum(below) - below / 2) / negatives)[place]
    lost = 1.0 - ((np.cumsum(above) - above / 2) / positives)[place]
    value = float(up @ won) / positives
    psi = np.where(
        truth > 0,
        (won - value) * _bessel(up, positives) * total / positives,
        (lost - value) * _bessel(down, negatives) * total / negatives,
    )
    return Estimate(value, psi)


def _bessel(weights: Floats, total: float) -> float:
    """√(m / (m − 1)), m being the effective number of records."""
    m = total**2 / float(weights @ weights)
    return float(np.sqrt(m / (m - 1.0))) if m > 1.5 else 1.0


def average_precision(scores: Floats, truth: Floats, weights: Floats) -> Estimate:
    """Return the mean precision at the score of each positive record, ties taken together.

    Parameters
    ----------
    scores, truth, weights : (n,) float64
        As for :func:`roc_auc`.

    Examples
    --------
    >>> value = average_precision(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0.0, 0, 1, 1]),
    ...                           np.ones(4)).value
    >>> round(value, 4)
    0.8333
    """
    total = float(weights.sum())
    up = weights * truth
    positives = float(up.sum())
    if not positives > 0:
        return Estimate(np.nan, np.full(len(scores), np.nan))
    _, place = np.unique(scores, return_inverse=True)
    held, hits = np.bincount(place, weights), np.bincount(place, up)
    reached = np.cumsum(held[::-1])[::-1]
    found = np.cumsum(hits[::-1])[::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.nan_to_num(found / reached)
        first = np.cumsum(np.nan_to_num(hits / reached))
        second = np.cumsum(np.nan_to_num(hits * found / reached**2))
    value = float(hits @ precision) / positives
    # What a record changes at its own place, and at all places below, where it is counted too.
    psi = truth * (precision[place] - value) + truth * first[place] - second[place]
    return Estimate(value, psi * total / positives)


def calibration_error(scores: Floats, hits: Floats, weights: Floats) -> Estimate:
    """Return the expected calibration error over ten bins of equal width.

    To first order only: near zero the absolute values bend, and its interval is a rough one.
    """
    tenth = np.searchsorted(np.linspace(0, 1, 11)[1:-1], scores)
    gaps = np.bincount(tenth, weights * (hits - scores), minlength=10)
    value = _over(float(np.abs(gaps).sum()), float(weights.sum()))
    return Estimate(value, np.sign(gaps)[tenth] * (hits - scores) - value)


def quantile(values: Floats, weights: Floats, level: float) -> Estimate:
    """Return a quantile, with the density at its place from the values about it.

    The density is read between ranks to both sides, so no shape is assumed: one standard error
    of the rank away, or as far as Hall and Sheather (1988) have it, whichever is more.

    Examples
    --------
    >>> quantile(np.arange(101.0), np.ones(101), 0.5).value
    50.0
    """
    n = len(values)
    if not n:
        return Estimate(np.nan, np.empty(0))
    order = np.argsort(values, kind="stable")
    ordered, through = values[order], np.cumsum(weights[order])
    total = float(through[-1])
    middles = (through - weights[order] / 2) / total
    value = float(np.interp(level, middles, ordered))
    effective = total**2 / float(weights @ weights)
    reach = max(np.sqrt(level * (1 - level) / effective), _bandwidth(level, effective))
    ends = np.interp(np.clip([level - reach, level + reach], 0, 1), middles, ordered)
    across = float(np.clip(level + reach, 0, 1) - np.clip(level - reach, 0, 1))
    spread = float(ends[1] - ends[0]) / across if across > 0 else 0.0
    below = (values <= value).astype(np.float64)
    level_seen = float(weights @ below) / total
    return Estimate(value, (level_seen - below) * spread)


def _bandwidth(level: float, n: float) -> float:
    """Return Hall and Sheather's distance between ranks, for intervals of 95 %."""
    z = float(special.ndtri(level))
    height = np.exp(-(z**2)) / (2 * np.pi)
    wide = 1.96 ** (2 / 3) * (1.5 * height / (2 * z**2 + 1)) ** (1 / 3) * n ** (-1 / 3)
    return min(float(wide), 0.8 * min(level, 1 - level))


def widest_gap(parts: list[Estimate], weights: Floats) -> Estimate:
    """Return the greatest of some groups' values less the smallest.

    To first order as those two groups have it. Chance drives the greatest up and the smallest
    down, most of all where groups are alike: how far, is told by drawing about the values after
    they were drawn together as far as they differ by no more than chance (James and Stein's
    way), and kept as the bias.

    Parameters
    ----------
    parts : list of Estimate
        Two groups or more.
    weights : (n,) float64
    """
    values = np.array([one.value for one in parts])
    total = float(weights.sum())
    spread = np.array([max(float(((weights * o.psi) ** 2).sum()), 1e-300) for o in parts])
    spread /= total**2
    high, low = parts[int(values.argmax())], parts[int(values.argmin())]
    middle = float((values / spread).sum() / (1 / spread).sum())
    apart = float(((values - middle) ** 2 / spread).sum())
    kept = max(0.0, 1.0 - (len(parts) - 1) / apart) if apart > 0 else 0.0
    alike = middle + kept * (values - middle)
    noise = np.random.default_rng(_SEED).standard_normal((_DRAWS, len(parts))) * np.sqrt(spread)
    bias = float(np.ptp(alike + noise, axis=1).mean() - np.ptp(alike))
    return Estimate(
        high.value - low.value, high.psi - low.psi, max(high.reach, low.reach), max(bias, 0.0)
    )


def r2(errors: Floats, labels: Floats, weights: Floats) -> Estimate:
    """Return the share of the labels' variance that is explained."""
    about = mean(labels, weights)
    squares = (labels - about.value) ** 2
    left, spread = mean(errors**2, weights), mean(squares, weights)
    if not spread.value > 0:
        return Estimate(np.nan, np.full(len(errors), np.nan))
    unexplained = left.value / spread.value
    return Estimate(1.0 - unexplained, -(left.psi - unexplained * spread.psi) / spread.value)


def root(estimate: Estimate) -> Estimate:
    """Return the root of a mean of squares."""
    value = float(np.sqrt(estimate.value))
    return Estimate(value, estimate.psi / (2 * value) if value > 0 else estimate.psi * 0.0)


def average(parts: list[Estimate]) -> Estimate:
    """Return the plain mean of those that are defined, as over classes."""
    known = [one for one in parts if np.isfinite(one.value)]
    if not known:
        size = len(parts[0].psi) if parts else 0
        return Estimate(np.nan, np.full(size, np.nan))
    k = len(known)
    psi = np.sum([one.psi for one in known], axis=0) / k
    return Estimate(sum(one.value for one in known) / k, psi, max(o.reach for o in known) / k)


def _over(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")
