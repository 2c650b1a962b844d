"""A load generator that leaves the processor to the server: `python -m benchmarks.load URL`.

One thread, plain sockets, kept alive; of an answer it reads the status and the length. Without a
rate each connection sends its next request as soon as it has its answer; with one, requests are due
at even intervals, and the time that a late one waited counts into its acknowledgement.
"""

from __future__ import annotations

import argparse
import collections
import heapq
import json
import os
import random
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from benchmarks.load_bodies import KINDS, Bodies

CONNECTIONS = {"json": 16, "arrow": 4, "single": 64}
_LONGEST_WAIT = 0.5
_ACCEPTED = 202
_BUSY = 429


@dataclass(frozen=True)
class Load:
    """What to send.

    Parameters
    ----------
    address : str
        ``http://host:port`` of the server.
    kind : str
        ``json`` (batches of 500), ``arrow`` (batches of 10,000) or ``single`` (one record).
    seconds : float
        How long to send; answers are waited for.
    model, project : str
    connections : int, optional
        By default 16 for batches of JSON, 4 for Arrow, 64 for single records.
    rate : float, optional
        Requests a second; as fast as possible by default.
    keys : bool
        Whether each request has an ``Idempotency-Key``.
    clock : callable
        From the seconds since the start to the event time, in seconds since 1970; the clock's own
        time by default.
    """

    address: str
    kind: str
    seconds: float
    model: str = "load"
    project: str = "default"
    connections: int | None = None
    rate: float | None = None
    keys: bool = False
    clock: Callable[[float], float] | None = None


@dataclass
class Outcome:
    """What came of it.

    ``latencies`` are those of the acknowledged requests, in seconds; ``refused`` counts answers
    429, ``failed`` all other answers and broken connections; ``cpu`` is the generator's own time,
    in seconds.
    """

    kind: str
    records_each: int
    seconds: float = 0.0
    cpu: float = 0.0
    refused: int = 0
    failed: int = 0
    first_failure: str = ""
    latencies: list[float] = field(default_factory=list, repr=False)

    @property
    def requests(self) -> int:
        """How many were acknowledged."""
        return len(self.latencies)

    @property
    def records(self) -> int:
        """How many records were acknowledged."""
        return self.requests * self.records_each

    def summary(self) -> dict[str, float | int | str]:
        """Rates, and the times of acknowledgement in milliseconds."""
        told = asdict(self)
        del told["latencies"]
        spans = np.array(self.latencies or [float("nan")]) * 1e3
        return {
            **told,
            "requests": self.requests,
            "records": self.records,
            "requests_per_second": round(self.requests / self.seconds, 1),
            "records_per_second": round(self.records / self.seconds),
            "p50_ms": round(float(np.quantile(spans, 0.5)), 2),
            "p99_ms": round(float(np.quantile(spans, 0.99)), 2),
            "max_ms": round(float(spans.max()), 2),
        }


class _Connection:
    """One kept-alive connection, with at most one request on its way."""

    def __init__(self, run: _Run, bodies: Bodies) -> None:
        self._run = run
        self._bodies = bodies
        self._left: memoryview = memoryview(b"")
        self._answer = b""
        self.due = 0.0
        self.busy = False
        self._writing = False
        self.socket = socket.create_connection(run.where, timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        run.selector.register(self.socket, selectors.EVENT_READ, self)

    def send(self, number: int, second: int, due: float) -> None:
        """Begin to send a request."""
        body = self._bodies.body(number, second)
        head = self._run.head(number, self._bodies)
        if isinstance(body, bytes):
            self._left = memoryview(head + body)
        else:
            sent = self.socket.send(head, socket.MSG_MORE)
            assert sent == len(head), "not even a request's head could be sent"
            self._left = body
        self.due = due
        self.busy = True
        self._write()

    def handle(self, events: int) -> None:
        """Go on sending, or read the answer."""
        if events & selectors.EVENT_WRITE:
            self._write()
        if events & selectors.EVENT_READ:
            self._read()

    def _write(self) -> None:
        try:
            while self._left:
                self._left = self._left[self.socket.send(self._left) :]
        except BlockingIOError:
            pass
        wanted = bool(self._left)
        if wanted != self._writing:
            self._writing = wanted
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if wanted else 0)
            self._run.selector.modify(self.socket, events, self)

    def _read(self) -> None:
        part = self.socket.recv(65_536)
        if not part:
            raise ConnectionError("the server closed the connection")
        self._answer += part
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])
        if len(body) < length:
            return
        self._answer, self.busy = b"", False
        self._run.answered(self, int(head[9:12]), body)


