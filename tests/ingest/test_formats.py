"""The contract of every registered wire format, and what is particular to each."""

import datetime

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegauge.errors import BadInput
from tidegauge.ingest import (
    CorruptLine,
    UnsupportedMediaType,
    check_records,
    format_of,
    formats,
    parse,
)
from tidegauge.schema import infer_schema

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
TABLE = pa.table(
    {
        "prediction_id": ["a", "b", "c"],
        "timestamp": pa.array([NOW] * 3, pa.timestamp("us", "UTC")),
        "age": [42.5, None, float("nan")],
        "carrier": ["UA", "größe", None],
        "late": [True, False, None],
        "vector": pa.array([[0.5, 1.0], [0.25, 2.0], [0.0, 3.0]]),
    }
)
SCHEMA = infer_schema(TABLE)

each_format = pytest.mark.parametrize("format", formats(), ids=lambda format: format.name)


@each_format
def test_records_that_were_written_are_read_and_accepted(format):
    checked = check_records(format.read(format.write(TABLE)), SCHEMA, now=NOW)
    expected = check_records(TABLE, SCHEMA, now=NOW)
    assert checked.errors == ()
    assert str(checked.accepted.to_pylist()) == str(expected.accepted.to_pylist())


@each_format
def test_every_content_type_finds_its_format(format):
    for media_type in format.media_types:
        assert format_of(f" {media_type.upper()} ; charset=utf-8") is format


def test_no_two_formats_share_a_content_type():
    types = [media_type for format in formats() for media_type in format.media_types]
    assert len(set(types)) == len(types)
    assert all(media_type == media_type.lower() for media_type in types)


@each_format
def test_no_records_are_read_as_none(format):
    body = format.write(TABLE.slice(0, 0))
    checked = check_records(format.read(body), SCHEMA, now=NOW)
    assert (checked.accepted.num_rows, checked.quarantined.num_rows) == (0, 0)


def refusals(format, body):
    """Read and check a body: anything but bad input is a failure of the test."""
    try:
        parsed = format.read(body)
        checked = check_records(parsed, SCHEMA, now=NOW)
        checked.accepted.validate(full=True)
    except BadInput as error:
        assert error.message
        assert "\n" not in error.message


@each_format
@settings(deadline=None, max_examples=60)
@given(body=st.binary(max_size=200))
def test_any_bytes_are_records_or_bad_input(format, body):
    refusals(format, body)


@each_format
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_a_damaged_body_is_records_or_bad_input(format, data):
    body = bytearray(format.write(TABLE))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(body)) | st.just(len(body)))
    refusals(format, bytes(body[:end]))


@pytest.mark.parametrize(
    "content_type", ["text/html", "", None, "application/x-www-form-urlencoded"]
)
def test_another_content_type_is_refused_with_those_that_are_read(content_type):
    with pytest.raises(UnsupportedMediaType) as caught:
        parse(b"[]", content_type)
    assert (caught.value.code, caught.value.status) == ("unsupported_media_type", 415)
    for format in formats():
        assert format.media_types[0] in caught.value.message


JSON = "application/json"


def test_one_json_object_is_one_record():
    assert parse(b'{"a": 1}', JSON) == [{"a": 1}]
    assert parse(b'\xef\xbb\xbf[{"a": 1}]', JSON) == [{"a": 1}]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'[{"a": 1},\n {"a": ]', "the body: line 2, column 8: not JSON: "),
        (b"", "the body is empty; send an array of objects"),
        (b" \n", "the body is empty; send an array of objects"),
        (b"42", "the body is JSON, but neither an array of objects nor an object: 42"),
        (b'"text"', "the body is JSON, but neither"),
        (b"[NaN]", "the body: line 1, column 2: not JSON: "),
        (b"[1e400, NaN]", "the body: not JSON: NaN is no JSON; send null, or 'NaN' as text"),
        (b"[1e400,]", "the body: line 1, column "),
        (b"\xff\xfe", "the body: line 1, column 1: not JSON: "),
        (b"[1e400," * 100_000, "the body: "),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_bad_json_is_refused_with_its_place(body, message):
    with pytest.raises(BadInput) as caught:
        parse(body, JSON)
    assert caught.value.code == "bad_json"
    assert caught.value.message.startswith(message)


