"""What earlier runs of a server left in the journal's folder, found again after any kind of end.

A frame that was only half written when a process was killed was never acknowledged; it ends its
segment. Anything else that cannot be read is damage: it is set aside, said, and the rest goes on.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidegauge.lake.frames import Damage, Frame, FrameKind
from tidegauge.lake.segments import SUFFIX, Segment, frames_of, read_segments
from tidegauge.lake.waiting import Held, entries_of

_log = logging.getLogger(__name__)

#: Pieces that could not be read are kept here, in the journal's folder.
DAMAGED = "damaged"
TORN = "-torn.bytes"


@dataclass
class Recovered:
    """What was found in a journal's folder.

    Parameters
    ----------
    segments : list of Segment
    entries : list of Held
        Those that the lake may not have yet, oldest first.
    last_offset, last_sequence : int
        The greatest ever given, as far as is known.
    """

    segments: list[Segment] = field(default_factory=list)
    entries: list[Held] = field(default_factory=list)
    last_offset: int = 0
    last_sequence: int = 0


def recover(folder: Path) -> Recovered:
    """Read the segments of earlier runs; what is damaged is set aside."""
    found = Recovered()
    for path in read_segments(folder):
        found.last_sequence = max(found.last_sequence, int(path.name.removesuffix(SUFFIX)))
        frames = []
        pieces = list(frames_of(path))
        for at, piece in enumerate(pieces):
            if isinstance(piece, Frame):
                frames.append(piece)
            else:
                torn = piece.about is None and at == len(pieces) - 1
                set_aside(path, piece, torn=torn)
        if any(one.kind is FrameKind.REQUEST for one in frames):
            _take(found, path, frames)
        else:
            path.unlink()
    return found


def count_damaged(folder: Path) -> int:
    """Return how many damaged pieces are kept."""
    return sum(not name.endswith(TORN) for name in _names(folder / DAMAGED))


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []


def _take(found: Recovered, path: Path, frames: list[Frame]) -> None:
    sequence = int(path.name.removesuffix(SUFFIX))
    journal = next(one.about["journal"] for one in frames if "journal" in one.about)
    segment = Segment(path, sequence, journal, size=path.stat().st_size)
    whole = segment.whole()
    layouts: dict[int, bytes] = {}
    now, clock = time.time() * 1e6, time.monotonic()
    for one in frames:
        if one.kind is FrameKind.LAYOUT:
            part = one.parts[0]
            layouts[one.about["layout"]] = whole.slice(part.start, part.length).to_pybytes()
        elif one.kind is FrameKind.REQUEST:
            about = one.about
            names = [layouts.get(number) for _, _, number, _ in about["entries"]]
            known = [name for name in names if name is not None]
            if len(known) < len(names):  # The frame with their columns is damaged.
                set_aside(path, Damage(one.start, one.end, about))
                continue
            age = max(0.0, now - about["received_at"]) / 1e6
            held = entries_of(one, segment, known, since=clock - age)
            found.entries += held
            found.last_offset = max([found.last_offset, *(entry.offset for entry in held)])
            key = about["project"], about["model"]
            for name, answer in about["answers"].items():
                segment.answers[(*key, name)] = about["answered_at"], answer.encode()
    found.segments.append(segment)


def set_aside(
    path: Path, damage: Damage, error: Exception | None = None, *, torn: bool = False
) -> None:
    """Keep a piece of a segment that cannot be read, and say whose records it held.

    Parameters
    ----------
    torn : bool
        Whether it is the segment's end, which may never have been whole: what is written when a
        process is killed was not acknowledged.
    """
    folder = path.parent / DAMAGED
    kept = folder / f"{path.stem}-{damage.start}{TORN if torn else '.bytes'}"
    try:
        folder.mkdir(exist_ok=True)
        with path.open("rb") as file:
            file.seek(damage.start)
            kept.write_bytes(file.read(damage.end - damage.start))
    except OSError as failure:
        _log.error("a damaged piece of %s cannot be set aside: %s", path.name, failure)
    if torn:
        _log.warning(
            "%s ends with %d bytes that are no whole request: they were being written when the "
            "process ended, or the file was cut off later; set aside as %s/%s",
            path.name,
            damage.end - damage.start,
            DAMAGED,
            kept.name,
        )
        return
    _log.error(
        "%s: bytes %d to %d cannot be read%s; set aside as %s/%s",
        path.name,
        damage.start,
        damage.end,
        _told(damage.about) + (f" ({error})" if error else ""),
        DAMAGED,
        kept.name,
    )


def _told(about: dict[str, Any] | None) -> str:
    if about is None or "entries" not in about:
        return ""
    rows: dict[str, int] = {}
    for kind, _, _, count in about["entries"]:
        rows[kind] = rows.get(kind, 0) + count
    held = ", ".join(f"{count} {kind}" for kind, count in rows.items())
    return f", which held {held} of {about['project']}/{about['model']}"
