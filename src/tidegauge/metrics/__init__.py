"""Metrics: pure functions from profiles to numbers, one file a family.

To add one, write a function under ``@metric`` in the file of its family (or in a new file, and
name it in ``FAMILIES``). Other packages hand in theirs by the entry point ``tidegauge.metrics``.
"""

from tidegauge.metrics.evaluate import Series, evaluate
from tidegauge.metrics.registry import FAMILIES, Family, Metric, View, all_metrics, find_metric
from tidegauge.metrics.result import RESULT_SCHEMA, Result, State

__all__ = [
    "FAMILIES",
    "RESULT_SCHEMA",
    "Family",
    "Metric",
    "Result",
    "Series",
    "State",
    "View",
    "all_metrics",
    "evaluate",
    "find_metric",
]
