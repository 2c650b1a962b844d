"""Tidegauge: monitoring and observability for machine-learning models in production."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tidegauge.version import __version__

if TYPE_CHECKING:
    from tidegauge.comparison import Report, compare
    from tidegauge.comparison.estimating import estimate_performance
    from tidegauge.comparison.explaining import explain_change
    from tidegauge.errors import BadInput, TidegaugeError
    from tidegauge.explain.parts import Decomposition
    from tidegauge.explain.worst_segments import WorstSegments, worst_segments
    from tidegauge.monitor.document import load_policies
    from tidegauge.monitor.online import detect_changes
    from tidegauge.monitor.policy import FalseAlarms, Monitor, Policies, Threshold
    from tidegauge.report.estimated import EstimatedPerformance
    from tidegauge.schema import Column, ColumnType, Role, Schema, Task, infer_schema, load_schema
    from tidegauge.versions import VersionReport, compare_versions
    from tidegauge_client import Client

_HOMES = {
    "BadInput": "tidegauge.errors",
    "Client": "tidegauge_client",
    "Column": "tidegauge.schema",
    "ColumnType": "tidegauge.schema",
    "Decomposition": "tidegauge.explain.parts",
    "EstimatedPerformance": "tidegauge.report.estimated",
    "FalseAlarms": "tidegauge.monitor.policy",
    "Monitor": "tidegauge.monitor.policy",
    "Policies": "tidegauge.monitor.policy",
    "Report": "tidegauge.comparison",
    "Role": "tidegauge.schema",
    "Schema": "tidegauge.schema",
    "Task": "tidegauge.schema",
    "Threshold": "tidegauge.monitor.policy",
    "TidegaugeError": "tidegauge.errors",
    "VersionReport": "tidegauge.versions",
    "WorstSegments": "tidegauge.explain.worst_segments",
    "compare": "tidegauge.comparison",
    "compare_versions": "tidegauge.versions",
    "detect_changes": "tidegauge.monitor.online",
    "estimate_performance": "tidegauge.comparison.estimating",
    "explain_change": "tidegauge.comparison.explaining",
    "infer_schema": "tidegauge.schema",
    "load_policies": "tidegauge.monitor.document",
    "load_schema": "tidegauge.schema",
    "worst_segments": "tidegauge.explain.worst_segments",
}

__all__ = [
    "BadInput",
    "Client",
    "Column",
    "ColumnType",
    "Decomposition",
    "EstimatedPerformance",
    "FalseAlarms",
    "Monitor",
    "Policies",
    "Report",
    "Role",
    "Schema",
    "Task",
    "Threshold",
    "TidegaugeError",
    "VersionReport",
    "WorstSegments",
    "__version__",
    "compare",
    "compare_versions",
    "detect_changes",
    "estimate_performance",
    "explain_change",
    "infer_schema",
    "load_policies",
    "load_schema",
    "worst_segments",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that ``import tidegauge`` is quick."""
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'tidegauge' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
