"""Copies of an object store's files on the local disk, so that queries read local files only.

The lake's Parquet files never change, so a copy is true for as long as there is one. Copies are
bounded by their bytes; those that were not asked for longest are thrown away first.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tidegauge.errors import BadInput

_log = logging.getLogger(__name__)

#: What was handed out stays for as long as the longest query may read it.
KEPT_SECONDS = 600.0
_THREADS = 8
_MARK_SECONDS = 60.0


@dataclass(frozen=True)
class Remote:
    """A file in the store.

    Parameters
    ----------
    path : str
        Below the lake's root.
    size : int
        Bytes, as the table's log tells.
    """

    path: str
    size: int


@dataclass
class _Copy:
    """A copy on the disk."""

    size: int
    #: By the monotonic clock; the file's own time of change tells it to a later process.
    handed_out: float
    marked: float = -math.inf


class FileCache:
    """A folder of copies.

    Parameters
    ----------
    folder : Path
        Belongs to this cache alone; copies of an earlier process are found again.
    max_bytes : int
        What copies may hold together. More is held only where that much was asked for within
        ``kept`` seconds.
    fetcher : callable
        Takes the sizes of files by path; returns what takes one of these paths and the local file
        to make, which must be there whole or not at all.
    spared : int
        Free bytes of the disk that are left to others: copies go, or are not made, before.
    kept : float
        For how many seconds after it was handed out a copy is not thrown away.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> def fetcher(sizes):
    ...     print("fetching", *sizes)
    ...     return lambda path, target: target.write_bytes(b"x" * sizes[path])
    >>> cache = FileCache(Path(folder.name), 1000, fetcher)
    >>> for _ in range(2):
    ...     paths = cache.copies([Remote("a/b.parquet", 3)])
    fetching a/b.parquet
    >>> Path(paths[0]).read_bytes()
    b'xxx'
    >>> cache.close(); folder.cleanup()
    """

    def __init__(
        self,
        folder: Path,
        max_bytes: int,
        fetcher: Callable[[Mapping[str, int]], Callable[[str, Path], object]],
        *,
        spared: int = 0,
        kept: float = KEPT_SECONDS,
    ) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.held_bytes = 0
        self._fetcher = fetcher
        self._spared = spared
        self._kept = kept
        self._copies: OrderedDict[str, _Copy] = OrderedDict()
        self._coming: dict[str, Future[None]] = {}
        self._guard = threading.Lock()
        self._pool = ThreadPoolExecutor(_THREADS, "fetch")
        folder.mkdir(parents=True, exist_ok=True)
        self._find()

    def copies(self, wanted: Sequence[Remote]) -> list[str]:
        """Return local paths of files, fetching those that are not there yet.

        Each is fetched once, however many ask for it at the same time.

        Raises
        ------
        FileNotFoundError
            If the store does not have one of them.
        OSError
            If the store, or the disk, fails.
        BadInput
            If they are more than the cache may hold.
        """
        total = sum(remote.size for remote in wanted)
        if total > self.max_bytes:
            raise BadInput(
                f"this needs {total >> 20} MiB of the lake at once, and the cache holds "
                f"{self.max_bytes >> 20} MiB; ask for a shorter time, or raise cache_size",
                code="cache_too_small",
            )
        mine: list[tuple[Remote, Future[None]]] = []
        awaited: list[Future[None]] = []
        now = time.monotonic()
        with self._guard:
            for remote in wanted:
                if self._is_there(remote, now):
                    continue
                future = self._coming.get(remote.path)
                if future is None:
                    future = self._coming[remote.path] = Future()
                    mine.append((remote, future))
                awaited.append(future)
            coming = sum(remote.size for remote, _ in mine)
            room = self._make_room(coming, now)
            if coming > room:
                for remote, _ in mine:
                    del self._coming[remote.path]
        if coming > room:
            full = OSError(
                errno.ENOSPC,
                f"the disk of {self.folder} has room for {max(room, 0) >> 20} MiB of copies, and "
                f"{coming >> 20} MiB are wanted",
            )
            for _, future in mine:
                future.set_exception(full)
            raise full
        if mine:
            self._begin(mine)
        failed = [error for future in awaited if (error := future.exception()) is not None]
        if failed:
            raise failed[0]
        return [str(self._place(remote.path)) for remote in wanted]

    def keep_only(self, below: str, live: Collection[str], *, at_once: bool = False) -> int:
        """Throw away the copies of what a folder of the store does not have any more.

        Parameters
        ----------
        below : str
            The folder, such as a table's.
        live : collection of str
            The paths that stay.
        at_once : bool
            Throw away also what may still be read by a query that began before.

        Returns
        -------
        int
            How many copies were thrown away.
        """
        now = time.monotonic()
        with self._guard:
            stale = [
                path
                for path, copy in self._copies.items()
                if path.startswith(f"{below}/")
                and path not in live
                and (at_once or now - copy.handed_out > self._kept)
            ]
            for path in stale:
                self._drop(path)
        return len(stale)

    def folders(self, depth: int) -> set[str]:
        """Return the folders, so deep below the root, that have copies."""
        with self._guard:
            return {"/".join(path.split("/")[:depth]) for path in self._copies}

    def close(self) -> None:
        """Wait for what is being fetched; what has not been begun fails."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        with self._guard:
            left, self._coming = self._coming, {}
        for future in left.values():
            if not future.done():
                future.set_exception(OSError("the cache is closed"))

    def _find(self) -> None:
        """Take over the copies of an earlier process; throw away what it left half-done."""
        found: list[tuple[float, str, int]] = []
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = Path(folder, name)
                if name.endswith(".part"):
                    path.unlink(missing_ok=True)
                    continue
                status = path.stat()
                relative = path.relative_to(self.folder).as_posix()
                found.append((status.st_mtime, relative, status.st_size))
        for _, relative, size in sorted(found):
            # Nobody of this process reads them yet.
            self._copies[relative] = _Copy(size, -math.inf)
            self.held_bytes += size
        self._make_room(0, time.monotonic())

    def _is_there(self, remote: Remote, now: float) -> bool:
        """Tell whether a copy is there and whole; if so it counts as handed out."""
        copy = self._copies.get(remote.path)
        if copy is None:
            return False
        place = self._place(remote.path)
        try:
            whole = place.stat().st_size == remote.size
        except FileNotFoundError:
            whole = False
        if not whole:
            self._drop(remote.path)
            return False
        copy.handed_out = now
        if now - copy.marked > _MARK_SECONDS:  # So that a later process knows, too.
            copy.marked = now
            with contextlib.suppress(OSError):
                os.utime(place)
        self._copies.move_to_end(remote.path)
        return True

    def _begin(self, mine: Sequence[tuple[Remote, Future[None]]]) -> None:
        try:
            fetch = self._fetcher({remote.path: remote.size for remote, _ in mine})
        except BaseException as error:
            for remote, future in mine:
                self._failed(remote, future, error)
            return
        for remote, future in mine:
            try:
                self._pool.submit(self._bring, fetch, remote, future)
            except RuntimeError:  # The pool is closed.
                self._failed(remote, future, OSError("the cache is closed"))

    def _failed(self, remote: Remote, future: Future[None], error: BaseException) -> None:
        with self._guard:
            self._coming.pop(remote.path, None)
        if not future.done():
            future.set_exception(error)

    def _bring(
        self, fetch: Callable[[str, Path], object], remote: Remote, future: Future[None]
    ) -> None:
        try:
            place = self._place(remote.path)
            place.parent.mkdir(parents=True, exist_ok=True)
            fetch(remote.path, place)
        except BaseException as error:
            self._failed(remote, future, error)
            return
        now = time.monotonic()
        with self._guard:
            del self._coming[remote.path]
            self._copies[remote.path] = _Copy(remote.size, now, now)
            self.held_bytes += remote.size
            self._make_room(0, now)
        future.set_result(None)

    def _make_room(self, coming: int, now: float) -> int:
        """Throw away the copies longest not asked for, as far as that is needed and allowed.

        Returns
        -------
        int
            How many bytes the disk has room for now.
        """
        room = self._room()
        for path in list(self._copies):
            if self.held_bytes + coming <= self.max_bytes and coming <= room:
                break
            if now - self._copies[path].handed_out > self._kept:
                self._drop(path)
                room = self._room()
        return room

    def _room(self) -> int:
        self.folder.mkdir(parents=True, exist_ok=True)  # Whoever emptied it may have taken it too.
        return shutil.disk_usage(self.folder).free - self._spared

    def _drop(self, path: str) -> None:
        self.held_bytes -= self._copies.pop(path).size
        try:
            self._place(path).unlink(missing_ok=True)
        except OSError as error:
            _log.warning("the copy of %s cannot be deleted: %s", path, error)

    def _place(self, path: str) -> Path:
        parts = PurePosixPath(path).parts
        if ".." in parts or PurePosixPath(path).is_absolute():
            raise OSError(f"{path!r} leads out of the lake")
        return self.folder.joinpath(*parts)
