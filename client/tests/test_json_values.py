"""What Python values become in JSON, and that it is JSON whatever they are."""

import json
import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from types import MappingProxyType
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegauge_client.errors import UnsendableError
from tidegauge_client.json_line import LineEncoder


def type_name(value):
    return type(value).__name__


class Size(Enum):
    LARGE = "L"


class Grade(IntEnum):
    A = 1


class Color(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (float("nan"), None),
        (float("inf"), "Infinity"),
        (-float("inf"), "-Infinity"),
        (-0.0, -0.0),
        (10**30, 10**30),
        (Decimal("7.5"), 7.5),
        (Decimal("NaN"), None),
        (Decimal("-Infinity"), "-Infinity"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (b"caf\xc3\xa9", "café"),
        (bytearray(b"x"), "x"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(12, 30), "12:30:00"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        (timedelta(minutes=1, milliseconds=5), 60.005),
        (Size.LARGE, "L"),
        (Grade.A, 1),
        (Color.RED, "red"),
        ((1, float("nan")), [1, None]),
        (MappingProxyType({"a": float("inf")}), {"a": "Infinity"}),
        ("a\ud800b", "a?b"),
        ("line\nend\u2028", "line\nend\u2028"),
        (np.float64("nan"), None),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.array([1.0, np.nan, np.inf]), [1.0, None, "Infinity"]),
        (np.array([[1, 2], [3, 4]], dtype=np.int8), [[1, 2], [3, 4]]),
        (np.datetime64("NaT", "us"), None),
        (np.timedelta64(1500, "ms"), 1.5),
        (pd.NA, None),
        (pd.NaT, None),
        (pd.Timestamp("2026-01-02", tz="UTC"), "2026-01-02T00:00:00+00:00"),
        (pd.Timedelta("2s"), 2.0),
    ],
    ids=type_name,
)
def test_a_value_becomes_what_json_has_for_it(value, sent):
    line = LineEncoder(None).line({"value": value})
    assert json.loads(line, parse_constant=pytest.fail) == {"value": sent}


def test_a_numpy_time_is_read_in_the_declared_zone():
    record = {"at": np.datetime64("2026-01-02T03:04:05.123456789")}
    assert LineEncoder(UTC).line(record) == b'{"at":"2026-01-02T03:04:05.123456+00:00"}'


@pytest.mark.parametrize(
    "value",
    [datetime(2026, 1, 1), np.datetime64("2026-01-01"), pd.Timestamp("2026-01-01")],
    ids=type_name,
)
def test_a_time_without_a_zone_is_named_with_what_to_do(value):
    with pytest.raises(UnsendableError, match=r"column 'at': a time without a zone; make"):
        LineEncoder(None).line({"age": 1, "at": value})


@pytest.mark.parametrize(
    "value", [object(), Fraction(1, 3), {1, 2}, 1j, b"\xff", print], ids=type_name
)
def test_a_value_without_a_form_names_its_column(value):
    with pytest.raises(UnsendableError, match="column 'odd'"):
        LineEncoder(None).line({"odd": value})


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.decimals(allow_nan=None)
    | st.uuids()
    | st.dates()
    | st.datetimes(timezones=st.just(UTC)),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)
@given(st.dictionaries(st.text("abc", min_size=1), VALUES, max_size=5))
def test_every_record_is_one_line_of_strict_json(record):
    line = LineEncoder(None).line(record)
    assert b"\n" not in line
    back = json.loads(line.decode("utf-8"), parse_constant=pytest.fail)
    assert back.keys() == record.keys()
    for name, value in record.items():
        if type(value) in (bool, int) or (type(value) is float and math.isfinite(value)):
            assert back[name] == value
