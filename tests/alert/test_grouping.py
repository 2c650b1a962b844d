"""Incidents: alarms of one cause are one, and it ends when it has been quiet."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tidegauge.alert import OpenIncident, group, is_over
from tidegauge.alert.evidence import Context, gather
from tidegauge.alert.sentences import title
from tidegauge.catalog.incidents import Alarm
from tidegauge.catalog.tables import IncidentKind as Kind
from tidegauge.explain.hours import Hole

DAY = timedelta(days=1)
START = datetime(2026, 4, 20, tzinfo=UTC)


def alarm(
    kind: Kind, day: int, column: str | None = None, segment: str | None = None, **more: object
) -> Alarm:
    metric = {
        Kind.DRIFT: "ks",
        Kind.QUALITY: "missing_share",
        Kind.VOLUME: "row_count",
        Kind.SERVICE: "error_share",
    }.get(kind, "bias")
    values = {"value": 0.3, "expected": 0.0, "effect": 0.3, "n_current": 1000} | more
    start = START + day * DAY
    return Alarm(metric, start, start + DAY, column, segment, **values)  # type: ignore[arg-type]


def test_performance_off_on_several_days_is_one_incident() -> None:
    found = group([alarm(Kind.PERFORMANCE, d) for d in (0, 2, 3, 9)], [], DAY)
    assert len(found) == 1
    incident, alarms = found[0]
    assert len(alarms) == 4
    assert (incident.first_window, incident.last_window) == (START, START + 9 * DAY)


def test_performance_off_again_after_a_month_is_another_incident() -> None:
    assert len(group([alarm(Kind.PERFORMANCE, d) for d in (0, 30)], [], DAY)) == 2


def test_columns_lost_in_the_same_window_are_one_incident_and_a_later_hole_is_another() -> None:
    alarms = [alarm(Kind.QUALITY, 0, c) for c in ("temp", "dewp")]
    alarms += [alarm(Kind.QUALITY, 5, "temp")]
    found = group(alarms, [], DAY)
    assert [sorted(i.columns) for i, _ in found] == [["dewp", "temp"], ["temp"]]


def test_columns_that_begin_to_drift_together_share_an_incident_and_others_do_not() -> None:
    alarms = [alarm(Kind.DRIFT, d, "temp") for d in range(30)]
    alarms += [alarm(Kind.DRIFT, d, "dewp") for d in range(2, 30)]
    alarms += [alarm(Kind.DRIFT, 20, "gust")]
    found = group(alarms, [], DAY)
    assert [sorted(i.columns) for i, _ in found] == [["dewp", "temp"], ["gust"]]


def test_new_alarms_join_what_is_already_open() -> None:
    known = OpenIncident(7, Kind.DRIFT, START, START + 3 * DAY, {"temp"})
    found = group([alarm(Kind.DRIFT, 5, "temp")], [known], DAY)
    assert [(i.id, len(a)) for i, a in found] == [(7, 1)]
    assert known.last_window == START + 5 * DAY


def test_an_incident_is_over_once_it_was_quiet_for_long_enough() -> None:
    hole = OpenIncident(1, Kind.QUALITY, START, START, metric="missing_share")
    assert not is_over(hole, START + DAY, DAY)
    assert is_over(hole, START + 4 * DAY, DAY)
    drift = OpenIncident(2, Kind.DRIFT, START, START)
    assert not is_over(drift, START + 4 * DAY, DAY)
    assert is_over(drift, START + 9 * DAY, DAY)


def test_another_performance_metric_is_another_incident() -> None:
    alarms = [alarm(Kind.PERFORMANCE, 0), replace(alarm(Kind.PERFORMANCE, 1), metric="roc_auc")]
    assert len(group(alarms, [], DAY)) == 2


def test_titles_say_what_and_when() -> None:
    days = [alarm(Kind.PERFORMANCE, d) for d in (2, 5, 6)]
    assert title(Kind.PERFORMANCE, days, "late", DAY) == (
        "'late' came true more often than predicted from 22 Apr to 26 Apr 2026 (3 windows)"
    )
    holes = [alarm(Kind.QUALITY, 0, c) for c in ("temp", "dewp", "humid", "visib")]
    assert title(Kind.QUALITY, holes, None, DAY) == (
        "'temp', 'dewp' and 2 more are missing on 20 Apr 2026"
    )
    hour = timedelta(hours=1)
    assert title(Kind.VOLUME, [alarm(Kind.VOLUME, 0, effect=-500.0)], None, hour) == (
        "Fewer records than usual at 20 Apr 2026 00:00 UTC"
    )


def test_harm_counts_outcomes_and_names_the_segment_that_was_hit_most() -> None:
    days = [alarm(Kind.PERFORMANCE, d) for d in (0, 1)]
    rows = [
        {"segment": json.dumps({"origin": o}), "effect": e, "n_current": n}
        for o, e, n in (("LGA", 0.5, 300), ("JFK", 0.1, 700))
    ]
    found = gather(Kind.PERFORMANCE, days, Context(by_segment=rows, outcome="late"))
    assert found.severity == "critical"
    assert found.harm == 600
    assert found.details["harm_text"] == "600 more late"
    assert "origin LGA (+0.50)" in found.summary


def test_drift_while_performance_holds_is_called_harmless() -> None:
    days = [alarm(Kind.DRIFT, d, "temp") for d in range(10)]
    calm = gather(Kind.DRIFT, days, Context(impact={"temp": -0.02}))
    assert (calm.severity, calm.details["harm_text"]) == ("info", "no harm seen")
    bad = Context(bad_windows=frozenset(a.window_start for a in days[:5]))
    assert gather(Kind.DRIFT, days, bad).severity == "warning"


def test_the_hours_of_a_hole_are_named_once_for_all_its_columns() -> None:
    hole = Hole(START, START + 5 * timedelta(hours=1), 95, 95, ())
    alarms = [alarm(Kind.QUALITY, 0, c, value=0.128, n_current=742) for c in ("temp", "dewp")]
    found = gather(Kind.QUALITY, alarms, Context(holes={"temp": [hole], "dewp": [hole]}))
    assert len(found.details["hours"]) == 1
    assert found.details["hours"][0]["columns"] == ["temp", "dewp"]
    assert "Hours: 20 Apr 00:00–05:00 UTC." in found.summary
