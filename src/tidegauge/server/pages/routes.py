"""The addresses of pages, and what each of them shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from tidegauge.catalog.tables import AuditEntry, Incident
from tidegauge.engine.quarantine import QuarantineReader
from tidegauge.errors import BadInput, NotFound, Overloaded
from tidegauge.explain.segment_rows import question_of
from tidegauge.explain.worst_segments import WorstSegments
from tidegauge.lake.wildcard import ANY
from tidegauge.report.format import interval
from tidegauge.schema import Column, ColumnType
from tidegauge.server.changing import outdated
from tidegauge.server.known import Model
from tidegauge.server.newcomers import new_columns
from tidegauge.server.pages import (
    column,
    fleet,
    incident,
    listing,
    model,
    monitors,
    segment,
    window,
)
from tidegauge.server.pages.asked import SEARCH, Asked, Links, read_time, time_text
from tidegauge.server.pages.decomposed import why_of
from tidegauge.server.pages.deeds import DEEDS
from tidegauge.server.pages.distributions import window_histogram
from tidegauge.server.pages.drawings import DRAWINGS
from tidegauge.server.pages.framing import frame, model_of, opened
from tidegauge.server.pages.held import Sheet
from tidegauge.server.pages.history import History
from tidegauge.server.pages.quarantine import quarantine_page
from tidegauge.server.pages.reading import Standing, window_at
from tidegauge.server.pages.rendering import render, static_file
from tidegauge.server.pages.schema import PATIENCE, schema_page
from tidegauge.server.pages.server import server_page
from tidegauge.server.pages.serving import Clock, Desk, Elsewhere, page
from tidegauge.server.pages.span import Span
from tidegauge.server.pages.versions import versions_page
from tidegauge.server.searching import Asked as Search
from tidegauge.server.searching import usual_interval, worst_of_incident
from tidegauge.server.shown import by_harm

#: Windows of a model's row among all models.
_FLEET_WINDOWS = 60
_NOTES = 10_000
#: New columns that a model's page names.
_NAMED = 4


def fleet_page(desk: Desk, request: Request, clock: Clock) -> Sheet:
    """All models, or those of one project."""
    runtime = desk.runtime
    project = request.path_params.get("project")
    models = runtime.models(project)
    if project is not None and not models:
        raise NotFound(f"there is no project {project!r}", code="unknown_project")
    by_model: dict[int, list[Incident]] = {one.id: [] for one in models}
    for one in runtime.catalog.incidents.all(project=project):
        by_model.setdefault(one.model_id, []).append(one)
    standings = [desk.reading.standing(one, by_model[one.id]) for one in models]
    facts = [runtime.facts.of(one) for one in models]
    stamp = "/".join(f"{one.stamp}-{f.records}" for one, f in zip(standings, facts, strict=True))
    clock.lap("stamp")

    def make() -> str:
        rows = []
        for standing, fact in zip(standings, facts, strict=True):
            rows.append(
                fleet.fleet_row(
                    standing.model,
                    _newest_history(desk, standing),
                    has_baseline=standing.baseline is not None,
                    last_event=fact.last_event,
                    records=fact.records,
                )
            )
        view = fleet.fleet_view(rows)
        clock.lap("view")
        address = str(request.base_url).rstrip("/")
        return render("fleet.html", {"view": view, "project": project, "address": address})

    sheet = desk.held(clock, str(request.url.replace(query="")), stamp, make)
    clock.lap("render")
    return sheet


def _newest_history(desk: Desk, standing: Standing) -> History | None:
    newest, width = standing.newest, standing.model.window
    if newest is None:
        return None
    return desk.reading.history(standing, Asked(start=newest - _FLEET_WINDOWS * width))


def model_page(desk: Desk, request: Request, clock: Clock) -> Sheet:
    """A model: how is it, since when, and what is it about."""
    standing, asked, span = opened(desk, request)
    facts = desk.runtime.facts.of(standing.model)
    arriving = desk.runtime.waiting(standing.model) if span is None else 0
    waiting = f"{facts.records}-{facts.last_event}-{arriving}" if span is None else ""
    aside = _aside(desk, standing.model)
    waiting += f"-{aside}"
    clock.lap("stamp")

    def make() -> str:
        values = {**frame(standing, asked, span, "model"), **aside}
        history = desk.reading.history(standing, asked, span)
        if history is None:
            address = str(request.base_url).rstrip("/")
            values |= {"facts": facts, "address": address, "arriving": arriving}
            return render("waiting.html", values)
        by_segment = desk.reading.by_segment(history) if asked.segment is None else None
        clock.lap("read")
        view = model.model_view(history, by_segment)
        clock.lap("view")
        return render("model.html", {**values, "view": view, "history": history})

    address = request.url.path + asked.query()
    sheet = desk.held(clock, address, f"{standing.stamp}{waiting}", make)
    clock.lap("render")
    return sheet


def _aside(desk: Desk, found: Model) -> dict[str, Any]:
    """Return what a model's page tells of what did not fit, is not known, or changed its type."""
    fresh = new_columns(desk.runtime, found, patience=PATIENCE).columns
    reader = QuarantineReader(desk.runtime.engine)
    baseline = desk.runtime.baseline(found)
    return {
        "wider": () if baseline is None else outdated(found.schema, baseline.layout.schema),
        "kept": reader.count(found.project, found.name),
        "fresh": [column.name for column in fresh[:_NAMED]],
        "fresh_count": len(fresh),
    }


