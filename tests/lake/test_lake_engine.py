"""The lake's engine: records once, with the label that was known, from the files that matter."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegauge.engine.lake import LakeEngine
from tidegauge.errors import BadInput, NotFound
from tidegauge.lake.arrivals import Arrival
from tidegauge.lake.entries import Entry, EntryKind, JournalRequest
from tidegauge.lake.flusher import Flusher
from tidegauge.lake.journal import Journal
from tidegauge.lake.points import append_points
from tidegauge.lake.tables import Lake
from tidegauge.lake.upkeep import compact
from tidegauge.profile.layout import to_datetime, to_micros, window_floor
from tidegauge.schema import Column, ColumnType, Role, Schema
from tidegauge.schema.arrow import arrow_schema

if TYPE_CHECKING:
    from conftest import Rows

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def engine(lake: Lake) -> Iterator[LakeEngine]:
    made = LakeEngine(lake, threads=2)
    yield made
    made.close()


def read(engine: LakeEngine, rows: Rows, days: float = 1, **options: Any) -> pa.Table:
    schema = options.pop("schema", rows.schema)
    end = rows.start + days * DAY
    batches = list(engine.batches("p", "m", schema, rows.start, end, **options))
    wanted = schema.select(options["columns"]) if options.get("columns") else schema
    table = pa.Table.from_batches(batches, schema=arrow_schema(wanted))
    return table.sort_by("prediction_id") if "prediction_id" in wanted else table


def by_id(table: pa.Table, column: str = "label") -> dict[str, Any]:
    return dict(zip(table["prediction_id"].to_pylist(), table[column].to_pylist(), strict=True))


def test_a_window_is_half_open_and_its_columns_have_the_schemas_types(
    engine: LakeEngine, lake: Lake, rows: Rows
) -> None:
    lake.append("p", "m", "records", rows.records(["a", "b", "c", "d"], [-0.001, 0, 23.999, 24]))
    table = read(engine, rows)
    assert table["prediction_id"].to_pylist() == ["b", "c"]
    assert table.schema == arrow_schema(rows.schema)
    assert read(engine, rows, columns=["age"]).to_pydict() == {"age": [40.0, 40.0]}
    assert list(engine.batches("p", "unknown", rows.schema, rows.start, rows.at(1))) == []


def test_every_type_comes_back_and_columns_that_files_lack_are_null(
    engine: LakeEngine, lake: Lake, rows: Rows
) -> None:
    schema = Schema(
        (
            *rows.schema,
            Column('odd "name", (€)', ColumnType.CATEGORICAL),
            Column("seen", ColumnType.DATETIME),
            Column("vector", ColumnType.EMBEDDING),
            Column("never sent", ColumnType.EMBEDDING),
        )
    )
    full = (
        rows.records(["a"])
        .append_column('odd "name", (€)', [["x"]])
        .append_column("seen", pa.array([rows.at(3)], pa.timestamp("us", "UTC")))
        .append_column("vector", pa.array([[0.5, 2.0]], pa.list_(pa.float32())))
    )
    lake.append("p", "m", "records", rows.records(["b"]))
    lake.append("p", "m", "records", full)
    table = read(engine, rows, schema=schema)
    assert table.schema == arrow_schema(schema)
    first, second = table.to_pylist()
    assert first['odd "name", (€)'] == "x"
    assert (first["seen"], first["vector"]) == (rows.at(3), [0.5, 2.0])
    assert {second[name] for name in schema.names[4:]} == {None}
    assert table["never sent"].null_count == 2


def test_of_repeated_records_the_first_committed_counts(
    engine: LakeEngine, lake: Lake, rows: Rows
) -> None:
    lake.append("p", "m", "records", rows.records(["a", "b", "a"], 1, [1, 2, 3]))
    lake.append("p", "m", "records", rows.records(["b", "c"], 2, [4, 5]))
    lake.append("p", "m", "records", rows.records(["a"], 30, 6))
    assert by_id(read(engine, rows), "age") == {"a": 1, "b": 2, "c": 5}
    whole = read(engine, rows, days=2)
    assert by_id(whole, "age") == {"a": 1, "b": 2, "c": 5}
    daily = read(engine, rows, days=2, window=DAY)
    assert sorted(daily["age"].to_pylist()) == [1, 2, 5, 6]
    compact(lake, "p", "m", "records", small_files=2)
    assert by_id(read(engine, rows), "age") == {"a": 1, "b": 2, "c": 5}


def test_versions_are_listed_and_read_apart_though_they_scored_the_same_ids(
    engine: LakeEngine, lake: Lake, rows: Rows
) -> None:
    lake.append("p", "m", "records", rows.records(["a", "b"], version="1"))
    lake.append("p", "m", "records", rows.records(["b", "c"], version="2", age=50))
    lake.append("p", "m", "records", rows.records(["d"]))
    assert engine.versions("p", "m", rows.schema, rows.start, rows.at(24)) == [None, "1", "2"]
    assert engine.versions("p", "m", rows.schema, rows.at(24), rows.at(48)) == []
    assert by_id(read(engine, rows, version="2"), "age") == {"b": 50, "c": 50}
    assert list(by_id(read(engine, rows, version=None))) == ["d"]
    assert by_id(read(engine, rows), "age") == {"a": 40, "b": 40, "c": 50, "d": 40}


def test_the_version_is_the_schemas_own_column_where_ingest_added_none(
    engine: LakeEngine, lake: Lake, rows: Rows
) -> None:
    schema = Schema((*rows.schema, Column("build", ColumnType.CATEGORICAL, Role.VERSION)))
    table = rows.records(["a"]).drop_columns(["_version"]).append_column("build", [["7"]])
    lake.append("p", "m", "records", table)
    assert engine.versions("p", "m", schema, rows.start, rows.at(24)) == ["7"]


@pytest.mark.parametrize("predicted", [1.0, None])
def test_the_label_observed_last_counts_unless_it_was_not_known_yet(
    engine: LakeEngine, lake: Lake, rows: Rows, predicted: float | None
) -> None:
    lake.append("p", "m", "records", rows.records(["a", "b", "c"]))
    lake.append("p", "m", "labels", rows.labels({"a": True, "z": True}, 50, predicted))
    lake.append("p", "m", "labels", rows.labels({"a": False, "b": True}, 30, predicted))
    lake.append("p", "m", "labels", rows.labels({"b": False}, 30, predicted))
    assert by_id(read(engine, rows)) == {"a": True, "b": False, "c": None}
    assert by_id(read(engine, rows, as_of=rows.at(40))) == {"a": False, "b": False, "c": None}
    assert by_id(read(engine, rows, as_of=rows.at(29))) == {"a": None, "b": None, "c": None}


def test_a_records_own_label_stands_until_another_comes(
    engine: LakeEngine, lake: Lake, rows: Rows
) -> None:
    own = rows.records(["a", "b"]).append_column("label", [[True, True]])
    lake.append("p", "m", "records", own)
    lake.append("p", "m", "labels", rows.labels({"b": False}))
    assert by_id(read(engine, rows)) == {"a": True, "b": False}


def test_without_a_label_column_labels_are_not_looked_at(
    engine: LakeEngine, lake: Lake, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.append("p", "m", "records", rows.records(["a"]))
    monkeypatch.setattr("tidegauge.engine.lake.label_files", lambda *a, **k: 1 // 0)
    schema = replace(rows.schema, columns=rows.schema.columns[:3])
    assert read(engine, rows, schema=schema)["age"].to_pylist() == [40.0]
    with pytest.raises(ZeroDivisionError):
        read(engine, rows)


def test_labels_without_a_timestamp_are_found_within_the_horizon_of_event_or_arrival(
    lake: Lake, rows: Rows
) -> None:
    engine = LakeEngine(lake, label_horizon=30 * DAY)
    lake.append("p", "m", "records", rows.records(["soon", "late", "now"]))
    lake.append("p", "m", "labels", rows.labels({"soon": True}, observed=29 * 24))
    lake.append("p", "m", "labels", rows.labels({"late": True}, observed=-24 * 400))
    # A replay: the records are old, and so is not what is observed now.
    lake.append("p", "m", "labels", rows.labels({"now": True}).drop_columns(["observed_at"]))
    assert by_id(read(engine, rows)) == {"soon": True, "late": None, "now": True}
    engine.close()


def test_only_files_that_can_hold_the_windows_rows_are_read(
    engine: LakeEngine, lake: Lake, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(10):
        ids = [f"{day}"]
        lake.append("p", "m", "records", rows.records(ids, 24 * day + 1))
        lake.append("p", "m", "labels", rows.labels({ids[0]: True}, 24 * day + 5, 24 * day + 1))
    opened: list[str] = []
    files = lake.files

    def watched(*args: Any, **options: Any) -> list[str]:
        found = files(*args, **options)
        opened.extend(found)
        return found

    monkeypatch.setattr(lake, "files", watched)
    assert by_id(read(engine, rows)) == {"0": True}
    assert len(opened) == 2


def test_one_record_is_shown_with_its_label_and_what_else_was_sent(
    engine: LakeEngine, lake: Lake, rows: Rows
) -> None:
    sent = rows.records(["a"], 1.5, float("nan"), version="3")
    lake.append("p", "m", "records", sent.append_column("_extra", [['{"hint": [1]}']]))
    lake.append("p", "m", "records", rows.records(["a"], 1.5, 9))
    lake.append("p", "m", "labels", rows.labels({"a": True}, observed=900))
    assert engine.record("p", "m", rows.schema, "a") == {
        "prediction_id": "a",
        "timestamp": "2026-03-02T01:30:00Z",
        "age": None,
        "label": True,
        "version": "3",
        "hint": [1],
    }
    for model in ("m", "unknown"):
        with pytest.raises(NotFound, match="'zz'"):
            engine.record("p", model, rows.schema, "zz")


def test_records_are_paged_in_order_each_once(engine: LakeEngine, lake: Lake, rows: Rows) -> None:
    for part in range(3):
        ids = [f"{part}-{i}" for i in range(20)]
        lake.append("p", "m", "records", rows.records(ids, [(i * 7 % 5) for i in range(20)]))
    lake.append("p", "m", "records", rows.records(["0-0", "2-19"], 3))
    lake.append("p", "m", "labels", rows.labels({"1-3": True}))
    seen: list[dict[str, Any]] = []
    cursor, pages = None, 0
    while True:
        page, cursor = engine.records(
            "p", "m", rows.schema, rows.start, rows.at(24), limit=7, cursor=cursor
        )
        seen += page
        pages += 1
        if cursor is None:
            break
    assert (pages, len(seen), len({r["prediction_id"] for r in seen})) == (9, 60, 60)
    times = [r["timestamp"] for r in seen]
    assert times == sorted(times)
    assert [r["label"] for r in seen if r["prediction_id"] == "1-3"] == [True]
    assert engine.records("p", "m", rows.schema, rows.at(24), rows.at(48)) == ([], None)


@pytest.mark.parametrize("cursor", ["", "x", "W10", "bm90anNvbg", "WzEsMiwzLCJhIl0"])
def test_a_cursor_that_is_none_of_ours_is_refused(
    engine: LakeEngine, lake: Lake, rows: Rows, cursor: str
) -> None:
    lake.append("p", "m", "records", rows.records(["a"]))
    with pytest.raises(BadInput, match="cursor"):
        engine.records("p", "m", rows.schema, rows.start, rows.at(24), cursor=cursor)


def test_time_bounds_are_exact(engine: LakeEngine, lake: Lake, rows: Rows) -> None:
    assert engine.time_bounds("p", "m", rows.schema) is None
    tick = timedelta(microseconds=1)
    moments = [rows.start + 5 * tick, rows.at(30), rows.at(80) - tick]
    for i, moment in enumerate(moments):
        table = rows.records([f"{i}"]).set_column(
            1, "timestamp", pa.array([moment], pa.timestamp("us", "UTC"))
        )
        lake.append("p", "m", "records", table)
    assert engine.time_bounds("p", "m", rows.schema) == (moments[0], moments[2])


def test_without_a_timestamp_column_the_time_of_arrival_is_the_event_time(
    engine: LakeEngine, lake: Lake, rows: Rows
) -> None:
    schema = replace(rows.schema, columns=rows.schema.columns[::2])
    table = rows.records(["a"]).drop_columns(["timestamp"])
    lake.append("p", "m", "records", table)
    now = datetime.now(UTC)
    assert [b.num_rows for b in engine.batches("p", "m", schema, now - HOUR, now + HOUR)] == [1]
    bounds = engine.time_bounds("p", "m", schema)
    assert bounds is not None and abs(bounds[0] - now) < HOUR


IDS = st.sampled_from("abcdef")
ARRIVALS = st.lists(
    st.one_of(
        st.tuples(st.just("record"), IDS, st.sampled_from([1, 5, 23]), st.sampled_from("12")),
        st.tuples(st.just("label"), IDS, st.integers(20, 40), st.booleans(), st.booleans()),
    ),
    max_size=14,
)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(arrivals=ARRIVALS, as_of=st.none() | st.integers(20, 40))
def test_whatever_arrives_in_whatever_order_a_window_is_what_it_should_be(
    tmp_path_factory: pytest.TempPathFactory,
    rows: Rows,
    arrivals: list[tuple[Any, ...]],
    as_of: int | None,
) -> None:
    lake = Lake(tmp_path_factory.mktemp("lake"))
    engine = LakeEngine(lake, threads=1)
    records: dict[str, tuple[float, str]] = {}
    labels: dict[str, tuple[int, int, bool]] = {}
    for turn, (what, name, *rest) in enumerate(arrivals):
        if what == "record":
            hour, version = rest
            table = rows.records([name], hour, float(turn), version)
            lake.append("p", "m", "records", table)
            records.setdefault(name, (float(turn), version))
            continue
        observed, value, dated = rest
        table = rows.labels({name: value}, observed, 1.0 if dated else None)
        lake.append("p", "m", "labels", table)
        if as_of is None or observed <= as_of:
            labels[name] = max(labels.get(name, (-1, -1, False)), (observed, turn, value))
    moment = None if as_of is None else rows.at(as_of)
    found = read(engine, rows, as_of=moment)
    engine.close()
    assert found["prediction_id"].to_pylist() == sorted(records)
    assert by_id(found, "age") == {name: record[0] for name, record in records.items()}
    assert by_id(found) == {name: labels[name][2] if name in labels else None for name in records}


def post(journal: Journal, kind: EntryKind, table: pa.Table) -> int:
    request = JournalRequest("p", "m", (Entry("p", "m", kind, table),))
    return journal.append(request).result(10).offset


@pytest.mark.parametrize("width", [HOUR, DAY, 7 * DAY])
def test_windows_touched_by_what_arrived_later_are_told(
    engine: LakeEngine, lake: Lake, journal: Journal, rows: Rows, width: timedelta
) -> None:
    flusher = Flusher(journal, lake)
    post(journal, "records", rows.records(["a", "b", "c"], [1, 30, 200]))
    post(journal, "labels", rows.labels({"c": True}, 210, 200))
    flusher.flush_now()
    since, journal_id = journal.last_offset, journal.id
    post(journal, "records", rows.records(["d"], 49))
    post(journal, "labels", rows.labels({"a": True}, 60, 1))
    post(journal, "labels", rows.labels({"b": True, "unknown": True}, 300))
    flusher.flush_now()

    def after(offset: int) -> list[Arrival]:
        return [Arrival(journal_id, offset + 1)]

    def floor(*hours: float) -> list[datetime]:
        import numpy as np

        micros = np.array([to_micros(rows.at(h)) for h in hours])
        return [to_datetime(m) for m in np.unique(window_floor(micros, width))]

    def labelled(offset: int) -> list[datetime]:
        return engine.labelled_windows("p", "m", rows.schema, after(offset), width)

    assert labelled(since) == floor(1, 30)
    assert labelled(0) == floor(1, 30, 200)
    assert labelled(journal.last_offset) == []
    assert engine.recorded_windows("p", "m", rows.schema, after(since), width) == floor(49)
    other = [Arrival("another journal", since + 1, since + 9)]
    assert engine.recorded_windows("p", "m", rows.schema, other, width) == []
    assert engine.labelled_windows("p", "m", rows.schema, other, width) == []
    ends = {"first": rows.at(49).date(), "last": rows.at(49).date()}
    assert engine.recorded_windows("p", "m", rows.schema, after(0), width, **ends) == floor(49)


def test_windows_are_read_while_others_read_and_rows_arrive(
    engine: LakeEngine, lake: Lake, rows: Rows
) -> None:
    lake.append("p", "m", "records", rows.records([f"{i}" for i in range(2000)]))
    counts: list[int] = []

    def work(number: int) -> None:
        for turn in range(4):
            if number == 0:
                lake.append("p", "m", "records", rows.records([f"x{turn}"], 30))
                compact(lake, "p", "m", "records", small_files=2)
            counts.append(read(engine, rows).num_rows)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [2000] * 16


def test_stored_results_are_read_through_the_engine(
    engine: LakeEngine, lake: Lake, rows: Rows
) -> None:
    moment = pa.array([rows.start], pa.timestamp("us", "UTC"))
    text = {name: pa.array(["x"]) for name in ("metric", "column", "version")}
    table = pa.table(
        {
            **text,
            "segment": pa.nulls(1, pa.string()),
            "window_start": moment,
            "computed_at": moment,
            "value": [0.5],
        }
    )
    append_points(lake, "p", "m", table)
    found = engine.points("p", "m", start=rows.start, end=rows.at(1), metric="x")
    assert found["value"].to_pylist() == [0.5]
