"""Keeping incidents: alarms of closed windows are given to them, and what is said is kept true."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from tidegauge.alert.evidence import Context, gather
from tidegauge.alert.grouping import OpenIncident, group, is_over, leading_metric
from tidegauge.alert.lookup import (
    Rows,
    alarms_of,
    find_holes,
    find_impact,
    holed_windows,
    known_windows,
    merged_impact,
    performance_metric,
    told_holes,
)
from tidegauge.alert.sentences import subject, title
from tidegauge.alert.severity import severity_of
from tidegauge.catalog.catalog import Catalog
from tidegauge.catalog.incidents import Alarm
from tidegauge.catalog.tables import Incident
from tidegauge.catalog.tables import IncidentKind as Kind
from tidegauge.explain.hours import Hole
from tidegauge.monitor.closing import ClosedWindows, Yardstick
from tidegauge.monitor.words import slow_windows
from tidegauge.profile.layout import to_datetime
from tidegauge.schema import Column, Role, Schema, Task

#: Brings the stored results of one metric by segment, for windows that begin in ``[start, end)``.
Points = Callable[[str, datetime, datetime], pa.Table]


@dataclass(frozen=True)
class Watched:
    """One model version, and how more about it is looked up.

    Parameters
    ----------
    model_id : int
    version : str or None
    yardstick : Yardstick
    rows : callable
        Brings records again.
    points : callable
        Brings results by segment.
    """

    model_id: int
    version: str | None
    yardstick: Yardstick
    rows: Rows
    points: Points

    @property
    def width(self) -> timedelta:
        """Width of a window."""
        return self.yardstick.width

    @property
    def schema(self) -> Schema:
        """The schema that windows are profiled by."""
        return self.yardstick.baseline.layout.schema

    @property
    def label(self) -> Column | None:
        """The label's column."""
        return self.schema.role(Role.LABEL)

    def subject(self, column: str | None) -> str:
        """Return what a column's drift is drift of: ``data``, ``prediction`` or ``label``."""
        return subject(column, self.schema)


