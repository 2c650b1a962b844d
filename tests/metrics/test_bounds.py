"""How close metrics from bins are in practice: large samples, as their docstrings tell of them.

The bounds that always hold are in ``test_agreement.py``. Exact values are SciPy's and
scikit-learn's, on the raw records.
"""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.counterparts import gaps
from benchmarks.samples import SHAPES, Binary, Multiclass, Numbers, Regression
from sklearn import metrics as sk

from tidegauge.metrics import find_metric
from tidegauge.metrics.ranking import roc_auc_noise
from tidegauge.profile.profile import PERFORMANCE


def compared(pair):
    """Return found and exact values by name; everything has to be within its bound."""
    found = {}
    for gap in gaps(pair):
        assert gap.part <= 1.0, gap
        found[gap.row.name] = gap.found, gap.exact
    return found


def numbers(reference, current):
    return Numbers(reference, current, np.zeros(len(current), dtype=bool))


def value(pair, name):
    return float(pair.evaluate([find_metric(name)])[name].value[0, 0])


# Distributions -------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [(20_000, 5_000), (800, 3_000)])
def test_large_samples_are_nearer_than_the_bounds(shape, n):
    rng = np.random.default_rng(n[1])
    for shift in (0.0, 0.05, 0.25, 1.0, 3.0):
        reference, current = (SHAPES[shape](rng, k) for k in n)
        found = compared(numbers(reference, current + shift * reference.std()))
        assert np.subtract(*found["ks"]) == pytest.approx(0, abs=0.0046)
        if shift >= 0.25:
            least = 0.01 if n[0] == 20_000 else 0.06
            assert found["wasserstein"][0] == pytest.approx(found["wasserstein"][1], rel=least)
        if shift <= 0.25 and shape in ("normal", "uniform", "lognormal"):
            for name in ("p05", "median", "p95"):
                assert abs(np.subtract(*found[name])) < 0.03 * current.std()


@pytest.mark.parametrize("away", [0.0, 1e2, 1e3])
def test_deviation_and_r2_have_nine_digits_up_to_a_thousand_deviations_from_the_baseline(away):
    rng = np.random.default_rng(4)
    reference, current = rng.normal(size=5_000), rng.normal(size=5_000) + away
    assert compared(numbers(reference, current))["std"] == pytest.approx([current.std(ddof=1)] * 2)
    assert value(numbers(reference, current), "std") == pytest.approx(current.std(ddof=1), rel=1e-9)
    pair = Regression(reference, current + 0.3 * rng.normal(size=5_000), current)
    found, exact = compared(pair)["r2"]
    assert found == pytest.approx(exact, rel=1e-9)


def test_where_squares_cancel_the_deviation_is_what_the_extremes_allow():
    rng = np.random.default_rng(4)
    for n in (2, 10, 1_000):
        current = 1e12 + rng.uniform(size=n)
        found = value(numbers(rng.normal(size=100), current), "std")
        span = np.ptp(current)
        assert span / np.sqrt(2 * (n - 1)) * (1 - 1e-9) <= found
        assert found <= span / 2 * np.sqrt(n / (n - 1)) * (1 + 1e-9)
        if n == 2:
            assert found == pytest.approx(span / np.sqrt(2), rel=1e-9)


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


def drawn(scores, n, seed):
    """A baseline's scores, and current ones with labels that follow them."""
    rng = np.random.default_rng(seed)
    old, new = (draw(rng, n) for draw in SCORES[scores])
    label = (rng.uniform(size=n) < np.clip(new, 0.002, 0.998)).astype(int)
    label[:2] = [1, 0]
    return Binary(old, new, label)


@pytest.mark.parametrize("scores", SCORES)
@pytest.mark.parametrize("n", [200, 2_000, 30_000])
def test_the_ranking_of_many_scores_is_nearer_than_its_bounds(scores, n):
    for seed in range(4):
        pair = drawn(scores, n, seed)
        found = compared(pair)
        area = np.subtract(*found["roc_auc"])
        precision = np.subtract(*found["average_precision"])
        if scores == "few values":
            assert (area, precision) == pytest.approx((0, 0), abs=1e-9)
        elif n == 30_000:
            assert abs(area) < (1e-3 if "baseline" in scores else 3e-4)
            if pair.truth.sum() > 200:
                assert abs(precision) < 5e-3


def test_scores_that_no_bin_tells_apart_have_no_ranking():
    rng = np.random.default_rng(0)
    n = 5_000
    score = 0.5 + 0.001 * rng.uniform(size=n)
    label = (rng.uniform(size=n) < (score - 0.5) * 1000).astype(int)
    assert np.isnan(value(Binary(np.linspace(0, 1, n), score, label), "roc_auc"))
    own = value(Binary(score, score, label), "roc_auc")
    assert own == pytest.approx(sk.roc_auc_score(label, score), abs=3e-4)


def test_scores_a_hair_apart_are_not_taken_for_ties():
    score = np.array([0.4 - 1e-12, 0.4, 0.4])
    pair = Binary(np.array([0.1, 0.4, 0.9]), score, np.array([1, 0, 0]))
    assert np.isnan(value(pair, "roc_auc"))


def test_one_score_for_everything_ranks_nothing():
    label = (np.arange(100) < 30).astype(int)
    pair = Binary(np.linspace(0, 1, 100), np.full(100, 0.37), label)
    assert value(pair, "roc_auc") == 0.5
    assert value(pair, "average_precision") == pytest.approx(0.3)


def test_the_variance_of_a_roc_auc_is_delongs_of_all_pairs():
    rng = np.random.default_rng(8)
    score = rng.integers(1, 6, 400) / 6
    label = rng.uniform(size=400) < score**2
    won = (np.sign(score[label][:, None] - score[~label]) + 1) / 2
    exact = (
        won.mean(axis=1).var(ddof=1) / label.sum() + won.mean(axis=0).var(ddof=1) / (~label).sum()
    )
    found = roc_auc_noise(Binary(score, score, label.astype(int)).view(PERFORMANCE))[0, 0]
    assert found == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("label", [True, False])
def test_one_class_has_no_roc_auc(label):
    score = np.random.default_rng(0).uniform(size=50)
    pair = Binary(score, score, np.full(50, int(label)))
    assert np.isnan(value(pair, "roc_auc"))
    assert value(pair, "average_precision") == pytest.approx(1.0 if label else np.nan, nan_ok=True)
    assert np.isfinite(value(pair, "log_loss"))


def test_several_classes_are_ranked_one_against_the_rest():
    rng = np.random.default_rng(4)
    names = list("abcd")
    shares = rng.dirichlet([1, 2, 0.5, 0.2], 20_000)
    label = [names[k] for k in (rng.uniform(size=(20_000, 1)) > shares.cumsum(1)[:, :-1]).sum(1)]
    found = compared(Multiclass(names, shares, label, None, names))
    exact = sk.roc_auc_score(label, shares, multi_class="ovr", average="macro", labels=names)
    assert found["roc_auc"] == pytest.approx((exact, exact), abs=3e-4)
    true = np.array(label)[:, None] == np.array(names)
    exact = sk.average_precision_score(true, shares, average="macro")
    assert found["average_precision"] == pytest.approx((exact, exact), abs=2e-3)
