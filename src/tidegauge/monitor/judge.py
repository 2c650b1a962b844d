"""The verdict: whether a value lies outside what the baseline leads one to expect.

One metric per column and question is judged. Its p-value comes from the baseline's own variation
from window to window where that is known, on the metric's scale with Student's t, and from
sampling noise alone where it is not. Performance gets one half of ``LEVEL``, everything else the
other; of each, segments get one half, where there are any. Holm's correction inside each part
keeps the chance of any false alarm in a window at ``LEVEL``. A change smaller than the metric's
minimum effect is never an alarm, however significant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from tidegauge.metrics.evaluate import Series
from tidegauge.metrics.registry import Direction, Family, Metric, Scale, Values
from tidegauge.metrics.result import State
from tidegauge.monitor.norms import MIN_RECORDS, MIN_WINDOWS, Norm, Norms, key
from tidegauge.monitor.scales import back, forward

#: The chance of any false alarm in one comparison, or one window.
LEVEL = 0.05
_STATES = np.array([s.value for s in State], dtype=object)
_OK, _ALARM, _TOO_FEW, _NOT = range(4)


@dataclass(frozen=True, eq=False)
class Judged:
    """A series with its expectation, its band and its verdict; all (window, segment).

    ``lower`` and ``upper`` are NaN where that side, or the whole metric, is not judged.
    """

    series: Series
    expected: Values
    lower: Values
    upper: Values
    p_value: Values
    effect: Values
    state: NDArray[np.object_]

    @property
    def alarms(self) -> int:
        """Number of alarms."""
        return int((self.state == State.ALARM.value).sum())


def holm(p: Values) -> Values:
    """Adjust p-values over the last axis by Holm's step-down method; NaN takes no part.

    Parameters
    ----------
    p : (..., test) float64

    Returns
    -------
    (..., test) float64
        Source: Holm (1979), "A simple sequentially rejective multiple test procedure".

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, np.nan])).tolist()
    [0.02, 0.04, nan]
    """
    order = np.argsort(p, axis=-1)
    ranked = np.take_along_axis(p, order, axis=-1)
    tests = np.isfinite(p).sum(axis=-1, keepdims=True)
    steps = np.maximum(tests - np.arange(p.shape[-1]), 1)
    adjusted = np.minimum(np.fmax.accumulate(ranked * steps, axis=-1), 1.0)
    adjusted[np.isnan(ranked)] = np.nan
    out = np.empty_like(adjusted)
    np.put_along_axis(out, order, adjusted, axis=-1)
    return out


def judge(series: Sequence[Series], known: Norms, level: float = LEVEL) -> list[Judged]:
    """Judge every series of a profile.

    Parameters
    ----------
    series : sequence of Series
        All of one profile, so that the correction counts every test.
    known : Norms
        From the same baseline.
    level : float
        The chance of any false alarm in one window.

    Returns
    -------
    list of Judged
        In the order given.
    """
    out: list[Judged | None] = [None] * len(series)
    halves = [
        [i for i, s in enumerate(series) if (s.metric.family is Family.PERFORMANCE) is half]
        for half in (True, False)
    ]
    parts = sum(any(series[i].metric.judged for i in half) for half in halves)
    share = level / max(parts, 1)
    for half in halves:
        for index, verdict in zip(
            half, _judge_half([series[i] for i in half], known, share), strict=True
        ):
            out[index] = verdict
    return [one for one in out if one is not None]


def _judge_half(series: Sequence[Series], known: Norms, level: float) -> list[Judged]:
    """Judge the series that share one part of the level."""
    found = [(s, known.get(key(s))) for s in series]
    raw = [_p_value(s, norm) if norm and _judgeable(s, norm) else None for s, norm in found]
    marked = [_informative(s, norm, p) for (s, norm), p in zip(found, raw, strict=True)]
    tested = [p for p in marked if p is not None]
    if not tested:
        return [_verdict(s, norm, None, None, np.ones(1)) for s, norm in found]
    stack = np.stack(tested, axis=-1)
    segments = stack.shape[1]
    shares = [level] if segments == 1 else [level / 2, level / 2]
    corrected = np.empty_like(stack)
    strictest = np.empty(stack.shape[:2])
    for place, share in zip((slice(0, 1), slice(1, None)), shares, strict=False):
        part = stack[:, place]
        flat = part.reshape(len(part), -1)
        corrected[:, place] = (holm(flat) / share).reshape(part.shape)
        tests = np.maximum(np.isfinite(flat).sum(axis=-1), 1)
        strictest[:, place] = (share / tests)[:, None]
    ratios = iter(np.moveaxis(corrected, -1, 0))
    with np.errstate(all="ignore"):
        return [
            _verdict(s, norm, p, None if p is None else next(ratios), strictest)
            for (s, norm), p in zip(found, raw, strict=True)
        ]


def _judgeable(series: Series, norm: Norm) -> bool:
    """Whether a series is judged here: its metric is, and there is something to judge it by.

    A metric without a test of its own is judged by the baseline's windows; a baseline that has
    no windows cannot judge it, however long it is.
    """
    return series.metric.judged and (series.p_value is not None or bool(norm.windows.any()))


def _informative(series: Series, norm: Norm | None, p: Values | None) -> Values | None:
    """Leave out tests that cannot fail by chance: nothing there, and never was in the baseline.

    Under "nothing changed" such a share stays at 0, so it adds nothing to the chance of a false
    alarm and need not be corrected for.
    """
    if p is None or norm is None or series.metric.scale is not Scale.ARCSINE:
        return p
    return np.where((series.value == 0) & (norm.whole == 0), np.nan, p)


def _variance(series: Series, norm: Norm) -> Values:
    """Variance of a new window's value about the baseline's centre, on the metric's scale."""
    if series.noise is None:
        return np.broadcast_to(norm.spread * (1 + 1 / norm.windows), series.value.shape)
    return series.noise + norm.between + norm.spread / norm.windows


