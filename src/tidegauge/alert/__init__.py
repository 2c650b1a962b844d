"""Alerting: alarms of one cause become an incident, with a life and a sentence."""

from tidegauge.alert.grouping import Alarm, Kind, OpenIncident, group, is_over

__all__ = ["Alarm", "Kind", "OpenIncident", "group", "is_over"]
