"""Where back-ups stand: a folder with one folder a back-up, and the lake's files that they share.

::

    DEST/tidegauge-backups.json      says that this is such a folder
    DEST/files/…                     files of the lake, which never change; each is kept once
    DEST/20261123T084501.250Z/       one back-up: what is its own, as it is put back
        manifest.json                all of its files with sizes and checksums; written last
    DEST/20261123T091501.113Z.part/  one that was not finished; never restored

A manifest names files by the place that they are restored to: ``lake/…``, ``journal/…``,
``catalog.sqlite``.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from tidegauge.errors import BadInput, Conflict, NotFound
from tidegauge.lake.filelock import FileLock
from tidegauge.lake.segments import sync_folder

MARK = "tidegauge-backups.json"
MANIFEST = "manifest.json"
SHARED = "files"
PART = ".part"
FORMAT = 1
_NAME = re.compile(r"\d{8}T\d{6}\.\d{3}Z")


@dataclass(frozen=True)
class KeptFile:
    """A file of a back-up.

    Parameters
    ----------
    path : str
        The place that it is restored to.
    size : int
    sha256 : str
    shared : bool
        Whether other back-ups may have it too.
    """

    path: str
    size: int
    sha256: str
    shared: bool = False


@dataclass(frozen=True)
class Manifest:
    """What a back-up says of itself.

    Parameters
    ----------
    tidegauge : str
        The version that made it.
    began_at, ended_at : str
        ISO 8601, UTC. All that was acknowledged before it began is in it.
    journals : int
        How many servers' journals are in it.
    catalog : str or None
        The revision of its catalog; None without one.
    tables : dict of str to int
        The version of each of the lake's tables, by its path; empty without a lake.
    files : tuple of KeptFile
    missing : tuple of str
        Files that the lake or the catalog named and did not have.
    format : int
    """

    tidegauge: str
    began_at: str
    ended_at: str
    journals: int
    catalog: str | None
    tables: dict[str, int]
    files: tuple[KeptFile, ...]
    missing: tuple[str, ...] = ()
    format: int = FORMAT

    @property
    def size(self) -> int:
        """Bytes of all of its files."""
        return sum(file.size for file in self.files)

    @property
    def has_lake(self) -> bool:
        """Whether it holds lake and catalog, and not journals alone."""
        return self.catalog is not None


@dataclass(frozen=True)
class Backup:
    """A finished back-up on a shelf.

    Parameters
    ----------
    shelf : Path
    name : str
    manifest : Manifest
    """

    shelf: Path
    name: str
    manifest: Manifest = field(repr=False)

    @property
    def folder(self) -> Path:
        """What is its own."""
        return self.shelf / self.name

    def place(self, file: KeptFile) -> Path:
        """Return where one of its files stands."""
        return (self.shelf / SHARED if file.shared else self.folder) / file.path


class Shelf:
    """A folder with back-ups.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    BadInput
        If other things are in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Make the folder where it is not there.

        Raises
        ------
        BadInput
            If it is there and holds other things, or cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / MARK).exists():
                inside = sorted(path.name for path in self.folder.iterdir())
                if inside:
                    raise BadInput(
                        f"{self.folder} holds other things ({', '.join(inside[:3])}"
                        f"{', …' if len(inside) > 3 else ''}); name an empty or a new folder",
                        code="not_a_shelf",
                    )
                (self.folder / MARK).write_bytes(orjson.dumps({"format": FORMAT}))
        except OSError as error:
            raise BadInput(
                f"{self.folder} cannot be used for back-ups: {error.strerror}", code="bad_shelf"
            ) from None

    def require(self) -> None:
        """Refuse a folder without back-ups.

        Raises
        ------
        NotFound
        """
        if not (self.folder / MARK).exists():
            raise NotFound(f"{self.folder} is no folder with back-ups", code="not_a_shelf")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep others from adding and removing meanwhile.

        Raises
        ------
        Conflict
            If others do that now.
        OSError
            If nothing may be written here.
        """
        lock = FileLock(self.folder / "lock", "these back-ups")
        try:
            lock.acquire()
        except Conflict:
            raise Conflict(
                f"another back-up to {self.folder}, or a restore from it, is under way; wait for "
                "its end, then try again",
                code="backup_runs",
            ) from None
        try:
            yield
        finally:
            lock.release()

    def names(self) -> list[str]:
        """Return the names of the finished back-ups, the oldest first."""
        return sorted(
            path.name
            for path in self.folder.iterdir()
            if _NAME.fullmatch(path.name) and (path / MANIFEST).is_file()
        )

    def unfinished(self) -> list[Path]:
        """Return the folders of back-ups that did not come to their end."""
        return sorted(
            path
            for path in self.folder.iterdir()
            if path.is_dir() and (path.name.endswith(PART) or _is_bare(path))
        )

    def backups(self) -> list[Backup]:
        """Return the finished back-ups, the oldest first."""
        return [read_backup(self.folder / name) for name in self.names()]

    def newest(self) -> Backup | None:
        """Return the newest finished back-up, if there is one."""
        names = self.names()
        return read_backup(self.folder / names[-1]) if names else None

    def keep_newest(self, count: int) -> list[str]:
        """Remove all back-ups but the newest, and the shared files that none of these needs.

        Returns
        -------
        list of str
            The names of those that went.
        """
        names = self.names()
        gone, kept = names[:-count], names[-count:]
        if not gone:
            return []
        needed: set[str] = set()
        for name in kept:  # One manifest at a time: they may be large.
            files = read_backup(self.folder / name).manifest.files
            needed.update(file.path for file in files if file.shared)
        for name in gone:
            part = self.folder / (name + PART)
            (self.folder / name).rename(part)
            shutil.rmtree(part)
        self._sweep(needed)
        return gone

    def _sweep(self, needed: set[str]) -> None:
        top = self.folder / SHARED
        for folder, _, names in os.walk(top, topdown=False):
            for name in names:
                whole = Path(folder) / name
                if whole.relative_to(top).as_posix() not in needed:
                    whole.unlink()
            if not any(Path(folder).iterdir()):
                Path(folder).rmdir()


def new_name(now: datetime, newest: str | None = None) -> str:
    """Return the name of a back-up that begins now.

    Parameters
    ----------
    now : datetime
    newest : str, optional
        The name of the newest one so far: the new one comes after it, whatever the clock says.

    Examples
    --------
    >>> new_name(datetime(2026, 11, 23, 8, 45, 1, 250_000, tzinfo=UTC))
    '20261123T084501.250Z'
    >>> new_name(datetime(2025, 1, 1, tzinfo=UTC), "20261123T084501.250Z")
    '20261123T084501.251Z'
    """
    if newest is not None:
        last = datetime.strptime(newest, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
        now = max(now, last + timedelta(milliseconds=1))
    utc = now.astimezone(UTC)
    return f"{utc:%Y%m%dT%H%M%S}.{utc.microsecond // 1000:03d}Z"


def find_backup(source: Path) -> Backup:
    """Return a back-up: the one that is named, or the newest of a folder with several.

    Raises
    ------
    NotFound
        If there is none, or it was not finished.
    BadInput
        If it cannot be read.
    """
    if source.name.endswith(PART) or (_NAME.fullmatch(source.name) and _is_bare(source)):
        raise NotFound(
            f"{source} was not finished and cannot be restored; name another one",
            code="unfinished_backup",
        )
    if (source / MANIFEST).is_file():
        return read_backup(source)
    shelf = Shelf(source)
    shelf.require()
    names = shelf.names()
    if not names:
        raise NotFound(f"{source} holds no finished back-up", code="no_backup")
    return read_backup(source / names[-1])


def read_backup(folder: Path) -> Backup:
    """Read the manifest of a back-up.

    Raises
    ------
    BadInput
    """
    try:
        told: dict[str, Any] = orjson.loads((folder / MANIFEST).read_bytes())
        if told.get("format") != FORMAT:
            raise BadInput(
                f"{folder} was made by a newer Tidegauge ({told.get('tidegauge')}); use that one",
                code="newer_backup",
            )
        told["files"] = tuple(KeptFile(**file) for file in told["files"])
        told["missing"] = tuple(told["missing"])
        return Backup(folder.parent, folder.name, Manifest(**told))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadInput(
            f"the manifest of {folder} cannot be read ({error}); name another back-up",
            code="bad_backup",
        ) from None


def finish(part: Path, manifest: Manifest) -> Backup:
    """Write a back-up's manifest, see all of it on the disk, and give it its name."""
    (part / MANIFEST).write_bytes(orjson.dumps(asdict(manifest), option=orjson.OPT_INDENT_2))
    os.sync()
    whole = part.with_name(part.name.removesuffix(PART))
    part.rename(whole)
    sync_folder(whole.parent)
    return Backup(whole.parent, whole.name, manifest)


def damaged_files(
    backup: Backup, on_file: Callable[[KeptFile], None] | None = None
) -> list[tuple[str, str]]:
    """Hold all files of a back-up to its manifest; return those that differ, and how."""
    found = []
    for file in backup.manifest.files:
        place = backup.place(file)
        try:
            size = place.stat().st_size
            if size != file.size:
                found.append((file.path, f"has {size} bytes, not {file.size}"))
            elif checksum(place) != file.sha256:
                found.append((file.path, "has other bytes than were written"))
        except OSError as error:
            found.append((file.path, error.strerror or str(error)))
        if on_file is not None:
            on_file(file)
    return found


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_bare(folder: Path) -> bool:
    return bool(_NAME.fullmatch(folder.name)) and not (folder / MANIFEST).is_file()
