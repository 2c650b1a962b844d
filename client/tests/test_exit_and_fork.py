"""The end of a process, and forks: in real processes, which end and fork for real."""

import gc
import subprocess
import sys
import threading
import time
import weakref

import pytest

from tidegauge_client import Client

HEAD = """
import os, sys, tidegauge_client
client = tidegauge_client.Client(sys.argv[1], model="m", flush_interval=60, backoff=0.01)
"""


def run(script, server, seconds=30):
    return subprocess.run(
        [sys.executable, "-c", HEAD + script, server.url],
        check=True,
        timeout=seconds,
        capture_output=True,
        text=True,
    )


def test_a_process_that_ends_sends_what_it_holds(server):
    run('[client.log_one(f"p{n}") for n in range(100)]', server)
    assert server.ids() == [f"p{n}" for n in range(100)]


def test_a_process_that_ends_by_an_error_sends_what_it_holds(server):
    with pytest.raises(subprocess.CalledProcessError):
        run('client.log_one("a"); raise SystemExit(3)', server)
    assert server.ids() == ["a"]


def test_what_another_exit_handler_logs_is_sent_too(server):
    run('import atexit; atexit.register(client.log_one, "last words")', server)
    assert server.ids() == ["last words"]


def test_a_process_waits_no_longer_than_its_exit_timeout(server):
    server.always_hang()
    begin = time.monotonic()
    script = """
client = tidegauge_client.Client(sys.argv[1], model="m", flush_interval=0, exit_timeout=0.3)
client.log_one("a")
"""
    result = run(script, server)
    assert time.monotonic() - begin < 8
    assert "closed after" in result.stderr
    assert "with 1 records not sent" in result.stderr
    assert "Traceback" not in result.stderr


NO_THREADS = "import threading; threading.stack_size(2**46)\n"  # no system has that much to give


def test_without_a_thread_records_wait_for_the_end_of_the_process(server):
    result = run(
        NO_THREADS
        + """
assert client.log_one("a")
assert client.log([{"prediction_id": "b"}]) == 1
assert client.flush(10) is False
print(client.stats.queued)
""",
        server,
    )
    assert result.stdout == "2\n"
    assert server.ids() == ["a", "b"]


@pytest.mark.parametrize("trouble", ["hang", "refuse"])
def test_without_a_thread_the_end_is_bounded_too(server, trouble):
    server.always_hang() if trouble == "hang" else server.always_reply(503)
    begin = time.monotonic()
    result = run(NO_THREADS + 'client.log_one("a"); client.close(timeout=0.3)', server)
    assert time.monotonic() - begin < 8
    assert "Traceback" not in result.stderr
    assert "1 records dropped" in result.stderr


def test_the_end_of_a_with_block_sends_what_is_held(server):
    with Client(server.url, model="m", flush_interval=60) as client:
        client.log_one("a")
    assert server.ids() == ["a"]
    assert not [t for t in threading.enumerate() if t.name == "tidegauge-client" and t.is_alive()]


def test_closing_twice_is_closing_once(connect):
    client = connect()
    client.log_one("a")
    assert client.close()
    assert client.close()


def test_a_forgotten_client_still_sends_and_its_thread_ends(server):
    client = Client(server.url, model="m", flush_interval=60)
    client.log_one("a")
    gone = weakref.ref(client)
    del client
    gc.collect()
    assert gone() is None
    server.wait_for(lambda s: s.ids() == ["a"])
    for thread in threading.enumerate():
        if thread.name == "tidegauge-client":
            thread.join(5)
            assert not thread.is_alive()


def test_after_a_fork_parent_and_child_send_their_own_once(server):
    run(
        """
for n in range(100): client.log_one(f"parent{n}")
for worker in range(3):
    if os.fork() == 0:
        assert client.stats == tidegauge_client.Stats()
        for n in range(50): client.log_one(f"child{worker}-{n}")
        sys.exit()
for _ in range(3): assert os.wait()[1] == 0
client.log_one("parent after")
""",
        server,
    )
    expected = [f"parent{n}" for n in range(100)] + ["parent after"]
    expected += [f"child{worker}-{n}" for worker in range(3) for n in range(50)]
    assert sorted(server.ids()) == sorted(expected)


