"""Concept drift is a change of P(y | x): found where there is one, not where only inputs moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import tidegauge as tg
from tidegauge.estimation.moved import with_relation
from tidegauge.estimation.relation import Relation
from tidegauge.metrics import evaluate
from tidegauge.metrics.concept import RELATION, channels, curve
from tidegauge.metrics.registry import View
from tidegauge.monitor.closing import Yardstick, close_windows
from tidegauge.profile import Baseline, Profile, Profiler, Survey
from tidegauge.profile.codec import profile_from_bytes, profile_to_bytes
from tidegauge.profile.profile import PERFORMANCE
from tidegauge.schema import Column, ColumnType, Role, Schema, Task

START, DAY = datetime(2026, 1, 5, tzinfo=UTC), timedelta(days=1)
A_DAY = 500
FEATURES = (
    Column("timestamp", ColumnType.DATETIME, Role.TIMESTAMP),
    Column("known", ColumnType.NUMERIC),
    Column("unknown", ColumnType.NUMERIC),
)
SCHEMAS = {
    Task.BINARY: Schema(
        (
            *FEATURES,
            Column("score", ColumnType.NUMERIC, Role.SCORE),
            Column("label", ColumnType.NUMERIC, Role.LABEL),
        ),
        Task.BINARY,
    ),
    Task.REGRESSION: Schema(
        (
            *FEATURES,
            Column("said", ColumnType.NUMERIC, Role.PREDICTION),
            Column("label", ColumnType.NUMERIC, Role.LABEL, unit="min"),
        ),
        Task.REGRESSION,
    ),
    Task.MULTICLASS: Schema(
        (
            *FEATURES,
            *(Column(f"score_{c}", ColumnType.NUMERIC, Role.SCORE, class_=c) for c in "abc"),
            Column("label", ColumnType.CATEGORICAL, Role.LABEL),
        ),
        Task.MULTICLASS,
    ),
}
TASKS = pytest.mark.parametrize("task", SCHEMAS)


def days(
    task: Task,
    count: int,
    seed: int,
    *,
    known: float = 0.0,
    unknown: float = 0.0,
    changed: float = 0.0,
    first: int = 0,
) -> pa.Table:
    """``known`` and ``unknown`` move inputs that the model knows and does not; the outcome depends
    on both, and ``changed`` is how much less on the first.
    """
    rng = np.random.default_rng([seed, list(SCHEMAS).index(task)])
    n = count * A_DAY
    a, b = rng.normal(known, 1.0, n), rng.normal(unknown, 1.0, n)
    offset = (first + np.repeat(np.arange(count), A_DAY) + rng.random(n)) * 86_400e6
    times = np.datetime64(START.replace(tzinfo=None), "us") + offset.astype("timedelta64[us]")
    out: dict[str, Any] = {
        "timestamp": pa.array(times, pa.timestamp("us", "UTC")),
        "known": a,
        "unknown": b,
    }
    eta = 1.5 * a * (1 - changed) + 0.8 * b
    if task is Task.BINARY:
        out["score"] = 1 / (1 + np.exp(-1.4 * a))
        out["label"] = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float)
    elif task is Task.REGRESSION:
        out["said"], out["label"] = 1.5 * a, eta + rng.normal(size=n)
    else:
        logits = np.stack([1.4 * a, -1.4 * a, np.zeros(n)], axis=1)
        scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        real = np.exp(np.stack([eta, -eta, np.zeros(n)], axis=1))
        through = np.cumsum(real / real.sum(axis=1, keepdims=True), axis=1)
        drawn = np.minimum((through < rng.random((n, 1))).sum(axis=1), 2)
        out |= {f"score_{c}": scores[:, k] for k, c in enumerate("abc")}
        out["label"] = np.array(list("abc"))[drawn]
    return pa.table(out)


_STICKS: dict[Task, Yardstick] = {}


def stick_of(task: Task) -> Yardstick:
    if task not in _STICKS:
        table = days(task, 14, 1)
        survey = Survey(SCHEMAS[task])
        for batch in table.to_batches():
            survey.update(batch)
        profile = profiled(survey.layout("b"), table)
        _STICKS[task] = Yardstick(Baseline(profile, START), DAY)
    return _STICKS[task]


def profiled(layout: Any, table: pa.Table) -> Profile:
    profiler = Profiler(layout, DAY)
    for batch in table.to_batches():
        profiler.update(batch)
    return profiler.finish()


def concept_of(task: Task, profile: Profile) -> Any:
    closed = close_windows(
        profile,
        stick_of(task),
        model="m",
        version=None,
        computed_at=START,
        final_before=START + 100 * DAY,
        estimate=False,
    )
    return next(one for one in closed.judged if one.series.metric.name == "concept_drift")


def judged(task: Task, **what: float) -> Any:
    table = days(task, 4, 2, first=14, **what)
    return concept_of(task, profiled(stick_of(task).baseline.layout, table))


@TASKS
def test_a_changed_relation_is_found(task: Task) -> None:
    found = judged(task, changed=0.5)
    assert (found.state == "alarm").sum() >= 3
    reason = next(reason for reason in found.reason.ravel() if reason)
    assert reason.startswith(("slope", "level", "size"))
    assert "was expected" in reason


@TASKS
@pytest.mark.parametrize("what", [{}, {"known": 1.0}, {"unknown": 1.0}], ids=str)
def test_moved_inputs_alone_are_no_concept_drift(task: Task, what: dict[str, float]) -> None:
    assert not judged(task, **what).alarms


@TASKS
def test_without_the_relation_inputs_that_the_model_does_not_know_would_be_one(task: Task) -> None:
    stick = stick_of(task)
    table = days(task, 4, 2, first=14, unknown=1.0)
    bare = Profiler(stick.baseline.layout, DAY, sample=0)
    for batch in table.to_batches():
        bare.update(batch)
    assert concept_of(task, bare.finish()).alarms


def test_the_value_is_how_far_the_chance_moved_at_a_score() -> None:
    found = judged(Task.BINARY, changed=0.5)
    none = judged(Task.BINARY)
    assert 0.08 < found.series.value.mean() < 0.2
    assert none.series.value.mean() < 0.02


def test_labels_of_high_scores_alone_are_no_drift() -> None:
    table = days(Task.BINARY, 4, 3, first=20)
    rng = np.random.default_rng(0)
    hidden = rng.random(len(table)) > np.asarray(table["score"])
    label = pa.array(np.asarray(table["label"]), mask=hidden)
    table = table.set_column(table.column_names.index("label"), "label", label)
    assert not concept_of(
        Task.BINARY, profiled(stick_of(Task.BINARY).baseline.layout, table)
    ).alarms


def test_what_the_relation_said_stays_with_a_stored_profile() -> None:
    stick = stick_of(Task.BINARY)
    layout = stick.baseline.layout
    whole = stick.related(profiled(layout, days(Task.BINARY, 4, 2, first=20, unknown=1.0)))
    stored = profile_from_bytes(profile_to_bytes(whole), layout)
    assert stored.sample is None
    values = [evaluate(one, stick.baseline.total, ["concept_drift"])[0] for one in (whole, stored)]
    np.testing.assert_array_equal(values[0].linear.value, values[1].linear.value)
    np.testing.assert_allclose(
        whole.total()[RELATION]["moved"], whole[RELATION]["moved"].sum(axis=0, keepdims=True)
    )


def test_the_curve_is_right_on_average_wherever_there_are_records() -> None:
    total = View(stick_of(Task.BINARY).baseline.total, PERFORMANCE)
    held = curve(total)
    n, hits, _ = channels(total)
    expected = (n * held.expected).sum(axis=-1)
    assert expected[0, 0, 0] == pytest.approx(hits[0, 0, 0].sum(), rel=1e-3)
    assert (np.diff(held.expected[0, 0]) > -0.02).all()


def test_of_one_class_or_few_records_nothing_is_judged() -> None:
    layout = stick_of(Task.BINARY).baseline.layout
    table = days(Task.BINARY, 1, 4, first=20).slice(0, 20)
    few = concept_of(Task.BINARY, profiled(layout, table))
    assert few.state.tolist() == [["too_few"]]
    relation = Relation.learn(table, layout)
    profile = profiled(layout, table)
    assert relation.why_not is not None
    assert with_relation(profile, relation, profile.total()) is profile


def test_two_files_are_compared_with_the_inputs_allowed_for() -> None:
    schema = SCHEMAS[Task.BINARY]
    then = days(Task.BINARY, 8, 5)

    def alarm(**what: float) -> bool:
        frame = tg.compare(then, days(Task.BINARY, 8, 6, **what), schema).to_frame()
        return bool((frame[frame["metric"] == "concept_drift"]["state"] == "alarm").any())

    assert alarm(changed=0.4)
    assert not alarm(unknown=0.5)
