"""The lake's Delta tables: append, versions, files. Upkeep lives in ``upkeep.py``."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, Schema, Transaction
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.fs import DeltaStorageHandler
from pyarrow import fs

from tidegauge.lake.columns import BATCH, DATE, INGESTED_AT, JOURNAL, partition_of, stamped
from tidegauge.lake.names import TableKind, folder_name
from tidegauge.lake.writing import append_rows

_CONFIGURATION = {
    "delta.checkpointInterval": "50",
    "delta.logRetentionDuration": "interval 1 days",
    "delta.deletedFileRetentionDuration": "interval 1 hours",
}


@dataclass(frozen=True)
class AppTransaction:
    """What a commit says of its origin, so that it is not made twice.

    Parameters
    ----------
    id : str
        The origin, such as a journal's id.
    version : int
        How far it has come with this commit; only ever grows.
    """

    id: str
    version: int


@dataclass
class _Slot:
    """An open handle of one table, and the lock under which it is used."""

    guard: threading.RLock = field(default_factory=threading.RLock)
    handle: DeltaTable | None = None


class Lake:
    """All tables of all models, under one folder or object-store prefix.

    ``{project}/{model}/{kind}`` are Delta tables that any reader of Delta Lake can open,
    partitioned by ``_date``: the date of the event time, for points and profiles the first of its
    month.

    Parameters
    ----------
    root : Path or str
        The folder, or a URL such as ``s3://bucket/prefix``.
    storage_options : mapping, optional
        Options of ``deltalake`` for the object store.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> lake = Lake(folder.name)
    >>> moment = pa.scalar(datetime(2026, 1, 2, tzinfo=UTC), pa.timestamp("us", "UTC"))
    >>> rows = pa.table({"prediction_id": ["a"], "timestamp": pa.repeat(moment, 1)})
    >>> lake.append("default", "demo", "records", rows)
    1
    >>> len(lake.files("default", "demo", "records", date(2026, 1, 2), date(2026, 1, 2)))
    1
    >>> lake.files("default", "demo", "records", date(2026, 1, 3), date(2026, 1, 3))
    []
    >>> folder.cleanup()
    """

    def __init__(self, root: Path | str, storage_options: Mapping[str, str] | None = None) -> None:
        self.root = str(root).rstrip("/")
        self.storage_options = dict(storage_options or {})
        # Writing has handles of its own, so that reading a table does not wait for an append.
        self._reading: dict[str, _Slot] = {}
        self._writing: dict[str, _Slot] = {}
        self._guard = threading.Lock()

    def uri(self, project: str, model: str, kind: TableKind) -> str:
        """Return where a table stands."""
        return f"{self.root}/{folder_name(project)}/{folder_name(model)}/{kind}"

    def append(
        self,
        project: str,
        model: str,
        kind: TableKind,
        table: pa.Table,
        *,
        app: AppTransaction | None = None,
        timestamp: str = "timestamp",
    ) -> int:
        """Add rows in one commit; columns that are new to the table are added to it.

        Parameters
        ----------
        project, model, kind : str
            The table.
        table : pyarrow.Table
            Rows; without the lake's own columns these are added, with arrival now.
        app : AppTransaction, optional
            The commit's origin. What the table already has of it is not stored again.
        timestamp : str
            Name of the event time's column.

        Returns
        -------
        int
            The table's version after the commit.

        Raises
        ------
        SchemaMismatch
            When a column has a name that is kept for the lake.
        Unstorable
            When a value cannot become the column's stored type.
        deltalake.exceptions.DeltaError, OSError
            When the store fails.
        """
        if DATE not in table.column_names:
            table = stamped(table, kind, datetime.now(UTC), timestamp=timestamp)
        uri = self.uri(project, model, kind)
        slot = self._slot(self._writing, uri)
        with slot.guard:
            handle = self._refreshed(slot, uri) or self._created(slot, uri, table, timestamp)
            transaction = None
            if app is not None:
                seen = handle.transaction_version(app.id)
                if seen is not None and seen >= app.version:
                    return int(handle.version())
                transaction = Transaction(app.id, app.version)
            try:
                append_rows(handle, self._place(uri), table, kind, transaction=transaction)
            except BaseException:
                slot.handle = None  # Whether it was committed is read back from the store.
                raise
            return int(handle.version())

    def table(self, project: str, model: str, kind: TableKind) -> DeltaTable | None:
        """Return the table at its newest version, or None where nothing was stored yet."""
        uri = self.uri(project, model, kind)
        slot = self._slot(self._reading, uri)
        with slot.guard:
            return self._refreshed(slot, uri)

    def open_table(self, project: str, model: str, kind: TableKind) -> DeltaTable | None:
        """Return a handle of the table for the caller alone, or None where there is no table."""
        return self._refreshed(_Slot(), self.uri(project, model, kind))

    def table_version(self, project: str, model: str, kind: TableKind) -> int | None:
        """Return the table's newest version, or None where nothing was stored yet."""
        handle = self.table(project, model, kind)
        return None if handle is None else int(handle.version())

    def app_version(self, project: str, model: str, kind: TableKind, app_id: str) -> int | None:
        """Return how far the table has come with an origin, or None where it has nothing of it."""
        handle = self.table(project, model, kind)
        return None if handle is None else handle.transaction_version(app_id)

    def columns(self, project: str, model: str, kind: TableKind) -> pa.Schema:
        """Return the table's columns; none where nothing was stored yet."""
        handle = self.table(project, model, kind)
        if handle is None:
            return pa.schema([])
        stored: Any = handle.schema().to_arrow()
        return pa.schema(stored)

    def files(
        self,
        project: str,
        model: str,
        kind: TableKind,
        start: date | None = None,
        end: date | None = None,
        *,
        where: str | None = None,
    ) -> list[str]:
        """Return the Parquet files that may hold rows of these event dates.

        Parameters
        ----------
        start, end : date, optional
            First and last date.
        where : str, optional
            A further condition in SQL, on columns whose range each file's entry in the log tells;
            what cannot hold it is left out.

        Returns
        -------
        list of str
            Paths or URLs, in an order that does not change while the files do not.
        """
        handle = self.table(project, model, kind)
        if handle is None:
            return []
        terms = [f"({where})"] if where else []
        if start is not None:
            terms.append(f"{DATE} >= '{partition_of(kind, start).isoformat()}'")
        if end is not None:
            terms.append(f"{DATE} <= '{end.isoformat()}'")
        found = handle.file_uris(file_pruning_predicate=" AND ".join(terms) or None)
        # Each stands under its partition's folder. The rest is deltalake's own spelling of where
        # the table is, which is no file name where that has spaces or the like.
        base = self.uri(project, model, kind)
        return sorted("/".join([base, *path.rsplit("/", 2)[-2:]]) for path in found)

    def files_at_ends(self, project: str, model: str, kind: TableKind, column: str) -> list[str]:
        """Return the files among which are the least and the greatest value of a column.

        All files where the log does not tell the ranges of this column.
        """
        handle = self.table(project, model, kind)
        if handle is None:
            return []
        actions: Any = pa.table(handle.get_add_actions(flatten=True))
        least, greatest = f"min.{column}", f"max.{column}"
        if not {least, greatest} <= set(actions.column_names):
            return self.files(project, model, kind)
        lows, highs = actions[least].to_pylist(), actions[greatest].to_pylist()
        low = min((v for v in lows if v is not None), default=None)
        high = max((v for v in highs if v is not None), default=None)
        base = self.uri(project, model, kind)
        return [
            f"{base}/{path}"
            for path, a, b in zip(actions["path"].to_pylist(), lows, highs, strict=True)
            if a is None or b is None or a == low or b == high
        ]

    def _place(self, uri: str) -> Path | fs.FileSystem:
        """Return where a table's files are written."""
        if "://" not in uri:
            return Path(uri)
        return fs.PyFileSystem(DeltaStorageHandler(uri, self.storage_options or None))

    def _slot(self, slots: dict[str, _Slot], uri: str) -> _Slot:
        with self._guard:
            return slots.setdefault(uri, _Slot())

    def _refreshed(self, slot: _Slot, uri: str) -> DeltaTable | None:
        if slot.handle is not None:
            slot.handle.update_incremental()
            return slot.handle
        try:
            slot.handle = DeltaTable(uri, storage_options=self.storage_options or None)
        except TableNotFoundError:
            return None
        return slot.handle

    def _created(self, slot: _Slot, uri: str, table: pa.Table, timestamp: str) -> DeltaTable:
        indexed = [INGESTED_AT, JOURNAL, BATCH, "observed_at", "window_start", timestamp]
        present = [name for name in dict.fromkeys(indexed) if name in table.column_names]
        plain = [name for name in present if name.replace("_", "").isalnum()]
        try:
            slot.handle = DeltaTable.create(
                uri,
                schema=Schema.from_arrow(table.schema),
                partition_by=[DATE],
                configuration={
                    **_CONFIGURATION,
                    # Each commit names the ranges of these columns only; so the log stays small.
                    "delta.dataSkippingStatsColumns": ",".join(plain),
                },
                storage_options=self.storage_options or None,
            )
        except DeltaError:
            slot.handle = None
            opened = self._refreshed(slot, uri)  # Another process made it a moment ago.
            if opened is None:
                raise
            return opened
        return slot.handle


def last_date(end: datetime) -> date:
    """Return the last date of an interval that ends before ``end``.

    Examples
    --------
    >>> last_date(datetime(2026, 1, 2, tzinfo=UTC)).isoformat()
    '2026-01-01'
    """
    return (end.astimezone(UTC) - timedelta(microseconds=1)).date()
