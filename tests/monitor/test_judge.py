"""Verdicts: false alarms stay within the level, real changes are found, too little is said so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.engine import open_source, profile_source, survey_source
from tidegauge.metrics import evaluate
from tidegauge.metrics.registry import Scale
from tidegauge.monitor import Judged, expectations, judge, results_table
from tidegauge.monitor.budget import spend
from tidegauge.monitor.scales import back, forward
from tidegauge.profile import Profile
from tidegauge.schema import Column, ColumnType, Role, Schema

DAY = timedelta(days=1)
START = datetime(2026, 1, 5, tzinfo=UTC)
SCHEMA = Schema(
    (
        Column("timestamp", ColumnType.DATETIME, Role.TIMESTAMP),
        Column("a", ColumnType.NUMERIC),
        Column("b", ColumnType.NUMERIC),
        Column("c", ColumnType.CATEGORICAL),
    )
)


def frame(
    rng: np.random.Generator, days: int, rows: int = 400, shift: float = 0.0, level: float = 0.1
) -> pa.Table:
    """Days of records; every day with a level of its own, as real inputs have."""
    n = days * rows
    day = np.repeat(np.arange(days), rows)
    own = rng.normal(scale=level, size=days)[day]
    times = [
        START + timedelta(days=int(d), seconds=int(s))
        for d, s in zip(day, np.arange(n) % rows, strict=True)
    ]
    return pa.table(
        {
            "timestamp": pa.array(times, pa.timestamp("us", "UTC")),
            "a": rng.normal(size=n) + own + shift,
            "b": pa.array(rng.normal(size=n), mask=rng.random(n) < 0.01),
            "c": rng.choice(["x", "y", "z"], size=n, p=[0.5, 0.3, 0.2]),
        }
    )


def profiles(
    reference: pa.Table, current: pa.Table, width: timedelta | None
) -> tuple[Profile, Profile]:
    source = open_source(reference)
    layout = survey_source(source, SCHEMA).layout("b")
    return (
        profile_source(source, layout, width),
        profile_source(open_source(current), layout, width),
    )


def judged(reference: pa.Table, current: pa.Table, width: timedelta | None) -> list[Judged]:
    then, now = profiles(reference, current, width)
    return verdicts_on(then, now)


def verdicts_on(then: Profile, now: Profile) -> list[Judged]:
    series = evaluate(now, then.total())
    return judge(series, expectations(then), now.windows, now.width).judged


def alarms(verdicts: list[Judged]) -> set[tuple[str, str | None]]:
    return {
        (v.series.metric.name, v.series.column.name if v.series.column else None)
        for v in verdicts
        if v.alarms
    }


def test_quiet_days_raise_few_alarms_though_every_day_has_its_own_level() -> None:
    windows = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        verdicts = judged(frame(rng, 30), frame(rng, 30), DAY)
        states = np.concatenate([v.state[:, :1] for v in verdicts], axis=1)
        windows += int((states == "alarm").any(axis=1).sum())
    assert windows <= 180 * 0.1


def test_a_shift_of_one_column_is_found_and_no_other_is_blamed() -> None:
    rng = np.random.default_rng(1)
    assert alarms(judged(frame(rng, 30), frame(rng, 3, shift=0.8), DAY)) == {
        ("location_shift", "a")
    }


def test_nulls_sent_by_a_broken_pipeline_are_found() -> None:
    rng = np.random.default_rng(2)
    current = frame(rng, 3)
    broken = pa.array(
        current["b"].to_numpy(zero_copy_only=False), mask=rng.random(len(current)) < 0.2
    )
    current = current.set_column(2, "b", broken)
    assert alarms(judged(frame(rng, 30), current, DAY)) == {("missing_share", "b")}


def test_without_windows_the_fields_own_tests_judge() -> None:
    rng = np.random.default_rng(3)
    reference = frame(rng, 5, level=0.0)
    assert alarms(judged(reference, frame(rng, 5, level=0.0), None)) == set()
    shifted = frame(rng, 5, shift=0.8, level=0.0)
    assert alarms(judged(reference, shifted, None)) == {("location_shift", "a")}


def test_an_effect_below_the_minimum_is_no_alarm_however_significant() -> None:
    rng = np.random.default_rng(4)
    n = 400_000
    reference = pa.table({"a": rng.normal(size=n)})
    current = pa.table({"a": rng.normal(size=n) + 0.05})
    schema = Schema((Column("a", ColumnType.NUMERIC),))
    source = open_source(reference)
    layout = survey_source(source, schema).layout("b")
    then, now = profile_source(source, layout), profile_source(open_source(current), layout)
    verdicts = {v.series.metric.name: v for v in verdicts_on(then, now)}
    assert verdicts["location_shift"].p_value[0, 0] < 1e-12
    assert verdicts["location_shift"].state[0, 0] == "ok"


def test_a_window_of_few_records_is_too_few_and_neither_alarm_nor_well() -> None:
    rng = np.random.default_rng(5)
    current = frame(rng, 1, rows=12, shift=5.0)
    verdicts = {v.series.metric.name: v for v in judged(frame(rng, 30), current, DAY)}
    assert verdicts["location_shift"].state[0, 0] == "too_few"


def test_half_the_records_is_an_alarm_of_volume() -> None:
    rng = np.random.default_rng(6)
    assert ("row_count", None) in alarms(judged(frame(rng, 30), frame(rng, 2, rows=200), DAY))


def test_the_band_holds_what_is_expected_and_an_alarm_lies_outside() -> None:
    rng = np.random.default_rng(7)
    for verdict in judged(frame(rng, 30), frame(rng, 3, shift=0.8), DAY):
        with np.errstate(invalid="ignore"):
            assert not (verdict.lower > verdict.expected).any()
            assert not (verdict.upper < verdict.expected).any()
            value = verdict.series.value
            outside = (value < verdict.lower) | (value > verdict.upper)
        assert not (outside & (verdict.state == "ok")).any()


def test_results_hold_no_nan_and_name_their_windows() -> None:
    rng = np.random.default_rng(8)
    then, now = profiles(frame(rng, 10), frame(rng, 2), DAY)
    table = results_table(verdicts_on(then, now), now, computed_at=datetime.now(UTC))
    assert set(table["window_start"].to_pylist()) == {START, START + DAY}
    for name in ("value", "expected", "lower", "upper", "p_value", "effect"):
        values = table[name].drop_null().to_numpy()
        assert np.isfinite(values).all(), name


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=40), st.floats(0.001, 0.3))
def test_a_level_is_spent_as_by_holm(values: list[float], level: float) -> None:
    p = np.array(values)
    order = np.argsort(p, kind="stable")
    steps = len(p) - np.arange(len(p))
    passed = np.logical_and.accumulate(p[order] * steps <= level)
    spent = spend(p[None], np.full((1, len(p)), 1 / len(p)), level)
    assert spent.rejected[0].sum() == passed.sum()
    assert spent.first.sum() == pytest.approx(level)
    assert (spent.level >= spent.first - 1e-15).all()


@pytest.mark.parametrize("scale", list(Scale))
@given(share=st.floats(0.02, 0.98))
def test_scales_lead_back_to_where_they_came_from(scale: Scale, share: float) -> None:
    many = np.array(10**9)
    assert back(scale, forward(scale, np.array(share), many)) == pytest.approx(share, abs=1e-6)
