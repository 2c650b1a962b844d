from __future__ import annotations

import re
import shutil
import subprocess
import time
from typing import Any

import httpx
import pytest
from fastapi.openapi.models import OpenAPI
from harness import Api, records, running
from prometheus_client.parser import text_string_to_metric_families

from tidegauge.server.readiness import FRESH
from tidegauge.server.settings import Settings


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [r for part in value.values() for r in references(part)]
    return [r for part in value for r in references(part)] if isinstance(value, list) else []


def test_the_openapi_document_is_valid_and_whole(http: httpx.Client) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    document = http.get("/openapi.json").json()
    OpenAPI.model_validate(document)
    names = []
    for path, methods in document["paths"].items():
        for operation in methods.values():
            names.append(operation["operationId"])
            declared = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert declared == set(re.findall(r"{(\w+)}", path))
            for parameter in operation.get("parameters", []):
                assert parameter.get("description"), f"{path}: {parameter['name']}"
            assert operation["summary"] and operation["description"]
            for part in [operation.get("requestBody", {}), *operation["responses"].values()]:
                for content in part.get("content", {}).values():
                    jsonschema.Draft202012Validator.check_schema(content.get("schema", {}))
    assert len(names) == len(set(names))
    for reference in references(document):
        assert reference.rpartition("/")[2] in document["components"]["schemas"]
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_the_documentation_names_every_endpoint_and_needs_nothing_from_elsewhere(
    http: httpx.Client,
) -> None:
    page = http.get("/docs").text
    for path in http.get("/openapi.json").json()["paths"]:
        assert path in page
    assert "<script" not in page and "@import" not in page
    addresses = set(re.findall(r"https?://[^\s'\"&<]+", page))
    assert {httpx.URL(a).netloc for a in addresses} == {http.base_url.netloc}


def test_a_command_of_the_documentation_can_be_pasted(http: httpx.Client) -> None:
    from html import unescape

    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    page = unescape(http.get("/docs").text)
    commands = re.findall(r"<pre>(curl.*?)</pre>", page, re.DOTALL)
    post = next(c for c in commands if "/predictions" in c)
    done = subprocess.run(
        ["sh", "-c", post + " -s -o /dev/null -w '%{http_code}'"], capture_output=True, text=True
    )
    assert done.stdout == "202"


def test_metrics_are_what_prometheus_reads(http: httpx.Client, api: Api, shared: Any) -> None:
    rows = records(7)
    rows[3]["age"] = {"not": "a number"}
    api.post("predictions", json=records(1))
    api.post("predictions", json=[*rows, rows[0]])
    api.post("labels", json=[{"prediction_id": "p0", "label": True}])
    text = http.get("/metrics").text
    families = {f.name: f for f in text_string_to_metric_families(text)}
    mine = {
        (sample.name, sample.labels.get("resource")): sample.value
        for family in families.values()
        for sample in family.samples
        if sample.labels.get("model") == api.model
    }
    assert mine["tidegauge_records_accepted_total", "predictions"] == 7
    assert mine["tidegauge_records_quarantined_total", "predictions"] == 1
    assert mine["tidegauge_records_repeated_total", "predictions"] == 1
    assert mine["tidegauge_records_accepted_total", "labels"] == 1
    assert "tidegauge_journal_backlog_bytes" in families
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_health_and_readiness(http: httpx.Client) -> None:
    assert http.get("/healthz").json()["status"] == "ok"
    assert http.get("/readyz").json()["status"] == "ready"


def test_readiness_names_what_is_wrong(tmp_path: Any) -> None:
    settings = Settings(data=tmp_path, port=0, min_free=1 << 60)
    with running(settings) as (address, app):
        answer = httpx.get(f"{address}/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert "disk: " in answer.json()["message"]
        assert "retry-after" in answer.headers
        runtime = app.state.runtime
        runtime.flusher._stop.set()
        runtime.flusher._thread.join()
        time.sleep(1.1 * FRESH)
        assert "flusher: it does not run" in httpx.get(f"{address}/readyz").json()["message"]
        assert httpx.get(f"{address}/healthz").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("DELETE", "/v1/projects/default/models", 405, "method_not_allowed"),
        ("GET", "/v1/projects/default/incidents/zero", 422, "bad_parameter"),
        ("GET", "/v1/projects/default/incidents?state=odd", 422, "bad_parameter"),
        ("POST", "/v1/projects/default/incidents/1/notes", 422, "bad_parameter"),
        ("GET", "/v1/projects/%0a/models", 422, "bad_parameter"),
    ],
)
def test_every_error_is_a_problem_document(
    http: httpx.Client, method: str, path: str, status: int, code: str
) -> None:
    answer = http.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["code"], problem["status"]) == (code, status)
    assert problem["message"] and "\n" not in problem["message"]


def test_pages_of_other_sites_may_change_nothing(http: httpx.Client, api: Api) -> None:
    answer = api.post("predictions", json=records(1), headers={"Origin": "http://evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_origin")
    own = str(http.base_url).rstrip("/")
    assert api.post("predictions", json=records(1), headers={"Origin": own}).status_code == 202
    answer = http.get("/v1/projects/default/models", headers={"Host": "evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (403, "unknown_host")
    assert http.get("/healthz", headers={"Host": "localhost:1"}).status_code == 200


def test_a_proxy_can_be_allowed_by_name(tmp_path: Any) -> None:
    settings = Settings.load({"TIDEGAUGE_ALLOWED_HOSTS": "tide.example, x"}, data=tmp_path, port=0)
    with running(settings) as (address, _):
        assert httpx.get(f"{address}/healthz", headers={"Host": "tide.example"}).status_code == 200
        assert httpx.get(f"{address}/healthz", headers={"Host": "y"}).status_code == 403
