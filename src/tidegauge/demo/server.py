"""The demo's own server: the real ``tidegauge serve``, as a process beside this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tidegauge.errors import TidegaugeError

PROJECT = "default"
MODEL = "flight-delay"

#: Nine months in two minutes: labels are waited for in event time, restatements come at once.
ENVIRONMENT = {
    "TIDEGAUGE_LATENESS": "10800",
    "TIDEGAUGE_LABEL_HORIZON": "604800",
    "TIDEGAUGE_RESTATE_INTERVAL": "3",
    "TIDEGAUGE_FLUSH_INTERVAL": "1",
    "TIDEGAUGE_TICK_INTERVAL": "1",
}


@contextmanager
def running(data: Path, port: int) -> Iterator[str]:
    """Run a server over a data folder; yields its address, and stops it in the end."""
    log = data / "server.log"
    data.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tidegauge.cli", "serve"]
    with log.open("ab") as out:
        process = subprocess.Popen(
            [*command, "--data", str(data), "--port", str(port)],
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **ENVIRONMENT},
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _await_ready(process, address, log)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_ready(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    for _ in range(300):
        if process.poll() is not None:
            tail = log.read_text(errors="replace").strip().splitlines()[-3:]
            raise TidegaugeError(f"the demo's server did not start: {' / '.join(tail)}")
        try:
            if httpx.get(f"{address}/readyz", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise TidegaugeError(f"the demo's server was not ready within 30 s; see {log}")


class Api:
    """The few questions that the demo asks its server.

    Parameters
    ----------
    address : str
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._http = httpx.Client(base_url=f"{address}/v1/projects/{PROJECT}", timeout=30)

    def put_schema(self, text: str) -> None:
        """Give the model its schema, as YAML."""
        answer = self._http.put(
            f"/models/{MODEL}/schema",
            content=text.encode(),
            headers={"Content-Type": "application/yaml"},
        )
        self._json(answer)

    def model(self) -> dict[str, Any]:
        """Return the state of the model."""
        found: dict[str, Any] = self._json(self._http.get(f"/models/{MODEL}"))
        return found

    def incidents(self) -> list[dict[str, Any]]:
        """Return all incidents of the model, whatever their state, the most harmful first."""
        answer = self._json(self._http.get("/incidents", params={"model": MODEL, "limit": 1000}))
        found: list[dict[str, Any]] = answer["incidents"]
        return sorted(found, key=_by_harm)

    def metric(self, name: str, **wanted: str) -> list[dict[str, Any]]:
        """Return the points of one metric."""
        answer = self._json(
            self._http.get(f"/models/{MODEL}/metrics", params={"metric": name, **wanted})
        )
        found: list[dict[str, Any]] = answer["points"]
        return found

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    @staticmethod
    def _json(answer: httpx.Response) -> Any:
        if answer.status_code >= 400:
            raise TidegaugeError(f"the server answered {answer.status_code}: {answer.text[:300]}")
        return answer.json()


def _by_harm(incident: dict[str, Any]) -> tuple[int, float]:
    severities = ("critical", "warning", "info")
    return severities.index(incident["severity"]), -float(incident["evidence"].get("harm", 0.0))
