"""The list of a model's incidents, the most harmful first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tidegauge.catalog.tables import Incident
from tidegauge.report.format import plural
from tidegauge.server.pages.history import History
from tidegauge.server.pages.verdict import Verdict, state_of

#: Rows of the table.
MOST = 500


@dataclass(frozen=True)
class ListView:
    """What the page shows.

    Parameters
    ----------
    verdict : Verdict
    incidents : sequence of Incident
        At most ``MOST``.
    total : int
    kinds : list of (kind, int)
    state, kind : str
        What is asked for; empty for any.
    """

    verdict: Verdict
    incidents: Sequence[Incident]
    total: int
    kinds: list[tuple[str, int]]
    state: str
    kind: str


def list_view(
    incidents: Sequence[Incident], history: History | None, state: str = "", kind: str = ""
) -> ListView:
    """Put the page together.

    Parameters
    ----------
    incidents : sequence of Incident
        Of the range, the most harmful first.
    history : History or None
    state : str
        ``open`` for those that go on, ``resolved``, or any.
    kind : str
    """
    going_on = [one for one in incidents if one.state != "resolved"]
    found = [one for one in incidents if _in_state(one, state) and kind in ("", one.kind)]
    counted = Counter(one.kind for one in incidents)
    where = "" if history is None or not history.span.asked else f" in {history.span.words}"
    told = f"{plural(len(incidents), 'incident')}{where}"
    if going_on:
        sentence = f"{told}; {len(going_on)} still {'goes' if len(going_on) == 1 else 'go'} on."
    else:
        sentence = f"{told}, none of them going on." if incidents else f"No incident{where}."
    return ListView(
        Verdict(state_of(going_on), sentence),
        found[:MOST],
        len(found),
        counted.most_common(),
        state,
        kind,
    )


def _in_state(one: Incident, state: str) -> bool:
    if state == "open":
        return one.state != "resolved"
    return state in ("", one.state)
