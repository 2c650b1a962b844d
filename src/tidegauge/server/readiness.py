"""What keeps a server from being ready; each answer comes from trying it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tidegauge.errors import TidegaugeError

if TYPE_CHECKING:
    from tidegauge.server.runtime import Runtime

_STUCK_AFTER = 60.0


def wrongs(runtime: Runtime) -> list[str]:
    """Return what is wrong, in words; nothing if the server is ready."""
    found: list[str] = []
    for check in (_journal, _backlog, _flusher, _catalog, _disk):
        try:
            found += check(runtime)
        except Exception as error:
            message = error.message if isinstance(error, TidegaugeError) else repr(error)
            found.append(f"{check.__name__.strip('_')}: {message}")
    return found


def _journal(runtime: Runtime) -> Iterator[str]:
    """Have the journal's thread make a transaction."""
    runtime.journal.trim({})
    yield from ()


def _backlog(runtime: Runtime) -> Iterator[str]:
    held, most = runtime.journal.backlog_bytes, runtime.settings.max_backlog
    if held >= 0.9 * most:
        yield f"backlog: {held >> 20} of {most >> 20} MiB of acknowledged records wait for the lake"


def _flusher(runtime: Runtime) -> Iterator[str]:
    flusher = runtime.flusher
    if not flusher.alive:
        yield "flusher: it does not run"
    for (project, model, kind), count in flusher.failing.items():
        yield f"flusher: {kind} of {project}/{model} could not be written {count} times in a row"
    patience = max(_STUCK_AFTER, 10 * flusher.interval)
    last = flusher.flushed_at
    if last is not None and time.time() - last > patience:
        yield f"flusher: the last flush ended {time.time() - last:.0f} s ago"


def _catalog(runtime: Runtime) -> Iterator[str]:
    runtime.catalog.projects.all()
    yield from ()


def _disk(runtime: Runtime) -> Iterator[str]:
    """Write something to the data folder."""
    probe = runtime.scratch / "ready"
    with probe.open("wb") as file:
        file.write(b"ready")
        os.fsync(file.fileno())
    probe.unlink(missing_ok=True)
    free = shutil.disk_usage(runtime.settings.data).free
    if free < runtime.settings.min_free:
        yield f"disk: {free >> 20} MiB are free in the data folder"
