"""The statistics that are judged: a series' values on the scale where noise is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.metrics import evaluate
from tidegauge.metrics.evaluate import Series
from tidegauge.metrics.registry import Scale, Values, selected
from tidegauge.monitor.expectation import (
    Expectation,
    Fitted,
    fit,
    settle,
    shown_only,
    without_windows,
)
from tidegauge.monitor.policy import Policies
from tidegauge.monitor.scales import forward
from tidegauge.profile import Profile

#: Records below which a window says nothing about its own level, for most metrics.
MIN_RECORDS = 30
_NONE = 0.5

#: A metric's name and a column's ("" for the model's own).
Key = tuple[str, str]
Expectations = Mapping[Key, Expectation]


class Statistic(NamedTuple):
    """Values and their sampling variances, (window, segment, part); NaN where of no use."""

    value: Values
    variance: Values


def key(series: Series) -> Key:
    """Return what names a series among others of one profile."""
    return series.metric.name, series.column.name if series.column else ""


def statistic(series: Series) -> Statistic:
    """Return what is judged of a series: its linear statistics, else its own value.

    Where the metric has a test of its own that cannot tell, nothing is judged either.
    """
    usable = np.isfinite(series.value) & series.enough
    usable &= series.n_current >= series.metric.fewest
    if series.p_value is not None:
        usable = usable & np.isfinite(series.p_value)
    if series.linear is not None:
        value, variance = series.linear.value, series.linear.variance
    else:
        n = series.n_current.astype(np.float64)
        # None of what is counted stands at a half, where a logarithm can show it.
        held = np.maximum(series.value, _NONE) if not series.metric.fewest else series.value
        value = forward(series.metric.scale, held, n)[..., None]
        variance = np.zeros_like(value) if series.noise is None else series.noise[..., None]
    known = usable[..., None] & np.isfinite(value)
    return Statistic(np.where(known, value, np.nan), np.where(known, variance, np.nan))


def is_judged(series: Series, policies: Policies) -> bool:
    """Whether the budget judges a series: by default, or since a monitor names its metric."""
    monitor = policies.of(series.metric, series.column)
    if monitor is None:
        return series.metric.judged
    if monitor.threshold is not None or monitor.weight == 0:
        return False
    return series.metric.judged or monitor.metric == series.metric.name


def expectations(baseline: Profile, policies: Policies | None = None) -> Expectations:
    """Learn from a baseline what to expect of every statistic that is judged.

    Parameters
    ----------
    baseline : Profile
        By window. Without windows levels are known, and of their variation only sampling noise.
    policies : Policies, optional

    Returns
    -------
    mapping of (metric, column) to Expectation
    """
    policies = policies or Policies()
    total = baseline.total()
    asked = selected(policies.asked())
    with np.errstate(all="ignore"):
        wholes = {key(s): s for s in evaluate(total, total, asked)}
        if baseline.width is None:
            return {name: _sampled(whole) for name, whole in wholes.items()}
        out: dict[Key, Expectation] = {}
        kinds: dict[str, list[tuple[Key, Fitted]]] = {}
        for series in evaluate(baseline, total, asked):
            name = key(series)
            whole = wholes[name].value
            if is_judged(series, policies):
                kinds.setdefault(name[0], []).append((name, _fitted(series, whole, baseline)))
            else:
                out[name] = shown_only(whole, _usual(series, whole))
        for kind in kinds.values():
            pooled = wholes[kind[0][0]].metric.pooled
            settled = settle([fitted for _, fitted in kind], pooled=pooled)
            out.update(zip((name for name, _ in kind), settled, strict=True))
    return out


def _sampled(whole: Series) -> Expectation:
    """Without windows, what has no test of two samples, such as volume, cannot be judged."""
    if whole.p_value is None and whole.linear is None:
        return shown_only(whole.value, whole.value[0])
    y = statistic(whole)
    return without_windows(y.value, y.variance, whole.value)


def _usual(series: Series, whole: Values) -> Values:
    """Mean of a metric over the baseline's windows; of the whole where there is none."""
    known = np.isfinite(series.value) & (series.n_current >= series.metric.fewest)
    usual = np.where(known, series.value, 0.0).sum(axis=0) / known.sum(axis=0)
    out: Values = np.where(np.isfinite(usual), usual, whole[0])
    return out


def _fitted(series: Series, whole: Values, baseline: Profile) -> Fitted:
    assert baseline.width is not None
    y = statistic(series)
    usual = _usual(series, whole)
    return fit(y.value, y.variance, baseline.windows, baseline.width, whole, usual)


def certain(series: Series, expectation: Expectation) -> NDArray[np.bool_]:
    """Whether a test cannot fail by chance: nothing there, and never was in the baseline.

    Under "nothing changed" such a share stays at 0, so it adds nothing to the chance of a false
    alarm, and needs no part of the budget.
    """
    if series.metric.scale is not Scale.ARCSINE or series.linear is not None:
        return np.zeros(series.value.shape, dtype=np.bool_)
    nothing: NDArray[np.bool_] = (series.value == 0) & (expectation.whole == 0)
    return nothing
