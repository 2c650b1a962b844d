"""The scoring path: ``log_one`` and ``label_one`` neither wait nor raise, whatever happens."""

import logging
import time
from datetime import datetime
from pathlib import Path

import pytest

from tidegauge_client import Client


def test_logging_takes_no_time_while_the_server_does_not_answer(server, connect):
    server.always_hang()
    client = connect(timeout=60)
    client.log_one("first")
    server.wait_for(lambda s: s.requests)
    begin = time.perf_counter()
    for number in range(5_000):
        client.log_one(f"p{number}", {"age": 42.5, "carrier": "UA"}, score=0.5)
    assert time.perf_counter() - begin < 2.5  # half a millisecond each, on a crowded machine
    assert client.stats.queued == 5_001


def test_logging_works_while_there_is_no_server(server, connect):
    server.vanish()
    client = connect()
    assert all(client.log_one(f"p{number}") for number in range(100))
    server.appear()
    assert client.flush(10)
    assert server.ids() == [f"p{number}" for number in range(100)]


def test_a_full_queue_drops_the_newest_and_counts_them(server, connect, warnings):
    server.vanish()
    client = connect(queue_records=10)
    queued = [client.log_one(f"p{number}") for number in range(25)]
    assert queued == [True] * 10 + [False] * 15
    assert (client.stats.queued, client.stats.dropped) == (10, 15)
    full = [text for text in warnings() if "queue is full" in text]
    assert len(full) == 1, "15 drops within a moment are one warning"
    assert "(1 dropped" in full[0]
    server.appear()
    assert client.flush(10)
    assert server.ids() == [f"p{number}" for number in range(10)]


def test_the_queue_is_bounded_in_bytes_too(server, connect):
    server.vanish()
    client = connect(queue_bytes=10_000)
    for number in range(100):
        client.log_one(f"p{number}", {"text": "x" * 900})
    assert 8 <= client.stats.queued <= 11
    assert client.stats.queued + client.stats.dropped == 100


def test_what_was_sent_makes_room_again(server, connect):
    client = connect(queue_bytes=10_000)
    for number in range(50):
        assert client.log_one(f"p{number}", {"text": "x" * 900})
        assert client.log([{"prediction_id": f"f{number}", "text": "x" * 900}], block=False) == 1
        assert client.flush(10)
    assert client.stats.dropped == 0


def test_records_on_their_way_still_count_against_the_bound(server, connect):
    server.always_hang()
    client = connect(queue_records=5)
    for number in range(5):
        client.log_one(f"p{number}")
    server.wait_for(lambda s: s.requests)
    assert not client.log_one("one too many")


def test_a_record_larger_than_the_queue_is_dropped_by_name(connect, warnings):
    client = connect(queue_bytes=1_000)
    assert not client.log_one("a1", {"text": "x" * 2_000})
    assert "more than the queue may hold" in warnings()[0]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"prediction_id": None}, "'prediction_id': is missing"),
        ({"prediction_id": float("nan")}, "'prediction_id': is missing"),
        ({"prediction_id": ["a"]}, "a list is not an id"),
        ({"prediction_id": "a", "features": {"age": object()}}, "'age': a object has no form"),
        ({"prediction_id": "a", "blob": b"\xff\x00"}, "'blob': bytes that are not UTF-8"),
        ({"prediction_id": "a", "features": 42}, "TypeError"),
        ({"prediction_id": "a", "timestamp": 1.7e12}, "is it in milliseconds?"),
        ({"prediction_id": "a", "timestamp": True}, "'timestamp': True is not a time"),
        ({"prediction_id": "a", "path": Path("/")}, "'path': a PosixPath has no form"),
    ],
)
def test_what_cannot_be_sent_is_dropped_and_named(connect, warnings, record, message):
    client = connect()
    assert client.log_one(**record) is False
    assert client.stats.dropped == 1
    assert message in client.stats.last_error
    assert message in warnings()[0]


def test_a_record_that_holds_itself_is_dropped(connect):
    client = connect()
    knot: list[object] = []
    knot.append(knot)
    assert client.log_one("a", {"knot": knot}) is False
    assert "nested" in client.stats.last_error


def test_a_value_that_raises_when_looked_at_is_dropped(connect):
    class Sour:
        dtype = property(lambda self: 1 / 0)

    client = connect()
    assert client.log_one("a", {"sour": Sour()}) is False
    assert "ZeroDivisionError" in client.stats.last_error


def test_a_time_without_a_zone_is_dropped_and_said_once(connect, warnings):
    client = connect()
    for _ in range(3):
        assert not client.log_one("a", timestamp=datetime(2026, 1, 1))
    assert client.stats.dropped == 3
    assert len(warnings()) == 1
    assert "timezone='UTC'" in warnings()[0]


def test_a_declared_zone_is_what_a_time_without_one_means(server, connect):
    client = connect(timezone="Europe/Paris")
    client.log_one("a", {"booked": datetime(2026, 7, 1, 12)}, timestamp=datetime(2026, 1, 1))
    assert client.flush(10)
    assert server.rows() == [
        {
            "prediction_id": "a",
            "booked": "2026-07-01T12:00:00+02:00",
            "timestamp": "2026-01-01T00:00:00+01:00",
        }
    ]


def test_what_is_logged_is_what_it_was_at_that_moment(server, connect):
    client = connect(flush_interval=60)
    features = {"age": 42, "embedding": [1.0, 2.0]}
    client.log_one("a", features)
    features["age"] = 7
    features["embedding"].append(3.0)
    assert client.flush(10)
    assert server.rows()[0]["age"] == 42
    assert server.rows()[0]["embedding"] == [1.0, 2.0]


def test_a_closed_client_drops_and_says_so(connect, warnings):
    client = connect()
    assert client.close()
    assert client.log_one("a") is False
    assert client.label_one("a", 1) is False
    assert client.stats.dropped == 2
    assert "the client is closed" in warnings()[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "localhost:8420"}, "url must be like 'http://localhost:8420'"),
        ({"url": "http://"}, "url must be like"),
        ({"model": ""}, "must not be empty"),
        ({"key": "secret\n"}, "does it end in a line end"),
        ({"timezone": "Mars/Olympus"}, "'Mars/Olympus' is not known"),
        ({"queue_records": 0}, "queue_records must be at least 1"),
        ({"max_retries": -1}, "max_retries must not be negative"),
        ({"timeout": 0}, "timeout must be more than 0"),
    ],
)
def test_a_client_that_makes_no_sense_is_refused_when_it_is_made(options, message):
    with pytest.raises(ValueError, match=message):
        Client(**{"url": "http://localhost:8420", "model": "m", **options})


def test_the_key_is_not_shown():
    client = Client("http://localhost:8420", model="m", key="secret")
    assert "secret" not in repr(client)
    assert "/v1/projects/default/models/m" in repr(client)


def test_a_log_handler_that_raises_does_not_break_the_scoring_path(connect):
    class Broken(logging.Handler):
        def emit(self, record):
            raise OSError("the disk is full")

    handler = Broken()
    logging.getLogger("tidegauge_client").addHandler(handler)
    try:
        assert connect().log_one(None) is False
    finally:
        logging.getLogger("tidegauge_client").removeHandler(handler)
