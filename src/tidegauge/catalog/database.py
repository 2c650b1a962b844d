"""The catalog's database: opened, brought up to date, read and written in transactions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import NoSuchModuleError
from sqlalchemy.orm import Session

from tidegauge.catalog.tables import Base
from tidegauge.errors import BadInput, Conflict, MissingExtra

_MIGRATIONS = Path(__file__).parent / "migrations"
#: Keeps two servers from migrating one database at the same time.
_MIGRATING = 7_433_001


class Database:
    """SQLite or PostgreSQL, at the newest version of our tables.

    Parameters
    ----------
    url : str or Path
        A path is a SQLite file; else a URL such as ``postgresql://user@host/name``.

    Raises
    ------
    BadInput
        When the URL names no database that we know.
    MissingExtra
        When PostgreSQL's driver is not installed.
    Conflict
        When the tables were made by a newer Tidegauge.
    """

    def __init__(self, url: str | Path) -> None:
        self.url = _database_url(url)
        self.engine = _engine(self.url)
        self._writing = self.engine.execution_options(writes=True)
        try:
            self._migrate()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Give a session that only reads."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Give a session that writes; commits at the end, rolls back on any error."""
        with Session(self._writing, expire_on_commit=False) as session, session.begin():
            yield session

    def _migrate(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        with self._writing.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATING})"))
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                newest = ScriptDirectory.from_config(config).get_current_head()
                raise Conflict(
                    f"the catalog's tables are not known here (newest known: {newest}); they were "
                    "made by a newer Tidegauge, use that one",
                    code="newer_catalog",
                ) from error


def insert_or_ignore(session: Session, table: type[Base], rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert rows, leaving out those that a unique constraint has already; return how many."""
    keys = inspect(table).primary_key
    count = 0
    for row in rows:
        statement: Any = _insert(session, table).values(**row).on_conflict_do_nothing()
        count += len(session.execute(statement.returning(*keys)).all())
    return count


def insert_or_update(
    session: Session,
    table: type[Base],
    row: Mapping[str, Any],
    *,
    keys: Sequence[str],
    changes: Mapping[str, Any] | None = None,
) -> None:
    """Insert a row, or change the one that has these keys.

    Parameters
    ----------
    keys : sequence of str
        The columns of a unique constraint.
    changes : mapping, optional
        What to set in a row that is there; by default all other columns of ``row``.
    """
    if changes is None:
        changes = {name: value for name, value in row.items() if name not in keys}
    statement: Any = _insert(session, table).values(**row)
    session.execute(statement.on_conflict_do_update(index_elements=keys, set_=dict(changes)))


def _insert(session: Session, table: type[Base]) -> Any:
    name = session.get_bind().dialect.name
    return postgresql.insert(table) if name == "postgresql" else sqlite.insert(table)


def _database_url(url: str | Path) -> URL:
    if isinstance(url, Path) or "://" not in url:
        Path(url).parent.mkdir(parents=True, exist_ok=True)
        return URL.create("sqlite", database=str(url))
    parsed = make_url(url)
    if parsed.drivername in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise BadInput(
            f"the catalog cannot be in {parsed.drivername!r}; use a SQLite file or PostgreSQL",
            code="unknown_database",
        )
    return parsed


def _engine(url: URL) -> Engine:
    try:
        engine = create_engine(
            url,
            pool_pre_ping=url.get_backend_name() != "sqlite",
            # NaN becomes null: JSON has none, and PostgreSQL refuses it.
            json_serializer=lambda value: orjson.dumps(value).decode(),
        )
    except (ImportError, NoSuchModuleError) as error:
        raise MissingExtra(
            f"PostgreSQL needs a driver that is not installed ({error}); "
            "pip install 'tidegauge[postgresql]'"
        ) from error
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    """Let us begin transactions ourselves, and set what holds for a connection."""
    connection.isolation_level = None
    for pragma in ("busy_timeout = 10000", "journal_mode = WAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """Take SQLite's one lock for writing at once, where waiting for it is safe."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
