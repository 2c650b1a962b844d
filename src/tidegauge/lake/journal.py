"""The journal: requests are durable here before they are acknowledged.

One folder of segments per server process, for all its models. A single thread writes them and
commits requests in groups; each group costs one ``fdatasync``. What is durable waits here until the
flusher has moved it into the lake. What the entries look like lives in ``entries.py``, the files in
``frames.py`` and ``segments.py``, groups in ``groups.py``, idempotency keys in ``answers.py``.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from pathlib import Path

import pyarrow as pa

from tidegauge.errors import Conflict, Overloaded
from tidegauge.lake.answers import Answers
from tidegauge.lake.entries import JournalRequest, PendingEntry, Receipt, encode
from tidegauge.lake.filelock import FileLock
from tidegauge.lake.groups import Append, Commit, Groups, Task, framed
from tidegauge.lake.recovery import Recovered, count_damaged, recover, set_aside
from tidegauge.lake.segments import Segment, SegmentWriter
from tidegauge.lake.waiting import OVERHEAD, Held, Target, WaitingEntries

__all__ = ["Commit", "Journal", "Target"]

_log = logging.getLogger(__name__)

_LOOK_AT_DISK_EVERY = 0.25
#: A segment that nothing came to for so long makes room for a new one, so that it can go.
_IDLE_SECONDS = 300.0


class Journal:
    """Durable, bounded store of what was acknowledged and is not yet in the lake.

    Parameters
    ----------
    folder : Path
        Where the segments are; made if it is not there. Held by one process at a time.
    max_queued_bytes : int
        Requests waiting for their commit may hold this much memory.
    max_backlog_bytes : int
        Entries waiting for the flusher may hold this much disk.
    min_free_bytes : int
        Below so much free disk nothing is taken, so that the lake has room for what waits.
    group_bytes : int
        A group is committed at the latest when it holds this much.
    segment_bytes : int
        A segment that has reached this size is followed by the next.
    linger : float
        Seconds to wait for a group to grow as large as the one before it. A lone request after a
        lone request never waits.
    on_commit : callable, optional
        Takes a `Commit` after each; runs in the writing thread and holds it up.

    Raises
    ------
    Conflict
        When another process holds the folder.

    Examples
    --------
    >>> import tempfile
    >>> from tidegauge.lake.entries import Entry
    >>> folder = tempfile.TemporaryDirectory()
    >>> journal = Journal(Path(folder.name) / "journal")
    >>> rows = pa.table({"prediction_id": ["a"], "score": [0.5]})
    >>> entry = Entry("default", "demo", "records", rows)
    >>> request = JournalRequest("default", "demo", (entry,), {"k1": b'{"accepted":1}'})
    >>> journal.append(request).result().offset
    1
    >>> journal.append(request).result().replayed, journal.depth()
    (True, 1)
    >>> journal.close(); folder.cleanup()
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        max_queued_bytes: int = 64 << 20,
        max_backlog_bytes: int = 8 << 30,
        min_free_bytes: int = 0,
        group_bytes: int = 16 << 20,
        segment_bytes: int = 64 << 20,
        linger: float = 0.005,
        on_commit: Callable[[Commit], None] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.max_queued_bytes = max_queued_bytes
        self.max_backlog_bytes = max_backlog_bytes
        self.min_free_bytes = min_free_bytes
        self.on_commit = on_commit
        self._segment_bytes = segment_bytes
        self._lock = FileLock(self.folder / "lock", "this journal")
        self._lock.acquire()
        try:
            self._answers = Answers(self.folder / "answers.sqlite")
            found = recover(self.folder)
        except BaseException:
            self._lock.release()
            raise
        #: Its own id, a new one at each start, under which the lake remembers what it has of it.
        self.id = uuid.uuid4().hex
        self._ready = threading.Condition()
        self._groups = Groups(self._ready, group_bytes, linger)
        self._writing: SegmentWriter | None = None
        self._take_over(found)
        self._used_at = time.monotonic()
        self._disk = (float("-inf"), 0)
        self._writer = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._writer.start()

    def _take_over(self, found: Recovered) -> None:
        """Go on with what earlier runs left."""
        self._waiting = WaitingEntries()
        self._segments = {segment.sequence: segment for segment in found.segments}
        #: Those that are being deleted.
        self._leaving: dict[int, Segment] = {}
        self._held_up = False
        for held in found.entries:
            self._waiting.add(held)
        for segment in found.segments:
            self._answers.settle(segment.answers)
        self._last_offset = found.last_offset
        self._last_sequence = found.last_sequence
        self._let_go()

    @property
    def last_offset(self) -> int:
        """The greatest offset ever given to an entry."""
        return self._last_offset

    @property
    def backlog_bytes(self) -> int:
        """Bytes of the entries that wait for the flusher."""
        return self._waiting.bytes

    @property
    def damaged(self) -> int:
        """Pieces of segments that could not be read, as long as nobody removes what was kept."""
        return count_damaged(self.folder)

    @property
    def queued_bytes(self) -> int:
        """Bytes of the requests that wait for their commit."""
        return self._groups.bytes

    def depth(self) -> int:
        """Return how many entries wait for the flusher."""
        return len(self._waiting)

    def oldest_age(self) -> float:
        """Return for how many seconds the oldest entry has waited; 0 where none waits."""
        with self._ready:
            return self._waiting.oldest_age()

    def claim(self, project: str, model: str, key: str) -> Future[bytes] | None:
        """Take an idempotency key; see :meth:`tidegauge.lake.answers.Answers.claim`."""
        return self._answers.claim((project, model, key))

    def release(self, project: str, model: str, key: str) -> None:
        """Give a claimed key back, since nothing is stored under it."""
        self._answers.release((project, model, key))

    def answer_for(self, project: str, model: str, key: str) -> bytes | None:
        """Return the answer that this key was given within the last 24 hours, or None."""
        return self._answers.find((project, model, key))

    def append(self, request: JournalRequest, *, claimed: bool = False) -> Future[Receipt]:
        """Take a request; the future has its receipt once it is durable.

        What is called back by the future runs in the writing thread and holds it up.

        Parameters
        ----------
        request : JournalRequest
            With several keys, they must have been claimed.
        claimed : bool
            Whether the caller has claimed the request's keys. They are the journal's from now on,
            also where this raises.

        Raises
        ------
        Overloaded
            At once, when too much is queued or too much waits for the flusher. The future raises
            it when the disk does not take the request.
        """
        if request.answers and not claimed:
            earlier = self._claim_own(request)
            if earlier is not None:
                return earlier
        try:
            self._admit(0)
            encoded = [encode(entry.table) for entry in request.entries]
            size = sum(len(layout) + body.size + OVERHEAD for layout, body in encoded)
            waiting = Append(request, encoded, size)
            with self._ready:
                self._admit(size)
                self._groups.push(waiting)
        except BaseException:
            self._release(request, None)
            raise
        return waiting.future

    def pending(
        self,
        max_bytes: int = 64 << 20,
        *,
        exclude: Collection[Target] = (),
        before: float = math.inf,
    ) -> list[PendingEntry]:
        """Return the oldest entries not yet written to the lake, by table and in order.

        As many as fit, and one at least. One that is damaged is set aside.

        Parameters
        ----------
        max_bytes : int
            Bound of what entries count for; they are views of the files, not copies.
        exclude : collection of (project, model, kind)
            Tables that are left out for now, because they cannot be written.
        before : float
            On the monotonic clock; what became durable later is left out.

        Raises
        ------
        OSError
            When a segment cannot be read at the moment; nothing of it is given up.
        """
        with self._ready:
            chosen = self._waiting.oldest(max_bytes, exclude, before)
        segments: dict[int, pa.Buffer | FileNotFoundError] = {}
        read = [(held, self._read(held, segments)) for held in chosen]
        lost = [held for held, entry in read if entry is None]
        if lost:
            with self._ready:
                for held in lost:
                    self._waiting.drop(held)
        if lost or not chosen:
            self._let_go()
        return [entry for _, entry in read if entry is not None]

    def written(self, upto: dict[tuple[Target, str], int]) -> None:
        """Take note that the lake has entries, which stay here until they are trimmed.

        Parameters
        ----------
        upto : dict of ((project, model, kind), journal id) to int
            The greatest offset of each table that is in the lake.
        """
        with self._ready:
            for (target, journal), offset in upto.items():
                self._waiting.written(target, journal, offset)

    def trim(self, upto: dict[tuple[Target, str], int]) -> None:
        """Forget the entries of each table up to an offset: the lake has them.

        Parameters
        ----------
        upto : dict of ((project, model, kind), journal id) to int
            The greatest offset of each table that is in the lake, and was handed on.
        """
        with self._ready:
            self._refuse_closed()
            for (target, journal), offset in upto.items():
                self._waiting.trim(target, journal, offset)
        self._let_go()

    def roll(self) -> int:
        """Have what comes next written to a new segment, so that the old ones can go.

        Returns
        -------
        int
            The least number that a segment has to which anything is written from now on.
        """
        following: list[int] = []

        def finish() -> None:
            self._finish_segment()
            following.append(self._last_sequence + 1)

        self._do(finish)
        self._let_go()
        return following[0]

    def redact(self, project: str, model: str) -> int:
        """Take what quotes records out of a model's stored answers; return how many had any."""
        return self._answers.redact(project, model)

    def oldest_segment(self) -> int:
        """Return the number of the oldest segment that is still there, or of the next one."""
        with self._ready:
            return min([*self._segments, *self._leaving], default=self._last_sequence + 1)

    def check(self) -> None:
        """Have the writing thread make sure that the folder can be written.

        Raises
        ------
        OSError
            If it cannot.
        Conflict
            If the journal is closed.
        """

        def probe() -> None:
            path = self.folder / "probe"
            with path.open("wb") as file:
                file.write(b"written")
                os.fsync(file.fileno())
            path.unlink()

        self._do(probe)

    def close(self) -> None:
        """Commit what is queued, then let go of the folder."""
        with self._ready:
            if self._groups.closed:
                return
            self._groups.close()
        self._writer.join()
        self._finish_segment()
        self._let_go()
        self._answers.close()
        self._lock.release()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What comes in

    def _claim_own(self, request: JournalRequest) -> Future[Receipt] | None:
        """Claim a request's only key; if it is taken, return the receipt of who has it."""
        (key,) = request.answers
        earlier = self.claim(request.project, request.model, key)
        if earlier is None:
            return None
        receipt: Future[Receipt] = Future()

        def tell(done: Future[bytes]) -> None:
            error = done.exception()
            if error is None:
                receipt.set_result(Receipt(0, done.result(), replayed=True))
            else:
                receipt.set_exception(error)

        receipt.set_running_or_notify_cancel()
        earlier.add_done_callback(tell)
        return receipt

    def _release(self, request: JournalRequest, error: BaseException | None) -> None:
        for key in request.answers:
            self._answers.release((request.project, request.model, key), error)

    def _do(self, work: Callable[[], None]) -> None:
        task = Task(work)
        with self._ready:
            self._refuse_closed()
            self._groups.push(task)
        task.future.result()

    def _refuse_closed(self) -> None:
        if self._groups.closed:
            raise Conflict(f"journal {self.folder.name} is closed", code="journal_closed")

    def _admit(self, size: int) -> None:
        self._refuse_closed()
        if self._groups.bytes and self._groups.bytes + size > self.max_queued_bytes:
            raise Overloaded(
                f"{self._groups.bytes >> 20} MiB of requests wait for their commit; send again",
                retry_after=1.0,
            )
        waiting = self._waiting.bytes + self._groups.bytes
        if waiting and waiting + size > self.max_backlog_bytes:
            raise Overloaded(
                f"{waiting >> 20} MiB of acknowledged records wait for the lake; send again",
                retry_after=5.0,
            )
        if self.min_free_bytes and self._free_bytes() - size < self.min_free_bytes:
            raise Overloaded(
                f"the journal's disk has only {self._disk[1] >> 20} MiB left; make room, then send "
                "again",
                retry_after=10.0,
            )

    def _free_bytes(self) -> int:
        looked_at, free = self._disk
        if time.monotonic() - looked_at > _LOOK_AT_DISK_EVERY:
            free = shutil.disk_usage(self.folder).free
            self._disk = time.monotonic(), free
        return free

    # The writing thread

    def _run(self) -> None:
        while group := self._groups.next():
            for item in group:
                if isinstance(item, Task):
                    item.carry_out()
            appends = [item for item in group if isinstance(item, Append)]
            try:
                if appends:
                    self._commit(appends)
            except Exception as error:
                # Whatever it was, nobody is left waiting, and those who come next are served.
                _log.exception("journal %s: a commit ended half-way", self.folder.name)
                self._give_up(appends, error)

    def _commit(self, group: Sequence[Append]) -> None:
        """Write a group of requests, then resolve their futures."""
        began = time.perf_counter()
        try:
            writer = self._segment()
            segment = writer.segment
            now = self._answers.now()
            made = framed(group, segment, self.id, self._last_offset, now)
            writer.write(made.buffers)
        except Exception as error:
            self._failed(group, error)
            return
        segment.layouts = made.layouts
        at = self._answers.now()
        answers = {
            (item.request.project, item.request.model, key): (at, answer)
            for item in group
            for key, answer in item.request.answers.items()
        }
        with self._ready:
            segment.answers.update(answers)
            for one in (one for ones in made.held for one in ones):
                self._waiting.add(one)
                self._last_offset = one.offset
            self._groups.bytes -= sum(item.size for item in group)
        self._answers.settle(answers)
        for item, ones in zip(group, made.held, strict=True):
            answer = next(iter(item.request.answers.values()), b"")
            _resolve(item.future, Receipt(ones[-1].offset if ones else 0, answer))
        self._used_at = time.monotonic()
        if self.on_commit is not None:
            size = sum(item.size for item in group)
            try:
                self.on_commit(Commit(time.perf_counter() - began, len(group), size))
            except Exception:
                _log.exception("journal %s: a commit could not be counted", self.folder.name)

    def _give_up(self, group: Sequence[Append], error: Exception) -> None:
        """Tell those whose request came to nothing that is known."""
        with self._ready:
            self._groups.recount()
        for item in group:
            if not item.future.done():
                self._release(item.request, error)
                if item.future.set_running_or_notify_cancel():
                    item.future.set_exception(error)

    def _failed(self, group: Sequence[Append], error: Exception) -> None:
        if self._writing is not None and self._writing.spoilt:
            self._finish_segment()
        if len(group) > 1:
            # One request that cannot be written must not take the others with it.
            for item in group:
                self._commit([item])
            return
        item = group[0]
        _log.error("journal %s: a commit failed: %s", self.folder.name, error)
        with self._ready:
            self._groups.bytes -= item.size
        if isinstance(error, OSError):
            refusal = Overloaded(
                f"the journal cannot be written: {error.strerror or error}; send again later",
                retry_after=5.0,
            )
            refusal.__cause__ = error
            error = refusal
        self._release(item.request, error)
        if item.future.set_running_or_notify_cancel():
            item.future.set_exception(error)

    def _segment(self) -> SegmentWriter:
        """Return the segment to write to; a new one where the last is full or was left alone."""
        writing = self._writing
        if writing is not None:
            idle = time.monotonic() - self._used_at > _IDLE_SECONDS
            if not (writing.spoilt or writing.segment.size >= self._segment_bytes or idle):
                return writing
            self._finish_segment()
        with self._ready:  # Never the same twice: a file that could not be made may be there now.
            self._last_sequence += 1
        segment = Segment.at(self.folder, self._last_sequence, self.id)
        self._writing = SegmentWriter(segment)
        with self._ready:
            self._segments[segment.sequence] = segment
        return self._writing

    def _finish_segment(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            with contextlib.suppress(OSError):  # What counts in it is on the disk.
                writing.close()

    # What goes

    def _let_go(self) -> None:
        """Delete the segments of which nothing is needed any more; what cannot go now goes later.

        Their answers have to be stored before; meanwhile they are in memory, and in the segments.
        """
        try:
            self._release_done()
        except Exception as error:
            if not self._held_up:
                _log.error("segments of the journal cannot be deleted for now: %s", error)
            self._held_up = True
        else:
            self._held_up = False

    def _release_done(self) -> None:
        with self._ready:
            current = self._writing.segment if self._writing is not None else None
            finished = [segment for segment in self._segments.values() if segment is not current]
        # Stored as soon as their segment is full: it may have to stay for long.
        for segment in finished:
            self._answers.keep(segment.answers)
            segment.answers = {}
        while True:
            with self._ready:
                current = self._writing.segment if self._writing is not None else None
                done = {
                    segment.sequence: segment
                    for segment in self._segments.values()
                    if segment.waiting == 0 and segment is not current
                }
                for sequence in done:
                    del self._segments[sequence]
                self._leaving |= done
            if not done:
                return
            try:
                for segment in done.values():
                    self._answers.keep(segment.answers)
                    segment.path.unlink(missing_ok=True)
                    with self._ready:
                        del self._leaving[segment.sequence]
            except BaseException:
                with self._ready:
                    left = {n: one for n, one in done.items() if n in self._leaving}
                    self._segments |= left
                    for sequence in left:
                        del self._leaving[sequence]
                raise

    def _read(
        self, held: Held, segments: dict[int, pa.Buffer | FileNotFoundError]
    ) -> PendingEntry | None:
        """Return an entry as it stands in its segment; None if it was damaged there.

        Parameters
        ----------
        held : Held
        segments : dict of int to pyarrow.Buffer
            What was opened already, by number.
        """
        number = held.segment.sequence
        if number not in segments:
            try:
                segments[number] = held.segment.whole()
            except FileNotFoundError as error:
                segments[number] = error
        whole = segments[number]
        try:
            if isinstance(whole, FileNotFoundError):
                raise whole
            return held.read(whole)
        except (FileNotFoundError, ValueError, pa.ArrowException) as error:
            set_aside(held.segment.path, held.damage(), error)
            return None


def _resolve(future: Future[Receipt], receipt: Receipt) -> None:
    if future.set_running_or_notify_cancel():
        future.set_result(receipt)
