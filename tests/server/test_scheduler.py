"""Windows close as event time passes; labels restate them; incidents open and end; restarts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from harness import Process

from tidegauge.schema import dump_schema, infer_schema
from tidegauge_client import Client

DAY = timedelta(days=1)
START = datetime(2025, 3, 3, tzinfo=UTC)
FAST = {
    "TIDEGAUGE_FLUSH_INTERVAL": "0.2",
    "TIDEGAUGE_TICK_INTERVAL": "0.2",
    "TIDEGAUGE_RESTATE_INTERVAL": "1s",
    "TIDEGAUGE_LATENESS": "1h",
    "TIDEGAUGE_LABEL_HORIZON": "5d",
}


def records(
    first: int, days: int, *, rows: int = 300, shift: float = 0.0, late: float = 0.0, seed: int = 0
) -> pa.Table:
    """Days of predictions with what came of them; ``late`` makes the outcome more frequent."""
    rng = np.random.default_rng(1000 * seed + first + 500)
    n = days * rows
    day = np.repeat(np.arange(first, first + days), rows)
    second = np.tile(np.linspace(0, 86_000, rows), days)
    times = [
        START + timedelta(days=int(d), seconds=float(s)) for d, s in zip(day, second, strict=True)
    ]
    score = np.clip(rng.beta(2, 5, n), 0.01, 0.99)
    return pa.table(
        {
            "prediction_id": [f"p{d}-{i}" for i, d in enumerate(day)],
            "timestamp": pa.array(times, pa.timestamp("us", "UTC")),
            "age": rng.normal(size=n) + shift,
            "place": rng.choice(["north", "south"], n),
            "score": score,
            "label": rng.random(n) < np.clip(score + late, 0, 1),
        }
    )


class Watched:
    """A model on a server of its own."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.http = httpx.Client(base_url=f"{address}/v1/projects/default", timeout=30)
        self.client = Client(address, model="m", version="1")

    def send(self, table: pa.Table, *, labels: bool = True) -> None:
        self.client.log(table.drop_columns(["label"]))
        assert self.client.flush(30)
        if labels:
            self.label(table)

    def label(self, table: pa.Table) -> None:
        self.client.label(table.select(["prediction_id", "label", "timestamp"]))
        assert self.client.flush(30)

    def settled(self, closed: int) -> dict[str, Any]:
        until = time.monotonic() + 60
        calm = 0
        while time.monotonic() < until:
            found: dict[str, Any] = self.http.get("/models/m").json()
            lag = found.get("lag") or {"windows": 1, "restatements": 0, "records": 0, "closed": 0}
            busy = lag["windows"] + lag["restatements"] + lag["records"]
            calm = calm + 1 if not busy and lag["closed"] >= closed else 0
            if calm == 4:
                return found
            time.sleep(0.15)
        raise AssertionError(f"not settled: {lag}")

    def points(self, metric: str, **wanted: Any) -> list[dict[str, Any]]:
        answer = self.http.get("/models/m/metrics", params={"metric": metric, **wanted})
        points: list[dict[str, Any]] = answer.json()["points"]
        return sorted(points, key=lambda p: p["window_start"])

    def incidents(self, kind: str) -> list[dict[str, Any]]:
        found = self.http.get("/incidents", params={"model": "m"}).json()["incidents"]
        return [i for i in found if i["kind"] == kind]

    def close(self) -> None:
        self.client.close()
        self.http.close()


@pytest.fixture
def watch(start_process: Callable[..., Process]) -> Iterator[Callable[[], Watched]]:
    opened: list[Watched] = []

    def start() -> Watched:
        server = start_process(**FAST)
        opened.append(Watched(server.address))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def put_segments(model: Watched, *names: str) -> None:
    schema = infer_schema(records(0, 1), segments=names)
    answer = model.http.put(
        "/models/m/schema",
        content=dump_schema(schema).encode(),
        headers={"Content-Type": "application/yaml"},
    )
    answer.raise_for_status()


def with_baseline(watch: Callable[[], Watched]) -> Watched:
    model = watch()
    model.client.baseline(records(-30, 30))
    return model


def test_windows_close_once_event_time_has_passed_them(watch: Callable[[], Watched]) -> None:
    model = with_baseline(watch)
    model.send(records(0, 4))
    assert model.settled(3)["lag"]["closed"] == 3
    rows = model.points("row_count")
    assert [p["value"] for p in rows] == [300, 300, 300]
    assert rows[0]["window_start"] == "2025-03-03T00:00:00Z"
    assert not model.incidents("performance")


def test_segments_part_the_records(watch: Callable[[], Watched]) -> None:
    model = watch()
    put_segments(model, "place")
    model.client.baseline(records(-30, 30))
    model.send(records(0, 3))
    model.settled(2)
    parts = [model.points("row_count", segment=f"place:{name}") for name in ("north", "south")]
    for whole, north, south in zip(model.points("row_count"), *parts, strict=True):
        assert north["segment"] == {"place": "north"}
        assert whole["value"] == north["value"] + south["value"]


