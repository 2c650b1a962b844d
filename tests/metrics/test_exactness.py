"""Metrics that are exact agree with SciPy and scikit-learn to nine digits."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon
from sklearn import metrics as sk

from tidegauge.metrics import evaluate, find_metric
from tidegauge.profile import Profiler, Survey
from tidegauge.profile.bins import coarse_groups
from tidegauge.schema import Column, ColumnType, Role, Schema, Task

NUMBER = Schema((Column("x", ColumnType.NUMERIC),))
WORD = Schema((Column("x", ColumnType.CATEGORICAL),))
BINARY = Schema(
    (
        Column("score", ColumnType.NUMERIC, Role.SCORE),
        Column("label", ColumnType.BOOLEAN, Role.LABEL),
    ),
    Task.BINARY,
    positive="true",
)
REGRESSION = Schema(
    (
        Column("prediction", ColumnType.NUMERIC, Role.PREDICTION),
        Column("label", ColumnType.NUMERIC, Role.LABEL),
    ),
    Task.REGRESSION,
)
CLASSES = ("a", "b", "c")
MULTICLASS = Schema(
    (
        *(Column(f"score_{c}", ColumnType.NUMERIC, Role.SCORE, class_=c) for c in CLASSES),
        Column("label", ColumnType.CATEGORICAL, Role.LABEL),
    ),
    Task.MULTICLASS,
)


def close(expected):
    return pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)


def compared(schema, reference, current):
    """Values and p-values of every metric, by name, of the first column or the model."""
    survey = Survey(schema)
    survey.update(pa.record_batch(reference))
    layout = survey.layout("b")
    profiles = []
    for data in (current, reference):
        profiler = Profiler(layout)
        profiler.update(pa.record_batch(data))
        profiles.append(profiler.finish())
    found = {}
    for series in evaluate(*profiles):
        p = None if series.p_value is None else float(series.p_value[0, 0])
        found.setdefault(series.metric.name, (float(series.value[0, 0]), p))
    return found, layout


def value(found, name):
    return found[0][name][0]


# Drift ---------------------------------------------------------------------------------------

SHAPES = {
    "normal": lambda rng, n: rng.normal(size=n),
    "lognormal": lambda rng, n: rng.lognormal(0, 1, n),
    "pareto": lambda rng, n: rng.pareto(1.5, n),
    "few": lambda rng, n: rng.poisson(2, n).astype(float),
    "many whole": lambda rng, n: rng.poisson(900, n).astype(float),
    "zeros": lambda rng, n: np.where(rng.uniform(size=n) < 0.6, 0.0, rng.lognormal(0, 1, n)),
}


def coarse_table(bins, reference, current):
    """Counts over the ten bins, from the raw values by NumPy alone: (2, group)."""
    fine = np.searchsorted(bins.edges, reference)
    starts = coarse_groups(np.bincount(fine, minlength=bins.size).astype(float), 10)
    ends = np.concatenate(([-np.inf], bins.edges[starts[1:] - 1], [np.inf]))
    return np.array(
        [[((v > a) & (v <= b)).sum() for a, b in pairwise(ends)] for v in (current, reference)]
    )


def assert_distances(found, table):
    """Hold the drift metrics against plain recomputations on the same counts."""
    p, q = (row / row.sum() for row in table)
    floored = [np.maximum(s, 1e-4) for s in (p, q)]
    assert value(found, "psi") == close(
        ((floored[0] - floored[1]) * np.log(floored[0] / floored[1])).sum()
    )
    held = np.where(q == 0, 1e-4, q)
    kl = sum(a * np.log(a / b) for a, b in zip(p, held, strict=True) if a > 0)
    assert value(found, "kl_divergence") == close(max(kl, 0))
    if (q > 0).all():
        assert value(found, "kl_divergence") == close(stats.entropy(p, q))
    assert value(found, "js_distance") == close(jensenshannon(p, q, base=2))
    bhattacharyya = 1 - np.sqrt(p * q).sum()
    assert value(found, "hellinger") ** 2 == close(bhattacharyya)
    used = table[:, table.sum(axis=0) > 0]
    expected = stats.chi2_contingency(used, correction=False)
    assert found[0]["chi2"] == close((expected.statistic, expected.pvalue))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("shift", [0.0, 0.3, 5.0])
@pytest.mark.parametrize("n", [(3_000, 2_000), (300, 40)])
def test_distances_between_numbers_are_those_of_ten_bins(shape, shift, n):
    rng = np.random.default_rng(len(shape))
    reference, current = SHAPES[shape](rng, n[0]), SHAPES[shape](rng, n[1]) + shift
    found = compared(NUMBER, {"x": reference}, {"x": current})
    table = coarse_table(found[1].bins["x"], reference, current)
    assert 2 <= table.shape[1] <= 10
    assert_distances(found, table)


@settings(max_examples=30)
@given(
    reference=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=60),
    current=st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=60),
)
def test_distances_between_categories_are_those_of_their_shares(reference, current):
    found = compared(WORD, {"x": reference}, {"x": current})
    names = sorted(set(reference))
    old, new = Counter(reference), Counter(current)
    table = np.array(
        [[c[k] for k in names] + [c.total() - sum(c[k] for k in names)] for c in (new, old)]
    )
    p, q = (row / row.sum() for row in table)
    assert value(found, "total_variation") == close(np.abs(p - q).sum() / 2)
    assert value(found, "unseen_share") == close(np.mean([w not in old for w in current]))
    if len(names) == 1 and set(current) == set(reference):
        assert found[0]["chi2"] == (0.0, 1.0)
        return
    assert_distances(found, table)


def largest_gap(old, new):
    points = np.concatenate((old, new))
    shares = [np.searchsorted(np.sort(v), points, side="right") / len(v) for v in (old, new)]
    return np.abs(shares[0] - shares[1]).max()


@settings(max_examples=40)
@given(
    reference=st.lists(st.integers(0, 30), min_size=1, max_size=80),
    places=st.lists(st.integers(0, 79), min_size=1, max_size=80),
)
def test_ks_and_wasserstein_are_exact_where_values_are_few(reference, places):
    current = [reference[k % len(reference)] for k in places]
    old, new = (np.asarray(v, dtype=np.float64) for v in (reference, current))
    found = compared(NUMBER, {"x": old}, {"x": new})
    assert value(found, "ks") == close(largest_gap(old, new))
    assert value(found, "wasserstein") == close(stats.wasserstein_distance(old, new))


# Quality -------------------------------------------------------------------------------------

ODD = st.one_of(
    st.none(),
    st.floats(-1e6, 1e6),
    st.sampled_from([float("nan"), float("inf"), float("-inf"), 0.0]),
)


@settings(max_examples=40)
@given(
    reference=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=50),
    current=st.lists(ODD, min_size=1, max_size=80),
)
def test_plain_figures_of_a_column_are_those_of_numpy(reference, current):
    found = compared(
        NUMBER,
        {"x": pa.array(reference)},
        {"x": pa.array(current, pa.float64())},
    )
    held = np.array([np.nan if v is None else v for v in current])
    finite = held[np.isfinite(held)]
    assert value(found, "missing_share") == close(np.isnan(held).mean())
    outside = (held < min(reference)) | (held > max(reference))
    assert value(found, "out_of_range_share") == close(outside.mean())
    assert value(found, "type_error_share") == 0
    assert value(found, "row_count") == len(current)
    if len(finite) == 0:
        assert np.isnan([value(found, k) for k in ("mean", "std", "min", "max")]).all()
        return
    assert value(found, "min") == finite.min()
    assert value(found, "max") == finite.max()
    scale = np.abs(finite).max()
    assert value(found, "mean") == pytest.approx(finite.mean(), rel=1e-9, abs=1e-9 * scale)
    if len(finite) > 1:
        assert value(found, "std") == pytest.approx(finite.std(ddof=1), rel=1e-6, abs=1e-6 * scale)


@pytest.mark.parametrize("shape", SHAPES)
def test_mean_and_deviation_of_many_values_have_nine_digits(shape):
    rng = np.random.default_rng(7)
    reference, current = SHAPES[shape](rng, 5_000), SHAPES[shape](rng, 20_000) * 1.1 + 1
    found = compared(NUMBER, {"x": reference}, {"x": current})
    assert value(found, "mean") == close(current.mean())
    assert value(found, "std") == close(current.std(ddof=1))


def test_the_range_of_the_schema_counts_before_that_of_the_baseline():
    schema = Schema((Column("x", ColumnType.NUMERIC, minimum=0, maximum=100),))
    found = compared(schema, {"x": [5.0, 50.0]}, {"x": [-1.0, 0.0, 100.0, 100.5, np.inf]})
    assert value(found, "out_of_range_share") == close(3 / 5)


def test_what_is_not_of_the_type_is_neither_missing_nor_a_value():
    found = compared(NUMBER, {"x": [1.0, 2.0]}, {"x": ["1", "one", None, "2"]})
    assert value(found, "type_error_share") == close(1 / 4)
    assert value(found, "missing_share") == close(1 / 4)
    assert value(found, "mean") == close(1.5)


# Performance ---------------------------------------------------------------------------------

SHARE = st.floats(1e-9, 1 - 1e-9)


def sk_or_nan(metric, *args, **kwargs):
    out = metric(*args, zero_division=np.nan, **kwargs)
    return float(out)


@settings(max_examples=40)
@given(st.lists(st.tuples(SHARE, st.booleans()), min_size=1, max_size=80))
def test_decisions_and_probabilities_of_a_binary_model_are_those_of_scikit_learn(rows):
    score = np.array([s for s, _ in rows])
    label = np.array([t for _, t in rows])
    data = {"score": score, "label": label}
    found = compared(BINARY, {"score": [0.1, 0.5, 0.9], "label": [True, False, True]}, data)
    said = score >= 0.5
    assert value(found, "accuracy") == close(sk.accuracy_score(label, said))
    assert value(found, "precision") == close(sk_or_nan(sk.precision_score, label, said))
    assert value(found, "recall") == close(sk_or_nan(sk.recall_score, label, said))
    assert value(found, "f1") == close(sk_or_nan(sk.f1_score, label, said))
    assert value(found, "log_loss") == close(sk.log_loss(label, score, labels=[False, True]))
    assert value(found, "brier") == close(np.mean((score - label) ** 2))
    assert value(found, "mean_score") == close(score.mean())
    assert value(found, "mean_label") == close(label.mean())
    assert value(found, "bias") == close(label.mean() - score.mean())
    assert value(found, "label_coverage") == 1
    assert value(found, "mean_confidence") == close(np.maximum(score, 1 - score).mean())
    tenth = np.minimum((score * 10).astype(int), 9)
    gaps = [abs(label[tenth == k].mean() - score[tenth == k].mean()) * (tenth == k).sum()
            for k in np.unique(tenth)]  # fmt: skip
    assert value(found, "calibration_error") == close(sum(gaps) / len(score))


def test_brier_is_scikit_learns_and_probabilities_of_zero_and_one_are_held():
    label = np.array([True, False, True, False])
    score = np.array([1.0, 0.0, 0.0, 1.0])
    found = compared(BINARY, {"score": score, "label": label}, {"score": score, "label": label})
    assert value(found, "brier") == close(sk.brier_score_loss(label, score))
    assert value(found, "log_loss") == pytest.approx(-np.log(1e-15) / 2, rel=1e-3)


def test_records_without_label_or_score_take_no_part():
    data = {
        "score": pa.array([0.9, None, 0.2, 0.8, 7.0, np.nan, 0.1]),
        "label": pa.array([True, True, None, False, False, True, False]),
    }
    found = compared(BINARY, data, data)
    score, label = np.array([0.9, 0.8, 0.1]), np.array([True, False, False])
    assert value(found, "log_loss") == close(sk.log_loss(label, score))
    assert value(found, "bias") == close(label.mean() - score.mean())
    assert value(found, "label_coverage") == close(6 / 7)
    # A score that is a number, though no probability, still makes a decision.
    assert value(found, "accuracy") == close(2 / 4)
    assert value(found, "mean_confidence") == close(np.mean([0.9, 0.8, 0.8, 0.9]))


def test_a_prediction_column_decides_rather_than_the_score():
    schema = Schema(
        (*BINARY.columns, Column("prediction", ColumnType.BOOLEAN, Role.PREDICTION)),
        Task.BINARY,
        positive="true",
    )
    data = {
        "score": [0.4, 0.4, 0.1],
        "label": [True, False, False],
        "prediction": [True, True, False],
    }
    found = compared(schema, data, data)
    assert value(found, "accuracy") == close(2 / 3)
    assert value(found, "precision") == close(1 / 2)
    only = Schema(schema.columns[1:], Task.BINARY, positive="true")
    found = compared(only, data, data)
    assert value(found, "recall") == 1
    assert "log_loss" not in found[0]


ROWS = st.lists(
    st.tuples(st.tuples(SHARE, SHARE, SHARE), st.sampled_from(CLASSES)), min_size=1, max_size=60
)


@settings(max_examples=30)
@given(ROWS)
def test_a_multiclass_model_has_the_figures_of_scikit_learn(rows):
    shares = np.array([s for s, _ in rows])
    shares /= shares.sum(axis=1, keepdims=True)
    label = np.array([t for _, t in rows])
    data = {f"score_{c}": shares[:, j] for j, c in enumerate(CLASSES)} | {"label": label}
    found = compared(MULTICLASS, data, data)
    said = np.array(CLASSES)[shares.argmax(axis=1)]
    true = label[:, None] == np.array(CLASSES)
    for name, metric in (
        ("precision", sk.precision_score),
        ("recall", sk.recall_score),
        ("f1", sk.f1_score),
    ):
        macro = metric(label, said, average="macro", zero_division=0)
        assert value(found, name) == close(macro)
        micro = metric(label, said, average="micro", zero_division=0)
        assert value(found, f"{name}_micro") == close(micro)
    assert value(found, "accuracy") == close(sk.accuracy_score(label, said))
    assert value(found, "log_loss") == close(sk.log_loss(label, shares, labels=CLASSES))
    assert value(found, "brier") == close(((shares - true) ** 2).sum(axis=1).mean())
    best = shares.max(axis=1)
    assert value(found, "mean_score") == close(best.mean())
    assert value(found, "mean_confidence") == close(best.mean())
    tenth = np.minimum((best * 10).astype(int), 9)
    right = said == label
    gaps = [abs(right[tenth == k].sum() - best[tenth == k].sum()) for k in np.unique(tenth)]
    assert value(found, "calibration_error") == close(sum(gaps) / len(best))


def test_a_class_that_the_baseline_did_not_have_counts_as_one_that_was_missed():
    first = {f"score_{c}": [0.4, 0.3, 0.3] for c in CLASSES} | {"label": list(CLASSES)}
    second = {
        "score_a": [0.9, 0.9],
        "score_b": [0.05, 0.05],
        "score_c": [0.05, 0.05],
        "label": ["a", "new"],
    }
    found = compared(MULTICLASS, first, second)
    assert value(found, "accuracy") == close(1 / 2)
    assert value(found, "log_loss") == close(-np.log(0.9))
    assert value(found, "label_coverage") == 1


NUMBERS = st.floats(-1e4, 1e4)


@settings(max_examples=30)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=80))
def test_errors_of_a_regression_are_those_of_scikit_learn(rows):
    said = np.array([a for a, _ in rows])
    true = np.array([b for _, b in rows])
    data = {"prediction": said, "label": true}
    found = compared(REGRESSION, {"prediction": [1.0, 2.0], "label": [1.5, 3.0]}, data)
    assert value(found, "mae") == close(sk.mean_absolute_error(true, said))
    assert value(found, "mse") == close(sk.mean_squared_error(true, said))
    assert value(found, "rmse") == close(sk.root_mean_squared_error(true, said))
    assert value(found, "mape") == close(sk.mean_absolute_percentage_error(true, said))
    assert value(found, "bias") == pytest.approx(np.mean(true - said), rel=1e-9, abs=1e-8)
    spread = ((true - true.mean()) ** 2).sum()
    if spread > 1e-6 * (1 + (true**2).sum()):
        assert value(found, "r2") == pytest.approx(sk.r2_score(true, said), rel=1e-6, abs=1e-6)


def test_a_regression_leaves_out_what_is_not_finite():
    data = {
        "prediction": pa.array([1.0, None, np.inf, 4.0]),
        "label": pa.array([2.0, 2.0, 3.0, np.nan]),
    }
    found = compared(REGRESSION, data, data)
    assert value(found, "mae") == 1
    assert value(found, "label_coverage") == close(3 / 4)
    assert np.isnan(value(found, "r2"))


# Service -------------------------------------------------------------------------------------


def test_service_figures_are_plain_shares_and_rates():
    schema = Schema(
        (
            Column("when", ColumnType.DATETIME, Role.TIMESTAMP),
            Column("latency_ms", ColumnType.NUMERIC, Role.LATENCY, unit="ms"),
            Column("status", ColumnType.CATEGORICAL, Role.STATUS),
        )
    )
    rng = np.random.default_rng(2)
    n = 1_000
    times = np.sort(rng.integers(0, 3_600_000_000, n))
    latency = rng.lognormal(3, 1, n)
    status = rng.choice(["200", "404", "500", "503"], n)
    data = {
        "when": pa.array(times, pa.timestamp("us", "UTC")),
        "latency_ms": latency,
        "status": pa.array(status),
    }
    found = compared(schema, data, data)
    assert value(found, "latency_mean") == close(latency.mean())
    assert value(found, "error_share") == close(np.isin(status, ["500", "503"]).mean())
    assert value(found, "throughput") == close(n / ((times[-1] - times[0]) / 1e6))


NAMES = (
    "psi", "kl_divergence", "js_distance", "ks", "chi2", "wasserstein", "hellinger",
    "total_variation", "roc_auc", "f1", "rmse", "missing_share", "unseen_share",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_the_field_is_the_name_here(name):
    assert find_metric(name).name == name
