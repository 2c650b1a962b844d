"""From a request's body to an entry of the journal; runs in worker threads, knows no HTTP routes.

What is wrong with a request as a whole raises before anything is stored. What is wrong with single
records goes to quarantine with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import orjson
import pyarrow as pa

from tidegauge.errors import BadInput, Conflict, EmptyInput, NotFound, SchemaMismatch
from tidegauge.ingest import (
    Checked,
    Parsed,
    check_labels,
    check_records,
    parse,
    schema_of_records,
)
from tidegauge.ingest.sources import open_source
from tidegauge.lake.entries import Entry, JournalRequest, Receipt
from tidegauge.schema import Column, ColumnType, Role, Schema
from tidegauge.server.bodies import unpacked
from tidegauge.server.growing import with_label, with_later_columns, with_task

if TYPE_CHECKING:
    from tidegauge.server.known import Model
    from tidegauge.server.runtime import Runtime

Resource = Literal["predictions", "labels"]


@dataclass(frozen=True)
class Post:
    """One request with records.

    Parameters
    ----------
    project, model : str
        Where it was sent.
    resource : {"predictions", "labels"}
    body : bytes
        As sent.
    content_type, encoding : str or None
        Its headers ``Content-Type`` and ``Content-Encoding``.
    version : str or None
        The model's version, for records that do not name it.
    key : str or None
        The header ``Idempotency-Key``.
    """

    project: str
    model: str
    resource: Resource
    body: bytes
    content_type: str | None
    encoding: str | None = None
    version: str | None = None
    key: str | None = None

    @property
    def journal_key(self) -> str | None:
        """The key as the journal keeps it: one for predictions does not answer labels."""
        return None if self.key is None else f"{self.resource}:{self.key}"


@dataclass(frozen=True)
class Received:
    """What a request came to, once its future is done.

    Parameters
    ----------
    future : Future of Receipt
        Done once it is durable.
    answer : bytes
        What to say then, unless the receipt is that of an earlier request with the same key.
    accepted, repeated, quarantined : int
    """

    future: Future[Receipt]
    answer: bytes
    accepted: int
    repeated: int
    quarantined: int


def receive(runtime: Runtime, post: Post) -> Received:
    """Check the records of a request and hand them to the journal.

    Raises
    ------
    BadInput
        If the request as a whole cannot be used; nothing is stored then.
    NotFound
        For labels of a model that is not there.
    Overloaded
        If the journal takes no more at the moment.
    """
    try:
        limit = runtime.settings.max_body
        parsed = parse(unpacked(post.body, post.encoding, limit), post.content_type)
        take = _labels if post.resource == "labels" else _predictions
        checked, kind, timestamp = take(runtime, post, parsed)
    except BadInput:
        # A key that was answered before keeps its answer, whatever came under it now.
        given = post.journal_key and runtime.journal.answer_for(
            post.project, post.model, post.journal_key
        )
        if not given:
            raise
        done: Future[Receipt] = Future()
        done.set_result(Receipt(0, given, replayed=True))
        return Received(done, given, 0, 0, 0)
    return _append(runtime, post, checked, kind, timestamp)


def _predictions(
    runtime: Runtime, post: Post, parsed: Parsed
) -> tuple[Checked, Literal["records"], str]:
    model = runtime.find(post.project, post.model)
    if model is None:
        model, checked = _first(runtime, post, parsed)
    else:
        grown = with_later_columns(model.schema, parsed)
        if grown is not model.schema and runtime.settings.infer_schemas:
            # Where the lake has another type under such a name, it stays an unknown column.
            with suppress(Conflict):
                model = runtime.put_schema(post.project, post.model, grown)
        checked = _check(post, parsed, model.schema)
    time = model.schema.role(Role.TIMESTAMP)
    name = "timestamp" if time is None else time.name
    runtime.sightings.gather(model.id, checked.accepted, name)
    return checked, "records", name


def _check(post: Post, parsed: Parsed, schema: Schema) -> Checked:
    checked = check_records(parsed, schema, now=datetime.now(UTC), version=post.version)
    _refuse_whole(parsed, checked, schema)
    return checked


def _first(runtime: Runtime, post: Post, parsed: Parsed) -> tuple[Model, Checked]:
    """Create a model from its first records, unless another request did a moment ago."""
    with runtime.creating:
        model = runtime.find(post.project, post.model)
        if model is not None:
            return model, _check(post, parsed, model.schema)
        if not runtime.settings.infer_schemas:
            raise NotFound(
                f"no model {post.model!r} in project {post.project!r}; give it a schema first: "
                f"PUT /v1/projects/{post.project}/models/{post.model}/schema",
                code="unknown_model",
            )
        _refuse_unreadable(parsed)
        schema = with_label(schema_of_records(parsed))
        checked = _check(post, parsed, schema)
        if not checked.accepted.num_rows:
            first = checked.errors[0]
            raise BadInput(f"no record can be used: {first.message}", code=first.code)
        _entries(post, checked, "records", "timestamp")
        return runtime.create(post.project, post.model, schema), checked


def _labels(runtime: Runtime, post: Post, parsed: Parsed) -> tuple[Checked, Literal["labels"], str]:
    model = runtime.find(post.project, post.model)
    if model is None:
        raise NotFound(
            f"no model {post.model!r} in project {post.project!r}, so nothing that these could be "
            "labels of; send predictions first",
            code="unknown_model",
        )
    schema = model.schema
    told = with_label(with_task(schema, parsed))
    if told != schema:
        schema = runtime.put_schema(post.project, post.model, told).schema
    checked = check_labels(parsed, schema, now=datetime.now(UTC))
    if not checked.accepted.num_rows:
        _refuse_unreadable(parsed)
        names = set(open_source(parsed).names)
        for wanted, role in (("prediction_id", Role.PREDICTION_ID), ("label", Role.LABEL)):
            column = schema.role(role)
            if wanted not in names and (column is None or column.name not in names):
                raise SchemaMismatch(
                    f"no record has {wanted!r}; send prediction_id and label with each",
                    code="missing_column",
                )
    return checked, "labels", "timestamp"


def _append(
    runtime: Runtime,
    post: Post,
    checked: Checked,
    kind: Literal["records", "labels"],
    timestamp: str,
) -> Received:
    counts = checked.accepted.num_rows, checked.repeated, checked.quarantined.num_rows
    answer = orjson.dumps(
        {
            "accepted": counts[0],
            "repeated": counts[1],
            "quarantined": counts[2],
            "errors": [
                {"index": e.index, "column": e.column, "code": e.code, "message": e.message}
                for e in checked.errors
            ],
        }
    )
    request = JournalRequest(
        post.project,
        post.model,
        _entries(post, checked, kind, timestamp),
        {} if post.journal_key is None else {post.journal_key: answer},
    )
    return Received(runtime.append(request), answer, *counts)


def _entries(
    post: Post, checked: Checked, kind: Literal["records", "labels"], timestamp: str
) -> tuple[Entry, ...]:
    """Return what is to be stored.

    Raises
    ------
    SchemaMismatch
        If the lake cannot store a column.
    """
    entries = []
    if checked.accepted.num_rows:
        entries.append(Entry(post.project, post.model, kind, checked.accepted, timestamp))
    rows = checked.quarantined.num_rows
    if rows:
        about = {"resource": post.resource, "version": post.version}
        table = checked.quarantined
        for name, value in about.items():
            table = table.append_column(name, pa.array([value] * rows, pa.string()))
        entries.append(Entry(post.project, post.model, "quarantine", table))
    return tuple(entries)


def _refuse_unreadable(parsed: Parsed) -> None:
    """Refuse a request without any record, or without any that can be read."""
    source = open_source(parsed)
    if source.size == 0:
        raise EmptyInput("the body holds no records; send at least one")
    if len(source.unreadable) == source.size:
        first = source.unreadable[0]
        raise BadInput(f"no record can be read: {first.message}", code=first.code)


def _refuse_whole(parsed: Parsed, checked: Checked, schema: Schema) -> None:
    """Refuse a request that as a whole is not what the schema tells; only asked if none fits."""
    if checked.accepted.num_rows:
        return
    _refuse_unreadable(parsed)
    names = open_source(parsed).names
    if not set(names) & set(schema.names):
        raise SchemaMismatch(
            f"the records have no column of the model's schema ({_some(names)} here, "
            f"{_some(schema.names)} there); send those, or change the schema",
            code="no_common_columns",
        )
    for role in (Role.PREDICTION_ID, Role.TIMESTAMP):
        column = schema.role(role)
        if column is not None and column.name not in names:
            raise SchemaMismatch(
                f"no record has the column {column.name!r}{_closest(column, names, schema)}; every "
                f"record needs its {role.value}",
                code="missing_column",
            )


def _some(names: Sequence[str]) -> str:
    more = f", … {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(repr(name) for name in list(names)[:3]) + more


def _closest(column: Column, names: Sequence[str], schema: Schema) -> str:
    others = Schema(tuple(Column(n, ColumnType.TEXT) for n in names if n not in schema))
    return others.hint(column.name)
