"""Looking at a journal's folder without changing it, also while a server writes there."""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidegauge.errors import Conflict
from tidegauge.keeping.findings import Examination, Severity
from tidegauge.keeping.journals import ANSWERS
from tidegauge.lake.filelock import FileLock
from tidegauge.lake.frames import Damage, FrameKind, scan
from tidegauge.lake.recovery import DAMAGED, TORN
from tidegauge.lake.segments import SUFFIX

#: A running server's entries should be in the lake long before.
STUCK_SECONDS = 600.0

#: Project, model, kind, journal.
Source = tuple[str, str, str, str]


@dataclass
class Waiting:
    """Entries of one table that came through one journal.

    Parameters
    ----------
    offsets : list of (int, int, float)
        Offset, rows, and when it was received in seconds since 1970.
    """

    offsets: list[tuple[int, int, float]] = field(default_factory=list)


@dataclass
class JournalState:
    """What a journal's folder holds.

    Parameters
    ----------
    folder : Path
        The data folder.
    running : bool
        Whether a server holds it.
    entries : dict of (project, model, kind, journal) to Waiting
    segments : int
    """

    folder: Path
    running: bool
    entries: dict[Source, Waiting] = field(default_factory=lambda: defaultdict(Waiting))
    segments: int = 0


def is_held(folder: Path) -> bool:
    """Whether a server holds a data folder."""
    path = folder / "journal" / "lock"
    if not path.exists():
        return False
    lock = FileLock(path, "this journal")
    try:
        lock.acquire()
    except Conflict:
        return True
    lock.release()
    return False


def look_at_journal(folder: Path, found: Examination) -> JournalState:
    """Read what is in a data folder's journal, and note what is damaged."""
    journal = folder / "journal"
    state = JournalState(folder, is_held(folder))
    old = folder / "journal.sqlite"
    if old.exists():
        _look_at_old(old, found)
    if not journal.is_dir():
        return state
    paths = sorted(journal.glob(f"*{SUFFIX}"))
    for path in paths:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue  # The lake has all of it since it was listed.
        except OSError as error:
            found.add(
                "journal_damaged",
                Severity.ERROR,
                str(path),
                f"the segment cannot be read: {error.strerror}",
                "see to the disk, or restore a back-up",
            )
            continue
        state.segments += 1
        _look_at_segment(path, content, state, found, being_written=path == paths[-1])
    _look_at_pieces(journal / DAMAGED, found)
    _look_at_answers(journal / ANSWERS, found)
    return state


def _look_at_segment(
    path: Path, content: bytes, state: JournalState, found: Examination, *, being_written: bool
) -> None:
    pieces = list(scan(memoryview(content)))
    layouts: set[int] = set()
    for at, piece in enumerate(pieces):
        if isinstance(piece, Damage):
            if piece.about is None and at == len(pieces) - 1:
                if not (state.running and being_written):
                    _torn(path, piece, found)
            else:
                _damaged(path, piece, found)
            continue
        if piece.kind is FrameKind.LAYOUT:
            layouts.add(piece.about["layout"])
        if piece.kind is not FrameKind.REQUEST:
            continue
        about = piece.about
        if any(layout not in layouts for _, _, layout, _ in about["entries"]):
            _damaged(path, Damage(piece.start, piece.end, about), found)
            continue
        for place, (kind, _, _, rows) in enumerate(about["entries"]):
            source = about["project"], about["model"], kind, about["journal"]
            state.entries[source].offsets.append(
                (about["offset"] + place, rows, about["received_at"] / 1e6)
            )


def _torn(path: Path, piece: Damage, found: Examination) -> None:
    found.add(
        "journal_torn",
        Severity.NOTE,
        str(path),
        f"ends with {piece.end - piece.start} bytes that are no whole request: they were being "
        "written when the server ended, and were not acknowledged",
        "the next start sets them aside",
    )


