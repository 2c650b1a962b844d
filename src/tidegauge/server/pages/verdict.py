"""The sentence on top of a page: is it working, and since when not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tidegauge.catalog.tables import Incident
from tidegauge.metrics.result import Result, State
from tidegauge.profile.layout import to_datetime
from tidegauge.report.arithmetic import why
from tidegauge.report.format import day, interval, plural
from tidegauge.server.pages.estimated import said, unlabelled
from tidegauge.server.pages.history import History
from tidegauge.server.pages.lines import Line
from tidegauge.server.shown import model_state


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
    return model_state(incidents, has_baseline)


def unjudged(history: History) -> str:
    """Say what is wanting where nothing of the newest window could be judged; else nothing.

    What only the lack of records or of baseline windows keeps from an alarm is not well.
    """
    found = _newest(history, [*history.drift.values(), *history.quality.values()])
    found += _newest(history, _performance(history))
    if not found or any(one.state in (State.OK, State.ALARM) for one in found):
        return ""
    few = [one for one in found if one.state is State.TOO_FEW]
    return _most_wanted(few) if few else ""


def _unknown_performance(history: History) -> str:
    """Say what is wanting where performance could be judged in no window of the range."""
    lines = _performance(history)
    if not lines or any(line.judged.any() for line in lines):
        return ""
    last = [one for line in lines if (one := line.last()) is not None]
    few = [one for one in last if one.state is State.TOO_FEW and one.n_current]
    return f"Performance could not be judged: {_most_wanted(few)}." if few else ""


def _performance(history: History) -> list[Line]:
    return [line for one in history.judged if len(line := history.line(one.name))]


def _newest(history: History, lines: Sequence[Line]) -> list[Result]:
    start = to_datetime(int(history.windows[-1])) if len(history.windows) else None
    held = [line.last() for line in lines if len(line)]
    return [one for one in held if one is not None and one.window_start == start]


def _most_wanted(few: Sequence[Result]) -> str:
    return Counter(why(one) or "too few records" for one in few).most_common(1)[0][0]


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
        about = f"{worst.summary} {_estimated(history)}".strip()
        return Verdict(state, f"{how}: {inside(worst.title)}.", about, worst)
    if state == "learning":
        return Verdict(state, "Learning: there is no baseline to judge against yet.")
    if not len(history.windows):
        return Verdict("too_few", "Nothing could be judged in this range: it has no results.")
    wanting = unjudged(history)
    if wanting:
        return Verdict("too_few", f"The newest window could not be judged: {wanting}.")
    harmful = [one for one in history.within if one.severity != "info"]
    about = f"{_harmless(going_on)} {_unknown_performance(history)}".strip()
    guess, worse = said(history)
    if guess and (worse or unlabelled(history)):
        labels = "no labels yet" if unlabelled(history) else "not all labels are there"
        if worse:
            told = f"Probably not working as expected: {guess}; {labels} to judge it by."
            return Verdict("estimated", told, about)
        rest = "Inputs and outputs are in their bands; performance is estimated, not judged."
        told = f"Working as expected, as estimated: {guess}; {labels}."
        return Verdict("ok", told, f"{about} {rest}".strip())
    about = f"{about} {_estimated(history)}".strip()
    since = max((one.last_window for one in harmful), default=None)
    if since is None:
        told = f"nothing of {plural(history.span.windows, 'window')} is out of its band"
        return Verdict("ok", f"Working as expected: {told} with harm.", about)
    return Verdict("ok", f"Working as expected since {day(since + history.span.width)}.", about)


def _estimated(history: History) -> str:
    """Say how performance is estimated to be in the newest window; nothing where it is measured."""
    guess, worse = said(history)
    if not guess:
        return ""
    labels = "no labels yet" if unlabelled(history) else "not all labels are there yet"
    return f"{'By estimate worse' if worse else 'Now'}: {guess} ({labels})."


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
