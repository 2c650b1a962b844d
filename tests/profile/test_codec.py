"""Profiles, layouts and baselines come back from bytes as they went in."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegauge.errors import UnreadableSource
from tidegauge.profile import Baseline, Layout
from tidegauge.profile.codec import profile_from_bytes, profile_to_bytes
from tidegauge.profile.profile import merge_profiles
from tidegauge.schema import Task


@settings(max_examples=15)
@given(
    n=st.integers(0, 60),
    seed=st.integers(0, 1000),
    task=st.sampled_from(list(Task)),
    width=st.sampled_from([None, timedelta(days=1)]),
)
def test_a_baseline_survives_bytes_whole_and_merges_with_what_came_before(
    records, layout_of, profile_of, assert_same, n, seed, task, width
):
    table = records(n, seed, task)
    layout = layout_of(records(40, seed, task), task)
    baseline = Baseline(profile_of(table, layout, width), datetime(2024, 5, 1, 12, tzinfo=UTC))
    again = Baseline.from_bytes(baseline.to_bytes())
    assert again.id == "baseline-1"
    assert again.created_at == baseline.created_at
    assert again.layout.dumps() == layout.dumps()
    assert_same(baseline.profile, again.profile)
    assert_same(baseline.total, again.total)
    fresh = profile_of(table, again.layout, width)
    assert_same(baseline.profile, fresh)
    assert_same(
        merge_profiles([again.profile, fresh]),
        merge_profiles([baseline.profile, baseline.profile]),
    )


def test_a_profile_without_its_sample_survives_bytes(records, layout_of, profile_of, assert_same):
    layout = layout_of(records(50, 1), Task.BINARY)
    profile = profile_of(records(50, 2), layout, timedelta(hours=1))
    again = profile_from_bytes(profile_to_bytes(profile), layout)
    assert again.sample is None
    assert again.width == timedelta(hours=1)
    assert_same(again, profile_from_bytes(profile_to_bytes(again), layout))


def test_a_layout_is_json_without_nan(records, layout_of):
    layout = layout_of(records(80, 4, Task.MULTICLASS), Task.MULTICLASS)
    again = Layout.loads(layout.dumps())
    assert again.compatible(layout) and layout.compatible(again)
    assert again.classes == layout.classes == ("a", "b", "c", "d")
    assert again.segment_groups == layout.segment_groups
    json.loads(layout.dumps(), parse_constant=lambda name: pytest.fail(name))


@pytest.mark.parametrize("data", [b"", b"garbage", b"PAR1", b"\xff" * 200])
def test_other_bytes_are_refused_with_a_reason(data, records, layout_of):
    with pytest.raises(UnreadableSource, match="no stored baseline"):
        Baseline.from_bytes(data)
    with pytest.raises(UnreadableSource, match="no stored profile"):
        profile_from_bytes(data, layout_of(records(10, 0), Task.BINARY))


def test_an_arrow_stream_of_something_else_is_no_baseline():
    sink = pa.BufferOutputStream()
    table = pa.table({"x": [1]})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data = sink.getvalue().to_pybytes()
    with pytest.raises(UnreadableSource):
        Baseline.from_bytes(data)
    with pytest.raises(UnreadableSource):
        profile_from_bytes(data, Layout(schema=None, bins={}))


def test_a_truncated_baseline_is_refused(records, layout_of, profile_of):
    table = records(30, 1)
    layout = layout_of(table, Task.BINARY)
    whole = Baseline(profile_of(table, layout), datetime(2024, 1, 1, tzinfo=UTC)).to_bytes()
    for size in (len(whole) // 2, len(whole) - 100):
        with pytest.raises(UnreadableSource):
            Baseline.from_bytes(whole[:size])
