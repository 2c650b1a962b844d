"""Every metric that applies, for all windows and segments at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tidegauge.metrics.registry import Linear, Metric, Values, View, find_metric, selected
from tidegauge.profile import Profile
from tidegauge.schema import Column, ColumnType, Role


@dataclass(frozen=True, eq=False)
class Series:
    """One metric of one column (or of the model) over windows and segments.

    Parameters
    ----------
    metric : Metric
    column : Column or None
    value : (window, segment) float64
        NaN where the metric is not defined.
    p_value : (window, segment) float64, or None
        Under "nothing changed", from sampling noise alone.
    noise : (window, segment) float64, or None
        Sampling variance on the metric's scale.
    n_current : (window, segment) int64
        Records that the value rests on.
    n_reference : (1, segment) int64
    enough : (window, segment) bool
        Where there is enough to judge the value, apart from the number of records.
    linear : Linear, optional
        What is judged in place of the value.
    interval : (lower, upper), optional
        The 95 % interval of the value, each (window, segment), where the metric tells it itself.
    reason : (window, segment) of str or None, or None
        What the value cannot say.
    """

    metric: Metric
    column: Column | None
    value: Values
    p_value: Values | None
    noise: Values | None
    n_current: NDArray[np.int64]
    n_reference: NDArray[np.int64]
    enough: NDArray[np.bool_]
    linear: Linear | None = None
    interval: tuple[Values, Values] | None = None
    reason: NDArray[np.object_] | None = None


def evaluate(
    current: Profile,
    reference: Profile,
    metrics: Iterable[Metric | str] | None = None,
) -> list[Series]:
    """Compute metrics of a profile against a reference.

    Parameters
    ----------
    current : Profile
        Any number of windows.
    reference : Profile
        Of one window (``Profile.total``), in the same layout.
    metrics : iterable of Metric or str, optional
        By default all that need not be asked for by name.

    Returns
    -------
    list of Series
        One for each metric and column to which it applies.

    Raises
    ------
    NotFound, MissingExtra
        If a metric asked for is not there, or what it needs is not installed.
    """
    wanted = selected() if metrics is None else [_found(one) for one in metrics]
    schema = current.layout.schema
    wanted = [one.within(schema) for one in wanted]
    single = [one for one in wanted if not one.over_segments]
    series: list[Series] = []
    for column in schema:
        if column.name in current:
            now, then = View(current, column.name), View(reference, column.name)
            chosen = [m for m in single if m.applies_to(column, schema.task)]
            series += [_series(m, column, now, then) for m in chosen if _held(m, now, then)]
    for one in single:
        if one.applies_to(None, schema.task):
            now, then = View(current, one.group), View(reference, one.group)
            if _held(one, now, then):
                series.append(_series(one, None, now, then))
    over = [one for one in wanted if one.over_segments]
    return [*series, *_between_segments(over, current, reference)]


def _between_segments(
    metrics: Iterable[Metric], current: Profile, reference: Profile
) -> Iterator[Series]:
    """Yield what compares the segments of one segment column with one another."""
    schema = current.layout.schema
    for name, _, _ in current.layout.segment_groups:
        column = Column(name, ColumnType.CATEGORICAL, Role.SEGMENT)
        if name in schema:  # A combination of columns has no entry of its own.
            column = schema[name]
        views: dict[str, tuple[View, View]] = {}
        for one in metrics:
            if one.applies_to(column, schema.task):
                if one.group not in views:
                    views[one.group] = (
                        View(current, one.group, name),
                        View(reference, one.group, name),
                    )
                now, then = views[one.group]
                if _held(one, now, then):
                    yield _series(one, column, now, then)


def _found(wanted: Metric | str) -> Metric:
    metric = find_metric(wanted) if isinstance(wanted, str) else wanted
    metric.check()
    return metric


def _held(metric: Metric, now: View, then: View) -> bool:
    read = (now, then) if metric.uses_reference else (now,)
    return all(name in view for view in read for name in metric.needs)


def _measured(metric: Metric, then: View) -> Metric:
    """Bring the minimum effect into the metric's unit; 0 where the baseline cannot tell it."""
    if metric.yardstick is None:
        return metric
    whole = float(metric.yardstick(then)[0, 0])
    least = metric.minimum_effect * whole if np.isfinite(whole) else 0.0
    return replace(metric, minimum_effect=least, yardstick=None)


def _series(metric: Metric, column: Column | None, now: View, then: View) -> Series:
    with np.errstate(all="ignore"):
        metric = _measured(metric, then)
        value = np.asarray(metric.compute(now, then), dtype=np.float64)
        p_value = None if metric.p_value is None else metric.p_value(now, then)
        noise = None if metric.noise is None else metric.noise(now)
        enough = np.isfinite(value) if metric.enough is None else metric.enough(now)
        interval = None if metric.interval is None else metric.interval(now, then)
        linear = metric.linear(now, then) if metric.linear is not None and metric.judged else None
        reason = None if metric.reason is None else metric.reason(now, then)
    count = metric.records or support
    n = count(now), count(then)
    return Series(metric, column, value, p_value, noise, *n, enough, linear, interval, reason)


def support(view: View) -> NDArray[np.int64]:
    """Return the number of records that a value rests on: (window, segment).

    For performance those with a label and an answer to hold against it, for failures those
    whose status is known, for everything else all.
    """
    if "confusion" in view:
        counts: NDArray[np.int64] = view["confusion"].sum(axis=(-1, -2)).astype(np.int64)
        return counts
    for name in ("labelled", "status_known"):
        if name in view:
            return view[name]
    return view.rows
