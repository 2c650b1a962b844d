"""Leases: a work that one process at a time does, and who does it now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, or_, update

from tidegauge.catalog.database import Database, insert_or_ignore
from tidegauge.catalog.tables import Lease


class Leases:
    """Who may do what until when; a lease that ran out is free to be taken."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def acquire(
        self, name: str, owner: str, duration: timedelta, *, now: datetime | None = None
    ) -> bool:
        """Take a lease, or keep the one that the owner has; return whether it is the owner's.

        Parameters
        ----------
        name : str
            The work.
        owner : str
            Who wants to do it; an id that no other process has.
        duration : timedelta
            For how long; to be renewed well before that.
        now : datetime, optional
            The clock, which all owners have to share to within much less than the duration.
        """
        now = now or datetime.now(UTC)
        until = now + duration
        statement = (
            update(Lease)
            .where(Lease.name == name, or_(Lease.owner == owner, Lease.until <= now))
            .values(owner=owner, until=until)
        )
        with self._database.writing() as session:
            result: Any = session.execute(statement)
            if result.rowcount:
                return True
            row = {"name": name, "owner": owner, "until": until}
            return insert_or_ignore(session, Lease, [row]) == 1

    def renew(
        self, name: str, owner: str, duration: timedelta, *, now: datetime | None = None
    ) -> bool:
        """Keep a lease that the owner still has; return False where it has been lost."""
        now = now or datetime.now(UTC)
        statement = (
            update(Lease)
            .where(Lease.name == name, Lease.owner == owner)
            .values(until=now + duration)
        )
        with self._database.writing() as session:
            result: Any = session.execute(statement)
            return bool(result.rowcount)

    def release(self, name: str, owner: str) -> None:
        """Give a lease back, if the owner has it."""
        with self._database.writing() as session:
            session.execute(delete(Lease).where(Lease.name == name, Lease.owner == owner))
