from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pyarrow as pa
import pytest
from harness import ARROW, NDJSON, PARQUET, START, Api, Process, frame, records, running, stamp

from tidegauge.ingest.arrow_stream import write as write_arrow
from tidegauge.ingest.parquet import write as write_parquet
from tidegauge.server.settings import Settings
from tidegauge_client import Client


def body_of(kind: str, n: int) -> bytes:
    if kind == "application/json":
        return json.dumps(records(n)).encode()
    if kind == NDJSON:
        return "".join(json.dumps(row) + "\n" for row in records(n)).encode()
    return (write_arrow if kind == ARROW else write_parquet)(frame(n))


@pytest.mark.parametrize("kind", ["application/json", NDJSON, ARROW, PARQUET])
def test_records_of_every_format_come_back_as_they_were_sent(api: Api, kind: str) -> None:
    headers = {"Content-Type": kind}
    answer = api.post("predictions?version=3", content=body_of(kind, 30), headers=headers)
    assert answer.status_code == 202
    assert answer.json() == {"accepted": 30, "repeated": 0, "quarantined": 0, "errors": []}
    assert api.record("p7") == {**records(8)[7], "label": None, "version": "3"}
    assert [row["prediction_id"] for row in api.all_records(30)] == [f"p{i}" for i in range(30)]


def test_a_record_can_be_read_within_five_seconds(api: Api) -> None:
    assert api.post("predictions", json=records(1)).status_code == 202
    started = time.monotonic()
    api.record("p0")
    assert time.monotonic() - started < 5


def test_a_label_is_joined_to_its_record(api: Api) -> None:
    api.post("predictions", json=records(3))
    labels = [{"prediction_id": "p1", "label": True}, {"prediction_id": "p2", "label": 0}]
    assert api.post("labels", json=labels).json()["accepted"] == 2
    until = time.monotonic() + 5
    while api.record("p1")["label"] is None and time.monotonic() < until:
        time.sleep(0.1)
    assert [api.record(f"p{i}")["label"] for i in range(3)] == [None, True, False]


def test_the_same_key_gets_the_same_answer_and_stores_nothing_twice(api: Api) -> None:
    rows = records(3)
    rows[1]["age"] = "old"
    headers = {"Idempotency-Key": "k-1"}
    api.post("predictions", json=records(1))
    first = api.post("predictions", json=rows, headers=headers)
    again = api.post("predictions", json=records(9), headers=headers)
    unreadable = api.post("predictions", content=b"[", headers={**headers, **JSON})
    assert first.status_code == again.status_code == unreadable.status_code == 202
    assert first.content == again.content == unreadable.content
    assert first.json()["accepted"] == 2 and first.json()["quarantined"] == 1
    api.post("predictions", json=[{**records(1)[0], "prediction_id": "last"}])
    api.record("last")
    assert {row["prediction_id"] for row in api.all_records(3)} == {"p0", "p2", "last"}


def test_a_key_of_predictions_says_nothing_of_labels(api: Api) -> None:
    headers = {"Idempotency-Key": "nightly"}
    api.post("predictions", json=records(2), headers=headers)
    labels = [{"prediction_id": "p0", "label": True}]
    assert api.post("labels", json=labels, headers=headers).json()["accepted"] == 1


JSON = {"Content-Type": "application/json"}


def test_what_does_not_fit_is_quarantined_and_named(api: Api) -> None:
    api.post("predictions", json=records(2))
    good, bad, ahead, same = records(4)
    bad["age"] = "old"
    ahead["timestamp"] = stamp(datetime.now(UTC) + timedelta(hours=1))
    same["prediction_id"] = good["prediction_id"]
    answer = api.post("predictions", json=[good, bad, ahead, same, 7]).json()
    assert (answer["accepted"], answer["repeated"], answer["quarantined"]) == (1, 1, 3)
    assert [(e["index"], e["column"], e["code"]) for e in answer["errors"]] == [
        (1, "age", "type_error"),
        (2, "timestamp", "future_timestamp"),
        (4, None, "not_an_object"),
    ]


