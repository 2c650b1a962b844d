"""What each metric is held against in SciPy, scikit-learn or NumPy, and how far it may differ.

One row of ``COUNTERPARTS`` a metric and kind of sample. Counterparts read the raw values, never
a profile. A metric is either in a row or, with the reason, in ``WITHOUT``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import sklearn
from scipy import stats
from scipy.spatial.distance import chebyshev, cityblock, euclidean, jensenshannon
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from benchmarks.samples import (
    Binary,
    Classes,
    Multiclass,
    Numbers,
    Pair,
    Regression,
    Service,
    Words,
)
from tidegauge.metrics import find_metric
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


class Undefined(Exception):
    """A counterpart has no value for want of records."""


@dataclass(frozen=True)
class Row:
    """One metric and what it is held against.

    Parameters
    ----------
    metric : str
    exact : callable
        ``(pair) -> float``; raises `Undefined`.
    bound : Bound
    kinds : tuple of type
        Kinds of pairs it holds for.
    counterpart : str
        For people: whose function it is.
    what : {"value", "p_value"}
    open : callable, optional
        ``(pair) -> bool``: where the metric may be undefined though its counterpart is not.
    """

    metric: str
    exact: Callable[[Any], float]
    bound: Bound
    kinds: tuple[type[Pair], ...]
    counterpart: str
    what: Literal["value", "p_value"] = "value"
    open: Callable[[Any], bool] | None = None

    @property
    def name(self) -> str:
        """The metric, with ``p`` for its p-value."""
        return self.metric if self.what == "value" else f"{self.metric} p"


@dataclass(frozen=True)
class Gap:
    """One comparison: ``found`` may lie ``below`` and ``above`` of ``exact`` so far."""

    row: Row
    found: float
    exact: float
    below: float
    above: float
    per: float = 1.0

    @property
    def size(self) -> float:
        """The difference."""
        return abs(self.found - self.exact)

    @property
    def shown(self) -> float:
        """The difference, as a share of the largest value where it has a unit."""
        return self.size / self.per if self.size else 0.0

    @property
    def part(self) -> float:
        """The difference as a part of what is allowed: at most 1 if it agrees."""
        room = self.above if self.found > self.exact else self.below
        if self.size == 0.0:
            return 0.0
        return self.size / room if room > 0 else float("inf")


def gaps(pair: Pair) -> Iterator[Gap]:
    """Yield the comparisons of one pair; where neither side is defined there is none.

    Raises
    ------
    AssertionError
        If only one of metric and counterpart is defined.
    """
    rows = [row for row in COUNTERPARTS if type(pair) in row.kinds]
    found = pair.evaluate([find_metric(row.metric) for row in rows])
    quick = {"skip_parameter_validation": True, "assume_finite": True}
    for row in rows:
        series = found[row.metric]
        held = series.value if row.what == "value" else series.p_value
        assert held is not None
        value = float(held[0, 0])
        with warnings.catch_warnings(), np.errstate(all="ignore"), sklearn.config_context(**quick):
            warnings.simplefilter("ignore")
            try:
                exact = float(row.exact(pair))
            except Undefined:
                assert np.isnan(value), f"{row.name} is {value}, and should not be defined"
                continue
            if np.isnan(value) and row.open is not None and row.open(pair):
                continue
            assert not np.isnan(value), f"{row.name} is not defined, and should be {exact}"
            below, above = row.bound.allowed(pair, exact)
            per = row.bound.per(pair, exact)
        yield Gap(row, value, exact, below, above, per)


def known(values: Any, size: float | None = None, least: int = 1) -> Any:
    """Return values, if there are at least so many.

    Raises
    ------
    Undefined
    """
    if (len(values) if size is None else size) < least:
        raise Undefined
    return values


# Bounds --------------------------------------------------------------------------------------


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
    return both(DIGITS * max(1.0, abs(exact)) + (1 - exact) * 4 * len(true) * EPS * _distance(pair))


def _distance(pair: Regression) -> float:
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
    return approximate, _kstwo(widest, size) - exact + approximate


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


def _beside(level: float) -> Bound:
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


def _unresolved(pair: Classes) -> bool:
    return float(roc_auc_bound(pair.view(PERFORMANCE))[0, 0]) > RESOLVED


# Counterparts: distributions -----------------------------------------------------------------

FLOOR = 1e-4


def _shares(pair: Numbers | Words) -> tuple[Any, Any]:
    p, q = (row / known(row.sum(), row.sum()) for row in pair.table)
    return p, q


def _relative_entropy(p: Any, q: Any) -> float:
    """SciPy's, without its making the shares add up to one."""
    return float(p.sum() * (stats.entropy(p, q) + np.log(p.sum() / q.sum())))


