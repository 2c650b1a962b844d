"""Drift: how far a column's distribution lies from its baseline's, read from shared bins.

``p`` are the shares of the current records, ``q`` those of the baseline. What is defined on bins
is exact, to nine digits; where bins stand for values, the docstring gives the bound. Missing
values are left out; their share is a question of quality. Location, shape and the shares of
values are judged, by what ``linear.py`` computes; the distances say how large a change is.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from tidegauge.metrics import linear
from tidegauge.metrics.registry import Direction, Family, Scale, Values, View, metric
from tidegauge.profile import CategoryBins, NumericBins
from tidegauge.profile.bins import coarse_groups
from tidegauge.schema import ColumnType, Role
from tidegauge.schema.types import WATCHED_ROLES

_NUMBERS = frozenset({ColumnType.NUMERIC, ColumnType.DATETIME})
_WORDS = frozenset({ColumnType.CATEGORICAL, ColumnType.BOOLEAN})
_BOTH = _NUMBERS | _WORDS
_FLOOR = 1e-4
#: Roles whose distribution has a baseline to keep to.
_ROLES = WATCHED_ROLES | {Role.SEGMENT}


def _coarse(view: View, reference: View) -> Values:
    """Counts by about ten bins of equal baseline weight: (window, segment, group).

    The groups come from the baseline's whole, so that they are the same for every segment.
    Categorical columns keep their values.
    """
    counts = view["counts"].astype(np.float64)
    if isinstance(reference.bins, CategoryBins):
        return counts
    starts = coarse_groups(reference["counts"][0, 0].astype(np.float64), 10)
    return np.add.reduceat(counts, starts, axis=-1)


def _shares(counts: Values, floor: float = 0.0) -> Values:
    total = counts.sum(axis=-1, keepdims=True)
    shares: Values = np.where(total > 0, counts / total, np.nan)
    return np.maximum(shares, floor) if floor else shares


def _pair(current: View, reference: View, floor: float = 0.0) -> tuple[Values, Values]:
    return (
        _shares(_coarse(current, reference), floor),
        _shares(_coarse(reference, reference), floor),
    )


@metric(
    "location_shift",
    Family.DRIFT,
    types=_NUMBERS,
    roles=_ROLES,
    needs=("counts", "sums"),
    unit="σ",
    direction=Direction.NEITHER,
    judged=True,
    minimum_effect=0.05,
    linear=linear.location,
    weight=6.0,
    pooled=True,
)
def location_shift(current: View, reference: View) -> Values:
    """Mean normal score of the values among the baseline's: 0.25 is a shift by a quarter σ.

    Each value counts as the normal quantile of its rank in the baseline, over about 40 bins;
    in the outermost bins, and beyond the baseline's range, by its distance in σ, at most 8. So
    an outlier weighs little, and a column that left its range is told by how far. Source: van
    der Waerden (1952).
    """
    return linear.location(current, reference).value[..., 0]


@metric(
    "shape_shift",
    Family.DRIFT,
    types=_NUMBERS,
    roles=_ROLES,
    needs=("counts",),
    unit="σ",
    judged=True,
    minimum_effect=0.1,
    slow=False,
    linear=linear.shape,
)
def shape_shift(current: View, reference: View) -> Values:
    """Size of a change of shape: the norm of the means of three polynomials of the rank.

    Of degree 2 (spread), 3 (asymmetry) and 4 (tails), orthonormal under the baseline, over ten
    bins. Source: the components of Neyman's smooth test (1937).
    """
    parts = linear.shape(current, reference).value
    size: Values = np.sqrt((np.where(np.isnan(parts), 0.0, parts) ** 2).sum(axis=-1))
    return np.where((current.present > 0) & (reference.present > 0), size, np.nan)


@metric("psi", Family.DRIFT, types=_BOTH, roles=_ROLES, needs=("counts",), scale=Scale.LOG)
def psi(current: View, reference: View) -> Values:
    """Population stability index: Σ (p − q) ln(p / q) over ten bins of equal baseline weight.

    Empty bins count as a share of 1e-4. Source: Siddiqi, *Credit Risk Scorecards* (2006).
    """
    p, q = _pair(current, reference, _FLOOR)
    out: Values = ((p - q) * np.log(p / q)).sum(axis=-1)
    return out


@metric(
    "kl_divergence",
    Family.DRIFT,
    types=_BOTH,
    roles=_ROLES,
    needs=("counts",),
    unit="nats",
    scale=Scale.LOG,
)
def kl_divergence(current: View, reference: View) -> Values:
    """Kullback–Leibler divergence of the current shares from the baseline's: Σ p ln(p / q).

    Over ten bins of equal baseline weight; empty baseline bins count as a share of 1e-4.
    """
    p, q = _pair(current, reference)
    out: Values = special.rel_entr(p, np.where(q == 0, _FLOOR, q)).sum(axis=-1)
    return np.maximum(out, 0.0)


@metric("js_distance", Family.DRIFT, types=_BOTH, roles=_ROLES, needs=("counts",), scale=Scale.LOG)
def js_distance(current: View, reference: View) -> Values:
    """Jensen–Shannon distance: the root of the divergence in bits, 0 (same) to 1 (disjoint).

    Over ten bins of equal baseline weight. Source: Endres and Schindelin (2003).
    """
    p, q = _pair(current, reference)
    m = (p + q) / 2
    nats = (special.rel_entr(p, m) + special.rel_entr(q, m)).sum(axis=-1) / 2
    out: Values = np.sqrt(np.maximum(nats, 0) / np.log(2))
    return out


@metric("hellinger", Family.DRIFT, types=_BOTH, roles=_ROLES, needs=("counts",), scale=Scale.LOG)
def hellinger(current: View, reference: View) -> Values:
    """Hellinger distance: √(½ Σ (√p − √q)²), 0 (same) to 1 (disjoint), over ten bins."""
    p, q = _pair(current, reference)
    out: Values = np.sqrt(((np.sqrt(p) - np.sqrt(q)) ** 2).sum(axis=-1) / 2)
    return out


def _contingency(current: View, reference: View) -> tuple[Values, Values]:
    """Pearson's statistic of the two rows of counts, and its degrees of freedom."""
    a, b = _coarse(current, reference), _coarse(reference, reference)
    n, m = a.sum(axis=-1, keepdims=True), b.sum(axis=-1, keepdims=True)
    pooled = (a + b) / (n + m)
    with np.errstate(invalid="ignore", divide="ignore"):
        cells = np.where(pooled > 0, (a - n * pooled) ** 2 / (n * pooled), 0.0)
        cells += np.where(pooled > 0, (b - m * pooled) ** 2 / (m * pooled), 0.0)
    statistic = np.where((n * m)[..., 0] > 0, cells.sum(axis=-1), np.nan)
    return statistic, (pooled > 0).sum(axis=-1) - 1.0


