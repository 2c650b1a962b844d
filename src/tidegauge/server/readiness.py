"""Whether the server is ready: every part is tried, each in a thread of its own, within bounds.

A part that hangs (a disk, a database) makes the server not ready; it does not hang the answer.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

from tidegauge.errors import TidegaugeError
from tidegauge.report.format import size
from tidegauge.server.life import Life
from tidegauge.server.logs import said

if TYPE_CHECKING:
    from tidegauge.server.loop_lag import LoopLag
    from tidegauge.server.runtime import Runtime

_log = logging.getLogger(__name__)

State: TypeAlias = Literal["ok", "warning", "failed"]

#: For how long a part may keep the answer waiting, and for how long an answer holds, in seconds.
PATIENCE = 1.5
FRESH = 1.0
_STUCK_AFTER = 60.0
_NEARLY_FULL = 0.9
_OFTEN = 3
_LATE, _TOO_LATE = 0.5, 5.0


@dataclass(frozen=True)
class Finding:
    """What trying a part came to.

    Parameters
    ----------
    state : {"ok", "warning", "failed"}
        Only what failed keeps the server from being ready.
    message : str
        In words.
    """

    state: State
    message: str


@dataclass(frozen=True)
class Part:
    """A part that can be tried.

    Parameters
    ----------
    name : str
    attempt : callable
        Returns a `Finding`; that it raises is one as well.
    """

    name: str
    attempt: Callable[[], Finding]


@dataclass(frozen=True)
class Check:
    """How a part is.

    Parameters
    ----------
    name : str
    state : {"ok", "warning", "failed"}
    message : str
    since : datetime
        When it came to be in this state, as far as was looked.
    """

    name: str
    state: State
    message: str
    since: datetime


@dataclass(frozen=True)
class Report:
    """How all parts are.

    Parameters
    ----------
    checks : tuple of Check
    at : float
        When it was made, on the monotonic clock.
    """

    checks: tuple[Check, ...]
    at: float

    def wrongs(self, exclude: Collection[str] = ()) -> list[str]:
        """Return what keeps the server from being ready, in words."""
        return [
            f"{check.name}: {check.message}"
            for check in self.checks
            if check.state == "failed" and check.name not in exclude
        ]


class Readiness:
    """Tries parts, all at the same time, when somebody asks.

    Parameters
    ----------
    parts : sequence of Part
    life : Life
    patience, fresh : float
        For how long a part may keep the answer waiting, and an answer holds; in seconds.

    Examples
    --------
    >>> def broken():
    ...     raise OSError(30, "Read-only file system")
    >>> parts = Part("fine", lambda: Finding("ok", "")), Part("disk", broken)
    >>> Readiness(parts, Life()).report().wrongs()
    ['server: the server is starting: it opens its journal, catalog and lake',
     'disk: OSError: [Errno 30] Read-only file system']
    """

    def __init__(
        self,
        parts: Sequence[Part],
        life: Life,
        *,
        patience: float = PATIENCE,
        fresh: float = FRESH,
    ) -> None:
        self._parts = tuple(parts)
        self._life = life
        self._patience = patience
        self._fresh = fresh
        self._running: dict[str, tuple[Future[Finding], float]] = {}
        self._checks: dict[str, Check] = {}
        self._report: Report | None = None
        self._guard = threading.Lock()
        self.waiter = ThreadPoolExecutor(1, "readiness")

    def report(self) -> Report:
        """Return how all parts are; from memory within a second of the last look.

        It waits for parts: call it from a thread, such as `waiter`.
        """
        with self._guard:
            held = self._report
            if held is None or time.monotonic() - held.at > self._fresh:
                found = self._tried()
                checks = tuple(self._noted(name, finding) for name, finding in found.items())
                held = self._report = Report(checks, time.monotonic())
        # What phase the server is in is never remembered.
        return Report((self._of_life(), *held.checks), held.at)

    def _of_life(self) -> Check:
        life = self._life
        state: State = "ok" if life.phase == "running" else "failed"
        return Check("server", state, life.words, life.since)

    def _tried(self) -> dict[str, Finding]:
        now = time.monotonic()
        for part in self._parts:
            # One that still hangs is not asked a second time.
            if part.name not in self._running:
                self._running[part.name] = _begin(part), now
        wait([future for future, _ in self._running.values()], self._patience)
        found = {}
        for part in self._parts:
            future, began = self._running[part.name]
            if future.done():
                del self._running[part.name]
                found[part.name] = future.result()
            else:
                waited = time.monotonic() - began
                found[part.name] = Finding("failed", f"it has not answered for {waited:.1f} s")
        return found

    def _noted(self, name: str, finding: Finding) -> Check:
        before = self._checks.get(name)
        if before is not None and before.state == finding.state:
            since = before.since
        else:
            since = datetime.now(UTC)
            about = {"part": name, "state": finding.state, "said": finding.message}
            if finding.state == "failed":
                _log.warning("a part has failed", extra=about)
            elif before is not None and before.state == "failed":
                _log.warning("a part has recovered", extra=about)
            elif before is not None or finding.state == "warning":
                _log.info("a part has changed", extra=about)
        check = self._checks[name] = Check(name, finding.state, finding.message, since)
        return check


def _begin(part: Part) -> Future[Finding]:
    """Try a part in a thread that nobody has to wait for, not even the end of the process."""
    future: Future[Finding] = Future()

    def attempt() -> None:
        try:
            finding = part.attempt()
        except Exception as error:
            told = error.message if isinstance(error, TidegaugeError) else said(error)
            finding = Finding("failed", told)
        future.set_result(finding)

    threading.Thread(target=attempt, name=f"ready-{part.name}", daemon=True).start()
    return future


def checks(runtime: Runtime, lag: LoopLag) -> tuple[Part, ...]:
    """Return the parts of a server."""
    tried: dict[str, Callable[[Runtime], Finding]] = {
        "journal": _journal,
        "backlog": _backlog,
        "disk": _disk,
        "flusher": _flusher,
        "catalog": _catalog,
        "lake": _lake,
        "scheduler": _scheduler,
    }
    parts = [Part(name, partial(attempt, runtime)) for name, attempt in tried.items()]
    return (*parts, Part("event_loop", partial(_event_loop, lag)))


def _journal(runtime: Runtime) -> Finding:
    """Have the journal's thread make a commit."""
    runtime.journal.check()
    return Finding("ok", f"{runtime.journal.depth()} entries wait for the lake")


