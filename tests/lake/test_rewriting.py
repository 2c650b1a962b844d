"""Files written anew, on a disk and in an object store: wider types, rows that leave, rows once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from object_store import Store

from tidegauge.lake.columns import stamped
from tidegauge.lake.names import TableKind
from tidegauge.lake.replayed import append_once, drop, names_of
from tidegauge.lake.tables import Lake
from tidegauge.lake.widening import widen

START = datetime(2026, 1, 5, tzinfo=UTC)
TABLE: tuple[str, str, TableKind] = ("p", "m", "records")


@pytest.fixture(params=["disk", "object store"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lake]:
    if request.param == "disk":
        yield Lake(tmp_path)
        return
    bucket: Store = request.getfixturevalue("bucket")
    opened = Lake(f"{bucket.url}/lake", bucket.options, cache=tmp_path / "cache")
    yield opened
    opened.close()


def rows(batch: int, values: Any) -> pa.Table:
    n = len(values)
    times = pa.array([START] * n, pa.timestamp("us", "UTC"))
    table = pa.table({"timestamp": times, "x": values})
    return stamped(table, "records", START, journal="j", batch=pa.repeat(batch, n))


def stored(lake: Lake) -> list[Any]:
    handle = lake.open_table(*TABLE)
    assert handle is not None
    return sorted(pa.table(handle.to_pyarrow_table())["x"].to_pylist())


def test_a_type_gets_wider_in_files_that_anybody_can_read(lake: Lake) -> None:
    lake.append(*TABLE, rows(1, [1.0, 2.5]))
    lake.append(*TABLE, rows(2, [3.0]))
    assert widen(lake, *TABLE, {"x": pa.string(), "not there": pa.string()}) == 2
    assert stored(lake) == ["1", "2.5", "3"]
    lake.append(*TABLE, rows(3, [4.0]))  # from before the change, and cast
    assert stored(lake) == ["1", "2.5", "3", "4"]
    assert widen(lake, *TABLE, {"x": pa.string()}) == 0
    # What the log tells of each file still leaves out those that cannot hold a row.
    assert len(lake.files(*TABLE, where="_batch > 1")) == 2


def test_rows_leave_by_their_names_and_others_stay(lake: Lake) -> None:
    lake.append(*TABLE, rows(1, ["a", "b", "c"]))
    lake.append(*TABLE, rows(2, ["d"]))
    lake.append(*TABLE, rows(3, ["e"]))
    assert drop(lake, *TABLE, ["j:1:1", "j:2:0", "j:9:0"]) == 2
    assert stored(lake) == ["a", "c", "e"]
    assert drop(lake, *TABLE, ["j:1:1"]) == 0
    assert drop(lake, *TABLE, []) == 0


def test_rows_are_added_once_whatever_comes_between(lake: Lake) -> None:
    def known(names: Sequence[str]) -> set[str]:
        handle = lake.open_table(*TABLE)
        assert handle is not None
        return set(names) & set(names_of(pa.table(handle.to_pyarrow_table())))

    table, turns = rows(1, ["a", "b"]), 0

    def overtaken(names: Sequence[str]) -> set[str]:
        """Tell what is there, and then let another server add the same rows, or other ones."""
        nonlocal turns
        turns += 1
        found = known(names)
        if turns == 1:
            lake.append(*TABLE, rows(7, ["z"]))
        if turns == 2:
            assert append_once(lake, *TABLE, table.slice(0, 1), known) == 1
        return found

    assert append_once(lake, *TABLE, table, overtaken) == 1
    assert append_once(lake, *TABLE, table, known) == 0
    assert stored(lake) == ["a", "b", "z"]