def chi2_p(current: View, reference: View) -> Values:
    """Return the p-value of Pearson's chi-squared test of homogeneity."""
    statistic, df = _contingency(current, reference)
    out: Values = np.where(df > 0, special.chdtrc(np.maximum(df, 1), statistic), 1.0)
    return np.where(np.isnan(statistic), np.nan, out)


@metric(
    "chi2",
    Family.DRIFT,
    types=_BOTH,
    roles=_ROLES,
    needs=("counts",),
    scale=Scale.LOG,
    p_value=chi2_p,
)
def chi2(current: View, reference: View) -> Values:
    """Pearson's chi-squared statistic of homogeneity; it grows with the number of records."""
    return _contingency(current, reference)[0]


@metric(
    "total_variation",
    Family.DRIFT,
    types=_WORDS,
    roles=_ROLES,
    needs=("counts",),
    scale=Scale.ARCSINE,
    judged=True,
    minimum_effect=0.02,
    p_value=chi2_p,
    linear=linear.categories,
    weight=6.0,
    pooled=True,
)
def total_variation(current: View, reference: View) -> Values:
    """Total variation distance: ½ Σ |p − q|, the share of records that changed their value."""
    p, q = _pair(current, reference)
    out: Values = np.abs(p - q).sum(axis=-1) / 2
    return out


