"""Models: their list and state, schema, metrics and records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request, Response

from tidegauge.catalog.tables import Incident
from tidegauge.comparison.report import row_to_json
from tidegauge.errors import BadInput, NotFound
from tidegauge.ingest import UnsupportedMediaType
from tidegauge.ingest.json import explained, loads
from tidegauge.lake.wildcard import ANY, Wildcard
from tidegauge.metrics import find_metric
from tidegauge.metrics.result import Basis
from tidegauge.schema import Schema, dump_schema, loads_schema, schema_from_json, schema_to_json
from tidegauge.server.bodies import read_body, unpacked
from tidegauge.server.parameters import (
    End,
    ModelName,
    ProjectName,
    RuntimeOf,
    Start,
    Version,
    interval,
    json_answer,
    moment,
    problems,
)
from tidegauge.server.runtime import Runtime
from tidegauge.server.shown import UNRESOLVED, shown_model

router = APIRouter(prefix="/v1/projects/{project}/models", tags=["models"])

_Read = TypeVar("_Read")
#: More results than this in one answer must be asked for in parts.
MOST_POINTS = 100_000
_LARGEST_SCHEMA = 4 << 20
_YAML = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml", "text/vnd.yaml")
_EXAMPLE = """\
task: binary
columns:
  prediction_id: text
  timestamp: datetime
  carrier: {type: categorical, role: segment}
  distance: {type: numeric, unit: miles, range: [0, null]}
  score: numeric
  label: boolean
