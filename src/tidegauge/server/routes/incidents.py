"""Incidents: read, acknowledged, resolved, written about."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError

from tidegauge.catalog.tables import Incident
from tidegauge.errors import NotFound
from tidegauge.server.bodies import read_body
from tidegauge.server.known import Model
from tidegauge.server.parameters import ProjectName, RuntimeOf, json_answer, problems
from tidegauge.server.runtime import Runtime
from tidegauge.server.shown import UNRESOLVED, by_harm, shown_incident

router = APIRouter(prefix="/v1/projects/{project}/incidents", tags=["incidents"])

_MOST = 10_000
_NOTES = 10_000
_LARGEST = 1 << 16
IncidentId = Annotated[
    int, Path(ge=1, le=2**31 - 1, description="The incident's number.", examples=[1])
]


class Wanted(StrEnum):
    """Which incidents are listed."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    UNRESOLVED = "unresolved"


class Order(StrEnum):
    """In which order they are listed."""

    HARM = "harm"
    NEWEST = "newest"


class Deed(BaseModel):
    """Who does something to an incident, and what they have to say."""

    by: str = Field("somebody", min_length=1, max_length=200, examples=["ana"])
    text: str | None = Field(None, max_length=10_000, examples=["The weather feed was down."])


class Note(Deed):
    """What somebody writes about an incident."""

    text: str = Field(min_length=1, max_length=10_000, examples=["The weather feed was down."])


_DeedT = TypeVar("_DeedT", bound=Deed)


async def _deed(request: Request) -> Deed:
    """Read who does it, and why; nothing needs to be said."""
    body = await read_body(request, _LARGEST, lambda _: None)
    return _read(Deed, body) if body.strip() else Deed()


async def _written(request: Request) -> Note:
    """Read a note."""
    return _read(Note, await read_body(request, _LARGEST, lambda _: None))


def _read(kind: type[_DeedT], body: bytes) -> _DeedT:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        found = [{**one, "loc": ("body", *one["loc"])} for one in error.errors()]
        raise RequestValidationError(found) from None


DeedOf = Annotated[Deed, Depends(_deed)]
NoteOf = Annotated[Note, Depends(_written)]


def _body(kind: type[Deed]) -> dict[str, Any]:
    content = {"application/json": {"schema": kind.model_json_schema()}}
    example = {"by": "ana", "text": "The weather feed was down."}
    content["application/json"]["example"] = example
    return {"requestBody": {"required": kind is Note, "content": content}}


@router.get("", summary="List incidents", operation_id="list_incidents")
def list_incidents(
    project: ProjectName,
    runtime: RuntimeOf,
    state: Annotated[
        Wanted | None, Query(description="Only those in this state.", examples=["unresolved"])
    ] = None,
    model: Annotated[str | None, Query(max_length=100, description="Only this model's.")] = None,
    order: Annotated[
        Order, Query(description="The most harmful first, or the newest.")
    ] = Order.HARM,
    limit: Annotated[int, Query(ge=1, le=_MOST, description="At most so many.")] = 100,
) -> Response:
    """Alarms of one cause make an incident; the most harmful first."""
    states = UNRESOLVED if state is Wanted.UNRESOLVED else () if state is None else (state.value,)
    found = runtime.catalog.incidents.all(
        project=project, model=model or None, states=states, limit=_MOST
    )
    ordered = by_harm(found) if order is Order.HARM else found
    models = {known.id: known for known in runtime.models(project)}
    return json_answer(
        {"incidents": [shown_incident(one, models[one.model_id]) for one in ordered[:limit]]}
    )


@router.get(
    "/{incident}", summary="Show an incident", operation_id="get_incident", responses=problems(404)
)
def get_incident(project: ProjectName, incident: IncidentId, runtime: RuntimeOf) -> Response:
    """With its alarms, its evidence, and what people did about it."""
    found, model = found_incident(runtime, project, incident)
    return json_answer(_whole(runtime, found, model))


@router.post(
    "/{incident}/acknowledge",
    summary="Acknowledge an incident",
    operation_id="acknowledge_incident",
    responses=problems(404, 413, 422),
    openapi_extra=_body(Deed),
)
def acknowledge(
    project: ProjectName, incident: IncidentId, runtime: RuntimeOf, deed: DeedOf
) -> Response:
    """Somebody has seen it and is looking at it; once more changes nothing."""
    found, model = found_incident(runtime, project, incident)
    if runtime.catalog.incidents.acknowledge(found.id, deed.by, datetime.now(UTC)):
        _note(runtime, model, found, "acknowledge", deed)
    return json_answer(_whole(runtime, *found_incident(runtime, project, incident)))


@router.post(
    "/{incident}/resolve",
    summary="Resolve an incident",
    operation_id="resolve_incident",
    responses=problems(404, 413, 422),
    openapi_extra=_body(Deed),
)
def resolve(
    project: ProjectName, incident: IncidentId, runtime: RuntimeOf, deed: DeedOf
) -> Response:
    """It is over; what comes after is another incident. Once more changes nothing."""
    found, model = found_incident(runtime, project, incident)
    if runtime.catalog.incidents.resolve(found.id, datetime.now(UTC), deed.by):
        _note(runtime, model, found, "resolve", deed)
    return json_answer(_whole(runtime, *found_incident(runtime, project, incident)))


@router.post(
    "/{incident}/notes",
    status_code=201,
    summary="Write about an incident",
    operation_id="note_incident",
    responses=problems(404, 413, 422),
    openapi_extra=_body(Note),
)
def note(project: ProjectName, incident: IncidentId, runtime: RuntimeOf, deed: NoteOf) -> Response:
    """What was found out, for whoever comes after."""
    found, model = found_incident(runtime, project, incident)
    _note(runtime, model, found, "note", deed)
    return json_answer(_whole(runtime, found, model), 201)


def found_incident(runtime: Runtime, project: str, incident: int) -> tuple[Incident, Model]:
    """Return an incident and its model, if they belong to the project."""
    models = {known.id: known for known in runtime.models(project)}
    found = runtime.catalog.incidents.get(incident)
    if found.model_id not in models:
        raise NotFound(f"no incident {incident} in project {project!r}", code="unknown_incident")
    return found, models[found.model_id]


def _note(runtime: Runtime, model: Model, incident: Incident, action: str, deed: Deed) -> None:
    runtime.catalog.audit.record(
        deed.by,
        f"incident.{action}",
        _subject(incident),
        project=model.project,
        details={"text": deed.text} if deed.text else {},
    )


def _whole(runtime: Runtime, incident: Incident, model: Model) -> dict[str, object]:
    notes = [
        entry
        for entry in runtime.catalog.audit.all(project=model.project, limit=_NOTES)
        if entry.subject == _subject(incident)
    ]
    return shown_incident(incident, model, runtime.catalog.incidents.alarms(incident.id), notes)


def _subject(incident: Incident) -> str:
    return f"incident/{incident.id}"
