"""``log(frame)`` and ``label(frame)``: every kind of frame arrives, whole, or is refused whole."""

import subprocess
import sys
import threading
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tidegauge_client import ClosedError

ROWS = [
    {"prediction_id": "a", "age": 42, "score": 0.5},
    {"prediction_id": "b", "age": 7, "score": 1.0},
]
COLUMNS = {name: [row[name] for row in ROWS] for name in ROWS[0]}
ARROW = "application/vnd.apache.arrow.stream"
NDJSON = "application/x-ndjson"


@pytest.mark.parametrize(
    ("frame", "content_type"),
    [
        (ROWS, NDJSON),
        (tuple(ROWS), NDJSON),
        (COLUMNS, NDJSON),
        (pd.DataFrame(ROWS), ARROW),
        (pl.DataFrame(ROWS), ARROW),
        (pa.table(COLUMNS), ARROW),
        (pa.table(COLUMNS).to_reader(), ARROW),
        (pa.RecordBatch.from_pylist(ROWS), ARROW),
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_any_frame_arrives_whole(server, connect, frame, content_type):
    client = connect()
    assert client.log(frame) == 2
    assert client.flush(10)
    assert server.rows() == ROWS
    assert server.requests[0].headers["content-type"] == content_type
    assert client.stats.accepted == 2


def test_labels_arrive_from_a_frame(server, connect):
    client = connect()
    assert client.label(pd.DataFrame({"prediction_id": ["a", "b"], "label": [1, 0]})) == 2
    assert client.label([{"prediction_id": "c", "label": True}]) == 1
    assert client.flush(10)
    assert server.ids("labels") == ["a", "b", "c"]


def test_a_large_frame_is_split_and_arrives_in_order(server, connect):
    table = pa.table({"prediction_id": [str(n) for n in range(50_000)], "x": list(range(50_000))})
    client = connect(batch_bytes=100_000)
    assert client.log(table) == 50_000
    assert client.flush(10)
    assert server.ids() == [str(n) for n in range(50_000)]
    assert max(request.size for request in server.requests) <= 100_000
    assert len(server.requests) < 20
    assert len({request.key for request in server.requests}) == len(server.requests)


def test_many_small_arrow_batches_share_requests(server, connect):
    batches = [pa.RecordBatch.from_pydict({"prediction_id": [str(n)]}) for n in range(1_000)]
    client = connect()
    client.log(pa.Table.from_batches(batches))
    assert client.flush(10)
    assert len(server.ids()) == 1_000
    assert len(server.requests) == 1


def test_a_large_dictionary_is_not_sent_again_with_every_slice(server, connect):
    values = [f"a-rather-long-category-{n:06}" for n in range(20_000)]
    frame = pd.DataFrame({"prediction_id": values, "category": pd.Categorical(values)})
    client = connect(batch_bytes=200_000)
    client.log(frame)
    assert client.flush(10)
    assert [row["category"] for row in server.rows()] == values
    assert sum(request.size for request in server.requests) < 3_000_000
    assert max(request.size for request in server.requests) <= 200_000


def test_batches_with_dictionaries_of_their_own_share_requests(server, connect):
    categories = [("a", "b"), ("b", "c"), ("c", None)]
    batches = [
        pa.record_batch({"prediction_id": [f"x{n}", f"y{n}"], "c": pa.array(c).dictionary_encode()})
        for n, c in enumerate(categories)
    ]
    client = connect()
    client.log(pa.Table.from_batches(batches))
    assert client.flush(10)
    assert [row["c"] for row in server.rows()] == ["a", "b", "b", "c", "c", None]


def test_a_frame_waits_for_room_rather_than_lose_rows(server, connect):
    server.vanish()
    client = connect(queue_records=10)
    job = threading.Thread(target=client.log, args=([{"prediction_id": n} for n in range(50)],))
    job.start()
    while client.stats.queued < 10:
        pass
    assert client.stats.dropped == 0
    server.appear()
    job.join(10)
    assert client.flush(10)
    assert server.ids() == [str(n) for n in range(50)]


@pytest.mark.parametrize("how", [{"block": False}, {"timeout": 0.05}], ids=str)
def test_a_frame_that_may_not_wait_is_dropped_in_part_and_counted(server, connect, how):
    server.vanish()
    client = connect(queue_records=10)
    assert client.log([{"prediction_id": n} for n in range(50)], **how) == 10
    assert client.stats.dropped == 40


def test_closing_frees_a_frame_that_waits(server, connect):
    server.vanish()
    client = connect(queue_records=5)
    job = threading.Thread(target=client.log, args=([{"prediction_id": n} for n in range(20)],))
    job.start()
    while client.stats.queued < 5:
        pass
    client.close(timeout=0)
    job.join(10)
    assert not job.is_alive()


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"prediction_id": ["a"], "seen": pd.to_datetime(["2026-01-01"])}),
        pd.DataFrame({"prediction_id": ["a"], "seen": [datetime(2026, 1, 1)]}, dtype=object),
        pa.table({"prediction_id": ["a"], "seen": pa.array([0], pa.timestamp("ns"))}),
        pl.DataFrame({"prediction_id": ["a"], "seen": [datetime(2026, 1, 1)]}),
        [{"prediction_id": "z"}, {"prediction_id": "a", "seen": datetime(2026, 1, 1)}],
        {"prediction_id": ["a"], "seen": [datetime(2026, 1, 1)]},
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_a_naive_time_is_refused_before_anything_is_queued(server, connect, frame):
    client = connect()
    with pytest.raises(ValueError, match=r"column 'seen': a time without a zone; .*timezone='UTC'"):
        client.log(frame)
    assert (client.stats.queued, client.stats.dropped) == (0, 0)
    told = connect(timezone="America/New_York")
    told.log(frame)
    assert told.flush(10)
    seen = server.rows()[-1]["seen"]
    if isinstance(seen, str):
        seen = datetime.fromisoformat(seen)
    assert seen in (datetime(2026, 1, 1, 5, tzinfo=UTC), datetime(1970, 1, 1, 5, tzinfo=UTC))


