"""What a request looks like: address, headers, body, and how records are grouped into it."""

import contextlib
import socket
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from tidegauge_client import Client


def test_a_prediction_arrives_as_one_flat_object(server, connect):
    client = connect(project="team a", model="flight/delay", version="3", key="secret")
    client.log_one(
        "a1",
        {"age": 42, "carrier": "UA"},
        score=0.71,
        timestamp=datetime(2026, 1, 1, tzinfo=UTC),
        latency_ms=3.5,
    )
    assert client.flush(10)
    (request,) = server.requests
    assert request.path == "/v1/projects/team%20a/models/flight%2Fdelay/predictions"
    assert request.query == {"version": ["3"]}
    assert request.headers["authorization"] == "Bearer secret"
    assert request.headers["content-type"] == "application/x-ndjson"
    assert request.headers["user-agent"].startswith("tidegauge-client/")
    assert request.rows == [
        {
            "prediction_id": "a1",
            "age": 42,
            "carrier": "UA",
            "score": 0.71,
            "latency_ms": 3.5,
            "timestamp": "2026-01-01T00:00:00+00:00",
        }
    ]


def test_a_label_goes_to_the_labels_without_a_version(server, connect):
    client = connect(version="3")
    client.label_one("a1", 1, timestamp=0, observed_at="2026-01-02T00:00:00Z")
    client.label_one(prediction_id=7, label="late")
    assert client.flush(10)
    (request,) = server.requests
    assert request.path.endswith("/labels")
    assert request.query == {}
    assert request.rows == [
        {
            "prediction_id": "a1",
            "label": 1,
            "timestamp": "1970-01-01T00:00:00+00:00",
            "observed_at": "2026-01-02T00:00:00Z",
        },
        {"prediction_id": "7", "label": "late"},
    ]


def test_what_is_said_outright_comes_before_a_feature_of_the_same_name(server, connect):
    client = connect()
    client.log_one("a1", {"prediction_id": "x", "score": 0, "age": 42}, score=1, timestamp="now")
    client.log_one("a2", {"timestamp": "2026-01-01T00:00:00Z"})
    assert client.flush(10)
    assert server.rows() == [
        {"prediction_id": "a1", "score": 1, "age": 42, "timestamp": "now"},
        {"prediction_id": "a2", "timestamp": "2026-01-01T00:00:00Z"},
    ]


def test_a_prediction_without_a_time_is_of_now(server, connect):
    client = connect()
    client.log_one("a1")
    assert client.flush(10)
    age = datetime.now(UTC) - datetime.fromisoformat(server.rows()[0]["timestamp"])
    assert timedelta(0) <= age < timedelta(seconds=10)


def test_without_version_and_key_neither_is_sent(server, connect):
    client = connect()
    client.log_one("a1")
    assert client.flush(10)
    assert server.requests[0].query == {}
    assert "authorization" not in server.requests[0].headers


def test_single_records_share_requests(server, connect):
    client = connect(flush_interval=60, batch_records=100)
    for number in range(250):
        client.log_one(f"p{number}")
    server.wait_for(lambda s: len(s.requests) == 2)
    assert client.flush(10), "a flush does not wait for company"
    assert [len(request.rows) for request in server.requests] == [100, 100, 50]
    assert server.ids() == [f"p{number}" for number in range(250)]


def test_a_queue_smaller_than_a_batch_does_not_wait_for_a_whole_one(server, connect):
    client = connect(flush_interval=60, queue_records=10, batch_records=1_000)
    assert client.log([{"prediction_id": str(n)} for n in range(100)], timeout=20) == 100
    assert client.flush(10)
    assert server.ids() == [str(n) for n in range(100)]


def test_a_full_batch_leaves_at_once(server, connect):
    client = connect(flush_interval=60, batch_records=3)
    client.log_one("first")
    time.sleep(0.1)  # by now the thread waits for more; if it does not yet, the test still passes
    client.log_one("second")
    client.log_one("third")
    server.wait_for(lambda s: s.ids() == ["first", "second", "third"])


