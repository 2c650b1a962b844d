"""Columns by what they did: those with harm first, drift without harm below, the quiet last."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from tidegauge.catalog.tables import Incident
from tidegauge.metrics.result import Result
from tidegauge.profile.layout import to_datetime
from tidegauge.report.charts import Count, sparkline
from tidegauge.server.pages.history import History
from tidegauge.server.pages.lines import NOT_APPLICABLE, STATES, Line

_RANKS = {"critical": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class ColumnCell:
    """One column among the small multiples.

    Parameters
    ----------
    name, type, role : str
    href : str
    state : str
        What the worst of its incidents amounts to.
    picture : Markup
        Its judged drift over the range, with its band.
    newest : Result or None
        Its judged drift in the newest window.
    drifted, damaged : int
        Windows in which its drift, or its quality, was in alarm.
    impact : float or None
        How far its drift alone would have moved the mean score, at its largest.
    """

    name: str
    type: str
    role: str
    href: str
    state: str
    picture: Markup
    newest: Result | None
    drifted: int
    damaged: int
    impact: float | None


@dataclass(frozen=True)
class ColumnGroup:
    """Columns that a reader does the same with.

    Parameters
    ----------
    key, state, title, about : str
    cells : tuple of ColumnCell
    """

    key: str
    state: str
    title: str
    about: str
    cells: tuple[ColumnCell, ...]


_WIDTH = 132
#: Windows that a small drawing shows at most.
_MOST_DRAWN = 80
_GROUPS = (
    ("harm", "warning", "In incidents with harm", "Those of the worst incident first."),
    ("drift", "shown", "Moved without harm", "Out of its band, but performance held."),
    ("few", "too_few", "Too few to judge", "Not a pass: there are too few records to say."),
    ("quiet", "ok", "Quiet", "Within their bands all the time."),
)


def column_groups(history: History) -> list[ColumnGroup]:
    """Return the groups that have any column."""
    severity = _severities(history.within)
    impact = _impacts(history.within)
    damaged = _damaged(history)
    lines = history.drift
    names = dict.fromkeys([*lines, *(column for column, _ in history.quality)])
    cells = [
        _cell(history, name, lines.get(name), severity.get(name), damaged[name], impact.get(name))
        for name in names
        if name in history.model.schema
    ]
    # What only names and dates records stands here when it is damaged.
    cells = [one for one in cells if one.picture or one.damaged]
    order = {one.name: _place(one, severity.get(one.name)) for one in cells}
    grouped: dict[str, list[ColumnCell]] = defaultdict(list)
    for one in sorted(cells, key=lambda one: order[one.name]):
        grouped[_group(one, severity.get(one.name))].append(one)
    return [
        ColumnGroup(key, _worst(key, state, grouped[key]), title, about, tuple(grouped[key]))
        for key, state, title, about in _GROUPS
        if grouped[key]
    ]


def _worst(key: str, state: str, cells: Iterable[ColumnCell]) -> str:
    return "alarm" if key == "harm" and any(one.state == "alarm" for one in cells) else state


def _severities(incidents: Iterable[Incident]) -> dict[str, str]:
    """Return each column's worst severity."""
    found: dict[str, str] = {}
    for one in incidents:
        for name in one.evidence.get("columns", ()):
            if _RANKS.get(one.severity, 3) < _RANKS.get(found.get(name, ""), 4):
                found[name] = one.severity
    return found


def _impacts(incidents: Iterable[Incident]) -> dict[str, float]:
    """Return each column's largest impact on the mean score."""
    found: dict[str, float] = {}
    for one in incidents:
        for name, moved in one.evidence.get("impact", {}).items():
            found[name] = max(found.get(name, 0.0), float(moved), key=abs)
    return found


def _damaged(history: History) -> defaultdict[str, int]:
    """Return in how many windows a column's quality was in alarm."""
    alarmed: defaultdict[str, set[int]] = defaultdict(set)
    for (name, _), line in history.quality.items():
        alarmed[name].update(line.starts[line.alarms].tolist())
    return defaultdict(int, {name: len(starts) for name, starts in alarmed.items()})


