"""For how long a model's records and profiles are kept: shown and set."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from tidegauge.metrics.result import plain
from tidegauge.schema.retention import (
    Retention,
    read_retention,
    retention_from_json,
    retention_to_json,
)
from tidegauge.schema.yaml import yaml_node
from tidegauge.server.bodies import read_body
from tidegauge.server.known import Model
from tidegauge.server.parameters import ModelName, ProjectName, RuntimeOf, json_answer, problems
from tidegauge.server.routes.models import read_document

router = APIRouter(prefix="/v1/projects/{project}/models/{model}/retention", tags=["models"])

_LARGEST = 1 << 16
_SPAN = {"type": ["string", "null"], "examples": ["90d"]}
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"records": _SPAN, "profiles": _SPAN},
}


@router.get(
    "", summary="Show a model's retention", operation_id="get_retention", responses=problems(404)
)
def get_retention(project: ProjectName, model: ModelName, runtime: RuntimeOf) -> Response:
    """For how long records and profiles are kept after the time of their event; null for ever."""
    return json_answer(_shown(runtime.get(project, model)))


@router.put(
    "",
    summary="Set a model's retention",
    operation_id="put_retention",
    response_class=Response,
    responses={
        200: {"description": "the retention as it is now, with warnings"},
        **problems(400, 404, 413, 415, 422),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _SCHEMA,
                    "example": {"records": "90d", "profiles": "2y"},
                }
            },
        }
    },
)
async def put_retention(
    request: Request, project: ProjectName, model: ModelName, runtime: RuntimeOf
) -> Response:
    """In place of the one before; what is left out, or null, is kept for ever.

    Records go by whole days, with their labels and what is in quarantine; profiles and results
    by whole months. A window whose records are gone stays as it is.
    """
    body = await read_body(request, _LARGEST, lambda _: None)
    kind = request.headers.get("content-type")
    wanted: Retention = read_document(body, kind, _of_yaml, retention_from_json)
    known = await runtime.in_thread(runtime.put_retention, project, model, wanted)
    return json_answer(_shown(known))


def _of_yaml(text: str) -> Retention:
    node = yaml_node(text, "retention")
    return Retention() if node is None else read_retention(node)


def _shown(model: Model) -> dict[str, Any]:
    return {
        "model": model.name,
        **retention_to_json(model.retention),
        "records_from": plain(model.records_from),
        "warnings": model.retention.warnings(model.label_horizon),
    }
