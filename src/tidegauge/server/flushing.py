"""The flusher, watched: durations, rows, bytes and spans of what it does."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from contextvars import Context, copy_context
from typing import Any

from tidegauge.lake.entries import PendingEntry
from tidegauge.lake.flusher import Flushed, Flusher, Source
from tidegauge.lake.journal import Target
from tidegauge.server import tracing


class TimedFlusher(Flusher):
    """A flusher that tells what each flush does.

    Parameters
    ----------
    *parts, **options
        As for `Flusher`.
    on_time : callable
        Takes the seconds of each flush that moved something, and its failures.
    on_table : callable
        Takes the kind of a table, and the rows and bytes that were written to it.
    on_end : callable
        Called after each flush, also after one that found nothing to move.
    """

    def __init__(
        self,
        *parts: Any,
        on_time: Callable[[float, int], None],
        on_table: Callable[[str, int, int], None],
        on_end: Callable[[], None],
        **options: Any,
    ) -> None:
        super().__init__(*parts, **options)
        self._on_time = on_time
        self._on_table = on_table
        self._on_end = on_end
        self._context: Context | None = None

    @property
    def alive(self) -> bool:
        """Whether the thread that flushes is there."""
        return self._thread is not None and self._thread.is_alive()

    def _flush(self, paused: Any) -> list[Flushed]:
        started = time.perf_counter()
        failures = self.failures
        waiting = self.journal.depth()
        try:
            with tracing.work("flush", entries=waiting) if waiting else nullcontext():
                return super()._flush(paused)
        finally:
            if waiting:
                self._on_time(time.perf_counter() - started, self.failures - failures)
            self._on_end()

    def _write(self, entries: Sequence[PendingEntry], pool: Any) -> set[Target]:
        self._context = copy_context()
        return super()._write(entries, pool)

    def _move(
        self, target: Target, entries: Sequence[PendingEntry]
    ) -> list[tuple[Source, Flushed]] | None:
        # In one of several threads, but a part of the flush.
        context = Context() if self._context is None else self._context.copy()
        return context.run(super()._move, target, entries)

    def _move_part(self, target: Target, journal: str, entries: Sequence[PendingEntry]) -> None:
        project, model, kind = target
        rows = sum(entry.batch.num_rows for entry in entries)
        size = sum(entry.batch.nbytes for entry in entries)
        about: dict[str, Any] = {"project": project, "model": model, "table": kind}
        with tracing.part("flush.table", **about, rows=rows, bytes=size):
            super()._move_part(target, journal, entries)
        self._on_table(kind, rows, size)
