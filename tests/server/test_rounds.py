"""The scheduler's rounds, by hand, on both databases: what news ask for is done once."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tidegauge.alert.incidents import IncidentKeeper
from tidegauge.errors import LeaseLost, Unavailable
from tidegauge.lake.columns import stamped
from tidegauge.lake.flusher import Flushed
from tidegauge.lake.names import TableKind
from tidegauge.monitor.closing import Yardstick
from tidegauge.monitor.document import loads_policies
from tidegauge.schema import Column, ColumnType, Role, Schema, Task
from tidegauge.server import scheduler, watching
from tidegauge.server.baselining import from_stored
from tidegauge.server.known import Model
from tidegauge.server.progress import Progress
from tidegauge.server.runtime import Runtime
from tidegauge.server.settings import Settings

START = datetime(2026, 1, 5, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SCHEMA = Schema(
    (
        Column("prediction_id", ColumnType.TEXT, Role.PREDICTION_ID),
        Column("timestamp", ColumnType.DATETIME, Role.TIMESTAMP),
        Column("score", ColumnType.NUMERIC, Role.SCORE),
        Column("label", ColumnType.BOOLEAN, Role.LABEL),
    ),
    Task.BINARY,
)


class Desk:
    """A runtime whose scheduler is moved by hand."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.runtime = Runtime(
            Settings(data=folder, database_url=url, restate_interval=timedelta(seconds=1))
        )
        self.scheduler: Any = self.runtime.scheduler
        self.offsets = itertools.count(1)

    def model(self, name: str = "m") -> Model:
        """Make a model with a baseline of two days; days 0 to 2 are there and can be closed."""
        made = self.runtime.create("default", name, SCHEMA)
        self.send(range(3), name=name)
        baseline = from_stored(self.runtime, made, START, START + 2 * DAY).baseline
        self.runtime.put_baseline(made, baseline, source="interval")
        return made

    def send(
        self, days: range, name: str = "m", journal: str | None = "j", offset: int | None = None
    ) -> Flushed:
        """Store 24 records a day, and one of the next day two hours after midnight."""
        hours = range(24 * days[0], 24 * days[-1] + 27)
        n = next(self.offsets)
        rows = {
            "prediction_id": [f"p{n}-{hour}" for hour in hours],
            "timestamp": pa.array([START + h * HOUR for h in hours], pa.timestamp("us", "UTC")),
            "score": np.linspace(0.1, 0.9, len(hours)),
        }
        return self.store("records", pa.table(rows), name, journal, offset or n)

    def store(
        self,
        kind: TableKind,
        rows: pa.Table,
        name: str = "m",
        journal: str | None = "j",
        offset: int = 1,
    ) -> Flushed:
        """Store rows as a flush does; without a journal's id, as it was done before these."""
        batch = pa.array([offset] * len(rows), pa.int64())
        table = stamped(rows, kind, datetime.now(UTC), journal=journal, batch=batch)
        self.runtime.lake.append("default", name, kind, table)
        times = rows["timestamp"].to_pylist()
        news = Flushed(
            "default",
            name,
            records=len(rows) if kind == "records" else 0,
            labels=len(rows) if kind == "labels" else 0,
            first_event=min(times) if kind == "records" else None,
            last_event=max(times) if kind == "records" else None,
            first_offset=offset,
            last_offset=offset,
            journal=journal or "",
        )
        if journal is not None:
            self.runtime.catalog.news.add([news])
        return news

    def judged(self, name: str = "m") -> Counter[datetime]:
        """Return how often each window was judged."""
        import pyarrow.dataset as ds

        files = self.runtime.lake.files("default", name, "points")
        if not files:
            return Counter()
        table = ds.dataset(files).to_table(["window_start", "computed_at", "metric"])
        rows = {
            (row["window_start"], row["computed_at"])
            for row in table.to_pylist()
            if row["metric"] == "row_count"
        }
        return Counter(start for start, _ in rows)

    def counts(self, name: str = "m") -> list[float]:
        """Return the records of each closed window, as they are known now."""
        found = self.runtime.engine.points(
            "default", name, start=START, end=START + 99 * DAY, metric="row_count"
        )
        return list(found.sort_by("window_start")["value"].to_pylist()) if len(found) else []

    def lag(self, model: Model) -> dict[str, int]:
        return self.runtime.lag(model)


@pytest.fixture(params=["sqlite", "postgresql"])
def desk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Desk]:
    on_sqlite = request.param == "sqlite"
    made = Desk(tmp_path, None if on_sqlite else request.getfixturevalue("postgres").database())
    yield made
    made.runtime.stop()


def at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment


