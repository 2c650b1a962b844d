"""The coordinated sample: which rows it keeps depends on their ids alone."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegauge.profile import Profiler, Survey
from tidegauge.profile.hashing import hash_array
from tidegauge.profile.profile import merge_profiles
from tidegauge.profile.sample import SAMPLE_SIZE, Sampler, smallest
from tidegauge.schema import Column, ColumnType, Role, Schema, Task


@settings(max_examples=50)
@given(
    hashes=st.lists(st.integers(0, 2**64 - 1), unique=True, max_size=60),
    k=st.integers(1, 8),
    windows=st.integers(1, 3),
    rows=st.integers(1, 20),
    rnd=st.randoms(use_true_random=False),
)
def test_batches_in_any_order_leave_the_smallest_hashes_of_every_window(
    hashes, k, windows, rows, rnd
):
    places = list(range(len(hashes)))
    rnd.shuffle(places)
    sampler = Sampler(k)
    for at in range(0, len(places), rows):
        part = np.array(places[at : at + rows])
        batch = pa.record_batch({"row": pa.array(part)})
        held = np.array([hashes[p] for p in part], dtype=np.uint64)
        sampler.update(batch, part % windows, held)
    table = sampler.finish()
    kept = [] if table is None else table["row"].to_pylist()
    expected = []
    for w in range(windows):
        inside = [p for p in range(len(hashes)) if p % windows == w]
        expected += sorted(inside, key=lambda p: hashes[p])[:k]
    assert kept == expected


def test_smallest_of_nothing_is_nothing():
    empty = pa.table({"_window": pa.array([], pa.int64()), "_hash": pa.array([], pa.uint64())})
    assert len(smallest(empty, 3)) == 0
    assert Sampler(5).finish() is None
    off = Sampler(0)
    off.update(pa.record_batch({"x": [1]}), np.zeros(1, np.int64), np.zeros(1, np.uint64))
    assert off.finish() is None


def test_two_versions_that_scored_the_same_traffic_hold_the_same_rows():
    ids = [f"p{i}" for i in range(6_000)]
    schema = Schema(
        (
            Column("id", ColumnType.TEXT, Role.PREDICTION_ID),
            Column("score", ColumnType.NUMERIC, Role.SCORE),
        )
    )
    kept = []
    for version in (1, 2):
        order = np.random.default_rng(version).permutation(len(ids))
        table = pa.table({"id": pa.array([ids[i] for i in order]), "score": order / version})
        survey = Survey(schema)
        for batch in table.to_batches():
            survey.update(batch)
        layout = survey.layout("b")
        profilers = [Profiler(layout) for _ in range(3)]
        for number, batch in enumerate(table.to_batches(500)):
            profilers[number % 3].update(batch)
        sample = merge_profiles([p.finish() for p in profilers]).sample
        assert len(sample) == SAMPLE_SIZE
        kept.append(sample["id"].to_pylist())
    assert kept[0] == kept[1]
    limit = np.sort(hash_array(pa.array(ids)))[SAMPLE_SIZE - 1]
    assert hash_array(pa.array(kept[0])).max() == limit


def test_samples_of_batches_with_other_columns_and_types_stand_together(layout_of, records):
    table = records(30, 2)
    layout = layout_of(table, Task.BINARY)
    one, two = Profiler(layout, timedelta(days=1)), Profiler(layout, timedelta(days=1))
    for batch in table.to_batches():
        one.update(batch)
    for batch in records(30, 3).drop_columns(["note", "label"]).to_batches():
        two.update(batch)
    merged = one.finish().merge(two.finish())
    assert len(merged.sample) == int(merged.rows[:, 0].sum())
