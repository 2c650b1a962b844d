"""Windows: which of a model's were closed, profiled, labelled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select

from tidegauge.catalog.database import Database, insert_or_update
from tidegauge.catalog.tables import Window

_KEYS = ("model_id", "version", "start", "end")


@dataclass(frozen=True)
class WindowRow:
    """What is known of a window of one model version.

    Parameters
    ----------
    version : str or None
    start, end : datetime
        Half-open.
    n_records, n_labelled : int
        Its records, and how many of them have a label.
    basis : str, optional
        Of its performance: ``estimated``, ``partial``, ``final``.
    profiled_at : datetime, optional
        When its profile was made last.
    state : str
        ``closed``, or what else the scheduler calls it.
    """

    version: str | None
    start: datetime
    end: datetime
    n_records: int = 0
    n_labelled: int = 0
    basis: str | None = None
    profiled_at: datetime | None = None
    state: str = "closed"


class Windows:
    """The windows of all models, as far as they were worked on."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, model_id: int, rows: Iterable[WindowRow]) -> None:
        """Store what is known of windows, in one transaction; what was known before is replaced."""
        with self._database.writing() as session:
            for row in rows:
                values = {"model_id": model_id, **asdict(row)}
                insert_or_update(session, Window, values, keys=_KEYS)

    def forget_before(self, model_id: int, moment: datetime) -> int:
        """Forget the windows that begin before a moment; return how many there were."""
        with self._database.writing() as session:
            result: Any = session.execute(
                delete(Window).where(Window.model_id == model_id, Window.start < moment)
            )
            return int(result.rowcount)

    def first_start(self, model_id: int) -> datetime | None:
        """Return the start of the first window that is known, or None before it."""
        statement = select(func.min(Window.start)).where(Window.model_id == model_id)
        with self._database.reading() as session:
            return session.scalar(statement)

    def closed_until(self, model_id: int) -> datetime | None:
        """Return the end of the last closed window, or None before the first."""
        statement = select(func.max(Window.end)).where(
            Window.model_id == model_id, Window.state == "closed"
        )
        with self._database.reading() as session:
            return session.scalar(statement)

    def between(
        self, model_id: int, start: datetime | None = None, end: datetime | None = None
    ) -> list[Window]:
        """Return the windows that begin within ``[start, end)``, by start and version."""
        statement = select(Window).where(Window.model_id == model_id)
        if start is not None:
            statement = statement.where(Window.start >= start)
        if end is not None:
            statement = statement.where(Window.start < end)
        with self._database.reading() as session:
            return list(session.scalars(statement.order_by(Window.start, Window.version)))
