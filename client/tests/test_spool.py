"""A client with a spool: what cannot be sent waits on disk, and arrives once."""

import time

import pytest

from tidegauge_client import Client, Stats


def batches(folder):
    return sorted(folder.glob("*/*.batch"))


def wait_until(what, seconds=10.0):
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.005)


def on_disk(client):
    wait_until(lambda: client.stats.queued == 0)


def test_while_the_server_is_there_the_spool_is_empty_again_after_each_answer(
    server, spooling, tmp_path
):
    client = spooling()
    for number in range(50):
        client.log_one(f"p{number}")
        client.label_one(f"p{number}", 1)
    assert client.flush(10)
    assert server.ids() == server.ids("labels") == [f"p{number}" for number in range(50)]
    assert batches(tmp_path / "spool") == []
    assert client.stats == Stats(sent=100, accepted=100)
    assert client.close()
    assert list((tmp_path / "spool").iterdir()) == []


def test_without_a_server_records_wait_on_disk_and_not_in_memory(
    server, spooling, tmp_path, warnings
):
    server.vanish()
    client = spooling(queue_records=100, batch_records=50)
    for number in range(2_000):
        client.log([{"prediction_id": f"p{number}"}])  # waits for room: the disk makes it
    on_disk(client)
    assert (client.stats.spooled, client.stats.dropped) == (2_000, 0)
    assert client.stats.spooled_batches == len(batches(tmp_path / "spool"))
    assert client.stats.spooled_bytes == 4096 * client.stats.spooled_batches
    assert 0 < client.stats.spooled_oldest < 30
    server.appear()
    assert client.flush(20)
    assert sorted(server.ids()) == sorted(f"p{number}" for number in range(2_000))
    assert client.stats.sent == 2_000
    assert client.stats.spooled_oldest is None
    assert len([text for text in warnings() if "waits in the spool" in text]) == 1


@pytest.mark.parametrize("after_storing", [False, True])
def test_a_lost_answer_is_asked_for_again_with_the_same_key(server, spooling, after_storing):
    for _ in range(2):
        server.then_reset(after_storing)
    client = spooling()
    client.log_one("a")
    assert client.flush(10)
    assert server.ids() == ["a"]
    assert len(server.requests) == 3
    assert len({request.key for request in server.requests}) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 503, 507])
def test_a_busy_or_broken_server_gets_it_later(server, spooling, status):
    server.always_reply(status)
    client = spooling()
    client.log_one("a")
    server.wait_for(lambda s: len(s.requests) >= 5)
    assert client.stats.spooled == 1
    server.recover()
    assert client.flush(10)
    assert server.ids() == ["a"]
    assert len({request.key for request in server.requests}) == 1


def test_a_retry_after_is_honoured_by_all_that_waits(server, spooling):
    server.then_reply(429, Retry_After="1")
    client = spooling(batch_records=1)
    for name in "abc":
        client.log_one(name)
    assert client.flush(10)
    assert server.requests[1].at - server.requests[0].at >= 1.0
    assert sorted(server.ids()) == ["a", "b", "c"]


def test_the_oldest_is_sent_first(server, spooling):
    server.vanish()
    client = spooling(batch_records=1)
    names = [f"p{number}" for number in range(100)]
    for name in names:
        client.log_one(name)
        time.sleep(0.002)
    on_disk(client)
    server.appear()
    assert client.flush(10)
    assert server.ids() == names


def test_after_an_outage_new_records_do_not_wait_for_all_the_old_ones(server, spooling):
    server.vanish()
    client = spooling(batch_records=1)
    for number in range(400):
        client.log_one(f"old{number}")
    on_disk(client)
    server.appear()
    server.wait_for(lambda s: s.ids())
    for number in range(20):
        client.log_one(f"new{number}")
    assert client.flush(20)
    ids = server.ids()
    last_new = ids.index("new19")
    assert last_new < 300, "new ones overtake old ones"
    assert any(name.startswith("old") for name in ids[ids.index("new0") : last_new]), "in turns"
    assert len(ids) == 420 == len(set(ids))


