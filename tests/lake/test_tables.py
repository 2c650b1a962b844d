"""The lake's Delta tables: layout, new columns, commits that are not made twice, upkeep."""

from __future__ import annotations

import os
import threading
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.errors import BadInput, SchemaMismatch
from tidegauge.lake.names import folder_name, name_of_folder
from tidegauge.lake.tables import AppTransaction, Lake

if TYPE_CHECKING:
    from conftest import Rows


def stored(lake: Lake, kind: str = "records") -> pa.Table:
    handle = lake.table("p", "m", kind)  # type: ignore[arg-type]
    assert handle is not None
    return handle.to_pyarrow_table()


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_folder_names_stay_inside_and_tell_names_apart(one: str, other: str) -> None:
    folder = folder_name(one)
    assert name_of_folder(folder) == one
    assert (folder == folder_name(other)) == (one == other)
    assert "/" not in folder and "\\" not in folder and folder[0] not in "._"
    assert (Path("/root") / folder).resolve().parent == Path("/root")


@pytest.mark.parametrize("name", ["", "x" * 201, "é" * 40])
def test_a_name_that_is_empty_or_too_long_is_refused(name: str) -> None:
    with pytest.raises(BadInput):
        folder_name(name)


def test_names_with_any_characters_can_be_stored_and_read(tmp_path: Path, rows: Rows) -> None:
    lake = Lake(tmp_path / "a lake")
    for name in ("../up", "a b%20c", "höhe", "~x", "_hidden", ".dot"):
        lake.append(name, name, "records", rows.records([name]))
        paths = lake.files(name, name, "records")
        assert duckdb.read_parquet(paths).project("prediction_id").fetchall() == [(name,)]
    assert [p.name for p in tmp_path.iterdir()] == ["a lake"]


def test_rows_stand_under_the_date_of_their_event_time(lake: Lake, rows: Rows) -> None:
    lake.append("p", "m", "records", rows.records(["a", "b", "c"], [1, 23.99, 24]))
    days = {row["_date"]: row["prediction_id"] for row in stored(lake).to_pylist()}
    assert days == {date(2026, 3, 2): "b", date(2026, 3, 3): "c"}
    assert len(lake.files("p", "m", "records", date(2026, 3, 3), date(2026, 3, 3))) == 1
    assert lake.files("p", "m", "records", date(2026, 3, 4)) == []


def test_labels_without_a_timestamp_stand_under_the_date_they_were_observed(
    lake: Lake, rows: Rows
) -> None:
    lake.append("p", "m", "labels", rows.labels({"a": True}, observed=50, predicted=1))
    lake.append("p", "m", "labels", rows.labels({"b": True}, observed=50))
    days = {row["prediction_id"]: row["_date"] for row in stored(lake, "labels").to_pylist()}
    assert days == {"a": date(2026, 3, 2), "b": date(2026, 3, 4)}
    undated = lake.files("p", "m", "labels", where="timestamp IS NULL")
    assert duckdb.read_parquet(undated).project("prediction_id").fetchall() == [("b",)]


def test_a_column_that_is_new_is_added_and_null_in_older_rows(lake: Lake, rows: Rows) -> None:
    lake.append("p", "m", "records", rows.records(["a"]))
    more = rows.records(["b"]).append_column("fare (€)", pa.array([9.5]))
    lake.append("p", "m", "records", more)
    fares = {row["prediction_id"]: row["fare (€)"] for row in stored(lake).to_pylist()}
    assert fares == {"a": None, "b": 9.5}


def test_a_value_that_cannot_become_the_stored_type_is_refused_and_nothing_is_stored(
    lake: Lake, rows: Rows
) -> None:
    lake.append("p", "m", "records", rows.records(["a"]))
    wrong = rows.records(["b"]).set_column(2, "age", pa.array(["old"]))
    with pytest.raises(Exception, match="old"):
        lake.append("p", "m", "records", wrong)
    assert stored(lake)["prediction_id"].to_pylist() == ["a"]
    lake.append("p", "m", "records", rows.records(["c"]))
    assert sorted(stored(lake)["prediction_id"].to_pylist()) == ["a", "c"]


def test_a_column_with_a_name_of_ours_is_refused(lake: Lake, rows: Rows) -> None:
    with pytest.raises(SchemaMismatch, match="'_batch' is kept"):
        lake.append("p", "m", "records", rows.records(["a"]).append_column("_batch", [[1]]))


def test_a_commit_that_the_table_has_is_not_made_again(lake: Lake, rows: Rows) -> None:
    first = lake.append("p", "m", "records", rows.records(["a"]), app=AppTransaction("j", 7))
    again = lake.append("p", "m", "records", rows.records(["a"]), app=AppTransaction("j", 7))
    assert again == first
    lake.append("p", "m", "records", rows.records(["b"]), app=AppTransaction("other", 7))
    assert stored(lake).num_rows == 2
    assert Lake(lake.root).app_version("p", "m", "records", "j") == 7
    assert lake.app_version("p", "m", "labels", "j") is None


def test_threads_and_other_handles_append_to_one_new_table(lake: Lake, rows: Rows) -> None:
    others = [lake, Lake(lake.root)]
    threads = [
        threading.Thread(
            target=others[i % 2].append, args=("p", "m", "records", rows.records([f"a{i}"]))
        )
        for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(stored(lake)["prediction_id"].to_pylist()) == [f"a{i}" for i in range(8)]


def test_any_reader_of_delta_lake_can_open_a_table(lake: Lake, rows: Rows) -> None:
    lake.append("p", "m", "records", rows.records(["a"]))
    table = DeltaTable(f"{lake.root}/p/m/records")
    assert table.metadata().partition_columns == ["_date"]
    assert table.protocol().min_reader_version == 1


def test_all_that_a_commit_needs_is_on_the_disk_when_the_journal_may_forget(
    tmp_path: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table's first version, its folders, new columns, and checkpoints."""
    synced: set[int] = set()
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    root = tmp_path / "lake"
    lake = Lake(root)
    lake.append("p", "m", "records", rows.records(["a"]))
    lake.append("p", "m", "records", rows.records(["b"]).append_column("new", [["x"]]))
    for i in range(60):
        lake.append("p", "m", "records", rows.records([f"c{i}"]))
    written = [root, *(path for path in root.rglob("*") if path.name != "_last_checkpoint")]
    assert any(path.name.endswith(".checkpoint.parquet") for path in written)
    assert [str(path) for path in written if path.stat().st_ino not in synced] == []


def test_rows_of_many_days_come_in_their_order_each_to_its_own_day(lake: Lake, rows: Rows) -> None:
    hours = [24.0 * ((i * 37) % 40) for i in range(400)]
    lake.append("p", "m", "records", rows.records([str(i) for i in range(400)], hours))
    handle = lake.table("p", "m", "records")
    assert handle is not None
    assert len(handle.file_uris()) == 40
    for uri in handle.file_uris():
        part = pq.ParquetFile(uri).read()
        numbers = [int(one) for one in part["prediction_id"].to_pylist()]
        assert numbers == sorted(numbers)
        assert len(numbers) == 10
        days = {at.date().isoformat() for at in part["timestamp"].to_pylist()}
        assert days == {uri.split("_date=")[1][:10]}
