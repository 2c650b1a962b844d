"""The bounded queue in memory between the caller and the sending thread, and its books.

One lock guards everything here, and nothing is done under it but counting and appending, so a
caller waits for microseconds at most.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field

from tidegauge_client.batch import NDJSON, Answer, Batch, Kind, burden
from tidegauge_client.options import Options
from tidegauge_client.stats import Stats

COUNTED = ("sent", "accepted", "repeated", "quarantined", "retried", "recovered")


@dataclass(slots=True)
class Lane:
    """What waits of one kind, first in first out.

    ``offered`` and ``settled`` count all records ever queued here and done with: so "all that was
    queued by now" is a number to wait for.
    """

    kind: Kind
    entries: deque[bytes | Batch] = field(default_factory=deque)
    records: int = 0
    size: int = 0
    since: float = 0.0
    offered: int = 0
    settled: int = 0
    urgent_until: int = 0


class Outbox:
    r"""Holds records until they are settled: answered by the server, or given up.

    Single records are lines of JSON, gathered into batches when they leave; the batches of a frame
    come ready made. Records on their way still count against the bounds.

    Examples
    --------
    >>> outbox = Outbox(Options(queue_records=2, flush_interval=0))
    >>> [outbox.offer("labels", line) for line in (b"{}", b"{}", b"{}")]
    [True, True, False]
    >>> batch = outbox.take()
    >>> batch.body, outbox.stats().queued
    (b'{}\n{}\n', 2)
    >>> outbox.settle(batch, Answer(accepted=2))
    >>> outbox.stats() == Stats(sent=2, accepted=2)
    True
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        # Half a queue is sent without waiting for a whole batch: else a small one would overflow.
        self._enough_records = min(options.batch_records, max(1, options.queue_records // 2))
        self._enough_bytes = min(options.batch_bytes, max(1, options.queue_bytes // 2))
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget everything, with fresh locks: a new outbox, or that of a forked child."""
        self.lock = threading.RLock()  # reentrant: a signal handler may log, too
        self._work = threading.Condition(self.lock)
        self._room = threading.Condition(self.lock)
        self._lanes: dict[Kind, Lane] = {
            "predictions": Lane("predictions"),
            "labels": Lane("labels"),
        }
        self._records = 0
        self._size = 0
        self._spooled = 0
        self._closed = False
        self._counts: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._last_error: str | None = None

    @property
    def closed(self) -> bool:
        """Whether nothing more is taken in."""
        return self._closed

    def offer(self, kind: Kind, entry: bytes | Batch, timeout: float | None = 0.0) -> bool:
        """Queue a line or a batch, unless that would break a bound.

        Waits for room at most `timeout` seconds: by default not at all, with None for ever.
        """
        records, size = burden(entry)
        with self.lock:
            if timeout != 0 and self.could_ever_hold(entry):
                self._room.wait_for(lambda: self._closed or self._fits(records, size), timeout)
            if self._closed or not self._fits(records, size):
                return False
            lane = self._lanes[kind]
            first = not lane.entries
            if first:
                lane.since = time.monotonic()
            lane.entries.append(entry)
            lane.records += records
            lane.size += size
            lane.offered += records
            self._records += records
            self._size += size
            if first or isinstance(entry, Batch) or self._full(lane):
                self._work.notify()
            return True

    def could_ever_hold(self, entry: bytes | Batch) -> bool:
        """Return whether an entry would fit if nothing else waited."""
        records, size = burden(entry)
        return records <= self._options.queue_records and size <= self._options.queue_bytes

    def take(self) -> Batch | None:
        """Wait for a batch that is full or due, and return it; None once closed and empty."""
        with self.lock:
            while True:
                now = time.monotonic()
                due = {kind: self._due(lane) for kind, lane in self._lanes.items() if lane.entries}
                if not due and self._closed:
                    return None
                kind = min(due, key=due.__getitem__, default=None)
                if kind is not None and due[kind] <= now:
                    taken = self._leave(self._lanes[kind], now)
                    break
                self._work.wait(due[kind] - now if kind is not None else None)
        if isinstance(taken, Batch):
            return taken
        return Batch(kind, NDJSON, b"\n".join([*taken, b""]), len(taken))

    def settle(self, batch: Batch, answer: Answer | None, why_dropped: str = "") -> None:
        """Book a batch that was taken: with the server's answer, or as dropped."""
        with self.lock:
            self._book(batch.records, answer, why_dropped)
            self._free(batch)

    def kept(self, batch: Batch) -> None:
        """Book a batch that was taken: it is on disk now, and not in memory."""
        with self.lock:
            self._spooled += batch.records
            self._free(batch)

    def took_over(self, records: int) -> None:
        """Book records that an earlier process kept on disk."""
        with self.lock:
            self._spooled += records
            self._counts["recovered"] += records

    def settle_kept(self, records: int, answer: Answer | None, why_dropped: str = "") -> None:
        """Book records that were on disk: with the server's answer, or as dropped."""
        with self.lock:
            self._spooled -= records
            self._book(records, answer, why_dropped)

    def await_settled(self, timeout: float | None) -> bool:
        """Have all that is queued by now leave without delay, and wait until it is settled.

        What a spool keeps is settled, too: it is not the outbox's any more.
        """
        with self.lock:
            marks = [(lane, lane.offered) for lane in self._lanes.values()]
            for lane, mark in marks:
                lane.urgent_until = mark
            self._work.notify()
            return self._room.wait_for(
                lambda: all(lane.settled >= mark for lane, mark in marks), timeout
            )

    def close(self) -> None:
        """Take in nothing more; what waits is due at once."""
        with self.lock:
            self._closed = True
            self._work.notify_all()
            self._room.notify_all()

    def discard(self, why: str) -> None:
        """Drop what waits; what is on its way will be settled."""
        with self.lock:
            for lane in self._lanes.values():
                self._dropped[why] += lane.records
                self._records -= lane.records
                self._size -= lane.size
                lane.settled += lane.records
                lane.entries.clear()
                lane.records = lane.size = 0
            self._room.notify_all()

    def drop(self, records: int, why: str, error: str) -> int:
        """Count records that never got in; return how many were dropped so by now."""
        with self.lock:
            self._dropped[why] += records
            self._last_error = error
            return self._dropped[why]

    def note(self, error: str, retried: bool = False) -> None:
        """Remember what went wrong last, and count a retry."""
        with self.lock:
            self._last_error = error
            self._counts["retried"] += retried

    def stats(self) -> Stats:
        """Return the books as they stand."""
        with self.lock:
            return Stats(
                queued=self._records,
                spooled=self._spooled,
                dropped=self._dropped.total(),
                last_error=self._last_error,
                **{name: self._counts[name] for name in COUNTED},
            )

    def _book(self, records: int, answer: Answer | None, why_dropped: str) -> None:
        if answer is None:
            self._dropped[why_dropped] += records
            return
        self._counts["sent"] += records
        self._counts["accepted"] += answer.accepted
        self._counts["repeated"] += answer.repeated
        self._counts["quarantined"] += answer.quarantined

    def _free(self, batch: Batch) -> None:
        self._lanes[batch.kind].settled += batch.records
        self._records -= batch.records
        self._size -= batch.size
        self._room.notify_all()

    def _fits(self, records: int, size: int) -> bool:
        return (
            self._records + records <= self._options.queue_records
            and self._size + size <= self._options.queue_bytes
        )

    def _full(self, lane: Lane) -> bool:
        return lane.records >= self._enough_records or lane.size >= self._enough_bytes

    def _due(self, lane: Lane) -> float:
        """Return when the head of a lane should leave, on the monotonic clock."""
        if (
            self._closed
            or lane.settled < lane.urgent_until
            or isinstance(lane.entries[0], Batch)
            or self._full(lane)
        ):
            return lane.since - self._options.flush_interval
        return lane.since + self._options.flush_interval

    def _leave(self, lane: Lane, now: float) -> Batch | list[bytes]:
        """Remove the head of a lane: a ready batch, or as many lines as fit one."""
        head = lane.entries[0]
        if isinstance(head, Batch):
            lane.entries.popleft()
            lane.records -= head.records
            lane.size -= head.size
            taken: Batch | list[bytes] = head
        else:
            taken = self._lines(lane)
            lane.records -= len(taken)
            lane.size -= sum(map(len, taken)) + len(taken)
        lane.since = now
        return taken

    def _lines(self, lane: Lane) -> list[bytes]:
        lines: list[bytes] = []
        size = 0
        while lane.entries and len(lines) < self._options.batch_records:
            line = lane.entries[0]
            if isinstance(line, Batch) or (
                lines and size + len(line) + 1 > self._options.batch_bytes
            ):
                break
            lines.append(line)
            size += len(line) + 1
            lane.entries.popleft()
        return lines
