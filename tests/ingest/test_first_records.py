"""The schema of a model that is not known yet, from what it sends first."""

import datetime

import pyarrow as pa
import pytest

from tidegauge.errors import BadInput, EmptyInput
from tidegauge.ingest import CorruptLine, check_records, schema_of_records
from tidegauge.schema import ColumnType, Role, Task

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
RECORD = {
    "prediction_id": "a",
    "timestamp": "2026-01-01T00:00:00Z",
    "age": 42,
    "carrier": "UA",
    "score": 0.71,
    "latency_ms": 3.5,
    "_debug": True,
    "empty": None,
    "nested": {"a": [1]},
}


def test_one_record_is_enough():
    schema = schema_of_records([RECORD])
    assert {c.name: (c.type.value, c.role.value) for c in schema} == {
        "prediction_id": ("text", "prediction_id"),
        "timestamp": ("datetime", "timestamp"),
        "age": ("numeric", "feature"),
        "carrier": ("categorical", "feature"),
        "score": ("numeric", "score"),
        "latency_ms": ("numeric", "latency"),
        "empty": ("categorical", "feature"),
        "nested": ("text", "tag"),
    }
    assert schema.task is Task.BINARY
    checked = check_records([RECORD], schema, now=NOW)
    assert checked.accepted["_extra"].to_pylist() == ['{"_debug":true}']


def test_a_field_of_mixed_kinds_is_text_that_takes_them_all():
    rows = [{**RECORD, "prediction_id": i, "x": x} for i, x in enumerate([1, "a", True, 2.5, []])]
    schema = schema_of_records(rows)
    assert schema["x"].type is ColumnType.CATEGORICAL
    checked = check_records(rows, schema, now=NOW)
    assert checked.accepted["x"].to_pylist() == ["1", "a", "true", "2.5"]


def test_texts_for_what_json_cannot_say_do_not_make_numbers_text():
    rows = [{**RECORD, "prediction_id": i, "x": x} for i, x in enumerate([1, "NaN", 2**70])]
    assert schema_of_records(rows)["x"].type is ColumnType.NUMERIC


def test_a_table_and_rows_lead_to_the_same_schema():
    rows = [{key: RECORD[key] for key in ("prediction_id", "timestamp", "age", "score")}]
    assert schema_of_records(pa.Table.from_pylist(rows)) == schema_of_records(rows)


def test_task_and_segments_can_be_told():
    schema = schema_of_records([RECORD], task=Task.MULTICLASS, segments=["carrier"])
    assert (schema.task, schema.segments) == (Task.MULTICLASS, ("carrier",))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"prediction_id": {}}, "missing_prediction_id"),
        ({"timestamp": 1_767_225_600}, "missing_timestamp"),
        ({"timestamp": "yesterday"}, "missing_timestamp"),
    ],
)
def test_records_need_an_id_and_a_time(change, code):
    with pytest.raises(BadInput) as caught:
        schema_of_records([{**RECORD, **change}])
    assert caught.value.code == code


def test_times_without_a_zone_are_seen_as_times_and_then_refused():
    rows = [{**RECORD, "timestamp": "2026-01-01T00:00:00"}]
    schema = schema_of_records(rows)
    assert schema.role(Role.TIMESTAMP).name == "timestamp"
    with pytest.raises(BadInput, match="has no time zone"):
        check_records(rows, schema, now=NOW)


@pytest.mark.parametrize(
    "parsed", [[], [7, None], [{}], [{"_a": 1}], [CorruptLine("{", "")], pa.table({"a": []})]
)
def test_nothing_to_infer_from_is_an_answer(parsed):
    with pytest.raises(EmptyInput):
        schema_of_records(parsed)
