"""Monitors: what is judged, against what, and whether it is an alarm. Knows no notifier."""

from tidegauge.monitor.judge import Judged, Verdicts, judge
from tidegauge.monitor.policy import FalseAlarms, Monitor, Policies, Threshold
from tidegauge.monitor.spans import Deviations
from tidegauge.monitor.statistics import expectations
from tidegauge.monitor.tables import results_table

__all__ = [
    "Deviations",
    "FalseAlarms",
    "Judged",
    "Monitor",
    "Policies",
    "Threshold",
    "Verdicts",
    "expectations",
    "judge",
    "results_table",
]
