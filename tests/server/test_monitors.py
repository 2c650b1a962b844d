"""Monitors on a server: kept, refused with the place, at work from the next window on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import Api, records, running

from tidegauge.server.settings import Settings

YAML = {"Content-Type": "application/yaml"}
SCHEMA = """\
task: binary
segments: [carrier]
columns:
  prediction_id: text
  timestamp: datetime
  age: numeric
  carrier: categorical
  note: text
  score: numeric
  label: boolean
"""
WANTED = {
    "false_alarms": {"count": 2, "per": "30d"},
    "monitors": [
        {"metric": "psi", "columns": ["age"], "threshold": {"above": 0.2}, "severity": "critical"},
        {"metric": "missing_share", "weight": 0.5},
        {"columns": ["*"], "threshold": "evidently"},
    ],
}


@pytest.fixture
def model(api: Api) -> Api:
    answer = api.http.put(f"{api.path}/schema", content=SCHEMA, headers=YAML)
    assert answer.status_code == 200, answer.text
    return api


def put(api: Api, **request: Any) -> Any:
    return api.http.put(f"{api.path}/monitors", **request)


def test_a_model_begins_with_the_usual_budget_and_no_monitors(api: Api) -> None:
    assert api.post("predictions", json=records(2)).status_code == 202
    usual = {"false_alarms": {"count": 1, "per": "30d"}, "monitors": []}
    assert api.get("monitors") == {"model": api.model, **usual}


def test_monitors_that_are_put_come_back_as_json_and_as_yaml(model: Api) -> None:
    answer = put(model, json=WANTED)
    assert answer.status_code == 200, answer.text
    assert model.get("monitors") == answer.json() == {"model": model.model, **WANTED}
    text = model.http.get(f"{model.path}/monitors", headers={"Accept": "application/yaml"}).text
    assert put(model, content=text, headers=YAML).json() == answer.json()
    assert put(model, json=answer.json()).json() == answer.json()
    assert put(model, json={}).json()["monitors"] == []


@pytest.mark.parametrize(
    ("content", "kind", "status", "code", "place"),
    [
        ('{"monitors": [{"metric": "psj"}]}', "application/json", 422, "bad_monitor",
         "body.monitors[0].metric: no metric 'psj' (did you mean 'psi'?)"),
        ('{"monitors": [{"metric": "psi", "columns": ["note"]}]}', "application/json", 422,
         "bad_monitor", "body.monitors[0].columns[0]: psi is for"),
        ("monitors:\n- {metric: psi, columns: agee}", "application/yaml", 422, "bad_monitor",
         "body:2:26: the schema has no column 'agee' (did you mean 'age'?)"),
        ("monitors: [", "application/yaml", 422, "bad_yaml", "body:1:"),
        ('{"false_alarms": {"count": -1}}', "application/json", 422, "bad_monitor",
         "body.false_alarms.count: 'count' must be greater than 0"),
        ("[]", "application/json", 422, "bad_monitor", "must be a mapping"),
        ("{", "application/json", 400, "bad_json", "column 2"),
        ("x", "text/plain", 415, "unsupported_media_type", "text/plain"),
    ],
)  # fmt: skip
def test_wrong_monitors_are_refused_with_their_place_and_change_nothing(
    model: Api, content: str, kind: str, status: int, code: str, place: str
) -> None:
    put(model, json=WANTED)
    answer = put(model, content=content, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert place in answer.json()["message"]
    assert model.get("monitors") == {"model": model.model, **WANTED}


def test_a_model_that_is_not_there_has_no_monitors(api: Api) -> None:
    for answer in (api.http.get(f"{api.path}/monitors"), put(api, json={})):
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_model")


def test_who_changed_monitors_stands_in_the_audit_log(model: Api, shared: tuple[str, Any]) -> None:
    put(model, json=WANTED)
    put(model, json=WANTED)
    catalog = shared[1].state.runtime.catalog
    noted = [e for e in catalog.audit.all(limit=1000) if e.subject == model.model]
    assert [entry.action for entry in noted] == ["monitors.set"]
    assert noted[0].details == {"before": {}, "after": WANTED}


def test_monitors_are_there_after_a_restart(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, port=0)
    with running(settings) as (address, _), httpx.Client(base_url=address) as http:
        api = Api(http, "kept")
        http.put(f"{api.path}/schema", content=SCHEMA, headers=YAML)
        put(api, json=WANTED)
    with running(settings) as (address, _), httpx.Client(base_url=address) as http:
        assert Api(http, "kept").get("monitors") == {"model": "kept", **WANTED}
