from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from harness import START, Api, records, stamp

from tidegauge.lake.points import append_points
from tidegauge.metrics.result import RESULT_SCHEMA
from tidegauge.schema import loads_schema, schema_from_json

YAML = {"Content-Type": "application/yaml"}
SCHEMA = """\
task: binary
segments: [carrier]
columns:
  prediction_id: text
  timestamp: datetime
  age: {type: numeric, range: [0, 120]}
  carrier: categorical
  score: numeric
  label: boolean
"""


def test_a_schema_that_is_put_makes_the_model_and_comes_back(api: Api) -> None:
    answer = api.http.put(f"{api.path}/schema", content=SCHEMA, headers=YAML)
    assert answer.status_code == 200, answer.text
    assert schema_from_json(api.get("schema")) == loads_schema(SCHEMA)
    text = api.http.get(f"{api.path}/schema", headers={"Accept": "application/yaml"}).text
    assert loads_schema(text) == loads_schema(SCHEMA)
    again = api.http.put(f"{api.path}/schema", json=api.get("schema"))
    assert again.json() == answer.json()
    assert api.post("predictions", json=records(2)).json()["accepted"] == 2


@pytest.mark.parametrize(
    ("content", "kind", "status", "code", "place"),
    [
        ("columns: {age: {type: numerc}}", "application/yaml", 422, "bad_schema", ":1:23"),
        ("columns: [", "application/yaml", 422, "bad_yaml", ":1:"),
        ('{"columns": [{"name": "a", "type": 7}]}', "application/json", 422, "bad_schema",
         "columns[0].type"),
        ("{", "application/json", 400, "bad_json", "column 2"),
        ("x", "text/plain", 415, "unsupported_media_type", "text/plain"),
        ("columns: {_date: numeric}", "application/yaml", 422, "reserved_column", "_date"),
        ("columns: {_extra: text}", "application/yaml", 422, "reserved_column", "_extra"),
        ("columns: {Age: numeric, age: numeric}", "application/yaml", 422, "duplicate_column",
         "Age"),
    ],
)  # fmt: skip
def test_a_wrong_schema_is_refused_with_its_place(
    api: Api, content: str, kind: str, status: int, code: str, place: str
) -> None:
    answer = api.http.put(f"{api.path}/schema", content=content, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert place in answer.json()["message"]
    assert api.http.get(api.path).status_code == 404


def test_the_type_of_a_stored_column_stays(api: Api) -> None:
    api.post("predictions", json=records(2))
    answer = api.http.put(
        f"{api.path}/schema", content=SCHEMA.replace("carrier: categorical", "carrier: numeric"),
        headers=YAML,
    )  # fmt: skip
    assert (answer.status_code, answer.json()["code"]) == (409, "type_changed")
    assert api.http.put(f"{api.path}/schema", content=SCHEMA, headers=YAML).status_code == 200
    assert api.get("schema")["segments"] == ["carrier"]


def test_a_model_tells_how_it_is(api: Api) -> None:
    api.post("predictions?version=3", json=records(30))
    until = time.monotonic() + 5
    while (told := api.get())["records"] < 30 and time.monotonic() < until:
        time.sleep(0.1)
    assert told["state"] == "learning"
    assert told["last_event"] == stamp(START + 29 * timedelta(minutes=10))
    assert told["window_seconds"] == 86_400
    while (told := api.get())["lag"]["records"] and time.monotonic() < until:
        time.sleep(0.1)
    assert told["lag"]["records"] == 0
    newest = stamp(START + 29 * timedelta(minutes=10))
    assert told["versions"] == [{"version": "3", "first_event": stamp(START), "last_event": newest}]
    listed = api.http.get("/v1/projects/default/models").json()["models"]
    assert api.model in [model["model"] for model in listed]
    assert api.http.get("/v1/projects/nobody/models").json() == {"models": []}


def test_a_version_is_as_new_as_its_last_records(api: Api, monkeypatch: Any) -> None:
    monkeypatch.setattr("tidegauge.server.sightings.PAUSE_SECONDS", 0.5)
    sent = records(30)
    api.post("predictions?version=3", json=sent[:10])
    until = time.monotonic() + 10
    while not api.get()["versions"] and time.monotonic() < until:
        time.sleep(0.05)
    api.post("predictions?version=3", json=sent[10:])
    newest = stamp(START + 29 * timedelta(minutes=10))
    while api.get()["versions"][0]["last_event"] != newest and time.monotonic() < until:
        time.sleep(0.1)
    assert api.get()["versions"][0]["last_event"] == newest


def test_an_unknown_model_is_named_with_what_is_like_it(api: Api) -> None:
    api.post("predictions", json=records(1))
    answer = api.http.get(f"{api.path}x/metrics")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_model")
    assert f"did you mean '{api.model}'" in answer.json()["message"]


def test_names_that_differ_in_case_only_are_one(api: Api) -> None:
    api.post("predictions", json=records(1))
    path = f"/v1/projects/default/models/{api.model.upper()}/predictions"
    answer = api.http.post(path, json=records(1))
    assert (answer.status_code, answer.json()["code"]) == (409, "name_differs_in_case")
    path = f"/v1/projects/DEFAULT/models/{api.model}/predictions"
    assert api.http.post(path, json=records(1)).status_code == 409


def point(metric: str, value: float, **more: Any) -> dict[str, Any]:
    start = more.pop("start", START)
    return {
        "metric": metric,
        "column": "age",
        "segment": None,
        "version": "1",
        "window_start": start,
        "window_end": start + timedelta(days=1),
        "value": value,
        "state": "ok",
        "n_current": 10,
        "computed_at": START + timedelta(days=2),
        **more,
    }


@pytest.fixture
def measured(api: Api, shared: Any) -> Api:
    """A model with stored results."""
    import pyarrow as pa

    api.http.put(f"{api.path}/schema", content=SCHEMA, headers=YAML)
    rows = [
        point("psi", 0.1),
        point("psi", 0.3, computed_at=START + timedelta(days=5), state="alarm"),
        point("psi", 0.2, start=START + timedelta(days=1)),
        point("psi", 0.5, segment='{"carrier": "UA"}'),
        point("psi", float("nan"), version="2"),
        point("row_count", 10.0, column=None),
    ]
    table = pa.Table.from_pylist(rows, RESULT_SCHEMA)
    append_points(shared[1].state.runtime.lake, "default", api.model, table)
    return api


def values(api: Api, **wanted: str) -> list[Any]:
    return [p["value"] for p in api.get("metrics", **wanted)["points"]]


def test_results_are_read_by_what_they_are_of(measured: Api) -> None:
    assert values(measured, metric="psi", version="1") == [0.3, 0.2]
    assert values(measured, metric="psi", version="2") == [None]
    assert values(measured, column="") == [10.0]
    assert values(measured, metric="psi", segment="carrier:UA") == [0.5]
    assert len(values(measured, segment="*")) == 5
    assert values(measured, metric="psi", version="1", end=stamp(START + timedelta(days=1))) == [
        0.3
    ]
    early = stamp(START + timedelta(days=3))
    assert values(measured, metric="psi", version="1", as_of=early) == [0.1, 0.2]
    result = measured.get("metrics", metric="psi", segment="carrier:UA")["points"][0]
    assert list(result) == RESULT_SCHEMA.names
    assert result["segment"] == {"carrier": "UA"}
    assert result["window_start"] == stamp(START)


@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [
        ({"metric": "psy"}, 404, None),
        ({"column": "agee"}, 404, "unknown_column"),
        ({"segment": "age:3"}, 400, "unknown_segment"),
        ({"start": "yesterday"}, 400, "bad_time"),
        ({"start": "2026-01-01T00:00:00"}, 400, "naive_timestamp"),
        ({"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, 400, "bad_interval"),
    ],
)
def test_a_question_that_makes_no_sense_is_explained(
    measured: Api, wanted: dict[str, str], status: int, code: str | None
) -> None:
    answer = measured.http.get(f"{measured.path}/metrics", params=wanted)
    assert answer.status_code == status
    assert code is None or answer.json()["code"] == code


@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [
        ({"limit": "0"}, 422, "bad_parameter"),
        ({"limit": "many"}, 422, "bad_parameter"),
        ({"cursor": "nonsense"}, 400, "bad_cursor"),
        ({"prediction_id": "nobody"}, 404, "unknown_record"),
    ],
)
def test_records_that_are_not_there_are_explained(
    api: Api, wanted: dict[str, str], status: int, code: str
) -> None:
    api.post("predictions", json=records(1))
    api.record("p0")
    answer = api.http.get(f"{api.path}/records", params=wanted)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_incidents_are_read_taken_on_and_ended(api: Api, shared: Any) -> None:
    from tidegauge.catalog import Alarm

    api.post("predictions", json=records(1))
    runtime = shared[1].state.runtime
    model = runtime.get("default", api.model)
    for severity, harm in (("warning", 0.0), ("critical", 1.0), ("critical", 3.0)):
        alarm = Alarm(f"psi{harm}", START, START + timedelta(days=1), "age", value=0.5, upper=0.1)
        runtime.catalog.incidents.open(
            model.id, "1", "drift", severity=severity, title=f"{severity} {harm}", alarms=[alarm],
            opened_at=datetime.now(UTC), evidence={"harm": harm, "columns": ["age"]},
        )  # fmt: skip
    http, path = api.http, "/v1/projects/default/incidents"
    listed = http.get(path, params={"model": api.model}).json()["incidents"]
    assert [i["title"] for i in listed] == ["critical 3.0", "critical 1.0", "warning 0.0"]
    assert api.get()["state"] == "alarm" and api.get()["open_incidents"] == 3
    one = f"{path}/{listed[0]['id']}"
    assert http.get(one).json()["alarms"][0]["upper"] == 0.1
    taken = http.post(f"{one}/acknowledge", json={"by": "ana", "text": "looking"}).json()
    assert (taken["state"], taken["acknowledged_by"]) == ("acknowledged", "ana")
    assert http.post(f"{one}/notes", json={"by": "ana", "text": "the feed"}).status_code == 201
    ended = http.post(f"{one}/resolve").json()
    assert (ended["state"], ended["resolved_by"]) == ("resolved", "somebody")
    assert [(h["action"], h["text"]) for h in ended["history"]] == [
        ("acknowledge", "looking"),
        ("note", "the feed"),
        ("resolve", None),
    ]
    wanted = {"model": api.model, "state": "unresolved"}
    assert len(http.get(path, params=wanted).json()["incidents"]) == 2
    assert http.get("/v1/projects/other/incidents/1").status_code == 404
    assert http.get(f"{path}/999999").json()["code"] == "unknown_incident"
