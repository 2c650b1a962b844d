from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from harness import ARROW, NDJSON, PARQUET, START, Api, frame, records, stamp

from tidegauge.engine import open_source
from tidegauge.errors import BadInput
from tidegauge.ingest.arrow_stream import write as write_arrow
from tidegauge.ingest.parquet import write as write_parquet
from tidegauge.remote import RemoteModel

LABELS = [i % 3 == 0 for i in range(300)]


def rows(n: int) -> list[dict[str, Any]]:
    return [{**row, "label": LABELS[i]} for i, row in enumerate(records(n))]


def body_of(kind: str) -> bytes:
    if kind == "application/json":
        return json.dumps(rows(300)).encode()
    if kind == NDJSON:
        return "".join(json.dumps(row) + "\n" for row in rows(300)).encode()
    return (write_arrow if kind == ARROW else write_parquet)(frame(300, label=LABELS))


@pytest.mark.parametrize("kind", ["application/json", NDJSON, ARROW, PARQUET])
def test_an_uploaded_frame_becomes_the_baseline_and_creates_the_model(api: Api, kind: str) -> None:
    answer = api.post("baselines", content=body_of(kind), headers={"Content-Type": kind})
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert (told["rows"], told["windows"], told["left_out"]) == (300, 3, 0)
    assert (told["start"], told["end"]) == (
        stamp(START),
        stamp(START + 299 * timedelta(minutes=10)),
    )
    assert told["columns"] == ["age", "carrier", "score", "label"]
    assert api.get()["task"] == "binary"
    assert api.get()["baseline"] == told["id"]


def test_every_format_gives_the_same_baseline(api: Api, shared: Any) -> None:
    runtime = shared[1].state.runtime
    totals = []
    for kind in ("application/json", NDJSON, ARROW, PARQUET):
        api.post("baselines", content=body_of(kind), headers={"Content-Type": kind})
        baseline = runtime.baseline(runtime.get("default", api.model))
        counts = {
            name: baseline.total[name]["counts"].tolist() for name in ("age", "carrier", "label")
        }
        totals.append((baseline.total.rows.tolist(), counts))
    assert totals[0] == totals[1] == totals[2] == totals[3]


def test_stored_records_with_their_labels_become_the_baseline(api: Api, shared: Any) -> None:
    api.post("predictions", json=records(300))
    api.post("labels", json=[{"prediction_id": f"p{i}", "label": LABELS[i]} for i in range(300)])
    asked = {"start": stamp(START), "end": stamp(START + timedelta(days=1))}
    answer = api.post("baselines", json=asked)
    assert answer.status_code == 201, answer.text
    assert (answer.json()["rows"], answer.json()["windows"]) == (144, 1)
    runtime = shared[1].state.runtime
    baseline = runtime.baseline(runtime.get("default", api.model))
    assert int(baseline.total["label"]["counts"].sum()) == 144


def test_the_newest_baseline_is_the_active_one(api: Api) -> None:
    ids = [api.post("baselines", json=rows(n)).json()["id"] for n in (100, 200)]
    listed = api.get("baselines")["baselines"]
    assert [(b["id"], b["active"], b["rows"]) for b in listed] == [
        (ids[1], True, 200),
        (ids[0], False, 100),
    ]


def test_a_baseline_survives_a_restart_of_the_memory(api: Api, shared: Any) -> None:
    told = api.post("baselines", json=rows(100)).json()
    runtime = shared[1].state.runtime
    model = runtime.get("default", api.model)
    runtime._baselines._held.clear()
    assert runtime.baseline(model).id == told["id"]


def test_a_frame_without_times_and_ids_is_enough(api: Api) -> None:
    plain = frame(300, label=LABELS).drop_columns(["prediction_id", "timestamp"])
    told = api.post("baselines", content=write_arrow(plain), headers={"Content-Type": ARROW}).json()
    assert (told["rows"], told["windows"], told["start"]) == (300, 1, None)
    assert told["missing"] == ["prediction_id", "timestamp"]
    assert api.post("predictions", json=records(2)).json()["accepted"] == 2


def test_records_that_do_not_fit_are_left_out_and_named(api: Api) -> None:
    api.post("predictions", json=records(1))
    bad = records(10)
    bad[3]["age"] = "old"
    told = api.post("baselines", json=bad).json()
    assert (told["rows"], told["left_out"]) == (9, 1)
    assert told["errors"][0]["index"] == 3