def test_hours_that_a_clock_change_repeats_or_skips_do_not_stop_a_frame(server, connect):
    times = [datetime(2025, 11, 2, 1, 30), datetime(2025, 3, 9, 2, 30)]
    client = connect(timezone="America/New_York")
    client.log(pd.DataFrame({"prediction_id": ["twice", "never"], "seen": times}))
    assert client.flush(10)
    assert [row["seen"].astimezone(UTC).hour for row in server.rows()] == [5, 6]


def test_row_numbers_are_not_sent_and_a_named_index_is(server, connect):
    frame = pd.DataFrame({"prediction_id": ["a", "b", "c"], "age": [1, 2, 3]})
    client = connect()
    client.log(frame.iloc[[2, 0, 1]])
    client.log(frame.set_index("prediction_id"))
    assert client.flush(10)
    assert [set(row) for row in server.rows()] == [{"prediction_id", "age"}] * 6
    assert server.ids() == ["c", "a", "b", "a", "b", "c"]


def test_a_column_of_mixed_types_is_sent_as_json(server, connect):
    client = connect()
    client.log(
        pd.DataFrame({"prediction_id": ["a", "b"], "age": pd.Series([1, "old"], dtype=object)})
    )
    assert client.flush(10)
    assert [row["age"] for row in server.rows()] == [1, "old"]
    assert server.requests[0].headers["content-type"] == NDJSON


def test_ids_that_are_uuids_arrive_as_text_either_way(server, connect):
    row = {"prediction_id": UUID(int=7), "fare": Decimal("1.5")}
    client = connect()
    client.log(pd.DataFrame([row]))
    client.log([row])
    assert client.flush(10)
    assert server.ids() == [str(UUID(int=7))] * 2


def test_a_row_that_cannot_be_sent_is_dropped_and_the_rest_is_not(server, connect, warnings):
    client = connect()
    assert client.log([{"prediction_id": "a"}, {"prediction_id": "b", "x": object()}]) == 1
    assert client.flush(10)
    assert server.ids() == ["a"]
    assert client.stats.dropped == 1
    assert "row 1: column 'x'" in warnings()[0]


def test_a_row_too_large_for_a_request_is_dropped_and_the_rest_is_not(server, connect, warnings):
    texts = ["x", "y" * 50_000, "z"]
    client = connect(batch_bytes=10_000)
    assert client.log(pa.table({"prediction_id": ["a", "b", "c"], "text": texts})) == 2
    assert client.flush(10)
    assert server.ids() == ["a", "c"]
    assert "more than one request may hold" in warnings()[0]


@pytest.mark.parametrize(
    "frame",
    [[], {}, pd.DataFrame(), pa.table({"prediction_id": []})],
    ids=lambda frame: type(frame).__name__,
)
def test_an_empty_frame_is_nothing_to_send(server, connect, frame):
    client = connect()
    assert client.log(frame) == 0
    assert client.flush(10)
    assert server.requests == []


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (42, "a int is no frame"),
        ("file.parquet", "a str is no frame"),
        (pd.Series([1]), "Series"),
        ([1, 2], "row 0 is a int, not a dict"),
        ({"prediction_id": "a", "age": 3}, "column 'prediction_id' is a str: .* log_one"),
    ],
)
def test_what_is_no_frame_is_refused_with_a_hint(connect, frame, message):
    with pytest.raises(TypeError, match=message):
        connect().log(frame)


def test_columns_of_different_length_are_refused(connect):
    with pytest.raises(ValueError, match=r"differ in length \(prediction_id: 2, age: 1\)"):
        connect().log({"prediction_id": ["a", "b"], "age": [1]})


@pytest.mark.parametrize("frame", [[{"prediction_id": "a"}], pa.table({"id": ["a"], "label": [1]})])
def test_labels_without_their_columns_are_refused(connect, frame):
    with pytest.raises(ValueError, match="labels need the columns prediction_id and label"):
        connect().label(frame)


def test_a_closed_client_refuses_a_frame(connect):
    client = connect()
    client.close()
    with pytest.raises(ClosedError):
        client.log(ROWS)


WITHOUT_PYARROW = """
import sys
sys.modules["pyarrow"] = None
import numpy, pandas, polars, tidegauge_client
with tidegauge_client.Client(sys.argv[1], model="m") as client:
    client.log(pandas.DataFrame({"prediction_id": ["pandas"], "x": [numpy.nan],
        "at": pandas.to_datetime(["2026-01-01"], utc=True)}, index=[9]))
    client.log(polars.DataFrame({"prediction_id": ["polars"], "x": [1.5]}))
    client.log({"prediction_id": numpy.array(["numpy"]), "x": numpy.array([2.5])})
    try:
        client.baseline([{"x": 1}])
    except TypeError as error:
        assert "tidegauge-client[arrow]" in str(error)
    else:
        raise SystemExit("the baseline should have been refused")
"""


def test_without_pyarrow_frames_are_sent_as_json(server):
    subprocess.run([sys.executable, "-c", WITHOUT_PYARROW, server.url], check=True, timeout=30)
    assert [(row["prediction_id"], row["x"]) for row in server.rows()] == [
        ("pandas", None),
        ("polars", 1.5),
        ("numpy", 2.5),
    ]
    assert server.rows()[0]["at"] == "2026-01-01T00:00:00+00:00"
    assert {request.headers["content-type"] for request in server.requests} == {NDJSON}
