"""Files of a table written anew, with some rows left out or some columns in other types.

A file is read and written a part at a time. What is written counts once a commit names it, in the
same breath in which it takes out the file of before.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeAlias

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.transaction import AddAction
from pyarrow import fs

from tidegauge.lake.columns import DATE
from tidegauge.lake.segments import sync_folder

#: Where a table's files stand: a folder, or what takes paths within the table.
Place: TypeAlias = Path | fs.FileSystem


def files_of(handle: DeltaTable) -> list[dict[str, Any]]:
    """Return what the log tells of each file of a table, flat."""
    told: Any = pa.table(handle.get_add_actions(flatten=True)).to_pylist()
    return list(told)


@contextmanager
def opened(place: Place, path: str) -> Iterator[pq.ParquetFile]:
    """Open a file of a table."""
    source: Any = place / path if isinstance(place, Path) else place.open_input_file(path)
    with pq.ParquetFile(source) as file:
        yield file


def rewritten(
    place: Place,
    held: Mapping[str, Any],
    change: Callable[[pa.Table], pa.Table],
    schema: Callable[[pa.Schema], pa.Schema] = lambda schema: schema,
) -> AddAction | None:
    """Write a file anew, and return how the log is to name it; None if no row is left.

    Parameters
    ----------
    place : Path or pyarrow.fs.FileSystem
    held : mapping
        What the log tells of the file, as `files_of` gives it.
    change : callable
        Gives each part as it is to be.
    schema : callable
        Gives the file's columns as they are to be.
    """
    path = f"{DATE}={day_of(held)}/{uuid.uuid4().hex}.parquet"
    with opened(place, held["path"]) as file:
        kept = schema(file.schema_arrow.remove_metadata())
        parts = (change(file.read_row_group(at)) for at in range(file.num_row_groups))
        rows, size = _written(place, path, kept, parts)
    if not rows:
        if isinstance(place, Path):
            (place / path).unlink(missing_ok=True)
        return None
    return AddAction(
        path=path,
        size=size,
        partition_values={DATE: day_of(held)},
        modification_time=time.time_ns() // 1_000_000,
        data_change=True,
        stats=orjson.dumps(_statistics(held, rows, kept)).decode(),
    )


def day_of(held: Mapping[str, Any]) -> str:
    """Return the date under which a file stands."""
    day = held[f"partition.{DATE}"]
    return day.isoformat() if isinstance(day, date) else str(day)


def _written(
    place: Place, path: str, schema: pa.Schema, parts: Iterator[pa.Table]
) -> tuple[int, int]:
    """Write a file; return its rows and bytes."""
    if not isinstance(place, Path):
        with place.open_output_stream(path) as stream:
            rows = _write(stream, schema, parts)
            return rows, int(stream.tell())
    whole = place / path
    try:
        with whole.open("wb") as target:
            rows = _write(target, schema, parts)
            target.flush()
            os.fsync(target.fileno())
            size = target.tell()
        sync_folder(whole.parent)
    except BaseException:
        whole.unlink(missing_ok=True)
        raise
    return rows, size


def _write(target: Any, schema: pa.Schema, parts: Iterator[pa.Table]) -> int:
    rows = 0
    with pq.ParquetWriter(target, schema, compression="snappy") as writer:
        for part in parts:
            if part.num_rows:
                writer.write_table(part)
            rows += part.num_rows
    return rows


def _statistics(held: Mapping[str, Any], rows: int, schema: pa.Schema) -> dict[str, Any]:
    """Return what the log told of a file, as far as it is still true."""
    told: dict[str, Any] = {"numRecords": rows}
    kinds = {"minValues": "min.", "maxValues": "max."}
    if rows == held["num_records"]:
        kinds["nullCount"] = "null_count."
    for key, prefix in kinds.items():
        told[key] = {
            name.removeprefix(prefix): _told(value)
            for name, value in held.items()
            if name.startswith(prefix) and value is not None
            if key == "nullCount" or _like(value, schema, name.removeprefix(prefix))
        }
    return told


def _like(value: Any, schema: pa.Schema, name: str) -> bool:
    """Whether a bound of a column is one in its type of now."""
    text = name in schema.names and pa.types.is_string(schema.field(name).type)
    return isinstance(value, str) == text


def _told(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value
