"""Windows with a part of their labels: what is corrected, and which alarms are withheld."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from tidegauge.engine import open_source, profile_source, survey_source
from tidegauge.monitor.closing import ClosedWindows, Yardstick, close_windows, profile_windows
from tidegauge.profile import Baseline
from tidegauge.schema import infer_schema

START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
ROWS, DAYS = 400, 6


def world(seed: int, days: int, drift: float = 0.0, unfair: bool = False) -> pa.Table:
    """Days of records; group ``a`` has the outcome more often, and is labelled first if unfair."""
    rng = np.random.default_rng(seed)
    n = days * ROWS
    x, group = rng.normal(size=n), rng.random(n) < 0.5
    outcome = np.where(group, 0.4 * x + 0.6, 1.6 * x - 0.6) + drift
    known = rng.random(n) < (np.where(group, 0.75, 0.05) if unfair else 1.0)
    seconds = np.tile(np.linspace(0, 86_000, ROWS), days)
    day = np.repeat(np.arange(days), ROWS)
    times = [
        START + int(d) * DAY + timedelta(seconds=float(s))
        for d, s in zip(day, seconds, strict=True)
    ]
    return pa.table(
        {
            "prediction_id": [f"{seed}-{i}" for i in range(n)],
            "timestamp": pa.array(times, pa.timestamp("us", "UTC")),
            "x": x,
            "group": np.where(group, "a", "b"),
            "score": 1 / (1 + np.exp(-x)),
            "label": pa.array(rng.random(n) < 1 / (1 + np.exp(-outcome)), mask=~known),
        }
    )


def closed(current: pa.Table) -> ClosedWindows:
    reference = world(1, 21)
    source = open_source(reference, "reference")
    layout = survey_source(source, infer_schema(reference)).layout("b")
    yardstick = Yardstick(Baseline(profile_source(source, layout, DAY), START), DAY)
    starts = [START + day * DAY for day in range(DAYS)]
    profile = profile_windows(current.to_batches(), yardstick, starts)
    moments = {"computed_at": START, "final_before": START}
    return close_windows(profile, yardstick, model="m", version="1", **moments)


def biases(verdict: ClosedWindows) -> list[dict[str, object]]:
    rows = verdict.points.to_pylist()
    return [r for r in rows if r["metric"] == "bias" and r["basis"] == "partial"]


def test_an_alarm_that_only_unfair_labelling_makes_is_withheld_and_says_so() -> None:
    found = biases(closed(world(2, DAYS, unfair=True)))
    assert len(found) == DAYS
    quiet = [one for one in found if one["state"] == "ok"]
    assert len(quiet) >= DAYS - 1
    said = [str(one["reason"]) for one in quiet]
    assert all("labels of " in text and "by themselves" in text for text in said)
    assert sum(text.startswith("no alarm, as those labelled so far") for text in said) >= DAYS - 2


def test_a_world_that_changed_stays_an_alarm_when_labels_are_unfair() -> None:
    verdict = closed(world(3, DAYS, drift=1.6, unfair=True))
    assert sum(one["state"] == "alarm" for one in biases(verdict)) >= DAYS - 2
    judged = next(one for one in verdict.judged if one.series.metric.name == "bias")
    assert (judged.state[:, 0] == "alarm").sum() >= DAYS - 2, "incidents hear of the same"


def test_with_all_labels_nothing_is_withheld_or_corrected() -> None:
    verdict = closed(world(4, DAYS, drift=1.6))
    rows = [r for r in verdict.points.to_pylist() if r["metric"] == "bias"]
    assert {r["basis"] for r in rows} == {"estimated", "final"}
    final = [r for r in rows if r["basis"] == "final"]
    assert [r["state"] for r in final] == ["alarm"] * DAYS
    assert all("labels of" not in str(r["reason"]) for r in final)
