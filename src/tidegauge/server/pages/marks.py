"""What happened, as marks on time axes: incidents, the baseline, changes of version."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from tidegauge.catalog.tables import Incident
from tidegauge.profile.layout import to_datetime
from tidegauge.report.charts import TimeMark
from tidegauge.server.pages.history import History

#: The tone of an incident's severity.
TONES = {"critical": "alarm", "warning": "warning", "info": "quiet"}


def marks_of(
    history: History,
    kinds: Collection[str] = (),
    columns: Collection[str] = (),
    metric: str | None = None,
) -> list[TimeMark]:
    """Return the marks of one chart, within the range.

    Critical incidents stand on every axis, so that what else moved then is seen; others only
    where they belong.

    Parameters
    ----------
    history : History
    kinds : collection of str
        Kinds of incidents that the chart is about.
    columns : collection of str
        Columns that it is about; then those of the kinds count that hold one of them.
    metric : str, optional
        That it draws; incidents of another one of the same kind are left out.
    """
    marks = []
    row = history.baseline
    if row is not None and row.start is not None and row.end is not None:
        label = f"baseline, {row.n_records:,} records".replace(",", " ")
        marks += _clipped(history, "baseline", row.start, row.end, label)
    for one in reversed(history.within):
        own = _concerns(one, kinds, columns, metric)
        if own or one.severity == "critical":
            end = one.last_window + history.span.width
            tone = TONES.get(one.severity, "warning")
            href = history.links.incident(one.id)
            kind = "incident" if own else "elsewhere"
            marks += _clipped(history, kind, one.first_window, end, one.title, href, tone)
    for name, start in history.versions[1:]:
        moment = to_datetime(start)
        marks += _clipped(history, "version", moment, None, f"version {name or 'none'}")
    return marks


def _concerns(
    one: Incident, kinds: Collection[str], columns: Collection[str], metric: str | None
) -> bool:
    named = one.evidence.get("metric")
    if one.kind not in kinds or (metric is not None and named not in (None, metric)):
        return False
    if columns:
        return not set(one.evidence.get("columns", ())).isdisjoint(columns)
    return one.severity != "info"


def _clipped(
    history: History,
    kind: str,
    start: datetime,
    end: datetime | None,
    label: str,
    href: str | None = None,
    tone: str = "alarm",
) -> list[TimeMark]:
    span = history.span
    if start >= span.end or (end or start) < span.start or (end is not None and end <= span.start):
        return []
    stop = None if end is None else min(end, span.end)
    return [TimeMark(kind, max(start, span.start), stop, label, href, tone)]
