"""What metrics are in SciPy, scikit-learn or NumPy, computed of the raw values of a pair."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats
from scipy.spatial.distance import chebyshev, cityblock, euclidean, jensenshannon
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from benchmarks.samples import (
    Binary,
    Classes,
    Numbers,
    Regression,
    Service,
    Words,
)

DIGITS = 1e-9
INF = float("inf")
EPS = float(np.finfo(np.float64).eps)


class Undefined(Exception):
    """A counterpart has no value for want of records."""


def known(values: Any, size: float | None = None, least: int = 1) -> Any:
    """Return values, if there are at least so many.

    Raises
    ------
    Undefined
    """
    if (len(values) if size is None else size) < least:
        raise Undefined
    return values


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


def kstwo(distance: float, size: float) -> float:
    return float(np.clip(stats.kstwo.sf(distance, max(np.round(size), 1.0)), 0.0, 1.0))


def ks_p(pair: Numbers) -> float:
    """As ``ks_2samp(method="asymp")``, which knows none for one record against another."""
    distance = kolmogorov_smirnov(pair).statistic
    n, m = len(pair.now), len(pair.then)
    return kstwo(distance, n * m / (n + m))


def welch(pair: Numbers) -> Any:
    for side in (pair.now, pair.then):
        known(side, least=2)
    known(np.unique([*pair.now, *pair.then]), np.ptp(pair.now) + np.ptp(pair.then) > 0)
    # It is the same in any unit, but SciPy squares variances.
    return stats.ttest_ind(pair.now / pair.scale, pair.then / pair.scale, equal_var=False)


def wasserstein(pair: Numbers) -> float:
    return float(stats.wasserstein_distance(known(pair.now), known(pair.then)))


# Counterparts: quality and service -----------------------------------------------------------


def of_values(statistic: Callable[[Any], float], least: int = 1) -> Callable[[Any], float]:
    return lambda pair: float(statistic(known(pair.now, least=least)))


def outside(pair: Numbers) -> float:
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


def quantile(level: float) -> Callable[[Any], float]:
    return of_values(lambda values: float(np.quantile(values, level)))


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


def decisions(score: Callable[..., float], average: str | None = None) -> Callable[[Any], float]:
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


def sure(statistic: Callable[[Any], float]) -> Callable[[Any], float]:
    return lambda pair: float(statistic(known(pair.sure)))


def inverted(level: float) -> Callable[[Any], float]:
    return sure(lambda sure: float(np.quantile(sure, level, method="inverted_cdf")))


def ranks(score: Callable[..., float], negatives: int) -> Callable[[Any], float]:
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


def errors(score: Callable[[Any, Any], float]) -> Callable[[Any], float]:
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
