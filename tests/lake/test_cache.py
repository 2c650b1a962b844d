"""Local copies of an object store's files: bounded, whole, fetched once."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tidegauge.errors import BadInput
from tidegauge.lake.cache import FileCache, Remote
from tidegauge.lake.store import write_whole


class Source:
    """A store whose calls are counted."""

    def __init__(self) -> None:
        self.fetched: Counter[str] = Counter()
        self.gate = threading.Event()
        self.gate.set()
        self.failing: set[str] = set()

    def fetcher(self, sizes: Mapping[str, int]) -> Callable[[str, Path], None]:
        def fetch(path: str, target: Path) -> None:
            self.fetched[path] += 1
            assert self.gate.wait(10)
            if path in self.failing:
                raise OSError(f"{path} cannot be read")
            write_whole(target, lambda file: file.write(b"x" * sizes[path]))

        return fetch


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def cache(tmp_path: Path, source: Source) -> Iterator[FileCache]:
    """Holds 100 bytes; what was handed out a moment ago may be thrown away."""
    made = FileCache(tmp_path / "cache", 100, source.fetcher, kept=0.0)
    yield made
    made.close()


def held(cache: FileCache) -> set[str]:
    return {
        path.relative_to(cache.folder).as_posix()
        for path in cache.folder.rglob("*")
        if path.is_file()
    }


def test_the_copy_not_asked_for_longest_goes_first(cache: FileCache, source: Source) -> None:
    for name in ("a", "b"):
        cache.copies([Remote(f"t/{name}", 40)])
    time.sleep(0.01)
    cache.copies([Remote("t/a", 40)])
    time.sleep(0.01)
    cache.copies([Remote("t/c", 40)])
    assert held(cache) == {"t/a", "t/c"}
    assert cache.held_bytes == 80
    cache.copies([Remote("t/b", 40)])
    assert source.fetched == {"t/a": 1, "t/b": 2, "t/c": 1}


def test_what_was_handed_out_lately_stays(tmp_path: Path, source: Source) -> None:
    cache = FileCache(tmp_path, 100, source.fetcher)
    for name in ("a", "b", "c"):
        cache.copies([Remote(name, 60)])
    assert held(cache) == {"a", "b", "c"}
    cache.close()
    again = FileCache(tmp_path, 100, source.fetcher)
    assert len(held(again)) == 1, "after a start nobody reads them"
    again.close()


def test_copies_are_found_again_in_the_order_of_their_use(tmp_path: Path, source: Source) -> None:
    for age, name in enumerate(("new", "middle", "old")):
        path = tmp_path / "t" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * 40)
        os.utime(path, (time.time() - 1000 * age,) * 2)
    (tmp_path / "t" / ".half.part").write_bytes(b"x" * 1000)
    cache = FileCache(tmp_path, 100, source.fetcher)
    assert held(cache) == {"t/new", "t/middle"}
    cache.copies([Remote("t/new", 40)])
    assert not source.fetched
    cache.close()


def test_a_copy_of_the_wrong_size_is_fetched_anew(cache: FileCache, source: Source) -> None:
    (path,) = cache.copies([Remote("t/a", 10)])
    Path(path).write_bytes(b"short")
    cache.copies([Remote("t/a", 10)])
    assert Path(path).read_bytes() == b"x" * 10
    Path(path).unlink()
    cache.copies([Remote("t/a", 10)])
    assert source.fetched["t/a"] == 3 and cache.held_bytes == 10


def test_many_who_ask_at_once_have_one_fetch(cache: FileCache, source: Source) -> None:
    source.gate.clear()
    results: list[list[str]] = []
    wanted = [Remote("t/a", 10), Remote("t/b", 10)]
    threads = [
        threading.Thread(target=lambda: results.append(cache.copies(wanted))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    source.gate.set()
    for thread in threads:
        thread.join(10)
    assert len(results) == 8 and source.fetched == {"t/a": 1, "t/b": 1}


def test_a_failed_fetch_leaves_nothing_and_is_tried_again(cache: FileCache, source: Source) -> None:
    source.failing.add("t/b")
    with pytest.raises(OSError, match="t/b cannot be read"):
        cache.copies([Remote("t/a", 10), Remote("t/b", 10)])
    assert held(cache) == {"t/a"}
    source.failing.clear()
    assert len(cache.copies([Remote("t/a", 10), Remote("t/b", 10)])) == 2
    assert source.fetched == {"t/a": 1, "t/b": 2}


def test_more_than_it_holds_is_refused_in_words(cache: FileCache) -> None:
    with pytest.raises(BadInput, match="raise cache_size"):
        cache.copies([Remote("t/a", 60), Remote("t/b", 60)])


def test_a_disk_without_room_is_left_to_others(tmp_path: Path, source: Source) -> None:
    free = shutil.disk_usage(tmp_path).free
    cache = FileCache(tmp_path, 1 << 50, source.fetcher, spared=free + (1 << 40))
    with pytest.raises(OSError, match="has room for 0 MiB") as caught:
        cache.copies([Remote("a", 10)])
    assert caught.value.errno == errno.ENOSPC and not source.fetched
    cache.close()


def test_no_path_leads_out_of_its_folder(cache: FileCache, source: Source) -> None:
    for path in ("../a", "t/../../a", "/etc/a"):
        with pytest.raises(OSError, match="leads out"):
            cache.copies([Remote(path, 1)])
    assert not source.fetched


def test_a_closed_cache_leaves_nobody_waiting(tmp_path: Path, source: Source) -> None:
    cache = FileCache(tmp_path, 1000, source.fetcher)
    source.gate.clear()
    failed: list[Exception] = []

    def ask() -> None:
        try:
            cache.copies([Remote(str(number), 1) for number in range(30)])
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while len(source.fetched) < 8:
        time.sleep(0.01)
    closing = threading.Thread(target=cache.close)
    closing.start()
    time.sleep(0.05)
    source.gate.set()
    for one in (closing, thread):
        one.join(10)
        assert not one.is_alive()
    assert "closed" in str(failed[0])
