"""The page that holds two versions of a model against each other, and says what to do."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request

from tidegauge.catalog.tables import Version
from tidegauge.errors import BadInput, TidegaugeError
from tidegauge.schema import Role
from tidegauge.server.comparing_versions import Chosen, choose, compare_stored, versions_of
from tidegauge.server.known import Model
from tidegauge.server.pages.asked import Asked, Links, read_time, time_text
from tidegauge.server.pages.framing import frame, model_of
from tidegauge.server.pages.held import Sheet
from tidegauge.server.pages.rendering import render
from tidegauge.server.pages.serving import Clock, Desk
from tidegauge.versions.margins import parse_margins
from tidegauge.versions.view import VersionsView, versions_view

_MOST = 1000


@dataclass(frozen=True)
class Wanted:
    """What the page is asked for, as its address says it.

    Parameters
    ----------
    champion, challenger : str or None
    start, end : datetime or None
    margin : str
        As people write it: ``roc_auc=0.01, latency_p95=20%``.
    metrics, segments : tuple of str
    """

    champion: str | None
    challenger: str | None
    start: datetime | None
    end: datetime | None
    margin: str
    metrics: tuple[str, ...]
    segments: tuple[str, ...]


@dataclass(frozen=True)
class Choice:
    """One version that can be chosen.

    Parameters
    ----------
    name : str
    first_seen, last_seen : datetime
    """

    name: str
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True)
class Form:
    """What the form says.

    Parameters
    ----------
    champion, challenger, start, end, margin : str
    metrics, segments : tuple of str
    """

    champion: str
    challenger: str
    start: str
    end: str
    margin: str
    metrics: tuple[str, ...]
    segments: tuple[str, ...]


def versions_page(desk: Desk, request: Request, clock: Clock) -> Sheet:
    """Champion and challenger side by side, and whether the challenger may ship."""
    found = model_of(desk, request)
    standing = desk.reading.standing(found)
    versions = versions_of(desk.runtime, found)
    newest = standing.newest
    facts = desk.runtime.facts.of(found)
    moving = f"{facts.records}-{_labels(desk, found)}" if newest is None else ""
    stamp = f"{standing.stamp}-{[(one.name, str(one.last_seen)) for one in versions]}-{moving}"
    clock.lap("stamp")

    def make(error: TidegaugeError | None = None) -> str:
        chosen, view = None, None
        with nullcontext() if error is None else suppress(TidegaugeError):
            wanted = _asked(request)
            chosen = _choose(versions, wanted, newest)
            if error is None and chosen is not None:
                view = _view(desk, found, chosen, wanted)
        clock.lap("view")
        values = {**frame(standing, Asked(), None, "versions"), "view": view, "chosen": chosen}
        values |= {
            "choices": [_choice(one) for one in versions],
            "form": _form(request.query_params, chosen),
            "error": "" if error is None else error.message,
            "address": str(request.base_url).rstrip("/"),
            "api": "" if chosen is None else _api(found, chosen, request.query_params),
            "label": found.schema.role(Role.LABEL),
        }
        return render("challenge.html", values)

    query = urlencode(sorted(request.query_params.multi_items()))
    try:
        sheet = desk.held(clock, f"{request.url.path}?{query}", stamp, make)
    except BadInput as error:
        # What was typed stays in the form, beside what is wrong with it.
        sheet = Sheet.of(make(error), error.status)
    clock.lap("render")
    return sheet


def _labels(desk: Desk, found: Model) -> int | None:
    return desk.runtime.lake.table_version(found.project, found.name, "labels")


def _asked(request: Request) -> Wanted:
    query = request.query_params
    return Wanted(
        query.get("champion", "")[:_MOST] or None,
        query.get("challenger", "")[:_MOST] or None,
        read_time(query.get("start"), "start"),
        read_time(query.get("end"), "end"),
        ", ".join(query.getlist("margin"))[:_MOST],
        tuple(one for one in query.getlist("metric") if one),
        tuple(one for one in query.getlist("segment") if one),
    )


def _choose(versions: Sequence[Version], wanted: Wanted, newest: datetime | None) -> Chosen | None:
    return choose(versions, wanted.champion, wanted.challenger, wanted.start, wanted.end, newest)


def _view(desk: Desk, found: Model, chosen: Chosen, wanted: Wanted) -> VersionsView:
    report = compare_stored(
        desk.runtime,
        found,
        chosen,
        metric=wanted.metrics,
        margin=parse_margins([wanted.margin]),
        segments=wanted.segments,
    )
    return versions_view(report)


def _choice(version: Version) -> Choice:
    return Choice(version.name or "", version.first_seen, version.last_seen)


def _form(query: QueryParams, chosen: Chosen | None) -> Form:
    """Return what was asked for, filled up with what was chosen in its place."""

    def text(name: str, default: str = "") -> str:
        return (query.get(name) or default)[:_MOST]

    return Form(
        text("champion", "" if chosen is None else chosen.champion),
        text("challenger", "" if chosen is None else chosen.challenger),
        text("start", "" if chosen is None else time_text(chosen.start)),
        text("end", "" if chosen is None else time_text(chosen.end)),
        ", ".join(one for one in query.getlist("margin") if one)[:_MOST],
        tuple(one for one in query.getlist("metric") if one),
        tuple(one for one in query.getlist("segment") if one),
    )


def _api(found: Model, chosen: Chosen, query: QueryParams) -> str:
    """Return where a program reads the same."""
    wanted = [
        ("champion", chosen.champion),
        ("challenger", chosen.challenger),
        ("start", chosen.start.isoformat().replace("+00:00", "Z")),
        ("end", chosen.end.isoformat().replace("+00:00", "Z")),
    ]
    for name in ("margin", "metric", "segment"):
        wanted += [(name, one) for one in query.getlist(name) if one]
    links = Links(found.project, found.name)
    return f"{links.api}/versions/compare?{urlencode(wanted, safe=':,=')}"
