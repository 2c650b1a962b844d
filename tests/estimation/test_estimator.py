"""Estimated performance holds what the labels then say, and says so where it cannot."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from tests.estimation.streams import (
    baseline_of,
    profiled,
    records,
    schema,
    with_labels,
    without_labels,
)

from tidegauge.estimation import Estimates, Estimator
from tidegauge.estimation.estimates import estimated_metrics
from tidegauge.metrics.registry import View
from tidegauge.profile import Baseline, Profile
from tidegauge.profile.codec import profile_from_bytes, profile_to_bytes
from tidegauge.profile.profile import ESTIMATE, PERFORMANCE
from tidegauge.schema import Task

TASKS = (Task.BINARY, Task.MULTICLASS, Task.REGRESSION)


@cache
def learnt(task: Task) -> tuple[Baseline, Estimator]:
    baseline = baseline_of(records(task, 12), schema(task))
    return baseline, Estimator.learn(baseline)


def measured(profile: Profile) -> dict[str, np.ndarray]:
    view = View(profile, PERFORMANCE)
    with np.errstate(all="ignore"):
        return {one.name: one.compute(view, view) for one in estimated_metrics(profile)}


def covered(found: Estimates, true: dict[str, np.ndarray], where: object = ...) -> dict[str, float]:
    out = {}
    for name, one in found.metrics.items():
        inside = (one.lower <= true[name] + 1e-3) & (true[name] - 1e-3 <= one.upper)
        out[name] = float(inside[where][np.isfinite(true[name][where])].mean())
    return out


@pytest.mark.parametrize("task", TASKS)
def test_shifted_windows_lie_within_their_intervals(task: Task) -> None:
    baseline, estimator = learnt(task)
    rows = records(task, 8, first=20, shift=0.8)
    found = estimator.estimate(profiled(baseline.layout, without_labels(rows)))
    assert found.why_not is None
    assert np.all(found.coverage[:, :3] == 0)
    true = measured(profiled(baseline.layout, rows))
    shares = covered(found, true)
    assert set(shares) == set(true)
    assert min(shares.values()) >= 0.75, shares
    assert np.mean(list(shares.values())) >= 0.88, shares


def test_what_the_model_leaves_out_moves_the_estimate_with_the_inputs() -> None:
    baseline, estimator = learnt(Task.BINARY)
    rows = records(Task.BINARY, 4, first=20, shift=1.2, rows=1500)
    found = estimator.estimate(profiled(baseline.layout, without_labels(rows)))
    true = measured(profiled(baseline.layout, rows))
    usual = measured(baseline.total)["mean_label"][0, 0]
    gap = np.abs(found.metrics["mean_label"].value[:, 0] - true["mean_label"][:, 0]).mean()
    assert true["mean_label"][:, 0].mean() - usual > 0.15
    assert gap < 0.03


@pytest.mark.parametrize("task", TASKS)
def test_windows_with_all_their_labels_are_what_they_are(task: Task) -> None:
    baseline, estimator = learnt(task)
    profile = profiled(baseline.layout, records(task, 3, first=30))
    found = estimator.estimate(profile)
    assert np.allclose(found.coverage[:, 0], 1.0)
    for name, true in measured(profile).items():
        one = found.metrics[name]
        assert np.allclose(one.value, true, atol=2e-3, equal_nan=True), name
        assert np.nanmax(one.upper - one.lower) < 2e-3, name


@pytest.mark.parametrize("task", TASKS)
def test_labels_of_an_unfair_part_are_corrected_for(task: Task) -> None:
    baseline, estimator = learnt(task)
    rows = records(task, 8, first=40)
    chance = 1 / (1 + np.exp(-2 * rows["x1"].to_numpy()))
    keep = np.random.default_rng(3).random(len(rows)) < 0.6 * chance
    partly = profiled(baseline.layout, with_labels(rows, keep))
    found, true, labelled = (
        estimator.estimate(partly),
        measured(profiled(baseline.layout, rows)),
        measured(partly),
    )
    assert 0.2 < found.coverage[:, 0].mean() < 0.4
    name = {Task.REGRESSION: "mae", Task.BINARY: "mean_label"}.get(task, "log_loss")
    gap = np.abs(found.metrics[name].value - true[name])[:, 0].mean()
    assert gap < 0.7 * np.abs(labelled[name] - true[name])[:, 0].mean()
    assert np.mean(list(covered(found, true).values())) >= 0.85


def test_labels_that_contradict_move_the_rest_of_the_window() -> None:
    baseline, estimator = learnt(Task.BINARY)
    rows = records(Task.BINARY, 6, first=50)
    flipped = pa.array(1 - rows["label"].to_numpy())
    rows = rows.set_column(rows.schema.get_field_index("label"), "label", flipped)
    half = np.arange(len(rows)) % 2 == 0
    found = estimator.estimate(profiled(baseline.layout, with_labels(rows, half)))
    true = measured(profiled(baseline.layout, rows))["roc_auc"][:, 0]
    assert np.all(true < 0.5)
    assert np.abs(found.metrics["roc_auc"].value[:, 0] - true).mean() < 0.06


def test_more_labels_make_the_interval_narrower() -> None:
    baseline, estimator = learnt(Task.BINARY)
    rows = records(Task.BINARY, 4, first=60)
    widths = []
    for share in (0.0, 0.4, 0.8):
        keep = np.random.default_rng(0).random(len(rows)) < share
        one = estimator.estimate(profiled(baseline.layout, with_labels(rows, keep))).metrics["f1"]
        widths.append(float((one.upper - one.lower)[:, 0].mean()))
    assert widths[0] > widths[1] > widths[2]


def test_predictions_that_are_no_threshold_at_a_half_are_read_as_said() -> None:
    known = schema(Task.BINARY, prediction=True)
    baseline = baseline_of(records(Task.BINARY, 10, threshold=0.7), known)
    estimator = Estimator.learn(baseline)
    rows = records(Task.BINARY, 6, first=20, threshold=0.7)
    found = estimator.estimate(profiled(baseline.layout, without_labels(rows)))
    true = measured(profiled(baseline.layout, rows))
    for name in ("recall", "precision", "accuracy"):
        assert np.abs(found.metrics[name].value - true[name])[:, 0].mean() < 0.04, name
    assert true["recall"][:, 0].mean() < 0.45


@pytest.mark.parametrize("task", TASKS)
def test_windows_of_one_record_and_of_none_have_an_answer(task: Task) -> None:
    baseline, estimator = learnt(task)
    one = records(task, 1, first=70, rows=1)
    profile = profiled(baseline.layout, without_labels(one))
    empty = np.array([profile.windows[0], profile.windows[0] + 86_400_000_000])
    profiler_windows = replace(
        profile,
        windows=empty,
        arrays={
            group: {k: np.concatenate((v, np.zeros_like(v))) for k, v in held.items()}
            for group, held in profile.arrays.items()
        },
    )
    found = estimator.estimate(profiler_windows)
    assert found.rows[:, 0].tolist() == [1, 0]
    for name, held in found.metrics.items():
        assert np.isnan(held.value[1]).all(), name
        assert np.all((held.lower <= held.value) | np.isnan(held.value)), name
    name = "mae" if task is Task.REGRESSION else "accuracy"
    assert np.isfinite(found.metrics[name].value[0, 0])


def test_scores_that_are_no_probabilities_take_no_part() -> None:
    baseline, estimator = learnt(Task.BINARY)
    rows = records(Task.BINARY, 2, first=80)
    score = rows["score"].to_numpy().copy()
    score[::4] = 7.0
    rows = rows.set_column(rows.schema.get_field_index("score"), "score", pa.array(score))
    found = estimator.estimate(profiled(baseline.layout, without_labels(rows)))
    assert found.rows[:, 0].tolist() == [450, 450]
    brier = found.metrics["brier"].value[:, 0]
    assert np.all((brier > 0.1) & (brier < 0.4))


def test_scores_beyond_the_baseline_widen_the_interval_and_are_told() -> None:
    rows = records(Task.BINARY, 10)
    score = rows["score"].to_numpy()
    inner = rows.filter(pa.array((score > 0.3) & (score < 0.7)))
    baseline = baseline_of(inner, schema(Task.BINARY))
    estimator = Estimator.learn(baseline)
    found = estimator.estimate(
        profiled(baseline.layout, without_labels(records(Task.BINARY, 4, first=20)))
    )
    usual = estimator.estimate(profiled(baseline.layout, without_labels(inner)))
    assert found.beyond[:, 0].min() > 0.3
    assert usual.beyond[:, 0].max() < 0.01
    one, other = found.metrics["mean_label"], usual.metrics["mean_label"]
    assert (one.upper - one.lower)[:, 0].mean() > (other.upper - other.lower)[:, 0].mean()


def test_labels_of_a_class_that_nobody_knows_do_no_harm() -> None:
    baseline, estimator = learnt(Task.MULTICLASS)
    rows = records(Task.MULTICLASS, 2, first=90)
    words = rows["label"].to_numpy().astype(object).copy()
    words[::10] = "zebra"
    rows = rows.set_column(rows.schema.get_field_index("label"), "label", pa.array(words))
    found = estimator.estimate(profiled(baseline.layout, rows))
    assert np.isfinite(found.metrics["accuracy"].value[:, 0]).all()
    assert found.metrics["accuracy"].value[0, 0] > 0.2


@pytest.mark.parametrize("task", TASKS)
def test_without_a_sample_the_profile_alone_is_read(task: Task) -> None:
    baseline, estimator = learnt(task)
    rows = records(task, 3, first=20)
    found = estimator.estimate(profiled(baseline.layout, without_labels(rows), sample=0))
    assert found.why_not is None
    name = "mae" if task is Task.REGRESSION else "accuracy"
    true = measured(profiled(baseline.layout, rows))[name][:, 0]
    assert np.abs(found.metrics[name].value[:, 0] - true).mean() < 0.2 * true.mean()


def test_a_profile_of_an_earlier_release_says_what_it_lacks() -> None:
    baseline, estimator = learnt(Task.BINARY)
    profile = profiled(baseline.layout, without_labels(records(Task.BINARY, 2, first=20)))
    old = replace(profile, arrays={k: v for k, v in profile.arrays.items() if k != ESTIMATE})
    found = estimator.estimate(old)
    assert found.why_not is not None
    assert "stored by a release" in found.why_not
    assert not found.metrics


def test_merging_with_such_a_profile_leaves_the_group_out() -> None:
    baseline, _ = learnt(Task.BINARY)
    first, second = (
        profiled(baseline.layout, records(Task.BINARY, 1, first=day)) for day in (20, 21)
    )
    old = replace(first, arrays={k: v for k, v in first.arrays.items() if k != ESTIMATE})
    for merged in (old.merge(second), second.merge(old)):
        assert ESTIMATE not in merged
        assert merged.rows[:, 0].tolist() == [600, 600]
    both = first.merge(second)
    again = profile_from_bytes(profile_to_bytes(both), both.layout)
    assert np.array_equal(again[ESTIMATE]["said_scores"], both[ESTIMATE]["said_scores"])
    assert both[ESTIMATE]["said_scores"][:, 0].sum(axis=(1, 2)).tolist() == [600, 600]


def test_an_estimator_without_labels_to_learn_from_says_why_and_estimates_nothing() -> None:
    rows = without_labels(records(Task.BINARY, 2))
    baseline = baseline_of(rows, schema(Task.BINARY))
    estimator = Estimator.learn(baseline)
    assert estimator.why_not == "no row of the baseline has a label that is known ('label')"
    found = estimator.estimate(profiled(baseline.layout, rows))
    assert found.why_not == estimator.why_not
    assert not found.metrics
    assert np.all(found.coverage[:, :3] == 0)


@pytest.mark.parametrize("task", TASKS)
def test_the_same_records_give_the_same_estimate(task: Task) -> None:
    baseline, estimator = learnt(task)
    profile = profiled(baseline.layout, without_labels(records(task, 2, first=20)))
    first, second = (estimator.estimate(profile) for _ in range(2))
    for name, one in first.metrics.items():
        assert np.array_equal(one.lower, second.metrics[name].lower, equal_nan=True)
