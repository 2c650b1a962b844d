"""Schemas as YAML and JSON: exact round trips, and errors that name the place."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegauge.errors import SchemaError, UnreadableSource
from tidegauge.schema import (
    Column,
    ColumnType,
    Role,
    Schema,
    Task,
    dump_schema,
    load_schema,
    loads_schema,
    schema_from_json,
    schema_to_json,
)
from tidegauge.schema.document import NEEDED_TYPE
from tidegauge.schema.types import SINGLE_ROLES

texts = st.text(max_size=12) | st.sampled_from(
    ["yes", "null", "~", "1", "1e5", "a: b", "# a", " a", "a\nb", "\x07", "\u2028", "😀", "<<", "="]
)
bounds = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def columns(draw, name):
    role = draw(st.sampled_from(sorted(set(Role) - SINGLE_ROLES)))
    kind = NEEDED_TYPE.get(role) or draw(st.sampled_from(list(ColumnType)))
    low, high = None, None
    if kind is ColumnType.NUMERIC:
        low, high = draw(bounds), draw(bounds)
        if low is not None and high is not None and low > high:
            low, high = high, low
    unit, class_ = draw(st.none() | texts), draw(st.none() | texts)
    return Column(name, kind, role, unit, class_, low, high)


@st.composite
def schemas(draw):
    names = draw(st.lists(texts, unique=True, max_size=8))
    listed = [draw(columns(name)) for name in names]
    if listed and draw(st.booleans()):
        role = draw(st.sampled_from(sorted(SINGLE_ROLES)))
        first = listed[0]
        kind = NEEDED_TYPE.get(role, ColumnType.CATEGORICAL)
        listed[0] = Column(first.name, kind, role, first.unit)
    return Schema(
        tuple(listed),
        task=draw(st.none() | st.sampled_from(list(Task))),
        segments=tuple(draw(st.lists(st.sampled_from(names), unique=True))) if names else (),
        positive=draw(texts),
        timezone=draw(st.sampled_from(["UTC", "Europe/Vienna"])),
    )


@settings(deadline=None)
@given(schemas())
def test_a_schema_survives_yaml_exactly(schema):
    assert loads_schema(dump_schema(schema)) == schema


@settings(deadline=None)
@given(schemas())
def test_a_schema_survives_json_exactly(schema):
    assert schema_from_json(schema_to_json(schema)) == schema


@settings(deadline=None)
@given(st.text() | st.text(alphabet="{}[]:,-?&*!|>'\"%@`#\n\t a1~"))
def test_any_text_is_a_schema_or_an_error_with_its_place(text):
    try:
        loads_schema(text, source="any.yaml")
    except SchemaError as error:
        assert error.message.startswith("any.yaml:")
        assert "\n" not in error.message


EXAMPLE = Schema(
    (
        Column("prediction_id", ColumnType.TEXT, Role.PREDICTION_ID),
        Column("dep delay", ColumnType.NUMERIC, Role.FEATURE, "min", None, 0, 1440.5),
        Column("carrier", ColumnType.CATEGORICAL),
        Column("score_A", ColumnType.NUMERIC, Role.SCORE, None, "A"),
        Column("yes", ColumnType.BOOLEAN, Role.LABEL),
    ),
    Task.BINARY,
    segments=("carrier",),
    positive="true",
    timezone="Europe/Vienna",
)


def test_the_yaml_is_what_a_person_would_write():
    text = dump_schema(EXAMPLE)
    comment, body = text.split("\ntask:")
    assert all(line.startswith("#") and len(line) <= 100 for line in comment.splitlines())
    for word in (*ColumnType, *Role, *Task):
        assert word in comment
    assert body == (
        " binary\n"
        'positive: "true"\n'
        "timezone: Europe/Vienna\n"
        "segments: [carrier]\n"
        "columns:\n"
        "  prediction_id: {type: text, role: prediction_id}\n"
        "  dep delay: {type: numeric, role: feature, unit: min, range: [0, 1440.5]}\n"
        "  carrier: {type: categorical, role: feature}\n"
        "  score_A: {type: numeric, role: score, class: A}\n"
        '  "yes": {type: boolean, role: label}\n'
    )


def test_what_goes_without_saying_may_be_left_out():
    schema = loads_schema(
        """
        model: flight-delay
        task:
        positive: yes
        columns:
          prediction_id:
          timestamp: {}
          latency_ms: {unit: ms}
          label: boolean
          age: numeric
          open: {type: numeric, range: [1e3, null]}
          1: {type: text}
          null: {type: text}
        """
    )
    assert [(c.name, c.type.value, c.role.value) for c in schema] == [
        ("prediction_id", "text", "prediction_id"),
        ("timestamp", "datetime", "timestamp"),
        ("latency_ms", "numeric", "latency"),
        ("label", "boolean", "label"),
        ("age", "numeric", "feature"),
        ("open", "numeric", "feature"),
        ("1", "text", "feature"),
        ("null", "text", "feature"),
    ]
    assert (schema.task, schema.positive, schema["open"].minimum) == (None, "yes", 1000)


def test_columns_may_be_a_list_as_in_json():
    assert loads_schema("columns: [{name: age, type: numeric}]").names == ("age",)


ERRORS = {
    "columns:\n  age: {type: numerc}": (
        "2:15: unknown type 'numerc' for column 'age' (did you mean 'numeric'?); one of numeric, "
        "categorical, boolean, datetime, text, embedding"
    ),
    "columns:\n  age: numerc": "2:8: unknown type 'numerc' for column 'age'",
    "columns:\n  age: {type: numeric, role: fetaure}": (
        "2:30: unknown role 'fetaure' for column 'age' (did you mean 'feature'?); one of "
    ),
    "columns:\n  age: {type: numeric, rol: feature}": (
        "2:24: unknown key 'rol' in column 'age' (did you mean 'role'?); one of type, role, "
    ),
    "colums: {}": "1:1: unknown key 'colums' in a schema (did you mean 'columns'?); one of ",
    "task: binary": "1:1: no 'columns' in the schema",
    "task: binery\ncolumns: {}": "1:7: unknown task 'binery' (did you mean 'binary'?)",
    "task: [binary]\ncolumns: {}": "1:7: task must be a word, not a list",
    "": "1:1: nothing here",
    "~": "1:1: nothing here",
    "- a": "1:1: a schema must be a mapping, not a list",
    "columns: 7": "1:10: 'columns' must be a mapping of name to type, not a number",
    "columns: {age: [numeric]}": "1:16: column 'age' must be a mapping, not a list; write {type: …",
    "columns: {age: {role: feature}}": "1:16: column 'age' has no type; one of ",
    "columns: {age: }": "1:15: column 'age' must be a mapping, not nothing",
    "columns: {age: {type: }}": "1:22: type for column 'age' must be a word, not nothing",
    "columns:\n  a: numeric\n  a: text": "3:3: column 'a' stands twice; keep one",
    "columns: {a: {type: text, type: text}}": "1:27: 'type' stands twice in column 'a'; keep one",
    "task: binary\ntask: binary\ncolumns: {}": "2:1: 'task' stands twice in a schema",
    "columns: {a: {type: text, role: label}, b: {type: text, role: label}}": (
        "1:63: columns 'a' and 'b' both have the role 'label'; give it to one of them"
    ),
    "columns: {label: boolean, y: {type: boolean, role: label}}": "1:52: columns 'label' and 'y'",
    "columns: {a: {type: text, role: timestamp}}": (
        "1:33: column 'a' has the role 'timestamp' and must be datetime, not text"
    ),
    "columns: {a: {type: numeric, range: 3}}": "1:37: range of column 'a' must be [least, gr",
    "columns: {a: {type: numeric, range: [3]}}": "1:37: range of column 'a' must be [least, gr",
    "columns: {a: {type: numeric, range: [3, x]}}": "1:41: range of column 'a' must be",
    "columns: {a: {type: numeric, range: [3, .nan]}}": "1:41: range of column 'a' must be",
    "columns: {a: {type: numeric, range: [3, [4]]}}": "1:41: range of column 'a' must be",
    "columns: {a: {type: numeric, range: [3, 2]}}": "1:37: range of column 'a' ends before it",
    "columns: {a: {type: text, range: [1, 2]}}": "1:34: column 'a' is text; only numeric",
    "columns: {a: text}\nsegments: [b]": "2:12: segment column 'b' is not in the schema",
    "columns: {a: text}\nsegments: a": "2:11: 'segments' must be a list of columns, not text",
    "columns: {a: text}\ntimezone: Europe/Wien": "2:11: unknown time zone 'Europe/Wien'",
    "columns: {a: text}\npositive: [1]": "2:11: positive must be text, not a list",
    "columns: {[a]: text}": "1:11: a column's name must be text, not a list",
    "{[a]: text}": "1:2: a key of a schema must be text, not a list",
    "columns: {<<: {a: text}}": "1:11: '<<' is not read here; write the keys out",
    "columns: [{type: text}]": "1:11: this column has no 'name'",
    "columns: [text]": "1:11: a column must be a mapping with a name, not text",
    "columns: {a: text": "1:18: not valid YAML: ",
    "columns:\n\ta: text": "2:1: not valid YAML: found character '\\t'",
    "a: 1\n---\nb: 2": "2:1: not valid YAML: ",
    "columns: {a: \x07}": "1:14: not valid YAML: character '\\x07' is not allowed",
    'columns: {"\\U99999999": text}': " not valid YAML: ",
    "[" * 2000: " not valid YAML: nested too deeply",
}


@pytest.mark.parametrize(("text", "message"), ERRORS.items(), ids=lambda value: value[:60])
def test_an_error_names_line_and_column_and_what_may_stand_there(text, message):
    with pytest.raises(SchemaError) as caught:
        loads_schema(text, source="flights.yaml")
    assert caught.value.message.startswith(f"flights.yaml:{message}")


JSON_ERRORS = [
    (None, "schema: nothing here"),
    ([], "schema: a schema must be a mapping, not a list"),
    ({"columns": [{"name": "a", "type": 7}]}, "schema.columns[0].type: unknown type '7'"),
    ({"columns": {"a": {"type": "numeric", "range": [True, 1]}}}, "schema.columns.a.range[0]: "),
    ({"columns": [{"name": "a", "type": "text"}] * 2}, "schema.columns[1].name: column 'a' stands"),
    ({"columns": [], "segments": ["a"]}, "schema.segments[0]: segment column 'a' is not"),
    ({"columns": [], "task": True}, "schema.task: unknown task 'true'"),
]


@pytest.mark.parametrize(("data", "message"), JSON_ERRORS)
def test_an_error_in_json_names_the_path(data, message):
    with pytest.raises(SchemaError) as caught:
        schema_from_json(data)
    assert caught.value.message.startswith(message)


def test_an_infinite_bound_is_written_as_none():
    schema = Schema((Column("a", ColumnType.NUMERIC, minimum=-math.inf, maximum=7),))
    assert schema_to_json(schema)["columns"][0]["range"] == [None, 7]


def test_a_very_long_name_is_still_a_key():
    schema = Schema((Column("a b" * 5000, ColumnType.TEXT), Column("é" * 2000, ColumnType.TEXT)))
    assert loads_schema(dump_schema(schema)) == schema


def test_a_file_is_read_and_errors_name_it(tmp_path):
    path = tmp_path / "flights.yaml"
    path.write_text("\ufeff" + dump_schema(EXAMPLE), encoding="utf-8")
    assert load_schema(path) == EXAMPLE
    path.write_text("columns: 7")
    with pytest.raises(SchemaError, match=r"flights\.yaml:1:10: "):
        load_schema(path)


def test_a_file_that_cannot_be_read_is_an_unreadable_source(tmp_path):
    with pytest.raises(UnreadableSource, match="cannot be read: No such file"):
        load_schema(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes("größe".encode("latin-1"))
    with pytest.raises(UnreadableSource, match="not UTF-8 text"):
        load_schema(tmp_path / "latin.yaml")
