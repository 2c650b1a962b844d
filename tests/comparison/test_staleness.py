"""``tg.compare`` tells how old the baseline is, where both sides have times."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

import tidegauge as tg

START = datetime(2026, 1, 5)


def records(first_day: int, *, timed: bool = True) -> pa.Table:
    rng = np.random.default_rng(first_day)
    columns = {"x": rng.normal(size=300), "place": rng.choice(["north", "south"], 300)}
    if timed:
        columns["timestamp"] = [START + timedelta(days=first_day, minutes=i) for i in range(300)]
    return pa.table(columns)


def ages(report: tg.Report) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = report.data.results.to_pylist()
    return [row for row in rows if row["metric"].endswith("_age")]


def test_the_baselines_age_is_one_result_of_the_whole() -> None:
    (row,) = ages(tg.compare(records(0), records(10), segments=["place"]))
    assert (row["metric"], row["column"], row["segment"]) == ("baseline_age", None, None)
    assert row["value"] == timedelta(days=10).total_seconds()
    assert (row["unit"], row["state"], row["direction"]) == ("s", "ok", "lower_is_better")


def test_with_windows_every_window_has_its_own() -> None:
    (row,) = ages(tg.compare(records(0), records(10), window="1d"))
    assert row["value"] == timedelta(days=11, minutes=-299).total_seconds()


def test_there_is_none_without_times_on_both_sides() -> None:
    assert not ages(tg.compare(records(0, timed=False), records(10, timed=False)))
    report = tg.compare(records(10), records(0))
    assert [row["state"] for row in ages(report)] == ["not_applicable"]
