"""The page of the server itself: is it well, does it keep up, who closes windows."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import Request

from tidegauge.errors import Unavailable
from tidegauge.report.format import count, duration, plural, share, size
from tidegauge.server.known import Model
from tidegauge.server.life import Life
from tidegauge.server.pages.held import Sheet
from tidegauge.server.pages.rendering import render
from tidegauge.server.pages.serving import Clock, Desk
from tidegauge.server.pages.verdict import Verdict
from tidegauge.server.readiness import Readiness, Report
from tidegauge.server.runtime import Runtime
from tidegauge.version import __version__

#: How the states of parts are shown.
_SHOWN = {"ok": "ok", "warning": "warning", "failed": "alarm"}
_WORSE = {"failed": 0, "warning": 1, "ok": 2}
#: Models that have work to be done, in the table.
MOST = 50


@dataclass(frozen=True)
class Figure:
    """A number of the server's, with what it means.

    Parameters
    ----------
    label, value, about : str
    """

    label: str
    value: str
    about: str = ""


@dataclass(frozen=True)
class Part:
    """A part of the server, tried.

    Parameters
    ----------
    name : str
    state : str
        As pages show it.
    message : str
    since : datetime
    """

    name: str
    state: str
    message: str
    since: datetime


@dataclass(frozen=True)
class Behind:
    """A model that has something to be done.

    Parameters
    ----------
    model : Model
    windows, restatements, records : int
        To be closed, to be made, and not in the lake yet.
    lag : float
        Seconds that the closed windows are behind those that could be.
    """

    model: Model
    windows: int
    restatements: int
    records: int
    lag: float


@dataclass(frozen=True)
class ServerView:
    """What the page shows.

    Parameters
    ----------
    verdict : Verdict
    parts : tuple of Part
        What is wrong first.
    figures : tuple of Figure
    behind : tuple of Behind or None
        None where the catalog does not tell.
    models, left_out : int
        How many there are, and how many that are behind are not shown.
    """

    verdict: Verdict
    parts: tuple[Part, ...]
    figures: tuple[Figure, ...]
    behind: tuple[Behind, ...] | None
    models: int
    left_out: int = 0


def server_view(
    report: Report,
    figures: Iterable[Figure],
    models: Iterable[Model],
    lags: Mapping[int, Mapping[str, int]] | None,
    waiting: Mapping[int, int],
) -> ServerView:
    """Put the page together.

    Parameters
    ----------
    report : Report
    figures : iterable of Figure
    models : iterable of Model
    lags : mapping of int to mapping or None
        What the scheduler has to do, by the models' ids.
    waiting : mapping of int to int
        Rows that are not in the lake yet, by the models' ids.
    """
    held = list(models)
    parts = tuple(
        Part(one.name.replace("_", " "), _SHOWN[one.state], one.message, one.since)
        for one in sorted(report.checks, key=lambda one: _WORSE[one.state])
    )
    behind = None
    left_out = 0
    if lags is not None:
        rows = [_behind(one, lags.get(one.id, {}), waiting.get(one.id, 0)) for one in held]
        some = [row for row in rows if row.windows or row.restatements or row.records]
        some.sort(key=lambda row: (-row.lag, -row.restatements, -row.records, row.model.name))
        behind, left_out = tuple(some[:MOST]), max(0, len(some) - MOST)
    return ServerView(_verdict(report), parts, tuple(figures), behind, len(held), left_out)


def _behind(model: Model, lag: Mapping[str, int], records: int) -> Behind:
    windows = lag.get("windows", 0)
    seconds = windows * model.window.total_seconds()
    return Behind(model, windows, lag.get("restatements", 0), records, seconds)


def _verdict(report: Report) -> Verdict:
    """Say in a sentence whether the server is well.

    Examples
    --------
    >>> from tidegauge.server.readiness import Check
    >>> now = datetime(2026, 1, 1, tzinfo=UTC)
    >>> _verdict(Report((Check("disk", "failed", "3 MiB are free", now),), 0.0)).sentence
    'The server is not ready: disk.'
    >>> _verdict(Report((Check("disk", "ok", "", now),), 0.0)).sentence
    'The server is well.'
    """
    failed = [one.name.replace("_", " ") for one in report.checks if one.state == "failed"]
    if failed:
        about = "Load balancers are told to send requests elsewhere; what is acknowledged is safe."
        return Verdict("alarm", f"The server is not ready: {', '.join(failed)}.", about)
    warned = [one.name.replace("_", " ") for one in report.checks if one.state == "warning"]
    if warned:
        return Verdict("warning", f"The server works; to be looked at: {', '.join(warned)}.")
    return Verdict("ok", "The server is well.")


def figures_of(runtime: Runtime, life: Life) -> list[Figure]:
    """Return the server's own numbers."""
    journal, flusher, settings = runtime.journal, runtime.flusher, runtime.settings
    now = datetime.now(UTC)
    filled = share(journal.backlog_bytes / settings.max_backlog)
    flushed = "none yet"
    if flusher.flushed_at is not None:
        flushed = f"{duration(max(0.0, now.timestamp() - flusher.flushed_at))} ago"
    leads = runtime.scheduler is not None and runtime.scheduler.leads
    return [
        Figure(
            "waiting for the lake",
            plural(journal.depth(), "entry", "entries"),
            f"{size(journal.backlog_bytes)}, {filled} of what may wait",
        ),
        Figure("oldest of these", duration(journal.oldest_age()), "acknowledged, not yet readable"),
        Figure("last flush", flushed, f"every {duration(settings.flush_interval.total_seconds())}"),
        Figure(
            "windows are closed by",
            "this server" if leads else "another server",
            "it holds the lease" if leads else "this one stands by",
        ),
        Figure("requests in flight", count(runtime.intake.requests), "with records"),
        Figure(
            "running for",
            duration((now - life.since).total_seconds()),
            f"version {__version__}, Python {platform.python_version()}",
        ),
    ]


def server_page(desk: Desk, request: Request, clock: Clock) -> Sheet:
    """The server itself."""
    runtime = desk.runtime
    readiness: Readiness = request.app.state.readiness
    report = readiness.report()
    clock.lap("checks")
    lags = None
    if not any(one.name == "catalog" and one.state == "failed" for one in report.checks):
        try:
            lags = runtime.lags()
        except Unavailable:
            lags = None
    models = runtime.models()
    waiting = {one.id: runtime.waiting(one) for one in models}
    figures = figures_of(runtime, request.app.state.life)
    view = server_view(report, figures, models, lags, waiting)
    clock.lap("read")
    return Sheet.of(render("server.html", {"view": view}))
