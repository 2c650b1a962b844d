"""A spool on a disk in trouble: full, read-only, damaged. Nothing raises, nothing blocks."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge_client.batch import Batch
from tidegauge_client.errors import DamagedError
from tidegauge_client.spool_file import Parcel, decode, encode


def batches(spool):
    return sorted(spool.glob("*/*.batch"))


def wait_until(what, seconds=10.0):
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.fixture
def mount(tmp_path):
    """Mount a small file system of its own; where that is not allowed, the test is skipped."""
    mounted = []

    def mount(*options):
        folder = tmp_path / "spool"
        folder.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "none", str(folder)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting a small file system is not permitted here")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def left_behind(server, spooling, names):
    """Have an earlier client leave a batch for each name, and return their files."""
    server.vanish()
    client = spooling(batch_records=1)
    for name in names:
        client.log_one(name)
        time.sleep(0.002)
    client.close(timeout=0)
    server.appear()
    return sorted(client._sender.options.spool.glob("*/*.batch"))


def test_a_full_disk_is_said_and_records_are_sent_from_memory(server, spooling, mount, warnings):
    folder = mount("size=100k")
    server.vanish()
    client = spooling(batch_records=1)
    for number in range(20):
        client.log_one(f"p{number}", {"text": "x" * 10_000})
    wait_until(lambda: any("No space left on device" in text for text in warnings()))
    assert 3 <= client.stats.spooled < 20
    assert client.stats.spooled + client.stats.queued == 20
    assert not list(folder.glob("*/*.part"))
    server.appear()
    assert client.flush(10)
    assert sorted(server.ids()) == sorted(f"p{number}" for number in range(20))
    client.log_one("after")
    assert client.flush(10)
    assert client.close()
    assert list(folder.iterdir()) == []


def test_a_disk_that_has_room_again_is_used_again(server, spooling, mount):
    folder = mount("size=100k")
    (folder / "ballast").write_bytes(b"x" * 80_000)
    server.vanish()
    client = spooling(batch_records=1)
    client.log_one("a", {"text": "x" * 30_000})
    wait_until(lambda: client.stats.last_error and "No space" in client.stats.last_error)
    assert (client.stats.queued, client.stats.spooled) == (1, 0)
    (folder / "ballast").unlink()
    wait_until(lambda: client.stats.spooled == 1)
    server.appear()
    assert client.flush(10)
    assert server.ids() == ["a"]


def test_a_limit_on_the_size_of_files_is_no_end_of_the_world(server, tmp_path):
    script = """
