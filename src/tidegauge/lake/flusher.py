"""The flusher: moves what is durable in the journal into the lake, each entry exactly once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidegauge.lake.columns import TIMESTAMP, stamped
from tidegauge.lake.entries import PendingEntry
from tidegauge.lake.journal import Journal, Target
from tidegauge.lake.tables import AppTransaction, Lake

_log = logging.getLogger(__name__)

_MANY_CHUNKS = 16
_LONGEST_PAUSE = 60.0


@dataclass(frozen=True)
class Flushed:
    """What one flush brought a model.

    Parameters
    ----------
    project, model : str
    records, labels, quarantined : int
        Rows of each kind.
    first_event, last_event : datetime, optional
        Least and greatest event time of its records.
    first_offset, last_offset : int
        The journal's offsets of its first and last entry; rows carry them as ``_batch``.
    journal : str
        The journal's id.
    """

    project: str
    model: str
    records: int = 0
    labels: int = 0
    quarantined: int = 0
    first_event: datetime | None = None
    last_event: datetime | None = None
    last_offset: int = 0
    first_offset: int = 0
    journal: str = ""

    def merge(self, other: Flushed) -> Flushed:
        """Return what both brought together.

        Examples
        --------
        >>> Flushed("p", "m", records=2).merge(Flushed("p", "m", records=3, labels=1)).records
        5
        """
        firsts = [t for t in (self.first_event, other.first_event) if t is not None]
        lasts = [t for t in (self.last_event, other.last_event) if t is not None]
        return replace(
            self,
            records=self.records + other.records,
            labels=self.labels + other.labels,
            quarantined=self.quarantined + other.quarantined,
            first_event=min(firsts, default=None),
            last_event=max(lasts, default=None),
            last_offset=max(self.last_offset, other.last_offset),
            first_offset=min(self.first_offset, other.first_offset),
        )


@dataclass
class _Failure:
    """A table that could not be written, and when to try again."""

    count: int
    retry_at: float


class Flusher:
    """Moves the journal's entries into Delta tables, every few seconds.

    One flush makes one commit per table. The commit carries the journal's id and the offset it has
    come to; both are read back before entries are written, so a crash between the commit and the
    journal's trim does not store them twice. A table that cannot be written is tried again later
    and does not hold up the others.

    Parameters
    ----------
    journal : Journal
    lake : Lake
    interval : float
        Seconds between flushes.
    on_flush : callable, optional
        Called after each flush with a list of :class:`Flushed`, one per model, from the flusher's
        thread. After a crash it may be called a second time for the same entries, never too
        seldom.
    max_bytes : int
        At most this much is read from the journal at once; a flush goes on until nothing is left.
    workers : int
        Tables written at the same time.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from tidegauge.lake.entries import Entry, JournalRequest
    >>> folder = tempfile.TemporaryDirectory()
    >>> journal = Journal(Path(folder.name) / "journal.db")
    >>> entry = Entry("default", "demo", "records", pa.table({"prediction_id": ["a", "b"]}))
    >>> receipt = journal.append(JournalRequest("default", "demo", (entry,))).result()
    >>> flusher = Flusher(journal, Lake(folder.name))
    >>> flusher.flush_now()[0].records, journal.depth()
    (2, 0)
    >>> journal.close(); folder.cleanup()
    """

    def __init__(
        self,
        journal: Journal,
        lake: Lake,
        interval: float = 2.0,
        on_flush: Callable[[list[Flushed]], None] | None = None,
        *,
        max_bytes: int = 64 << 20,
        workers: int = 4,
    ) -> None:
        self.journal = journal
        self.lake = lake
        self.interval = interval
        self.on_flush = on_flush
        #: How many writes failed since the start, over all tables.
        self.failures = 0
        #: When the last flush ended, in seconds since 1970.
        self.flushed_at: float | None = None
        self._max_bytes = max_bytes
        self._workers = workers
        self._failing: dict[Target, _Failure] = {}
        self._flushing = threading.Lock()
        self._identity = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Flush every ``interval`` seconds in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="flusher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Flush once more and end the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.flush_now()

    @property
    def failing(self) -> dict[Target, int]:
        """The tables that could not be written lately, with how often in a row."""
        return {target: failure.count for target, failure in self._failing.copy().items()}

    def flush_now(self) -> list[Flushed]:
        """Move all entries into the lake and return what came, one item per model."""
        return self._flush(frozenset())

    def _run(self) -> None:
        while not self._stop.wait(self.interval):
            now = time.monotonic()
            paused = {t for t, failure in self._failing.items() if failure.retry_at > now}
            try:
                self._flush(frozenset(paused))
            except Exception:
                self.failures += 1
                _log.exception("flush failed; the journal keeps what it has")

    def _flush(self, paused: frozenset[Target]) -> list[Flushed]:
        with self._flushing, ThreadPoolExecutor(self._workers, "flush") as pool:
            brought: dict[tuple[str, str], Flushed] = {}
            skipped = set(paused)
            while entries := self.journal.pending(self._max_bytes, exclude=skipped):
                by_target = _by_target(entries)
                written = list(pool.map(self._move, by_target, by_target.values()))
                done: dict[Target, int] = {}
                for target, flushed in zip(by_target, written, strict=True):
                    if flushed is None:
                        skipped.add(target)
                        continue
                    done[target] = flushed.last_offset
                    before = brought.get(target[:2])
                    brought[target[:2]] = before.merge(flushed) if before else flushed
                self.journal.trim(done)
            self.flushed_at = time.time()
        news = list(brought.values())
        if news and self.on_flush is not None:
            try:
                self.on_flush(news)
            except Exception:
                _log.exception("on_flush failed")
        return news

    def _move(self, target: Target, entries: Sequence[PendingEntry]) -> Flushed | None:
        """Write one table's entries; None if that failed."""
        try:
            app_id, seen = self._seen(target)
            fresh = [entry for entry in entries if entry.offset > seen]
            for table, timestamp, offset in joined(fresh):
                app = AppTransaction(app_id, offset)
                self.lake.append(*target, table, app=app, timestamp=timestamp)
        except Exception:
            self.failures += 1
            count = self._failing[target].count + 1 if target in self._failing else 1
            pause = min(self.interval * 2.0**count, _LONGEST_PAUSE)
            self._failing[target] = _Failure(count, time.monotonic() + pause)
            _log.exception("%s/%s: %s cannot be written; trying again in %.0f s", *target, pause)
            return None
        self._failing.pop(target, None)
        return replace(_summary(target, entries), journal=app_id)

    def _seen(self, target: Target) -> tuple[str, int]:
        """Return the journal's id and the offset up to which the table already has it."""
        with self._identity:
            app_id = self.journal.id
            seen = self.lake.app_version(*target, app_id) or 0
            if seen > self.journal.last_offset:
                _log.warning(
                    "%s/%s: %s has offset %d of this journal, which has only come to %d: it was "
                    "put back from a copy, and goes on under a new id",
                    *target,
                    seen,
                    self.journal.last_offset,
                )
                self.journal.renew()
                return self.journal.id, 0
            return app_id, seen