def test_a_batch_that_the_server_fails_at_does_not_block_the_others(
    server, spooling, tmp_path, warnings
):
    server.fails_at = lambda row: row["prediction_id"] == "poison"
    client = spooling(batch_records=1, max_retries=6)
    client.log_one("poison")
    for number in range(20):
        client.log_one(f"p{number}")
    assert client.flush(20)
    assert sorted(server.ids()) == sorted(f"p{number}" for number in range(20))
    assert (client.stats.sent, client.stats.dropped, client.stats.spooled) == (20, 1, 0)
    assert len(list((tmp_path / "spool" / "refused").glob("*.batch"))) == 1
    assert any("while others got through" in text for text in warnings())


@pytest.mark.parametrize("status", [400, 401, 404, 413, 422])
def test_a_refused_batch_is_set_aside_with_the_answer(server, spooling, tmp_path, warnings, status):
    server.then_reply(status, b'{"code": "bad_schema", "message": "no column age"}')
    client = spooling(batch_records=1)
    client.log_one("refused")
    client.log_one("taken")
    assert client.flush(10)
    assert server.ids() == ["taken"]
    assert (client.stats.sent, client.stats.dropped) == (1, 1)
    why = next((tmp_path / "spool" / "refused").glob("*.why.json")).read_text()
    assert f'"status": {status}, "code": "bad_schema", "message": "no column age"' in why
    assert any("set aside in refused/" in text and "no column age" in text for text in warnings())


def test_the_next_client_sends_what_an_earlier_one_left(server, spooling, tmp_path, warnings):
    server.vanish()
    first = spooling(version="3")
    first.log_one("a")
    first.label_one("a", 1)
    assert first.close(timeout=0) is False
    assert (first.stats.queued, first.stats.spooled, first.stats.dropped) == (0, 2, 0)
    assert any("closed with 2 records in the spool" in text for text in warnings())
    server.appear()
    second = spooling(version="4")
    second.log_one("b")
    assert second.flush(10)
    assert (server.ids("labels"), sorted(server.ids())) == (["a"], ["a", "b"])
    versions = {
        request.rows[0]["prediction_id"]: request.query["version"]
        for request in server.requests
        if request.path.endswith("predictions")
    }
    assert versions == {"a": ["3"], "b": ["4"]}, "the version that made the prediction"
    assert (second.stats.recovered, second.stats.sent) == (2, 3)
    assert second.close()
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_flush_alone_sends_what_was_left(server, spooling):
    server.vanish()
    first = spooling()
    first.log_one("a")
    first.close(timeout=0)
    server.appear()
    second = spooling()
    assert second.flush(10)
    assert server.ids() == ["a"]


def test_other_destinations_batches_are_left_alone_and_told_of(
    server, spooling, tmp_path, warnings
):
    server.vanish()
    with spooling(model="other") as other:
        other.log_one("a")
        other.close(timeout=0)
    server.appear()
    client = spooling()
    client.log_one("b")
    assert client.flush(10)
    assert (server.ids(), client.stats.recovered) == (["b"], 0)
    assert len(batches(tmp_path / "spool")) == 1
    assert any("python -m tidegauge_client spool" in text for text in warnings())


def test_a_full_spool_drops_the_newest_and_counts_them(server, spooling, tmp_path, warnings):
    server.vanish()
    client = spooling(spool_bytes=10 * 4096, batch_records=1, queue_records=5)
    queued = 0
    for number in range(40):
        queued += client.log_one(f"p{number}")
        wait_until(lambda: client.stats.queued == 0 or client.stats.spooled == 10)
    stats = client.stats
    assert (stats.spooled, stats.queued, stats.dropped) == (10, 5, 25)
    assert queued == 15
    assert len(batches(tmp_path / "spool")) == 10
    wait_until(lambda: any("is full: 40960 of 40960 bytes" in text for text in warnings()))
    assert any("the queue is full" in text for text in warnings())
    server.appear()
    assert client.flush(10)
    assert sorted(server.ids()) == sorted(f"p{number}" for number in range(15))


def test_what_was_set_aside_gives_way_to_what_can_be_sent(server, spooling, tmp_path, warnings):
    for _ in range(4):
        server.then_reply(422)
    client = spooling(spool_bytes=9 * 4096, batch_records=1)
    for number in range(4):
        client.log_one(f"refused{number}")
    assert client.flush(10)
    server.vanish()
    for number in range(9):
        client.log_one(f"p{number}")
    on_disk(client)
    assert client.stats.spooled == 9
    assert list((tmp_path / "spool" / "refused").glob("*")) == []
    assert any("had to give way" in text for text in warnings())


