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

import httpx

from tidegauge.errors import TidegaugeError

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
