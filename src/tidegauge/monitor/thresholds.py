"""Thresholds that people set: fixed, relative to an earlier window, or as Evidently has them.

They take the place of the budget, which does not judge what has one; their alarms are counted in
no expectation of false ones. Pure: verdicts go in, verdicts come out. Earlier values are asked of
a `Past`, all that are needed at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tidegauge.metrics import evaluate, find_metric
from tidegauge.metrics.evaluate import Series
from tidegauge.metrics.registry import Direction, Values
from tidegauge.metrics.result import State
from tidegauge.metrics.staleness import FACTS
from tidegauge.monitor.judge import Judged
from tidegauge.monitor.policy import Against, Policies, Threshold
from tidegauge.monitor.statistics import MIN_RECORDS
from tidegauge.profile import Profile
from tidegauge.profile.layout import Layout, to_datetime, to_micros
from tidegauge.profile.profile import ROWS
from tidegauge.schema import Column, ColumnType

#: What Evidently 0.7 takes for drift, both of the distance over the standard deviation and of the
#: Jensen–Shannon distance; that it takes in nats, and ours is in bits.
EVIDENTLY = 0.1
_BITS = EVIDENTLY / np.sqrt(np.log(2))
#: Evidently's least standard deviation.
_LEAST = 0.001
_WEEK = timedelta(weeks=1)
#: Groups whose values are what they are, however few records there were.
_NOT_OF_RECORDS = frozenset({ROWS, FACTS})
_THIN = "\u202f"

#: A value's metric, column ("" for the model's own) and start of the window in µs.
Place = tuple[str, str, int]


@dataclass(frozen=True)
class Asked:
    """What must be known of earlier windows.

    Parameters
    ----------
    metrics : frozenset of str
    starts : frozenset of int
        Starts of windows, in µs.
    segments : bool
        Whether for segments too.
    """

    metrics: frozenset[str]
    starts: frozenset[int]
    segments: bool


#: Brings earlier values, each ``(segment,)`` or of the whole alone; what is not known is left out.
Past = Callable[[Asked], Mapping[Place, Values]]


def past_of(reference: Profile, total: Profile) -> Past:
    """Return the past that a reference's own windows tell.

    Parameters
    ----------
    reference, total : Profile
        By window, and of one window.
    """

    def past(asked: Asked) -> dict[Place, Values]:
        at = [i for i, start in enumerate(reference.windows) if int(start) in asked.starts]
        if reference.width is None or not at:
            return {}
        part = reference.select(np.array(at))
        chosen = [find_metric(name) for name in asked.metrics]
        return {
            _place(one, int(start)): one.value[index]
            for one in evaluate(part, total, chosen)
            for index, start in enumerate(part.windows)
        }

    return past


def past_of_points(points: pa.Table, asked: Asked, layout: Layout) -> dict[Place, Values]:
    """Return earlier values out of stored results.

    Parameters
    ----------
    points : pyarrow.Table
        In ``RESULT_SCHEMA``; more than is asked for may be there.
    asked : Asked
    layout : Layout
        Says which segments there are, in which order.
    """
    if not points.num_rows:
        return {}
    names = [None if s is None else json.dumps(s.to_json()) for s in layout.segments]
    at = {name: index for index, name in enumerate(names)}
    keep = pc.is_in(points["metric"].cast(pa.string()), pa.array(sorted(asked.metrics)))
    wanted = ["metric", "column", "segment", "window_start", "value"]
    out: dict[Place, Values] = {}
    for row in points.filter(keep).select(wanted).to_pylist():
        start = to_micros(row["window_start"])
        if start in asked.starts and row["segment"] in at and row["value"] is not None:
            place = row["metric"], row["column"] or "", start
            held = out.setdefault(place, np.full(len(names), np.nan))
            held[at[row["segment"]]] = row["value"]
    return out


def hold(
    judged: Sequence[Judged],
    policies: Policies,
    profile: Profile,
    reference: Profile,
    past: Past | None = None,
) -> list[Judged]:
    """Hold to their thresholds the values that monitors give one; the others stay as they are.

    Parameters
    ----------
    judged : sequence of Judged
        Of all of a profile's series; the budget has judged none that has a threshold.
    policies : Policies
    profile : Profile
        The windows that are judged.
    reference : Profile
        Of one window.
    past : Past, optional
        Values of windows before those of ``profile``; called at most once.

    Returns
    -------
    list of Judged
        In the order given. ``lower`` and ``upper`` are the threshold, ``reason`` says it in words.
    """
    found = [policies.of(one.series.metric, one.series.column) for one in judged]
    held = {
        index: monitor.threshold
        for index, monitor in enumerate(found)
        if monitor is not None and monitor.threshold is not None
    }
    if not held:
        return list(judged)
    before = _before({i: (judged[i], t) for i, t in held.items()}, profile, past)
    spreads = _spreads(reference) if any(t.evidently for t in held.values()) else {}
    out = list(judged)
    for index, threshold in held.items():
        one = judged[index]
        if threshold.change is not None:
            out[index] = _relative(one, threshold, before[index], profile)
        elif threshold.evidently:
            out[index] = _evidently(one, threshold, spreads)
        else:
            out[index] = _fixed(one, threshold)
    return out


def _fixed(one: Judged, threshold: Threshold) -> Judged:
    sides = (("above", threshold.above), ("below", threshold.below))
    told = " or ".join(f"{name} {_number(bound)}" for name, bound in sides if bound is not None)
    low, high = (
        np.full(one.series.value.shape, np.nan if bound is None else bound)
        for bound in (threshold.below, threshold.above)
    )
    return _bounded(one, threshold, low, high, lambda w, s: f"fixed threshold: {told}")


def _evidently(one: Judged, threshold: Threshold, spreads: Mapping[str, Values]) -> Judged:
    column, metric = one.series.column, one.series.metric.name
    assert column is not None
    if metric != evidently_metric(column):
        return one
    shape = one.series.value.shape
    if metric == "js_distance":
        high, told = np.full(shape, _BITS), f"{EVIDENTLY} in nats"
    else:
        spread = spreads.get(column.name, np.full(shape, np.nan))
        high = np.broadcast_to(EVIDENTLY * np.maximum(spread, _LEAST), shape)
        told = f"{EVIDENTLY} standard deviations"
    low = np.full(shape, np.nan)
    return _bounded(one, threshold, low, high, lambda w, s: f"Evidently's threshold: above {told}")


def evidently_metric(column: Column) -> str:
    """Return the metric that Evidently's threshold is on, for a column of this type."""
    return "wasserstein" if column.type is ColumnType.NUMERIC else "js_distance"


