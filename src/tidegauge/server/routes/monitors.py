"""A model's budget of false alarms and its monitors: shown, replaced, tried on the past."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from tidegauge.metrics.result import plain
from tidegauge.monitor.document import (
    Severity,
    dump_policies,
    loads_policies,
    policies_from_json,
    policies_to_json,
)
from tidegauge.monitor.policy import Against, Policies
from tidegauge.schema import Schema
from tidegauge.server.backtesting import Backtest, backtest
from tidegauge.server.bodies import read_body, unpacked
from tidegauge.server.parameters import ModelName, ProjectName, RuntimeOf, json_answer, problems
from tidegauge.server.request_ids import carried
from tidegauge.server.routes.models import read_document
from tidegauge.server.runtime import Runtime

router = APIRouter(prefix="/v1/projects/{project}/models/{model}", tags=["models"])

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
_CONTENT: dict[str, Any] = {
    "application/json": {"schema": _SCHEMA, "example": _EXAMPLE},
    "application/yaml": {"schema": {"type": "string"}},
}


@router.get(
    "/monitors",
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
    "/monitors",
    summary="Set a model's monitors",
    operation_id="put_monitors",
    response_class=Response,
    responses={
        200: {"description": "the budget and monitors as they are now"},
        **problems(400, 404, 413, 415, 422),
    },
    openapi_extra={"requestBody": {"required": True, "content": _CONTENT}},
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


@router.post(
    "/backtest",
    summary="Try monitors on the past",
    operation_id="backtest",
    response_class=Response,
    responses={
        200: {"description": "what would have fired"},
        **problems(400, 404, 409, 413, 415, 422),
    },
    openapi_extra={"requestBody": {"required": False, "content": _CONTENT}},
)
async def post_backtest(
    request: Request,
    project: ProjectName,
    model: ModelName,
    runtime: RuntimeOf,
    days: Annotated[
        int, Query(ge=1, le=3660, description="How far back from the newest closed window.")
    ] = 90,
) -> Response:
    """Which alarms there would have been over the stored windows; nothing is changed.

    With the monitors of the body, or with the model's own where it is empty.
    """
    with runtime.intake.admit() as take:
        body = await read_body(request, _LARGEST, take)
        headers = request.headers
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            runtime.heavy_workers,
            carried(
                _backtest,
                *(runtime, project, model, days, body),
                *(headers.get("content-type"), headers.get("content-encoding")),
            ),
        )
    told = {name: plain(value) for name, value in vars(found).items()}
    return json_answer({"model": model, **told, "alarms": [vars(one) for one in found.alarms]})


def _put(
    runtime: Runtime, project: str, model: str, body: bytes, kind: str | None, encoding: str | None
) -> Policies:
    policies = _read(runtime.get(project, model).schema, body, kind, encoding)
    return runtime.put_policies(project, model, policies).policies


def _backtest(
    runtime: Runtime,
    project: str,
    model: str,
    days: int,
    body: bytes,
    kind: str | None,
    encoding: str | None,
) -> Backtest:
    known = runtime.get(project, model)
    policies = _read(known.schema, body, kind, encoding) if body.strip() else known.policies
    return backtest(runtime, known, policies, days)


def _read(schema: Schema, body: bytes, kind: str | None, encoding: str | None) -> Policies:
    return read_document(
        unpacked(body, encoding, _LARGEST),
        kind,
        lambda text: loads_policies(text, "body", schema, also=("model",)),
        lambda data: policies_from_json(data, schema, "body"),
    )
