"""Terms of leases: who holds a work, and the check inside a transaction that it still does."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from tidegauge.catalog.tables import Lease
from tidegauge.errors import LeaseLost


@dataclass(frozen=True)
class Term:
    """A lease as one owner has it, until another takes it over.

    Parameters
    ----------
    name : str
        The work.
    owner : str
        Who does it.
    number : int
        Grows by one with each owner.
    """

    name: str
    owner: str
    number: int


def require(session: Session, term: Term) -> None:
    """Make sure that a term goes on, and that nobody ends it before this transaction has ended.

    In PostgreSQL the lease's row is locked against a change of its key, which a takeover is and a
    beat is not; in SQLite a writing transaction has the whole database to itself.

    Raises
    ------
    LeaseLost
        When another owner has taken over.
    """
    held = (
        select(Lease.term)
        .where(Lease.name == term.name, Lease.owner == term.owner, Lease.term == term.number)
        .with_for_update(read=True, key_share=True)
    )
    if session.scalar(held) is None:
        raise LeaseLost(
            f"the work {term.name!r} is another server's now; this one held term {term.number} of "
            "it and has written nothing"
        )
