"""The page of all models: whether anything is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from tidegauge.catalog.tables import Incident
from tidegauge.metrics.result import Result
from tidegauge.report.format import plural
from tidegauge.server.known import Model
from tidegauge.server.pages.asked import Links
from tidegauge.server.pages.estimated import newest_guess
from tidegauge.server.pages.history import History
from tidegauge.server.pages.lines import Line
from tidegauge.server.pages.ranking import line_picture
from tidegauge.server.pages.verdict import Verdict, inside, state_of, unjudged

_RANKS = {"alarm": 0, "warning": 1, "silent": 2, "learning": 3, "too_few": 3, "ok": 4}


@dataclass(frozen=True)
class FleetRow:
    """One model.

    Parameters
    ----------
    model : Model
    href : str
    state : str
    incidents : tuple of Incident
        That go on, the most harmful first.
    version : str or None
        That served last.
    performance, volume : Result or None
        In the newest window; estimated where that has no labels.
    performance_picture, volume_picture : str
        Inline SVG.
    drifting, watched : int
        Columns whose drift is in alarm in the newest window, and all that are judged.
    labels : Result or None
        The newest window with labels.
    last_event : datetime or None
    newest : datetime or None
        End of the newest closed window.
    records : int
    """

    model: Model
    href: str
    state: str
    incidents: tuple[Incident, ...]
    version: str | None = None
    performance: Result | None = None
    volume: Result | None = None
    performance_picture: str = ""
    volume_picture: str = ""
    drifting: int = 0
    watched: int = 0
    labels: Result | None = None
    last_event: datetime | None = None
    newest: datetime | None = None
    records: int = 0


@dataclass(frozen=True)
class FleetView:
    """What the page shows.

    Parameters
    ----------
    verdict : Verdict
    rows : tuple of FleetRow
        The worst first.
    """

    verdict: Verdict
    rows: tuple[FleetRow, ...]


def fleet_row(
    model: Model,
    history: History | None,
    *,
    has_baseline: bool,
    last_event: datetime | None,
    records: int,
) -> FleetRow:
    """Return the row of one model.

    Parameters
    ----------
    model : Model
    history : History or None
        Over its newest windows; None where none is closed.
    has_baseline : bool
    last_event : datetime or None
    records : int
    """
    href = Links(model.project, model.name).base
    if history is None:
        return FleetRow(model, href, "learning", (), last_event=last_event, records=records)
    incidents = tuple(history.open)
    state = state_of(incidents, has_baseline)
    lead = _leading(history, incidents)
    volume = history.line("row_count")
    labelled = np.flatnonzero(lead.n > 0) if lead is not None else np.empty(0, np.int64)
    newest = history.windows[-1] if len(history.windows) else None
    drifting = sum(
        1
        for line in history.drift.values()
        if len(line) and line.starts[-1] == newest and line.alarms[-1]
    )
    valued = None if lead is None else lead.select(np.isfinite(lead.value))
    performance = None if valued is None else valued.last()
    guess, pictured = newest_guess(history), lead
    if guess is not None and (performance is None or _earlier(performance, guess[1])):
        performance, pictured = guess[1], history.estimate(guess[0].name)
    return FleetRow(
        model,
        href,
        "too_few" if state == "ok" and unjudged(history) else state,
        incidents,
        _last_version(history),
        performance,
        volume.last(),
        line_picture(pictured.on(history.windows), "") if pictured is not None else "",
        line_picture(volume, ""),
        drifting,
        len(history.drift),
        lead.result(int(labelled[-1])) if lead is not None and len(labelled) else None,
        last_event,
        history.span.newest,
        records,
    )


def _earlier(one: Result, other: Result) -> bool:
    """Whether a result is of an earlier window than another."""
    if one.window_start is None or other.window_start is None:
        return False
    return one.window_start < other.window_start


def _leading(history: History, incidents: Sequence[Incident]) -> Line | None:
    """The judged performance metric that an open incident is about, else one that people know."""
    lines = {one.name: history.line(one.name) for one in history.judged}
    lines = {name: line for name, line in lines.items() if len(line)}
    troubled = [one.evidence.get("metric") for one in incidents if one.kind == "performance"]
    for name in (*troubled, "roc_auc", *lines):
        if name in lines:
            return lines[name]
    return None


def _last_version(history: History) -> str | None:
    found = history.versions
    return max(found, key=lambda pair: pair[1])[0] if found else None


def fleet_view(rows: Sequence[FleetRow]) -> FleetView:
    """Put the page together: the worst first."""
    ordered = sorted(
        rows,
        key=lambda row: (
            _RANKS.get(row.state, 3),
            -_harm(row),
            row.model.project,
            row.model.name,
        ),
    )
    return FleetView(_verdict(ordered), tuple(ordered))


def _harm(row: FleetRow) -> float:
    harm = row.incidents[0].evidence.get("harm") if row.incidents else None
    return float(harm) if isinstance(harm, int | float) else 0.0


def _verdict(rows: Sequence[FleetRow]) -> Verdict:
    bad = [row for row in rows if row.state == "alarm"]
    warned = [row for row in rows if row.state == "warning"]
    if len(bad) + len(warned) == 1:
        (row,) = bad or warned
        what = "is not working as expected" if bad else "needs a look"
        return Verdict(row.state, f"{row.model.name} {what}: {inside(row.incidents[0].title)}.")
    if bad:
        others = f"; {plural(len(warned), 'other')} to look at" if warned else ""
        return Verdict(
            "alarm",
            f"{_names(bad)} {'is' if len(bad) == 1 else 'are'} not working as expected{others}.",
        )
    if warned:
        return Verdict(
            "warning", f"{_names(warned)} {'needs' if len(warned) == 1 else 'need'} a look."
        )
    learning = [row for row in rows if row.state == "learning"]
    if learning and len(learning) == len(rows):
        what = "The model is" if len(rows) == 1 else f"{_all(rows)} are"
        return Verdict("learning", f"{what} still learning what is usual.")
    few = [row for row in rows if row.state == "too_few"]
    if few:
        return Verdict("too_few", f"{_names(few)} could not be judged: too few records or windows.")
    what = "The model works" if len(rows) == 1 else f"{_all(rows)} work"
    return Verdict("ok", f"{what} as expected.")


def _all(rows: Sequence[FleetRow]) -> str:
    return "Both models" if len(rows) == 2 else f"All {len(rows)} models"


def _names(rows: Sequence[FleetRow]) -> str:
    names = [row.model.name for row in rows]
    if len(names) > 3:
        return f"{', '.join(names[:3])} and {len(names) - 3} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
