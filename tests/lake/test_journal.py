"""The journal: durable before acknowledged, once per key, bounded, alive after ``kill -9``."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegauge.errors import Conflict, Overloaded, SchemaMismatch
from tidegauge.lake import groups, segments
from tidegauge.lake.answers import Released
from tidegauge.lake.entries import Entry, EntryKind, JournalRequest, Receipt, decode, encode
from tidegauge.lake.frames import Frame, FrameKind
from tidegauge.lake.journal import Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal(path) as opened:
        yield opened


def entry(*ids: str, kind: EntryKind = "records", model: str = "m") -> Entry:
    return Entry("p", model, kind, pa.table({"prediction_id": list(ids), "x": [1.0] * len(ids)}))


def request(
    *entries: Entry, key: str | None = None, answer: bytes = b"", model: str = "m"
) -> JournalRequest:
    return JournalRequest("p", model, entries, {} if key is None else {key: answer})


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
    assert [r.offset for r in receipts] == [1, 2, 3, 4, 5]
    with Journal(path) as again:
        assert stored_ids(again) == [f"a{i}" for i in range(5)]
        assert (again.depth(), again.last_offset) == (5, 5)
        assert again.backlog_bytes > 0
        assert again.oldest_age() < 60


def test_an_offset_with_its_journals_id_is_not_given_twice(path: Path) -> None:
    with Journal(path) as journal:
        identity = journal.id
        journal.append(request(entry("a"))).result()
        journal.trim({(("p", "m", "records"), journal.id): 1})
        assert (journal.depth(), journal.backlog_bytes, journal.oldest_age()) == (0, 0, 0.0)
    with Journal(path) as again:
        # Numbers begin anew, under another id.
        assert again.id != identity
        assert again.append(request(entry("b"))).result().offset == 1


def test_trim_forgets_only_the_table_it_names(journal: Journal) -> None:
    journal.append(request(entry("a"), entry("b", kind="quarantine"))).result()
    journal.append(request(entry("c", model="other"), model="other")).result()
    journal.trim({(("p", "m", "records"), journal.id): 99})
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
        now = time.monotonic()
        monkeypatch.setattr("tidegauge.lake.answers.time.monotonic", lambda: now + 25 * 3600)
        assert journal.answer_for("p", "m", "k") is None
        assert not journal.append(request(entry("b"), key="k", answer=b"two")).result().replayed


@pytest.mark.parametrize("fails", ["_write_all", "sync_data"])
def test_a_group_that_the_disk_does_not_take_leaves_nothing_behind(
    path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    write = segments._write_all

    def full(descriptor: int, buffers: Sequence[object] = ()) -> None:
        write(descriptor, list(buffers)[:1])  # Half of it stands there already.
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Journal(path) as journal:
        journal.append(request(entry("a"))).result(10)
        with monkeypatch.context() as patch:
            patch.setattr(segments, fails, full)
            future = journal.append(request(entry("b"), entry("c", kind="quarantine"), key="k"))
            with pytest.raises(Overloaded, match="No space left on device; send again"):
                future.result(10)
        assert stored_ids(journal) == ["a"]
        assert journal.answer_for("p", "m", "k") is None
        assert journal.queued_bytes == 0
        assert not journal.append(request(entry("d"), key="k")).result(10).replayed
        assert stored_ids(journal) == ["a", "d"]
        copy = path.with_name("copy")
        shutil.copytree(path, copy)
    with Journal(copy) as again:
        assert stored_ids(again) == ["a", "d"]
        assert again.damaged == 0


def test_one_request_that_cannot_be_written_does_not_take_its_group_along(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    framed = groups.framed

    def refusing(group: Sequence[Any], *more: Any) -> Any:
        if any("bad" in item.request.answers for item in group):
            raise ZeroDivisionError
        return framed(group, *more)

    monkeypatch.setattr("tidegauge.lake.journal.framed", refusing)
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


def test_several_senders_records_stored_together_keep_each_their_answer(path: Path) -> None:
    with Journal(path) as journal:
        assert journal.claim("p", "m", "k1") is None
        assert journal.claim("p", "m", "k2") is None
        waiting = journal.claim("p", "m", "k1")
        answers = {"k1": b"one", "k2": b"two"}
        both = JournalRequest("p", "m", (entry("a", "b"),), answers)
        journal.append(both, claimed=True).result(10)
        assert waiting is not None and waiting.result(10) == b"one"
    with Journal(path) as again:
        assert [again.answer_for("p", "m", key) for key in answers] == [b"one", b"two"]


def test_a_key_that_was_given_back_can_be_claimed_again(journal: Journal) -> None:
    assert journal.claim("p", "m", "k") is None
    waiting = journal.claim("p", "m", "k")
    journal.release("p", "m", "k")
    assert waiting is not None
    with pytest.raises(Released):
        waiting.result(10)
    assert journal.claim("p", "m", "k") is None


def test_a_key_that_could_not_be_looked_up_can_be_claimed_again(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(key: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(journal._answers, "find", fail)
        with pytest.raises(sqlite3.OperationalError):
            journal.claim("p", "m", "k")
    assert journal.claim("p", "m", "k") is None


def test_answers_outlive_their_segment(path: Path) -> None:
    with Journal(path) as journal:
        journal.append(request(entry("a"), key="k", answer=b"one")).result(10)
        journal.trim({(("p", "m", "records"), journal.id): 1})
        journal.roll()
        assert not list(path.glob("*.segment"))
        assert journal.answer_for("p", "m", "k") == b"one"
    with Journal(path) as again:
        assert again.append(request(entry("a"), key="k")).result(10).replayed


def test_segments_follow_each_other_and_go_when_all_of_them_is_in_the_lake(path: Path) -> None:
    with Journal(path, segment_bytes=4_000) as journal:
        for i in range(20):
            journal.append(request(entry(f"a{i}"))).result(10)
        before = len(list(path.glob("*.segment")))
        assert before > 2
        journal.trim({(("p", "m", "records"), journal.id): 10})
        assert 0 < len(list(path.glob("*.segment"))) < before
        assert stored_ids(journal) == [f"a{i}" for i in range(10, 20)]
        journal.written({(("p", "m", "records"), journal.id): 15})
        assert stored_ids(journal) == [f"a{i}" for i in range(15, 20)]
        assert journal.depth() == 10


def three_requests(path: Path) -> tuple[Path, list[Frame]]:
    """Leave a journal with three requests; return its segment, and their frames."""
    with Journal(path) as journal:
        for name in "abc":
            journal.append(request(entry(name), key=name, answer=name.encode())).result(10)
    (segment,) = path.glob("*.segment")
    frames = [one for one in segments.frames_of(segment) if isinstance(one, Frame)]
    return segment, [one for one in frames if one.kind is FrameKind.REQUEST]


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))


@pytest.mark.parametrize("where", ["header", "description", "rows"])
def test_a_flipped_bit_costs_one_request_which_is_named_and_kept(
    path: Path, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    segment, frames = three_requests(path)
    at = {"header": 9, "description": 60, "rows": frames[1].parts[0].start - frames[1].start}[where]
    flip(segment, frames[1].start + at)
    with Journal(path) as journal:
        assert stored_ids(journal) == ["a", "c"]
        assert journal.damaged == 1
        assert journal.answer_for("p", "m", "a") == b"a"
    (kept,) = (path / "damaged").iterdir()
    assert kept.stat().st_size == frames[1].end - frames[1].start
    assert ("1 records of p/m" in caplog.text) == (where == "rows")


def test_a_bit_that_flips_while_the_server_runs_is_seen_before_the_rows_are_used(
    path: Path,
) -> None:
    with Journal(path) as journal:
        for name in "ab":
            journal.append(request(entry(name))).result(10)
        (segment,) = path.glob("*.segment")
        first = next(
            one
            for one in segments.frames_of(segment)
            if isinstance(one, Frame) and one.kind is FrameKind.REQUEST
        )
        flip(segment, first.parts[0].start + 30)
        assert stored_ids(journal) == ["b"]
        assert (journal.depth(), journal.damaged) == (1, 1)


@pytest.mark.parametrize("cut", [1, 64, 300])
def test_a_journal_that_was_cut_off_keeps_what_is_whole(path: Path, cut: int) -> None:
    segment, frames = three_requests(path)
    os.truncate(segment, frames[2].end - cut)
    with Journal(path) as journal:
        assert stored_ids(journal) == ["a", "b"]
        # Ends that were never whole are usual after a crash, and nothing to raise an alarm for.
        assert journal.damaged == 0
        journal.append(request(entry("d"))).result(10)
        assert stored_ids(journal) == ["a", "b", "d"]


@given(st.data())
@settings(max_examples=150)
def test_whatever_happens_to_a_segment_nothing_false_is_read_from_it(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "journal")
        segment, _ = three_requests(path)
        content = bytearray(segment.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(content) - 1))
            content[at] ^= data.draw(st.integers(1, 255))
        segment.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
        with Journal(path) as journal:
            stored = stored_ids(journal)
            assert stored == sorted(set(stored) & set("abc"))
            journal.append(request(entry("d"))).result(10)
            assert stored_ids(journal) == [*stored, "d"]


def test_answers_that_cannot_be_read_are_set_aside(path: Path) -> None:
    with Journal(path) as journal:
        journal.append(request(entry("a"), key="k")).result(10)
    (path / "answers.sqlite").write_bytes(b"not a database at all" * 100)
    with Journal(path) as journal:
        assert stored_ids(journal) == ["a"]
        assert journal.append(request(entry("a"), key="k")).result(10).replayed
    assert len(list(path.glob("answers.sqlite.damaged-*"))) == 1


def test_nothing_is_taken_when_the_disk_is_nearly_full(path: Path) -> None:
    free = shutil.disk_usage(path.parent).free
    with Journal(path, min_free_bytes=free * 2) as journal:
        with pytest.raises(Overloaded, match="make room, then send again"):
            journal.append(request(entry("a")))
        journal.min_free_bytes = 0
        journal.append(request(entry("a"))).result(10)


def test_a_backlog_beyond_its_bound_is_refused_until_it_is_trimmed(path: Path) -> None:
    with Journal(path, max_backlog_bytes=20_000) as journal:
        with pytest.raises(Overloaded, match="wait for the lake") as refusal:
            for i in range(1_000):
                journal.append(request(entry(f"a{i}"))).result()
        assert refusal.value.retry_after > 0
        assert journal.backlog_bytes <= 20_000
        journal.trim({(("p", "m", "records"), journal.id): journal.last_offset})
        journal.append(request(entry("again"))).result()


def test_a_queue_beyond_its_bound_is_refused_at_once(path: Path) -> None:
    with Journal(path, max_queued_bytes=4_000) as journal, journal._ready:
        with pytest.raises(Overloaded, match="wait for their commit"):
            for i in range(1_000):
                journal.append(request(entry(f"a{i}")))
        assert journal.queued_bytes <= 4_000


def test_one_process_at_a_time_holds_a_journal(journal: Journal) -> None:
    with pytest.raises(Conflict, match="another process holds"):
        Journal(journal.folder)


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
from tidegauge.lake import groups, segments
from tidegauge.lake.answers import Released
from tidegauge.lake.entries import Entry, JournalRequest
from tidegauge.lake.journal import Journal

journal, turn = Journal(sys.argv[1]), sys.argv[2]
said = threading.Lock()

def work(worker):
    for i in range(1_000_000):
        name = f"{turn}-{worker}-{i}"
        table = pa.table({"prediction_id": [name, name + "b"], "x": [1.0, 2.0]})
        entry = Entry("p", "m", "records", table)
        request = JournalRequest("p", "m", (entry,), {name: b""})
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


def test_a_backlog_of_many_small_entries_is_read_with_few_views_of_files(journal: Journal) -> None:
    """A process may have 65,530 views; past them nothing could be read, now or after a restart."""
    futures = [journal.append(request(entry(str(i)))) for i in range(500)]
    assert [future.result(10).offset for future in futures] == list(range(1, 501))
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("only Linux tells a process's views of files")
    before = maps.read_text().count(str(journal.folder))
    pending = journal.pending(1 << 30)
    assert len(pending) == 500
    assert maps.read_text().count(str(journal.folder)) - before == 1


def test_a_segment_that_cannot_be_opened_for_a_moment_loses_nothing(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(request(entry("a"))).result()

    def refuse(path: str) -> None:
        raise OSError(errno.EMFILE, "Too many open files", path)

    with monkeypatch.context() as patched:
        patched.setattr(pa, "memory_map", refuse)
        with pytest.raises(OSError, match="Too many open files"):
            journal.pending()
    assert stored_ids(journal) == ["a"]
    assert journal.damaged == 0


def test_answers_do_not_pile_up_in_memory_while_a_table_cannot_be_written(path: Path) -> None:
    """One entry that cannot go keeps its segment, and the answers of all who wrote to that."""
    with Journal(path, segment_bytes=1, max_backlog_bytes=1 << 30) as journal:
        journal.append(request(entry("stuck", model="other"), model="other")).result()
        for i in range(50):
            journal.append(request(entry(str(i)), key=f"k{i}", answer=b"yes")).result()
        assert journal.pending(exclude={("p", "m", "records"), ("p", "other", "records")}) == []
        assert len(journal._answers._recent) <= 1
        assert journal.answer_for("p", "m", "k3") == b"yes"
    with Journal(path) as journal:
        assert journal.append(request(entry("3"), key="k3")).result().replayed


def test_the_writing_thread_outlives_whatever_goes_wrong_in_a_commit(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("cannot start new thread")

    journal.on_commit = fail
    assert journal.append(request(entry("a"), key="k")).result(10).offset == 1
    with monkeypatch.context() as patched:
        patched.setattr(journal._waiting, "add", fail)
        with pytest.raises(RuntimeError):
            journal.append(request(entry("b"), key="k2")).result(10)
    assert journal.queued_bytes == 0
    assert journal.append(request(entry("b"), key="k2")).result(10).replayed is False
    assert stored_ids(journal)[-1] == "b"


def test_a_file_that_stands_where_the_next_segment_goes_holds_nothing_up_for_long(
    journal: Journal,
) -> None:
    (journal.folder / "000000000001.segment").write_bytes(b"left by a disk that failed")
    with pytest.raises(Overloaded):
        journal.append(request(entry("a"))).result(10)
    assert journal.append(request(entry("a"))).result(10).offset == 1