class _Run:
    """All connections, their clock and what came of it."""

    def __init__(self, load: Load) -> None:
        address = urlsplit(load.address)
        self.where = (address.hostname or "127.0.0.1", address.port or 80)
        self.selector = selectors.DefaultSelector()
        self._load = load
        self._path = f"/v1/projects/{load.project}/models/{load.model}/predictions?version=1"
        self._number = random.getrandbits(24) << 32
        self._count = load.connections or CONNECTIONS[load.kind]
        self.outcome = Outcome(load.kind, KINDS[load.kind]().records)
        self._free: collections.deque[_Connection] = collections.deque()
        self._resting: list[tuple[float, int, _Connection]] = []
        self._sent = 0
        self._started = 0.0

    def head(self, number: int, bodies: Bodies) -> bytes:
        key = f"Idempotency-Key: {number:x}\r\n" if self._load.keys else ""
        return (
            f"POST {self._path} HTTP/1.1\r\nHost: {self.where[0]}:{self.where[1]}\r\n"
            f"Content-Type: {bodies.media_type}\r\nContent-Length: {bodies.size}\r\n{key}\r\n"
        ).encode()

    def answered(self, connection: _Connection, status: int, body: bytes) -> None:
        now = time.perf_counter()
        if status == _ACCEPTED:
            self.outcome.latencies.append(now - connection.due)
        elif status == _BUSY:
            self.outcome.refused += 1
            heapq.heappush(self._resting, (now + _LONGEST_WAIT, id(connection), connection))
            return
        else:
            self._fail(f"{status} {body[:200]!r}")
        self._free.append(connection)

    def go(self) -> Outcome:
        bodies = KINDS[self._load.kind]
        self._free.extend(_Connection(self, bodies()) for _ in range(self._count))
        self._started = time.perf_counter()
        used = time.process_time()
        end = self._started + self._load.seconds
        while (now := time.perf_counter()) < end:
            self._send_what_is_due(now)
            self._turn(min(self._pause(now), end - now))
        until = end + 30
        while any(key.data.busy for key in self.selector.get_map().values()):
            if time.perf_counter() > until:
                self._fail("no answer for 30 s")
                break
            self._turn(0.1)
        self.outcome.seconds = time.perf_counter() - self._started
        self.outcome.cpu = time.process_time() - used
        for key in list(self.selector.get_map().values()):
            key.data.socket.close()
        self.selector.close()
        return self.outcome

    def _send_what_is_due(self, now: float) -> None:
        while self._resting and self._resting[0][0] <= now:
            self._free.append(heapq.heappop(self._resting)[2])
        while self._free:
            due = now
            if self._load.rate is not None:
                due = self._started + self._sent / self._load.rate
                if due > now:
                    return
            connection = self._free.popleft()
            self._sent += 1
            clock = self._load.clock
            event = time.time() if clock is None else clock(now - self._started)
            try:
                connection.send(self._number + self._sent, int(event), due)
            except OSError as error:
                self._replace(connection, error)

    def _pause(self, now: float) -> float:
        pause = 1.0
        if self._resting:
            pause = self._resting[0][0] - now
        if self._free and self._load.rate is not None:
            pause = min(pause, self._started + self._sent / self._load.rate - now)
        return max(0.0, pause)

    def _turn(self, pause: float) -> None:
        for key, events in self.selector.select(pause):
            try:
                key.data.handle(events)
            except BlockingIOError:
                continue
            except OSError as error:
                self._replace(key.data, error)

    def _replace(self, broken: _Connection, error: OSError) -> None:
        self._fail(repr(error))
        self.selector.unregister(broken.socket)
        broken.socket.close()
        self._free.append(_Connection(self, KINDS[self._load.kind]()))

    def _fail(self, what: str) -> None:
        self.outcome.failed += 1
        self.outcome.first_failure = self.outcome.first_failure or what


def run(load: Load) -> Outcome:
    """Send a load and return what came of it.

    Raises
    ------
    OSError
        If the server cannot be reached.
    """
    return _Run(load).go()


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used so far, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Send a load as the command line says, and print what came of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("--kind", choices=list(KINDS), default="json")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--model", default="load")
    parser.add_argument("--connections", type=int)
    parser.add_argument("--rate", type=float, help="requests a second")
    parser.add_argument("--keys", action="store_true")
    parser.add_argument("--pid", type=int, help="the server's process, whose time is told as well")
    given = vars(parser.parse_args())
    pid = given.pop("pid")
    before = cpu_seconds(pid) if pid else 0.0
    outcome = run(Load(**given))
    told = outcome.summary()
    if pid:
        used = cpu_seconds(pid) - before
        told["server_cpu_ms_per_request"] = round(used * 1e3 / max(1, outcome.requests), 4)
    told["generator_cpu_ms_per_request"] = round(outcome.cpu * 1e3 / max(1, outcome.requests), 4)
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
