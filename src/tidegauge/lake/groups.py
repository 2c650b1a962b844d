"""Groups: what waits for the journal's writing thread, and what a group is in the file."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tidegauge.lake.entries import JournalRequest, Receipt
from tidegauge.lake.frames import FrameKind, frame
from tidegauge.lake.segments import Segment
from tidegauge.lake.waiting import Held, entries_of


@dataclass
class Append:
    """A request that waits for its commit."""

    request: JournalRequest
    encoded: list[tuple[bytes, pa.Buffer]]
    size: int
    future: Future[Receipt] = field(default_factory=Future)


@dataclass
class Task:
    """Something else that the writing thread does between two groups."""

    work: Callable[[], None]
    future: Future[None] = field(default_factory=Future)
    size: int = 0

    def carry_out(self) -> None:
        """Do it, and tell whoever waits."""
        try:
            self.work()
        except BaseException as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(None)


@dataclass(frozen=True)
class Commit:
    """What one commit did, for whoever counts.

    Parameters
    ----------
    seconds : float
    requests, bytes : int
    """

    seconds: float
    requests: int
    bytes: int


class Groups:
    """What waits, and how much of it makes the next group.

    Parameters
    ----------
    ready : threading.Condition
        The owner's lock; `push`, `recount` and `close` are called under it.
    group_bytes : int
        A group ends at the latest when it holds this much.
    linger : float
        Seconds to wait for a group to grow as large as the one before it.
    """

    def __init__(self, ready: threading.Condition, group_bytes: int, linger: float) -> None:
        self._ready = ready
        self._group_bytes = group_bytes
        self._linger = linger
        self._queue: deque[Append | Task] = deque()
        self._last = 1
        #: Bytes of what waits, and of what is being written.
        self.bytes = 0
        self.closed = False

    def push(self, item: Append | Task) -> None:
        """Let something wait."""
        self._queue.append(item)
        self.bytes += item.size
        self._ready.notify()

    def recount(self) -> None:
        """Count what waits anew, after something went wrong with what was being written."""
        self.bytes = sum(item.size for item in self._queue)

    def close(self) -> None:
        """End after what waits already."""
        self.closed = True
        self._ready.notify()

    def next(self) -> list[Append | Task]:
        """Wait for the next group; an empty one means that there will be none."""
        with self._ready:
            while not self._queue and not self.closed:
                self._ready.wait()
            deadline = time.monotonic() + self._linger
            while len(self._queue) < self._last and self.bytes < self._group_bytes:
                left = deadline - time.monotonic()
                if self.closed or left <= 0:
                    break
                self._ready.wait(left)
            group: list[Append | Task] = []
            size = 0
            while self._queue and (not group or size + self._queue[0].size <= self._group_bytes):
                group.append(self._queue.popleft())
                size += group[-1].size
            self._last = sum(isinstance(item, Append) for item in group)
            return group


@dataclass(frozen=True)
class Framed:
    """A group as it is written.

    Parameters
    ----------
    buffers : list of buffers
    held : list of list of Held
        The entries of each request.
    layouts : dict of bytes to int
        The schemas that stand in the segment then.
    """

    buffers: list[Any]
    held: list[list[Held]]
    layouts: dict[bytes, int]


def framed(
    group: Sequence[Append], segment: Segment, journal: str, last_offset: int, answered_at: int
) -> Framed:
    """Return a group as frames at a segment's end.

    Parameters
    ----------
    journal : str
        Its id.
    last_offset : int
        The last that was given to an entry.
    answered_at : int
        Microseconds since 1970, by the clock of idempotency keys.
    """
    buffers: list[Any] = []
    held: list[list[Held]] = []
    place, offset = segment.size, last_offset
    layouts = dict(segment.layouts)
    received_at = time.time_ns() // 1000
    for item in group:
        request = item.request
        for layout, _ in item.encoded:
            if layout not in layouts:
                layouts[layout] = len(layouts)
                parts, written = frame(FrameKind.LAYOUT, {"layout": layouts[layout]}, [layout])
                buffers += parts
                place += written.end
        about = {
            "journal": journal,
            "project": request.project,
            "model": request.model,
            "offset": offset + 1,
            "received_at": received_at,
            "answered_at": answered_at,
            "entries": [
                [entry.kind, entry.timestamp, layouts[layout], entry.table.num_rows]
                for entry, (layout, _) in zip(request.entries, item.encoded, strict=True)
            ],
            "answers": {key: answer.decode() for key, answer in request.answers.items()},
        }
        bodies = [body for _, body in item.encoded]
        parts, written = frame(FrameKind.REQUEST, about, bodies)
        names = [layout for layout, _ in item.encoded]
        held.append(entries_of(written.moved(place), segment, names))
        buffers += parts
        place += written.end
        offset += len(bodies)
    return Framed(buffers, held, layouts)
