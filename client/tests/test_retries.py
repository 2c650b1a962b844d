"""What is tried again, how, and for how long."""

import time
from email.utils import formatdate

import pytest

from tidegauge_client.delivery import Backoff
from tidegauge_client.transport import retry_after_seconds


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_or_broken_server_is_tried_again_with_the_same_key(server, connect, status):
    server.then_reply(status)
    server.then_reply(status)
    client = connect()
    client.log_one("a")
    assert client.flush(10)
    assert len(server.requests) == 3
    assert len({request.key for request in server.requests}) == 1
    assert len({tuple(request.rows[0].items()) for request in server.requests}) == 1
    assert server.ids() == ["a"]
    assert (client.stats.retried, client.stats.sent, client.stats.dropped) == (2, 1, 0)


@pytest.mark.parametrize("after_storing", [False, True])
def test_a_reset_connection_loses_and_doubles_nothing(server, connect, after_storing):
    for _ in range(3):
        server.then_reset(after_storing)
    client = connect(batch_records=10, flush_interval=60)
    for number in range(50):
        client.log_one(f"p{number}")
    assert client.flush(10)
    assert server.ids() == [f"p{number}" for number in range(50)]
    assert client.stats.accepted == 50
    assert client.stats.retried == 3


def test_an_answer_that_does_not_come_in_time_is_asked_for_again(server, connect):
    server.then_hang()
    client = connect(timeout=0.2)
    client.log_one("a")
    assert client.flush(10)
    assert len({request.key for request in server.requests}) == 1
    assert len(server.requests) == 2
    assert "ReadTimeout" in client.stats.last_error


def test_a_server_that_was_gone_for_a_while_gets_everything(server, connect, warnings):
    client = connect(batch_records=5, flush_interval=60)
    for number in range(10):
        client.log_one(f"before{number}")
    assert client.flush(10)
    server.vanish()
    for number in range(20):
        client.log_one(f"away{number}")
    while client.stats.retried < 5:
        time.sleep(0.01)
    server.appear()
    assert client.flush(10)
    assert len(server.ids()) == 30 == len(set(server.ids()))
    assert client.stats.dropped == 0
    assert len([text for text in warnings() if "tried again" in text]) == 1


def test_retry_after_seconds_are_honoured(server, connect):
    server.then_reply(429, Retry_After="1")
    client = connect()
    client.log_one("a")
    assert client.flush(10)
    first, second = server.requests
    assert 1.0 <= second.at - first.at < 5


def test_a_retry_after_may_be_a_date():
    assert 58 <= retry_after_seconds(formatdate(time.time() + 60, usegmt=True)) <= 60


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 415, 422])
def test_a_refusal_is_not_repeated_and_says_the_servers_reason(server, connect, warnings, status):
    server.then_reply(status, b'{"code": "no_such_model", "message": "model m is not known"}')
    client = connect()
    client.log_one("refused")
    assert client.flush(10)
    client.log_one("taken")
    assert client.flush(10)
    assert len(server.requests) == 2
    assert server.ids() == ["taken"]
    assert (client.stats.dropped, client.stats.retried) == (1, 0)
    assert f"{status} (no_such_model): model m is not known" in client.stats.last_error
    assert "model m is not known" in warnings()[0]


def test_a_problem_document_is_understood_too(server, connect):
    server.then_reply(403, b'{"title": "Forbidden", "detail": "this key may only read"}')
    client = connect()
    client.log_one("a")
    assert client.flush(10)
    assert client.stats.last_error.endswith("403 (Forbidden): this key may only read")


def test_a_moved_server_is_named(server, connect):
    server.then_reply(308, Location="https://elsewhere.example/")
    client = connect()
    client.log_one("a")
    assert client.flush(10)
    assert "moved to https://elsewhere.example/" in client.stats.last_error


def test_a_batch_that_never_gets_through_is_dropped_and_the_next_ones_are_tried(
    server, connect, warnings
):
    for _ in range(4):
        server.then_reply(500)
    client = connect(max_retries=3, batch_records=1)
    client.log_one("poison")
    client.log_one("fine")
    assert client.flush(10)
    assert server.ids() == ["fine"]
    assert (client.stats.dropped, client.stats.retried, client.stats.sent) == (1, 3, 1)
    assert any("gave up after 4 tries" in text for text in warnings())


def test_waits_grow_to_a_bound_and_are_spread_evenly_below_it():
    backoff = Backoff(first=0.5, longest=30, max_retries=20)
    for retry, ceiling in [(1, 0.5), (2, 1), (5, 8), (7, 30), (1_000, 30)]:
        waits = [backoff.delay(retry) for _ in range(2_000)]
        assert 0 <= min(waits) < 0.05 * ceiling
        assert 0.95 * ceiling < max(waits) <= ceiling
        assert sum(waits) / len(waits) == pytest.approx(ceiling / 2, rel=0.1)


def test_closing_does_not_wait_for_a_retry(server, connect, warnings):
    server.always_reply(503)
    client = connect(backoff=60, max_backoff=60)
    for number in range(10):
        client.log_one(f"p{number}")
    server.wait_for(lambda s: s.requests)
    begin = time.monotonic()
    assert client.close(timeout=0.1) is False
    assert time.monotonic() - begin < 5
    assert any("with 10 records not sent" in text for text in warnings())
    while client.stats.queued:
        time.sleep(0.01)
    assert client.stats.dropped == 10
    assert "stopped after 1 try" in client.stats.last_error


def test_closing_again_does_not_wait_again(server, connect):
    server.always_hang()
    client = connect()
    client.log_one("a")
    assert client.close(timeout=0.05) is False
    begin = time.monotonic()
    assert client.close(timeout=60) is False
    assert time.monotonic() - begin < 30
