"""Numbers and times, as they are written everywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.report import format

SUPERSCRIPT = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def read_back(text: str) -> float:
    plain = text.replace(format.THIN, "").replace("−", "-")
    if "×10" in plain:
        mantissa, exponent = plain.split("×10")
        return float(f"{mantissa}e{exponent.translate(SUPERSCRIPT)}")
    return float(plain)


@given(st.floats(-1e300, 1e300, allow_subnormal=False))
def test_a_number_reads_back_within_half_a_per_cent(value: float) -> None:
    text = format.number(value)
    assert read_back(text) == pytest.approx(value, rel=0.0051)
    assert len(text) <= 14


@given(st.floats() | st.none(), st.sampled_from([None, "", "share", "rows", "s", "°F", "nats"]))
def test_every_value_can_be_written_in_every_unit(value: float | None, unit: str | None) -> None:
    for written in (format.quantity(value, unit), format.signed(value, unit)):
        assert written
        assert "nan" not in written.lower()
        assert "e+" not in written
    assert format.p_value(value)
    assert format.share(value)
    assert format.duration(value)


@given(st.integers(0, 10**15))
def test_a_count_is_whole(value: int) -> None:
    if value < 2**53:
        assert int(format.count(value).replace(format.THIN, "")) == value


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC)),
    st.timedeltas(timedelta(0), timedelta(days=4000)),
)
def test_every_interval_can_be_written(start: datetime, length: timedelta) -> None:
    for written in (format.interval(start, start + length), format.span(start, start + length)):
        assert str(start.year) in written or str((start + length).year) in written
    assert format.ago(start, start + length)


def test_a_window_is_told_as_people_do() -> None:
    start = datetime(2013, 12, 31, tzinfo=UTC)
    assert format.interval(start, start + timedelta(days=1)) == "31 Dec 2013"
    assert format.interval(start, start + timedelta(days=2)) == "31 Dec 2013 – 1 Jan 2014"
    assert format.interval(None, None) == "—"
