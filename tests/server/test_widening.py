"""Types that get wider: what was stored keeps its meaning, and judging goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from harness import running
from watched_model import BASE, BASELINE_DAYS, DAYS, NAME, START, day, make, records, schema

from tidegauge.errors import Conflict
from tidegauge.lake.tables import AppTransaction, Lake
from tidegauge.lake.widening import widen
from tidegauge.schema import Column, ColumnType, Role, Schema
from tidegauge.server.baselining import from_stored
from tidegauge.server.changing import changes, widenings
from tidegauge.server.runtime import Runtime
from tidegauge.server.settings import Settings

C = ColumnType
ALLOWED = {
    (C.BOOLEAN, C.NUMERIC),
    (C.BOOLEAN, C.CATEGORICAL),
    (C.BOOLEAN, C.TEXT),
    (C.NUMERIC, C.CATEGORICAL),
    (C.NUMERIC, C.TEXT),
    (C.CATEGORICAL, C.TEXT),
    (C.TEXT, C.CATEGORICAL),
}
VALUES: dict[ColumnType, Any] = {
    C.BOOLEAN: pa.array([True, False, None]),
    C.NUMERIC: pa.array([1.0, 2.5, None]),
    C.CATEGORICAL: pa.array(["a", "b", None]),
    C.TEXT: pa.array(["a", "b", None]),
    C.DATETIME: pa.array([START, START, None], pa.timestamp("us", "UTC")),
    C.EMBEDDING: pa.array([[1.0], [2.0], None], pa.list_(pa.float32())),
}


def one(kind: ColumnType) -> Schema:
    return Schema(
        (
            Column("prediction_id", C.TEXT, Role.PREDICTION_ID),
            Column("timestamp", C.DATETIME, Role.TIMESTAMP),
            Column("x", kind),
        )
    )


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    opened = Runtime(Settings(data=tmp_path, port=0))
    yield opened
    opened.stop()


def rows(values: Any) -> pa.Table:
    times = pa.array([START] * len(values), pa.timestamp("us", "UTC"))
    ids = [f"p{i}" for i in range(len(values))]
    return pa.table({"prediction_id": ids, "timestamp": times, "x": values})


@pytest.mark.parametrize("before", list(C))
def test_types_only_get_wider(runtime: Runtime, before: ColumnType) -> None:
    runtime.put_schema("default", "m", one(before))
    runtime.lake.append("default", "m", "records", rows(VALUES[before]))
    model = runtime.get("default", "m")
    for after in C:
        if after is before or (before, after) in ALLOWED:
            widenings(runtime.lake, model, one(after))
            continue
        with pytest.raises(Conflict, match="a type can only get wider") as refused:
            runtime.put_schema("default", "m", one(after))
        assert refused.value.code == "type_changed"
    assert runtime.get("default", "m").schema == one(before)


@pytest.mark.parametrize(
    ("before", "after", "meant"),
    [
        (C.BOOLEAN, C.NUMERIC, [1.0, 0.0, None]),
        (C.BOOLEAN, C.TEXT, ["true", "false", None]),
        (C.NUMERIC, C.CATEGORICAL, ["1", "2.5", None]),
    ],
)
def test_what_was_stored_keeps_its_meaning(
    runtime: Runtime, before: ColumnType, after: ColumnType, meant: list[Any]
) -> None:
    runtime.put_schema("default", "m", one(before))
    runtime.lake.append("default", "m", "records", rows(VALUES[before]))
    model = runtime.put_schema("default", "m", one(after))
    handle = runtime.lake.open_table("default", "m", "records")
    assert handle is not None
    stored = pa.table(handle.to_pyarrow_table()).sort_by("prediction_id")
    assert stored["x"].to_pylist() == meant
    end = START + timedelta(days=1)
    found = pa.Table.from_batches(
        runtime.engine.batches("default", "m", model.schema, START, end)
    ).sort_by("prediction_id")
    assert found["x"].to_pylist() == meant


def test_rows_that_come_meanwhile_are_there_once_and_in_the_type_of_now(tmp_path: Path) -> None:
    lake, stop = Lake(tmp_path), threading.Event()
    done: list[int] = []

    def flush(name: str) -> None:
        # A handle of its own, as another server has.
        own, turn = Lake(tmp_path), 0
        while not stop.is_set() and turn < 60:
            turn += 1
            values = pa.array([float(turn)] * 5)
            for _ in range(20):
                try:
                    own.append(
                        *("default", "m", "records"), rows(values), app=AppTransaction(name, turn)
                    )
                    break
                except Exception:
                    continue
            done.append(5)

    flush_once = rows(pa.array([0.5]))
    lake.append("default", "m", "records", flush_once)
    threads = [threading.Thread(target=flush, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    while len(done) < 6:
        stop.wait(0.01)
    widen(lake, "default", "m", "records", {"x": pa.string()})
    wide_at = len(done)
    while len(done) < wide_at + 4 and any(thread.is_alive() for thread in threads):
        stop.wait(0.01)
    stop.set()
    for thread in threads:
        thread.join(30)
    widen(lake, "default", "m", "records", {"x": pa.string()})
    handle = lake.open_table("default", "m", "records")
    assert handle is not None
    stored = pa.table(handle.to_pyarrow_table())
    assert stored.num_rows == 1 + sum(done)
    texts = {str(value) for value in stored["x"].to_pylist()}
    assert "0.5" in texts
    assert not [text for text in texts if text.endswith(".0")]


@pytest.fixture(scope="module")
def widened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Runtime]]:
    """The watched model after three columns got wider types, and a day came in these."""
    folder = make(tmp_path_factory.mktemp("widened"))
    with running(Settings(data=folder, port=0, label_horizon=timedelta(days=20))) as (address, app):
        runtime: Runtime = app.state.runtime
        wider = {"amount": C.CATEGORICAL, "visits": C.TEXT, "gone": C.CATEGORICAL}
        columns = tuple(
            replace(column, type=wider.get(column.name, column.type), unit=None)
            for column in schema()
        )
        told = runtime.put_schema(
            "default", NAME, replace(schema(), columns=columns, positive="true"), "ana", "plans"
        )
        assert told.schema["amount"].type is C.CATEGORICAL
        late = records().slice((DAYS - 1) * 200, 400)
        moved = pa.array([time + timedelta(days=3) for time in late["timestamp"].to_pylist()])
        late = late.set_column(1, "timestamp", moved.cast(pa.timestamp("us", "UTC")))
        ids = pa.array([f"late{i}" for i in range(400)])
        words = pa.array(["gold" if i % 2 else "12.5" for i in range(400)])
        late = late.set_column(0, "prediction_id", ids)
        late = late.set_column(late.column_names.index("amount"), "amount", words)
        for name in ("visits", "gone"):
            at = late.column_names.index(name)
            late = late.set_column(at, name, late[name].cast(pa.string()))
        runtime.lake.append("default", NAME, "records", late)
        scheduler: Any = runtime.scheduler
        scheduler.tick(everything=True)
        with httpx.Client(base_url=address, timeout=60) as client:
            yield client, runtime


def test_judging_goes_on_in_the_baselines_types(widened: tuple[httpx.Client, Runtime]) -> None:
    http, _ = widened
    api = f"/v1/projects/default/models/{NAME}/metrics"
    start = day(DAYS + 2).isoformat()
    query = {"metric": "missing_share", "column": "amount", "start": start}
    points = http.get(api, params=query).json()["points"]
    assert points[-1]["value"] == pytest.approx(0.5, abs=0.1)  # "gold" is no number
    query = {"metric": "missing_share", "column": "visits", "start": start}
    assert http.get(api, params=query).json()["points"][-1]["value"] == 0


@pytest.mark.parametrize(
    "place",
    [
        *("", "/columns/amount", "/columns/visits", "/columns/gone", "/columns/amount?window=all"),
        *("/monitors", "/schema", "/incidents"),
    ],
)
def test_every_page_still_opens(widened: tuple[httpx.Client, Runtime], place: str) -> None:
    http, _ = widened
    answer = http.get(BASE + place)
    assert answer.status_code == 200, answer.text
    if not place:
        assert "3 columns with another type than in the baseline" in answer.text
    if place == "/schema":
        assert "amount, visits, gone have another type than in the baseline" in answer.text
        assert "amount: type numeric → categorical" in answer.text
        assert "by ana: plans" in answer.text


def test_a_new_baseline_is_made_in_the_types_of_now(
    widened: tuple[httpx.Client, Runtime],
) -> None:
    http, runtime = widened
    model = runtime.get("default", NAME)
    made = from_stored(runtime, model, START, day(BASELINE_DAYS))
    assert made.baseline.layout.schema["amount"].type is C.CATEGORICAL
    runtime.put_baseline(model, made.baseline, source="interval")
    scheduler: Any = runtime.scheduler
    scheduler.tick(everything=True)
    for place in ("", "/columns/amount", "/columns/gone", "/schema"):
        answer = http.get(BASE + place)
        assert answer.status_code == 200, answer.text
        assert "another type" not in answer.text


def test_a_schemas_difference_to_the_one_before_is_told() -> None:
    before, after = one(C.NUMERIC), one(C.TEXT)
    assert [change.words for change in changes(before, after)] == ["x: type numeric → text"]
    less = Schema(after.columns[:2], segments=())
    assert [change.words for change in changes(after, less)] == ["x removed"]
    assert changes(None, after) == []
