"""Which rows of a table are new to somebody: those that came through a journal's offsets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tidegauge.lake.columns import BATCH, JOURNAL


@dataclass(frozen=True)
class Arrival:
    """Rows that came through one journal between two offsets.

    Parameters
    ----------
    journal : str or None
        The journal's id; None for rows from before this was stored.
    first : int
        The least offset.
    last : int, optional
        The greatest one; without it whatever came later counts too.
    """

    journal: str | None
    first: int
    last: int | None = None


def came_with(arrivals: Sequence[Arrival], columns: Collection[str]) -> str:
    """Return the condition, in SQL, that a row came with one of some arrivals.

    Parameters
    ----------
    arrivals : sequence of Arrival
        One at least.
    columns : collection of str
        The columns that the table has. One that was never written since journals have ids in it is
        told by offsets alone.

    Examples
    --------
    >>> came_with([Arrival("ab", 3, 7)], {"_journal", "_batch"})
    "(_batch >= 3 AND _batch <= 7 AND _journal = 'ab')"
    >>> came_with([Arrival(None, 13)], {"_journal", "_batch"})
    '(_batch >= 13 AND _journal IS NULL)'
    """
    return " OR ".join(f"({_condition(one, JOURNAL in columns)})" for one in arrivals)


def merged(arrivals: Sequence[Arrival]) -> list[Arrival]:
    """Return one arrival a journal that holds all of its own.

    Examples
    --------
    >>> merged([Arrival("a", 3, 7), Arrival("b", 1, 2), Arrival("a", 9, 12)])
    [Arrival(journal='a', first=3, last=12), Arrival(journal='b', first=1, last=2)]
    """
    held: dict[str | None, Arrival] = {}
    for one in arrivals:
        before = held.get(one.journal, one)
        last = None if one.last is None or before.last is None else max(one.last, before.last)
        held[one.journal] = Arrival(one.journal, min(one.first, before.first), last)
    return list(held.values())


def _condition(one: Arrival, told: bool) -> str:
    terms = [f"{BATCH} >= {one.first}"]
    if one.last is not None:
        terms.append(f"{BATCH} <= {one.last}")
    if told:
        name = None if one.journal is None else one.journal.replace("'", "''")
        terms.append(f"{JOURNAL} IS NULL" if name is None else f"{JOURNAL} = '{name}'")
    return " AND ".join(terms)
