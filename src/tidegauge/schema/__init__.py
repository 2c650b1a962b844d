"""Schemas: what the columns of a model's records are and what they are for."""

from tidegauge.schema.types import Column, ColumnType, Role, Schema, Task

__all__ = ["Column", "ColumnType", "Role", "Schema", "Task"]
