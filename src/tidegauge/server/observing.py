"""What is noted of every request: its id, a line in the log, how long it took, perhaps a span.

It stands before everything else, and thousands of requests a second pass: whatever is not needed is
not done.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidegauge.server import tracing
from tidegauge.server.logs import Sparing, about_request
from tidegauge.server.request_ids import begin
from tidegauge.server.tallies import Durations, Tally

_log = logging.getLogger("tidegauge.requests")
_of_records = logging.getLogger("tidegauge.requests.records")

#: A request with records that took longer is logged, in seconds.
SLOW = 1.0
# A flood of refusals floods no log.
_of_records.addFilter(Sparing(10))
_HOT = ("/predictions", "/labels")
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_HEALTH = frozenset({"/healthz", "/readyz", "/metrics"})
_BROKEN_OFF = 499


class RequestTallies:
    """Counts and durations of requests.

    Attributes
    ----------
    requests : Tally
        By kind and status.
    seconds : Durations
        By kind.
    """

    def __init__(self) -> None:
        self.requests = Tally(
            "tidegauge_requests",
            "Requests that were answered, by kind and HTTP status; 499 where the caller left.",
            ("kind", "code"),
        )
        self.seconds = Durations(
            "tidegauge_request_seconds",
            "From a request's first byte to the end of its answer, by kind; for predictions and "
            "labels that is how long it took until they were durable and acknowledged.",
            _BOUNDS,
            ("kind",),
        )


class Observer:
    """Notes every request that passes.

    Parameters
    ----------
    app : ASGI application
    tallies : RequestTallies
    """

    def __init__(self, app: ASGIApp, tallies: RequestTallies) -> None:
        self.app = app
        self._requests = tallies.requests
        self._seconds = tallies.seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and note what became of it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        sent = parent = None
        for name, value in scope["headers"]:
            if name == b"x-request-id":
                sent = value
            elif name == b"traceparent":
                parent = value
        request_id = begin(sent)
        header = (b"x-request-id", request_id.encode())
        span = None
        if tracing.is_on():
            span = tracing.request(scope["method"], scope["path"], parent, request_id)
        status, ended = 0, False

        def answer(message: Message) -> Awaitable[None]:
            nonlocal status, ended
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), header]
            elif not message.get("more_body"):
                ended = True
            return send(message)

        try:
            await self.app(scope, receive, answer)
        except asyncio.CancelledError:
            status = status or _BROKEN_OFF
            raise
        except Exception:
            status = status or 500
            _log.exception("a request failed", extra=about_request(scope))
            if not ended:
                raise
        finally:
            self._note(scope, status, time.perf_counter() - started, span)

    def _note(
        self, scope: Scope, status: int, seconds: float, span: tracing.RequestSpan | None
    ) -> None:
        kind = kind_of(scope["method"], scope["path"])
        self._requests.add((kind, str(status)))
        self._seconds.observe(seconds, (kind,))
        if kind != "predictions" and kind != "labels":
            if _log.isEnabledFor(logging.INFO):
                _say(_log, "request", scope, status, seconds)
        elif status >= 400 or seconds > SLOW:
            _say(_of_records, "refused" if status >= 400 else "slow", scope, status, seconds)
        if span is not None:
            span.end(route_of(scope), status)


def _say(log: logging.Logger, event: str, scope: Scope, status: int, seconds: float) -> None:
    about = about_request(scope)
    log.info(event, extra={**about, "status": status, "ms": round(seconds * 1000, 1)})


def kind_of(method: str, path: str) -> str:
    """Return the kind of a request; there are few.

    Examples
    --------
    >>> kind_of("POST", "/v1/projects/default/models/m/predictions"), kind_of("GET", "/")
    ('predictions', 'page')
    """
    if path.startswith("/v1/"):
        if method == "POST" and path.endswith(_HOT):
            return "labels" if path.endswith("/labels") else "predictions"
        return "api"
    if path in _HEALTH:
        return "health"
    return "static" if path.startswith("/static/") else "page"


def route_of(scope: Scope) -> str | None:
    """Return method and pattern of the route that answered, if one did."""
    path = getattr(scope.get("route"), "path", None)
    if path is None:
        path = scope["path"]
        for name, value in scope.get("path_params", {}).items():
            path = path.replace(f"/{value}", f"/{{{name}}}", 1)
        if "endpoint" not in scope:
            return None
    return f"{scope['method']} {path}"
