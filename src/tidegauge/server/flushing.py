"""The flusher, timed: how long a flush takes is one of the server's own metrics."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tidegauge.lake.flusher import Flushed, Flusher


class TimedFlusher(Flusher):
    """A flusher that tells the duration of each flush.

    Parameters
    ----------
    *parts, **options
        As for `Flusher`.
    on_time : callable
        Takes the seconds of each flush that moved something, and the failures since the start.
    on_end : callable
        Called after each flush, also after one that found nothing to move.
    """

    def __init__(
        self,
        *parts: Any,
        on_time: Callable[[float, int], None],
        on_end: Callable[[], None],
        **options: Any,
    ) -> None:
        super().__init__(*parts, **options)
        self._on_time = on_time
        self._on_end = on_end

    @property
    def alive(self) -> bool:
        """Whether the thread that flushes is there."""
        return self._thread is not None and self._thread.is_alive()

    def _flush(self, paused: Any) -> list[Flushed]:
        started = time.perf_counter()
        failures = self.failures
        waiting = self.journal.depth()
        try:
            return super()._flush(paused)
        finally:
            if waiting:
                self._on_time(time.perf_counter() - started, self.failures - failures)
            self._on_end()
