"""The survey: bins, segments and classes from one pass, however the baseline is cut."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegauge.profile import CategoryBins, NumericBins, Profiler, Survey
from tidegauge.profile.bins import NAMED_VALUES
from tidegauge.profile.survey import CLASSES, EDGE_ROWS
from tidegauge.schema import Column, ColumnType, Role, Schema, Task

NUMBER = Schema((Column("x", ColumnType.NUMERIC),))
WORD = Schema((Column("c", ColumnType.CATEGORICAL),))


def layout_of(schema, *batches):
    survey = Survey(schema)
    for batch in batches:
        survey.update(batch)
    return survey.layout("b")


@settings(max_examples=15)
@given(n=st.integers(0, 200), seed=st.integers(0, 99), rows=st.integers(1, 60))
def test_the_layout_does_not_depend_on_the_batches(records, n, seed, rows):
    table = records(n, seed, Task.MULTICLASS)
    schema = Schema(
        tuple(Column(name, ColumnType.NUMERIC) for name in ("x", "k", "latency_ms"))
        + tuple(Column(name, ColumnType.CATEGORICAL) for name in ("carrier", "vip"))
        + (Column("label", ColumnType.CATEGORICAL, Role.LABEL),),
        Task.MULTICLASS,
        ("carrier",),
    )
    one = layout_of(schema, *table.to_batches())
    other = layout_of(schema, *table.combine_chunks().to_batches(rows))
    assert one.dumps() == other.dumps()


def test_a_large_baseline_gives_the_same_edges_however_it_is_cut():
    values = np.random.default_rng(0).normal(size=7 * EDGE_ROWS)
    batch = pa.record_batch({"x": values})
    whole = layout_of(NUMBER, batch).bins["x"]
    parts = [batch.slice(at, 30_000) for at in range(0, len(values), 30_000)]
    cut = layout_of(NUMBER, *parts).bins["x"]
    np.testing.assert_array_equal(whole.edges, cut.edges)
    assert (whole.low, whole.high) == (values.min(), values.max())
    shares = np.bincount(whole.codes(values), minlength=whole.size) / len(values)
    assert shares.max() < 0.006


def test_more_distinct_values_than_are_kept_leave_the_vocabulary_open():
    words = pa.array([f"user-{k}" for k in range(300_000)])
    frequent = pa.array(["vip"] * 1000)
    layout = layout_of(WORD, pa.record_batch({"c": frequent}), pa.record_batch({"c": words}))
    bins = layout.bins["c"]
    assert bins.vocabulary is None
    assert bins.values[0] == "vip"
    assert len(bins.values) == NAMED_VALUES
    profiler = Profiler(layout)
    profiler.update(pa.record_batch({"c": pa.array(["vip", "nobody", None])}))
    profile = profiler.finish()["c"]
    assert profile["unseen"].tolist() == [[0]]
    assert profile["missing"].tolist() == [[1]]
    assert profile["counts"].sum() == 2


def test_columns_without_values_or_without_data_have_bins_all_the_same():
    schema = Schema(
        (
            Column("x", ColumnType.NUMERIC),
            Column("odd", ColumnType.NUMERIC),
            Column("c", ColumnType.CATEGORICAL),
            Column("gone", ColumnType.NUMERIC),
            Column("lost", ColumnType.CATEGORICAL),
        )
    )
    batch = pa.record_batch(
        {
            "x": pa.nulls(3, pa.float64()),
            "odd": pa.array([np.nan, np.inf, -np.inf]),
            "c": pa.nulls(3, pa.string()),
        }
    )
    for layout in (layout_of(schema, batch), layout_of(schema)):
        for name in ("x", "odd", "gone"):
            assert isinstance(layout.bins[name], NumericBins)
        for name in ("c", "lost"):
            assert layout.bins[name].values == ()
        profiler = Profiler(layout)
        profiler.update(pa.record_batch({"x": [1.0, 0.0], "c": ["new", None], "gone": [5, 6]}))
        profile = profiler.finish()
        assert profile["x"]["counts"].sum() == 2
        assert profile["c"]["unseen"].tolist() == [[1]]
        assert profile["lost"]["missing"].tolist() == [[2]]


def test_a_dictionary_that_names_a_value_twice_is_counted_once():
    twice = pa.DictionaryArray.from_arrays(
        pa.array([0, 1, 2, 2]), pa.array(["a", "b", "a"], pa.string())
    )
    bins = layout_of(WORD, pa.record_batch({"c": twice})).bins["c"]
    assert bins.values == ("a", "b")


def test_segments_are_the_most_frequent_values_then_the_rest():
    schema = Schema((Column("c", ColumnType.CATEGORICAL, Role.SEGMENT),))
    words = [f"s{k:02}" for k in range(30) for _ in range(30 - k)]
    layout = layout_of(schema, pa.record_batch({"c": words}))
    names = [s.value for s in layout.segments if s is not None]
    assert names == [f"s{k:02}" for k in range(20)] + ["(other)"]
    profiler = Profiler(layout)
    profiler.update(pa.record_batch({"c": ["s00", "s25", "new", None, "(other)"]}))
    rows = profiler.finish().rows[0]
    assert rows[0] == 5
    assert rows[1] == 1
    assert rows[-1] == 4


def test_a_value_named_like_the_rest_is_pooled_with_it():
    schema = Schema((Column("c", ColumnType.CATEGORICAL, Role.SEGMENT),))
    layout = layout_of(schema, pa.record_batch({"c": ["a", "(other)", "(other)", "b"]}))
    assert [s.value for s in layout.segments if s] == ["a", "b", "(other)"]
    profiler = Profiler(layout)
    profiler.update(pa.record_batch({"c": ["a", "(other)", "b", "b"]}))
    assert profiler.finish().rows.tolist() == [[4, 1, 2, 1]]


def test_classes_are_bounded_and_those_with_scores_come_first():
    schema = Schema(
        (
            Column("label", ColumnType.CATEGORICAL, Role.LABEL),
            Column("score_z", ColumnType.NUMERIC, Role.SCORE, class_="z"),
        ),
        Task.MULTICLASS,
    )
    labels = [f"c{k:03}" for k in range(300)]
    layout = layout_of(schema, pa.record_batch({"label": labels, "score_z": [0.5] * 300}))
    assert len(layout.classes) == CLASSES
    assert "z" in layout.classes
    assert isinstance(layout.bins["label"], CategoryBins)
