"""The comparison itself, step by step."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidegauge.comparison.fit import Segments, policies_of
from tidegauge.comparison.foreseen import basis_of, foreseen, sample_of
from tidegauge.comparison.judging import judged_sides
from tidegauge.comparison.report import Report
from tidegauge.comparison.sides import Progress, open_sides
from tidegauge.comparison.summary import report_data, source_info, without_windows
from tidegauge.errors import BadInput
from tidegauge.metrics import Series
from tidegauge.metrics.registry import ALL, Family, find_metric, selected
from tidegauge.metrics.result import Basis
from tidegauge.monitor import results_table
from tidegauge.monitor.policy import Policies
from tidegauge.monitor.thresholds import hold, past_of
from tidegauge.profile import Baseline
from tidegauge.profile.sample import SAMPLE_SIZE
from tidegauge.schema import Schema

_UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_WIDEST = timedelta(days=3660)


def parse_window(text: str) -> timedelta:
    """Read a window width such as ``"1d"``, ``"6h"`` or ``"30m"``.

    Raises
    ------
    BadInput
        If it is no such width.

    Examples
    --------
    >>> parse_window("6h")
    datetime.timedelta(seconds=21600)
    """
    number, unit = str(text)[:-1], str(text)[-1:]
    if not number.isdecimal() or int(number[:18]) == 0 or unit not in _UNITS:
        raise BadInput(
            f"window {text!r} is no width; give a number and m, h, d or w, such as 1d or 6h",
            code="bad_window",
        )
    if int(number[:18]) * _UNITS[unit] > _WIDEST.total_seconds():
        raise BadInput(
            f"window {text!r} is too wide; {_WIDEST.days}d is the most, or leave the window out",
            code="bad_window",
        )
    return timedelta(seconds=int(number) * _UNITS[unit])


def compare(
    reference: Any,
    current: Any,
    schema: Schema | str | os.PathLike[str] | None = None,
    segments: Segments = (),
    window: str | None = None,
    *,
    metrics: str | Iterable[str] = (),
    monitors: Policies | str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Compare records with a reference, and judge what changed.

    Parameters
    ----------
    reference, current : path or frame
        A Parquet, CSV or Arrow file, a folder of Parquet files, a Delta table, or any frame with
        the Arrow capsule interface (pandas, Polars, PyArrow, DuckDB).
    schema : Schema or path, optional
        Inferred from the reference by default.
    segments : iterable
        By what to look separately too: columns' names; lists of names, for combinations; and
        ``{"column": "age", "bins": [18, 30, 50]}`` for numbers. Texts may say the same, as
        ``"carrier+origin"`` and ``"age:18,30,50"``.
    window : str, optional
        Width of tumbling windows of event time (``"1d"``, ``"6h"``). The reference's own windows
        then tell how much variation is usual.
    metrics : str or iterable of str, optional
        Metrics to show that are computed only where somebody asks for them, such as
        ``"cramer_von_mises"`` or ``"mmd"``; ``"all"`` asks for all. They do not change the verdict.
    monitors : Policies or path, optional
        The budget of false alarms and the monitors, in place of those in the schema's file.
    progress : callable, optional
        Called with a stage, the rows done, and the rows in all where that is known.

    Returns
    -------
    Report

    Raises
    ------
    BadInput
        If a source cannot be read, or the two do not fit each other or the schema.
    NotFound
        If there is no such metric; with the nearest name.
    MissingExtra
        If what a metric needs is not installed.

    Examples
    --------
    >>> import pyarrow as pa
    >>> low = pa.table({"age": [float(20 + i % 30) for i in range(1000)]})
    >>> high = pa.table({"age": [float(40 + i % 30) for i in range(1000)]})
    >>> compare(low, high).verdict
    "1 alarm: 'age' has drifted."
    """
    width = None if window is None else parse_window(window)
    metrics = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    selected(metrics)
    sides = open_sides(reference, current, schema, segments)
    policies = policies_of(monitors, schema, sides.schema)
    wanted = selected((*metrics, *sorted(policies.asked())))
    sides = sides.fitted(width)
    sample = SAMPLE_SIZE if metrics or policies.asked() else sample_of(sides)
    then, now, notes = sides.profiled(width, progress, sample=sample)
    moment = datetime.now(UTC)
    baseline = Baseline(then, moment)
    series, verdicts = judged_sides(then, now, wanted, policies, width)
    notes += unanswered(metrics, series)
    judged = hold(verdicts.judged, policies, now, baseline.total, past_of(then, baseline.total))
    outlook = foreseen(judged, baseline, now)
    judged, basis = outlook.judged, basis_of(now)
    if outlook.why_not is not None:
        notes.append(f"performance could not be estimated: {outlook.why_not}")
    of_the_whole = (Family.STALENESS, Family.FAIRNESS)
    by_segment = np.array([one.metric.family not in of_the_whole for one in series])
    guessed = np.full(now.rows.shape, Basis.ESTIMATED.value, dtype=object)
    guesses = results_table(outlook.guesses, now, computed_at=moment, basis=guessed)
    table = results_table(judged, now, computed_at=moment, basis=basis, keep=by_segment)
    table = pa.concat_tables([table, guesses.filter(pc.is_valid(guesses["value"]))])
    infos = (source_info(sides.first, then), source_info(sides.second, now))
    notes += without_windows(infos[0]) if width is None else []
    data = report_data(
        judged, baseline, now, table, infos, moment, notes, window, basis, outlook.guesses
    )
    return Report(replace(data, asked=metrics))


def unanswered(names: Iterable[str], series: Iterable[Series]) -> list[str]:
    """Say which metrics that somebody asked for by name apply to nothing here."""
    found = {one.metric.name for one in series} | {ALL}
    left = [name for name in names if name not in found]
    hint = ""
    if any(find_metric(name).over_segments for name in left):
        hint = "; fairness is of segment columns: name one (--segment, segments=)"
    return [f"nothing here that {' or '.join(left)} could be computed for{hint}"] if left else []
