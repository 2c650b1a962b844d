"""Schemas: what the columns of a model's records are and what they are for."""

from tidegauge.schema.arrow import arrow_schema, arrow_type, column_type
from tidegauge.schema.divisions import Division, Part
from tidegauge.schema.infer import infer_schema
from tidegauge.schema.types import Column, ColumnType, Role, Schema, Task
from tidegauge.schema.yaml import (
    dump_schema,
    load_schema,
    loads_schema,
    schema_from_json,
    schema_to_json,
)

__all__ = [
    "Column",
    "ColumnType",
    "Division",
    "Part",
    "Role",
    "Schema",
    "Task",
    "arrow_schema",
    "arrow_type",
    "column_type",
    "dump_schema",
    "infer_schema",
    "load_schema",
    "loads_schema",
    "schema_from_json",
    "schema_to_json",
]
