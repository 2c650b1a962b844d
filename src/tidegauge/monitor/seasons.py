"""Seasons: which hour of the day and day of the week a window lies in, where that can matter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

_HOUR = 3_600_000_000
_DAY = 24 * _HOUR
_MONDAY = 4 * _DAY
#: A season can be told from chance once this many full turns of it lie in the baseline.
_TURNS = 2


@dataclass(frozen=True)
class Season:
    """One way in which windows repeat.

    Parameters
    ----------
    period, slot : int
        Lengths of a turn and of a part of it, in microseconds.
    """

    period: int
    slot: int

    @property
    def slots(self) -> int:
        """Number of parts of a turn."""
        return -(-self.period // self.slot)

    def of(self, starts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the part of the turn in which each window begins.

        Parameters
        ----------
        starts : (window,) int64
            Microseconds since 1970 (UTC).

        Examples
        --------
        >>> WEEK.of(np.array([_MONDAY, _MONDAY + 6 * _DAY])).tolist()
        [0, 6]
        """
        slots: NDArray[np.int64] = np.mod(starts - _MONDAY, self.period) // self.slot
        return slots


#: Day of the week.
WEEK = Season(7 * _DAY, _DAY)


def seasons(starts: NDArray[np.int64], width: timedelta | None) -> tuple[Season, ...]:
    """Return the seasons that a baseline is long enough to show, the hour before the weekday.

    Parameters
    ----------
    starts : (window,) int64, increasing
        The baseline's windows.
    width : timedelta or None

    Examples
    --------
    >>> days = _MONDAY + np.arange(14) * _DAY
    >>> [season.slots for season in seasons(days, timedelta(days=1))]
    [7]
    >>> seasons(days[:13], timedelta(days=1))
    ()
    >>> hours = _MONDAY + np.arange(14 * 24) * _HOUR
    >>> [season.slots for season in seasons(hours, timedelta(hours=1))]
    [24, 7]
    """
    if width is None or len(starts) == 0:
        return ()
    step = width // timedelta(microseconds=1)
    span = int(starts[-1] - starts[0]) + step
    found = []
    if step < _DAY and span >= _TURNS * _DAY:
        found.append(Season(_DAY, max(_HOUR, step)))
    if step <= _DAY and span >= _TURNS * WEEK.period:
        found.append(WEEK)
    return tuple(found)
