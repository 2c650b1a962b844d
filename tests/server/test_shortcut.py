"""The short way to the hot routes tells what the long way would."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from harness import Api, records

PATH = "/v1/projects/default/models/m/predictions"


def test_other_methods_go_the_long_way(http: httpx.Client) -> None:
    answer = http.get(PATH)
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"
    assert http.post(f"{PATH}/more", json=[]).status_code == 404


def test_it_refuses_pages_of_others(http: httpx.Client) -> None:
    answer = http.post(PATH, json=records(1), headers={"Origin": "http://elsewhere.example"})
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_origin")
    answer = http.post(PATH, json=records(1), headers={"Host": "elsewhere.example"})
    assert (answer.status_code, answer.json()["code"]) == (403, "unknown_host")


@pytest.mark.parametrize(
    ("query", "headers", "named"),
    [
        ("?version=" + "x" * 201, {}, "query 'version'"),
        ("", {"Idempotency-Key": "x" * 256}, "header 'Idempotency-Key'"),
    ],
)
def test_parameters_that_are_too_long_are_named(
    http: httpx.Client, query: str, headers: dict[str, str], named: str
) -> None:
    answer = http.post(PATH + query, json=records(1), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_parameter")
    assert answer.json()["message"].startswith(named)


def test_an_empty_key_is_refused(http: httpx.Client) -> None:
    answer = http.post(PATH, json=records(1), headers={"Idempotency-Key": ""})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_input")


def test_a_version_is_read_from_the_query(api: Api) -> None:
    assert api.post("predictions?version=a%2Bb&else=1", json=records(2)).status_code == 202
    assert api.record("p1")["version"] == "a+b"
    assert api.post("predictions?version=", json=records(3)[2:]).status_code == 202
    assert "version" not in api.record("p2")


def test_what_nobody_foresaw_is_a_problem_as_well(
    api: Api, shared: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    gathering = shared[1].state.runtime.gathering

    async def broken(post: Any) -> Any:
        raise ZeroDivisionError(post.model)

    monkeypatch.setattr(gathering, "take", broken)
    answer = api.post("predictions", json=records(1))
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.headers["content-type"] == "application/problem+json"
    assert api.model not in answer.text
    monkeypatch.undo()
    assert api.post("predictions", json=records(1)).status_code == 202


def test_slowness_is_documented(http: httpx.Client) -> None:
    routes = http.get("/openapi.json").json()["paths"]
    route = routes["/v1/projects/{project}/models/{model}/predictions"]["post"]
    assert {"202", "408", "413", "429"} <= set(route["responses"])
    assert {one["name"] for one in route["parameters"]} == {
        "project",
        "model",
        "version",
        "Idempotency-Key",
    }
