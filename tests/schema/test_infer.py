"""What a schema is inferred to be: types, roles, task, positive class."""

import datetime
import decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tidegauge.errors import EmptyInput, SchemaError
from tidegauge.schema import ColumnType, Role, Task, infer_schema

RNG = np.random.default_rng(20130101)
N = 400
UTC = datetime.UTC


def words(n: int, of: int) -> list[str]:
    return [f"w{i}" for i in RNG.integers(0, of, n)]


def view_dictionary():
    """As Polars hands on its categorical columns."""
    values = pa.array(["a", "b"], pa.string_view())
    indices = pa.array(RNG.integers(0, 2, N), pa.uint32())
    return pa.DictionaryArray.from_arrays(indices, values)


def column(values, name="x"):
    """The inferred column of one array beside a plain numeric one."""
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    other = pa.array(RNG.normal(size=len(array)))
    return infer_schema(pa.table({name: array, "other": other}))[name]


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (pa.array(RNG.normal(size=N)), "numeric"),
        (pa.array(RNG.integers(0, 2, N)), "numeric"),
        (pa.array(RNG.integers(0, 255, N), pa.uint8()), "numeric"),
        (pa.array(RNG.normal(size=N).astype(np.float16)), "numeric"),
        (pa.array([decimal.Decimal("1.25")] * N), "numeric"),
        (pa.array([True, False] * (N // 2)), "boolean"),
        (pa.array(words(N, 12)), "categorical"),
        (pa.array(words(N, 12), pa.large_string()), "categorical"),
        (pa.array([*words(N, 12), None], pa.string_view()), "categorical"),
        (pa.array(words(N, 12)).dictionary_encode(), "categorical"),
        (view_dictionary(), "categorical"),
        (pc.run_end_encode(pa.array(np.repeat(RNG.normal(size=N // 4), 4))), "numeric"),
        (pa.array([1, 0] * (N // 2), pa.bool8()), "numeric"),
        (pa.array(RNG.integers(0, 9, N)).dictionary_encode(), "categorical"),
        (pa.array(words(N, 10_000)), "categorical"),
        (pa.array([datetime.datetime(2026, 1, 1, tzinfo=UTC)] * N), "datetime"),
        (pa.array([datetime.date(2026, 1, 1)] * N), "datetime"),
        (pa.array(["2026-01-01T00:00:00Z"] * N), "datetime"),
        (pa.array(["2026-01-01 00:00:00"] * N), "datetime"),
        (pa.array(["2026-01-01", None] * (N // 2)), "datetime"),
        (pa.array([[0.1, 0.2]] * N, pa.list_(pa.float32(), 2)), "embedding"),
        (pa.array([[0.1, 0.2, 0.3]] * N), "embedding"),
        (pa.array([f"sentence {i} of some length about it" for i in range(N)]), "text"),
        (pa.array(["x" * 150] * N), "text"),
        (pa.array(["partly cloudy with some rain"] * N), "categorical"),
        (pa.array(["2013"] * N), "categorical"),
        (pa.array(["2026-01-01T00:00:00Z"] * (N - 1) + ["yesterday"]), "categorical"),
        (pa.nulls(N), "categorical"),
        (pa.nulls(N, pa.float64()), "numeric"),
        (pa.array([float("nan")] * N), "numeric"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value.type),
)
def test_the_type_follows_from_arrow_type_and_content(array, kind):
    found = column(array)
    assert (found.type, found.role) == (ColumnType(kind), Role.FEATURE)


@pytest.mark.parametrize(
    "array",
    [
        pa.array([{"a": 1}] * N),
        pa.array([b"bytes"] * N),
        pa.array([[1.0], [1.0, 2.0]] * (N // 2)),
        pa.array([["a", "b"]] * N),
        pa.array([datetime.timedelta(seconds=1)] * N),
        pa.array([datetime.time(1)] * N),
        pa.array([[("k", 1)]] * N, pa.map_(pa.string(), pa.int64())),
    ],
    ids=lambda array: str(array.type),
)
def test_what_has_no_distribution_is_carried_as_a_tag(array):
    found = column(array)
    assert (found.type, found.role) == (ColumnType.TEXT, Role.TAG)


def test_a_text_that_differs_in_every_row_names_the_row_and_is_not_watched():
    assert column([f"k{i}" for i in range(N)], "tailnum").role is Role.TAG


def test_numbers_that_name_things_are_categorical():
    assert column(RNG.integers(1, 260, N), "PULocationID").type is ColumnType.CATEGORICAL
    assert column(RNG.integers(1, 99_999, N), "zip_code").type is ColumnType.CATEGORICAL
    assert column(np.arange(N), "customer_id").role is Role.TAG


def test_a_segment_of_whole_numbers_is_categorical():
    table = pa.table({"month": RNG.integers(1, 13, N), "x": RNG.normal(size=N)})
    schema = infer_schema(table, segments=["month"])
    assert schema["month"].type is ColumnType.CATEGORICAL
    assert schema.segments == ("month",)


def test_a_segment_stays_a_feature_even_if_its_values_never_repeat():
    table = pa.table({"k": [f"k{i}" for i in range(N)]})
    assert infer_schema(table, segments=["k"])["k"].role is Role.FEATURE


def test_our_own_columns_and_row_numbers_are_tags():
    table = pa.table({"_batch": [1, 2], "__index_level_0__": [0, 1], "Unnamed: 0": [0, 1]})
    assert {c.role for c in infer_schema(table)} == {Role.TAG}


ROLES = {
    "prediction_id": [
        ("prediction_id", ["a", "a", None]), ("request_id", ["a", "b", "c"]), ("id", [1, 2, 3]),
        ("uuid", ["a", "b", "c"]), ("eventId", [7, 8, 9]),
    ],
    "timestamp": [
        ("timestamp", ["2026-01-01T00:00:00Z"] * 3), ("ts", [datetime.datetime(2026, 1, 1)] * 3),
        ("Event Time", [datetime.datetime(2026, 1, 1, tzinfo=UTC)] * 3),
        ("date", [datetime.date(2026, 1, 1)] * 3),
        ("time_hour", [datetime.datetime(2026, 1, 1, tzinfo=UTC)] * 3),
        ("timestamp", [None] * 3),
    ],
    "score": [("score", [0.0, 0.5, 1.0]), ("y_score", [0.1, 0.2, None]), ("proba", [0, 1, 0])],
    "prediction": [("prediction", [1.5, 2.5, 3.5]), ("y_pred", ["a", "b", "b"])],
    "label": [("label", [None] * 3), ("y_true", [1, 0, 1]), ("ground truth", ["a", "b", "a"])],
    "latency": [("latency_ms", [3, 4, 5]), ("latency_s", [0.1, 0.2, 0.3])],
    "status": [("status", ["ok", "ok", "error"]), ("status_code", [200, 200, 500])],
    "version": [("model_version", [3, 3, 4]), ("version", ["1.2", "1.2", "1.3"])],
    "trace_id": [("trace_id", ["a", "b", "c"])],
    "weight": [("sample_weight", [1.0, 2.0, 0.5])],
}  # fmt: skip


@pytest.mark.parametrize(
    ("role", "name", "values"),
    [(role, name, values) for role, cases in ROLES.items() for name, values in cases],
)
def test_names_with_fitting_content_have_their_role(role, name, values):
    assert column(values, name).role is Role(role)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("id", [1, 1, 2]),
        ("id", [0.5, 1.5, 2.5]),
        ("score", [300.0, 650.0, 850.0]),
        ("score", ["high", "low", "low"]),
        ("timestamp", [1_700_000_000, 1_700_000_001, 1_700_000_002]),
        ("latency_ms", [-1.0, 2.0, 3.0]),
        ("weight", [70.0, 80.0, 90.0]),
        ("birth_date", [datetime.date(1990, 1, 1)] * 3),
        ("status", [0.1, 0.2, 0.3]),
    ],
)
def test_a_name_without_fitting_content_is_a_feature(name, values):
    assert column(values, name).role is Role.FEATURE


def test_a_role_goes_to_the_most_telling_name_only():
    table = pa.table(
        {
            "id": [1, 2],
            "prediction_id": ["a", "b"],
            "y": [1.0, 2.5],
            "label": [0.5, 0.7],
            "version": ["a", "a"],
            "model_version": ["1", "1"],
        }
    )
    schema = infer_schema(table)
    assert schema.role(Role.PREDICTION_ID).name == "prediction_id"
    assert schema.role(Role.LABEL).name == "label"
    assert schema.role(Role.VERSION).name == "model_version"
    assert schema["id"].role is Role.TAG


def test_the_unit_of_a_latency_is_in_its_name():
    for name, unit in [("latency_ms", "ms"), ("latency_s", "s"), ("latency", None)]:
        assert column([1.0, 2.0], name).unit == unit


def task_of(**columns):
    schema = infer_schema(pa.table(columns))
    return schema.task, schema


def test_labels_of_zero_and_one_are_boolean_and_make_the_task_binary():
    for values in ([0, 1, 1] * 50, [0.0, 1.0, None] * 50, [True, False, None] * 50):
        task, schema = task_of(label=values, score=RNG.random(150))
        assert (task, schema.positive) == (Task.BINARY, "true")
        assert schema["label"].type is ColumnType.BOOLEAN


@pytest.mark.parametrize(
    ("values", "positive"),
    [
        (["yes", "no"], "yes"),
        (["0", "1"], "1"),
        (["late", "not late"], "late"),
        (["fraud", "legit"], "fraud"),
        (["punctual", "late"], "late"),
        (["a", "b"], "b"),
        (["False", "True"], "True"),
    ],
)
def test_the_positive_class_is_told_by_the_two_texts(values, positive):
    task, schema = task_of(label=values * 50)
    assert (task, schema.positive) == (Task.BINARY, positive)
    assert schema["label"].type is ColumnType.CATEGORICAL


def test_two_other_whole_numbers_are_two_classes():
    task, schema = task_of(label=[1, 2] * 100)
    assert (task, schema.positive) == (Task.BINARY, "2")
    assert schema["label"].type is ColumnType.CATEGORICAL


def test_label_and_prediction_of_a_binary_model_can_be_compared():
    _, schema = task_of(label=["0", "1"] * 50, prediction=[0, 1] * 50)
    assert schema["label"].type is schema["prediction"].type is ColumnType.CATEGORICAL
    _, schema = task_of(label=[0, 1] * 50, prediction=[True, False] * 50)
    assert schema["label"].type is schema["prediction"].type is ColumnType.BOOLEAN


def test_a_prediction_that_is_a_probability_is_the_score_of_a_binary_model():
    task, schema = task_of(label=[0, 1] * 50, prediction=RNG.random(100))
    assert task is Task.BINARY
    assert schema["prediction"].role is Role.SCORE


def test_scores_of_classes_make_a_multiclass_model():
    p = RNG.dirichlet([1, 1, 1], N)
    task, schema = task_of(
        score_A=p[:, 0], score_B=p[:, 1], score_C=p[:, 2], label=[*"ABCA"] * (N // 4)
    )
    assert task is Task.MULTICLASS
    assert [(c.name, c.class_) for c in schema.with_role(Role.SCORE)] == [
        ("score_A", "A"), ("score_B", "B"), ("score_C", "C"),
    ]  # fmt: skip


def test_whole_numbers_as_classes_are_categorical_where_scores_name_them():
    p = RNG.dirichlet([1, 1, 1], N)
    table = {f"proba_{i}": p[:, i] for i in range(3)}
    task, schema = task_of(**table, label=RNG.integers(0, 3, N))
    assert (task, schema["label"].type) == (Task.MULTICLASS, ColumnType.CATEGORICAL)


def test_of_two_class_scores_that_of_the_positive_class_is_the_score():
    p = RNG.random(N)
    task, schema = task_of(score_0=1 - p, score_1=p, label=RNG.integers(0, 2, N))
    assert task is Task.BINARY
    assert [c.name for c in schema.with_role(Role.SCORE)] == ["score_1"]


def test_features_named_like_scores_are_none_unless_they_add_up_to_one():
    _, schema = task_of(score_home=RNG.random(N), score_away=RNG.random(N))
    assert schema.with_role(Role.SCORE) == ()


@pytest.mark.parametrize(
    ("columns", "task"),
    [
        ({"label": [1.5, 2.5, 3.5] * 50}, Task.REGRESSION),
        ({"label": [0, 1, 7, 3] * 50}, Task.REGRESSION),
        ({"label": [0, 1, 2] * 50, "prediction": [0.3, 1.2, 1.9] * 50}, Task.REGRESSION),
        ({"label": [0, 1, 2] * 50, "prediction": [0, 1, 1] * 50}, Task.MULTICLASS),
        ({"label": ["a", "b", "c"] * 50}, Task.MULTICLASS),
        ({"prediction": ["a", "b", "c"] * 50}, Task.MULTICLASS),
        ({"prediction": [0, 1] * 50}, Task.BINARY),
        ({"score": [0.1, 0.9] * 50}, Task.BINARY),
        ({"score": [0.1, 0.9] * 50, "label": [None] * 100}, Task.BINARY),
        ({"label": [f"answer number {i} in words" for i in range(200)]}, None),
        ({"x": [1.0, 2.0]}, None),
        ({"prediction": [0.5]}, Task.REGRESSION),
    ],
)  # fmt: skip
def test_the_task_is_told_by_labels_predictions_and_scores(columns, task):
    assert task_of(**columns)[0] is task


def test_a_label_that_is_not_known_yet_gets_the_type_that_the_task_asks_for():
    assert task_of(score=[0.1, 0.9], label=[None] * 2)[1]["label"].type is ColumnType.BOOLEAN
    _, schema = task_of(prediction=[0.1, 7.9], label=[None] * 2)
    assert schema["label"].type is ColumnType.NUMERIC


def test_a_task_that_is_told_is_not_guessed():
    table = pa.table({"label": RNG.integers(0, 4, N), "prediction": RNG.integers(0, 4, N)})
    assert infer_schema(table, task=Task.REGRESSION)["label"].type is ColumnType.NUMERIC
    assert infer_schema(table, task=Task.MULTICLASS)["label"].type is ColumnType.CATEGORICAL


def test_two_columns_of_one_name_are_refused_by_name():
    table = pa.table([[1], [2], [3]], names=["a", "b", "a"])
    with pytest.raises(SchemaError, match="column 'a' stands more than once") as caught:
        infer_schema(table)
    assert caught.value.code == "duplicate_column"


def test_nothing_to_infer_from_is_an_answer():
    with pytest.raises(EmptyInput, match="no columns"):
        infer_schema(pa.table({}))
    with pytest.raises(EmptyInput, match="no rows"):
        infer_schema(pa.table({"a": pa.array([], pa.int64())}))


def test_an_unknown_segment_is_refused_with_a_hint():
    with pytest.raises(SchemaError, match="did you mean 'carrier'"):
        infer_schema(pa.table({"carrier": ["UA"]}), segments=["carier"])


def test_strange_names_are_only_names():
    names = ["", " ", "a.b", "número", "日本", "a\nb", "_", "score_", "0"]
    table = pa.table([[1.5]] * len(names), names=names)
    assert infer_schema(table).names == tuple(names)


def test_a_long_table_is_judged_from_rows_all_over_it():
    values = np.zeros(1_000_000)
    values[500_000:] = 0.5
    table = pa.table({"x": values, "label": np.repeat([0, 1], 500_000)})
    assert infer_schema(table).task is Task.BINARY


def test_a_schema_is_inferred_from_any_frame():
    table = pa.table({"carrier": ["UA", "AA"] * 100, "label": [0, 1] * 100})
    assert infer_schema(table.to_pandas()) == infer_schema(table)
    assert infer_schema(table.to_batches()[0]) == infer_schema(table)
