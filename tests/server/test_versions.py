"""Two versions of a model on a server: held against each other by the API, and on a page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from harness import START, Api, running, stamp

from tidegauge.server.settings import Settings

N = 600


def rows(version: str, noise: float, *, ids: str = "p", shift: float = 0.0) -> list[Any]:
    """What a version saw and said; the same ``ids`` and ``shift`` are the same traffic."""
    asked, own = np.random.default_rng([int(10 * shift), 1]), np.random.default_rng([ord(version)])
    x = asked.normal(shift, 1.0, N)
    score = 1 / (1 + np.exp(-(1.5 * x + noise * own.standard_normal(N))))
    slow = own.gamma(4, 5, N)
    return [
        {
            "prediction_id": f"{ids}{i}",
            "timestamp": stamp(START + i * timedelta(minutes=2)),
            "x": float(x[i]),
            "score": float(score[i]),
            "latency_ms": float(slow[i]),
        }
        for i in range(N)
    ]


def labels(ids: str = "p", shift: float = 0.0) -> list[Any]:
    asked = np.random.default_rng([int(10 * shift), 1])
    x = asked.normal(shift, 1.0, N)
    true = asked.random(N) < 1 / (1 + np.exp(-1.5 * x))
    return [{"prediction_id": f"{ids}{i}", "label": bool(true[i])} for i in range(N)]


def wait_for(http: httpx.Client, api: Api, versions: int, labelled: int) -> None:
    """Wait until versions and labels can be read."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if len(api.get()["versions"]) >= versions:
            answer = http.get(f"{api.path}/versions/compare")
            if labelled == 0 or answer.json().get("champion", {}).get("labelled", 0) >= labelled:
                return
        time.sleep(0.1)
    raise AssertionError("the records cannot be read")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder: Path = tmp_path_factory.mktemp("versions")
    settings = Settings(data=folder, port=0, flush_interval=timedelta(milliseconds=200))
    with running(settings) as (address, _), httpx.Client(base_url=address, timeout=30) as http:
        yield http


@pytest.fixture(scope="module")
def shadow(served: httpx.Client) -> Api:
    """Version 3 serves, version 4 scores the same records and is worse."""
    api = Api(served, "shadow")
    assert api.post("predictions?version=3", json=rows("3", 0.5)).status_code == 202
    assert api.post("predictions?version=4", json=rows("4", 4.0)).status_code == 202
    assert api.post("labels", json=labels()).status_code == 202
    wait_for(served, api, 2, N)
    return api


def test_records_that_both_scored_are_compared_pair_by_pair(shadow: Api) -> None:
    told = shadow.get("versions/compare", champion="3", challenger="4")
    assert told["traffic"]["kind"] == "paired" and told["traffic"]["pairs"] == N
    assert told["decision"] == "do_not_ship"
    auc = told["comparisons"][0]
    assert auc["metric"] == "roc_auc" and auc["upper"] < -0.01 and auc["standing"] == "beyond"
    back = shadow.get("versions/compare", champion="4", challenger="3", margin="latency_p95=off")
    assert back["decision"] == "ship"


def test_without_names_the_two_seen_last_are_compared(shadow: Api) -> None:
    told = shadow.get("versions/compare", margin="roc_auc=0.9")
    assert {told["champion"]["name"], told["challenger"]["name"]} == {"version 3", "version 4"}
    assert told["start"] == stamp(START)


@pytest.mark.parametrize(
    "query, status, code",
    [
        ("champion=9", 404, "unknown_version"),
        ("champion=3&challenger=3", 400, "same_version"),
        ("margin=roc_auc=-1", 400, "bad_margin"),
        ("margin=auc", 400, "bad_margin"),
        ("margin=roc_ac=0.1", 400, "unknown_metric"),
        ("metric=bias", 400, "bad_metric"),
        ("segment=x", 400, "unknown_segment"),
        ("level=2", 400, "bad_level"),
        ("start=2031-01-01T00:00:00Z&end=2031-02-01T00:00:00Z", 400, "no_records"),
        ("start=2026-02-01T00:00:00Z&end=2026-01-01T00:00:00Z", 400, "bad_interval"),
    ],
)
def test_bad_questions_get_an_answer_that_says_why(
    served: httpx.Client, shadow: Api, query: str, status: int, code: str
) -> None:
    answer = served.get(f"{shadow.path}/versions/compare?{query}")
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    page = served.get(f"/projects/default/models/{shadow.model}/versions?{query}")
    assert page.status_code in (200, 400, 404) and "Traceback" not in page.text
    if status == 400 and code not in ("bad_level",):
        assert page.status_code == 400 and "This cannot be compared" in page.text


def test_the_page_says_what_to_do_and_keeps_the_margin(served: httpx.Client, shadow: Api) -> None:
    path = f"/projects/default/models/{shadow.model}"
    page = served.get(f"{path}/versions", params={"champion": "3", "margin": "roc_auc=0.02"})
    assert page.status_code == 200
    assert "Do not ship: version 4 is worse than version 3" in page.text
    assert 'value="roc_auc=0.02"' in page.text
    assert "margin=roc_auc=0.02" in page.text
    assert f'href="{path}/versions"' in served.get(path).text


def test_one_version_alone_says_what_to_do_next(served: httpx.Client) -> None:
    api = Api(served, "alone")
    assert api.post("predictions?version=1", json=rows("1", 1.0)).status_code == 202
    until = time.monotonic() + 10
    while not api.get()["versions"] and time.monotonic() < until:
        time.sleep(0.1)
    page = served.get("/projects/default/models/alone/versions").text
    assert "Only version 1 has sent records" in page
    assert "predictions?version=1-next" in page and "curl -X POST" in page
    answer = served.get(f"{api.path}/versions/compare")
    assert answer.status_code == 400 and answer.json()["code"] == "one_version"


def test_other_traffic_is_adjusted_and_labels_to_come_are_asked_for(served: httpx.Client) -> None:
    api = Api(served, "canary")
    assert api.post("predictions?version=a", json=rows("a", 1.0)).status_code == 202
    more = rows("b", 1.0, ids="q", shift=0.6)
    assert api.post("predictions?version=b", json=more).status_code == 202
    wait_for(served, api, 2, 0)
    page = served.get("/projects/default/models/canary/versions").text
    assert "no label of version" in page or "no label" in page
    assert "/labels -H" in page
    assert api.post("labels", json=labels()).status_code == 202
    assert api.post("labels", json=labels("q", 0.6)).status_code == 202
    wait_for(served, api, 2, N)
    told = api.get("versions/compare")
    assert told["traffic"]["adjusted"] and told["traffic"]["apart"] == "x"
    assert told["traffic"]["after"] < 0.01 < told["traffic"]["before"]
    assert told["champion"]["effective"] < N
