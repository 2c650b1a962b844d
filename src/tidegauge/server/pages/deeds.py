"""What people do on pages, by plain forms: with incidents, quarantined rows, new columns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tidegauge.engine.quarantine import Chosen
from tidegauge.errors import BadInput, NotFound, TidegaugeError
from tidegauge.server.newcomers import accept
from tidegauge.server.pages.asked import Links
from tidegauge.server.pages.rendering import HEADERS
from tidegauge.server.pages.serving import Desk, desk_of, error_answer
from tidegauge.server.problems import Refused
from tidegauge.server.quarantining import replay
from tidegauge.server.routes import incidents as api

_LARGEST = 64 << 10
_ACTS = {"acknowledge": api.acknowledge, "resolve": api.resolve}


def _endpoint(action: str) -> Callable[[Request], Awaitable[Response]]:
    async def deed(request: Request) -> Response:
        try:
            _require_own_page(request)
            fields = await _fields(request)
            await run_in_threadpool(_do, desk_of(request.app), request, action, fields)
        except TidegaugeError as error:
            return error_answer(error)
        links = Links(request.path_params["project"], request.path_params["model"])
        address = links.incident(request.path_params["incident"])
        return RedirectResponse(f"{address}#deeds", 303, HEADERS)

    return deed


def _require_own_page(request: Request) -> None:
    """Refuse a form of another site; the origin's name is checked before this, where there is one.

    Raises
    ------
    Refused
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        raise Refused("a page of another site may not change anything here", code="cross_origin")


async def _fields(request: Request) -> dict[str, str]:
    """Read a form.

    Raises
    ------
    BadInput
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/x-www-form-urlencoded", ""):
        raise BadInput("this takes a form of a page; programs use the API, see /docs")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST:
            raise BadInput("the note is too long; keep it under 10,000 letters", code="too_large")
    held = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[0].strip() for name, values in held.items()}


def _do(desk: Desk, request: Request, action: str, fields: dict[str, str]) -> None:
    runtime = desk.runtime
    found = runtime.get(request.path_params["project"], request.path_params["model"])
    number: int = request.path_params["incident"]
    if runtime.catalog.incidents.get(number).model_id != found.id:
        raise NotFound(f"model {found.name!r} has no incident {number}", code="unknown_incident")
    by = fields.get("by", "")[:200] or "somebody"
    text = fields.get("text", "")[:10_000]
    if action in _ACTS:
        _ACTS[action](found.project, number, runtime, api.Deed(by=by, text=text or None))
    elif text:
        api.note(found.project, number, runtime, api.Note(by=by, text=text))
    else:
        raise BadInput("the note is empty; write something in it", code="empty_note")


def _replay(desk: Desk, request: Request, fields: dict[str, str]) -> str:
    """Check quarantined rows again; return where to go on."""
    runtime = desk.runtime
    found = runtime.get(request.path_params["project"], request.path_params["model"])
    chosen = {name: fields[name][:1000] for name in _CHOOSING if name in fields}
    done = replay(runtime, found, Chosen(**chosen))
    told = {"replayed": done.replayed, "repeated": done.repeated, "stayed": done.stayed}
    return f"{Links(found.project, found.name).quarantine()}?{urlencode(told)}"


def _accept(desk: Desk, request: Request, fields: dict[str, str]) -> str:
    """Take a column into the schema; return where to go on."""
    runtime = desk.runtime
    found = runtime.get(request.path_params["project"], request.path_params["model"])
    wanted = {fields.get("column", ""): fields.get("type") or None}
    accept(runtime, found, wanted, by=fields.get("by", "")[:200] or "somebody", reason="")
    return f"{Links(found.project, found.name).schema()}#new"


def _model_endpoint(
    work: Callable[[Desk, Request, dict[str, str]], str],
) -> Callable[[Request], Awaitable[Response]]:
    async def deed(request: Request) -> Response:
        try:
            _require_own_page(request)
            fields = await _fields(request)
            address = await run_in_threadpool(work, desk_of(request.app), request, fields)
        except TidegaugeError as error:
            return error_answer(error)
        return RedirectResponse(address, 303, HEADERS)

    return deed


_CHOOSING = ("resource", "code", "column")
_OF_MODEL = "/projects/{project}/models/{model}"
_INCIDENT = "/projects/{project}/models/{model}/incidents/{incident:int}"
DEEDS = (
    *(
        (f"{_INCIDENT}/{action}", _endpoint(action))
        for action in ("acknowledge", "resolve", "notes")
    ),
    (f"{_OF_MODEL}/quarantine/replay", _model_endpoint(_replay)),
    (f"{_OF_MODEL}/schema/accept", _model_endpoint(_accept)),
)