def ks_p(current: View, reference: View) -> Values:
    """Return the asymptotic two-sided p-value of the two-sample Kolmogorov–Smirnov test.

    The statistic is corrected for small samples as by Stephens (1970). With e = nm / (n + m) it is
    within 0.13 / √e + 0.45 / e of SciPy's asymptotic value for the same distance (which rounds e);
    a distance that is too small makes it larger. Of two samples of the same size, 20 values or
    less, the exact permutation test gives up to twice as much, and more below five.
    """
    n, m = current.present, reference.present
    root = np.sqrt(n * m / (n + m))
    out: Values = special.kolmogorov((root + 0.12 + 0.11 / root) * ks(current, reference))
    return out


@metric(
    "ks",
    Family.DRIFT,
    types=_NUMBERS,
    roles=_ROLES,
    needs=("counts",),
    scale=Scale.ARCSINE,
    p_value=ks_p,
)
def ks(current: View, reference: View) -> Values:
    """Kolmogorov–Smirnov distance: the largest gap between the two distribution functions.

    Read at the bin edges: never too large, and too small by at most the largest share that one
    bin holds of both samples, max min(p, q). That is no more than 1/220 and the share of the
    baseline's most frequent value (0.0046 for 20,000 different ones; above 200,000 the bins come
    from a sample, and their shares vary by its noise), in practice 0.001 to 0.004; exact where
    both have the baseline's few distinct values.
    """
    gap = np.cumsum(current.shares, axis=-1) - np.cumsum(reference.shares, axis=-1)
    out: Values = np.abs(gap).max(axis=-1)
    return out


@metric(
    "wasserstein",
    Family.DRIFT,
    types=_NUMBERS,
    roles=_ROLES,
    needs=("sums",),
    unit="column",
    scale=Scale.LOG,
)
def wasserstein(current: View, reference: View) -> Values:
    """Wasserstein (earth mover's) distance: the mean distance values moved, in the column's unit.

    Every bin of each sample is taken at its own mean. So it is exact but for the bins in which
    the distribution functions may cross (−p < F − G < q at the lower edge), and each of these adds
    at most (p + q) / 2 times the width of its values to the error. In practice that is 1 % of the
    exact value for shifts from a quarter of a standard deviation on, 3 % for some thousand values
    with heavy tails, 6 % for some hundred; exact where both have the baseline's few distinct
    values.
    """
    assert isinstance(reference.bins, NumericBins)
    p, x = current.shares, _bin_means(current)
    q = np.broadcast_to(reference.shares, p.shape)
    y = np.broadcast_to(_bin_means(reference), p.shape)
    points = np.concatenate((x, y), axis=-1)
    mass = np.concatenate((p, -q), axis=-1)
    order = np.argsort(points, axis=-1)
    points = np.take_along_axis(points, order, axis=-1)
    gaps = np.diff(points, axis=-1)
    between = np.cumsum(np.take_along_axis(mass, order, axis=-1), axis=-1)[..., :-1]
    out: Values = (np.abs(between) * gaps).sum(axis=-1)
    return out


def _bin_means(view: View) -> Values:
    """Mean of each bin; an empty bin stands at an edge of its own, where it weighs nothing."""
    bins = view.bins
    assert isinstance(bins, NumericBins)
    stand_in = np.append(bins.edges, bins.edges[-1])
    means: Values = np.where(view["counts"] > 0, view["sums"] / view["counts"], stand_in)
    return means
