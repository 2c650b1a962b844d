"""Parameters that several routes share, and the parts of their OpenAPI descriptions."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import Depends, Path, Query, Request, Response

from tidegauge.errors import BadInput
from tidegauge.ingest import formats
from tidegauge.server.problems import MEDIA_TYPE, PROBLEM_SCHEMA
from tidegauge.server.runtime import Runtime

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
#: What a project's or a model's name is made of.
NAMES = re.compile(_NAME.removesuffix("$"))
#: Characters that a name, a version or a key may have.
MOST = {"name": 100, "version": 200, "key": 255}

ProjectName = Annotated[
    str,
    Path(
        pattern=_NAME,
        max_length=MOST["name"],
        examples=["default"],
        description="The project: letters, digits and . _ -",
    ),
]
ModelName = Annotated[
    str,
    Path(
        pattern=_NAME,
        max_length=MOST["name"],
        examples=["flight-delay"],
        description="The model: letters, digits and . _ -",
    ),
]
Version = Annotated[
    str | None,
    Query(max_length=MOST["version"], description="The model's version.", examples=["3"]),
]
Start = Annotated[
    str | None,
    Query(description="From here on: ISO 8601 with a zone.", examples=["2026-01-01T00:00:00Z"]),
]
End = Annotated[
    str | None,
    Query(description="Before this time.", examples=["2026-02-01T00:00:00Z"]),
]


async def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


RuntimeOf = Annotated[Runtime, Depends(_runtime)]


def json_answer(content: Any, status: int = 200) -> Response:
    """Return values as a JSON answer."""
    return Response(orjson.dumps(content), status, media_type="application/json")


def moment(text: str | None, name: str) -> datetime | None:
    """Read a time parameter.

    Raises
    ------
    BadInput
        If it is no time, or has no zone.

    Examples
    --------
    >>> moment("2026-01-01T01:00:00+01:00", "start").isoformat()
    '2026-01-01T00:00:00+00:00'
    """
    if text is None or not text:
        return None
    form = "ISO 8601 with a zone, as 2026-01-01T00:00:00Z"
    try:
        # A plus sign that was not encoded arrives as a space.
        time = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text)
    except ValueError:
        raise BadInput(f"{name}: {text[:60]!r} is no time; send {form}", code="bad_time") from None
    if time.tzinfo is None:
        raise BadInput(
            f"{name}: {text[:60]!r} has no time zone; send {form}", code="naive_timestamp"
        )
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise BadInput(f"{name}: {text[:60]!r} is out of range", code="bad_time") from None


def interval(start: str | None, end: str | None) -> tuple[datetime, datetime]:
    """Read ``start`` and ``end``; without one of them that side is open.

    Raises
    ------
    BadInput
        If either is no time, or they are the wrong way round.
    """
    first = moment(start, "start") or datetime(1, 1, 2, tzinfo=UTC)
    last = moment(end, "end") or datetime(9999, 12, 30, tzinfo=UTC)
    if last <= first:
        raise BadInput("end is not after start; swap them", code="bad_interval")
    return first, last


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the descriptions of error answers, for a route's ``responses``."""
    return {
        status: {
            "description": _MEANING[status],
            "content": {MEDIA_TYPE: {"schema": PROBLEM_SCHEMA}},
        }
        for status in statuses
    }


_MEANING = {
    400: "it cannot be read",
    403: "not from there",
    404: "not there",
    408: "the body did not come in time",
    409: "contradicts what is stored",
    413: "too large",
    415: "not in this format",
    422: "does not fit",
    429: "try again after Retry-After seconds",
    503: "not ready",
}


def body_of_records(example: Any, description: str, also: dict[str, Any] | None = None) -> Any:
    """Return the description of a request body with records, in every wire format.

    Parameters
    ----------
    example : list of dict
    description : str
    also : dict, optional
        A further schema that a JSON body may have.
    """
    rows: dict[str, Any] = {
        "type": "array",
        "items": {"type": "object", "additionalProperties": True},
    }
    content: dict[str, Any] = {}
    for format in formats():
        media_type = format.media_types[0]
        if media_type == "application/json":
            schema = rows if also is None else {"oneOf": [also, rows]}
            content[media_type] = {"schema": schema, "example": example}
        elif media_type == "application/x-ndjson":
            content[media_type] = {"schema": {"type": "string"}}
        else:
            content[media_type] = {"schema": {"type": "string", "format": "binary"}}
    return {"requestBody": {"required": True, "description": description, "content": content}}
