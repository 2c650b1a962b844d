"""How far a metric may be from its counterpart: `counterparts.py` says which holds for which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.exact import kolmogorov_smirnov, kstwo, welch
from benchmarks.samples import (
    Classes,
    Numbers,
    Regression,
    Service,
)
from tidegauge.metrics.ranking import RESOLVED, average_precision_bound, roc_auc_bound
from tidegauge.profile.profile import PERFORMANCE

DIGITS = 1e-9
INF = float("inf")
EPS = float(np.finfo(np.float64).eps)

#: (pair, exact value) -> how much smaller and how much larger than exact a value may be.
Allowed = Callable[[Any, float], tuple[float, float]]


@dataclass(frozen=True)
class Bound:
    """How far a metric may be from its counterpart.

    Parameters
    ----------
    text : str
        As the table shows it.
    allowed : callable
        ``(pair, exact) -> (below, above)``.
    per : callable
        ``(pair, exact) -> float``: what differences are shown in, where they have a unit.
    """

    text: str
    allowed: Allowed
    per: Callable[[Any, float], float] = lambda pair, exact: 1.0


def both(size: float) -> tuple[float, float]:
    return size, size


#: Numbers without a unit, and shares.
EXACT = Bound("1e-9", lambda pair, exact: both(DIGITS * max(1.0, abs(exact))))
#: Sums of what is never negative have nine digits whatever their size.
RELATIVE = Bound(
    "1e-9 of it", lambda pair, exact: both(DIGITS * abs(exact)), lambda pair, exact: abs(exact)
)


def _scale(pair: Any, exact: float) -> float:
    """The largest absolute value, for what is in a column's or label's unit."""
    return float(pair.scale)


#: What may cancel is as good as the largest value.
SCALED = Bound("1e-9 of the largest value", lambda pair, exact: both(DIGITS * pair.scale), _scale)
SAME = Bound("none", lambda pair, exact: (0.0, 0.0))


def _lost(x: Any, edges: Any) -> float:
    """What rounding can make of a variance whose squares are summed about the middle edge."""
    centre = edges[len(edges) // 2]
    n, shift = len(x), abs(x.mean() - centre)
    return float(n * EPS * (np.mean((x - centre) ** 2) + 4 * shift * np.abs(x).max()) * n / (n - 1))


def _std_error(pair: Numbers, exact: float) -> tuple[float, float]:
    lost = _lost(pair.now, pair.edges)
    ends = np.sqrt([max(exact**2 - lost, 0.0), exact**2 + lost])
    digits = DIGITS * exact
    return exact - ends[0] + digits, ends[1] - exact + digits


def _t_error(pair: Numbers, exact: float) -> tuple[float, float]:
    sides = pair.now, pair.then
    variance = sum(x.var(ddof=1) / len(x) for x in sides)
    lost = sum(_lost(x, pair.edges) / len(x) for x in sides) / variance
    moved = sum(len(x) for x in sides) * EPS * pair.scale / np.sqrt(variance)
    return both(
        DIGITS * max(1.0, abs(exact)) + abs(exact) * lost + 4 * moved if lost < 0.5 else INF
    )


def _t_p_error(pair: Numbers, exact: float) -> tuple[float, float]:
    # No density of Student's t is above 0.4, and p changes less with df than with t.
    return both(DIGITS + _t_error(pair, welch(pair).statistic)[0])


def _r2_error(pair: Regression, exact: float) -> tuple[float, float]:
    true, _ = pair.both
    return both(DIGITS * max(1.0, abs(exact)) + (1 - exact) * 4 * len(true) * EPS * distance(pair))


def distance(pair: Regression) -> float:
    """Mean square of the labels about the median of the baseline's bins, over their variance."""
    true, _ = pair.both
    about = np.median(pair.made[0].bins["label"].edges)
    return float(np.mean((true - about) ** 2) / true.var())


def ks_bound(pair: Numbers) -> float:
    p, q = (counts / counts.sum() for counts in pair.fine)
    heaviest = np.unique(pair.then, return_counts=True)[1].max() / len(pair.then)
    return float(min(np.minimum(p, q).max(), 1 / 220 + heaviest))


