"""A lake on an object store, by S3's protocol: what it holds, and what becomes of its faults."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from object_store import HASTE, Fault, Proxy, Store, every, proxied

from tidegauge.errors import BadInput, Unavailable
from tidegauge.lake import store as store_module
from tidegauge.lake.points import PointReader, append_points
from tidegauge.lake.profiles import ProfileRow, get_profiles, put_profiles
from tidegauge.lake.store import RemoteStore
from tidegauge.lake.tables import AppTransaction, Lake
from tidegauge.lake.upkeep import compact

if TYPE_CHECKING:
    from conftest import Rows

POINTS = pa.schema(
    {
        **dict.fromkeys(("metric", "column", "segment", "version"), pa.string()),
        "value": pa.float64(),
        **dict.fromkeys(("window_start", "computed_at"), pa.timestamp("us", "UTC")),
    }
)
Opener = Callable[..., Lake]


@pytest.fixture
def open_lake(tmp_path: Path) -> Iterator[Opener]:
    """Opens lakes, each with a cache of its own."""
    opened: list[Lake] = []

    def open_(store: Store, **options: str) -> Lake:
        cache = tmp_path / f"cache{len(opened)}"
        opened.append(Lake(f"{store.url}/lake", store.options | options, cache=cache))
        return opened[-1]

    yield open_
    for lake in opened:
        lake.close()


def ids(store: Store, model: str = "m", kind: str = "records") -> list[str]:
    """Return what any reader of Delta Lake finds in a table."""
    table = DeltaTable(f"{store.url}/lake/p/{model}/{kind}", storage_options=store.options)
    return sorted(table.to_pyarrow_table()["prediction_id"].to_pylist())


def read(lake: Lake) -> list[str]:
    """Return what our own queries find in it."""
    query = "SELECT prediction_id FROM read_parquet($files) ORDER BY 1"
    found = duckdb.sql(query, params={"files": lake.files("p", "m", "records")}).fetchall()
    return [row[0] for row in found]


def test_rows_are_read_from_local_copies(bucket: Store, open_lake: Opener, rows: Rows) -> None:
    lake = open_lake(bucket)
    lake.append("p", "m", "records", rows.records(["a", "b"], [1.0, 30.0]))
    lake.append("p", "m", "records", rows.records(["c"], 2.0).append_column("new", pa.array([1])))
    day = rows.start.date()
    paths = lake.files("p", "m", "records", day, day)
    assert len(paths) == 2 and len(lake.files("p", "m", "records")) == 3
    found = duckdb.sql(
        "SELECT prediction_id, new FROM read_parquet($files, union_by_name = true) ORDER BY 1",
        params={"files": paths},
    ).fetchall()
    assert found == [("a", None), ("c", 1)]
    assert ids(bucket) == ["a", "b", "c"]
    assert len(lake.files_at_ends("p", "m", "records", "timestamp")) == 2


@pytest.mark.parametrize("model", ["../fares €", "50% + ~x"])
def test_any_name_of_a_model_can_be_stored(
    bucket: Store, open_lake: Opener, rows: Rows, model: str
) -> None:
    lake = open_lake(bucket)
    for name in ("a", "b"):
        lake.append("p", model, "records", rows.records([name]))
    paths = lake.files("p", model, "records")
    assert len(paths) == 2 and all(Path(path).is_file() for path in paths)
    fresh = open_lake(bucket)
    assert [Path(p).name for p in fresh.files("p", model, "records")] == [
        Path(p).name for p in paths
    ]


def test_results_and_profiles_are_stored_and_read(
    bucket: Store, open_lake: Opener, rows: Rows
) -> None:
    lake, later = open_lake(bucket), rows.at(24)
    point = {"metric": "psi", "column": "age", "segment": None, "version": "1", "value": 0.5}
    point |= {"window_start": rows.start, "computed_at": later}
    append_points(lake, "p", "m", pa.Table.from_pylist([point], schema=POINTS))
    put_profiles(lake, "p", "m", [ProfileRow("1", rows.start, later, "b", later, b"profile")])
    fresh = open_lake(bucket)
    assert PointReader(fresh).read("p", "m", rows.start, later)["value"].to_pylist() == [0.5]
    assert get_profiles(fresh, "p", "m", rows.start, later)[0].profile == b"profile"


def test_each_file_is_fetched_once_and_known_again_after_a_restart(
    bucket: Store, tmp_path: Path, rows: Rows
) -> None:
    with proxied(bucket) as (proxy, store):
        lake = Lake(f"{store.url}/lake", store.options, cache=tmp_path)
        for i in range(5):
            lake.append("p", "m", "records", rows.records([str(i)]))
        results: list[list[str]] = []
        readers = [
            threading.Thread(target=lambda: results.append(lake.files("p", "m", "records")))
            for _ in range(6)
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        lake.close()
        again = Lake(f"{store.url}/lake", store.options, cache=tmp_path)
        results.append(again.files("p", "m", "records"))
        again.close()
        assert len(results) == 7 and all(found == results[0] for found in results)
        assert len(fetches(proxy)) == 5


def fetches(proxy: Proxy) -> list[str]:
    return [path for method, path in proxy.calls if method == "GET" and path.endswith(".parquet")]


def test_copies_of_files_that_a_table_has_no_more_are_thrown_away(
    bucket: Store, open_lake: Opener, rows: Rows
) -> None:
    lake, other = open_lake(bucket), open_lake(bucket)
    for i in range(3):
        lake.append("p", "m", "records", rows.records([str(i)]))
    old = other.files("p", "m", "records")
    compact(lake, "p", "m", "records", small_files=2)
    assert other.tidy_copies() == 0, "a query may still read what was just handed out"
    assert other.tidy_copies(at_once=True) == 3
    assert not any(Path(path).exists() for path in old)
    new = other.files("p", "m", "records")
    assert len(new) == 1 and Path(new[0]).is_file()


def test_two_processes_write_one_table(bucket: Store, rows: Rows) -> None:
    script = """
