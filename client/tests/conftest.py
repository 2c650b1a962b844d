"""A server that keeps Tidegauge's side of the contract, over real HTTP, and fails as it is told."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pytest

from tidegauge_client import Client

TOLD_SO = b'{"code": "told_so", "message": "as the test wants"}'


@dataclass
class Reply:
    """One answer to come, instead of doing the work."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Reset:
    """A connection cut off instead of an answer, before or after the work was done."""

    after_storing: bool = False


class Hang:
    """No answer until the test ends."""


@dataclass
class Request:
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    rows: list[dict[str, Any]]
    size: int
    at: float
    connection: int

    @property
    def key(self) -> str:
        return self.headers["idempotency-key"]


class TideServer:
    """Stores what is posted, each idempotency key once, unless told to fail.

    ``then_…`` tells what to do with the next request (several are taken in turn); ``always`` with
    those after.
    """

    def __init__(self) -> None:
        self.script: deque[Reply | Reset | Hang] = deque()
        self.always: Reply | Reset | Hang | None = None
        self.requests: list[Request] = []
        self.stored: dict[str, list[dict[str, Any]]] = {}
        self.is_bad: Callable[[dict[str, Any]], bool] = lambda row: False
        self.fails_at: Callable[[dict[str, Any]], bool] = lambda row: False
        self._answers: dict[str, dict[str, Any]] = {}
        self._news = threading.Condition()
        self._released = threading.Event()
        self._sockets: set[socket.socket] = set()
        self.port = 0
        self.appear()

    def then_reply(self, status: int, body: bytes = TOLD_SO, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.script.append(Reply(status, body, named))

    def then_reset(self, after_storing: bool = False) -> None:
        self.script.append(Reset(after_storing))

    def then_hang(self) -> None:
        self.script.append(Hang())

    def always_reply(self, status: int) -> None:
        self.always = Reply(status, TOLD_SO)

    def always_hang(self) -> None:
        self.always = Hang()

    def recover(self) -> None:
        self.always = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def appear(self) -> None:
        self._http = _Listener(("127.0.0.1", self.port), _Handler)
        self._http.tide = self
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    def vanish(self) -> None:
        """Be gone: no listener, and the open connections cut."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        for connection in list(self._sockets):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        self._released.set()
        self.vanish()

    def rows(self, resource: str = "predictions") -> list[dict[str, Any]]:
        return self.stored.get(resource, [])

    def ids(self, resource: str = "predictions") -> list[str]:
        return [row["prediction_id"] for row in self.rows(resource)]

    def wait_for(self, what: Callable[[TideServer], object], seconds: float = 10.0) -> None:
        with self._news:
            assert self._news.wait_for(lambda: what(self), seconds), self.requests

    def handle(self, handler: _Handler) -> Reply | None:
        length = int(handler.headers["Content-Length"])
        body = handler.rfile.read(length)
        if len(body) < length:  # cut off on its way
            return None
        address = urlsplit(handler.path)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        rows = _decoded(body, headers["content-type"])
        request = Request(
            path=address.path,
            query=parse_qs(address.query),
            headers=headers,
            rows=rows,
            size=len(body),
            at=time.monotonic(),
            connection=handler.client_address[1],
        )
        with self._news:
            self.requests.append(request)
            step = self.script.popleft() if self.script else self.always
            self._news.notify_all()
        if any(map(self.fails_at, rows)):
            return Reply(500, TOLD_SO)
        if isinstance(step, Reply):
            return step
        if isinstance(step, Hang):
            self._released.wait()
            return None
        if isinstance(step, Reset) and not step.after_storing:
            return None
        with self._news:
            repeat = request.key in self._answers
            if not repeat:
                self._answers[request.key] = self._store(request)
            self._news.notify_all()
        if isinstance(step, Reset):
            return None
        return Reply(200 if repeat else 202, json.dumps(self._answers[request.key]).encode())

    def _store(self, request: Request) -> dict[str, Any]:
        seen: set[Any] = set()
        errors, repeated = [], 0
        for index, row in enumerate(request.rows):
            if self.is_bad(row):
                errors.append(
                    {"index": index, "column": "age", "code": "bad", "message": "not a number"}
                )
            elif row.get("prediction_id") in seen:
                repeated += 1
            else:
                seen.add(row.get("prediction_id"))
                self.stored.setdefault(request.path.rsplit("/", 1)[1], []).append(row)
        return {
            "accepted": len(request.rows) - repeated - len(errors),
            "repeated": repeated,
            "quarantined": len(errors),
            "errors": errors[:100],
        }


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    tide: TideServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: broken connections are what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes
    server: _Listener

    def setup(self) -> None:
        super().setup()
        self.server.tide._sockets.add(self.connection)

    def finish(self) -> None:
        self.server.tide._sockets.discard(self.connection)
        super().finish()

    def do_POST(self) -> None:
        reply = self.server.tide.handle(self)
        if reply is None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.wfile.close()
            self.rfile.close()
            self.connection.close()
            raise ConnectionAbortedError
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output clean."""


def _decoded(body: bytes, content_type: str) -> list[dict[str, Any]]:
    if content_type == "application/x-ndjson":
        return [json.loads(line, parse_constant=_no_json) for line in body.splitlines()]
    assert content_type == "application/vnd.apache.arrow.stream"
    rows: list[dict[str, Any]] = pa.ipc.open_stream(body).read_all().to_pylist()
    return rows


def _no_json(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


@pytest.fixture
def server() -> Iterator[TideServer]:
    server = TideServer()
    yield server
    server.stop()


@pytest.fixture
def connect(server: TideServer) -> Iterator[Callable[..., Client]]:
    """Make impatient clients; what they still hold at the end is thrown away."""
    clients = []

    def connect(**options: Any) -> Client:
        patience = {"flush_interval": 0.01, "backoff": 0.01, "max_backoff": 0.05, "timeout": 5.0}
        clients.append(Client(server.url, **{"model": "m", **patience, **options}))
        return clients[-1]

    yield connect
    for client in clients:
        client.close(timeout=0)


@pytest.fixture
def spooling(connect: Callable[..., Client], tmp_path: Path) -> Callable[..., Client]:
    """Make impatient clients with a spool in the folder ``spool`` of the test."""
    return lambda **options: connect(**{"spool": tmp_path / "spool", "timeout": 2.0, **options})


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return a look at what the client has said through logging so far."""
    caplog.set_level(logging.WARNING, "tidegauge_client")
    return lambda: [r.getMessage() for r in caplog.records if r.name == "tidegauge_client"]
