"""The evidence of an incident: how much harm, in which segments and hours, moved by what.

Pure: alarms and what was looked up for them go in, a plain dictionary and a sentence come out.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tidegauge.catalog.incidents import Alarm
from tidegauge.catalog.tables import IncidentKind as Kind
from tidegauge.explain.hours import Hole

#: A drift is taken for harmful when performance was off in this share of its windows.
_COINCIDENT = 0.3
#: Damage of values is grave from this share of the records on.
_GRAVE = 0.05
_SHOWN = 4
_DAMAGE = {
    "missing_share": "missing",
    "unseen_share": "unseen",
    "type_error_share": "of a wrong type",
    "infinite_share": "infinite",
}


@dataclass(frozen=True)
class Context:
    """What was looked up about an incident's windows.

    Parameters
    ----------
    by_segment : sequence of mappings
        Results of the judged performance metric by segment (``segment``, ``value``,
        ``effect``, ``n_current``), for the alarmed windows.
    holes : mapping of column to list of Hole
    impact : mapping of column to float
        Shift of the mean score that a column's drift explains, at its largest.
    bad_windows : set of datetime
        Windows in which performance was off, by any alarm of this model version.
    outcome : str
        What one positive label is called.
    """

    by_segment: Sequence[Mapping[str, Any]] = ()
    holes: Mapping[str, Sequence[Hole]] = field(default_factory=dict)
    impact: Mapping[str, float] = field(default_factory=dict)
    bad_windows: frozenset[datetime] = frozenset()
    outcome: str = "outcomes"


@dataclass(frozen=True)
class Evidence:
    """What an incident rests on.

    Parameters
    ----------
    severity : {"critical", "warning", "info"}
    harm : float
        For ranking inside a severity: outcomes that came otherwise than predicted, records
        affected, windows in drift.
    summary : str
        One or two sentences.
    details : dict
        As JSON can hold it.
    """

    severity: str
    harm: float
    summary: str
    details: dict[str, Any]


def gather(kind: Kind, alarms: Sequence[Alarm], context: Context) -> Evidence:
    """Put the evidence of an incident together.

    Parameters
    ----------
    kind : Kind
    alarms : sequence of Alarm
        All of the incident.
    context : Context
    """
    columns = [c for c, _ in Counter(a.column for a in alarms if a.column).most_common()]
    windows = sorted({a.window_start for a in alarms})
    details: dict[str, Any] = {"columns": columns, "windows": len(windows)}
    if kind is Kind.PERFORMANCE:
        return _performance(alarms, context, details)
    if kind is Kind.DRIFT:
        return _drift(windows, columns, context, details)
    if kind is Kind.QUALITY:
        return _quality(alarms, columns, context, details)
    worst = max(alarms, key=lambda a: abs(a.effect or 0.0))
    details["harm_text"] = ""
    summary = f"{worst.metric} {_number(worst.value)}, expected {_number(worst.expected)}."
    severity = "critical" if kind is Kind.SERVICE else "warning"
    return Evidence(severity, abs(worst.effect or 0.0), summary, details)


def _performance(alarms: Sequence[Alarm], context: Context, details: dict[str, Any]) -> Evidence:
    biased = [a for a in alarms if a.metric == "bias" and a.segment is None]
    excess = sum((a.effect or 0.0) * a.n_current for a in biased)
    segments = _segments(context.by_segment)
    details["segments"] = segments[:20]
    details["excess"] = excess
    severity = "critical" if biased else "warning"
    if biased:
        direction = "more" if excess > 0 else "fewer"
        details["harm_text"] = f"{abs(excess):,.0f} {direction} {context.outcome}".replace(",", " ")
    else:
        details["harm_text"] = ""
    summary = _worst_windows(biased or alarms)
    where = _where(segments)
    if where:
        summary += f" {where}"
    return Evidence(severity, abs(excess), summary, details)


def _worst_windows(alarms: Sequence[Alarm]) -> str:
    worst = max(alarms, key=lambda a: abs(a.effect or 0.0))
    where = "" if worst.segment is None else f" in {_plain(worst.segment)}"
    day = f"{worst.window_start:%-d %b}"
    if worst.metric != "bias":
        usual = f"expected {_number(worst.expected)}"
        return f"At worst {worst.metric} {_number(worst.value)}{where}, {usual}, on {day}."
    value = worst.value or 0.0
    bound = worst.upper if value > 0 else worst.lower
    usual = "" if bound is None else f" (up to {abs(bound) * 100:.0f} is usual)"
    more = "more" if value > 0 else "fewer"
    return f"At worst {abs(value) * 100:.0f} in 100 {more} than predicted{where}, on {day}{usual}."


def _segments(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Segments by how much of the excess they hold, mean effect weighted by records."""
    total: dict[str, float] = defaultdict(float)
    records: dict[str, int] = defaultdict(int)
    for row in rows:
        if row["segment"] is None or row["effect"] is None:
            continue
        total[row["segment"]] += row["effect"] * row["n_current"]
        records[row["segment"]] += row["n_current"]
    found = [
        {
            "segment": name,
            "excess": round(total[name], 1),
            "effect": round(total[name] / records[name], 4) if records[name] else None,
            "records": records[name],
        }
        for name in total
    ]
    return sorted(found, key=lambda item: -abs(float(item["excess"] or 0.0)))


