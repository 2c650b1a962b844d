"""Noise and p-values are what they say: right about windows in which nothing but chance changed."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from tidegauge.metrics import all_metrics, evaluate
from tidegauge.metrics.registry import Scale
from tidegauge.monitor.scales import forward
from tidegauge.schema import Task

WINDOWS = 200
EACH = 200
HOUR = 3_600_000_000
SAMPLED = {"cramer_von_mises", "anderson_darling", "mann_whitney"}
#: Those whose pairs must differ in both sides to tell; ``test_two_sample.py`` and
#: ``test_multivariate.py`` count how often they are wrong.
ELSEWHERE = {"epps_singleton", "mmd", "embedding_mmd"}
METRICS = [m for n, m in all_metrics().items() if not m.asked or (m.p_value and n not in ELSEWHERE)]


@pytest.fixture(scope="module")
def null_series(worlds):
    """Series of each task over windows that are drawn as the baseline was."""
    found = {}
    for task in Task:
        world = worlds[task]
        wide = type(world)(task, 15_000)
        table = wide.records(WINDOWS * EACH, 11)
        hours = np.repeat(np.arange(WINDOWS), EACH) * HOUR + 1_704_067_200_000_000
        when = pa.array(hours, pa.timestamp("us", "UTC"))
        table = table.set_column(table.column_names.index("when"), "when", when)
        current = wide.profile(table, timedelta(hours=1))
        for series in evaluate(current, wide.reference, METRICS):
            name = series.column.name if series.column else ""
            found.setdefault(series.metric.name, []).append((task, name, series))
    return found


@pytest.mark.parametrize("name", [m.name for m in METRICS if m.p_value])
def test_p_values_are_small_as_seldom_as_they_say(name, null_series):
    for task, column, series in null_series[name]:
        if series.p_value is None:
            continue
        p = series.p_value[:, 0]
        p = p[np.isfinite(p)]
        if series.metric.asked and not len(p):
            continue  # a constant column, or one of more than two values
        assert len(p) > WINDOWS / 2, (task, column)
        # All windows are held to the same 2,000 rows, where it is a sample that is read.
        often, seldom = (0.15, 0.05) if name in SAMPLED else (0.095, 0.024)
        assert (p < 0.05).mean() < often, (task, column)
        assert (p < 0.005).mean() < seldom, (task, column)


#: May be called noisier than they are: how areas of several classes go together is not known, and
#: few records lie beyond a high quantile.
CAUTIOUS = {"roc_auc": 3.0, "latency_p95": 1.8, "latency_p99": 2.5}


@pytest.mark.parametrize("name", [n for n, m in all_metrics().items() if m.noise])
def test_noise_is_the_variance_from_window_to_window(name, null_series):
    for task, column, series in null_series[name]:
        if series.noise is None or name in ("row_count", "throughput"):
            continue
        y = forward(series.metric.scale, series.value, series.n_current)[:, 0]
        noise = np.broadcast_to(series.noise, series.value.shape)[:, 0]
        few = series.metric.unit == "share" and series.value[:, 0].mean() * EACH < 5
        if few and series.metric.scale is Scale.ARCSINE:
            # The arcsine of a rare event varies less than it says, which is the safe side.
            assert noise.mean() > 0.75 * y.var()
            continue
        ratio = noise.mean() / y.var(ddof=1)
        assert 0.75 < ratio < CAUTIOUS.get(name, 1.35), (task, column, ratio)


def test_a_model_that_got_worse_has_small_p_values(worlds, replaced):
    world = type(worlds[Task.BINARY])(Task.BINARY, 5_000)
    table = world.records(5_000, 3)
    label = table["label"].to_numpy(zero_copy_only=False)
    rng = np.random.default_rng(0)
    lucky = rng.uniform(size=len(label)) < 0.25
    worse = replaced(
        table, label=pa.array([True if k else v for k, v in zip(lucky, label, strict=True)])
    )
    now = {
        s.metric.name: s for s in evaluate(world.profile(worse), world.reference) if not s.column
    }
    for name in ("bias", "roc_auc", "log_loss", "brier", "accuracy", "mean_label"):
        limit = 1e-4 if name in ("bias", "mean_label") else 0.05
        assert now[name].p_value[0, 0] < limit, name
    assert now["bias"].value[0, 0] > 0.05
    better = {
        s.metric.name: s
        for s in evaluate(world.reference, world.profile(worse))
        if s.column is None
    }
    for name in ("roc_auc", "log_loss", "brier", "accuracy"):
        assert better[name].p_value[0, 0] > 0.95, name


def test_a_slower_and_failing_service_has_small_p_values(worlds, replaced):
    world = type(worlds[Task.BINARY])(Task.BINARY, 3_000)
    table = world.records(1_000, 3)
    slow = pa.compute.multiply(table["latency_ms"], 1.5)
    status = pa.array(["500" if k % 2 else "200" for k in range(1_000)])
    current = world.profile(replaced(table, latency_ms=slow, status=status))
    now = {s.metric.name: s for s in evaluate(current, world.reference)}
    for name in ("latency_p50", "latency_p95", "latency_p99", "error_share"):
        assert now[name].p_value[0, 0] < 0.002, name