def _ks_p_error(pair: Numbers, exact: float) -> tuple[float, float]:
    n, m = len(pair.now), len(pair.then)
    size = n * m / (n + m)
    approximate = 0.13 / np.sqrt(size) + 0.45 / size
    widest = kolmogorov_smirnov(pair).statistic - ks_bound(pair)
    return approximate, kstwo(widest, size) - exact + approximate


def _wasserstein_error(pair: Numbers, exact: float) -> tuple[float, float]:
    p, q = (counts / counts.sum() for counts in pair.fine)
    before = np.cumsum(p - q) - (p - q)
    hair = 1e-12
    crossing = (before > -p - hair) & (before < q + hair)
    ends = [_ends(v, pair.edges) for v in (pair.now, pair.then)]
    lows, highs = np.minimum(ends[0][0], ends[1][0]), np.maximum(ends[0][1], ends[1][1])
    width = np.where(highs > lows, highs - lows, 0.0)
    return both(float((crossing * (p + q) * width / 2).sum()) + DIGITS * pair.scale)


def _ends(values: Any, edges: Any) -> tuple[Any, Any]:
    """Smallest and largest value in each bin (∞ and -∞ where there is none)."""
    codes = np.searchsorted(edges, values)
    low, high = np.full(len(edges) + 1, np.inf), np.full(len(edges) + 1, -np.inf)
    np.minimum.at(low, codes, values)
    np.maximum.at(high, codes, values)
    return low, high


def beside(level: float) -> Bound:
    """Room within the bins that hold the two records beside a quantile."""

    def allowed(pair: Numbers | Service, exact: float) -> tuple[float, float]:
        ordered, edges = np.sort(pair.now), np.concatenate(([-np.inf], pair.edges, [np.inf]))
        rank = level * (len(ordered) - 1)
        upper = rank - np.floor(rank)
        below = above = DIGITS * pair.scale
        for place, weight in ((np.floor(rank), 1 - upper), (np.ceil(rank), upper)):
            value = ordered[int(place)]
            code = np.searchsorted(pair.edges, value)
            below += weight * (value - max(edges[code], ordered[0]))
            above += weight * (min(edges[code + 1], ordered[-1]) - value)
        return below, above

    return Bound("width of the bins of the records beside it", allowed, _scale)


STD = Bound("1e-9 of it, and rounding far from the baseline", _std_error, _scale)
T = Bound(
    "1e-9, and rounding far from the baseline",
    _t_error,
    lambda pair, exact: max(1.0, abs(exact)),
)
T_P = Bound("1e-9, and rounding far from the baseline", _t_p_error)
R2 = Bound(
    "1e-9, and rounding far from the baseline",
    _r2_error,
    lambda pair, exact: max(1.0, abs(exact)),
)
KS = Bound("largest share of one bin in both, and ≤ 1/220 + heaviest value",
           lambda pair, exact: (ks_bound(pair) + DIGITS, DIGITS))  # fmt: skip
KS_P = Bound("0.13/√e + 0.45/e, e = nm/(n + m); and that of ks", _ks_p_error)
WASSERSTEIN = Bound(
    "(p + q) / 2 of the widths of bins where the functions may cross", _wasserstein_error, _scale
)
HYPERLOGLOG = Bound(
    "4 standard errors of 3.7 %, or 1",
    lambda pair, exact: both(1 + 4 * 0.037 * exact),
    lambda pair, exact: exact,
)
CONFIDENCE = Bound("0.01", lambda pair, exact: both(0.01 + DIGITS))
ROC_AUC = Bound("Σ p q / 2 over bins", lambda pair, exact: both(_seen(roc_auc_bound, pair)))
PRECISION = Bound(
    "a bin's positives first, or last",
    lambda pair, exact: both(_seen(average_precision_bound, pair)),
)


def _seen(bound: Callable[[Any], Any], pair: Classes) -> float:
    return float(bound(pair.view(PERFORMANCE))[0, 0]) + DIGITS


def unresolved(pair: Classes) -> bool:
    return float(roc_auc_bound(pair.view(PERFORMANCE))[0, 0]) > RESOLVED
