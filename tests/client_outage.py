"""A client with a spool whose server is away: the scenario, for any duration and rate.

A service logs without pause. Its server is killed (SIGKILL) and stays away; meanwhile the service
itself is killed, and started again; then the server comes back. What the spool had acknowledged
must be in the lake once, whatever happened.
"""

from __future__ import annotations

import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
from deltalake import DeltaTable

SERVICE = """
import json, resource, sys, threading, time
from tidegauge_client import Client

url, spool, run, rate, options = sys.argv[1:]
client = Client(url, model="m", spool=spool, **json.loads(options))
done = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), done.set()), daemon=True).start()
begin, logged, slowest = time.monotonic(), 0, 0.0
while not done.wait(0.02):
    while logged < (time.monotonic() - begin) * float(rate):
        at = time.perf_counter()
        client.log_one(f"{run}-{logged}", {"age": logged % 70, "carrier": "UA"}, score=0.5)
        slowest = max(slowest, time.perf_counter() - at)
        logged += 1
    stats = client.stats  # the first come first out of memory: these the spool or the server has
    safe = logged - stats.queued - stats.dropped
    print(json.dumps({"safe": safe, "spooled": stats.spooled_batches}), flush=True)
flushed = client.flush(600)
stats = client.stats
print(json.dumps({
    "safe": logged, "spooled": stats.spooled_batches, "flushed": flushed,
    "recovered": stats.recovered, "dropped": stats.dropped, "sent": stats.sent,
    "slowest_call": slowest,
    "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}), flush=True)
"""


@dataclass(frozen=True)
class Outage:
    """What came of it.

    Attributes
    ----------
    acknowledged : int
        Records that the spool (or the server) had, before a kill or at the end.
    stored : int
        Records in the lake.
    lost, doubled : int
        Acknowledged ones that are not there; any that are there more than once.
    most_batches : int
        The most that waited on disk.
    drained_after : float
        Seconds from the server's return until all was sent, with live traffic beside it.
    slowest_call : float
        Seconds that the slowest ``log_one`` took.
    peak_mib : float
        The most memory of the service.
    dropped, recovered : int
        What the last service's books say.
    """

    acknowledged: int
    stored: int
    lost: int
    doubled: int
    most_batches: int
    drained_after: float
    slowest_call: float
    peak_mib: float
    dropped: int
    recovered: int


def server_away(
    folder: Path,
    duration: float = 600.0,
    rate: float = 1_000.0,
    service_kills: int = 1,
    server_kills: int = 1,
    live_after: float = 1.0,
    **options: Any,
) -> Outage:
    """Play it, with real processes, and count.

    Parameters
    ----------
    folder : Path
        Where the data, the spool and the logs go.
    duration : float
        Seconds that the server is away.
    rate : float
        Records logged in a second.
    service_kills : int
        How often the service is killed meanwhile, at even distances.
    server_kills : int
        How often the server is killed again after its return, in the midst of what it gets.
    live_after : float
        Seconds that the service goes on logging after the server's return.
    **options
        Options of the client.
    """
    port = _free_port()
    patience = {"flush_interval": 0.1, "backoff": 0.05, "max_backoff": 1.0, **options}
    safe: dict[str, int] = {}
    most_batches = 0
    with _server(folder, port) as server:
        service = _Service(folder, port, "run0", rate, patience)
        service.await_line()
        time.sleep(live_after)  # the server has some
        server.kill()
        server.wait()
    try:
        for kill in range(service_kills):
            time.sleep(duration / (service_kills + 1))
            service.process.kill()
            last = service.end()
            safe[service.run] = last["safe"]
            most_batches = max(most_batches, last["spooled"])
            service = _Service(folder, port, f"run{kill + 1}", rate, patience)
        time.sleep(duration / (service_kills + 1))
        back = time.monotonic()
        for _ in range(server_kills):
            with _server(folder, port):
                _await_ready(port)
                time.sleep(0.5)
        with _server(folder, port) as server:
            time.sleep(live_after)
            last = service.finish()
            drained_after = time.monotonic() - back
            server.terminate()
            assert server.wait(60) == 0
    finally:
        service.process.kill()
        service.end()
    assert last["flushed"], f"not all was sent: {last}"
    safe[service.run] = last["safe"]
    most_batches = max([most_batches, *(line["spooled"] for line in service.lines)])

    stored = Counter(_stored_ids(folder))
    wanted = (f"{run}-{number}" for run, count in safe.items() for number in range(count))
    return Outage(
        acknowledged=sum(safe.values()),
        stored=stored.total(),
        lost=sum(name not in stored for name in wanted),
        doubled=sum(count > 1 for count in stored.values()),
        most_batches=most_batches,
        drained_after=drained_after,
        slowest_call=last["slowest_call"],
        peak_mib=last["peak_mib"],
        dropped=last["dropped"],
        recovered=last["recovered"],
    )


class _Service:
    """One process of the service; its lines are read by a thread, so it is never held up."""

    def __init__(
        self, folder: Path, port: int, run: str, rate: float, options: dict[str, Any]
    ) -> None:
        self.run = run
        self.lines: list[dict[str, Any]] = []
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()
        with (folder / f"{run}.log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    SERVICE,
                    f"http://127.0.0.1:{port}",
                    str(folder / "spool"),
                    run,
                    str(rate),
                    json.dumps(options),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith("}\n"):  # the last may be cut by a kill
                self.lines.append(json.loads(line))
                self._news.put(None)

    def await_line(self) -> None:
        self._news.get(timeout=30)

    def finish(self) -> dict[str, Any]:
        """Have it send all and end; return what it said last."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.end()

    def end(self) -> dict[str, Any]:
        """Wait for its end; return what it said last."""
        self.process.wait(700)
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        return self.lines[-1]


@contextmanager
def _server(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``tidegauge serve`` over ``folder/data``; killed at the end, if it is still there."""
    command = [sys.executable, "-m", "tidegauge.cli", "serve"]
    command += ["--data", str(folder / "data"), "--port", str(port)]
    with (folder / "server.log").open("ab") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ})
    try:
        yield server
    finally:
        server.kill()
        server.wait()


def _await_ready(port: int) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < until, "the server did not come back"
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _stored_ids(folder: Path) -> Iterator[str]:
    table = DeltaTable(str(folder / "data" / "lake" / "default" / "m" / "records"))
    for file in table.file_uris():
        yield from pq.read_table(file, columns=["prediction_id"]).column(0).to_pylist()
