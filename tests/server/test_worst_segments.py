"""The search for the worst segments of stored records: what a caller gets, what is refused."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from harness import ARROW, START, Api, stamp
from pyarrow import ipc

from tidegauge.server import searching

DAY = timedelta(days=1)
SCHEMA = """\
task: binary
columns:
  prediction_id: text
  timestamp: datetime
  age: numeric
  carrier: categorical
  score: numeric
  label: boolean
"""


def made(seed: int, start: Any, *, bad: bool, n: int = 5000, labels: bool = True) -> bytes:
    rng = np.random.default_rng(seed)
    age, carrier = rng.uniform(20, 80, n), rng.choice(list("ABC"), n)
    label = rng.random(n) < 0.4
    pull = np.where((carrier == "B") & (age > 50) & bad, 0.0, 2.0)
    table = pa.table(
        {
            "prediction_id": [f"s{seed}-{k}" for k in range(n)],
            "timestamp": pa.array(
                [start + k * (DAY / n) for k in range(n)], pa.timestamp("us", "UTC")
            ),
            "age": age,
            "carrier": carrier,
            "score": 1 / (1 + np.exp(-(rng.normal(size=n) + pull * label - 1))),
        }
    )
    if labels:
        table = table.append_column("label", pa.array(label))
    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def send(api: Api, body: bytes, resource: str = "predictions") -> None:
    answer = api.post(resource, content=body, headers={"Content-Type": ARROW})
    assert answer.status_code in (200, 201, 202), answer.text


def wait(api: Api, rows: int) -> None:
    until = time.monotonic() + 15
    while api.get()["records"] < rows and time.monotonic() < until:
        time.sleep(0.1)
    assert api.get()["records"] == rows


@pytest.fixture
def filled(api: Api) -> Api:
    headers = {"Content-Type": "application/yaml"}
    assert api.http.put(f"{api.path}/schema", content=SCHEMA, headers=headers).is_success
    send(api, made(1, START - 10 * DAY, bad=False), "baselines")
    for at in range(2):
        send(api, made(2 + at, START + at * DAY, bad=False))
    send(api, made(4, START + 2 * DAY, bad=True))
    wait(api, 15_000)
    return api


def worst(api: Api, first: int, last: int, **more: Any) -> Any:
    times = {"start": stamp(START + first * DAY), "end": stamp(START + last * DAY)}
    return api.get("segments/worst", **times, **more)


def test_the_worst_segment_of_stored_records_is_found(filled: Api) -> None:
    told = worst(filled, 2, 3)
    (only,) = told["findings"]
    assert told["metric"] == "roc_auc" and told["labelled"] == 5000
    assert {one["column"] for one in only["conditions"]} == {"age", "carrier"}
    assert only["ci_upper"] < only["outside"]["ci_lower"] and only["p_value"] < 1e-4
    against = worst(filled, 2, 3, reference_start=stamp(START))
    assert against["reference_end"] == stamp(START + 2 * DAY)
    (only,) = against["findings"]
    assert only["reference"]["value"] > only["value"] + 0.2
    assert worst(filled, 0, 2)["findings"] == []


def test_an_answer_is_kept_until_records_come(filled: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []
    search = searching.search_rows
    monkeypatch.setattr(searching, "search_rows", lambda *given: ran.append(1) or search(*given))
    one, again = worst(filled, 2, 3), worst(filled, 2, 3)
    assert one == again and len(ran) == 1
    send(filled, made(9, START + 2 * DAY, bad=False, n=100))
    wait(filled, 15_100)
    assert worst(filled, 2, 3)["records"] == 5100 and len(ran) == 2


def test_without_labels_or_records_it_says_why(filled: Api) -> None:
    send(filled, made(7, START + 5 * DAY, bad=True, n=300, labels=False))
    wait(filled, 15_300)
    told = worst(filled, 5, 6)
    assert told["findings"] == [] and "none of the 300 records has a label" in told["why_not"]
    assert "none of the 0 records" in worst(filled, 30, 31)["why_not"]


def test_all_of_time_is_a_time_like_any_other(filled: Api) -> None:
    ends = {"start": "0001-01-01T00:00:00Z", "end": "9999-12-31T00:00:00Z"}
    answer = filled.http.get(f"{filled.path}/segments/worst", params=ends)
    assert answer.status_code == 200, answer.text
    assert answer.json()["records"] == 15_000


def test_what_cannot_be_asked_is_refused(filled: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"{filled.path}/segments/worst"
    start = stamp(START)
    for parameters, status, code in (
        ({"metric": "mae", "start": start, "end": stamp(START + DAY)}, 400, "unknown_metric"),
        ({"start": start}, 400, "bad_interval"),
        ({"start": start, "end": start}, 400, "bad_interval"),
        ({"start": "yesterday", "end": start}, 400, "bad_time"),
        ({"start": start, "end": stamp(START + DAY), "reference_end": start}, 400, "bad_interval"),
        ({"start": start, "end": stamp(START + DAY), "depth": 3}, 422, None),
    ):
        answer = filled.http.get(path, params=parameters)
        assert answer.status_code == status, answer.text
        assert code is None or answer.json()["code"] == code
    monkeypatch.setattr(searching, "MOST_READ", 1000)
    answer = filled.http.get(path, params={"start": start, "end": stamp(START + 4 * DAY)})
    assert (answer.status_code, answer.json()["code"]) == (400, "too_many_records")


def test_a_model_without_a_baseline_or_label_is_told_so(api: Api) -> None:
    send(api, made(5, START, bad=False, n=300))
    wait(api, 300)
    assert "no baseline" in worst(api, 0, 1)["why_not"]
    answer = api.http.get(f"{api.path}/segments/worst")
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_closed")
    assert api.http.get("/v1/projects/default/models/none/segments/worst").status_code == 404
    assert api.http.get("/v1/projects/default/incidents/99999/segments").status_code == 404
