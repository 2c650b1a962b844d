"""Incidents in words: what happened, since when, where most, and what harm it did."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from tidegauge.alert.grouping import REASON
from tidegauge.catalog.incidents import Alarm
from tidegauge.catalog.tables import IncidentKind as Kind
from tidegauge.monitor.words import mean_windows, slow_windows
from tidegauge.schema import Role, Schema, Task

_SUBJECTS = {Role.SCORE: "prediction", Role.PREDICTION: "prediction", Role.LABEL: "label"}
_NAMED = 3

_STALE = {"model_age": "Model", "baseline_age": "Baseline", "label_age": "Newest label"}


def title(kind: Kind, alarms: Sequence[Alarm], schema: Schema, width: timedelta) -> str:
    """Say what an incident is in one sentence without a full stop.

    Parameters
    ----------
    kind : Kind
    alarms : sequence of Alarm
        All of the incident.
    schema : Schema
        Tells inputs from predictions and labels.
    width : timedelta
        Width of a window.

    Examples
    --------
    >>> from datetime import UTC
    >>> day = datetime(2026, 1, 5, tzinfo=UTC)
    >>> one = Alarm("location_shift", day, day + timedelta(days=1), "temp")
    >>> title(Kind.DRIFT, [one], Schema(()), timedelta(days=1))
    "'temp' drifted on 5 Jan 2026"
    """
    when = f"{where(alarms)} {span(alarms, width)}"
    if kind is Kind.PERFORMANCE:
        return _performance(alarms, schema) + when
    if kind is Kind.DRIFT:
        return _drift(alarms, schema) + when
    if kind is Kind.QUALITY:
        return f"{listed(_ranked(alarms))} {_damage(alarms)}{when}"
    if kind is Kind.VOLUME:
        return f"{'Fewer' if direction(alarms) < 0 else 'More'} records than usual{when}"
    if kind is Kind.FAIRNESS:
        return f"{alarms[0].metric} of {listed(_ranked(alarms))} out of bounds{when}"
    if kind is Kind.STALENESS:
        return f"{_STALE.get(alarms[0].metric, alarms[0].metric)} older than allowed{when}"
    return _service(alarms) + when


def where(alarms: Sequence[Alarm]) -> str:
    """Say for whom, where no alarm is of the whole; else nothing.

    Examples
    --------
    >>> from datetime import UTC
    >>> day = datetime(2026, 1, 5, tzinfo=UTC)
    >>> where([Alarm("bias", day, day, segment='{"carrier": "UA"}')])
    ' for carrier UA'
    """
    if any(a.segment is None for a in alarms):
        return ""
    segments = Counter(plain(a.segment) for a in alarms if a.segment)
    most = [name for name, _ in segments.most_common()]
    if len(most) > 2:
        return f" for {most[0]} and {len(most) - 1} other segments"
    return f" for {' and '.join(most)}"


def plain(segment: str) -> str:
    """Write a segment as people say it.

    Examples
    --------
    >>> plain('{"carrier": "UA"}')
    'carrier UA'
    >>> plain('{"carrier": "UA", "origin": "EWR"}')
    'carrier UA and origin EWR'
    """
    return " and ".join(f"{column} {value}" for column, value in json.loads(segment).items())


def subject(column: str | None, schema: Schema) -> str:
    """Return what a column's drift is drift of: ``data``, ``prediction`` or ``label``.

    Examples
    --------
    >>> from tidegauge.schema import Column, ColumnType
    >>> subject("churn", Schema((Column("churn", ColumnType.BOOLEAN, Role.LABEL),)))
    'label'
    """
    role = schema[column].role if column is not None and column in schema else None
    return _SUBJECTS.get(role, "data") if role is not None else "data"


def direction(alarms: Sequence[Alarm]) -> float:
    """Return the change of the clearest alarm; of slow ones alone what they come to together.

    The window in which a slow alarm was raised need not itself lie on that side.
    """
    fast = [a for a in alarms if not mean_windows(a.reason)]
    if fast:
        return max((a.effect or 0.0 for a in fast), key=abs)
    return sum(a.effect or 0.0 for a in alarms)


def _performance(alarms: Sequence[Alarm], schema: Schema) -> str:
    leading = [a for a in alarms if a.segment is None] or list(alarms)
    counts = Counter(a.metric for a in leading)
    named = [name for name, _ in counts.most_common() if name != REASON]
    metric = "bias" if "bias" in counts else next(iter(named), REASON)
    label = schema.role(Role.LABEL)
    if metric == REASON:
        what = f"'{label.name}'" if label else "The outcome"
        said = "predictions" if schema.task is Task.REGRESSION else "scores"
        return f"{what} no longer follows from the same inputs and {said} as it did"
    if metric != "bias":
        return f"{metric} worse than expected"
    above = direction([a for a in leading if a.metric == metric]) > 0
    if schema.task is Task.REGRESSION:
        what = f"Predictions of '{label.name}'" if label else "Predictions"
        return f"{what} were too {'low' if above else 'high'}"
    what = f"'{label.name}' came true" if label else "The outcome came true"
    return f"{what} {'more' if above else 'less'} often than predicted"


def _drift(alarms: Sequence[Alarm], schema: Schema) -> str:
    """Say what drifted: predictions and labels are named as such."""
    slowly = all(slow_windows(a.reason) for a in alarms)
    moved = "moved slowly" if slowly else "moved"
    names = _ranked(alarms)
    said = {subject(name, schema) for name in names}
    if len(said) == 1 and "data" not in said:
        return f"{said.pop().capitalize()} drift: {listed(names)} {moved}"
    return f"{listed(names)} {'drifted slowly' if slowly else 'drifted'}"


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
    if metrics == {"dimension_error_share"}:
        return "has vectors of another size" if one else "have vectors of another size"
    watched = [name for name in metrics if not name.endswith("_share")]
    if watched:
        return f"{'has its' if one else 'have their'} {watched[0]} out of bounds"
    return "has damaged values" if one else "have damaged values"


def _service(alarms: Sequence[Alarm]) -> str:
    metrics = {a.metric for a in alarms}
    if metrics == {"error_share"}:
        return "More errors than usual"
    if any(m.startswith("latency") for m in metrics) and "error_share" not in metrics:
        return "Slower than usual"
    return "Slower and with more errors than usual"


def _ranked(alarms: Sequence[Alarm]) -> list[str]:
    """The columns, those of most alarms first."""
    return [name for name, _ in Counter(a.column for a in alarms if a.column).most_common()]


def listed(names: Sequence[str]) -> str:
    """Name columns; of many the first ones.

    Examples
    --------
    >>> listed(["a", "b"]), listed(["a", "b", "c", "d"])
    ("'a' and 'b'", "'a', 'b' and 2 more")
    """
    said = [f"'{name}'" for name in names]
    if len(said) > _NAMED:
        return ", ".join(said[:2]) + f" and {len(said) - 2} more"
    return " and ".join([", ".join(said[:-1]), said[-1]]) if len(said) > 1 else said[0]


def span(alarms: Sequence[Alarm], width: timedelta) -> str:
    """Say on which days, or from when to when, the alarmed windows lie.

    Of a change that was too slow to show in one window, since about when it goes on.
    """
    starts = sorted({a.window_start for a in alarms})
    first, last = starts[0], starts[-1]
    begun = since(alarms, width)
    whole_days = width >= timedelta(days=1)
    if begun is not None and begun < first:
        if whole_days:
            return f"from about {_day(begun, year=begun.year != last.year)} to {_day(last)}"
        return f"from about {_minute(begun)} to {_minute(last + width)}"
    if first == last:
        return f"on {_day(first)}" if whole_days else f"at {_minute(first)}"
    count = f"({len(starts)} windows)"
    if whole_days:
        return f"from {_day(first, year=first.year != last.year)} to {_day(last)} {count}"
    return f"from {_minute(first)} to {_minute(last + width)} {count}"


def since(alarms: Sequence[Alarm], width: timedelta) -> datetime | None:
    """Return about when a slow change began: the first window that its first alarm looked at.

    None where a window had shown it by itself by then.
    """
    begun = [a.window_start - ((slow_windows(a.reason) or 1) - 1) * width for a in alarms]
    first = min(begun, default=None)
    fast = min((a.window_start for a in alarms if not slow_windows(a.reason)), default=None)
    return first if first is not None and (fast is None or first < fast) else None


def _day(moment: datetime, *, year: bool = True) -> str:
    return f"{moment.day} {moment:%b %Y}" if year else f"{moment.day} {moment:%b}"


def _minute(moment: datetime) -> str:
    return f"{moment.day} {moment:%b %Y %H:%M} UTC"
