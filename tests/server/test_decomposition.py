"""Why a stored model's performance changed, as the API tells it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from harness import running
from watched_model import BASELINE_DAYS, DAYS, NAME, day, make

from tidegauge.server.settings import Settings

PATH = f"/v1/projects/default/models/{NAME}/decomposition"


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = make(tmp_path_factory.mktemp("explained"))
    with (
        running(Settings(data=folder, port=0, label_horizon=timedelta(days=20))) as (address, _),
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        yield client


def explained(http: httpx.Client, **asked: Any) -> dict[str, Any]:
    answer = http.get(PATH, params=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_more_leavers_with_the_same_inputs_are_a_changed_relation(http: httpx.Client) -> None:
    found = explained(http, metric="log_loss", start=day(30).isoformat(), end=day(34).isoformat())
    assert found["start"] == "2026-02-04T00:00:00Z"
    assert found["reference_start"] == "2026-01-05T00:00:00Z"
    assert found["n_current"] == 4 * 200
    assert found["total"]["lower"] > 0
    assert found["relation"]["lower"] > 0
    parts = found["inputs"]["value"] + found["relation"]["value"]
    assert parts == pytest.approx(found["total"]["value"], abs=1e-12)
    columns = sum(part["value"] for part in found["columns"])
    assert columns == pytest.approx(found["inputs"]["value"], abs=1e-12)
    worst = max(found["segments"], key=lambda one: one["relation"]["value"])
    assert worst["segment"] == {"region": "west"}
    assert "from a changed relation" in found["sentence"]


def test_totals_are_those_of_the_stored_results(http: httpx.Client) -> None:
    start, end = day(30), day(31)
    found = explained(http, metric="brier", start=start.isoformat(), end=end.isoformat())
    points = http.get(
        f"/v1/projects/default/models/{NAME}/metrics",
        params={"metric": "brier", "start": start.isoformat(), "end": end.isoformat()},
    ).json()["points"]
    measured = [point for point in points if point["basis"] != "estimated"]
    assert found["current"] == pytest.approx(measured[0]["value"])


def test_two_periods_can_be_held_to_each_other(http: httpx.Client) -> None:
    found = explained(
        http,
        start=day(20).isoformat(),
        end=day(25).isoformat(),
        reference_start=day(0).isoformat(),
        reference_end=day(BASELINE_DAYS).isoformat(),
    )
    assert found["metric"] == "roc_auc"
    assert found["baseline"] is None
    assert found["reference_end"] == "2026-01-20T00:00:00Z"
    assert found["n_reference"] == BASELINE_DAYS * 200
    assert found["inputs"] is not None


def test_without_a_time_the_newest_closed_windows_are_explained(http: httpx.Client) -> None:
    found = explained(http)
    closed = http.get(f"/v1/projects/default/models/{NAME}").json()["closed_until"]
    assert found["end"] == closed
    assert found["start"] == (day(DAYS) - timedelta(days=7)).isoformat().replace("+00:00", "Z")
    assert 0 < found["labelled"] <= 1


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"metric": "roc_au"}, 404, "did you mean 'roc_auc'"),
        ({"metric": "psi"}, 400, "does not tell performance"),
        ({"metric": "mae"}, 400, "not one of a binary model"),
        ({"start": day(9).isoformat(), "end": day(3).isoformat()}, 400, "swap them"),
        ({"reference_start": day(3).isoformat()}, 400, "go together"),
        ({"start": "yesterday"}, 400, "no time"),
    ],
)
def test_what_cannot_be_explained_says_why(
    http: httpx.Client, asked: dict[str, str], status: int, words: str
) -> None:
    answer = http.get(PATH, params=asked)
    assert answer.status_code == status
    assert words in answer.json()["detail"]


def test_a_time_without_records_has_an_answer_that_says_so(http: httpx.Client) -> None:
    found = explained(http, start=day(400).isoformat(), end=day(401).isoformat())
    assert found["total"] is None
    assert "no current record" in found["why_not"]
