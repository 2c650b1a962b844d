"""Errors as HTTP answers: problem documents (RFC 9457) with our ``code`` and ``message``."""

from __future__ import annotations

import logging
import math
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any, ClassVar

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from tidegauge.errors import BadInput, Overloaded, TidegaugeError, Unavailable
from tidegauge.server.logs import Sparing, about_request
from tidegauge.server.request_ids import current_id

_log = logging.getLogger(__name__)
_log.addFilter(Sparing(10))
MEDIA_TYPE = "application/problem+json"

#: The schema of every answer that is an error, for OpenAPI.
PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "type": "object",
    "required": ["code", "message", "status"],
    "properties": {
        "code": {"type": "string", "description": "Machine-readable, stable."},
        "message": {"type": "string", "description": "What was wrong, where, and what to do."},
        "status": {"type": "integer", "description": "The HTTP status again."},
        "type": {"type": "string", "description": "Always about:blank."},
        "title": {"type": "string", "description": "The HTTP status in words."},
        "detail": {"type": "string", "description": "The message again, as RFC 9457 names it."},
        "request_id": {"type": "string", "description": "Names the request in the server's log."},
    },
}

_TITLES = {status.value: status.phrase for status in HTTPStatus}
_CODES = {404: "not_found", 405: "method_not_allowed"}
_ADVICE = {
    404: "there is nothing at {path}; /docs lists what there is",
    405: "{method} is not possible at {path}; /docs lists what is",
}


class TooLarge(BadInput):
    """A body above the limit; the message names the limit and its setting."""

    code = "too_large"
    status: ClassVar[int] = 413


class Refused(BadInput):
    """A request from where none may come."""

    code = "refused"
    status: ClassVar[int] = 403


class BadParameter(BadInput):
    """A parameter of a request that is not what it must be."""

    code = "bad_parameter"
    status: ClassVar[int] = 422


def problem(
    status: int,
    code: str,
    message: str,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> Response:
    """Return an error as a problem document.

    Parameters
    ----------
    status : int
    code : str
    message : str
    headers : dict of str to str, optional
    **more
        Further members of the document.

    Examples
    --------
    >>> problem(404, "not_found", "no model 'm'").status_code
    404
    """
    document = {
        "type": "about:blank",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": message,
        "code": code,
        "message": message,
        **more,
    }
    if request_id := current_id():
        document["request_id"] = request_id
    return Response(orjson.dumps(document), status, headers, MEDIA_TYPE)


def problem_of(error: TidegaugeError) -> Response:
    """Return the answer to an error raised on purpose."""
    headers = {}
    if isinstance(error, Overloaded | Unavailable):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if error.status == HTTPStatus.REQUEST_TIMEOUT:
        headers["Connection"] = "close"
    message = error.message.encode("utf-8", "replace").decode()
    return problem(error.status, error.code, message, headers)


def answer_to(error: TidegaugeError, scope: MutableMapping[str, Any]) -> Response:
    """Return the answer to an error of a request, and have what is to be known of it logged."""
    scope.setdefault("state", {})["problem"] = error.code  # for the log's line
    if error.status >= 500:
        _log.error("%s", error, extra=about_request(scope))
    return problem_of(error)


def unforeseen() -> Response:
    """Return the answer where something failed that should not have."""
    message = "an error that nobody foresaw; the server's log tells more"
    return problem(500, "internal_error", message)


def add_error_handlers(app: FastAPI) -> None:
    """Make every error of an application a problem document."""

    @app.exception_handler(TidegaugeError)
    async def _ours(request: Request, error: TidegaugeError) -> Response:
        return answer_to(error, request.scope)

    @app.exception_handler(RequestValidationError)
    async def _parameters(request: Request, error: RequestValidationError) -> Response:
        del request
        first = error.errors()[0]
        where, *path = [str(part) for part in first.get("loc", ())] or ["request"]
        name = ".".join(path)
        message = f"{where} {name!r}: {first.get('msg', 'not valid')}" if name else first["msg"]
        return problem(422, "bad_parameter", _printable(message))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        code = _CODES.get(error.status_code, "http_error")
        advice = _ADVICE.get(error.status_code, str(error.detail))
        message = advice.format(path=request.url.path, method=request.method)
        return problem(
            error.status_code, code, _printable(message), dict(error.headers or {}) or None
        )

    @app.exception_handler(Exception)
    async def _unforeseen(request: Request, error: Exception) -> Response:
        del request, error  # logged where it ends up
        return unforeseen()


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
