"""The one range of time that a page shows, in whole windows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from tidegauge.profile.layout import to_datetime, to_micros, window_floor
from tidegauge.report.format import THIN, interval
from tidegauge.server.known import Model
from tidegauge.server.pages.asked import Asked

#: Windows that a page shows by default, and at most.
USUAL, MOST = 400, 1000
_DAY = timedelta(days=1)
_PRESETS = (_DAY, 7 * _DAY, 30 * _DAY, 90 * _DAY, 365 * _DAY)
_FEWEST = 5


@dataclass(frozen=True)
class Span:
    """The range of a page.

    Parameters
    ----------
    start, end : datetime
        Half-open, at edges of windows.
    first, newest : datetime
        Start of the model's first closed window, end of its newest.
    width : timedelta
        Of a window.
    asked : bool
        Whether the address says so, or it is what is shown by default.
    cut : int
        Windows that were left out at the start, being too many.
    """

    start: datetime
    end: datetime
    first: datetime
    newest: datetime
    width: timedelta
    asked: bool = False
    cut: int = 0

    @property
    def windows(self) -> int:
        """How many windows there are in it."""
        return max(0, (self.end - self.start) // self.width)

    @property
    def present(self) -> bool:
        """Whether it reaches the newest window."""
        return self.end >= self.newest

    @property
    def words(self) -> str:
        """The range as people say it."""
        return interval(self.start, self.end)

    def presets(self) -> list[tuple[str, datetime | None, datetime | None]]:
        """Return label, start and end of the ranges that are offered; None for the default."""
        whole = self.newest - self.first
        offered: list[tuple[str, datetime | None, datetime | None]] = [
            (_length(length), self.newest - length, None)
            for length in _PRESETS
            if _FEWEST * self.width <= length < whole
        ]
        return [*offered, ("all" if whole // self.width <= USUAL else "newest", None, None)]

    def around(self, first: datetime, last: datetime, margin: int = 14) -> Span:
        """Return the range of windows from ``first`` to ``last``, with some on both sides."""
        room = max(margin, 2 * ((last - first) // self.width)) * self.width
        start = max(self.first, first - room)
        end = min(self.newest, last + self.width + room)
        if end - start > MOST * self.width:
            start = max(start, end - MOST * self.width)
        return Span(start, max(end, start + self.width), self.first, self.newest, self.width)


def span_of(model: Model, first: datetime, newest: datetime, asked: Asked) -> Span:
    """Return the range that a page shows.

    Parameters
    ----------
    model : Model
    first, newest : datetime
        First event, and end of the newest closed window.
    asked : Asked
    """
    width = model.window
    first = min(floor(first, width), newest)
    start = None if asked.start is None else max(floor(asked.start, width), first)
    end = newest
    if asked.end is not None:
        end = floor(asked.end, width)
        end += width if end < asked.end else timedelta(0)
    end = max(min(end, newest), first + width)
    if start is None:
        start = max(first, end - USUAL * width)
    start = min(start, end - width)
    cut = max(0, (end - start) // width - MOST)
    told = asked.start is not None or asked.end is not None
    return Span(start + cut * width, end, first, newest, width, told, cut)


def floor(moment: datetime, width: timedelta) -> datetime:
    """Return the start of the window that holds a moment."""
    return to_datetime(int(window_floor(np.array([to_micros(moment)]), width)[0]))


def _length(length: timedelta) -> str:
    days = length // _DAY
    return f"24{THIN}h" if days == 1 else f"{days}{THIN}d"
