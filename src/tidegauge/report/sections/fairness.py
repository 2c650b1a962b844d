"""Fairness as reports show it: each segment column with how far its values lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from tidegauge.metrics.registry import ALL, Family, all_metrics
from tidegauge.metrics.result import Result, State
from tidegauge.report.data import ReportData
from tidegauge.report.sections.tables import as_results, whole

#: What stands for all of them where there is little room: selection, and error rates or losses.
FIRST = (
    "demographic_parity_difference",
    "equalized_odds_difference",
    "mean_prediction_difference",
    "mae_difference",
)


@dataclass(frozen=True)
class FairColumn:
    """One segment column.

    Parameters
    ----------
    column : str
    results : tuple of Result
        Every metric of fairness in the newest window in which any has a value.
    """

    column: str
    results: tuple[Result, ...]

    def few(self, asked: Sequence[str] = ()) -> list[Result]:
        """Return those that stand for all: the first ones, what is asked for, and alarms."""
        return [
            one
            for one in self.results
            if one.metric in (*FIRST, *asked) or ALL in asked or one.state is State.ALARM
        ]


def fairness_of(data: ReportData) -> tuple[FairColumn, ...]:
    """Return the segment columns with their metrics of fairness."""
    names = [name for name, one in all_metrics().items() if one.family is Family.FAIRNESS]
    held = whole(data.results)
    held = held.filter(pc.is_in(held["metric"], pa.array(names)))
    columns: dict[str, list[Result]] = {}
    for one in as_results(held):
        columns.setdefault(str(one.column), []).append(one)
    return tuple(FairColumn(name, tuple(_newest(found))) for name, found in columns.items())


def _newest(found: Sequence[Result]) -> list[Result]:
    known = [one for one in found if one.value is not None] or list(found)
    newest = max((one.window_start for one in known if one.window_start), default=None)
    return [one for one in found if one.window_start == newest]