def test_a_corrupt_line_of_ndjson_leaves_the_others():
    body = b'{"a": 1}\r\n\n{"a": \n\xff\n7\n{"a": 1e400}\n{"a": 2}'
    first, broken, binary, number, huge, last = parse(body, "application/x-ndjson")
    assert (first, number, huge, last) == ({"a": 1}, 7, {"a": "1e400"}, {"a": 2})
    assert isinstance(broken, CorruptLine)
    assert broken.text == '{"a": '
    assert broken.message.startswith("line 3, column ")
    assert binary.text == "\N{REPLACEMENT CHARACTER}"


def test_an_arrow_file_is_refused_with_what_to_send():
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, TABLE.schema) as writer:
        writer.write_table(TABLE)
    with pytest.raises(BadInput, match="is an Arrow file; send an Arrow stream"):
        parse(bytes(sink.getvalue()), "application/vnd.apache.arrow.stream")


@pytest.mark.parametrize(
    ("content_type", "code"),
    [
        ("application/vnd.apache.arrow.stream", "bad_arrow"),
        ("application/vnd.apache.parquet", "bad_parquet"),
    ],
)
def test_nonsense_and_columns_of_one_name_have_their_codes(content_type, code):
    for body in (b"", b"nonsense", format_of(content_type).write(TABLE)[:-20]):
        with pytest.raises(BadInput) as caught:
            parse(body, content_type)
        assert caught.value.code == code
    twice = format_of(content_type).write(pa.table([[1], [2]], names=["a", "a"]))
    with pytest.raises(BadInput, match="column 'a' stands more than once") as caught:
        parse(twice, content_type)
    assert caught.value.code == "duplicate_column"


def test_arrow_that_lies_about_its_buffers_is_refused():
    table = pa.table({"a": ["some", "texts"]})
    chunk = table["a"].chunk(0)
    offsets = pa.py_buffer(b"\x00\x00\x00\x00\xff\xff\xff\x7f\x00\x00\x00\x00")
    lying = pa.Array.from_buffers(pa.string(), 2, [None, offsets, chunk.buffers()[2]])
    body = format_of("application/vnd.apache.arrow.stream").write(pa.table({"a": lying}))
    with pytest.raises(BadInput) as caught:
        parse(body, "application/vnd.apache.arrow.stream")
    assert caught.value.code == "bad_arrow"


INNER = pa.struct([("airline", pa.timestamp("s", "Europe/Vienna"))])


@pytest.mark.parametrize("name", [b"carrier", b"airline", b"Europe/Vienna"])
@pytest.mark.parametrize("kind", [INNER, pa.list_(INNER), pa.map_(pa.string(), INNER)], ids=str)
def test_arrow_whose_names_are_no_text_is_refused(kind, name):
    content_type = "application/vnd.apache.arrow.stream"
    body = format_of(content_type).write(pa.table({"carrier": pa.array([], kind)}))
    assert name in body
    with pytest.raises(BadInput) as caught:
        parse(body.replace(name, b"\x80" + name[1:]), content_type)
    assert caught.value.code == "bad_arrow"


def test_a_zone_that_is_not_known_is_no_reason_to_lose_a_record():
    kind = pa.timestamp("us", "Nowhere/None")
    table = TABLE.append_column("seen", pa.array([0, 1, None], kind))
    for broken in (table, table.set_column(2, "age", pa.array(["x"] * 3))):
        checked = check_records(broken, SCHEMA, now=NOW)
        assert checked.accepted.num_rows + checked.quarantined.num_rows == 3


def test_json_and_ndjson_hold_the_same_records():
    by_json = orjson.loads(format_of(JSON).write(TABLE))
    assert parse(format_of("application/x-ndjson").write(TABLE), "application/x-ndjson") == by_json
