"""The spool of one client: which batches wait on disk, in which order, and how much they take.

Every process has a folder of its own in it (`spool_folder`), and takes over those that processes
with the same destination left behind when they ended.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tidegauge_client.batch import Batch
from tidegauge_client.errors import DamagedError, SpoolFullError
from tidegauge_client.set_aside import SetAside
from tidegauge_client.spool_file import Parcel, blocks, decode, encode
from tidegauge_client.spool_folder import (
    DAMAGED,
    Folder,
    batch_name,
    owner,
    process_folders,
    used_by,
)

LIVE_IN_A_ROW = 3
"""While old batches wait, one of them is sent after so many new ones."""


class Entry(NamedTuple):
    """A batch that waits on disk; sorts by age."""

    created: int
    number: int
    sequence: int
    records: int
    size: int
    folder: Folder

    @property
    def name(self) -> str:
        """The name of its file."""
        return batch_name(self.created, self.sequence, self.records)

    @property
    def path(self) -> Path:
        """Where its file is."""
        return self.folder.path / self.name


@dataclass(slots=True)
class Barrier:
    """All that waited at one moment: `remaining` goes down as it is settled."""

    mark: int
    remaining: int


class Spool:
    """Keeps batches on disk, and gives them out again, oldest first.

    After the server was away, new batches and old ones take turns: most turns are the new ones', so
    that what happens now is seen now.

    Parameters
    ----------
    root : Path
        The folder, which several processes and clients may share.
    limit : int
        The most bytes of disk that it may take, with what was set aside.
    url, address : str
        The server, and the model on it: other destinations' batches are left alone.

    Attributes
    ----------
    flowing : bool
        Whether the server takes batches: then new ones go before old ones.
    gave_way : int
        Batches set aside that were deleted to make room.
    """

    def __init__(self, root: Path, limit: int, url: str, address: str) -> None:
        self._root = root
        self._limit = limit
        self._url = url
        self._whose = whose(address)
        self.aside = SetAside(root)
        self._folders: list[Folder] = []
        self.begin_anew()

    def begin_anew(self) -> None:
        """Hold nothing, with a fresh lock: a new spool, or that of a forked child."""
        for folder in self._folders:
            folder.forget()
        self.lock = threading.RLock()  # reentrant: a signal handler may ask for the stats
        self.changed = threading.Condition(self.lock)
        self.flowing = True
        self.gave_way = 0
        self._folders = []
        self._own: Folder | None = None
        self._live: deque[Entry] = deque()
        self._backlog: list[Entry] = []
        self._held: deque[Entry] = deque()
        self._busy: Entry | None = None
        self._live_in_a_row = 0
        self._sequence = itertools.count()
        self._number = itertools.count()
        self._mark = -1
        self._barriers: list[Barrier] = []
        self._left_behind: tuple[int, int, float | None] | None = None

    def keep(self, batch: Batch, path: str, booked: Callable[[], None]) -> None:
        """Write a batch to disk; it is there for good when this returns.

        Parameters
        ----------
        batch : Batch
            What to keep.
        path : str
            The path and query that it is sent to.
        booked : callable
            Called when it is on disk, before anybody can be given it to send.

        Raises
        ------
        SpoolFullError
            If there is no room for it.
        OSError
            If the disk refuses.
        """
        now = datetime.now(UTC)
        created = int(now.timestamp() * 1000)
        pieces = encode(Parcel(self._url, path, now, batch))
        size = sum(map(len, pieces))
        for attempt in (1, 2):
            with self.lock:
                self._make_room(blocks(size))
                folder = self._own or self._open()
                sequence = next(self._sequence)
                folder.account(size, +1)
            try:
                folder.write(batch_name(created, sequence, batch.records), pieces)
            except OSError as error:
                with self.lock:
                    folder.account(size, -1)
                    gone = isinstance(error, FileNotFoundError)
                    if gone and folder is self._own:  # somebody removed the folder
                        self._own = None
                if not gone or attempt == 2:
                    raise
            else:
                break
        with self.changed:
            booked()
            entry = self._entry(created, sequence, batch.records, size, folder)
            if self.flowing:
                self._live.append(entry)
            else:
                heapq.heappush(self._backlog, entry)
            self.changed.notify_all()

    def take_over(self, booked: Callable[[int], None]) -> tuple[int, int]:
        """Take over the folders that ended processes left; return their batches and records.

        `booked` is told the records of each, before anybody can be given them to send.
        """
        batches = records = 0
        for path in process_folders(self._root):
            if owner(path.name) != self._whose or any(path == f.path for f in self._folders):
                continue
            with self.lock:
                folder = Folder.adopt(path)
                if folder is None:
                    continue
                self._folders.append(folder)
            found = sorted(folder.contents())
            with self.changed:
                booked(sum(count for _, _, count, _ in found))
                for created, sequence, count, size in found:
                    folder.account(size, +1)
                    entry = self._entry(created, sequence, count, size, folder)
                    heapq.heappush(self._backlog, entry)
                    batches += 1
                    records += count
                self.changed.notify_all()
            for name in folder.strangers():
                self.aside.put(DAMAGED, folder.path / name, {"why": "it is not named as a batch"})
            if not found:
                self._leave(folder)
        return batches, records

    def left_by_others(self) -> int:
        """Return how many folders of other destinations no process holds any more."""
        left = 0
        for path in process_folders(self._root):
            if owner(path.name) != self._whose and used_by(path) > 0:
                with self.lock:
                    folder = Folder.adopt(path)
                    if folder is not None:
                        left += 1
                        folder.forget()
        return left

    def next(self, held: bool = True) -> Entry | None:
        """Return the batch whose turn it is, or None; the lock must be held.

        Those put last come when nothing else waits, and only if `held`.
        """
        old_ones_turn = self._live_in_a_row >= LIVE_IN_A_ROW or not self._live
        if self._backlog and old_ones_turn:
            self._live_in_a_row = 0
            self._busy = heapq.heappop(self._backlog)
        elif self._live:
            self._live_in_a_row += 1
            self._busy = self._live.popleft()
        elif self._held and held:
            self._busy = self._held.popleft()
        else:
            self._busy = None
        return self._busy

    def load(self, entry: Entry) -> Parcel:
        """Return what a batch's file holds.

        Raises
        ------
        DamagedError
            If that is not what was written.
        """
        try:
            parcel = decode(entry.folder.read(entry.name))
        except OSError as error:
            raise DamagedError(f"it can't be read: {error}") from error
        if parcel.batch.records != entry.records:
            raise DamagedError("its name and its header differ in the number of records")
        return parcel

    def put_back(self, entry: Entry, last: bool = False) -> None:
        """Have a batch wait again: in its place, or behind all others."""
        with self.changed:
            self._busy = None
            if last:
                self._held.append(entry)
            else:
                heapq.heappush(self._backlog, entry)

    def stem(self) -> None:
        """Have new batches wait behind the old ones: the server can't take any."""
        with self.lock:
            self.flowing = False
            for entry in self._live:
                heapq.heappush(self._backlog, entry)
            self._live.clear()

    def sent(self, entry: Entry) -> None:
        """Delete a batch that the server has answered for.

        Raises
        ------
        OSError
            If its file can't be deleted. It is not given out again by this process.
        """
        try:
            entry.path.unlink(missing_ok=True)
        finally:
            self._settle(entry)

    def set_aside(self, entry: Entry, kind: str, why: dict[str, object]) -> None:
        """Move a batch to where it is not sent from.

        Raises
        ------
        OSError
            If it can't be moved. It is not given out again by this process.
        """
        try:
            self.aside.put(kind, entry.path, why)
        finally:
            self._settle(entry)

    def barrier(self) -> Barrier:
        """Return a barrier for all that waits now."""
        with self.lock:
            waiting = len(self._live) + len(self._backlog) + len(self._held)
            barrier = Barrier(self._mark, waiting + (self._busy is not None))
            self._barriers.append(barrier)
            return barrier

    def lift(self, barrier: Barrier) -> None:
        """Count for a barrier no more."""
        with self.lock:
            self._barriers.remove(barrier)

    def waiting(self) -> tuple[int, int, float | None]:
        """Return the batches that wait, the bytes they take on disk, the age of the oldest."""
        with self.lock:
            if self._left_behind is not None:
                return self._left_behind
            batches = sum(folder.count for folder in self._folders)
            used = sum(folder.used for folder in self._folders)
            heads = [*self._backlog[:1], *itertools.islice(self._live, 1), *self._held]
            if self._busy is not None:
                heads.append(self._busy)
            oldest = min((entry.created for entry in heads), default=None)
        age = None if oldest is None else max(0.0, time.time() - oldest / 1000)
        return batches, used, age

    def leave(self) -> None:
        """Let go of all folders: what is left in them is for the next process."""
        with self.lock:
            self._left_behind = self.waiting()
            folders, self._folders, self._own = self._folders, [], None
            for folder in folders:
                folder.leave()

    def _open(self) -> Folder:
        self._own = Folder.create(self._root, self._whose)
        self._folders.append(self._own)
        return self._own

    def _entry(self, created: int, sequence: int, records: int, size: int, folder: Folder) -> Entry:
        self._mark = next(self._number)
        return Entry(created, self._mark, sequence, records, size, folder)

    def _settle(self, entry: Entry) -> None:
        with self.changed:
            self._busy = None
            entry.folder.account(entry.size, -1)
            for barrier in self._barriers:
                barrier.remaining -= entry.number <= barrier.mark
            if entry.folder.count == 0 and entry.folder is not self._own:
                self._leave(entry.folder)
            self.changed.notify_all()

    def _leave(self, folder: Folder) -> None:
        with self.lock:
            if folder in self._folders:
                self._folders.remove(folder)
                folder.leave()

    def _make_room(self, wanted: int) -> None:
        mine = {folder.path: folder.used for folder in self._folders}
        others = [path for path in process_folders(self._root) if path not in mine]
        taken = sum(mine.values()) + sum(map(used_by, others))
        missing = taken + self.aside.used() + wanted - self._limit
        if missing > 0 and self.aside.used() > 0 and taken + wanted <= self._limit:
            files, freed = self.aside.make_room(missing)
            self.gave_way += files
            missing -= freed
        if missing > 0:
            raise SpoolFullError(
                f"the spool {self._root} is full: {taken} of {self._limit} bytes are taken"
            )


def whose(address: str) -> str:
    """Return what the folders of one destination are called: readable, and as good as unique.

    Examples
    --------
    >>> whose("http://localhost:8420/v1/projects/default/models/flight-delay")
    'flight-delay-510395fde6f1'
    """
    model = re.sub(r"[^A-Za-z0-9_-]+", "_", address.rsplit("/", 1)[1])[:40]
    return f"{model}-{hashlib.sha256(address.encode()).hexdigest()[:12]}"