def test_logging_neither_waits_nor_raises_while_the_server_hangs(server, spooling):
    server.always_hang()
    client = spooling(timeout=60, queue_records=500, batch_records=100)
    client.log_one("first")
    server.wait_for(lambda s: s.requests)
    spent = 0.0
    for number in range(2_000):
        begin = time.perf_counter()
        client.log_one(f"p{number}", {"age": 42.5, "carrier": "UA"}, score=0.5)
        spent += time.perf_counter() - begin
        if number % 100 == 0:
            wait_until(lambda: client.stats.queued < 300)
    assert spent < 1.0  # half a millisecond each, on a crowded machine
    on_disk(client)
    assert client.stats.dropped == 0, "the disk takes them, while the request hangs"
    assert client.stats.spooled == 2_001


def test_a_flush_without_a_timeout_gives_up_after_all_retries(server, spooling):
    server.vanish()
    client = spooling(max_retries=3)
    client.log_one("a")
    assert client.flush() is False
    assert client.stats.spooled == 1
    server.appear()
    assert client.flush()
    assert server.ids() == ["a"]


def test_closing_waits_for_the_disk_even_if_told_to_hurry(server, spooling, tmp_path):
    server.always_hang()
    client = spooling(timeout=60, flush_interval=60)
    for number in range(10_000):
        client.log_one(f"p{number}", {"x": "y" * 100})
    assert client.close(timeout=0) is False
    assert (client.stats.spooled, client.stats.dropped) == (10_000, 0)
    assert len(batches(tmp_path / "spool")) == 5


def test_closing_does_not_wait_for_a_server_that_will_not_be_asked_in_time(server, spooling):
    server.vanish()
    client = spooling(backoff=60, max_backoff=60)
    client.log_one("a")
    wait_until(lambda: client.stats.retried)
    begin = time.monotonic()
    client._sender.courier._not_before += 60  # whatever the jitter gave
    assert client.close(timeout=30) is False
    assert time.monotonic() - begin < 10


def test_the_books_balance_at_every_moment(server, spooling):
    for _ in range(5):
        server.then_reset()
        server.then_reply(422)
    client = spooling(batch_records=7)
    for number in range(500):
        assert client.log_one(f"p{number}")
        stats = client.stats
        total = stats.queued + stats.spooled + stats.sent + stats.dropped
        assert total == number + 1, stats
        assert stats.spooled >= 0
    assert client.flush(10)
    assert client.stats.sent + client.stats.dropped == 500


def test_what_a_closed_client_left_on_disk_can_still_be_asked(server, spooling):
    server.vanish()
    client = spooling()
    client.log_one("a")
    client.close(timeout=0)
    client._sender.courier._thread.join(10)
    assert (client.stats.spooled, client.stats.spooled_batches) == (1, 1)
    assert client.stats.spooled_bytes == 4096


def test_only_the_services_user_may_read_what_waits(server, spooling, tmp_path):
    server.vanish()
    client = spooling()
    client.log_one("a")
    on_disk(client)
    (file,) = batches(tmp_path / "spool")
    assert file.parent.stat().st_mode & 0o077 == 0


def test_the_projects_key_is_not_on_the_disk(server, spooling, tmp_path):
    server.vanish()
    client = spooling(key="very-secret")
    client.log_one("a")
    on_disk(client)
    (file,) = batches(tmp_path / "spool")
    assert b"very-secret" not in file.read_bytes()
    assert b'"prediction_id":"a"' in file.read_bytes()


def test_frames_travel_through_the_spool_as_they_are(server, spooling):
    pa = pytest.importorskip("pyarrow")
    server.vanish()
    client = spooling()
    assert client.log(pa.table({"prediction_id": ["a", "b"], "age": [1, 2]})) == 2
    on_disk(client)
    server.appear()
    assert client.flush(10)
    assert server.rows() == [{"prediction_id": "a", "age": 1}, {"prediction_id": "b", "age": 2}]
    assert server.requests[-1].headers["content-type"] == "application/vnd.apache.arrow.stream"


def test_a_spool_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="spool must be a folder"):
        Client("http://localhost:1", model="m", spool=tmp_path / "file")
    with pytest.raises(ValueError, match="spool_bytes must be at least 1"):
        Client("http://localhost:1", model="m", spool_bytes=0)
