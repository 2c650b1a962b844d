"""Taking a back-up, beside servers that run or of what stopped ones left.

The order makes it whole: journals, then the catalog, then the lake. What leaves a journal is in the
lake before, and what the catalog knows of (windows, baselines, news) stands in the lake before, so
each later part has at least what an earlier one speaks of. What it has more is found and told to
the scheduler when it is restored.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from deltalake.exceptions import DeltaError, TableNotFoundError

from tidegauge.catalog.copying import copy_out
from tidegauge.errors import BadInput
from tidegauge.keeping.installation import Installation
from tidegauge.keeping.journals import copy_journal
from tidegauge.keeping.lakefiles import (
    LOG,
    LakeFile,
    LakeFiles,
    TableFolder,
    files_named,
    needed_of_log,
)
from tidegauge.keeping.shelf import (
    PART,
    SHARED,
    Backup,
    KeptFile,
    Manifest,
    Shelf,
    checksum,
    finish,
    new_name,
)
from tidegauge.version import __version__

CATALOG = "catalog.sqlite"
LAKE = "lake"
JOURNAL = "journal"
_TRIES = 20
_THREADS = 4


@dataclass(frozen=True)
class Taken:
    """A back-up that was taken.

    Parameters
    ----------
    backup : Backup
    copied, copied_bytes : int
        Files that no earlier back-up had, and their bytes.
    removed : tuple of str
        Earlier back-ups that made room.
    """

    backup: Backup
    copied: int
    copied_bytes: int
    removed: tuple[str, ...] = ()


def take_backup(
    installation: Installation,
    destination: Path,
    *,
    keep: int | None = None,
    journal_only: bool = False,
    link: bool = True,
    on_step: Callable[[str], None] | None = None,
) -> Taken:
    """Take a back-up. Everything that was acknowledged before this was called is in it.

    Parameters
    ----------
    installation : Installation
    destination : Path
        A folder for back-ups, or one that is not there yet. Files of the lake that an earlier
        back-up there has are not copied again.
    keep : int, optional
        Remove all earlier back-ups but so many, this one included, once it is finished.
    journal_only : bool
        Leave out lake and catalog, which another server's back-up has.
    link : bool
        Whether files of the lake may be hard links, where they can.
    on_step : callable, optional
        Told what is being done.

    Raises
    ------
    BadInput
        If a folder cannot be used, there is nothing to back up, or the disk is full.
    Conflict
        If another back-up to this folder runs.
    """
    say = on_step or (lambda _: None)
    installation.require()
    _refuse_inside(destination, installation)
    shelf = Shelf(destination)
    shelf.prepare()
    with shelf.held(), _told(destination):
        for left in shelf.unfinished():
            shutil.rmtree(left)
        earlier = shelf.newest()
        began = datetime.now(UTC)
        name = new_name(began, earlier.name if earlier is not None else None)
        part = destination / (name + PART)
        part.mkdir()
        work = _Work(installation, shelf, part, earlier, link)
        say("journals")
        journals = installation.journals()
        for at, journal in enumerate(journals):
            work.missing += copy_journal(journal, part / JOURNAL / str(at))
        revision = None
        if not journal_only:
            say("catalog")
            revision = copy_out(installation.catalog, part / CATALOG)
            work.copy_lake(say)
        elif not journals:
            raise BadInput(
                f"there is no journal in {installation.folders[0]}; name the data folder that the "
                "server is started with, with --data",
                code="no_journal",
            )
        say("checksums")
        manifest = Manifest(
            tidegauge=__version__,
            began_at=began.isoformat(),
            ended_at=datetime.now(UTC).isoformat(),
            journals=len(journals),
            catalog=revision,
            tables=work.versions,
            files=(*_own_files(part), *work.shared.values()),
            missing=tuple(work.missing),
        )
        backup = finish(part, manifest)
        if keep is not None:
            say("making room")
        removed = [] if keep is None else shelf.keep_newest(keep)
    return Taken(backup, work.copied, work.copied_bytes, tuple(removed))


@contextmanager
def _told(destination: Path) -> Iterator[None]:
    """Say of what the disk refuses where that was; what is there so far is not a back-up."""
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise BadInput(
            f"the back-up to {destination} was not finished: {error.strerror or error}{where}; "
            "make room or see to the rights, then take it again",
            code="backup_failed",
        ) from error


class _Work:
    """The lake's part of one back-up."""

    def __init__(
        self,
        installation: Installation,
        shelf: Shelf,
        part: Path,
        earlier: Backup | None,
        link: bool,
    ) -> None:
        self._installation = installation
        self._files = shelf.folder / SHARED
        self._part = part
        self._link = link
        self._known = {
            (file.path, file.size): file
            for file in (earlier.manifest.files if earlier is not None else ())
            if file.shared
        }
        self.versions: dict[str, int] = {}
        self.shared: dict[str, KeptFile] = {}
        self.missing: list[str] = []
        self.copied = self.copied_bytes = 0

    def copy_lake(self, say: Callable[[str], None]) -> None:
        with (
            closing(LakeFiles(self._installation.lake, self._installation.lake_options)) as lake,
            ThreadPoolExecutor(_THREADS, "backup") as pool,
        ):
            for folder in lake.tables():
                say(str(folder))
                self._copy_table(lake, folder, pool)
            say("baselines")
            for path in _baselines(self._part / CATALOG):
                target = self._part / LAKE / path
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    target.write_bytes(lake.store.read(path))
                except FileNotFoundError:
                    self.missing.append(f"{LAKE}/{path}: is not there")

    def _copy_table(self, lake: LakeFiles, folder: TableFolder, pool: ThreadPoolExecutor) -> None:
        """Copy a table as of its newest version; a newer one where files went meanwhile."""
        seen = -1
        for _ in range(_TRIES):
            try:
                table = lake.table(folder)
                version = int(table.version())
                named = files_named(table, folder)
            except TableNotFoundError:
                if not lake.log(folder):
                    return  # Deleted since it was listed.
                self._copy_as_it_is(lake, folder, "has no whole log", pool)
                return
            except (DeltaError, OSError, ValueError) as error:
                reason = str(error).splitlines()[0] if str(error) else repr(error)
                self._copy_as_it_is(lake, folder, f"cannot be opened: {reason}", pool)
                return
            log = needed_of_log(lake.log(folder), version)
            if log is None or not self._copy_log(lake, log):
                continue
            gone = self._copy_data(lake, {path: size for path, (size, _) in named.items()}, pool)
            if not gone or version == seen:
                self.missing += [f"{LAKE}/{path}: is not there" for path in gone]
                self.versions[f"{LAKE}/{folder.path}"] = version
                return
            seen = version
        raise BadInput(
            f"{folder} changes faster than it can be copied; try again when less is written, or "
            "to a faster disk",
            code="table_in_motion",
        )

    def _copy_as_it_is(
        self, lake: LakeFiles, folder: TableFolder, reason: str, pool: ThreadPoolExecutor
    ) -> None:
        """Copy all files of a table that cannot be read."""
        below = list(lake.below(folder.path))
        log = [file for file in below if f"/{LOG}/" in f"/{file.path}"]
        self._copy_log(lake, log)
        rest = {file.path: file.size for file in below if file not in log}
        self._copy_data(lake, rest, pool)
        self.missing.append(f"{LAKE}/{folder.path}: {reason}")

    def _copy_log(self, lake: LakeFiles, log: list[LakeFile]) -> bool:
        """Copy files of a log; return False where one is gone."""
        first = self._part / LAKE / log[0].path
        shutil.rmtree(first.parent, ignore_errors=True)
        for file in log:
            try:
                lake.copy(file, self._part / LAKE / file.path)
            except FileNotFoundError:
                return False
        return True

    def _copy_data(
        self, lake: LakeFiles, named: dict[str, int], pool: ThreadPoolExecutor
    ) -> list[str]:
        """Have files on the shelf; return those that are not there any more."""
        wanted = [(path, size) for path, size in named.items() if path not in self.shared]
        gone = []
        found = pool.map(lambda one: self._kept(lake, *one), wanted)
        for (path, _), (kept, copied) in zip(wanted, found, strict=True):
            if kept is None:
                gone.append(path)
                continue
            self.shared[path] = kept
            self.copied += copied
            self.copied_bytes += kept.size if copied else 0
            if kept.size != named[path]:
                self.missing.append(
                    f"{kept.path}: has {kept.size} bytes; the table's log says {named[path]}"
                )
        return gone

    def _kept(self, lake: LakeFiles, path: str, size: int) -> tuple[KeptFile | None, bool]:
        """Have one file on the shelf, unless the lake lacks it; and whether it had to be copied."""
        name = f"{LAKE}/{path}"
        target = self._files / name
        there = target.stat().st_size if target.exists() else None
        known = self._known.get((name, size))
        if known is not None and there == size:
            return known, False
        if there != size:
            try:
                lake.copy(LakeFile(path, size), target, link=self._link)
            except FileNotFoundError:
                return None, False
        kept = KeptFile(name, target.stat().st_size, checksum(target), shared=True)
        return kept, there != size


def _own_files(part: Path) -> Iterator[KeptFile]:
    for path in sorted(part.rglob("*")):
        if path.is_file():
            name = path.relative_to(part).as_posix()
            yield KeptFile(name, path.stat().st_size, checksum(path))


def _baselines(catalog: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{catalog}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT profile_path FROM baselines ORDER BY 1").fetchall()
    return [row[0] for row in rows]


def _refuse_inside(destination: Path, installation: Installation) -> None:
    places = list(installation.folders)
    if "://" not in installation.lake:
        places.append(Path(installation.lake))
    for place in places:
        if destination.resolve().is_relative_to(place.resolve()):
            raise BadInput(
                f"{destination} is inside {place}, and would be lost with it; name a folder "
                "elsewhere, on another disk at best",
                code="backup_inside",
            )
