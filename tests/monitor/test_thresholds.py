"""Thresholds that people set: what is an alarm, against what, and how it is said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from scipy.spatial import distance

import tidegauge as tg
from tidegauge.errors import MonitorError
from tidegauge.metrics import evaluate
from tidegauge.metrics.result import RESULT_SCHEMA
from tidegauge.monitor import expectations, judge
from tidegauge.monitor.document import loads_policies
from tidegauge.monitor.policy import Policies
from tidegauge.monitor.thresholds import Asked, hold, past_of, past_of_points
from tidegauge.profile import Baseline, Profile
from tidegauge.profile.layout import Layout, to_micros

#: A Monday.
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
THIN = "\u202f"


def monitors(*said: str) -> Policies:
    return loads_policies("monitors:\n" + "".join(f"  - {one}\n" for one in said))


def days(counts: Sequence[int], start: datetime = MONDAY, **columns: Any) -> pa.Table:
    """Records: so many a day."""
    times = [
        start + day * DAY + at * (DAY / count)
        for day, count in enumerate(counts)
        for at in range(count)
    ]
    rng = np.random.default_rng(3)
    table = {"timestamp": pa.array(times, pa.timestamp("us", "UTC"))}
    table["x"] = pa.array(rng.normal(size=len(times)))
    return pa.table({**table, **columns})


def results(report: Any, metric: str, **where: Any) -> list[dict[str, Any]]:
    wanted = {"metric": metric, "segment": None, **where}
    rows = [row for row in report.results.to_pylist() if wanted.items() <= row.items()]
    return sorted(rows, key=lambda row: str(row["window_start"]))


def states(rows: list[dict[str, Any]]) -> list[str]:
    return [row["state"] for row in rows]


def test_a_fixed_threshold_takes_the_place_of_the_budget() -> None:
    rng = np.random.default_rng(1)
    then, now = (pa.table({"x": rng.normal(shift, 1, 2000)}) for shift in (0, 1))
    loose = tg.compare(then, now, monitors=monitors(
        "{metric: psi, threshold: {above: 9}}", "{metric: location_shift, weight: 0}",
        "{metric: shape_shift, weight: 0}"))  # fmt: skip
    (row,) = results(loose, "psi")
    assert (row["state"], row["upper"], row["lower"]) == ("ok", 9, None)
    assert row["reason"] == "fixed threshold: above 9"
    assert loose.alarms == 0
    held = "{metric: psi, threshold: {above: 0.2}}", "{metric: mean, threshold: {below: -1}}"
    strict = tg.compare(then, now, monitors=monitors(*held))
    (row,) = results(strict, "psi")
    assert (row["state"], row["upper"], row["level"]) == ("alarm", 0.2, None)
    (row,) = results(strict, "mean")
    assert (row["state"], row["lower"], row["upper"]) == ("ok", -1, None)


def test_a_window_is_held_against_the_one_before_across_the_reference() -> None:
    then, now = days([100] * 6 + [12_400]), days([7688, 10_000, 9_000], MONDAY + 7 * DAY)
    policies = monitors("{metric: row_count, threshold: {change: 0.3}}")
    rows = results(tg.compare(then, now, window="1d", monitors=policies), "row_count")
    assert states(rows) == ["alarm", "alarm", "ok"]
    assert rows[0]["reason"] == f"38{THIN}% below Sunday's 12{THIN}400"
    assert rows[1]["reason"] == f"30{THIN}% above Monday's 7{THIN}688"
    assert rows[2]["reason"] == f"10{THIN}% below Tuesday's 10{THIN}000"
    assert (rows[2]["lower"], rows[2]["upper"]) == pytest.approx((7000, 13_000))


def test_a_window_is_held_against_the_one_a_week_earlier() -> None:
    then = days([100, 100, 100, 100, 100, 50, 50])
    now = days([100, 60, 100, 100, 100, 50, 50, 71, 30], MONDAY + 7 * DAY)
    policies = monitors("{metric: row_count, threshold: {change: 0.3, against: same_weekday}}")
    rows = results(tg.compare(then, now, window="1d", monitors=policies), "row_count")
    assert states(rows) == ["ok", "alarm", *["ok"] * 6, "alarm"]
    assert rows[0]["reason"] == "the same as last Monday's 100"
    assert rows[1]["reason"] == f"40{THIN}% below last Tuesday's 100"
    assert rows[8]["reason"] == f"50{THIN}% below last Tuesday's 60"


def test_without_an_earlier_value_there_is_too_little_to_tell() -> None:
    policies = monitors("{metric: row_count, threshold: {change: 0.3, against: same_weekday}}")
    then, now = days([100] * 3), days([100, 20], MONDAY + 3 * DAY)
    rows = results(tg.compare(then, now, window="1d", monitors=policies), "row_count")
    assert states(rows) == ["too_few"] * 2
    assert rows[0]["reason"] == "no value of last Thursday to hold it against"
    (row,) = results(tg.compare(then, now, monitors=policies), "row_count")
    assert (row["state"], row["reason"]) == ("too_few", "a change needs windows of time")
    rows = results(tg.compare(then, now, window="5h", monitors=policies), "row_count")
    assert set(states(rows)) == {"too_few"}
    assert "a week is no multiple of their width" in rows[0]["reason"]


def test_a_share_of_nothing_cannot_be_taken() -> None:
    policies = monitors("{metric: missing_share, columns: z, threshold: {change: 0.3}}")
    z = [1.0] * 100 + [1.0] * 100 + [1.0, None] * 50 + [1.0, None, 1.0, 1.0] * 25
    table = days([100] * 4, z=pa.array(z))
    report = tg.compare(table.slice(0, 100), table.slice(100), window="1d", monitors=policies)
    rows = results(report, "missing_share", column="z")
    assert states(rows) == ["ok", "too_few", "ok"], "what falls is no worse"
    assert [row["reason"] for row in rows] == [
        "0 as before",
        "no share can be taken of Tuesday's 0",
        f"50{THIN}% below Wednesday's 0.5",
    ]


def test_segments_are_held_to_a_threshold_only_where_that_is_asked() -> None:
    carrier = ["UA"] * 100 + ["AA"] * 100 + ["ZZ"] * 10
    x = [*np.linspace(0, 1, 100), *np.linspace(5, 6, 100), *np.linspace(5, 6, 10)]
    table = pa.table({"carrier": carrier, "x": x})

    def found(said: str) -> dict[str | None, str]:
        report = tg.compare(
            table,
            table,
            segments=["carrier"],
            monitors=monitors(f"{{metric: mean, columns: x, threshold: {said}}}"),
        )
        rows = [row for row in report.results.to_pylist() if row["metric"] == "mean"]
        return {row["segment"]: (row["state"], row["upper"]) for row in rows}

    whole = found("{above: 4}")
    assert whole.pop(None) == ("ok", 4) and {upper for _, upper in whole.values()} == {None}
    every = found("{above: 4, segments: true}")
    assert {name and json.loads(name)["carrier"]: state for name, (state, _) in every.items()} == {
        None: "ok", "UA": "ok", "AA": "alarm", "ZZ": "too_few", "(other)": "too_few",
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_evidentlys_threshold_says_what_evidently_would(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shift = rng.choice([0.02, 0.05, 0.16, 0.3])
    then, now = rng.gamma(2, 3, 4000), rng.gamma(2, 3, 4000) + shift * 3 * np.sqrt(2)
    p = np.array([0.5, 0.3, 0.2])
    q = p + rng.choice([0.02, 0.05, 0.1, 0.2]) * np.array([-1, 0.5, 0.5])
    words, other = (rng.choice(["a", "b", "c"], 4000, p=share) for share in (p, q))
    numeric = stats.wasserstein_distance(then, now) / np.std(then)
    # Without a base it is in nats.
    shares = [[float((w == v).mean()) for v in "abc"] for w in (words, other)]
    categorical = distance.jensenshannon(*shares)
    report = tg.compare(
        pa.table({"x": then, "word": words}),
        pa.table({"x": now, "word": other}),
        monitors=monitors("{columns: '*', threshold: evidently}"),
    )
    (x,), (word,) = results(report, "wasserstein"), results(report, "js_distance", column="word")
    assert abs(numeric - 0.1) > 0.003 and abs(categorical - 0.1) > 0.003
    assert states([x, word]) == ["alarm" if d >= 0.1 else "ok" for d in (numeric, categorical)]
    assert x["value"] / x["upper"] == pytest.approx(numeric / 0.1, rel=0.05)
    assert word["value"] / word["upper"] == pytest.approx(categorical / 0.1, rel=1e-6)
    judged = {r["metric"] for r in report.results.to_pylist() if r["level"] is not None}
    assert not judged & {"location_shift", "shape_shift", "total_variation", "ks"}


def profiles(counts: Sequence[int], more: Sequence[int]) -> tuple[Profile, Profile, Layout]:
    from tidegauge.engine import open_source, profile_source, survey_source
    from tidegauge.schema import infer_schema

    then, now = days(counts), days(more, MONDAY + len(counts) * DAY)
    schema = infer_schema(then)
    layout = survey_source(open_source(then, "then"), schema).layout("b")
    first, second = (profile_source(open_source(table, "t"), layout, DAY) for table in (then, now))
    return first, second, layout


def test_the_past_is_asked_for_once_and_for_no_more_than_is_needed() -> None:
    then, now, _ = profiles([100] * 10, [100, 50, 100])
    total = Baseline(then, MONDAY).total
    asked: list[Asked] = []

    def past(one: Asked) -> Any:
        asked.append(one)
        return past_of(then, total)(one)

    def held(policies: Policies) -> dict[str, list[str]]:
        judged = judge(evaluate(now, total), expectations(then), now.windows, DAY, policies).judged
        found = hold(judged, policies, now, total, past)
        return {one.series.metric.name: one.state[:, 0].tolist() for one in found}

    previous = "{metric: row_count, threshold: {change: 0.3}}"
    assert held(monitors(previous))["row_count"] == ["ok", "alarm", "alarm"]
    assert [one.starts for one in asked] == [{to_micros(MONDAY + 9 * DAY)}]
    asked.clear()
    weekly = "{metric: throughput, threshold: {change: 0.3, against: same_weekday}}"
    both = held(monitors(previous, weekly))
    assert both["throughput"] == ["ok", "alarm", "ok"]
    (once,) = asked
    assert once.starts == {to_micros(MONDAY + day * DAY) for day in (3, 4, 5, 9)}
    assert (once.metrics, once.segments) == ({"row_count", "throughput"}, False)
    asked.clear()
    held(monitors("{metric: psi, threshold: {above: 1}}"))
    held(Policies())
    assert asked == []


def test_stored_results_tell_the_past() -> None:
    _, _, layout = profiles([40], [40])
    asked = Asked(frozenset({"row_count"}), frozenset({to_micros(MONDAY)}), False)
    blank = dict.fromkeys(RESULT_SCHEMA.names)
    points = pa.Table.from_pylist(
        [
            {**blank, "metric": "row_count", "window_start": MONDAY, "value": 5.0},
            {**blank, "metric": "row_count", "window_start": MONDAY + DAY, "value": 6.0},
            {**blank, "metric": "mean", "column": "x", "window_start": MONDAY, "value": 7.0},
        ],
        RESULT_SCHEMA,
    )
    (found,) = past_of_points(points, asked, layout).items()
    assert found[0] == ("row_count", "", to_micros(MONDAY)) and found[1][0] == 5.0
    assert past_of_points(pa.table({}), asked, layout) == {}


def test_what_only_a_monitor_asks_for_is_computed_then() -> None:
    rng = np.random.default_rng(0)
    table = pa.table({"x": rng.normal(size=500)})
    assert results(tg.compare(table, table), "cramer_von_mises") == []
    policies = monitors("{metric: cramer_von_mises, threshold: {above: 1}}")
    (row,) = results(tg.compare(table, table, monitors=policies), "cramer_von_mises")
    assert (row["state"], row["upper"]) == ("ok", 1)


def test_monitors_come_with_the_schema_or_from_a_file_of_their_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    then, now = (pa.table({"x": rng.normal(shift, 1, 1000)}) for shift in (0, 1))
    schema, own = tmp_path / "model.yaml", tmp_path / "monitors.yaml"
    quiet = "monitors: [{metric: '*', weight: 0}]\n"
    schema.write_text("columns: {x: numeric}\n" + quiet)
    own.write_text("monitors: [{metric: ks, threshold: {above: 0.1}}]\n")
    assert tg.compare(then, now, schema).alarms == 0
    assert states(results(tg.compare(then, now, schema, monitors=own), "ks")) == ["alarm"]
    own.write_text("monitors: [{metric: ks, columns: y}]\n")
    with pytest.raises(MonitorError, match=r"monitors\.yaml:1:34: the schema has no column 'y'"):
        tg.compare(then, now, monitors=own)
    with pytest.raises(MonitorError, match=r"monitors\.monitors\[0\]\.columns"):
        tg.compare(then, now, monitors=monitors("{metric: ks, columns: y}"))
