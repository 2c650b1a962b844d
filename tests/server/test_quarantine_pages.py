"""The pages of quarantine and schema: what they show, and what their buttons do."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from harness import Api, records

PAGE = "text/html"


def page(http: httpx.Client, api: Api, place: str = "", **query: str) -> str:
    answer = http.get(f"/projects/default/models/{api.model}{place}", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith(PAGE)
    return answer.text


def press(http: httpx.Client, api: Api, place: str, **fields: str) -> httpx.Response:
    address = f"/projects/default/models/{api.model}{place}"
    return http.post(address, data=fields, follow_redirects=False)


@pytest.fixture
def filled(api: Api) -> Api:
    """A model with three rows in quarantine, and fields that its schema does not know."""
    assert api.post("predictions", json=records(3)).json()["accepted"] == 3
    rows: list[Any] = records(8)[3:]
    for row in rows[:2]:
        row["age"] = "<b>old</b>"
    rows[2] = {"age": 1}
    for row in rows[3:]:
        row |= {"fuel <i>": 3.5, "deep": {"x": 1}}
    assert api.post("predictions", json=rows).json()["quarantined"] == 3
    api.record("p6")
    until = time.monotonic() + 5
    while api.get("quarantine")["rows"] < 3:
        assert time.monotonic() < until
        time.sleep(0.05)
    return api


def test_a_models_page_leads_to_what_did_not_fit_and_to_what_is_new(
    http: httpx.Client, filled: Api
) -> None:
    text = page(http, filled)
    assert "3 rows in quarantine" in text
    assert "2 new columns" in text
    assert "fuel &lt;i&gt;" in text


def test_the_page_names_each_group_and_shows_its_rows(http: httpx.Client, filled: Api) -> None:
    text = page(http, filled, "/quarantine")
    assert "3 rows of" in text
    assert "of another type" in text
    assert "without prediction id" in text
    assert "<b>old</b>" not in text
    text = page(
        http, filled, "/quarantine", resource="predictions", code="type_error", column="age"
    )
    assert text.count("<article>") == 2
    assert "<b>old</b>" not in text


def test_a_replay_by_its_button_tells_what_came_of_it(http: httpx.Client, filled: Api) -> None:
    schema = filled.get("schema")
    for column in schema["columns"]:
        if column["name"] == "age":
            column["type"] = "text"
    put = http.put(f"{filled.path}/schema", json=schema)
    assert put.status_code == 200, put.text
    answer = press(http, filled, "/quarantine/replay", resource="predictions", code="type_error")
    assert answer.status_code == 303
    text = http.get(answer.headers["location"]).text
    assert "2 rows fitted and are stored now; 0 did not fit still." in text
    assert filled.record("p3")["age"] == "<b>old</b>"
    assert filled.record("p0")["age"] == "20"
    assert filled.get("quarantine")["rows"] == 1


def test_a_page_of_another_site_may_not_replay(http: httpx.Client, filled: Api) -> None:
    answer = http.post(
        f"/projects/default/models/{filled.model}/quarantine/replay",
        headers={"Sec-Fetch-Site": "cross-site"},
    )
    assert answer.status_code == 403
    assert filled.get("quarantine")["rows"] == 3


def test_a_column_is_accepted_by_its_button(http: httpx.Client, filled: Api) -> None:
    text = page(http, filled, "/schema")
    assert "2 columns of" in text
    assert "objects and lists are no columns" in text
    answer = press(http, filled, "/schema/accept", column="fuel <i>", type="numeric")
    assert answer.status_code == 303, answer.text
    assert filled.record("p6")["fuel <i>"] == 3.5
    text = page(http, filled, "/schema")
    assert "fuel &lt;i&gt; added: numeric, feature" in text
    assert press(http, filled, "/schema/accept", column="deep").status_code == 400


def test_without_anything_the_pages_say_so(http: httpx.Client, api: Api) -> None:
    assert api.post("predictions", json=records(3)).status_code == 202
    assert "Nothing of" in page(http, api, "/quarantine")
    assert "knows all columns that came" in page(http, api, "/schema")
