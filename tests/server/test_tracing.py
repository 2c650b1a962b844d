"""Spans of the server's own work, as a real receiver of OpenTelemetry sees them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import httpx
import pytest
from harness import Process, records
from otlp import Seen, receiving

from tidegauge.errors import BadInput
from tidegauge.server import tracing

FAST = {
    "TIDEGAUGE_FLUSH_INTERVAL": "0.2",
    "TIDEGAUGE_TICK_INTERVAL": "0.2",
    "TIDEGAUGE_LATENESS": "0s",
    "OTEL_BSP_SCHEDULE_DELAY": "200",
}
PATH = "/v1/projects/default/models/m"


def children(spans: list[Seen], of: Seen) -> list[Seen]:
    return sorted((s for s in spans if s.parent == of.span_id), key=lambda span: span.start)


def close_a_window(http: httpx.Client) -> None:
    """Have two days of records come, of which the first can be closed."""
    rows = records(288, step=timedelta(minutes=10))
    for row in rows:
        row["version"] = "3"
    answer = http.post(f"{PATH}/predictions", json=rows)
    assert answer.status_code == 202, answer.text
    interval = {"start": "2026-01-05T00:00:00Z", "end": "2026-01-06T00:00:00Z"}
    answer = http.post(f"{PATH}/baselines", json=interval)
    assert answer.status_code < 300, answer.text


def test_a_window_is_one_trace_of_its_steps_and_a_request_joins_its_callers(
    start_process: Callable[..., Process],
) -> None:
    with receiving() as receiver:
        server = start_process(
            **FAST,
            TIDEGAUGE_TRACES=receiver.address,
            TIDEGAUGE_TRACE_RATIO="0",
            TIDEGAUGE_RESTATE_INTERVAL="1s",
            TIDEGAUGE_LOG_LEVEL="info",
            TIDEGAUGE_LOG_FORMAT="json",
        )
        with httpx.Client(base_url=server.address, timeout=30) as http:
            close_a_window(http)
            caller = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01", "x-request-id": "r-17"}
            unwanted = {"traceparent": f"00-{'ef' * 16}-{'cd' * 8}-00"}
            http.post(f"{PATH}/predictions?version=3", json=records(3), headers=caller)
            http.post(f"{PATH}/predictions?version=3", json=records(3), headers=unwanted)
            http.get(f"{PATH}/metrics", headers=caller)
            receiver.wait(lambda seen: any(span.name == "window.close" for span in seen))
            labels = [{"prediction_id": "p0", "label": True, "timestamp": "2026-01-05T00:00:00Z"}]
            assert http.post(f"{PATH}/labels", json=labels).status_code == 202
            receiver.wait(lambda seen: any(span.name == "window.restate" for span in seen), 30)
            metrics = http.get("/metrics").text
            assert 'tidegauge_windows_restated_total{model="m",project="default"}' in metrics
        code, _, err = server.stop()
        assert code == 0
    spans = receiver.spans
    assert receiver.services == {"tidegauge"}
    closing = next(span for span in spans if span.name == "window.close")
    assert closing.parent == "" and not closing.failed
    assert closing.attributes["tidegauge.project"] == "default"
    assert closing.attributes["tidegauge.model"] == "m"
    assert closing.attributes["tidegauge.windows"] == 1
    assert closing.attributes["tidegauge.first_window"] == "2026-01-05T00:00:00+00:00"
    steps = children(spans, closing)
    wanted = ["window.profile", "window.judge", "window.store", "window.incidents"]
    assert [step.name for step in steps] == wanted
    assert {step.trace_id for step in steps} == {closing.trace_id}
    for before, after in pairwise(steps):
        assert closing.start <= before.start <= before.end <= after.start <= closing.end
    assert steps[0].attributes["tidegauge.version"] == "3"

    restated = next(span for span in spans if span.name == "window.restate")
    assert [step.name for step in children(spans, restated)][:2] == wanted[:2]

    flush = next(span for span in spans if span.name == "flush")
    (table,) = children(spans, flush)
    assert (table.name, table.attributes["tidegauge.table"]) == ("flush.table", "records")
    assert table.attributes["tidegauge.rows"] == 288 and table.trace_id == flush.trace_id

    joined = [span for span in spans if span.trace_id == "ab" * 16 and span.parent == "cd" * 8]
    by_name = {span.name: span for span in joined}
    post = by_name["POST /v1/projects/{project}/models/{model}/predictions"]
    assert post.attributes["http.response.status_code"] == 202
    assert post.attributes["tidegauge.request_id"] == "r-17"
    assert [s.name for s in children(spans, post)] == ["ingest.read", "ingest.store"]
    assert not [span for span in spans if span.trace_id == "ef" * 16]

    lines = [json.loads(line) for line in err.splitlines()]
    said = next(line for line in lines if line["event"] == "window.close")
    assert (said["trace_id"], said["span_id"]) == (closing.trace_id, closing.span_id)
    asked = next(line for line in lines if line.get("path", "").endswith("/metrics"))
    assert asked["request_id"] == "r-17" and asked["trace_id"] == "ab" * 16
    everything = json.dumps([span.attributes for span in spans])
    assert "carrier" not in everything and "p1" not in everything


def test_a_receiver_that_is_away_holds_nothing_up(http: httpx.Client) -> None:
    end = tracing.set_up("http://127.0.0.1:9", 1.0)
    try:
        assert http.post(f"{PATH}-away/predictions", json=records(3)).status_code == 202
    finally:
        began = time.monotonic()
        end()
    assert time.monotonic() - began < 10


def test_it_costs_next_to_nothing_where_nobody_listens() -> None:
    assert not tracing.is_on() and tracing.ids() is None
    began = time.perf_counter()
    for _ in range(10_000):
        with tracing.part("ingest.check", rows=1):
            pass
        with tracing.work("flush"):
            pass
    assert (time.perf_counter() - began) / 20_000 < 20e-6


def test_an_error_is_told_by_its_kind_alone() -> None:
    with receiving() as receiver:
        end = tracing.set_up(receiver.address, 1.0)
        try:
            with pytest.raises(ValueError), tracing.work("flush"):
                raise ValueError("could not convert 'Jane Doe' to double")
            tracing.done("journal.commit", 0.25, requests=3)
        finally:
            end()
    failed, commit = receiver.spans
    assert failed.failed and failed.attributes == {"error.type": "ValueError"}
    assert (commit.end - commit.start) / 1e9 == pytest.approx(0.25, abs=1e-3)
    assert commit.attributes == {"tidegauge.requests": 3}
    assert not tracing.is_on()


@pytest.mark.parametrize("address", ["localhost:4318", "ftp://x"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(BadInput, match="no address of an OTLP receiver"):
        tracing.set_up(address, 1.0)
