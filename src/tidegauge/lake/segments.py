"""Segments: the journal's files, each written by one process from its beginning to its end.

A segment names the journal (one run of one server process) that wrote it; nothing is ever added to
another run's segment. What is in the files is told by ``frames.py``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from tidegauge.lake.frames import FORMAT, Damage, Frame, FrameKind, frame, scan

SUFFIX = ".segment"
_MOST_BUFFERS = 512


@dataclass
class Segment:
    """One file of the journal, and what of it is still needed.

    Parameters
    ----------
    path : Path
    sequence : int
        Its number; later segments have greater ones.
    journal : str
        Id of the journal that wrote it.
    size : int
        Bytes of it that are frames.
    waiting : int
        Entries that the lake is not known to have.
    answers : dict of (project, model, key) to (int, bytes)
        When and what its requests were answered.
    layouts : dict of bytes to int
        Schemas that stand in it, by their bytes.
    """

    path: Path
    sequence: int
    journal: str
    size: int = 0
    waiting: int = 0
    answers: dict[tuple[str, str, str], tuple[int, bytes]] = field(default_factory=dict)
    layouts: dict[bytes, int] = field(default_factory=dict)

    @classmethod
    def at(cls, folder: Path, sequence: int, journal: str) -> Segment:
        """Return the segment of this number, which need not be there yet."""
        return cls(folder / f"{sequence:012d}{SUFFIX}", sequence, journal)

    def whole(self) -> pa.Buffer:
        """Return all of it without copying it.

        Whoever reads much from it does so from one of these: a process may have some ten thousand
        views of files, and each of these is one.
        """
        with pa.memory_map(str(self.path)) as source:
            return source.read_buffer()


class SegmentWriter:
    """Writes one segment, so that a group is there as a whole or not at all.

    Parameters
    ----------
    segment : Segment
        One whose file is not there yet.

    Raises
    ------
    OSError
        When the file cannot be made.
    """

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        #: Whether nothing more may be written here, since what stands at the end is not known.
        self.spoilt = False
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        self._descriptor = os.open(segment.path, flags, 0o640)
        try:
            about = {"journal": segment.journal, "sequence": segment.sequence, "format": FORMAT}
            self.write(frame(FrameKind.HEAD, about)[0])
            sync_folder(segment.path.parent)
        except BaseException:
            os.close(self._descriptor)
            segment.path.unlink(missing_ok=True)
            raise

    def write(self, buffers: Sequence[Any]) -> None:
        """Add frames and see to it that they are on the disk.

        Raises
        ------
        OSError
            Nothing of them counts then.
        """
        size = sum(memoryview(buffer).nbytes for buffer in buffers)
        try:
            _write_all(self._descriptor, buffers)
        except OSError:
            self._cut()
            raise
        try:
            sync_data(self._descriptor)
        except OSError:
            # What the disk has of it cannot be known any more.
            self.spoilt = True
            self._cut()
            raise
        self.segment.size += size

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def _cut(self) -> None:
        """Take back what was written beyond the last frame that counts."""
        try:
            os.ftruncate(self._descriptor, self.segment.size)
            os.lseek(self._descriptor, self.segment.size, os.SEEK_SET)
        except OSError:
            self.spoilt = True


def read_segments(folder: Path) -> list[Path]:
    """Return the segments' files, oldest first."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def frames_of(path: Path) -> Iterator[Frame | Damage]:
    """Yield what stands in a segment's file."""
    if path.stat().st_size:
        with pa.memory_map(str(path)) as source:
            yield from scan(memoryview(source.read_buffer()))


def sync_folder(folder: Path) -> None:
    """See to it that files made in a folder, or renamed, are still there after a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, buffers: Sequence[Any]) -> None:
    left = [memoryview(buffer).cast("B") for buffer in buffers]
    while left:
        written = os.writev(descriptor, left[:_MOST_BUFFERS])
        while left and written >= left[0].nbytes:
            written -= left.pop(0).nbytes
        if written:
            left[0] = left[0][written:]


def sync_data(descriptor: int) -> None:
    """See to it that what was written to a file is on the disk."""
    getattr(os, "fdatasync", os.fsync)(descriptor)
