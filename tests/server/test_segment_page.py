"""The page of a segment column: for whom it is worse, by how much, and whether it is fair."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from harness import running
from watched_model import BASE, NAME, day, make

from tidegauge.lake.points import append_points
from tidegauge.metrics.result import RESULT_SCHEMA, Result
from tidegauge.monitor.policy import Monitor, Policies, Threshold
from tidegauge.report.charts import IntervalRow, intervals
from tidegauge.server.pages.asked import Asked
from tidegauge.server.pages.reading import Reading
from tidegauge.server.pages.segment import (
    MOST_DRAWN,
    SegmentPage,
    leading,
    segment_page_view,
)
from tidegauge.server.runtime import Runtime
from tidegauge.server.settings import Settings

pytestmark = pytest.mark.xdist_group("segment-page")
PAGE = f"{BASE}/segments/region"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any]]:
    folder = make(tmp_path_factory.mktemp("segment"))
    with running(Settings(data=folder, port=0)) as found:
        yield found


@pytest.fixture(scope="module")
def http(served: tuple[str, Any]) -> Iterator[httpx.Client]:
    headers = {"Accept": "text/html"}
    with httpx.Client(base_url=served[0], timeout=30, headers=headers) as client:
        yield client


@pytest.fixture(scope="module")
def runtime(served: tuple[str, Any]) -> Runtime:
    held: Runtime = served[1].state.runtime
    return held


def words(html: str) -> str:
    """Return the text of a page, without its scripts."""
    html = re.sub(r"<script.*?</script>|<style.*?</style>", " ", html, flags=re.S)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def test_it_says_for_whom_it_is_worse_and_since_when(http: httpx.Client) -> None:
    said = words(http.get(PAGE).text)
    assert "bias of west was out of its band in 4 of 45 windows, 2 others too." in said
    assert "In the window with most segments in alarm, 7 Feb 2026" in said


def test_the_worst_segment_stands_first_with_its_interval(http: httpx.Client) -> None:
    html = http.get(PAGE).text
    rows = re.findall(r'<tr data-item="(\w+)"', html)
    assert rows[0] == "west"
    assert set(rows) == {"west", "north", "south"}
    west = words(html.split('data-item="west"')[1].split("</tr>")[0])
    assert re.search(r"\d+\.\d % – \d+\.\d %", west)
    assert "alarm" in west


def test_fairness_stands_with_its_interval_and_its_groups(http: httpx.Client) -> None:
    html = http.get(PAGE).text
    table = html.split('id="fairness-table"')[1].split("</table>")[0]
    row = words(next(one for one in table.split("<tr") if ">disparate_impact<" in one))
    assert "below four fifths, perhaps by chance" in row
    for name in ("demographic_parity_difference", "equalized_odds_ratio", "calibration_difference"):
        assert name in table


def test_what_is_asked_for_stands_in_the_address(http: httpx.Client) -> None:
    html = http.get(f"{PAGE}?metric=roc_auc&window=2026-01-20&start=2026-01-10").text
    said = words(html)
    assert "In the window, 20 Jan 2026" in said
    assert "roc_auc by region" in html
    assert "window=2026-01-19" in html
    assert "window=2026-01-21" in html


def test_a_metric_of_fairness_that_is_asked_for_is_drawn_over_time(http: httpx.Client) -> None:
    html = http.get(f"{PAGE}?metric=equalized_odds_difference").text
    assert 'id="lane-equalized_odds_difference"' in html
    assert "bias by region" in html


def test_the_search_runs_only_when_it_is_asked_for(http: httpx.Client) -> None:
    asked = f"{PAGE}?start=2026-02-03&end=2026-02-09"
    html = http.get(asked).text
    assert 'href="/projects/default/models/churn/segments/region?' in html
    assert "search=yes#search" in html
    assert "looked at" not in html
    found = words(http.get(f"{asked}&search=yes").text)
    assert "by roc_auc" in found or "roc_auc is" in found
    other = words(http.get(f"{asked}&search=yes&metric=log_loss").text)
    assert "log_loss" in other.split("Where is it worst?")[1].split("Over time")[0]


def test_the_models_page_leads_to_it(http: httpx.Client) -> None:
    assert f'href="{PAGE}"' in http.get(BASE).text


def test_what_is_no_segment_column_is_not_found_and_says_which_there_are(
    http: httpx.Client,
) -> None:
    answer = http.get(f"{BASE}/segments/plan")
    assert answer.status_code == 404
    assert "has no segment column 'plan': there are 'region'" in unescape(answer.text)


def test_the_endpoint_of_metrics_tells_fairness_by_version(http: httpx.Client) -> None:
    path = f"/v1{BASE}/metrics"
    asked = {"metric": "demographic_parity_difference", "column": "region"}
    every = http.get(path, params=asked).json()["points"]
    later = http.get(path, params={**asked, "version": "2"}).json()["points"]
    assert len(every) > len(later) > 0
    assert {one["version"] for one in later} == {"2"}
    for one in every:
        assert one["segment"] is None
        assert 0 <= one["ci_lower"] <= one["value"] <= one["ci_upper"] <= 1


def view(runtime: Runtime, **asked: Any) -> SegmentPage:
    reading = Reading(runtime)
    model = runtime.get("default", NAME)
    history = reading.history(reading.standing(model), Asked(**asked))
    assert history is not None
    metric = leading(history)
    assert metric is not None
    chapters = (reading.of_segments(history, name) for name in (metric.name, "row_count"))
    return segment_page_view(history, "city", *chapters)


def put(runtime: Runtime, newest: int, values: list[str]) -> None:
    """Put results of a window there, a performance and a size for each city."""
    start = day(newest)
    now = datetime.now(UTC)
    rows = [
        Result(
            metric,
            segment={"city": value},
            model=NAME,
            version="2" if newest >= 40 else "1",
            window_start=start,
            window_end=start + timedelta(days=1),
            value=float(at) if metric == "row_count" else at / 1000,
            n_current=at,
            computed_at=now,
        ).to_json()
        for at, value in enumerate(values)
        for metric in ("bias", "row_count")
    ]
    for row in rows:
        row["segment"] = json.dumps(row["segment"])
        for name in ("window_start", "window_end", "computed_at"):
            row[name] = datetime.fromisoformat(row[name])
    append_points(runtime.lake, "default", NAME, pa.Table.from_pylist(rows, RESULT_SCHEMA))


def test_of_two_hundred_segments_the_worst_are_drawn_and_all_are_listed(runtime: Runtime) -> None:
    put(runtime, 44, [f"r{at:03d}" for at in range(200)])
    seen = view(runtime, window="2026-02-18")
    assert len(seen.parts) >= 200
    assert f"The {MOST_DRAWN} worst of" in seen.under
    assert seen.chart is not None
    assert len(seen.chart["data"]["values"]) == MOST_DRAWN


def test_segments_with_too_few_records_come_last_with_a_word(runtime: Runtime) -> None:
    put(runtime, 20, [f"q{at:03d}" for at in range(60)])
    seen = view(runtime, window="2026-01-25")
    few = [bool(one.few) for one in seen.parts]
    assert few == sorted(few)
    assert any("more record" in one.few for one in seen.parts)


def test_without_results_it_says_that_nothing_is_known(runtime: Runtime) -> None:
    reading = Reading(runtime)
    model = runtime.get("default", NAME)
    history = reading.history(reading.standing(model), Asked())
    assert history is not None
    nothing = reading.of_segments(history, "no such metric")
    seen = segment_page_view(history, "elsewhere", nothing, nothing)
    assert seen.verdict.sentence == "Nothing is known of elsewhere in this range."
    assert seen.shown is None
    assert (seen.parts, seen.fair, seen.lanes, seen.states) == ((), (), (), None)


def test_intervals_are_drawn_of_any_rows() -> None:
    for rows in (
        [],
        [IntervalRow("alone", 0.5)],
        [IntervalRow("a", None), IntervalRow("b", 0.0, 0.0, 0.0)],
        [IntervalRow("a", 1.0, 0.5, 1.5, 1.1, None, 1.2, "alarm", 9, "note", "/x")],
    ):
        spec = intervals(rows, title="f1", unit="share", whole=None)
        assert len(spec["data"]["values"]) == len(rows)
        assert json.dumps(spec, allow_nan=False)


def test_a_monitor_of_fairness_leads_to_an_incident_that_leads_to_the_page(tmp_path: Path) -> None:
    below = Threshold(below=0.5)
    monitors = Policies(monitors=(Monitor("disparate_impact", ("region",), threshold=below),))
    folder = make(tmp_path, monitors)
    with (
        running(Settings(data=folder, port=0)) as (served, _),
        httpx.Client(base_url=served, timeout=30, headers={"Accept": "text/html"}) as client,
    ):
        incidents = client.get("/v1/projects/default/incidents").json()["incidents"]
        found = [one for one in incidents if one["kind"] == "fairness"]
        assert found[-1]["title"].startswith("disparate_impact of 'region' out of bounds")
        page = client.get(f"{BASE}/incidents/{found[-1]['id']}")
        assert page.status_code == 200
        assert f"{PAGE}?start=" in unescape(page.text)
        column = words(client.get(f"{BASE}/columns/region").text)
        assert "disparate_impact was off" not in column