import sys, orjson, pyarrow as pa
from datetime import UTC, datetime
from tidegauge.lake.tables import AppTransaction, Lake
name, url, options = sys.argv[1], sys.argv[2], orjson.loads(sys.argv[3])
lake = Lake(url, options)
moment = pa.array([datetime(2026, 3, 2, tzinfo=UTC)], pa.timestamp("us", "UTC"))
for i in range(8):
    row = pa.table({"prediction_id": [f"{name}{i:02}"], "timestamp": moment})
    while True:
        try:
            lake.append("p", "m", "records", row, app=AppTransaction(name, i + 1))
            break
        except Exception as error:
            print(f"{name}{i}: {error}", file=sys.stderr)
lake.close()
"""
    import orjson

    options = orjson.dumps(bucket.options).decode()
    command = [sys.executable, "-c", script]
    writers = [
        subprocess.Popen([*command, name, f"{bucket.url}/lake", options], stderr=subprocess.PIPE)
        for name in ("one", "two")
    ]
    for writer in writers:
        _, told = writer.communicate(timeout=60)
        assert writer.returncode == 0, told.decode()
    assert ids(bucket) == sorted(f"{name}{i:02}" for name in ("one", "two") for i in range(8))


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("app", [True, False])
def test_a_fault_of_the_commit_neither_loses_nor_doubles_its_rows(
    bucket: Store, open_lake: Opener, rows: Rows, fault: Fault, app: bool
) -> None:
    with proxied(bucket) as (proxy, store):
        lake = open_lake(store)
        lake.append("p", "m", "records", rows.records(["a"]))
        left = [fault]
        proxy.plan = lambda _, method, path: (
            left.pop() if left and method == "PUT" and "_delta_log" in path else None
        )
        told = AppTransaction("journal", 1) if app else None
        lake.append("p", "m", "records", rows.records(["b"]), app=told)
        assert not left
        assert ids(bucket) == ["a", "b"]
        assert read(lake) == ["a", "b"]


def test_with_one_call_in_five_failing_every_row_is_there_once(
    bucket: Store, open_lake: Opener, rows: Rows
) -> None:
    with proxied(bucket) as (proxy, store):
        lake = open_lake(store, **HASTE)
        proxy.plan = every(5)
        for i in range(12):
            for _ in range(10):
                try:
                    table = rows.records([f"{i:02}"], hours=24.0 * (i % 2))
                    lake.append("p", "m", "records", table, app=AppTransaction("j", i + 1))
                    break
                except Exception as error:
                    print(error)
            else:
                pytest.fail("ten attempts were not enough")
        wanted = [f"{i:02}" for i in range(12)]
        assert read(lake) == wanted
        with contextlib.suppress(DeltaError, OSError):
            compact(lake, "p", "m", "records", small_files=2)
        assert read(lake) == wanted
        assert min(proxy.faults.values()) > 3
    assert ids(bucket) == wanted


def test_what_is_written_by_path_is_whole_whatever_call_fails(bucket: Store) -> None:
    with proxied(bucket) as (proxy, store):
        remote = RemoteStore(f"{store.url}/lake", store.options | HASTE)
        proxy.plan = every(3)
        big = bytes(range(256)) * 50_000
        for path, content in {"a b/€.arrow": b"one", "empty": b"", "big": big}.items():
            remote.write(path, content)
            assert remote.read(path) == content
            remote.write(path, content + b"!")
            assert remote.read(path) == content + b"!"
            remote.delete(path)
            remote.delete(path)
            with pytest.raises(FileNotFoundError):
                remote.read(path)
        remote.close()
        assert sum(proxy.faults.values()) > 10


def test_waiting_for_the_store_does_not_hold_up_other_threads(bucket: Store) -> None:
    # The proxy answers in a thread of this process: were that held up, no call would be answered
    # before it is given up, which takes 30 s.
    with proxied(bucket) as (proxy, store):
        remote = RemoteStore(f"{store.url}/lake", store.options)
        proxy.delay = 0.1
        begun = time.monotonic()
        remote.check(writing=True)
        remote.write("a", b"content")
        assert remote.read("a") == b"content"
        with remote.filesystem("b").open_output_stream("c") as file:
            file.write(b"content")
        with remote.filesystem("b").open_input_file("c") as file:
            assert file.read() == b"content"
        remote.delete("a")
        assert time.monotonic() - begun < 30
        remote.close()


def test_writing_goes_on_after_the_writing_process_was_killed(bucket: Store) -> None:
    remote = RemoteStore(f"{bucket.url}/lake", bucket.options)
    remote.write("a", b"1")
    channel = remote._courier._channel
    assert channel is not None
    channel.kill()
    channel._thread.join(10)
    remote.write("a", b"2")
    assert remote.read("a") == b"2"
    remote.close()


def test_a_store_that_cannot_be_used_is_told_in_words(
    bucket: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "CHECK_SECONDS", 1.0)
    silent = socket.create_server(("127.0.0.1", 0))
    port = silent.getsockname()[1]
    plain = {name: text for name, text in bucket.options.items() if name != "AWS_ALLOW_HTTP"}
    cases: list[tuple[str, dict[str, str], str]] = [
        ("s3://no-such-bucket/lake", bucket.options, "there is no such bucket"),
        (bucket.url, plain, "AWS_ALLOW_HTTP"),
        (
            bucket.url,
            bucket.options | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
            "does not answer: .*Connection refused",
        ),
        (
            bucket.url,
            bucket.options | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"},
            "has not answered for 1 s",
        ),
    ]
    for url, options, words in cases:
        remote = RemoteStore(url, options)
        begun = time.monotonic()
        with pytest.raises(Unavailable, match=words) as caught:
            remote.check()
        assert "\n" not in caught.value.message and "\x1b" not in caught.value.message
        assert time.monotonic() - begun < 3
        remote.close()
    silent.close()
    for url in ("ftp://host/lake", "s3://bucket/with space", "file:///lake", "s3://"):
        with pytest.raises(BadInput, match="the lake cannot be at"):
            Lake(url)


def test_reading_a_store_that_is_away_says_so_and_goes_on_once_it_is_back(
    bucket: Store, open_lake: Opener, rows: Rows
) -> None:
    with proxied(bucket) as (proxy, store):
        lake = open_lake(store, max_retries="1", **HASTE)
        lake.append("p", "m", "records", rows.records(["a"]))
        proxy.plan = lambda *_: Fault.REFUSED
        for ask in (lake.files, lake.columns, lake.table_version):
            with pytest.raises(Unavailable, match=r"the lake at s3://.* does not answer: .*503"):
                ask("p", "m", "records")
        with pytest.raises(Unavailable, match="does not answer"):
            lake.store.read("p/m/other")
        with pytest.raises(OSError, match="does not answer"):
            lake.append("p", "m", "records", rows.records(["b"]))
        proxy.plan = lambda *_: None
        assert read(lake) == ["a"]


def test_options_are_handed_on_for_every_kind_of_store() -> None:
    for url, options in {
        "gs://bucket/lake": {"google_skip_signature": "true"},
        "az://container/lake": {"account_name": "me", "account_key": "bWU="},
    }.items():
        remote = RemoteStore(url, options)
        assert remote.options.items() >= options.items()
        # Built by deltalake from these options; nothing is called yet.
        assert remote.filesystem("p/m/records").type_name == "py::object-store"
        remote.close()
