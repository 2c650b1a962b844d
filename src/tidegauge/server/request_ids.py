"""The id of the request that is being answered: taken from the caller or made, kept in a context.

The context goes along into worker threads, so that whatever is logged there carries the id as well.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from functools import partial
from typing import ParamSpec, TypeVar

#: Longest id that is taken from a caller, in characters.
LONGEST = 128

_P = ParamSpec("_P")
_T = TypeVar("_T")
_current: ContextVar[str] = ContextVar("request_id", default="")
_prefix = os.urandom(6).hex()
_numbers = itertools.count(1)


def current_id() -> str:
    """Return the id of the request that is being answered here; empty outside of any."""
    return _current.get()


def begin(sent: bytes | None) -> str:
    r"""Begin a request: take the id that was sent if it is sane, else make one; return it.

    Parameters
    ----------
    sent : bytes or None
        The header ``X-Request-ID``.

    Examples
    --------
    >>> from contextvars import copy_context
    >>> copy_context().run(begin, b"nightly-17")
    'nightly-17'
    >>> copy_context().run(begin, b"two\nlines") == "two\nlines"
    False
    """
    told = f"{_prefix}-{next(_numbers):x}" if sent is None or not _sane(sent) else sent.decode()
    _current.set(told)
    return told


def _sane(sent: bytes) -> bool:
    return 0 < len(sent) <= LONGEST and sent.isascii() and sent.decode().isprintable()


def carried(work: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> Callable[[], _T]:
    """Return work that runs in this context wherever it runs, as in an executor's thread.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> def ask():
    ...     _ = begin(b"r1")
    ...     with ThreadPoolExecutor(1) as pool:
    ...         return pool.submit(carried(current_id)).result()
    >>> copy_context().run(ask)
    'r1'
    """
    return partial(copy_context().run, partial(work, *arguments, **named))
