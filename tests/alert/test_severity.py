"""How grave an incident is, and what is said of quantities that only a monitor watches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tidegauge.alert.evidence import Context, gather
from tidegauge.alert.sentences import title
from tidegauge.alert.severity import severity_of
from tidegauge.catalog.incidents import Alarm
from tidegauge.catalog.tables import IncidentKind
from tidegauge.monitor.document import loads_policies
from tidegauge.schema import Column, ColumnType, Schema

DAY = timedelta(days=1)
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
SCHEMA = Schema((Column("age", ColumnType.NUMERIC), Column("note", ColumnType.TEXT)))
POLICIES = loads_policies(
    """monitors:
  - {metric: missing_share, columns: age, severity: critical}
  - {metric: missing_share, columns: note, severity: info}
  - {metric: missing_share, columns: gone, severity: critical}
"""
)


def alarm(column: str, metric: str = "missing_share") -> Alarm:
    return Alarm(metric, MONDAY, MONDAY + DAY, column)


@pytest.mark.parametrize(
    ("columns", "severity"),
    [
        (["note"], "info"),
        (["note", "note"], "info"),
        (["note", "age"], "critical"),
        (["gone"], "warning"),
        (["note", "gone"], "warning"),
    ],
)
def test_the_gravest_that_is_said_counts_and_the_evidence_where_nothing_is(
    columns: list[str], severity: str
) -> None:
    alarms = [alarm(name) for name in columns]
    assert severity_of(alarms, POLICIES, SCHEMA, "warning") == severity


def test_a_metric_that_has_gone_leaves_it_to_the_evidence() -> None:
    assert severity_of([alarm("age", "of_another_package")], POLICIES, SCHEMA, "info") == "info"


def test_a_quantity_beyond_its_threshold_is_no_share_of_records() -> None:
    one = Alarm("mean", MONDAY, MONDAY + DAY, "age", value=42.5, expected=40.0, effect=2.5,
                n_current=100, reason="fixed threshold: above 42")  # fmt: skip
    kind = IncidentKind.QUALITY
    assert title(kind, [one], SCHEMA, DAY) == "'age' has its mean out of bounds on 5 Jan 2026"
    found = gather(kind, [one], Context())
    assert found.summary == ("'age': mean 42.5, expected 40, on 5 Jan (fixed threshold: above 42).")
    assert found.details["harm_text"] == ""
