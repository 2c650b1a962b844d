"""A model's year in a data folder: 365 daily windows, 50 columns, 5 segments, planted trouble.

Records go straight into the lake; a real runtime and its real scheduler close the windows. Made
once and kept in ``.bench``; `python -m benchmarks.year FOLDER` makes one elsewhere.
"""

import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.datasets import CACHE
from tidegauge.schema import Column, ColumnType, Role, Schema, Task
from tidegauge.server.baselining import from_stored
from tidegauge.server.runtime import Runtime
from tidegauge.server.settings import Settings

PROJECT, MODEL = "default", "year"
START = datetime(2025, 1, 1, tzinfo=UTC)
DAYS, BASELINE_DAYS, A_DAY = 365, 60, 400
REGIONS = ("north", "south", "east", "west", "centre")
NUMERIC = tuple(f"amount_{n:02d}" for n in range(40))
WORDS = tuple(f"kind_{n}" for n in range(7))
_VERSION = 2


def folder() -> Path:
    """Return the kept folder, made first if it is not there."""
    path = CACHE / f"year-v{_VERSION}"
    if not path.exists():
        half = path.with_suffix(".part")
        shutil.rmtree(half, ignore_errors=True)
        make(half)
        half.replace(path)
    return path


def schema() -> Schema:
    """The model's columns: 40 numbers, 8 categories (one of them its segments), score, label."""
    own = [Column(name, ColumnType.NUMERIC) for name in NUMERIC]
    own += [Column(name, ColumnType.CATEGORICAL) for name in WORDS]
    return Schema(
        (
            Column("prediction_id", ColumnType.TEXT, Role.PREDICTION_ID),
            Column("timestamp", ColumnType.DATETIME, Role.TIMESTAMP),
            Column("region", ColumnType.CATEGORICAL, Role.SEGMENT),
            *own,
            Column("latency_ms", ColumnType.NUMERIC, Role.LATENCY, unit="ms"),
            Column("score", ColumnType.NUMERIC, Role.SCORE),
            Column("label", ColumnType.BOOLEAN, Role.LABEL),
        ),
        Task.BINARY,
    )


def make(path: Path) -> None:
    """Write the records, set the baseline, and let the scheduler close every window."""
    runtime = Runtime(Settings(data=path, label_horizon=timedelta(days=7)))
    try:
        model = runtime.create(PROJECT, MODEL, schema())
        # One day more than is closed: a window closes when a later record has come.
        for first in range(0, DAYS + 1, 30):
            days = min(30, DAYS + 1 - first)
            runtime.lake.append(PROJECT, MODEL, "records", records(first, days))
        made = from_stored(runtime, model, START, START + timedelta(days=BASELINE_DAYS))
        runtime.put_baseline(model, made.baseline, source="interval")
        assert runtime.scheduler is not None
        runtime.scheduler.tick(everything=True)  # type: ignore[attr-defined]
    finally:
        runtime.stop()


def records(first: int, days: int) -> pa.Table:
    """Draw the records of some days.

    In May the score is too low for what comes true, most of all in the west; from August on
    ``amount_03`` drifts and does no harm; on some days of October ``amount_07`` is missing.
    """
    rng = np.random.default_rng(first)
    n = days * A_DAY
    day = first + np.repeat(np.arange(days), A_DAY)
    offset = np.sort(rng.random((days, A_DAY)), axis=1).ravel() * 86_400e6
    micros = np.datetime64(START.replace(tzinfo=None), "us") + (day * 86_400e6 + offset).astype(
        "timedelta64[us]"
    )
    region = rng.integers(0, 5, n)
    columns: dict[str, pa.Array] = {
        "prediction_id": pa.array([f"r{first}-{at}" for at in range(n)]),
        "timestamp": pa.array(micros, pa.timestamp("us", "UTC")),
        "region": pa.array(REGIONS).take(pa.array(region)),
    }
    logit = rng.normal(-1.2, 0.8, n)
    for at, name in enumerate(NUMERIC):
        values = rng.normal(at, 1 + at % 5, n) if at % 3 else rng.lognormal(1, 0.6, n)
        if at == 3:
            values = values * np.where(day >= 212, 1.5, 1.0)
        lost = (rng.random(n) < 0.4) & (day % 31 < 3) & (day >= 273) & (day < 304) & (at == 7)
        columns[name] = pa.array(values, mask=lost)
        logit += 0.1 * (at in (0, 1)) * (values - values.mean())
    for at, name in enumerate(WORDS):
        codes = rng.zipf(1.7, n) % (5 + 3 * at)
        columns[name] = pa.array([f"{name[:1]}{c}" for c in range(5 + 3 * at)]).take(
            pa.array(codes)
        )
    score = 1 / (1 + np.exp(-logit))
    worse = np.where((day >= 120) & (day < 134), 0.08 + 0.12 * (region == 3), 0.0)
    columns["latency_ms"] = pa.array(rng.lognormal(3, 0.4, n) * np.where(day == 200, 3, 1))
    columns["score"] = pa.array(score)
    columns["label"] = pa.array(rng.random(n) < score + worse)
    return pa.table(columns)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
