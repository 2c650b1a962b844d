"""What pages read of one model: its lines within a range, its incidents, baseline and versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tidegauge.catalog.tables import Baseline as BaselineRow
from tidegauge.catalog.tables import Incident
from tidegauge.metrics.registry import Family, Metric, all_metrics
from tidegauge.schema import Role
from tidegauge.server.known import Model
from tidegauge.server.pages.asked import Asked, Links
from tidegauge.server.pages.book import Chapter
from tidegauge.server.pages.lines import Ints, Line
from tidegauge.server.pages.span import Span
from tidegauge.server.shown import by_harm


@dataclass(frozen=True, eq=False)
class History:
    """One model over a range of time.

    Parameters
    ----------
    model : Model
    span : Span
    asked : Asked
    chapter : Chapter
        Results of the whole, or of the segment that is asked for.
    incidents : sequence of Incident
        All of the model, whatever their range.
    baseline : BaselineRow or None
        The active one.
    """

    model: Model
    span: Span
    asked: Asked
    chapter: Chapter
    incidents: Sequence[Incident] = ()
    baseline: BaselineRow | None = None

    @property
    def links(self) -> Links:
        """Addresses of the model's pages."""
        return Links(self.model.project, self.model.name, self.asked)

    def line(self, metric: str, column: str | None = None) -> Line:
        """Return a line within the range, of the versions that are asked for."""
        return self.served(self.chapter.line(metric, column, self.asked.segment_json))

    def estimate(self, metric: str) -> Line:
        """Return what was estimated of a performance metric, likewise."""
        return self.served(self.chapter.line(metric, None, self.asked.segment_json, estimated=True))

    def served(self, line: Line, of: Chapter | None = None) -> Line:
        """Return the part of a line within the range, of the version that served then.

        Parameters
        ----------
        line : Line
        of : Chapter, optional
            Where the line comes from, if not from the history's own.
        """
        known = (of or self.chapter).versions
        line = line.between(self.span.start, self.span.end)
        if self.asked.version is not None:
            code = known.index(self.asked.version) if self.asked.version in known else -1
            return line.select(line.versions == code)
        windows, serving = self._serving
        if len(known) < 2 or not len(line) or not len(windows):
            return line
        codes = {name: code for code, name in enumerate(known)}
        wanted = np.array([codes.get(name, -1) for name in self.chapter.versions], np.int64)
        at = np.minimum(np.searchsorted(windows, line.starts), len(windows) - 1)
        return line.select(wanted[serving[at]] == line.versions)

    @cached_property
    def _serving(self) -> tuple[Ints, Ints]:
        """The version with most records of each window."""
        counts = self.chapter.line("row_count", None, self.asked.segment_json)
        order = np.lexsort((-np.nan_to_num(counts.value), counts.starts))
        windows, first = np.unique(counts.starts[order], return_index=True)
        return windows, counts.versions[order][first]

    @cached_property
    def windows(self) -> Ints:
        """Starts of the windows of the range."""
        return self.line("row_count").starts

    @cached_property
    def versions(self) -> list[tuple[str | None, int]]:
        """Versions, each with the start of the first window that it served in the range."""
        windows, serving = self._serving
        first: dict[int, int] = {}
        for start, code in zip(windows.tolist(), serving.tolist(), strict=True):
            first.setdefault(code, start)
        return [(self.chapter.versions[code], start) for code, start in first.items()]

    @cached_property
    def within(self) -> list[Incident]:
        """The incidents that touch the range, the most harmful first."""
        span = self.span
        return by_harm(
            one
            for one in self.incidents
            if one.first_window < span.end
            and one.last_window + span.width > span.start
            and self.asked.version in (None, one.version)
        )

    @cached_property
    def open(self) -> list[Incident]:
        """The incidents that go on, the most harmful first."""
        return by_harm(
            one
            for one in self.incidents
            if one.state != "resolved" and self.asked.version in (None, one.version)
        )

    @cached_property
    def judged(self) -> list[Metric]:
        """The performance metrics that are judged for this model, the leading one first."""
        schema = self.model.schema
        found = [
            one
            for metric in all_metrics().values()
            if metric.family is Family.PERFORMANCE
            for one in (metric.within(schema),)
            if one.judged and one.applies_to(None, schema.task)
        ]
        first = "bias" if schema.task == "binary" else ""
        return sorted(found, key=lambda one: (one.name == "concept_drift", one.name != first))

    @cached_property
    def drifts(self) -> dict[str, list[Line]]:
        """All that is judged of each column's drift, what leads first."""
        found: dict[str, list[Line]] = {}
        for name, metric in self._judged_columns(Family.DRIFT):
            line = self.line(metric, name)
            if len(line):
                found.setdefault(name, []).append(line)
        order = {name: at for at, name in enumerate(all_metrics())}
        for lines in found.values():
            lines.sort(key=lambda line: order[line.metric])
        return found

    @cached_property
    def drift(self) -> dict[str, Line]:
        """What leads of each column's drift, with the alarms of all that is judged of it."""
        return {name: lines[0].joined(lines[1:]) for name, lines in self.drifts.items()}

    @cached_property
    def quality(self) -> dict[tuple[str, str], Line]:
        """The judged quality of columns, by column and metric."""
        found = {}
        for name, metric in self._judged_columns(Family.QUALITY):
            line = self.line(metric, name)
            if len(line):
                found[name, metric] = line
        return found

    def _judged_columns(self, family: Family) -> list[tuple[str, str]]:
        known = all_metrics()
        return [
            (column, metric)
            for metric, column, segment in self.chapter.keys
            if column is not None
            and segment == self.asked.segment_json
            and metric in known
            and known[metric].judged
            and known[metric].family is family
        ]

    @property
    def label(self) -> str | None:
        """Name of the label's column."""
        column = self.model.schema.role(Role.LABEL)
        return None if column is None else column.name
