"""Monitors: what is judged, against what, and whether it is an alarm. Knows no notifier."""

from tidegauge.monitor.judge import Judged, judge
from tidegauge.monitor.norms import Norm, Norms, norms
from tidegauge.monitor.tables import results_table

__all__ = ["Judged", "Norm", "Norms", "judge", "norms", "results_table"]
