"""How late the event loop runs: a callback, due every tenth of a second, and when it came."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tidegauge.server.tallies import Durations

_BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class LoopLag(Collector):
    """Measures the lag of the event loop that it is started in, and tells Prometheus of it.

    Parameters
    ----------
    every : float
        Seconds between two looks.
    over : float
        Seconds over which `worst` looks back.

    Attributes
    ----------
    seconds : Durations
        Histogram of all lags.
    """

    def __init__(self, every: float = 0.1, over: float = 15.0) -> None:
        self.seconds = Durations(
            "tidegauge_event_loop_lag_seconds",
            "How late a callback ran that was due every tenth of a second.",
            _BOUNDS,
        )
        self._every = every
        self._lags: deque[float] = deque(maxlen=max(1, round(over / every)))
        self._due: float | None = None
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to measure the running loop."""
        self._wait(asyncio.get_running_loop())

    def stop(self) -> None:
        """End; from the loop's thread."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._due = None

    def worst(self) -> float:
        """Return the greatest lag of the last seconds, with the one that goes on; in seconds."""
        due = self._due
        now = 0.0 if due is None else time.monotonic() - due
        return max(0.0, now, *self._lags.copy())

    def collect(self) -> Iterator[Metric]:
        """Return the histogram, and the worst of late."""
        yield from self.seconds.collect()
        yield GaugeMetricFamily(
            "tidegauge_event_loop_lag_worst_seconds",
            "The greatest lag of the event loop within the last 15 seconds.",
            value=self.worst(),
        )

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = time.monotonic() + self._every
        self._handle = loop.call_later(self._every, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self._due is not None
        lag = max(0.0, time.monotonic() - self._due)
        self.seconds.observe(lag)
        self._lags.append(lag)
        self._wait(loop)
