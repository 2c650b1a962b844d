"""Merging is exact: over windows, segments, batches and machines."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegauge.errors import SchemaMismatch
from tidegauge.profile.profile import EMPTY, merge_profiles
from tidegauge.schema import Task

MAXIMA = ("maximum", "labels_until")
TASKS = st.sampled_from(list(Task))
WIDTHS = st.sampled_from([None, timedelta(hours=6), timedelta(days=1), timedelta(days=7)])


@settings(max_examples=25)
@given(
    n=st.integers(0, 80),
    seed=st.integers(0, 1000),
    task=TASKS,
    width=WIDTHS,
    cuts=st.lists(st.integers(0, 80), max_size=3),
    rows=st.integers(1, 30),
)
def test_parts_merged_are_the_profile_of_the_whole(
    records, layout_of, profile_of, assert_same, n, seed, task, width, cuts, rows
):
    table = records(n, seed, task)
    layout = layout_of(records(60, seed + 1, task), task)
    whole = profile_of(table, layout, width)
    ends = sorted({0, n, *(min(c, n) for c in cuts)})
    parts = [table.slice(a, b - a) for a, b in pairwise(ends)] or [table]
    machines = [profile_of(part, layout, width, rows) for part in parts]
    assert_same(whole, merge_profiles(machines))
    assert_same(whole, merge_profiles(machines[::-1]))
    assert_same(whole, profile_of(table, layout, width, rows))


@settings(max_examples=12)
@given(seed=st.integers(0, 1000), task=TASKS, width=WIDTHS.filter(bool))
def test_windows_merged_are_one_window_of_everything(
    records, layout_of, profile_of, assert_same, seed, task, width
):
    table = records(120, seed, task)
    table = table.filter(table["when"].is_valid())
    layout = layout_of(table, task)
    one = profile_of(table, layout)
    total = profile_of(table, layout, width).total()
    assert total.width is None
    np.testing.assert_array_equal(total.rows, one.rows)
    for group, arrays in one.arrays.items():
        for name, array in arrays.items():
            np.testing.assert_allclose(
                total.arrays[group][name], array, rtol=1e-9, atol=1e-9, err_msg=f"{group} {name}"
            )
    kept = [p.sample.drop_columns(["_window"]).to_pylist() for p in (total, one)]
    assert repr(kept[0]) == repr(kept[1])


@settings(max_examples=12)
@given(seed=st.integers(0, 1000), task=TASKS, width=WIDTHS)
def test_the_values_of_a_segment_column_part_the_records(
    records, layout_of, profile_of, seed, task, width
):
    table = records(100, seed, task)
    layout = layout_of(records(60, seed + 1, task), task)
    profile = profile_of(table, layout, width, 17)
    assert {name for name, _, _ in layout.segment_groups} == {"carrier", "vip"}
    for group, arrays in profile.arrays.items():
        for name, array in arrays.items():
            if name == "registers":
                continue
            for _, first, values in layout.segment_groups:
                part = array[:, first : first + len(values)]
                merge = {"minimum": np.min, **dict.fromkeys(MAXIMA, np.max)}.get(name, np.sum)
                np.testing.assert_allclose(
                    merge(part, axis=1),
                    array[:, 0],
                    rtol=1e-9,
                    atol=1e-9,
                    err_msg=f"{group} {name}",
                )


@settings(max_examples=8)
@given(seed=st.integers(0, 1000), width=WIDTHS.filter(bool))
def test_a_segment_is_profiled_as_if_its_records_were_alone(
    records, layout_of, profile_of, seed, width
):
    table = records(150, seed)
    layout = layout_of(table, Task.BINARY)
    whole = profile_of(table, layout, width)
    words = pa.compute.fill_null(table["carrier"], "(none)")
    for index, segment in enumerate(layout.segments):
        if segment is None or segment.column != "carrier":
            continue
        named = [s.value for s in layout.segments if s is not None and s.column == "carrier"][:-1]
        inside = pa.compute.equal(words, segment.value)
        if segment.value == "(other)":
            inside = pa.compute.invert(pa.compute.is_in(words, pa.array(named)))
        alone = profile_of(table.filter(inside), layout, width)
        at = np.searchsorted(whole.windows, alone.windows)
        for group, arrays in alone.arrays.items():
            for name, array in arrays.items():
                if name != "registers":
                    np.testing.assert_allclose(
                        whole.arrays[group][name][at, index],
                        array[:, 0],
                        rtol=1e-9,
                        atol=1e-9,
                        err_msg=f"{group} {name} {segment}",
                    )


def test_a_batch_without_some_columns_merges_with_one_that_has_them(
    records, layout_of, profile_of, assert_same
):
    table = records(50, 3)
    layout = layout_of(table, Task.BINARY)
    lost = ["label", "status", "score", "latency_ms", "carrier", "k"]
    poor = table.drop_columns(lost)
    nulls = poor
    for name in lost:
        nulls = nulls.append_column(name, pa.nulls(len(table), table[name].type))
    day = timedelta(days=1)
    assert (
        profile_of(poor, layout, day).arrays.keys() == profile_of(table, layout, day).arrays.keys()
    )
    both = profile_of([table, poor], layout, day)
    apart = merge_profiles([profile_of(t, layout, day) for t in (table, poor)])
    empty = profile_of(nulls, layout, day)
    for group, arrays in apart.arrays.items():
        for name, array in arrays.items():
            np.testing.assert_allclose(array, both.arrays[group][name], rtol=1e-9, atol=1e-9)
    for name, array in empty["@performance"].items():
        assert (array == EMPTY.get(name, 0)).all(), name


def test_overflowing_sums_merge_without_a_warning(layout_of, profile_of, records, recwarn):
    table = records(40, 5)
    at = table.column_names.index("x")
    huge = pa.array([1.7e308, -1.7e308] * 20)
    table = table.set_column(at, "x", huge)
    layout = layout_of(table, Task.BINARY)
    for width in (None, timedelta(days=1)):
        half = profile_of(table, layout, width, 7)
        merge_profiles([half, half]).total()
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]
    assert half["x"]["counts"][:, 0].sum() == half.rows[:, 0].sum()


def test_profiles_of_two_baselines_do_not_merge(records, layout_of, profile_of):
    table = records(30, 1)
    one = profile_of(table, layout_of(table, Task.BINARY))
    other = profile_of(table, layout_of(table, Task.BINARY, ()))
    with pytest.raises(SchemaMismatch, match="different baselines"):
        one.merge(other)
    with pytest.raises(SchemaMismatch):
        one.merge(profile_of(table, one.layout, timedelta(days=1)))


def test_select_keeps_windows_and_their_part_of_the_sample(
    records, layout_of, profile_of, assert_same
):
    table = records(200, 9)
    layout = layout_of(table, Task.BINARY)
    profile = profile_of(table, layout, timedelta(days=7))
    assert len(profile.windows) == 3
    apart = [profile.select(np.array([k])) for k in (2, 0, 1)]
    assert [len(p.sample) for p in apart] == [int(p.rows[0, 0]) for p in apart]
    assert_same(profile, merge_profiles(apart))
