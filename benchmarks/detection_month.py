"""A simulated month through the real path: survey, profiler, baseline, and the server's verdicts.

For an experiment::

    from benchmarks.detection_month import Month
    from benchmarks.streams import Kind, Stream, What

    month = Month(Stream(Kind.REALISTIC, month=7))
    month.alarms(month.unchanged)                              # of its 30 watched windows
    change = month.stream.pick(What.SHIFT, 0.25)               # in a column at random
    month.alarms(month.changed(change, windows=2))             # of the first two

The baseline is made once, and a change is made to an otherwise equal month: only its column is
drawn and profiled again. ``python -m benchmarks.detection`` counts such months.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
import pyarrow as pa

from benchmarks.streams import BASELINE, CATEGORICAL, NUMERIC, SCORE, WATCHED, WIDTH, Change, Stream
from tidegauge.metrics import evaluate
from tidegauge.metrics.registry import selected
from tidegauge.monitor.closing import Yardstick, close_windows
from tidegauge.monitor.judge import Judged, judge
from tidegauge.monitor.words import slow_windows
from tidegauge.profile import Baseline, Profile, Profiler, Survey
from tidegauge.profile.layout import Layout
from tidegauge.schema import Column, ColumnType, Role, Schema, Task

SCHEMA = Schema(
    (
        Column("timestamp", ColumnType.DATETIME, Role.TIMESTAMP),
        *(Column(column.name, ColumnType.NUMERIC) for column in NUMERIC),
        *(Column(column.name, ColumnType.CATEGORICAL) for column in CATEGORICAL),
        Column(SCORE.name, ColumnType.NUMERIC, Role.SCORE),
    ),
    Task.BINARY,
)


@dataclass(frozen=True)
class Alarm:
    """One alarm: its watched window, counted from 0, and what it is of (``None``: the model).

    ``slow`` where the mean of the last windows raised it, and this window alone did not.
    """

    window: int
    metric: str
    column: str | None
    slow: bool


class Month:
    """A stream with its baseline, as the server has it.

    Parameters
    ----------
    stream : Stream
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        table = stream.table(BASELINE)
        survey = Survey(SCHEMA)
        for batch in _batches(table):
            survey.update(batch)
        profile = _profiled(table, survey.layout(f"{stream.kind}-{stream.month}"))
        self.yardstick = Yardstick(Baseline(profile, datetime.now(UTC)), WIDTH)

    @cached_property
    def unchanged(self) -> Profile:
        """All watched windows, as they are without a change."""
        return _profiled(self.stream.table(WATCHED), self.yardstick.baseline.layout)

    def changed(self, change: Change, windows: int) -> Profile:
        """Return the first watched windows with a change."""
        layout = self.yardstick.baseline.layout
        names = ["timestamp", change.column]
        narrow = Layout(
            SCHEMA.select(names),
            {change.column: layout.bins[change.column]},
            layout.segments,
            layout.classes,
            layout.baseline_id,
        )
        profile = _profiled(self.stream.table(WATCHED, names, change), narrow)
        arrays = {**self.unchanged.arrays, change.column: profile.arrays[change.column]}
        return replace(self.unchanged, arrays=arrays).select(np.arange(windows))

    def alarms(self, profile: Profile) -> list[Alarm]:
        """Judge some windows as the server does; return the alarms by window."""
        closed = close_windows(
            profile,
            self.yardstick,
            model="simulated",
            version=None,
            computed_at=datetime.now(UTC),
            final_before=self.stream.first,
        )
        return _alarms(closed.judged)

    def alarms_only(self, profile: Profile) -> list[Alarm]:
        """Return the same alarms, without computing what is shown and not judged."""
        stick = self.yardstick
        metrics = [metric for metric in selected(stick.policies.asked()) if metric.judged]
        series = evaluate(profile, stick.baseline.total, metrics)
        verdicts = judge(
            series, stick.expectations, profile.windows, stick.width, stick.policies, None
        )
        return _alarms(verdicts.judged)

    def check(self, change: Change) -> None:
        """Hold what saves time against the long way, for a change.

        Raises
        ------
        AssertionError
            If a changed month is another than one that is profiled whole, or its alarms are.
        """
        whole = _profiled(self.stream.table(WATCHED, None, change), self.yardstick.baseline.layout)
        made = self.changed(change, len(whole.windows))
        for group, arrays in whole.arrays.items():
            for name, array in arrays.items():
                np.testing.assert_array_equal(made.arrays[group][name], array, f"{group} {name}")
        assert self.alarms_only(made) == self.alarms(whole)


def _alarms(judged: Sequence[Judged]) -> list[Alarm]:
    found = []
    for one in judged:
        metric, column = one.series.metric.name, one.series.column
        for window, segment in np.argwhere(one.state == "alarm"):
            slow = slow_windows(one.reason[window, segment]) > 0
            found.append(Alarm(int(window), metric, column.name if column else None, slow))
    return sorted(found, key=lambda alarm: alarm.window)


def _batches(table: pa.Table) -> Iterable[pa.RecordBatch]:
    yield from table.combine_chunks().to_batches()


def _profiled(table: pa.Table, layout: Layout) -> Profile:
    profiler = Profiler(layout, WIDTH, sample=0)
    for batch in _batches(table):
        profiler.update(batch)
    return profiler.finish()
