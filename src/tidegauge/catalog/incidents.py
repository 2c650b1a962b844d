"""Incidents and their alarms: opened, extended, acknowledged, resolved; no alarm twice."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from tidegauge.catalog.database import Database, insert_or_ignore
from tidegauge.catalog.tables import Incident, IncidentAlarm, IncidentState, Model, Project
from tidegauge.errors import BadInput, Conflict, NotFound


@dataclass(frozen=True)
class Alarm:
    """One result outside its threshold; the fields are those of a result.

    Parameters
    ----------
    metric : str
    window_start, window_end : datetime
    column : str, optional
        None for a metric of the model as a whole.
    segment : str, optional
        As JSON text; None for the whole.
    value, expected, lower, upper, p_value, effect : float, optional
    n_current : int
        Records in the window.
    spread, level : float, optional
        Standard deviation if nothing changed; share of the budget.
    reason : str, optional
    """

    metric: str
    window_start: datetime
    window_end: datetime
    column: str | None = None
    segment: str | None = None
    value: float | None = None
    expected: float | None = None
    lower: float | None = None
    upper: float | None = None
    p_value: float | None = None
    effect: float | None = None
    n_current: int = 0
    spread: float | None = None
    level: float | None = None
    reason: str | None = None


#: What names an alarm; all else is what it came to, and may be computed again.
_NAMED = frozenset({"metric", "column", "segment", "window_start", "window_end"})
_VALUES = tuple(one.name for one in fields(Alarm) if one.name not in _NAMED)


class Incidents:
    """The incidents of all models."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(
        self,
        model_id: int,
        version: str | None,
        kind: str,
        *,
        severity: str,
        title: str,
        alarms: Sequence[Alarm],
        opened_at: datetime,
        summary: str = "",
        evidence: Mapping[str, Any] | None = None,
    ) -> tuple[Incident, bool]:
        """Open an incident with its first alarms.

        Where all of these alarms are stored already, nothing is opened: after a crash the same
        call may come again.

        Returns
        -------
        (Incident, bool)
            The incident, and whether it was opened now; else the one that has the first alarm.

        Raises
        ------
        BadInput
            Without any alarm.
        """
        if not alarms:
            raise BadInput("an incident needs an alarm", code="no_alarm")
        incident = Incident(
            model_id=model_id,
            version=version,
            kind=kind,
            severity=severity,
            state=IncidentState.OPEN.value,
            opened_at=opened_at,
            first_window=min(alarm.window_start for alarm in alarms),
            last_window=max(alarm.window_start for alarm in alarms),
            title=title,
            summary=summary,
            evidence=dict(evidence or {}),
        )
        with self._database.writing() as session:
            session.add(incident)
            session.flush()
            if _store(session, incident, alarms):
                return incident, True
            session.rollback()
        with self._database.reading() as session:
            found = session.scalars(_having(model_id, version, alarms[0])).one()
        return found, False

    def extend(
        self,
        incident_id: int,
        alarms: Sequence[Alarm],
        *,
        severity: str | None = None,
        title: str | None = None,
        summary: str | None = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> int:
        """Add alarms to an incident, and change what is said of it.

        Returns
        -------
        int
            How many of the alarms were not stored before.

        Raises
        ------
        NotFound
        Conflict
            When it is resolved; what comes then is another incident.
        """
        with self._database.writing() as session:
            incident = _locked(session, incident_id)
            if incident.state == IncidentState.RESOLVED:
                raise Conflict(
                    f"incident {incident_id} is resolved; open another", code="incident_resolved"
                )
            added = _store(session, incident, alarms)
            starts = [alarm.window_start for alarm in alarms]
            incident.first_window = min([incident.first_window, *starts])
            incident.last_window = max([incident.last_window, *starts])
            incident.severity = severity or incident.severity
            incident.title = title or incident.title
            incident.summary = incident.summary if summary is None else summary
            if evidence is not None:
                incident.evidence = dict(evidence)
        return added

    def restate(
        self,
        model_id: int,
        version: str | None,
        starts: Collection[datetime],
        alarms: Sequence[Alarm],
    ) -> set[int]:
        """Bring stored alarms of some windows up to date after these were computed again.

        Alarms that are no longer among ``alarms`` go, those that are get their new values; new
        ones are not stored.

        Returns
        -------
        set of int
            The incidents that changed.
        """
        fresh = {(a.metric, a.column, a.segment, a.window_start): a for a in alarms}
        changed: set[int] = set()
        with self._database.writing() as session:
            held = session.scalars(
                select(IncidentAlarm).where(
                    IncidentAlarm.model_id == model_id,
                    IncidentAlarm.version == version,
                    IncidentAlarm.window_start.in_(list(starts)),
                )
            ).all()
            for row in held:
                now = fresh.get((row.metric, row.column, row.segment, row.window_start))
                if now is None:
                    session.delete(row)
                    changed.add(row.incident_id)
                elif any(getattr(row, name) != getattr(now, name) for name in _VALUES):
                    for name in _VALUES:
                        setattr(row, name, getattr(now, name))
                    changed.add(row.incident_id)
        return changed

    def alarmed_windows(self, model_id: int, version: str | None, kind: str) -> frozenset[datetime]:
        """Return the starts of the windows with an alarm of the whole in incidents of a kind."""
        statement = (
            select(IncidentAlarm.window_start)
            .join(Incident, Incident.id == IncidentAlarm.incident_id)
            .where(
                IncidentAlarm.model_id == model_id,
                IncidentAlarm.version == version,
                IncidentAlarm.segment == None,  # noqa: E711 (bound as the text of none)
                Incident.kind == kind,
            )
            .distinct()
        )
        with self._database.reading() as session:
            return frozenset(session.scalars(statement))

    def of_model(
        self, model_id: int, version: str | None, *, resolved: bool = False
    ) -> list[Incident]:
        """Return a model version's incidents by first window; those that go on, by default."""
        statement = select(Incident).where(
            Incident.model_id == model_id, Incident.version == version
        )
        if not resolved:
            statement = statement.where(Incident.state != IncidentState.RESOLVED)
        with self._database.reading() as session:
            return list(session.scalars(statement.order_by(Incident.first_window, Incident.id)))

    def describe(
        self,
        incident_id: int,
        *,
        severity: str,
        title: str,
        summary: str,
        evidence: Mapping[str, Any],
        first_window: datetime,
        last_window: datetime,
    ) -> None:
        """Change what is said of an incident, whatever its state."""
        with self._database.writing() as session:
            incident = _locked(session, incident_id)
            incident.severity, incident.title, incident.summary = severity, title, summary
            incident.evidence = dict(evidence)
            incident.first_window, incident.last_window = first_window, last_window

    def withdraw(self, incident_id: int) -> None:
        """Delete an incident of which no alarm is left."""
        with self._database.writing() as session:
            session.delete(_locked(session, incident_id))

    def acknowledge(self, incident_id: int, by: str, at: datetime) -> bool:
        """Note that a person has taken it on; return whether that was news."""
        with self._database.writing() as session:
            incident = _locked(session, incident_id)
            if incident.state != IncidentState.OPEN:
                return False
            incident.state = IncidentState.ACKNOWLEDGED.value
            incident.acknowledged_by, incident.acknowledged_at = by, at
        return True

    def resolve(self, incident_id: int, at: datetime, by: str | None = None) -> bool:
        """End an incident; return whether that was news.

        Parameters
        ----------
        by : str, optional
            The person; None where it ended by itself.
        """
        with self._database.writing() as session:
            incident = _locked(session, incident_id)
            if incident.state == IncidentState.RESOLVED:
                return False
            incident.state = IncidentState.RESOLVED.value
            incident.resolved_by, incident.resolved_at = by, at
        return True

    def get(self, incident_id: int) -> Incident:
        """Return an incident.

        Raises
        ------
        NotFound
        """
        with self._database.reading() as session:
            incident = session.get(Incident, incident_id)
        if incident is None:
            raise NotFound(f"no incident {incident_id}", code="unknown_incident")
        return incident

    def alarms(self, incident_id: int) -> list[Alarm]:
        """Return an incident's alarms, by window, metric, column and segment."""
        order = (
            IncidentAlarm.window_start,
            IncidentAlarm.metric,
            IncidentAlarm.column,
            IncidentAlarm.segment,
        )
        statement = select(IncidentAlarm).where(IncidentAlarm.incident_id == incident_id)
        names = [field.name for field in fields(Alarm)]
        with self._database.reading() as session:
            rows = session.scalars(statement.order_by(*order)).all()
        return [Alarm(**{name: getattr(row, name) for name in names}) for row in rows]

    def unresolved(self, model_id: int, version: str | None, kind: str) -> Incident | None:
        """Return the newest incident of this kind that still goes on, if there is one."""
        statement = (
            select(Incident)
            .where(
                Incident.model_id == model_id,
                Incident.version == version,
                Incident.kind == kind,
                Incident.state != IncidentState.RESOLVED,
            )
            .order_by(Incident.id.desc())
            .limit(1)
        )
        with self._database.reading() as session:
            return session.scalar(statement)

    def all(
        self,
        *,
        project: str | None = None,
        model: str | None = None,
        states: Collection[str] = (),
        limit: int | None = None,
    ) -> list[Incident]:
        """Return incidents, the newest first.

        Parameters
        ----------
        project, model : str, optional
            Only those of this project, of models of this name.
        states : collection of str
            Only those in one of these states; in any by default.
        """
        statement = select(Incident)
        if project is not None or model is not None:
            statement = statement.join(Model, Model.id == Incident.model_id)
        if project is not None:
            statement = statement.join(Project, Project.id == Model.project_id)
            statement = statement.where(Project.name == project)
        if model is not None:
            statement = statement.where(Model.name == model)
        if states:
            statement = statement.where(Incident.state.in_(list(states)))
        newest_first = (Incident.opened_at.desc(), Incident.id.desc())
        with self._database.reading() as session:
            return list(session.scalars(statement.order_by(*newest_first).limit(limit)))


def _store(session: Session, incident: Incident, alarms: Sequence[Alarm]) -> int:
    """Store alarms that no incident has yet; return how many."""
    owner = {
        "incident_id": incident.id,
        "model_id": incident.model_id,
        "version": incident.version,
    }
    return insert_or_ignore(session, IncidentAlarm, [{**owner, **asdict(a)} for a in alarms])


def _having(model_id: int, version: str | None, alarm: Alarm) -> Any:
    """Select the incident that has an alarm."""
    return (
        select(Incident)
        .join(IncidentAlarm, IncidentAlarm.incident_id == Incident.id)
        .where(
            IncidentAlarm.model_id == model_id,
            IncidentAlarm.version == version,
            IncidentAlarm.metric == alarm.metric,
            IncidentAlarm.column == alarm.column,
            IncidentAlarm.segment == alarm.segment,
            IncidentAlarm.window_start == alarm.window_start,
        )
    )


def _locked(session: Session, incident_id: int) -> Incident:
    incident = session.get(Incident, incident_id, with_for_update=True)
    if incident is None:
        raise NotFound(f"no incident {incident_id}", code="unknown_incident")
    return incident
