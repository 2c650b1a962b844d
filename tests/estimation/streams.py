"""Small streams of records with and without labels, for the tests of estimation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from tidegauge.profile import Baseline, Layout, Profile, Profiler, Survey
from tidegauge.schema import Column, ColumnType, Role, Schema, Task

DAY = timedelta(days=1)
_MICROS = 86_400_000_000
_MONDAY = 1_767_571_200_000_000
CLASSES = ("a", "b", "c")


def schema(task: Task, *, prediction: bool = False) -> Schema:
    """The schema of the streams; with ``prediction`` a binary model says its class itself."""
    columns = [Column(f"x{i}", ColumnType.NUMERIC) for i in range(3)]
    columns.append(Column("region", ColumnType.CATEGORICAL, Role.SEGMENT))
    if task is Task.BINARY:
        columns.append(Column("score", ColumnType.NUMERIC, Role.SCORE))
        columns.append(Column("label", ColumnType.BOOLEAN, Role.LABEL))
        if prediction:
            columns.append(Column("said", ColumnType.BOOLEAN, Role.PREDICTION))
    elif task is Task.MULTICLASS:
        columns += [Column(f"score_{c}", ColumnType.NUMERIC, Role.SCORE, class_=c) for c in CLASSES]
        columns.append(Column("label", ColumnType.CATEGORICAL, Role.LABEL))
    else:
        columns.append(Column("prediction", ColumnType.NUMERIC, Role.PREDICTION))
        columns.append(Column("label", ColumnType.NUMERIC, Role.LABEL))
    columns.append(Column("timestamp", ColumnType.DATETIME, Role.TIMESTAMP))
    return Schema(tuple(columns), task)


def records(
    task: Task,
    days: int,
    *,
    rows: int = 600,
    first: int = 0,
    shift: float = 0.0,
    seed: int = 0,
    threshold: float = 0.5,
) -> pa.Table:
    """Labelled records of some days; ``shift`` moves an input that the model hardly reads."""
    rng = np.random.default_rng([seed, first])
    n = days * rows
    x = rng.standard_normal((n, 3))
    x[:, 1] += shift
    region = rng.integers(0, 2, n)
    own = x[:, 0] + 0.1 * x[:, 1]
    true = x[:, 0] + 1.0 * x[:, 1] + 0.8 * region - 0.4
    columns: dict[str, object] = {f"x{i}": x[:, i] for i in range(3)}
    columns["region"] = np.array(["north", "south"])[region]
    if task is Task.BINARY:
        score = 1 / (1 + np.exp(-own))
        columns["score"] = score
        columns["said"] = (score >= threshold).astype(np.int64)
        columns["label"] = (rng.random(n) < 1 / (1 + np.exp(-true))).astype(np.int64)
    elif task is Task.MULTICLASS:
        scores = _shares(np.stack((own, 0.5 * x[:, 2], np.zeros(n)), axis=1))
        chances = _shares(np.stack((true, 0.5 * x[:, 2], np.zeros(n)), axis=1))
        columns |= {f"score_{c}": scores[:, i] for i, c in enumerate(CLASSES)}
        drawn = (chances.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
        columns["label"] = np.array(CLASSES)[drawn]
    else:
        columns["prediction"] = 30 + 3 * own
        columns["label"] = 30 + 3 * own + np.exp(0.4 * x[:, 1]) * rng.standard_normal(n)
    times = np.repeat(np.arange(first, first + days), rows) * _MICROS + rng.integers(0, _MICROS, n)
    columns["timestamp"] = pa.array(times + _MONDAY, pa.timestamp("us", "UTC"))
    return pa.table(columns)


def _shares(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    shares: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return shares


def with_labels(rows: pa.Table, keep: np.ndarray) -> pa.Table:
    """Records of which only some have their label yet."""
    at = rows.schema.get_field_index("label")
    held = rows["label"].combine_chunks()
    return rows.set_column(at, "label", pa.compute.if_else(pa.array(keep), held, None))


def without_labels(rows: pa.Table) -> pa.Table:
    """Records of which none has its label yet."""
    return with_labels(rows, np.zeros(len(rows), dtype=np.bool_))


def profiled(layout: Layout, rows: pa.Table, *, sample: int = 2_000) -> Profile:
    """Profile records by day."""
    profiler = Profiler(layout, DAY, sample=sample)
    for batch in rows.to_batches():
        profiler.update(batch)
    return profiler.finish()


def baseline_of(rows: pa.Table, of: Schema) -> Baseline:
    """A baseline of records."""
    survey = Survey(of)
    for batch in rows.to_batches():
        survey.update(batch)
    return Baseline(profiled(survey.layout("baseline"), rows), datetime.now(UTC))