def _where(segments: Sequence[Mapping[str, Any]]) -> str:
    """The hardest-hit value of each segment column, by effect, where it holds enough records."""
    best: dict[str, Mapping[str, Any]] = {}
    for item in segments:
        column, _, value = _plain(item["segment"]).partition(" ")
        if value == "(other)" or item["records"] < 30:
            continue
        if column not in best or abs(item["effect"]) > abs(best[column]["effect"]):
            best[column] = item
    named = [f"{_plain(item['segment'])} ({item['effect']:+.2f})" for item in best.values()]
    return f"Hardest hit: {', '.join(named)}." if named else ""


def _drift(
    windows: Sequence[datetime], columns: Sequence[str], context: Context, details: dict[str, Any]
) -> Evidence:
    bad = sum(1 for window in windows if window in context.bad_windows)
    share = bad / len(windows)
    moves = {c: context.impact[c] for c in columns if c in context.impact}
    details |= {"impact": moves, "performance_windows": bad}
    strongest = max(moves.values(), key=abs, default=0.0)
    harmful = share >= _COINCIDENT
    details["harm_text"] = "" if harmful else "no harm seen"
    moved = f"Alone it would move the mean score by {strongest:+.3f}. " if moves else ""
    if len(windows) == 1:
        meanwhile = "Performance was off then too." if bad else "Performance held then."
    else:
        meanwhile = f"Performance was off in {bad} of its {len(windows)} windows."
    severity = "warning" if harmful else "info"
    return Evidence(severity, len(windows) + abs(strongest), moved + meanwhile, details)


def _quality(
    alarms: Sequence[Alarm], columns: Sequence[str], context: Context, details: dict[str, Any]
) -> Evidence:
    worst = max(alarms, key=lambda a: a.value or 0.0)
    affected = round((worst.value or 0.0) * worst.n_current)
    holes: dict[tuple[datetime, datetime, tuple[str, ...]], list[str]] = defaultdict(list)
    sizes: dict[tuple[datetime, datetime, tuple[str, ...]], tuple[int, int]] = {}
    for column in columns:
        for hole in context.holes.get(column, ()):
            place = (hole.start, hole.end, hole.segments)
            holes[place].append(column)
            sizes[place] = (hole.missing, hole.records)
    details["hours"] = [
        {
            "start": start.isoformat(),
            "end": end.isoformat(),
            "segments": list(segments),
            "columns": names,
            "missing": sizes[start, end, segments][0],
            "records": sizes[start, end, segments][1],
        }
        for (start, end, segments), names in sorted(holes.items(), key=lambda item: item[0][:2])
    ]
    details["harm_text"] = f"{affected:,} records".replace(",", " ")
    usual = worst.expected or 0.0
    what = _DAMAGE.get(worst.metric, worst.metric)
    summary = f"'{worst.column}' {what} in up to {worst.value or 0:.1%} of records"
    summary += f" ({usual:.1%} is usual)."
    when = _hours(details["hours"])
    if when:
        summary += f" {when}"
    severity = "warning" if (worst.value or 0.0) - usual >= _GRAVE else "info"
    return Evidence(severity, float(affected), summary, details)


def _hours(hours: Sequence[Mapping[str, Any]]) -> str:
    """Name the largest holes."""
    ranked = sorted(hours, key=lambda h: -h["missing"] * len(h["columns"]))
    seen: list[str] = []
    for hole in ranked:
        start, end = (datetime.fromisoformat(hole[k]) for k in ("start", "end"))
        last = f"{end:%H:%M}" if end.date() == start.date() else f"{end:%-d %b %H:%M}"
        place = f" ({', '.join(hole['segments'][:2])})" if hole["segments"] else ""
        text = f"{start:%-d %b %H:%M}–{last} UTC{place}"
        if text not in seen:
            seen.append(text)
    return f"Hours: {'; '.join(seen[:_SHOWN])}." if seen else ""


def _plain(segment: str) -> str:
    return " ".join(f"{k} {v}" for k, v in json.loads(segment).items())


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
