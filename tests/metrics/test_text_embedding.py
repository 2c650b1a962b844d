"""Texts and embeddings: what is measured of them, and what happens to those that are broken."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cosine, euclidean
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from tidegauge.metrics import evaluate
from tidegauge.metrics.embedding import dimension_of, vectors
from tidegauge.metrics.sampled import hashes
from tidegauge.metrics.two_domains import folds, kernel_discrepancy
from tidegauge.schema import Column, ColumnType, Role, Schema

EMBEDDING = Schema((Column("x", ColumnType.EMBEDDING),))
TEXT = Schema((Column("x", ColumnType.TEXT),))
OF_VECTORS = (
    "dimension_error_share",
    "embedding_mean_distance",
    "embedding_cosine_distance",
    "embedding_mmd",
    "embedding_domain_classifier",
)
OF_TEXTS = ("text_length", "out_of_vocabulary_share", "text_domain_classifier")
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(25, 40)


@pytest.fixture(autouse=True)
def _one_thread():
    """On a busy machine threads of such small matrices only wait for each other."""
    with threadpool_limits(1):
        yield


def close(expected):
    return pytest.approx(expected, rel=1e-9, abs=1e-9)


def found_in(profiles, names):
    """Values and p-values by metric, every warning being an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        series = evaluate(*profiles, names)
    return {
        s.metric.name: (s.value[0, 0], None if s.p_value is None else s.p_value[0, 0])
        for s in series
    }


def scored(model, both, profiles):
    ids = [hashes(p.sample) for p in profiles]
    side = np.repeat([1, 0], [len(one) for one in ids])
    parts = PredefinedSplit(folds(*ids))
    areas = []
    for seen, unseen in parts.split():
        scores = model.fit(both[seen], side[seen]).predict_proba(both[unseen])[:, 1]
        areas.append(roc_auc_score(side[unseen], scores))
    return np.mean(areas)


def rows_of(profile):
    return np.array(profile.sample["x"].to_pylist())


# Embeddings ----------------------------------------------------------------------------------


def cloud(rng, n, dimension=3, shift=0.0):
    return list(rng.normal(size=(n, dimension)) + 1.0 + shift)


@given(seeds, sizes, sizes, st.integers(1, 6))
@settings(max_examples=200)
def test_distances_of_vectors_agree_with_scipy_and_scikit_learn(two_profiles, seed, n, m, d):
    rng = np.random.default_rng(seed)
    profiles = two_profiles(EMBEDDING, {"x": cloud(rng, n, d)}, {"x": cloud(rng, m, d, 0.5)})
    found = found_in(profiles, OF_VECTORS)
    x, y = (rows_of(p) for p in profiles)
    means = x.mean(axis=0), y.mean(axis=0)
    assert found["embedding_mean_distance"][0] == close(euclidean(*means))
    assert found["embedding_cosine_distance"][0] == close(cosine(*means))
    assert found["embedding_mmd"] == close(kernel_discrepancy(x, y))
    assert found["dimension_error_share"][0] == 0.0
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=50))
    assert found["embedding_domain_classifier"][0] == close(
        scored(model, np.concatenate((x, y)), profiles)
    )


def test_a_model_of_another_dimension_is_an_error_of_every_vector(two_profiles):
    rng = np.random.default_rng(0)
    then, now = {"x": cloud(rng, 200, 3)}, {"x": cloud(rng, 150, 4)}
    found = found_in(two_profiles(EMBEDDING, then, now), OF_VECTORS)
    assert found["dimension_error_share"][0] == 1.0
    assert found["dimension_error_share"][1] < 1e-12
    assert np.isnan([found[name][0] for name in OF_VECTORS[1:]]).all()


def test_broken_vectors_are_counted_and_left_out_of_distances(two_profiles):
    rng = np.random.default_rng(1)
    then, good = cloud(rng, 100), cloud(rng, 60)
    broken = [[1.0], [], [1.0, 2.0, 3.0, 4.0], [1.0, None, 2.0], [np.nan, 0.0, 0.0], [np.inf] * 3]
    now = [list(v) for v in good] + broken + [None] * 20
    found = found_in(two_profiles(EMBEDDING, {"x": then}, {"x": now}), OF_VECTORS)
    plain = found_in(two_profiles(EMBEDDING, {"x": then}, {"x": good}), OF_VECTORS)
    assert found["dimension_error_share"][0] == close(6 / 66)
    for name in ("embedding_mean_distance", "embedding_cosine_distance", "embedding_mmd"):
        assert found[name][0] == close(plain[name][0])


def test_the_dimension_is_that_of_most_vectors_of_the_baseline(two_profiles):
    then = [[1.0, 2.0]] * 30 + [[1.0]] * 3
    found = found_in(two_profiles(EMBEDDING, {"x": then}, {"x": then}), OF_VECTORS)
    assert found["dimension_error_share"][0] == close(3 / 33)
    assert found["embedding_mean_distance"][0] == 0.0


LISTS = {
    "list": pa.list_(pa.float32()),
    "large list": pa.large_list(pa.float64()),
    "fixed size": pa.list_(pa.float32(), 2),
    "half": pa.list_(pa.float16()),
    "whole numbers": pa.list_(pa.int16()),
}


