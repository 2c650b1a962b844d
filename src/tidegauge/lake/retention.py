"""Whole dates dropped from a table: one commit that names their files, and reads none of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from deltalake import DeltaTable

from tidegauge.lake.columns import partition_of
from tidegauge.lake.names import TableKind
from tidegauge.lake.rewriting import day_of, files_of
from tidegauge.lake.swapping import File, swap
from tidegauge.lake.tables import Lake

#: What goes with a model's records, and what with its profiles.
WITH_RECORDS: tuple[TableKind, ...] = ("records", "labels", "quarantine")
WITH_PROFILES: tuple[TableKind, ...] = ("profiles", "points", "samples")


@dataclass(frozen=True)
class Dropped:
    """What was dropped from a table.

    Parameters
    ----------
    files, rows, bytes : int
    first, last : str or None
        The first and the last date.
    """

    files: int = 0
    rows: int = 0
    bytes: int = 0
    first: str | None = None
    last: str | None = None


def has_before(lake: Lake, project: str, model: str, kind: TableKind, day: date) -> bool:
    """Tell whether a table has dates that end before a day begins."""
    handle = lake.open_table(project, model, kind)
    return handle is not None and bool(_before(handle, kind, day))


def drop_before(
    lake: Lake,
    project: str,
    model: str,
    kind: TableKind,
    day: date,
    *,
    go_on: Callable[[], bool] = lambda: True,
) -> Dropped:
    """Drop all of a table that stands under dates before a day; of months, those that ended.

    The files stay on the disk for as long as queries may read them.

    Parameters
    ----------
    day : date
        The first that is kept.
    go_on : callable
        Asked before the commit; where it says no, nothing is dropped.

    Raises
    ------
    Overtaken
        If somebody replaces the same files; to be tried again.

    Examples
    --------
    >>> import tempfile
    >>> from datetime import UTC, datetime
    >>> import pyarrow as pa
    >>> folder = tempfile.TemporaryDirectory()
    >>> lake = Lake(folder.name)
    >>> times = pa.array([datetime(2026, 1, 2), datetime(2026, 1, 3)], pa.timestamp("us", "UTC"))
    >>> version = lake.append("p", "m", "records", pa.table({"timestamp": times}))
    >>> dropped = drop_before(lake, "p", "m", "records", date(2026, 1, 3))
    >>> dropped.rows, dropped.last
    (1, '2026-01-02')
    >>> folder.cleanup()
    """
    handle = lake.open_table(project, model, kind)
    old = [] if handle is None else _before(handle, kind, day)
    if handle is None or not old or not go_on():
        return Dropped()
    swap(lake, project, model, kind, handle, old, [], rows_change=True)
    days = sorted(day_of(file) for file in old)
    return Dropped(
        len(old),
        sum(int(file["num_records"] or 0) for file in old),
        sum(int(file["size_bytes"]) for file in old),
        days[0],
        days[-1],
    )


def _before(handle: DeltaTable, kind: TableKind, day: date) -> list[File]:
    return [file for file in files_of(handle) if _end(kind, day_of(file)) <= day]


def _end(kind: TableKind, held: str) -> date:
    """Return the day after the last that stands under a date."""
    start = date.fromisoformat(held)
    if partition_of(kind, start.replace(day=2)) == start.replace(day=1):
        return (start.replace(day=1) + timedelta(days=32)).replace(day=1)
    return start + timedelta(days=1)