def _varies(norm: Norm) -> NDArray[np.bool_]:
    return norm.windows >= MIN_WINDOWS


def _p_value(series: Series, norm: Norm) -> Values:
    """p-values under "nothing changed", NaN where there is too little to tell."""
    metric = series.metric
    out = np.full(series.value.shape, np.nan) if series.p_value is None else series.p_value.copy()
    windowed = _varies(norm)
    with np.errstate(all="ignore"):
        if windowed.any():
            y = forward(metric.scale, series.value, series.n_current.astype(float))
            t = (y - norm.centre) / np.sqrt(_variance(series, norm))
            t = np.where(y == norm.centre, 0.0, t)
            df = np.maximum(norm.windows - 1, 1)
            if metric.direction is Direction.NEITHER:
                p = 2 * special.stdtr(df, -np.abs(t))
            else:
                p = special.stdtr(df, -t if metric.direction is Direction.LOWER_IS_BETTER else t)
            out = np.where(windowed, p, out)
    usable = np.isfinite(series.value) & series.enough & (series.n_current >= MIN_RECORDS)
    return np.where(usable, out, np.nan)


def _verdict(
    series: Series,
    norm: Norm | None,
    p: Values | None,
    ratio: Values | None,
    strictest: Values,
) -> Judged:
    """Judge one series; ``ratio`` is its corrected p-value over the level that it must not pass."""
    shape = series.value.shape
    nan = np.full(shape, np.nan)
    expected = nan if norm is None else np.broadcast_to(norm.expected, shape)
    effect = series.value - expected
    state = np.where(np.isfinite(series.value), _OK, _NOT)
    state = np.where((series.n_current == 0) & (state == _NOT), _TOO_FEW, state)
    if p is None or ratio is None or norm is None:
        shown = nan if series.p_value is None else series.p_value
        return Judged(series, expected, nan, nan, shown, effect, _STATES[state])
    smallest = _smallest(series.metric, expected)
    worse = _worse(series.metric, effect) & (np.abs(effect) >= smallest)
    state = np.where(np.isnan(p) & (state == _OK), _TOO_FEW, state)
    state = np.where((ratio <= 1) & worse, _ALARM, state)
    lower, upper = _band(series, norm, expected, smallest, strictest)
    return Judged(series, expected, lower, upper, p, effect, _STATES[state])


def _smallest(metric: Metric, expected: Values) -> Values:
    if metric.relative:
        return np.abs(expected) * metric.minimum_effect
    return np.full(expected.shape, metric.minimum_effect)


def _worse(metric: Metric, effect: Values) -> NDArray[np.bool_]:
    if metric.direction is Direction.LOWER_IS_BETTER:
        return effect > 0
    if metric.direction is Direction.HIGHER_IS_BETTER:
        return effect < 0
    return np.ones(effect.shape, dtype=np.bool_)


def _band(
    series: Series, norm: Norm, expected: Values, smallest: Values, level: Values
) -> tuple[Values, Values]:
    """What is no alarm even if every other test of the window were one (Holm's first step)."""
    metric = series.metric
    low, high = expected - smallest, expected + smallest
    windowed = np.broadcast_to(_varies(norm), expected.shape)
    if windowed.any():
        df = np.maximum(norm.windows - 1, 1)
        sides = 2 if metric.direction is Direction.NEITHER else 1
        reach = -special.stdtrit(df, np.broadcast_to(level, expected.shape) / sides)
        reach = reach * np.sqrt(_variance(series, norm))
        low = np.where(windowed, np.minimum(low, back(metric.scale, norm.centre - reach)), low)
        high = np.where(windowed, np.maximum(high, back(metric.scale, norm.centre + reach)), high)
    nan = np.full(expected.shape, np.nan)
    judged = np.isfinite(series.value)
    if metric.direction is Direction.LOWER_IS_BETTER:
        return nan, np.where(judged, high, nan)
    if metric.direction is Direction.HIGHER_IS_BETTER:
        return np.where(judged, low, nan), nan
    return np.where(judged, low, nan), np.where(judged, high, nan)