def column_page(desk: Desk, request: Request, clock: Clock) -> Sheet:
    """A column: what happened to this input."""
    standing, asked, span = opened(desk, request)
    held = column_of(standing.model, request)
    clock.lap("stamp")

    def make() -> str:
        history = _some_history(desk, standing, asked, span)
        clock.lap("read")
        view = column.column_view(history, held.name)
        distribution = _distribution(desk, history, view)
        clock.lap("view")
        values = frame(standing, asked, span, "column")
        words = held.type in (ColumnType.CATEGORICAL, ColumnType.BOOLEAN)
        more = {"view": view, "history": history, "distribution": distribution, "words": words}
        return render("column.html", {**values, **more})

    sheet = desk.held(clock, request.url.path + asked.query(), standing.stamp, make)
    clock.lap("render")
    return sheet


def segment_page(desk: Desk, request: Request, clock: Clock) -> Sheet:
    """A segment column: for whom is it worse, and is it fair."""
    standing, asked, span = opened(desk, request)
    asked = replace(asked, segment=None)
    name = _segment_column(standing.model, request)
    searched = request.query_params.get("search") == "yes"
    times = _search_times(desk, standing, span)
    clock.lap("stamp")

    def make() -> str:
        history = _some_history(desk, standing, asked, span)
        metric = segment.leading(history)
        by_metric = None if metric is None else desk.reading.of_segments(history, metric.name)
        by_size = desk.reading.of_segments(history, "row_count")
        clock.lap("read")
        view = segment.segment_page_view(history, name, by_metric, by_size)
        clock.lap("view")
        found = _searched(desk, standing.model, times, view.metric) if searched else None
        clock.lap("search")
        values = frame(standing, asked, span, "segment")
        values |= {"times": None if times is None else interval(*times), "found": found}
        return render("segment.html", {**values, "view": view, "history": history})

    address, stamp = request.url.path + asked.query(), standing.stamp
    if searched:
        lake, names = desk.runtime.lake, (standing.model.project, standing.model.name)
        tables = [lake.table_version(*names, table) for table in ("records", "labels")]
        address, stamp = f"{address}#{SEARCH}", f"{stamp}-{tables}"
    sheet = desk.held(clock, address, stamp, make)
    clock.lap("render")
    return sheet