def _cell(
    history: History,
    name: str,
    line: Line | None,
    severity: str | None,
    damaged: int,
    impact: float | None,
) -> ColumnCell:
    column = history.model.schema[name]
    drifted = 0 if line is None else int(line.alarms.sum())
    newest = None if line is None else line.last()
    state = {"critical": "alarm", "warning": "warning"}.get(severity or "", "ok")
    if state == "ok" and (drifted or damaged):
        state = "shown"
    elif newest is not None and newest.state == "too_few" and line is not None:
        state = "too_few" if bool((line.states == line.states[-1]).all()) else state
    return ColumnCell(
        name,
        column.type.value,
        column.role.value,
        history.links.column(name),
        state,
        Markup() if line is None else line_picture(line.on(history.windows), f"of {name}", _WIDTH),
        newest,
        drifted,
        damaged,
        impact,
    )


def line_picture(line: Line, about: str, width: int = 120, height: int = 28) -> Markup:
    """Draw a line as a sparkline with its band."""
    kept = line.select(_extremes(line))
    bounded = kept.bounded
    codes = zip(kept.states.tolist(), np.isfinite(kept.value).tolist(), strict=True)
    return Markup(
        sparkline(
            kept.value.tolist(),
            kept.lower.tolist() if bounded else (),
            kept.upper.tolist() if bounded else (),
            [STATES[code].value if known else "" for code, known in codes],
            label=f"{line.metric} {about} over {len(line)} windows".replace("  ", " "),
            width=width,
            height=height,
        )
    )


def _extremes(line: Line) -> NDArray[np.int64]:
    """Return which windows a small drawing needs: the least and the greatest of each handful."""
    n = len(line)
    if n <= _MOST_DRAWN:
        return np.arange(n)
    size = -(-2 * n // _MOST_DRAWN)
    rows = -(-n // size)
    held = np.full(rows * size, np.nan)
    held[:n] = line.value
    handfuls = held.reshape(rows, size)
    low = np.argmin(np.where(np.isnan(handfuls), np.inf, handfuls), axis=1)
    high = np.argmax(np.where(np.isnan(handfuls), -np.inf, handfuls), axis=1)
    ends = np.stack((np.minimum(low, high), np.maximum(low, high)), axis=1)
    # Two of each handful, so that equal steps on paper stay equal steps of time.
    places = ends + np.arange(rows)[:, None] * size
    return np.minimum(places.ravel(), n - 1)


def _place(cell: ColumnCell, severity: str | None) -> tuple[int, float, int, str]:
    rank = _RANKS.get(severity or "", 3)
    return rank, -abs(cell.impact or 0.0), -(cell.drifted + cell.damaged), cell.name


def _group(cell: ColumnCell, severity: str | None) -> str:
    if severity in ("critical", "warning"):
        return "harm"
    if severity == "info" or cell.drifted or cell.damaged:
        return "drift"
    return "few" if cell.state == "too_few" else "quiet"


def counts_of(history: History, lines: Iterable[tuple[str, Line]], kind: str) -> list[Count]:
    """Return, for each window, which columns were in alarm, those in incidents with harm apart.

    Parameters
    ----------
    history : History
    lines : iterable of (column, Line)
        A column may come more than once.
    kind : str
        Of the incidents that their alarms belong to.
    """
    harmful = [
        (set(one.evidence.get("columns", ())), one.first_window, one.last_window)
        for one in history.within
        if one.kind == kind and one.severity != "info"
    ]
    windows = history.windows
    alarmed: defaultdict[int, set[str]] = defaultdict(set)
    judged: dict[str, NDArray[np.bool_]] = {}
    for name, line in lines:
        there = line.on(windows).states != NOT_APPLICABLE
        judged[name] = judged[name] | there if name in judged else there
        for start in line.starts[line.alarms].tolist():
            alarmed[start].add(name)
    totals = sum(judged.values(), np.zeros(len(windows), np.int64))
    out = []
    for start, total in zip(windows.tolist(), totals.tolist(), strict=True):
        moment = to_datetime(start)
        names = sorted(alarmed.get(start, ()))
        loud = tuple(
            name
            for name in names
            if any(name in held and a <= moment <= b for held, a, b in harmful)
        )
        quiet = tuple(name for name in names if name not in loud)
        out.append(Count(moment, moment + history.span.width, loud, quiet, total))
    return out
