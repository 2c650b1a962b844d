"""From a running server to what views take: a model's history, and the stamp of its state."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import orjson

from tidegauge.catalog.tables import Baseline as BaselineRow
from tidegauge.catalog.tables import Incident
from tidegauge.schema.retention import retention_to_json
from tidegauge.server.known import Model
from tidegauge.server.pages.asked import Asked
from tidegauge.server.pages.book import WHOLE, Book, Chapter, Scope
from tidegauge.server.pages.distributions import Distributions
from tidegauge.server.pages.history import History
from tidegauge.server.pages.span import Span, floor, span_of
from tidegauge.server.runtime import Runtime


@dataclass(frozen=True, eq=False)
class Standing:
    """What a model's pages rest on, as it is now.

    Parameters
    ----------
    model : Model
    points : int or None
        Version of its table of results.
    newest : datetime or None
        End of its newest closed window.
    incidents : tuple of Incident
    baseline : BaselineRow or None
    """

    model: Model
    points: int | None
    newest: datetime | None
    incidents: tuple[Incident, ...]
    baseline: BaselineRow | None

    @property
    def stamp(self) -> str:
        """Changes when anything of it does."""
        told = [
            self.model.id,
            hash(self.model.schema.columns),
            retention_to_json(self.model.retention),
            self.model.records_from,
            self.points,
            self.newest,
            None if self.baseline is None else self.baseline.id,
            [_told(one) for one in self.incidents],
        ]
        return sha256(orjson.dumps(told, default=str)).hexdigest()[:20]


def _told(one: Incident) -> list[object]:
    return [
        *(one.id, one.state, one.severity, one.title, one.summary),
        *(one.first_window, one.last_window, one.acknowledged_by, one.evidence),
    ]


class Reading:
    """Brings what pages show, from the lake's results and the catalog.

    Parameters
    ----------
    runtime : Runtime
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.book = Book(runtime.lake, runtime.engine)
        self.distributions = Distributions(runtime.lake)

    def standing(self, model: Model, incidents: Iterable[Incident] | None = None) -> Standing:
        """Return how a model stands."""
        catalog = self.runtime.catalog
        if incidents is None:
            incidents = catalog.incidents.all(project=model.project, model=model.name)
        return Standing(
            model,
            self.runtime.lake.table_version(model.project, model.name, "points"),
            catalog.windows.closed_until(model.id),
            tuple(incidents),
            catalog.baselines.active(model.id),
        )

    def span(self, standing: Standing, asked: Asked) -> Span | None:
        """Return the range of a page; None before any window is closed."""
        model = standing.model
        first = self.runtime.facts.of(model).first_event
        if standing.newest is None:
            return None
        if model.records_from is not None:
            # Windows are there from before the first record that was kept.
            oldest = self.runtime.catalog.windows.first_start(model.id)
            first = min((one for one in (first, oldest) if one is not None), default=None)
        return span_of(model, first or standing.newest - model.window, standing.newest, asked)

    def history(self, standing: Standing, asked: Asked, span: Span | None = None) -> History | None:
        """Return a model's history over a range; None before any window is closed."""
        span = span or self.span(standing, asked)
        if span is None:
            return None
        scope = WHOLE if asked.segment is None else Scope(asked.segment_json)
        chapter = self.book.read(standing.model, span.start, span.end, scope)
        return History(standing.model, span, asked, chapter, standing.incidents, standing.baseline)

    def by_segment(self, history: History) -> Chapter | None:
        """Return the leading performance metric's results for all segments."""
        if not history.judged or not history.model.schema.segments:
            return None
        return self.of_segments(history, history.judged[0].name)

    def of_segments(self, history: History, metric: str) -> Chapter:
        """Return a metric's results for all segments."""
        scope = Scope(metric=metric)
        return self.book.read(history.model, history.span.start, history.span.end, scope)

    def forget(self) -> None:
        """Let go of everything that is kept in memory."""
        self.book.forget()
        self.distributions.forget()


def window_at(span: Span, moment: datetime) -> datetime | None:
    """Return the start of the closed window that holds a moment, or None."""
    start = floor(moment, span.width)
    return start if floor(span.first, span.width) <= start < span.newest else None
