"""The flusher: every entry reaches the lake exactly once, whatever fails on the way."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from tidegauge.lake.entries import Entry, EntryKind, JournalRequest
from tidegauge.lake.flusher import Flushed, Flusher
from tidegauge.lake.journal import Journal
from tidegauge.lake.tables import Lake

if TYPE_CHECKING:
    from conftest import Rows


def post(journal: Journal, table: pa.Table, kind: EntryKind = "records", model: str = "m") -> None:
    entry = Entry("p", model, kind, table)
    journal.append(JournalRequest("p", model, (entry,))).result(10)


def ids(lake: Lake, kind: EntryKind = "records", model: str = "m") -> list[str]:
    handle = lake.table("p", model, kind)
    return [] if handle is None else sorted(handle.to_pyarrow_table()["prediction_id"].to_pylist())


def test_a_flush_makes_one_commit_per_table_and_says_what_came(
    journal: Journal, lake: Lake, rows: Rows
) -> None:
    news: list[list[Flushed]] = []
    for i in range(20):
        post(journal, rows.records([f"a{i}"], i))
    post(journal, rows.labels({"a0": True, "a1": False}), "labels")
    post(journal, rows.records(["x"], 5), model="other")
    Flusher(journal, lake, on_flush=news.append).flush_now()
    assert lake.table_version("p", "m", "records") == 1
    by_model = {flushed.model: flushed for flushed in news[0]}
    assert by_model["m"] == Flushed("p", "m", 20, 2, 0, rows.at(0), rows.at(19), 21, 1, journal.id)
    assert by_model["other"].records == 1
    assert (journal.depth(), len(news)) == (0, 1)


def test_rows_keep_the_order_in_which_they_were_acknowledged(
    journal: Journal, lake: Lake, rows: Rows
) -> None:
    post(journal, rows.records(["a", "b"]))
    post(journal, rows.records(["c"]).append_column("extra", [["x"]]))
    post(journal, rows.records(["d", "e"]))
    Flusher(journal, lake).flush_now()
    handle = lake.table("p", "m", "records")
    assert handle is not None
    order = [("_ingested_at", "ascending"), ("_batch", "ascending"), ("_row", "ascending")]
    table = handle.to_pyarrow_table().sort_by(order)
    assert table["prediction_id"].to_pylist() == list("abcde")
    assert table["_batch"].to_pylist() == [1, 1, 2, 3, 3]
    assert table["_row"].to_pylist() == [0, 1, 0, 0, 1]
    assert table["extra"].to_pylist() == [None, None, "x", None, None]


class Died(BaseException):
    """Stands for the end of the process at one point."""


@pytest.mark.parametrize("commits", [1, 2])
def test_a_crash_between_commit_and_trim_stores_nothing_twice(
    tmp_path: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    path, root, crashed = tmp_path / "journal", tmp_path / "lake", tmp_path / "crashed"
    with Journal(path) as journal:
        flusher = Flusher(journal, Lake(root))
        for turn in range(commits):
            post(journal, rows.records([f"a{turn}", f"b{turn}"]))
            post(journal, rows.labels({f"a{turn}": True}), "labels")
            with monkeypatch.context() as patch:
                patch.setattr(journal, "trim", lambda upto: (_ for _ in ()).throw(Died()))
                with pytest.raises(Died):
                    flusher.flush_now()
        shutil.copytree(path, crashed)
    with Journal(crashed) as journal:
        post(journal, rows.records(["c"]))
        assert journal.depth() == 2 * commits + 1
        lake = Lake(root)
        news = Flusher(journal, lake).flush_now()
        assert ids(lake) == sorted(
            ["c", *(f"{name}{turn}" for name in "ab" for turn in range(commits))]
        )
        assert ids(lake, "labels") == [f"a{turn}" for turn in range(commits)]
        # What had come before the crash was never announced; it is now.
        assert sum(flushed.records for flushed in news) == 2 * commits + 1
        assert journal.depth() == 0


def test_a_commit_that_fails_after_it_was_made_is_not_made_again(
    journal: Journal, lake: Lake, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tidegauge.lake import tables

    write: Callable[..., Any] = tables.append_rows

    def made_and_failed(*args: Any, **kwargs: Any) -> None:
        write(*args, **kwargs)
        raise OSError("connection lost")

    post(journal, rows.records(["a"]))
    flusher = Flusher(journal, lake)
    with monkeypatch.context() as patch:
        patch.setattr(tables, "append_rows", made_and_failed)
        assert [flushed.records for flushed in flusher.flush_now()] == [1]
    assert (ids(lake), journal.depth()) == (["a"], 0)


def test_a_commit_whose_fate_is_not_known_at_first_is_not_made_again(
    journal: Journal, lake: Lake, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tidegauge.lake import tables

    write: Callable[..., Any] = tables.append_rows

    def made_and_failed(*args: Any, **kwargs: Any) -> None:
        write(*args, **kwargs)
        raise OSError("connection lost")

    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError("no connection")

    post(journal, rows.records(["a"]))
    flusher = Flusher(journal, lake)
    flusher.flush_now()
    post(journal, rows.records(["b"]))
    with monkeypatch.context() as patch:
        patch.setattr(tables, "append_rows", made_and_failed)
        patch.setattr(tables, "DeltaTable", unreachable)
        assert flusher.flush_now() == []
    assert journal.depth() == 1
    flusher.flush_now()
    assert (ids(lake), journal.depth()) == (["a", "b"], 0)


def test_rows_that_their_table_can_never_take_are_quarantined_and_the_others_stored(
    journal: Journal, lake: Lake, rows: Rows
) -> None:
    post(journal, rows.records(["a"]))
    Flusher(journal, lake).flush_now()
    for name, age in (("b", "41"), ("c", "old"), ("d", "43")):
        post(journal, rows.records([name]).set_column(2, "age", pa.array([age])))
    post(journal, rows.records(["e"]))
    Flusher(journal, lake).flush_now()
    assert ids(lake) == ["a", "b", "d", "e"]
    handle = lake.table("p", "m", "quarantine")
    assert handle is not None
    (row,) = handle.to_pyarrow_table().to_pylist()
    assert (row["code"], row["resource"]) == ("unstorable", "predictions")
    assert "'age' is stored as double" in row["message"]
    assert '"prediction_id":"c"' in row["record"] and '"age":"old"' in row["record"]
    assert journal.depth() == 0


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Age", pa.array([1.0])),
        ("wait", pa.array([1], pa.duration("us"))),
        ("local", pa.array([1], pa.timestamp("us", "Europe/Berlin"))),
    ],
)
def test_columns_that_a_table_can_never_have_do_not_hold_it_up(
    journal: Journal, lake: Lake, rows: Rows, name: str, values: Any
) -> None:
    flusher = Flusher(journal, lake)
    post(journal, rows.records(["a"]))
    flusher.flush_now()
    post(journal, rows.records(["b"]).drop_columns(["age"]).append_column(name, values))
    post(journal, rows.records(["c"]))
    flusher.flush_now()
    assert (ids(lake), journal.depth(), flusher.failing) == (["a", "c"], 0, {})
    handle = lake.table("p", "m", "quarantine")
    assert handle is not None
    assert '"prediction_id":"b"' in handle.to_pyarrow_table()["record"].to_pylist()[0]


def test_a_table_that_cannot_be_written_does_not_hold_up_the_others(
    journal: Journal, lake: Lake, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = lake.append

    def broken_for_one(project: str, model: str, *args: Any, **kwargs: Any) -> int:
        if model == "broken":
            raise OSError("no space left")
        return append(project, model, *args, **kwargs)

    monkeypatch.setattr(lake, "append", broken_for_one)
    flusher = Flusher(journal, lake, interval=0.01)
    post(journal, rows.records(["a"]), model="broken")
    post(journal, rows.records(["b"]))
    news = flusher.flush_now()
    assert [flushed.model for flushed in news] == ["m"]
    assert ids(lake) == ["b"]
    assert (flusher.failures, flusher.failing) == (1, {("p", "broken", "records"): 1})
    assert journal.depth() == 1
    monkeypatch.undo()
    flusher.start()
    post(journal, rows.records(["c"]), model="broken")
    deadline = time.monotonic() + 10
    while journal.depth() and time.monotonic() < deadline:
        time.sleep(0.01)
    flusher.stop()
    assert ids(lake, model="broken") == ["a", "c"]
    assert flusher.failing == {}


def test_entries_whose_types_differ_are_committed_one_after_the_other(
    journal: Journal, lake: Lake, rows: Rows
) -> None:
    post(journal, rows.records(["a"]))
    number_as_text = rows.records(["b"]).set_column(2, "age", pa.array(["41"]))
    post(journal, number_as_text)
    post(journal, rows.records(["c"]))
    Flusher(journal, lake).flush_now()
    assert ids(lake) == ["a", "b", "c"]
    assert journal.depth() == 0


def test_a_journal_put_back_from_a_copy_loses_nothing_new(tmp_path: Path, rows: Rows) -> None:
    path, copy, lake = tmp_path / "journal", tmp_path / "copy", Lake(tmp_path / "lake")
    with Journal(path) as journal:
        post(journal, rows.records(["a"]))
        Flusher(journal, lake).flush_now()
        post(journal, rows.records(["b"]))
        shutil.copytree(path, copy)
        for name in "cd":
            post(journal, rows.records([name]))
        Flusher(journal, lake).flush_now()
    shutil.rmtree(path)
    shutil.move(copy, path)
    with Journal(path) as journal:
        post(journal, rows.records(["e"]))
        Flusher(journal, lake).flush_now()
    assert ids(lake) == ["a", "b", "c", "d", "e"]


def test_what_could_not_be_handed_on_stays_in_the_journal_and_is_told_again(
    journal: Journal, lake: Lake, rows: Rows
) -> None:
    heard: list[list[Flushed]] = []

    def listening(news: list[Flushed]) -> None:
        heard.append(news)
        if len(heard) == 1:
            raise OSError("the catalog is away")

    flusher = Flusher(journal, lake, on_flush=listening)
    post(journal, rows.records(["a"]))
    assert flusher.flush_now() == []
    assert (ids(lake), journal.depth()) == (["a"], 1)
    post(journal, rows.records(["b"]))
    (told,) = flusher.flush_now()
    assert (told.records, told.first_offset, told.last_offset) == (2, 1, 2)
    assert (ids(lake), journal.depth(), len(heard)) == (["a", "b"], 0, 3)
    assert flusher.flush_now() == []


def test_a_flush_ends_though_more_comes_all_the_while(
    journal: Journal, lake: Lake, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What failed is tried again by the next flush only, so each has to end."""
    appended = lake.append
    writes: list[int] = []

    def append(*place: Any, **options: Any) -> int:
        writes.append(len(writes))
        if len(writes) < 30:
            post(journal, rows.records([f"later{len(writes)}"]))
        return appended(*place, **options)

    monkeypatch.setattr(lake, "append", append)
    post(journal, rows.records(["a"]))
    Flusher(journal, lake).flush_now()
    assert ids(lake) == ["a"]
    assert (len(writes), journal.depth()) == (1, 1)


