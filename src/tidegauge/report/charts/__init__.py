"""Charts: Vega-Lite specifications as plain dicts, and tiny drawings as inline SVG.

Every function here is pure: values in, a specification (or SVG text) out. Colours are named, not
chosen: a specification reads them from its parameter ``ink``, which the page fills with the
reader's theme. Nothing is computed but places on the paper.
"""

from tidegauge.report.charts.counts import Count, alarm_counts
from tidegauge.report.charts.distribution import distribution
from tidegauge.report.charts.forest import ForestRow, forest
from tidegauge.report.charts.happenings import TimeMark
from tidegauge.report.charts.heatmap import HeatCell, heatmap
from tidegauge.report.charts.ink import INK
from tidegauge.report.charts.intervals import IntervalRow, intervals
from tidegauge.report.charts.lane import Lane
from tidegauge.report.charts.outline import outline
from tidegauge.report.charts.ribbon import quantile_ribbon, share_ribbon
from tidegauge.report.charts.sparkline import band_bar, sparkline
from tidegauge.report.charts.spec import Spec
from tidegauge.report.charts.timeline import timeline

__all__ = [
    "INK",
    "Count",
    "ForestRow",
    "HeatCell",
    "IntervalRow",
    "Lane",
    "Spec",
    "TimeMark",
    "alarm_counts",
    "band_bar",
    "distribution",
    "forest",
    "heatmap",
    "intervals",
    "outline",
    "quantile_ribbon",
    "share_ribbon",
    "sparkline",
    "timeline",
]
