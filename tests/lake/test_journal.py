"""The journal: durable before acknowledged, once per key, bounded, alive after ``kill -9``."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pyarrow as pa
import pytest

from tidegauge.errors import Conflict, Overloaded, SchemaMismatch
from tidegauge.lake.entries import Entry, EntryKind, JournalRequest, Receipt, decode, encode
from tidegauge.lake.journal import Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal(path) as opened:
        yield opened


def entry(*ids: str, kind: EntryKind = "records", model: str = "m") -> Entry:
    return Entry("p", model, kind, pa.table({"prediction_id": list(ids), "x": [1.0] * len(ids)}))


def request(
    *entries: Entry, key: str | None = None, answer: bytes = b"", model: str = "m"
) -> JournalRequest:
    return JournalRequest("p", model, entries, key, answer)


def stored_ids(journal: Journal) -> list[str]:
    return [i for e in journal.pending(1 << 30) for i in e.batch["prediction_id"].to_pylist()]


@pytest.mark.parametrize("rows", [0, 1, 20_000])
def test_a_table_comes_back_from_its_bytes(rows: int) -> None:
    table = pa.table({"id": [str(i) for i in range(rows)], "x": pa.array(range(rows), "double")})
    chunked = pa.concat_tables([table.slice(0, rows // 3), table.slice(rows // 3)])
    assert pa.Table.from_batches([decode(*encode(chunked))]) == table


def test_what_was_appended_is_pending_in_order_after_reopening(path: Path) -> None:
    with Journal(path) as journal:
        receipts = [journal.append(request(entry(f"a{i}"))).result() for i in range(5)]
        identity = journal.id
    assert [r.offset for r in receipts] == [1, 2, 3, 4, 5]
    with Journal(path) as again:
        assert stored_ids(again) == [f"a{i}" for i in range(5)]
        assert (again.id, again.depth(), again.last_offset) == (identity, 5, 5)
        assert again.backlog_bytes > 0
        assert again.oldest_age() < 60


def test_offsets_are_not_given_twice_after_a_trim_and_a_restart(path: Path) -> None:
    with Journal(path) as journal:
        journal.append(request(entry("a"))).result()
        journal.trim({("p", "m", "records"): 1})
        assert (journal.depth(), journal.backlog_bytes, journal.oldest_age()) == (0, 0, 0.0)
    with Journal(path) as again:
        assert again.last_offset == 1
        assert again.append(request(entry("b"))).result().offset == 2


def test_trim_forgets_only_the_table_it_names(journal: Journal) -> None:
    journal.append(request(entry("a"), entry("b", kind="quarantine"))).result()
    journal.append(request(entry("c", model="other"))).result()
    journal.trim({("p", "m", "records"): 99})
    assert stored_ids(journal) == ["b", "c"]
    assert [e.batch.num_rows for e in journal.pending(exclude={("p", "m", "quarantine")})] == [1]


def test_pending_reads_at_most_the_bytes_it_is_told_and_one_entry_at_least(
    journal: Journal,
) -> None:
    for i in range(10):
        journal.append(request(entry(f"a{i}"))).result()
    size = journal.backlog_bytes // 10
    assert len(journal.pending(3 * size)) == 3
    assert len(journal.pending(1)) == 1


def test_a_key_keeps_its_answer_and_stores_nothing_twice(journal: Journal) -> None:
    first = journal.append(request(entry("a"), key="k", answer=b"one")).result()
    second = journal.append(request(entry("b"), key="k", answer=b"two")).result()
    other = journal.append(request(entry("c", model="n"), key="k", answer=b"3", model="n")).result()
    assert first == Receipt(1, b"one")
    assert second == Receipt(0, b"one", replayed=True)
    assert not other.replayed
    assert stored_ids(journal) == ["a", "c"]
    assert journal.answer_for("p", "m", "k") == b"one"
    assert journal.answer_for("p", "m", "unknown") is None


def test_requests_that_race_with_one_key_are_stored_once_and_answered_alike(
    journal: Journal,
) -> None:
    start = threading.Barrier(16)
    futures: list[Future[Receipt]] = []

    def race(number: int) -> None:
        start.wait()
        for turn in range(20):
            mine = request(entry(f"{turn}"), key=f"k{turn}", answer=f"{number}".encode())
            futures.append(journal.append(mine))

    threads = [threading.Thread(target=race, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    receipts = [f.result(10) for f in futures]
    assert sum(not r.replayed for r in receipts) == 20
    assert sorted(stored_ids(journal), key=int) == [str(i) for i in range(20)]
    assert {r.answer for r in receipts} == {
        journal.answer_for("p", "m", f"k{turn}") for turn in range(20)
    }


def test_an_answer_older_than_a_day_is_forgotten(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal(path) as journal:
        journal.append(request(entry("a"), key="k", answer=b"one")).result()
        now = time.time()
        monkeypatch.setattr("tidegauge.lake.journal.time.time", lambda: now + 25 * 3600)
        assert journal.answer_for("p", "m", "k") is None
        assert not journal.append(request(entry("b"), key="k", answer=b"two")).result().replayed


def test_the_entries_of_a_request_are_stored_together_or_not_at_all(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = iter([1])

    def second_fails(layout: bytes) -> int:
        try:
            return next(numbers)
        except StopIteration:
            raise sqlite3.OperationalError("database or disk is full") from None

    with monkeypatch.context() as patch:
        patch.setattr(journal, "_layout_number", second_fails)
        future = journal.append(request(entry("a"), entry("b", kind="quarantine"), key="k"))
        with pytest.raises(Overloaded, match="disk is full"):
            future.result(10)
    assert journal.pending() == []
    assert journal.answer_for("p", "m", "k") is None
    assert journal.queued_bytes == 0
    journal.append(request(entry("c"))).result(10)
    assert stored_ids(journal) == ["c"]


def test_one_request_that_cannot_be_written_does_not_take_its_group_along(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = journal._store
    monkeypatch.setattr(
        journal,
        "_store",
        lambda item: store(item) if item.request.key != "bad" else 1 // 0,
    )
    with journal._ready:  # The writer cannot collect while these queue up: one group.
        futures = [
            journal.append(request(entry(key), key=key, answer=b"ok"))
            for key in ("good", "bad", "fine")
        ]
    assert futures[0].result(10).answer == b"ok"
    with pytest.raises(ZeroDivisionError):
        futures[1].result(10)
    assert futures[2].result(10).offset > 0
    assert stored_ids(journal) == ["good", "fine"]


def test_a_backlog_beyond_its_bound_is_refused_until_it_is_trimmed(path: Path) -> None:
    with Journal(path, max_backlog_bytes=4_000) as journal:
        with pytest.raises(Overloaded, match="wait for the lake") as refusal:
            for i in range(1_000):
                journal.append(request(entry(f"a{i}"))).result()
        assert refusal.value.retry_after > 0
        assert journal.backlog_bytes <= 4_000
        journal.trim({("p", "m", "records"): journal.last_offset})
        journal.append(request(entry("again"))).result()


def test_a_queue_beyond_its_bound_is_refused_at_once(path: Path) -> None:
    with Journal(path, max_queued_bytes=4_000) as journal, journal._ready:
        with pytest.raises(Overloaded, match="wait for their commit"):
            for i in range(1_000):
                journal.append(request(entry(f"a{i}")))
        assert journal.queued_bytes <= 4_000


def test_one_process_at_a_time_holds_a_journal(journal: Journal) -> None:
    with pytest.raises(Conflict, match="another process holds"):
        Journal(journal.path)


def test_a_closed_journal_commits_what_is_queued_and_refuses_more(path: Path) -> None:
    journal = Journal(path)
    futures = [journal.append(request(entry(f"a{i}"))) for i in range(50)]
    journal.close()
    assert [f.result(0).offset for f in futures] == list(range(1, 51))
    with pytest.raises(Conflict, match="closed"):
        journal.append(request(entry("late")))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"_batch": [1]}, "kept for the lake"),
        ({"Age": [1], "age": [1]}, "differ in case only"),
        ({"c": pa.array(["a"]).dictionary_encode()}, "dictionary"),
        ({"c": pa.nulls(1)}, "null"),
    ],
)
def test_columns_that_the_lake_cannot_store_are_refused_before_they_are_acknowledged(
    table: dict[str, pa.Array], message: str
) -> None:
    with pytest.raises(SchemaMismatch, match=message):
        Entry("p", "m", "records", pa.table(table))


APPENDER = """
import sys, threading
import pyarrow as pa
from tidegauge.lake.entries import Entry, JournalRequest
from tidegauge.lake.journal import Journal

