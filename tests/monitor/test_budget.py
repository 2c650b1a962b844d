"""The budget: what a window may spend, where it goes, and what an alarm shows of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.engine import open_source, profile_source, survey_source
from tidegauge.metrics import evaluate
from tidegauge.monitor import Deviations, Judged, expectations, judge
from tidegauge.monitor.budget import combine, spend
from tidegauge.monitor.policy import FalseAlarms, Monitor, Policies, Threshold
from tidegauge.profile import Profile, Profiler
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
SHARES = {"x": 0.5, "y": 0.3, "z": 0.2}


def days(
    rng: np.random.Generator,
    count: int,
    first: int = 0,
    rows: int = 1000,
    step: timedelta = DAY,
    shift: float = 0.0,
    ramp: float = 0.0,
    shares: dict[str, float] = SHARES,
) -> pa.Table:
    n = count * rows
    window = np.repeat(np.arange(count), rows)
    micros = (np.datetime64(START.replace(tzinfo=None), "us")).astype(np.int64)
    width = step // timedelta(microseconds=1)
    times = micros + (first + window) * width + (rng.random(n) * width).astype(np.int64)
    return pa.table(
        {
            "timestamp": pa.array(times, pa.timestamp("us", "UTC")),
            "a": rng.normal(size=n) + shift + ramp * (window + 1),
            "b": rng.normal(size=n),
            "c": rng.choice(list(shares), size=n, p=list(shares.values())),
        }
    )


def profiles(*tables: pa.Table, width: timedelta = DAY) -> list[Profile]:
    source = open_source(tables[0])
    layout = survey_source(source, SCHEMA).layout("b")
    return [profile_source(open_source(table), layout, width) for table in tables]


def verdicts(
    then: Profile,
    now: Profile,
    policies: Policies | None = None,
    earlier: Deviations | None = None,
) -> tuple[dict[tuple[str, str | None], Judged], Deviations]:
    series = evaluate(now, then.total())
    known = expectations(then, policies)
    found = judge(series, known, now.windows, now.width, policies, earlier)
    return {
        (v.series.metric.name, v.series.column.name if v.series.column else None): v
        for v in found.judged
    }, found.deviations


def alarmed(found: Iterable[Judged]) -> int:
    return sum(one.alarms for one in found)


@pytest.mark.parametrize(
    ("count", "per", "width", "level"),
    [
        (1, 30, timedelta(days=1), 1 / 30),
        (1, 30, timedelta(hours=1), 1 / 720),
        (2, 7, timedelta(days=1), 2 / 7),
        (1, 1, timedelta(days=30), 0.5),
    ],
)
def test_a_window_may_spend_its_part_of_the_budget(
    count: float, per: float, width: timedelta, level: float
) -> None:
    assert FalseAlarms(count, timedelta(days=per)).level(width) == pytest.approx(level)


@given(
    st.lists(st.floats(1e-8, 1), min_size=1, max_size=12),
    st.lists(st.floats(0.01, 1), min_size=12, max_size=12),
    st.floats(0.001, 0.2),
)
def test_weights_are_spent_as_by_weighted_holm(
    values: list[float], weights: list[float], level: float
) -> None:
    p = np.array(values)
    weight = np.array(weights[: len(p)])
    weight = weight / weight.sum()
    left = set(range(len(p)))
    while left:
        total = sum(weight[i] for i in left)
        best = min(left, key=lambda i: p[i] / weight[i])
        if p[best] > level * weight[best] / total:
            break
        left.remove(best)
    spent = spend(p[None], weight[None], level)
    assert set(np.flatnonzero(~spent.rejected[0])) == left


def test_what_is_not_tested_spends_nothing() -> None:
    out = spend(np.array([[0.01, np.nan]]), np.array([[0.5, 0.5]]), 0.03)
    assert out.rejected.tolist() == [[True, False]]
    assert np.isnan(out.level[0, 1])
    assert not spend(np.array([[0.02, np.nan]]), np.array([[0.5, 0.5]]), 0.03).rejected.any()


def test_combined_p_values_are_uniform_where_nothing_changed() -> None:
    rng = np.random.default_rng(0)
    for weight in (None, np.array([6.0, 1.0, 1.0, 1.0])):
        p = combine(rng.random((200_000, 4)), weight)
        for level in (0.001, 0.01, 0.05):
            assert (p <= level).mean() == pytest.approx(level, rel=0.2)


def test_tiny_p_values_keep_their_size() -> None:
    assert combine(np.array([1e-200, 0.5])) == pytest.approx(2e-200)
    assert combine(np.array([0.0, 0.5])) < 1e-290


def test_windows_judged_one_by_one_get_the_verdicts_of_all_at_once() -> None:
    rng = np.random.default_rng(1)
    changed = days(rng, 12, 30, shift=0.08)
    then, now = profiles(days(rng, 30), changed)
    whole, _ = verdicts(then, now)
    earlier: Deviations | None = None
    for at in range(12):
        alone, held = verdicts(then, now.select(np.array([at])), earlier=earlier)
        earlier = held.last(7)
        for name, one in whole.items():
            assert one.state[at].tolist() == alone[name].state[0].tolist(), (at, name)
            np.testing.assert_allclose(one.p_value[at], alone[name].p_value[0], rtol=1e-6)
            np.testing.assert_allclose(one.lower[at], alone[name].lower[0], rtol=1e-6)
    assert whole["location_shift", "a"].alarms


def test_a_slow_ramp_is_found_by_the_mean_of_many_windows_and_says_so() -> None:
    rng = np.random.default_rng(2)
    then, now = profiles(days(rng, 30, rows=500), days(rng, 21, 30, rows=500, ramp=0.006))
    found, _ = verdicts(then, now)
    one = found["location_shift", "a"]
    reasons = [r for r in one.reason[:, 0] if r is not None]
    assert any(r.startswith("slow: mean of the last 7 windows") for r in reasons)
    assert alarmed(found.values()) == one.alarms
    first = int(np.argmax(one.state[:, 0] == "alarm"))
    assert one.p_value[first, 0] <= one.level[first, 0]


def test_a_category_that_grew_is_named_with_its_arithmetic() -> None:
    rng = np.random.default_rng(3)
    grown = {"x": 0.45, "y": 0.3, "z": 0.25}
    then, now = profiles(days(rng, 30), days(rng, 2, 30, shares=grown))
    one = verdicts(then, now)[0]["total_variation", "c"]
    assert one.alarms == 2
    assert "where 50." in one.reason[0, 0] or "where 20." in one.reason[0, 0]
    assert one.series.value[0, 0] >= one.upper[0, 0]


def test_every_alarm_shows_its_own_arithmetic() -> None:
    rng = np.random.default_rng(4)
    then, now = profiles(days(rng, 30), days(rng, 3, 30, shift=0.5))
    one = verdicts(then, now)[0]["location_shift", "a"]
    assert one.state[:, 0].tolist() == ["alarm"] * 3
    assert one.series.value[0, 0] == pytest.approx(0.5, abs=0.1)
    assert one.expected[0, 0] == pytest.approx(0.0, abs=0.05)
    assert one.spread[0, 0] == pytest.approx(1 / np.sqrt(1000), rel=0.3)
    assert one.p_value[0, 0] <= one.level[0, 0] <= 1 / 30
    assert one.series.value[0, 0] > one.upper[0, 0]


def test_the_first_shares_add_up_to_the_budget_and_no_more() -> None:
    rng = np.random.default_rng(5)
    then, now = profiles(days(rng, 30), days(rng, 4, 30))
    found, _ = verdicts(then, now)
    units = {name: one.level[:, 0] for name, one in found.items() if not np.isnan(one.level).all()}
    assert sum(np.nan_to_num(level) for level in units.values()) == pytest.approx(
        np.full(4, 0.45 / 30), rel=1e-6
    )


def test_too_few_baseline_windows_say_how_many_more_and_raise_nothing() -> None:
    rng = np.random.default_rng(6)
    then, now = profiles(days(rng, 3), days(rng, 2, 3, shift=3.0))
    found, _ = verdicts(then, now)
    assert not alarmed(found.values())
    row = found["row_count", None]
    assert row.state[0, 0] == "too_few"
    assert row.reason[0, 0].startswith("the baseline needs")
    more = int(row.reason[0, 0].split()[4]) + 2
    then, now = profiles(days(rng, 3 + more), days(rng, 2, 3 + more))
    assert verdicts(then, now)[0]["row_count", None].state[0, 0] == "ok"


def test_narrow_windows_ask_for_a_longer_baseline() -> None:
    rng = np.random.default_rng(7)
    hour = timedelta(hours=1)
    needed = []
    for step in (DAY, hour):
        then, now = profiles(
            days(rng, 2, rows=200, step=step), days(rng, 1, 2, rows=200, step=step), width=step
        )
        reason = verdicts(then, now)[0]["row_count", None].reason[0, 0]
        needed.append(int(reason.split()[4]))
    assert needed[1] > needed[0]


def test_too_few_records_say_how_many_more() -> None:
    rng = np.random.default_rng(8)
    then, now = profiles(days(rng, 30), days(rng, 1, 30, rows=12, shift=5.0))
    one = verdicts(then, now)[0]["location_shift", "a"]
    assert (one.state[0, 0], one.reason[0, 0]) == ("too_few", "18 more records needed")


def test_a_heavier_weight_finds_what_the_usual_one_does_not() -> None:
    rng = np.random.default_rng(9)
    then, now = profiles(days(rng, 30), days(rng, 1, 30, shift=0.1))
    usual = verdicts(then, now)[0]["location_shift", "a"]
    heavy = Policies(monitors=(Monitor("*", ("a",), weight=50),))
    more = verdicts(then, now, heavy)[0]["location_shift", "a"]
    assert more.level[0, 0] > 2 * usual.level[0, 0]
    assert more.alarms >= usual.alarms


@pytest.mark.parametrize(
    "monitor",
    [
        Monitor("location_shift", ("a",), weight=0),
        Monitor("location_shift", ("a",), threshold=Threshold(above=2.0)),
    ],
)
def test_what_a_monitor_takes_out_of_the_budget_is_not_judged_by_it(monitor: Monitor) -> None:
    rng = np.random.default_rng(10)
    then, now = profiles(days(rng, 30), days(rng, 3, 30, shift=0.5))
    one = verdicts(then, now, Policies(monitors=(monitor,)))[0]["location_shift", "a"]
    assert not one.alarms
    assert np.isnan(one.level).all()


def test_a_minimum_effect_of_ones_own_counts() -> None:
    rng = np.random.default_rng(11)
    then, now = profiles(days(rng, 30), days(rng, 3, 30, shift=0.5))
    policies = Policies(monitors=(Monitor("*_shift", minimum_effect=0.8),))
    assert not alarmed(verdicts(then, now, policies)[0].values())


def test_a_metric_that_is_only_shown_is_judged_where_a_monitor_names_it() -> None:
    rng = np.random.default_rng(12)
    then, now = profiles(days(rng, 30), days(rng, 3, 30, shift=0.5))
    assert np.isnan(verdicts(then, now)[0]["psi", "a"].level).all()
    named = Policies(monitors=(Monitor("psi"),))
    assert verdicts(then, now, named)[0]["psi", "a"].level[0, 0] > 0


def test_quiet_months_keep_to_the_budget() -> None:
    rng = np.random.default_rng(13)
    windows = 0
    for _ in range(12):
        then, now = profiles(days(rng, 30, rows=300), days(rng, 30, 30, rows=300))
        found, _ = verdicts(then, now)
        states = np.concatenate([one.state[:, :1] == "alarm" for one in found.values()], axis=1)
        windows += int(states.any(axis=1).sum())
    assert windows <= 12 * 1.5


def test_without_windows_volume_is_not_judged() -> None:
    rng = np.random.default_rng(14)
    source = open_source(days(rng, 3))
    layout = survey_source(source, SCHEMA).layout("b")
    then = profile_source(source, layout)
    now = profile_source(open_source(days(rng, 1, 3)), layout)
    found, _ = verdicts(then, now)
    assert not alarmed(found.values())
    row = found["row_count", None]
    assert (row.state[0, 0], row.expected[0, 0]) == ("ok", 3000)
    assert np.isnan(row.upper[0, 0])


def test_a_window_without_a_record_is_an_alarm_of_volume_and_nothing_else() -> None:
    rng = np.random.default_rng(15)
    (then,) = profiles(days(rng, 30))
    start = then.windows[-1:] + DAY // timedelta(microseconds=1)
    silent = Profiler(then.layout, DAY).finish(start)
    found, _ = verdicts(then, silent)
    row = found["row_count", None]
    assert (row.state[0, 0], row.series.value[0, 0]) == ("alarm", 0)
    assert row.p_value[0, 0] < 1e-6 and row.expected[0, 0] == pytest.approx(1000, rel=0.05)
    assert alarmed(found.values()) == 1
    assert found["location_shift", "a"].state[0, 0] == "too_few"