@pytest.mark.parametrize("kind", LISTS)
def test_vectors_of_any_list_of_numbers_are_read(kind):
    column = pa.array([[1, 2], None, [3, 4]], LISTS[kind])
    ids = np.arange(3, dtype=np.uint64)
    for held in (column, column.slice(1), column.slice(0, 2)):
        found = vectors(held, ids[: len(held)], dimension_of(held))
        assert found.rows.tolist() == [v for v in held.to_pylist() if v is not None]
        assert (found.present, found.wrong) == (len(found.rows), 0)


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["[1, 2]", "[3, 4]"]),
        pa.array([1.0, 2.0]),
        pa.array([["a", "b"], ["c", "d"]]),
        pa.array([[[1.0, 2.0], [1.0, 2.0]]] * 2),
        pa.array([{"a": 1}, {"a": 2}]),
    ],
    ids=lambda column: str(column.type),
)
def test_what_is_no_vector_is_an_error(two_profiles, column):
    then = [[1.0, 2.0], [3.0, 4.0]]
    found = found_in(two_profiles(EMBEDDING, {"x": then}, {"x": column}), OF_VECTORS)
    assert found["dimension_error_share"][0] == 1.0
    assert np.isnan([found[name][0] for name in OF_VECTORS[1:]]).all()
    # And as the baseline it gives nothing to hold anything to.
    found = found_in(two_profiles(EMBEDDING, {"x": column}, {"x": then}), OF_VECTORS)
    assert np.isnan([value for value, _ in found.values()]).all()


# Texts ---------------------------------------------------------------------------------------

letters = st.text(st.sampled_from("aAbÇé ,.!?42\n_-"), max_size=12)
texts = st.lists(st.one_of(letters, st.none()), min_size=1, max_size=20)


@given(texts, texts)
@settings(max_examples=300)
def test_length_and_new_words_are_what_plain_python_counts(two_profiles, then, now):
    sides = [{"x": pa.array(side, pa.string())} for side in (then, now)]
    found = found_in(two_profiles(TEXT, *sides), OF_TEXTS[:2])
    present = [t for t in now if t is not None]
    length = np.mean([len(t) for t in present]) if present else np.nan
    assert found["text_length"][0] == pytest.approx(length, rel=1e-9, nan_ok=True)
    known, said = (
        [w for t in side if t is not None for w in re.findall(r"[^\W_]+", t.lower())]
        for side in (then, now)
    )
    share = np.mean([w not in known for w in said]) if known and said else np.nan
    assert found["out_of_vocabulary_share"][0] == pytest.approx(share, abs=1e-9, nan_ok=True)


def prose(rng, n, words=("red", "green", "blue", "grey")):
    return [" ".join(rng.choice(words, 4)) for _ in range(n)]


@given(seeds, sizes, sizes)
@settings(max_examples=200)
def test_the_classifier_of_texts_is_that_of_scikit_learn(two_profiles, seed, n, m):
    rng = np.random.default_rng(seed)
    then, now = prose(rng, n), prose(rng, m, ["red", "green", "blue", "gold"])
    profiles = two_profiles(TEXT, {"x": then}, {"x": now})
    hashing = HashingVectorizer(n_features=2**14, ngram_range=(1, 2), alternate_sign=False)
    both = hashing.transform([t for p in profiles for t in p.sample["x"].to_pylist()])
    model = LogisticRegression(solver="liblinear", random_state=0)
    expected = scored(model, both, profiles)
    found = found_in(profiles, ["text_domain_classifier"])
    assert found["text_domain_classifier"][0] == close(expected)


def test_texts_on_a_new_subject_are_told_apart_and_the_same_are_not(two_profiles):
    rng = np.random.default_rng(0)
    then, same = prose(rng, 400), prose(rng, 400)
    new = prose(rng, 400, ["red", "green", "refund"])
    calm = found_in(two_profiles(TEXT, {"x": then}, {"x": same}), OF_TEXTS)
    moved = found_in(two_profiles(TEXT, {"x": then}, {"x": new}), OF_TEXTS)
    assert calm["out_of_vocabulary_share"][0] == 0.0
    assert moved["out_of_vocabulary_share"][0] == pytest.approx(1 / 3, abs=0.05)
    assert abs(calm["text_domain_classifier"][0] - 0.5) < 0.08
    assert moved["text_domain_classifier"][0] > 0.9


ODD = {
    "nothing": [],
    "missing": [None] * 40,
    "empty": [""] * 40,
    "no words": ["?!"] * 40,
    "one": ["word"],
    "numbers": [str(k) for k in range(40)],
    "long": ["word " * 2_000] * 26,
}


@pytest.mark.parametrize("then", ODD)
@pytest.mark.parametrize("now", ODD)
def test_odd_texts_have_a_defined_result(two_profiles, then, now):
    sides = [{"x": pa.array(ODD[side], pa.string())} for side in (then, now)]
    found = found_in(two_profiles(TEXT, *sides), OF_TEXTS)
    assert not np.isinf([value for value, _ in found.values()]).any()
    assert np.isnan(found["text_length"][0]) == (now in ("nothing", "missing"))
    wordless = ("nothing", "missing", "empty", "no words")
    undefined = then in wordless or now in wordless
    assert np.isnan(found["out_of_vocabulary_share"][0]) == undefined


def test_columns_that_name_records_are_not_read_as_texts(two_profiles):
    schema = Schema(
        (
            Column("id", ColumnType.TEXT, Role.PREDICTION_ID),
            Column("trace", ColumnType.TEXT, Role.TRACE_ID),
        )
    )
    columns = {"id": ["a", "b"], "trace": ["c", "d"]}
    assert found_in(two_profiles(schema, columns, columns), OF_TEXTS) == {}