def test_of_many_errors_a_hundred_are_named(api: Api) -> None:
    api.post("predictions", json=records(1))
    rows = [{**row, "age": "old"} for row in records(300)]
    answer = api.post("predictions", json=rows).json()
    assert answer["quarantined"] == 300
    assert len(answer["errors"]) == 100


def test_unknown_columns_are_kept(api: Api) -> None:
    api.post("predictions", json=records(1))
    row = {**records(2)[1], "colour": "red", "nested": {"a": [1]}}
    assert api.post("predictions", json=[row]).json()["accepted"] == 1
    assert api.record("p1")["colour"] == "red"


def test_gzip_and_zstd_bodies_are_unpacked(api: Api) -> None:
    body = body_of("application/json", 5)
    packed = {"gzip": gzip.compress(body), "zstd": pa.compress(body, "zstd", asbytes=True)}
    for encoding, content in packed.items():
        headers = {**JSON, "Content-Encoding": encoding}
        assert api.post("predictions", content=content, headers=headers).json()["accepted"] == 5


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"[{]", JSON, 400, "bad_json"),
        (b"", JSON, 400, "bad_json"),
        (b"nonsense", {"Content-Type": ARROW}, 400, "bad_arrow"),
        (b"nonsense", {"Content-Type": PARQUET}, 400, "bad_parquet"),
        (b"{\n", {"Content-Type": NDJSON}, 400, "bad_ndjson"),
        (b"[]", {"Content-Type": "text/html"}, 415, "unsupported_media_type"),
        (b"[]", {}, 415, "unsupported_media_type"),
        (b"[]", {**JSON, "Content-Encoding": "br"}, 415, "unsupported_encoding"),
        (b"[]", {**JSON, "Content-Encoding": "gzip"}, 400, "bad_encoding"),
        (b"[]", JSON, 422, "empty"),
        (b'[{"a": 1}]', JSON, 422, "no_common_columns"),
        (b'[{"prediction_id": "a", "age": 1}]', JSON, 422, "missing_column"),
        (
            b'[{"prediction_id": "a", "timestamp": "2026-01-01T00:00:00"}]',
            JSON, 400, "naive_timestamp",
        ),
        (write_arrow(pa.table([[1], [2]], names=["a", "a"])), {"Content-Type": ARROW}, 400,
         "duplicate_column"),
        (gzip.compress(b"[" + b" " * (2 << 20) + b"]"), {**JSON, "Content-Encoding": "gzip"}, 413,
         "too_large"),
        (b" " * ((1 << 20) + 1), JSON, 413, "too_large"),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_used_says_why_and_stores_nothing(
    api: Api, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    api.post("predictions", json=records(1))
    api.record("p0")
    answer = api.post("predictions", content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["message"] == answer.json()["detail"]
    assert len(api.all_records(2, patience=0.5)) == 1


def test_a_first_request_that_cannot_be_used_leaves_no_model(api: Api) -> None:
    rows = [{**row, "timestamp": "2026-01-01T00:00:00"} for row in records(3)]
    assert api.post("predictions", json=rows).json()["code"] == "naive_timestamp"
    assert api.post("predictions", json=[{"age": 1}]).json()["code"] == "missing_prediction_id"
    assert api.http.get(api.path).status_code == 404


def test_labels_of_an_unknown_model_are_refused(api: Api) -> None:
    answer = api.post("labels", json=[{"prediction_id": "a", "label": 1}])
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_model")


def test_a_body_without_a_declared_length_is_cut_off_at_the_limit(api: Api) -> None:
    def endless() -> Any:
        for _ in range(64):
            yield b" " * 65_536

    answer = api.post("predictions", content=endless(), headers=JSON)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "path",
    [
        "/v1/projects/a%20b/models/m/predictions",
        "/v1/projects/-a/models/m/predictions",
        "/v1/projects/default/models/..%00/predictions",
        "/v1/projects/default/models/.hidden/predictions",
        "/v1/projects/default/models/" + "x" * 101 + "/predictions",
    ],
)
def test_names_that_could_lead_astray_are_refused(http: httpx.Client, path: str) -> None:
    answer = http.post(path, json=records(1))
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_parameter")
    assert http.get("/v1/projects/..%2f..%2fetc/models").status_code == 404


def test_many_first_requests_at_once_make_one_model(api: Api) -> None:
    rows = records(64)

    def send(i: int) -> int:
        with httpx.Client(base_url=api.http.base_url, timeout=30) as http:
            return http.post(f"{api.path}/predictions", json=[rows[i]]).status_code

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(send, range(64))) == {202}
    assert len(api.all_records(64)) == 64


