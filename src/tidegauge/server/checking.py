"""From a request's records to those that its model's schema takes; runs in worker threads.

What is wrong with a request as a whole raises, and nothing of it is stored. What is wrong with
single records is in what comes back, to be kept aside with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from tidegauge.errors import BadInput, Conflict, EmptyInput, NotFound, SchemaMismatch, Unavailable
from tidegauge.ingest import Checked, Parsed, check_labels, check_records, schema_of_records
from tidegauge.ingest.sources import open_source
from tidegauge.lake.entries import Entry
from tidegauge.schema import Column, ColumnType, Role, Schema
from tidegauge.server.growing import LATER, with_label, with_later_columns, with_task

if TYPE_CHECKING:
    from tidegauge.server.known import Model
    from tidegauge.server.posts import Post
    from tidegauge.server.runtime import Runtime


@dataclass(frozen=True)
class Taken:
    """What checking requests came to.

    Parameters
    ----------
    checked : Checked
    kind : {"records", "labels"}
        Where the accepted ones belong.
    timestamp : str
        The column with their event time.
    """

    checked: Checked
    kind: Literal["records", "labels"]
    timestamp: str = "timestamp"

    def entries(self, post: Post) -> tuple[Entry, ...]:
        """Return what is to be stored.

        Raises
        ------
        SchemaMismatch
            If the lake cannot store a column.
        """
        entries = []
        accepted, table = self.checked.accepted, self.checked.quarantined
        if accepted.num_rows:
            entries.append(Entry(post.project, post.model, self.kind, accepted, self.timestamp))
        rows = table.num_rows
        if rows:
            for name, value in {"resource": post.resource, "version": post.version}.items():
                table = table.append_column(name, pa.array([value] * rows, pa.string()))
            entries.append(Entry(post.project, post.model, "quarantine", table))
        return tuple(entries)


def check(runtime: Runtime, post: Post, parsed: Parsed) -> Taken:
    """Check the records of one request; a model may be made or grow by them.

    Raises
    ------
    BadInput
        If the request as a whole cannot be used.
    NotFound
        For labels of a model that is not there.
    """
    if post.resource == "labels":
        return _labels(runtime, post, parsed)
    model = runtime.find(post.project, post.model)
    if model is None:
        model, checked = _first(runtime, post, parsed)
    else:
        if runtime.settings.infer_schemas:
            # Where the lake has another type under such a name, it stays an unknown column; so it
            # does for as long as the catalog does not answer.
            with suppress(Conflict, Unavailable):
                model = runtime.grow(model, lambda schema: with_later_columns(schema, parsed))
        checked = _check(post, parsed, model.schema)
    return _seen(runtime, model, checked)


def check_together(runtime: Runtime, post: Post, requests: Sequence[list[Any]]) -> Taken | None:
    """Check the records of several requests at once, as if each had come alone.

    Parameters
    ----------
    runtime : Runtime
    post : Post
        One of them; project, model, resource and version are the same in all.
    requests : sequence of list
        The records of each.

    Returns
    -------
    Taken or None
        None where they have to be looked at one by one: a model is not known yet, or changes by
        what one of them brings.

    Raises
    ------
    BadInput
        As that of the requests which is wrong as a whole, perhaps.
    """
    model = runtime.find(post.project, post.model)
    if model is None or _changes(model.schema, post, requests):
        return None
    rows = list(chain.from_iterable(requests))
    sizes = [len(records) for records in requests]
    now = datetime.now(UTC)
    if post.resource == "labels":
        return Taken(check_labels(rows, model.schema, now=now, sizes=sizes), "labels")
    checked = check_records(rows, model.schema, now=now, version=post.version, sizes=sizes)
    if checked.accepted.num_rows < len(rows):
        return Taken(checked, "records")  # Not stored like this: no version was seen.
    return _seen(runtime, model, checked)


def _changes(schema: Schema, post: Post, requests: Sequence[list[Any]]) -> bool:
    """Tell whether a request may change the schema."""
    if post.resource == "labels":
        untold = schema.task is None and schema.role(Role.LABEL) is None
        return untold or with_label(schema) is not schema
    new = LATER.difference(schema.names)
    return bool(new) and not all(
        type(records[0]) is not dict or new.isdisjoint(records[0]) for records in requests
    )


def _seen(runtime: Runtime, model: Model, checked: Checked) -> Taken:
    time = model.schema.role(Role.TIMESTAMP)
    name = "timestamp" if time is None else time.name
    runtime.sightings.gather(model.id, checked.accepted, name)
    return Taken(checked, "records", name)


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
        Taken(checked, "records").entries(post)  # Raises if the lake could not store them.
        model = runtime.create(post.project, post.model, schema)
        if model.schema != schema:  # Another server made it a moment ago, from other records.
            checked = _check(post, parsed, model.schema)
        return model, checked


def _labels(runtime: Runtime, post: Post, parsed: Parsed) -> Taken:
    model = runtime.find(post.project, post.model)
    if model is None:
        raise NotFound(
            f"no model {post.model!r} in project {post.project!r}, so nothing that these could be "
            "labels of; send predictions first",
            code="unknown_model",
        )
    schema = runtime.grow(model, lambda told: with_label(with_task(told, parsed))).schema
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
    return Taken(checked, "labels")


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
