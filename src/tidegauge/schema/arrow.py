"""Between the words of a schema and Arrow types: how a column is stored, and what a type holds."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from tidegauge.schema.types import Column, ColumnType, Role, Schema

#: Roles whose values are names of something: always stored as text, whatever was sent.
TEXT_ROLES = frozenset({Role.PREDICTION_ID, Role.TRACE_ID, Role.VERSION, Role.TAG})

#: How timestamps are stored everywhere.
TIMESTAMP = pa.timestamp("us", "UTC")

_STORED: dict[ColumnType, pa.DataType] = {
    ColumnType.NUMERIC: pa.float64(),
    ColumnType.CATEGORICAL: pa.string(),
    ColumnType.TEXT: pa.string(),
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.DATETIME: TIMESTAMP,
    ColumnType.EMBEDDING: pa.list_(pa.float32()),
}


def arrow_type(column: Column) -> pa.DataType:
    """Return the Arrow type in which a column is stored.

    Examples
    --------
    >>> arrow_type(Column("age", ColumnType.NUMERIC))
    DataType(double)
    >>> arrow_type(Column("id", ColumnType.NUMERIC, Role.PREDICTION_ID))
    DataType(string)
    """
    return pa.string() if column.role in TEXT_ROLES else _STORED[column.type]


def arrow_schema(schema: Schema) -> pa.Schema:
    """Return the Arrow schema in which records of a schema are stored; every field may be null.

    Examples
    --------
    >>> arrow_schema(Schema((Column("age", ColumnType.NUMERIC),)))
    age: double
    """
    return pa.schema([pa.field(column.name, arrow_type(column)) for column in schema])


def value_type(kind: pa.DataType) -> Any:
    """Return the type of the values behind dictionary, run-end and extension types.

    Examples
    --------
    >>> value_type(pa.dictionary(pa.int8(), pa.string()))
    DataType(string)
    """
    inner: Any = kind
    while True:
        if pt.is_dictionary(inner) or pt.is_run_end_encoded(inner):
            inner = inner.value_type
        elif isinstance(inner, pa.BaseExtensionType):
            inner = inner.storage_type
        else:
            return inner


def decoded(column: Any) -> Any:
    """Return a column without dictionary, run-end or extension encoding, and text as string.

    Parameters
    ----------
    column : pyarrow.ChunkedArray

    Examples
    --------
    >>> column = pa.chunked_array([pa.array(["a", "b"], pa.large_string()).dictionary_encode()])
    >>> decoded(column).type
    DataType(string)
    """
    kind: Any = column.type
    if pt.is_string(kind):
        return column
    if pt.is_dictionary(kind):
        chunks = [_values(chunk.dictionary).take(chunk.indices) for chunk in column.chunks]
        inner = pa.string() if is_text(kind.value_type) else kind.value_type
    elif isinstance(kind, pa.BaseExtensionType):
        inner = kind.storage_type
        chunks = [getattr(chunk, "storage", chunk) for chunk in column.chunks]
    elif pt.is_run_end_encoded(kind):
        inner = kind.value_type
        chunks = [pc.call_function("run_end_decode", [chunk]) for chunk in column.chunks]
    else:
        return column.cast(pa.string()) if is_text(kind) else column
    return decoded(pa.chunked_array(chunks, inner))


def _values(dictionary: Any) -> Any:
    return dictionary.cast(pa.string()) if is_text(dictionary.type) else dictionary


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a type holds text.

    Examples
    --------
    >>> is_text(pa.large_string())
    True
    """
    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind))


def is_number(kind: pa.DataType) -> bool:
    """Tell whether a type holds numbers: integers, floats or decimals, not truth values.

    Examples
    --------
    >>> is_number(pa.decimal128(9, 2)), is_number(pa.bool_())
    (True, False)
    """
    return bool(pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind))


def column_type(kind: pa.DataType) -> ColumnType | None:
    """Return what the values of an Arrow type are, as far as the type alone tells.

    Text is called categorical here (its content decides, in ``infer.py``), and so are dictionary
    types, whose author has said so. None stands for types without a distribution that we watch:
    structs, maps, binary, durations, times of day, and the type of nulls.

    Examples
    --------
    >>> column_type(pa.int32()).value
    'numeric'
    >>> column_type(pa.dictionary(pa.int8(), pa.int64())).value
    'categorical'
    >>> column_type(pa.struct([])) is None
    True
    """
    inner = value_type(kind)
    if pt.is_boolean(inner):
        return ColumnType.BOOLEAN
    if is_text(inner):
        return ColumnType.CATEGORICAL
    if is_number(inner):
        return ColumnType.CATEGORICAL if pt.is_dictionary(kind) else ColumnType.NUMERIC
    if pt.is_timestamp(inner) or pt.is_date(inner):
        return ColumnType.DATETIME
    lists = pt.is_fixed_size_list(inner) or pt.is_list(inner) or pt.is_large_list(inner)
    if lists and pt.is_floating(inner.value_type):
        return ColumnType.EMBEDDING
    return None
