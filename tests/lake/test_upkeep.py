"""Upkeep: files and log stay few, rows stay what they are, beside others that write and read."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tidegauge.lake import upkeep
from tidegauge.lake.rewriting import files_of, rewritten
from tidegauge.lake.swapping import Overtaken, swap
from tidegauge.lake.tables import AppTransaction, Lake
from tidegauge.lake.upkeep import (
    LARGE_BYTES,
    QUIET,
    SMALL_FILES,
    compact,
    compact_step,
    crowds,
    shorten_log,
    unused_files,
    vacuum,
)

if TYPE_CHECKING:
    from conftest import Rows

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def stored(lake: Lake, kind: Any = "records") -> pa.Table:
    handle = lake.open_table("p", "m", kind)
    assert handle is not None
    order = [("_batch", "ascending"), ("_row", "ascending")]
    return pa.table(handle.to_pyarrow_table()).sort_by(order)


def told(size: int, *, day: str = "2026-03-02", age: timedelta = timedelta(0)) -> dict[str, Any]:
    at = int((NOW - age).timestamp() * 1000)
    return {
        "path": f"{size}-{at}-{os.urandom(4).hex()}",
        "size_bytes": size,
        "modification_time": at,
        "partition._date": day,
    }


def test_joined_files_hold_the_same_rows_in_the_order_in_which_they_came(
    lake: Lake, rows: Rows
) -> None:
    for i in range(6):
        table = rows.records([f"a{i}", f"b{i}"], [1, 25])
        lake.append("p", "m", "records", table, app=AppTransaction("j", i))
    lake.append("p", "m", "records", rows.records(["new"]).append_column("x", pa.array([1.5])))
    before, held = lake.files("p", "m", "records"), stored(lake)
    assert compact(lake, "p", "m", "records", small_files=8).compacted == 0
    done = compact(lake, "p", "m", "records", small_files=6)
    assert (done.compacted, done.written) == (13, 2)
    files = lake.files("p", "m", "records")
    assert len(files) == 2
    assert pq.read_table(files[0], partitioning=None)["prediction_id"].to_pylist() == [
        *(f"a{i}" for i in range(6)),
        "new",
    ]
    assert all(Path(path).exists() for path in before)  # Queries may still read them.
    after = stored(lake)
    assert after.sort_by("prediction_id").equals(held.sort_by("prediction_id"))
    assert Lake(lake.root).app_version("p", "m", "records", "j") == 5
    assert compact(lake, "p", "m", "records", small_files=6).compacted == 0


def test_what_the_log_tells_of_joined_files_is_what_it_told_of_each(lake: Lake, rows: Rows) -> None:
    for hour in (3, 1, 5):
        lake.append("p", "m", "records", rows.records(["a"], hour))
    compact(lake, "p", "m", "records", small_files=3)
    handle = lake.open_table("p", "m", "records")
    assert handle is not None
    (file,) = files_of(handle)
    assert (file["num_records"], file["null_count.timestamp"]) == (3, 0)
    assert (file["min.timestamp"], file["max.timestamp"]) == (rows.at(1), rows.at(5))


def test_only_files_of_about_one_size_are_joined_while_a_date_is_written_to() -> None:
    small = [told(1000) for _ in range(SMALL_FILES)]
    middle = [told(3 << 20) for _ in range(SMALL_FILES - 1)]
    (group,) = crowds([*small, *middle, told(LARGE_BYTES)], NOW)
    assert {file["path"] for file in group} == {file["path"] for file in small}


def test_a_quiet_date_is_put_together_and_large_files_are_left_alone() -> None:
    old = [told(size, age=2 * QUIET) for size in (1000, 3 << 20, 5 << 20, 20 << 20)]
    assert [len(group) for group in crowds([*old, told(LARGE_BYTES, age=2 * QUIET)], NOW)] == [4]
    assert crowds(old[:3], NOW) == []


def test_one_step_reads_no_more_than_it_may() -> None:
    files = [told(40 << 20) for _ in range(20)]
    assert [len(group) for group in crowds(files, NOW)] == [3] * 6 + [2]


def test_files_out_of_use_are_deleted_once_the_longest_query_is_over(
    lake: Lake, rows: Rows
) -> None:
    for i in range(3):
        lake.append("p", "m", "records", rows.records([f"a{i}"]))
    before = [Path(path) for path in lake.files("p", "m", "records")]
    compact(lake, "p", "m", "records", small_files=3)
    orphan = before[0].with_name("orphan.parquet")
    orphan.write_bytes(b"of a commit that never came")
    assert vacuum(lake, "p", "m", "records") == 0
    long_ago = time.time() - 7200
    os.utime(orphan, (long_ago, long_ago))
    assert vacuum(lake, "p", "m", "records") == 1
    assert all(path.exists() for path in before) and not orphan.exists()
    names = {Path(path).name for path in unused_files(lake, "p", "m", "records", hours=0)}
    assert names == {path.name for path in before}
    assert stored(lake).num_rows == 3


def test_who_replaces_files_that_another_has_replaced_is_told_and_changes_nothing(
    lake: Lake, rows: Rows
) -> None:
    lake.append("p", "m", "records", rows.records(["a"]))
    first, second = (lake.open_table("p", "m", "records") for _ in range(2))
    place = lake.place("p", "m", "records")
    for handle in (first, second):
        assert handle is not None
        old = files_of(handle)
        new = [rewritten(place, file, lambda part: part) for file in old]
        assert None not in new
        made: list[Any] = [dataclasses.replace(one, data_change=False) for one in new if one]
        if handle is first:
            lake.append("p", "m", "records", rows.records(["b"]))
            swap(lake, "p", "m", "records", handle, old, made, rows_change=False)
            continue
        with pytest.raises(Overtaken):
            swap(lake, "p", "m", "records", handle, old, made, rows_change=False)
        assert isinstance(place, Path) and not (place / made[0].path).exists()
    assert stored(lake)["prediction_id"].to_pylist() == ["a", "b"]


def test_a_file_that_was_cleaned_up_before_its_commit_is_not_committed(
    lake: Lake, rows: Rows
) -> None:
    lake.append("p", "m", "records", rows.records(["a"]))
    handle, place = lake.open_table("p", "m", "records"), lake.place("p", "m", "records")
    assert handle is not None and isinstance(place, Path)
    (old,) = files_of(handle)
    made = rewritten(place, old, lambda part: part)
    assert made is not None
    (place / made.path).unlink()
    with pytest.raises(FileNotFoundError, match="begin again"):
        swap(lake, "p", "m", "records", handle, [old], [made], rows_change=False)
    assert stored(lake)["prediction_id"].to_pylist() == ["a"]


def test_appends_from_elsewhere_and_upkeep_do_not_fail_each_other_and_files_stay_few(
    lake: Lake, rows: Rows
) -> None:
    others = [Lake(lake.root), Lake(lake.root)]
    failures: list[BaseException] = []

    def write(own: Lake, name: str) -> None:
        try:
            for i in range(60):
                table = rows.records([f"{name}{i}"])
                own.append("p", "m", "records", table, app=AppTransaction(name, i + 1))
        except BaseException as error:
            failures.append(error)

    threads = [
        threading.Thread(target=write, args=(own, name))
        for own, name in zip(others, "ab", strict=True)
    ]
    for thread in threads:
        thread.start()
    most = joined = 0
    while any(thread.is_alive() for thread in threads):
        joined += compact_step(lake, "p", "m", "records").compacted
        most = max(most, len(lake.files("p", "m", "records")))
    assert not failures
    assert joined > 60 and most < 3 * SMALL_FILES
    table = stored(lake)
    assert sorted(table["prediction_id"].to_pylist()) == sorted(
        f"{name}{i}" for name in "ab" for i in range(60)
    )
    assert all(lake.app_version("p", "m", "records", name) == 60 for name in "ab")


def test_a_shortened_log_is_followed_by_readers_that_stopped_long_before(
    lake: Lake, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "LOG_RETENTION", "interval 0 seconds")
    reader = Lake(lake.root)
    lake.append("p", "m", "records", rows.records(["a"]))
    assert len(reader.files("p", "m", "records")) == 1
    for i in range(20):
        lake.append("p", "m", "records", rows.records([f"b{i}"]))
    shorten_log(lake, "p", "m", "records")
    log = Path(lake.root) / "p" / "m" / "records" / "_delta_log"
    assert len(list(log.iterdir())) < 5
    assert len(reader.files("p", "m", "records")) == 21
    lake.append("p", "m", "records", rows.records(["c"]))
    assert len(reader.files("p", "m", "records")) == 22


def test_stopped_in_the_middle_a_step_leaves_nothing_behind(lake: Lake, rows: Rows) -> None:
    for i in range(SMALL_FILES):
        lake.append("p", "m", "records", rows.records([f"a{i}", f"b{i}"], [1, 25]))
    before = sorted(Path(lake.root).rglob("*.parquet"))
    answers = iter([True, False])
    done = compact_step(lake, "p", "m", "records", go_on=lambda: next(answers))
    assert done.compacted == 0
    assert sorted(Path(lake.root).rglob("*.parquet")) == before
