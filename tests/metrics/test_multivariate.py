"""Drift of all features together: held against scikit-learn, and against what is known to be so."""

from __future__ import annotations

import warnings

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import PredefinedSplit
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from tidegauge.metrics import evaluate
from tidegauge.metrics.multivariate import codes, features
from tidegauge.metrics.registry import View
from tidegauge.metrics.sampled import hashes
from tidegauge.metrics.two_domains import FOLDS, folds, kernel_discrepancy, told_apart
from tidegauge.profile.profile import ROWS
from tidegauge.schema import Column, ColumnType, Role, Schema

ALL = ("domain_classifier", "pca_reconstruction_error", "mmd")
NUMBERS = Schema(tuple(Column(name, ColumnType.NUMERIC) for name in "abcd"))
MIXED = Schema(
    (
        Column("id", ColumnType.TEXT, Role.PREDICTION_ID),
        *NUMBERS.columns,
        Column("word", ColumnType.CATEGORICAL),
        Column("truth", ColumnType.BOOLEAN),
        Column("when", ColumnType.DATETIME),
        Column("label", ColumnType.NUMERIC, Role.LABEL),
    )
)
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(25, 40)


@pytest.fixture(autouse=True)
def _one_thread():
    """On a busy machine threads of such small matrices only wait for each other."""
    with threadpool_limits(1):
        yield


def close(expected):
    return pytest.approx(expected, rel=1e-9, abs=1e-9)


def values(profiles, *names):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return {s.metric.name: s for s in evaluate(*profiles, names)}


def value(profiles, name):
    return values(profiles, name)[name].value[0, 0]


def together(rng, n, strength=1.0):
    """Four columns that share one cause."""
    cause = rng.normal(size=(n, 1))
    return strength * cause + rng.normal(size=(n, 4)) * 0.5


def numbers(rows):
    return dict(zip("abcd", rows.T, strict=True))


def mixed(rng, n, missing=0.1, side="a"):
    def some(column):
        return pa.compute.if_else(pa.array(rng.uniform(size=n) < missing), None, column)

    columns = {name: some(pa.array(x)) for name, x in numbers(together(rng, n)).items()}
    return columns | {
        "id": pa.array([f"{side}{k}" for k in range(n)]),
        "word": some(pa.array(rng.choice(list("uvwxyz"), n))),
        "truth": some(pa.array(rng.uniform(size=n) < 0.4)),
        "when": pa.array(rng.integers(0, 10**9, n), pa.timestamp("s")),
        "label": pa.array(rng.normal(size=n)),
    }


def encoded_plainly(then, now):
    """NannyML's steps, one by one: impute, replace words by their shares, standardise."""
    columns = []
    for name in ("a", "b", "c", "d", "word", "truth"):
        sides = [table[name].to_pylist() for table in (then, now)]
        known = [v for v in sides[0] if v is not None]
        if name in ("word", "truth"):
            ranked = sorted(set(known), key=lambda v: (-known.count(v), str(v)))
            sides = [[ranked[0] if v is None else v for v in side] for side in sides]
            share = {v: sides[0].count(v) / len(sides[0]) for v in sides[0]}
            columns.append([[share.get(v, 0.0) for v in side] for side in sides])
        else:
            mean = np.mean(known)
            columns.append([[mean if v is None else v for v in side] for side in sides])
    y, x = (np.array([c[k] for c in columns], dtype=float).T for k in (0, 1))
    scaler = StandardScaler().fit(y)
    return scaler.transform(y), scaler.transform(x)


@given(seeds, sizes, sizes)
@settings(max_examples=200)
def test_the_reconstruction_error_is_that_of_scikit_learn(two_profiles, seed, n, m):
    rng = np.random.default_rng(seed)
    now, then = two_profiles(MIXED, mixed(rng, m), mixed(rng, n, 0.3, "b"))
    y, x = encoded_plainly(then.sample, now.sample)
    model = PCA(n_components=0.65, svd_solver="full").fit(y)
    error_now, error_then = (
        np.linalg.norm(rows - model.inverse_transform(model.transform(rows)), axis=1).mean()
        for rows in (x, y)
    )
    assert value((now, then), "pca_reconstruction_error") == close(error_now / error_then)


@given(seeds, st.integers(2, 40), st.integers(2, 40), st.integers(1, 5))
@settings(max_examples=200)
def test_the_discrepancy_is_that_of_the_kernel_matrix(seed, n, m, d):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)) + 0.5, rng.normal(size=(m, d))
    both = np.concatenate((x, y))
    squares = [((a - b) ** 2).sum() for i, a in enumerate(both) for b in both[:i]]
    kernel = rbf_kernel(both, gamma=1 / np.median(squares))
    np.fill_diagonal(kernel, 0)
    expected = kernel[:n, :n].sum() / (n * (n - 1)) + kernel[n:, n:].sum() / (m * (m - 1))
    expected -= 2 * kernel[:n, n:].mean()
    found, p = kernel_discrepancy(x, y)
    assert found == close(expected)
    assert 1 / 200 <= p <= 1


def test_the_discrepancy_of_a_model_is_that_of_its_encoded_rows(two_profiles):
    rng = np.random.default_rng(0)
    now, then = two_profiles(MIXED, mixed(rng, 80), mixed(rng, 60, 0.3, "b"))
    y, x = encoded_plainly(then.sample, now.sample)
    found = values((now, then), "mmd")["mmd"]
    assert (found.value[0, 0], found.p_value[0, 0]) == close(kernel_discrepancy(x, y))


