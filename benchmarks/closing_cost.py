"""What closing one large window costs beyond profiling it: `python -m benchmarks.closing_cost`.

A real runtime and its scheduler close a daily window of 1M records, 50 columns and 10 segments,
with all default monitors, over a lake and a SQLite catalog on disk. Its time is taken from the
scheduler's whole round, less that of reading and profiling records: so it is everything from the
profile to the incidents, what is stored of both included. In the window columns have drifted, one
has a hole of some hours, and the score is off. The records that are read a second time, to tell the
hours of the hole, are counted by themselves.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa

from benchmarks.datasets import CACHE
from tidegauge.alert import incidents
from tidegauge.lake.flusher import Flushed
from tidegauge.schema import Column, ColumnType, Role, Schema, Task
from tidegauge.server import watching
from tidegauge.server.baselining import from_stored
from tidegauge.server.runtime import Runtime
from tidegauge.server.settings import Settings

PROJECT, MODEL = "default", "large"
START = datetime(2025, 1, 6, tzinfo=UTC)
DAY = timedelta(days=1)
ROWS, BEFORE = 1_000_000, 400
BASELINE = 30
HISTORIES = (0, 30, 365)
REPEATS = 3
#: Seconds that a large window may take beyond profiling, and how many times more after a year.
BOUND, GROWTH = 1.0, 1.5
REGIONS = tuple(f"region-{n}" for n in range(10))
NUMERIC = tuple(f"amount_{n:02d}" for n in range(40))
WORDS = tuple(f"kind_{n}" for n in range(7))
SCHEMA = Schema(
    (
        Column("prediction_id", ColumnType.TEXT, Role.PREDICTION_ID),
        Column("timestamp", ColumnType.DATETIME, Role.TIMESTAMP),
        Column("region", ColumnType.CATEGORICAL, Role.SEGMENT),
        *(Column(name, ColumnType.NUMERIC) for name in NUMERIC),
        *(Column(name, ColumnType.CATEGORICAL) for name in WORDS),
        Column("score", ColumnType.NUMERIC, Role.SCORE),
        Column("label", ColumnType.BOOLEAN, Role.LABEL),
    ),
    Task.BINARY,
)


@dataclass(frozen=True)
class Cost:
    """What closing large windows took, after so many small ones.

    Parameters
    ----------
    history : int
        Windows that were closed before.
    seconds : list of float
        Beyond profiling, for each of the large windows.
    profiling : list of float
        Reading and profiling their records.
    holes : list of float
        Reading one column's records again, to tell the hours in which it is missing.
    incidents : int
        That the large windows were told about.
    """

    history: int
    seconds: list[float] = field(default_factory=list)
    profiling: list[float] = field(default_factory=list)
    holes: list[float] = field(default_factory=list)
    incidents: int = 0

    @property
    def median(self) -> float:
        """The median of the seconds beyond profiling."""
        return median(self.seconds)


def records(day: int, rows: int, *, wrong: bool = False) -> pa.Table:
    """Draw the records of a day."""
    rng = np.random.default_rng([day, rows])
    offset = np.sort(rng.random(rows)) * 86_400e6
    begin = np.datetime64((START + day * DAY).replace(tzinfo=None), "us")
    logit = rng.normal(-1.2, 0.8, rows)
    columns: dict[str, pa.Array] = {
        "prediction_id": pa.array([f"{day}-{at}" for at in range(rows)]),
        "timestamp": pa.array(begin + offset.astype("timedelta64[us]"), pa.timestamp("us", "UTC")),
        "region": pa.array(REGIONS).take(pa.array(rng.integers(0, len(REGIONS), rows))),
    }
    for at, name in enumerate(NUMERIC):
        values = rng.standard_normal(rows)
        values = np.exp(1 + 0.6 * values) if at % 3 == 0 else at + (1 + at % 5) * values
        if wrong and at in (3, 4, 5):
            values = values * 1.2
        lost = (offset < 6 * 3600e6) & (rng.random(rows) < 0.5) if wrong and at == 7 else None
        columns[name] = pa.array(values, mask=lost)
    for at, name in enumerate(WORDS):
        kinds = 5 + 3 * at
        codes = (kinds * rng.random(rows) ** 2).astype(np.int64)
        columns[name] = pa.array([f"{name}-{n}" for n in range(kinds)]).take(pa.array(codes))
    score = 1 / (1 + np.exp(-logit))
    columns["score"] = pa.array(score)
    columns["label"] = pa.array(rng.random(rows) < score + 0.06 * wrong)
    return pa.table(columns)


@contextmanager
def timed(module: ModuleType, name: str) -> Iterator[list[float]]:
    """Note how long each call of a module's function takes."""
    original, took = getattr(module, name), []

    def call(*args: Any, **options: Any) -> Any:
        started = time.perf_counter()
        try:
            return original(*args, **options)
        finally:
            took.append(time.perf_counter() - started)

    with patch.object(module, name, call):
        yield took


def measure(history: int, repeats: int = REPEATS) -> Cost:
    """Close large windows after so many small ones, in a data folder made for it."""
    folder = CACHE / f"closing-{history}"
    shutil.rmtree(folder, ignore_errors=True)
    runtime = Runtime(Settings(data=folder, label_horizon=timedelta(days=7)))
    try:
        model = runtime.create(PROJECT, MODEL, SCHEMA)
        first = BASELINE + history
        small = [
            records(day, BEFORE, wrong=day > BASELINE and day % 50 == 0) for day in range(first)
        ]
        runtime.lake.append(PROJECT, MODEL, "records", pa.concat_tables(small))
        made = from_stored(runtime, model, START, START + BASELINE * DAY)
        runtime.put_baseline(model, made.baseline, source="interval")
        _append(runtime, first, 1)
        runtime.scheduler.tick(everything=True)  # type: ignore[union-attr]
        cost = Cost(history)
        before = len(runtime.catalog.incidents.all())
        for day in range(first, first + repeats):
            large = records(day, ROWS, wrong=True)
            runtime.lake.append(PROJECT, MODEL, "records", large)
            _append(runtime, day + 1, 1)
            with (
                timed(watching, "profile_windows") as profiling,
                timed(incidents, "find_holes") as holes,
            ):
                started = time.perf_counter()
                runtime.scheduler.tick()  # type: ignore[union-attr]
                whole = time.perf_counter() - started
            cost.profiling.append(round(sum(profiling), 3))
            cost.holes.append(round(sum(holes), 3))
            cost.seconds.append(round(whole - sum(profiling) - sum(holes), 3))
        told = len(runtime.catalog.incidents.all()) - before
        return replace(cost, incidents=told)
    finally:
        runtime.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _append(runtime: Runtime, day: int, rows: int) -> None:
    """Add a record so late in a day that the day before is closed, and say so."""
    late = records(day, rows)
    moment = START + day * DAY + timedelta(hours=12)
    stamp = pa.array([moment] * rows, late.schema.field("timestamp").type)
    runtime.lake.append(PROJECT, MODEL, "records", late.set_column(1, "timestamp", stamp))
    runtime.told_of([Flushed(PROJECT, MODEL, records=rows, first_event=moment, last_event=moment)])


def main() -> int:
    """Print what each history costs."""
    parser = argparse.ArgumentParser(prog="benchmarks.closing_cost", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    options = parser.parse_args()
    costs = []
    for history in HISTORIES:
        costs.append(measure(history, options.repeats))
        print(f"after {history} windows: {costs[-1].median:.2f} s beyond profiling, {costs[-1]}")
    if options.json:
        options.json.write_text(json.dumps([asdict(cost) for cost in costs], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
