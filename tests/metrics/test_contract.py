"""What every registered metric keeps to, whoever wrote it: found by ``all_metrics``."""

from __future__ import annotations

import json
import warnings
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from tidegauge.errors import NotFound
from tidegauge.metrics import Family, Result, all_metrics, evaluate, find_metric
from tidegauge.metrics.registry import Direction, Scale
from tidegauge.metrics.staleness import Facts, with_facts
from tidegauge.profile.profile import merge_profiles
from tidegauge.schema import Role, Task
from tidegauge.schema.types import WATCHED_ROLES

METRICS = all_metrics()
DAILY = timedelta(days=1)
#: Values that are there without a record under them.
COUNTS = {"row_count", "distinct_count"}
#: What is read from HyperLogLog registers, the sample or facts, which segments do not have.
WHOLE_ONLY = {"distinct_count", "text_length", "model_age", "baseline_age", "label_age"}
#: Metrics of drift whose value for two equal sides is not 0.
UNCHANGED = {
    "mann_whitney": 0.5,
    "fisher_exact": 1.0,
    "pca_reconstruction_error": 1.0,
    "domain_classifier": 0.5,
    "embedding_domain_classifier": 0.5,
    "text_domain_classifier": 0.5,
}
#: Statistics that have no such value: what they say is in the p-value.
BY_P_VALUE = {"cramer_von_mises", "anderson_darling", "mmd", "embedding_mmd"}
#: SciPy gives no greater p-value.
GREATEST_P = {"anderson_darling": 0.25}
LAST_YEAR = datetime(2023, 12, 1, tzinfo=UTC)

by_metric = pytest.mark.parametrize("name", METRICS)


_PROFILES = {}


def profiled(world, what, table, width=None):
    """Profile records once for all metrics, with every warning an error."""
    place = (world.task, what, width)
    if place not in _PROFILES:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            _PROFILES[place] = world.profile(table, width)
    return _PROFILES[place]


def key(series):
    return series.metric.name, series.column.name if series.column else None


def known(profile):
    """Hand in what metrics of staleness read."""
    until = np.full(len(profile.windows), LAST_YEAR.timestamp() * 1e6)
    return with_facts(profile, Facts(LAST_YEAR, LAST_YEAR, until))


