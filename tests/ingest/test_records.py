"""Which records are accepted, as what, and why others are not."""

import datetime
import decimal

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tidegauge.errors import BadInput
from tidegauge.ingest import CorruptLine, check_records
from tidegauge.ingest.checked import MAX_ERRORS, QUARANTINE
from tidegauge.schema import Column, ColumnType, Role, Schema, arrow_schema

UTC = datetime.UTC
NOW = datetime.datetime(2026, 1, 2, 12, tzinfo=UTC)
TIME = "2026-01-02T11:00:00Z"
SCHEMA = Schema(
    (
        Column("prediction_id", ColumnType.TEXT, Role.PREDICTION_ID),
        Column("timestamp", ColumnType.DATETIME, Role.TIMESTAMP),
        Column("age", ColumnType.NUMERIC),
        Column("carrier", ColumnType.CATEGORICAL),
        Column("late", ColumnType.BOOLEAN),
        Column("booked", ColumnType.DATETIME),
        Column("vector", ColumnType.EMBEDDING),
        Column("note", ColumnType.TEXT, Role.TAG),
    ),
    timezone="Europe/Vienna",
)


def record(number=0, **fields):
    return {"prediction_id": f"p{number}", "timestamp": TIME, **fields}


def check(*rows, schema=SCHEMA, **options):
    return check_records(list(rows), schema, now=NOW, **options)


def stored(name, value):
    """What a value of JSON is stored as; its code if it does not fit."""
    checked = check(record(**{name: value}))
    if checked.errors:
        assert checked.errors[0].column == name
        assert f"column {name!r}" in checked.errors[0].message
        return checked.errors[0].code
    return checked.accepted[name].to_pylist()[0]


def stored_arrow(name, array):
    """What the values of an Arrow column are stored as, and the codes of those that do not fit."""
    array = array if isinstance(array, pa.Array) else pa.array(array)
    ids = [f"p{i}" for i in range(len(array))]
    times = pa.array([NOW] * len(array), pa.timestamp("us", "UTC"))
    table = pa.table({"prediction_id": ids, "timestamp": times, "age": pa.nulls(len(array))})
    at = table.schema.get_field_index(name)
    table = table.set_column(at, name, array) if at >= 0 else table.append_column(name, array)
    checked = check_records(table, SCHEMA, now=NOW)
    return checked.accepted[name].to_pylist(), [error.code for error in checked.errors]


def test_a_clean_request_has_the_columns_of_the_schema_and_ours():
    checked = check(record(0, age=1, carrier="UA"), record(1, late=True), version="7")
    expected = arrow_schema(SCHEMA).append(pa.field("_extra", pa.string()))
    assert checked.accepted.schema == expected.append(pa.field("_version", pa.string()))
    assert checked.accepted.num_rows == 2
    assert checked.quarantined.num_rows == 0
    assert checked.quarantined.schema == QUARANTINE
    assert (checked.errors, checked.repeated) == ((), 0)
    assert checked.accepted["_version"].to_pylist() == ["7", "7"]


