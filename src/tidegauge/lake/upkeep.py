"""Upkeep of one table: small files joined, old ones deleted, the log shortened.

One owner at a time does this, beside running appends and reads, in steps of bounded work. When it
is due is told here; who does it, and when, lives in ``server/upkeep.py``.
"""

from __future__ import annotations

import os
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.transaction import AddAction
from pyarrow import fs

from tidegauge.lake.columns import DATE
from tidegauge.lake.names import TableKind
from tidegauge.lake.rewriting import Place, day_of, files_of, opened
from tidegauge.lake.segments import sync_folder
from tidegauge.lake.swapping import File, discard, swap
from tidegauge.lake.tables import LOG_RETENTION, Lake
from tidegauge.lake.writing import row_group_size, statistics_told, stored_type, sync_log

#: Files of about one size are joined once there are so many of them on a date.
SMALL_FILES = 12
#: On a date to which nothing was added for so long, fewer are enough.
QUIET = timedelta(hours=1)
QUIET_FILES = 4
#: From this size on a file is left as it is.
LARGE_BYTES = 64 << 20
#: What one step reads.
STEP_BYTES = 128 << 20
STEP_FILES = 512
#: Deleted files outlive the longest query.
RETENTION = timedelta(hours=1)
_KEPT = "delta.logRetentionDuration"
#: Bounds between sizes that are alike. Joining only these, a row is rewritten four times at most.
_TIERS = (256 << 10, 2 << 20, 16 << 20, LARGE_BYTES)
#: Rows read at once; a profile is large.
_BATCH_ROWS, _BATCH_PROFILES = 65_536, 16


@dataclass(frozen=True)
class Compacted:
    """What one step of compaction did.

    Parameters
    ----------
    compacted : int
        Files that were joined into larger ones.
    written : int
        Files that they became.
    read_bytes : int
    more : bool
        Whether there is more to be joined.
    """

    compacted: int = 0
    written: int = 0
    read_bytes: int = 0
    more: bool = False


def crowds(
    files: Sequence[File], now: datetime, small_files: int = SMALL_FILES
) -> list[list[File]]:
    """Return the groups of files that are due to be joined, each of one date; the largest first.

    On a date that is being written to, only files of about one size are joined, and only once there
    are many; so what was joined before is left alone for long.

    Parameters
    ----------
    files : sequence of mapping
        What the log tells of each file.
    now : datetime
    small_files : int
        How many are many.
    """
    by_day: dict[str, list[File]] = defaultdict(list)
    for file in files:
        if file["size_bytes"] < LARGE_BYTES:
            by_day[day_of(file)].append(file)
    quiet = (now - QUIET).timestamp() * 1000
    groups = []
    for held in by_day.values():
        if all(file["modification_time"] < quiet for file in held):
            groups += [held] if len(held) >= min(QUIET_FILES, small_files) else []
            continue
        tiers: dict[int, list[File]] = defaultdict(list)
        for file in held:
            tiers[sum(file["size_bytes"] >= bound for bound in _TIERS)].append(file)
        groups += [tier for tier in tiers.values() if len(tier) >= small_files]
    parts = [part for group in groups for part in _parts(group)]
    return sorted(parts, key=len, reverse=True)