def _search_times(
    desk: Desk, standing: Standing, span: Span | None
) -> tuple[datetime, datetime] | None:
    """Return the time that is searched: the range that is asked for, else the newest windows."""
    if span is not None and span.asked:
        return span.start, span.end
    return usual_interval(desk.runtime, standing.model)


def _searched(
    desk: Desk, found: Model, times: tuple[datetime, datetime] | None, metric: str | None
) -> WorstSegments | str | None:
    """Return what the search found, or why it could not be made; by the page's metric if it can."""
    if times is None:
        return None
    try:
        question_of(found.schema, metric)
    except BadInput:
        metric = None
    try:
        return desk.runtime.segment_search.of(found, Search(*times, metric=metric))
    except (BadInput, Overloaded) as error:
        return error.message


def _segment_column(found: Model, request: Request) -> str:
    """Return the segment column that an address names.

    Raises
    ------
    NotFound
        Naming those that there are.
    """
    name: str = request.path_params["column"]
    if name not in found.schema.segments:
        there = ", ".join(repr(one) for one in found.schema.segments)
        known = f"there are {there}" if there else "its schema names none under 'segments'"
        raise NotFound(
            f"model {found.name!r} has no segment column {name!r}: {known}",
            code="unknown_segment",
        )
    return name


def column_of(found: Model, request: Request) -> Column:
    """Return the column that an address names.

    Raises
    ------
    NotFound
        Naming what it may have been meant to be.
    """
    name = request.path_params["column"]
    if name not in found.schema:
        raise NotFound(
            f"model {found.name!r} has no column {name!r}{found.schema.hint(name)}",
            code="unknown_column",
        )
    return found.schema[name]


def _some_history(desk: Desk, standing: Standing, asked: Asked, span: Span | None) -> History:
    history = desk.reading.history(standing, asked, span)
    if history is None:
        raise NotFound(
            f"no window of {standing.model.name!r} is closed yet, so there is nothing to show; "
            "a window closes once a later record has come",
            code="no_windows",
        )
    return history


def _distribution(desk: Desk, history: History, view: column.ColumnView) -> dict[str, Any] | None:
    """Return the chart of one window's distribution; of a range it is fetched by the page."""
    chosen = view.chosen
    baseline = desk.runtime.baseline(history.model)
    if chosen is None or chosen.why == column.ALL or baseline is None:
        return None
    profile = desk.reading.distributions.window(
        history.model, baseline, chosen.start, history.asked.version
    )
    histogram = None if profile is None else window_histogram(baseline, profile, view.column.name)
    if histogram is None:
        return None
    alarm = view.headline is not None and view.headline.state == "alarm"
    spec = column.distribution_chart(view.column, histogram, chosen.words, alarm=alarm)
    return {"spec": spec, "under": column.outside(histogram)}


def incidents_page(desk: Desk, request: Request, clock: Clock) -> Sheet:
    """The incidents of a model, the most harmful first."""
    standing, asked, span = opened(desk, request)
    state, kind = (request.query_params.get(name, "") for name in ("state", "kind"))
    clock.lap("stamp")

    def make() -> str:
        history = None if span is None else desk.reading.history(standing, asked, span)
        within = [] if history is None else history.within
        if history is not None and not history.span.asked:
            within = by_harm(standing.incidents)
        view = listing.list_view(within, history, state, kind)
        clock.lap("view")
        values = frame(standing, asked, span, "incidents")
        return render("incidents.html", {**values, "view": view})

    address = f"{request.url.path}{asked.query()}#{state}#{kind}"
    sheet = desk.held(clock, address, standing.stamp, make)
    clock.lap("render")
    return sheet


