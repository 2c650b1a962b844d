"""Spans of time as people write them: ``10m``, ``6h``, ``1.5d``, ``2w``, ``2y``."""

from __future__ import annotations

import re
from datetime import timedelta

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_FORM = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([smhdwy])")


def read_duration(text: str) -> timedelta | None:
    """Return the span of time that a text says, or None if it says none.

    Examples
    --------
    >>> read_duration("30d"), read_duration("a month") is None
    (datetime.timedelta(days=30), True)
    """
    match = _FORM.fullmatch(text.strip().lower())
    try:
        return timedelta(seconds=float(match[1]) * _SECONDS[match[2]]) if match else None
    except OverflowError:
        return None


def duration_text(span: timedelta) -> str:
    """Write a span of time so that reading it gives the same again.

    Examples
    --------
    >>> duration_text(timedelta(days=14)), duration_text(timedelta(hours=36))
    ('14d', '36h')
    """
    for unit in ("d", "h", "m"):
        whole, rest = divmod(span, timedelta(seconds=_SECONDS[unit]))
        if not rest:
            return f"{whole}{unit}"
    seconds = span.total_seconds()
    return f"{int(seconds) if seconds.is_integer() else seconds}s"
