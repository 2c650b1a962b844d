"""Writing rows to a Delta table: Parquet files first, then one commit that names them.

The files are written by Arrow, several times faster than Delta's own writer and without copies, and
are on the disk for good before the commit says that they are there.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Schema, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction
from pyarrow import fs

from tidegauge.errors import SchemaMismatch
from tidegauge.lake.columns import DATE
from tidegauge.lake.names import TableKind
from tidegauge.lake.segments import sync_data, sync_folder

_PROBE = 1_000
#: Bytes of rows from which a file is written in parts.
_LARGE = 16 << 20
_TRIES = 5
#: Files of one commit that are written at the same time.
_AT_ONCE = 8
_EPOCH = date(1970, 1, 1)
#: A commit may write a checkpoint. It does not delete the log before that, since the checkpoint is
#: not on the disk yet; upkeep does.
_KEEP_LOG = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)


class Unstorable(SchemaMismatch):
    """Rows that a table can never take, however often they are tried."""

    code = "unstorable"


def append_rows(
    handle: DeltaTable,
    place: Path | fs.FileSystem,
    table: pa.Table,
    kind: TableKind,
    *,
    transaction: Transaction | None = None,
) -> None:
    """Add rows to a table in one commit.

    Parameters
    ----------
    handle : DeltaTable
        At its newest version; afterwards too.
    place : Path or pyarrow.fs.FileSystem
        The table's folder; on an object store what takes files by their path within the table.
    table : pyarrow.Table
        With the lake's own columns; columns that are new to the table are added to it.
    kind : str
    transaction : Transaction, optional
        Of the application.

    Raises
    ------
    Unstorable
        If a value cannot become its column's stored type.
    deltalake.exceptions.DeltaError, OSError
        If the store fails; what was written before is out of use then.
    """
    before = int(handle.version())
    actions: list[AddAction | RemoveAction] = [*written_rows(handle, place, table, kind)]
    for turn in range(_TRIES):
        _require_there(place, actions)
        try:
            _commit(handle, actions, transaction)
            break
        except CommitFailedError:
            # Rows were erased or dropped in the same moment: that is nothing to these.
            schema = handle.schema()
            handle.update_incremental()
            if _has(handle, actions, transaction):
                break  # It was committed, and the answer was lost.
            if turn == _TRIES - 1 or handle.schema() != schema:
                raise
    handle.update_incremental()
    if isinstance(place, Path):
        # All that came since, new columns too: a log with a hole in it cannot be read.
        sync_log(place, before + 1, int(handle.version()))


def written_rows(
    handle: DeltaTable, place: Path | fs.FileSystem, table: pa.Table, kind: TableKind
) -> list[AddAction]:
    """Write rows to files of a table, and return how a commit is to name them."""
    fitting = _fitted(handle, table)
    indexed = _indexed(handle)
    days = list(_by_date(fitting))

    def write(one: tuple[date, pa.Table]) -> AddAction:
        return _written(place, one[1], one[0], kind, indexed)

    if len(days) <= 1:
        return [write(one) for one in days]
    # Each waits for the disk, or for the store, most of the time; years may come at once.
    with ThreadPoolExecutor(min(len(days), _AT_ONCE), "files") as pool:
        return list(pool.map(write, days))


def commit_if_newest(
    handle: DeltaTable, place: Path | fs.FileSystem, actions: Sequence[AddAction]
) -> None:
    """Add files to a table, unless anybody committed to it since the handle was brought up to date.

    Raises
    ------
    deltalake.exceptions.CommitFailedError
        If somebody did; or, on an object store, if the answer to this commit was lost.
    """
    version = int(handle.version()) + 1
    handle.create_write_transaction(
        [*actions],
        mode="append",
        schema=handle.schema(),
        partition_by=[DATE],
        commit_properties=CommitProperties(max_commit_retries=0),
        post_commithook_properties=_KEEP_LOG,
    )
    if isinstance(place, Path):
        sync_log(place, version, version)


def _commit(
    handle: DeltaTable,
    actions: list[AddAction | RemoveAction],
    transaction: Transaction | None,
) -> None:
    handle.create_write_transaction(
        actions,
        mode="append",
        schema=handle.schema(),
        partition_by=[DATE],
        commit_properties=CommitProperties(
            app_transactions=None if transaction is None else [transaction]
        ),
        post_commithook_properties=_KEEP_LOG,
    )


def _has(handle: DeltaTable, actions: Sequence[Any], transaction: Transaction | None) -> bool:
    """Tell whether a table has files, or had them."""
    seen = None if transaction is None else handle.transaction_version(transaction.app_id)
    if transaction is not None and seen is not None and seen >= transaction.version:
        return True
    there: Any = pa.table(handle.get_add_actions(flatten=True))["path"]
    return bool(actions) and actions[0].path in set(there.to_pylist())


def _require_there(place: Path | fs.FileSystem, actions: Sequence[Any]) -> None:
    """Make sure that nobody cleaned up while this process stood still, before the commit."""
    for action in actions:
        if isinstance(place, Path) and not (place / action.path).exists():
            raise FileNotFoundError(f"{action.path} was deleted before it was committed")


def row_group_size(kind: TableKind) -> int:
    """Return how many rows of a file are read together: what a thread takes on at once.

    A profile is large, and one is wanted at a time.
    """
    return 1 if kind == "profiles" else 131_072


def _fitted(handle: DeltaTable, table: pa.Table) -> pa.Table:
    """Return rows in the table's own columns and types, after adding columns that it lacks."""
    stored: Any = pa.schema(handle.schema().to_arrow())
    new = [column for column in table.schema if column.name not in stored.names]
    if new:
        twins = {name.lower(): name for name in stored.names}
        for column in new:
            if column.name.lower() in twins:
                raise Unstorable(
                    f"column {column.name!r} is stored as {twins[column.name.lower()]!r}; names "
                    "that differ in case only cannot be told apart, so rename it"
                )
        handle.alter.add_columns(list(delta_schema(pa.schema(new)).fields))
        stored = pa.schema(handle.schema().to_arrow())
    columns = []
    for column in stored:
        if column.name not in table.column_names:
            columns.append(pa.nulls(table.num_rows, column.type))
            continue
        values = table[column.name]
        wanted = stored_type(column.type)
        if values.type != wanted:
            try:
                values = values.cast(wanted)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise Unstorable(
                    f"column {column.name!r} is stored as {wanted}, and these rows have it as "
                    f"{values.type}: {error}"
                ) from error
        columns.append(values)
    return pa.table(columns, names=stored.names)