journal, turn = Journal(sys.argv[1]), sys.argv[2]
said = threading.Lock()

def work(worker):
    for i in range(1_000_000):
        name = f"{turn}-{worker}-{i}"
        table = pa.table({"prediction_id": [name, name + "b"], "x": [1.0, 2.0]})
        request = JournalRequest("p", "m", (Entry("p", "m", "records", table),), key=name)
        journal.append(request).result()
        with said:
            sys.stdout.write(name + chr(10))
            sys.stdout.flush()

for worker in range(4):
    threading.Thread(target=work, args=(worker,)).start()
"""


def test_what_was_acknowledged_before_kill_9_is_there_once(path: Path) -> None:
    acknowledged: list[str] = []
    for turn in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", APPENDER, str(path), str(turn)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert process.stdout is not None
        for _ in range(40 + 17 * turn):
            acknowledged.append(process.stdout.readline().strip())
        process.send_signal(signal.SIGKILL)
        # What it had still said before it died counts as acknowledged; a torn line does not.
        acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
        process.wait()
        process.stdout.close()
    assert len(acknowledged) > 200
    with Journal(path) as journal:
        stored = stored_ids(journal)
        assert len(stored) == len(set(stored))
        assert set(acknowledged) | {name + "b" for name in acknowledged} <= set(stored)
        assert all(journal.answer_for("p", "m", name) == b"" for name in acknowledged)