def compact_step(
    lake: Lake,
    project: str,
    model: str,
    kind: TableKind,
    *,
    now: datetime | None = None,
    small_files: int = SMALL_FILES,
    go_on: Callable[[], bool] = lambda: True,
) -> Compacted:
    """Join small files, as many as one step allows, in one commit.

    Rows keep their order by arrival, and all their columns; nothing that can be read changes.
    Files are read and written a part at a time, however large.

    Parameters
    ----------
    lake : Lake
    project, model, kind : str
        The table.
    now : datetime, optional
        The clock.
    small_files : int
        From how many files of about one size on a date is due.
    go_on : callable
        Asked between two files; where it says no, nothing is committed.

    Raises
    ------
    Overtaken
        If somebody else replaced the same files; nothing was changed.
    deltalake.exceptions.DeltaError, OSError
        If the store fails.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> lake = Lake(folder.name)
    >>> for i in range(SMALL_FILES):
    ...     version = lake.append("default", "demo", "records", pa.table({"x": [i]}))
    >>> compact_step(lake, "default", "demo", "records").compacted
    12
    >>> len(lake.files("default", "demo", "records"))
    1
    >>> folder.cleanup()
    """
    handle = lake.open_table(project, model, kind)
    if handle is None:
        return Compacted()
    due = crowds(files_of(handle), now or datetime.now(UTC), small_files)
    chosen = _step(due)
    if not chosen:
        return Compacted()
    place = lake.place(project, model, kind)
    made: list[AddAction] = []
    try:
        for group in chosen:
            if not go_on():
                discard(lake, project, model, kind, [one.path for one in made])
                return Compacted()
            made.append(_joined(place, handle, group, kind))
    except BaseException:
        discard(lake, project, model, kind, [one.path for one in made])
        raise
    old = [file for group in chosen for file in group]
    swap(lake, project, model, kind, handle, old, made, rows_change=False)
    read = sum(file["size_bytes"] for file in old)
    return Compacted(len(old), len(made), read, len(chosen) < len(due))


def compact(
    lake: Lake, project: str, model: str, kind: TableKind, *, small_files: int = SMALL_FILES
) -> Compacted:
    """Join small files until none are due; see :func:`compact_step`."""
    done = Compacted(more=True)
    while done.more:
        step = compact_step(lake, project, model, kind, small_files=small_files)
        done = Compacted(
            done.compacted + step.compacted,
            done.written + step.written,
            done.read_bytes + step.read_bytes,
            step.more,
        )
    return done


def unused_files(
    lake: Lake, project: str, model: str, kind: TableKind, *, hours: int = 1
) -> list[str]:
    """Return the files in a table's folder that it has had no use for in the last hours.

    Parameters
    ----------
    hours : int
        0 for all files that the newest version does not have, also those about to be committed.
    """
    handle = lake.open_table(project, model, kind)
    if handle is None:
        return []
    named = handle.vacuum(
        retention_hours=hours, dry_run=True, enforce_retention_duration=False, full=True
    )
    return _there(lake.place(project, model, kind), named)


def _there(place: Place, paths: Sequence[str]) -> list[str]:
    """Return those of some files that are there: a log names some for long after they went."""
    if isinstance(place, Path):
        return [path for path in paths if (place / path).exists()]
    held: set[str] = set()
    for folder in {path.rpartition("/")[0] for path in paths}:
        found = place.get_file_info(fs.FileSelector(folder, allow_not_found=True))
        held |= {f"{folder}/{Path(one.path).name}" for one in found}
    return [path for path in paths if path in held]


def vacuum(lake: Lake, project: str, model: str, kind: TableKind) -> int:
    """Delete files that have been out of use for longer than any query lasts; return how many."""
    paths = unused_files(lake, project, model, kind, hours=int(RETENTION / timedelta(hours=1)))
    discard(lake, project, model, kind, paths)
    return len(paths)


def shorten_log(lake: Lake, project: str, model: str, kind: TableKind) -> None:
    """Write a checkpoint, and delete the part of the log that is older than it has to be kept."""
    handle = lake.open_table(project, model, kind)
    if handle is None:
        return
    if handle.metadata().configuration.get(_KEPT) != LOG_RETENTION:  # Made by an older version.
        handle.alter.set_table_properties({_KEPT: LOG_RETENTION})
        handle.update_incremental()
    handle.create_checkpoint()
    place = lake.place(project, model, kind)
    if isinstance(place, Path):
        # Before what it stands for is deleted.
        sync_log(place, int(handle.version()), int(handle.version()))
    handle.cleanup_metadata()


def _step(due: Sequence[list[File]]) -> list[list[File]]:
    chosen: list[list[File]] = []
    files = size = 0
    for group in due:
        files += len(group)
        size += sum(file["size_bytes"] for file in group)
        if chosen and (size > STEP_BYTES or files > STEP_FILES):
            break
        chosen.append(group)
    return chosen


