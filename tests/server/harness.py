"""What the tests of the server share: records, a model on a server, servers of all kinds."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import uvicorn

from tidegauge.server.app import create_app
from tidegauge.server.connections import http_options
from tidegauge.server.serve import listen
from tidegauge.server.settings import Settings

ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"
NDJSON = "application/x-ndjson"
START = datetime(2026, 1, 5, tzinfo=UTC)


def stamp(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def records(n: int, start: datetime = START, step: timedelta = timedelta(minutes=10)) -> list[Any]:
    return [
        {
            "prediction_id": f"p{i}",
            "timestamp": stamp(start + i * step),
            "age": float(20 + i % 40),
            "carrier": ("UA", "AA", "DL")[i % 3],
            "score": (i % 100) / 100,
        }
        for i in range(n)
    ]


def frame(n: int, **more: Any) -> pa.Table:
    rows = records(n)
    table = pa.Table.from_pylist(rows)
    times = pa.array(
        [START + i * timedelta(minutes=10) for i in range(n)], pa.timestamp("us", "UTC")
    )
    table = table.set_column(1, "timestamp", times)
    for name, values in more.items():
        table = table.append_column(name, pa.array(values))
    return table


class Api:
    """One model on a server."""

    def __init__(self, http: httpx.Client, model: str) -> None:
        self.http = http
        self.model = model
        self.path = f"/v1/projects/default/models/{model}"

    def post(self, resource: str, **request: Any) -> httpx.Response:
        return self.http.post(f"{self.path}/{resource}", **request)

    def get(self, resource: str = "", **parameters: Any) -> Any:
        path = f"{self.path}/{resource}" if resource else self.path
        answer = self.http.get(path, params=parameters)
        answer.raise_for_status()
        return answer.json()

    def record(self, prediction_id: str, patience: float = 5.0) -> dict[str, Any]:
        """Return a stored record, as soon as it can be read."""
        until = time.monotonic() + patience
        while True:
            answer = self.http.get(f"{self.path}/records", params={"prediction_id": prediction_id})
            if answer.status_code == 200:
                found: dict[str, Any] = answer.json()
                return found
            assert answer.status_code == 404, answer.text
            assert time.monotonic() < until, f"{prediction_id} cannot be read after {patience} s"
            time.sleep(0.1)

    def all_records(self, wanted: int, patience: float = 5.0) -> list[dict[str, Any]]:
        until = time.monotonic() + patience
        while True:
            found: list[dict[str, Any]] = self.get("records", limit=10_000)["records"]
            if len(found) >= wanted or time.monotonic() > until:
                return found
            time.sleep(0.1)


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[tuple[str, Any]]:
    """Run a server in a thread; yields its address and its application."""
    listener = listen(settings.host, settings.port)
    app = create_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, **http_options()))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        until = time.monotonic() + 20
        while not app.state.life.opened:
            assert thread.is_alive() and time.monotonic() < until, "the server did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", app
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
        assert not thread.is_alive()


class Process:
    """``tidegauge serve`` as a process."""

    def __init__(self, data: Path, **settings: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tidegauge.cli", "serve", "--data", str(data), "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **settings},
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        self.address = next((w for w in self.line.split() if w.startswith("http")), "")

    def kill(self) -> None:
        self.process.kill()
        self.end()

    def stop(self, sign: int = signal.SIGTERM) -> tuple[int, str, str]:
        self.process.send_signal(sign)
        return self.end()

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, self.line + out, err