def delta_schema(schema: pa.Schema) -> Schema:
    """Return columns as Delta describes them.

    Raises
    ------
    Unstorable
        If one has a type that Delta tables do not have.
    """
    try:
        return Schema.from_arrow(schema)
    except MemoryError:
        raise
    except Exception as error:  # It has no class of its own.
        told = str(error).splitlines()[0]
        raise Unstorable(f"a column's type cannot be stored: {told}") from error


def stored_type(kind: pa.DataType) -> pa.DataType:
    """Return a type as files have it: Delta tells texts as views, which Parquet has not."""
    if pa.types.is_string_view(kind) or pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_binary_view(kind) or pa.types.is_large_binary(kind):
        return pa.binary()
    if pa.types.is_list_view(kind) or pa.types.is_large_list(kind):
        return pa.list_(stored_type(kind.value_type))
    return kind


def _by_date(table: pa.Table) -> Iterator[tuple[date, pa.Table]]:
    """Split rows by their partition, without the partition's own column."""
    days = table[DATE]
    rows = table.drop_columns([DATE])
    if len(days.unique()) <= 1:
        yield from ((day, rows) for day in days.unique().to_pylist())
        return
    numbers = days.cast(pa.int32()).to_numpy()
    order = np.argsort(numbers, kind="stable")
    ordered = rows.take(pa.array(order))
    found, starts = np.unique(numbers[order], return_index=True)
    ends = [*starts[1:].tolist(), len(order)]
    for number, start, end in zip(found.tolist(), starts.tolist(), ends, strict=True):
        yield _EPOCH + timedelta(days=number), ordered.slice(start, end - start)


def _write_in_parts(rows: pa.Table, file: BinaryIO, options: dict[str, Any]) -> None:
    """Write a file for good, each part on the disk before the next is written.

    Else a large file's end would find hundreds of megabytes to be written at once, and the journal,
    on the same disk, would wait for them with its next commit.
    """
    step = options.pop("row_group_size")
    large = rows.nbytes > _LARGE
    with pq.ParquetWriter(file, rows.schema, **options) as writer:
        for first in range(0, max(rows.num_rows, 1), step):
            writer.write_table(rows.slice(first, step), row_group_size=step)
            if large:
                file.flush()
                sync_data(file.fileno())
    file.flush()
    os.fsync(file.fileno())


