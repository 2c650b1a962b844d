"""Whatever is sent, the server explains itself: never a 500, never a broken answer."""

from __future__ import annotations

import json
import string
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from harness import ARROW, NDJSON, PARQUET, records
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KINDS = ["application/json", NDJSON, ARROW, PARQUET, "application/yaml", "text/plain", ""]
VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
NAMES = st.sampled_from(["prediction_id", "timestamp", "age", "carrier", "label", "score", "_x"])
TIMES = st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00+01:00", "x"])
RECORDS = st.dictionaries(NAMES | st.text(max_size=8), VALUES | TIMES, max_size=6)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SLOW = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def known(http: httpx.Client) -> str:
    path = "/v1/projects/default/models/fuzzed"
    assert http.post(f"{path}/predictions", json=records(3)).status_code == 202
    return path


def check(answer: httpx.Response) -> None:
    assert answer.status_code < 500, f"{answer.request.url}: {answer.text}"
    if answer.status_code >= 400:
        problem = answer.json()
        assert problem["status"] == answer.status_code
        assert problem["code"] and problem["message"]


@SLOW
@given(rows=st.lists(RECORDS, max_size=4), to=st.sampled_from(["predictions", "labels"]))
def test_any_records_are_counted_or_refused(
    http: httpx.Client, known: str, rows: list[Any], to: str
) -> None:
    body = json.dumps(rows, allow_nan=True).encode()
    answer = http.post(f"{known}/{to}", content=body, headers={"Content-Type": "application/json"})
    check(answer)
    if answer.status_code == 202:
        told = answer.json()
        assert told["accepted"] + told["repeated"] + told["quarantined"] == len(rows)


@SLOW
@given(rows=st.lists(RECORDS, max_size=4), name=st.text(string.ascii_lowercase, max_size=3))
def test_any_first_records_make_a_model_or_are_refused(
    http: httpx.Client, rows: list[Any], name: str
) -> None:
    body = "\n".join(json.dumps(row) for row in rows).encode()
    path = f"/v1/projects/fuzz/models/new-{name}"
    check(http.post(f"{path}/predictions", content=body, headers={"Content-Type": NDJSON}))
    check(http.get(f"{path}/schema"))
    check(http.get(path))


@SLOW
@given(
    body=st.binary(max_size=200),
    kind=st.sampled_from(KINDS),
    to=st.sampled_from(["predictions", "labels", "baselines"]),
    encoding=st.sampled_from(["", "gzip", "zstd", "identity", "odd"]),
)
def test_any_bytes_are_explained(
    http: httpx.Client, known: str, body: bytes, kind: str, to: str, encoding: str
) -> None:
    headers = {"Content-Type": kind, "Content-Encoding": encoding}
    check(http.post(f"{known}/{to}", content=body, headers=headers))
    check(http.put(f"{known}x/schema", content=body, headers={"Content-Type": kind}))


@SLOW
@given(
    what=st.sampled_from(["metrics", "records", "baselines", "schema", "", "nothing"]),
    wanted=st.dictionaries(
        st.sampled_from(
            ["metric", "column", "segment", "version", "start", "end", "as_of", "limit", "cursor"]
        ),
        TEXTS | TIMES | st.sampled_from(["0", "-1", "psi", "carrier:UA", "*", "W10"]),
        max_size=4,
    ),
)
def test_any_question_is_answered_or_explained(
    http: httpx.Client, known: str, what: str, wanted: dict[str, str]
) -> None:
    check(http.get(f"{known}/{what}".rstrip("/"), params=wanted))
    check(http.get("/v1/projects/default/incidents", params=wanted))


@SLOW
@given(project=TEXTS, model=TEXTS)
def test_any_names_are_taken_or_refused(http: httpx.Client, project: str, model: str) -> None:
    path = f"/v1/projects/{quote(project, safe='')}/models/{quote(model, safe='')}"
    check(http.get(path))
    check(http.get(f"{path}/metrics"))
