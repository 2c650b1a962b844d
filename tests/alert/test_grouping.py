"""Incidents: alarms of one cause are one, and it ends when it has been quiet."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tidegauge.alert import OpenIncident, group, is_over
from tidegauge.alert.evidence import Context, gather
from tidegauge.alert.sentences import since, subject, title
from tidegauge.catalog.incidents import Alarm
from tidegauge.catalog.tables import IncidentKind as Kind
from tidegauge.explain.hours import Hole
from tidegauge.schema import Column, ColumnType, Role, Schema, Task

DAY = timedelta(days=1)
SCHEMA = Schema(
    (
        Column("temp", ColumnType.NUMERIC),
        Column("score", ColumnType.NUMERIC, Role.SCORE),
        Column("prediction", ColumnType.BOOLEAN, Role.PREDICTION),
        Column("late", ColumnType.BOOLEAN, Role.LABEL),
    ),
    Task.BINARY,
)
PRICES = Schema((Column("price", ColumnType.NUMERIC, Role.LABEL, unit="EUR"),), Task.REGRESSION)
START = datetime(2026, 4, 20, tzinfo=UTC)


def alarm(
    kind: Kind, day: int, column: str | None = None, segment: str | None = None, **more: object
) -> Alarm:
    metric = {
        Kind.DRIFT: "location_shift",
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
    assert title(Kind.PERFORMANCE, days, SCHEMA, DAY) == (
        "'late' came true more often than predicted from 22 Apr to 26 Apr 2026 (3 windows)"
    )
    holes = [alarm(Kind.QUALITY, 0, c) for c in ("temp", "dewp", "humid", "visib")]
    assert title(Kind.QUALITY, holes, SCHEMA, DAY) == (
        "'temp', 'dewp' and 2 more are missing on 20 Apr 2026"
    )
    hour = timedelta(hours=1)
    assert title(Kind.VOLUME, [alarm(Kind.VOLUME, 0, effect=-500.0)], SCHEMA, hour) == (
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
    windows = frozenset(a.window_start for a in days)
    calm = gather(Kind.DRIFT, days, Context(impact={"temp": -0.02}, known_windows=windows))
    assert (calm.severity, calm.details["harm_text"]) == ("info", "no harm seen")
    assert "Performance held in all of its 10 windows." in calm.summary
    bad = Context(bad_windows=frozenset(a.window_start for a in days[:5]), known_windows=windows)
    assert gather(Kind.DRIFT, days, bad).severity == "warning"


def test_without_labels_nobody_says_that_performance_held() -> None:
    found = gather(Kind.DRIFT, [alarm(Kind.DRIFT, 0, "temp")], Context())
    assert (found.severity, found.details["harm_text"]) == ("warning", "")
    assert "not known" in found.summary
    assert "held" not in found.summary


def test_the_hours_of_a_hole_are_named_once_for_all_its_columns() -> None:
    hole = Hole(START, START + 5 * timedelta(hours=1), 95, 95, ())
    alarms = [alarm(Kind.QUALITY, 0, c, value=0.128, n_current=742) for c in ("temp", "dewp")]
    found = gather(Kind.QUALITY, alarms, Context(holes={"temp": [hole], "dewp": [hole]}))
    assert len(found.details["hours"]) == 1
    assert found.details["hours"][0]["columns"] == ["temp", "dewp"]
    assert "Hours: 20 Apr 00:00–05:00 UTC." in found.summary


def test_drift_of_predictions_and_of_labels_is_named_so_and_stands_apart() -> None:
    alarms = [alarm(Kind.DRIFT, 0, name) for name in ("temp", "score", "late")]
    alarms += [alarm(Kind.DRIFT, 6, "prediction")]
    found = group(alarms, [], DAY, lambda column: subject(column, SCHEMA))
    assert [sorted(i.columns) for i, _ in found] == [["temp"], ["prediction", "score"], ["late"]]
    titles = [title(Kind.DRIFT, own, SCHEMA, DAY) for _, own in found]
    assert titles == [
        "'temp' drifted on 20 Apr 2026",
        "Prediction drift: 'score' and 'prediction' moved from 20 Apr to 26 Apr 2026 (2 windows)",
        "Label drift: 'late' moved on 20 Apr 2026",
    ]


def test_what_alarmed_in_segments_only_says_in_which() -> None:
    parts = [alarm(Kind.VOLUME, 0, segment=json.dumps({"origin": "LGA"}), effect=-90.0)]
    assert title(Kind.VOLUME, parts, SCHEMA, DAY) == (
        "Fewer records than usual for origin LGA on 20 Apr 2026"
    )
    parts += [alarm(Kind.VOLUME, 0, segment=json.dumps({"carrier": c})) for c in ("UA", "DL")]
    assert "for origin LGA and 2 other segments" in title(Kind.VOLUME, parts, SCHEMA, DAY)
    whole = [*parts, alarm(Kind.VOLUME, 0, effect=-900.0)]
    assert title(Kind.VOLUME, whole, SCHEMA, DAY) == "Fewer records than usual on 20 Apr 2026"


SLOW = "slow: mean of the last 7 windows 0.16 σ where 0.02 ± 0.04 σ was expected"


def test_a_slow_change_says_so_and_since_about_when() -> None:
    days = [alarm(Kind.DRIFT, d, "temp", effect=0.02, reason=SLOW, level=4e-5) for d in (9, 10)]
    assert title(Kind.DRIFT, days[:1], SCHEMA, DAY) == (
        "'temp' drifted slowly from about 23 Apr to 29 Apr 2026"
    )
    assert title(Kind.DRIFT, days, SCHEMA, DAY) == (
        "'temp' drifted slowly from about 23 Apr to 30 Apr 2026"
    )
    assert since(days, DAY) == START + 3 * DAY
    summary = gather(Kind.DRIFT, days, Context()).summary
    assert summary.startswith("'temp': mean of the last 7 windows 0.16 σ where 0.02 ± 0.04 σ")
    # A window that shows it by itself before is what it began with.
    sudden = [alarm(Kind.DRIFT, 2, "temp"), *days]
    assert since(sudden, DAY) is None
    assert title(Kind.DRIFT, sudden, SCHEMA, DAY).startswith("'temp' drifted from 22 Apr")


def test_of_slow_alarms_the_side_is_what_they_come_to_together() -> None:
    days = [
        alarm(Kind.VOLUME, d, effect=e, reason=SLOW) for d, e in enumerate((-30.0, 20.0, -30.0))
    ]
    assert title(Kind.VOLUME, days, SCHEMA, DAY).startswith("Fewer records than usual")


def test_numbers_that_are_predicted_do_not_come_true() -> None:
    days = [alarm(Kind.PERFORMANCE, 0, value=12.5, expected=0.5, spread=1.5, effect=12.0)]
    assert title(Kind.PERFORMANCE, days, PRICES, DAY) == (
        "Predictions of 'price' were too low on 20 Apr 2026"
    )
    found = gather(Kind.PERFORMANCE, days, Context(unit="EUR"))
    assert found.summary == (
        "At worst 12.5 EUR too low on average, on 20 Apr (0.5 ± 1.5 was expected)."
    )
    assert found.details["harm_text"] == "12 000 EUR above what was predicted, in all"


def test_a_shift_that_needed_others_beside_it_is_still_told_in_numbers() -> None:
    together = "an alarm together with the column's other statistics"
    one = alarm(Kind.DRIFT, 0, "temp", spread=0.1, reason=together, level=4e-4)
    summary = gather(Kind.DRIFT, [one], Context()).summary
    assert summary.startswith("'temp' lay up to 0.3 σ above what was expected, on 20 Apr")


def test_an_alarm_of_a_category_names_the_value() -> None:
    said = "DL: 14.0% where 10.1% ± 0.7% was expected"
    one = replace(
        alarm(Kind.DRIFT, 0, "carrier", reason=said, level=4e-4), metric="total_variation"
    )
    assert f"'carrier': {said}, on 20 Apr." in gather(Kind.DRIFT, [one], Context()).summary


def test_slow_drift_is_no_part_of_a_sudden_one_that_began_beside_it() -> None:
    slow = "slow: mean of the last 7 windows -0.07 σ where 0 ± 0.02 σ was expected"
    alarms = [
        alarm(Kind.DRIFT, 0, "age", reason=slow),
        alarm(Kind.DRIFT, 1, "fare"),
        alarm(Kind.DRIFT, 2, "mile"),
        alarm(Kind.DRIFT, 3, "age"),
    ]
    found = group(alarms, [], DAY)
    assert sorted(sorted(incident.columns) for incident, _ in found) == [["age"], ["fare", "mile"]]


def test_concept_drift_belongs_to_the_performance_that_suffers_from_it() -> None:
    first = replace(alarm(Kind.PERFORMANCE, 0), metric="concept_drift")
    later = [replace(first, window_start=START + DAY), alarm(Kind.PERFORMANCE, 1)]
    ((incident, alarms),) = group([first, *later], [], DAY)
    assert incident.metric == "bias"
    assert len(alarms) == 3
    said = title(Kind.PERFORMANCE, alarms, SCHEMA, DAY)
    assert said.startswith("'late' came true more often than predicted")
    evidence = gather(Kind.PERFORMANCE, alarms, Context(outcome="late"))
    assert "Changed inputs do not explain it" in evidence.summary


def test_concept_drift_alone_says_what_it_is() -> None:
    one = replace(alarm(Kind.PERFORMANCE, 0), metric="concept_drift")
    ((incident, alarms),) = group([one], [], DAY)
    assert incident.metric == "concept_drift"
    said = title(Kind.PERFORMANCE, alarms, SCHEMA, DAY)
    assert said.startswith("'late' no longer follows from the same inputs and scores as it did")
