"""The catalog's database: opened, brought up to date, read and written in transactions."""

from __future__ import annotations

import copy
import sqlite3
import time
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
from sqlalchemy.exc import DBAPIError, InterfaceError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from tidegauge.catalog.tables import Base
from tidegauge.catalog.terms import Term, require
from tidegauge.errors import BadInput, Conflict, MissingExtra, Unavailable

_MIGRATIONS = Path(__file__).parent / "migrations"
#: Keeps two servers from migrating one database at the same time.
_MIGRATING = 7_433_001
#: After PostgreSQL did not answer, nobody else waits for it within so many seconds.
_DOWN_SECONDS = 1.0
#: Ten times a second, how often the log of changes is tried to be emptied.
_TRIES = 50
#: How a connection to PostgreSQL finds out that the other side is gone; the URL's own count first.
_CONNECTING = {
    "application_name": "tidegauge",
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
#: For how long a connection waits there. A process that stands still in a transaction loses it
#: well before its lease may be taken over, and so does not hold up the takeover.
_PATIENCE = {
    "idle_in_transaction_session_timeout": "5s",
    "lock_timeout": "10s",
    "statement_timeout": "30s",
}


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
    Unavailable
        When the database does not answer; from all that is done with it, too.
    """

    def __init__(self, url: str | Path) -> None:
        self.url = _database_url(url)
        self.engine = _engine(self.url)
        self._writing = self.engine.execution_options(writes=True)
        self._outage = _Outage(self.url)
        self._term: Term | None = None
        try:
            self._migrate()
        except BaseException:
            self.close()
            raise
        self._outage.opened()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def under(self, term: Term) -> Database:
        """Return the same database; whatever is written through it requires the term."""
        fenced = copy.copy(self)
        fenced._term = term
        return fenced

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Give a session that only reads."""
        with self._outage.noticed(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Give a session that writes; commits at the end, rolls back on any error."""
        with (
            self._outage.noticed(),
            Session(self._writing, expire_on_commit=False) as session,
            session.begin(),
        ):
            if self._term is not None:
                require(session, self._term)
            yield session

    def forget_changes(self, table: str) -> None:
        """See to it that values a table had before are not on the disk any more.

        Of SQLite that is its log of changes; PostgreSQL is asked to free the rows of before, and
        keeps its own log for as long as it was told to.

        Raises
        ------
        Unavailable
            If others use the log all the time; to be tried again.
        """
        with self._outage.noticed(), self.engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                free = connection.execution_options(isolation_level="AUTOCOMMIT")
                free.exec_driver_sql(f"VACUUM {table}")
                return
            driver: Any = connection.connection.driver_connection
            for _ in range(_TRIES):
                if not driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                    return
                time.sleep(0.1)
        raise Unavailable(
            "the catalog's log of changes cannot be emptied: somebody reads all the time",
            code="catalog_unavailable",
        )

    def _migrate(self) -> None:
        config = migrations()
        with self._outage.noticed(), self._writing.begin() as connection:
            if connection.dialect.name == "postgresql":
                for name in _PATIENCE:
                    connection.execute(text(f"SET LOCAL {name} = '120s'"))
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


def open_engine(url: str | Path) -> Engine:
    """Return the way to a catalog as it is: nothing is brought up to date."""
    return _engine(_database_url(url))


def migrations() -> Config:
    """Return Alembic's configuration with the steps from one version of the tables to the next."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config


class _Outage:
    """Tells a database that does not answer from all other errors.

    Once it did not answer, whoever asks within the next second is told so at once: threads do not
    pile up in front of it.

    Parameters
    ----------
    url : URL
    """

    def __init__(self, url: URL) -> None:
        self._url = url
        self._until = float("-inf")
        self._reason = ""
        self._advice = "start it, or name another database"

    def opened(self) -> None:
        """Take note that it has answered: who uses it knows how to go on without it."""
        self._advice = (
            "records of known models are still taken, all else works again once it is back"
        )

    @contextmanager
    def noticed(self) -> Iterator[None]:
        """Raise ``Unavailable`` in place of what the driver raises."""
        if time.monotonic() < self._until:
            raise self._unavailable()
        try:
            yield
        except (DBAPIError, PoolTimeout) as error:
            if not _is_outage(error):
                raise
            cause = error.orig if isinstance(error, DBAPIError) else error
            self._reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
            if _is_unreachable(error):
                self._until = time.monotonic() + _DOWN_SECONDS
            raise self._unavailable() from error

    def _unavailable(self) -> Unavailable:
        return Unavailable(
            f"the catalog ({_shown(self._url)}) does not answer: {self._reason}; {self._advice}",
            code="catalog_unavailable",
        )


def _shown(url: URL) -> str:
    """Return a URL as a person wrote it, without its password."""
    return url.set(drivername=url.get_backend_name()).render_as_string()


def _is_outage(error: DBAPIError | PoolTimeout) -> bool:
    if isinstance(error, PoolTimeout):
        return True
    if isinstance(error.orig, sqlite3.Error):
        # Locked, full, not to be opened, …: all but an error in the statement itself.
        code = getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        return isinstance(error, OperationalError) and code & 0xFF != sqlite3.SQLITE_ERROR
    return isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated


def _is_unreachable(error: DBAPIError | PoolTimeout) -> bool:
    """Whether no connection can be had, rather than a lock or an answer within its time."""
    if isinstance(error, PoolTimeout) or isinstance(error.orig, sqlite3.Error):
        return False
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) is None


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
    options: dict[str, Any] = {}
    if url.get_backend_name() != "sqlite":
        told = {name: value for name, value in _CONNECTING.items() if name not in url.query}
        options = {"pool_pre_ping": True, "pool_timeout": 10, "connect_args": told}
    try:
        engine = create_engine(
            url,
            **options,
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
    else:
        event.listen(engine, "connect", _prepare_postgresql)
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    """Let us begin transactions ourselves, and set what holds for a connection."""
    connection.isolation_level = None
    for pragma in (
        "busy_timeout = 10000",
        "journal_mode = WAL",
        "foreign_keys = ON",
        "secure_delete = ON",  # What was erased does not stay on free pages.
    ):
        connection.execute(f"PRAGMA {pragma}")


def _prepare_postgresql(connection: Any, _: Any) -> None:
    """Set what holds for a connection."""
    for name, value in _PATIENCE.items():
        connection.execute(f"SET {name} = '{value}'")
    connection.commit()


def _begin_sqlite(connection: Connection) -> None:
    """Take SQLite's one lock for writing at once, where waiting for it is safe."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
