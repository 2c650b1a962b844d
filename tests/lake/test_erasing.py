"""Rows of some ids leave tables, beside others that write, on a disk and in an object store."""

from __future__ import annotations

import contextlib
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tidegauge.errors import SchemaMismatch
from tidegauge.lake.erasing import Erased, Ids, count_rows, count_unreadable, erase_rows
from tidegauge.lake.refused import refused_rows
from tidegauge.lake.retention import drop_before
from tidegauge.lake.swapping import discard
from tidegauge.lake.tables import AppTransaction, Lake
from tidegauge.lake.upkeep import SMALL_FILES, compact_step, shorten_log, unused_files

if TYPE_CHECKING:
    from conftest import Rows

IDS = Ids(["a1", "7"], ["prediction_id", "key"])


def ids_of(lake: Lake) -> list[str]:
    paths = lake.files("p", "m", "records")
    tables = [pq.read_table(path, columns=["prediction_id"], partitioning=None) for path in paths]
    return sorted(one for table in tables for one in table["prediction_id"].to_pylist())


def test_only_files_with_the_ids_are_written_anew_and_their_other_rows_stay(
    lake: Lake, rows: Rows
) -> None:
    for names in (["a0", "a1"], ["a1"], ["a2", "a3"]):
        lake.append("p", "m", "records", rows.records(names))
    before = set(lake.files("p", "m", "records"))
    told: list[Erased] = []
    done = erase_rows(lake, "p", "m", "records", IDS, before=told.append)
    assert (done.rows, done.files) == (2, 2) and told == [done]
    assert ids_of(lake) == ["a0", "a2", "a3"]
    assert len(before & set(lake.files("p", "m", "records"))) == 1
    assert count_rows(lake, "p", "m", "records", IDS) == 0
    assert erase_rows(lake, "p", "m", "records", IDS) == Erased()
    assert erase_rows(lake, "p", "m", "labels", IDS) == Erased()


def test_an_id_is_found_in_any_column_that_ever_held_ids_and_as_a_number(lake: Lake) -> None:
    lake.append("p", "m", "records", pa.table({"key": [7.0, 7.5], "x": [1, 2]}))
    lake.append("p", "m", "records", pa.table({"prediction_id": ["b", "a1"], "x": [3, 4]}))
    assert erase_rows(lake, "p", "m", "records", IDS).rows == 2
    handle = lake.open_table("p", "m", "records")
    assert handle is not None
    assert sorted(pa.table(handle.to_pyarrow_table())["x"].to_pylist()) == [2, 3]


def test_a_quarantined_row_goes_by_the_id_in_its_record_and_no_other(lake: Lake) -> None:
    records = [
        '{"prediction_id": "a1", "age": "x"}',
        '{"prediction_id": "b", "friend": "a1"}',
        '{"prediction_id": "\\u0061\\u0031"}',
        '{"key": 7}',
        '{"prediction_id": "a1',
        '["a1"]',
        "null",
    ]
    empty = refused_rows(pa.table({"x": [1]}), "records", SchemaMismatch("no")).slice(0, 0)
    kept = pa.table({**{n: pa.nulls(7, empty.schema.field(n).type) for n in empty.column_names}})
    at = kept.column_names.index("record")
    kept = kept.set_column(at, "record", pa.array(records))
    lake.append("p", "m", "quarantine", kept)
    assert count_unreadable(lake, "p", "m", IDS) == 2
    assert erase_rows(lake, "p", "m", "quarantine", IDS).rows == 3
    handle = lake.open_table("p", "m", "quarantine")
    assert handle is not None
    left = pa.table(handle.to_pyarrow_table())["record"].to_pylist()
    assert sorted(left) == sorted([records[1], *records[4:]])


def test_erasing_compaction_and_appends_at_once_lose_and_double_nothing(
    lake: Lake, rows: Rows
) -> None:
    failures: list[BaseException] = []

    def work(turn: Any) -> None:
        try:
            turn()
        except BaseException as error:
            failures.append(error)

    def append() -> None:
        own = Lake(lake.root)
        for i in range(40):
            names = [f"b{i}", *(["a1"] if i % 5 == 0 else [])]
            own.append("p", "m", "records", rows.records(names), app=AppTransaction("j", i + 1))

    lake.append("p", "m", "records", rows.records(["a1"]))
    writer = threading.Thread(target=work, args=(append,))
    writer.start()
    erased = 0
    while writer.is_alive():
        erased += erase_rows(lake, "p", "m", "records", IDS).rows
        compact_step(lake, "p", "m", "records")
    erased += erase_rows(lake, "p", "m", "records", IDS).rows
    assert not failures and erased == 9
    assert ids_of(lake) == sorted(f"b{i}" for i in range(40))


def test_an_object_store_is_kept_up_and_erased_from_alike(
    bucket: Any, tmp_path: Path, rows: Rows
) -> None:
    with contextlib.closing(
        Lake(f"{bucket.url}/lake", bucket.options, cache=tmp_path / "cache")
    ) as lake:
        _keep_up_and_erase(lake, rows)


def _keep_up_and_erase(lake: Lake, rows: Rows) -> None:
    for i in range(SMALL_FILES):
        lake.append("p", "m", "records", rows.records([f"a{i}", f"old{i}"], [1, -30]))
    before = ids_of(lake)
    assert compact_step(lake, "p", "m", "records").compacted == 2 * SMALL_FILES
    assert ids_of(lake) == before
    assert erase_rows(lake, "p", "m", "records", IDS).rows == 1
    day = datetime(2026, 3, 2, tzinfo=UTC).date()
    assert drop_before(lake, "p", "m", "records", day).rows == SMALL_FILES
    assert ids_of(lake) == sorted(f"a{i}" for i in range(SMALL_FILES) if i != 1)
    shorten_log(lake, "p", "m", "records")
    old = unused_files(lake, "p", "m", "records", hours=0)
    assert len(old) == 2 * SMALL_FILES + 2
    discard(lake, "p", "m", "records", old)
    assert unused_files(lake, "p", "m", "records", hours=0) == []
    assert lake.tidy_copies(at_once=True) > 0
    assert len(ids_of(lake)) == SMALL_FILES - 1


@pytest.mark.parametrize("column", ["prediction_id", "key"])
def test_nothing_is_read_but_the_ids(lake: Lake, column: str) -> None:
    lake.append("p", "m", "records", pa.table({column: ["a1", "b"], "payload": ["x" * 99] * 2}))
    assert count_rows(lake, "p", "m", "records", IDS) == 1
