"""What is told of models, baselines and incidents: their JSON, and a model's state in a word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from tidegauge.catalog import Alarm
from tidegauge.catalog.tables import AuditEntry, Baseline, Incident
from tidegauge.metrics.result import plain
from tidegauge.server.known import Model
from tidegauge.server.runtime import Runtime

UNRESOLVED = ("open", "acknowledged")
_SEVERITIES = {"critical": 0, "warning": 1, "info": 2}
_BASELINE = ("id", "active", "source", "start", "end", "created_at")
_INCIDENT = (
    "id",
    "version",
    "kind",
    "severity",
    "state",
    "title",
    "summary",
    "opened_at",
    "first_window",
    "last_window",
    "acknowledged_by",
    "acknowledged_at",
    "resolved_by",
    "resolved_at",
    "evidence",
)
_ALARM = tuple(one.name for one in fields(Alarm))
__all__ = ["UNRESOLVED", "by_harm", "shown_baseline", "shown_incident", "shown_model"]


def shown_model(
    runtime: Runtime, model: Model, incidents: Sequence[Incident] | None = None
) -> dict[str, Any]:
    """Return what is told of a model.

    Parameters
    ----------
    incidents : sequence of Incident, optional
        Its unresolved ones, where the caller has them already.
    """
    if incidents is None:
        incidents = runtime.catalog.incidents.all(
            project=model.project, model=model.name, states=UNRESOLVED
        )
    facts = runtime.facts.of(model)
    baseline = runtime.catalog.baselines.active(model.id)
    closed = runtime.catalog.windows.closed_until(model.id)
    versions = runtime.catalog.models.versions(model.id)
    return {
        "project": model.project,
        "model": model.name,
        "task": None if model.schema.task is None else model.schema.task.value,
        "state": model_state(incidents, baseline is not None),
        "versions": [
            {
                "version": version.name,
                "first_event": plain(version.first_seen),
                "last_event": plain(version.last_seen),
            }
            for version in versions
        ],
        "records": facts.records,
        "first_event": plain(facts.first_event),
        "last_event": plain(facts.last_event),
        "closed_until": plain(closed),
        "open_incidents": len(incidents),
        "baseline": None if baseline is None else baseline.id,
        "window_seconds": model.window.total_seconds(),
        "lateness_seconds": model.lateness.total_seconds(),
        "label_horizon_seconds": model.label_horizon.total_seconds(),
        "created_at": plain(model.created_at),
        "lag": runtime.lag(model),
    }


def model_state(incidents: Iterable[Incident], has_baseline: bool) -> str:
    """Return a model's state in a word: the worst of its unresolved incidents, else how it is.

    Incidents that are for information only, such as drift that does no harm, do not count.

    Examples
    --------
    >>> model_state([], True), model_state([], False)
    ('ok', 'learning')
    """
    severities = {incident.severity for incident in incidents}
    if "critical" in severities:
        return "alarm"
    if "warning" in severities:
        return "warning"
    return "ok" if has_baseline else "learning"


def shown_baseline(row: Baseline) -> dict[str, Any]:
    """Return what is told of a baseline."""
    told = {name: plain(getattr(row, name)) for name in _BASELINE}
    return {**told, "rows": row.n_records}


def shown_incident(
    incident: Incident,
    model: Model,
    alarms: Sequence[Alarm] | None = None,
    notes: Sequence[AuditEntry] = (),
) -> dict[str, Any]:
    """Return what is told of an incident.

    Parameters
    ----------
    alarms : sequence of Alarm, optional
        Where the incident is shown by itself; also what people did about it.
    notes : sequence of AuditEntry
        What people did about it, the newest first.
    """
    told = {name: plain(getattr(incident, name)) for name in _INCIDENT}
    told = {"project": model.project, "model": model.name, **told}
    if alarms is not None:
        told["alarms"] = [
            {name: plain(getattr(alarm, name)) for name in _ALARM} for alarm in alarms
        ]
        told["history"] = [
            {
                "at": plain(entry.at),
                "by": entry.actor,
                "action": entry.action.removeprefix("incident."),
                "text": entry.details.get("text"),
            }
            for entry in reversed(notes)
        ]
    return told


def by_harm(incidents: Iterable[Incident]) -> list[Incident]:
    """Return incidents, the most harmful first: by severity, by harm as far as it is known, by age.

    Harm is the number ``harm`` of the evidence.
    """

    def place(incident: Incident) -> tuple[int, float, float]:
        harm = incident.evidence.get("harm")
        known = float(harm) if isinstance(harm, int | float) else 0.0
        return (
            _SEVERITIES.get(incident.severity, len(_SEVERITIES)),
            -known,
            -incident.last_window.timestamp(),
        )

    return sorted(incidents, key=place)