def _parts(group: list[File]) -> Iterator[list[File]]:
    """Split a group, in the order in which its files arrived, so that each part is one step."""
    part: list[File] = []
    size = 0
    for file in sorted(group, key=lambda one: (one["modification_time"], one["path"])):
        if part and (size + file["size_bytes"] > STEP_BYTES or len(part) >= STEP_FILES):
            if len(part) > 1:
                yield part
            part, size = [], 0
        part.append(file)
        size += file["size_bytes"]
    if len(part) > 1:
        yield part


def _joined(place: Place, handle: DeltaTable, group: Sequence[File], kind: TableKind) -> AddAction:
    """Write the rows of some files into one, and return how the log is to name it."""
    stored: Any = pa.schema(handle.schema().to_arrow())
    schema = pa.schema([(one.name, stored_type(one.type)) for one in stored if one.name != DATE])
    day = day_of(group[0])
    path = f"{DATE}={day}/{uuid.uuid4().hex}.parquet"
    options: dict[str, Any] = {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": [one.name for one in schema if pa.types.is_string(one.type)] or False,
        "coerce_timestamps": "us",
    }
    batch = _BATCH_PROFILES if kind == "profiles" else _BATCH_ROWS
    parts = (part for file in group for part in _parts_of(place, file["path"], schema, batch))

    def write(target: Any) -> int:
        rows = 0
        with pq.ParquetWriter(target, schema, **options) as writer:
            for part in _grouped(parts, row_group_size(kind)):
                writer.write_table(part, row_group_size=row_group_size(kind))
                rows += part.num_rows
        return rows

    if isinstance(place, Path):
        whole = place / path
        try:
            with whole.open("wb") as file:
                rows = write(file)
                file.flush()
                os.fsync(file.fileno())
            sync_folder(whole.parent)
        except BaseException:
            whole.unlink(missing_ok=True)
            raise
        size = whole.stat().st_size
    else:
        with place.open_output_stream(path) as stream:
            rows = write(stream)
            size = int(stream.tell())
    return AddAction(
        path=path,
        size=size,
        partition_values={DATE: day},
        modification_time=time.time_ns() // 1_000_000,
        data_change=False,
        stats=orjson.dumps(_statistics(group, rows)).decode(),
    )


def _parts_of(place: Place, path: str, schema: pa.Schema, rows: int) -> Iterator[pa.Table]:
    """Read a file part by part, in the table's columns of today."""
    with opened(place, path) as file:
        for batch in file.iter_batches(rows):
            part = pa.Table.from_batches([batch])
            yield pa.table(
                [
                    part[one.name].cast(one.type)
                    if one.name in part.column_names
                    else pa.nulls(part.num_rows, one.type)
                    for one in schema
                ],
                schema=schema,
            )


def _grouped(parts: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Put parts together, so that each but the last has so many rows at least."""
    held: list[pa.Table] = []
    count = 0
    for part in parts:
        held.append(part)
        count += part.num_rows
        if count >= rows:
            yield pa.concat_tables(held)
            held, count = [], 0
    if count:
        yield pa.concat_tables(held)


def _statistics(group: Sequence[File], rows: int) -> dict[str, Any]:
    """Return what the log tells of files together; only what it told of each."""
    told: dict[str, dict[str, Any]] = {"minValues": {}, "maxValues": {}, "nullCount": {}}
    names = [key.removeprefix("null_count.") for key in group[0] if key.startswith("null_count.")]
    for name in names:
        nulls = [file.get(f"null_count.{name}") for file in group]
        if any(count is None for count in nulls):
            continue
        told["nullCount"][name] = sum(nulls)
        filled = [
            file for file, count in zip(group, nulls, strict=True) if count < file["num_records"]
        ]
        lows: list[Any] = [file.get(f"min.{name}") for file in filled]
        highs: list[Any] = [file.get(f"max.{name}") for file in filled]
        if filled and not any(bound is None for bound in (*lows, *highs)):
            told["minValues"][name] = statistics_told(min(lows))
            told["maxValues"][name] = statistics_told(max(highs))
    return {"numRecords": rows, **told}
