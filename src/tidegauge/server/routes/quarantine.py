"""What is in quarantine: in groups, row by row, and checked again."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from tidegauge.engine.quarantine import Chosen, QuarantineReader
from tidegauge.ingest.json import loads
from tidegauge.server.parameters import ModelName, ProjectName, RuntimeOf, json_answer, problems
from tidegauge.server.quarantining import replay

router = APIRouter(prefix="/v1/projects/{project}/models/{model}/quarantine", tags=["records"])


class Resource(StrEnum):
    """Where records were sent."""

    PREDICTIONS = "predictions"
    LABELS = "labels"


Code = Annotated[
    str | None,
    Query(max_length=200, description="Only those for this reason.", examples=["type_error"]),
]
Column = Annotated[
    str | None,
    Query(
        max_length=1000,
        description="Only those with this column wrong; empty: the record as a whole.",
    ),
]
Sent = Annotated[Resource | None, Query(description="Only those that were sent there.")]
_RESOURCE = {"enum": [one.value for one in Resource]}
_TEXT: dict[str, Any] = {"type": "string"}
_MAYBE: dict[str, Any] = {"type": ["string", "null"]}
_TIME: dict[str, Any] = {"type": "string", "format": "date-time"}
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}


def _answer(description: str, **properties: Any) -> dict[int | str, dict[str, Any]]:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {
        200: {"description": description, "content": {"application/json": {"schema": schema}}},
        **problems(404, 422),
    }


def _list(**properties: Any) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "object", "properties": properties}}


@router.get(
    "",
    summary="Show what is in quarantine",
    operation_id="get_quarantine",
    response_class=Response,
    responses=_answer(
        "what did not fit, in groups",
        model=_TEXT,
        rows=_COUNT,
        groups=_list(
            resource=_RESOURCE,
            code=_TEXT,
            column=_MAYBE,
            rows=_COUNT,
            first_seen=_TIME,
            last_seen=_TIME,
            message=_TEXT,
            record={},
        ),
        more_groups=_COUNT,
    ),
)
def get_quarantine(
    project: ProjectName,
    model: ModelName,
    runtime: RuntimeOf,
    limit: Annotated[int, Query(ge=1, le=10_000, description="At most so many groups.")] = 1_000,
) -> Response:
    """Records and labels that did not fit, by reason and column; the largest group first.

    Each group has the message and the record of its newest row. Rows come here within 5 s.
    """
    known = runtime.get(project, model)
    reader = QuarantineReader(runtime.engine)
    groups, count = reader.groups(known.project, known.name, limit=limit)
    told = [
        {
            **asdict(group),
            "first_seen": _time(group.first_seen),
            "last_seen": _time(group.last_seen),
            "record": _record(group.record),
        }
        for group in groups
    ]
    rows = reader.count(known.project, known.name)
    return json_answer(
        {"model": model, "rows": rows, "groups": told, "more_groups": count - len(groups)}
    )


@router.get(
    "/rows",
    summary="Read quarantined rows",
    operation_id="get_quarantine_rows",
    response_class=Response,
    responses=_answer(
        "rows, the newest first, and where the next page begins",
        rows=_list(
            name=_TEXT,
            resource=_RESOURCE,
            code=_TEXT,
            column=_MAYBE,
            message=_TEXT,
            version=_MAYBE,
            received_at=_TIME,
            record={},
        ),
        next=_MAYBE,
    ),
)
def get_rows(
    project: ProjectName,
    model: ModelName,
    runtime: RuntimeOf,
    code: Code = None,
    column: Column = None,
    resource: Sent = None,
    limit: Annotated[int, Query(ge=1, le=1_000, description="Rows of one answer.")] = 50,
    cursor: Annotated[
        str | None, Query(max_length=1000, description="What the answer before had in next.")
    ] = None,
) -> Response:
    """Each with the record as it was sent: as an object, or as text where it is no JSON."""
    known = runtime.get(project, model)
    chosen = Chosen(resource, code, column)
    rows, following = QuarantineReader(runtime.engine).rows(
        known.project, known.name, chosen, limit=limit, cursor=cursor or None
    )
    told = [
        {**asdict(row), "received_at": _time(row.received_at), "record": _record(row.record)}
        for row in rows
    ]
    return json_answer({"rows": told, "next": following})


@router.post(
    "/replay",
    summary="Check quarantined rows again",
    operation_id="replay_quarantine",
    response_class=Response,
    responses={
        **_answer(
            "what fits now is stored",
            replayed={**_COUNT, "description": "Rows that are stored now."},
            repeated={**_COUNT, "description": "Rows that had been stored before."},
            stayed={**_COUNT, "description": "Rows that do not fit still."},
            reasons=_list(code=_TEXT, column=_MAYBE, rows=_COUNT, message=_TEXT),
        ),
        **problems(409),
    },
)
def post_replay(
    project: ProjectName,
    model: ModelName,
    runtime: RuntimeOf,
    code: Code = None,
    column: Column = None,
    resource: Sent = None,
) -> Response:
    """Against today's schema and clock, as if they had just been sent; those that fit are stored.

    Rows leave quarantine once they are stored. Doing it twice, from two places, or again after a
    crash stores nothing twice.
    """
    known = runtime.get(project, model)
    return json_answer(asdict(replay(runtime, known, Chosen(resource, code, column))))


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _record(text: str) -> Any:
    """Return a record as it was sent; what is no JSON, or was cut short, as its text."""
    try:
        return loads(text.encode())
    except ValueError:
        return text