"""


@router.get("", summary="List models", operation_id="list_models")
def list_models(project: ProjectName, runtime: RuntimeOf) -> Response:
    """The models of a project by name, each with its state at a glance."""
    incidents: defaultdict[int, list[Incident]] = defaultdict(list)
    for incident in runtime.catalog.incidents.all(project=project, states=UNRESOLVED):
        incidents[incident.model_id].append(incident)
    models = runtime.models(project)
    return json_answer({"models": [shown_model(runtime, m, incidents[m.id]) for m in models]})


@router.get("/{model}", summary="Show a model", operation_id="get_model", responses=problems(404))
def get_model(project: ProjectName, model: ModelName, runtime: RuntimeOf) -> Response:
    """Its task, versions, state, newest record, and what still waits (lag)."""
    return json_answer(shown_model(runtime, runtime.get(project, model)))


@router.get(
    "/{model}/schema",
    summary="Show a model's schema",
    operation_id="get_schema",
    response_class=Response,
    responses=problems(404),
)
def get_schema(
    request: Request, project: ProjectName, model: ModelName, runtime: RuntimeOf
) -> Response:
    """As JSON, or as YAML to be edited by hand where Accept asks for application/yaml."""
    schema = runtime.get(project, model).schema
    if "yaml" in request.headers.get("accept", ""):
        return Response(dump_schema(schema), media_type="application/yaml")
    return json_answer({"model": model, **schema_to_json(schema)})


@router.put(
    "/{model}/schema",
    summary="Set a model's schema",
    operation_id="put_schema",
    response_class=Response,
    responses={
        200: {"description": "the schema as it is now"},
        **problems(400, 409, 413, 415, 422),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/yaml": {"schema": {"type": "string"}, "example": _EXAMPLE},
                "application/json": {"schema": {"type": "object"}},
            },
        }
    },
)
async def put_schema(
    request: Request,
    project: ProjectName,
    model: ModelName,
    runtime: RuntimeOf,
    by: Annotated[
        str, Query(min_length=1, max_length=200, description="Who, for its history.")
    ] = "api",
    reason: Annotated[str, Query(max_length=10_000, description="Why, for its history.")] = "",
) -> Response:
    """Creates the model if it is not known yet. Errors name line and column.

    The type of a column of which records are stored can only get wider: boolean to numeric, and
    either of them to categorical or text, which may take each other's place. What was stored
    keeps its meaning: true is 1 or "true", and 2.0 is "2". A new baseline makes the change count
    in the metrics; until then values are judged in the types of the one before.
    """
    with runtime.intake.admit() as take:
        body = await read_body(request, _LARGEST_SCHEMA, take)
        headers = request.headers
        schema = await runtime.in_thread(
            _put_schema,
            *(runtime, project, model, body),
            *(headers.get("content-type"), headers.get("content-encoding")),
            *(by, reason),
        )
    return json_answer({"model": model, **schema_to_json(schema)})


@router.get(
    "/{model}/metrics",
    summary="Read metrics",
    operation_id="get_metrics",
    responses=problems(400, 404, 422),
)
def get_metrics(
    project: ProjectName,
    model: ModelName,
    runtime: RuntimeOf,
    metric: Annotated[
        str | None, Query(max_length=200, description="Only this metric.", examples=["roc_auc"])
    ] = None,
    column: Annotated[
        str | None,
        Query(max_length=1000, description="Only this column; empty: the model as a whole."),
    ] = None,
    segment: Annotated[
        str | None,
        Query(
            max_length=1000,
            description="Only this segment, as column:value, of a combination "
            "column:value,column:value; * for the whole and all segments. "
            "Without it only the whole.",
        ),
    ] = None,
    version: Version = None,
    start: Start = None,
    end: End = None,
    basis: Annotated[
        Basis | None,
        Query(description="Of performance only what is estimated, partial or final; else all."),
    ] = None,
    as_of: Annotated[
        str | None, Query(description="What was believed at this time, labels since then unseen.")
    ] = None,
) -> Response:
    """The results of closed windows, the newest of each; times are of windows' starts.

    A window keeps what was estimated of its performance beside what was measured.
    """
    known = runtime.get(project, model)
    if metric:
        find_metric(metric)
    if column:
        _require_column(known.schema, column)
    first, last = interval(start, end)
    table = runtime.engine.points(
        project,
        model,
        start=first,
        end=last,
        metric=metric or ANY,
        column=ANY if column is None else column or None,
        segment=_segment(known.schema, segment),
        version=ANY if version is None else version or None,
        basis=ANY if basis is None else basis,
        as_of=moment(as_of, "as_of"),
    )
    if table.num_rows > MOST_POINTS:
        raise BadInput(
            f"{table.num_rows} results; ask for one metric or column, or a shorter time, so that "
            f"there are at most {MOST_POINTS}",
            code="too_many_points",
        )
    rows = sorted(table.to_pylist(), key=_place)
    return json_answer({"points": [row_to_json(row) for row in rows]})


@router.get(
    "/{model}/records",
    summary="Read records",
    operation_id="get_records",
    responses=problems(400, 404, 422),
)
def get_records(
    project: ProjectName,
    model: ModelName,
    runtime: RuntimeOf,
    prediction_id: Annotated[
        str | None,
        Query(max_length=10_000, description="This record, with its label.", examples=["a1"]),
    ] = None,
    start: Annotated[str | None, Query(description="From here on: ISO 8601 with a zone.")] = None,
    end: Annotated[str | None, Query(description="Before this time.")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="Records of one answer.")] = 100,
    cursor: Annotated[
        str | None, Query(max_length=1000, description="What the answer before had in next.")
    ] = None,
) -> Response:
    """One record by its id, as one flat object; or those of an interval, oldest first, in pages."""
    known = runtime.get(project, model)
    if prediction_id is not None:
        record = runtime.engine.record(project, model, known.schema, prediction_id)
        return json_answer(record)
    first, last = interval(start, end)
    records, following = runtime.engine.records(
        project, model, known.schema, first, last, limit=limit, cursor=cursor or None
    )
    return json_answer({"records": records, "next": following})


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    names = ("metric", "column", "segment", "version", "basis")
    return row["window_start"], *(row[name] or "" for name in names)


def _put_schema(
    runtime: Runtime,
    project: str,
    model: str,
    body: bytes,
    kind: str | None,
    encoding: str | None,
    by: str,
    reason: str,
) -> Schema:
    sent = unpacked(body, encoding, _LARGEST_SCHEMA)
    schema = read_document(sent, kind, loads_schema, schema_from_json)
    return runtime.put_schema(project, model, schema, by, reason).schema


def read_document(
    body: bytes,
    content_type: str | None,
    of_yaml: Callable[[str], _Read],
    of_json: Callable[[object], _Read],
) -> _Read:
    """Read what was sent as YAML or JSON.

    Parameters
    ----------
    body : bytes
    content_type : str or None
    of_yaml, of_json : callable
        Give the meaning of YAML text, and of JSON values.

    Raises
    ------
    BadInput
        If it is no text, no JSON, or has another content type.

    Examples
    --------
    >>> read_document(
    ...     b"columns: {age: numeric}", "application/yaml", loads_schema, schema_from_json
    ... ).names
    ('age',)
    """
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind in _YAML:
        try:
            return of_yaml(body.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise BadInput(f"the body is not UTF-8 text (byte {error.start})") from None
    if kind == "application/json":
        try:
            return of_json(loads(body))
        except ValueError as error:
            raise BadInput(f"the body: {explained(error)}", code="bad_json") from None
    raise UnsupportedMediaType(
        f"content type {kind!r} is not read here; send application/yaml or application/json"
    )


def _require_column(schema: Schema, column: str) -> None:
    if column not in schema:
        raise NotFound(
            f"the model's schema has no column {column!r}{schema.hint(column)}",
            code="unknown_column",
        )


def _segment(schema: Schema, text: str | None) -> dict[str, str] | Wildcard | None:
    """Read ``column:value``, or of a combination each; None for the whole, ``ANY`` for ``*``."""
    if not text:
        return None
    if text == "*":
        return ANY
    found = schema.segment_in(text)
    if found is None:
        name = text.partition(":")[0]
        named = ", ".join(schema.segments) or "none"
        raise BadInput(
            f"segment: {name!r} is no segment column of this model (there are: {named}); write "
            "column:value, or column:value,column:value of a combination",
            code="unknown_segment",
        )
    return found