def _backlog(runtime: Runtime) -> Finding:
    held, most = runtime.journal.backlog_bytes, runtime.settings.max_backlog
    told = f"{size(held)} of at most {size(most)} of acknowledged records wait for the lake"
    if held >= _NEARLY_FULL * most:
        return Finding("failed", told)
    return Finding("warning" if held >= most / 2 else "ok", told)


def _disk(runtime: Runtime) -> Finding:
    """Write something to the data folder."""
    probe = runtime.scratch / "ready"
    with probe.open("wb") as file:
        file.write(b"ready")
        os.fsync(file.fileno())
    probe.unlink(missing_ok=True)
    free = shutil.disk_usage(runtime.settings.data).free
    least = runtime.settings.min_free
    told = f"{size(free)} are free in the data folder"
    if free < least:
        return Finding("failed", f"{told}, less than {size(least)}; make room")
    return Finding("ok", told)


def _flusher(runtime: Runtime) -> Finding:
    flusher = runtime.flusher
    if not flusher.alive:
        return Finding("failed", "it does not run")
    patience = max(_STUCK_AFTER, 10 * flusher.interval)
    last, since = flusher.flushed_at, flusher.silence
    if since > patience:
        told = "no flush has ended" if last is None else "the last flush ended"
        ago = f"{since:.0f} s after the start" if last is None else f"{since:.0f} s ago"
        return Finding("failed", f"{told} {ago}")
    failing = flusher.failing
    if failing:
        (project, model, kind), count = max(failing.items(), key=lambda item: item[1])
        told = f"{kind} of {project}/{model} could not be written {count} times in a row"
        if len(failing) > 1:
            told += f"; {len(failing) - 1} other tables could not either"
        return Finding("failed" if count >= _OFTEN else "warning", told)
    return Finding(
        "ok", "no flush yet" if last is None else f"the last flush was {since:.0f} s ago"
    )


def _catalog(runtime: Runtime) -> Finding:
    runtime.catalog.projects.all()
    return Finding("ok", "it answers")


def _lake(runtime: Runtime) -> Finding:
    runtime.lake.check()
    return Finding("ok", "it answers")


def _scheduler(runtime: Runtime) -> Finding:
    scheduler = runtime.scheduler
    if scheduler is None or not scheduler.alive or not runtime.pulse.alive:
        return Finding("failed", "it does not run: no window is closed")
    if scheduler.paused is not None:
        return Finding("warning", f"it pauses: {scheduler.paused}")
    if not scheduler.leads:
        return Finding("ok", "it stands by: another server closes windows")
    return Finding("ok", "it closes windows")


def _event_loop(lag: LoopLag) -> Finding:
    worst = lag.worst()
    told = f"at most {worst * 1000:.0f} ms late within the last seconds"
    return Finding("failed" if worst > _TOO_LATE else "warning" if worst > _LATE else "ok", told)
