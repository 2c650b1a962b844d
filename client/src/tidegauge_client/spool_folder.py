"""The folder of one client in one process: made, locked, taken over, read and written.

Its name is ``<whose>.<process>.<random>``. As long as its process lives, that holds a lock (flock)
on the file ``lock`` inside, which also says how many bytes the folder takes. The kernel lets go of
the lock when the process ends, however it ends: then another process may take the folder over.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tidegauge_client.spool_file import blocks

try:
    import fcntl
except ImportError:  # Windows; `Client` refuses a spool there
    fcntl = None  # type: ignore[assignment]

LOCK = "lock"
SUFFIX = ".batch"
PART = ".part"
NEW = ".new-"
STALE_SECONDS = 3600.0
PRIVATE = 0o700
DAMAGED = "damaged"
REFUSED = "refused"

_NAME = re.compile(r"(\d{1,16})-(\d{1,12})-(\d{1,12})\.batch")


def can_lock() -> bool:
    """Return whether this system has the locks that a spool needs."""
    return fcntl is not None


class Folder:
    """A folder that this process holds the lock of.

    Attributes
    ----------
    path : Path
        Where it is.
    used : int
        Bytes of disk that its batches take.
    count : int
        The batches in it.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self.used = 0
        self.count = 0
        self._lock = lock

    @classmethod
    def create(cls, root: Path, whose: str) -> Folder:
        """Make a folder; it appears under its name only once it is locked.

        Raises
        ------
        OSError
            If the disk refuses.
        """
        root.mkdir(PRIVATE, parents=True, exist_ok=True)
        name = f"{whose}.{os.getpid()}.{os.urandom(6).hex()}"
        young = root / f"{NEW}{name}"
        young.mkdir(PRIVATE)
        lock = -1
        try:
            lock = os.open(young / LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.pwrite(lock, b"%20d\n" % 0, 0)
            young.rename(root / name)
            sync_folder(root)
        except OSError:
            if lock >= 0:
                os.close(lock)
            with contextlib.suppress(OSError):
                (young / LOCK).unlink()
            with contextlib.suppress(OSError):
                young.rmdir()
            raise
        return cls(root / name, lock)

    @classmethod
    def adopt(cls, path: Path) -> Folder | None:
        """Return the folder of a process that has ended, or None if it lives or is gone."""
        try:
            lock = os.open(path / LOCK, os.O_RDWR)
        except OSError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            same = os.path.samestat(os.fstat(lock), os.stat(path / LOCK))
        except OSError:
            same = False
        if not same:  # in use, or another took it over and removed it meanwhile
            os.close(lock)
            return None
        return cls(path, lock)

    def contents(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield created (milliseconds), sequence, records and bytes of each batch; in no order.

        Files that were being written when their process ended were promised to nobody, and go.
        """
        for name in os.listdir(self.path):
            if name.endswith(PART):
                with contextlib.suppress(OSError):
                    (self.path / name).unlink()
        return Folder.batches(self.path)

    @staticmethod
    def batches(path: Path) -> Iterator[tuple[int, int, int, int]]:
        """Yield what `contents` does, of a folder that may be another process's."""
        with contextlib.suppress(FileNotFoundError), os.scandir(path) as files:
            for file in files:
                match = _NAME.fullmatch(file.name)
                if match is not None:
                    try:
                        size = file.stat().st_size
                    except FileNotFoundError:  # sent meanwhile
                        continue
                    yield int(match[1]), int(match[2]), int(match[3]), size

    def strangers(self) -> list[str]:
        """Return the names of files that end like a batch and are not named like one."""
        names = os.listdir(self.path)
        return [n for n in names if n.endswith(SUFFIX) and _NAME.fullmatch(n) is None]

    def write(self, name: str, pieces: Iterable[bytes]) -> None:
        """Write a file so that it is there whole, or not at all, whatever happens.

        Raises
        ------
        OSError
            If the disk refuses; nothing is left behind then.
        """
        part = self.path / f"{name}{PART}"
        try:
            with open(part, "xb", buffering=0) as file:
                for piece in pieces:
                    _write_all(file.fileno(), piece)
                os.fsync(file.fileno())
            part.rename(self.path / name)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
        sync_folder(self.path)

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        return (self.path / name).read_bytes()

    def account(self, size: int, batches: int) -> None:
        """Add to the bytes and the batches it holds (or take away), and tell other processes."""
        self.used += blocks(size) if batches >= 0 else -blocks(size)
        self.count += batches
        with contextlib.suppress(OSError):
            os.pwrite(self._lock, b"%20d\n" % self.used, 0)

    def leave(self) -> None:
        """Let go of it: removed if nothing is left in it, else for others to take over."""
        if self.count == 0:
            self._remove()
        os.close(self._lock)

    def forget(self) -> None:
        """In a forked child: the folder is the parent's; only this copy of its lock is closed."""
        with contextlib.suppress(OSError):
            os.close(self._lock)

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            if os.listdir(self.path) == [LOCK]:
                (self.path / LOCK).unlink()
                self.path.rmdir()


def batch_name(created: int, sequence: int, records: int) -> str:
    """Return the name of a batch's file.

    Examples
    --------
    >>> batch_name(1767225600000, 7, 500)
    '1767225600000-00000007-500.batch'
    """
    return f"{created:013d}-{sequence:08d}-{records}{SUFFIX}"


def owner(name: str) -> str:
    """Return whose folder a name is of: all but the process and the random part.

    Examples
    --------
    >>> owner("default-flight-delay-0123456789ab.4711.8899aabbccdd")
    'default-flight-delay-0123456789ab'
    """
    return name.rsplit(".", 2)[0]


def process_folders(root: Path) -> list[Path]:
    """Return the folders of all processes, by name; clear away what a crash left half made."""
    found = []
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                if entry.name.startswith(NEW):
                    _clear_stale(Path(entry.path))
                elif entry.name.count(".") >= 2 and entry.is_dir(follow_symlinks=False):
                    found.append(Path(entry.path))
    except OSError:
        return []
    return sorted(found)


def used_by(path: Path) -> int:
    """Return the bytes that another process says its folder takes."""
    try:
        with open(path / LOCK, "rb") as file:
            return max(0, int(file.read(32)))
    except (OSError, ValueError):
        return 0


def sync_folder(path: Path) -> None:
    """Make new names in a folder survive a loss of power."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_all(handle: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(handle, view) :]


def _clear_stale(young: Path) -> None:
    with contextlib.suppress(OSError):
        if time.time() - young.stat().st_mtime > STALE_SECONDS:
            (young / LOCK).unlink(missing_ok=True)
            young.rmdir()
