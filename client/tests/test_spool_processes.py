"""A spool and real processes: killed, forked, ended, and several over one folder."""

import signal
import subprocess
import sys
import time

import pytest

from tidegauge_client.spool_folder import Folder, process_folders

HEAD = """
import os, sys, time, tidegauge_client
def connect(**more):
    options = {"model": "m", "spool": sys.argv[2], "flush_interval": 0.01, "backoff": 0.01}
    options |= {"max_backoff": 0.05, "timeout": 2.0}
    return tidegauge_client.Client(sys.argv[1], **{**options, **more})
"""


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "spool"


@pytest.fixture
def begin(server, spool):
    """Begin processes; those that still run at the end of a test are killed."""
    begun = []

    def begin(script):
        process = subprocess.Popen(
            [sys.executable, "-c", HEAD + script, server.url, str(spool)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        begun.append(process)
        return process

    yield begin
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def run(begin):
    def run(script):
        process = begin(script)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        return out, err

    return run


def batches(spool):
    return sorted(spool.glob("*/*.batch"))


def wait_until(what, seconds=10.0):
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.005)


DRAIN = 'client = connect(); client.log_one("last"); assert client.flush(20)'


def test_a_process_that_ends_leaves_on_disk_what_it_could_not_send(server, spool, run):
    server.vanish()
    _, err = run(
        """
client = connect(flush_interval=60, exit_timeout=0.2)
for n in range(100): client.log_one(f"p{n}")
"""
    )
    assert "closed with 100 records in the spool" in err
    assert "Traceback" not in err
    assert len(batches(spool)) == 1
    server.appear()
    run(DRAIN)
    assert sorted(server.ids()) == sorted([f"p{n}" for n in range(100)] + ["last"])
    assert list(spool.iterdir()) == []


def test_a_killed_process_loses_at_most_the_batch_it_was_building(server, spool, begin, run):
    server.vanish()
    process = begin(
        """
client = connect()
for n in range(300): client.log_one(f"p{n}")
while client.stats.queued: time.sleep(0.001)
client = connect(model="m", flush_interval=60)
for n in range(100): client.log_one(f"building{n}")
print("ready", flush=True)
time.sleep(60)
"""
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    server.appear()
    run(DRAIN)
    assert sorted(server.ids()) == sorted([f"p{n}" for n in range(300)] + ["last"])


@pytest.mark.parametrize("round", [0, 2])
def test_a_process_killed_while_it_sends_loses_and_doubles_nothing(
    server, spool, begin, run, round
):
    for number in range(200):
        server.then_reset(after_storing=number % 2 == 0)
    process = begin(
        """
client = connect(batch_records=5)
for n in range(2_000):
    client.log_one(f"p{n}")
    if n % 100 == 99:
        while client.stats.queued: time.sleep(0.0005)
        print(n + 1, flush=True)
time.sleep(60)
"""
    )
    lines = [process.stdout.readline() for _ in range(5 + 4 * round)]
    process.kill()
    safe = int((lines + process.stdout.readlines())[-1])
    process.wait(10)
    server.script.clear()
    run(DRAIN)
    ids = server.ids()
    assert len(ids) == len(set(ids))
    assert {f"p{n}" for n in range(safe)} <= set(ids)


def test_processes_that_share_a_folder_send_their_own_once(server, spool, begin):
    server.vanish()
    processes = [
        begin(
            f"""
client = connect(batch_records=10)
for n in range(200): client.log_one(f"{name}{{n}}"); time.sleep(0.001)
assert client.flush(20)
assert client.close(10)
"""
        )
        for name in "abc"
    ]
    wait_until(lambda: len(batches(spool)) > 10)
    server.appear()
    for process in processes:
        _, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
    assert sorted(server.ids()) == sorted(f"{name}{n}" for name in "abc" for n in range(200))
    assert list(spool.iterdir()) == []


def test_one_process_of_several_takes_over_what_a_killed_one_left(server, spool, begin):
    server.vanish()
    victim = begin('client = connect(); client.log_one("victim"); time.sleep(60)')
    wait_until(lambda: batches(spool))
    siblings = [
        begin(
            f"""
from tidegauge_client import courier
courier.TAKE_OVER_SECONDS = 0.05
client = connect()
client.log_one("{name}")
while client.stats.queued: time.sleep(0.001)
print("ready", flush=True)
sys.stdin.readline()
client.flush(10)
print(client.stats.recovered)
"""
        )
        for name in "ab"
    ]
    for process in siblings:
        assert process.stdout.readline() == "ready\n"
    assert len(batches(spool)) == 3, "the living one's folder is left alone"
    victim.kill()
    victim.wait(10)
    server.appear()
    server.wait_for(lambda s: len(s.ids()) == 3)
    recovered = [int(process.communicate("\n", timeout=20)[0]) for process in siblings]
    assert sorted(recovered) == [0, 1]
    assert sorted(server.ids()) == ["a", "b", "victim"]


def test_forked_workers_have_folders_of_their_own(server, spool, run):
    server.vanish()
    out, _ = run(
        """
client = connect(flush_interval=0.005)
for n in range(50): client.log_one(f"parent{n}")
while client.stats.queued: time.sleep(0.001)
for worker in range(3):
    if os.fork() == 0:
        assert client.stats.spooled == client.stats.spooled_batches == 0
        for n in range(50): client.log_one(f"child{worker}-{n}")
        client.close(0)
        stats = client.stats  # with what a brother left
        os._exit(0 if stats.spooled - stats.recovered == 50 else 1)
for _ in range(3): assert os.wait()[1] == 0
print(client.stats.spooled - client.stats.recovered)
client.close(0)
"""
    )
    assert out == "50\n"
    assert len(process_folders(spool)) == 4
    server.appear()
    run(DRAIN)
    expected = [f"parent{n}" for n in range(50)] + ["last"]
    expected += [f"child{worker}-{n}" for worker in range(3) for n in range(50)]
    assert sorted(server.ids()) == sorted(expected)


def test_a_child_that_lives_on_does_not_keep_its_killed_parents_folder(server, spool, begin, run):
    server.vanish()
    parent = begin(
        """
client = connect()
client.log_one("parent")
while client.stats.queued: time.sleep(0.001)
if os.fork() == 0:
    print("ready", flush=True)
    sys.stdin.readline()
    os._exit(0)
time.sleep(60)
"""
    )
    assert parent.stdout.readline() == "ready\n"
    parent.kill()
    parent.wait(10)
    server.appear()
    run(DRAIN)
    assert sorted(server.ids()) == ["last", "parent"]
    parent.stdin.write("\n")


def test_forks_while_other_threads_log_leave_no_lock_behind(server, spool, run):
    run(
        """
import itertools, threading
client = connect(batch_records=20)
done = False
def hammer(name):
    for n in itertools.count():
        if done: return
        client.log_one(f"{name}-{n}")
        time.sleep(0.0005)
threads = [threading.Thread(target=hammer, args=(name,), daemon=True) for name in "ab"]
for thread in threads: thread.start()
for worker in range(10):
    if os.fork() == 0:
        client.log_one(f"child{worker}")
        os._exit(0 if client.flush(10) and client.close(10) else 1)
    assert os.wait()[1] == 0
done = True
for thread in threads: thread.join()
assert client.close(10)
"""
    )
    ids = server.ids()
    assert len(ids) == len(set(ids))
    assert {f"child{worker}" for worker in range(10)} <= set(ids)
    assert list(spool.iterdir()) == []


def test_without_a_thread_the_end_writes_to_disk_and_sends(server, spool, run):
    no_threads = "import threading; threading.stack_size(2**46)\n"
    run(no_threads + 'client = connect(); client.log_one("a"); assert client.close(5)')
    assert server.ids() == ["a"]
    server.vanish()
    run(no_threads + 'client = connect(); client.log_one("b"); assert not client.close(0.2)')
    assert len(batches(spool)) == 1
    server.appear()
    run(DRAIN)
    assert sorted(server.ids()) == ["a", "b", "last"]


def test_the_bound_holds_for_all_processes_of_a_folder_together(server, spool, begin):
    server.vanish()
    script = """
client = connect(spool_bytes=20 * 4096, batch_records=1, queue_records=1)
for n in range(40): client.log_one(f"p{n}"); time.sleep(0.005)
print(client.stats.spooled, client.stats.dropped > 0, flush=True)
sys.stdin.readline()
os._exit(0)
"""
    processes = [begin(script) for _ in range(3)]
    lines = [process.stdout.readline().split() for process in processes]
    total = sum(int(spooled) for spooled, _ in lines)
    assert total == len(batches(spool))
    assert 20 <= total <= 23, "at most the one that each was about to write too many"
    assert all(dropped == "True" for _, dropped in lines)


def test_what_a_crash_left_half_written_is_cleared_away(server, spool, run):
    folder = Folder.create(spool, "m")
    folder.forget()
    name = folder.path.name
    server.vanish()
    run('client = connect(); client.log_one("a"); client.close(0)')
    (mine,) = [path for path in process_folders(spool) if path.name != name]
    (mine / "1-2-3.batch.part").write_bytes(b"half a ba")
    server.appear()
    run(DRAIN)
    assert sorted(server.ids()) == ["a", "last"]
    assert not mine.exists()


def test_the_first_record_imports_nothing(server, spool, run):
    out, _ = run(
        """
client = connect(key="k")
before = set(sys.modules)
client.log_one("a", {"age": 1.5})
assert client.flush(10)
print(*set(sys.modules) - before)
"""
    )
    assert out.split() == []
