"""What every page of one model begins with: the model, the range of time, the frame around it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request

from tidegauge.server.known import Model
from tidegauge.server.pages.asked import Asked, Links, read_query, time_text
from tidegauge.server.pages.reading import Standing
from tidegauge.server.pages.serving import Desk, Elsewhere
from tidegauge.server.pages.span import Span


def model_of(desk: Desk, request: Request) -> Model:
    """Return the model that an address names.

    Raises
    ------
    NotFound
        Naming what it may have been meant to be.
    """
    return desk.runtime.get(request.path_params["project"], request.path_params["model"])


def opened(desk: Desk, request: Request) -> tuple[Standing, Asked, Span | None]:
    """Return what a page of one model begins with; sends on where the range is no whole windows."""
    found = model_of(desk, request)
    standing = desk.reading.standing(found)
    asked = read_query(request.query_params, found.schema)
    span = desk.reading.span(standing, asked)
    if span is not None and request.method == "GET":
        _settled(request, asked, span)
    return standing, asked, span


def _settled(request: Request, asked: Asked, span: Span) -> None:
    wanted = {}
    for name, told, whole in (("start", asked.start, span.start), ("end", asked.end, span.end)):
        if told is not None and request.query_params[name] != time_text(whole):
            wanted[name] = time_text(whole)
    if wanted:
        query = urlencode({**dict(request.query_params), **wanted}, safe=":,")
        raise Elsewhere(f"{request.url.path}?{query}")


def frame(standing: Standing, asked: Asked, span: Span | None, place: str) -> dict[str, Any]:
    """Return what the frame of every page of one model needs."""
    found = standing.model
    going_on = [one for one in standing.incidents if one.state != "resolved"]
    return {
        "model": found,
        "links": Links(found.project, found.name, asked),
        "asked": asked,
        "span": span,
        "place": place,
        "going_on": len(going_on),
        "baseline": standing.baseline,
    }
