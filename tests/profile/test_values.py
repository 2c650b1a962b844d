"""Whatever a column holds, it becomes numbers, times and truth, or is counted as an error."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegauge.profile.columns import encode
from tidegauge.profile.values import NO_TIME, micros, numbers, truth

NOON = 1_704_110_400_000_000
NAN = float("nan")


@pytest.mark.parametrize(
    ("column", "values", "errors"),
    [
        (pa.array([1, None, -3], pa.int8()), [1, NAN, -3], []),
        (pa.array([2**63], pa.uint64()), [2.0**63], []),
        (pa.array([1.5, NAN, None, np.inf], pa.float32()), [1.5, NAN, NAN, np.inf], []),
        (pa.array([np.float16(0.5)], pa.float16()), [0.5], []),
        (pa.array([Decimal("1.25"), None]), [1.25, NAN], []),
        (pa.array([Decimal("1e30")], pa.decimal256(60, 2)), [1e30], []),
        (pa.array([True, None, False]), [1, NAN, 0], []),
        (pa.nulls(2), [NAN, NAN], []),
        (pa.array([], pa.float64()), [], []),
        (pa.array(["1.5", None, "1e3"]), [1.5, NAN, 1000], []),
        (pa.array(["x", "2", None, "x", ""]), [NAN, 2, NAN, NAN, NAN], [0, 3, 4]),
        (pa.array(["7", "seven"], pa.large_string()), [7, NAN], [1]),
        (pa.array(["7", "seven"], pa.string_view()), [7, NAN], [1]),
        (pa.array(["7", "seven", None]).dictionary_encode(), [7, NAN, NAN], [1]),
        (pa.array([5, None, 6]).dictionary_encode(), [5, NAN, 6], []),
        (pa.array([[1], None]), [NAN, NAN], [0]),
        (pa.array([{"a": 1}, None]), [NAN, NAN], [0]),
        (pa.array([b"1"]), [NAN], [0]),
        (pa.array([3], pa.duration("s")), [NAN], [0]),
        (pa.array([3], pa.time32("s")), [NAN], [0]),
        (pa.array([date(1970, 1, 2), None]), [86400, NAN], []),
        (pa.array([1500, None], pa.timestamp("ms")), [1.5, NAN], []),
        (pa.array([1_500_000_000], pa.timestamp("ns", "Asia/Tokyo")), [1.5], []),
        (pa.RunEndEncodedArray.from_arrays([2, 3], [1.0, 2.0]), [1, 1, 2], []),
    ],
)
def test_any_column_becomes_numbers_and_says_what_was_none(column, values, errors):
    for held, shift in ((column, 0), (pa.concat_arrays([column, column])[len(column) :], 0)):
        got, bad = numbers(held)
        assert got.dtype == np.float64
        assert got.flags.c_contiguous
        np.testing.assert_array_equal(got, values)
        assert (bad - shift).tolist() == errors


def test_a_column_of_times_reads_texts_and_takes_naive_ones_in_its_zone():
    texts = ["2024-01-01T12:00:00Z", None, "never", "2024-01-01 12:00:00"]
    values, errors = numbers(pa.array(texts), "UTC")
    np.testing.assert_array_equal(values, [NOON / 1e6, NAN, NAN, NOON / 1e6])
    assert errors.tolist() == [2]
    values, errors = numbers(pa.array(texts).dictionary_encode(), "America/New_York")
    np.testing.assert_array_equal(values, [NOON / 1e6, NAN, NAN, NOON / 1e6 + 5 * 3600])
    assert errors.tolist() == [2]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([datetime(2024, 1, 1, 12, tzinfo=UTC)]),
        pa.array([datetime(2024, 1, 1, 12)]),
        pa.array([NOON // 1000], pa.timestamp("ms")),
        pa.array([NOON * 1000], pa.timestamp("ns", "Europe/Berlin")),
        pa.array([NOON]),
        pa.array(["2024-01-01T12:00:00Z"]),
        pa.array(["2024-01-01T07:00:00-05:00"]),
        pa.array(["2024-01-01 12:00"]),
        pa.array(["2024-01-01T12:00:00.000000000Z"], pa.large_string()),
        pa.array([datetime(2024, 1, 1, 12)]).dictionary_encode(),
        pa.array(["2024-01-01T12:00:00Z"]).dictionary_encode(),
    ],
)
def test_the_same_moment_is_read_from_every_form(column):
    assert micros(column).tolist() == [NOON]
    assert micros(pa.concat_arrays([column, column]).slice(1)).tolist() == [NOON]


def test_what_is_no_time_has_none():
    for column in (
        pa.nulls(1),
        pa.array([1.5]),
        pa.array([None], pa.timestamp("us")),
        pa.array(["soon"]),
        pa.array([[1]]),
        pa.array([True]),
    ):
        assert micros(column).tolist() == [NO_TIME]
    mixed = pa.array(["2024-01-01T12:00:00Z", "soon", None, "2024-01-01"])
    assert micros(mixed).tolist() == [NOON, NO_TIME, NO_TIME, NOON - 12 * 3600 * 10**6]


@settings(max_examples=60)
@given(
    st.datetimes(datetime(1900, 1, 2), datetime(2200, 1, 1)),
    st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata"]),
)
def test_times_survive_text_and_zones(moment, zone):
    aware = moment.replace(tzinfo=UTC)
    expected = (aware - datetime.fromtimestamp(0, UTC)) // (
        datetime.resolution  # one microsecond
    )
    local = aware.astimezone(ZoneInfo(zone))
    assert micros(pa.array([local.isoformat()])).tolist() == [expected]
    assert micros(pa.array([aware])).tolist() == [expected]
    assert micros(pa.array([moment])).tolist() == [expected]


@pytest.mark.parametrize(
    ("column", "positive", "expected"),
    [
        (pa.array([True, False, None]), "1", [1, 0, -1]),
        (pa.array([True, False]), "false", [0, 1]),
        (pa.array([True, False]), "late", [0, 0]),
        (pa.array([1, 0, 2, None]), "true", [1, 0, 0, -1]),
        (pa.array([1.0, 0.0, NAN, None]), "1", [1, 0, -1, -1]),
        (pa.array([1, 2]), "2", [0, 1]),
        (pa.array([1, 2]), "late", [0, 0]),
        (pa.array([Decimal("1.0"), Decimal("0.0")]), "1", [1, 0]),
        (pa.array(["late", "on time", None]), "late", [1, 0, -1]),
        (pa.array(["late", None], pa.large_string()), "late", [1, -1]),
        (pa.array(["late", "x", None]).dictionary_encode(), "late", [1, 0, -1]),
        (pa.array([True, None, False]).dictionary_encode(), "1", [1, -1, 0]),
        (pa.array([3, 1]).dictionary_encode(), "3.0", [1, 0]),
        (pa.nulls(2), "1", [-1, -1]),
        (pa.array([[1]]), "1", [-1]),
        (pa.array([], pa.string()), "1", []),
    ],
)
def test_truth_is_one_for_the_positive_class_in_any_type(column, positive, expected):
    assert truth(column, positive).tolist() == expected


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array([1_234_567.0, 1_234_568.0, 2.5, NAN, None, np.inf, -0.0, 0.0]),
         ["1234567", "1234568", "2.5", None, None, "inf", "0", "0"]),
        (pa.array([1, None, 2]), ["1", None, "2"]),
        (pa.array([True, None]), ["true", None]),
        (pa.array(["a", None], pa.large_string()), ["a", None]),
        (pa.array(["a", None], pa.string_view()), ["a", None]),
        (pa.array([7.0, NAN, None]).dictionary_encode(), ["7", None, None]),
        (pa.array([7, None]).dictionary_encode(), ["7", None]),
        (pa.nulls(2), [None, None]),
        (pa.array([[1], None]), ["[1]", None]),
        (pa.array([{"a": 1}, None]), ["{'a': 1}", None]),
        (pa.array([b"\xff", None]), ["b'\\xff'", None]),
        (pa.array([date(2024, 1, 1), None]), ["2024-01-01", None]),
        (pa.array([Decimal("1.50")]), ["1.50"]),
        (pa.array([], pa.float64()), []),
        (pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), pa.array(["a", None, "unused"])),
         ["a", None, None]),
    ],
)  # fmt: skip
def test_any_column_becomes_words_of_which_all_are_in_use(column, texts):
    encoded = encode(column)
    assert encoded.to_pylist() == texts
    assert set(encoded.dictionary.to_pylist()) == {t for t in texts if t is not None}
    assert encode(pa.concat_arrays([column, column])[len(column) :]).to_pylist() == texts
