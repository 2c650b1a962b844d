"""The server's log: one event a line with its request's id, and nothing in it that is private."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pyarrow as pa
import pytest
from harness import Api, Process, records
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tidegauge.errors import BadInput
from tidegauge.server import logs
from tidegauge.server.request_ids import LONGEST
from tidegauge.server.settings import Settings

SECRET = "h1gh-t1de-w0rd"
PATH = "/v1/projects/default/models/m"


def parsed(err: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in err.splitlines()]


def test_every_request_has_an_id_in_its_answer_its_problem_and_its_line(
    start_process: Callable[..., Process],
) -> None:
    server = start_process(TIDEGAUGE_LOG_LEVEL="info", TIDEGAUGE_LOG_FORMAT="json")
    with httpx.Client(base_url=server.address) as http:
        sent = http.get("/v1/projects/default/models/none", headers={"X-Request-ID": "nightly 7"})
        assert sent.headers["x-request-id"] == sent.json()["request_id"] == "nightly 7"
        made = [http.get("/healthz").headers["x-request-id"] for _ in range(2)]
        assert len(set(made)) == 2
        longest = {"X-Request-ID": "x" * LONGEST}
        assert http.get("/healthz", headers=longest).headers["x-request-id"] == "x" * LONGEST
        for insane in (b"x" * (LONGEST + 1), "naïve".encode("latin-1"), b"tab\there", b""):
            answer = http.get("/healthz", headers=[(b"X-Request-ID", insane)])
            assert answer.headers["x-request-id"] != insane.decode("latin-1")
        for _ in range(3):
            assert http.post(f"{PATH}/predictions", json=records(2)).status_code == 202
        refused = http.post(f"{PATH}/predictions", json="nothing", headers={"X-Request-ID": "bad"})
        assert 400 <= refused.status_code < 500
        assert http.get("/").status_code == 200
    lines = parsed(server.stop()[2])
    told = {"timestamp", "level", "logger", "event"}
    assert all(told <= line.keys() for line in lines)
    mine = [line for line in lines if line["logger"].startswith("tidegauge.requests")]
    missing = next(line for line in mine if line["request_id"] == "nightly 7")
    assert (missing["status"], missing["method"]) == (404, "GET")
    assert missing["path"] == "/v1/projects/default/models/none"
    assert (missing["project"], missing["model"]) == ("default", "none")
    assert missing["code"] == "unknown_model"
    assert any(line["path"] == "/" and line["status"] == 200 for line in mine)
    # What is acknowledged is counted, not logged; what is refused is both.
    posts = [line for line in mine if line["path"].endswith("/predictions")]
    assert [(line["event"], line["request_id"]) for line in posts] == [("refused", "bad")]


def test_what_nobody_foresaw_is_logged_once_and_answered_with_its_id(
    shared: tuple[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    address, app = shared

    def fails(_: Request) -> Response:
        raise ValueError(f"cannot read {NAME!r}")

    app.router.routes.insert(0, Route("/v1/fails", fails))
    answer = httpx.get(f"{address}/v1/fails", headers={"X-Request-ID": "r9"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "r9")
    assert answer.json()["request_id"] == "r9" and answer.json()["code"] == "internal_error"
    assert NAME not in answer.text
    errors: list[logging.LogRecord] = []
    until = time.monotonic() + 5
    while not errors and time.monotonic() < until:  # it is logged after the answer
        errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in errors] == ["a request failed"]
    assert errors[0].exc_info is not None and errors[0].__dict__["path"] == "/v1/fails"


def test_a_flood_of_refusals_floods_no_log(start_process: Callable[..., Process]) -> None:
    server = start_process(TIDEGAUGE_LOG_LEVEL="info", TIDEGAUGE_LOG_FORMAT="json")
    with httpx.Client(base_url=server.address) as http:
        for _ in range(300):
            assert http.post(f"{PATH}/labels", json=[]).status_code == 404
    lines = [line for line in parsed(server.stop()[2]) if line["event"] == "refused"]
    assert 10 <= len(lines) <= 60
    left_out = sum(line.get("left_out_before", 0) for line in lines)
    assert len(lines) + left_out <= 300


def test_no_record_and_no_credential_is_in_any_line(
    start_process: Callable[..., Process], tmp_path: Path
) -> None:
    """At the most talkative level, with everything that makes it talk."""
    private = "jane.doe@example.org"
    server = start_process(
        TIDEGAUGE_LOG_LEVEL="debug",
        TIDEGAUGE_LOG_FORMAT="json",
        TIDEGAUGE_FLUSH_INTERVAL="0.2",
        AWS_SECRET_ACCESS_KEY=SECRET,
    )
    with httpx.Client(base_url=server.address) as http:
        rows = [{**row, "mail": private} for row in records(5)]
        http.post(f"{PATH}/predictions", json=rows)
        Api(http, "m").record("p4")
        rows[0]["age"] = private
        http.post(f"{PATH}/predictions", json=rows)
        cut_off = f'[{{"mail": "{private}'.encode()
        json_type = {"Content-Type": "application/json"}
        http.post(f"{PATH}/predictions", content=cut_off, headers=json_type)
        http.post(f"{PATH}/predictions", json=[{"timestamp": private}])
        http.get(f"{PATH}/records", params={"prediction_id": private})
        http.get(f"{PATH}/metrics", params={"segment": f"mail:{private}"})
        http.get(f"{PATH}/metrics", params={"start": private})
        # Unreadable by its content: whatever the libraries say of it must not quote it.
        http.post(
            f"{PATH}/predictions",
            content=b"PAR1" + private.encode() + b"PAR1",
            headers={"Content-Type": "application/vnd.apache.parquet"},
        )
        http.get(f"/projects/default/models/m/columns/{private}")
    code, _, err = server.stop()
    assert code == 0 and len(err.splitlines()) > 10
    written = err.replace(f"/columns/{private}", "")  # an address that somebody asked for
    for word in ("jane", "example.org", SECRET, "p4", '"UA"'):
        assert word not in written, next(line for line in written.splitlines() if word in line)


@pytest.fixture
def log() -> Iterator[Callable[..., tuple[logging.Logger, io.StringIO]]]:
    undone: list[Callable[[], None]] = []

    def start(form: str = "json", **settings: Any) -> tuple[logging.Logger, io.StringIO]:
        stream = io.StringIO()
        told = Settings(log_format=form, log_level="debug", **settings)
        undone.append(logs.set_up(told, stream))
        return logging.getLogger("tidegauge.test"), stream

    yield start
    for undo in undone:
        undo()


Log = Callable[..., tuple[logging.Logger, io.StringIO]]


#: Put together, so that no line of a traceback shows it.
NAME = " ".join(("jane", "doe", "4711"))


def quoting_errors() -> list[Exception]:
    """Errors of the parts that quote what they were given, as they really say it."""
    found: list[Exception] = []
    attempts: list[Callable[[], object]] = [
        lambda: pa.array([NAME]).cast(pa.float64()),
        lambda: pa.array([{"a": 1}, NAME]),
        lambda: duckdb.sql(f"select cast('{NAME}' as double)").fetchall(),
        lambda: float(NAME),
        lambda: {}[NAME],
    ]
    for attempt in attempts:
        with pytest.raises(Exception) as caught:
            attempt()
        found.append(caught.value)
    return [*found, BadInput(f"timestamp: {NAME!r} is no time; send ISO 8601")]


@pytest.mark.parametrize("error", quoting_errors(), ids=lambda error: type(error).__name__)
def test_errors_that_quote_values_are_written_without_them(log: Log, error: Exception) -> None:
    logger, stream = log()
    try:
        raise RuntimeError("while flushing") from error
    except RuntimeError:
        logger.exception("flush failed: %s, %r", error, error)
    text = stream.getvalue()
    assert "jane" not in text and "4711" not in text
    (line,) = parsed(text)
    assert type(error).__name__ in line["event"] and type(error).__name__ in line["exception"]
    assert "RuntimeError: while flushing" in line["exception"]
    assert "test_logs.py" in line["exception"], "it must still be seen where it came from"


def test_passwords_and_keys_of_settings_are_hidden(log: Log) -> None:
    url = f"postgresql://tide:{SECRET}@db.example/tide"
    logger, stream = log(database_url=url)
    logger.error("cannot reach %s with %s", url, SECRET, extra={"url": url, "password": SECRET})
    logger.error("another: mysql://root:s3cr3t@host/x")
    text = stream.getvalue()
    assert SECRET not in text and "s3cr3t" not in text
    assert "postgresql://tide:***@db.example/tide" in text and "mysql://root:***@host/x" in text


def test_for_people_a_line_is_words_and_colour_is_for_terminals(log: Log) -> None:
    logger, stream = log("console")
    logger.warning("a part is not well", extra={"part": "disk"})
    (line,) = stream.getvalue().splitlines()
    assert "a part is not well" in line and "part=disk" in line and "[warning" in line
    assert "\x1b" not in line


def test_libraries_are_logged_the_same_way(log: Log) -> None:
    _, stream = log()
    logging.getLogger("sqlalchemy.pool").error("lost a connection")
    logging.getLogger("alembic").info("not wanted at this level")
    events = [line["event"] for line in parsed(stream.getvalue())]
    assert events[0] == "lost a connection"
