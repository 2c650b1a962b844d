"""Leases: a work that one process at a time does, and who does it now. No clock is shared.

The owner of a lease raises its beat every few seconds. Who wants it watches the beat, and takes the
lease over once the beat has not changed for longer than its patience, measured by its own monotonic
clock. Whoever wrote for the one before is stopped by the term: see ``terms.py``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import select, update

from tidegauge.catalog.database import Database, insert_or_ignore
from tidegauge.catalog.tables import Lease
from tidegauge.catalog.terms import Term

#: Seconds between two beats of an owner.
BEAT_SECONDS = 3.0
#: Seconds without a beat after which a lease is taken over.
PATIENCE_SECONDS = 10.0
#: The owner of a lease that was given back.
NOBODY = ""


class Leases:
    """The leases of all works, as they stand in the catalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def look(self, name: str) -> Lease | None:
        """Return a lease, or None where nobody has had it yet."""
        with self._database.reading() as session:
            return session.scalar(select(Lease).where(Lease.name == name))

    def take(self, name: str, owner: str, seen: Lease | None) -> Term | None:
        """Take a lease, if it still is as it was seen; of several who try, one succeeds.

        Parameters
        ----------
        name : str
            The work.
        owner : str
            Who wants to do it; an id that no other process has.
        seen : Lease or None
            What :meth:`look` returned.
        """
        with self._database.writing() as session:
            if seen is None:
                row = {"name": name, "owner": owner, "term": 1, "beat": 0}
                return Term(name, owner, 1) if insert_or_ignore(session, Lease, [row]) else None
            result: Any = session.execute(
                update(Lease)
                .where(
                    Lease.name == name,
                    Lease.owner == seen.owner,
                    Lease.term == seen.term,
                    Lease.beat == seen.beat,
                )
                .values(owner=owner, term=seen.term + 1, beat=0)
            )
            return Term(name, owner, seen.term + 1) if result.rowcount else None

    def beat(self, term: Term) -> bool:
        """Say that the owner is still there; return False where it has lost the lease."""
        with self._database.writing() as session:
            result: Any = session.execute(_of(term).values(beat=Lease.beat + 1))
            return bool(result.rowcount)

    def release(self, term: Term) -> None:
        """Give a lease back, if the owner still has it; the next one need not wait."""
        with self._database.writing() as session:
            session.execute(_of(term).values(owner=NOBODY, beat=Lease.beat + 1))


class Claim:
    """One process's claim to a lease: has it, or waits for it.

    Parameters
    ----------
    leases : Leases
    name, owner : str
        The work, and who wants to do it. An owner that comes back under the same id, as a server
        does that was started again on its own folder, need not wait for itself.
    patience : float
        Seconds without a beat after which the lease is taken over.
    pace : float
        Seconds between beats.
    clock : callable
        Returns seconds that only ever grow.

    Attributes
    ----------
    term : Term or None
        What this process holds; None while another one does.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = tempfile.TemporaryDirectory()
    >>> leases = Leases(Database(Path(folder.name) / "catalog.db"))
    >>> now = [0.0]
    >>> first, second = (Claim(leases, "x", owner, clock=lambda: now[0]) for owner in "ab")
    >>> first.attend().number, second.attend()
    (1, None)
    >>> now[0] = 10.5  # Nothing was heard of the first one all this while.
    >>> second.attend().number, first.attend()
    (2, None)
    >>> folder.cleanup()
    """

    def __init__(
        self,
        leases: Leases,
        name: str,
        owner: str,
        *,
        patience: float = PATIENCE_SECONDS,
        pace: float = BEAT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.owner = owner
        self.term: Term | None = None
        self._leases = leases
        self._patience = patience
        self._pace = pace
        self._clock = clock
        self._beaten_at = float("-inf")
        self._returning = True
        self._seen: tuple[str, int, int] | None = None
        self._seen_at = 0.0

    def attend(self) -> Term | None:
        """Keep the lease, or take it where it is free; to be called about once a second.

        Raises
        ------
        Unavailable
            When the catalog does not answer. The patience with another owner begins anew then:
            it cannot have been heard.
        """
        try:
            if self.term is not None:
                self._keep(self.term)
            if self.term is None:
                self._wait()
        except BaseException:
            self._seen = None
            raise
        return self.term

    def lost(self, term: Term) -> None:
        """Take note that a term has ended, as a transaction under it found out."""
        if self.term == term:
            self.term = None

    def release(self) -> None:
        """Give the lease back, so that another process has it at once."""
        term, self.term = self.term, None
        if term is not None:
            self._leases.release(term)

    def _keep(self, term: Term) -> None:
        now = self._clock()
        if now - self._beaten_at < self._pace:
            return
        if self._leases.beat(term):
            self._beaten_at = now
        else:
            self.lost(term)

    def _wait(self) -> None:
        seen = self._leases.look(self.name)
        now = self._clock()
        if seen is not None:
            sign = seen.owner, seen.term, seen.beat
            free = seen.owner == NOBODY or (seen.owner == self.owner and self._returning)
            if not free and sign != self._seen:
                self._seen, self._seen_at = sign, now
                return
            if not free and now - self._seen_at < self._patience:
                return
        self.term = self._leases.take(self.name, self.owner, seen)
        if self.term is not None:
            self._beaten_at, self._returning, self._seen = now, False, None


def _of(term: Term) -> Any:
    return update(Lease).where(
        Lease.name == term.name, Lease.owner == term.owner, Lease.term == term.number
    )
