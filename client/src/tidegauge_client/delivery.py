"""Trying until it works: exponential backoff with full jitter, for as many tries as are allowed.

Full jitter after https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/: a
thousand clients that lost the same server do not come back in the same instant.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tidegauge_client.errors import TransientError, UnreachableError
from tidegauge_client.options import Options

T = TypeVar("T")

LONGEST_RETRY_AFTER = 300.0
"""The most seconds that a Retry-After is honoured for; more is taken for a mistake."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before each retry, in seconds.

    Examples
    --------
    >>> backoff = Backoff(first=0.5, longest=30, max_retries=20)
    >>> backoff.ceiling(1), backoff.ceiling(3), backoff.ceiling(20)
    (0.5, 2.0, 30.0)
    >>> 0 <= backoff.delay(3) <= 2
    True
    >>> 60 <= backoff.delay(1, retry_after=60) <= 60.5
    True
    """

    first: float
    longest: float
    max_retries: int

    @classmethod
    def of(cls, options: Options) -> Backoff:
        """Return the waits that a client's options ask for."""
        return cls(options.backoff, options.max_backoff, options.max_retries)

    def ceiling(self, retry: int) -> float:
        """Return the longest wait before retry number `retry`, which counts from 1."""
        return float(min(self.longest, self.first * 2.0 ** min(retry - 1, 60)))

    def delay(self, retry: int, retry_after: float | None = None) -> float:
        """Return the wait before retry number `retry`: never less than the server asked for."""
        if retry_after is not None:
            return min(retry_after, LONGEST_RETRY_AFTER) + random.uniform(0, self.first)
        return random.uniform(0, self.ceiling(retry))


def deliver(
    attempt: Callable[[], T],
    backoff: Backoff,
    pause: Callable[[float], bool],
    on_retry: Callable[[TransientError], None] = lambda error: None,
) -> T:
    """Call `attempt` until it returns, and return what it did.

    Parameters
    ----------
    attempt : callable
        One try; raises `TransientError` if another may succeed.
    backoff : Backoff
        The waits between tries, and their number.
    pause : callable
        Waits for so many seconds; returns False to give up at once.
    on_retry : callable
        Is told of each failure that is tried again.

    Raises
    ------
    UnreachableError
        If no try succeeded.
    """
    retries = 0
    while True:
        try:
            return attempt()
        except TransientError as error:
            tries = f"{retries + 1} {'try' if retries == 0 else 'tries'}"
            if retries >= backoff.max_retries:
                raise UnreachableError(f"gave up after {tries}: {error}") from error
            retries += 1
            on_retry(error)
            if not pause(backoff.delay(retries, error.retry_after)):
                raise UnreachableError(f"stopped after {tries}: {error}") from error
