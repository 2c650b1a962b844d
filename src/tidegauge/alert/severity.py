"""How grave an incident is: what its evidence says, unless monitors say otherwise."""

from __future__ import annotations

from collections.abc import Iterable

from tidegauge.catalog.incidents import Alarm
from tidegauge.metrics import all_metrics
from tidegauge.monitor.policy import Policies
from tidegauge.schema import Schema

_GRAVEST_FIRST = ("critical", "warning", "info")


def severity_of(alarms: Iterable[Alarm], policies: Policies, schema: Schema, evident: str) -> str:
    """Return the gravest that monitors say of an incident's alarms.

    The evidence counts as long as an alarm is there of which no monitor says how grave it is.

    Parameters
    ----------
    alarms : iterable of Alarm
    policies : Policies
    schema : Schema
    evident : {"critical", "warning", "info"}
        What the evidence says.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from tidegauge.monitor.policy import Monitor
    >>> day = datetime(2026, 1, 5, tzinfo=UTC)
    >>> policies = Policies(monitors=(Monitor("row_count", severity="critical"),))
    >>> severity_of([Alarm("row_count", day, day)], policies, Schema(()), "warning")
    'critical'
    """
    said = {_said(alarm, policies, schema) for alarm in alarms}
    return min((one or evident for one in said), key=_GRAVEST_FIRST.index, default=evident)


def _said(alarm: Alarm, policies: Policies, schema: Schema) -> str | None:
    metric = all_metrics().get(alarm.metric)
    if metric is None or (alarm.column is not None and alarm.column not in schema):
        return None
    monitor = policies.of(metric, None if alarm.column is None else schema[alarm.column])
    return None if monitor is None else monitor.severity
