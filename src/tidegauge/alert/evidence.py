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

from tidegauge.alert.grouping import REASON
from tidegauge.alert.sentences import plain
from tidegauge.catalog.incidents import Alarm
from tidegauge.catalog.tables import IncidentKind as Kind
from tidegauge.explain.hours import Hole
from tidegauge.metrics.registry import all_metrics
from tidegauge.monitor.words import mean_windows
from tidegauge.profile.layout import OTHER, Segment

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
    "dimension_error_share": "of another size",
}
#: In seconds.
_DAY = 86_400


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
    known_windows : set of datetime
        Windows of which there are labels enough to judge performance.
    outcome : str
        What one positive label is called.
    unit : str or None
        Of the label, where numbers are predicted; None where outcomes are.
    """

    by_segment: Sequence[Mapping[str, Any]] = ()
    holes: Mapping[str, Sequence[Hole]] = field(default_factory=dict)
    impact: Mapping[str, float] = field(default_factory=dict)
    bad_windows: frozenset[datetime] = frozenset()
    known_windows: frozenset[datetime] = frozenset()
    outcome: str = "outcomes"
    unit: str | None = None


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
        return _drift(alarms, windows, columns, context, details)
    if kind is Kind.QUALITY:
        return _quality(alarms, columns, context, details)
    worst = _worst(alarms)
    details["harm_text"] = ""
    severity = "critical" if kind is Kind.SERVICE else "warning"
    return Evidence(severity, abs(worst.effect or 0.0), f"{_told(worst)}.", details)


def _worst(alarms: Sequence[Alarm]) -> Alarm:
    """The alarm that stands out most: of the whole before a segment's, fast before slow."""

    def size(one: Alarm) -> tuple[bool, bool, float]:
        return one.segment is None, not mean_windows(one.reason), abs(one.effect or 0.0)

    return max(alarms, key=size)


def _told(one: Alarm) -> str:
    """Say one alarm with what was expected in its place."""
    place = "" if one.segment is None else f" for {plain(one.segment)}"
    day = f"{one.window_start:%-d %b}"
    if mean_windows(one.reason):
        return f"{one.metric} {one.reason}{place} (seen on {day})"
    if one.expected is None and one.reason:
        return f"{one.metric} {_value(one)}{place} on {day} ({one.reason})"
    return f"{one.metric} {_value(one)}{place} on {day}, expected {_usual(one, _unit(one.metric))}"


def _usual(one: Alarm, unit: str | None) -> str:
    """What was expected, with the spread that is usual."""
    if one.spread is None:
        return _number(one.expected, unit)
    # What is small beside its spread is no more than 0.
    near = one.expected if abs(one.expected or 0.0) >= 0.05 * one.spread else 0.0
    if unit == "share":
        return f"{_number(near, unit)} ± {_number(one.spread, unit)}"
    return f"{_number(near)} ± {_number(one.spread, unit)}"


def _value(one: Alarm) -> str:
    return _number(one.value, _unit(one.metric))


def _unit(metric: str) -> str | None:
    found = all_metrics().get(metric)
    return None if found is None or found.unit in ("column", "label") else found.unit


def _performance(alarms: Sequence[Alarm], context: Context, details: dict[str, Any]) -> Evidence:
    biased = [a for a in alarms if a.metric == "bias" and a.segment is None]
    excess = sum((a.effect or 0.0) * a.n_current for a in biased)
    segments = _segments(context.by_segment)
    details["segments"] = segments[:20]
    details["excess"] = excess
    severity = "critical" if biased else "warning"
    if not biased:
        details["harm_text"] = ""
    elif context.unit is not None:
        side = "above" if excess > 0 else "below"
        total = f"{_number(abs(excess))} {context.unit}".strip()
        details["harm_text"] = f"{total} {side} what was predicted, in all"
    else:
        direction = "more" if excess > 0 else "fewer"
        details["harm_text"] = f"{abs(excess):,.0f} {direction} {context.outcome}".replace(",", " ")
    summary = _worst_window(biased or alarms, context)
    hardest = _where(segments, context.unit)
    if hardest:
        summary += f" {hardest}"
    if any(a.metric == REASON for a in alarms) and any(a.metric != REASON for a in alarms):
        summary += " Changed inputs do not explain it: the relation to the outcome has changed."
    return Evidence(severity, abs(excess), summary, details)


def _worst_window(alarms: Sequence[Alarm], context: Context) -> str:
    worst = _worst(alarms)
    if worst.metric != "bias":
        return f"At worst {_told(worst)}."
    where = "" if worst.segment is None else f" for {plain(worst.segment)}"
    size, above = abs(worst.value or 0.0), (worst.value or 0.0) > 0
    if context.unit is not None:
        side = "low" if above else "high"
        said = f"{_number(size)} {context.unit}".strip() + f" too {side} on average"
        usual = _usual(worst, None)
    else:
        said = f"{size * 100:.0f} in 100 {'more' if above else 'fewer'} than predicted"
        usual = f"{round(100 * (worst.expected or 0.0))} ± {100 * (worst.spread or 0.0):.0f}"
    usual = worst.reason or f"{usual} was expected"
    return f"At worst {said}{where}, on {worst.window_start:%-d %b} ({usual})."


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


