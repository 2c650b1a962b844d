"""Worlds of records for each task, and their profiles."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tidegauge.profile import Layout, Profile, Profiler, Survey
from tidegauge.schema import Column, ColumnType, Role, Schema, Task

#: 2024-01-01, a Monday.
MONDAY = 1_704_067_200_000_000
DAY = 86_400_000_000

_COMMON = (
    Column("id", ColumnType.TEXT, Role.PREDICTION_ID),
    Column("when", ColumnType.DATETIME, Role.TIMESTAMP),
    Column("x", ColumnType.NUMERIC, unit="m", minimum=-250.0),
    Column("flat", ColumnType.NUMERIC),
    Column("count", ColumnType.NUMERIC),
    Column("born", ColumnType.DATETIME),
    Column("carrier", ColumnType.CATEGORICAL),
    Column("vip", ColumnType.BOOLEAN),
    Column("halfway", ColumnType.NUMERIC, Role.INTERMEDIATE),
    Column("group", ColumnType.CATEGORICAL, Role.SEGMENT),
    Column("version", ColumnType.CATEGORICAL, Role.VERSION),
    Column("weight", ColumnType.NUMERIC, Role.WEIGHT),
    Column("worth", ColumnType.NUMERIC, Role.OUTCOME, unit="EUR"),
    Column("latency_ms", ColumnType.NUMERIC, Role.LATENCY, unit="ms"),
    Column("status", ColumnType.CATEGORICAL, Role.STATUS),
    Column("note", ColumnType.TEXT),
    Column("vector", ColumnType.EMBEDDING),
)
_WORDS = ("late", "early", "rain", "snow", "ice", "wind")
_ANSWERS = {
    Task.BINARY: (
        Column("score", ColumnType.NUMERIC, Role.SCORE),
        Column("label", ColumnType.BOOLEAN, Role.LABEL),
    ),
    Task.MULTICLASS: (
        Column("score_a", ColumnType.NUMERIC, Role.SCORE, class_="a"),
        Column("score_b", ColumnType.NUMERIC, Role.SCORE, class_="b"),
        Column("score_c", ColumnType.NUMERIC, Role.SCORE, class_="c"),
        Column("prediction", ColumnType.CATEGORICAL, Role.PREDICTION),
        Column("label", ColumnType.CATEGORICAL, Role.LABEL),
    ),
    Task.REGRESSION: (
        Column("prediction", ColumnType.NUMERIC, Role.PREDICTION, unit="min"),
        Column("label", ColumnType.NUMERIC, Role.LABEL, unit="min"),
    ),
}


def _records(task: Task | None, n: int, seed: int = 0) -> pa.Table:
    """Return plausible records; labels follow the scores, one in ten values is missing."""
    rng, apart = np.random.default_rng(seed), np.random.default_rng((seed, 1))

    def some(values: pa.Array) -> pa.Array:
        return pa.compute.if_else(pa.array(rng.uniform(size=n) < 0.1), None, values)

    data = {
        "id": pa.array([f"{seed}-{i}" for i in range(n)], pa.string()),
        "when": pa.array(MONDAY + rng.integers(0, 4 * DAY, n), pa.timestamp("us", "UTC")),
        "x": some(pa.array(rng.normal(size=n) * 100)),
        "flat": pa.array(np.full(n, 1234.5)),
        "count": some(pa.array(rng.poisson(3, n))),
        "born": some(pa.array(rng.integers(-9999, 9999, n), pa.int32()).cast(pa.date32())),
        "carrier": some(pa.array(rng.choice(["UA", "AA", "B6", "DL"], n), pa.string())),
        "vip": some(pa.array(rng.uniform(size=n) < 0.3)),
        "halfway": pa.array(rng.uniform(size=n)),
        "group": some(pa.array(rng.choice(["north", "south", "west"], n), pa.string())),
        "version": pa.array(["1"] * n, pa.string()),
        "weight": pa.array(rng.uniform(size=n)),
        "worth": some(pa.array(rng.normal(size=n))),
        "latency_ms": some(pa.array(rng.lognormal(3, 1, n))),
        "status": some(pa.array(rng.choice(["200", "200", "200", "503"], n), pa.string())),
        "note": pa.array([" ".join(said) for said in apart.choice(_WORDS, (n, 3))], pa.string()),
        "vector": pa.array(list(apart.normal(size=(n, 3)) + 1), pa.list_(pa.float32())),
    }
    if task is Task.BINARY:
        score = 1 / (1 + np.exp(-rng.normal(size=n)))
        data["score"] = some(pa.array(score))
        data["label"] = some(pa.array(rng.uniform(size=n) < score))
    elif task is Task.MULTICLASS:
        shares = rng.dirichlet([1, 1, 1], n)
        for j, name in enumerate("abc"):
            data[f"score_{name}"] = pa.array(shares[:, j])
        drawn = (rng.uniform(size=(n, 1)) > shares.cumsum(axis=1)[:, :2]).sum(axis=1)
        label = np.array(list("abc"))[drawn]
        data["prediction"] = some(pa.array([list("abc")[k] for k in shares.argmax(axis=1)]))
        data["label"] = some(pa.array(label, pa.string()))
    elif task is Task.REGRESSION:
        label = rng.normal(size=n) * 10 + 30
        data["prediction"] = some(pa.array(label + rng.normal(size=n) * 3 + 1))
        data["label"] = some(pa.array(label))
    return pa.table(data)


def _layout(table: pa.Table, task: Task | None) -> Layout:
    schema = Schema(_COMMON + _ANSWERS.get(task, ()), task, ("carrier",), positive="true")
    survey = Survey(schema)
    for batch in table.to_batches():
        survey.update(batch)
    return survey.layout("baseline")


def _profile(
    table: pa.Table, layout: Layout, width: timedelta | None = None, rows: int | None = None
) -> Profile:
    profiler = Profiler(layout, width)
    for batch in table.combine_chunks().to_batches(rows):
        profiler.update(batch)
    return profiler.finish()


def _replaced(table: pa.Table, **columns: pa.Array) -> pa.Table:
    for name, values in columns.items():
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, values)
    return table


class World:
    """A baseline of one task and its layout."""

    def __init__(self, task: Task | None, n: int = 400) -> None:
        self.task = task
        self.table = _records(task, n)
        self.layout = _layout(self.table, task)
        self.reference = self.profile(self.table)

    def records(self, n: int, seed: int = 0) -> pa.Table:
        return _records(self.task, n, seed)

    def profile(
        self, table: pa.Table, width: timedelta | None = None, rows: int | None = None
    ) -> Profile:
        return _profile(table, self.layout, width, rows)


@pytest.fixture(scope="session")
def worlds() -> dict[Task | None, World]:
    return {task: World(task) for task in (*Task, None)}


@pytest.fixture(scope="session")
def replaced() -> Callable[..., pa.Table]:
    return _replaced


def _two_profiles(
    schema: Schema,
    reference: dict[str, Any],
    current: dict[str, Any],
    width: timedelta | None = None,
) -> tuple[Profile, Profile]:
    tables = [pa.table(columns) for columns in (current, reference)]
    survey = Survey(schema)
    for batch in tables[1].to_batches():
        survey.update(batch)
    layout = survey.layout("baseline")
    now, then = (_profile(table, layout, width) for table in tables)
    return now, then.total()


@pytest.fixture(scope="session")
def two_profiles() -> Callable[..., tuple[Profile, Profile]]:
    """``(schema, reference, current) -> (current profile, reference profile)``."""
    return _two_profiles