def psi(pair: Numbers | Words) -> float:
    p, q = (np.maximum(shares, FLOOR) for shares in _shares(pair))
    return _relative_entropy(p, q) + _relative_entropy(q, p)


def kl_divergence(pair: Numbers | Words) -> float:
    p, q = _shares(pair)
    return max(_relative_entropy(p, np.where(q == 0, FLOOR, q)), 0.0)


def js_distance(pair: Numbers | Words) -> float:
    return float(jensenshannon(*_shares(pair), base=2))


def hellinger(pair: Numbers | Words) -> float:
    p, q = _shares(pair)
    return euclidean(np.sqrt(p), np.sqrt(q)) / np.sqrt(2)


def total_variation(pair: Words) -> float:
    return cityblock(*_shares(pair)) / 2


def chi2(pair: Numbers | Words) -> Any:
    _shares(pair)
    return stats.chi2_contingency(pair.table[:, pair.table.any(axis=0)], correction=False)


def g_test(pair: Numbers | Words) -> Any:
    _shares(pair)
    table = pair.table[:, pair.table.any(axis=0)]
    return stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")


def l_infinity(pair: Words) -> float:
    return float(chebyshev(*_shares(pair)))


def kolmogorov_smirnov(pair: Numbers) -> Any:
    return stats.ks_2samp(known(pair.now), known(pair.then), method="asymp")


def _kstwo(distance: float, size: float) -> float:
    return float(np.clip(stats.kstwo.sf(distance, max(np.round(size), 1.0)), 0.0, 1.0))


def ks_p(pair: Numbers) -> float:
    """As ``ks_2samp(method="asymp")``, which knows none for one record against another."""
    distance = kolmogorov_smirnov(pair).statistic
    n, m = len(pair.now), len(pair.then)
    return _kstwo(distance, n * m / (n + m))


def welch(pair: Numbers) -> Any:
    for side in (pair.now, pair.then):
        known(side, least=2)
    known(np.unique([*pair.now, *pair.then]), np.ptp(pair.now) + np.ptp(pair.then) > 0)
    # It is the same in any unit, but SciPy squares variances.
    return stats.ttest_ind(pair.now / pair.scale, pair.then / pair.scale, equal_var=False)


def wasserstein(pair: Numbers) -> float:
    return float(stats.wasserstein_distance(known(pair.now), known(pair.then)))


# Counterparts: quality and service -----------------------------------------------------------


def _of_values(statistic: Callable[[Any], float], least: int = 1) -> Callable[[Any], float]:
    return lambda pair: float(statistic(known(pair.now, least=least)))


def _outside(pair: Numbers) -> float:
    """What is below or above the schema's range, or else the baseline's."""
    then = pair.then if len(pair.then) else np.zeros(1)
    low = then.min() if pair.low is None else pair.low
    high = then.max() if pair.high is None else pair.high
    return float(np.mean(((pair.new < low) | (pair.new > high)) & ~pair.wrong))


def distinct(pair: Numbers | Words) -> float:
    held = pair.now if isinstance(pair, Numbers) else {v for v in pair.new if v is not None}
    return float(len(np.unique(held) if isinstance(pair, Numbers) else held))


def missing(pair: Numbers | Words) -> float:
    if isinstance(pair, Words):
        return float(np.mean([v is None for v in pair.new]))
    return float(np.mean(np.isnan(pair.new) & ~pair.wrong))


