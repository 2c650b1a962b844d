"""The audit log: who did what, when. Rows are added and never changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from tidegauge.catalog.database import Database
from tidegauge.catalog.tables import AuditEntry


class AuditLog:
    """What people and keys did."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self,
        actor: str,
        action: str,
        subject: str,
        *,
        project: str | None = None,
        details: Mapping[str, Any] | None = None,
        at: datetime | None = None,
    ) -> None:
        """Note what was done.

        Parameters
        ----------
        actor : str
            Who: a person, a key, the server itself.
        action : str
            What, such as ``"baseline.set"``.
        subject : str
            To what, such as ``"flight-delay"``.
        project : str, optional
            In which project.
        details : mapping, optional
            What else matters, as JSON.
        at : datetime, optional
            When; now by default.
        """
        entry = AuditEntry(
            at=at or datetime.now(UTC),
            actor=actor,
            action=action,
            project=project,
            subject=subject,
            details=dict(details or {}),
        )
        with self._database.writing() as session:
            session.add(entry)

    def all(self, *, project: str | None = None, limit: int | None = 100) -> list[AuditEntry]:
        """Return what was done, the newest first."""
        statement = select(AuditEntry)
        if project is not None:
            statement = statement.where(AuditEntry.project == project)
        newest_first = (AuditEntry.at.desc(), AuditEntry.id.desc())
        with self._database.reading() as session:
            return list(session.scalars(statement.order_by(*newest_first).limit(limit)))
