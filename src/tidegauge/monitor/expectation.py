"""What a baseline leads one to expect of a statistic: its level, its seasons, its own variation.

The model behind it, for every statistic by itself, on the scale where it is judged::

    y = level + weekday + hour + what moves from window to window + sampling noise
        └──────── expected ───────┘ └──────── τ² ─────────────┘   └──── v, known ───┘

Seasons are shrunk towards none by as much as they could be chance (James–Stein); τ² is what the
baseline's windows vary beyond sampling noise; its degrees of freedom count what the seasons used
up, and the autocorrelation of windows. See ``docs/statistics.md``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray
from scipy import special

from tidegauge.metrics.registry import Values
from tidegauge.monitor.seasons import Season, seasons

_ROUNDS = 3
#: Newest windows of the baseline whose deviations are kept.
_KEPT = 32
#: A column that varies more than its kind keeps so much of the difference.
_OWN = 0.5
#: So many series of a kind tell how much their autocorrelations differ.
_KIND = 5
_TINY = 1e-18
#: Degrees of freedom from which Student's t is as good as normal.
MANY = 1e6
_MOST_CORRELATED = 0.9


@dataclass(frozen=True, eq=False)
class Effects:
    """What one season adds to the level; all (slot, segment, part).

    ``effect`` is shrunk already; ``variance`` is that of its estimate, and ``common``, (segment,
    part), what the estimates of all slots share, negatively, since they add up to nothing.
    """

    season: Season
    effect: Values
    variance: Values
    common: Values


@dataclass(frozen=True, eq=False)
class Expectation:
    """What to expect of one statistic; arrays are (segment, part) unless said otherwise.

    Parameters
    ----------
    level : float64
        Mean over the baseline's windows.
    level_variance : float64
        Of that estimate.
    effects : tuple of Effects
    sampling : float64
        Mean sampling variance of the baseline's windows.
    between : float64
        τ²: variance between windows beyond sampling noise.
    spread : float64
        Variance of a window about what was expected of it, sampling noise included.
    df : float64
        Degrees of freedom of ``spread``.
    windows : (segment, part) int64
        Baseline windows that could be used; 0 where the baseline has no windows at all.
    correlation : float64
        Between the deviations of one window and the next.
    last : Deviation of the newest of the baseline's windows
        Starts, deviations and sampling variances: (window,), (window, segment, part) twice.
    whole : (1, segment) float64
        The metric's own value over the whole baseline.
    usual : (segment,) float64
        Its mean over the baseline's windows, in its own unit.
    judged : bool
        Whether a window can be held to it; what is only shown has a usual value and no more.
    """

    level: Values
    level_variance: Values
    effects: tuple[Effects, ...]
    sampling: Values
    between: Values
    spread: Values
    df: Values
    windows: NDArray[np.int64]
    correlation: Values
    last: tuple[NDArray[np.int64], Values, Values]
    whole: Values
    usual: Values
    judged: bool = True

    @property
    def sampled(self) -> bool:
        """Whether sampling noise is all that is known, for want of baseline windows."""
        return not self.windows.any()

    def at(self, starts: NDArray[np.int64]) -> Values:
        """Return what level and seasons lead one to expect of windows.

        Parameters
        ----------
        starts : (window,) int64

        Returns
        -------
        (window, segment, part) float64
        """
        expected = np.broadcast_to(self.level, (len(starts), *self.level.shape)).copy()
        for one in self.effects:
            expected += one.effect[one.season.of(starts)]
        return expected


@dataclass(frozen=True, eq=False)
class Fitted:
    """An expectation before it is held beside those of its kind.

    Parameters
    ----------
    expectation : Expectation
    lagged : two (pair, segment, part) float64
        Deviations of the baseline's windows, and of those that follow them.
    """

    expectation: Expectation
    lagged: tuple[Values, Values]


def without_windows(level: Values, variance: Values, whole: Values) -> Expectation:
    """Return the expectation of a baseline that has no windows: sampling noise is all there is.

    Parameters
    ----------
    level, variance : (1, segment, part) float64
        The statistic over the whole baseline.
    whole : (1, segment) float64
    """
    none = np.zeros(level.shape[1:])
    return Expectation(
        level[0],
        variance[0],
        (),
        variance[0],
        none,
        none,
        np.full(level.shape[1:], MANY),
        np.zeros(level.shape[1:], dtype=np.int64),
        none,
        (np.zeros(0, dtype=np.int64), level[:0], level[:0]),
        whole,
        whole[0],
    )


def shown_only(whole: Values, usual: Values) -> Expectation:
    """Return the expectation of a metric that nobody judges: what is usual, and no more.

    Parameters
    ----------
    whole : (1, segment) float64
    usual : (segment,) float64
    """
    unknown = np.full((1, whole.shape[1], 1), np.nan)
    return replace(without_windows(unknown, unknown, whole), usual=usual, judged=False)


def fit(
    value: Values,
    variance: Values,
    starts: NDArray[np.int64],
    width: timedelta,
    whole: Values,
    usual: Values,
) -> Fitted:
    """Learn level, seasons and variation from a baseline's windows.

    Parameters
    ----------
    value, variance : (window, segment, part) float64
        NaN where a window is of no use.
    starts : (window,) int64, increasing
    width : timedelta
    whole : (1, segment) float64
    usual : (segment,) float64
    """
    known = np.isfinite(value)
    n = known.sum(axis=0)
    y, v = np.where(known, value, 0.0), np.where(known, variance, 0.0)
    noise = v.sum(axis=0) / np.maximum(n, 1)
    turns = seasons(starts, width)
    between = np.zeros(y.shape[1:])
    for _ in range(_ROUNDS):
        weight = np.where(known, 1.0 / np.maximum(v + between, _TINY), 0.0)
        total = np.maximum(weight.sum(axis=0), _TINY)
        level = (weight * y).sum(axis=0) / total
        rest = np.where(known, y - level, 0.0)
        leverage = weight / total
        used = np.ones(y.shape[1:])
        effects = []
        for season in turns:
            slots = season.of(starts)
            one, shrink, present = _effects(season, slots, rest, weight, n)
            effects.append(one)
            rest = np.where(known, rest - one.effect[slots], 0.0)
            leverage = leverage + weight * one.variance[slots]
            used = used + shrink * np.maximum(present - 1, 0)
        left = np.maximum(n - leverage.sum(axis=0), _TINY)
        spread = (rest**2).sum(axis=0) / left
        between = np.maximum(spread - noise, 0.0)
    touch = np.diff(starts) == width // timedelta(microseconds=1)
    expectation = Expectation(
        np.where(n > 0, level, np.nan),
        1.0 / total,
        tuple(effects),
        noise,
        between,
        np.where(n > 1, spread, np.nan),
        n - used,
        n,
        np.zeros(y.shape[1:]),
        (starts[-_KEPT:], np.where(known, rest, np.nan)[-_KEPT:], v[-_KEPT:]),
        whole,
        usual,
    )
    return Fitted(expectation, (rest[:-1][touch], rest[1:][touch]))


def _effects(
    season: Season, slots: NDArray[np.int64], rest: Values, weight: Values, n: NDArray[np.int64]
) -> tuple[Effects, Values, NDArray[np.int64]]:
    """Fit one season to what is left; also how much of it is kept, and its filled slots."""
    pick = np.zeros((season.slots, len(slots)))
    pick[slots, np.arange(len(slots))] = 1.0
    held = np.tensordot(pick, weight, axes=1)
    filled = held > 0
    mean = np.tensordot(pick, weight * rest, axes=1) / np.maximum(held, _TINY)
    present = filled.sum(axis=0)
    degrees = n - present
    within = (weight * (rest - mean[slots]) ** 2).sum(axis=0) / np.maximum(degrees, 1)
    among = (held * mean**2).sum(axis=0) / np.maximum(present - 1, 1)
    clear = (degrees > 0) & (present > 1) & (among > within)
    shrink = np.where(clear, 1.0 - within / np.maximum(among, _TINY), 0.0)
    total = np.maximum(weight.sum(axis=0), _TINY)
    own = np.where(filled, 1.0 / np.maximum(held, _TINY) - 1.0 / total, 0.0)
    # Of a slot that the baseline never saw all is known that the others differ by so much.
    apart = np.maximum(among - within, 0.0) * present / total
    variance = np.where(filled, shrink * own, apart)
    effect = shrink * np.where(filled, mean, 0.0)
    return Effects(season, effect, variance, shrink / total), shrink, present


def settle(fitted: list[Fitted], *, pooled: bool) -> list[Expectation]:
    """Finish the expectations of one kind of statistic together.

    Autocorrelations are moved towards their mean by as much as they could be chance; where
    ``pooled``, each variance is moved towards what the others have.

    Parameters
    ----------
    fitted : list of Fitted
        One metric's, over all columns.
    pooled : bool
    """
    held = [f.expectation for f in fitted]
    windows = max((int(e.windows.max(initial=0)) for e in held), default=0)
    own = [_autocorrelation(*f.lagged, windows) for f in fitted]
    every = np.concatenate([r.ravel() for r in own])
    told = every[np.isfinite(every)]
    mean = float(np.clip(told.mean(), 0.0, _MOST_CORRELATED)) if told.size else 0.0
    loss = (1 - mean**2) / (1 + mean**2)
    out = []
    for e, r in zip(held, own, strict=True):
        shrunk = np.full(r.shape, 0.0)
        if told.size >= _KIND:
            chance = 1.0 / max(windows, 1)
            real = max(float(told.var()) - chance, 0.0)
            keep = real / (real + chance)
            shrunk = np.clip(mean + keep * (np.where(np.isfinite(r), r, mean) - mean), 0.0, None)
        shrunk = np.minimum(shrunk, _MOST_CORRELATED)
        out.append(replace(e, df=np.maximum(e.df * loss, 0.0), correlation=shrunk))
    return _pooled(out) if pooled else out


def _autocorrelation(first: Values, after: Values, windows: int) -> Values:
    """Return the lag-1 autocorrelation of deviations, corrected for its bias; (segment, part).

    Source of the correction: Kendall (1954).
    """
    scale = np.sqrt((first**2).sum(axis=0) * (after**2).sum(axis=0))
    told = (scale > 0) & (windows >= 3)
    r = (first * after).sum(axis=0) / np.where(told, scale, 1.0)
    return np.where(told, r + (1 + 3 * r) / max(windows, 1), np.nan)


def _pooled(held: list[Expectation]) -> list[Expectation]:
    """Squeeze the variances of a kind towards each other."""
    spread = np.concatenate([e.spread.ravel() for e in held])
    df = np.concatenate([e.df.ravel() for e in held])
    usable = np.isfinite(spread) & (spread > 0) & (df > 0)
    if usable.sum() < 3:
        return held
    more, prior = squeeze(spread[usable], df[usable])
    if more <= 0:
        return held
    out = []
    for e in held:
        common = (more * prior + e.df * e.spread) / (more + e.df)
        varies = e.spread > 0
        own = _OWN * np.maximum(e.spread - common, 0.0)
        wider = np.where(varies, common + own, e.spread)
        between = np.where(varies, np.maximum(wider - e.sampling, 0.0), 0.0)
        df = np.where(varies, np.minimum(e.df + more, MANY), e.df)
        out.append(replace(e, spread=wider, between=between, df=df))
    return out


def squeeze(variances: Values, df: Values) -> tuple[float, float]:
    """Return degrees of freedom and value of the prior that variances have in common.

    Parameters
    ----------
    variances, df : (series,) float64, positive

    Returns
    -------
    df, variance : float
        Moments of the logarithm of an F distribution. Source: Smyth (2004), *Linear models and
        empirical Bayes methods for assessing differential expression*.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> own = rng.chisquare(20, size=4000) / 20
    >>> more, prior = squeeze(own, np.full(4000, 20.0))
    >>> more > 1000, round(prior, 1)
    (True, 1.0)
    """
    logs = np.log(variances) - special.digamma(df / 2) + np.log(df / 2)
    mean = float(logs.mean())
    extra = float(logs.var(ddof=1) - special.polygamma(1, df / 2).mean())
    if extra <= 0:
        return MANY, float(np.exp(mean))
    more = 2 * _inverse_trigamma(extra)
    return min(more, MANY), float(np.exp(mean + special.digamma(more / 2) - np.log(more / 2)))


def _inverse_trigamma(x: float) -> float:
    """Solve trigamma(y) = x by Newton's method on its reciprocal."""
    if x < 1e-6:
        return 1.0 / x
    y = 0.5 + 1.0 / x
    for _ in range(50):
        tri = float(special.polygamma(1, y))
        step = tri * (1 - tri / x) / float(special.polygamma(2, y))
        y += step
        if -step / y < 1e-8:
            break
    return y
