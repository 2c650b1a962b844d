"""Ages over a real server: with every window, in the API, on the page, at /metrics; and detect."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from harness import running, stamp
from typer.testing import CliRunner
from watched_model import BASE, BASELINE_DAYS, DAYS, NAME, day, make

from tidegauge.cli import app
from tidegauge.errors import TidegaugeError
from tidegauge.lake.columns import stamped
from tidegauge.lake.flusher import Flushed
from tidegauge.lake.names import TableKind
from tidegauge.monitor.policy import Monitor, Policies, Threshold
from tidegauge.schema import Column, ColumnType, Role, Schema, Task
from tidegauge.server.backtesting import backtest
from tidegauge.server.baselining import from_stored
from tidegauge.server.runtime import Runtime
from tidegauge.server.settings import Settings

pytestmark = pytest.mark.xdist_group("staleness")
START = datetime(2026, 1, 5, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = make(tmp_path_factory.mktemp("staleness"))
    with running(Settings(data=folder, port=0)) as (served, _):
        yield served


@pytest.fixture(scope="module")
def http(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=30) as client:
        yield client


def points(http: httpx.Client, metric: str, version: str) -> dict[str, dict[str, Any]]:
    answer = http.get(
        f"/v1/projects/default/models/{NAME}/metrics",
        params={"metric": metric, "version": version, "segment": "*"},
    )
    found: list[dict[str, Any]] = answer.json()["points"]
    assert all(point["segment"] is None for point in found)
    assert len({point["window_start"] for point in found}) == len(found)
    return {point["window_start"]: point for point in found}


def test_every_window_tells_the_age_of_its_version(http: httpx.Client) -> None:
    first, second = points(http, "model_age", "1"), points(http, "model_age", "2")
    assert min(first) == stamp(day(0)) and min(second) == stamp(day(40))
    for found, since in ((first, 0), (second, 40)):
        for start, point in found.items():
            days = (datetime.fromisoformat(start) - day(since)).days + 1
            assert days - 0.1 <= point["value"] / 86_400 <= days
    one = second[stamp(day(44))]
    assert (one["unit"], one["direction"], one["column"]) == ("s", "lower_is_better", None)
    assert (one["lower"], one["upper"], one["state"]) == (None, None, "ok")


def test_the_baselines_age_begins_where_it_ends(http: httpx.Client) -> None:
    found = points(http, "baseline_age", "1")
    assert min(found) == stamp(day(BASELINE_DAYS - 1))
    later = points(http, "baseline_age", "2")[stamp(day(43))]
    assert 29.9 < later["value"] / 86_400 - (44 - BASELINE_DAYS - 30) <= 30.1


def test_the_newest_label_is_as_old_as_its_record(http: httpx.Client) -> None:
    """Labels stop coming in the middle of the last but one day."""
    found = points(http, "label_age", "2")
    assert all(found[stamp(day(at))]["value"] < 3600 for at in range(40, 43))
    for at in (43, 44):
        assert 0.49 < found[stamp(day(at))]["value"] / 86_400 < 0.52


def test_prometheus_reads_them_as_gauges(http: httpx.Client) -> None:
    told = dict(
        re.findall(
            r'tidegauge_(\w+_age)_seconds{[^}]*version="2"} (\S+)', http.get("/metrics").text
        )
    )
    assert told.keys() == {"model_age", "baseline_age", "label_age"}
    for name, value in told.items():
        newest = points(http, name, "2")[stamp(day(DAYS - 1))]
        assert float(value) == newest["value"]


def test_the_models_page_says_them_in_one_line(http: httpx.Client) -> None:
    page = http.get(BASE).text
    told = "as of 19 Feb 2026, 00:00 UTC: version 2, 4 days old · baseline 30 days old · newest"
    assert f"{told} label 12 hours old" in page
    before = http.get(f"{BASE}?end=2026-01-12").text
    assert "version 1, 6 days old · newest label" in before


def detect(address: str, *arguments: str) -> Any:
    given = ["detect", "--model", NAME, "--url", address, *arguments]
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, given)


def test_changes_are_detected_in_stored_results(address: str, tmp_path: Path) -> None:
    """``amount`` doubles on day 25."""
    target = tmp_path / "changes.json"
    done = detect(
        address,
        *("--metric", "mean", "--column", "amount", "--detector", "page_hinkley"),
        *("--set", "min_instances=10", "--json", str(target)),
    )
    assert done.exit_code == 1, done.output
    assert "45 values of churn mean of amount" in done.output and "EUR" in done.output
    (change,) = json.loads(target.read_text())["changes"]
    assert (change["time"], change["direction"]) == (stamp(day(25)), "up")
    calm = detect(address, "--metric", "mean", "--column", "visits")
    assert (calm.exit_code, "No change" in calm.output) == (0, True)
    assert "1 missing" not in calm.output  # that day has no result at all


def test_what_is_not_stored_cannot_be_looked_at(address: str) -> None:
    for arguments, says in (
        (["--metric", "ks"], "name one with --column"),
        (["--metric", "roc_acu"], "did you mean 'roc_auc'"),
        (["--metric", "mean", "--column", "amont"], "did you mean 'amount'"),
        (["--metric", "roc_auc", "--version", "9"], "no stored results"),
    ):
        done = detect(address, *arguments)
        assert isinstance(done.exception, TidegaugeError), done.output
        assert says in done.exception.message


class Small:
    """A model that is worked on by hand: records and labels come, and the scheduler looks."""

    def __init__(self, folder: Path) -> None:
        self.runtime = Runtime(Settings(data=folder, restate_interval=timedelta(seconds=1)))
        schema = Schema(
            (
                Column("prediction_id", ColumnType.TEXT, Role.PREDICTION_ID),
                Column("timestamp", ColumnType.DATETIME, Role.TIMESTAMP),
                Column("score", ColumnType.NUMERIC, Role.SCORE),
                Column("label", ColumnType.BOOLEAN, Role.LABEL),
            ),
            Task.BINARY,
        )
        self.model = self.runtime.create("default", "small", schema)
        self.offsets = itertools.count(1)
        self.now = datetime.now(UTC)
        self.scheduler: Any = self.runtime.scheduler

    def send(self, first: int, days: int) -> None:
        hours = range(24 * first, 24 * (first + days) + 2)
        rows = {
            "prediction_id": [f"p{hour}" for hour in hours],
            "timestamp": pa.array([START + h * HOUR for h in hours], pa.timestamp("us", "UTC")),
            "score": np.linspace(0.1, 0.9, len(hours)),
        }
        self.append("records", pa.table(rows))

    def label(self, hour: int) -> None:
        time = pa.array([START + hour * HOUR], pa.timestamp("us", "UTC"))
        rows = {"prediction_id": [f"p{hour}"], "label": [True], "timestamp": time}
        self.append("labels", pa.table(rows))

    def append(self, kind: TableKind, rows: pa.Table) -> None:
        """Store rows as the flusher does, with an offset of the journal, and say so."""
        offset = next(self.offsets)
        batch = pa.array([offset] * len(rows), pa.int64())
        table = stamped(rows, kind, datetime.now(UTC), journal="j", batch=batch)
        self.runtime.lake.append("default", "small", kind, table)
        times = rows["timestamp"].to_pylist() if kind == "records" else [None]
        records, labels = (len(rows) if kind == name else 0 for name in ("records", "labels"))
        news = Flushed(
            "default",
            "small",
            records=records,
            labels=labels,
            first_event=times[0],
            last_event=times[-1],
            first_offset=offset,
            last_offset=offset,
            journal="j",
        )
        self.runtime.catalog.news.add([news])

    def look(self) -> None:
        """Have the scheduler look, a minute after it did last."""
        self.now += timedelta(minutes=1)
        self.scheduler.tick()

    def ages(self, metric: str = "label_age") -> list[float]:
        """Hours, by window."""
        found = self.runtime.engine.points(
            "default", "small", start=START, end=START + 99 * DAY, metric=metric
        )
        if not found.num_rows:
            return []
        return [v / 3600 for v in found.sort_by("window_start")["value"].to_pylist()]

    def baseline(self, days: int) -> None:
        made = from_stored(self.runtime, self.model, START, START + days * DAY).baseline
        self.runtime.put_baseline(self.model, made, source="interval")


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Small]:
    held = Small(tmp_path)
    monkeypatch.setattr("tidegauge.server.scheduler.utc_now", lambda: held.now)
    yield held
    held.runtime.stop()


def test_late_labels_do_not_change_how_old_labels_were(small: Small) -> None:
    small.send(0, 3)
    small.baseline(2)
    small.look()
    assert small.ages() == []
    small.label(30)
    small.look()
    assert small.ages() == []
    small.send(3, 2)
    small.look()
    assert small.ages() == [4 * 24 - 30, 5 * 24 - 30]
    small.label(100)
    small.look()
    small.send(5, 1)
    small.look()
    assert small.ages() == [4 * 24 - 30, 5 * 24 - 30, 6 * 24 - 100]
    small.baseline(3)
    small.look()
    assert small.ages() == [4 * 24 - 30, 5 * 24 - 30, 6 * 24 - 100]
    assert small.ages("baseline_age")[-1] == 6 * 24 - (3 * 24 - 1)


def test_an_age_above_its_threshold_is_an_incident(small: Small) -> None:
    small.send(0, 6)
    small.label(10)
    small.baseline(1)
    limit = Threshold(above=3 * 86_400.0)
    policies = Policies(monitors=(Monitor("label_age", threshold=limit),))
    small.runtime.put_policies("default", "small", policies)
    small.look()
    (incident,) = small.runtime.catalog.incidents.all(project="default", model="small")
    assert incident.kind == "staleness"
    assert incident.title.startswith("Newest label older than allowed")
    assert (incident.first_window, incident.severity) == (START + 3 * DAY, "warning")
    assert incident.summary.startswith("label_age 3.58 days on 8 Jan (fixed threshold")
    tested = backtest(small.runtime, small.model, policies, 30)
    assert [(one.metric, one.windows) for one in tested.alarms] == [("label_age", 3)]
    small.label(80)
    small.look()
    (still,) = small.runtime.catalog.incidents.all(project="default", model="small")
    assert (still.id, still.last_window) == (incident.id, START + 5 * DAY)
