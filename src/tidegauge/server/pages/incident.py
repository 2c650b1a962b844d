"""The page of an incident: what is it, why, what now."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidegauge.catalog import Alarm
from tidegauge.catalog.tables import AuditEntry, Incident
from tidegauge.metrics.result import Result, State
from tidegauge.profile.layout import Segment
from tidegauge.report.charts import TimeMark, timeline
from tidegauge.report.sections.columns import signed
from tidegauge.server.pages.column import ABOUT
from tidegauge.server.pages.history import History
from tidegauge.server.pages.lines import Line
from tidegauge.server.pages.marks import TONES
from tidegauge.server.pages.model import Drawn, held_by, lane_of, question
from tidegauge.server.shown import by_harm

#: Alarms in the table, and windows that are named.
MOST_ALARMS, MOST_WINDOWS = 400, 60
_HEIGHT = 170
#: Metrics that never come near nought, so that their axis need not begin there.
_RATES = frozenset({"roc_auc", "accuracy"})


@dataclass(frozen=True)
class SegmentPart:
    """How much of an incident lies in one segment.

    Parameters
    ----------
    column, value, href : str
    excess : float or None
        Outcomes beyond what was predicted.
    effect : float or None
        Distance from what was expected.
    records : int
    part : float
        Its excess beside the largest of its column, 0–1, for a bar.
    """

    column: str
    value: str
    href: str
    excess: float | None
    effect: float | None
    records: int
    part: float


@dataclass(frozen=True)
class Suspect:
    """A column that moved during an incident.

    Parameters
    ----------
    name, href : str
    impact : float or None
    part : float
        Its impact beside the largest, 0–1.
    alarms : int
        Windows of the incident in which it drifted.
    """

    name: str
    href: str
    impact: float | None
    part: float
    alarms: int


@dataclass(frozen=True)
class Gap:
    """Hours in which values were missing.

    Parameters
    ----------
    start, end : datetime
    where : str
    columns : tuple of str
    missing, records : int
    href : str
        The records of these hours.
    """

    start: datetime
    end: datetime
    where: str
    columns: tuple[str, ...]
    missing: int
    records: int
    href: str


@dataclass(frozen=True)
class IncidentView:
    """What the page shows.

    Parameters
    ----------
    incident : Incident
    state : str
        As its severity is drawn.
    width : timedelta
    lanes : tuple of Drawn
        What was alarmed, around that time.
    leading : (metric, column)
        What the first of them is about.
    worst : Alarm
    segments : tuple of SegmentPart
    suspects : tuple of Suspect
    gaps : tuple of Gap
    alarms : tuple of Alarm
        At most ``MOST_ALARMS``.
    total : int
        Alarms in all.
    windows : tuple of datetime
    others : sequence of Incident
        What else happened then.
    notes : sequence of AuditEntry
    end : datetime
    """

    incident: Incident
    state: str
    lanes: tuple[Drawn, ...]
    leading: tuple[str, str | None]
    worst: Alarm
    segments: tuple[SegmentPart, ...]
    suspects: tuple[Suspect, ...]
    gaps: tuple[Gap, ...]
    alarms: tuple[Alarm, ...]
    total: int
    windows: tuple[datetime, ...]
    others: Sequence[Incident]
    notes: Sequence[AuditEntry]
    end: datetime


def incident_view(
    history: History,
    incident: Incident,
    alarms: Sequence[Alarm],
    notes: Sequence[AuditEntry] = (),
) -> IncidentView:
    """Put the page together.

    Parameters
    ----------
    history : History
        Around the incident's time.
    incident : Incident
    alarms : sequence of Alarm
        All of it.
    notes : sequence of AuditEntry
        What people did about it.
    """
    others = overlapping(history, incident)
    leading = leading_metric(incident, alarms)
    evidence = incident.evidence
    ranked = sorted(alarms, key=_loudness)
    return IncidentView(
        incident,
        {"critical": "alarm", "warning": "warning"}.get(incident.severity, "shown"),
        tuple(_lanes(history, incident, leading, alarms)),
        leading,
        _worst(alarms, leading),
        tuple(_segments(history, evidence.get("segments", ()))),
        tuple(_suspects(history, incident, others)),
        tuple(_gaps(history, evidence.get("hours", ()))),
        tuple(ranked[:MOST_ALARMS]),
        len(alarms),
        tuple(sorted({one.window_start for one in alarms}))[:MOST_WINDOWS],
        others,
        notes,
        incident.last_window + history.span.width,
    )


def leading_metric(incident: Incident, alarms: Sequence[Alarm]) -> tuple[str, str | None]:
    """Return the metric and column that an incident is about most."""
    whole = [one for one in alarms if one.segment is None] or list(alarms)
    named = incident.evidence.get("metric")
    counted = Counter(
        (one.metric, one.column) for one in whole if named in (None, one.metric)
    ) or Counter((one.metric, one.column) for one in whole)
    most = max(counted.values())
    impact = incident.evidence.get("impact", {})
    tied = [key for key, count in counted.items() if count == most]
    return max(tied, key=lambda key: (key[0] == "bias", abs(impact.get(key[1], 0.0))))


def _worst(alarms: Sequence[Alarm], leading: tuple[str, str | None]) -> Alarm:
    own = [one for one in alarms if (one.metric, one.column) == leading]
    whole = [one for one in own if one.segment is None]
    return max(whole or own, key=lambda one: abs(one.effect or 0.0))


def _loudness(one: Alarm) -> tuple[bool, float, float]:
    p = 1.0 if one.p_value is None else one.p_value
    size = abs(one.effect or 0.0) / (abs(one.expected or 0.0) or 1.0)
    return one.segment is not None, p, -size


def overlapping(history: History, incident: Incident) -> list[Incident]:
    """Return the other incidents of that time, the most harmful first."""
    first, last = incident.first_window, incident.last_window
    return by_harm(
        one
        for one in history.incidents
        if one.id != incident.id
        and one.version == incident.version
        and one.first_window <= last
        and one.last_window >= first
    )


def _segments(history: History, held: Sequence[dict[str, Any]]) -> list[SegmentPart]:
    parts: list[SegmentPart] = []
    largest: dict[str, float] = {}
    parsed = [(Segment.from_json(json.loads(one["segment"])), one) for one in held]
    for named, one in parsed:
        size = abs(float(one.get("excess") or 0.0))
        largest[named.column] = max(largest.get(named.column, 0.0), size)
    for named, one in parsed:
        column, value = named.column, named.value
        excess = one.get("excess")
        part = abs(float(excess or 0.0)) / (largest[column] or 1.0)
        href = history.links.model(
            segment=(column, value), start=history.span.start, end=history.span.end
        )
        parts.append(
            SegmentPart(column, value, href, excess, one.get("effect"), one["records"], part)
        )
    return sorted(parts, key=lambda one: one.column)


def _suspects(history: History, incident: Incident, others: Sequence[Incident]) -> list[Suspect]:
    """Columns that drifted then: its own for a drift, else those of drifts of that time."""
    impacts: dict[str, float | None] = {}
    sources = [incident] if incident.kind == "drift" else []
    sources += [one for one in others if one.kind == "drift" and incident.kind == "performance"]
    for one in sources:
        held = one.evidence.get("impact", {})
        for name in one.evidence.get("columns", ()):
            before = impacts.get(name)
            now = held.get(name)
            impacts[name] = before if now is None else max(before or 0.0, float(now), key=abs)
    impacts = {name: moved for name, moved in impacts.items() if name in history.model.schema}
    largest = max((abs(moved) for moved in impacts.values() if moved is not None), default=0.0)
    span = history.span
    found = []
    for name, moved in impacts.items():
        line = history.drift.get(name)
        alarms = 0
        if line is not None:
            then = line.between(incident.first_window, incident.last_window + span.width)
            alarms = int(then.alarms.sum())
        if not alarms:
            continue
        href = history.links.column(name, start=span.start, end=span.end)
        found.append(Suspect(name, href, moved, abs(moved or 0.0) / (largest or 1.0), alarms))
    return sorted(found, key=lambda one: (-abs(one.impact or 0.0), -one.alarms))


def _gaps(history: History, hours: Sequence[dict[str, Any]]) -> list[Gap]:
    found = []
    for one in hours:
        start, end = (datetime.fromisoformat(one[name]) for name in ("start", "end"))
        found.append(
            Gap(
                start,
                end,
                ", ".join(one["segments"]) or "everywhere",
                tuple(one["columns"]),
                one["missing"],
                one["records"],
                history.links.records(start, end),
            )
        )
    return sorted(found, key=lambda one: -one.missing * len(one.columns))


def _lanes(
    history: History,
    incident: Incident,
    leading: tuple[str, str | None],
    alarms: Sequence[Alarm],
) -> list[Drawn]:
    """The alarmed metrics around that time: the leading one, then those of most alarms."""
    counted = Counter((one.metric, one.column) for one in alarms)
    wanted = [leading, *(key for key, _ in counted.most_common(4) if key != leading)][:4]
    out = []
    for at, (metric, column) in enumerate(wanted):
        line = history.line(metric, column)
        if not len(line):
            continue
        title = f"{column}: {metric}" if column else metric
        about = question(history, metric) or ABOUT.get(metric, "")
        out.append(_lane(history, incident, line, title, about, _HEIGHT if at == 0 else 90))
    return out


def _lane(
    history: History, incident: Incident, line: Line, title: str, about: str, height: int
) -> Drawn:
    end = incident.last_window + history.span.width
    tone = TONES.get(incident.severity, "warning")
    mark = TimeMark("incident", incident.first_window, end, incident.title, None, tone)
    spec = timeline(
        line.on(history.windows).results(),
        title=line.metric,
        unit=line.unit,
        marks=[mark],
        brush=False,
        height=height,
        zero=not signed(line.metric) and line.metric not in _RATES,
    )
    key = f"{line.metric}-{line.column or 'model'}"
    return Drawn(
        key,
        title,
        about,
        held_by(lane_of(history), spec, line),
        height + 40,
        line.last(),
    )


def as_result(alarm: Alarm, units: dict[tuple[str, str | None], str | None]) -> Result:
    """Return an alarm as a result, with the unit of its metric."""
    return Result(
        alarm.metric,
        alarm.column,
        segment=None if alarm.segment is None else json.loads(alarm.segment),
        window_start=alarm.window_start,
        window_end=alarm.window_end,
        value=alarm.value,
        unit=units.get((alarm.metric, alarm.column)),
        expected=alarm.expected,
        lower=alarm.lower,
        upper=alarm.upper,
        p_value=alarm.p_value,
        effect=alarm.effect,
        n_current=alarm.n_current,
        state=State.ALARM,
        spread=alarm.spread,
        level=alarm.level,
        reason=alarm.reason,
    )


def units_of(history: History, alarms: Sequence[Alarm]) -> dict[tuple[str, str | None], str | None]:
    """Return the unit of every metric and column among alarms."""
    keys = {(one.metric, one.column) for one in alarms}
    return {key: history.chapter.line(*key, history.asked.segment_json).unit for key in keys}
