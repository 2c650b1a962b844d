"""Metrics that are read from bins keep the bounds that their docstrings state.

The exact values are SciPy's and scikit-learn's, on the raw records.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from tidegauge.metrics import evaluate, find_metric
from tidegauge.metrics.quality import quantile
from tidegauge.metrics.ranking import (
    RESOLVED,
    average_precision_bound,
    roc_auc_bound,
    roc_auc_noise,
)
from tidegauge.metrics.registry import View
from tidegauge.profile import Profiler, Survey
from tidegauge.profile.profile import PERFORMANCE
from tidegauge.schema import Column, ColumnType, Role, Schema, Task

NUMBER = Schema((Column("x", ColumnType.NUMERIC),))
BINARY = Schema(
    (
        Column("score", ColumnType.NUMERIC, Role.SCORE),
        Column("label", ColumnType.BOOLEAN, Role.LABEL),
    ),
    Task.BINARY,
    positive="true",
)


def profiles(schema, reference, current):
    survey = Survey(schema)
    survey.update(pa.record_batch(reference))
    layout = survey.layout("b")
    made = []
    for data in (current, reference):
        profiler = Profiler(layout)
        profiler.update(pa.record_batch(data))
        made.append(profiler.finish())
    return made


def value(made, name):
    (series,) = evaluate(*made, [find_metric(name)])
    p = None if series.p_value is None else float(series.p_value[0, 0])
    return float(series.value[0, 0]), p


# Distributions -------------------------------------------------------------------------------

SHAPES = {
    "normal": lambda rng, n: rng.normal(size=n),
    "uniform": lambda rng, n: rng.uniform(size=n),
    "lognormal": lambda rng, n: rng.lognormal(0, 1, n),
    "t3": lambda rng, n: rng.standard_t(3, n),
    "pareto": lambda rng, n: rng.pareto(1.5, n),
    "discrete": lambda rng, n: rng.poisson(3_000, n).astype(float),
    "zeros": lambda rng, n: np.where(rng.uniform(size=n) < 0.4, 0.0, rng.lognormal(0, 1, n)),
}


def ks_bound(made):
    now, then = (View(p, "x").shares[0, 0] for p in made)
    return float(np.minimum(now, then).max())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [(20_000, 20_000), (50_000, 1_000), (800, 3_000)])
def test_ks_is_never_too_large_and_too_small_by_one_bin_at_most(shape, n):
    rng = np.random.default_rng(n[1])
    worst = 0.0
    for shift in (0.0, 0.05, 0.25, 1.0):
        reference, current = SHAPES[shape](rng, n[0]), SHAPES[shape](rng, n[1])
        current = current + shift * min(reference.std(), 3.0)
        made = profiles(NUMBER, {"x": reference}, {"x": current})
        exact = stats.ks_2samp(reference, current, method="asymp")
        found, p = value(made, "ks")
        assert found <= exact.statistic + 1e-12
        assert exact.statistic - found <= ks_bound(made) + 1e-12
        # A distance that is too small makes the p-value too large, not too small.
        assert p >= exact.pvalue - 0.02
        worst = max(worst, exact.statistic - found)
    if shape not in ("discrete", "zeros"):
        assert worst <= 1 / 220 + 1e-9


@pytest.mark.parametrize("shape", ["normal", "uniform", "lognormal", "t3", "discrete", "pareto"])
@pytest.mark.parametrize("shift", [0.25, 0.5, 1.0, 3.0])
def test_wasserstein_is_within_its_share_of_the_exact_distance(shape, shift):
    bound = 0.03 if shape == "pareto" else 0.015
    for seed in range(3):
        rng = np.random.default_rng(seed)
        reference, current = SHAPES[shape](rng, 20_000), SHAPES[shape](rng, 5_000)
        current = current + shift * reference.std()
        made = profiles(NUMBER, {"x": reference}, {"x": current})
        exact = stats.wasserstein_distance(reference, current)
        assert value(made, "wasserstein")[0] == pytest.approx(exact, rel=bound)


LEVELS = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


def assert_quantiles_within_their_bins(made, values):
    view = View(made[0], "x")
    edges = np.concatenate(([-np.inf], view.bins.edges, [np.inf]))
    ordered = np.sort(values)
    for level in LEVELS:
        found = float(quantile(view, level)[0, 0])
        rank = level * (len(ordered) - 1)
        neighbours = ordered[[int(np.floor(rank)), int(np.ceil(rank))]]
        codes = view.bins.codes(neighbours)
        low = max(edges[codes[0]], ordered[0])
        high = min(edges[codes[1] + 1], ordered[-1])
        assert low <= found <= high
        if view.bins.exact and set(neighbours) <= set(view.bins.edges):
            assert found in neighbours


@settings(max_examples=60)
@given(
    reference=st.lists(st.floats(-100, 100) | st.integers(-3, 3).map(float), min_size=1),
    current=st.lists(st.floats(-200, 200) | st.integers(-3, 3).map(float), min_size=1),
)
def test_quantiles_lie_in_the_bin_that_holds_them(reference, current):
    made = profiles(NUMBER, {"x": np.array(reference)}, {"x": np.array(current)})
    assert_quantiles_within_their_bins(made, np.array(current))


@pytest.mark.parametrize("shape", SHAPES)
def test_quantiles_of_large_samples_lie_in_the_bin_that_holds_them(shape):
    rng = np.random.default_rng(3)
    reference, current = SHAPES[shape](rng, 20_000), SHAPES[shape](rng, 7_000) * 1.2
    made = profiles(NUMBER, {"x": reference}, {"x": current})
    assert_quantiles_within_their_bins(made, current)
    if shape in ("normal", "uniform", "lognormal", "t3"):
        for level, name in ((0.05, "p05"), (0.5, "median"), (0.95, "p95")):
            exact = np.quantile(current, level)
            assert abs(value(made, name)[0] - exact) < 0.03 * current.std()


@pytest.mark.parametrize("n", [10, 300, 3_000, 50_000])
def test_distinct_counts_are_within_four_standard_errors(n):
    values = np.random.default_rng(n).normal(size=n)
    made = profiles(NUMBER, {"x": values}, {"x": np.repeat(values, 2)})
    assert value(made, "distinct_count")[0] == pytest.approx(n, rel=4 * 0.033, abs=1)


# Ranking -------------------------------------------------------------------------------------


def logistic(z):
    return 1 / (1 + np.exp(-z))


#: (baseline scores, current scores), and whether bins can tell the current ones apart.
SCORES = {
    "same": (lambda g, n: logistic(g.normal(size=n)), lambda g, n: logistic(g.normal(size=n))),
    "rare": (
        lambda g, n: logistic(g.normal(size=n) - 4.5),
        lambda g, n: logistic(g.normal(size=n) - 4.5),
    ),
    "below the baseline": (
        lambda g, n: logistic(g.normal(size=n)),
        lambda g, n: logistic(g.normal(size=n) - 6),
    ),
    "above the baseline": (
        lambda g, n: logistic(g.normal(size=n) - 3),
        lambda g, n: logistic(g.normal(size=n) + 4),
    ),
    "saturated": (
        lambda g, n: logistic(g.normal(size=n) * 10),
        lambda g, n: logistic(g.normal(size=n) * 10),
    ),
    "few values": (lambda g, n: g.integers(0, 21, n) / 20, lambda g, n: g.integers(0, 21, n) / 20),
    "thousandths": (
        lambda g, n: np.round(g.uniform(size=n), 3),
        lambda g, n: np.round(g.uniform(size=n), 3),
    ),
}


def ranking(scores, n, seed):
    rng = np.random.default_rng(seed)
    old, new = (draw(rng, n) for draw in SCORES[scores])
    label = rng.uniform(size=n) < np.clip(new, 0.002, 0.998)
    label[:2] = [True, False]
    made = profiles(BINARY, {"score": old, "label": old > 0.5}, {"score": new, "label": label})
    return made, label, new


@pytest.mark.parametrize("scores", SCORES)
@pytest.mark.parametrize("n", [200, 2_000, 30_000])
def test_roc_auc_and_average_precision_keep_their_bounds(scores, n):
    for seed in range(4):
        made, label, score = ranking(scores, n, seed)
        view = View(made[0], PERFORMANCE)
        with np.errstate(all="ignore"):
            bounds = float(roc_auc_bound(view)[0, 0]), float(average_precision_bound(view)[0, 0])
        area = value(made, "roc_auc")[0] - sk.roc_auc_score(label, score)
        precision = value(made, "average_precision")[0] - sk.average_precision_score(label, score)
        assert abs(area) <= bounds[0] + 1e-12
        assert abs(precision) <= bounds[1] + 1e-12
        assert bounds[0] < 0.03
        if scores == "few values":
            assert bounds == pytest.approx((0, 0), abs=1e-9)
            assert (area, precision) == pytest.approx((0, 0), abs=1e-9)
        elif n == 30_000:
            assert abs(area) < (1e-3 if "baseline" in scores else 3e-4)
            if label.sum() > 200:
                assert abs(precision) < 5e-3


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.floats(0, 1) | st.sampled_from([0.0, 0.5, 1.0]), st.booleans()),
        min_size=2,
        max_size=60,
    ).filter(lambda rows: len({t for _, t in rows}) == 2),
    st.lists(st.floats(0, 1), min_size=1, max_size=30),
)
def test_any_scores_keep_the_bounds_or_have_no_value(rows, old):
    score, label = (np.array(part) for part in zip(*rows, strict=True))
    made = profiles(
        BINARY,
        {"score": np.array(old), "label": np.zeros(len(old), dtype=bool)},
        {"score": score, "label": label},
    )
    view = View(made[0], PERFORMANCE)
    with np.errstate(all="ignore"):
        bound, other = (float(b(view)[0, 0]) for b in (roc_auc_bound, average_precision_bound))
    area, precision = value(made, "roc_auc")[0], value(made, "average_precision")[0]
    assert np.isnan(area) == np.isnan(precision) == (bound > RESOLVED)
    if bound <= RESOLVED:
        assert abs(area - sk.roc_auc_score(label, score)) <= bound + 1e-12
        assert abs(precision - sk.average_precision_score(label, score)) <= other + 1e-12


def test_scores_that_no_bin_tells_apart_have_no_ranking():
    rng = np.random.default_rng(0)
    n = 5_000
    score = 0.5 + 0.001 * rng.uniform(size=n)
    data = {"score": score, "label": rng.uniform(size=n) < (score - 0.5) * 1000}
    wide = {"score": np.linspace(0, 1, n), "label": data["label"]}
    assert np.isnan(value(profiles(BINARY, wide, data), "roc_auc")[0])
    own = value(profiles(BINARY, data, data), "roc_auc")[0]
    assert own == pytest.approx(sk.roc_auc_score(data["label"], score), abs=3e-4)


def test_one_score_for_everything_ranks_nothing():
    data = {"score": np.full(100, 0.37), "label": np.arange(100) < 30}
    old = {"score": np.linspace(0, 1, 100), "label": np.arange(100) < 30}
    made = profiles(BINARY, old, data)
    assert value(made, "roc_auc")[0] == 0.5
    assert value(made, "average_precision")[0] == pytest.approx(0.3)


def test_the_variance_of_a_roc_auc_is_delongs_of_all_pairs():
    rng = np.random.default_rng(8)
    score = rng.integers(1, 6, 400) / 6
    label = rng.uniform(size=400) < score**2
    made = profiles(BINARY, {"score": score, "label": label}, {"score": score, "label": label})
    won = (np.sign(score[label][:, None] - score[~label]) + 1) / 2
    exact = (
        won.mean(axis=1).var(ddof=1) / label.sum() + won.mean(axis=0).var(ddof=1) / (~label).sum()
    )
    found = roc_auc_noise(View(made[0], PERFORMANCE))[0, 0]
    assert found == pytest.approx(exact, rel=1e-9)
    assert value(made, "roc_auc")[0] == pytest.approx(won.mean(), rel=1e-9)


@pytest.mark.parametrize("label", [True, False])
def test_one_class_has_no_roc_auc(label):
    rng = np.random.default_rng(0)
    data = {"score": rng.uniform(size=50), "label": np.full(50, label)}
    made = profiles(BINARY, data, data)
    assert np.isnan(value(made, "roc_auc")[0])
    assert value(made, "average_precision")[0] == pytest.approx(
        1.0 if label else np.nan, nan_ok=True
    )
    assert np.isfinite(value(made, "log_loss")[0])


def test_several_classes_are_ranked_one_against_the_rest():
    rng = np.random.default_rng(4)
    names = ("a", "b", "c", "d")
    schema = Schema(
        (
            *(Column(f"score_{c}", ColumnType.NUMERIC, Role.SCORE, class_=c) for c in names),
            Column("label", ColumnType.CATEGORICAL, Role.LABEL),
        ),
        Task.MULTICLASS,
    )
    shares = rng.dirichlet([1, 2, 0.5, 0.2], 20_000)
    label = np.array([rng.choice(names, p=row) for row in shares])
    data = {f"score_{c}": shares[:, j] for j, c in enumerate(names)} | {"label": label}
    made = profiles(schema, data, data)
    view = View(made[0], PERFORMANCE)
    exact = sk.roc_auc_score(label, shares, multi_class="ovr", average="macro", labels=names)
    found = value(made, "roc_auc")[0]
    assert abs(found - exact) <= roc_auc_bound(view)[0, 0]
    assert found == pytest.approx(exact, abs=3e-4)
    true = label[:, None] == np.array(names)
    exact = sk.average_precision_score(true, shares, average="macro")
    assert value(made, "average_precision")[0] == pytest.approx(exact, abs=2e-3)


@pytest.mark.parametrize("level", [0.05, 0.5])
def test_quantiles_of_the_confidence_are_within_a_hundredth(level):
    rng = np.random.default_rng(5)
    score = logistic(rng.normal(size=5_000) * 2)
    made = profiles(
        BINARY, {"score": score, "label": score > 2}, {"score": score, "label": score > 2}
    )
    exact = np.quantile(np.maximum(score, 1 - score), level)
    assert value(made, f"confidence_p{int(level * 100):02}")[0] == pytest.approx(exact, abs=0.01)
