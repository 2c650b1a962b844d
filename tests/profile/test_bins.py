"""Codes are those of an exact binary search; bins hold what their baseline held."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegauge.profile import CategoryBins, NumericBins
from tidegauge.profile.bins import EXACT_VALUES, bins_from_json, coarse_groups, numeric_bins
from tidegauge.profile.hashing import hash_strings

FINITE = st.floats(allow_nan=False, allow_infinity=False)
EDGES = st.one_of(
    st.lists(FINITE, min_size=1, max_size=60),
    st.lists(st.integers(-50, 50).map(float), min_size=1, max_size=60),
    st.lists(st.floats(-1e-306, 1e-306), min_size=1, max_size=60),
    st.lists(st.floats(1.0, 1.0 + 1e-13), min_size=8, max_size=60),
    st.lists(st.floats(0, 1) | st.floats(1e300, 1.7e308), min_size=8, max_size=60),
)


def expected_codes(edges, values):
    codes = np.searchsorted(edges, values, side="left")
    codes[np.isnan(values)] = len(edges) + 1
    codes[np.isinf(values)] = len(edges) + 2
    return codes


@settings(max_examples=150)
@given(edges=EDGES, values=st.lists(st.floats(), max_size=60))
def test_codes_are_those_of_searchsorted_whatever_edges_and_values(edges, values):
    edges = np.unique(edges)
    with np.errstate(over="ignore"):
        near = np.concatenate((edges, np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf)))
    held = np.concatenate((np.asarray(values, dtype=np.float64), near))
    bins = NumericBins(edges, float(edges[0]), float(edges[-1]))
    assert bins.codes(held).dtype == np.int32
    np.testing.assert_array_equal(bins.codes(held), expected_codes(edges, held))


def test_codes_are_exact_on_a_dense_grid_of_many_shapes():
    rng = np.random.default_rng(1)
    for sample in (
        rng.normal(size=20_000),
        rng.lognormal(0, 3, 20_000),
        rng.pareto(1.1, 20_000),
        rng.integers(0, 40, 20_000).astype(float),
        np.where(rng.uniform(size=20_000) < 0.9, 0.0, rng.uniform(size=20_000)),
        rng.standard_cauchy(20_000) * 1e290,
        rng.uniform(size=20_000) * 5e-324 * 1000,
        1e9 + rng.uniform(size=20_000) * 1e-3,
    ):
        bins = numeric_bins(sample, sample.min(), sample.max())
        values = np.concatenate((sample, bins.edges, -sample, sample * 1.001, [np.nan, np.inf]))
        np.testing.assert_array_equal(bins.codes(values), expected_codes(bins.edges, values))


def test_no_value_gives_a_warning(recwarn):
    edges = np.sort(np.random.default_rng(0).normal(size=50)) * 1e307
    values = np.array([1.7e308, -1.7e308, np.inf, -np.inf, np.nan, 5e-324, 0.0, -0.0])
    NumericBins(edges, edges[0], edges[-1]).codes(values)
    most = np.finfo(np.float64).max
    numeric_bins(np.array([-most, most] * 200), -most, most).codes(values)
    assert not recwarn.list


@settings(max_examples=100)
@given(
    sample=st.lists(FINITE | st.integers(0, 5).map(float), max_size=400),
    minimum=st.none() | st.floats(-1e6, 0),
    maximum=st.none() | st.floats(0, 1e6),
)
def test_bins_of_any_sample_cover_it_and_leave_the_ends_open(sample, minimum, maximum):
    values = np.asarray(sample, dtype=np.float64)
    low, high = (values.min(), values.max()) if len(values) else (np.inf, -np.inf)
    bins = numeric_bins(values, low, high, minimum=minimum, maximum=maximum)
    assert np.isfinite(bins.edges).all()
    assert (np.diff(bins.edges) > 0).all()
    assert bins.size <= 260
    codes = bins.codes(values)
    counts = np.bincount(codes, minlength=bins.size)
    assert counts.sum() == len(values)
    inside = counts[bins.inside].sum()
    assert inside == ((values >= bins.low) & (values <= bins.high)).sum()
    if bins.exact and len(values):
        assert len(np.unique(values)) == len(np.unique(codes)) <= EXACT_VALUES
    assert json.loads(json.dumps(bins.to_json(), allow_nan=False)) == bins.to_json()
    again = bins_from_json(json.loads(json.dumps(bins.to_json())))
    np.testing.assert_array_equal(again.edges, bins.edges)
    assert (again.low, again.high, again.exact) == (bins.low, bins.high, bins.exact)


def test_a_column_whose_sample_is_empty_still_knows_its_range():
    bins = numeric_bins(np.empty(0), 3.0, 9.0)
    assert bins.codes(np.array([2.0, 3.0, 5.0, 9.0, 10.0])).tolist() == [0, 1, 2, 2, 3]


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=260),
    st.integers(2, 20),
)
def test_coarse_groups_are_few_and_begin_with_the_first_bin(weights, bins):
    starts = coarse_groups(np.asarray(weights, dtype=np.float64), bins)
    assert starts[0] == 0
    assert (np.diff(starts) > 0).all()
    assert len(starts) <= bins
    assert np.add.reduceat(weights, starts).sum() == sum(weights)


@settings(max_examples=60)
@given(
    known=st.lists(st.text(max_size=4), unique=True, max_size=8),
    rare=st.lists(st.text(max_size=4), max_size=8),
    values=st.lists(st.none() | st.text(max_size=4), max_size=30),
)
def test_a_category_has_its_own_bin_or_the_other_and_only_new_ones_are_unseen(known, rare, values):
    vocabulary = np.unique(hash_strings(pa.array(known + rare, pa.string())))
    bins = CategoryBins(tuple(known), vocabulary)
    held = values + known + rare
    for column in (pa.array(held, pa.string()), pa.array(held, pa.string()).dictionary_encode()):
        codes, unseen = bins.codes(column)
        for value, code, new in zip(held, codes, unseen, strict=True):
            if value is None:
                assert code == bins.size and not new
            else:
                assert bins.labels[code] == (value if value in known else "(other)")
                assert new == (value not in known and value not in rare)
    again = bins_from_json(json.loads(json.dumps(bins.to_json())))
    np.testing.assert_array_equal(again.codes(column)[1], unseen)


def test_a_dictionary_with_narrow_indices_and_nulls_is_read():
    words = [f"w{k}" for k in range(128)]
    column = pa.DictionaryArray.from_arrays(pa.array([0, 127, None], pa.int8()), pa.array(words))
    codes, unseen = CategoryBins(tuple(words)).codes(column)
    assert codes.tolist() == [0, 127, 129]
    assert not unseen.any()
