"""Taking in predictions and labels: the event loop moves bytes, threads do the work."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response

from tidegauge.errors import BadInput, TidegaugeError
from tidegauge.server import tracing
from tidegauge.server.bodies import header, read_body
from tidegauge.server.parameters import (
    ModelName,
    ProjectName,
    body_of_records,
    problems,
)
from tidegauge.server.posts import Post, Resource
from tidegauge.server.runtime import Runtime
from tidegauge.server.shortcut import HotRoute

router = APIRouter(
    prefix="/v1/projects/{project}/models/{model}", tags=["records"], route_class=HotRoute
)

_ANSWER: dict[str, Any] = {
    "title": "Account",
    "type": "object",
    "required": ["accepted", "repeated", "quarantined", "errors"],
    "properties": {
        "accepted": {"type": "integer", "description": "Records that are durable now."},
        "repeated": {"type": "integer", "description": "Repeats of another in the request."},
        "quarantined": {"type": "integer", "description": "Records kept aside, with the reason."},
        "errors": {
            "type": "array",
            "maxItems": 100,
            "items": {
                "type": "object",
                "required": ["index", "column", "code", "message"],
                "properties": {
                    "index": {"type": "integer"},
                    "column": {"type": ["string", "null"]},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
    },
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "durable; what did not fit is named",
        "content": {"application/json": {"schema": _ANSWER}},
    },
    **problems(400, 404, 408, 413, 415, 422, 429),
}
_TELLS = (
    "A key for this request, opaque: the same key within 24 hours gets the same answer, and "
    "nothing is stored twice."
)

_ABOUT_BODY = (b"content-type", b"content-encoding")

IdempotencyKey = Annotated[
    str | None, Header(alias="Idempotency-Key", max_length=255, description=_TELLS)
]


@router.post(
    "/predictions",
    status_code=202,
    summary="Log predictions",
    operation_id="post_predictions",
    response_class=Response,
    responses=_RESPONSES,
    openapi_extra=body_of_records(
        [
            {
                "prediction_id": "a1",
                "timestamp": "2026-01-01T00:00:00Z",
                "carrier": "UA",
                "distance": 733,
                "score": 0.71,
            }
        ],
        "One flat object a record; its keys are column names.",
    ),
)
async def post_predictions(
    request: Request,
    project: ProjectName,
    model: ModelName,
    version: Annotated[
        str | None,
        Query(
            max_length=200,
            description="The model's version, for records that do not name theirs.",
            examples=["3"],
        ),
    ] = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Answered once the records are durable; they can be read within 5 s.

    A model that is not known is created from its first records. A record that does not fit the
    model's schema is kept aside (quarantined) and does not spoil the others. Times carry a zone.
    Bodies may be sent with Content-Encoding gzip or zstd.
    """
    return await take_in(request, "predictions", project, model, version, idempotency_key)


@router.post(
    "/labels",
    status_code=202,
    summary="Log labels",
    operation_id="post_labels",
    response_class=Response,
    responses=_RESPONSES,
    openapi_extra=body_of_records(
        [{"prediction_id": "a1", "label": True, "timestamp": "2026-01-01T00:00:00Z"}],
        "prediction_id and label; timestamp (of the prediction: makes it cheap to find) and "
        "observed_at (when the label became known) are optional.",
    ),
)
async def post_labels(
    request: Request,
    project: ProjectName,
    model: ModelName,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """What turned out to be true, under the prediction_id of the prediction; of several for one
    prediction the one that was observed last counts.
    """
    return await take_in(request, "labels", project, model, None, idempotency_key)


async def take_in(
    request: Request,
    resource: Resource,
    project: str,
    model: str,
    version: str | None,
    key: str | None,
) -> Response:
    """Read a body, have it checked in a thread, and answer once it is durable."""
    runtime: Runtime = request.app.state.runtime
    try:
        if key == "":
            raise BadInput("the Idempotency-Key is empty; send one, or leave the header out")
        with runtime.intake.admit() as take:
            with tracing.part("ingest.read"):
                body = await read_body(request, runtime.settings.max_body, take)
            kind, encoding = (header(request.scope, name) for name in _ABOUT_BODY)
            post = Post(project, model, resource, body, kind, encoding, version, key)
            with tracing.part("ingest.store", bytes=len(body)):
                account = await runtime.gathering.take(post)
    except TidegaugeError as error:
        runtime.counters.refused.labels(error.code).inc()
        raise
    return Response(account.answer, 202, media_type="application/json")
