"""How a model's schema grows with what is sent: columns that nobody named, but everybody knows."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from tidegauge.ingest import Parsed, label_column
from tidegauge.ingest.first_records import as_table
from tidegauge.schema import Column, ColumnType, Role, Schema, infer_schema
from tidegauge.schema.roles import role_by_name

#: Names that tell a column's role without being told, and that a first sample (a training set, say)
#: often does not have yet.
LATER = frozenset({"prediction", "score", "latency_ms", "status", "trace_id"})


def with_later_columns(schema: Schema, parsed: Parsed) -> Schema:
    """Return a schema with those of `LATER` that records now have and it does not know.

    Examples
    --------
    >>> with_later_columns(Schema(()), [{"score": 0.5, "age": 42}]).names
    ('score',)
    """
    new = LATER.difference(schema.names).intersection(_first_names(parsed))
    if not new:
        return schema
    taken = {name.lower() for name in schema.names}
    columns = []
    for name in sorted(new):
        kind, role = role_by_name(name)
        if schema.role(role) is None and name not in taken:
            columns.append(Column(name, kind or _kind_of(schema, parsed, name), role))
    return replace(schema, columns=(*schema.columns, *columns)) if columns else schema


def _first_names(parsed: Parsed) -> list[str]:
    if isinstance(parsed, pa.Table):
        return list(parsed.column_names)
    return list(parsed[0]) if parsed and type(parsed[0]) is dict else []


def _kind_of(schema: Schema, parsed: Parsed, name: str) -> ColumnType:
    """Return the type of predictions: that of the labels, else what they look like."""
    label = schema.role(Role.LABEL)
    if label is not None:
        return label.type
    return infer_schema(as_table(parsed).select([name]))[name].type


def with_label(schema: Schema) -> Schema:
    """Return a schema with a column for the labels to come, where the task tells what they are.

    Examples
    --------
    >>> from tidegauge.schema import Task
    >>> with_label(Schema((), Task.REGRESSION)).names
    ('label',)
    """
    if schema.task is None or schema.role(Role.LABEL) is not None or "label" in schema:
        return schema
    return replace(schema, columns=(*schema.columns, label_column(schema)))


def with_essentials(schema: Schema) -> Schema:
    """Return a schema with the columns that every record has, where a sample did not have them.

    Examples
    --------
    >>> with_essentials(Schema(())).names
    ('prediction_id', 'timestamp')
    """
    missing = [
        Column(role.value, kind, role)
        for role, kind in (
            (Role.PREDICTION_ID, ColumnType.TEXT),
            (Role.TIMESTAMP, ColumnType.DATETIME),
        )
        if schema.role(role) is None and role.value not in schema
    ]
    return replace(schema, columns=(*missing, *schema.columns))


def with_task(schema: Schema, parsed: Parsed) -> Schema:
    """Return a schema with the task that its first labels tell, where nothing told it before."""
    if schema.task is not None or schema.role(Role.LABEL) is not None:
        return schema
    table = as_table(parsed)
    if "label" not in table.column_names or not table.num_rows:
        return schema
    seen = infer_schema(table.select(["label"]))
    return replace(schema, task=seen.task, positive=seen.positive)
