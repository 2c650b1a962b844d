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
from sklearn import metrics as sk

from benchmarks.bounds import (
    CONFIDENCE,
    EXACT,
    HYPERLOGLOG,
    KS,
    KS_P,
    PRECISION,
    R2,
    RELATIVE,
    ROC_AUC,
    SAME,
    SCALED,
    STD,
    T_P,
    WASSERSTEIN,
    Bound,
    T,
    beside,
    distance,
    unresolved,
)
from benchmarks.exact import (
    Undefined,
    accuracy,
    bias,
    brier,
    calibration_error,
    chi2,
    decisions,
    distinct,
    errors,
    failures,
    g_test,
    hellinger,
    infinite,
    inverted,
    js_distance,
    kl_divergence,
    kolmogorov_smirnov,
    ks_p,
    l_infinity,
    label_coverage,
    log_loss,
    mean_label,
    mean_score,
    missing,
    of_values,
    outside,
    psi,
    quantile,
    r2,
    ranks,
    sure,
    throughput,
    total_variation,
    unseen,
    wasserstein,
    welch,
)
from benchmarks.samples import (
    Binary,
    Multiclass,
    Numbers,
    Pair,
    Regression,
    Service,
    Words,
)
from tidegauge.metrics import Family, all_metrics, find_metric

DIGITS = 1e-9
INF = float("inf")
EPS = float(np.finfo(np.float64).eps)


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
    Row("out_of_range_share", outside, EXACT, (N,), "numpy, < and >"),
    Row("infinite_share", infinite, EXACT, (N,), "numpy.isinf"),
    Row("type_error_share", lambda p: np.mean(p.wrong), EXACT, (N,), "numpy.mean"),
    Row("row_count", lambda p: len(p.new), SAME, (N, W), "len"),
    Row("distinct_count", distinct, HYPERLOGLOG, (N, W), "numpy.unique"),
    Row("mean", of_values(np.mean), SCALED, (N,), "numpy.mean"),
    Row("std", of_values(lambda v: np.std(v - v[0], ddof=1), 2), STD, (N,), "numpy.std"),
    Row("min", of_values(np.min), SAME, (N,), "numpy.min"),
    Row("max", of_values(np.max), SAME, (N,), "numpy.max"),
    *(
        Row(name, quantile(q), beside(q), (kind,), "numpy.quantile")
        for name, q, kind in (
            ("p05", 0.05, N), ("p25", 0.25, N), ("median", 0.5, N), ("p75", 0.75, N),
            ("p95", 0.95, N), ("latency_p50", 0.5, S), ("latency_p95", 0.95, S),
            ("latency_p99", 0.99, S),
        )
    ),
    Row("latency_mean", of_values(np.mean), SCALED, (S,), "numpy.mean"),
    Row("throughput", throughput, EXACT, (S,), "len over max − min"),
    Row("error_share", failures, EXACT, (S,), "numpy.mean"),
    Row("accuracy", accuracy, EXACT, (B, M), "sklearn.metrics.accuracy_score"),
    Row("precision", decisions(sk.precision_score), EXACT, (B, M), "sklearn precision_score"),
    Row("recall", decisions(sk.recall_score), EXACT, (B, M), "sklearn.metrics.recall_score"),
    Row("f1", decisions(sk.f1_score), EXACT, (B, M), "sklearn.metrics.f1_score"),
    Row("precision_micro", decisions(sk.precision_score, "micro"), EXACT, (M,), "precision_score"),
    Row("recall_micro", decisions(sk.recall_score, "micro"), EXACT, (M,), "recall_score"),
    Row("f1_micro", decisions(sk.f1_score, "micro"), EXACT, (M,), "f1_score"),
    Row("mean_label", mean_label, EXACT, (B,), "numpy.mean"),
    Row("label_coverage", label_coverage, EXACT, (B, R), "numpy.mean"),
    Row("log_loss", log_loss, EXACT, (B, M), "sklearn.metrics.log_loss"),
    Row("brier", brier, EXACT, (B, M), "sklearn.metrics.brier_score_loss"),
    Row("calibration_error", calibration_error, EXACT, (B, M), "sklearn calibration_curve"),
    Row("mean_score", mean_score, EXACT, (B, M), "numpy.mean"),
    Row("mean_confidence", sure(np.mean), EXACT, (B, M), "numpy.mean"),
    Row("confidence_p05", inverted(0.05), CONFIDENCE, (B, M), "numpy.quantile, inverted_cdf"),
    Row("confidence_p50", inverted(0.5), CONFIDENCE, (B, M), "numpy.quantile, inverted_cdf"),
    Row("roc_auc", ranks(sk.roc_auc_score, 1), ROC_AUC, (B, M), "roc_auc_score", open=unresolved),
    Row("average_precision", ranks(sk.average_precision_score, 0), PRECISION, (B, M),
        "average_precision_score", open=unresolved),
    Row("mae", errors(sk.mean_absolute_error), RELATIVE, (R,), "mean_absolute_error"),
    Row("mse", errors(sk.mean_squared_error), RELATIVE, (R,), "mean_squared_error"),
    Row("rmse", errors(sk.root_mean_squared_error), RELATIVE, (R,), "root_mean_squared_error"),
    Row("mape", errors(sk.mean_absolute_percentage_error), RELATIVE, (R,),
        "mean_absolute_percentage_error"),
    Row("r2", r2, R2, (R,), "r2_score", open=lambda p: distance(p) > 1e11),
    Row("bias", bias, EXACT, (B,), "numpy.mean"),
    Row("bias", bias, SCALED, (R,), "numpy.mean"),
)  # fmt: skip

_SCIPY = "it is SciPy's own function, called on the sample"
_SAMPLE = "of the sample's rows, by a method that is neither SciPy's nor scikit-learn's alone"
_TIMES = "a difference of two times"

#: Metrics that have no exact counterpart, because …
WITHOUT = {
    **dict.fromkeys(
        (one.name for one in all_metrics().values() if one.family is Family.FAIRNESS),
        "benchmarks/estimation_fairness.py holds them against fairlearn",
    ),
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
    "concept_drift": "in neither library; simulated streams hold it to what it should find",
    "baseline_age": _TIMES,
    "label_age": _TIMES,
    "model_age": _TIMES,
}
