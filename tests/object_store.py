"""A real S3 API for tests: moto's server as a process, and a proxy before it that fails calls."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_names = itertools.count()


class Fault(Enum):
    """What happens to a call."""

    #: Answered 503 without being carried out, as a store that is overloaded does.
    REFUSED = "refused"
    #: The connection is dropped before the call is carried out.
    CUT_BEFORE = "cut before"
    #: Carried out, then answered 500.
    FAILED_AFTER = "failed after"
    #: Carried out, then the connection is dropped without an answer.
    CUT_AFTER = "cut after"


#: Options with which failed calls are tried again sooner than usual.
HASTE = {"backoff_config.init_backoff": "10ms", "backoff_config.max_backoff": "50ms"}
#: Tells the fault of a call by its number (from 1), method and path; None lets it pass.
Plan = Callable[[int, str, str], "Fault | None"]


def every(n: int) -> Plan:
    """Fail every n-th call, in each of the ways in turn."""
    kinds = list(Fault)
    return lambda call, _, __: None if call % n else kinds[call // n % len(kinds)]


@dataclass(frozen=True)
class Store:
    """A bucket, and how it is reached."""

    endpoint: str
    bucket: str

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}"

    @property
    def options(self) -> dict[str, str]:
        """Options as ``deltalake`` takes them."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
        }

    def through(self, endpoint: str) -> Store:
        """Return the same bucket as reached through another address."""
        return Store(endpoint, self.bucket)

    def put(self, path: str, content: bytes = b"") -> None:
        connection = http.client.HTTPConnection(self.endpoint.removeprefix("http://"), timeout=10)
        with contextlib.closing(connection):
            connection.request("PUT", f"/{self.bucket}{path}", content)
            assert connection.getresponse().status == 200


class Moto:
    """moto's server, as a process on a free port."""

    def __init__(self, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-p", str(port)], stdout=file, stderr=file
            )
        self.endpoint = f"http://127.0.0.1:{port}"
        until = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            assert self.process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.05)

    def bucket(self) -> Store:
        """Return a new bucket."""
        store = Store(self.endpoint, f"lake-{os.getpid()}-{next(_names)}")
        store.put("")
        return store

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)


class Proxy:
    """Stands before an S3 server; counts calls, delays them, and fails those that a plan names."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream.removeprefix("http://")
        self.plan: Plan = lambda *_: None
        self.delay = 0.0
        self.calls: list[tuple[str, str]] = []
        self.faults: Counter[Fault] = Counter()
        self._guard = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def counted(self) -> Counter[str]:
        """Return how many calls there were of each method; a listing counts as ``LIST``."""
        kinds = ("LIST" if "list-type" in path else method for method, path in self.calls)
        return Counter(kinds)

    def decide(self, method: str, path: str) -> Fault | None:
        with self._guard:
            self.calls.append((method, path))
            fault = self.plan(len(self.calls), method, path)
            if fault is not None:
                self.faults[fault] += 1
            return fault


@contextlib.contextmanager
def proxied(store: Store) -> Iterator[tuple[Proxy, Store]]:
    """Put a proxy before a bucket; yields it and the bucket as reached through it."""
    proxy = Proxy(store.endpoint)
    try:
        yield proxy, store.through(proxy.endpoint)
    finally:
        proxy.stop()


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: Any) -> None:
            pass

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = proxy.decide(self.command, self.path)
            if proxy.delay:
                time.sleep(proxy.delay)
            if fault is Fault.REFUSED:
                self._answer(503, [], _error("SlowDown"))
                return
            if fault is Fault.CUT_BEFORE:
                self._cut()
                return
            connection = http.client.HTTPConnection(proxy.upstream, timeout=30)
            with contextlib.closing(connection):
                connection.request(self.command, self.path, body, dict(self.headers))
                response = connection.getresponse()
                content = response.read()
            if fault is Fault.CUT_AFTER:
                self._cut()
            elif fault is Fault.FAILED_AFTER:
                self._answer(500, [], _error("InternalError"))
            else:
                self._answer(response.status, response.getheaders(), content)

        def _cut(self) -> None:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

        def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response_only(status)
            length = str(len(content))
            for name, value in headers:
                if name.lower() == "content-length":
                    length = value
                elif name.lower() not in ("connection", "transfer-encoding"):
                    self.send_header(name, value)
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                with contextlib.suppress(OSError):  # Who asked may have gone meanwhile.
                    self.wfile.write(content)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass

    return Handler


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>on purpose</Message></Error>".encode()