def infinite(pair: Numbers) -> float:
    return float(np.mean(np.isinf(pair.new) & ~pair.wrong))


def unseen(pair: Words) -> float:
    known = {*pair.old, None}
    return float(np.mean([v not in known for v in pair.new]))


def _quantile(level: float) -> Callable[[Any], float]:
    return _of_values(lambda values: float(np.quantile(values, level)))


def throughput(pair: Service) -> float:
    seconds = np.ptp(np.array(pair.times)) / 1e6
    return float(len(pair.times) / known(seconds, seconds > 0))


def failures(pair: Service) -> float:
    told = known([s for s in pair.status if s is not None])
    return float(np.mean([s in ("500", "503", "599.0", "error", "timeout") for s in told]))


# Counterparts: performance -------------------------------------------------------------------


def _decided(pair: Classes) -> tuple[Any, Any]:
    true, said = pair.decided
    return known(true), said


def _decisions(score: Callable[..., float], average: str | None = None) -> Callable[[Any], float]:
    def exact(pair: Classes) -> float:
        true, said = _decided(pair)
        if average is None and isinstance(pair, Binary):
            value = score(true, said, zero_division=np.nan)
            return float(known(value, 0 if np.isnan(value) else 1))
        return float(score(true, said, average=average or "macro", zero_division=0))

    return exact


def accuracy(pair: Classes) -> float:
    return float(sk.accuracy_score(*_decided(pair)))


def mean_label(pair: Binary) -> float:
    return float(np.mean(_decided(pair)[0]))


def label_coverage(pair: Classes | Regression) -> float:
    if isinstance(pair, Regression):
        return float(np.mean(np.isfinite(pair.label)))
    return float(np.mean([t is not None for t in pair.label]))


def _scored(pair: Classes) -> tuple[Any, Any]:
    true, shares = pair.scored
    return known(true), shares


def log_loss(pair: Classes) -> float:
    true, shares = _scored(pair)
    return float(sk.log_loss(true, shares, labels=range(shares.shape[1])))


def brier(pair: Classes) -> float:
    true, shares = _scored(pair)
    if isinstance(pair, Binary):
        return float(sk.brier_score_loss(true, shares[:, 1], pos_label=1))
    k = shares.shape[1]
    return float(sk.mean_squared_error(np.eye(k)[true], shares) * k)


def calibration_error(pair: Classes) -> float:
    hits, sure = known(pair.calibrated[0]), pair.calibrated[1]
    tenths = np.digitize(sure, np.linspace(0, 1, 11)[1:-1], right=True)
    weights = np.unique(tenths, return_counts=True)[1] / len(hits)
    happened, told = calibration_curve(hits, sure, n_bins=10, pos_label=1)
    return float((np.abs(happened - told) * weights).sum())


def mean_score(pair: Classes) -> float:
    """Mean score of a binary model; of several classes that of the likeliest."""
    _, shares = _scored(pair)
    return float(np.mean(shares[:, 1] if isinstance(pair, Binary) else shares.max(axis=1)))


def _sure(statistic: Callable[[Any], float]) -> Callable[[Any], float]:
    return lambda pair: float(statistic(known(pair.sure)))


def _inverted(level: float) -> Callable[[Any], float]:
    return _sure(lambda sure: float(np.quantile(sure, level, method="inverted_cdf")))


def _ranks(score: Callable[..., float], negatives: int) -> Callable[[Any], float]:
    """One class against the rest, and the plain mean over classes that have what is needed."""

    def exact(pair: Classes) -> float:
        true, shares = pair.scored
        places = [1] if isinstance(pair, Binary) else range(shares.shape[1])
        each = [
            score(true == k, shares[:, k])
            for k in places
            if (true == k).any() and (true != k).sum() >= negatives
        ]
        return float(np.mean(known(each)))

    return exact


def _errors(score: Callable[[Any, Any], float]) -> Callable[[Any], float]:
    return lambda pair: float(score(known(pair.both[0]), pair.both[1]))


def r2(pair: Regression) -> float:
    true, said = pair.both
    known(np.unique(true), least=2)
    return float(sk.r2_score(true, said))


