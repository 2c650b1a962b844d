"""Setting baselines, from an uploaded frame or from stored records, and listing them."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from tidegauge.errors import BadInput, NotFound
from tidegauge.ingest import format_of
from tidegauge.lake.answers import Released
from tidegauge.lake.entries import JournalRequest
from tidegauge.server.baselining import (
    MadeBaseline,
    from_stored,
    from_upload,
    open_upload,
    schema_of_upload,
    waits_on_disk,
)
from tidegauge.server.bodies import save_body, unpack_file
from tidegauge.server.parameters import (
    ModelName,
    ProjectName,
    RuntimeOf,
    body_of_records,
    interval,
    json_answer,
    problems,
)
from tidegauge.server.request_ids import carried
from tidegauge.server.routes.ingest import IdempotencyKey
from tidegauge.server.runtime import Runtime
from tidegauge.server.shown import shown_baseline

router = APIRouter(prefix="/v1/projects/{project}/models/{model}/baselines", tags=["models"])

_INTERVAL = {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"}
_STORED: dict[str, Any] = {
    "type": "object",
    "required": ["start", "end"],
    "additionalProperties": False,
    "properties": {name: {"type": "string", "format": "date-time"} for name in ("start", "end")},
}


@router.post(
    "",
    status_code=201,
    summary="Set the baseline",
    operation_id="post_baseline",
    response_class=Response,
    responses={
        201: {"description": "it is active now"},
        **problems(400, 404, 413, 415, 422, 429),
    },
    openapi_extra=body_of_records(
        _INTERVAL,
        "Either the interval of stored records, as JSON, or the records themselves; with their "
        "label, if it is known.",
        _STORED,
    ),
)
async def post_baseline(
    request: Request,
    project: ProjectName,
    model: ModelName,
    runtime: RuntimeOf,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """What the model is compared with from now on, until another is set.

    An uploaded frame creates a model that is not known yet, its schema inferred from it. It needs
    no prediction_id, and without a timestamp it has a single window, so that the usual variation
    from window to window is not known.
    """
    content_type = request.headers.get("content-type")
    settings = runtime.settings
    limit = settings.max_baseline if waits_on_disk(content_type) else settings.max_body
    path = runtime.scratch / f"{uuid.uuid4().hex}.upload"
    try:
        with runtime.intake.admit():
            await save_body(request, limit, path)
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(
                runtime.heavy_workers,
                carried(
                    _set_once,
                    *(runtime, project, model, path, limit),
                    *(content_type, request.headers.get("content-encoding"), idempotency_key),
                ),
            )
    finally:
        path.unlink(missing_ok=True)
    return Response(answer, 201, media_type="application/json")


@router.get("", summary="List baselines", operation_id="list_baselines", responses=problems(404))
def list_baselines(project: ProjectName, model: ModelName, runtime: RuntimeOf) -> Response:
    """The newest first; one is active."""
    known = runtime.get(project, model)
    return json_answer({"baselines": [shown_baseline(b) for b in runtime.baselines(known)]})


def _set_once(
    runtime: Runtime,
    project: str,
    model: str,
    path: Path,
    limit: int,
    content_type: str | None,
    encoding: str | None,
    key: str | None,
) -> bytes:
    """Set a baseline, unless this key was answered before, or is being worked on."""

    def made() -> bytes:
        unpack_file(path, encoding, limit)
        return orjson.dumps(_set(runtime, project, model, path, content_type))

    if key is None:
        return made()
    key, journal = f"baselines:{key}", runtime.journal
    while (earlier := journal.claim(project, model, key)) is not None:
        with suppress(Released):
            return earlier.result()
    try:
        answer = made()
    except BaseException:
        journal.release(project, model, key)
        raise
    journal.append(JournalRequest(project, model, (), {key: answer}), claimed=True).result()
    return answer


def _set(
    runtime: Runtime, project: str, model: str, path: Path, content_type: str | None
) -> dict[str, Any]:
    known = runtime.find(project, model)
    asked = _stored_interval(path, content_type)
    if asked is not None:
        if known is None:
            raise NotFound(
                f"no model {model!r} in project {project!r}, so no stored records; upload them as "
                "the baseline",
                code="unknown_model",
            )
        made = from_stored(runtime, known, *interval(asked["start"], asked["end"]))
        source = "records"
    else:
        upload = open_upload(path, content_type)
        source = "upload"
        if known is not None:
            made = from_upload(upload, known.schema, known.window)
        elif not runtime.settings.infer_schemas:
            raise NotFound(f"no model {model!r}; give it a schema first", code="unknown_model")
        else:
            schema = schema_of_upload(upload)
            made = from_upload(upload, schema, runtime.settings.window)
            known = runtime.create(project, model, schema)
    stored = runtime.put_baseline(known, made.baseline, source=source)
    return {**shown_baseline(stored), **_account(made)}


def _account(made: MadeBaseline) -> dict[str, Any]:
    return {
        "windows": len(made.baseline.profile.windows),
        "columns": [column.name for column in made.baseline.layout.schema.watched],
        "missing": list(made.missing),
        "left_out": made.left_out,
        "errors": [
            {"index": e.index, "column": e.column, "code": e.code, "message": e.message}
            for e in made.errors
        ],
    }


def _stored_interval(path: Path, content_type: str | None) -> dict[str, str] | None:
    """Return the interval that a body asks for; None where it holds records itself."""
    if format_of(content_type).name != "JSON":
        return None
    with path.open("rb") as file:
        start = file.read(4096)
        if not start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            return None
        body = start + file.read()
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"the body: not JSON: {error}", code="bad_json") from None
    if "prediction_id" in asked or not {"start", "end"} & set(asked):
        return None
    for name in ("start", "end"):
        if not isinstance(asked.get(name), str):
            raise BadInput(
                f"the body: {name!r} must be a time as 2026-01-01T00:00:00Z; send start and end, "
                "or an array of records",
                code="bad_interval",
            )
    return {name: asked[name] for name in ("start", "end")}