import resource, sys, time, tidegauge_client
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
client = tidegauge_client.Client(sys.argv[1], model="m", spool=sys.argv[2], flush_interval=0.01)
client.log_one("small")
assert client.flush(10)
client.log_one("large", {"text": "x" * 20_000})
assert client.flush(10)
client.log_one("small again")
assert client.close(10)
print(client.stats.dropped)
"""
    command = [sys.executable, "-c", script, server.url, str(tmp_path / "spool")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert result.stdout == "0\n", result.stderr
    assert "File too large" in result.stderr
    assert server.ids() == ["small", "large", "small again"]


def test_a_read_only_folder_is_said_and_records_are_sent_from_memory(
    server, spooling, mount, warnings
):
    mount("size=100k", "ro")
    client = spooling()
    for number in range(100):
        assert client.log_one(f"p{number}")
    assert client.flush(10)
    assert server.ids() == [f"p{number}" for number in range(100)]
    said = [text for text in warnings() if "Read-only file system" in text]
    assert len(said) == 1, "once in a while, not for each batch"
    assert client.close()


def test_without_disk_and_server_memory_stays_bounded_and_drops_are_counted(
    server, spooling, tmp_path, warnings
):
    server.vanish()
    client = spooling(queue_records=50, max_retries=1_000)
    (tmp_path / "spool").write_text("a file where the folder should be")
    for number in range(200):
        client.log_one(f"p{number}")
    assert (client.stats.queued, client.stats.dropped) == (50, 150)
    begin = time.monotonic()
    assert client.close(timeout=0.1) is False
    assert time.monotonic() - begin < 5
    wait_until(lambda: client.stats.queued == 0)
    assert client.stats.dropped == 200
    assert any("the spool can't be written" in text for text in warnings())


def test_a_batch_in_hand_is_given_up_after_all_retries_and_the_next_is_tried(
    server, spooling, tmp_path
):
    for _ in range(4):
        server.then_reply(500)
    client = spooling(max_retries=3, batch_records=1)
    (tmp_path / "spool").write_text("a file where the folder should be")
    client.log_one("poison")
    client.log_one("fine")
    assert client.flush(10)
    assert server.ids() == ["fine"]
    assert client.stats.dropped == 1


def test_a_folder_removed_under_the_client_is_made_anew(server, spooling, tmp_path):
    server.vanish()
    client = spooling()
    client.log_one("lost with the folder")
    wait_until(lambda: client.stats.spooled == 1)
    (tmp_path / "spool").rename(tmp_path / "gone")  # At once, whatever the client writes there.
    shutil.rmtree(tmp_path / "gone", ignore_errors=True)
    client.log_one("kept")
    wait_until(lambda: client.stats.queued == 0)
    assert len(batches(tmp_path / "spool")) == 1
    server.appear()
    assert client.flush(10)
    assert server.ids() == ["kept"]
    assert (client.stats.sent, client.stats.dropped, client.stats.spooled) == (1, 1, 0)


@pytest.mark.parametrize("damage", ["cut", "empty", "flip", "swap", "newer", "unreadable"])
def test_a_damaged_file_is_set_aside_and_the_others_arrive(
    server, spooling, tmp_path, warnings, damage
):
    files = left_behind(server, spooling, "abcde")
    bad = files[2]
    content = bytearray(bad.read_bytes())
    if damage == "cut":
        bad.write_bytes(content[:-3])
    elif damage == "empty":
        bad.write_bytes(b"")
    elif damage == "flip":
        content[-5] ^= 0x10
        bad.write_bytes(content)
    elif damage == "swap":
        bad.write_bytes(b"not ours at all\n" * 5)
    elif damage == "newer":
        bad.write_bytes(content.replace(b"tidegauge-spool 1 ", b"tidegauge-spool 2 ", 1))
    else:
        bad.unlink()
        bad.mkdir()
    client = spooling()
    assert client.flush(10)
    assert server.ids() == ["a", "b", "d", "e"]
    assert (client.stats.sent, client.stats.dropped, client.stats.spooled) == (4, 1, 0)
    aside = tmp_path / "spool" / "damaged"
    assert len(list(aside.glob("*.batch"))) == 1
    assert len(list(aside.glob("*.why.json"))) == 1
    assert any("set aside in damaged/ of the spool" in text for text in warnings())


def test_files_that_are_not_the_clients_are_left_alone_or_set_aside(server, spooling, tmp_path):
    (file,) = left_behind(server, spooling, "a")
    (file.parent / "notes.txt").write_text("somebody's")
    (file.parent / "renamed.batch").write_bytes(b"?")
    (tmp_path / "spool" / "README").write_text("somebody's")
    (tmp_path / "spool" / "a.folder.too").mkdir()
    client = spooling()
    assert client.flush(10)
    assert server.ids() == ["a"]
    assert (file.parent / "notes.txt").exists()
    aside = [path.name for path in (tmp_path / "spool" / "damaged").glob("*.batch")]
    assert len(aside) == 1 and aside[0].endswith("renamed.batch")


def test_a_file_that_somebody_removed_is_counted_as_dropped(server, spooling):
    files = left_behind(server, spooling, "abc")
    server.then_reply(503, Retry_After="1")
    client = spooling()
    client.flush(0.2)
    os.unlink(files[1])
    assert client.flush(10)
    assert server.ids() == ["a", "c"]
    assert (client.stats.sent, client.stats.dropped) == (2, 1)


PARCEL = Parcel(
    "http://localhost:8420",
    "/v1/projects/default/models/m/labels",
    datetime(2026, 1, 1, tzinfo=UTC),
    Batch("labels", "application/x-ndjson", b'{"prediction_id":"a","label":1}\n' * 9, 9, key="k"),
)
CONTENT = b"".join(encode(PARCEL))


def test_what_was_written_is_what_is_read():
    assert decode(CONTENT) == PARCEL


@given(st.integers(0, len(CONTENT) * 8 - 1))
def test_no_flipped_bit_goes_unseen(bit):
    damaged = bytearray(CONTENT)
    damaged[bit // 8] ^= 1 << bit % 8
    with contextlib.suppress(DamagedError):
        assert decode(bytes(damaged)) == PARCEL, "a digit of the checksum in capitals, at most"


@given(st.integers(0, len(CONTENT) - 1))
def test_no_cut_goes_unseen(length):
    with pytest.raises(DamagedError):
        decode(CONTENT[:length])


@given(st.binary(max_size=200))
def test_anything_else_is_damaged_and_no_other_error(content):
    with pytest.raises(DamagedError):
        decode(content)
    with pytest.raises(DamagedError):
        decode(b"tidegauge-spool 1 " + content)
