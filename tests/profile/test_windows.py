"""Which window and segment a record belongs to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegauge.profile import Profiler, Survey
from tidegauge.profile.layout import to_datetime, to_micros, window_floor
from tidegauge.schema import Column, ColumnType, Role, Schema

SCHEMA = Schema(
    (
        Column("when", ColumnType.DATETIME, Role.TIMESTAMP),
        Column("x", ColumnType.NUMERIC),
        Column("carrier", ColumnType.CATEGORICAL, Role.SEGMENT),
    )
)


def profiler(width=None, schema=SCHEMA):
    survey = Survey(schema)
    survey.update(pa.record_batch({"x": [1.0, 2.0], "carrier": ["UA", "AA"]}))
    return Profiler(survey.layout("b"), width)


def batch(*moments, carrier="UA"):
    return pa.record_batch(
        {
            "when": pa.array(moments, pa.timestamp("us", "UTC")),
            "x": pa.array([1.0] * len(moments)),
            "carrier": [carrier] * len(moments),
        }
    )


@settings(max_examples=100)
@given(
    st.datetimes(datetime(1902, 1, 1), datetime(2190, 1, 1)),
    st.sampled_from([timedelta(minutes=5), timedelta(hours=1), timedelta(days=1)]),
)
def test_windows_are_half_open_and_tile_time(moment, width):
    micros = to_micros(moment.replace(tzinfo=UTC))
    start = int(window_floor(np.array([micros]), width)[0])
    step = width // timedelta(microseconds=1)
    assert start <= micros < start + step
    assert start % step == 0
    assert to_micros(to_datetime(start)) == start


@pytest.mark.parametrize(
    ("moment", "start"),
    [
        ("2024-01-01T00:00:00", "2024-01-01"),
        ("2024-01-07T23:59:59.999999", "2024-01-01"),
        ("2024-01-08T00:00:00", "2024-01-08"),
        ("1969-12-31T00:00:00", "1969-12-29"),
    ],
)
def test_weeks_begin_on_monday_midnight(moment, start):
    micros = to_micros(datetime.fromisoformat(moment).replace(tzinfo=UTC))
    floor = int(window_floor(np.array([micros]), timedelta(days=7))[0])
    assert to_datetime(floor) == datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert to_datetime(floor).weekday() == 0


def test_batches_out_of_time_order_come_out_in_order():
    made = profiler(timedelta(days=1))
    days = [datetime(2024, 1, d, 12, tzinfo=UTC) for d in (9, 2, 30, 2, 1, 9)]
    for day in days:
        made.update(batch(day))
    made.update(batch(*days))
    profile = made.finish()
    assert [to_datetime(w).day for w in profile.windows] == [1, 2, 9, 30]
    assert profile.rows[:, 0].tolist() == [2, 4, 4, 2]
    assert profile["x"]["sums"].sum(axis=-1)[:, 0].tolist() == [2.0, 4.0, 4.0, 2.0]
    assert profile["@rows"]["minimum"][:, 0].tolist() == [to_micros(d) for d in sorted(set(days))]


def test_an_hour_without_records_has_no_window():
    made = profiler(timedelta(hours=1))
    made.update(batch(datetime(2024, 1, 1, 0, tzinfo=UTC), datetime(2024, 1, 1, 5, tzinfo=UTC)))
    assert len(made.finish().windows) == 2


def test_records_without_a_time_belong_to_no_window_and_are_counted():
    made = profiler(timedelta(days=1))
    made.update(batch(datetime(2024, 1, 1, tzinfo=UTC), None))
    made.update(pa.record_batch({"x": [1.0, 2.0]}))
    made.update(pa.record_batch({"when": ["2024-01-01T05:00:00Z", "then"], "x": [1.0, 2.0]}))
    assert made.untimed == 4
    assert made.finish().rows[:, 0].tolist() == [2]
    whole = profiler()
    whole.update(batch(datetime(2024, 1, 1, tzinfo=UTC), None))
    assert whole.untimed == 0
    assert whole.finish().rows[:, 0].tolist() == [2]


def test_naive_times_are_taken_in_the_zone_of_the_schema():
    schema = Schema(SCHEMA.columns, timezone="America/New_York")
    made = profiler(timedelta(days=1), schema)
    naive = pa.array([datetime(2024, 1, 1, 23), datetime(2024, 1, 1, 18)])
    made.update(pa.record_batch({"when": naive, "x": [1.0, 1.0]}))
    assert [to_datetime(w).day for w in made.finish().windows] == [1, 2]


def test_values_that_no_baseline_segment_had_are_pooled():
    made = profiler(timedelta(days=1))
    noon = datetime(2024, 1, 1, 12, tzinfo=UTC)
    for carrier in ("UA", "new", None, "AA", "newer"):
        made.update(batch(noon, carrier=carrier))
    profile = made.finish()
    names = [None if s is None else s.value for s in profile.layout.segments]
    assert names == [None, "AA", "UA", "(other)"]
    assert profile.rows.tolist() == [[5, 1, 1, 3]]


def test_no_records_make_a_profile_of_no_windows_that_still_has_every_array():
    empty = profiler(timedelta(days=1)).finish()
    assert empty.rows.shape == (0, 4)
    full = profiler(timedelta(days=1))
    full.update(batch(datetime(2024, 1, 1, tzinfo=UTC)))
    profile = full.finish()
    assert {g: list(a) for g, a in empty.arrays.items()} == {
        g: list(a) for g, a in profile.arrays.items()
    }
    np.testing.assert_array_equal(empty.merge(profile).rows, profile.rows)
    assert empty.total().rows.tolist() == [[0, 0, 0, 0]]
    assert np.isinf(empty.total()["x"]["minimum"]).all()
    assert profiler().finish().rows.tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("status", "failed"),
    [
        (["200", "404", "500", "503", "ok", "error", None], 3),
        ([200.0, 503.0, None, 500.0, 301.0, 100.0, 499.0], 2),
        ([True, False, None, True, True, True, True], 1),
        ([200, 200, 504, 200, 200, 200, 200], 1),
        ([None] * 7, 0),
    ],
)
def test_a_status_of_any_type_tells_failures(status, failed):
    schema = Schema((Column("status", ColumnType.CATEGORICAL, Role.STATUS),))
    survey = Survey(schema)
    made = Profiler(survey.layout("b"))
    made.update(pa.record_batch({"status": status}))
    service = made.finish()["@service"]
    assert service["errors"].tolist() == [[failed]]
    assert service["status_known"].tolist() == [[sum(s is not None for s in status)]]
