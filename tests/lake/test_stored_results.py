"""Profiles and points: of several beliefs about one window the newest counts, or that of a time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.errors import SchemaMismatch
from tidegauge.lake.points import KEYS, PointReader, append_points, newest
from tidegauge.lake.profiles import ProfileRow, get_profiles, put_profiles
from tidegauge.lake.tables import Lake
from tidegauge.lake.upkeep import compact
from tidegauge.lake.wildcard import ANY
from tidegauge.metrics.result import Basis

if TYPE_CHECKING:
    from conftest import Rows

DAY = timedelta(days=1)
MOMENT = pa.timestamp("us", "UTC")
FIELDS: dict[str, pa.DataType] = {
    "metric": pa.string(),
    "column": pa.string(),
    "segment": pa.string(),
    "version": pa.string(),
    "window_start": MOMENT,
    "value": pa.float64(),
    "computed_at": MOMENT,
}


def profile(
    rows: Rows,
    day: int,
    content: bytes,
    *,
    version: str | None = "1",
    baseline: str = "b1",
    later: int = 0,
) -> ProfileRow:
    start = rows.start + day * DAY
    computed_at = start + DAY + timedelta(hours=later)
    return ProfileRow(version, start, start + DAY, baseline, computed_at, content)


def test_of_several_profiles_of_a_window_the_newest_is_read(lake: Lake, rows: Rows) -> None:
    put_profiles(lake, "p", "m", [profile(rows, 1, b"restated", later=5), profile(rows, 40, b"40")])
    put_profiles(lake, "p", "m", [profile(rows, 1, b"first"), profile(rows, 0, b"0")])
    put_profiles(lake, "p", "m", [profile(rows, 1, b"none", version=None)])
    assert put_profiles(lake, "p", "m", []) is None

    def read(days: int, **filters: str | None) -> list[bytes]:
        end = rows.start + days * DAY
        return [r.profile for r in get_profiles(lake, "p", "m", rows.start, end, **filters)]

    assert read(365) == [b"0", b"none", b"restated", b"40"]
    assert read(2, version="1") == [b"0", b"restated"]
    assert read(2, version=None) == [b"none"]
    assert read(2, version="2") == []
    assert read(1, baseline_id="b1") == [b"0"]
    assert read(1, baseline_id="b2") == []
    compact(lake, "p", "m", "profiles", small_files=2)
    assert read(365) == [b"0", b"none", b"restated", b"40"]
    assert get_profiles(lake, "p", "unknown", rows.start, rows.at(1)) == []


def test_a_profile_comes_back_with_all_that_was_stored(lake: Lake, rows: Rows) -> None:
    row = profile(rows, 0, bytes(range(256)) * 1000)
    put_profiles(lake, "p", "m", [row])
    assert get_profiles(lake, "p", "m", rows.start, rows.at(24)) == [row]


def point(
    rows: Rows,
    value: float | None,
    *,
    metric: str = "psi",
    column: str | None = "age",
    segment: str | None = None,
    day: int = 0,
    computed: float = 24,
) -> dict[str, object]:
    return {
        "metric": metric,
        "column": column,
        "segment": segment,
        "version": "1",
        "window_start": rows.start + day * DAY,
        "value": value,
        "computed_at": rows.at(computed),
    }


def table(*points: dict[str, object]) -> pa.Table:
    return pa.Table.from_pylist(list(points), schema=pa.schema(FIELDS))


def test_points_are_read_by_what_they_are_of(lake: Lake, rows: Rows) -> None:
    ua = '{"carrier": "UA"}'
    append_points(
        lake,
        "p",
        "m",
        table(
            point(rows, 1.0),
            point(rows, 2.0, segment=ua),
            point(rows, 3.0, metric="roc_auc", column=None),
            point(rows, 4.0, day=40),
        ),
    )
    reader, end = PointReader(lake), rows.start + 365 * DAY

    def values(**filters: object) -> list[float]:
        found = reader.read("p", "m", rows.start, end, **filters)  # type: ignore[arg-type]
        return sorted(found["value"].to_pylist())

    assert values() == [1.0, 3.0, 4.0]
    assert values(segment=ANY) == [1.0, 2.0, 3.0, 4.0]
    assert values(segment={"carrier": "UA"}) == [2.0]
    assert values(segment={"carrier": "UA"}, metric="roc_auc") == []
    assert values(segment=ANY, column=None) == [3.0]
    assert values(column=None) == [3.0]
    assert values(column="age", metric="psi") == [1.0, 4.0]
    assert values(version="1") == [1.0, 3.0, 4.0]
    assert values(version="2") == values(version=None) == []
    assert reader.read("p", "m", rows.start, rows.at(24))["value"].to_pylist() == [1.0, 3.0]
    assert reader.read("p", "other", rows.start, end).num_rows == 0


def test_the_newest_point_counts_and_what_was_believed_earlier_can_be_asked(
    lake: Lake, rows: Rows
) -> None:
    reader, end = PointReader(lake), rows.at(24)
    append_points(lake, "p", "m", table(point(rows, 0.9, computed=48)))
    append_points(lake, "p", "m", table(point(rows, 0.5, computed=24)))

    def read(as_of: float | None = None) -> list[float]:
        moment = None if as_of is None else rows.at(as_of)
        return reader.read("p", "m", rows.start, end, as_of=moment)["value"].to_pylist()

    assert (read(), read(47), read(48), read(23)) == ([0.9], [0.5], [0.9], [])
    append_points(lake, "p", "m", table(point(rows, None, computed=72)))
    assert (read(), read(50)) == ([None], [0.9])
    compact(lake, "p", "m", "points", small_files=2)
    assert (read(), read(50), read(30)) == ([None], [0.9], [0.5])


def test_points_without_what_names_them_are_refused(lake: Lake, rows: Rows) -> None:
    with pytest.raises(SchemaMismatch, match="'metric'"):
        append_points(lake, "p", "m", table(point(rows, 1.0)).drop_columns(["metric"]))
    assert append_points(lake, "p", "m", table()) is None


def test_the_memory_for_points_is_bounded(lake: Lake, rows: Rows) -> None:
    for day in (0, 40, 80):
        append_points(lake, "p", "m", table(*[point(rows, float(i), day=day) for i in range(9)]))
    whole = PointReader(lake)
    expected = whole.read("p", "m", rows.start, rows.start + 100 * DAY)
    small = PointReader(lake, cache_bytes=whole._held // 2)
    for _ in range(2):
        assert small.read("p", "m", rows.start, rows.start + 100 * DAY).equals(expected)
    assert 0 < small._held <= small.cache_bytes


def test_points_of_files_that_were_joined_are_let_go_of(lake: Lake, rows: Rows) -> None:
    reader, end = PointReader(lake), rows.start + 100 * DAY
    for turn in range(4):
        append_points(lake, "p", "m", table(point(rows, float(turn), day=turn // 2)))
    before = reader.read("p", "m", rows.start, end)
    assert len(reader._cache) == 4
    compact(lake, "p", "m", "points", small_files=2)
    assert reader.read("p", "m", rows.start, end).num_rows == before.num_rows
    assert len(reader._cache) == 1
    assert reader._held == sum(part.nbytes for part in reader._cache.values())


@given(
    st.lists(
        st.tuples(
            st.sampled_from("ab"),
            st.sampled_from([None, "x", "y"]),
            st.integers(0, 3),
            st.integers(0, 5),
        ),
        max_size=40,
    )
)
def test_newest_is_one_row_per_key_and_none_is_later(
    drawn: list[tuple[str, str | None, int, int]],
) -> None:
    points = [
        {
            **dict.fromkeys(KEYS, "same"),
            "metric": metric,
            "column": column,
            "window_start": np.datetime64(day, "D").astype("datetime64[us]").item(),
            "computed_at": np.datetime64(hour, "h").astype("datetime64[us]").item(),
        }
        for metric, column, day, hour in drawn
    ]
    fields = {name: pa.string() for name in KEYS} | {
        "window_start": pa.timestamp("us"),
        "computed_at": pa.timestamp("us"),
    }
    kept = newest(pa.Table.from_pylist(points, schema=pa.schema(fields)))
    latest: dict[tuple[object, ...], int] = {}
    for metric, column, day, hour in drawn:
        latest[metric, column, day] = max(hour, latest.get((metric, column, day), 0))
    assert sorted(drawn[i] for i in kept if drawn[i][1]) == sorted(
        (*key, hour) for key, hour in latest.items() if key[1]
    )
    assert len(kept) == len(latest)


def believed(
    rows: Rows, value: float, basis: str | None, computed: float, **fields: object
) -> dict[str, object]:
    one = point(rows, value, metric="roc_auc", column=None, computed=computed)
    return {**one, "basis": basis, "ci_lower": value - 0.1, "ci_upper": value + 0.1, **fields}


def test_a_window_keeps_its_estimate_beside_what_was_measured(lake: Lake, rows: Rows) -> None:
    more = {"basis": pa.string(), "ci_lower": pa.float64(), "ci_upper": pa.float64()}
    schema = pa.schema(FIELDS | more)
    steps = [
        [believed(rows, 0.70, "estimated", 24)],
        [believed(rows, 0.72, "estimated", 30), believed(rows, 0.74, "partial", 30)],
        [believed(rows, 0.75, "final", 40)],
    ]
    for step in steps:
        append_points(lake, "p", "m", pa.Table.from_pylist(step, schema=schema))
    reader = PointReader(lake)

    def read(**wanted: object) -> list[float]:
        span = rows.start, rows.start + DAY
        found = reader.read("p", "m", *span, **wanted)  # type: ignore[arg-type]
        return sorted(found["value"].to_pylist())

    assert read() == [0.75], "what is read without asking is measured"
    assert read(basis=ANY) == [0.72, 0.75]
    assert read(basis=Basis.ESTIMATED) == [0.72]
    assert read(basis=Basis.FINAL) == [0.75]
    assert read(basis=Basis.PARTIAL) == [], "it is final by now"
    assert read(basis=Basis.PARTIAL, as_of=rows.at(35)) == [0.74]
    assert read(basis=ANY, as_of=rows.at(26)) == [0.70]
    assert read(as_of=rows.at(26)) == []


def test_points_of_earlier_releases_are_read_with_the_fields_they_lack(
    lake: Lake, rows: Rows
) -> None:
    append_points(lake, "p", "m", table(point(rows, 1.0)))
    span = rows.start, rows.start + DAY
    found = PointReader(lake).read("p", "m", *span, basis=ANY)
    for name in ("basis", "ci_lower", "ci_upper"):
        assert found[name].to_pylist() == [None]
