"""The fast way of converting a column, all values at once, against the slow one, value by value."""

from __future__ import annotations

import datetime
import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegauge.ingest import check_records, values
from tidegauge.schema import Column, ColumnType, Role, Schema

NOW = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.UTC)
COLUMNS = (
    Column("id", ColumnType.TEXT, Role.PREDICTION_ID),
    Column("time", ColumnType.DATETIME, Role.TIMESTAMP),
    *(Column(kind.value, kind) for kind in ColumnType),
    Column("tag", ColumnType.TEXT, Role.TAG),
)

any_text = st.text(st.characters(), max_size=5)
moments = st.datetimes().map(lambda time: f"{time.isoformat()}Z") | st.sampled_from(
    ["2026-01-01T00:00:00+01:00", "2026-01-01", "2026-01-01 00:00:00Z", "0001-01-01T00:00:00+01:00"]
)
KINDS = [
    st.floats(),
    st.floats() | st.integers(),
    st.integers(-(10**400), 10**400),
    st.booleans(),
    any_text,
    moments,
    st.lists(st.floats(width=32), max_size=2),
    st.none() | st.floats() | st.integers() | st.booleans() | any_text,
]
one_kind = st.sampled_from(KINDS).flatmap(
    lambda kind: st.lists(kind, max_size=6) | st.lists(kind | st.none(), max_size=6)
)


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are the same, NaN being itself and zero having a sign."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        if math.isnan(one) or math.isnan(other):
            return math.isnan(one) and math.isnan(other)
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return type(one) is type(other) and bool(one == other)


def refuse(*_: Any) -> Any:
    raise values._NotAtOnce


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
@settings(deadline=None, max_examples=120)
@given(one_kind)
def test_all_at_once_gives_what_one_by_one_gives(column: Column, listed: list[Any]) -> None:
    quick = values.convert_values(listed, column, "UTC")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(values, "_at_once", refuse)
        patch.setattr(values, "_doubles", refuse)
        slow = values.convert_values(listed, column, "UTC")
    assert quick.array.type == slow.array.type
    assert same(quick.array.to_pylist(), slow.array.to_pylist())
    assert quick.faults == slow.faults


ids = st.sampled_from("abc") | any_text
kinds_of_records = st.fixed_dictionaries(
    {
        "id": st.sampled_from("abc") | any_text,
        "time": moments,
        "numeric": st.floats() | st.integers() | any_text,
    },
    optional={"boolean": st.booleans() | st.none(), "else": any_text},
)


@settings(deadline=None, max_examples=200)
@given(st.lists(kinds_of_records, min_size=2, max_size=6))
def test_records_together_come_to_what_each_comes_to_alone(rows: list[dict[str, Any]]) -> None:
    schema = Schema(COLUMNS)
    rows = [{**row, "time": "2026-01-01T00:00:00Z"} if i else row for i, row in enumerate(rows)]
    rows[0]["time"] = "2026-01-01T00:00:00.5Z"
    together = check_records(rows, schema, now=NOW, version="1")
    alone = [check_records([row], schema, now=NOW, version="1") for row in rows]
    wrong = [i for i, one in enumerate(alone) if one.quarantined.num_rows]
    assert together.quarantined["index"].to_pylist() == wrong
    accepted = [row for one in alone for row in one.accepted.to_pylist()]
    first = {row["id"]: row for row in reversed(accepted)}
    kept = [row for row in accepted if first.get(row["id"]) is row]
    assert same_rows(together.accepted.to_pylist(), kept)
    assert together.repeated == len(accepted) - len(kept)


def same_rows(some: list[dict[str, Any]], others: list[dict[str, Any]]) -> bool:
    return len(some) == len(others) and all(
        one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
        for one, other in zip(some, others, strict=True)
    )


numbers = pa.array([0.5, float("nan"), -0.0, float("inf"), 1e300])


def test_columns_that_have_their_type_already_are_not_copied() -> None:
    times = pa.array([NOW] * 5, pa.timestamp("us", "UTC"))
    table = pa.table({"id": list("abcde"), "time": times, "numeric": numbers})
    checked = check_records(table, Schema(COLUMNS[:3]), now=NOW)
    for name in ("id", "time", "numeric"):
        sent, stored = table[name].chunk(0), checked.accepted[name].chunk(0)
        assert [part and part.address for part in sent.buffers()] == [
            part and part.address for part in stored.buffers()
        ]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.lists(kinds_of_records, min_size=1, max_size=4), min_size=1, max_size=4))
def test_requests_checked_together_come_to_what_each_comes_to_alone(
    sent: list[list[dict[str, Any]]],
) -> None:
    for i, row in enumerate(row for rows in sent for row in rows):
        row["time"] = "2026-01-01T00:00:00.5Z" if i else "2026-01-01T00:00:00Z"
    schema = Schema(COLUMNS)
    rows = [row for rows in sent for row in rows]
    together = check_records(rows, schema, now=NOW, sizes=[len(rows) for rows in sent])
    alone = [check_records(rows, schema, now=NOW) for rows in sent]
    assert together.repeated == sum(one.repeated for one in alone)
    accepted = [row for one in alone for row in one.accepted.to_pylist()]
    assert same_rows(together.accepted.to_pylist(), accepted)
    assert together.quarantined.num_rows == sum(one.quarantined.num_rows for one in alone)
