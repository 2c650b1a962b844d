"""A real server under load: started for a benchmark, watched from outside while it works."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from deltalake import DeltaTable

from benchmarks.load import Load, run

PATH = "/v1/projects/default/models"
#: Windows close while the load runs: one a minute.
WINDOW = 60
_PERIOD = 1.0
_GAUGE = re.compile(rb"^(tidegauge_[a-z_]+)(?:\{([^}]*)\})? ([0-9.e+-]+)$", re.MULTILINE)


@dataclass
class Seen:
    """What was seen of a server at one time.

    Parameters
    ----------
    at : float
        Seconds since the watching began.
    backlog, resident, own : int
        Bytes: of the journal's backlog; of the process's memory, and without what it shares with
        files.
    files, log : int
        Files of all tables on the disk, and of their logs. What was replaced waits there for an
        hour, for queries that began before.
    live : int
        Files that a query reads.
    answer : float
        Seconds that the profile of a day took to be answered.
    """

    at: float
    backlog: int
    resident: int
    own: int
    files: int = 0
    log: int = 0
    live: int = 0
    answer: float = 0.0


@dataclass
class Served:
    """A server that runs: its address, its process, its folder."""

    address: str
    pid: int
    data: Path
    opened: float = 0.0

    def get(self, path: str) -> Any:
        """Return what a path of the API answers."""
        with urlopen(f"{self.address}{path}", timeout=60) as answer:
            return json.loads(answer.read())

    def gauges(self) -> dict[str, float]:
        """Return the server's own gauges, those of all models summed up."""
        with urlopen(f"{self.address}/metrics", timeout=60) as answer:
            found = _GAUGE.findall(answer.read())
        told: dict[str, float] = {}
        for name, _, value in found:
            told[name.decode()] = told.get(name.decode(), 0.0) + float(value)
        return told

    def backlog(self) -> int:
        """Return the bytes that wait for the lake."""
        return int(self.gauges()["tidegauge_journal_backlog_bytes"])

    def drain(self, patience: float = 600.0) -> float:
        """Wait until nothing waits for the lake, and return the seconds that took."""
        began = time.perf_counter()
        while self.backlog():
            if time.perf_counter() - began > patience:
                raise TimeoutError(f"{self.backlog() >> 20} MiB wait for the lake still")
            time.sleep(0.1)
        return time.perf_counter() - began

    def watched(self, model: str) -> None:
        """Give a model records of a while ago and a baseline of them, so that its windows close."""
        now = int(time.time()) // WINDOW * WINDOW
        start, end = now - 20 * WINDOW, now - 5 * WINDOW
        for minute in range(20):
            second = start + minute * WINDOW + 5
            load = Load(
                self.address,
                "json",
                0.05,
                model,
                connections=1,
                rate=30,
                clock=lambda _, at=second: at,
            )
            run(load)
        self.drain()
        body = json.dumps({"start": _stamp(start), "end": _stamp(end)}).encode()
        headers = {"Content-Type": "application/json"}
        with urlopen(Request(f"{self.address}{PATH}/{model}/baselines", body, headers), timeout=60):
            pass
        self.settle()

    def settle(self, patience: float = 900.0) -> None:
        """Wait until nothing waits for the lake, and no window can be closed."""
        until = time.monotonic() + patience
        while self.backlog() or self.gauges().get("tidegauge_windows_to_close"):
            if time.monotonic() > until:
                raise TimeoutError("there are still windows to close")
            time.sleep(0.5)

    def closed(self, model: str) -> int:
        """Return how many windows of a model are closed."""
        return int(self.get(f"{PATH}/{model}")["lag"]["closed"])


@contextlib.contextmanager
def serving(data: Path, *, fresh: bool = True, **settings: str) -> Iterator[Served]:
    """Run `tidegauge serve` on a folder; yields it once it listens."""
    if fresh:
        shutil.rmtree(data, ignore_errors=True)
    command = [sys.executable, "-m", "tidegauge.cli", "serve", "--data", str(data), "--port", "0"]
    environment = {
        **os.environ,
        "TIDEGAUGE_WINDOW": f"{WINDOW}s",
        "TIDEGAUGE_LATENESS": "5s",
        **settings,
    }
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        if found is None:
            raise RuntimeError(f"the server did not start: {line!r}")
        yield Served(found[0], process.pid, data, time.perf_counter() - began)
    finally:
        process.terminate()
        try:
            process.wait(120)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@contextlib.contextmanager
def ceiling() -> Iterator[str]:
    """Run the server that only answers; yields its address."""
    command = [sys.executable, "-m", "benchmarks.ceiling"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


@dataclass
class Watch:
    """Looks at a server once a second, in a thread, for as long as the block runs."""

    served: Served
    #: Also counts files, and asks for a day's profile of this model, every ten seconds.
    model: str | None = None
    seen: list[Seen] = field(default_factory=list)

    def __enter__(self) -> Watch:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(70)

    def _look(self) -> None:
        began = time.perf_counter()
        count = 0
        while not self._stop.wait(_PERIOD):
            resident, own = _memory(self.served.pid)
            seen = Seen(time.perf_counter() - began, self.served.backlog(), resident, own)
            if self.model is not None and count % 10 == 0:
                seen.files, seen.log, seen.live = _files(self.served.data / "lake")
                seen.answer = self._ask(self.model)
            self.seen.append(seen)
            count += 1

    def _ask(self, model: str) -> float:
        now = time.time()
        start, end = _stamp(now - 86_400), _stamp(now + 3_600)
        began = time.perf_counter()
        self.served.get(f"{PATH}/{model}/metrics?start={start}&end={end}&metric=row_count")
        return time.perf_counter() - began


def _stamp(second: float) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _memory(pid: int) -> tuple[int, int]:
    """Return a process's resident memory, and what of it is its own, in bytes."""
    told = Path(f"/proc/{pid}/status").read_text()
    found = dict(re.findall(r"^(VmRSS|RssAnon):\s+(\d+) kB", told, re.MULTILINE))
    return int(found["VmRSS"]) << 10, int(found["RssAnon"]) << 10


def _files(lake: Path) -> tuple[int, int, int]:
    """Return how many files the tables have on the disk, in their logs, and for a query to read."""
    files = log = live = 0
    for path in lake.rglob("*"):
        if path.suffix == ".parquet" and "_delta_log" not in path.parts:
            files += 1
        elif path.suffix == ".json":
            log += 1
        elif path.name == "_delta_log":
            live += len(DeltaTable(path.parent).file_uris())
    return files, log, live