def _written(
    place: Path | fs.FileSystem,
    rows: pa.Table,
    day: date,
    kind: TableKind,
    indexed: Sequence[str],
) -> AddAction:
    path = f"{DATE}={day.isoformat()}/{uuid.uuid4().hex}.parquet"
    options = _options(rows, kind, indexed)
    if isinstance(place, Path):
        whole = place / path
        new_folder = not whole.parent.exists()
        whole.parent.mkdir(parents=True, exist_ok=True)
        try:
            with whole.open("wb") as file:
                _write_in_parts(rows, file, options)
            sync_folder(whole.parent)
            if new_folder:
                sync_folder(whole.parent.parent)
        except BaseException:
            whole.unlink(missing_ok=True)
            raise
        size = whole.stat().st_size
    else:
        sink = pa.BufferOutputStream()
        pq.write_table(rows, sink, **options)
        content = sink.getvalue()
        with place.open_output_stream(path) as target:
            target.write(content)
        size = content.size
    return AddAction(
        path=path,
        size=size,
        partition_values={DATE: day.isoformat()},
        modification_time=time.time_ns() // 1_000_000,
        data_change=True,
        stats=orjson.dumps(_statistics(rows, indexed)).decode(),
    )


def _indexed(handle: DeltaTable) -> list[str]:
    """Return the columns whose ranges the log tells of each file."""
    told = handle.metadata().configuration.get("delta.dataSkippingStatsColumns", "")
    return [name for name in told.split(",") if name]


def _options(rows: pa.Table, kind: TableKind, indexed: Sequence[str]) -> dict[str, Any]:
    """Choose encodings: quick to write for what streams in; compaction writes it anew."""
    texts = [
        name
        for name, column in zip(rows.column_names, rows.columns, strict=True)
        if pa.types.is_string(column.type) and _repeats(column)
    ]
    return {
        "use_dictionary": texts or False,
        "write_statistics": [name for name in indexed if name in rows.column_names] or False,
        "compression": "snappy",
        "row_group_size": row_group_size(kind),
        "coerce_timestamps": "us",
    }


def _repeats(column: pa.ChunkedArray[Any]) -> bool:
    probe = column.slice(0, _PROBE)
    return len(probe.unique()) * 2 <= max(len(probe), 2)


def _statistics(rows: pa.Table, indexed: Sequence[str]) -> dict[str, Any]:
    """Return what the log tells of a file: its rows, and the ranges of some columns."""
    least: dict[str, Any] = {}
    greatest: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for name in indexed:
        if name not in rows.column_names:
            continue
        column = rows[name]
        nulls[name] = column.null_count
        bounds: Any = pc.min_max(column)
        low, high = bounds["min"].as_py(), bounds["max"].as_py()
        if low is not None:
            least[name], greatest[name] = statistics_told(low), statistics_told(high)
    return {
        "numRecords": rows.num_rows,
        "minValues": least,
        "maxValues": greatest,
        "nullCount": nulls,
    }


def statistics_told(value: Any) -> Any:
    """Return a value as the log tells it."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, np.generic):
        return value.item()
    return value.isoformat() if isinstance(value, date) else value


def sync_log(folder: Path, first: int, last: int) -> None:
    """See to it that commits are on the disk: what they replace is deleted after this.

    Delta's own writer leaves that to the operating system, for checkpoints as well.

    Parameters
    ----------
    folder : Path
        The table's.
    first, last : int
        Versions; those whose commits were cleaned up meanwhile are left out.
    """
    log = folder / "_delta_log"
    checkpoints = False
    for version in range(first, last + 1):
        _sync_file(log / f"{version:020d}.json")
        checkpoints |= _sync_file(log / f"{version:020d}.checkpoint.parquet")
    if checkpoints:
        _sync_file(log / "_last_checkpoint")
    sync_folder(log)


def sync_table(folder: Path, root: Path) -> None:
    """See to it that a new table is on the disk, and so are the folders that lead to it."""
    sync_log(folder, 0, 0)
    for one in (folder, *folder.parents):
        sync_folder(one)
        if one == root:
            break


def _sync_file(path: Path) -> bool:
    """Have a file on the disk; return False where it is not there."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return True
