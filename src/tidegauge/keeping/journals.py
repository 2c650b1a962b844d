"""Journals copied from beside a running server, and put together for one that starts anew."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tidegauge.errors import Unavailable
from tidegauge.lake.frames import Frame, FrameKind
from tidegauge.lake.recovery import DAMAGED
from tidegauge.lake.segments import SUFFIX, frames_of, read_segments

ANSWERS = "answers.sqlite"


def copy_journal(journal: Path, target: Path) -> list[str]:
    """Copy what a journal holds, while a server may be writing it.

    Segments come first, then the answers to idempotency keys: those of a segment that goes
    meanwhile are stored before it does. What a segment that goes holds is in the lake then, so
    whoever wants everything copies the lake after this.

    Parameters
    ----------
    journal : Path
        The journal's folder.
    target : Path
        A folder that is made.

    Returns
    -------
    list of str
        What could not be read and is left out, and why.

    Raises
    ------
    OSError, Unavailable
        If it cannot be copied.
    """
    target.mkdir(parents=True)
    for path in read_segments(journal):
        copied = target / path.name
        try:
            shutil.copyfile(path, copied)
        except FileNotFoundError:
            continue
        if not _cut_to_frames(copied):
            copied.unlink()
    missing = _copy_answers(journal / ANSWERS, target / ANSWERS)
    if (journal / DAMAGED).is_dir():
        shutil.copytree(journal / DAMAGED, target / DAMAGED)
    return missing


def _cut_to_frames(path: Path) -> int:
    """Cut off what stands after the last whole frame; return how many requests are before it."""
    end = requests = 0
    for piece in frames_of(path):
        if isinstance(piece, Frame):
            end = piece.end
            requests += piece.kind is FrameKind.REQUEST
        elif piece.about is not None:
            end = piece.end  # Damaged since it was written; kept, so that it is said again.
    with path.open("rb+") as file:
        file.truncate(end)
    return requests


def _copy_answers(source: Path, target: Path) -> list[str]:
    if not source.exists():
        return []
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=10)) as held,
            closing(sqlite3.connect(target)) as copied,
        ):
            held.backup(copied)
            copied.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError as error:
        raise Unavailable(f"the journal's {source} cannot be copied: {error}") from None
    except sqlite3.DatabaseError as error:
        target.unlink(missing_ok=True)
        return [f"{source}, the answers to keys of the last 24 hours: {error}"]
    return []


def merge_journals(sources: Sequence[Path], target: Path) -> None:
    """Put copies of journals together as one journal's folder.

    Segments keep the ids of the journals that wrote them; only their files are numbered anew.
    """
    target.mkdir(parents=True, exist_ok=True)
    number = 0
    for source in sources:
        for path in read_segments(source):
            number += 1
            shutil.copyfile(path, target / f"{number:012d}{SUFFIX}")
        if (source / DAMAGED).is_dir():
            (target / DAMAGED).mkdir(exist_ok=True)
            for path in (source / DAMAGED).iterdir():
                shutil.copyfile(path, target / DAMAGED / f"{source.name}-{path.name}")
    answers = [source / ANSWERS for source in sources if (source / ANSWERS).exists()]
    if answers:
        shutil.copyfile(answers[0], target / ANSWERS)
        with closing(sqlite3.connect(target / ANSWERS)) as merged:
            for at, path in enumerate(answers[1:]):
                merged.execute(f"ATTACH ? AS other{at}", (str(path),))
                merged.execute(f"INSERT OR IGNORE INTO answers SELECT * FROM other{at}.answers")
                merged.commit()
                merged.execute(f"DETACH other{at}")