def incident_page(desk: Desk, request: Request, clock: Clock) -> Sheet:
    """An incident: what is it, why, what now."""
    found = model_of(desk, request)
    standing = desk.reading.standing(found)
    one = incident_of(standing, request)
    notes = notes_of(desk, found, one)
    searched = None
    if request.query_params.get("search") == "segments":
        searched = worst_of_incident(desk.runtime, found, one)
    clock.lap("stamp")

    def make() -> str:
        whole = desk.reading.span(standing, Asked())
        assert whole is not None
        span = whole.around(one.first_window, one.last_window)
        asked = Asked(version=one.version)
        history = desk.reading.history(standing, asked, span)
        assert history is not None
        alarms = desk.runtime.catalog.incidents.alarms(one.id)
        clock.lap("read")
        view = incident.incident_view(history, one, alarms, notes)
        distribution = _evidence(desk, history, view)
        units = incident.units_of(history, view.alarms)
        results = [incident.as_result(alarm, units) for alarm in view.alarms]
        clock.lap("view")
        values = frame(standing, Asked(), span, "incident")
        values |= {"view": view, "history": history, "results": results, "searched": searched}
        values["why"] = why_of(history, one)
        return render("incident.html", {**values, "distribution": distribution})

    stamp = f"{standing.stamp}-{notes[0].id if notes else 0}-{len(notes)}"
    if searched is not None:
        stamp += f"-{searched.records}-{searched.labelled}"
    asked_for = "" if searched is None else "?search=segments"
    sheet = desk.held(clock, request.url.path + asked_for, stamp, make)
    clock.lap("render")
    return sheet


def incident_of(standing: Standing, request: Request) -> Incident:
    """Return the incident that an address names.

    Raises
    ------
    NotFound
    """
    number = request.path_params["incident"]
    for one in standing.incidents:
        if one.id == number:
            return one
    raise NotFound(
        f"model {standing.model.name!r} has no incident {number}; its incidents are listed at "
        f"{Links(standing.model.project, standing.model.name).incidents()}",
        code="unknown_incident",
    )


def notes_of(desk: Desk, found: Model, one: Incident) -> Sequence[AuditEntry]:
    """Return what people did about an incident, the newest first."""
    entries = desk.runtime.catalog.audit.all(project=found.project, limit=_NOTES)
    return [entry for entry in entries if entry.subject == f"incident/{one.id}"]


def _evidence(desk: Desk, history: History, view: incident.IncidentView) -> dict[str, Any] | None:
    """Return the distribution of the column that an incident is about most, in its worst window."""
    _, name = view.leading
    start = view.worst.window_start
    if name is None and view.suspects:
        name = view.suspects[0].name
        drift = history.drift[name].between(view.incident.first_window, view.end)
        place = drift.worst()
        worst = None if place is None else drift.result(place).window_start
        start = worst or start
    baseline = desk.runtime.baseline(history.model)
    if name is None or name not in history.model.schema or baseline is None:
        return None
    profile = desk.reading.distributions.window(
        history.model, baseline, start, view.incident.version
    )
    histogram = None if profile is None else window_histogram(baseline, profile, name)
    if histogram is None:
        return None
    held = history.model.schema[name]
    end = start + history.span.width
    words = interval(start, end)
    spec = column.distribution_chart(held, histogram, words, alarm=view.leading[1] == name)
    metric, start, end = view.leading[0], history.span.start, history.span.end
    href = history.links.column(name, start=start, end=end)
    if column.is_fairness(metric):
        href = history.links.segments(name, metric=metric, start=start, end=end)
    under = column.outside(histogram)
    return {"spec": spec, "under": under, "name": name, "words": words, "href": href}