def test_a_child_does_not_speak_on_its_parents_connection(server):
    run(
        """
def log(name):
    client.log_one(name)
    assert client.flush(10)
log("parent")
if os.fork() == 0:
    log("child")
    sys.exit()
assert os.wait()[1] == 0
log("parent again")
""",
        server,
    )
    parent, child, again = (request.connection for request in server.requests)
    assert parent == again != child


def test_a_fork_while_a_batch_is_tried_again_doubles_nothing(server):
    server.always_reply(503)
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HEAD
            + """
client.log_one("parent")
client.flush(0.1)
if os.fork() == 0:
    client.log_one("child")
    client.flush()
    sys.exit()
client.flush()
assert os.wait()[1] == 0
""",
            server.url,
        ]
    )
    server.wait_for(
        lambda s: {row["prediction_id"] for r in s.requests for row in r.rows} > {"parent"}
    )
    server.recover()
    assert child.wait(20) == 0
    assert sorted(server.ids()) == ["child", "parent"]
    assert len({request.key for request in server.requests}) == 2


def test_a_fork_while_other_threads_log_leaves_no_lock_behind(server):
    result = run(
        """
import itertools, threading
client = tidegauge_client.Client(sys.argv[1], model="m", flush_interval=60, queue_records=1_000)
done = False
def hammer(name):
    for n in itertools.count():
        if done: return
        client.log_one(f"{name}-{n}", {"x": float("nan")})
threads = [threading.Thread(target=hammer, args=(name,), daemon=True) for name in "ab"]
for thread in threads: thread.start()
for worker in range(10):
    if os.fork() == 0:
        client.log_one(f"child{worker}")
        os._exit(0 if client.close(10) else 1)
    assert os.wait()[1] == 0
done = True
for thread in threads: thread.join()
assert client.close(10)
assert client.stats.queued == 0
print(client.stats.sent)
""",
        server,
    )
    children = [name for name in server.ids() if name.startswith("child")]
    assert sorted(children) == sorted(f"child{worker}" for worker in range(10))
    parents = [name for name in server.ids() if not name.startswith("child")]
    assert len(parents) == len(set(parents)) == int(result.stdout)


def test_threads_that_fork_at_once_do_not_wait_for_each_other_for_ever(server):
    run(
        """
import threading
def fork(name):
    for n in range(5):
        if (child := os.fork()) == 0:
            client.log_one(f"{name}{n}")
            os._exit(0 if client.close(10) else 1)
        assert os.waitpid(child, 0)[1] == 0
        client.log_one(f"after {name}{n}")
threads = [threading.Thread(target=fork, args=(name,)) for name in "abcd"]
for thread in threads: thread.start()
for thread in threads: thread.join()
""",
        server,
    )
    names = [f"{name}{n}" for name in "abcd" for n in range(5)]
    assert sorted(server.ids()) == sorted(names + [f"after {name}" for name in names])


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_a_multiprocessing_child_sends_what_it_holds(server, tmp_path, method):
    script = tmp_path / "job.py"
    script.write_text(
        f"""
import multiprocessing, sys, tidegauge_client
client = tidegauge_client.Client(sys.argv[1], model="m", flush_interval=60)
def work(name):
    client.log_one(name)
if __name__ == "__main__":
    client.log_one("parent")
    process = multiprocessing.get_context("{method}").Process(target=work, args=("child",))
    process.start()
    process.join()
    sys.exit(process.exitcode)
"""
    )
    subprocess.run([sys.executable, script, server.url], check=True, timeout=30)
    assert sorted(server.ids()) == ["child", "parent"]
