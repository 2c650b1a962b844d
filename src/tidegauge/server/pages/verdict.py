"""The sentence on top of a page: is it working, and since when not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tidegauge.catalog.tables import Incident
from tidegauge.report.format import day, interval, plural
from tidegauge.server.pages.history import History

#: The state of a model, or a row of it, by the severity of what is wrong.
STATES = {"critical": "alarm", "warning": "warning", "info": "ok"}


@dataclass(frozen=True)
class Verdict:
    """What stands on top of a page.

    Parameters
    ----------
    state : str
    sentence : str
    about : str
        A second sentence, in smaller letters.
    incident : Incident or None
        The one that it speaks of.
    """

    state: str
    sentence: str
    about: str = ""
    incident: Incident | None = None


def state_of(incidents: Sequence[Incident], has_baseline: bool = True) -> str:
    """Return the state that incidents amount to; those without harm leave it ``ok``."""
    severities = {one.severity for one in incidents}
    for severity in ("critical", "warning"):
        if severity in severities:
            return STATES[severity]
    return "ok" if has_baseline else "learning"


def verdict_of(history: History) -> Verdict:
    """Return the verdict on a model: as it is now, or as it was in a range that has passed."""
    if history.baseline is None and not len(history.windows):
        return Verdict("learning", "Learning: there is no baseline to judge against yet.")
    return _now(history) if history.span.present else _then(history)


def _now(history: History) -> Verdict:
    going_on = history.open
    state = state_of(going_on, history.baseline is not None)
    if state in ("alarm", "warning"):
        worst = going_on[0]
        how = "Not working as expected" if state == "alarm" else "Working, but look at this"
        return Verdict(state, f"{how}: {inside(worst.title)}.", worst.summary, worst)
    if state == "learning":
        return Verdict(state, "Learning: there is no baseline to judge against yet.")
    if not len(history.windows):
        return Verdict("too_few", "Nothing could be judged in this range: it has no results.")
    harmful = [one for one in history.within if one.severity != "info"]
    since = max((one.last_window for one in harmful), default=None)
    if since is None:
        told = f"nothing of {plural(history.span.windows, 'window')} is out of its band"
        return Verdict("ok", f"Working as expected: {told} with harm.", _harmless(going_on))
    return Verdict(
        "ok", f"Working as expected since {day(since + history.span.width)}.", _harmless(going_on)
    )


def _then(history: History) -> Verdict:
    when = interval(history.span.start, history.span.end)
    if not len(history.windows):
        return Verdict("too_few", f"Nothing could be judged in {when}: it has no results.")
    found = history.within
    state = state_of(found)
    if state == "ok":
        return Verdict("ok", f"Worked as expected in {when}.", _harmless(found))
    worst = found[0]
    how = "Did not work as expected" if state == "alarm" else "Worked, but look at this"
    return Verdict(state, f"{how}: {inside(worst.title)}.", worst.summary, worst)


def inside(title: str) -> str:
    """Write a title as the second half of a sentence; names keep their capitals."""
    first = title.split(" ", 1)[0]
    return title[0].lower() + title[1:] if first.isalpha() and first[1:].islower() else title


def _harmless(incidents: Sequence[Incident]) -> str:
    quiet = [one for one in incidents if one.severity == "info"]
    return f"{_all_of(quiet)}, without harm." if quiet else ""


def _all_of(incidents: Sequence[Incident]) -> str:
    first = incidents[0].title
    rest = len(incidents) - 1
    return first if not rest else f"{first}; {plural(rest, 'other')}"


def by_kind(incidents: Sequence[Incident]) -> list[tuple[str, int]]:
    """Return how many incidents there are of each severity, the worst first."""
    counted = Counter(one.severity for one in incidents)
    return [(name, counted[name]) for name in ("critical", "warning", "info") if counted[name]]
