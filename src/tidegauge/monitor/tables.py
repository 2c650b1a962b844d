"""Verdicts as the one table of results that everything else reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.metrics.evaluate import Series
from tidegauge.metrics.registry import Direction, Family, Values
from tidegauge.metrics.result import RESULT_SCHEMA
from tidegauge.monitor.judge import Judged
from tidegauge.monitor.scales import back, forward
from tidegauge.profile import Profile

#: Standard deviations to either side of a value that hold 95 %.
QUANTILE = 1.959963984540054
#: Areas under curves, which lie within 0–1 without being a share of anything.
_AREAS = frozenset({"roc_auc", "average_precision"})


def results_table(
    judged: Sequence[Judged],
    profile: Profile,
    *,
    computed_at: datetime,
    model: str | None = None,
    version: str | None = None,
    basis: NDArray[np.object_] | None = None,
    keep: NDArray[np.bool_] | None = None,
) -> pa.Table:
    """Lay verdicts out as rows, one a result.

    Parameters
    ----------
    judged : sequence of Judged
        All over the windows and segments of ``profile``.
    profile : Profile
        Gives windows and segments their names.
    computed_at : datetime
        Aware, UTC.
    model, version : str, optional
    basis : (window, segment) array of str or None, optional
        For the performance results.
    keep : (series,) bool, optional
        Series of which the segments are kept too; of others only the whole. All by default.

    Returns
    -------
    pyarrow.Table
        In ``RESULT_SCHEMA``. With no window width, both window times are null.
    """
    windows, segments = profile.rows.shape
    if not judged or not windows:
        return RESULT_SCHEMA.empty_table()
    widths = [segments if keep is None or keep[i] else 1 for i in range(len(judged))]
    sizes = np.array(widths) * windows
    total = int(sizes.sum())

    def cells(field: Callable[[Judged], NDArray[Any]]) -> NDArray[Any]:
        """One field of all verdicts, row after row."""
        held = []
        for one, width in zip(judged, widths, strict=True):
            values = field(one)
            if values.shape != one.series.value.shape:
                values = np.broadcast_to(values, one.series.value.shape)
            held.append(values[:, :width].ravel())
        return np.concatenate(held)

    def floats(field: Callable[[Judged], NDArray[Any]]) -> pa.Array:
        values = cells(field).astype(np.float64)
        return pa.array(values, mask=~np.isfinite(values))

    def named(field: Callable[[Judged], str | None]) -> pa.Array:
        """One text for each verdict, repeated over its rows."""
        texts = pa.array([field(one) for one in judged], pa.string())
        return texts.take(pa.array(np.repeat(np.arange(len(judged)), sizes)))

    names = [None if seg is None else json.dumps(seg.to_json()) for seg in profile.layout.segments]
    segment = np.concatenate([np.tile(np.arange(width), windows) for width in widths])
    window = np.concatenate([np.repeat(np.arange(windows), width) for width in widths])
    stamp = RESULT_SCHEMA.field("computed_at").type
    intervals = {id(one): interval_of(one.series) for one in judged}
    rows = {
        "metric": named(lambda one: one.series.metric.name),
        "column": named(lambda one: one.series.column.name if one.series.column else None),
        "segment": pa.array(names, pa.string()).take(pa.array(segment)),
        "model": _same(model, total),
        "version": _same(version, total),
        "value": floats(lambda one: one.series.value),
        "unit": named(lambda one: one.series.metric.unit_for(one.series.column)),
        "direction": named(lambda one: one.series.metric.direction.value),
        "expected": floats(lambda one: one.expected),
        "lower": floats(lambda one: one.lower),
        "upper": floats(lambda one: one.upper),
        "p_value": floats(lambda one: one.p_value),
        "effect": floats(lambda one: one.effect),
        "n_reference": pa.array(cells(lambda one: one.series.n_reference)),
        "n_current": pa.array(cells(lambda one: one.series.n_current)),
        "state": pa.array(cells(lambda one: one.state), pa.string()),
        "basis": _basis(judged, widths, basis, total),
        "computed_at": pa.repeat(pa.scalar(computed_at, stamp), total),
        "spread": floats(lambda one: one.spread),
        "level": floats(lambda one: one.level),
        "reason": pa.array(cells(lambda one: one.reason), pa.string()),
        "ci_lower": floats(lambda one: intervals[id(one)][0]),
        "ci_upper": floats(lambda one: intervals[id(one)][1]),
    }
    if profile.width is None:
        rows |= {name: pa.nulls(total, stamp) for name in ("window_start", "window_end")}
    else:
        step = int(profile.width.total_seconds() * 1e6)
        starts = profile.windows[window]
        rows["window_start"] = pa.array(starts).cast(stamp)
        rows["window_end"] = pa.array(starts + step).cast(stamp)
    return pa.table({name: rows[name] for name in RESULT_SCHEMA.names}).cast(RESULT_SCHEMA)


def interval_of(series: Series) -> tuple[Values, Values]:
    """Return the 95 % interval of a series' values, each (window, segment); NaN where unknown.

    The metric's own, else for performance what its sampling noise leads to, on the scale where
    that is nearly symmetric.
    """
    if series.interval is not None:
        return series.interval
    if series.metric.family is not Family.PERFORMANCE or series.noise is None:
        unknown = np.full(series.value.shape, np.nan)
        return unknown, unknown
    n = series.n_current.astype(np.float64)
    scale = series.metric.scale
    with np.errstate(all="ignore"):
        half = QUANTILE * np.sqrt(series.noise)
        middle = forward(scale, series.value, n)
        ends = [back(scale, middle + side * half, n) for side in (-1.0, 1.0)]
        lower, upper = (np.where(np.isfinite(half + series.value), end, np.nan) for end in ends)
        lower, upper = np.minimum(lower, series.value), np.maximum(upper, series.value)
    if series.metric.unit == "share" or series.metric.name in _AREAS:
        least = -1.0 if series.metric.direction is Direction.NEITHER else 0.0
        return np.clip(lower, least, 1.0), np.clip(upper, least, 1.0)
    return lower, upper


def _same(text: str | None, n: int) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.string()), n)


def _basis(
    judged: Sequence[Judged],
    widths: Sequence[int],
    basis: NDArray[np.object_] | None,
    total: int,
) -> pa.Array:
    if basis is None:
        return pa.nulls(total, pa.string())
    blank = np.full(basis.shape, None, dtype=object)
    parts = [
        (basis if one.series.metric.family is Family.PERFORMANCE else blank)[:, :width].ravel()
        for one, width in zip(judged, widths, strict=True)
    ]
    return pa.array(np.concatenate(parts), pa.string())
