"""What a server does once a second: ask what others changed, keep or take the lease."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from tidegauge.errors import Unavailable

_log = logging.getLogger(__name__)

INTERVAL_SECONDS = 1.0


class Pulse:
    """Calls some functions again and again, in a thread of its own.

    Parameters
    ----------
    works : sequence of callable
        In order; one that raises does not keep the others from being called.
    interval : float
        Seconds between two rounds.

    Attributes
    ----------
    wrong : str or None
        Why the last round failed, in words.

    Examples
    --------
    >>> called = threading.Event()
    >>> pulse = Pulse([called.set])
    >>> pulse.start(); called.wait(5); pulse.stop()
    True
    """

    def __init__(
        self, works: Sequence[Callable[[], object]], *, interval: float = INTERVAL_SECONDS
    ) -> None:
        self.wrong: str | None = None
        self._works = tuple(works)
        self._interval = interval
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """Whether its thread is there."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin, with a first round at once."""
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the round that goes on."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def beat(self) -> None:
        """Do one round."""
        wrong: str | None = None
        for work in self._works:
            try:
                work()
            except Unavailable as error:
                wrong = error.message
            except Exception as error:
                wrong = repr(error)
                _log.exception("what is done once a second failed")
        if wrong is not None and self.wrong is None:
            _log.warning("%s; windows are not closed meanwhile", wrong)
        if wrong is None and self.wrong is not None:
            _log.warning("the catalog answers again; all goes on")
        self.wrong = wrong

    def _run(self) -> None:
        while not self._stop.is_set():
            self.beat()
            self._stop.wait(self._interval)
