"""Which alarms belong to one incident. Pure: what is open and what is new goes in, groups come out.

An incident's life::

    open ──────▶ acknowledged      a person has seen it
      │               │
      └──────┬────────┘
             ▼
         resolved                  no alarm of it for ``QUIET`` windows, or a person says so
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tidegauge.catalog.incidents import Alarm
from tidegauge.catalog.tables import IncidentKind as Kind
from tidegauge.metrics import find_metric
from tidegauge.monitor.words import slow_windows

#: Windows without an alarm after which an incident of this kind is over.
QUIET: dict[Kind, int] = {
    Kind.PERFORMANCE: 7,
    Kind.DRIFT: 7,
    Kind.QUALITY: 7,
    Kind.VOLUME: 2,
    Kind.SERVICE: 2,
    Kind.STALENESS: 2,
    Kind.FAIRNESS: 7,
}
#: A hole in the data is over as soon as the data are back.
_HOLE_QUIET = 1
#: Kinds of which every metric has incidents of its own.
_BY_METRIC = frozenset(
    {Kind.PERFORMANCE, Kind.QUALITY, Kind.SERVICE, Kind.STALENESS, Kind.FAIRNESS}
)
#: Of performance it says why, so it belongs to what it is the reason of.
REASON = "concept_drift"
#: Columns that begin to drift within so many windows are taken to have one cause.
_TOGETHER = 3


@dataclass
class OpenIncident:
    """As much of an unresolved incident as grouping needs.

    Parameters
    ----------
    id : int or None
        ``None`` for one that is only just being opened.
    kind : Kind
    first_window, last_window : datetime
        Start of its first and its newest alarmed window.
    columns : set of str
    metric : str or None
        The one that its alarms are of, where every metric has incidents of its own.
    subject : str
        Of drift: ``data``, ``prediction`` or ``label``.
    slow : bool
        Whether it began as slow drift.
    """

    id: int | None
    kind: Kind
    first_window: datetime
    last_window: datetime
    columns: set[str] = field(default_factory=set)
    metric: str | None = None
    subject: str = "data"
    slow: bool = False

    @property
    def quiet(self) -> int:
        """Windows without an alarm after which it is over."""
        return _HOLE_QUIET if self.metric == "missing_share" else QUIET[self.kind]


def kind_of(metric: str) -> Kind:
    """Return the kind of incident that an alarm of this metric belongs to.

    Examples
    --------
    >>> kind_of("row_count")
    <IncidentKind.VOLUME: 'volume'>
    """
    if metric == "row_count":
        return Kind.VOLUME
    return Kind(find_metric(metric).family.value)


def is_over(incident: OpenIncident, watermark: datetime, width: timedelta) -> bool:
    """Whether an incident has been quiet for long enough to be resolved.

    Parameters
    ----------
    incident : OpenIncident
    watermark : datetime
        End of the newest closed window.
    width : timedelta
        Width of a window.
    """
    return watermark - incident.last_window > (incident.quiet + 1) * width


def group(
    alarms: Iterable[Alarm],
    incidents: Sequence[OpenIncident],
    width: timedelta,
    subject: Callable[[str | None], str] = lambda column: "data",
) -> list[tuple[OpenIncident, list[Alarm]]]:
    """Give each alarm to the incident of its cause; open one where there is none.

    Alarms of performance, volume and service belong to the one incident of their metric or
    kind; so does drift of predictions, and drift of labels. Concept drift is one incident with
    the performance that suffers from it at the same time. Drift of data and quality belong to
    the incident that already holds their column, or to one that began at the same time, slowly
    as they did or not. In segments alone they follow the same rule.

    Parameters
    ----------
    alarms : iterable of Alarm
    incidents : sequence of OpenIncident
        Extended in place.
    width : timedelta
    subject : callable, optional
        Says what a column's drift is drift of: ``data``, ``prediction`` or ``label``.

    Returns
    -------
    list of (incident, its new alarms)
    """
    held = list(incidents)
    given: dict[int, tuple[OpenIncident, list[Alarm]]] = {}
    for alarm in sorted(alarms, key=lambda a: (a.window_start, a.segment is not None, a.metric)):
        about = subject(alarm.column) if kind_of(alarm.metric) is Kind.DRIFT else "data"
        found = _find(alarm, held, width, about)
        if found is None:
            found = _opened(alarm, about)
            held.append(found)
        if found.metric == REASON:
            found.metric = metric_of(alarm)
        found.first_window = min(found.first_window, alarm.window_start)
        found.last_window = max(found.last_window, alarm.window_start)
        if alarm.column is not None:
            found.columns.add(alarm.column)
        given.setdefault(id(found), (found, []))[1].append(alarm)
    return list(given.values())


def _find(
    alarm: Alarm, held: Sequence[OpenIncident], width: timedelta, subject: str
) -> OpenIncident | None:
    kind = kind_of(alarm.metric)
    near = [
        incident
        for incident in held
        if incident.kind is kind
        and _one_cause(incident.metric, metric_of(alarm))
        and incident.subject == subject
        and _touches(incident, alarm.window_start, width)
    ]
    own = [incident for incident in near if incident.metric == metric_of(alarm)]
    near = own or near
    if kind not in (Kind.DRIFT, Kind.QUALITY) or subject != "data":
        return near[-1] if near else None
    for incident in near:
        if alarm.column in incident.columns:
            return incident
    for incident in near:
        together = abs(alarm.window_start - incident.first_window) <= _span(kind) * width
        if together and incident.slow == _slow(alarm):
            return incident
    return None


def _one_cause(first: str | None, second: str | None) -> bool:
    """Whether alarms of two metrics may belong to one incident."""
    return first == second or REASON in (first, second)


def _slow(alarm: Alarm) -> bool:
    return slow_windows(alarm.reason) > 0


def metric_of(alarm: Alarm) -> str | None:
    """Return the metric that an incident with this alarm is about, or None if it may be any."""
    return alarm.metric if kind_of(alarm.metric) in _BY_METRIC else None


def leading_metric(alarms: Sequence[Alarm]) -> str | None:
    """Return the metric that an incident with these alarms is about, or None if it may be any.

    What says why is not what it is about, unless it stands alone.
    """
    named = [alarm for alarm in alarms if alarm.metric != REASON]
    return metric_of((named or alarms)[0])


def _opened(alarm: Alarm, subject: str) -> OpenIncident:
    start, kind = alarm.window_start, kind_of(alarm.metric)
    return OpenIncident(
        None, kind, start, start, metric=metric_of(alarm), subject=subject, slow=_slow(alarm)
    )


def _touches(incident: OpenIncident, moment: datetime, width: timedelta) -> bool:
    reach = (incident.quiet + 1) * width
    return incident.first_window - reach <= moment <= incident.last_window + reach


def _span(kind: Kind) -> int:
    return _TOGETHER if kind is Kind.DRIFT else 0
