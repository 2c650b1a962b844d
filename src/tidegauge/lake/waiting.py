"""The journal's entries that wait for the lake: where each stands, by table and in order."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from tidegauge.lake.entries import EntryKind, PendingEntry, decode
from tidegauge.lake.frames import Damage, Frame, Part
from tidegauge.lake.segments import Segment

#: One table's entries: project, model, kind.
Target = tuple[str, str, EntryKind]

#: What an entry counts for besides its own bytes: what is known of it is kept in memory.
OVERHEAD = 1024


@dataclass(slots=True)
class Held:
    """An entry that is durable in a segment.

    Parameters
    ----------
    target : (project, model, kind)
    segment : Segment
    offset : int
        Its place in the journal that took it.
    part : Part
        Where its rows stand in the segment.
    layout : bytes
        Its columns, as Arrow's schema in IPC form.
    timestamp : str
        Name of the event time's column.
    rows : int
    received_at : int
        Microseconds since 1970.
    since : float
        When it became durable, on this process's monotonic clock.
    """

    target: Target
    segment: Segment
    offset: int
    part: Part
    layout: bytes
    timestamp: str
    rows: int
    received_at: int
    since: float

    @property
    def size(self) -> int:
        """Bytes that it counts for."""
        return self.part.length + OVERHEAD

    def read(self, segment: pa.Buffer) -> PendingEntry:
        """Return the entry as it stands in its segment.

        Parameters
        ----------
        segment : pyarrow.Buffer
            The whole of it.

        Raises
        ------
        ValueError, pyarrow.ArrowException
            If what stands there is not what was written.
        """
        start, length = self.part.start, self.part.length
        if start + length > segment.size:
            raise ValueError("the file was cut off")
        body = segment.slice(start, length)
        if not self.part.is_whole(body):
            raise ValueError("its bytes are not what was written")
        batch = decode(self.layout, body)
        project, model, kind = self.target
        journal = self.segment.journal
        return PendingEntry(
            journal, self.offset, project, model, kind, self.timestamp, self.received_at, batch
        )

    def damage(self) -> Damage:
        """Return where it stands, as a piece that cannot be read."""
        project, model, kind = self.target
        about = {"project": project, "model": model, "entries": [[kind, "", 0, self.rows]]}
        return Damage(self.part.start, self.part.start + self.part.length, about)


def entries_of(
    found: Frame, segment: Segment, layouts: Sequence[bytes], *, since: float | None = None
) -> list[Held]:
    """Return the entries of a request's frame.

    Parameters
    ----------
    found : Frame
        As it stands in the segment.
    segment : Segment
    layouts : sequence of bytes
        The columns of each entry.
    since : float, optional
        When they became durable, on the monotonic clock; now by default.
    """
    about = found.about
    since = time.monotonic() if since is None else since
    return [
        Held(
            (about["project"], about["model"], kind),
            segment,
            about["offset"] + at,
            part,
            layout,
            timestamp,
            rows,
            about["received_at"],
            since,
        )
        for at, ((kind, timestamp, _, rows), part, layout) in enumerate(
            zip(about["entries"], found.parts, layouts, strict=True)
        )
    ]


class WaitingEntries:
    """Entries by table: those still to be written, and those written but not yet forgotten.

    Not safe for several threads; its owner has a lock.
    """

    def __init__(self) -> None:
        self._fresh: dict[Target, deque[Held]] = {}
        self._written: dict[Target, deque[Held]] = {}
        self._count = 0
        #: Bytes that all of them count for.
        self.bytes = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Held]:
        for queues in (self._written, self._fresh):
            for queue in queues.values():
                yield from queue

    def add(self, held: Held) -> None:
        """Take an entry; those of one table come in order."""
        self._fresh.setdefault(held.target, deque()).append(held)
        held.segment.waiting += 1
        self._count += 1
        self.bytes += held.size

    def oldest_age(self) -> float:
        """Return for how many seconds the oldest entry has waited; 0 where none waits."""
        firsts = [
            queue[0].since for held in (self._fresh, self._written) for queue in held.values()
        ]
        return max(0.0, time.monotonic() - min(firsts)) if firsts else 0.0

    def oldest(
        self, max_bytes: int, exclude: Collection[Target], before: float = math.inf
    ) -> list[Held]:
        """Return entries to be written: of the table whose oldest is oldest first, and so on.

        Parameters
        ----------
        before : float
            On the monotonic clock; what became durable later is left out.
        """
        queues = [queue for target, queue in self._fresh.items() if target not in exclude]
        chosen: list[Held] = []
        taken = 0
        for queue in sorted(queues, key=lambda queue: queue[0].since):
            for held in queue:
                if held.since > before:
                    break
                if chosen and taken + held.size > max_bytes:
                    return chosen
                taken += held.size
                chosen.append(held)
        return chosen

    def written(self, target: Target, journal: str, upto: int) -> None:
        """Note that the lake has a table's entries of a journal, up to an offset."""
        queue = self._fresh.get(target, deque())
        done = self._written.setdefault(target, deque())
        while queue and queue[0].segment.journal == journal and queue[0].offset <= upto:
            done.append(queue.popleft())
        self._tidy(target)

    def trim(self, target: Target, journal: str, upto: int) -> None:
        """Forget a table's entries of a journal, up to an offset."""
        for queue in (self._written.get(target), self._fresh.get(target)):
            while queue and queue[0].segment.journal == journal and queue[0].offset <= upto:
                self._forget(queue.popleft())
        self._tidy(target)

    def drop(self, held: Held) -> None:
        """Forget one entry that is to be written: it cannot be read."""
        self._fresh[held.target].remove(held)
        self._forget(held)
        self._tidy(held.target)

    def _forget(self, held: Held) -> None:
        held.segment.waiting -= 1
        self._count -= 1
        self.bytes -= held.size

    def _tidy(self, target: Target) -> None:
        for queues in (self._fresh, self._written):
            if target in queues and not queues[target]:
                del queues[target]
