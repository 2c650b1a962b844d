"""Profiles: the mergeable arrays that every metric reads, and the profiler that makes them.

Rows go in as Arrow batches, arrays come out; nothing here reads files or knows a metric.
"""

from tidegauge.profile.baseline import Baseline
from tidegauge.profile.bins import Bins, CategoryBins, NumericBins
from tidegauge.profile.layout import Layout, Segment
from tidegauge.profile.profile import Profile
from tidegauge.profile.profiler import Profiler
from tidegauge.profile.survey import Survey

__all__ = [
    "Baseline",
    "Bins",
    "CategoryBins",
    "Layout",
    "NumericBins",
    "Profile",
    "Profiler",
    "Segment",
    "Survey",
]