def test_a_world_that_changed_is_an_incident_and_ends(watch: Callable[[], Watched]) -> None:
    model = with_baseline(watch)
    model.send(records(0, 2))
    model.send(records(2, 3, late=0.35))
    model.settled(4)
    (incident,) = model.incidents("performance")
    assert incident["state"] == "open"
    assert "came true more often than predicted" in incident["title"]
    assert incident["first_window"] == "2025-03-05T00:00:00Z"
    model.send(records(5, 12))
    model.settled(16)
    (incident,) = model.incidents("performance")
    assert incident["state"] == "resolved"


def test_labels_that_come_late_restate_a_window_and_the_belief_before_can_be_asked(
    watch: Callable[[], Watched],
) -> None:
    model = with_baseline(watch)
    first = records(0, 1)
    model.send(first, labels=False)
    model.send(records(1, 1), labels=False)
    model.settled(1)
    (guess,) = model.points("bias")
    assert (guess["basis"], guess["n_current"]) == ("estimated", 300)
    model.label(first.slice(0, 150))
    model.settled(1)
    (half,) = model.points("bias", basis="partial")
    assert half["n_current"] == 150
    model.label(first.slice(150))
    model.settled(1)
    assert model.points("bias", basis="partial") == []
    (whole,) = model.points("bias", basis="final")
    assert whole["n_current"] == 300
    (before,) = model.points("bias", basis="partial", as_of=half["computed_at"])
    assert before["value"] == half["value"] != whole["value"]


def test_windows_whose_labels_are_no_longer_awaited_become_final(
    watch: Callable[[], Watched],
) -> None:
    model = with_baseline(watch)
    first = records(0, 1)
    model.send(first, labels=False)
    model.label(first.slice(0, 200))
    model.send(records(1, 9))
    model.settled(9)
    assert model.points("bias", basis="final")[0]["n_current"] == 200


def test_without_a_baseline_the_first_full_windows_become_one(
    watch: Callable[[], Watched],
) -> None:
    model = watch()
    model.send(records(0, 17, rows=1000))
    found = model.settled(16)
    assert found["baseline"] is not None
    (baseline,) = model.http.get("/models/m/baselines").json()["baselines"]
    assert baseline["source"] == "first_windows"
    assert baseline["rows"] == 14_000
    assert len(model.points("ks", column="age")) == 16


def test_a_restarted_server_goes_on_where_it_ended_and_doubles_nothing(
    watch: Callable[[], Watched], start_process: Callable[..., Process], tmp_path: Path
) -> None:
    first = start_process(**FAST)
    model = Watched(first.address)
    model.client.baseline(records(-30, 30))
    model.send(records(0, 4, late=0.35))
    model.settled(3)
    before = model.incidents("performance")
    model.close()
    first.kill()
    again = watch()
    again.send(records(4, 2, late=0.35))
    again.settled(5)
    assert [p["value"] for p in again.points("row_count")] == [300] * 5
    after = again.incidents("performance")
    assert [i["id"] for i in after] == [i["id"] for i in before]
    detail = again.http.get(f"/incidents/{after[0]['id']}").json()
    keys = [(a["metric"], str(a["segment"]), a["window_start"]) for a in detail["alarms"]]
    assert len(keys) == len(set(keys))
    assert {k[2] for k in keys} >= {(START + 4 * DAY).isoformat().replace("+00:00", "Z")}


def test_missing_values_name_the_hours_and_segments(watch: Callable[[], Watched]) -> None:
    model = watch()
    put_segments(model, "place")
    model.client.baseline(records(-30, 30))
    hole = records(0, 1).to_pandas()
    lost = (hole["timestamp"].dt.hour.between(6, 8)) & (hole["place"] == "north")
    hole.loc[lost, "age"] = np.nan
    model.send(pa.Table.from_pandas(hole, preserve_index=False))
    model.send(records(1, 1))
    model.settled(1)
    (incident,) = model.incidents("quality")
    assert "'age' is missing on 3 Mar 2025" in incident["title"]
    (found,) = incident["evidence"]["hours"]
    assert found["start"].startswith("2025-03-03T06:00")
    assert found["end"].startswith("2025-03-03T09:00")
    assert found["segments"] == ["place north"]


def test_a_new_baseline_has_the_history_judged_again(watch: Callable[[], Watched]) -> None:
    model = with_baseline(watch)
    model.send(records(0, 4, shift=3.0))
    model.settled(3)
    assert model.points("location_shift", column="age")[0]["state"] == "alarm"
    model.client.baseline(records(-30, 30, shift=3.0, seed=5))
    model.send(records(4, 1, shift=3.0))
    model.settled(4)
    points = model.points("location_shift", column="age")
    assert [p["state"] for p in points] == ["ok"] * 4
    assert not [i for i in model.incidents("drift") if i["state"] != "resolved"]
