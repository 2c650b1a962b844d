"""A small model that was watched for 45 days, with planted trouble: for the tests of pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tidegauge.monitor.policy import Policies
from tidegauge.schema import Column, ColumnType, Role, Schema, Task
from tidegauge.server.baselining import from_stored
from tidegauge.server.runtime import Runtime
from tidegauge.server.settings import Settings

START = datetime(2026, 1, 5, tzinfo=UTC)
DAYS, BASELINE_DAYS, A_DAY = 45, 15, 200
NAME = "churn"
BASE = f"/projects/default/models/{NAME}"
#: A column whose name would like to be markup.
EVIL = "a/b <i>&\"'"
#: What the records of the last days brought beside.
UNKNOWN = '{"gate <i>":"B7","deep":{"x":1}}'


def day(number: int) -> datetime:
    """Return the start of a day of the model, the first being 0."""
    return START + timedelta(days=number)


def schema() -> Schema:
    return Schema(
        (
            Column("prediction_id", ColumnType.TEXT, Role.PREDICTION_ID),
            Column("timestamp", ColumnType.DATETIME, Role.TIMESTAMP),
            Column("region", ColumnType.CATEGORICAL, Role.SEGMENT),
            Column("amount", ColumnType.NUMERIC, unit="EUR"),
            Column("visits", ColumnType.NUMERIC),
            Column("plan", ColumnType.CATEGORICAL),
            Column(EVIL, ColumnType.NUMERIC),
            Column("latency_ms", ColumnType.NUMERIC, Role.LATENCY, unit="ms"),
            Column("score", ColumnType.NUMERIC, Role.SCORE),
            Column("gone", ColumnType.BOOLEAN, Role.LABEL),
        ),
        Task.BINARY,
    )


def records() -> pa.Table:
    """More leave than predicted on days 30 to 33, most of all in the west; ``amount`` doubles from
    day 25 on, without harm; ``visits`` is missing on day 37; from day 40 on version 2 serves.
    """
    rng = np.random.default_rng(7)
    n = (DAYS + 1) * A_DAY
    at = np.repeat(np.arange(DAYS + 1), A_DAY)
    offset = np.sort(rng.random((DAYS + 1, A_DAY)), axis=1).ravel()
    micros = np.datetime64(START.replace(tzinfo=None), "us") + ((at + offset) * 86_400e6).astype(
        "timedelta64[us]"
    )
    region = rng.integers(0, 3, n)
    logit = rng.normal(-1.0, 1.0, n)
    score = 1 / (1 + np.exp(-logit))
    worse = np.where((at >= 30) & (at < 34), 0.25 + 0.2 * (region == 2), 0.0)
    amount = rng.lognormal(3, 0.5, n) * np.where(at >= 25, 2.0, 1.0)
    columns: dict[str, Any] = {
        "prediction_id": [f"p{number}" for number in range(n)],
        "timestamp": pa.array(micros, pa.timestamp("us", "UTC")),
        "region": pa.array(("north", "south", "west")).take(pa.array(region)),
        "amount": pa.array(amount),
        "visits": pa.array(rng.poisson(4, n).astype(float), mask=at == 37),
        "plan": pa.array(("basic", "plus", "max")).take(pa.array(rng.integers(0, 3, n))),
        EVIL: pa.array(rng.normal(size=n)),
        "latency_ms": pa.array(rng.lognormal(3, 0.3, n)),
        "score": pa.array(score),
        "gone": pa.array(rng.random(n) < score + worse, mask=(at >= DAYS - 2) & (offset > 0.5)),
        "_version": pa.array(np.where(at >= 40, "2", "1")),
        "_extra": pa.array([UNKNOWN if day >= 44 else None for day in at], pa.string()),
    }
    return pa.table(columns)


def misfits() -> pa.Table:
    """Rows that did not fit, a group of two and one alone."""
    record = '{"prediction_id":"q1","timestamp":"2026-01-05T00:00:00Z","amount":"<b>ten</b>"}'
    message = "column 'amount': \"<b>ten</b>\" is no number; send a number or null"
    return pa.table(
        {
            "index": [0, 1, 0],
            "code": ["type_error", "type_error", "bad_ndjson"],
            "column": pa.array([EVIL, EVIL, None], pa.string()),
            "message": [message, message, "line 3, column 1: not JSON: <i>"],
            "record": [record, record, "<script>alert(1)</script>"],
            "resource": ["predictions"] * 3,
            "version": pa.array(["2", "2", None], pa.string()),
        }
    )


def make(folder: Path, monitors: Policies | None = None) -> Path:
    """Make a data folder with the model in it, its windows closed; takes two seconds."""
    runtime = Runtime(Settings(data=folder, label_horizon=timedelta(days=20)))
    try:
        model = runtime.create("default", NAME, schema())
        if monitors is not None:
            runtime.put_policies("default", NAME, monitors)
            model = runtime.get("default", NAME)
        runtime.lake.append("default", NAME, "records", records())
        runtime.lake.append("default", NAME, "quarantine", misfits())
        made = from_stored(runtime, model, START, day(BASELINE_DAYS))
        runtime.put_baseline(model, made.baseline, source="interval")
        scheduler: Any = runtime.scheduler
        scheduler.tick(everything=True)
    finally:
        runtime.stop()
    return folder
