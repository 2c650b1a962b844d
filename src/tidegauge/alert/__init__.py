"""Alerting: alarms of one cause become an incident, with a life and a sentence."""

from tidegauge.alert.grouping import OpenIncident, group, is_over

__all__ = ["OpenIncident", "group", "is_over"]
