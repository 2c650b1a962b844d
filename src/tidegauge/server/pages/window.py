"""The page of a window: everything that was found in it, and its first records."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from tidegauge.catalog.tables import Incident, Window
from tidegauge.metrics.registry import Family, all_metrics
from tidegauge.metrics.result import RESULT_SCHEMA, Basis, Result, State
from tidegauge.report.arithmetic import why
from tidegauge.report.format import interval, plural
from tidegauge.schema import Role
from tidegauge.server.known import Model
from tidegauge.server.pages.span import Span
from tidegauge.server.pages.verdict import Verdict
from tidegauge.server.shown import by_harm

#: Results in the table, and records.
MOST_RESULTS, MOST_RECORDS = 400, 50
_FAMILIES = (
    Family.PERFORMANCE,
    Family.FAIRNESS,
    Family.SERVICE,
    Family.DRIFT,
    Family.QUALITY,
    Family.STALENESS,
)
_FIRST_ROLES = (
    Role.PREDICTION_ID,
    Role.TIMESTAMP,
    Role.LABEL,
    Role.PREDICTION,
    Role.SCORE,
    Role.VERSION,
)


@dataclass(frozen=True)
class WindowView:
    """What the page shows.

    Parameters
    ----------
    start, end : datetime
    verdict : Verdict
    known : sequence of Window
        What the catalog has of it, an entry a version.
    alarms, judged, shown : tuple of Result
        By what a reader does with them; the strongest alarms first.
    total : int
        Results in all.
    incidents : sequence of Incident
        Those that hold it.
    columns : tuple of str
        Of the records.
    records : sequence of dict
    before, after : datetime or None
        The windows beside it.
    """

    start: datetime
    end: datetime
    verdict: Verdict
    known: Sequence[Window]
    alarms: tuple[Result, ...]
    judged: tuple[Result, ...]
    shown: tuple[Result, ...]
    total: int
    incidents: Sequence[Incident]
    columns: tuple[str, ...]
    records: Sequence[dict[str, Any]]
    before: datetime | None
    after: datetime | None


def window_view(
    model: Model,
    span: Span,
    start: datetime,
    points: pa.Table,
    *,
    known: Sequence[Window],
    incidents: Sequence[Incident],
    records: Sequence[dict[str, Any]],
) -> WindowView:
    """Put the page together.

    Parameters
    ----------
    model : Model
    span : Span
    start : datetime
    points : pyarrow.Table
        All results of the window, segments included.
    known : sequence of Window
    incidents : sequence of Incident
        All of the model.
    records : sequence of dict
        Its first records.
    """
    end = start + model.window
    results = results_of(points)
    alarms = [one for one in results if one.state is State.ALARM]
    whole = [one for one in results if one.segment is None and one.state is not State.ALARM]
    judged = [one for one in whole if _judged(one)]
    shown = [one for one in whole if not _judged(one)]
    held = by_harm(
        one for one in incidents if one.first_window <= start and one.last_window >= start
    )
    return WindowView(
        start,
        end,
        _verdict(start, end, alarms, judged, held),
        known,
        tuple(sorted(alarms, key=_loudness)[:MOST_RESULTS]),
        tuple(sorted(judged, key=_order)[:MOST_RESULTS]),
        tuple(sorted(shown, key=_order)[: 2 * MOST_RESULTS]),
        len(results),
        held,
        _columns(model, records),
        records,
        start - model.window if start > span.first else None,
        end if end < span.newest else None,
    )


def _judged(one: Result) -> bool:
    return one.lower is not None or one.upper is not None or one.state is State.TOO_FEW


def results_of(points: pa.Table) -> list[Result]:
    """Return stored results as results."""
    if not points.num_rows:
        return []
    names = [name for name in RESULT_SCHEMA.names if name in points.column_names]
    out = []
    for row in points.select(names).to_pylist():
        segment = row["segment"]
        row |= {
            "segment": json.loads(segment) if segment else None,
            "state": State(row["state"]),
            "basis": Basis(row["basis"]) if row["basis"] else None,
            "n_reference": row["n_reference"] or 0,
            "n_current": row["n_current"] or 0,
            "direction": row["direction"] or "neither",
        }
        out.append(Result(**row))
    return out


def _verdict(
    start: datetime,
    end: datetime,
    alarms: Sequence[Result],
    judged: Sequence[Result],
    incidents: Sequence[Incident],
) -> Verdict:
    when = interval(start, end)
    if not alarms and not judged:
        return Verdict("too_few", f"{when}: nothing could be judged.")
    few = [one for one in judged if one.state is State.TOO_FEW]
    if not alarms and len(few) == len(judged):
        needed = Counter(why(one) or "too few records" for one in few).most_common(1)[0][0]
        return Verdict("too_few", f"{when}: nothing could be judged: {needed}.")
    if not alarms:
        well = plural(len(judged) - len(few), "judged result")
        rest = f"; {plural(len(few), 'other')} had too few records" if few else ""
        return Verdict("ok", f"{when}: all {well} in their bands{rest}.")
    severities = {one.severity for one in incidents}
    state = "alarm" if "critical" in severities else "warning"
    state = "shown" if severities == {"info"} else state
    whole = {one.column or one.metric for one in alarms if one.segment is None}
    parts = {json.dumps(one.segment) for one in alarms if one.segment is not None}
    told = []
    if whole:
        names = sorted(whole)
        told.append(", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else ""))
    if parts:
        told.append(plural(len(parts), "segment"))
    return Verdict(state, f"{when}: {plural(len(alarms), 'alarm')}, in {' and in '.join(told)}.")


def _loudness(one: Result) -> tuple[bool, int, float, str]:
    rank, p, column, _ = _order(one)
    return one.segment is not None, rank, p, column


def _order(one: Result) -> tuple[int, float, str, str]:
    """Performance first, inputs last; of one family what is least like chance first."""
    known = all_metrics().get(one.metric)
    rank = _FAMILIES.index(known.family) if known else len(_FAMILIES)
    p = 1.0 if one.p_value is None else one.p_value
    return rank, p, one.column or "", one.metric


def _columns(model: Model, records: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Order the columns of records: what names and answers them first."""
    first = [column.name for role in _FIRST_ROLES for column in model.schema.with_role(role)]
    there = dict.fromkeys(name for record in records for name in record)
    return tuple(dict.fromkeys([*(name for name in first if name in there), *there]))