def test_the_same_key_sets_one_baseline(api: Api) -> None:
    headers = {"Idempotency-Key": "b-1"}
    answers = [api.post("baselines", json=rows(50), headers=headers) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert len(api.get("baselines")["baselines"]) == 1


def naive(n: int) -> pa.Table:
    table = frame(n)
    return table.set_column(1, "timestamp", table["timestamp"].cast(pa.timestamp("us")))


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (write_arrow(naive(5)), ARROW, 400, "naive_timestamp"),
        (write_parquet(naive(5)), PARQUET, 400, "naive_timestamp"),
        (b'[{"timestamp": "2026-01-01T00:00:00", "age": 3, "carrier": "UA"}]', "application/json",
         400, "naive_timestamp"),
        (write_arrow(frame(5).drop_columns(["age"])), ARROW, 422, "missing_column"),
        (write_arrow(pa.table({"x": [1]})), ARROW, 422, "no_common_columns"),
        (write_arrow(frame(3).slice(0, 0)), ARROW, 422, "empty"),
        (b"[]", "application/json", 422, "no_common_columns"),
        (b"nonsense", ARROW, 400, "unreadable"),
        (b"nonsense", PARQUET, 400, "unreadable"),
        (b"{", "application/json", 400, "bad_json"),
        (b'{"start": 1, "end": 2}', "application/json", 400, "bad_interval"),
        (b'{"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}', "application/json",
         400, "bad_interval"),
        (b'{"start": "2025-01-01", "end": "2025-01-02"}', "application/json", 400,
         "naive_timestamp"),
        (b'{"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}', "application/json",
         422, "empty"),
        (b"x", "text/plain", 415, "unsupported_media_type"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_baseline_says_why_and_changes_nothing(
    api: Api, shared: Any, content: bytes, kind: str, status: int, code: str
) -> None:
    api.post("predictions", json=records(3))
    answer = api.post("baselines", content=content, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert "/tmp" not in answer.text
    assert api.get("baselines")["baselines"] == []
    assert list(shared[1].state.runtime.scratch.iterdir()) == []


def test_an_interval_of_an_unknown_model_is_refused(api: Api) -> None:
    asked = {"start": stamp(START), "end": stamp(datetime(2026, 2, 1, tzinfo=UTC))}
    answer = api.post("baselines", json=asked)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_model")
    assert api.http.get(api.path).status_code == 404


def test_records_are_taken_while_a_baseline_is_made(api: Api) -> None:
    def large() -> None:
        body = write_arrow(frame(20_000))
        api.post("baselines", content=body, headers={"Content-Type": ARROW})

    making = threading.Thread(target=large)
    making.start()
    answers = [api.post("predictions", json=records(1)).status_code for _ in range(5)]
    making.join()
    assert answers == [202] * 5


def test_a_score_that_the_baseline_did_not_have_is_a_score_once_it_comes(api: Api) -> None:
    training = frame(300, label=LABELS).drop_columns(["score"])
    api.post("baselines", content=write_arrow(training), headers={"Content-Type": ARROW})
    assert api.post("predictions", json=records(2)).json()["accepted"] == 2
    roles = {c["name"]: c["role"] for c in api.get("schema")["columns"]}
    assert roles["score"] == "score"
    assert api.record("p1")["score"] == 0.01


@pytest.mark.parametrize("text", [pa.string(), pa.large_string()], ids=str)
def test_a_parquet_file_with_texts_can_be_uploaded(
    api: Api, address: str, tmp_path: Path, text: pa.DataType
) -> None:
    table = frame(300, label=LABELS)
    fields = [f.with_type(text) if pa.types.is_string(f.type) else f for f in table.schema]
    pq.write_table(table.cast(pa.schema(fields)), tmp_path / "t.parquet", row_group_size=90)
    with RemoteModel(address, "default", api.model) as remote:
        told = remote.upload_baseline(open_source(tmp_path / "t.parquet"))
    assert (told["rows"], told["windows"]) == (300, 3)
    assert told["columns"] == ["age", "carrier", "score", "label"]


def test_a_file_with_naive_times_is_refused_and_nothing_is_made(api: Api, address: str) -> None:
    table = frame(30).set_column(1, "timestamp", pa.array([START.replace(tzinfo=None)] * 30))
    with (
        RemoteModel(address, "default", api.model) as remote,
        pytest.raises(BadInput, match="mine: column 'timestamp' has times without a zone"),
    ):
        remote.upload_baseline(open_source(table, "mine"))
    assert api.http.get(api.path).status_code == 404
