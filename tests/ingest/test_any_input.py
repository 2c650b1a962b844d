"""Whatever comes in: nothing is lost, and nothing but bad input is raised."""

import datetime
import json
import math

import pyarrow as pa
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tidegauge.errors import BadInput
from tidegauge.ingest import check_labels, check_records, parse, schema_of_records
from tidegauge.schema import Column, ColumnType, Role, Schema, Task, arrow_schema

NOW = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.UTC)
SCHEMA = Schema(
    (
        Column("prediction_id", ColumnType.TEXT, Role.PREDICTION_ID),
        Column("timestamp", ColumnType.DATETIME, Role.TIMESTAMP),
        *(Column(kind.value, kind) for kind in ColumnType),
        Column("tag", ColumnType.TEXT, Role.TAG),
        Column("version", ColumnType.CATEGORICAL, Role.VERSION),
        Column("label", ColumnType.BOOLEAN, Role.LABEL),
    ),
    Task.BINARY,
)

any_text = st.text(st.characters(), max_size=5)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | any_text
    | st.sampled_from(["NaN", "Infinity", "1e400", "2026-01-01", "2026-01-01T00:00:00Z"])
    | st.datetimes().map(datetime.datetime.isoformat)
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=2)
)
keys = st.sampled_from([*SCHEMA.names, "unknown", "_extra", "observed_at"])
good = st.fixed_dictionaries(
    {
        "prediction_id": st.integers(0, 5) | st.sampled_from(["a", "b", ""]),
        "timestamp": st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01", None]),
    },
    optional={"numeric": st.floats(), "text": any_text, "label": st.booleans()},
)
wild = st.dictionaries(keys | any_text, values, max_size=6)
mixed = st.builds(lambda one, two: {**one, **two}, good, wild)
requests = st.lists(good | mixed | values, max_size=8) | st.lists(good, max_size=8)


def holds(check, parsed, sent):
    """Check a request: what was sent is accepted, repeated or quarantined, and well-formed."""
    try:
        checked = check(parsed, SCHEMA, now=NOW)
    except BadInput as error:
        assert error.code == "naive_timestamp"
        return None
    assert checked.accepted.num_rows + checked.repeated + checked.quarantined.num_rows == sent
    checked.accepted.validate(full=True)
    assert checked.quarantined["index"].to_pylist() == sorted(
        set(checked.quarantined["index"].to_pylist())
    )
    ids = checked.accepted["prediction_id"].to_pylist()
    assert len(set(ids)) == len(ids)
    assert None not in ids
    assert "" not in ids
    assert {error.index for error in checked.errors} <= set(
        checked.quarantined["index"].to_pylist()
    )
    for record in checked.quarantined["record"].to_pylist():
        json.loads(record)
    return checked


@settings(deadline=None, max_examples=300)
@given(requests)
def test_every_record_is_accepted_repeated_or_quarantined(rows):
    checked = holds(check_records, rows, len(rows))
    if checked is not None:
        assert checked.accepted.schema.names[:-2] == arrow_schema(SCHEMA).names


@settings(deadline=None, max_examples=150)
@given(requests)
def test_every_label_is_accepted_repeated_or_quarantined(rows):
    holds(check_labels, rows, len(rows))


def arrays(size):
    kinds = {
        pa.int64(): st.integers(-(2**63), 2**63 - 1),
        pa.float64(): st.floats(),
        pa.string(): any_text.filter(str.isprintable),
        pa.bool_(): st.booleans(),
        pa.timestamp("us", "UTC"): st.integers(-(2**63) + 1, 2**63 - 1),
        pa.timestamp("s", "UTC"): st.integers(-(2**63) + 1, 2**63 - 1),
        pa.timestamp("ns"): st.integers(-(2**63) + 1, 2**63 - 1),
        pa.date64(): st.integers(-(10**15), 10**15).map(lambda day: day // 10 * 86_400_000 % 2**60),
        pa.list_(pa.float64()): st.lists(st.none() | st.floats(), max_size=2),
        pa.binary(): st.binary(max_size=3),
        pa.struct([("a", pa.int64())]): st.fixed_dictionaries({"a": st.integers(0, 9)}),
        pa.duration("ms"): st.integers(-(2**62), 2**62),
        pa.null(): st.none(),
    }

    def build(kind):
        filled = st.lists(st.none() | kinds[kind], min_size=size, max_size=size)
        return filled.map(lambda listed: pa.array(listed, kind))

    return st.sampled_from(list(kinds)).flatmap(build)


@st.composite
def tables(draw):
    size = draw(st.integers(0, 5))
    names = draw(st.lists(keys, unique=True, min_size=1, max_size=6))
    columns = {name: draw(arrays(size)) for name in names}
    if draw(st.booleans()):
        columns["prediction_id"] = pa.array([f"p{i % 3}" for i in range(size)])
        columns["timestamp"] = pa.array([NOW] * size, pa.timestamp("us", "UTC"))
    return pa.table(columns)


@settings(deadline=None, max_examples=300)
@given(tables())
def test_every_row_of_any_table_is_accepted_repeated_or_quarantined(table):
    holds(check_records, table, table.num_rows)
    holds(check_labels, table, table.num_rows)


@settings(deadline=None, max_examples=100)
@given(st.lists(good | wild, max_size=5))
def test_an_array_and_lines_hold_the_same_records(rows):
    lines = [json.dumps(row, allow_nan=False, default=str) for row in _finite(rows)]
    array = f"[{','.join(lines)}]".encode()
    assume(rb"\ud" not in array)
    try:
        by_array = parse(array, "application/json")
    except BadInput:
        return
    assert parse("\n".join(lines).encode(), "application/x-ndjson") == by_array


def _finite(value):
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list) else value


@settings(deadline=None, max_examples=200)
@given(requests)
def test_a_schema_from_any_first_records_takes_them_or_says_what_is_missing(rows):
    try:
        schema = schema_of_records(rows)
        checked = check_records(rows, schema, now=NOW)
    except BadInput as error:
        assert error.message
        return
    assert checked.accepted.num_rows + checked.repeated + checked.quarantined.num_rows == len(rows)


@settings(deadline=None, max_examples=100)
@given(tables())
def test_a_schema_from_any_first_table_takes_it_or_says_what_is_missing(table):
    try:
        check_records(table, schema_of_records(table), now=NOW)
    except BadInput as error:
        assert error.message
