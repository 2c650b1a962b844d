"""Windows of a comparison: silence is seen, and days of which a part is missing mislead nobody."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

import tidegauge as tg


def days(first: float, last: float, seed: int, rows: int = 500) -> pa.Table:
    """Records from one moment to another, in days since 5 January."""
    rng = np.random.default_rng(seed)
    at = np.sort(rng.uniform(first, last, int(rows * (last - first))))
    times = np.datetime64("2026-01-05", "us") + (at * 86_400e6).astype("timedelta64[us]")
    return pa.table(
        {
            "timestamp": pa.array(times, pa.timestamp("us", "UTC")),
            "hour": np.floor(at % 1 * 24),
            "x": rng.normal(size=len(at)),
        }
    )


def alarms(report: tg.Report) -> list[tuple[str, str | None, int]]:
    rows = report.results.to_pylist()
    return [
        (r["metric"], r["column"], r["window_start"].day) for r in rows if r["state"] == "alarm"
    ]


def test_a_day_without_a_record_is_an_alarm_of_volume() -> None:
    current = pa.concat_tables([days(30, 33, 1), days(34, 37, 2)])
    report = tg.compare(days(0, 30, 0), current, window="1d")
    assert alarms(report) == [("row_count", None, 7)]
    (row,) = (
        r for r in report.results.to_pylist() if r["metric"] == "row_count" and not r["value"]
    )
    assert row["n_current"] == 0 and row["expected"] > 400


def test_a_handful_of_records_is_an_alarm_of_volume_too() -> None:
    current = pa.concat_tables([days(30, 33, 1), days(33, 34, 3, rows=12), days(34, 37, 2)])
    report = tg.compare(days(0, 30, 0), current, window="1d")
    assert alarms(report) == [("row_count", None, 7)]


def test_days_that_are_silent_in_the_baseline_too_are_no_alarm() -> None:
    working = [days(7 * week, 7 * week + 5, week) for week in range(6)]
    current = [days(7 * week, 7 * week + 5, week) for week in (6, 7)]
    report = tg.compare(pa.concat_tables(working), pa.concat_tables(current), window="1d")
    assert alarms(report) == []


def test_edge_days_that_are_covered_in_part_are_left_out_and_said_so() -> None:
    report = tg.compare(days(0.2, 30, 0), days(30, 36.3, 1), window="1d")
    assert alarms(report) == []
    left_out = [note for note in report.data.notes if "left out" in note]
    assert len(left_out) == 2
    assert "5 Jan 2026 00:00 has records from 04:5" in left_out[0]
    assert "10 Feb 2026 00:00 has records until 07:" in left_out[1]


def test_business_hours_are_whole_days() -> None:
    def office(first: int, last: int, seed: int) -> pa.Table:
        table = days(first, last, seed)
        hours = table["hour"].to_numpy()
        return table.filter(pa.array((hours >= 9) & (hours < 17)))

    report = tg.compare(office(0, 30, 0), office(30, 37, 1), window="1d")
    assert not [note for note in report.data.notes if "left out" in note]
    assert alarms(report) == []