def joined(entries: Sequence[PendingEntry]) -> Iterator[tuple[pa.Table, str, int]]:
    """Join entries of one table, in order, as far as their columns' types agree.

    Yields
    ------
    (pyarrow.Table, str, int)
        Rows with the lake's own columns, the event time's column, and the last offset in it.
    """
    run: list[PendingEntry] = []
    types: dict[str, pa.DataType] = {}
    for entry in entries:
        same = bool(run) and entry.layout == run[-1].layout
        own = {} if same else {column.name: column.type for column in entry.batch.schema}
        clash = any(types.get(name, kind) != kind for name, kind in own.items())
        if run and (clash or entry.timestamp != run[-1].timestamp):
            yield _joined(run)
            run, types = [], {}
        types.update(own)
        run.append(entry)
    if run:
        yield _joined(run)


def _joined(run: Sequence[PendingEntry]) -> tuple[pa.Table, str, int]:
    parts = [
        pa.Table.from_batches([entry.batch for entry in same])
        for _, same in groupby(run, key=lambda entry: entry.layout)
    ]
    table = pa.concat_tables(parts, promote_options="default")
    if table.num_columns and table.column(0).num_chunks > _MANY_CHUNKS:
        table = table.combine_chunks()
    rows = np.array([entry.batch.num_rows for entry in run])
    offsets = np.array([entry.offset for entry in run], dtype=np.int64)
    received = np.array([entry.received_at for entry in run], dtype=np.int64)
    starts = np.cumsum(rows) - rows
    place = np.arange(rows.sum()) - np.repeat(starts, rows)
    stamped_table = stamped(
        table,
        run[0].kind,
        pa.array(np.repeat(received, rows)).cast(TIMESTAMP),
        timestamp=run[0].timestamp,
        batch=pa.array(np.repeat(offsets, rows)),
        row=pa.array(place.astype(np.int32)),
    )
    return stamped_table, run[0].timestamp, run[-1].offset


def _by_target(entries: Sequence[PendingEntry]) -> dict[Target, list[PendingEntry]]:
    grouped: dict[Target, list[PendingEntry]] = {}
    for entry in entries:
        grouped.setdefault(entry.target, []).append(entry)
    return grouped


def _summary(target: Target, entries: Sequence[PendingEntry]) -> Flushed:
    project, model, kind = target
    rows = sum(entry.batch.num_rows for entry in entries)
    brought = Flushed(
        project, model, last_offset=entries[-1].offset, first_offset=entries[0].offset
    )
    if kind == "labels":
        return replace(brought, labels=rows)
    if kind == "quarantine":
        return replace(brought, quarantined=rows)
    firsts, lasts = [], []
    for entry in entries:
        if entry.timestamp in entry.batch.schema.names:
            bounds: Any = pc.min_max(entry.batch.column(entry.timestamp))
            firsts.append(bounds["min"].as_py())
            lasts.append(bounds["max"].as_py())
    return replace(
        brought,
        records=rows,
        first_event=min((t for t in firsts if t is not None), default=None),
        last_event=max((t for t in lasts if t is not None), default=None),
    )