def test_the_client_is_served(address: str, api: Api) -> None:
    with Client(address, model=api.model, version="7", flush_interval=0.05) as client:
        client.baseline(frame(300, label=[i % 3 == 0 for i in range(300)]))
        later = frame(50).set_column(0, "prediction_id", pa.array([f"live{i}" for i in range(50)]))
        assert client.log(later) == 50
        client.log_one("one", {"age": 30.0, "carrier": "UA"}, score=0.5)
        client.label(pa.table({"prediction_id": ["live1"], "label": [True]}))
        client.label_one("one", False)
        assert client.flush(10)
        stats = client.stats
    assert (stats.accepted, stats.dropped, stats.quarantined) == (53, 0, 0), stats
    assert api.record("one")["version"] == "7"
    assert api.record("live1")["label"] in (True, None)


def test_too_many_requests_at_once_are_told_to_come_again(tmp_path: Any) -> None:
    settings = Settings(data=tmp_path, port=0, max_requests=2)
    with running(settings) as (address, app), httpx.Client(base_url=address) as http:
        go_on = threading.Event()

        def slow() -> Any:
            yield b"["
            go_on.wait(10)
            yield json.dumps(records(1)[0]).encode() + b"]"

        def post(content: Any) -> httpx.Response:
            path = f"{address}/v1/projects/default/models/m/predictions"
            return httpx.post(path, content=content, headers=JSON, timeout=20)

        with ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(post, slow()) for _ in range(2)]
            until = time.monotonic() + 10
            while app.state.runtime.intake.requests < 2 and time.monotonic() < until:
                time.sleep(0.01)
            refused = post(b"[]")
            go_on.set()
            assert {answer.result().status_code for answer in waiting} == {202}
        assert (refused.status_code, refused.json()["code"]) == (429, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1
        metrics = http.get("/metrics").text
        assert 'tidegauge_requests_refused_total{code="overloaded"}' in metrics


def test_a_full_backlog_is_told_to_come_again(tmp_path: Any) -> None:
    settings = Settings(
        data=tmp_path, port=0, max_backlog=20_000, flush_interval=timedelta(seconds=60)
    )
    with running(settings) as (address, _), httpx.Client(base_url=address) as http:
        path = "/v1/projects/default/models/m/predictions"
        codes = [http.post(path, json=records(5)).status_code for _ in range(40)]
        assert codes[0] == 202 and codes[-1] == 429
        assert http.get("/readyz").status_code == 503


def test_what_was_acknowledged_survives_a_kill(start_process: Callable[..., Process]) -> None:
    first = start_process(TIDEGAUGE_FLUSH_INTERVAL="60")
    path = "/v1/projects/default/models/m"
    answer = httpx.post(f"{first.address}{path}/predictions", json=records(20))
    assert answer.status_code == 202
    first.kill()
    second = start_process()
    with httpx.Client(base_url=second.address) as http:
        assert Api(http, "m").record("p19")["age"] == 39.0
        assert len(Api(http, "m").all_records(20)) == 20


def test_event_times_decide_what_an_interval_holds(api: Api) -> None:
    api.post("predictions", json=records(10))
    api.record("p9")
    page = api.get(
        "records",
        start=stamp(START + timedelta(minutes=20)),
        end=stamp(START + timedelta(minutes=50)),
        limit=2,
    )
    assert [row["prediction_id"] for row in page["records"]] == ["p2", "p3"]
    more = api.get(
        "records",
        start=stamp(START + timedelta(minutes=20)),
        end=stamp(START + timedelta(minutes=50)),
        limit=2,
        cursor=page["next"],
    )
    assert [row["prediction_id"] for row in more["records"]] == ["p4"]
    assert more["next"] is None