def _relative(one: Judged, threshold: Threshold, before: Values, profile: Profile) -> Judged:
    assert threshold.change is not None
    value, direction = one.series.value, one.series.metric.direction
    reach = threshold.change * np.abs(before)
    unknown = np.isnan(before) | ((before == 0) & (value != 0))
    low = np.where(unknown, np.nan, before - reach)
    high = np.where(unknown, np.nan, before + reach)
    if direction is Direction.LOWER_IS_BETTER:
        low = np.full(value.shape, np.nan)
    if direction is Direction.HIGHER_IS_BETTER:
        high = np.full(value.shape, np.nan)
    name = _names(profile, threshold.against)

    def reason(w: int, s: int) -> str:
        then = float(before[w, s])
        if np.isnan(then):
            return _unknown(profile, threshold.against) or f"no value {name(w)} to hold it against"
        told = _of(name(w), _number(then))
        if then == 0:
            return "0 as before" if value[w, s] == 0 else f"no share can be taken of {told}"
        share = (float(value[w, s]) - then) / abs(then)
        if share == 0:
            return f"the same as {told}"
        size = "less than 1%" if abs(share) < 0.01 else f"{abs(share):.0%}"
        word = "above" if share > 0 else "below"
        return f"{size} {word} {told}".replace("%", f"{_THIN}%", 1)

    return _bounded(one, threshold, low, high, reason, unknown)


