"""How columns are stored in Arrow."""

import pyarrow as pa
import pytest

from tidegauge.schema import Column, ColumnType, Role, Schema, arrow_schema, column_type

STORED = {
    ColumnType.NUMERIC: pa.float64(),
    ColumnType.CATEGORICAL: pa.string(),
    ColumnType.TEXT: pa.string(),
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.DATETIME: pa.timestamp("us", "UTC"),
    ColumnType.EMBEDDING: pa.list_(pa.float32()),
}


def test_every_type_has_its_arrow_type_in_the_order_of_the_schema():
    schema = Schema(tuple(Column(kind.value, kind) for kind in ColumnType))
    assert arrow_schema(schema) == pa.schema([(kind.value, STORED[kind]) for kind in ColumnType])


@pytest.mark.parametrize("role", [Role.PREDICTION_ID, Role.TRACE_ID, Role.VERSION, Role.TAG])
@pytest.mark.parametrize("kind", list(ColumnType))
def test_names_of_things_are_text_whatever_their_type(role, kind):
    assert arrow_schema(Schema((Column("a", kind, role),))).field("a").type == pa.string()


def test_what_is_stored_is_read_as_what_it_was():
    for kind, stored in STORED.items():
        expected = ColumnType.CATEGORICAL if kind is ColumnType.TEXT else kind
        assert column_type(stored) is expected


def test_types_are_seen_through_their_encoding():
    assert column_type(pa.run_end_encoded(pa.int32(), pa.float32())) is ColumnType.NUMERIC
    assert column_type(pa.dictionary(pa.int32(), pa.bool_())) is ColumnType.BOOLEAN
    assert column_type(pa.bool8()) is ColumnType.NUMERIC
    assert column_type(pa.uuid()) is None
