"""What became of the records so far: the numbers that ``Client.stats`` shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stats:
    """The books of one client in one process, at one moment.

    They balance: every record handed over is ``queued``, ``sent`` or ``dropped``. A forked child
    begins with empty books, for its parent sends what the parent queued.

    Attributes
    ----------
    queued : int
        Records that wait, with those on their way.
    sent : int
        Records that the server has answered for.
    accepted, repeated, quarantined : int
        What the server said became of those sent.
    retried : int
        Requests (not records) that had to be made again.
    dropped : int
        Records given up: the queue was full, the server refused them, or they could not be sent.
    last_error : str or None
        What went wrong last, in words.

    Examples
    --------
    >>> Stats(queued=2, sent=500, accepted=498, quarantined=2).dropped
    0
    """

    queued: int = 0
    sent: int = 0
    accepted: int = 0
    repeated: int = 0
    quarantined: int = 0
    retried: int = 0
    dropped: int = 0
    last_error: str | None = None
