"""Batches that will not be sent again by themselves: damaged ones, and those the server refused.

Each lies in ``damaged/`` or ``refused/`` of the spool, beside a ``.why.json`` that says why. They
count against the bound of the spool, and give way, oldest first, to batches that can still be sent.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

from tidegauge_client.spool_file import BLOCK, blocks
from tidegauge_client.spool_folder import DAMAGED, PRIVATE, REFUSED

WHY = ".why.json"
RECOUNT_SECONDS = 30.0


class SetAside:
    """The two folders of what was set aside, which all processes of a spool share."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._used = 0
        self._counted_at: float | None = None

    def put(self, kind: str, file: Path, why: Mapping[str, object]) -> None:
        """Move a batch's file here, with the reason beside it.

        Raises
        ------
        OSError
            If it can't be moved; it is where it was then.
        """
        folder = self._root / kind
        folder.mkdir(PRIVATE, exist_ok=True)
        target = folder / f"{file.parent.name}.{file.name}"
        size = file.stat().st_size
        os.replace(file, target)
        self._used += blocks(size) + BLOCK
        with contextlib.suppress(OSError):
            target.with_name(target.name + WHY).write_text(json.dumps(why) + "\n")

    def used(self) -> int:
        """Return the bytes of disk that they take; counted anew now and then."""
        now = time.monotonic()
        if self._counted_at is None or now - self._counted_at > RECOUNT_SECONDS:
            self._used = sum(size for _, size, _ in self._files())
            self._counted_at = now
        return self._used

    def make_room(self, wanted: int) -> tuple[int, int]:
        """Delete the oldest until `wanted` bytes are free; return the files and the bytes gone."""
        gone = freed = 0
        for _, size, path in sorted(self._files()):
            if freed >= wanted:
                break
            with contextlib.suppress(OSError):
                os.unlink(path)
                freed += size
                gone += 1
            with contextlib.suppress(OSError):
                os.unlink(path + WHY)
        self._counted_at = None
        return gone, freed

    def _files(self) -> list[tuple[float, int, str]]:
        """Return when each batch was written, the disk it takes with its reason, and its path."""
        files = []
        for kind in (DAMAGED, REFUSED):
            with contextlib.suppress(OSError), os.scandir(self._root / kind) as entries:
                for entry in entries:
                    if entry.name.endswith(WHY):
                        continue
                    with contextlib.suppress(OSError):
                        stat = entry.stat()
                        files.append((stat.st_mtime, blocks(stat.st_size) + BLOCK, entry.path))
        return files