def _damaged(path: Path, piece: Damage, found: Examination) -> None:
    about: dict[str, Any] = piece.about or {}
    whose = ""
    if "entries" in about:
        rows: dict[str, int] = defaultdict(int)
        for kind, _, _, count in about["entries"]:
            rows[kind] += count
        told = ", ".join(f"{count} {kind}" for kind, count in rows.items())
        whose = f": {told} of {about['project']}/{about['model']}"
    found.add(
        "journal_damaged",
        Severity.ERROR,
        str(path),
        f"bytes {piece.start} to {piece.end} are not what was written{whose}",
        "the next start sets them aside and goes on with the rest; have what they held sent "
        "again, or restore a back-up",
    )


def _look_at_pieces(folder: Path, found: Examination) -> None:
    if not folder.is_dir():
        return
    pieces = [path.name for path in folder.iterdir() if not path.name.endswith(TORN)]
    if pieces:
        found.add(
            "journal_set_aside",
            Severity.WARNING,
            str(folder),
            f"{len(pieces)} damaged pieces were set aside by earlier starts",
            "the server's log of that start says whose records they held; have them sent again, "
            "then delete the pieces",
        )


def _look_at_answers(path: Path, found: Examination) -> None:
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as answers:
            said = answers.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        said = str(error)
    if said != "ok":
        found.add(
            "answers_damaged",
            Severity.WARNING,
            str(path),
            f"the answers of the last 24 hours cannot be read: {said}",
            "the next start sets the file aside; a request that is sent again under its key may "
            "be stored twice until a day has passed",
        )


def _look_at_old(path: Path, found: Examination) -> None:
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as journal:
            tables = {row[0] for row in journal.execute("SELECT name FROM sqlite_master")}
            count = (
                journal.execute("SELECT count(*) FROM entries").fetchone()[0]
                if "entries" in tables
                else 0
            )
    except sqlite3.DatabaseError:
        return
    if count:
        found.add(
            "journal_of_before",
            Severity.ERROR,
            str(path),
            f"{count} entries wait in a journal of before 0.1, which this version does not read",
            "start the version that wrote it once, and stop it: it moves them to the lake",
        )


def look_at_waiting(
    state: JournalState,
    in_lake: Callable[[Source], int],
    models: set[tuple[str, str]],
    found: Examination,
    *,
    now: float | None = None,
) -> None:
    """Hold a journal's entries to what the lake has of them.

    Parameters
    ----------
    in_lake : callable
        Returns how far a table has come with a journal; 0 where it has nothing.
    models : set of (project, model)
        Those that the catalog knows.
    """
    now = time.time() if now is None else now
    total = rows = 0
    for source, waiting in sorted(state.entries.items()):
        project, model, kind, _ = source
        fresh = [one for one in waiting.offsets if one[0] > in_lake(source)]
        total += len(fresh)
        rows += sum(one[1] for one in fresh)
        where = f"{project}/{model}/{kind}"
        if fresh and (project, model) not in models:
            found.add(
                "journal_of_unknown_model",
                Severity.WARNING,
                where,
                f"{len(fresh)} entries wait in {state.folder}/journal for a model that the "
                "catalog does not know",
                "they go to the lake all the same; the model's first record by the API makes it",
            )
        oldest = min((one[2] for one in fresh), default=now)
        if state.running and now - oldest > STUCK_SECONDS:
            found.add(
                "journal_stuck",
                Severity.ERROR,
                where,
                f"{len(fresh)} entries have waited in {state.folder}/journal for up to "
                f"{(now - oldest) / 60:.0f} minutes",
                "the server's log says why it cannot write this table; they are kept until it can",
            )
    words = "a server runs" if state.running else "no server runs"
    later = "" if state.running else "; the next start moves them"
    found.facts.append(
        f"journal in {state.folder}: {words}, {state.segments} segments, {total} entries "
        f"({rows} rows) on their way to the lake{later if total else ''}"
    )
