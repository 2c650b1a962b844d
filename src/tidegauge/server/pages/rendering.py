"""Pages as HTML: templates, static files, and the headers that pages are sent with."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import Response

from tidegauge.profile.layout import Segment
from tidegauge.report import format
from tidegauge.report.assets import Asset, assets
from tidegauge.report.environment import environment
from tidegauge.server.pages.asked import time_text

_FOLDER = Path(__file__).parent
_STYLE = "pages.css"
_YEAR = "public, max-age=31536000, immutable"

#: Charts set style attributes; no script is evaluated, and nothing is loaded from elsewhere.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'self'; "
        "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Vary": "Accept",
}


@cache
def templates() -> Environment:
    """Return the environment of the server's pages."""
    made = environment(_FOLDER.parent / "templates")
    made.filters["time_text"] = time_text
    made.filters["day"] = format.day
    made.filters["one_segment"] = _one_segment
    made.globals["static"] = address_of
    made.globals["home"] = "/"
    return made


def render(name: str, values: Mapping[str, Any]) -> str:
    """Return a template filled in."""
    return templates().get_template(name).render(values)


@cache
def files() -> dict[str, Asset]:
    """Return every static file by its name."""
    body = (_FOLDER / "static" / _STYLE).read_bytes()
    own = Asset(_STYLE, body, "text/css; charset=utf-8", None, sha256(body).hexdigest()[:12])
    return {**assets(), _STYLE: own}


def address_of(name: str) -> str:
    """Return the address of a static file; it changes with the content.

    Examples
    --------
    >>> address_of("pages.css").partition("=")[0]
    '/static/pages.css?v'
    """
    return f"/static/{name}?v={files()[name].tag}"


def static_file(request: Request) -> Response:
    """Answer with a static file."""
    asset = files().get(str(request.path_params["name"]))
    if asset is None:
        return Response("there is no such file", 404, media_type="text/plain; charset=utf-8")
    tag = f'"{asset.tag}"'
    headers = {"ETag": tag, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
    if request.query_params.get("v") == asset.tag:
        headers["Cache-Control"] = _YEAR
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    body = asset.body
    if asset.encoding is not None:
        headers["Vary"] = "Accept-Encoding"
        if asset.encoding in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = asset.encoding
        else:
            body = gzip.decompress(body)
    return Response(body, headers=headers, media_type=asset.media_type)


def _one_segment(told: Mapping[str, str]) -> tuple[str, str]:
    """Return a segment of results as links have it."""
    found = Segment.from_json(told)
    return found.column, found.value
