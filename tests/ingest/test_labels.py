"""Which labels are accepted, and as what."""

import datetime

import pyarrow as pa
import pytest

from tidegauge.errors import BadInput
from tidegauge.ingest import check_labels, label_column
from tidegauge.schema import Column, ColumnType, Role, Schema, Task

UTC = datetime.UTC
NOW = datetime.datetime(2026, 1, 2, 12, tzinfo=UTC)


def schema(kind, task=None, name="label"):
    return Schema((Column(name, ColumnType(kind), Role.LABEL),), task)


def stored(value, of):
    checked = check_labels([{"prediction_id": "a", "label": value}], of, now=NOW)
    return checked.errors[0].code if checked.errors else checked.accepted["label"].to_pylist()[0]


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("boolean", True, True),
        ("boolean", 1, True),
        ("boolean", 0.0, False),
        ("boolean", "yes", "type_error"),
        ("boolean", None, "missing_label"),
        ("categorical", "never seen", "never seen"),
        ("categorical", 3, "3"),
        ("categorical", {}, "type_error"),
        ("numeric", 3, 3.0),
        ("numeric", "3", "type_error"),
        ("numeric", True, "type_error"),
    ],
)
def test_a_label_has_the_type_of_the_schemas_label_column(kind, value, expected):
    assert stored(value, schema(kind)) == expected


@pytest.mark.parametrize(
    ("of", "kind"),
    [
        (Schema((), Task.REGRESSION), "numeric"),
        (Schema((), Task.MULTICLASS), "categorical"),
        (Schema((), None), "categorical"),
        (Schema((), Task.BINARY, positive="true"), "boolean"),
        (Schema((), Task.BINARY, positive="1"), "boolean"),
        (Schema((), Task.BINARY, positive="late"), "categorical"),
        (
            Schema((Column("said", ColumnType.CATEGORICAL, Role.PREDICTION),), Task.BINARY),
            "categorical",
        ),
        (schema("text", Task.BINARY, "late"), "text"),
    ],
)
def test_without_a_label_column_the_task_tells_the_type(of, kind):
    assert label_column(of).type is ColumnType(kind)


def test_the_result_has_four_columns_and_the_clock_where_none_was_sent():
    checked = check_labels(
        [
            {"prediction_id": 7, "label": 1, "timestamp": "2026-01-01T00:00:00Z", "ignored": 1},
            {"prediction_id": "b", "label": 0, "observed_at": "2026-01-02T00:00:00+01:00"},
        ],
        schema("boolean"),
        now=NOW,
    )
    time = pa.timestamp("us", "UTC")
    assert checked.accepted.schema == pa.schema(
        [("prediction_id", pa.string()), ("label", pa.bool_()), ("timestamp", time),
         ("observed_at", time)]
    )  # fmt: skip
    assert [tuple(row.values()) for row in checked.accepted.to_pylist()] == [
        ("7", True, datetime.datetime(2026, 1, 1, tzinfo=UTC), NOW),
        ("b", False, None, datetime.datetime(2026, 1, 1, 23, tzinfo=UTC)),
    ]


def test_the_schemas_own_names_do_as_well():
    of = Schema(
        (
            Column("flight", ColumnType.TEXT, Role.PREDICTION_ID),
            Column("late", ColumnType.BOOLEAN, Role.LABEL),
        )
    )
    checked = check_labels([{"flight": "UA1", "late": True}], of, now=NOW)
    assert checked.accepted.select(["prediction_id", "label"]).to_pylist() == [
        {"prediction_id": "UA1", "label": True}
    ]


def test_arrow_labels_are_the_same_as_rows():
    rows = [{"prediction_id": "a", "label": 1.0}, {"prediction_id": "b", "label": 0.0}]
    of = schema("boolean")
    by_rows = check_labels(rows, of, now=NOW)
    assert check_labels(pa.Table.from_pylist(rows), of, now=NOW).accepted.equals(by_rows.accepted)


def test_labels_that_do_not_fit_are_quarantined_and_repeats_counted():
    rows = [
        {"label": 1},
        {"prediction_id": "a"},
        {"prediction_id": "b", "label": 1, "timestamp": "2026-01-01"},
        {"prediction_id": "c", "label": 1, "observed_at": "2026-02-01T00:00:00Z"},
        {"prediction_id": "d", "label": 1},
        {"prediction_id": "d", "label": 0},
        7,
    ]
    checked = check_labels(rows, schema("boolean"), now=NOW)
    assert checked.quarantined["code"].to_pylist() == [
        "missing_prediction_id", "missing_label", "naive_timestamp", "future_timestamp",
        "not_an_object",
    ]  # fmt: skip
    assert checked.accepted["label"].to_pylist() == [True]
    assert checked.repeated == 1


@pytest.mark.parametrize("name", ["timestamp", "observed_at"])
def test_labels_without_any_zone_are_refused(name):
    rows = [{"prediction_id": "a", "label": 1, name: "2026-01-01T00:00:00"}]
    for parsed in (rows, pa.table({"prediction_id": ["a"], name: [datetime.datetime(2026, 1, 1)]})):
        with pytest.raises(BadInput) as caught:
            check_labels(parsed, schema("boolean"), now=NOW)
        assert caught.value.code == "naive_timestamp"
        assert name in caught.value.message
