"""A catalog copied whole, between SQLite and PostgreSQL too.

A copy is a SQLite file, whatever it was made from: so one back-up can be put back into either.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory
from sqlalchemy import (
    JSON,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    delete,
    func,
    insert,
    inspect,
    select,
    text,
)

from tidegauge.catalog.database import Database, migrations, open_engine
from tidegauge.catalog.tables import Base
from tidegauge.catalog.types import OrNone, SchemaText, Seconds
from tidegauge.errors import BadInput, Conflict, Unavailable

_PART = 5_000


def copy_out(url: str, target: Path) -> str:
    """Copy a catalog to a SQLite file, as it is at one moment; servers may go on meanwhile.

    Parameters
    ----------
    url : str
        SQLAlchemy URL of the catalog, which is not changed.
    target : Path
        A file that is not there.

    Returns
    -------
    str
        The revision of its tables.

    Raises
    ------
    BadInput
        If there is no catalog, or it is damaged.
    Conflict
        If it is on PostgreSQL and of another revision than is known here.
    """
    engine = open_engine(url)
    try:
        if engine.dialect.name == "sqlite":
            return _copy_file(Path(engine.url.database or ""), target)
        return _copy_tables_out(engine, target)
    finally:
        engine.dispose()


def copy_in(source: Path, url: str) -> None:
    """Put the content of a SQLite file into an empty catalog, all of it or nothing.

    Parameters
    ----------
    source : Path
        At the newest revision.
    url : str
        SQLAlchemy URL of a catalog in which nothing is stored.

    Raises
    ------
    Conflict
        If something is stored there.
    """
    require_empty(url)
    held, made = open_engine(source), Database(url)
    try:
        with held.connect() as reading, made.engine.begin() as writing:
            if writing.dialect.name == "postgresql":
                # Only this transaction: copying may take longer than anything a server does.
                writing.execute(text("SET LOCAL statement_timeout = 0"))
            _copy_rows(reading, writing)
    finally:
        held.dispose()
        made.close()


def require_empty(url: str) -> None:
    """Refuse a catalog in which something is stored.

    Raises
    ------
    Conflict
    """
    if (path := sqlite_path(url)) is not None and not path.exists():
        return
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("projects"):
                return
            counts = {
                name: connection.execute(
                    select(func.count()).select_from(Base.metadata.tables[name])
                ).scalar_one()
                for name in ("projects", "models")
            }
            if any(counts.values()):
                shown = engine.url.render_as_string()
                raise Conflict(
                    f"the catalog {shown} is not empty: {counts['models']} models in "
                    f"{counts['projects']} projects; name an empty one, or drop its tables",
                    code="not_empty",
                )
    finally:
        engine.dispose()


def revision_of(connection: Connection) -> str | None:
    """Return the revision of a catalog's tables; None where there are none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(
        text("SELECT version_num FROM alembic_version")
    ).scalar_one_or_none()
    return found


def known_revisions() -> list[str]:
    """Return the revisions that are known here, the oldest first.

    Examples
    --------
    >>> known_revisions()[0]
    '0001'
    """
    steps = ScriptDirectory.from_config(migrations()).walk_revisions()
    return [step.revision for step in steps][::-1]


def sqlite_path(url: str) -> Path | None:
    """Return the file of a catalog on SQLite; None for any other."""
    engine = open_engine(url)
    engine.dispose()
    return Path(engine.url.database or "") if engine.dialect.name == "sqlite" else None


def _copy_file(source: Path, target: Path) -> str:
    if not source.is_file():
        raise BadInput(
            f"there is no catalog {source}; name the data folder with --data, or the catalog with "
            "--database-url",
            code="no_catalog",
        )
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=10)) as held,
            closing(sqlite3.connect(target)) as copied,
        ):
            held.backup(copied)
            copied.execute("PRAGMA journal_mode = DELETE")
            found = copied.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError as error:
        target.unlink(missing_ok=True)
        raise Unavailable(f"the catalog {source} cannot be copied: {error}") from None
    except sqlite3.DatabaseError as error:
        target.unlink(missing_ok=True)
        raise BadInput(
            f"the catalog {source} is damaged: {error}; restore it from a back-up",
            code="bad_catalog",
        ) from None
    if found is None:
        raise BadInput(f"{source} is no catalog of Tidegauge", code="no_catalog")
    return str(found[0])


def _copy_tables_out(engine: Engine, target: Path) -> str:
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as reading:
        revision = revision_of(reading)
        known = known_revisions()[-1]
        if revision is None:
            raise BadInput(
                f"there is no catalog at {engine.url.render_as_string()}", code="no_catalog"
            )
        if revision != known:
            raise Conflict(
                f"the catalog's tables are of revision {revision}, and this Tidegauge knows them "
                f"as {known}; use the one that serves them",
                code="other_revision",
            )
        made = Database(target)
        try:
            with made.engine.begin() as writing:
                _copy_rows(reading, writing)
        finally:
            made.close()
        reading.rollback()
    with closing(sqlite3.connect(target)) as copied:
        copied.execute("PRAGMA journal_mode = DELETE")
    return revision


def _copy_rows(reading: Connection, writing: Connection) -> None:
    """Copy all tables; those that a new catalog begins with go first."""
    tables = _plain_tables()
    for table in reversed(tables):
        writing.execute(delete(table))
    for table in tables:
        rows = reading.execution_options(stream_results=True).execute(
            select(table).order_by(*table.primary_key.columns)
        )
        for part in rows.mappings().partitions(_PART):
            writing.execute(insert(table), [_row(table, row) for row in part])
    if writing.dialect.name == "postgresql":
        for table in tables:
            _count_on(writing, table)


def _row(table: Table, row: Any) -> Mapping[str, Any]:
    return {column.name: row[column] for column in table.columns}


def _count_on(connection: Connection, table: Table) -> None:
    """Have PostgreSQL's numbers go on after those that were copied."""
    column = table.autoincrement_column
    if column is None:
        return
    sequence = connection.execute(
        text("SELECT pg_get_serial_sequence(:table, :column)"),
        {"table": table.name, "column": column.name},
    ).scalar_one()
    newest = connection.execute(select(func.max(column))).scalar_one()
    if sequence is not None and newest is not None:
        connection.execute(
            text("SELECT setval(CAST(:name AS regclass), :value)"),
            {"name": sequence, "value": newest},
        )


def _plain_tables() -> list[Table]:
    """Return the tables with values as they are stored, so that none is read for its meaning."""
    plain = MetaData()
    for table in Base.metadata.tables.values():
        copied = table.to_metadata(plain)
        for column in copied.columns:
            if isinstance(column.type, SchemaText | JSON):
                column.type = JSON(none_as_null=True)
            elif isinstance(column.type, Seconds):
                column.type = Integer()
            elif isinstance(column.type, OrNone):
                column.type = String()
    return list(plain.sorted_tables)
