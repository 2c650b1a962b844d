"""The catalog as a whole: one database, and what is kept in it by subject."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext

from tidegauge.catalog.audit import AuditLog
from tidegauge.catalog.baselines import Baselines
from tidegauge.catalog.database import Database
from tidegauge.catalog.erasures import Erasures
from tidegauge.catalog.incidents import Incidents
from tidegauge.catalog.leases import Leases
from tidegauge.catalog.new_fields import NewFieldsBook
from tidegauge.catalog.news import NewsBoard
from tidegauge.catalog.registry import Models, Projects
from tidegauge.catalog.revision import Revision
from tidegauge.catalog.terms import Term
from tidegauge.catalog.windows import Windows


class Catalog:
    """Projects, models, baselines, windows, incidents, audit log, leases, news and erasures.

    Opening it brings an older database up to date. What is returned are values: objects that are
    not tied to the database.

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
        When the database was made by a newer Tidegauge.
    Unavailable
        When the database does not answer.

    Examples
    --------
    >>> import tempfile
    >>> from tidegauge.schema import Column, ColumnType, Schema
    >>> folder = tempfile.TemporaryDirectory()
    >>> catalog = Catalog(Path(folder.name) / "catalog.db")
    >>> project = catalog.projects.ensure("default")
    >>> schema = Schema((Column("age", ColumnType.NUMERIC),))
    >>> model, made = catalog.models.ensure("default", "flight-delay", schema)
    >>> catalog.models.get("default", "flight-delay").schema == schema
    True
    >>> catalog.close(); folder.cleanup()
    """

    def __init__(self, url: str | Path) -> None:
        self._hold(Database(url))

    def _hold(self, database: Database) -> None:
        self._database = database
        self.projects = Projects(database)
        self.models = Models(database)
        self.baselines = Baselines(database)
        self.windows = Windows(database)
        self.incidents = Incidents(database)
        self.audit = AuditLog(database)
        self.leases = Leases(database)
        self.news = NewsBoard(database)
        self.new_fields = NewFieldsBook(database)
        self.erasures = Erasures(database)
        self.revision = Revision(database)

    def under(self, term: Term) -> Catalog:
        """Return this catalog for the work of a lease.

        Whatever is written through it checks in its own transaction that the term goes on, and
        raises :class:`~tidegauge.errors.LeaseLost` where it does not. It is closed with this one.
        """
        fenced = object.__new__(Catalog)
        fenced._hold(self._database.under(term))
        return fenced

    def on_error(self, listener: Callable[[str], None]) -> None:
        """Have a function called with the kind of error of each call that fails."""

        def tell(context: ExceptionContext) -> None:
            listener(type(context.original_exception).__name__)

        event.listen(self._database.engine, "handle_error", tell)

    def close(self) -> None:
        """Close the database's connections."""
        self._database.close()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
