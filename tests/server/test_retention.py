"""Records and profiles are kept as long as a model says; windows without records stay readable."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
import watched_model
from harness import records, running
from typer.testing import CliRunner

from tidegauge.catalog import Claim
from tidegauge.cli import app
from tidegauge.lake.entries import Entry, JournalRequest
from tidegauge.schema import Column, ColumnType, Role, Schema, Task
from tidegauge.schema.retention import Retention
from tidegauge.server.baselining import from_stored
from tidegauge.server.runtime import Model, Runtime
from tidegauge.server.settings import Settings

DAY = timedelta(days=1)
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
START = TODAY - 30 * DAY
TIMES = pa.timestamp("us", "UTC")
ROWS = 40
SCHEMA = Schema(
    (
        Column("prediction_id", ColumnType.TEXT, Role.PREDICTION_ID),
        Column("timestamp", ColumnType.DATETIME, Role.TIMESTAMP),
        Column("age", ColumnType.NUMERIC),
        Column("score", ColumnType.NUMERIC, Role.SCORE),
        Column("label", ColumnType.BOOLEAN, Role.LABEL),
    ),
    Task.BINARY,
)


class Kept:
    """A model with 20 days of records, from 30 days ago to 10 days ago, its windows closed."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        runtime.put_schema("default", "m", SCHEMA)
        days = range(20)
        self.send("records", pa.concat_tables([self._records(day) for day in days]))
        self.label(*days)
        made = from_stored(runtime, self.model, START, START + 8 * DAY)
        runtime.put_baseline(self.model, made.baseline, source="interval")
        self.tick()

    @property
    def model(self) -> Model:
        return self.runtime.get("default", "m")

    def send(self, kind: Any, table: pa.Table) -> None:
        entry = Entry("default", "m", kind, table, "timestamp")
        self.runtime.append(JournalRequest("default", "m", (entry,))).result(30)
        self.runtime.flusher.flush_now()

    def label(self, *days: int, value: bool | None = None) -> None:
        n = ROWS * len(days)
        self.send(
            "labels",
            pa.table(
                {
                    "prediction_id": [f"d{day}-{i}" for day in days for i in range(ROWS)],
                    "label": pa.array([i % 2 == 0 if value is None else value for i in range(n)]),
                    "timestamp": pa.array([self._at(day, i) for day in days for i in range(ROWS)]),
                    "observed_at": pa.array([datetime.now(UTC)] * n, TIMES),
                }
            ),
        )

    def tick(self) -> None:
        scheduler: Any = self.runtime.scheduler
        scheduler.tick()
        scheduler.tick()

    def keep(self, **spans: timedelta) -> None:
        self.runtime.put_retention("default", "m", Retention(**spans))
        for _ in range(3):
            self.runtime.upkeep.run_once()

    def dates(self, kind: Any) -> list[str]:
        files = self.runtime.lake.files("default", "m", kind)
        return sorted({Path(path).parent.name.removeprefix("_date=") for path in files})

    def counts(self) -> dict[datetime, float]:
        """Return of each window how many records it had, as its results tell."""
        points = self.runtime.engine.points(
            "default", "m", start=START - DAY, end=TODAY, metric="row_count"
        )
        return {row["window_start"]: row["value"] for row in points.to_pylist()}

    def judged(self) -> dict[datetime, datetime]:
        points = self.runtime.engine.points(
            "default", "m", start=START - DAY, end=TODAY, metric="row_count"
        )
        return {row["window_start"]: row["computed_at"] for row in points.to_pylist()}

    def _at(self, day: int, i: int) -> datetime:
        return START + day * DAY + i * timedelta(minutes=30)

    def _records(self, day: int) -> pa.Table:
        rng = np.random.default_rng(day)
        return pa.table(
            {
                "prediction_id": [f"d{day}-{i}" for i in range(ROWS)],
                "timestamp": pa.array([self._at(day, i) for i in range(ROWS)], TIMES),
                "age": rng.normal(size=ROWS),
                "score": rng.random(ROWS),
                "label": pa.nulls(ROWS, pa.bool_()),
                "_extra": pa.nulls(ROWS, pa.string()),
                "_version": pa.repeat("1", ROWS),
            }
        )


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    settings = Settings(
        data=tmp_path,
        restate_interval=timedelta(seconds=1),
        upkeep_interval=timedelta(seconds=0.001),
        lateness=timedelta(hours=1),
    )
    runtime = Runtime(settings)
    try:
        yield Kept(runtime)
    finally:
        runtime.stop()


def test_old_records_go_by_whole_dates_and_their_windows_stay_readable(kept: Kept) -> None:
    before = kept.counts()
    assert len(before) >= 19 and set(list(before.values())[:19]) == {ROWS}
    kept.keep(records=20 * DAY)
    first = (datetime.now(UTC) - 20 * DAY).date().isoformat()
    assert min(kept.dates("records")) == min(kept.dates("labels")) == first
    assert kept.counts() == before
    names = ("default", "m", SCHEMA, START, TODAY)
    found, _ = kept.runtime.engine.records(*names, limit=5)
    assert found[0]["timestamp"][:10] == first
    assert kept.model.records_from == TODAY - 20 * DAY


