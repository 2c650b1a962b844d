"""How a page is answered: worked out in a thread, kept while it is true, timed, errors as pages."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tidegauge.errors import Overloaded, TidegaugeError
from tidegauge.server.logs import about_request
from tidegauge.server.pages.held import HeldSheets, Sheet
from tidegauge.server.pages.reading import Reading
from tidegauge.server.pages.rendering import HEADERS, render
from tidegauge.server.runtime import Runtime

_log = logging.getLogger(__name__)
_MEANT = re.compile(r"no (?:model|column) '(.+?)'.* \(did you mean '(.+?)'\?\)")
_UNFORESEEN = "Something went wrong that nobody foresaw; the server's log tells more."


class Elsewhere(Exception):
    """The page is at another address.

    Parameters
    ----------
    address : str
    """

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address


class Desk:
    """Everything that answering a page needs.

    Parameters
    ----------
    runtime : Runtime
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.reading = Reading(runtime)
        self.sheets = HeldSheets()

    def held(
        self,
        clock: Clock,
        address: str,
        stamp: str,
        make: Callable[[], str | bytes],
        kind: str = "",
    ) -> Sheet:
        """Return a page from memory, or make it.

        Parameters
        ----------
        clock : Clock
        address : str
        stamp : str
            Of what the page rests on.
        make : callable
        kind : str
            Its media type; HTML by default.
        """
        found = self.sheets.get(address, stamp)
        if found is None:
            found = Sheet.of(make(), media_type=kind)
            self.sheets.put(address, stamp, found)
            clock.cached = False
        return found


class Clock:
    """Measures the parts of one answer, for the header ``Server-Timing``."""

    def __init__(self) -> None:
        self._started = self._last = time.perf_counter()
        self._parts: list[tuple[str, float]] = []
        self.cached = True

    def lap(self, name: str) -> None:
        """Note that a part ends here."""
        now = time.perf_counter()
        self._parts.append((name, now - self._last))
        self._last = now

    def header(self) -> str:
        """Return the header's text.

        Examples
        --------
        >>> Clock().header().startswith("total;dur=")
        True
        """
        total = time.perf_counter() - self._started
        parts = [*self._parts, ("total", total)]
        told = ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in parts)
        return (
            told if not self._parts else f'{told}, cache;desc="{"hit" if self.cached else "miss"}"'
        )


Work = Callable[[Desk, Request, Clock], Sheet]


def desk_of(app: Starlette) -> Desk:
    """Return the desk of an application, made at the first page."""
    runtime: Runtime = app.state.runtime
    desk: Desk | None = getattr(app.state, "desk", None)
    if desk is None or desk.runtime is not runtime:
        desk = app.state.desk = Desk(runtime)
    return desk


def page(work: Work) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of a page."""

    async def endpoint(request: Request) -> Response:
        clock = Clock()
        desk = desk_of(request.app)
        try:
            sheet = await run_in_threadpool(work, desk, request, clock)
        except Elsewhere as other:
            return RedirectResponse(other.address, 303, HEADERS)
        except TidegaugeError as error:
            return error_answer(error, request.url.path)
        except Exception:
            _log.exception("a page failed", extra=about_request(request.scope))
            return Response(error_page(500, _UNFORESEEN), 500, HEADERS, "text/html; charset=utf-8")
        return _answer(request, sheet, clock)

    return endpoint


def _answer(request: Request, sheet: Sheet, clock: Clock) -> Response:
    tag = f'"{sheet.tag}"'
    headers = {
        **HEADERS,
        "Cache-Control": "no-cache",
        "ETag": tag,
        "Server-Timing": clock.header(),
    }
    if request.headers.get("if-none-match") == tag and sheet.status == 200:
        return Response(status_code=304, headers=headers)
    return Response(sheet.body, sheet.status, headers, sheet.media_type)


def error_answer(error: TidegaugeError, path: str = "") -> Response:
    """Return the page of an error raised on purpose.

    Parameters
    ----------
    error : TidegaugeError
    path : str
        What was asked for, so that the page can lead to what may have been meant.
    """
    headers = dict(HEADERS)
    if isinstance(error, Overloaded):
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    message = error.message.encode("utf-8", "replace").decode()
    body = error_page(error.status, message, _meant(message, path))
    return Response(body, error.status, headers, "text/html; charset=utf-8")


def _meant(message: str, path: str) -> str:
    """Return the address that may have been meant, where an error names it; else nothing.

    Examples
    --------
    >>> _meant("no model 'churm' here (did you mean 'churn'?)", "/projects/default/models/churm")
    '/projects/default/models/churn'
    """
    found = _MEANT.search(message)
    if found is None:
        return ""
    wrong, right = quote(found[1], safe=""), quote(found[2], safe="")
    address = quote(path, safe="/")
    return address.replace(f"/{wrong}", f"/{right}", 1) if f"/{wrong}" in address else ""


def error_page(status: int, message: str, meant: str = "") -> str:
    """Return the page of an error."""
    sentence = message[:1].upper() + message[1:]
    values = {"status": status, "sentence": sentence.rstrip(".") + ".", "meant": meant}
    return render("error.html", values)


def add_error_pages(app: Any) -> None:
    """Answer browsers that ask for what is not there with a page; programs as before."""
    before = app.exception_handlers.get(HTTPException)

    async def missing(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        wants_page = "text/html" in request.headers.get("accept", "")
        if wants_page and error.status_code == 404 and not request.url.path.startswith("/v1/"):
            message = f"there is nothing at {request.url.path}; start from all models"
            return Response(error_page(404, message), 404, HEADERS, "text/html; charset=utf-8")
        assert before is not None
        answer: Response = await before(request, error)
        return answer

    app.add_exception_handler(HTTPException, missing)