def bias(pair: Binary | Regression) -> float:
    if isinstance(pair, Binary):
        true, shares = _scored(pair)
        return float(true.mean() - shares[:, 1].mean())
    true, said = pair.both
    return float(np.mean(known(true) - said))


# The table -----------------------------------------------------------------------------------

N, W, B, M, R, S = Numbers, Words, Binary, Multiclass, Regression, Service

COUNTERPARTS = (
    Row("psi", psi, EXACT, (N, W), "scipy.stats.entropy, both ways"),
    Row("kl_divergence", kl_divergence, EXACT, (N, W), "scipy.stats.entropy"),
    Row("js_distance", js_distance, EXACT, (N, W), "scipy.spatial.distance.jensenshannon"),
    Row("hellinger", hellinger, EXACT, (N, W), "scipy.spatial.distance.euclidean of roots"),
    Row("total_variation", total_variation, EXACT, (W,), "scipy.spatial.distance.cityblock / 2"),
    Row("chi2", lambda p: chi2(p).statistic, EXACT, (N, W), "scipy.stats.chi2_contingency"),
    Row("chi2", lambda p: chi2(p).pvalue, EXACT, (N, W), "scipy.stats.chi2_contingency", "p_value"),
    Row("g_test", lambda p: g_test(p).statistic, EXACT, (N, W), "scipy.stats.chi2_contingency"),
    Row("g_test", lambda p: g_test(p).pvalue, EXACT, (N, W), "chi2_contingency", "p_value"),
    Row("l_infinity", l_infinity, EXACT, (W,), "scipy.spatial.distance.chebyshev"),
    Row("t_test", lambda p: welch(p).statistic, T, (N,), "scipy.stats.ttest_ind"),
    Row("t_test", lambda p: welch(p).pvalue, T_P, (N,), "scipy.stats.ttest_ind", "p_value"),
    Row("ks", lambda p: kolmogorov_smirnov(p).statistic, KS, (N,), "scipy.stats.ks_2samp"),
    Row("ks", ks_p, KS_P, (N,), "scipy.stats.ks_2samp, asymptotic", "p_value"),
    Row("wasserstein", wasserstein, WASSERSTEIN, (N,), "scipy.stats.wasserstein_distance"),
    Row("missing_share", missing, EXACT, (N, W), "numpy.isnan"),
    Row("unseen_share", unseen, EXACT, (W,), "set"),
    Row("out_of_range_share", _outside, EXACT, (N,), "numpy, < and >"),
    Row("infinite_share", infinite, EXACT, (N,), "numpy.isinf"),
    Row("type_error_share", lambda p: np.mean(p.wrong), EXACT, (N,), "numpy.mean"),
    Row("row_count", lambda p: len(p.new), SAME, (N, W), "len"),
    Row("distinct_count", distinct, HYPERLOGLOG, (N, W), "numpy.unique"),
    Row("mean", _of_values(np.mean), SCALED, (N,), "numpy.mean"),
    Row("std", _of_values(lambda v: np.std(v - v[0], ddof=1), 2), STD, (N,), "numpy.std"),
    Row("min", _of_values(np.min), SAME, (N,), "numpy.min"),
    Row("max", _of_values(np.max), SAME, (N,), "numpy.max"),
    *(
        Row(name, _quantile(q), _beside(q), (kind,), "numpy.quantile")
        for name, q, kind in (
            ("p05", 0.05, N), ("p25", 0.25, N), ("median", 0.5, N), ("p75", 0.75, N),
            ("p95", 0.95, N), ("latency_p50", 0.5, S), ("latency_p95", 0.95, S),
            ("latency_p99", 0.99, S),
        )
    ),
    Row("latency_mean", _of_values(np.mean), SCALED, (S,), "numpy.mean"),
    Row("throughput", throughput, EXACT, (S,), "len over max − min"),
    Row("error_share", failures, EXACT, (S,), "numpy.mean"),
    Row("accuracy", accuracy, EXACT, (B, M), "sklearn.metrics.accuracy_score"),
    Row("precision", _decisions(sk.precision_score), EXACT, (B, M), "sklearn precision_score"),
    Row("recall", _decisions(sk.recall_score), EXACT, (B, M), "sklearn.metrics.recall_score"),
    Row("f1", _decisions(sk.f1_score), EXACT, (B, M), "sklearn.metrics.f1_score"),
    Row("precision_micro", _decisions(sk.precision_score, "micro"), EXACT, (M,), "precision_score"),
    Row("recall_micro", _decisions(sk.recall_score, "micro"), EXACT, (M,), "recall_score"),
    Row("f1_micro", _decisions(sk.f1_score, "micro"), EXACT, (M,), "f1_score"),
    Row("mean_label", mean_label, EXACT, (B,), "numpy.mean"),
    Row("label_coverage", label_coverage, EXACT, (B, R), "numpy.mean"),
    Row("log_loss", log_loss, EXACT, (B, M), "sklearn.metrics.log_loss"),
    Row("brier", brier, EXACT, (B, M), "sklearn.metrics.brier_score_loss"),
    Row("calibration_error", calibration_error, EXACT, (B, M), "sklearn calibration_curve"),
    Row("mean_score", mean_score, EXACT, (B, M), "numpy.mean"),
    Row("mean_confidence", _sure(np.mean), EXACT, (B, M), "numpy.mean"),
    Row("confidence_p05", _inverted(0.05), CONFIDENCE, (B, M), "numpy.quantile, inverted_cdf"),
    Row("confidence_p50", _inverted(0.5), CONFIDENCE, (B, M), "numpy.quantile, inverted_cdf"),
    Row("roc_auc", _ranks(sk.roc_auc_score, 1), ROC_AUC, (B, M), "roc_auc_score", open=_unresolved),
    Row("average_precision", _ranks(sk.average_precision_score, 0), PRECISION, (B, M),
        "average_precision_score", open=_unresolved),
    Row("mae", _errors(sk.mean_absolute_error), RELATIVE, (R,), "mean_absolute_error"),
    Row("mse", _errors(sk.mean_squared_error), RELATIVE, (R,), "mean_squared_error"),
    Row("rmse", _errors(sk.root_mean_squared_error), RELATIVE, (R,), "root_mean_squared_error"),
    Row("mape", _errors(sk.mean_absolute_percentage_error), RELATIVE, (R,),
        "mean_absolute_percentage_error"),
    Row("r2", r2, R2, (R,), "r2_score", open=lambda p: _distance(p) > 1e11),
    Row("bias", bias, EXACT, (B,), "numpy.mean"),
    Row("bias", bias, SCALED, (R,), "numpy.mean"),
)  # fmt: skip

