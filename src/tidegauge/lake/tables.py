"""The lake's Delta tables: append, versions, files. Upkeep lives in ``upkeep.py``."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, Transaction
from deltalake.exceptions import DeltaError, TableNotFoundError
from pyarrow import fs

from tidegauge.lake.cache import FileCache, Remote
from tidegauge.lake.columns import BATCH, DATE, INGESTED_AT, JOURNAL, partition_of, stamped
from tidegauge.lake.names import TableKind, folder_name
from tidegauge.lake.store import RemoteStore, in_words, open_store
from tidegauge.lake.writing import append_rows, delta_schema, sync_table

_log = logging.getLogger(__name__)

#: What copies of an object store's files may hold on the local disk.
CACHE_BYTES = 10 << 30
_TIDY_SECONDS = 600.0
_FIRST_TIDY_SECONDS = 60.0
_TABLE_DEPTH = 3
#: For how long the table's log is kept behind its last checkpoint.
LOG_RETENTION = "interval 1 hours"
_CONFIGURATION = {
    "delta.checkpointInterval": "50",
    # A commit every two seconds is 1,800 files of the log an hour.
    "delta.logRetentionDuration": LOG_RETENTION,
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
    #: The sizes of its files by name, and the version that has them.
    sizes: tuple[int, dict[str, int]] = (-1, {})
    #: How far it has come with origins, and the version for which that holds: reading it anew costs
    #: the log since its last checkpoint.
    seen: tuple[int, dict[str, int | None]] = (-1, {})


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
    cache : Path, optional
        Of an object store: the folder for copies of its files, which queries read; belongs to this
        lake alone. By default one that goes with the lake.
    cache_bytes : int
        What the copies may hold.
    spared : int
        Free bytes of the cache's disk that copies leave to others.

    Attributes
    ----------
    store : Store
        Files by their path below the root.

    Raises
    ------
    BadInput
        On a URL of a kind that is not known.

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

    def __init__(
        self,
        root: Path | str,
        storage_options: Mapping[str, str] | None = None,
        *,
        cache: Path | None = None,
        cache_bytes: int = CACHE_BYTES,
        spared: int = 0,
    ) -> None:
        self.root = str(root) if str(root).endswith("://") else str(root).rstrip("/")
        self.store = open_store(self.root, storage_options or {})
        # Writing has handles of its own, so that reading a table does not wait for an append.
        self._reading: dict[str, _Slot] = {}
        self._writing: dict[str, _Slot] = {}
        self._guard = threading.Lock()
        self._closed = threading.Event()
        self._cache: FileCache | None = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self.storage_options = dict(storage_options or {})
        if isinstance(self.store, RemoteStore):
            self.storage_options = self.store.options
            if cache is None:
                self._temporary = tempfile.TemporaryDirectory(prefix="tidegauge-")
                cache = Path(self._temporary.name)
            self._cache = FileCache(cache, cache_bytes, self.store.fetcher, spared=spared)
            threading.Thread(target=self._tidy_now_and_then, name="tidy", daemon=True).start()

    def close(self) -> None:
        """Let go of the store, and of copies that nobody else may use."""
        self._closed.set()
        self.store.close()
        if self._cache is not None:
            self._cache.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def check(self, *, writing: bool = False) -> None:
        """Try to reach the lake; takes 10 s at most.

        Parameters
        ----------
        writing : bool
            Try to write as well, where that is an object store.

        Raises
        ------
        Unavailable
            If it is not there, does not let us in, or does not answer.
        """
        self.store.check(writing=writing)

    def uri(self, project: str, model: str, kind: TableKind) -> str:
        """Return where a table stands."""
        return f"{self.root}/{_folder(project, model, kind)}"

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
            version, transaction = int(handle.version()), None
            if app is not None:
                seen = _seen(slot, handle, app.id)
                if seen is not None and seen >= app.version:
                    return int(handle.version())
                transaction = Transaction(app.id, app.version)
            try:
                append_rows(
                    handle, self.place(project, model, kind), table, kind, transaction=transaction
                )
            except Exception:
                slot.handle = None
                # An answer may have been lost on its way: what was committed is read back.
                if app is None or (found := self._committed(slot, uri, app)) is None:
                    raise
                return found
            except BaseException:
                slot.handle = None
                raise
            if app is not None and int(handle.version()) == version + 1:
                slot.seen = version + 1, {**slot.seen[1], app.id: app.version}
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
        uri = self.uri(project, model, kind)
        slot = self._slot(self._writing, uri)
        with slot.guard:
            handle = self._refreshed(slot, uri)
            return None if handle is None else _seen(slot, handle, app_id)

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
            Paths on the local disk, in an order that does not change while the files do not. Those
            of an object store are copies, which stay for ten minutes at least.

        Raises
        ------
        BadInput
            If they are more than the cache for copies may hold.
        OSError
            If the store cannot be read.
        """
        terms = [f"({where})"] if where else []
        if start is not None:
            terms.append(f"{DATE} >= '{partition_of(kind, start).isoformat()}'")
        if end is not None:
            terms.append(f"{DATE} <= '{end.isoformat()}'")
        condition = " AND ".join(terms) or None
        return self._copied(
            project,
            model,
            kind,
            lambda handle: sorted(
                _name(uri) for uri in handle.file_uris(file_pruning_predicate=condition)
            ),
        )

    def files_at_ends(self, project: str, model: str, kind: TableKind, column: str) -> list[str]:
        """Return the files among which are the least and the greatest value of a column.

        All files where the log does not tell the ranges of this column.
        """

        def chosen(handle: DeltaTable) -> list[str]:
            actions: Any = pa.table(handle.get_add_actions(flatten=True))
            names = [_name(path) for path in actions["path"].to_pylist()]
            least, greatest = f"min.{column}", f"max.{column}"
            if not {least, greatest} <= set(actions.column_names):
                return sorted(names)
            lows, highs = actions[least].to_pylist(), actions[greatest].to_pylist()
            low = min((v for v in lows if v is not None), default=None)
            high = max((v for v in highs if v is not None), default=None)
            return [
                name
                for name, a, b in zip(names, lows, highs, strict=True)
                if a is None or b is None or a == low or b == high
            ]

        return self._copied(project, model, kind, chosen)

    def tidy_copies(self, *, at_once: bool = False) -> int:
        """Throw away local copies of files that their tables do not have any more.

        For an object store this is done every ten minutes, too; so what was erased from the lake
        is gone from every server's disk 20 minutes later.

        Parameters
        ----------
        at_once : bool
            Throw away also what a query that began before may still read.

        Returns
        -------
        int
            How many were thrown away.
        """
        if self._cache is None:
            return 0
        thrown = 0
        for folder in self._cache.folders(_TABLE_DEPTH):
            slot = self._slot(self._reading, f"{self.root}/{folder}")
            with slot.guard:
                handle = self._refreshed(slot, f"{self.root}/{folder}")
                live = {} if handle is None else _sizes(slot, handle)
            paths = {f"{folder}/{name}" for name in live}
            thrown += self._cache.keep_only(folder, paths, at_once=at_once)
        return thrown

    def _copied(
        self,
        project: str,
        model: str,
        kind: TableKind,
        choose: Callable[[DeltaTable], Sequence[str]],
    ) -> list[str]:
        """Return local paths of the files that are chosen of a table's newest version."""
        folder = _folder(project, model, kind)
        slot = self._slot(self._reading, f"{self.root}/{folder}")
        for may_be_gone in (True, False):
            with slot.guard:
                handle = self._refreshed(slot, f"{self.root}/{folder}")
                names = [] if handle is None else choose(handle)
                if handle is None or self._cache is None:
                    return [f"{self.root}/{folder}/{name}" for name in names]
                sizes = _sizes(slot, handle)
            try:
                return self._cache.copies([Remote(f"{folder}/{n}", sizes[n]) for n in names])
            except FileNotFoundError:
                if not may_be_gone:
                    raise
                # Replaced and deleted since they were listed; the newest version has others.
        raise AssertionError

    def _tidy_now_and_then(self) -> None:
        pause = _FIRST_TIDY_SECONDS
        while not self._closed.wait(pause):
            pause = _TIDY_SECONDS
            try:
                self.tidy_copies()
            except Exception as error:
                _log.warning("copies of the lake's files were not tidied: %s", error)

    def place(self, project: str, model: str, kind: TableKind) -> Path | fs.FileSystem:
        """Return where a table's files are written."""
        if isinstance(self.store, RemoteStore):
            return self.store.filesystem(_folder(project, model, kind))
        return Path(self.uri(project, model, kind))

    def _slot(self, slots: dict[str, _Slot], uri: str) -> _Slot:
        with self._guard:
            return slots.setdefault(uri, _Slot())

    def _refreshed(self, slot: _Slot, uri: str) -> DeltaTable | None:
        with in_words(self.root) if isinstance(self.store, RemoteStore) else nullcontext():
            if slot.handle is not None:
                slot.handle.update_incremental()
                return slot.handle
            try:
                slot.handle = DeltaTable(uri, storage_options=self.storage_options or None)
            except TableNotFoundError:
                return None
            return slot.handle

    def _committed(self, slot: _Slot, uri: str, app: AppTransaction) -> int | None:
        """Return the version of a table that has an origin's commit; None where it has not.

        None as well where the store does not tell: whoever wrote will ask before writing again.
        """
        try:
            handle = self._refreshed(slot, uri)
            seen = None if handle is None else handle.transaction_version(app.id)
        except (DeltaError, OSError):
            slot.handle = None
            return None
        return None if handle is None or (seen or 0) < app.version else int(handle.version())

    def _created(self, slot: _Slot, uri: str, table: pa.Table, timestamp: str) -> DeltaTable:
        indexed = [INGESTED_AT, JOURNAL, BATCH, "observed_at", "window_start", timestamp]
        present = [name for name in dict.fromkeys(indexed) if name in table.column_names]
        plain = [name for name in present if name.replace("_", "").isalnum()]
        described = delta_schema(table.schema)
        try:
            slot.handle = DeltaTable.create(
                uri,
                schema=described,
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
        if not isinstance(self.store, RemoteStore):
            sync_table(Path(uri), Path(self.root))
        return slot.handle


def last_date(end: datetime) -> date:
    """Return the last date of an interval that ends before ``end``.

    Examples
    --------
    >>> last_date(datetime(2026, 1, 2, tzinfo=UTC)).isoformat()
    '2026-01-01'
    """
    return (end.astimezone(UTC) - timedelta(microseconds=1)).date()


def _folder(project: str, model: str, kind: TableKind) -> str:
    return f"{folder_name(project)}/{folder_name(model)}/{kind}"


def _name(path: str) -> str:
    """Return a file's path within its table: the file, in its partition's folder.

    The rest is ``deltalake``'s own spelling of where the table is, which is no file name where that
    has spaces or the like.
    """
    return "/".join(path.rsplit("/", 2)[-2:])


def _seen(slot: _Slot, handle: DeltaTable, app_id: str) -> int | None:
    """Return how far a table has come with an origin, at the version of its handle."""
    version = int(handle.version())
    if slot.seen[0] != version:
        slot.seen = version, {}
    if app_id not in slot.seen[1]:
        slot.seen[1][app_id] = handle.transaction_version(app_id)
    return slot.seen[1][app_id]


def _sizes(slot: _Slot, handle: DeltaTable) -> dict[str, int]:
    """Return the sizes of a table's files by name, at the version of its handle."""
    version = int(handle.version())
    if slot.sizes[0] != version:
        actions: Any = pa.table(handle.get_add_actions(flatten=True))
        names = (_name(path) for path in actions["path"].to_pylist())
        sizes = dict(zip(names, actions["size_bytes"].to_pylist(), strict=True))
        slot.sizes = version, sizes
    return slot.sizes[1]
