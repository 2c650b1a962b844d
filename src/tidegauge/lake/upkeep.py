"""Upkeep of one table: small files joined, old ones deleted, the log shortened.

One owner at a time does this, beside running appends and reads. When it is due is told here; who
does it, and when, is the scheduler's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
from deltalake import WriterProperties

from tidegauge.lake.columns import DATE
from tidegauge.lake.names import TableKind
from tidegauge.lake.tables import Lake
from tidegauge.lake.writing import row_group_size

#: A file below this size is joined with others.
SMALL_BYTES = 16 << 20
#: A folder with this many small files is due.
SMALL_FILES = 12
#: Deleted files outlive the longest query.
RETENTION = timedelta(hours=1)
_PARTITION = f"partition.{DATE}"


@dataclass(frozen=True)
class Upkeep:
    """What upkeep did to a table.

    Parameters
    ----------
    compacted : int
        Files that were joined into larger ones.
    written : int
        Files that they became.
    deleted : int
        Files deleted, being out of use for longer than the retention.
    """

    compacted: int = 0
    written: int = 0
    deleted: int = 0


def crowded_dates(
    lake: Lake, project: str, model: str, kind: TableKind, *, small_files: int = SMALL_FILES
) -> list[date]:
    """Return the dates whose folder holds too many small files."""
    handle = lake.table(project, model, kind)
    if handle is None:
        return []
    actions: Any = pa.table(handle.get_add_actions(flatten=True))
    if _PARTITION not in actions.column_names:
        return []
    days, sizes = actions[_PARTITION].to_pylist(), actions["size_bytes"].to_pylist()
    small = Counter(d for d, size in zip(days, sizes, strict=True) if size < SMALL_BYTES)
    return sorted(day for day, count in small.items() if count >= small_files)


def compact(
    lake: Lake,
    project: str,
    model: str,
    kind: TableKind,
    *,
    small_files: int = SMALL_FILES,
    retention: timedelta = RETENTION,
) -> Upkeep:
    """Join the small files of crowded dates, delete what is out of use, shorten the log.

    Cheap when nothing is due. Rows keep their order; nothing that can be read changes.

    Parameters
    ----------
    small_files : int
        From how many small files on a date is due.
    retention : timedelta
        For how long files that were replaced stay, for queries that still read them.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> lake = Lake(folder.name)
    >>> for i in range(3):
    ...     version = lake.append("default", "demo", "records", pa.table({"x": [i]}))
    >>> compact(lake, "default", "demo", "records", small_files=2).compacted
    3
    >>> len(lake.files("default", "demo", "records"))
    1
    >>> folder.cleanup()
    """
    handle = lake.open_table(project, model, kind)
    due = crowded_dates(lake, project, model, kind, small_files=small_files)
    if handle is None or not due:
        return Upkeep()
    compacted = written = 0
    writer = WriterProperties(
        compression="ZSTD", compression_level=1, max_row_group_size=row_group_size(kind)
    )
    for day in due:
        metrics = handle.optimize.compact(
            partition_filters=[(DATE, "=", day.isoformat())], writer_properties=writer
        )
        compacted += int(metrics["numFilesRemoved"])
        written += int(metrics["numFilesAdded"])
    handle.create_checkpoint()
    deleted = handle.vacuum(
        retention_hours=int(retention / timedelta(hours=1)),
        dry_run=False,
        enforce_retention_duration=False,
    )
    handle.cleanup_metadata()
    return Upkeep(compacted, written, len(deleted))
