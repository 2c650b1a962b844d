"""What is looked up for an incident: holes that were found once are not looked for again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tidegauge.alert.evidence import Context, gather
from tidegauge.alert.lookup import holed_windows, told_holes
from tidegauge.catalog.incidents import Alarm
from tidegauge.catalog.tables import IncidentKind
from tidegauge.explain.hours import Hole

DAY = timedelta(days=1)
START = datetime(2026, 1, 5, tzinfo=UTC)


def alarm(day: int, column: str = "wind", **other: Any) -> Alarm:
    start = START + day * DAY
    told = {"value": 0.2, "expected": 0.01, "n_current": 1000, **other}
    return Alarm("missing_share", start, start + DAY, column, **told)


def test_the_newest_windows_with_missing_values_are_looked_into() -> None:
    found = holed_windows([alarm(day) for day in range(9)] + [alarm(20, segment='{"a": "b"}')])
    assert [start for start, _ in found] == [START + day * DAY for day in range(2, 9)]


def test_holes_are_the_same_when_they_come_back_from_the_evidence() -> None:
    first = Hole(START + timedelta(hours=3), START + timedelta(hours=5), 80, 80, ("origin JFK",))
    second = Hole(START + DAY, START + DAY + timedelta(hours=2), 40, 50)
    holes = {"wind": [first, second], "gust": [first]}
    alarms = [alarm(0), alarm(1), alarm(0, "gust")]
    told = gather(IncidentKind.QUALITY, alarms, Context(holes=holes)).details["hours"]
    windows = holed_windows(alarms)
    assert told_holes(told, windows) == holes
    assert told_holes(told, windows[1:]) == {"wind": [second]}
    assert told_holes(told, []) == {}
