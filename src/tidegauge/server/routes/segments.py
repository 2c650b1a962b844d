"""The worst segments of a model's records, and of those of an incident."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from tidegauge.errors import BadInput, Conflict
from tidegauge.server.parameters import (
    End,
    ModelName,
    ProjectName,
    RuntimeOf,
    Start,
    interval,
    json_answer,
    problems,
)
from tidegauge.server.routes.incidents import IncidentId, found_incident
from tidegauge.server.searching import Asked, asked_by_incident, told, usual_interval

router = APIRouter(prefix="/v1/projects/{project}", tags=["models"])


@router.get(
    "/models/{model}/segments/worst",
    summary="Search for the worst segments",
    operation_id="worst_segments",
    response_class=Response,
    responses=problems(400, 404, 409, 429),
)
def worst(
    project: ProjectName,
    model: ModelName,
    runtime: RuntimeOf,
    start: Start = None,
    end: End = None,
    metric: Annotated[
        str | None,
        Query(
            max_length=100,
            description="By which: roc_auc, log_loss, brier, accuracy; mae, mse of a regression.",
            examples=["roc_auc"],
        ),
    ] = None,
    reference_start: Annotated[
        str | None, Query(description="Where did it get worse, held against a time from here on.")
    ] = None,
    reference_end: Annotated[
        str | None, Query(description="Before this time; the start by default.")
    ] = None,
    depth: Annotated[int, Query(ge=1, le=2, description="Columns of a segment at most.")] = 2,
) -> Response:
    """Search every feature and segment column, and every pair, among labelled records.

    Without a time the seven newest closed windows. The chance of any finding where nothing differs
    is at most 5 %. Without enough labels, `why_not` says so. At most 5 000 000 records are read and
    250 000 labelled ones searched, those whose ids hash smallest; an answer is kept until records
    or labels come.
    """
    known = runtime.get(project, model)
    if (start is None) != (end is None):
        raise BadInput("give both start and end, or neither", code="bad_interval")
    usual = usual_interval(runtime, known) if start is None else interval(start, end)
    if usual is None:
        raise Conflict(
            f"model {model!r} has no closed window yet; give start and end", code="nothing_closed"
        )
    reference = None
    if reference_start is not None:
        reference = interval(reference_start, reference_end or usual[0].isoformat())
    elif reference_end is not None:
        raise BadInput("reference_end needs a reference_start", code="bad_interval")
    asked = Asked(*usual, reference, metric or None, depth)
    return json_answer(told(runtime.segment_search.of(known, asked), known, asked))


@router.get(
    "/incidents/{incident}/segments",
    summary="Search where an incident's performance got worse",
    operation_id="incident_segments",
    response_class=Response,
    responses=problems(400, 404, 429),
)
def of_incident(project: ProjectName, incident: IncidentId, runtime: RuntimeOf) -> Response:
    """Its windows held against the time before it, four times as long; labelled records alone."""
    found, known = found_incident(runtime, project, incident)
    asked = asked_by_incident(known, found, runtime.catalog.incidents.alarms(found.id))
    return json_answer(told(runtime.segment_search.of(known, asked), known, asked))
