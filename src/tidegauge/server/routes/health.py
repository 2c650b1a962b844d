"""Whether the server lives, whether it is ready, and what Prometheus may know."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from tidegauge.server.parameters import RuntimeOf, json_answer, problems
from tidegauge.server.problems import problem
from tidegauge.server.readiness import Readiness
from tidegauge.version import __version__

router = APIRouter(tags=["health"])

_CHECKS: dict[str, Any] = {
    "type": "object",
    "description": "Each part by its name.",
    "additionalProperties": {
        "type": "object",
        "properties": {
            "state": {"type": "string", "enum": ["ok", "warning", "failed"]},
            "message": {"type": "string"},
            "since": {"type": "string", "format": "date-time"},
        },
    },
}
_READY: dict[str, Any] = {
    "description": "ready; what warns is named",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"status": {"type": "string"}, "checks": _CHECKS},
            }
        }
    },
}


@router.get("/healthz", summary="Is the process alive?", operation_id="healthz")
async def healthz() -> Response:
    """Answers as long as the event loop turns, whatever else is wrong; for a supervisor that
    restarts the process.
    """
    return json_answer({"status": "ok", "tidegauge": __version__})


@router.get(
    "/readyz",
    summary="Can it take records, and bring them to the lake?",
    operation_id="readyz",
    response_class=Response,
    responses={200: _READY, **problems(503)},
)
async def readyz(
    request: Request,
    exclude: Annotated[
        list[str],
        Query(
            default_factory=list,
            description="A part that is not asked for; may be given several times.",
        ),
    ],
) -> Response:
    """Tries every part for real, within two seconds, and names what is wrong.

    503 while it starts, once it was told to stop, and whenever a part failed. A part that hangs
    has failed. An answer holds for a second, so that probes are no load.
    """
    readiness: Readiness = request.app.state.readiness
    loop = asyncio.get_running_loop()
    report = await loop.run_in_executor(readiness.waiter, readiness.report)
    checks = {
        check.name: {
            "state": check.state,
            "message": check.message,
            "since": check.since.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        for check in report.checks
        if check.name not in exclude
    }
    if wrong := report.wrongs(exclude):
        return problem(503, "not_ready", "; ".join(wrong), {"Retry-After": "2"}, checks=checks)
    return json_answer({"status": "ready", "checks": checks})


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    operation_id="metrics",
    response_class=Response,
    responses={200: {"description": "text format", "content": {"text/plain": {}}}},
)
def metrics(runtime: RuntimeOf) -> Response:
    """The server's own counters, and of each model the newest closed window's judged results.

    Segments are left out, so that the number of series stays bounded.
    """
    return Response(generate_latest(runtime.counters.registry), media_type=CONTENT_TYPE_LATEST)
