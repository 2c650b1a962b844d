"""What a report shows, as plain values: made by ``compare.py``, drawn by everything in here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

from tidegauge.metrics.result import Result


@dataclass(frozen=True)
class Histogram:
    """Two distributions over the same display bins.

    Parameters
    ----------
    edges : tuple of float
        K + 1 edges of numeric bins (seconds since 1970 for a datetime column); empty for a
        categorical column.
    labels : tuple of str
        K names of categorical bins; empty for a numeric column.
    reference, current : tuple of float
        K shares of the records with a value.
    below, above : (reference, current) pairs of float
        Shares outside the drawn numeric range.
    """

    edges: tuple[float, ...]
    labels: tuple[str, ...]
    reference: tuple[float, ...]
    current: tuple[float, ...]
    below: tuple[float, float] = (0.0, 0.0)
    above: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class ColumnReport:
    """One column of a comparison.

    Parameters
    ----------
    name, type, role, unit : str
    headline : Result or None
        What is judged of its drift and says most, for the whole, in its worst window.
    results : tuple of Result
        Every result for the whole (no segment); with windows, those of the worst window.
    alarms : int
        Alarms over all windows, segments and questions.
    impact : float or None
        How far this column's shift alone would move the mean score, in the score's unit;
        ``None`` where there is no score.
    histogram : Histogram or None
    alarmed : tuple of str
        Metrics of the whole that are an alarm in any window.
    distance : float or None
        How far its distribution lies from the reference's beyond what is usual, alike for
        columns of every type.
    """

    name: str
    type: str
    role: str
    unit: str | None
    headline: Result | None
    results: tuple[Result, ...]
    alarms: int
    impact: float | None
    histogram: Histogram | None
    alarmed: tuple[str, ...] = ()
    distance: float | None = None


@dataclass(frozen=True)
class SourceInfo:
    """One side of a comparison."""

    name: str
    rows: int
    start: datetime | None
    end: datetime | None


@dataclass(frozen=True)
class ReportData:
    """A comparison, ready to be drawn.

    Parameters
    ----------
    verdict : str
        One sentence that answers "is it working?".
    alarms : int
        Number of results in the state ``alarm``.
    reference, current : SourceInfo
    columns : tuple of ColumnReport
        Those that matter most first.
    performance : tuple of Result
        Model-level results (performance, service, rows) for the whole, worst or only window.
    results : pyarrow.Table
        Every result (``RESULT_SCHEMA``).
    notes : tuple of str
        What a reader should know about the inputs ("naive times read as UTC", …).
    window : str or None
        Width of a window ("1d"), if the comparison has windows.
    segments : mapping of column to tuple of values
    asked : tuple of str
        Metrics that somebody asked for by name.
    """

    verdict: str
    alarms: int
    reference: SourceInfo
    current: SourceInfo
    columns: tuple[ColumnReport, ...]
    performance: tuple[Result, ...]
    results: pa.Table
    computed_at: datetime
    version: str
    notes: tuple[str, ...] = ()
    window: str | None = None
    segments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    task: str | None = None
    asked: tuple[str, ...] = ()
