"""Idempotency keys: who has one at the moment, and what it was answered within the last 24 hours.

An answer is durable with its request, in the journal's segment. Here it is kept for as long as the
key counts, also when that segment is long gone.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path

import orjson

#: How long an idempotency key keeps its answer.
ANSWER_SECONDS = 24 * 3600
#: What stands in the place of a message that quoted a record.
ERASED = "erased"
_PRUNE_EVERY = 600.0
_PART = 20_000
_SCHEMA = """
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

_log = logging.getLogger(__name__)

#: Project, model, key.
Key = tuple[str, str, str]


class Released(Exception):
    """Whoever had a key gave it back without an answer; it can be claimed again."""


class Answers:
    """What keys were answered, and which are being worked on.

    Keys age by a clock of their own, which starts at the machine's and then only counts the time
    that passes; so a jump of the machine's clock makes none of them forgotten.

    Parameters
    ----------
    path : Path
        A SQLite file; made if it is not there.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> answers = Answers(Path(folder.name) / "answers.sqlite")
    >>> answers.claim(("default", "demo", "k1")) is None
    True
    >>> later = answers.claim(("default", "demo", "k1"))
    >>> answers.settle({("default", "demo", "k1"): (answers.now(), b"202")})
    >>> later.result()
    b'202'
    >>> answers.close(); folder.cleanup()
    """

    def __init__(self, path: Path) -> None:
        self._database = _open(path)
        self._storing = threading.Lock()
        self._guard = threading.Lock()
        self._recent: dict[Key, tuple[int, bytes]] = {}
        self._claimed: dict[Key, Future[bytes]] = {}
        newest = self._database.execute("SELECT max(answered_at) FROM answers").fetchone()[0]
        self._anchor = max(time.time(), (newest or 0) / 1e6) - time.monotonic()
        self._pruned_at = float("-inf")

    def now(self) -> int:
        """Return the keys' own clock, in microseconds since 1970."""
        return int((self._anchor + time.monotonic()) * 1e6)

    def find(self, key: Key) -> bytes | None:
        """Return what a key was answered within the last 24 hours, or None."""
        with self._guard:
            held = self._recent.get(key)
        oldest = self.now() - int(ANSWER_SECONDS * 1e6)
        if held is None:
            with self._storing:
                held = self._database.execute(
                    "SELECT answered_at, answer FROM answers"
                    " WHERE project = ? AND model = ? AND key = ?",
                    key,
                ).fetchone()
        return bytes(held[1]) if held is not None and held[0] >= oldest else None

    def claim(self, key: Key) -> Future[bytes] | None:
        """Take a key, or learn what becomes of the one who has it.

        Returns
        -------
        Future of bytes or None
            None if the key is the caller's now. Else the answer: that of 24 hours, or the one to
            come; it raises `Released` if the key was given back, so that it can be claimed again.
        """
        with self._guard:
            held = self._claimed.get(key)
            if held is not None:
                return held
            # Claimed first and looked up then, so that looking does not hold up the others.
            mine = self._claimed[key] = Future()
            mine.set_running_or_notify_cancel()  # So that none who waits cancels it for the others.
        try:
            answer = self.find(key)
        except BaseException as error:
            self.release(key, error)  # Or whoever sends it again would wait for ever.
            raise
        if answer is None:
            return None
        with self._guard:
            self._claimed.pop(key, None)
        mine.set_result(answer)
        return mine

    def release(self, key: Key, error: BaseException | None = None) -> None:
        """Give a claimed key back; those who wait for its answer get the error, if there is one."""
        with self._guard:
            held = self._claimed.pop(key, None)
        if held is not None:
            held.set_exception(error or Released())

    def settle(self, answers: Mapping[Key, tuple[int, bytes]]) -> None:
        """Take note of answers that are durable in a segment, and tell those who wait for them."""
        with self._guard:
            self._recent.update(answers)
            waiting = [
                (self._claimed.pop(key), answer)
                for key, (_, answer) in answers.items()
                if key in self._claimed
            ]
        for future, answer in waiting:
            future.set_result(answer)

    def keep(self, answers: Mapping[Key, tuple[int, bytes]]) -> None:
        """Store answers durably: their segment is about to go.

        Raises
        ------
        sqlite3.Error
            If the disk does not take them; they stay in memory.
        """
        rows = [(*key, at, answer) for key, (at, answer) in answers.items()]
        for first in range(0, len(rows), _PART):
            with self._storing:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    self._database.executemany(
                        "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)",
                        rows[first : first + _PART],
                    )
                    self._prune()
                    self._database.execute("COMMIT")
                except BaseException:
                    if self._database.in_transaction:
                        self._database.execute("ROLLBACK")
                    raise
        with self._guard:
            for key, held in answers.items():
                if self._recent.get(key) == held:
                    del self._recent[key]

    def redact(self, project: str, model: str) -> int:
        """Take the messages of errors, which quote records, out of a model's stored answers.

        What they said of how many records were accepted stays, and so does the key. Nothing of
        before is left in the file, or beside it.

        Returns
        -------
        int
            How many answers were changed.
        """
        with self._storing:
            held = self._database.execute(
                "SELECT key, answer FROM answers WHERE project = ? AND model = ?"
                " AND instr(answer, ?) > 0",
                (project, model, b'"message"'),
            ).fetchall()
            changed = [
                (told, project, model, key)
                for key, answer in held
                if (told := _without_messages(bytes(answer))) is not None
            ]
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._database.executemany(
                    "UPDATE answers SET answer = ? WHERE project = ? AND model = ? AND key = ?",
                    changed,
                )
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return len(changed)

    def close(self) -> None:
        """Let go of the file."""
        with self._storing:
            self._database.close()

    def _prune(self) -> None:
        if time.monotonic() - self._pruned_at < _PRUNE_EVERY:
            return
        self._pruned_at = time.monotonic()
        oldest = self.now() - int(ANSWER_SECONDS * 1e6)
        self._database.execute("DELETE FROM answers WHERE answered_at < ?", (oldest,))


def _without_messages(answer: bytes) -> bytes | None:
    """Return an answer without what its errors say; None where that is nothing."""
    try:
        told = orjson.loads(answer)
        errors = [error for error in told["errors"] if error.get("message") != ERASED]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    for error in errors:
        error["message"] = ERASED
    return orjson.dumps(told) if errors else None


def _open(path: Path) -> sqlite3.Connection:
    """Open the file; one that is damaged is set aside, for it only spares repeats."""
    try:
        return _connect(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
        path.replace(aside)
        for left in ("-wal", "-shm"):
            path.with_name(path.name + left).unlink(missing_ok=True)
        _log.error(
            "the answers of the last 24 hours cannot be read (%s); they were set aside as %s, and "
            "a request that is sent again under its key may be stored twice",
            error,
            aside.name,
        )
        return _connect(path)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "busy_timeout = 10000",
            "secure_delete = ON",  # What was erased does not stay on free pages.
        ):
            connection.execute(f"PRAGMA {pragma}")
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection
