"""The lake as plain files: what is there, by path below its root, wherever that is.

What is in the tables is not known here; the log of a table is only found, by its files' names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler
from pyarrow import fs

from tidegauge.lake.names import TABLE_KINDS, TableKind, name_of_folder
from tidegauge.lake.store import RemoteStore, open_store

LOG = "_delta_log"
_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(\..+)?\.parquet")


@dataclass(frozen=True)
class LakeFile:
    """A file of the lake.

    Parameters
    ----------
    path : str
        Below the lake's root.
    size : int
    changed_at : datetime or None
    """

    path: str
    size: int
    changed_at: datetime | None = None

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class TableFolder:
    """A folder with a table in it.

    Parameters
    ----------
    project, model : str
    kind : str
    path : str
        Below the lake's root.
    """

    project: str
    model: str
    kind: TableKind
    path: str

    def __str__(self) -> str:
        return f"{self.project}/{self.model}/{self.kind}"


class LakeFiles:
    """Files of a lake.

    Parameters
    ----------
    root : str
        A folder, or a URL of an object store.
    options : mapping
        Of the object store.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> files = LakeFiles(folder.name)
    >>> files.store.write("a/b", b"xyz")
    >>> [(file.path, file.size) for file in files.below("a")], files.folders("")
    ([('a/b', 3)], ['a'])
    >>> folder.cleanup()
    """

    def __init__(self, root: str, options: Mapping[str, str] | None = None) -> None:
        self.root = root.rstrip("/")
        self.store = open_store(self.root, options or {})
        self.options: dict[str, str] | None = None
        self._files: Any = None
        if isinstance(self.store, RemoteStore):
            self.options = dict(self.store.options)
            handler: Any = DeltaStorageHandler(self.root, self.options)
            self._files = fs.PyFileSystem(handler)

    def close(self) -> None:
        """Let go of the store."""
        self.store.close()

    def local(self, path: str) -> Path | None:
        """Return where a file is on this machine; None in an object store."""
        return None if self._files is not None else Path(self.root) / path

    def folders(self, path: str) -> list[str]:
        """Return the names of the folders in a folder."""
        if self._files is not None:
            found = self._listed(path, recursive=False)
            return sorted(info.base_name for info in found if info.type == fs.FileType.Directory)
        try:
            with os.scandir(Path(self.root) / path) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir())
        except FileNotFoundError:
            return []

    def below(self, path: str) -> Iterator[LakeFile]:
        """Yield all files below a folder; what is deleted meanwhile may be among them or not."""
        if self._files is not None:
            for info in self._listed(path, recursive=True):
                if info.type == fs.FileType.File:
                    changed = info.mtime
                    yield LakeFile(info.path, int(info.size), changed)
            return
        top = Path(self.root)
        for folder, _, names in os.walk(top / path):
            for name in names:
                whole = Path(folder) / name
                try:
                    status = whole.stat()
                except FileNotFoundError:
                    continue
                changed = datetime.fromtimestamp(status.st_mtime, UTC)
                yield LakeFile(whole.relative_to(top).as_posix(), status.st_size, changed)

    def open(self, path: str) -> Any:
        """Return a file for reading, from any place in it."""
        if self._files is not None:
            return self._files.open_input_file(path)
        return (Path(self.root) / path).open("rb")

    def copy(self, file: LakeFile, target: Path, *, link: bool = False) -> None:
        """Have a file on this machine, whole or not at all.

        Parameters
        ----------
        link : bool
            Whether it may be the very same file, where both are on one file system.

        Raises
        ------
        FileNotFoundError, OSError
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(self.store, RemoteStore):
            self.store.fetch(file.path, file.size, target)
            return
        source = Path(self.root) / file.path
        if link:
            try:
                os.link(source, target)
                return
            except FileExistsError:
                target.unlink()
                os.link(source, target)
                return
            except FileNotFoundError:
                raise
            except OSError:
                pass  # Another file system, or one without links.
        copy_whole(source, target)

    def tables(self) -> Iterator[TableFolder]:
        """Yield the folders of all tables, whether the catalog knows their models or not."""
        for project in self.folders(""):
            for model in self.folders(project):
                there = self.folders(f"{project}/{model}")
                for kind in TABLE_KINDS:
                    path = f"{project}/{model}/{kind}"
                    if kind in there and LOG in self.folders(path):
                        yield TableFolder(
                            name_of_folder(project), name_of_folder(model), kind, path
                        )

    def table(self, folder: TableFolder, version: int | None = None) -> DeltaTable:
        """Open a table.

        Raises
        ------
        deltalake.exceptions.DeltaError, OSError
        """
        return DeltaTable(
            f"{self.root}/{folder.path}", version=version, storage_options=self.options
        )

    def log(self, folder: TableFolder) -> list[LakeFile]:
        """Return the files of a table's log."""
        return list(self.below(f"{folder.path}/{LOG}"))

    def _listed(self, path: str, *, recursive: bool) -> list[Any]:
        selector = fs.FileSelector(path, recursive=recursive, allow_not_found=True)
        found: list[Any] = self._files.get_file_info(selector)
        return found


def needed_of_log(log: list[LakeFile], version: int) -> list[LakeFile] | None:
    """Return those files of a log that a version can be read from, alone.

    Returns
    -------
    list of LakeFile or None
        The newest checkpoint and the commits after it; None where one is missing.

    Examples
    --------
    >>> log = [LakeFile(f"{i:020d}.json", 1) for i in range(4)]
    >>> log.append(LakeFile(f"{1:020d}.checkpoint.parquet", 1))
    >>> [file.name.lstrip("0") for file in needed_of_log(log, 3)]
    ['1.checkpoint.parquet', '2.json', '3.json']
    >>> needed_of_log(log, 4) is None
    True
    """
    commits: dict[int, LakeFile] = {}
    checkpoints: dict[int, list[LakeFile]] = {}
    for file in log:
        if found := _COMMIT.fullmatch(file.name):
            commits[int(found[1])] = file
        elif found := _CHECKPOINT.fullmatch(file.name):
            checkpoints.setdefault(int(found[1]), []).append(file)
    begun = max((at for at in checkpoints if at <= version), default=None)
    first = 0 if begun is None else begun + 1
    wanted = range(first, version + 1)
    if any(at not in commits for at in wanted):
        return None
    start = [] if begun is None else checkpoints[begun]
    return [*start, *(commits[at] for at in wanted)]


def files_named(table: DeltaTable, folder: TableFolder) -> dict[str, tuple[int, int | None]]:
    """Return what a table's version consists of: path below the lake, size, rows if told."""
    import pyarrow as pa

    actions: Any = pa.table(table.get_add_actions(flatten=True))
    rows = (
        actions["num_records"].to_pylist()
        if "num_records" in actions.column_names
        else [None] * actions.num_rows
    )
    names = ("/".join(path.rsplit("/", 2)[-2:]) for path in actions["path"].to_pylist())
    return {
        f"{folder.path}/{name}": (size, count)
        for name, size, count in zip(names, actions["size_bytes"].to_pylist(), rows, strict=True)
    }


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file; the copy is there whole or not at all."""
    import shutil

    half = target.with_name(f".{target.name}.part")
    try:
        shutil.copyfile(source, half)
        half.replace(target)
    except BaseException:
        half.unlink(missing_ok=True)
        raise
