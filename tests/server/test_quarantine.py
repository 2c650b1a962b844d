"""Quarantine: seen in groups and rows, and replayed so that each row is stored exactly once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pyarrow as pa
import pytest
from harness import NDJSON, running

from tidegauge.engine.quarantine import Chosen, QuarantineReader
from tidegauge.lake.arrivals import Arrival
from tidegauge.lake.flusher import Flushed
from tidegauge.schema import Column, ColumnType, Role, Schema, Task
from tidegauge.server import quarantining
from tidegauge.server.known import Model
from tidegauge.server.quarantining import replay
from tidegauge.server.runtime import Runtime
from tidegauge.server.settings import Settings

START = datetime(2026, 1, 5, tzinfo=UTC)


def schema_of(kind: ColumnType = ColumnType.NUMERIC) -> Schema:
    return Schema(
        (
            Column("prediction_id", ColumnType.TEXT, Role.PREDICTION_ID),
            Column("timestamp", ColumnType.DATETIME, Role.TIMESTAMP),
            Column("plan", kind),
            Column("label", ColumnType.BOOLEAN, Role.LABEL),
        ),
        Task.BINARY,
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Runtime]]:
    minute = timedelta(minutes=1)
    with running(Settings(data=tmp_path, port=0, flush_interval=minute)) as (address, app):
        app.state.runtime.put_schema("default", "m", schema_of())
        yield address, app.state.runtime


@pytest.fixture
def runtime(server: tuple[str, Runtime]) -> Runtime:
    return server[1]


@pytest.fixture
def http(server: tuple[str, Runtime]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server[0]}/v1/projects/default/models/m", timeout=30) as client:
        yield client


def post(http: httpx.Client, rows: list[Any], to: str = "predictions", **more: str) -> Any:
    answer = http.post(to, json=rows, params=more)
    assert answer.status_code == 202, answer.text
    return answer.json()


def row(i: int, plan: Any = "basic", **more: Any) -> dict[str, Any]:
    moment = START + timedelta(minutes=i)
    return {"prediction_id": f"p{i}", "timestamp": moment.isoformat(), "plan": plan, **more}


def stored(runtime: Runtime, kind: Any = "records") -> list[dict[str, Any]]:
    runtime.flusher.flush_now()
    handle = runtime.lake.open_table("default", "m", kind)
    return [] if handle is None else pa.table(handle.to_pyarrow_table()).to_pylist()


def mended(runtime: Runtime) -> Model:
    """Return the model after its column was made what is sent."""
    return runtime.put_schema("default", "m", schema_of(ColumnType.CATEGORICAL))


def test_groups_name_what_is_wrong_how_often_and_an_example(
    runtime: Runtime, http: httpx.Client
) -> None:
    post(http, [row(1), row(2), row(3, 7.0), {"plan": 1}])
    runtime.flusher.flush_now()
    groups, count = QuarantineReader(runtime.engine).groups("default", "m")
    assert count == 2
    first = groups[0]
    assert (first.code, first.column, first.rows) == ("type_error", "plan", 2)
    assert '"basic" is no number' in first.message
    assert orjson.loads(first.record)["plan"] == "basic"
    assert first.first_seen <= first.last_seen


def test_rows_come_newest_first_and_page_by_page(runtime: Runtime, http: httpx.Client) -> None:
    post(http, [row(i) for i in range(5)])
    post(http, [row(i) for i in range(5, 8)])
    runtime.flusher.flush_now()
    reader, cursor, seen = QuarantineReader(runtime.engine), None, []
    for _ in range(10):
        rows, cursor = reader.rows(
            "default", "m", Chosen(code="type_error"), limit=3, cursor=cursor
        )
        seen += [orjson.loads(one.record)["prediction_id"] for one in rows]
        if cursor is None:
            break
    assert len(seen) == 8
    assert set(seen) == {f"p{i}" for i in range(8)}
    assert set(seen[:3]) == {"p5", "p6", "p7"}


def test_what_fits_now_is_stored_and_leaves_and_what_does_not_stays(
    runtime: Runtime, http: httpx.Client
) -> None:
    post(http, [row(1), row(2, 3.0), row(3, {"a": 1})], version="7")
    done = replay(runtime, mended(runtime), Chosen())
    assert (done.replayed, done.repeated, done.stayed) == (1, 0, 1)
    assert [(one.code, one.column, one.rows) for one in done.reasons] == [("type_error", "plan", 1)]
    found = {one["prediction_id"]: one for one in stored(runtime)}
    assert set(found) == {"p1", "p2"}
    assert found["p1"]["_version"] == "7"
    assert found["p1"]["_journal"].startswith("replay:")
    assert [
        orjson.loads(one["record"])["prediction_id"] for one in stored(runtime, "quarantine")
    ] == ["p3"]


def test_a_second_replay_finds_nothing(runtime: Runtime, http: httpx.Client) -> None:
    post(http, [row(1), row(2)])
    model = mended(runtime)
    assert replay(runtime, model, Chosen()).replayed == 2
    again = replay(runtime, model, Chosen())
    assert (again.replayed, again.repeated, again.stayed) == (0, 0, 0)
    assert len(stored(runtime)) == 2


def test_after_a_crash_before_the_rows_left_quarantine_nothing_is_doubled(
    runtime: Runtime, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(http, [row(i) for i in range(50)])
    model = mended(runtime)

    def crash(*_: Any) -> int:
        raise RuntimeError("killed here")

    with monkeypatch.context() as patched:
        patched.setattr(quarantining, "drop", crash)
        with pytest.raises(RuntimeError, match="killed"):
            replay(runtime, model, Chosen())
    assert len(stored(runtime)) == 50
    again = replay(runtime, model, Chosen())
    assert (again.replayed, again.repeated) == (0, 50)
    assert len(stored(runtime)) == 50
    assert stored(runtime, "quarantine") == []


def test_replays_at_the_same_time_store_each_row_once(runtime: Runtime, http: httpx.Client) -> None:
    for first in range(0, 60, 20):
        post(http, [row(i) for i in range(first, first + 20)])
    model, done = mended(runtime), []
    runtime.flusher.flush_now()
    gate = threading.Barrier(4)

    def work() -> None:
        gate.wait(10)
        # Past the lock of one process, as several servers are.
        done.append(quarantining._Replay(runtime, model).run(Chosen()))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(one.replayed for one in done) == 60
    assert len(stored(runtime)) == 60
    assert stored(runtime, "quarantine") == []


def test_replays_beside_each_other_and_beside_what_comes_lose_and_double_nothing(
    runtime: Runtime, http: httpx.Client
) -> None:
    for first in range(0, 60, 20):
        bad = [row(i, "gold" if i % 2 else 1.0, label="?" if i % 3 else None) for i in range(20)]
        post(http, [{**one, "prediction_id": f"q{first}-{i}"} for i, one in enumerate(bad)])
    kept = sum(1 for i in range(20) if i % 2 or i % 3) * 3
    never = sum(1 for i in range(20) if i % 3) * 3  # whose label does not fit still
    model, failures = mended(runtime), []
    runtime.flusher.flush_now()
    assert len(stored(runtime, "quarantine")) == kept
    gate = threading.Barrier(3)

    def work(chosen: Chosen) -> None:
        gate.wait(10)
        try:
            quarantining._Replay(runtime, model).run(chosen)
        except Exception as error:
            failures.append(error)

    chosen = (Chosen(), Chosen(column="plan"))
    threads = [threading.Thread(target=work, args=(one,)) for one in chosen]
    for thread in threads:
        thread.start()
    gate.wait(10)
    for i in range(8):
        post(http, [row(1000 + i), row(2000 + i, {"a": 1})])
        runtime.flusher.flush_now()
    for thread in threads:
        thread.join(60)
    assert failures == []
    ids = [one["prediction_id"] for one in stored(runtime)]
    assert len(ids) == len(set(ids)) == 60 - never + 8
    left = [orjson.loads(one["record"])["prediction_id"] for one in stored(runtime, "quarantine")]
    assert len(left) == len(set(left)) == never + 8


def test_a_replayed_record_restates_its_window(runtime: Runtime, http: httpx.Client) -> None:
    post(http, [row(i, 1.0) for i in range(5)])
    post(http, [row(9)])
    model, news = mended(runtime), list[Flushed]()
    runtime.on_flush(news.extend)
    replay(runtime, model, Chosen())
    told = news[-1]
    assert (told.records, told.journal.partition(":")[0]) == (1, "replay")
    arrival = Arrival(told.journal, told.first_offset, told.last_offset)
    names = "default", "m", model.schema
    assert runtime.engine.recorded_windows(*names, [arrival], model.window) == [START]


def test_records_of_one_id_from_different_requests_all_leave(
    runtime: Runtime, http: httpx.Client
) -> None:
    post(http, [row(1)])
    post(http, [row(1)])
    post(http, [{**row(1), "timestamp": "2026-03-01T00:00:00Z"}])
    done = replay(runtime, mended(runtime), Chosen())
    assert (done.replayed, done.stayed) == (3, 0)
    assert len(stored(runtime)) == 3
    model = runtime.get("default", "m")
    end = START + timedelta(days=90)
    batches = runtime.engine.batches("default", "m", model.schema, START, end, window=model.window)
    assert sum(batch.num_rows for batch in batches) == 2  # an id counts once in a window


def test_a_time_that_was_ahead_of_the_clock_fits_once_the_clock_has_come(
    runtime: Runtime, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    post(http, [row(1, 1.0), {**row(2, 1.0), "timestamp": ahead}])
    model = runtime.get("default", "m")
    assert replay(runtime, model, Chosen()).reasons[0].code == "future_timestamp"

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(hours=2)

    monkeypatch.setattr(quarantining, "datetime", Later)
    assert replay(runtime, model, Chosen()).replayed == 1


def test_labels_are_replayed_as_observed_when_they_came(
    runtime: Runtime, http: httpx.Client
) -> None:
    post(http, [row(1, 1.0)])
    before = datetime.now(UTC)
    post(http, [{"prediction_id": "p1", "label": "late"}], "labels")
    after = datetime.now(UTC)
    model = runtime.get("default", "m")
    columns = tuple(
        Column("label", ColumnType.CATEGORICAL, Role.LABEL) if c.name == "label" else c
        for c in model.schema
    )
    changed = runtime.put_schema("default", "m", Schema(columns, Task.BINARY, positive="late"))
    time.sleep(0.01)
    done = replay(runtime, changed, Chosen(resource="labels"))
    assert done.replayed == 1
    label = stored(runtime, "labels")[0]
    assert label["label"] == "late"
    assert before <= label["observed_at"] <= after


def test_what_cannot_be_read_stays_and_is_told(runtime: Runtime, http: httpx.Client) -> None:
    body = b'{"prediction_id": "a", \n' + orjson.dumps(row(1, 2.0))
    assert http.post("predictions", content=body, headers={"Content-Type": NDJSON}).is_success
    done = replay(runtime, runtime.get("default", "m"), Chosen())
    assert (done.replayed, done.stayed) == (0, 1)
    assert done.reasons[0].code == "bad_ndjson"


def test_a_replay_goes_by_pieces(
    runtime: Runtime, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tidegauge.engine import quarantine

    monkeypatch.setattr(quarantine, "ROUND", 100)
    monkeypatch.setattr(quarantine, "PIECE", 30)
    for first in range(0, 250, 50):
        post(http, [row(i) for i in range(first, first + 50)])
    assert replay(runtime, mended(runtime), Chosen(code="type_error")).replayed == 250
    assert len(stored(runtime)) == 250
    assert stored(runtime, "quarantine") == []
