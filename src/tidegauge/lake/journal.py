"""The journal: requests are durable here before they are acknowledged.

One SQLite file per server process, for all its models. A single thread writes it and commits
requests in groups; each group costs one ``fsync``. What is durable waits here until the flusher
has moved it into the lake. What the entries look like lives in ``entries.py``.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
import uuid
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from tidegauge.errors import Conflict, Overloaded
from tidegauge.lake.entries import (
    EntryKind,
    JournalRequest,
    PendingEntry,
    Receipt,
    decode,
    encode,
)
from tidegauge.lake.filelock import FileLock

_log = logging.getLogger(__name__)

#: How long an idempotency key keeps its answer.
ANSWER_SECONDS = 24 * 3600
_PRUNE_EVERY = 600.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS layouts (id INTEGER PRIMARY KEY, layout BLOB NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS entries (
    offset INTEGER PRIMARY KEY AUTOINCREMENT,
    project TEXT NOT NULL,
    model TEXT NOT NULL,
    kind TEXT NOT NULL,
    timestamp TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    layout INTEGER NOT NULL REFERENCES layouts (id),
    body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS entries_by_target ON entries (project, model, kind, offset, size);
CREATE TABLE IF NOT EXISTS answers (
    project TEXT NOT NULL,
    model TEXT NOT NULL,
    key TEXT NOT NULL,
    answered_at INTEGER NOT NULL,
    answer BLOB NOT NULL,
    PRIMARY KEY (project, model, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_by_age ON answers (answered_at);
"""

#: One table's entries: project, model, kind.
Target = tuple[str, str, EntryKind]


@dataclass
class _Waiting:
    """A request that waits for its commit."""

    request: JournalRequest
    encoded: list[tuple[bytes, bytes]]
    size: int
    future: Future[Receipt] = field(default_factory=Future)


@dataclass
class _Trim:
    """Entries that are known to be in the lake and may go, up to an offset per table."""

    upto: dict[Target, int]
    future: Future[Receipt] = field(default_factory=Future)
    size: int = 0


