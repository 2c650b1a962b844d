"""The page of a model's schema: columns that came and are not known, its columns, its history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request

from tidegauge.catalog.tables import SchemaRevision
from tidegauge.report.format import plural
from tidegauge.schema import Column, ColumnType, Schema, dump_schema
from tidegauge.server.changing import changes, outdated
from tidegauge.server.known import Model
from tidegauge.server.newcomers import NewColumns, new_columns
from tidegauge.server.pages.asked import Asked
from tidegauge.server.pages.framing import frame, model_of
from tidegauge.server.pages.held import Sheet
from tidegauge.server.pages.rendering import render
from tidegauge.server.pages.serving import Clock, Desk
from tidegauge.server.pages.verdict import Verdict

#: Schemas of the past, and changes of one, that are shown.
MOST_PAST, MOST_CHANGES = 50, 30
#: What was counted so many seconds ago will do for a page.
PATIENCE = 5.0


@dataclass(frozen=True)
class Past:
    """A schema that the model has or had.

    Parameters
    ----------
    number : int
    at : datetime
    by, reason : str
    changes : tuple of str
        What became different with it.
    more : int
        Changes that are not shown.
    """

    number: int
    at: datetime
    by: str
    reason: str
    changes: tuple[str, ...]
    more: int


@dataclass(frozen=True)
class SchemaView:
    """What the page shows.

    Parameters
    ----------
    verdict : Verdict
    fresh : NewColumns
        What the schema does not know.
    types : tuple of str
        That a column may have.
    columns : tuple of Column
    past : tuple of Past
        The newest first.
    earlier : int
        Schemas that are not shown.
    text : str
        The schema as YAML.
    outdated : tuple of str
        Columns whose type is another than the baseline's.
    """

    verdict: Verdict
    fresh: NewColumns
    types: tuple[str, ...]
    columns: tuple[Column, ...]
    past: tuple[Past, ...]
    earlier: int
    text: str
    outdated: tuple[str, ...]


def schema_page(desk: Desk, request: Request, clock: Clock) -> Sheet:
    """What records consist of, what of them is not known, and how that came to be."""
    found = model_of(desk, request)
    runtime = desk.runtime
    standing = desk.reading.standing(found)
    fresh = new_columns(runtime, found, patience=PATIENCE)
    revisions = runtime.catalog.models.schemas(found.id)
    clock.lap("stamp")

    def make() -> str:
        baseline = runtime.baseline(found)
        older = None if baseline is None else baseline.layout.schema
        view = schema_view(found, fresh, revisions, older)
        clock.lap("view")
        values = frame(standing, Asked(), None, "schema")
        address = str(request.base_url).rstrip("/")
        return render("schema.html", {**values, "view": view, "address": address})

    stamp = f"{standing.stamp}-{revisions[0].number if revisions else 0}-{hash(fresh)}"
    sheet = desk.held(clock, request.url.path, stamp, make)
    clock.lap("render")
    return sheet


def schema_view(
    model: Model, fresh: NewColumns, revisions: Sequence[SchemaRevision], older: Schema | None
) -> SchemaView:
    """Put the page together.

    Parameters
    ----------
    model : Model
    fresh : NewColumns
    revisions : sequence of SchemaRevision
        The newest first.
    older : Schema or None
        The baseline's.
    """
    before = [*(one.schema for one in revisions[1:]), None]
    past = []
    for one, earlier in list(zip(revisions, before, strict=True))[:MOST_PAST]:
        told = [change.words for change in changes(earlier, one.schema)]
        past.append(
            Past(
                one.number,
                one.created_at,
                one.actor,
                one.reason,
                tuple(told[:MOST_CHANGES]),
                max(0, len(told) - MOST_CHANGES),
            )
        )
    wider = () if older is None else outdated(model.schema, older)
    return SchemaView(
        _verdict(model, fresh, wider),
        fresh,
        tuple(kind.value for kind in ColumnType),
        model.schema.columns,
        tuple(past),
        max(0, len(revisions) - MOST_PAST),
        f"model: {model.name}\n{dump_schema(model.schema)}",
        wider,
    )


def _verdict(model: Model, fresh: NewColumns, wider: Sequence[str]) -> Verdict:
    about = ""
    if wider:
        about = (
            f"{', '.join(wider)} {'has' if len(wider) == 1 else 'have'} another type than in the "
            "baseline. Until there is a new baseline their values are judged in its types, and "
            "what has none there counts as missing."
        )
    if fresh.columns:
        told = plural(len(fresh.columns), "column")
        sentence = f"{told} of {model.name} came that its schema does not know."
        return Verdict("shown", sentence, about or "Their values are kept; accept what is to stay.")
    return Verdict("ok", f"The schema of {model.name} knows all columns that came.", about)
