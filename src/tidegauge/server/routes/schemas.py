"""How a model's schema came to be, and the fields that it does not know yet."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError

from tidegauge.catalog.tables import SchemaRevision
from tidegauge.schema import schema_to_json
from tidegauge.server.bodies import read_body
from tidegauge.server.changing import changes
from tidegauge.server.newcomers import accept, new_columns
from tidegauge.server.parameters import ModelName, ProjectName, RuntimeOf, json_answer, problems

router = APIRouter(prefix="/v1/projects/{project}/models/{model}/schema", tags=["models"])

_LARGEST = 1 << 20


class Acceptance(BaseModel):
    """Which new columns are taken into the schema, by whom and why."""

    columns: list[str] | dict[str, Any] = Field(
        description="Names; or an object of names, each with its type, with what a schema says of "
        "a column, or null for the type that it looks like."
    )
    by: str = Field("somebody", min_length=1, max_length=200, examples=["ana"])
    reason: str = Field("", max_length=10_000, examples=["sent since release 12"])


async def _acceptance(request: Request) -> Acceptance:
    body = await read_body(request, _LARGEST, lambda _: None)
    try:
        return Acceptance.model_validate_json(body)
    except ValidationError as error:
        found = [{**one, "loc": ("body", *one["loc"])} for one in error.errors()]
        raise RequestValidationError(found) from None


_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": Acceptance.model_json_schema(),
                "example": {
                    "columns": {"fuel_price": "numeric", "gate": {"type": "text", "role": "tag"}},
                    "by": "ana",
                },
            }
        },
    }
}


@router.get(
    "/new-columns",
    summary="Show fields that the schema does not know",
    operation_id="get_new_columns",
    responses=problems(404),
)
def get_new_columns(project: ProjectName, model: ModelName, runtime: RuntimeOf) -> Response:
    """The most frequent first, each with the type that its values look like.

    Their values are kept with the records. Nothing is judged of them until a person accepts them
    into the schema. Of more than 200 names the further ones are not told apart (left_out).
    """
    found = new_columns(runtime, runtime.get(project, model))
    told = [
        {
            **asdict(column),
            "first_seen": _time(column.first_seen),
            "last_seen": _time(column.last_seen),
        }
        for column in found.columns
    ]
    return json_answer({"model": model, "columns": told, "left_out": found.left_out})


@router.post(
    "/accept",
    summary="Take new columns into the schema",
    operation_id="accept_columns",
    response_class=Response,
    responses={200: {"description": "the schema as it is now"}, **problems(400, 404, 409, 422)},
    openapi_extra=_BODY,
)
def accept_columns(
    project: ProjectName,
    model: ModelName,
    runtime: RuntimeOf,
    wanted: Annotated[Acceptance, Depends(_acceptance)],
) -> Response:
    """Values that came before are read under their names too; a new baseline has them judged."""
    known = runtime.get(project, model)
    changed = accept(runtime, known, wanted.columns, by=wanted.by, reason=wanted.reason)
    return json_answer({"model": model, **schema_to_json(changed.schema)})


@router.get(
    "/history",
    summary="Show how the schema changed",
    operation_id="get_schema_history",
    responses=problems(404),
)
def get_history(project: ProjectName, model: ModelName, runtime: RuntimeOf) -> Response:
    """All schemas that the model has had, the newest first: who set it, when, why, what changed."""
    known = runtime.get(project, model)
    return json_answer(
        {"model": model, "schemas": history(runtime.catalog.models.schemas(known.id))}
    )


def history(revisions: list[SchemaRevision]) -> list[dict[str, Any]]:
    """Return schemas as they are shown, each with its difference to the one before.

    Parameters
    ----------
    revisions : list of SchemaRevision
        The newest first.
    """
    before = [*(one.schema for one in revisions[1:]), None]
    return [
        {
            "number": one.number,
            "created_at": _time(one.created_at),
            "by": one.actor,
            "reason": one.reason,
            "changes": [
                {**asdict(change), "words": change.words} for change in changes(earlier, one.schema)
            ],
            "schema": schema_to_json(one.schema),
        }
        for one, earlier in zip(revisions, before, strict=True)
    ]


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