def _where(segments: Sequence[Mapping[str, Any]], unit: str | None) -> str:
    """The hardest-hit value of each segment column, by effect, where it holds enough records."""
    best: dict[str, Mapping[str, Any]] = {}
    for item in segments:
        held = Segment.from_json(json.loads(item["segment"]))
        column = held.column
        if held.value == OTHER or item["records"] < 30:
            continue
        if column not in best or abs(item["effect"]) > abs(best[column]["effect"]):
            best[column] = item
    form = "+.2f" if unit is None else "+.3g"
    named = [f"{plain(item['segment'])} ({item['effect']:{form}})" for item in best.values()]
    return f"Hardest hit: {', '.join(named)}." if named else ""


def _drift(
    alarms: Sequence[Alarm],
    windows: Sequence[datetime],
    columns: Sequence[str],
    context: Context,
    details: dict[str, Any],
) -> Evidence:
    bad = sum(1 for window in windows if window in context.bad_windows)
    known = sum(1 for window in windows if window in context.known_windows) or bad
    moves = {c: context.impact[c] for c in columns if c in context.impact}
    details |= {"impact": moves, "performance_windows": bad}
    first = max(moves, key=lambda c: abs(moves[c]), default="")
    strongest = moves.get(first, 0.0)
    harmful = bad >= _COINCIDENT * max(known, 1)
    details["harm_text"] = "" if harmful or not known else "no harm seen"
    alone = "Alone it" if len(columns) == 1 else f"Alone '{first}'"
    moved = f"{alone} would move the mean score by {strongest:+.3f}. " if moves else ""
    if not known:
        meanwhile = "Whether performance suffered is not known: there are too few labels."
    elif len(windows) == 1:
        meanwhile = "Performance was off then too." if bad else "Performance held then."
    else:
        of = f"its {known} windows" + (" with labels" if known < len(windows) else "")
        meanwhile = f"Performance was off in {bad} of {of}."
        meanwhile = meanwhile if bad else f"Performance held in all of {of}."
    severity = "warning" if harmful or not known else "info"
    summary = f"{_shift(alarms)} {moved}{meanwhile}"
    return Evidence(severity, len(windows) + abs(strongest), summary, details)


def _shift(alarms: Sequence[Alarm]) -> str:
    """Say how far a column moved at its farthest, in words."""
    most, _ = Counter(a.column for a in alarms).most_common(1)[0]
    worst = _worst([a for a in alarms if a.column == most])
    day = f"{worst.window_start:%-d %b}"
    place = "" if worst.segment is None else f" for {plain(worst.segment)}"
    if worst.level is None and worst.reason:
        return f"'{worst.column}'{place}: {worst.metric} {_value(worst)} on {day} ({worst.reason})."
    if worst.reason and "was expected" in worst.reason:
        what = worst.reason.removeprefix("slow: ")
        seen = "" if mean_windows(worst.reason) else f", on {day}"
        return f"'{worst.column}'{place}: {what}{seen}."
    side = "above" if (worst.effect or 0.0) > 0 else "below"
    size = f"{_number(abs(worst.effect or 0.0))} σ"
    usual = "" if worst.spread is None else f" (± {_number(worst.spread)} is usual)"
    return f"'{worst.column}'{place} lay up to {size} {side} what was expected, on {day}{usual}."


def _quality(
    alarms: Sequence[Alarm], columns: Sequence[str], context: Context, details: dict[str, Any]
) -> Evidence:
    if not alarms[0].metric.endswith("_share"):
        return _measured(alarms, details)
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


def _measured(alarms: Sequence[Alarm], details: dict[str, Any]) -> Evidence:
    """Evidence of a quantity that a monitor watches, such as a column's mean."""
    worst = max(alarms, key=lambda a: abs(a.effect or 0.0))
    details |= {"hours": [], "harm_text": ""}
    why = f" ({worst.reason})" if worst.reason else ""
    expected = "" if worst.expected is None else f", expected {_number(worst.expected)}"
    summary = f"'{worst.column}': {worst.metric} {_number(worst.value)}{expected}, on "
    summary += f"{worst.window_start:%-d %b}{why}."
    return Evidence("warning", abs(worst.effect or 0.0), summary, details)


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


def _number(value: float | None, unit: str | None = None) -> str:
    if value is None:
        return "–"
    if unit == "share":
        return f"{value:.1%}"
    if unit == "s" and abs(value) >= _DAY:
        return f"{value / _DAY:.3g} days"
    text = f"{value:,.0f}".replace(",", " ") if abs(value) >= 1000 else f"{value:.3g}"
    return f"{text} {unit}" if unit and unit not in ("rows", "values") else text