_SCIPY = "it is SciPy's own function, called on the sample"
_SAMPLE = "of the sample's rows, by a method that is neither SciPy's nor scikit-learn's alone"
_TIMES = "a difference of two times"

#: Metrics that have no exact counterpart, because …
WITHOUT = {
    "location_shift": "normal scores over bins are in neither library",
    "shape_shift": "normal scores over bins are in neither library",
    "cramer_von_mises": _SCIPY,
    "anderson_darling": _SCIPY,
    "mann_whitney": _SCIPY,
    "epps_singleton": _SCIPY,
    "energy_distance": _SCIPY,
    "fisher_exact": "the p-value is SciPy's own; ½ is added to the odds where a cell is empty",
    "z_test": "in neither library; of numbers it is t_test, of shares the root of chi2",
    "mmd": _SAMPLE,
    "domain_classifier": _SAMPLE,
    "pca_reconstruction_error": _SAMPLE,
    "embedding_mmd": _SAMPLE,
    "embedding_domain_classifier": _SAMPLE,
    "embedding_mean_distance": _SAMPLE,
    "embedding_cosine_distance": _SAMPLE,
    "dimension_error_share": "a share of vectors, and no pairs of vectors are made here",
    "text_domain_classifier": _SAMPLE,
    "text_length": _SAMPLE,
    "out_of_vocabulary_share": _SAMPLE,
    "baseline_age": _TIMES,
    "label_age": _TIMES,
    "model_age": _TIMES,
}
