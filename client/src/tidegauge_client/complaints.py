"""What goes wrong, said through ``logging`` at a bounded rate: a service is not flooded by us."""

from __future__ import annotations

import logging
import math
import time
from contextlib import suppress

LOGGER = logging.getLogger("tidegauge_client")


class Complaints:
    """Speaks about each kind of trouble at most once an interval.

    It holds no lock, so a fork can't leave one held: two threads that meet may at worst both speak.

    Parameters
    ----------
    interval : float
        Seconds of silence about one kind of trouble after a message about it.

    Examples
    --------
    >>> complaints = Complaints(interval=30)
    >>> [complaints.say(kind, "a full queue") for kind in ("queue_full", "queue_full", "refused")]
    [True, False, True]
    >>> complaints = Complaints(interval=0)
    >>> [complaints.say("naive_time", "a time without a zone", once=True) for _ in range(2)]
    [True, False]
    """

    def __init__(self, interval: float = 30.0) -> None:
        self._interval = interval
        self._silent_until: dict[str, float] = {}

    def say(self, kind: str, text: str, once: bool = False) -> bool:
        """Log `text` as a warning and return True, unless `kind` was spoken about a moment ago."""
        now = time.monotonic()
        if now < self._silent_until.get(kind, -math.inf):
            return False
        self._silent_until[kind] = math.inf if once else now + self._interval
        with suppress(Exception):  # a handler that raises must not break a scoring path
            LOGGER.warning("tidegauge: %s", text)
        return True

    def info(self, text: str) -> None:
        """Log `text`, which is no trouble."""
        with suppress(Exception):
            LOGGER.info("tidegauge: %s", text)
