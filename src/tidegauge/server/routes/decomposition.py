"""Why performance changed between two periods: changed inputs, or a changed relation."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Response

from tidegauge.lake.wildcard import ANY
from tidegauge.server.explaining import asked_of, explain_stored, told
from tidegauge.server.parameters import (
    End,
    ModelName,
    ProjectName,
    RuntimeOf,
    Start,
    Version,
    json_answer,
    moment,
    problems,
)
from tidegauge.server.request_ids import carried
from tidegauge.server.runtime import Runtime

router = APIRouter(prefix="/v1/projects/{project}/models/{model}", tags=["models"])


@router.get(
    "/decomposition",
    summary="Explain a change in performance",
    operation_id="explain_change",
    response_class=Response,
    responses={200: {"description": "the parts of the change"}, **problems(400, 404, 409, 422)},
)
async def get_decomposition(
    project: ProjectName,
    model: ModelName,
    runtime: RuntimeOf,
    metric: Annotated[
        str | None,
        Query(
            max_length=200,
            description="A performance metric; ROC AUC, accuracy or MAE by default.",
            examples=["roc_auc"],
        ),
    ] = None,
    start: Start = None,
    end: End = None,
    reference_start: Annotated[
        str | None, Query(description="Of the time before: ISO 8601 with a zone.")
    ] = None,
    reference_end: Annotated[str | None, Query(description="Where the time before ends.")] = None,
    version: Version = None,
) -> Response:
    """How much came of changed inputs, by column and segment, and how much of a changed relation.

    `total` is `inputs` and `relation`, `inputs` is all `columns`, each with a 95 % interval; where
    the schema has an outcome, `outcome` says the same of its mean. Without a time the newest seven
    closed windows are held to the baseline. The first answer takes some seconds.
    """
    loop = asyncio.get_running_loop()
    work = carried(
        _told,
        *(runtime, project, model, metric),
        *(start, end, reference_start, reference_end, version),
    )
    return json_answer(await loop.run_in_executor(runtime.heavy_workers, work))


def _told(
    runtime: Runtime,
    project: str,
    model: str,
    metric: str | None,
    start: str | None,
    end: str | None,
    reference_start: str | None,
    reference_end: str | None,
    version: str | None,
) -> dict[str, object]:
    known = runtime.get(project, model)
    asked = asked_of(
        runtime,
        known,
        metric or None,
        (moment(start, "start"), moment(end, "end")),
        (moment(reference_start, "reference_start"), moment(reference_end, "reference_end")),
        ANY if version is None else version or None,
    )
    found = explain_stored(runtime, known, asked)
    baseline = runtime.baseline(known)
    assert baseline is not None
    return told(found, known, baseline, asked)
