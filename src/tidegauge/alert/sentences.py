"""Incidents in words: what happened, since when, where most, and what harm it did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from tidegauge.catalog.incidents import Alarm
from tidegauge.catalog.tables import IncidentKind as Kind


def title(kind: Kind, alarms: Sequence[Alarm], label: str | None, width: timedelta) -> str:
    """Say what an incident is in one sentence without a full stop.

    Parameters
    ----------
    kind : Kind
    alarms : sequence of Alarm
        All of the incident.
    label : str or None
        Name of the label column.
    width : timedelta
        Width of a window.

    Examples
    --------
    >>> from datetime import UTC
    >>> day = datetime(2026, 1, 5, tzinfo=UTC)
    >>> one = Alarm("ks", day, day + timedelta(days=1), "temp")
    >>> title(Kind.DRIFT, [one], None, timedelta(days=1))
    "'temp' drifted on 5 Jan 2026"
    """
    when = span(alarms, width)
    if kind is Kind.PERFORMANCE:
        return f"{_performance(alarms, label)} {when}"
    if kind is Kind.DRIFT:
        return f"{_columns(alarms)} drifted {when}"
    if kind is Kind.QUALITY:
        return f"{_columns(alarms)} {_damage(alarms)} {when}"
    if kind is Kind.VOLUME:
        fewer = (alarms[0].effect or 0.0) < 0
        return f"{'Fewer' if fewer else 'More'} records than usual {when}"
    return f"{_service(alarms)} {when}"


def _performance(alarms: Sequence[Alarm], label: str | None) -> str:
    leading = [a for a in alarms if a.segment is None] or list(alarms)
    counts = Counter(a.metric for a in leading)
    metric = "bias" if "bias" in counts else counts.most_common(1)[0][0]
    worst = max((a for a in leading if a.metric == metric), key=lambda a: abs(a.effect or 0.0))
    if metric == "bias":
        more = "more" if (worst.effect or 0.0) > 0 else "less"
        what = f"'{label}' came true" if label else "The outcome came true"
        return f"{what} {more} often than predicted"
    return f"{metric} worse than expected"


def _damage(alarms: Sequence[Alarm]) -> str:
    metrics = {a.metric for a in alarms}
    one = len({a.column for a in alarms}) == 1
    if metrics == {"missing_share"}:
        return "is missing" if one else "are missing"
    if metrics == {"unseen_share"}:
        return "has unseen values" if one else "have unseen values"
    if metrics == {"type_error_share"}:
        return "has values of a wrong type" if one else "have values of a wrong type"
    if metrics == {"infinite_share"}:
        return "has infinite values" if one else "have infinite values"
    return "has damaged values" if one else "have damaged values"


def _service(alarms: Sequence[Alarm]) -> str:
    metrics = {a.metric for a in alarms}
    if metrics == {"error_share"}:
        return "More errors than usual"
    if any(m.startswith("latency") for m in metrics) and "error_share" not in metrics:
        return "Slower than usual"
    return "Slower and with more errors than usual"


def _columns(alarms: Sequence[Alarm]) -> str:
    ranked = Counter(a.column for a in alarms if a.column is not None)
    names = [f"'{name}'" for name, _ in ranked.most_common()]
    if len(names) > 3:
        return ", ".join(names[:2]) + f" and {len(names) - 2} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def span(alarms: Sequence[Alarm], width: timedelta) -> str:
    """Say on which days, or from when to when, the alarmed windows lie."""
    starts = sorted({a.window_start for a in alarms})
    first, last = starts[0], starts[-1]
    whole_days = width >= timedelta(days=1)
    if first == last:
        return f"on {_day(first)}" if whole_days else f"at {_minute(first)}"
    count = f"({len(starts)} windows)"
    if whole_days:
        return f"from {_day(first, year=first.year != last.year)} to {_day(last)} {count}"
    return f"from {_minute(first)} to {_minute(last + width)} {count}"


def _day(moment: datetime, *, year: bool = True) -> str:
    return f"{moment.day} {moment:%b %Y}" if year else f"{moment.day} {moment:%b}"


def _minute(moment: datetime) -> str:
    return f"{moment.day} {moment:%b %Y %H:%M} UTC"