class IncidentKeeper:
    """Opens, extends, restates and resolves incidents.

    Parameters
    ----------
    catalog : Catalog
    """

    def __init__(self, catalog: Catalog) -> None:
        self._incidents = catalog.incidents

    def absorb(
        self,
        watched: Watched,
        starts: Sequence[datetime],
        closed: Sequence[ClosedWindows],
        watermark: datetime,
        now: datetime,
    ) -> list[int]:
        """Take in the verdicts of windows that were closed, or computed again.

        Parameters
        ----------
        watched : Watched
        starts : sequence of datetime
            The windows.
        closed : sequence of ClosedWindows
            Their verdicts.
        watermark : datetime
            End of the newest closed window.
        now : datetime
            The clock.

        Returns
        -------
        list of int
            The incidents that were opened or changed.
        """
        alarms = [a for one in closed for a in alarms_of(one, watched.width)]
        changed = self._incidents.restate(watched.model_id, watched.version, starts, alarms)
        held = self._incidents.of_model(watched.model_id, watched.version)
        known = [_open(incident) for incident in held]
        said = {incident.id: incident.evidence for incident in held}
        for incident, new in group(alarms, known, watched.width, watched.subject):
            changed.add(self._store(watched, incident, new, said.get(incident.id or 0, {}), now))
        # With their labels it becomes known whether performance suffered from a drift.
        changed |= {i.id for i in held if i.kind == Kind.DRIFT and _meets(i, starts)}
        for incident_id in sorted(changed):
            self._describe(watched, incident_id, closed)
        self._resolve(watched, watermark, now)
        return sorted(changed)

    def _store(
        self,
        watched: Watched,
        incident: OpenIncident,
        alarms: Sequence[Alarm],
        said: dict[str, Any],
        now: datetime,
    ) -> int:
        # What tells later alarms that they belong to it is stored with the alarms: whoever goes on
        # after a crash groups as this process would have.
        evidence = {
            **said,
            "columns": sorted({*said.get("columns", ()), *incident.columns}),
            "metric": incident.metric,
            "subject": incident.subject,
            "slow": incident.slow,
        }
        if incident.id is not None:
            self._incidents.extend(incident.id, alarms, evidence=evidence)
            return incident.id
        opened, _ = self._incidents.open(
            watched.model_id,
            watched.version,
            incident.kind.value,
            severity="warning",
            title=title(incident.kind, alarms, watched.schema, watched.width),
            alarms=alarms,
            opened_at=now,
            evidence=evidence,
        )
        return opened.id

    def _describe(
        self, watched: Watched, incident_id: int, closed: Sequence[ClosedWindows]
    ) -> None:
        """Say anew what an incident is, from all of its alarms."""
        alarms = self._incidents.alarms(incident_id)
        if not alarms:
            self._incidents.withdraw(incident_id)
            return
        incident = self._incidents.get(incident_id)
        kind = Kind(incident.kind)
        context = self._context(watched, incident, alarms, closed)
        evidence = gather(kind, alarms, context)
        self._incidents.describe(
            incident_id,
            severity=severity_of(
                alarms, watched.yardstick.policies, watched.schema, evidence.severity
            ),
            title=title(kind, alarms, watched.schema, watched.width),
            summary=evidence.summary,
            evidence={
                **evidence.details,
                "harm": evidence.harm,
                "metric": leading_metric(alarms),
                "subject": watched.subject(alarms[0].column),
                "slow": slow_windows(min(alarms, key=lambda a: a.window_start).reason) > 0,
                **({"read": _starts(alarms)} if kind is Kind.QUALITY else {}),
            },
            first_window=min(a.window_start for a in alarms),
            last_window=max(a.window_start for a in alarms),
        )

    def _context(
        self,
        watched: Watched,
        incident: Incident,
        alarms: Sequence[Alarm],
        closed: Sequence[ClosedWindows],
    ) -> Context:
        kind = Kind(incident.kind)
        if kind is Kind.PERFORMANCE:
            label = watched.label
            outcome = f"'{label.name}' than predicted" if label else "than predicted"
            numbers = watched.schema.task is Task.REGRESSION
            return Context(
                by_segment=self._by_segment(watched, alarms),
                outcome=outcome,
                unit=(label.unit if label else None) or "" if numbers else None,
            )
        if kind is Kind.QUALITY:
            return Context(holes=self._holes(watched, incident, alarms, closed))
        if kind is Kind.DRIFT:
            columns = {a.column for a in alarms if a.column}
            before: dict[str, Any] = incident.evidence.get("impact", {})
            moved = find_impact(columns, closed, watched.yardstick)
            bad = self._incidents.alarmed_windows(
                watched.model_id, watched.version, Kind.PERFORMANCE.value
            )
            return Context(
                impact=merged_impact(before, moved),
                bad_windows=bad,
                known_windows=self._known(watched, alarms),
            )
        return Context()

    def _holes(
        self,
        watched: Watched,
        incident: Incident,
        alarms: Sequence[Alarm],
        closed: Sequence[ClosedWindows],
    ) -> dict[str, list[Hole]]:
        """Find the hours of holes; only windows that are new, or computed again, are read."""
        new = {to_datetime(int(start)) for one in closed for start in one.profile.windows}
        before = {datetime.fromisoformat(text) for text in incident.evidence.get("read", ())}
        windows = holed_windows(alarms)
        read = [window for window in windows if window[0] in new or window[0] not in before]
        found = find_holes(alarms, read, watched.yardstick, watched.rows)
        told = told_holes(
            incident.evidence.get("hours", ()), [one for one in windows if one not in read]
        )
        return {name: told.get(name, []) + found.get(name, []) for name in {*told, *found}}

    def _known(self, watched: Watched, alarms: Sequence[Alarm]) -> frozenset[datetime]:
        """The windows of some alarms that have labels enough to judge performance."""
        metric = performance_metric(watched.schema)
        if metric is None:
            return frozenset()
        starts = {a.window_start for a in alarms}
        table = watched.points(metric, min(starts), max(starts) + watched.width)
        return known_windows(table) & starts

    def _by_segment(self, watched: Watched, alarms: Sequence[Alarm]) -> list[dict[str, Any]]:
        metric = "bias" if any(a.metric == "bias" for a in alarms) else leading_metric(alarms)
        metric = metric or alarms[0].metric
        windows = {a.window_start for a in alarms if a.metric == metric}
        table = watched.points(metric, min(windows), max(windows) + watched.width)
        if not table.num_rows:
            return []
        wanted = ["segment", "value", "effect", "n_current", "window_start"]
        rows: list[dict[str, Any]] = table.select(wanted).to_pylist()
        return [row for row in rows if row["window_start"] in windows]

    def _resolve(self, watched: Watched, watermark: datetime, now: datetime) -> None:
        for incident in self._incidents.of_model(watched.model_id, watched.version):
            if is_over(_open(incident), watermark, watched.width):
                self._incidents.resolve(incident.id, now)


def _starts(alarms: Sequence[Alarm]) -> list[str]:
    return [start.isoformat() for start, _ in holed_windows(alarms)]


def _meets(incident: Incident, starts: Sequence[datetime]) -> bool:
    return any(incident.first_window <= start <= incident.last_window for start in starts)


def _open(incident: Incident) -> OpenIncident:
    return OpenIncident(
        incident.id,
        Kind(incident.kind),
        incident.first_window,
        incident.last_window,
        set(incident.evidence.get("columns", ())),
        incident.evidence.get("metric"),
        incident.evidence.get("subject", "data"),
        incident.evidence.get("slow", False),
    )
