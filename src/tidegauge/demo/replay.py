"""The replay: April to December, in the order in which things became known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from tidegauge.demo import flights
from tidegauge.errors import TidegaugeError
from tidegauge_client import Client

STEP = timedelta(hours=6)
LABEL = "late"


@dataclass(frozen=True)
class Step:
    """What became known in some hours of 2013.

    Parameters
    ----------
    end : datetime
        End of these hours.
    predictions : pyarrow.Table
        Flights scheduled to depart in them, with their score; no outcome.
    labels : pyarrow.Table
        Flights that landed in them.
    """

    end: datetime
    predictions: pa.Table
    labels: pa.Table


def steps(replay: pa.Table) -> Iterator[Step]:
    """Cut the replay into what became known when.

    Parameters
    ----------
    replay : pyarrow.Table
        Scored flights, with outcome and ``observed_at``.
    """
    predictions = replay.drop_columns([LABEL, "observed_at"]).sort_by("timestamp")
    labels = flights.labels(
        replay.rename_columns(["label" if n == LABEL else n for n in replay.column_names])
    )
    start = _floor(pc.min(predictions["timestamp"]).as_py())
    last = max(pc.max(predictions["timestamp"]).as_py(), pc.max(labels["observed_at"]).as_py())
    while start <= last:
        end = start + STEP
        yield Step(
            end,
            _between(predictions, "timestamp", start, end),
            _between(labels, "observed_at", start, end),
        )
        start = end


def _floor(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _between(table: pa.Table, column: str, start: datetime, end: datetime) -> pa.Table:
    """Rows of a table that is sorted by a time column."""
    times = table[column].combine_chunks().cast(pa.int64()).to_numpy()
    kind = table.schema.field(column).type
    edges = pa.array([start, end], kind).cast(pa.int64()).to_numpy()
    first, last = times.searchsorted(edges, side="left")
    return table.slice(int(first), int(last - first))


def send(client: Client, replay: pa.Table, progress: Callable[[Step], None]) -> int:
    """Send the replay, each step once the one before it is acknowledged.

    Returns
    -------
    int
        Records sent, labels not counted.

    Raises
    ------
    TidegaugeError
        If the server did not take everything.
    """
    sent = 0
    for step in steps(replay):
        if len(step.predictions):
            sent += client.log(step.predictions)
        if len(step.labels):
            client.label(step.labels)
        if not client.flush(timeout=60):
            raise TidegaugeError("the server did not take the replay within a minute")
        progress(step)
    stats = client.stats
    if stats.dropped or stats.quarantined:
        raise TidegaugeError(
            f"of the replay {stats.dropped} records were dropped and {stats.quarantined} "
            f"quarantined ({stats.last_error})"
        )
    return sent
