"""News: what reached the lake and was not yet worked on, from all servers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, func, insert, select, tuple_

from tidegauge.catalog.database import Database
from tidegauge.catalog.tables import News
from tidegauge.lake.flusher import Flushed

#: News that are read at once, and marked in one statement.
MOST = 1_000


@dataclass(frozen=True)
class Unread:
    """What came to a model and was not yet worked on.

    Parameters
    ----------
    records, labels, quarantined : int
        Rows of each kind.
    first_event, last_event : datetime or None
        Least and greatest event time of its records.
    """

    records: int = 0
    labels: int = 0
    quarantined: int = 0
    first_event: datetime | None = None
    last_event: datetime | None = None


class NewsBoard:
    """The news of all models: added by every server, read and done with by the scheduler."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, flushed: Sequence[Flushed]) -> None:
        """Add what a flush brought, in one transaction; twice does no harm but work."""
        if not flushed:
            return
        now = datetime.now(UTC)
        rows = [{**asdict(one), "at": now} for one in flushed]
        with self._database.writing() as session:
            session.execute(insert(News), rows)

    def read(self, limit: int = MOST, *, but_not: Collection[tuple[str, str]] = ()) -> list[News]:
        """Return the oldest news that nobody is done with.

        Parameters
        ----------
        limit : int
        but_not : collection of (project, model)
            Models whose news are left out.
        """
        statement = select(News).order_by(News.id).limit(limit)
        if but_not:
            statement = statement.where(tuple_(News.project, News.model).not_in(list(but_not)))
        with self._database.reading() as session:
            return list(session.scalars(statement))

    def done(self, ids: Collection[int]) -> None:
        """Forget news, once all they ask for is done and stored."""
        if not ids:
            return
        ordered = sorted(ids)
        with self._database.writing() as session:
            for first in range(0, len(ordered), MOST):
                part = ordered[first : first + MOST]
                session.execute(delete(News).where(News.id.in_(part)))

    def unread(
        self, project: str | None = None, model: str | None = None
    ) -> dict[tuple[str, str], Unread]:
        """Return by project and model what there is to read, of all models or of some."""
        sums: Any = [
            func.sum(News.records),
            func.sum(News.labels),
            func.sum(News.quarantined),
            func.min(News.first_event),
            func.max(News.last_event),
        ]
        statement = select(News.project, News.model, *sums)
        if project is not None:
            statement = statement.where(News.project == project)
        if model is not None:
            statement = statement.where(News.model == model)
        with self._database.reading() as session:
            rows = session.execute(statement.group_by(News.project, News.model)).all()
        return {
            (row[0], row[1]): Unread(int(row[2]), int(row[3]), int(row[4]), row[5], row[6])
            for row in rows
        }
