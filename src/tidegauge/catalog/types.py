"""How values of ours are kept in columns that SQLite and PostgreSQL both have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, Integer, String, TypeDecorator

from tidegauge.schema import Schema
from tidegauge.schema.yaml import schema_from_json, schema_to_json


class Moment(TypeDecorator[datetime]):
    """An aware time in UTC; SQLite has no zones, so there it is kept without.

    Examples
    --------
    >>> from sqlalchemy.dialects import sqlite
    >>> Moment().process_bind_param(datetime(2026, 1, 1), sqlite.dialect())
    Traceback (most recent call last):
    ValueError: a time without a zone: 2026-01-01 00:00:00
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the time as the database takes it."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone: {value}")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the time as we use it."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Seconds(TypeDecorator[timedelta]):
    """A duration, kept as whole seconds."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: timedelta | None, dialect: Dialect) -> int | None:
        """Return the duration as the database takes it."""
        return None if value is None else value // timedelta(seconds=1)

    def process_result_value(self, value: int | None, dialect: Dialect) -> timedelta | None:
        """Return the duration as we use it."""
        return None if value is None else timedelta(seconds=value)


class OrNone(TypeDecorator[str]):
    """Text or None, kept as text or ``""``: unique constraints do not hold among nulls."""

    impl = String
    cache_ok = True
    coerce_to_is_types = ()

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str:
        """Return the text as the database takes it."""
        return value or ""

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text as we use it."""
        return value or None


class SchemaText(TypeDecorator[Schema]):
    """A schema, kept as JSON."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Schema | None, dialect: Dialect) -> Any:
        """Return the schema as the database takes it."""
        return None if value is None else schema_to_json(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Schema | None:
        """Return the schema as we use it."""
        return None if value is None else schema_from_json(value)
