"""How much the lake holds on a local disk: files, bytes and log entries, by kind of table.

Also what waits for the next clean-up is there, since it takes room. An object store is not listed:
that would cost requests.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

#: Seconds between two looks at least; and no more than this share of the time is spent on them.
EVERY = 60.0
SHARE = 0.01
_LOG = "_delta_log"


class LakeSize:
    """Counts what lies in a lake's folder, now and then.

    Parameters
    ----------
    root : str
        A folder; nothing is counted of a URL.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = Path(folder) / "default" / "m" / "records"
    ...     (table / "_date=2026-01-01").mkdir(parents=True)
    ...     _ = (table / "_date=2026-01-01" / "a.parquet").write_bytes(bytes(10))
    ...     (table / "_delta_log").mkdir()
    ...     _ = (table / "_delta_log" / "00000000000000000000.json").write_text("{}")
    ...     sorted(LakeSize(folder).now())
    [('bytes', 'records', 10), ('files', 'records', 1), ('log_entries', 'records', 1)]
    """

    def __init__(self, root: str) -> None:
        self._root = None if "://" in root else Path(root)
        self._held: list[tuple[str, str, int]] = []
        self._next = float("-inf")

    def now(self) -> list[tuple[str, str, int]]:
        """Return what was counted last: what (``files``, ``bytes``, …), kind of table, how much."""
        if self._root is not None and time.monotonic() >= self._next:
            began = time.monotonic()
            self._held = list(_counted(self._root))
            ended = time.monotonic()
            self._next = ended + max(EVERY, (ended - began) / SHARE)
        return self._held


def _counted(root: Path) -> Iterator[tuple[str, str, int]]:
    files: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    entries: Counter[str] = Counter()
    for project in _folders(str(root)):
        for model in _folders(project.path):
            for table in _folders(model.path):
                _add(table, files, sizes, entries)
    for what, counts in (("files", files), ("bytes", sizes), ("log_entries", entries)):
        for kind, amount in counts.items():
            yield what, kind, amount


def _add(
    table: os.DirEntry[str], files: Counter[str], sizes: Counter[str], entries: Counter[str]
) -> None:
    for part in _folders(table.path):
        for file in _entries(part.path):
            if part.name == _LOG:
                entries[table.name] += file.name.endswith(".json")
            elif file.name.endswith(".parquet"):
                files[table.name] += 1
                sizes[table.name] += _size(file)


def _folders(path: str) -> Iterator[os.DirEntry[str]]:
    return (entry for entry in _entries(path) if entry.is_dir(follow_symlinks=False))


def _entries(path: str) -> list[os.DirEntry[str]]:
    """Return what is in a folder; nothing where it has gone meanwhile."""
    try:
        with os.scandir(path) as found:
            return list(found)
    except OSError:
        return []


def _size(file: os.DirEntry[str]) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
