"""Erasing the records of some prediction ids: asked for, and what became of it."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tidegauge.catalog.tables import Erasure
from tidegauge.errors import Conflict
from tidegauge.metrics.result import plain
from tidegauge.schema import Role
from tidegauge.server.bodies import read_body
from tidegauge.server.parameters import ModelName, ProjectName, RuntimeOf, json_answer, problems
from tidegauge.server.runtime import Runtime

router = APIRouter(prefix="/v1/projects/{project}/models/{model}/erasures", tags=["records"])

#: Ids of one request.
MOST_IDS = 10_000
_LONGEST_ID = 10_000
_LARGEST = 8 << 20

#: What an erasure cannot reach.
LEFT = (
    "Back-ups that were made before hold the records; erase again after restoring one.",
    "Logs of proxies and load balancers may hold ids that were asked for in URLs.",
    "Clients may keep records that they could not send; what comes later is stored as new.",
    "Counts in profiles stay: they are of many records and name none.",
)
_UNREADABLE = (
    "Quarantined texts that are no records hold one of the ids; look at them with "
    "`tidegauge quarantine`."
)
_DAMAGED = "Damaged pieces of the journal, which nobody can read, are kept in journal/damaged."


class Ids(BaseModel):
    """Whose records are to go, and who says so."""

    model_config = ConfigDict(extra="forbid")

    prediction_ids: list[Annotated[str, Field(min_length=1, max_length=_LONGEST_ID)]] = Field(
        min_length=1, max_length=MOST_IDS, examples=[["a1", "a2"]]
    )
    by: str = Field("somebody", min_length=1, max_length=200, examples=["ana"])


class Gone(BaseModel):
    """A server whose folder is gone for good, or was cleared by hand."""

    model_config = ConfigDict(extra="forbid")

    server: str = Field(min_length=1, max_length=200)


_Wish = TypeVar("_Wish", bound=BaseModel)


async def _wish(request: Request) -> Ids:
    return await _read(request, Ids)


async def _gone(request: Request) -> Gone:
    return await _read(request, Gone)


async def _read(request: Request, kind: type[_Wish]) -> _Wish:
    body = await read_body(request, _LARGEST, lambda _: None)
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        told = error.errors(include_input=False, include_context=False)
        raise RequestValidationError(
            [{**one, "loc": ("body", *one["loc"])} for one in told]
        ) from None


ErasureId = Annotated[
    str, Path(max_length=100, description="The erasure's id.", examples=["e0123456789abcdef"])
]


def _body(kind: type[BaseModel]) -> dict[str, Any]:
    content = {"application/json": {"schema": kind.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


@router.post(
    "",
    status_code=202,
    summary="Erase records",
    operation_id="erase_records",
    response_class=Response,
    responses={
        202: {"description": "noted for good; what becomes of it"},
        **problems(404, 409, 413, 422),
    },
    openapi_extra=_body(Ids),
)
def ask(
    project: ProjectName,
    model: ModelName,
    runtime: RuntimeOf,
    wish: Annotated[Ids, Depends(_wish)],
) -> Response:
    """Records, labels, quarantined rows and rows of samples with these ids, on all servers.

    What comes in under these ids before it is done goes as well; what comes later is stored as
    new. It takes a little longer than the longest query may take.
    """
    known = runtime.get(project, model)
    if known.schema.role(Role.PREDICTION_ID) is None:
        raise Conflict(
            f"the records of model {model!r} have no prediction id, so none can be told apart; "
            "give a column of its schema the role prediction_id",
            code="no_prediction_id",
        )
    made = runtime.catalog.erasures.ask(known.id, wish.prediction_ids, actor=wish.by)
    return json_answer(_shown(runtime, made), 202)


@router.get("", summary="List erasures", operation_id="list_erasures", responses=problems(404))
def list_erasures(project: ProjectName, model: ModelName, runtime: RuntimeOf) -> Response:
    """Those of a model, the newest first."""
    known = runtime.get(project, model)
    rows = runtime.catalog.erasures.of_model(known.id)
    return json_answer({"erasures": [_shown(runtime, row) for row in rows]})


@router.get(
    "/{erasure}", summary="Show an erasure", operation_id="get_erasure", responses=problems(404)
)
def get_erasure(
    project: ProjectName, model: ModelName, erasure: ErasureId, runtime: RuntimeOf
) -> Response:
    """Its state, and its receipt: what was done, and what is left to whoever runs the server."""
    known = runtime.get(project, model)
    return json_answer(_shown(runtime, runtime.catalog.erasures.get(known.id, erasure)))


@router.post(
    "/{erasure}/gone",
    summary="Go on without a server",
    operation_id="erase_without",
    response_class=Response,
    responses={200: {"description": "the erasure"}, **problems(404, 422)},
    openapi_extra=_body(Gone),
)
def gone(
    project: ProjectName,
    model: ModelName,
    erasure: ErasureId,
    runtime: RuntimeOf,
    wish: Annotated[Gone, Depends(_gone)],
) -> Response:
    """Say that a server's data folder does not exist any more, so that nobody waits for it.

    A server that is only stopped must be started once instead: its journal may hold records.
    """
    known = runtime.get(project, model)
    row = runtime.catalog.erasures.get(known.id, erasure)
    runtime.catalog.erasures.leave(wish.server)
    runtime.catalog.audit.record(
        "api", "server.gone", wish.server, project=project, details={"erasure": row.id}
    )
    return json_answer(_shown(runtime, row))


def _shown(runtime: Runtime, row: Erasure) -> dict[str, Any]:
    receipt = row.receipt
    unreadable = int(receipt.get("unreadable", 0))
    damaged = receipt.get("damaged", {})
    left = list(LEFT)
    left += [f"{_UNREADABLE} ({unreadable})"] if unreadable else []
    left += [f"{_DAMAGED} ({where}: {count})" for where, count in damaged.items()]
    stuck = row.state == "clearing" and receipt.get("missing")
    return {
        "id": row.id,
        "state": "waiting" if stuck else row.state,
        "asked": row.asked,
        "sha256": row.digest,
        "requested_at": plain(row.requested_at),
        "requested_by": row.requested_by,
        "done_at": plain(row.done_at),
        "receipt": {
            "rows": receipt.get("rows", {}),
            "files_rewritten": receipt.get("files", {}),
            "files_purged": receipt.get("purged", {}),
            "samples": receipt.get("samples", []),
            "answers": receipt.get("answers", {}),
            "waiting_for": _waiting(runtime, row),
            "left": left,
        },
    }


def _waiting(runtime: Runtime, row: Erasure) -> list[dict[str, str]]:
    """Return the servers that have not done their part."""
    if row.state == "done":
        return []
    erasures = runtime.catalog.erasures
    parts = erasures.parts(row.id)
    clearing = row.state == "clearing"
    return [
        {"server": one, "name": name}
        for one, name in sorted(erasures.servers().items())
        if one not in parts or (clearing and parts[one].cleared < row.turn)
    ]
