"""What the demo must have found, and the summary it prints of what it did find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

#: Weeks in which far more flights were late than was predicted; nobody tells the server.
LATE_PERIODS = (
    ("spring", date(2013, 4, 9), date(2013, 4, 29)),
    ("June and July", date(2013, 6, 11), date(2013, 7, 31)),
    ("December", date(2013, 12, 3), date(2013, 12, 23)),
)
#: Some of the days on which whole hours of weather are missing.
HOLES = (date(2013, 8, 23), date(2013, 10, 26), date(2013, 12, 31))


def missed(incidents: Sequence[dict[str, Any]]) -> list[str]:
    """Name what should have been found and was not; nothing, if all is well."""
    out = [
        f"no performance incident in {name}"
        for name, first, last in LATE_PERIODS
        if not any(
            i["kind"] == "performance" and _begin(i) <= last and _end(i) >= first for i in incidents
        )
    ]
    temperature = [
        rank for rank, i in enumerate(incidents) if i["kind"] == "drift" and "temp" in _columns(i)
    ]
    hurting = [rank for rank, i in enumerate(incidents) if i["kind"] == "performance"]
    if not temperature:
        out.append("no drift incident for 'temp'")
    elif hurting and min(temperature) < max(hurting[: len(LATE_PERIODS)]):
        out.append("drift of 'temp' is ranked above what did harm")
    for day in HOLES:
        covering = [i for i in incidents if i["kind"] == "quality" and _begin(i) <= day <= _end(i)]
        if not covering:
            out.append(f"no incident for the weather missing on {day}")
        elif not any(i["evidence"].get("hours") for i in covering):
            out.append(f"the hours without weather on {day} are not named")
    return out


def _columns(incident: dict[str, Any]) -> set[str]:
    return set(incident["evidence"].get("columns", []))


def _begin(incident: dict[str, Any]) -> date:
    return _time(incident["first_window"]).date()


def _end(incident: dict[str, Any]) -> date:
    return _time(incident["last_window"]).date()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@dataclass(frozen=True)
class Part:
    """A part of the summary.

    Parameters
    ----------
    heading : str
    shape, style : str
        Of its lines.
    shown : int
        Incidents that are listed; the others are on the pages.
    """

    heading: str
    shape: str
    style: str
    shown: int


_PARTS = {
    "critical": Part("The model was wrong", "▲", "bold red", 7),
    "warning": Part("Worth a look", "◆", "yellow", 5),
    "info": Part("Changed, without harm", "○", "dim", 4),
}


def print_findings(incidents: Sequence[dict[str, Any]], console: Console) -> None:
    """Print what was found: what, since when, how bad, where most."""
    for severity, part in _PARTS.items():
        held = [i for i in incidents if i["severity"] == severity]
        console.print(f"\n[bold]{part.heading}[/bold]  [dim]{len(held)} incidents[/dim]")
        for incident in held[: part.shown]:
            title, harm = escape(incident["title"]), escape(incident["evidence"]["harm_text"])
            tail = f"  [dim]{harm}[/dim]" if harm else ""
            console.print(f"[{part.style}]{part.shape}[/] {title}{tail}", soft_wrap=False)
            console.print(Padding(Text(incident["summary"], style="dim"), (0, 0, 0, 2)))
        if len(held) > part.shown:
            console.print(f"[dim]  … and {len(held) - part.shown} more, on the pages[/dim]")