def test_a_lone_record_leaves_after_the_flush_interval(server, connect):
    client = connect(flush_interval=0.05)
    client.log_one("alone")
    server.wait_for(lambda s: s.ids() == ["alone"])


def test_requests_are_bounded_in_bytes(server, connect):
    client = connect(flush_interval=60, batch_bytes=10_000)
    for number in range(50):
        client.log_one(f"p{number}", {"text": "x" * 1_000})
    assert client.flush(10)
    assert len(server.ids()) == 50
    assert max(request.size for request in server.requests) <= 10_000


def test_a_record_larger_than_a_request_goes_alone(server, connect):
    client = connect(flush_interval=60, batch_bytes=1_000)
    for name, length in [("small", 10), ("large", 3_000), ("last", 10)]:
        client.log_one(name, {"text": "x" * length})
    assert client.flush(10)
    assert [len(request.rows) for request in server.requests] == [1, 1, 1]


def test_each_batch_has_a_key_of_its_own(server, connect):
    client = connect(flush_interval=60, batch_records=10)
    for number in range(100):
        client.log_one(f"p{number}")
    assert client.flush(10)
    assert len({request.key for request in server.requests}) == 10


def test_predictions_and_labels_do_not_break_up_each_others_batches(server, connect):
    client = connect(flush_interval=60)
    for number in range(50):
        client.log_one(f"p{number}")
        client.label_one(f"p{number}", 0)
    assert client.flush(10)
    assert sorted(len(request.rows) for request in server.requests) == [50, 50]


def test_the_books_follow_the_servers_account(server, connect, warnings):
    server.is_bad = lambda row: isinstance(row.get("age"), str)
    client = connect(flush_interval=60)
    for name, age in [("a", 1), ("a", 1), ("b", "old"), ("c", 3)]:
        client.log_one(name, {"age": age})
    assert client.flush(10)
    stats = client.stats
    assert (stats.sent, stats.accepted, stats.repeated, stats.quarantined) == (4, 2, 1, 1)
    assert (stats.queued, stats.dropped, stats.retried) == (0, 0, 0)
    assert stats.last_error == "1 predictions quarantined: age: not a number"
    assert "age: not a number" in warnings()[0]


def test_a_flush_gives_up_at_its_timeout(server, connect):
    server.always_hang()
    client = connect()
    client.log_one("a")
    assert client.flush(0.05) is False
    assert client.stats.queued == 1


def test_a_flush_with_nothing_to_do_returns_at_once(connect):
    assert connect().flush()


@pytest.mark.parametrize("body", [b"<html>log in first</html>", b"[]", b"{}"])
def test_a_good_status_without_an_account_is_not_taken_for_one(server, connect, body):
    server.then_reply(200, body)
    client = connect()
    client.log_one("a")
    assert client.flush(10)
    assert server.ids() == ["a"]
    assert client.stats.retried == 1
    assert "not as a Tidegauge server" in client.stats.last_error


def test_an_answer_without_end_is_read_no_further(server, connect):
    server.then_reply(200, b'{"accepted": 1, "more": "' + b"x" * 5_000_000 + b'"}')
    client = connect()
    client.log_one("a")
    assert client.flush(10)
    assert server.ids() == ["a"]
    assert "an answer of more than 4194304 bytes" in client.stats.last_error


def test_a_long_reason_is_cut(server, connect):
    server.then_reply(422, b'{"code": "long", "message": "%s"}' % (b"x" * 100_000))
    client = connect()
    client.log_one("a")
    assert client.flush(10)
    assert len(client.stats.last_error) < 2_000


def test_an_answer_that_only_trickles_in_does_not_hold_up_the_others():
    """Each byte comes in time; the answer never does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        stop = threading.Event()

        def trickle():
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 100000\r\n\r\n")
                while not stop.wait(0.02):
                    connection.sendall(b" ")

        thread = threading.Thread(target=trickle)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Client(url, model="m", flush_interval=0.01, timeout=0.2, max_retries=0) as client:
            client.log_one("a")
            assert client.flush(10)
            assert client.stats.dropped == 1
            assert "took too long to arrive" in client.stats.last_error
        stop.set()
        thread.join(10)
