"""Putting a back-up back, into places where nothing is yet.

Everything is made under another name first (or, in PostgreSQL, in one transaction) and gets its own
at the very end, the catalog last: so what a person finds under the data folder's name is whole, and
a restore that was cut off is seen as such.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from tidegauge.catalog import Catalog
from tidegauge.catalog.copying import copy_in, require_empty, sqlite_path
from tidegauge.errors import BadInput, Conflict
from tidegauge.keeping.backup import CATALOG, JOURNAL, LAKE
from tidegauge.keeping.erased import (
    ErasedLater,
    LaterErasure,
    begin_again,
    erase_again,
    later_erasures,
)
from tidegauge.keeping.installation import UNFINISHED, Installation, refuse_unfinished
from tidegauge.keeping.journals import merge_journals
from tidegauge.keeping.lakefiles import LakeFiles
from tidegauge.keeping.latecomers import news_since
from tidegauge.keeping.shelf import Backup, KeptFile, Shelf, damaged_files, find_backup

_THREADS = 4
#: Clocks of several servers may differ by so much.
_SKEW = timedelta(hours=1)


@dataclass(frozen=True)
class Restored:
    """What was restored.

    Parameters
    ----------
    backup : Backup
    files, bytes : int
    told : int
        Flushes that the catalog had not heard of yet.
    erased : ErasedLater
        What became of erasures that came after the back-up.
    """

    backup: Backup
    files: int
    bytes: int
    told: int = 0
    erased: ErasedLater = field(default_factory=ErasedLater)


def restore(
    source: Path,
    installation: Installation,
    *,
    erasures: str | None = None,
    erase: Sequence[tuple[str, str, list[str]]] = (),
    on_step: Callable[[str], None] | None = None,
) -> Restored:
    """Put a back-up back.

    Parameters
    ----------
    source : Path
        A back-up, or a folder with several, of which the newest is taken.
    installation : Installation
        One data folder, a lake and a catalog; all of them empty, or not there. They need not be of
        the kind that was backed up: SQLite or PostgreSQL, a folder or an object store.
    erasures : str, optional
        The catalog of today, as a file or URL: it knows which erasures came after the back-up.
    erase : sequence of (project, model, ids)
        Ids whose records are not to come back.
    on_step : callable, optional
        Told what is being done.

    Raises
    ------
    NotFound
        If there is no finished back-up.
    BadInput
        If the back-up is damaged.
    Conflict
        If something is there already, or a back-up to the same folder runs.
    """
    say = on_step or (lambda _: None)
    backup = find_backup(source)
    data = installation.folders[0]
    with ExitStack() as stack:
        with suppress(OSError):  # A disk that is only read: nobody takes the back-up away there.
            stack.enter_context(Shelf(backup.shelf).held())
        lake = LakeFiles(installation.lake, installation.lake_options)
        stack.enter_context(closing(lake))
        _require_nothing(data, lake, installation, backup)
        later = later_erasures(backup, erasures) if backup.manifest.has_lake else None
        say("checksums")
        _require_whole(backup)
        return _Work(backup, installation, lake, later, erase, say).run()


class _Work:
    """One restore; nothing is in its way."""

    def __init__(
        self,
        backup: Backup,
        installation: Installation,
        lake: LakeFiles,
        later: Mapping[str, LaterErasure] | None,
        erase: Sequence[tuple[str, str, list[str]]],
        say: Callable[[str], None],
    ) -> None:
        self._backup = backup
        self._later = later
        self._erase = erase
        self._erased = ErasedLater()
        self._lake = lake
        self._catalog = installation.catalog
        self._say = say
        self._data = installation.folders[0]
        self._scratch = self._data / UNFINISHED
        self._half = self._scratch / LAKE

    def run(self) -> Restored:
        """Do it; where it fails, nothing is left on this machine."""
        try:
            self._scratch.mkdir(parents=True)
            return self._made()
        except OSError as error:
            raise BadInput(
                f"{self._data} cannot be restored: {error.strerror or error}; make room or name "
                "another place, then restore again",
                code="restore_failed",
            ) from error
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)
            shutil.rmtree(self._half, ignore_errors=True)

    def _made(self) -> Restored:
        manifest = self._backup.manifest
        self._say("journal")
        journals = [self._backup.folder / JOURNAL / str(at) for at in range(manifest.journals)]
        merge_journals(journals, self._scratch / JOURNAL)
        told = 0
        if manifest.has_lake:
            self._say("lake")
            moved = self._restore_lake()
            self._say("catalog")
            told = self._restore_catalog()
            if moved is not None:
                moved()
        (self._scratch / JOURNAL).rename(self._data / JOURNAL)
        catalog = self._scratch / CATALOG
        if catalog.exists():
            path = sqlite_path(self._catalog)
            assert path is not None
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(catalog, path)
        return Restored(self._backup, len(manifest.files), manifest.size, told, self._erased)

    def _restore_lake(self) -> Callable[[], object] | None:
        """Copy the lake; return what gives it its name, where it does not have it yet."""
        files = [file for file in self._backup.manifest.files if file.path.startswith(f"{LAKE}/")]
        place = self._lake.local("")
        if place is None:
            store = self._lake.store

            def upload(file: KeptFile) -> None:
                content = self._backup.place(file).read_bytes()
                store.write(file.path.removeprefix(f"{LAKE}/"), content)

            _all(upload, files)
            return None
        own = place.resolve().parent == self._data.resolve()
        if not own:
            self._half = place.with_name(place.name + UNFINISHED)
        half = self._half
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)

        def copy(file: KeptFile) -> None:
            target = half / file.path.removeprefix(f"{LAKE}/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._backup.place(file), target)

        _all(copy, files)
        return lambda: _into_place(half, place)

    def _restore_catalog(self) -> int:
        """Make the catalog, with what a server that starts anew has to know."""
        made = self._scratch / CATALOG
        shutil.copyfile(self._backup.folder / CATALOG, made)
        since = datetime.fromisoformat(self._backup.manifest.began_at) - _SKEW
        with Catalog(made) as catalog:
            news = news_since(self._backup, catalog, since)
            catalog.news.add(news)
        with closing(sqlite3.connect(made)) as database:
            begin_again(database)
            database.commit()
        with Catalog(made) as catalog:
            self._erased = erase_again(catalog, self._later, self._erase)
        with closing(sqlite3.connect(made)) as database:
            # Nobody of those who held a lease is there any more.
            database.execute("UPDATE leases SET owner = '', beat = beat + 1")
            database.commit()
            database.execute("PRAGMA journal_mode = DELETE")
        if sqlite_path(self._catalog) is None:
            copy_in(made, self._catalog)
            made.unlink()
        return len(news)


def _all(work: Callable[[KeptFile], None], files: Sequence[KeptFile]) -> None:
    with ThreadPoolExecutor(_THREADS, "restore") as pool:
        for _ in pool.map(work, files):
            pass


def _into_place(half: Path, place: Path) -> None:
    """Give a folder its name; an empty one may have it already, and may be a mount."""
    if not place.exists():
        half.rename(place)
        return
    for path in half.iterdir():
        path.rename(place / path.name)
    half.rmdir()


def _require_whole(backup: Backup) -> None:
    damaged = damaged_files(backup)
    if damaged:
        path, how = damaged[0]
        more = f"; so are {len(damaged) - 1} others" if len(damaged) > 1 else ""
        raise BadInput(
            f"the back-up {backup.folder} is damaged: {path} {how}{more}; nothing was restored, "
            "name another back-up",
            code="damaged_backup",
        )


def _require_nothing(
    data: Path, lake: LakeFiles, installation: Installation, backup: Backup
) -> None:
    refuse_unfinished(data)
    inside = sorted(path.name for path in data.iterdir()) if data.is_dir() else []
    inside = [name for name in inside if name != "lost+found"]  # Of a disk of its own.
    if data.exists() and not data.is_dir():
        raise Conflict(f"{data} is a file; name a folder", code="not_empty")
    if inside:
        raise Conflict(
            f"the data folder {data} is not empty ({', '.join(inside[:4])}"
            f"{', …' if len(inside) > 4 else ''}); name another one, or move it away",
            code="not_empty",
        )
    if not backup.manifest.has_lake:
        return
    there = lake.folders("")
    if there:
        raise Conflict(
            f"the lake {lake.root} is not empty: it has projects ({', '.join(there[:4])}); name "
            "another place",
            code="not_empty",
        )
    path = sqlite_path(installation.catalog)
    if path is not None and path.exists():
        raise Conflict(f"the catalog {path} is there already; name another", code="not_empty")
    require_empty(installation.catalog)
