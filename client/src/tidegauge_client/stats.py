"""What became of the records so far: the numbers that ``Client.stats`` shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stats:
    """The books of one client in one process, at one moment.

    They balance: every record handed over, and every one recovered, is ``queued``, ``spooled``,
    ``sent`` or ``dropped``. A forked child begins with empty books, for its parent sends what the
    parent queued.

    Attributes
    ----------
    queued : int
        Records that wait in memory, with those on their way.
    spooled : int
        Records that wait on disk, with those on their way (a client with a spool).
    sent : int
        Records that the server has answered for.
    accepted, repeated, quarantined : int
        What the server said became of those sent.
    retried : int
        Requests (not records) that had to be made again.
    dropped : int
        Records given up: the queue was full, the server refused them, or they could not be sent.
        With a spool, those set aside in it as refused or damaged are among them.
    recovered : int
        Records in the spool that processes which have ended left behind, and this one took over.
    spooled_batches, spooled_bytes : int
        What waits on disk: batches, and the bytes of disk that they take.
    spooled_oldest : float or None
        Seconds since the oldest batch on disk was written; None if there is none.
    last_error : str or None
        What went wrong last, in words.

    Examples
    --------
    >>> Stats(queued=2, sent=500, accepted=498, quarantined=2).dropped
    0
    """

    queued: int = 0
    spooled: int = 0
    sent: int = 0
    accepted: int = 0
    repeated: int = 0
    quarantined: int = 0
    retried: int = 0
    dropped: int = 0
    recovered: int = 0
    spooled_batches: int = 0
    spooled_bytes: int = 0
    spooled_oldest: float | None = None
    last_error: str | None = None
