"""Estimates as values: every performance metric with its interval, and how they are drawn.

A *world* is one way in which the labels that are not known may turn out. Metrics are computed in
each of many worlds by the same functions as everywhere; an interval spans the worlds between.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tidegauge.metrics.registry import Family, Metric, View, selected
from tidegauge.profile.profile import PERFORMANCE, Array, Profile

Values = NDArray[np.float64]
Group = Mapping[str, Array]

#: Worlds to draw for up to so many windows times segments: fewer where there is more to compute.
#: 95 of 100 others lie between the k-th least and greatest of 40 k − 1.
_WORLDS = ((40, 999), (100, 399))
_FEWEST = 119
#: What is a share of something cannot leave 0–1, and neither can these.
_WITHIN_ONE = frozenset({"roc_auc", "average_precision"})


@dataclass(frozen=True, eq=False)
class Estimate:
    """One metric: (window, segment) float64 each, NaN where nothing can be told.

    Parameters
    ----------
    value : (window, segment) float64
    lower, upper : (window, segment) float64
        Between them lies what the labels will say, in 95 of 100 cases.
    """

    value: Values
    lower: Values
    upper: Values


@dataclass(frozen=True, eq=False)
class Estimates:
    """What performance is to be expected once all labels are known.

    Parameters
    ----------
    metrics : mapping of name to Estimate
        Every performance metric of the task.
    coverage : (window, segment) float64
        Share of the records whose label is known already.
    rows : (window, segment) int64
        Records that the estimates are of: those with a usable score or prediction.
    beyond : (window, segment) float64
        Share of these whose score (or prediction) lies outside the baseline's range, where
        little is known.
    why_not : str or None
        Why there are none.
    """

    metrics: Mapping[str, Estimate]
    coverage: Values
    rows: NDArray[np.int64]
    beyond: Values
    why_not: str | None = None


@dataclass(frozen=True, eq=False)
class Worlds:
    """The groups of arrays that metrics read, with what is expected, and as it may turn out.

    Parameters
    ----------
    expected : Profile
        With the expected ``@performance`` group, in the profile's own bins.
    plain : Profile
        The same in the bins of the worlds.
    drawn : Profile
        The worlds, one after the other on the window axis.
    """

    expected: Profile
    plain: Profile
    drawn: Profile


def worlds_for(cells: int) -> int:
    """Return how many worlds to draw for so many windows times segments."""
    return next((count for most, count in _WORLDS if cells <= most), _FEWEST)


def estimated_metrics(profile: Profile) -> list[Metric]:
    """Return the performance metrics of a model that follow from its window alone."""
    schema = profile.layout.schema
    return [
        one.within(schema)
        for one in selected()
        if one.group == PERFORMANCE
        and one.family is Family.PERFORMANCE
        and not one.uses_reference
        and "labels" not in one.needs
        and one.applies_to(None, schema.task)
    ]


def metrics_of(worlds: Worlds, known: NDArray[np.bool_]) -> dict[str, Estimate]:
    """Compute every metric of what is expected, and its interval from the worlds.

    Parameters
    ----------
    worlds : Worlds
    known : (window, segment) bool
        Where there is anything to tell of.
    """
    out: dict[str, Estimate] = {}
    views = [View(p, PERFORMANCE) for p in (worlds.expected, worlds.plain, worlds.drawn)]
    for metric in estimated_metrics(worlds.expected):
        if not all(name in views[0] for name in metric.needs):
            continue
        with np.errstate(all="ignore"):
            value, plain, drawn = (np.asarray(metric.compute(v, v), np.float64) for v in views)
            drawn = drawn.reshape(-1, *value.shape)
            out[metric.name] = _estimate(metric, value, plain, drawn, known)
    return out


def _estimate(
    metric: Metric, value: Values, plain: Values, drawn: Values, known: NDArray[np.bool_]
) -> Estimate:
    """Put together one metric: drawn (world, window, segment)."""
    count = len(drawn)
    finite = np.isfinite(drawn)
    share = finite.mean(axis=0)
    settled = known & np.isfinite(value) & (share > 0.5)
    shift = np.where(np.isfinite(plain), value - plain, 0.0)
    mean = np.where(finite, drawn, 0.0).sum(axis=0) / np.maximum(finite.sum(axis=0), 1)
    spread = np.sqrt(
        np.where(finite, (drawn - mean) ** 2, 0.0).sum(axis=0)
        / np.maximum(finite.sum(axis=0) - 1, 1)
    )
    # What is not linear in the labels has another mean than the metric of mean labels.
    bias = mean - plain
    curved = np.isfinite(bias) & (np.abs(bias) > 4 * spread / np.sqrt(count))
    value = np.where(curved, value + bias, value)
    ordered = np.sort(np.where(finite, drawn, np.inf), axis=0)
    few = np.maximum(finite.sum(axis=0), 1)
    out = (count + 1) // 40
    lowest = np.minimum(out - 1, few - 1)
    highest = np.maximum(few - out, 0)
    lower = np.take_along_axis(ordered, lowest[None], axis=0)[0] + shift
    upper = np.take_along_axis(ordered, highest[None], axis=0)[0] + shift
    if metric.unit == "share" or metric.name in _WITHIN_ONE:
        least = -1.0 if metric.name == "bias" else 0.0
        value, lower, upper = (np.clip(one, least, 1.0) for one in (value, lower, upper))
    lower, upper = np.minimum(lower, value), np.maximum(upper, value)
    return Estimate(*(np.where(settled, one, np.nan) for one in (value, lower, upper)))


def with_group(
    profile: Profile, group: Group, beside: Mapping[str, Group] | None = None
) -> Profile:
    """Return a profile with another ``@performance`` group, and some other ones replaced."""
    return replace(profile, arrays={**profile.arrays, **(beside or {}), PERFORMANCE: group})
