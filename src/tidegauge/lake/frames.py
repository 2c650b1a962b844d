"""Frames: how the journal's requests stand in a file, and how they are found there again.

A file is a row of frames, each beginning at a multiple of `ALIGNMENT` bytes. A frame is a header of
fixed size, a description as JSON, and a body of several parts; header and description share one
checksum, each part has its own. So damage is seen, what follows it is found again, and what was
lost can be named.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple
from zlib import crc32

import orjson

#: Frames, and the parts of a body, begin at multiples of so many bytes.
ALIGNMENT = 64
#: The number of the format, in every header.
FORMAT = 1

_MAGIC = b"TGjf"
_HEADER = struct.Struct("<4sBBHIQI")
_NOUGHT = bytes(ALIGNMENT)
_LARGEST_META = 1 << 28


class FrameKind(IntEnum):
    """What a frame holds."""

    HEAD = 0
    LAYOUT = 1
    REQUEST = 2


class Part(NamedTuple):
    """A part of a frame's body.

    Parameters
    ----------
    start, length : int
        Where it stands, and its bytes.
    checksum : int
    """

    start: int
    length: int
    checksum: int

    def is_whole(self, data: Any) -> bool:
        """Tell whether the bytes of it are what was written."""
        return memoryview(data).nbytes == self.length and crc32(data) == self.checksum


@dataclass(frozen=True)
class Frame:
    """A frame as it was found in a file.

    Parameters
    ----------
    kind : FrameKind
    about : dict
        Its description.
    start, end : int
        Where it begins, and where the next one would.
    parts : tuple of Part
        Its body.
    """

    kind: FrameKind
    about: dict[str, Any]
    start: int
    end: int
    parts: tuple[Part, ...]

    def moved(self, by: int) -> Frame:
        """Return the frame as it stands so many bytes further on."""
        parts = tuple(Part(p.start + by, p.length, p.checksum) for p in self.parts)
        return Frame(self.kind, self.about, self.start + by, self.end + by, parts)


@dataclass(frozen=True)
class Damage:
    """Bytes of a file that are no frame, or a frame whose body is not what was written.

    Parameters
    ----------
    start, end : int
    about : dict, optional
        The description of the frame whose body it is, where that can still be read.
    """

    start: int
    end: int
    about: dict[str, Any] | None = None


def padded(size: int) -> int:
    """Return a size rounded up to the alignment.

    Examples
    --------
    >>> padded(0), padded(1), padded(64)
    (0, 64, 64)
    """
    return -(-size // ALIGNMENT) * ALIGNMENT


def frame(
    kind: FrameKind, about: dict[str, Any], parts: Sequence[Any] = ()
) -> tuple[list[Any], Frame]:
    """Return a frame as buffers to be written one after the other.

    Parameters
    ----------
    kind : FrameKind
    about : dict
    parts : sequence of buffers
        The body; each part begins at a multiple of the alignment.

    Returns
    -------
    (list of buffers, Frame)
        What to write, and what it is if it is written at the beginning of a file.

    Examples
    --------
    >>> buffers, written = frame(FrameKind.REQUEST, {"model": "m"}, [b"rows"])
    >>> data = memoryview(b"".join(bytes(part) for part in buffers))
    >>> [found] = scan(data)
    >>> found == written, found.about, found.end == len(data)
    (True, {'model': 'm'}, True)
    """
    views = [memoryview(part) for part in parts]
    sums = [(view.nbytes, crc32(view)) for view in views]
    meta = orjson.dumps([about, sums])
    length = sum(padded(size) for size, _ in sums)
    head = _HEADER.pack(_MAGIC, FORMAT, kind, 0, len(meta), length, 0)
    head = _HEADER.pack(_MAGIC, FORMAT, kind, 0, len(meta), length, crc32(meta, crc32(head)))
    begins = padded(len(head) + len(meta))
    buffers: list[Any] = [head + meta + bytes(begins - len(head) - len(meta))]
    for view in views:
        buffers.append(view)
        if gap := padded(view.nbytes) - view.nbytes:
            buffers.append(_NOUGHT[:gap])
    return buffers, Frame(kind, about, 0, begins + length, _parts(begins, sums))


def scan(data: memoryview) -> Iterator[Frame | Damage]:
    """Find the frames of a file, and what is damaged between them."""
    at = 0
    while at < len(data):
        found = _frame_at(data, at)
        if found is None:
            end = _next_frame(data, at + ALIGNMENT)
            yield Damage(at, end)
            at = end
            continue
        whole = all(
            part.is_whole(data[part.start : part.start + part.length]) for part in found.parts
        )
        yield found if whole else Damage(found.start, found.end, found.about)
        at = found.end


def _parts(at: int, sums: Sequence[Sequence[int]]) -> tuple[Part, ...]:
    parts = []
    for length, checksum in sums:
        parts.append(Part(at, length, checksum))
        at += padded(length)
    return tuple(parts)


def _frame_at(data: memoryview, at: int) -> Frame | None:
    """Return the frame that begins here, if one does that is there as a whole."""
    if len(data) - at < _HEADER.size:
        return None
    magic, version, kind, _, meta_length, length, checksum = _HEADER.unpack_from(data, at)
    if magic != _MAGIC or version != FORMAT or meta_length > _LARGEST_META:
        return None
    begins = at + padded(_HEADER.size + meta_length)
    if begins + length > len(data):
        return None
    meta = data[at + _HEADER.size : at + _HEADER.size + meta_length]
    blank = _HEADER.pack(magic, version, kind, 0, meta_length, length, 0)
    if crc32(meta, crc32(blank)) != checksum:
        return None
    about, sums = orjson.loads(meta)
    return Frame(FrameKind(kind), about, at, begins + length, _parts(begins, sums))


def _next_frame(data: memoryview, at: int) -> int:
    """Return where the next frame begins after damage, or the end."""
    while at < len(data):
        if data[at : at + 4] == _MAGIC and _frame_at(data, at) is not None:
            return at
        at += ALIGNMENT
    return len(data)
