"""The search for the worst segments among stored records: over which time, and what it may cost.

Never on the way of incoming records: somebody asks, one search runs at a time, it reads a bounded
number of records and holds fewer, and its answer is kept for as long as no table changes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tidegauge.catalog import Alarm
from tidegauge.catalog.tables import Incident
from tidegauge.errors import BadInput, Overloaded
from tidegauge.explain.segment_rows import RowReader, Rows, question_of, searched_columns
from tidegauge.explain.worst_segments import WorstSegments, nothing, search_rows
from tidegauge.server.known import Model

if TYPE_CHECKING:
    from tidegauge.server.runtime import Runtime

#: Records of one side that are read at most.
MOST_READ = 5_000_000
#: Closed windows that are searched where no time is asked for.
USUAL_WINDOWS = 7
#: How much longer than an incident the time before it is that it is held against.
BEFORE = 4
_WAIT = 60.0
_KEPT = 64

Interval = tuple[datetime, datetime]


@dataclass(frozen=True)
class Asked:
    """What is searched.

    Parameters
    ----------
    start, end : datetime
    reference : (start, end), optional
        With it: where did performance get worse since then?
    metric : str, optional
    depth : int
    """

    start: datetime
    end: datetime
    reference: Interval | None = None
    metric: str | None = None
    depth: int = 2


class SegmentSearch:
    """Searches stored records, one search at a time, and keeps the latest answers.

    Parameters
    ----------
    runtime : Runtime
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._one = threading.Lock()
        self._guard = threading.Lock()
        self._kept: OrderedDict[tuple[Any, ...], WorstSegments] = OrderedDict()

    def of(self, model: Model, asked: Asked) -> WorstSegments:
        """Return the worst segments of a model's records.

        Raises
        ------
        BadInput
            On a metric that cannot be searched, or more records than can be read.
        Overloaded
            If another search takes too long to wait for.
        """
        key = (model.id, self._tables(model), asked)
        held = self._held(key)
        if held is not None:
            return held
        if not self._one.acquire(timeout=_WAIT):
            raise Overloaded("another search for segments is running; ask again", retry_after=30)
        try:
            held = self._held(key)
            if held is None:
                held = self._searched(model, asked)
                with self._guard:
                    self._kept[key] = held
                    while len(self._kept) > _KEPT:
                        self._kept.popitem(last=False)
            return held
        finally:
            self._one.release()

    def _held(self, key: tuple[Any, ...]) -> WorstSegments | None:
        with self._guard:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _tables(self, model: Model) -> tuple[object, ...]:
        """What the answer rests on: the tables' versions, the baseline and the schema."""
        lake, names = self._runtime.lake, (model.project, model.name)
        baseline = self._runtime.baseline(model)
        return (
            lake.table_version(*names, "records"),
            lake.table_version(*names, "labels"),
            None if baseline is None else baseline.id,
            model.schema,
        )

    def _searched(self, model: Model, asked: Asked) -> WorstSegments:
        against = asked.reference is not None
        question = question_of(model.schema, asked.metric)
        if isinstance(question, str):
            return nothing(question, against_reference=against)
        baseline = self._runtime.baseline(model)
        if baseline is None:
            return nothing(
                f"model {model.name!r} has no baseline yet, which says how to divide its columns",
                against_reference=against,
            )
        layout = replace(baseline.layout, schema=model.schema)
        columns = searched_columns(layout)
        sides: list[Rows] = []
        for interval in (asked.start, asked.end), asked.reference:
            if interval is None:
                continue
            reader = RowReader(layout, columns, question)
            for batch in self._batches(model, interval, reader.needed):
                reader.update(batch)
            sides.append(reader.finish())
        return search_rows(layout, sides, question, asked.depth)

    def _batches(
        self, model: Model, interval: Interval, columns: Sequence[str]
    ) -> Iterator[pa.RecordBatch]:
        read = 0
        for batch in self._runtime.engine.batches(
            model.project, model.name, model.schema, *interval, columns=columns
        ):
            read += batch.num_rows
            if read > MOST_READ:
                raise BadInput(
                    f"from {interval[0]:%Y-%m-%d %H:%M} to {interval[1]:%Y-%m-%d %H:%M} UTC there "
                    f"are more than {MOST_READ:,} records; ask for a shorter time",
                    code="too_many_records",
                )
            yield batch


def usual_interval(runtime: Runtime, model: Model) -> Interval | None:
    """Return the newest closed windows, or None where none is closed."""
    end = runtime.catalog.windows.closed_until(model.id)
    return None if end is None else (end - USUAL_WINDOWS * model.window, end)


def asked_by_incident(model: Model, incident: Incident, alarms: Sequence[Alarm]) -> Asked:
    """Return what to search for an incident: where it got worse than in the time before.

    By the metric of performance that raised most of its alarms, where one can be searched by.
    """
    question = question_of(model.schema)
    metric = None if isinstance(question, str) else question.metric
    counts: dict[str, int] = {}
    for one in alarms:
        counts[one.metric] = counts.get(one.metric, 0) + 1
    for name in sorted(counts, key=lambda name: -counts[name]):
        try:
            question_of(model.schema, name)
        except BadInput:
            continue
        metric = name
        break
    start, end = incident.first_window, incident.last_window + model.window
    long = max(BEFORE * (end - start), timedelta(days=1))
    return Asked(start, end, (start - long, start), metric)


def worst_of_incident(runtime: Runtime, model: Model, incident: Incident) -> WorstSegments:
    """Return where performance got worse in an incident, or why that cannot be searched."""
    asked = asked_by_incident(model, incident, runtime.catalog.incidents.alarms(incident.id))
    try:
        return runtime.segment_search.of(model, asked)
    except (BadInput, Overloaded) as error:
        return nothing(error.message, against_reference=True)


def told(found: WorstSegments, model: Model, asked: Asked) -> dict[str, Any]:
    """Return the answer as the API tells it."""

    def moment(time: datetime) -> str:
        return time.isoformat().replace("+00:00", "Z")

    reference = asked.reference
    return {
        "model": model.name,
        "start": moment(asked.start),
        "end": moment(asked.end),
        "reference_start": None if reference is None else moment(reference[0]),
        "reference_end": None if reference is None else moment(reference[1]),
        **found.to_json(),
    }
