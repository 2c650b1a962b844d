"""Which hours hold the missing values of a window, read from an hourly profile of its records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from tidegauge.profile import Profile
from tidegauge.profile.layout import to_datetime
from tidegauge.profile.profile import ROWS

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Hole:
    """A run of hours in which a column's values are missing.

    Parameters
    ----------
    start, end : datetime
        Half-open, UTC.
    missing, records : int
        Records without a value, and all records, of these hours.
    segments : tuple of str
        Values of the segment columns in which every record lacks the value, as
        ``"origin JFK"``; empty where it is missing everywhere.
    """

    start: datetime
    end: datetime
    missing: int
    records: int
    segments: tuple[str, ...] = ()


def holes(hourly: Profile, column: str, usual: float) -> list[Hole]:
    """Find the hours in which a column is missing far more often than usual.

    Parameters
    ----------
    hourly : Profile
        With windows of one hour.
    column : str
    usual : float
        The share that is expected to be missing.

    Returns
    -------
    list of Hole
        In order; hours that follow each other are one, hours without any record between them
        included. An hour counts where more than half of
        the way from the usual share to 1 is missing, in the whole or in one segment.
    """
    missing = hourly[column]["missing"]
    records = hourly[ROWS]["n"]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(records > 0, missing / records, 0.0)
    hit = (share > usual + (1 - usual) / 2) & (missing > 0)
    hours = np.flatnonzero(hit.any(axis=1))
    runs = np.split(hours, np.flatnonzero(np.diff(hours) > 1) + 1)
    return [_hole(hourly, run, missing, records, hit) for run in runs if len(run)]


def _hole(
    hourly: Profile,
    run: np.ndarray[tuple[int], np.dtype[np.int64]],
    missing: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    records: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    hit: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
) -> Hole:
    named: tuple[str, ...] = ()
    whole = missing[run, 0].sum() == records[run, 0].sum()
    if not whole:
        named = tuple(
            f"{segment.column} {segment.value}"
            for index, segment in enumerate(hourly.layout.segments)
            if segment is not None
            and hit[run, index].any()
            and missing[run, index].sum() == records[run, index].sum()
        )
    return Hole(
        to_datetime(int(hourly.windows[run[0]])),
        to_datetime(int(hourly.windows[run[-1]])) + HOUR,
        int(missing[run, 0].sum()),
        int(records[run, 0].sum()),
        named,
    )
