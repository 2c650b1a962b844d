"""``baseline(frame)``: one upload, an answer or an error."""

import pandas as pd
import pyarrow as pa
import pytest

from tidegauge_client import ClosedError, RefusedError, UnreachableError

FRAME = pd.DataFrame({"prediction_id": ["a", "b"], "age": [42.0, None]})


@pytest.mark.parametrize("frame", [FRAME, FRAME.to_dict("records"), FRAME.to_dict("list")])
def test_a_frame_becomes_the_baseline_and_the_answer_comes_back(server, connect, frame):
    server.then_reply(201, b'{"id": "b-1", "records": 2}')
    assert connect(key="k").baseline(frame) == {"id": "b-1", "records": 2}
    (request,) = server.requests
    assert request.path == "/v1/projects/default/models/m/baselines"
    assert request.headers["content-type"] == "application/vnd.apache.arrow.stream"
    assert request.headers["authorization"] == "Bearer k"
    assert int(request.headers["content-length"]) == request.size
    assert [row["prediction_id"] for row in request.rows] == ["a", "b"]


def test_a_large_baseline_is_one_request(server, connect):
    table = pa.table({"prediction_id": [str(n) for n in range(300_000)]})
    connect(batch_bytes=1_000).baseline(table)
    (request,) = server.requests
    assert len(request.rows) == 300_000


def test_a_refused_baseline_raises_the_servers_reason(server, connect):
    server.then_reply(422, b'{"code": "empty", "message": "a baseline needs records"}')
    with pytest.raises(RefusedError, match="a baseline needs records") as refusal:
        connect().baseline(FRAME)
    assert (refusal.value.status, refusal.value.code) == (422, "empty")
    assert len(server.requests) == 1


def test_a_busy_server_gets_the_whole_baseline_again_with_the_same_key(server, connect):
    server.then_reply(503)
    server.then_reset()
    connect().baseline(FRAME)
    assert [len(request.rows) for request in server.requests] == [2, 2, 2]
    assert len({request.key for request in server.requests}) == 1


def test_a_baseline_for_nobody_raises(server, connect):
    server.vanish()
    with pytest.raises(UnreachableError, match="gave up after 3 tries"):
        connect(max_retries=2).baseline(FRAME)


def test_a_baseline_with_naive_times_is_refused_before_it_is_sent(server, connect):
    frame = pd.DataFrame({"timestamp": pd.to_datetime(["2026-01-01"])})
    with pytest.raises(ValueError, match="column 'timestamp'"):
        connect().baseline(frame)
    assert server.requests == []


def test_a_baseline_does_not_wait_behind_the_queue(server, connect):
    server.then_hang()
    client = connect(timeout=60)
    client.log_one("stuck")
    server.wait_for(lambda s: s.requests)
    client.baseline(FRAME)
    assert client.stats.queued == 1


def test_a_baseline_leaves_the_connection_of_the_queue_alone(server, connect):
    client = connect()
    for name in "ab":
        client.log_one(name)
        assert client.flush(10)
        client.baseline(FRAME)
    first, upload, second, other_upload = (request.connection for request in server.requests)
    assert first == second
    assert len({first, upload, other_upload}) == 3


def test_a_closed_client_refuses_a_baseline(connect):
    client = connect()
    client.close()
    with pytest.raises(ClosedError):
        client.baseline(FRAME)
