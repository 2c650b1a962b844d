"""Records with every kind of oddity, and what two equal profiles must share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from tidegauge.profile import Layout, Profile, Profiler, Survey
from tidegauge.schema import Column, ColumnType, Role, Schema, Task

DAY = 86_400_000_000
#: 2024-01-01, a Monday.
MONDAY = 1_704_067_200_000_000

COLUMNS = (
    Column("id", ColumnType.TEXT, Role.PREDICTION_ID),
    Column("when", ColumnType.DATETIME, Role.TIMESTAMP),
    Column("x", ColumnType.NUMERIC),
    Column("k", ColumnType.NUMERIC),
    Column("born", ColumnType.DATETIME),
    Column("carrier", ColumnType.CATEGORICAL),
    Column("vip", ColumnType.BOOLEAN, Role.SEGMENT),
    Column("status", ColumnType.CATEGORICAL, Role.STATUS),
    Column("latency_ms", ColumnType.NUMERIC, Role.LATENCY),
    Column("note", ColumnType.TEXT),
)
ANSWERS = {
    Task.BINARY: (
        Column("score", ColumnType.NUMERIC, Role.SCORE),
        Column("label", ColumnType.BOOLEAN, Role.LABEL),
    ),
    Task.MULTICLASS: (
        Column("score_a", ColumnType.NUMERIC, Role.SCORE, class_="a"),
        Column("score_b", ColumnType.NUMERIC, Role.SCORE, class_="b"),
        Column("score_c", ColumnType.NUMERIC, Role.SCORE, class_="c"),
        Column("label", ColumnType.CATEGORICAL, Role.LABEL),
    ),
    Task.REGRESSION: (
        Column("prediction", ColumnType.NUMERIC, Role.PREDICTION),
        Column("label", ColumnType.NUMERIC, Role.LABEL),
    ),
}


def _records(n: int, seed: int, task: Task = Task.BINARY) -> pa.Table:
    rng = np.random.default_rng(seed)

    def some(values: list[object], share: float = 0.1) -> list[object]:
        return [None if rng.uniform() < share else value for value in values]

    x = rng.normal(size=n) * 100
    odd = rng.uniform(size=n)
    x = np.select([odd < 0.05, odd < 0.1, odd < 0.15], [np.nan, np.inf, -np.inf], x)
    data = {
        "id": pa.array([f"r{seed}-{i}" for i in range(n)], pa.string()),
        "when": pa.array(some(list(MONDAY + rng.integers(0, 20 * DAY, n))), pa.int64()).cast(
            pa.timestamp("us", "UTC")
        ),
        "x": pa.array(some(list(x)), pa.float64()),
        "k": pa.array(some([str(v) if v else "none" for v in rng.integers(0, 5, n)]), pa.string()),
        "born": pa.array(some(list(rng.integers(-9999, 9999, n))), pa.int32()).cast(pa.date32()),
        "carrier": pa.array(some(list(rng.choice(["UA", "AA", "B6", "", "ü"], n))), pa.string()),
        "vip": pa.array(some(list(rng.uniform(size=n) < 0.3)), pa.bool_()),
        "status": pa.array(some(list(rng.choice(["200", "503", "ok"], n))), pa.string()),
        "latency_ms": pa.array(rng.lognormal(3, 1, n)),
        "note": pa.array(some(["text"] * n), pa.string()),
    }
    if task is Task.BINARY:
        data["score"] = pa.array(some(list(rng.uniform(-0.02, 1.02, n))), pa.float64())
        data["label"] = pa.array(some(list(rng.uniform(size=n) < 0.4)), pa.bool_())
    elif task is Task.MULTICLASS:
        shares = rng.dirichlet([1, 1, 1], n)
        for j, name in enumerate("abc"):
            data[f"score_{name}"] = pa.array(some(list(shares[:, j]), 0.02), pa.float64())
        data["label"] = pa.array(some(list(rng.choice(list("abcd"), n))), pa.string())
    else:
        data["prediction"] = pa.array(some(list(rng.normal(size=n))), pa.float64())
        data["label"] = pa.array(some(list(rng.normal(size=n))), pa.float64())
    return pa.table(data)


def _layout(table: pa.Table, task: Task, segments: tuple[str, ...] = ("carrier",)) -> Layout:
    survey = Survey(Schema(COLUMNS + ANSWERS[task], task, segments, positive="true"))
    for batch in table.to_batches():
        survey.update(batch)
    return survey.layout("baseline-1")


def _profile(
    tables: pa.Table | Iterable[pa.Table],
    layout: Layout,
    width: timedelta | None = None,
    rows: int | None = None,
) -> Profile:
    profiler = Profiler(layout, width)
    for table in [tables] if isinstance(tables, pa.Table) else tables:
        for batch in table.combine_chunks().to_batches(rows):
            profiler.update(batch)
    return profiler.finish()


def _assert_same(one: Profile, two: Profile) -> None:
    """Whole numbers are equal, floats within 1e-9, and the samples hold the same rows."""
    assert one.windows.tolist() == two.windows.tolist()
    assert one.width == two.width
    assert {g: list(a) for g, a in one.arrays.items()} == {
        g: list(a) for g, a in two.arrays.items()
    }
    for group, arrays in one.arrays.items():
        for name, array in arrays.items():
            other = two.arrays[group][name]
            assert array.dtype == other.dtype, (group, name)
            assert array.shape == other.shape, (group, name)
            if array.dtype.kind == "f":
                np.testing.assert_allclose(
                    array, other, rtol=1e-9, atol=1e-9, err_msg=f"{group} {name}"
                )
            else:
                np.testing.assert_array_equal(array, other, err_msg=f"{group} {name}")
    assert (one.sample is None) == (two.sample is None)
    if one.sample is not None and two.sample is not None:
        assert repr(one.sample.to_pylist()) == repr(two.sample.to_pylist())


@pytest.fixture(scope="session")
def records() -> Callable[..., pa.Table]:
    return _records


@pytest.fixture(scope="session")
def layout_of() -> Callable[..., Layout]:
    return _layout


@pytest.fixture(scope="session")
def profile_of() -> Callable[..., Profile]:
    return _profile


@pytest.fixture(scope="session")
def assert_same() -> Callable[[Profile, Profile], None]:
    return _assert_same