def monitors_page(desk: Desk, request: Request, clock: Clock) -> Sheet:
    """The budget of false alarms, what shares it, and thresholds."""
    found = model_of(desk, request)
    standing = desk.reading.standing(found)
    clock.lap("stamp")

    def make() -> str:
        results = []
        if standing.newest is not None:
            start = standing.newest - found.window
            names = found.project, found.name
            results = window.results_of(
                desk.runtime.engine.points(*names, start=start, end=standing.newest)
            )
        clock.lap("read")
        view = monitors.monitors_view(found, results)
        clock.lap("view")
        values = frame(standing, Asked(), None, "monitors")
        address = str(request.base_url).rstrip("/")
        return render("monitors.html", {**values, "view": view, "address": address})

    stamp = f"{standing.stamp}-{hash(found.policies)}"
    sheet = desk.held(clock, request.url.path, stamp, make)
    clock.lap("render")
    return sheet


def window_page(desk: Desk, request: Request, clock: Clock) -> Sheet:
    """A window, opened."""
    standing, asked, _ = opened(desk, request)
    found = standing.model
    span = desk.reading.span(standing, Asked())
    start = _window_of(standing, span, request)
    assert span is not None
    end = start + found.window
    clock.lap("stamp")

    def make() -> str:
        known = desk.runtime.catalog.windows.between(found.id, start, start + timedelta(seconds=1))
        points = desk.runtime.engine.points(
            found.project,
            found.name,
            start=start,
            end=end,
            segment=ANY,
            version=asked.version or ANY,
        )
        records, _ = desk.runtime.engine.records(
            found.project, found.name, found.schema, start, end, limit=window.MOST_RECORDS
        )
        clock.lap("read")
        incidents = [one for one in standing.incidents if asked.version in (None, one.version)]
        view = window.window_view(
            found, span, start, points, known=known, incidents=incidents, records=records
        )
        clock.lap("view")
        values = frame(standing, asked, span, "window")
        return render("window.html", {**values, "view": view})

    facts = desk.runtime.facts.of(found)
    stamp = f"{standing.stamp}-{facts.records if end > (facts.last_event or end) else ''}"
    sheet = desk.held(clock, request.url.path + asked.query(), stamp, make)
    clock.lap("render")
    return sheet


def _window_of(standing: Standing, span: Span | None, request: Request) -> datetime:
    moment = read_time(request.path_params["start"], "window")
    if moment is None:
        raise BadInput("a window's address ends with its start, as 2026-01-31", code="bad_time")
    start = None if span is None else window_at(span, moment)
    if start is None:
        closed = "none is closed yet" if span is None else f"closed are those of {_closed(span)}"
        raise NotFound(
            f"model {standing.model.name!r} has no window at {time_text(moment)}: {closed}",
            code="unknown_window",
        )
    if time_text(start) != request.path_params["start"]:
        folder = request.url.path.rpartition("/")[0]
        query = f"?{request.url.query}" if request.url.query else ""
        raise Elsewhere(f"{folder}/{time_text(start)}{query}")
    return start


def _closed(span: Span) -> str:
    return f"{time_text(span.first)} to {time_text(span.newest)}"


_MODEL = "/projects/{project}/models/{model}"
_PAGES: tuple[tuple[str, Callable[[Desk, Request, Clock], Sheet]], ...] = (
    ("/", fleet_page),
    ("/server", server_page),
    ("/projects/{project}", fleet_page),
    (_MODEL, model_page),
    (_MODEL + "/columns/{column:path}", column_page),
    (_MODEL + "/segments/{column:path}", segment_page),
    (_MODEL + "/incidents", incidents_page),
    (_MODEL + "/incidents/{incident:int}", incident_page),
    (_MODEL + "/monitors", monitors_page),
    (_MODEL + "/quarantine", quarantine_page),
    (_MODEL + "/schema", schema_page),
    (_MODEL + "/versions", versions_page),
    (_MODEL + "/windows/{start}", window_page),
)


def page_routes() -> list[Route]:
    """Return all routes of pages."""
    made = [Route(path, page(work), methods=["GET"]) for path, work in (*_PAGES, *DRAWINGS)]
    made += [Route(path, deed, methods=["POST"]) for path, deed in DEEDS]
    made.append(Route("/static/{name}", static_file, methods=["GET"]))
    return made