def test_a_label_that_comes_too_late_leaves_the_profile_of_its_window_alone(kept: Kept) -> None:
    kept.keep(records=20 * DAY)
    before = kept.judged()
    kept.label(2, 15, value=True)
    kept.tick()
    after = kept.judged()
    assert {start for start in before if after[start] != before[start]} == {START + 15 * DAY}
    assert kept.counts()[START + 2 * DAY] == ROWS
    kept.keep(records=19 * DAY)  # What came is dropped again.
    assert min(kept.dates("labels")) >= (TODAY - 19 * DAY).date().isoformat()


def test_a_new_baseline_profiles_anew_what_still_has_records(kept: Kept) -> None:
    kept.keep(records=20 * DAY)
    before = kept.judged()
    made = from_stored(kept.runtime, kept.model, TODAY - 20 * DAY, TODAY - 12 * DAY)
    kept.runtime.put_baseline(kept.model, made.baseline, source="interval")
    kept.tick()
    after = kept.judged()
    assert kept.counts()[START] == ROWS
    for start, at in after.items():
        assert (at == before.get(start)) == (start < TODAY - 20 * DAY), start


def test_profiles_and_results_go_by_whole_months(kept: Kept) -> None:
    months = kept.dates("points")
    kept.keep(profiles=1 * DAY)
    this = TODAY.replace(day=1) if datetime.now(UTC).day > 1 else (TODAY - DAY).replace(day=1)
    left = [month for month in months if month >= this.date().isoformat()]
    assert kept.dates("points") == kept.dates("profiles") == left
    assert kept.dates("records")
    starts = [row.start for row in kept.runtime.catalog.windows.between(kept.model.id)]
    assert all(start >= this for start in starts)


def test_nothing_is_dropped_that_was_not_profiled_yet(kept: Kept) -> None:
    kept.send("records", kept._records(25))  # Its window was not closed.
    kept.keep(records=1 * DAY)
    assert (START + 25 * DAY).date().isoformat() in kept.dates("records")


def test_a_server_without_the_lease_keeps_nothing_up(kept: Kept) -> None:
    for i in range(15):
        kept.send("records", kept._records(100 + i).slice(0, 1))
    claim = kept.runtime.claim
    claim.release()
    other = Claim(kept.runtime.catalog.leases, "scheduler", "another")
    assert other.attend() is not None
    before = kept.dates("records")
    kept.keep(records=20 * DAY)
    assert kept.dates("records") == before


def test_retention_is_set_shown_and_refused_over_http_and_in_a_document(tmp_path: Path) -> None:
    path = "/v1/projects/default/models/fares"
    with (
        running(Settings(data=tmp_path / "data", port=0)) as (address, _),
        httpx.Client(base_url=f"{address}{path}") as http,
    ):
        assert http.get("/retention").status_code == 404
        http.post("/predictions", json=records(3)).raise_for_status()
        nothing = {"model": "fares", "records": None, "profiles": None, "records_from": None}
        assert http.get("/retention").json() == {**nothing, "warnings": []}
        told = http.put("/retention", json={"records": "30d", "profiles": "2y"}).json()
        assert (told["records"], told["profiles"]) == ("30d", "730d")
        assert "labels are waited for 90d" in told["warnings"][0]
        for bad, words in (
            ({"records": "soon"}, "retention.records: 'soon' is no span of time"),
            ({"records": "3h"}, "whole days"),
            ({"record": "3d"}, "did you mean 'records'"),
            ({"records": "60d", "profiles": "30d"}, "cannot be kept shorter"),
            ({"records": [1]}, "must be a span of time"),
        ):
            answer = http.put("/retention", json=bad)
            assert answer.status_code == 422 and words in answer.json()["message"], answer.text
        assert http.get("/retention").json()["records"] == "30d"
        document = tmp_path / "fares.yaml"
        document.write_text("model: fares\nretention: {records: 120d}\n")
        url = ["--url", address, "--yes"]
        done = CliRunner().invoke(app, ["apply", str(document), *url])
        assert done.exit_code == 0 and "records: kept 120d" in done.output, done.output
        again = CliRunner().invoke(app, ["apply", str(document), *url])
        assert "nothing to do" in again.output
        assert http.get("/retention").json()["profiles"] is None
        document.write_text("model: fares\nretention: {records: 1h}\n")
        refused = CliRunner().invoke(app, ["apply", str(document), *url])
        assert "fares.yaml:2:22" in str(refused.exception)


def test_pages_of_windows_whose_records_are_gone_can_be_read(tmp_path: Path) -> None:
    watched_model.make(tmp_path)
    settings = Settings(data=tmp_path, port=0, upkeep_interval=timedelta(seconds=0.2))
    page = f"{watched_model.BASE}/windows/{watched_model.day(2):%Y-%m-%d}"
    with running(settings) as (address, _), httpx.Client(base_url=address, timeout=30) as http:
        assert http.get(page).status_code == 200
        first = (datetime.now(UTC) - watched_model.day(20)).days * DAY
        path = f"/v1/projects/default/models/{watched_model.NAME}/retention"
        http.put(path, json={"records": f"{first.days}d"}).raise_for_status()
        until = time.monotonic() + 20
        while http.get(path).json()["records_from"] is None:
            assert time.monotonic() < until
            time.sleep(0.1)
        time.sleep(1.0)
        assert http.get(page).status_code == 200
        told = http.get(watched_model.BASE).text
        assert "records kept" in told and "there since" in told