class Journal:
    """Durable, bounded store of what was acknowledged and is not yet in the lake.

    Parameters
    ----------
    path : Path
        The SQLite file; made if it is not there. Held by one process at a time.
    max_queued_bytes : int
        Requests waiting for their commit may hold this much memory.
    max_backlog_bytes : int
        Entries waiting for the flusher may hold this much disk.
    group_bytes : int
        A group is committed at the latest when it holds this much.
    linger : float
        Seconds to wait for a group to grow as large as the one before it. A lone request after a
        lone request never waits.

    Raises
    ------
    Conflict
        When another process holds the file.

    Examples
    --------
    >>> import tempfile, pyarrow as pa
    >>> from tidegauge.lake.entries import Entry
    >>> folder = tempfile.TemporaryDirectory()
    >>> journal = Journal(Path(folder.name) / "journal.db")
    >>> rows = pa.table({"prediction_id": ["a"], "score": [0.5]})
    >>> entry = Entry("default", "demo", "records", rows)
    >>> request = JournalRequest("default", "demo", (entry,), key="k1", answer=b'{"accepted":1}')
    >>> journal.append(request).result().offset
    1
    >>> journal.append(request).result().replayed, journal.depth()
    (True, 1)
    >>> journal.close(); folder.cleanup()
    """

    def __init__(
        self,
        path: Path | str,
        *,
        max_queued_bytes: int = 64 << 20,
        max_backlog_bytes: int = 2 << 30,
        group_bytes: int = 16 << 20,
        linger: float = 0.005,
    ) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.max_queued_bytes = max_queued_bytes
        self.max_backlog_bytes = max_backlog_bytes
        self._group_bytes = group_bytes
        self._linger = linger
        self._lock = FileLock(self.path.with_name(self.path.name + ".lock"), "this journal")
        self._lock.acquire()
        try:
            self._writing = self._connect()
            # Looking up an answer does not wait for the flusher's reading.
            self._reading, self._asking = self._connect(), self._connect()
            self._read_guard, self._ask_guard = threading.Lock(), threading.Lock()
            self._open()
        except BaseException:
            self._lock.release()
            raise
        self._ready = threading.Condition()
        self._queue: deque[_Waiting | _Trim] = deque()
        self._queued_bytes = 0
        self._last_group = 1
        self._closed = False
        self._pruned_at = 0.0
        self._writer = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._writer.start()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, timeout=30
        )
        # Large pages suit large blobs; they only take effect on a new file.
        connection.execute("PRAGMA page_size=32768")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA wal_autocheckpoint=1000")
        connection.execute(f"PRAGMA journal_size_limit={64 << 20}")
        return connection

    def _open(self) -> None:
        write = self._writing
        write.executescript(_SCHEMA)
        write.execute("INSERT OR IGNORE INTO facts VALUES ('id', ?)", (uuid.uuid4().hex,))
        self._id = str(write.execute("SELECT value FROM facts WHERE name = 'id'").fetchone()[0])
        count, size, newest = write.execute(
            "SELECT count(*), coalesce(sum(size), 0), coalesce(max(received_at), 0) FROM entries"
        ).fetchone()
        self._depth, self._backlog_bytes, self._newest = int(count), int(size), int(newest)
        row = write.execute("SELECT seq FROM sqlite_sequence WHERE name = 'entries'").fetchone()
        self._last_offset = int(row[0]) if row else 0
        self._layouts: dict[bytes, int] = {}

    @property
    def id(self) -> str:
        """The journal's own id, under which the lake remembers what it already has of it."""
        return self._id

    @property
    def last_offset(self) -> int:
        """The greatest offset ever given to an entry."""
        return self._last_offset

    @property
    def backlog_bytes(self) -> int:
        """Bytes of the entries that wait for the flusher."""
        return self._backlog_bytes

    @property
    def queued_bytes(self) -> int:
        """Bytes of the requests that wait for their commit."""
        return self._queued_bytes

    def depth(self) -> int:
        """Return how many entries wait for the flusher."""
        return self._depth

    def oldest_age(self) -> float:
        """Return for how many seconds the oldest entry has waited; 0 where none waits."""
        with self._ask_guard:
            row = self._asking.execute(
                "SELECT received_at FROM entries ORDER BY offset LIMIT 1"
            ).fetchone()
        return max(0.0, time.time() - row[0] / 1e6) if row else 0.0

    def append(self, request: JournalRequest) -> Future[Receipt]:
        """Take a request; the future has its receipt once it is durable.

        What is called back by the future runs in the writing thread and holds it up.

        Raises
        ------
        Overloaded
            At once, when too much is queued or too much waits for the flusher. The future raises
            it when the disk does not take the request.
        """
        self._admit(0)
        encoded = [encode(entry.table) for entry in request.entries]
        size = sum(len(layout) + len(body) for layout, body in encoded) + len(request.answer)
        waiting = _Waiting(request, encoded, size)
        with self._ready:
            self._admit(size)
            self._push(waiting)
        return waiting.future

    def answer_for(self, project: str, model: str, key: str) -> bytes | None:
        """Return the answer that this key was given within the last 24 hours, or None.

        A request that is not durable yet has no answer; appending it again under the same key
        resolves to the answer of the first.
        """
        with self._ask_guard:
            return _stored_answer(self._asking, project, model, key)

    def pending(
        self, max_bytes: int = 64 << 20, *, exclude: Collection[Target] = ()
    ) -> list[PendingEntry]:
        """Return the oldest entries, in order, as many as fit (and one at least).

        Parameters
        ----------
        max_bytes : int
            Bound of what is read into memory.
        exclude : collection of (project, model, kind)
            Tables that are left out for now, because they cannot be written.
        """
        with self._read_guard:
            chosen = list(self._oldest(max_bytes, exclude))
            entries = []
            for first in range(0, len(chosen), 500):
                part = chosen[first : first + 500]
                entries += self._reading.execute(
                    "SELECT offset, project, model, kind, timestamp, received_at,"
                    " l.id, l.layout, body FROM entries JOIN layouts l ON l.id = entries.layout"
                    f" WHERE offset IN ({','.join('?' * len(part))}) ORDER BY offset",
                    part,
                ).fetchall()
        return [
            PendingEntry(
                offset=row[0],
                project=row[1],
                model=row[2],
                kind=row[3],
                timestamp=row[4],
                received_at=row[5],
                layout=row[6],
                batch=decode(row[7], row[8]),
            )
            for row in entries
        ]

    def _oldest(self, max_bytes: int, exclude: Collection[Target]) -> Iterator[int]:
        rows = self._reading.execute(
            "SELECT offset, project, model, kind, size FROM entries ORDER BY offset"
        )
        taken = 0
        with contextlib.closing(rows):
            for offset, project, model, kind, size in rows:
                if (project, model, kind) in exclude:
                    continue
                if taken and taken + size > max_bytes:
                    return
                taken += size
                yield offset

    def trim(self, upto: dict[Target, int]) -> None:
        """Forget the entries of each table up to an offset: the lake has them.

        Parameters
        ----------
        upto : dict of (project, model, kind) to int
            The greatest offset of each table that is in the lake.
        """
        trim = _Trim(dict(upto))
        with self._ready:
            self._refuse_closed()
            self._push(trim)
        trim.future.result()

    def renew(self) -> None:
        """Take a new id, so that the lake does not mistake new entries for ones it has seen.

        Needed when the file was put back from a copy and would give out offsets a second time.
        """
        with self._read_guard:
            self._id = uuid.uuid4().hex
            self._reading.execute("UPDATE facts SET value = ? WHERE name = 'id'", (self._id,))

    def close(self) -> None:
        """Commit what is queued, then let go of the file."""
        with self._ready:
            if self._closed:
                return
            self._closed = True
            self._ready.notify()
        self._writer.join()
        with self._read_guard, self._ask_guard:
            for connection in (self._reading, self._asking, self._writing):
                connection.close()
        self._lock.release()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _push(self, item: _Waiting | _Trim) -> None:
        self._queue.append(item)
        self._queued_bytes += item.size
        self._ready.notify()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise Conflict(f"journal {self.path.name} is closed", code="journal_closed")

    def _admit(self, size: int) -> None:
        self._refuse_closed()
        if self._queued_bytes and self._queued_bytes + size > self.max_queued_bytes:
            raise Overloaded(
                f"{self._queued_bytes >> 20} MiB of requests wait for their commit; send again",
                retry_after=1.0,
            )
        waiting = self._backlog_bytes + self._queued_bytes
        if waiting and waiting + size > self.max_backlog_bytes:
            raise Overloaded(
                f"{waiting >> 20} MiB of acknowledged records wait for the lake; send again",
                retry_after=5.0,
            )

    def _run(self) -> None:
        while group := self._collect():
            self._commit(group)

    def _collect(self) -> list[_Waiting | _Trim]:
        """Wait for the next group; an empty one means that the journal was closed."""
        with self._ready:
            while not self._queue and not self._closed:
                self._ready.wait()
            deadline = time.monotonic() + self._linger
            while len(self._queue) < self._last_group and self._queued_bytes < self._group_bytes:
                left = deadline - time.monotonic()
                if self._closed or left <= 0:
                    break
                self._ready.wait(left)
            group: list[_Waiting | _Trim] = []
            size = 0
            while self._queue and (not group or size + self._queue[0].size <= self._group_bytes):
                group.append(self._queue.popleft())
                size += group[-1].size
            self._last_group = sum(isinstance(item, _Waiting) for item in group)
            return group

    def _commit(self, group: Sequence[_Waiting | _Trim]) -> None:
        """Write a group in one transaction, then resolve its futures."""
        write = self._writing
        receipts: list[Receipt] = []
        try:
            write.execute("BEGIN IMMEDIATE")
            for item in group:
                if isinstance(item, _Waiting):
                    receipts.append(self._store(item))
                else:
                    receipts.append(self._drop(item))
            self._prune_answers()
            write.execute("COMMIT")
        except Exception as error:
            self._failed(group, error)
            return
        self._count(group, receipts)
        for item, receipt in zip(group, receipts, strict=True):
            _resolve(item.future, receipt)

    def _failed(self, group: Sequence[_Waiting | _Trim], error: Exception) -> None:
        if self._writing.in_transaction:
            with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself.
                self._writing.execute("ROLLBACK")
        self._layouts.clear()
        if len(group) > 1:
            # One request that cannot be written must not take the others with it.
            for item in group:
                self._commit([item])
            return
        item = group[0]
        _log.error("journal %s: a commit failed: %s", self.path.name, error)
        with self._ready:
            self._queued_bytes -= item.size
        if isinstance(error, sqlite3.Error):
            refusal = Overloaded(f"the journal cannot be written: {error}", retry_after=5.0)
            refusal.__cause__ = error
            error = refusal
        if item.future.set_running_or_notify_cancel():
            item.future.set_exception(error)

    def _store(self, item: _Waiting) -> Receipt:
        request, write = item.request, self._writing
        if request.key is not None:
            given = _stored_answer(write, request.project, request.model, request.key)
            if given is not None:
                return Receipt(0, given, replayed=True)
        self._newest = max(self._newest, time.time_ns() // 1000)
        offset = 0
        for entry, (layout, body) in zip(request.entries, item.encoded, strict=True):
            cursor = write.execute(
                "INSERT INTO entries"
                " (project, model, kind, timestamp, received_at, size, layout, body)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    entry.project,
                    entry.model,
                    entry.kind,
                    entry.timestamp,
                    self._newest,
                    len(body),
                    self._layout_number(layout),
                    body,
                ),
            )
            offset = int(cursor.lastrowid or 0)
        if request.key is not None:
            write.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)",
                (request.project, request.model, request.key, self._newest, request.answer),
            )
        return Receipt(offset, request.answer)

    def _layout_number(self, layout: bytes) -> int:
        """Return the number of a schema, which is kept once; it is forgotten on a roll-back."""
        if layout not in self._layouts:
            write = self._writing
            write.execute("INSERT OR IGNORE INTO layouts (layout) VALUES (?)", (layout,))
            row = write.execute("SELECT id FROM layouts WHERE layout = ?", (layout,)).fetchone()
            self._layouts[layout] = int(row[0])
        return self._layouts[layout]

    def _drop(self, item: _Trim) -> Receipt:
        for (project, model, kind), offset in item.upto.items():
            self._writing.execute(
                "DELETE FROM entries WHERE project = ? AND model = ? AND kind = ? AND offset <= ?",
                (project, model, kind, offset),
            )
        return Receipt(0, b"")

    def _prune_answers(self) -> None:
        if time.monotonic() - self._pruned_at < _PRUNE_EVERY:
            return
        self._pruned_at = time.monotonic()
        self._writing.execute("DELETE FROM answers WHERE answered_at < ?", (_forgotten_before(),))

    def _count(self, group: Sequence[_Waiting | _Trim], receipts: Sequence[Receipt]) -> None:
        """Bring depth and sizes up to date after a commit."""
        if any(isinstance(item, _Trim) for item in group):
            count, size = self._writing.execute(
                "SELECT count(*), coalesce(sum(size), 0) FROM entries"
            ).fetchone()
        else:
            stored = [
                item
                for item, receipt in zip(group, receipts, strict=True)
                if isinstance(item, _Waiting) and not receipt.replayed
            ]
            count = self._depth + sum(len(item.encoded) for item in stored)
            size = self._backlog_bytes + sum(
                len(body) for item in stored for _, body in item.encoded
            )
        with self._ready:
            self._depth, self._backlog_bytes = int(count), int(size)
            self._queued_bytes -= sum(item.size for item in group)
            self._last_offset = max([self._last_offset, *(r.offset for r in receipts)])


def _forgotten_before() -> int:
    return int((time.time() - ANSWER_SECONDS) * 1e6)


def _stored_answer(
    connection: sqlite3.Connection, project: str, model: str, key: str
) -> bytes | None:
    row = connection.execute(
        "SELECT answer FROM answers"
        " WHERE project = ? AND model = ? AND key = ? AND answered_at >= ?",
        (project, model, key, _forgotten_before()),
    ).fetchone()
    return bytes(row[0]) if row else None


def _resolve(future: Future[Receipt], receipt: Receipt) -> None:
    if future.set_running_or_notify_cancel():
        future.set_result(receipt)
