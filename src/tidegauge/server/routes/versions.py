"""Two versions of a model held against each other, and whether the challenger may ship."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from tidegauge.errors import BadInput
from tidegauge.server.comparing_versions import choose, compare_stored, told, versions_of
from tidegauge.server.parameters import (
    MOST,
    End,
    ModelName,
    ProjectName,
    RuntimeOf,
    Start,
    json_answer,
    moment,
    problems,
)
from tidegauge.versions.margins import parse_margins
from tidegauge.versions.rule import Rule

router = APIRouter(prefix="/v1/projects/{project}/models/{model}/versions", tags=["models"])


@router.get(
    "/compare",
    summary="Compare two versions",
    operation_id="compare_versions",
    response_class=Response,
    responses=problems(400, 404, 422),
)
def compare(
    project: ProjectName,
    model: ModelName,
    runtime: RuntimeOf,
    champion: Annotated[
        str | None,
        Query(max_length=MOST["version"], description="The version in use.", examples=["3"]),
    ] = None,
    challenger: Annotated[
        str | None,
        Query(max_length=MOST["version"], description="The one that may ship.", examples=["4"]),
    ] = None,
    start: Start = None,
    end: End = None,
    metric: Annotated[
        list[str] | None, Query(description="What decides; repeatable.", examples=[["roc_auc"]])
    ] = None,
    margin: Annotated[
        list[str] | None,
        Query(
            description="How much worse is no worse: metric=size, a size of 5% being a share of "
            "the champion's value, and off taking a guardrail out; repeatable.",
            examples=[["roc_auc=0.01", "latency_p95=20%"]],
        ),
    ] = None,
    segment: Annotated[
        list[str] | None,
        Query(description="A segment column whose groups are to be treated alike; repeatable."),
    ] = None,
    level: Annotated[float, Query(description="Of the two-sided intervals.")] = 0.95,
    power: Annotated[
        float, Query(description="Chance of ship for equal versions that records are asked for.")
    ] = 0.8,
    anytime: Annotated[
        float | None,
        Query(description="Intervals that hold however often one looks; about after how many."),
    ] = None,
) -> Response:
    """Ship, do not ship, or how many records more; with every difference and its interval.

    Without champion and challenger the two versions seen last; without a time the last 30 days.
    Records that both scored under one prediction id are compared pair by pair; others are
    weighted to the mix of traffic that both versions serve. Of more than 100 000 records of a
    version those count whose ids hash smallest, so pairs stay pairs.
    """
    known = runtime.get(project, model)
    rule = Rule(level, power, anytime)
    margins = parse_margins(margin or ())
    chosen = choose(
        versions_of(runtime, known),
        *(champion or None, challenger or None),
        *(moment(start, "start"), moment(end, "end"), None),
    )
    if chosen is None:
        raise BadInput(
            f"model {model!r} has fewer than two versions; send the challenger's records with "
            "?version=, beside the champion's",
            code="one_version",
        )
    report = compare_stored(
        *(runtime, known, chosen),
        metric=metric or (),
        margin=margins,
        rule=rule,
        segments=segment or (),
    )
    return json_answer(told(report, known, chosen))
