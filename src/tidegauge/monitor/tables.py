"""Verdicts as the one table of results that everything else reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.metrics.result import RESULT_SCHEMA
from tidegauge.monitor.judge import Judged
from tidegauge.profile import Profile


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
    w, s = profile.rows.shape
    windowed = profile.width is not None
    starts = profile.windows if windowed else np.zeros(w, dtype=np.int64)
    step = int(profile.width.total_seconds() * 1e6) if profile.width is not None else 0
    names = [None if seg is None else json.dumps(seg.to_json()) for seg in profile.layout.segments]
    parts: list[pa.Table] = []
    for index, one in enumerate(judged):
        width = s if keep is None or keep[index] else 1
        parts.append(_rows(one, width, starts, step, names, windowed, basis))
    if not parts:
        return RESULT_SCHEMA.empty_table()
    table = pa.concat_tables(parts)
    n = len(table)
    table = table.append_column("model", pa.array([model] * n, pa.string()))
    table = table.append_column("version", pa.array([version] * n, pa.string()))
    stamp = pa.scalar(computed_at, RESULT_SCHEMA.field("computed_at").type)
    table = table.append_column("computed_at", pa.repeat(stamp, n))
    return table.select(RESULT_SCHEMA.names).cast(RESULT_SCHEMA)


def _floats(values: NDArray[Any], width: int) -> pa.Array:
    flat = np.ascontiguousarray(values[:, :width], dtype=np.float64).ravel()
    return pa.array(flat, mask=~np.isfinite(flat))


def _rows(
    one: Judged,
    width: int,
    starts: NDArray[np.int64],
    step: int,
    names: list[str | None],
    windowed: bool,
    basis: NDArray[np.object_] | None,
) -> pa.Table:
    series = one.series
    w = series.value.shape[0]
    n = w * width
    column = series.column
    times = np.repeat(starts, width)
    kind = RESULT_SCHEMA.field("window_start").type
    empty = pa.nulls(n, kind)
    reference = np.broadcast_to(series.n_reference, series.value.shape)
    performance = series.metric.family == "performance" and basis is not None
    return pa.table(
        {
            "metric": pa.array([series.metric.name] * n, pa.string()),
            "column": pa.array([column.name if column else None] * n, pa.string()),
            "segment": pa.array(names[:width] * w, pa.string()),
            "window_start": pa.array(times).cast(kind) if windowed else empty,
            "window_end": pa.array(times + step).cast(kind) if windowed else empty,
            "value": _floats(series.value, width),
            "unit": pa.array([series.metric.unit_for(column)] * n, pa.string()),
            "direction": pa.array([series.metric.direction.value] * n, pa.string()),
            "expected": _floats(one.expected, width),
            "lower": _floats(one.lower, width),
            "upper": _floats(one.upper, width),
            "p_value": _floats(one.p_value, width),
            "effect": _floats(one.effect, width),
            "n_reference": pa.array(reference[:, :width].ravel()),
            "n_current": pa.array(series.n_current[:, :width].ravel()),
            "state": pa.array(one.state[:, :width].ravel(), pa.string()),
            "basis": pa.array(
                basis[:, :width].ravel() if performance and basis is not None else [None] * n,
                pa.string(),
            ),
        }
    )
