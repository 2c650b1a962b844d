"""Segments of several columns and of numbers in bins on a server: results, addresses, pages."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from harness import ARROW, START, Api, stamp
from pyarrow import ipc

DAY = timedelta(days=1)
SCHEMA = """\
task: binary
segments:
  - [carrier, origin]
  - {column: age, bins: [30, 50]}
columns:
  prediction_id: text
  timestamp: datetime
  age: numeric
  carrier: categorical
  origin: categorical
  score: numeric
  label: boolean
"""


def made(days: int, first: Any, *, bad: bool, a_day: int = 600, seed: int = 0) -> bytes:
    n = days * a_day
    rng = np.random.default_rng(seed)
    carrier, origin = rng.choice(["A", "B"], n), rng.choice(["X", "Y"], n)
    label = rng.random(n) < 0.4
    pull = np.where((carrier == "B") & (origin == "Y") & bad, -2.0, 2.0)
    table = pa.table(
        {
            "prediction_id": [f"d{seed}-{k}" for k in range(n)],
            "timestamp": pa.array(
                [first + k * (DAY / a_day) for k in range(n)], pa.timestamp("us", "UTC")
            ),
            "age": rng.uniform(20, 70, n),
            "carrier": carrier,
            "origin": origin,
            "score": 1 / (1 + np.exp(-(rng.normal(size=n) + pull * label - 1))),
            "label": label,
        }
    )
    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def send(api: Api, body: bytes, resource: str = "predictions") -> None:
    answer = api.post(resource, content=body, headers={"Content-Type": ARROW})
    assert answer.status_code in (200, 201, 202), answer.text


def points(api: Api, segment: str, wanted: int = 1) -> Any:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        found = api.get("metrics", metric="roc_auc", segment=segment, basis="final")["points"]
        if len(found) >= wanted:
            return found
        time.sleep(0.2)
    raise AssertionError(f"no point of {segment}")


def test_combinations_and_bins_are_judged_asked_for_and_shown(api: Api) -> None:
    headers = {"Content-Type": "application/yaml"}
    assert api.http.put(f"{api.path}/schema", content=SCHEMA, headers=headers).is_success
    assert api.get("schema")["segments"] == [
        ["carrier", "origin"],
        {"column": "age", "bins": [30, 50]},
    ]
    send(api, made(10, START - 12 * DAY, bad=False, seed=1), "baselines")
    send(api, made(3, START, bad=False, seed=2))
    send(api, made(3, START + 3 * DAY, bad=True, seed=3))
    send(api, made(1, START + 8 * DAY, bad=False, a_day=10, seed=4))

    both = points(api, "carrier:B,origin:Y", 6)
    assert all(one["segment"] == {"carrier": "B", "origin": "Y"} for one in both)
    late = [one for one in both if one["window_start"] >= stamp(START + 3 * DAY)][:3]
    assert all(one["state"] == "alarm" and one["value"] < 0.5 for one in late)
    young = points(api, "age:<30", 6)
    assert young[0]["segment"] == {"age": "<30"}
    every = api.get("metrics", metric="row_count", segment="*")["points"]
    first = [one for one in every if one["window_start"] == stamp(START)]
    combined = [one for one in first if set(one["segment"] or {}) == {"carrier", "origin"}]
    assert sum(one["value"] for one in combined) == 600

    refused = api.http.get(f"{api.path}/metrics", params={"segment": "carrier:B"})
    assert (refused.status_code, refused.json()["code"]) == (400, "unknown_segment")
    assert "carrier × origin" in refused.json()["message"]

    incidents = api.http.get("/v1/projects/default/incidents", params={"model": api.model}).json()[
        "incidents"
    ]
    numbers = [one["id"] for one in incidents if one["kind"] == "performance"]
    assert numbers
    base = f"/projects/default/models/{api.model}"
    incident = api.http.get(f"{base}/incidents/{numbers[0]}")
    assert incident.status_code == 200 and "carrier B, origin Y" in incident.text
    asked = api.http.get(f"{base}/incidents/{numbers[0]}?search=segments")
    assert "Got worse most surely where carrier = B and origin = Y" in asked.text
    day = (START + 4 * DAY).date().isoformat()
    for address in (
        base,
        f"{base}?segment=carrier:B,origin:Y",
        f"{base}?segment=age:<30",
        f"{base}/windows/{day}",
        f"{base}/segments/carrier × origin",
        f"{base}/segments/age",
        f"{base}/schema",
    ):
        page = api.http.get(address)
        assert page.status_code == 200, (address, page.text[:300])
    assert "B × Y" in api.http.get(f"{base}/segments/carrier × origin").text
