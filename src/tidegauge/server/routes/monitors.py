"""A model's budget of false alarms and its monitors: shown, and replaced as a whole."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from tidegauge.monitor.document import (
    Severity,
    dump_policies,
    loads_policies,
    policies_from_json,
    policies_to_json,
)
from tidegauge.monitor.policy import Against, Policies
from tidegauge.server.bodies import read_body, unpacked
from tidegauge.server.parameters import ModelName, ProjectName, RuntimeOf, json_answer, problems
from tidegauge.server.routes.models import read_document
from tidegauge.server.runtime import Runtime

router = APIRouter(prefix="/v1/projects/{project}/models/{model}/monitors", tags=["models"])

_LARGEST = 1 << 20
_EXAMPLE: dict[str, Any] = {
    "false_alarms": {"count": 1, "per": "30d"},
    "monitors": [
        {"metric": "missing_share", "columns": ["age", "fare_*"], "weight": 2},
        {"metric": "row_count", "threshold": {"change": 0.3, "against": "same_weekday"}},
    ],
}
_NUMBER: dict[str, Any] = {"type": "number", "minimum": 0}
_THRESHOLD: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "above": {"type": "number"},
        "below": {"type": "number"},
        "change": {"type": "number", "exclusiveMinimum": 0},
        "against": {"enum": [one.value for one in Against]},
        "segments": {"type": "boolean"},
    },
}
_MONITOR: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "metric": {"type": "string"},
        "columns": {"type": ["string", "array"], "items": {"type": "string"}},
        "threshold": {"oneOf": [_THRESHOLD, {"enum": ["evidently"]}]},
        "weight": _NUMBER,
        "minimum_effect": _NUMBER,
        "severity": {"enum": [one.value for one in Severity]},
    },
}
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "model": {"type": "string"},
        "false_alarms": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "count": {"type": "number", "exclusiveMinimum": 0},
                "per": {"type": "string"},
            },
        },
        "monitors": {"type": "array", "items": _MONITOR},
    },
}


@router.get(
    "",
    summary="Show a model's monitors",
    operation_id="get_monitors",
    response_class=Response,
    responses=problems(404),
)
def get_monitors(
    request: Request, project: ProjectName, model: ModelName, runtime: RuntimeOf
) -> Response:
    """Its budget and monitors, as JSON, or as YAML where Accept asks for application/yaml."""
    policies = runtime.get(project, model).policies
    if "yaml" in request.headers.get("accept", ""):
        return Response(dump_policies(policies), media_type="application/yaml")
    return json_answer({"model": model, **policies_to_json(policies)})


@router.put(
    "",
    summary="Set a model's monitors",
    operation_id="put_monitors",
    response_class=Response,
    responses={
        200: {"description": "the budget and monitors as they are now"},
        **problems(400, 404, 413, 415, 422),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": _SCHEMA, "example": _EXAMPLE},
                "application/yaml": {"schema": {"type": "string"}},
            },
        }
    },
)
async def put_monitors(
    request: Request, project: ProjectName, model: ModelName, runtime: RuntimeOf
) -> Response:
    """In place of those before; they count from the next window that is closed.

    What is left out is as usual: one window with a false alarm in 30 days, no monitors. Errors
    name the place.
    """
    with runtime.intake.admit() as take:
        body = await read_body(request, _LARGEST, take)
        headers = request.headers
        policies = await runtime.in_thread(
            _put,
            *(runtime, project, model, body),
            *(headers.get("content-type"), headers.get("content-encoding")),
        )
    return json_answer({"model": model, **policies_to_json(policies)})


def _put(
    runtime: Runtime, project: str, model: str, body: bytes, kind: str | None, encoding: str | None
) -> Policies:
    schema = runtime.get(project, model).schema
    policies = read_document(
        unpacked(body, encoding, _LARGEST),
        kind,
        lambda text: loads_policies(text, "body", schema, also=("model",)),
        lambda data: policies_from_json(data, schema, "body"),
    )
    return runtime.put_policies(project, model, policies).policies
