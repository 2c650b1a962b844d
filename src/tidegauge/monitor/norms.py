"""What a baseline leads one to expect of each metric: its level, and its own variation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegauge.metrics import Metric, evaluate
from tidegauge.metrics.evaluate import Series
from tidegauge.metrics.registry import Values
from tidegauge.monitor.scales import back, forward
from tidegauge.profile import Profile

#: Records below which a window says nothing about its own level.
MIN_RECORDS = 30
#: Baseline windows below which their variation cannot be told.
MIN_WINDOWS = 7


@dataclass(frozen=True, eq=False)
class Norm:
    """The expectation for one metric of one column.

    Parameters
    ----------
    whole : (1, segment) float64
        The metric over the whole baseline.
    centre : (segment,) float64
        Mean over the baseline's windows, on the metric's scale.
    between : (segment,) float64
        Variance between windows beyond sampling noise, on that scale.
    spread : (segment,) float64
        Variance between windows, noise included; for metrics whose noise is not known.
    windows : (segment,) int64
        Baseline windows with enough records.
    expected : (segment,) float64
        What a window should show, in the metric's unit.
    """

    whole: Values
    centre: Values
    between: Values
    spread: Values
    windows: NDArray[np.int64]
    expected: Values


#: By metric name and column name ("" for the model's own).
Norms = Mapping[tuple[str, str], Norm]


def key(series: Series) -> tuple[str, str]:
    """Return the key of a series among norms."""
    return series.metric.name, series.column.name if series.column else ""


def norms(baseline: Profile, metrics: Iterable[Metric] | None = None) -> Norms:
    """Learn from a baseline's windows what to expect.

    Parameters
    ----------
    baseline : Profile
        By window. With one window only, levels are known and variation is not.
    metrics : iterable of Metric, optional

    Returns
    -------
    mapping of (metric, column) to Norm
    """
    chosen = None if metrics is None else list(metrics)
    total = baseline.total()
    wholes = {key(s): s for s in evaluate(total, total, chosen)}
    windowed = baseline.width is not None
    parts = {key(s): s for s in evaluate(baseline, total, chosen)} if windowed else {}
    return {name: _norm(whole, parts.get(name)) for name, whole in wholes.items()}


def _norm(whole: Series, parts: Series | None) -> Norm:
    segments = whole.value.shape[1]
    if parts is None:
        nan = np.full(segments, np.nan)
        none = np.zeros(segments, dtype=np.int64)
        return Norm(whole.value, nan, nan, nan, none, whole.value[0])
    scale = whole.metric.scale
    usable = np.isfinite(parts.value) & parts.enough & (parts.n_current >= MIN_RECORDS)
    y = np.where(usable, forward(scale, parts.value, parts.n_current.astype(float)), 0.0)
    windows = usable.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = y.sum(axis=0) / windows
        spread = (np.where(usable, y - centre, 0.0) ** 2).sum(axis=0) / (windows - 1)
        between = spread
        if parts.noise is not None:
            noise = np.where(usable, parts.noise, 0.0).sum(axis=0) / windows
            between = np.maximum(spread - noise, 0.0)
        enough = windows >= 2
        expected = np.where(enough, back(scale, centre), whole.value[0])
    return Norm(whole.value, centre, between, spread, windows, expected)
