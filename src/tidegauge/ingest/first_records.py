"""From the first records of a model, as they were sent, to its schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from tidegauge.errors import BadInput, EmptyInput
from tidegauge.ingest.parsed import Parsed, require_distinct_columns
from tidegauge.ingest.raw import json_text
from tidegauge.schema import Role, Schema, Task, infer_schema
from tidegauge.schema.infer import SAMPLE_ROWS

_SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}

_REQUIRED = {
    Role.PREDICTION_ID: "no column tells records apart; send 'prediction_id' with each, as text or "
    "a whole number",
    Role.TIMESTAMP: "no column holds the records' times; send 'timestamp' with each, as ISO 8601 "
    "with a zone ('2026-01-01T00:00:00Z')",
}


def schema_of_records(
    parsed: Parsed, *, task: Task | None = None, segments: Sequence[str] = ()
) -> Schema:
    """Infer the schema of a model that is not known yet from its first records.

    Fields whose names begin with ``_`` are left to us: they are no columns.

    Raises
    ------
    EmptyInput
        Without any record that is an object.
    BadInput
        ``missing_prediction_id`` or ``missing_timestamp``: no column can have that role.

    Examples
    --------
    >>> rows = [{"prediction_id": "a", "timestamp": "2026-01-01T00:00:00Z", "age": 42}]
    >>> [(column.name, column.role.value) for column in schema_of_records(rows)]
    [('prediction_id', 'prediction_id'), ('timestamp', 'timestamp'), ('age', 'feature')]
    """
    table = as_table(parsed)
    own = [name for name in table.column_names if not name.startswith("_")]
    if table.num_rows == 0 or not own:
        raise EmptyInput("no records to infer a schema from; send at least one object")
    schema = infer_schema(table.select(own), task=task, segments=segments)
    for role, message in _REQUIRED.items():
        if schema.role(role) is None:
            raise BadInput(message, code=f"missing_{role.value}")
    return schema


def as_table(parsed: Parsed, rows: int = SAMPLE_ROWS) -> pa.Table:
    """Return the first records as a table with the types that they happen to have.

    What is no object is left out; a field of mixed kinds becomes text.

    Examples
    --------
    >>> as_table([{"a": 1}, {"a": 2.5, "b": "x"}, "nonsense"]).to_pydict()
    {'a': [1.0, 2.5], 'b': [None, 'x']}
    """
    if isinstance(parsed, pa.Table):
        return require_distinct_columns(parsed.slice(0, rows))
    objects = [row for row in parsed[:rows] if type(row) is dict]
    names = dict.fromkeys(name for row in objects for name in row)
    columns = {name: _array([row.get(name) for row in objects]) for name in names}
    try:
        return pa.table(columns)
    except UnicodeEncodeError:
        raise BadInput(
            "a field's name holds half of a character (a lone surrogate); rename it",
            code="bad_json",
        ) from None


def _array(values: list[Any]) -> Any:
    kinds = {type(value) for value in values} - {type(None)}
    if kinds & {int, float} and kinds <= {int, float, str}:
        values = [_SPECIAL.get(v, v) if isinstance(v, str) else v for v in values]
        kinds = {type(value) for value in values} - {type(None)}
    try:
        if kinds <= {int, float}:
            values = [float(v) if isinstance(v, int) and abs(v) > 2**53 else v for v in values]
        return pa.array(values)
    except (pa.ArrowException, UnicodeEncodeError, OverflowError):
        return pa.array([None if v is None else _as_text(v) for v in values], pa.string())


def _as_text(value: object) -> str:
    text = value if isinstance(value, str) else json_text(value)
    return text.encode("utf-8", errors="replace").decode()
