"""Whether the server lives, whether it is ready, and what Prometheus may know."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from tidegauge.server.parameters import RuntimeOf, json_answer, problems
from tidegauge.server.problems import problem
from tidegauge.version import __version__

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Is the process alive?", operation_id="healthz")
async def healthz() -> Response:
    """Answers as long as the process does; for a supervisor that restarts it."""
    return json_answer({"status": "ok", "tidegauge": __version__})


@router.get(
    "/readyz",
    summary="Can it take records, and bring them to the lake?",
    operation_id="readyz",
    responses=problems(503),
)
def readyz(runtime: RuntimeOf) -> Response:
    """Tries the journal, the flusher, the catalog and the disk; names what is wrong."""
    wrong = runtime.wrongs()
    if wrong:
        return problem(503, "not_ready", "; ".join(wrong), {"Retry-After": "2"})
    return json_answer({"status": "ready"})


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
