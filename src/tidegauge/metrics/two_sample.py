"""Classical two-sample tests, as SciPy has them, and distances of the same kind.

Those that need single values read the coordinated sample: up to 2,000 rows a window, the whole
only. Those that follow from counts and sums (G, Fisher, t, z, L-infinity) read all records, and
are there for every segment. Missing and infinite values are left out. A statistic is not defined
(NaN) where a side has too few values, or where both sides hold one and the same value only.
Two versions that scored the same traffic hold the same rows in their samples: the tests then err
on the safe side.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from tidegauge.metrics.registry import Direction, Family, Values, View, metric
from tidegauge.metrics.sampled import NONE, Pair, finite, of_whole, pairs_of_whole, with_p_value
from tidegauge.metrics.significance import change_p, mean_variance
from tidegauge.profile import CategoryBins
from tidegauge.profile.bins import coarse_groups
from tidegauge.profile.columns import centre
from tidegauge.schema import ColumnType, Role
from tidegauge.schema.types import WATCHED_ROLES

_NUMBERS = frozenset({ColumnType.NUMERIC, ColumnType.DATETIME})
_WORDS = frozenset({ColumnType.CATEGORICAL, ColumnType.BOOLEAN})
_ROLES = WATCHED_ROLES | {Role.SEGMENT}

#: SciPy's statistics, the current values and the baseline's; statistic and p-value.
_Run = Callable[[Any, Values, Values], tuple[float, float]]


def _cramer_von_mises(stats: Any, x: Values, y: Values) -> tuple[float, float]:
    """Cramér–von Mises statistic T: squared gaps between the two distribution functions, summed.

    Over the sample. Source: Anderson (1962); SciPy's ``cramervonmises_2samp`` where all values
    differ. Where some repeat, its ranks are misleading (counts of few values always seem to have
    changed), so within such a value the gap is taken to grow evenly, as it does on average if
    ties are broken by chance; the p-value is that of the limit, and errs on the safe side.
    """
    n, m = len(x), len(y)
    values, sizes = np.unique(np.concatenate((x, y)), return_counts=True)
    if len(values) == n + m:
        found = stats.cramervonmises_2samp(x, y)
        return found.statistic, found.pvalue
    gaps = np.searchsorted(np.sort(x), values, "right") / n
    gaps -= np.searchsorted(np.sort(y), values, "right") / m
    before = np.append(0.0, gaps[:-1])
    growth = gaps - before
    squares = sizes * before**2 + (sizes + 1) * growth * (
        before + growth * (2 * sizes + 1) / (6 * sizes)
    )
    t = float(n * m / (n + m) ** 2 * squares.sum())
    return t, cramer_von_mises_p(t, n, m)


def cramer_von_mises_p(t: float, n: int, m: int) -> float:
    """Return the p-value of the two-sample statistic by its limiting distribution.

    T is first brought to the mean and variance of the limit, as by Anderson (1962); the series is
    that of Csörgő and Faraway (1996).

    Examples
    --------
    >>> round(cramer_von_mises_p(0.46136, 10**6, 10**6), 5)
    0.05
    """
    size, pairs = n + m, n * m
    mean = (1 + 1 / size) / 6
    variance = (size + 1.0) * (4 * pairs * size - 3 * (n**2 + m**2) - 2 * pairs)
    variance /= 45 * size**2 * 4 * pairs
    limit = 1 / 6 + (t - mean) / np.sqrt(45 * variance)
    if limit < 0.003:
        return 1.0
    k = np.arange(20)
    inner = (4 * k + 1) ** 2 / (16 * limit)
    weight = np.exp(special.gammaln(k + 0.5) - special.gammaln(k + 1)) * np.sqrt(4 * k + 1)
    terms = weight * np.exp(-2 * inner) * special.kve(0.25, inner)
    return float(np.clip(1 - terms.sum() / (np.pi**1.5 * np.sqrt(limit)), 0.0, 1.0))


def _anderson_darling(stats: Any, x: Values, y: Values) -> tuple[float, float]:
    """Anderson–Darling statistic for two samples, standardised: gaps weighted in the tails.

    Over the sample, with midranks for ties; the p-value is interpolated from a table, so never
    below 0.001 nor above 0.25. Source: Scholz and Stephens (1987); SciPy's ``anderson_ksamp``.
    """
    found = stats.anderson_ksamp([x, y])
    return found.statistic, found.pvalue


def _mann_whitney(stats: Any, x: Values, y: Values) -> tuple[float, float]:
    """Mann–Whitney U / (n m): the chance that a value exceeds one of the baseline; 0.5 if same.

    Over the sample. Source: Mann and Whitney (1947); SciPy's ``mannwhitneyu``.
    """
    found = stats.mannwhitneyu(x, y)
    return found.statistic / (len(x) * len(y)), found.pvalue


def _epps_singleton(stats: Any, x: Values, y: Values) -> tuple[float, float]:
    """Epps–Singleton statistic W: distance of the characteristic functions at two points.

    Over the sample, as many rows of each side, since its p-value is too small where the sizes are
    unlike: under "nothing changed" one in seven is below 0.05 for 200 rows against 2,000. Right for
    discrete values too; not defined where half of all values are one. Source: Epps and Singleton
    (1986); SciPy's ``epps_singleton_2samp``.
    """
    size = min(len(x), len(y))
    x, y = x[:size], y[:size]
    both = np.concatenate((x, y))
    low, high = np.quantile(both, (0.25, 0.75))
    points = 2.0 / (high - low)
    if not 0 < points < np.inf or not np.isfinite(both * points).all():
        return NONE
    found = stats.epps_singleton_2samp(x, y)
    return found.statistic, found.pvalue


#: Name, what it runs, fewest values of each side, which values are worse.
_TESTS: tuple[tuple[str, _Run, int, Direction], ...] = (
    ("cramer_von_mises", _cramer_von_mises, 2, Direction.LOWER_IS_BETTER),
    ("anderson_darling", _anderson_darling, 2, Direction.LOWER_IS_BETTER),
    ("mann_whitney", _mann_whitney, 1, Direction.NEITHER),
    ("epps_singleton", _epps_singleton, 5, Direction.LOWER_IS_BETTER),
)


def _ran(run: _Run, x: Values, y: Values, least: int) -> tuple[float, float]:
    if min(len(x), len(y)) < least or ((x == y[0]).all() and (y == y[0]).all()):
        return NONE
    from scipy import stats

    with warnings.catch_warnings():
        # SciPy warns where a p-value lies outside its table, or was taken from an approximation.
        warnings.simplefilter("ignore")
        return run(stats, x, y)


def _sampled_test(name: str, run: _Run, least: int, direction: Direction) -> None:
    def both(current: View, reference: View) -> Pair:
        (y,) = finite(reference)
        return pairs_of_whole(current, (_ran(run, x, y, least) for x in finite(current)))

    both.__doc__ = run.__doc__
    register = with_p_value(
        name,
        Family.DRIFT,
        types=_NUMBERS,
        roles=_ROLES,
        needs=("counts",),
        direction=direction,
    )
    register(both)


for _name, _run, _least, _direction in _TESTS:
    _sampled_test(_name, _run, _least, _direction)


@metric(
    "energy_distance", Family.DRIFT, types=_NUMBERS, roles=_ROLES, needs=("counts",), asked=True
)
def energy_distance(current: View, reference: View) -> Values:
    """Energy distance: √(2 ∫ (F − G)²) of the two distribution functions, in √ of the unit.

    Over the sample. Source: Székely and Rizzo (2013); SciPy's ``energy_distance``.
    """
    from scipy import stats

    (y,) = finite(reference)
    return of_whole(
        current,
        (stats.energy_distance(x, y) if len(x) and len(y) else np.nan for x in finite(current)),
    )


def _moments(view: View) -> tuple[Values, Values, Values]:
    """Number of finite values, their mean about the centre of the bins, and its variance."""
    bins = view.bins
    assert not isinstance(bins, CategoryBins)
    n = view.present
    total = view["sums"].sum(axis=-1) - n * centre(bins)
    constant = view["minimum"] == view["maximum"]
    variance = np.where(constant, 0.0, mean_variance(total, view["squares"], n))
    enough = n > 1
    return n, np.where(enough, total / n, np.nan), np.where(enough, variance, np.nan)


@with_p_value(
    "t_test",
    Family.DRIFT,
    types=_NUMBERS,
    roles=_ROLES,
    needs=("sums", "squares"),
    direction=Direction.NEITHER,
)
def t_test(current: View, reference: View) -> Pair:
    """Welch's t: the difference of the means over its standard error.

    Over all records, from exact sums: to nine digits, and as many as the variances have (see
    ``std``) where values have left the baseline. Source: Welch (1947); SciPy's ``ttest_ind``
    with ``equal_var=False``.
    """
    n, mean, a = _moments(current)
    m, base, b = _moments(reference)
    t = (mean - base) / np.sqrt(a + b)
    # By shares of the variance, whose squares neither overflow nor vanish.
    part = a / (a + b)
    df = 1.0 / (part**2 / (n - 1) + (1.0 - part) ** 2 / (m - 1))
    return t, 2.0 * special.stdtr(df, -np.abs(t))


@with_p_value(
    "z_test",
    Family.DRIFT,
    types=_NUMBERS | _WORDS,
    roles=_ROLES,
    needs=("counts",),
    direction=Direction.NEITHER,
)
def z_test(current: View, reference: View) -> Pair:
    """Z statistic of two means, or of two shares in a column of two values.

    Over all records. Of numbers: the difference of the means over its standard error, as Welch's
    t but held against the normal distribution. Of two values: the share of ``true``, or of the
    value that was most frequent in the baseline, with the pooled variance; not defined for more
    values.
    """
    if isinstance(reference.bins, CategoryBins):
        return _z_of_shares(current, reference, reference.bins)
    _, mean, a = _moments(current)
    _, base, b = _moments(reference)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (mean - base) / np.sqrt(a + b)
    return z, change_p(mean, base, a, b)


def _two_values(current: View, reference: View) -> tuple[Values, Values]:
    """Counts of the two values that there are, NaN where there are not two.

    Returns
    -------
    now, then : (window, segment, 2) float64
    """
    # One bin more, which is empty, so that there are two even where the baseline has no value.
    a, b = np.broadcast_arrays(
        *(np.pad(view["counts"], ((0, 0), (0, 0), (0, 1))) for view in (current, reference))
    )
    used = (a + b) > 0
    order = np.argsort(~used, axis=-1, kind="stable")[..., :2]
    two = (used.sum(axis=-1) == 2) & (a.sum(axis=-1) > 0) & (b.sum(axis=-1) > 0)
    now, then = (
        np.where(two[..., None], np.take_along_axis(x, order, axis=-1), np.nan) for x in (a, b)
    )
    return now, then


def _z_of_shares(current: View, reference: View, bins: CategoryBins) -> Pair:
    now, then = _two_values(current, reference)
    if current.column.type is ColumnType.BOOLEAN and bins.values[:1] == ("false",):
        now, then = now[..., ::-1], then[..., ::-1]
    n, m = now.sum(axis=-1), then.sum(axis=-1)
    pooled = (now[..., 0] + then[..., 0]) / (n + m)
    z = (now[..., 0] / n - then[..., 0] / m) / np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return z, 2.0 * special.ndtr(-np.abs(z))


@with_p_value(
    "fisher_exact",
    Family.DRIFT,
    types=_WORDS,
    roles=_ROLES,
    needs=("counts",),
    direction=Direction.NEITHER,
)
def fisher_exact(current: View, reference: View) -> Pair:
    """Odds ratio of a column of two values, with the p-value of Fisher's exact test.

    Over all records: the odds of the baseline's more frequent value, over its odds there; 1 if
    nothing changed. Where a cell is empty, ½ is added to each (Haldane 1956, Anscombe 1956).
    Not defined for more than two values. Source: Fisher (1935); SciPy's ``fisher_exact``.
    """
    now, then = _two_values(current, reference)
    empty = ((now == 0) | (then == 0)).any(axis=-1, keepdims=True)
    a, b = np.where(empty, now + 0.5, now), np.where(empty, then + 0.5, then)
    ratio = (a[..., 0] * b[..., 1]) / (a[..., 1] * b[..., 0])
    p = np.full(ratio.shape, np.nan)
    if np.isfinite(ratio).any():
        from scipy import stats

        for at in np.argwhere(np.isfinite(ratio)):
            place = tuple(at)
            p[place] = stats.fisher_exact(np.array([now[place], then[place]])).pvalue
    return ratio, p


def _tables(current: View, reference: View) -> tuple[Values, Values]:
    """Counts of values, or of ten bins of equal baseline weight: (window, segment, group)."""
    now, then = (view["counts"].astype(np.float64) for view in (current, reference))
    if isinstance(reference.bins, CategoryBins):
        return now, then
    starts = coarse_groups(then[0, 0], 10)
    return np.add.reduceat(now, starts, axis=-1), np.add.reduceat(then, starts, axis=-1)


@with_p_value("g_test", Family.DRIFT, types=_NUMBERS | _WORDS, roles=_ROLES, needs=("counts",))
def g_test(current: View, reference: View) -> Pair:
    """G statistic of homogeneity: 2 Σ O ln(O / E), the likelihood-ratio twin of chi-squared.

    Over all records; numbers by ten bins of equal baseline weight. Source: Woolf (1957); SciPy's
    ``chi2_contingency`` with ``lambda_="log-likelihood"``.
    """
    a, b = _tables(current, reference)
    n, m = a.sum(axis=-1, keepdims=True), b.sum(axis=-1, keepdims=True)
    pooled = (a + b) / (n + m)
    with np.errstate(divide="ignore", invalid="ignore"):
        cells = [special.xlogy(o, o / (size * pooled)) for o, size in ((a, n), (b, m))]
    g = 2.0 * sum(np.where(pooled > 0, cell, 0.0).sum(axis=-1) for cell in cells)
    df = (pooled > 0).sum(axis=-1) - 1.0
    p = np.where(df > 0, special.chdtrc(np.maximum(df, 1), np.maximum(g, 0.0)), 1.0)
    known = (n * m)[..., 0] > 0
    return np.where(known, np.maximum(g, 0.0), np.nan), np.where(known, p, np.nan)


@metric(
    "l_infinity",
    Family.DRIFT,
    types=_WORDS,
    roles=_ROLES,
    needs=("counts",),
    unit="share",
    asked=True,
)
def l_infinity(current: View, reference: View) -> Values:
    """L-infinity distance: the largest change of the share of any one value.

    Over all records; values beyond the baseline's 200 most frequent count as one.
    """
    out: Values = np.abs(current.shares - reference.shares).max(axis=-1)
    return out
