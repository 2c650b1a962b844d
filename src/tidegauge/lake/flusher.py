"""The flusher: moves what is durable in the journal into the lake, each entry exactly once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidegauge.errors import SchemaMismatch, Unavailable
from tidegauge.lake.columns import TIMESTAMP, stamped
from tidegauge.lake.entries import PendingEntry
from tidegauge.lake.journal import Journal, Target
from tidegauge.lake.refused import refused_rows
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
        """Return what both brought together; they come from one journal.

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
            first_offset=min(self.first_offset, other.first_offset),
            last_offset=max(self.last_offset, other.last_offset),
        )


#: A table, and the journal that its entries came through.
Source = tuple[Target, str]


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
    and does not hold up the others; rows that a table can never take go to quarantine.

    Entries leave the journal only after what they brought was handed on: news are never lost, but
    may be told twice after a crash.

    Parameters
    ----------
    journal : Journal
    lake : Lake
    interval : float
        Seconds between flushes.
    on_flush : callable, optional
        Called after each flush with a list of :class:`Flushed`, one per model and journal, from the
        flusher's thread. If it raises it is called again, with the same and what came since.
    max_bytes : int
        At most this much is read from the journal at once; a flush goes on until all that was there
        when it began is written.
    workers : int
        Tables written at the same time.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from tidegauge.lake.entries import Entry, JournalRequest
    >>> folder = tempfile.TemporaryDirectory()
    >>> journal = Journal(Path(folder.name) / "journal")
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
        max_bytes: int = 128 << 20,
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
        self._news: dict[tuple[str, str, str], Flushed] = {}
        self._written: dict[Source, int] = {}
        self._held_up = False
        self._ended = time.monotonic()
        self._flushing = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Flush every ``interval`` seconds in a thread of its own."""
        self._ended = time.monotonic()
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
    def silence(self) -> float:
        """Seconds since a flush, or a part of one, ended last, or since the start."""
        return time.monotonic() - self._ended

    @property
    def failing(self) -> dict[Target, int]:
        """The tables that could not be written lately, with how often in a row."""
        return {target: failure.count for target, failure in self._failing.copy().items()}

    def flush_now(self) -> list[Flushed]:
        """Move all entries that are durable now into the lake; return what came, by model."""
        return self._flush(frozenset())

    def _run(self) -> None:
        while not self._stop.wait(self.interval):
            try:
                now, failing = time.monotonic(), self._failing.copy()
                self._flush(frozenset(t for t, failed in failing.items() if failed.retry_at > now))
            except Exception:
                self.failures += 1
                _log.exception("flush failed; the journal keeps what it has")

    def _flush(self, paused: frozenset[Target]) -> list[Flushed]:
        told: dict[tuple[str, str, str], Flushed] = {}
        skipped = set(paused)
        # What comes meanwhile is left to the next flush, or this one might never end.
        now = time.monotonic()
        with self._flushing, ThreadPoolExecutor(self._workers, "flush") as pool:
            _gather(told, self._hand_on())  # What could not be handed on before.
            while entries := self.journal.pending(self._max_bytes, exclude=skipped, before=now):
                skipped |= self._write(entries, pool)
                self._ended = time.monotonic()
                # At once, or a journal that is never empty would never be trimmed.
                _gather(told, self._hand_on())
            self.flushed_at, self._ended = time.time(), time.monotonic()
        return list(told.values())

    def _write(self, entries: Sequence[PendingEntry], pool: Executor) -> set[Target]:
        """Write entries to their tables, and return the tables that could not be written."""
        by_target = _by_target(entries)
        written = list(pool.map(self._move, by_target, by_target.values()))
        done: dict[Source, int] = {}
        for parts in written:
            for name, flushed in parts or ():
                done[name] = flushed.last_offset
                _gather(self._news, [flushed])
        self.journal.written(done)
        self._written |= done
        return {t for t, parts in zip(by_target, written, strict=True) if parts is None}

    def _hand_on(self) -> list[Flushed]:
        """Tell what came; only then may the journal forget it."""
        news = list(self._news.values())
        if not news:
            return []
        if self.on_flush is not None:
            try:
                self.on_flush(news)
            except Unavailable as error:
                if not self._held_up:
                    _log.warning("what flushes bring is handed on later: %s", error.message)
                self._held_up = True
                return []
            except Exception:
                _log.exception("what a flush brought could not be handed on; it will be again")
                return []
        self._held_up = False
        self.journal.trim(self._written)
        self._news, self._written = {}, {}
        return news

    def _move(
        self, target: Target, entries: Sequence[PendingEntry]
    ) -> list[tuple[Source, Flushed]] | None:
        """Write one table's entries; None if that failed."""
        moved = []
        try:
            for journal, run in groupby(entries, key=lambda entry: entry.journal):
                part = list(run)
                self._move_part(target, journal, part)
                moved.append(((target, journal), _summary(target, journal, part)))
        except Exception:
            self.failures += 1
            count = self._failing[target].count + 1 if target in self._failing else 1
            pause = min(self.interval * 2.0**count, _LONGEST_PAUSE)
            self._failing[target] = _Failure(count, time.monotonic() + pause)
            about = dict(zip(("project", "model", "table"), target, strict=True))
            told = "%s/%s: %s cannot be written; trying again in %.0f s"
            _log.exception(told, *target, pause, extra=about)
            return None
        self._failing.pop(target, None)
        return moved

    def _move_part(self, target: Target, journal: str, entries: Sequence[PendingEntry]) -> None:
        """Write entries of one table that came through one journal."""
        seen = self.lake.app_version(*target, journal) or 0
        fresh = [entry for entry in entries if entry.offset > seen]
        for run in runs(fresh):
            try:
                self._append(target, journal, run)
            except SchemaMismatch:
                for entry in run:
                    self._append_alone(target, journal, entry)

    def _append(self, target: Target, journal: str, run: Sequence[PendingEntry]) -> None:
        app = AppTransaction(journal, run[-1].offset)
        self.lake.append(*target, joined(run), app=app, timestamp=run[0].timestamp)

    def _append_alone(self, target: Target, journal: str, entry: PendingEntry) -> None:
        """Store an entry; one that its table can never take is quarantined instead."""
        project, model, kind = target
        try:
            self._append(target, journal, [entry])
        except SchemaMismatch as error:
            if kind == "quarantine":
                raise
            rows = entry.batch.num_rows
            _log.error("%s/%s: %d %s go to quarantine: %s", project, model, rows, kind, error)
            table = refused_rows(pa.Table.from_batches([entry.batch]), kind, error)
            origin = AppTransaction(f"{journal}:{kind}", entry.offset)
            self.lake.append(project, model, "quarantine", table, app=origin)


