"""Many threads at once: nothing lost, nothing doubled, books that balance."""

import threading

import pytest


def together(*work):
    """Run each piece of work in a thread of its own, all begun at once."""
    start = threading.Barrier(len(work))
    errors = []

    def begin(job):
        start.wait()
        try:
            job()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=begin, args=(job,)) for job in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert not errors


def test_threads_that_log_at_once_lose_and_double_nothing(server, connect):
    for _ in range(3):
        server.then_reset(after_storing=True)
    client = connect(batch_records=300)

    def log(thread):
        for number in range(1_000):
            client.log_one(f"{thread}-{number}", {"x": number})

    together(*(lambda thread=thread: log(thread) for thread in range(8)))
    assert client.flush(20)
    ids = server.ids()
    assert len(ids) == 8_000 == len(set(ids))
    for thread in range(8):
        mine = [name for name in ids if name.startswith(f"{thread}-")]
        assert mine == [f"{thread}-{number}" for number in range(1_000)], "each in its order"
    assert client.stats.accepted == 8_000


def test_the_books_balance_while_the_queue_overflows(server, connect):
    client = connect(queue_records=100, batch_records=50)
    queued = []

    def log(thread):
        queued.append(sum(client.log_one(f"{thread}-{number}") for number in range(2_000)))

    together(*(lambda thread=thread: log(thread) for thread in range(4)))
    assert client.flush(20)
    stats = client.stats
    assert stats.sent + stats.dropped == 8_000
    assert stats.sent == sum(queued) == len(server.ids()) == len(set(server.ids()))
    assert stats.dropped > 0


def test_frames_single_records_labels_and_flushes_get_along(server, connect):
    client = connect(queue_records=500, batch_records=100)

    def frames():
        assert client.log([{"prediction_id": f"f{number}"} for number in range(2_000)]) == 2_000

    def labels():
        rows = {"prediction_id": [f"l{n}" for n in range(2_000)], "label": [1] * 2_000}
        assert client.label(rows) == 2_000

    def flushes():
        for _ in range(20):
            assert client.flush(20)

    together(frames, labels, flushes)
    assert client.flush(20)
    assert server.ids() == [f"f{number}" for number in range(2_000)]
    assert server.ids("labels") == [f"l{number}" for number in range(2_000)]


@pytest.mark.parametrize("round", range(5))
def test_closing_while_others_log_loses_nothing_that_was_queued(server, connect, round):
    client = connect()
    queued: list[str] = []

    def log():
        number = 0
        while client.log_one(f"p{number}"):
            queued.append(f"p{number}")
            number += 1

    def close():
        server.wait_for(lambda s: s.requests)
        assert client.close(20)

    together(log, close)
    assert server.ids() == queued
    assert client.stats.dropped == 1
