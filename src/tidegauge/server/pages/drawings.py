"""Specifications that a page fetches when they come into sight, since they take a while to make."""

from __future__ import annotations

from collections.abc import Callable

import orjson
from starlette.requests import Request

from tidegauge.errors import NotFound
from tidegauge.lake.wildcard import ANY
from tidegauge.profile.layout import to_datetime
from tidegauge.report.charts import Lane, Spec, share_ribbon
from tidegauge.report.format import interval
from tidegauge.schema import Column, ColumnType
from tidegauge.server.explaining import asked_of, explain_stored
from tidegauge.server.known import Model
from tidegauge.server.pages.asked import Asked, read_query, read_time
from tidegauge.server.pages.column import distribution_chart
from tidegauge.server.pages.decomposed import decomposition_chart
from tidegauge.server.pages.distributions import ColumnCounts, range_histogram, value_shares
from tidegauge.server.pages.held import Sheet
from tidegauge.server.pages.serving import Clock, Desk
from tidegauge.server.pages.span import Span

_JSON = "application/json"
_HEIGHT = 150


def distribution_drawing(desk: Desk, request: Request, clock: Clock) -> Sheet:
    """A column's distribution over a whole range."""

    def draw(found: Model, span: Span, held: Column, counts: ColumnCounts) -> Spec:
        baseline = desk.runtime.baseline(found)
        assert baseline is not None
        histogram = range_histogram(baseline, counts, held.name)
        if histogram is None:
            raise _nothing(held)
        return distribution_chart(held, histogram, interval(span.start, span.end))

    return _drawn(desk, request, clock, draw)


def shares_drawing(desk: Desk, request: Request, clock: Clock) -> Sheet:
    """The shares of a categorical column's values, window by window."""

    def draw(found: Model, span: Span, held: Column, counts: ColumnCounts) -> Spec:
        baseline = desk.runtime.baseline(found)
        assert baseline is not None
        if held.type not in (ColumnType.CATEGORICAL, ColumnType.BOOLEAN) or not len(counts.starts):
            raise _nothing(held)
        starts = [to_datetime(start) for start in counts.starts.tolist()]
        windows = [(start, start + found.window) for start in starts]
        shares = value_shares(baseline, counts, held.name)
        spec = share_ribbon(windows, shares, name=held.name, height=_HEIGHT)
        spec["encoding"]["fill"]["legend"] |= {"orient": "top", "direction": "horizontal"}
        return Lane(span.start, span.end).hold(spec)

    return _drawn(desk, request, clock, draw)


def decomposition_drawing(desk: Desk, request: Request, clock: Clock) -> Sheet:
    """The parts of a change in performance: some seconds of work, kept until records change."""
    found = desk.runtime.get(request.path_params["project"], request.path_params["model"])
    query = request.query_params
    times = read_time(query.get("start"), "start"), read_time(query.get("end"), "end")
    version = query.get("version")
    asked = asked_of(
        desk.runtime,
        found,
        query.get("metric") or None,
        times,
        version=ANY if version is None else version or None,
    )
    clock.lap("stamp")
    told = explain_stored(desk.runtime, found, asked)
    clock.lap("read")
    sheet = Sheet.of(orjson.dumps(decomposition_chart(told)), media_type=_JSON)
    clock.lap("draw")
    return sheet


def _drawn(
    desk: Desk,
    request: Request,
    clock: Clock,
    draw: Callable[[Model, Span, Column, ColumnCounts], Spec],
) -> Sheet:
    found = desk.runtime.get(request.path_params["project"], request.path_params["model"])
    name = request.path_params["column"]
    if name not in found.schema:
        raise NotFound(f"no column {name!r}{found.schema.hint(name)}", code="unknown_column")
    held = found.schema[name]
    asked: Asked = read_query(request.query_params, found.schema)
    standing = desk.reading.standing(found)
    span = desk.reading.span(standing, asked)
    baseline = desk.runtime.baseline(found)
    if span is None or baseline is None:
        raise _nothing(held)
    clock.lap("stamp")

    def make() -> bytes:
        counts = desk.reading.distributions.over(
            found, baseline, held.name, span.start, span.end, asked.version
        )
        clock.lap("read")
        return orjson.dumps(draw(found, span, held, counts))

    sheet = desk.held(clock, request.url.path + asked.query(), standing.stamp, make, _JSON)
    clock.lap("draw")
    return sheet


def _nothing(held: Column) -> NotFound:
    return NotFound(f"there is no distribution of {held.name!r} in this range", code="no_profile")


_MODEL = "/projects/{project}/models/{model}"
DRAWINGS = (
    (_MODEL + "/distributions/{column:path}", distribution_drawing),
    (_MODEL + "/shares/{column:path}", shares_drawing),
    (_MODEL + "/decomposition", decomposition_drawing),
)