def _bounded(
    one: Judged,
    threshold: Threshold,
    low: Values,
    high: Values,
    reason: Callable[[int, int], str],
    unknown: NDArray[np.bool_] | None = None,
) -> Judged:
    """Hold one series to bounds, NaN where there is none; segments only where that is asked."""
    series = one.series
    asked = np.isfinite(series.value)
    if not threshold.segments:
        asked[:, 1:] = False
    few = np.zeros(asked.shape, dtype=np.bool_) if unknown is None else unknown.copy()
    if series.metric.group not in _NOT_OF_RECORDS:
        few |= series.n_current < MIN_RECORDS
    outside = (series.value > high) | (series.value < low)
    verdict = np.where(outside, State.ALARM.value, State.OK.value).astype(object)
    verdict[few] = State.TOO_FEW.value
    reasons = one.reason.copy()
    for w, s in np.argwhere(asked):
        held, told = reason(int(w), int(s)), one.reason[w, s]
        reasons[w, s] = held if told is None else f"{held}; {told}"
    return replace(
        one,
        lower=np.where(asked, low, one.lower),
        upper=np.where(asked, high, one.upper),
        state=np.where(asked, verdict, one.state),
        reason=reasons,
    )


def _before(
    held: Mapping[int, tuple[Judged, Threshold]], profile: Profile, past: Past | None
) -> dict[int, Values]:
    """Return the values held against, by series: (window, segment), NaN where there is none."""
    relative = {i: (one, t) for i, (one, t) in held.items() if t.change is not None}
    here = {int(start): index for index, start in enumerate(profile.windows)}
    steps = {i: _step(profile, t.against) for i, (_, t) in relative.items()}
    missing = {start - step for step in steps.values() if step is not None for start in here} - set(
        here
    )
    known: Mapping[Place, Values] = {}
    if missing and past is not None:
        metrics = frozenset(one.series.metric.name for one, _ in relative.values())
        segments = any(t.segments for _, t in relative.values())
        known = past(Asked(metrics, frozenset(missing), segments))
    out = {}
    for index, (one, _) in relative.items():
        before = out[index] = np.full(one.series.value.shape, np.nan)
        step = steps[index]
        for start, w in here.items():
            if step is None:
                continue
            if start - step in here:
                before[w] = one.series.value[here[start - step]]
            elif (then := known.get(_place(one.series, start - step))) is not None:
                before[w, : len(then)] = then
    return out


def _step(profile: Profile, against: Against) -> int | None:
    """Return how far before a window the other one begins, in µs; None where there is none."""
    if profile.width is None or _unknown(profile, against):
        return None
    back = profile.width if against is Against.PREVIOUS else _WEEK
    return int(back.total_seconds() * 1e6)


def _unknown(profile: Profile, against: Against) -> str:
    """Say why no window can be held against another; nothing where one can."""
    if profile.width is None:
        return "a change needs windows of time"
    if against is Against.SAME_WEEKDAY and _WEEK % profile.width:
        return "no window begins a week earlier: a week is no multiple of their width"
    return ""


def _spreads(reference: Profile) -> dict[str, Values]:
    """Standard deviation of each numeric column: (1, segment)."""
    found = evaluate(reference, reference, [find_metric("std")])
    return {one.column.name: one.value for one in found if one.column is not None}


def _names(profile: Profile, against: Against) -> Callable[[int], str]:
    """Return what the window before each one is called: ``of Monday``, ``a week earlier``."""
    days = profile.width is not None and profile.width == timedelta(days=1)
    back = timedelta(days=1) if against is Against.PREVIOUS else _WEEK
    last = "last " if against is Against.SAME_WEEKDAY else ""

    def name(w: int) -> str:
        if days:
            return f"of {last}{to_datetime(int(profile.windows[w])) - back:%A}"
        return "of the window before" if against is Against.PREVIOUS else "of a week earlier"

    return name


def _of(name: str, number: str) -> str:
    """Say a value with whose it is.

    Examples
    --------
    >>> _of("of Monday", "12"), _of("of the window before", "12")
    ("Monday's 12", '12 of the window before')
    """
    last = name.rpartition(" ")[2]
    return f"{name.removeprefix('of ')}'s {number}" if last.endswith("day") else f"{number} {name}"


def _place(series: Series, start: int) -> Place:
    return series.metric.name, series.column.name if series.column else "", start


def _number(value: float) -> str:
    """Write a number, counts whole.

    Examples
    --------
    >>> _number(0.2), _number(12400.0)
    ('0.2', '12\u202f400')
    """
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", _THIN)
    return f"{value:.3g}"