def series_of(name, world, current, reference=None):
    """Evaluate one metric with every warning an error, and check what holds always."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evaluate(known(current), reference or world.reference, [METRICS[name]])
    for series in found:
        shape = current.rows.shape
        assert series.value.shape == shape
        assert series.value.dtype == np.float64
        assert not np.isinf(series.value).any()
        assert series.n_current.shape == shape
        assert series.n_current.dtype == np.int64
        assert series.n_reference.shape == (1, shape[1])
        assert series.enough.shape == shape
        assert series.enough.dtype == np.bool_
        if series.p_value is not None:
            p = np.broadcast_to(series.p_value, shape)
            assert ((p >= 0) & (p <= 1) | np.isnan(p)).all()
            assert np.isnan(p[np.isnan(series.value)]).all() or name in COUNTS
        if series.noise is not None:
            noise = np.broadcast_to(series.noise, shape)
            assert np.isfinite(noise[np.isfinite(series.value)]).all()
            assert (noise[np.isfinite(noise)] >= 0).all()
        check_json(series)
    return found


def check_json(series):
    metric = series.metric
    for value in series.value[:2].ravel():
        result = Result(
            metric=metric.name,
            column=series.column.name if series.column else None,
            value=float(value),
            unit=metric.unit_for(series.column),
            direction=metric.direction.value,
            n_current=int(series.n_current.max(initial=0)),
        )
        held = json.loads(json.dumps(result.to_json(), allow_nan=False))
        assert (held["value"] is None) == bool(np.isnan(value))


def tasks_of(name):
    return sorted(METRICS[name].tasks) or [Task.BINARY]


def each_world(name, worlds):
    return [worlds[task] for task in tasks_of(name)]


@by_metric
def test_it_says_what_it_is(name):
    metric = METRICS[name]
    assert metric.name == name
    assert metric.summary.endswith((".", ":")) or metric.summary
    assert metric.summary == metric.summary.strip()
    assert 15 <= len(metric.summary) <= 100
    assert metric.direction in Direction
    assert metric.scale in Scale
    assert metric.family in Family
    assert isinstance(metric.unit, str)
    assert bool(metric.group) != bool(metric.types)
    assert metric.needs
    assert metric.minimum_effect >= 0
    if metric.judged:
        own = (metric.noise, metric.p_value, metric.linear)
        assert any(one is not None for one in own)


@by_metric
def test_it_is_computed_where_its_task_is(name, worlds):
    for world in each_world(name, worlds):
        found = series_of(name, world, world.reference)
        assert found
        defined = [np.isfinite(s.value[:, 0]).all() for s in found]
        # What somebody asks for may be undefined where a column is constant, or has many values.
        assert any(defined) if METRICS[name].asked else all(defined), name


@by_metric
def test_nothing_has_changed_between_identical_profiles(name, worlds):
    for world in each_world(name, worlds):
        for series in series_of(name, world, world.reference):
            if series.metric.family is Family.DRIFT and name not in BY_P_VALUE:
                assert np.isfinite(series.value[0, 0]) or series.metric.asked
                held = series.value[np.isfinite(series.value)]
                assert (np.abs(held - UNCHANGED.get(name, 0.0)) < 1e-9).all()
            if series.p_value is not None:
                held = series.p_value[np.isfinite(series.p_value)]
                assert (held >= GREATEST_P.get(name, 0.49)).all(), name


@by_metric
def test_no_records_give_no_value(name, worlds):
    for world in each_world(name, worlds):
        empty = profiled(world, "empty", world.table.slice(0, 0))
        for series in series_of(name, world, empty):
            if name in COUNTS:
                assert series.value[0, 0] == 0
            else:
                assert np.isnan(series.value).all()
            assert (series.n_current == 0).all()
        assert all(
            s.value.shape == (0, len(world.layout.segments))
            for s in series_of(
                name, world, profiled(world, "empty", world.table.slice(0, 0), DAILY)
            )
        )


@by_metric
def test_without_a_baseline_what_needs_one_has_no_value(name, worlds):
    for world in each_world(name, worlds):
        empty = profiled(world, "empty", world.table.slice(0, 0))
        full = {key(s): s for s in series_of(name, world, world.reference)}
        for series in series_of(name, world, world.reference, empty):
            if series.metric.uses_reference:
                assert np.isnan(series.value).all()
            else:
                np.testing.assert_array_equal(series.value, full[key(series)].value)
            if series.p_value is not None:
                assert np.isnan(series.p_value).all()


@by_metric
@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_records_have_a_defined_result(name, n, worlds):
    for world in each_world(name, worlds):
        for seed in range(3):
            few = profiled(world, f"{n} of {seed}", world.records(n, seed))
            series_of(name, world, few)
            series_of(name, world, world.reference, few)
            series_of(name, world, few, few)


def constant(world, replaced):
    n = len(world.table)
    return replaced(
        world.table,
        x=pa.array([7.0] * n),
        count=pa.array([3] * n),
        born=pa.array([5] * n, pa.int32()).cast(pa.date32()),
        carrier=pa.array(["UA"] * n),
        vip=pa.array([True] * n),
        latency_ms=pa.array([20.0] * n),
        score=pa.array([0.5] * n),
        status=pa.array(["200"] * n),
        prediction=pa.array(["a"] * n if world.task is Task.MULTICLASS else [1.5] * n),
        label=pa.array(
            {Task.BINARY: [True] * n, Task.MULTICLASS: ["a"] * n}.get(world.task, [2.5] * n)
        ),
        **{f"score_{c}": pa.array([1 / 3] * n) for c in "abc"},
    )


def odd_numbers(world, replaced):
    n = len(world.table)
    odd = pa.array(([np.nan, np.inf, -np.inf, None, 0.25] * n)[:n], pa.float64())
    return replaced(
        world.table,
        **dict.fromkeys(("x", "count", "latency_ms", "score", "score_a", "halfway", "worth"), odd),
        **({"prediction": odd, "label": odd} if world.task is Task.REGRESSION else {}),
    )


def nothing_but_missing(world, replaced):
    n = len(world.table)
    columns = [c for c in world.table.column_names if c not in ("id", "when")]
    return replaced(world.table, **{c: pa.nulls(n, world.table[c].type) for c in columns})


def new_categories(world, replaced):
    n = len(world.table)
    words = pa.array([f"new-{k % 7}" for k in range(n)])
    return replaced(world.table, carrier=words, group=words, status=words)


def not_of_their_type(world, replaced):
    n = len(world.table)
    words = pa.array([("x", "1", "", None)[k % 4] for k in range(n)])
    return replaced(
        world.table,
        x=words,
        count=pa.array([[k] for k in range(n)]),
        born=words,
        vip=pa.array([0.5] * n),
        carrier=pa.array([{"a": 1}] * n),
        score=words,
        latency_ms=pa.array([True] * n),
        halfway=pa.nulls(n),
        note=pa.array([[k] for k in range(n)]),
        vector=words,
    )


def far_away(world, replaced):
    n = len(world.table)
    far = pa.array([1e15 + k for k in range(n)])
    return replaced(world.table, x=far, count=far, latency_ms=far, halfway=far)


def last_class_only(world, replaced):
    n = len(world.table)
    label = {
        Task.BINARY: pa.array([False] * n),
        Task.MULTICLASS: pa.array(["c"] * n),
        Task.REGRESSION: pa.array([0.0] * n),
    }[world.task]
    return replaced(world.table, label=label)


def unknown_class(world, replaced):
    n = len(world.table)
    return replaced(world.table, label=pa.array([(None, "z")[k % 2] for k in range(n)]))


@by_metric
@pytest.mark.parametrize(
    "change",
    [
        constant,
        odd_numbers,
        nothing_but_missing,
        new_categories,
        not_of_their_type,
        far_away,
        last_class_only,
        unknown_class,
    ],
)
def test_strange_records_have_a_defined_result(name, change, worlds, replaced):
    for world in each_world(name, worlds):
        table = change(world, replaced)
        strange = profiled(world, change.__name__, table)
        windowed = profiled(world, change.__name__, table, DAILY)
        found = series_of(name, world, strange)
        series_of(name, world, windowed)
        series_of(name, world, strange, strange)
        series_of(name, world, world.reference, strange)
        if change is constant and name in ("roc_auc", "r2"):
            assert all(np.isnan(s.value).all() for s in found)
        if change is constant and name == "std":
            assert all(s.value[0, 0] == 0 for s in found if s.column.name in ("x", "count", "flat"))
        if change is nothing_but_missing and name == "missing_share":
            assert all(s.value[0, 0] == 1 for s in found if s.column.name != "when")
        if change is new_categories and name == "unseen_share":
            assert next(s.value[0, 0] for s in found if s.column.name == "carrier") == 1


@by_metric
def test_merged_parts_give_the_value_of_the_whole(name, worlds):
    for world in each_world(name, worlds):
        table = world.records(600, 5)
        whole = profiled(world, "whole", table, DAILY)
        if (world.task, "parts") not in _PROFILES:
            parts = [world.profile(table.slice(at, 170), DAILY, 60) for at in range(0, 600, 170)]
            _PROFILES[world.task, "parts"] = merge_profiles(parts[::-1])
        merged = _PROFILES[world.task, "parts"]
        for one, other in zip(
            series_of(name, world, whole), series_of(name, world, merged), strict=True
        ):
            np.testing.assert_allclose(one.value, other.value, rtol=1e-9, atol=1e-9)
            np.testing.assert_array_equal(one.n_current, other.n_current)


@by_metric
def test_many_windows_at_once_give_what_each_gives_alone(name, worlds):
    for world in each_world(name, worlds):
        windowed = profiled(world, "whole", world.records(600, 5), DAILY)
        together = {key(s): s for s in series_of(name, world, windowed)}
        for w in range(len(windowed.windows)):
            for alone in series_of(name, world, windowed.select(np.array([w]))):
                one = together[key(alone)]
                np.testing.assert_allclose(one.value[w], alone.value[0], rtol=1e-12, atol=1e-12)
                if one.p_value is not None:
                    np.testing.assert_allclose(
                        one.p_value[w], alone.p_value[0], rtol=1e-9, atol=1e-12
                    )


@pytest.mark.parametrize(
    "name", [n for n, m in METRICS.items() if not m.uses_reference and n not in WHOLE_ONLY]
)
def test_a_segment_has_the_value_of_its_records_alone(name, worlds):
    for world in each_world(name, worlds):
        table = world.records(600, 5)
        windowed = profiled(world, "whole", table, DAILY)
        together = {key(s): s for s in series_of(name, world, windowed)}
        for index, segment in enumerate(world.layout.segments):
            if segment is None or segment.value == "(other)":
                continue
            inside = pa.compute.equal(table[segment.column], segment.value)
            part = profiled(world, f"segment {segment}", table.filter(inside), DAILY)
            for alone in series_of(name, world, part):
                np.testing.assert_allclose(
                    together[key(alone)].value[:, index],
                    alone.value[:, 0],
                    rtol=1e-9,
                    atol=1e-9,
                    err_msg=f"{name} {segment}",
                )


#: Metrics that are plain means over the records of ``n_current``.
MEANS = (
    "missing_share", "out_of_range_share", "type_error_share", "unseen_share", "accuracy",
    "mean_label", "mae", "mse", "mape", "error_share",
)  # fmt: skip


@pytest.mark.parametrize("name", ["row_count", *MEANS])
def test_segments_of_one_column_add_up_to_the_whole(name, worlds):
    for world in each_world(name, worlds):
        windowed = profiled(world, "whole", world.records(600, 5), DAILY)
        for series in series_of(name, world, windowed):
            weight = 1 if name == "row_count" else series.n_current
            mass = np.where(series.n_current > 0, series.value * weight, 0.0)
            for _, first, values in world.layout.segment_groups:
                part = mass[:, first : first + len(values)].sum(axis=1)
                np.testing.assert_allclose(part, mass[:, 0], rtol=1e-9, atol=1e-9)


def test_every_metric_is_of_use_to_some_task(worlds):
    seen = set()
    for world in worlds.values():
        found = evaluate(known(world.reference), world.reference, METRICS)
        seen |= {s.metric.name for s in found}
    assert seen == set(METRICS)


def test_what_is_judged_is_this():
    judged = {
        name: sorted(
            (task.value if task else "any")
            for task in (METRICS[name].tasks or [None])
            if METRICS[name].judged or METRICS[name].by_task.get(task, {}).get("judged")
        )
        for name in METRICS
    }
    assert {name: tasks for name, tasks in judged.items() if tasks} == {
        "location_shift": ["any"],
        "shape_shift": ["any"],
        "total_variation": ["any"],
        "missing_share": ["any"],
        "infinite_share": ["any"],
        "unseen_share": ["any"],
        "type_error_share": ["any"],
        "dimension_error_share": ["any"],
        "row_count": ["any"],
        "accuracy": ["multiclass"],
        "roc_auc": ["binary"],
        "bias": ["binary", "regression"],
        "concept_drift": ["binary", "multiclass", "regression"],
        "mae": ["regression"],
        "latency_p95": ["any"],
        "error_share": ["any"],
    }


def test_metrics_keep_to_the_roles_they_are_for(worlds):
    world = worlds[Task.BINARY]
    roles = {}
    for series in evaluate(world.reference, world.reference):
        if series.column is not None:
            roles.setdefault(series.metric.name, set()).add(series.column.role)
    for name, held in roles.items():
        if METRICS[name].family is Family.DRIFT:
            assert held <= WATCHED_ROLES | {Role.SEGMENT}, name
        if name.startswith("latency"):
            assert held == {Role.LATENCY}
    assert Role.STATUS in roles["missing_share"]
    assert Role.LABEL not in roles["missing_share"]
    assert {Role.LABEL, Role.SCORE, Role.FEATURE} <= roles["ks"] | roles["total_variation"]


def test_a_model_without_a_task_has_no_performance(worlds):
    world = worlds[None]
    families = {s.metric.family for s in evaluate(world.reference, world.reference)}
    assert families == {Family.DRIFT, Family.QUALITY, Family.SERVICE}


def test_units_and_minimum_effects_are_those_of_the_model(worlds):
    world = worlds[Task.REGRESSION]
    found = {key(s): s for s in evaluate(world.reference, world.reference)}
    mae = found["mae", None]
    assert (mae.metric.unit, found["mse", None].metric.unit) == ("min", "min²")
    bias = found["bias", None].metric
    assert bias.unit == "min"
    assert bias.minimum_effect == pytest.approx(0.1 * mae.value[0, 0])
    assert found["mean", "x"].metric.unit_for(found["mean", "x"].column) == "m"
    binary = evaluate(worlds[Task.BINARY].reference, worlds[Task.BINARY].reference)
    assert next(s.metric.unit for s in binary if s.metric.name == "bias") == "share"


def test_a_name_that_is_almost_one_is_hinted_at():
    assert find_metric("psi").name == "psi"
    with pytest.raises(NotFound, match="did you mean 'log_loss'"):
        find_metric("logloss")