@given(seeds, sizes, sizes)
@settings(max_examples=200)
def test_a_classifier_is_cross_validated_as_scikit_learn_does(seed, n, m):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, 2)) + 0.5, rng.normal(size=(m, 2))
    ids = [rng.integers(0, 2**63, k).astype(np.uint64) for k in (n, m)]
    model = LogisticRegression(solver="liblinear")
    assert told_apart(model, x, y, *ids) == close(scored(model, x, y, ids))


def scored(model, x, y, ids):
    side = np.repeat([1, 0], [len(x), len(y)])
    parts = PredefinedSplit(folds(*ids))
    both = np.concatenate((x, y))
    areas = []
    for seen, unseen in parts.split():
        scores = model.fit(both[seen], side[seen]).predict_proba(both[unseen])[:, 1]
        areas.append(roc_auc_score(side[unseen], scores))
    return np.mean(areas)


@pytest.mark.parametrize("seed", range(5))
def test_the_domain_classifier_is_that_of_scikit_learn(two_profiles, seed):
    rng = np.random.default_rng(seed)
    now, then = two_profiles(MIXED, mixed(rng, 150), mixed(rng, 120, 0.3, "b"))
    view = View(then, ROWS)
    used = features(view)
    assert [c.name for c in used] == ["a", "b", "c", "d", "word", "truth"]
    x, y = (codes(p.sample, view, used) for p in (now, then))
    model = HistGradientBoostingClassifier(
        max_iter=30,
        max_leaf_nodes=15,
        early_stopping=False,
        categorical_features=[False] * 4 + [True] * 2,
        random_state=0,
    )
    ids = [hashes(p.sample) for p in (now, then)]
    assert value((now, then), "domain_classifier") == close(scored(model, x, y, ids))


def test_permutations_keep_the_level_and_find_what_is_there():
    null, shifted = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(40, 3)), rng.normal(size=(50, 3))
        null.append(kernel_discrepancy(x, y)[1])
        shifted.append(kernel_discrepancy(x + 0.8, y)[1])
    for level in (0.05, 0.2, 0.5):
        assert abs(np.mean(np.array(null) <= level) - level) < 3.5 * np.sqrt(level / 200)
    assert np.mean(np.array(shifted) <= 0.01) > 0.95


def test_all_three_stay_calm_where_nothing_changed_and_see_a_lost_correlation(two_profiles):
    rng = np.random.default_rng(1)
    then, same = numbers(together(rng, 1_500)), numbers(together(rng, 1_500))
    apart = {name: rng.permutation(x) for name, x in same.items()}
    calm = values(two_profiles(NUMBERS, then, same), *ALL)
    moved = values(two_profiles(NUMBERS, then, apart), *ALL)
    assert abs(calm["domain_classifier"].value[0, 0] - 0.5) < 0.04
    assert abs(calm["pca_reconstruction_error"].value[0, 0] - 1) < 0.05
    assert calm["mmd"].p_value[0, 0] > 0.05
    assert moved["domain_classifier"].value[0, 0] > 0.7
    assert moved["pca_reconstruction_error"].value[0, 0] > 1.3
    assert moved["mmd"].p_value[0, 0] == pytest.approx(1 / 200)


def test_results_are_the_same_each_time(two_profiles):
    rng = np.random.default_rng(2)
    profiles = two_profiles(NUMBERS, *(numbers(together(rng, 100)) for _ in range(2)))
    first, again = ({n: s.value for n, s in values(profiles, *ALL).items()} for _ in range(2))
    assert first == again


def test_the_same_records_on_both_sides_cannot_be_told_apart(two_profiles):
    rng = np.random.default_rng(3)
    then = mixed(rng, 300)
    first_half = {name: column.slice(0, 150) for name, column in then.items()}
    found = value(two_profiles(MIXED, then, then), "domain_classifier")
    assert found == close(0.5)
    assert abs(value(two_profiles(MIXED, then, first_half), "domain_classifier") - 0.5) < 0.06


def test_a_record_on_both_sides_is_in_one_part_only():
    ids = np.random.default_rng(0).integers(0, 2**63, 1_000).astype(np.uint64)
    part = folds(ids, ids[:400])
    np.testing.assert_array_equal(part[:400], part[1_000:])
    for own in (part[:400], part[400:1_000]):
        assert (np.bincount(own) == len(own) / FOLDS).all()


ODD = {
    "nothing": np.empty((0, 4)),
    "one row": np.ones((1, 4)),
    "two rows": np.arange(8.0).reshape(2, 4),
    "few rows": np.arange(40.0).reshape(10, 4),
    "constant": np.full((60, 4), 1234.5),
    "missing": np.full((60, 4), np.nan),
    "infinite": np.full((60, 4), np.inf),
    "one value each": np.where(np.eye(60, 4), 1.0, np.nan),
    "huge": np.linspace(-1, 1, 240).reshape(60, 4) * 1e308,
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("then", ODD)
def test_odd_records_have_a_defined_result(two_profiles, name, then):
    rng = np.random.default_rng(0)
    plain = together(rng, 60)
    for reference, current in ((ODD[then], plain), (plain, ODD[then]), (ODD[then], ODD[then])):
        if len(reference) == 0 and len(current) == 0:
            continue
        profiles = two_profiles(NUMBERS, numbers(reference), numbers(current))
        found = values(profiles, name)[name]
        assert found.value.shape == (1, 1)
        assert not np.isinf(found.value).any()
        if min(len(reference), len(current)) < 2 and name != "pca_reconstruction_error":
            assert np.isnan(found.value).all()


def test_a_model_without_features_has_none_of_them(two_profiles):
    schema = Schema((Column("when", ColumnType.DATETIME),))
    times = {"when": pa.array(range(100), pa.timestamp("s"))}
    found = values(two_profiles(schema, times, times), *ALL)
    assert all(np.isnan(s.value).all() for s in found.values())