def test_news_are_told_once_though_a_segment_cannot_be_deleted(
    journal: Journal, lake: Lake, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    news: list[Flushed] = []
    flusher = Flusher(journal, lake, on_flush=news.extend)
    with monkeypatch.context() as patched:
        full = sqlite3.OperationalError("database or disk is full")
        patched.setattr(journal._answers, "keep", lambda answers: (_ for _ in ()).throw(full))
        for name in "abc":
            post(journal, rows.records([name]))
            journal.roll()
            flusher.flush_now()
        assert journal.oldest_segment() == 1
    assert [one.records for one in news] == [1, 1, 1]
    assert (ids(lake), journal.depth()) == (["a", "b", "c"], 0)
    flusher.flush_now()
    assert journal.oldest_segment() == 4


class Changing(dict[Any, Any]):
    """Changes its size while it is gone through, as a flush in another thread may have it do."""

    def items(self) -> Any:
        raise RuntimeError("dictionary changed size during iteration")


def test_the_thread_outlives_a_flush_in_another_one(
    journal: Journal, lake: Lake, rows: Rows
) -> None:
    flusher = Flusher(journal, lake, interval=0.01)
    flusher._failing = Changing()
    flusher.start()
    post(journal, rows.records(["a"]))
    until = time.monotonic() + 10
    while journal.depth() and time.monotonic() < until:
        time.sleep(0.01)
    assert journal.depth() == 0
    flusher.stop()


def test_the_thread_flushes_by_itself_and_once_more_at_the_end(
    journal: Journal, lake: Lake, rows: Rows
) -> None:
    flusher = Flusher(journal, lake, interval=0.02)
    flusher.start()
    post(journal, rows.records(["a"]))
    deadline = time.monotonic() + 10
    while journal.depth() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ids(lake) == ["a"]
    flusher.interval = 60
    post(journal, rows.records(["b"]))
    flusher.stop()
    assert ids(lake) == ["a", "b"]


SERVER = """
import sys, threading
import pyarrow as pa
from tidegauge.lake.entries import Entry, JournalRequest
from tidegauge.lake.flusher import Flusher
from tidegauge.lake.journal import Journal
from tidegauge.lake.tables import Lake

journal, turn = Journal(sys.argv[1]), sys.argv[3]
Flusher(journal, Lake(sys.argv[2]), interval=0.02).start()
said = threading.Lock()

def work(worker):
    for i in range(1_000_000):
        name = f"{turn}-{worker}-{i}"
        table = pa.table({"prediction_id": [name]})
        request = JournalRequest("p", "m", (Entry("p", "m", "records", table),))
        journal.append(request).result()
        with said:
            sys.stdout.write(name + chr(10))
            sys.stdout.flush()

for worker in range(4):
    threading.Thread(target=work, args=(worker,)).start()
threading.Event().wait()
"""


def test_what_was_acknowledged_is_in_the_lake_once_after_kill_9_while_flushing(
    tmp_path: Path,
) -> None:
    path, root = tmp_path / "journal", tmp_path / "lake"
    acknowledged: list[str] = []
    for turn in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(path), str(root), str(turn)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert process.stdout is not None
        for _ in range(60 + 23 * turn):
            acknowledged.append(process.stdout.readline().strip())
        process.send_signal(signal.SIGKILL)
        acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
        process.wait()
        process.stdout.close()
    lake = Lake(root)
    moved_before = len(ids(lake))
    with Journal(path) as journal:
        Flusher(journal, lake).flush_now()
        assert journal.depth() == 0
    stored = ids(lake)
    assert moved_before > 0
    assert len(stored) == len(set(stored))
    assert set(acknowledged) <= set(stored)


def test_a_flush_that_hangs_is_seen_even_if_it_is_the_first(
    journal: Journal, lake: Lake, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    appended = lake.append

    def hang(*place: Any, **options: Any) -> int:
        go_on.wait(10)
        return appended(*place, **options)

    monkeypatch.setattr(lake, "append", hang)
    flusher = Flusher(journal, lake, interval=0.01)
    flusher.start()
    post(journal, rows.records(["a"]))
    time.sleep(0.5)
    assert flusher.silence > 0.3
    go_on.set()
    flusher.stop()
    assert flusher.silence < 0.3