def test_a_window_is_judged_once_however_its_news_come(desk: Desk) -> None:
    model = desk.model()
    assert desk.lag(model)["windows"] == 1
    desk.scheduler.tick()
    assert desk.judged() == {START + n * DAY: 1 for n in range(3)}
    assert desk.lag(model) == {"windows": 0, "restatements": 0, "closed": 3, "records": 0}
    desk.send(range(3, 4))
    assert desk.lag(model)["windows"] == 1
    desk.scheduler.tick()
    desk.scheduler.tick()
    assert desk.judged() == {START + n * DAY: 1 for n in range(4)}
    assert desk.runtime.catalog.news.read() == []


def test_a_model_with_many_windows_to_close_holds_up_no_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One record of 1970 is half a million hours."""
    monkeypatch.setattr(scheduler, "MOST_WINDOWS", 2)
    model = desk.model("long")
    desk.model("other")
    assert desk.scheduler.tick() is True
    assert [sum(desk.judged(name).values()) for name in ("long", "other")] == [2, 2]
    assert desk.lag(model)["windows"] == 1
    assert desk.scheduler.tick() is False
    assert desk.judged("long") == desk.judged("other") == {START + n * DAY: 1 for n in range(3)}
    assert desk.lag(model) == {"windows": 0, "restatements": 0, "closed": 3, "records": 0}


def test_records_that_come_late_have_their_own_windows_judged_again(desk: Desk) -> None:
    model = desk.model()
    desk.scheduler.tick()
    # Another server's journal has come to the same offsets.
    desk.send(range(1, 2), journal="k", offset=1)
    assert desk.lag(model)["restatements"] == 1
    desk.scheduler.tick()
    assert desk.judged() == {START: 1, START + DAY: 2, START + 2 * DAY: 2}
    assert desk.counts() == [24, 48, 27]


def test_labels_have_the_windows_of_their_records_judged_again(desk: Desk) -> None:
    desk.model()
    desk.scheduler.tick()
    moment = pa.array([START + 5 * HOUR], pa.timestamp("us", "UTC"))
    rows = {"prediction_id": ["p1-5"], "timestamp": moment, "label": [True]}
    desk.store("labels", pa.table(rows), journal="k", offset=1)
    desk.scheduler.tick()
    assert desk.judged() == {START: 2, START + DAY: 1, START + 2 * DAY: 1}


def test_news_are_kept_until_a_model_that_failed_is_done(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.model("m")
    desk.model("n")
    versions = desk.runtime.engine.versions

    def broken(project: str, model: str, *rest: Any, **options: Any) -> Any:
        if model == "m":
            raise ArithmeticError("broken")
        return versions(project, model, *rest, **options)

    monkeypatch.setattr(desk.runtime.engine, "versions", broken)
    desk.scheduler.tick()
    assert [news.model for news in desk.runtime.catalog.news.read()] == ["m"]
    assert (sum(desk.judged("m").values()), sum(desk.judged("n").values())) == (0, 3)
    monkeypatch.undo()
    desk.scheduler.tick()
    assert desk.judged("m") == {}, "it rests for a while"
    desk.scheduler._failures.clear()
    desk.scheduler.tick()
    assert desk.judged("m") == desk.judged("n") == {START + n * DAY: 1 for n in range(3)}
    assert desk.runtime.catalog.news.read() == []


def test_who_loses_the_lease_within_a_round_stores_nothing_of_it(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, catalog = desk.model(), desk.runtime.catalog
    put = watching.put_profiles

    def overtaken(*arguments: Any) -> Any:
        seen = catalog.leases.look("scheduler")
        assert catalog.leases.take("scheduler", "another", seen) is not None
        return put(*arguments)

    monkeypatch.setattr(watching, "put_profiles", overtaken)
    with pytest.raises(LeaseLost):
        desk.scheduler.tick()
    monkeypatch.undo()
    assert not desk.scheduler.leads
    assert catalog.windows.between(model.id) == []
    assert len(catalog.news.read()) == 1
    stored = Progress.load(catalog.models.get("default", "m").progress)
    assert stored.closed_until is None
    assert not desk.scheduler.tick(), "another server has the lease"
    assert catalog.windows.between(model.id) == []
    # The other one gives it back; what the first stored in the lake is there twice, and harmless.
    lease = catalog.leases.look("scheduler")
    assert lease is not None
    catalog.leases.take("scheduler", "", lease)
    desk.scheduler.tick()
    assert desk.judged() == {START + n * DAY: 2 for n in range(3)}
    assert desk.counts() == [24, 24, 24]
    assert len(catalog.windows.between(model.id)) == 3


def test_who_goes_on_after_a_crash_opens_no_second_incident_for_one_cause(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, incidents = desk.model(), desk.runtime.catalog.incidents
    told = "monitors: [{metric: mean, columns: score, threshold: {above: 0.1}}]"
    desk.runtime.put_policies("default", "m", loads_policies(told))
    desk.send(range(3))  # Fewer records a day would be too few to judge.

    def killed(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(IncidentKeeper, "_describe", killed)
    with pytest.raises(KeyboardInterrupt):
        desk.scheduler.tick()
    monkeypatch.undo()
    (begun,) = incidents.all()
    # More windows are closed together now than by the one who opened it.
    for _ in range(2):
        desk.send(range(3, 5))
    desk.scheduler.tick()
    (incident,) = incidents.all()
    assert incident.id == begun.id
    starts = [alarm.window_start for alarm in incidents.alarms(incident.id)]
    assert starts == [START + n * DAY for n in range(5)]
    assert desk.lag(model)["closed"] == 5


def test_a_round_without_the_catalog_is_done_again_whole(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, catalog = desk.model(), desk.runtime.catalog
    record = type(catalog.windows).record

    def gone(*arguments: Any) -> Any:
        raise Unavailable("gone")

    monkeypatch.setattr(type(catalog.windows), "record", gone)
    with pytest.raises(Unavailable):
        desk.scheduler.tick()
    monkeypatch.setattr(type(catalog.windows), "record", record)
    desk.scheduler.tick()
    assert len(catalog.windows.between(model.id)) == 3
    assert catalog.news.read() == []


@pytest.mark.parametrize("jump", [-5 * HOUR, 5 * HOUR])
def test_what_is_judged_again_counts_whatever_the_clock_does(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, jump: timedelta
) -> None:
    desk.model()
    now = datetime.now(UTC)
    monkeypatch.setattr("tidegauge.server.scheduler.utc_now", at(now))
    desk.scheduler.tick()
    desk.send(range(1, 2))
    monkeypatch.setattr("tidegauge.server.scheduler.utc_now", at(now + jump))
    desk.scheduler.tick()
    assert desk.counts() == [24, 48, 27]
    desk.send(range(1, 2))
    monkeypatch.setattr("tidegauge.server.scheduler.utc_now", at(now))
    desk.scheduler.tick()
    desk.scheduler.tick()
    assert desk.counts() == [24, 72, 30]


def test_a_model_that_an_older_version_watched_is_looked_at_once_for_what_came_late(
    desk: Desk,
) -> None:
    model = desk.runtime.create("default", "m", SCHEMA)
    desk.send(range(3), journal=None, offset=7)
    made = from_stored(desk.runtime, model, START, START + 2 * DAY)
    row = desk.runtime.put_baseline(model, made.baseline, source="interval")
    desk.send(range(1), journal=None, offset=9)
    progress = Progress(START, START + 74 * HOUR, START + 3 * DAY, baseline_id=row.id)
    desk.runtime.catalog.models.note(model.id, **{**progress.dump(), "seen_offset": 7})
    for _ in range(2):
        desk.scheduler.tick()
        assert desk.judged() == {START: 1, START + DAY: 1}
    desk.send(range(3, 4))
    desk.scheduler.tick()
    stored = desk.runtime.catalog.models.get("default", "m").progress
    assert stored["seen_offset"] is None
    assert desk.judged() == {START: 1, START + DAY: 1, START + 3 * DAY: 1}


def test_a_model_whose_baseline_is_still_learnt_from_holds_up_no_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = desk.model("slow"), desk.model("quick")
    learn, may_go_on = Yardstick.learn, threading.Event()

    def wait(yardstick: Yardstick) -> None:
        if yardstick.baseline.id == active(slow):
            assert may_go_on.wait(20)
        learn(yardstick)

    def active(model: Model) -> str:
        found = desk.runtime.catalog.baselines.active(model.id)
        assert found is not None
        return found.id

    def rounds(until: Callable[[], bool]) -> None:
        for _ in range(200):
            desk.scheduler.tick(patient=False)
            if until():
                return
            time.sleep(0.02)
        raise AssertionError("never")

    monkeypatch.setattr(Yardstick, "learn", wait)
    desk.scheduler._learning._one = contextlib.nullcontext()  # Both at once, in any order.
    rounds(lambda: len(desk.counts("quick")) == 3)
    assert desk.counts("slow") == [] and desk.lag(slow)["windows"] > 0
    may_go_on.set()
    rounds(lambda: len(desk.counts("slow")) == 3)
    assert set(desk.judged("slow").values()) == {1}, "what waited was done once"
    assert desk.lag(quick)["windows"] == 0