def test_nothing_sent_is_nothing_accepted():
    checked = check()
    assert (checked.accepted.num_rows, checked.repeated, checked.quarantined.num_rows) == (0, 0, 0)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("age", 42, 42.0),
        ("age", -1.5, -1.5),
        ("age", 2**60 + 1, float(2**60)),
        ("age", 2**70, float(2**70)),
        ("age", None, None),
        ("age", "Infinity", float("inf")),
        ("age", "-Infinity", float("-inf")),
        ("age", "abc", "type_error"),
        ("age", "42", "type_error"),
        ("age", "1e400", "type_error"),
        ("age", "nan", "type_error"),
        ("age", 10**400, "type_error"),
        ("age", True, "type_error"),
        ("age", {"a": 1}, "type_error"),
        ("age", [1], "type_error"),
        ("carrier", "UA", "UA"),
        ("carrier", 7, "7"),
        ("carrier", 7.5, "7.5"),
        ("carrier", 7.0, "7"),
        ("carrier", True, "true"),
        ("carrier", "", ""),
        ("carrier", ["UA"], "type_error"),
        ("carrier", "\ud800", "type_error"),
        ("late", False, False),
        ("late", 1, True),
        ("late", 0.0, False),
        ("late", 2, "type_error"),
        ("late", "true", "type_error"),
        ("booked", "2026-01-01T00:00:00+02:00", datetime.datetime(2025, 12, 31, 22, tzinfo=UTC)),
        ("booked", "2026-01-01", datetime.datetime(2025, 12, 31, 23, tzinfo=UTC)),
        ("booked", "2026-07-01T00:00:00", datetime.datetime(2026, 6, 30, 22, tzinfo=UTC)),
        ("booked", "2099-01-01T00:00:00Z", datetime.datetime(2099, 1, 1, tzinfo=UTC)),
        ("booked", "yesterday", "type_error"),
        ("booked", 1_767_225_600, "type_error"),
        ("booked", "0001-01-01T00:00:00+12:00", "type_error"),
        ("vector", [1, 2.5], [1.0, 2.5]),
        ("vector", [], []),
        ("vector", 1.0, "type_error"),
        ("vector", [1, "2"], "type_error"),
        ("vector", [1, None], "type_error"),
        ("vector", [True], "type_error"),
        ("vector", [[1.0]], "type_error"),
        ("vector", {"a": 1.0}, "type_error"),
        ("note", {"b": [1, None]}, '{"b":[1,null]}'),
        ("note", "text", "text"),
    ],
)
def test_a_value_of_json_is_stored_or_quarantined(name, value, expected):
    assert stored(name, value) == expected


def test_not_a_number_comes_as_text_and_is_stored_as_such():
    assert np.isnan(stored("age", "NaN"))


@pytest.mark.parametrize("value", ["a", "", "🛫", 7, 2**70])
def test_a_prediction_id_is_text_or_a_whole_number(value):
    checked = check({"prediction_id": value, "timestamp": TIME})
    if value == "":
        assert checked.errors[0].code == "missing_prediction_id"
    else:
        assert checked.accepted["prediction_id"].to_pylist() == [str(value)]


@pytest.mark.parametrize("value", [1.5, True, ["a"], {}])
def test_anything_else_identifies_nothing(value):
    checked = check({"prediction_id": value, "timestamp": TIME})
    assert [e.code for e in checked.errors] == ["type_error"]


def test_what_every_record_needs_is_missed_by_name():
    checked = check({"timestamp": TIME}, {"prediction_id": "a"}, record(2), {})
    assert [(e.index, e.column, e.code) for e in checked.errors] == [
        (0, "prediction_id", "missing_prediction_id"),
        (1, "timestamp", "missing_timestamp"),
        (3, "prediction_id", "missing_prediction_id"),
        (3, "timestamp", "missing_timestamp"),
    ]
    assert checked.accepted["prediction_id"].to_pylist() == ["p2"]
    assert checked.quarantined["index"].to_pylist() == [0, 1, 3]


def test_a_schema_without_id_and_timestamp_misses_neither():
    schema = Schema((Column("age", ColumnType.NUMERIC),))
    assert check({"age": 1}, {"age": 1}, schema=schema).accepted.num_rows == 2


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T11:00:00Z",
        "2026-01-02T12:00:00+01:00",
        "2026-01-02 11:00:00+00",
        "2026-01-02T11:00:00.000000000Z",
        "20260102T110000Z",
        "2026-01-02T11:00:00z",
        " 2026-01-02T11:00:00Z ",
    ],
)
def test_a_timestamp_is_any_iso_time_with_a_zone(text):
    checked = check({"prediction_id": "a", "timestamp": text})
    expected = datetime.datetime(2026, 1, 2, 11, tzinfo=UTC)
    assert checked.accepted["timestamp"].to_pylist() == [expected]


def test_a_timestamp_is_read_to_the_microsecond():
    text = "2026-01-02T11:00:00.123456789Z"
    (time,) = check({"prediction_id": "a", "timestamp": text}).accepted["timestamp"].to_pylist()
    assert time.microsecond == 123456


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("2026-01-02T11:00:00", "naive_timestamp"),
        ("2026-01-02", "naive_timestamp"),
        (1_767_225_600, "type_error"),
        ("now", "type_error"),
        ("2026-01-02T12:10:01Z", "future_timestamp"),
        ("9999-12-31T23:59:59-10:00", "type_error"),
        (None, "missing_timestamp"),
    ],
)
def test_a_timestamp_that_cannot_be_used_is_quarantined(value, code):
    checked = check(record(0), {"prediction_id": "a", "timestamp": value})
    assert [(e.index, e.column, e.code) for e in checked.errors] == [(1, "timestamp", code)]