def runs(entries: Sequence[PendingEntry]) -> Iterator[list[PendingEntry]]:
    """Split entries of one table, in order, so that the types of columns agree within each part."""
    run: list[PendingEntry] = []
    types: dict[str, pa.DataType] = {}
    for entry in entries:
        same = bool(run) and entry.batch.schema == run[-1].batch.schema
        own = {} if same else {column.name: column.type for column in entry.batch.schema}
        clash = any(types.get(name, kind) != kind for name, kind in own.items())
        if run and (clash or entry.timestamp != run[-1].timestamp):
            yield run
            run, types = [], {}
            own = {column.name: column.type for column in entry.batch.schema}
        types.update(own)
        run.append(entry)
    if run:
        yield run


def joined(run: Sequence[PendingEntry]) -> pa.Table:
    """Return entries that came through one journal as one table with the lake's own columns."""
    parts = [
        pa.Table.from_batches([entry.batch for entry in same])
        for _, same in groupby(run, key=lambda entry: entry.batch.schema)
    ]
    table = pa.concat_tables(parts, promote_options="default")
    if table.num_columns and table.column(0).num_chunks > _MANY_CHUNKS:
        table = table.combine_chunks()
    rows = np.array([entry.batch.num_rows for entry in run])
    offsets = np.array([entry.offset for entry in run], dtype=np.int64)
    received = np.array([entry.received_at for entry in run], dtype=np.int64)
    starts = np.cumsum(rows) - rows
    place = np.arange(rows.sum()) - np.repeat(starts, rows)
    return stamped(
        table,
        run[0].kind,
        pa.array(np.repeat(received, rows)).cast(TIMESTAMP),
        timestamp=run[0].timestamp,
        journal=run[0].journal,
        batch=pa.array(np.repeat(offsets, rows)),
        row=pa.array(place.astype(np.int32)),
    )


def _gather(held: dict[tuple[str, str, str], Flushed], news: Sequence[Flushed]) -> None:
    """Add what came to what came before, by model and journal."""
    for one in news:
        key = one.project, one.model, one.journal
        held[key] = held[key].merge(one) if key in held else one


def _by_target(entries: Sequence[PendingEntry]) -> dict[Target, list[PendingEntry]]:
    grouped: dict[Target, list[PendingEntry]] = {}
    for entry in entries:
        grouped.setdefault(entry.target, []).append(entry)
    return grouped


def _summary(target: Target, journal: str, entries: Sequence[PendingEntry]) -> Flushed:
    project, model, kind = target
    rows = sum(entry.batch.num_rows for entry in entries)
    brought = Flushed(
        project,
        model,
        last_offset=entries[-1].offset,
        first_offset=entries[0].offset,
        journal=journal,
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
