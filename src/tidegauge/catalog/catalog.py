"""The catalog as a whole: one database, and what is kept in it by subject."""

from __future__ import annotations

from pathlib import Path

from tidegauge.catalog.audit import AuditLog
from tidegauge.catalog.baselines import Baselines
from tidegauge.catalog.database import Database
from tidegauge.catalog.incidents import Incidents
from tidegauge.catalog.leases import Leases
from tidegauge.catalog.registry import Models, Projects
from tidegauge.catalog.windows import Windows


class Catalog:
    """Projects, models, baselines, windows, incidents, audit log and leases.

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
        self._database = Database(url)
        self.projects = Projects(self._database)
        self.models = Models(self._database)
        self.baselines = Baselines(self._database)
        self.windows = Windows(self._database)
        self.incidents = Incidents(self._database)
        self.audit = AuditLog(self._database)
        self.leases = Leases(self._database)

    def close(self) -> None:
        """Close the database's connections."""
        self._database.close()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