def test_ten_minutes_ahead_is_not_yet_the_future():
    assert check({"prediction_id": "a", "timestamp": "2026-01-02T12:10:00Z"}).errors == ()


def test_a_request_without_any_zone_is_refused_with_what_to_do():
    rows = [{"prediction_id": i, "timestamp": "2026-01-02T11:00:00"} for i in range(3)]
    with pytest.raises(BadInput) as caught:
        check(*rows)
    assert (caught.value.code, caught.value.status) == ("naive_timestamp", 400)
    assert caught.value.message == (
        "all 3 records: column 'timestamp': \"2026-01-02T11:00:00\" has no time zone; "
        "send ISO 8601 with a zone, as '2026-01-01T00:00:00Z'"
    )


@pytest.mark.parametrize(
    "array",
    [
        pa.array([NOW.replace(tzinfo=None)]),
        pa.array([NOW.date()]),
        pa.array(["2026-01-02T11:00:00"]),
    ],
    ids=lambda array: str(array.type),
)
def test_an_arrow_timestamp_without_a_zone_is_refused_as_a_whole(array):
    with pytest.raises(BadInput) as caught:
        stored_arrow("timestamp", array)
    assert caught.value.code == "naive_timestamp"
    assert "'timestamp'" in caught.value.message


@pytest.mark.parametrize(
    ("name", "array", "expected"),
    [
        ("age", pa.array([1, None], pa.int8()), [1.0, None]),
        ("age", pa.array([2**60 + 1], pa.uint64()), [float(2**60)]),
        ("age", pa.array(np.array([1.5], np.float16)), [1.5]),
        ("age", pa.array([decimal.Decimal("1.25")]), [1.25]),
        ("age", pa.array(["NaN", "Infinity"])[1:], [float("inf")]),
        ("age", pa.array([3, 3]).dictionary_encode(), [3.0, 3.0]),
        ("age", pa.nulls(2), [None, None]),
        ("carrier", pa.array(["a", None], pa.large_string()), ["a", None]),
        ("carrier", pa.array(["a", None], pa.string_view()), ["a", None]),
        ("carrier", pa.array(["a", "b", None]).dictionary_encode(), ["a", "b", None]),
        (
            "carrier",
            pa.DictionaryArray.from_arrays(
                pa.array([0, None], pa.uint32()), pa.array(["a"], pa.string_view())
            ),
            ["a", None],
        ),
        ("carrier", pc.run_end_encode(pa.array(["a", "a", None])), ["a", "a", None]),
        ("carrier", pa.array([7, None]), ["7", None]),
        ("carrier", pa.array([7.0, float("nan"), None]), ["7", None, None]),
        ("carrier", pa.array([True, None]), ["true", None]),
        ("carrier", pa.array([NOW.date()]), ["2026-01-02"]),
        ("late", pa.array([True, None]), [True, None]),
        ("late", pa.array([0, 1, None]), [False, True, None]),
        ("late", pa.array([0.0, 1.0, float("nan")]), [False, True, None]),
        ("booked", pa.array([NOW]), [NOW]),
        ("booked", pa.array([NOW], pa.timestamp("ns", "Europe/Vienna")), [NOW]),
        ("booked", pa.array([NOW.replace(tzinfo=None)]), [NOW.replace(hour=11)]),
        ("booked", pa.array([NOW.date()]), [datetime.datetime(2026, 1, 1, 23, tzinfo=UTC)]),
        ("booked", pa.array(["2026-01-02T12:00:00Z", None]), [NOW, None]),
        ("vector", pa.array([[1.0, 2.0]], pa.list_(pa.float64(), 2)), [[1.0, 2.0]]),
        ("vector", pa.array([[1, 2], None], pa.large_list(pa.int32())), [[1.0, 2.0], None]),
        ("note", pa.array([{"a": [1, None]}]), ['{"a":[1,null]}']),
        ("note", pa.array([7]), ["7"]),
        ("note", pa.array([NOW, None], pa.timestamp("s", "UTC")), ["2026-01-02T12:00:00Z", None]),
        ("note", pa.array([NOW.replace(tzinfo=None)]), ["2026-01-02T12:00:00.000000"]),
        ("note", pa.array([datetime.time(7, 30)], pa.time32("s")), ["07:30:00"]),
        ("note", pa.array([datetime.timedelta(seconds=90)]), ["0:01:30"]),
        ("prediction_id", pa.array([7, 8]), ["7", "8"]),
        ("timestamp", pa.array([NOW], pa.timestamp("s", "UTC")), [NOW]),
        ("timestamp", pa.array(["2026-01-02T12:00:00Z"]), [NOW]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else None,
)
def test_arrow_columns_are_cast_to_what_is_stored(name, array, expected):
    assert stored_arrow(name, array) == (expected, [])


@pytest.mark.parametrize(
    ("name", "array", "rows"),
    [
        ("age", pa.array(["42", None, "NaN"]), [0]),
        ("age", pa.array([True, None]), [0]),
        ("age", pa.array([[1.0]]), [0]),
        ("carrier", pa.array([["a"]]), [0]),
        ("late", pa.array([0, 2]), [1]),
        ("late", pa.array(["true"]), [0]),
        ("booked", pa.array([1, 2]), [0, 1]),
        ("booked", pa.array([-(2**62), 0], pa.timestamp("us", "UTC")), [0]),
        ("booked", pa.array([2**62], pa.timestamp("s", "UTC")), [0]),
        ("vector", pa.array([[1.0, None], [1.0, 2.0]]), [0]),
        ("vector", pa.array(["a"]), [0]),
        ("prediction_id", pa.array([1.0, 2.0]), [0, 1]),
        ("timestamp", pa.array([2**62, 0], pa.timestamp("us", "UTC")), [0]),
        ("timestamp", pa.array([1.0]), [0]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else None,
)
def test_arrow_values_that_do_not_fit_are_quarantined_one_by_one(name, array, rows):
    values, codes = stored_arrow(name, array)
    assert codes == ["type_error"] * len(rows)
    assert len(values) == len(array) - len(rows)


def test_infinite_and_missing_numbers_of_arrow_are_stored():
    values, codes = stored_arrow("age", pa.array([np.nan, np.inf, -np.inf]))
    assert codes == []
    assert np.isnan(values[0])
    assert values[1:] == [np.inf, -np.inf]


def test_an_extension_type_is_stored_as_what_is_behind_it():
    assert stored_arrow("late", pa.array([1, 0], pa.bool8())) == ([True, False], [])


def test_a_table_of_many_chunks_is_checked_as_one():
    rows = [record(i, age=i) for i in range(5)]
    tables = [pa.Table.from_pylist(rows[i : i + 2]) for i in (0, 2, 4)]
    checked = check_records(pa.concat_tables(tables), SCHEMA, now=NOW)
    assert checked.accepted["age"].to_pylist() == [0, 1, 2, 3, 4]


def test_unknown_fields_are_kept_as_json():
    checked = check(
        record(0, gate="B7", _extra=1), record(1, gate=None), record(2, seat={"row": 12})
    )
    assert checked.accepted["_extra"].to_pylist() == [
        '{"gate":"B7","_extra":1}', None, '{"seat":{"row":12}}',
    ]  # fmt: skip


def test_unknown_columns_of_arrow_are_kept_as_json():
    table = pa.table(
        {
            "prediction_id": ["a", "b"],
            "timestamp": pa.array([NOW, NOW]),
            "gate": ["B7", None],
            "weight": [float("nan"), None],
            "seen": pa.array([1, None], pa.timestamp("ns")),
        }
    )
    first, second = check_records(table, SCHEMA, now=NOW).accepted["_extra"].to_pylist()
    assert orjson.loads(first) == {"gate": "B7", "weight": "NaN", "seen": "1970-01-01T00:00:00"}
    assert second is None


def test_the_version_is_the_records_own_or_else_the_requests():
    rows = [record(0, version=4), record(1), record(2, version={"a": 1})]
    checked = check(*rows, version="3")
    assert checked.accepted["_version"].to_pylist() == ["4", "3", "3"]
    own = Schema((*SCHEMA.columns, Column("model_version", ColumnType.CATEGORICAL, Role.VERSION)))
    checked = check(record(0, model_version=4), record(1), schema=own, version="3")
    assert checked.accepted["_version"].to_pylist() == ["4", "3"]
    assert checked.accepted["model_version"].to_pylist() == ["4", None]
    assert check(record(0)).accepted["_version"].to_pylist() == [None]


def test_of_records_with_one_id_the_first_that_fits_is_taken():
    rows = [record(1, age="x"), record(1, age=1), record(2, age=2), record(1, age=3)]
    checked = check(*rows, record(1, age="y"))
    assert checked.accepted["age"].to_pylist() == [1, 2]
    assert (checked.repeated, checked.quarantined.num_rows) == (1, 2)


def test_a_quarantined_record_is_whole_with_all_that_is_wrong():
    sent = record(1, age="x", carrier={}, gate="B7")
    checked = check(record(0), sent)
    (row,) = checked.quarantined.to_pylist()
    assert orjson.loads(row.pop("record")) == sent
    assert row == {
        "index": 1,
        "code": "type_error",
        "column": "age",
        "message": "column 'age': \"x\" is no number; send a number or null; "
        "column 'carrier': {} is no single value; send text or null",
    }
    assert [e.column for e in checked.errors] == ["age", "carrier"]


def test_a_quarantined_record_of_arrow_is_whole_too():
    table = pa.table(
        {
            "prediction_id": ["a"],
            "timestamp": pa.array([NOW]),
            "age": ["x"],
            "far": pa.array([2**62], pa.timestamp("us")),
            "money": [decimal.Decimal("1.50")],
            "missing": [float("nan")],
        }
    )
    checked = check_records(table, SCHEMA, now=NOW)
    kept = orjson.loads(checked.quarantined["record"][0].as_py())
    assert kept.pop("far")
    assert kept == {"prediction_id": "a", "timestamp": "2026-01-02T12:00:00+00:00", "age": "x",
                    "money": 1.5, "missing": "NaN"}  # fmt: skip


def test_what_is_no_object_is_quarantined_as_it_came():
    corrupt = CorruptLine('{"a": ', "line 2, column 7: not JSON: unexpected end of data")
    checked = check(record(0), corrupt, [1, 2], None, "text")
    assert checked.quarantined.to_pydict() == {
        "index": [1, 2, 3, 4],
        "code": ["bad_ndjson"] + ["not_an_object"] * 3,
        "column": [None] * 4,
        "message": [corrupt.message] + [
            f"{text} is no object; a record is an object of column names and values"
            for text in ("[1,2]", "null", '"text"')
        ],
        "record": ['{"a": ', "[1,2]", "null", '"text"'],
    }  # fmt: skip
    assert checked.accepted.num_rows == 1


def test_no_more_than_a_hundred_errors_are_named_but_all_are_quarantined():
    checked = check(*[record(i, age="x") for i in range(250)])
    assert len(checked.errors) == MAX_ERRORS
    assert checked.quarantined.num_rows == 250


def test_columns_of_one_name_are_refused():
    table = pa.table([["a"], ["b"]], names=["prediction_id", "prediction_id"])
    with pytest.raises(BadInput) as caught:
        check_records(table, SCHEMA, now=NOW)
    assert caught.value.code == "duplicate_column"


def test_a_schema_with_a_name_of_ours_is_refused():
    with pytest.raises(BadInput, match="name of our own"):
        check(schema=Schema((Column("_extra", ColumnType.TEXT, Role.TAG),)))


def test_rows_of_different_keys_are_as_good_as_rows_of_the_same():
    same = [record(i, age=i, carrier=None) for i in range(4)]
    different = [
        record(0, age=0),
        record(1, carrier=None, age=1),
        record(2, age=2),
        record(3, age=3),
    ]
    assert check(*same).accepted.equals(check(*different).accepted)
