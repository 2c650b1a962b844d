"""Monitors on a server: kept, refused with the place, at work from the next window on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from html import unescape
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from harness import START, Api, records, running
from rich.console import Console

from tidegauge.monitor.document import loads_policies
from tidegauge.report.backtest import print_backtest
from tidegauge.schema import loads_schema
from tidegauge.server.backtesting import backtest
from tidegauge.server.baselining import from_stored
from tidegauge.server.pages.monitors import monitors_view
from tidegauge.server.pages.window import results_of
from tidegauge.server.runtime import Runtime
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


def test_the_page_says_what_is_asked_and_how_to_change_it(model: Api) -> None:
    page = f"/projects/default/models/{model.model}/monitors"
    assert f'href="{page}"' in model.http.get(page.removesuffix("/monitors")).text
    before = unescape(model.http.get(page).text)
    assert "1 window with a false alarm is to be expected in 30 days." in before
    assert "None of its own" in before and "no window is closed" in before
    put(model, json=WANTED)
    after = unescape(model.http.get(page).text)
    text = f"model: {model.model}\nfalse_alarms: {{count: 2, per: 30d}}\nmonitors:\n"
    assert "2 windows with false alarms are to be expected in 30 days." in after and text in after
    for said in ("alarm above 0.2", "half the usual share", "Evidently's threshold", "critical"):
        assert said in after
    assert model.http.get("/projects/default/models/nobody/monitors").status_code == 404


def test_the_page_tells_the_shares_of_the_budget(watched: Watched) -> None:
    watched.set("{metric: row_count, threshold: {above: 1e6}}", "{metric: '*', columns: age}")
    watched.add(rows_of(17, 1, 400))
    watched.tick()
    start = START + 16 * DAY
    points = watched.runtime.engine.points("default", "m", start=start, end=start + DAY)
    model = watched.runtime.get("default", "m")
    view = monitors_view(model, results_of(points))
    rows = {(row.column, row.metrics[0]): row for row in view.judged}
    assert rows[None, "row_count"].share is None and rows[None, "row_count"].bounded
    shares = [row.share for row in view.judged if row.share is not None]
    assert len(shares) >= 2 and 0.5 < sum(shares) <= 1


DAY = timedelta(days=1)


def rows_of(first: int, days: int, rows: int, shift: float = 0.0) -> pa.Table:
    """Predictions of some days, so many a day; day 0 is a Monday."""
    rng = np.random.default_rng(first)
    n = days * rows
    day = np.repeat(np.arange(first, first + days), rows)
    micros = np.datetime64(START.replace(tzinfo=None), "us") + (
        (day + np.tile(np.arange(rows) / rows, days)) * 86_400e6
    ).astype("timedelta64[us]")
    return pa.table(
        {
            "prediction_id": [f"p{first}-{i}" for i in range(n)],
            "timestamp": pa.array(micros, pa.timestamp("us", "UTC")),
            "age": rng.normal(shift, 1, n),
            "score": rng.random(n),
            "_version": ["1"] * n,
        }
    )


class Watched:
    """A model in a runtime whose scheduler is moved by hand; days 0 to 15 are closed."""

    def __init__(self, folder: Path) -> None:
        self.runtime = Runtime(Settings(data=folder))
        self.scheduler: Any = self.runtime.scheduler
        schema = loads_schema(SCHEMA).select(["prediction_id", "timestamp", "age", "score"])
        self.model = self.runtime.create("default", "m", schema)
        self.add(rows_of(0, 17, 400))
        made = from_stored(self.runtime, self.model, START, START + 9 * DAY)
        self.runtime.put_baseline(self.model, made.baseline, source="interval")
        self.scheduler.tick(everything=True)

    def add(self, table: pa.Table) -> None:
        self.runtime.lake.append("default", "m", "records", table)

    def tick(self) -> None:
        self.scheduler.tick(everything=True)

    def set(self, *monitors: str) -> None:
        policies = loads_policies("monitors:\n" + "".join(f"  - {one}\n" for one in monitors))
        self.runtime.put_policies("default", "m", policies)

    def points(self, metric: str, column: str | None = None) -> dict[int, dict[str, Any]]:
        """Results of a metric by day."""
        between = {"start": START, "end": START + 400 * DAY}
        table = self.runtime.engine.points("default", "m", metric=metric, column=column, **between)
        return {(row["window_start"] - START) // DAY: row for row in table.to_pylist()}


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path)
    yield made
    made.runtime.stop()


def test_monitors_count_from_the_next_window_without_a_restart(watched: Watched) -> None:
    before = watched.points("psi", "age")
    assert sorted(before) == list(range(16)) and {p["upper"] for p in before.values()} == {None}
    watched.set(
        "{metric: psi, columns: age, threshold: {above: 0.2}, severity: critical}",
        "{metric: location_shift, weight: 0}",
        "{metric: shape_shift, weight: 0}",
        "{metric: cramer_von_mises, columns: age, threshold: {above: 1e9}}",
    )
    watched.add(rows_of(17, 2, 400, shift=1.5))
    watched.tick()
    after = watched.points("psi", "age")
    assert {day: p["upper"] for day, p in after.items() if p["upper"]} == {16: 0.2, 17: 0.2}
    assert [after[day]["state"] for day in (15, 16, 17)] == ["ok", "ok", "alarm"]
    assert after[17]["reason"] == "fixed threshold: above 0.2"
    assert sorted(watched.points("cramer_von_mises", "age")) == [16, 17], "asked for by a monitor"
    shift = watched.points("location_shift", "age")
    assert shift[15]["level"] is not None and shift[16]["level"] is None
    (incident,) = watched.runtime.catalog.incidents.all(project="default")
    assert (incident.kind, incident.severity) == ("drift", "critical")


def test_a_window_is_held_against_stored_ones_in_one_read(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.set(
        "{metric: row_count, threshold: {change: 0.3, against: same_weekday}, severity: info}",
        "{metric: throughput, threshold: {change: 0.3}}",
    )
    reads: list[tuple[int, int]] = []
    points = watched.runtime.engine.points

    def counted(*names: str, start: datetime, end: datetime, **wanted: Any) -> pa.Table:
        if "metric" not in wanted:
            reads.append(((start - START) // DAY, (end - START) // DAY))
        return points(*names, start=start, end=end, **wanted)

    monkeypatch.setattr(watched.runtime.engine, "points", counted)
    watched.add(rows_of(17, 1, 100))
    watched.add(rows_of(18, 1, 100))
    watched.tick()
    assert reads == [(9, 16)], "what days 16 and 17 are held against, and no more"
    weekly, daily = watched.points("row_count"), watched.points("throughput")
    assert [weekly[day]["state"] for day in (16, 17)] == ["ok", "alarm"]
    assert weekly[17]["reason"] == "75\u202f% below last Thursday's 400"
    assert daily[17]["reason"] == "75\u202f% below Wednesday's 0.00463"
    kinds = {i.kind: i.severity for i in watched.runtime.catalog.incidents.all(project="default")}
    assert kinds["volume"] == "info"


def test_a_backtest_finds_what_fired_and_writes_nothing(watched: Watched) -> None:
    watched.set("{metric: psi, columns: age, threshold: {above: 0.2}}")
    watched.add(rows_of(17, 4, 400, shift=0.8))
    watched.tick()
    runtime = watched.runtime
    names = "default", "m"
    tables = [runtime.lake.table_version(*names, kind) for kind in ("points", "profiles")]
    found = backtest(runtime, runtime.get(*names), runtime.get(*names).policies, 3)
    assert (found.windows, found.start) == (3, START + 17 * DAY)
    assert found.expected_false == pytest.approx(3 / 30)
    fired = {(one.metric, one.column): one.windows for one in found.alarms}
    for metric in ("psi", "location_shift"):
        stored = [p["state"] for d, p in watched.points(metric, "age").items() if d >= 17]
        assert fired.get((metric, "age"), 0) == stored.count("alarm")
    assert fired["psi", "age"] == found.alarmed == 3
    assert {one.metric for one in found.alarms if one.threshold} == {"psi"}
    calm = loads_policies("monitors: [{metric: '*', weight: 0}]")
    assert backtest(runtime, runtime.get(*names), calm, 90).alarms == ()
    assert [runtime.lake.table_version(*names, k) for k in ("points", "profiles")] == tables


def test_a_backtest_needs_closed_windows_and_right_monitors(model: Api) -> None:
    answer = model.post("backtest")
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_closed")
    answer = model.post("backtest", json={"monitors": [{"metric": "psj"}]})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_monitor")
    assert model.post("backtest", params={"days": 0}).status_code == 422
    assert model.http.post("/v1/projects/default/models/nobody/backtest").status_code == 404


def test_a_backtest_is_printed_with_what_is_and_what_would_be_side_by_side() -> None:
    answer = {"start": "2026-01-05T00:00:00Z", "end": "2026-02-19T00:00:00Z", "windows": 45}
    psi = {"metric": "psi", "column": "age", "windows": 20, "threshold": True}
    rows = {"metric": "row_count", "column": None, "windows": 1, "threshold": False}
    now = {**answer, "alarmed": 1, "expected_false": 1.5, "alarms": [rows]}
    then = {**answer, "alarmed": 20, "expected_false": 0.3, "alarms": [psi]}
    console = Console(width=80, record=True, file=StringIO())
    print_backtest("churn", [("as it is", now), ("new.yaml", then)], console)
    assert [line.rstrip() for line in console.export_text().splitlines()] == [
        "churn: 5 Jan – 18 Feb 2026",
        "                           as it is  new.yaml",
        "windows                          45        45",
        "with any alarm                    1        20",
        "false ones to be expected       1.5       0.3",
        "",
        "windows with an alarm of",
        "  psi of 'age'                    –      * 20",
        "  row_count                       1         –",
        "* by a threshold, which the expected false ones leave out",
    ]
