"""Checks the records and labels of a request: what fits is accepted, the rest quarantined.

A record that does not fit is kept whole, with the reason, and does not spoil the others. Only what
is wrong with a request as a whole raises: times without a zone throughout, two columns of one
name.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidegauge.errors import BadInput
from tidegauge.ingest.checked import QUARANTINE, Checked, Faults
from tidegauge.ingest.parsed import Parsed
from tidegauge.ingest.sources import Source, open_source
from tidegauge.ingest.times import ahead_of, places
from tidegauge.schema import Column, ColumnType, Role, Schema, Task, arrow_schema, arrow_type
from tidegauge.schema.arrow import TIMESTAMP

#: Our own columns of accepted records: unknown fields as a JSON object, and the model's version.
EXTRA = "_extra"
VERSION = "_version"

_TRUE = ("1", "true")
_NO_TEXT = pa.scalar("")
_NONE_ASIDE = QUARANTINE.empty_table()


def check_records(
    parsed: Parsed,
    schema: Schema,
    *,
    now: datetime.datetime,
    version: str | None = None,
    sizes: Sequence[int] | None = None,
) -> Checked:
    """Check records against their schema.

    Null fits anywhere but in the prediction id and the timestamp, which every record needs if the
    schema has them. A timestamp is ISO 8601 with a zone and at most ten minutes ahead of the
    clock; a time in any other column may lack the zone and is then read in the schema's. Numbers
    in quotes are no numbers, except ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``, which JSON
    cannot say otherwise. Numbers and truth values fit categorical columns, as their text; 0 and 1
    fit boolean ones.

    Parameters
    ----------
    parsed : Parsed
        What `parse` made of the body.
    schema : Schema
    now : datetime
        The clock.
    version : str, optional
        The model's version, for records that do not name it themselves.
    sizes : sequence of int, optional
        Where these are the records of several requests, one after the other: how many each has.
        An id is repeated only within its own request.

    Returns
    -------
    Checked
        ``accepted`` has the columns of `arrow_schema`, then ``_extra`` (fields that the schema
        does not know, as a JSON object, or null) and ``_version``.

    Raises
    ------
    BadInput
        ``naive_timestamp``: no record's timestamp has a zone. ``duplicate_column``: two columns
        of a table have one name. ``reserved_column``: the schema uses a name of our own.

    Examples
    --------
    >>> schema = Schema((Column("prediction_id", ColumnType.TEXT, Role.PREDICTION_ID),
    ...                  Column("age", ColumnType.NUMERIC)))
    >>> rows = [{"prediction_id": "a", "age": 42}, {"prediction_id": "b", "age": "old"},
    ...         {"prediction_id": "a", "age": 42}]
    >>> checked = check_records(rows, schema, now=datetime.datetime.now(datetime.UTC), version="3")
    >>> checked.accepted.to_pylist()
    [{'prediction_id': 'a', 'age': 42.0, '_extra': None, '_version': '3'}]
    >>> print(checked.errors[0].message)
    column 'age': "old" is no number; send a number or null
    >>> checked.repeated
    1
    """
    _require_free_names(schema)
    source = open_source(parsed)
    faults = Faults(source.unreadable)
    arrays: dict[str, Any] = {
        column.name: _convert(source, column, [column.name], schema.timezone, faults)
        for column in schema
    }
    id_column, time_column = schema.role(Role.PREDICTION_ID), schema.role(Role.TIMESTAMP)
    if id_column is not None:
        _require(arrays[id_column.name], id_column, faults)
    if time_column is not None:
        times = arrays[time_column.name]
        _require(times, time_column, faults)
        _require_zones(source, time_column.name, faults)
        _require_past(times, time_column.name, now, faults)
    unknown = [name for name in source.names if name not in schema]
    text = pa.string()
    arrays[EXTRA] = pa.array(source.objects(unknown), text) if unknown else _nulls(source, text)
    arrays[VERSION] = _versions(source, schema, arrays, version)
    table = pa.Table.from_arrays(list(arrays.values()), schema=_stored(schema))
    id_name = id_column.name if id_column is not None else None
    return _sorted_out(source, table, faults, id_name, sizes)


def check_labels(
    parsed: Parsed,
    schema: Schema,
    *,
    now: datetime.datetime,
    sizes: Sequence[int] | None = None,
) -> Checked:
    """Check labels, which come as ``prediction_id``, ``label``[, ``timestamp``, ``observed_at``].

    The names that the schema gives to prediction id and label do as well. Other fields are
    ignored. A class that was never seen is accepted.

    Parameters
    ----------
    parsed : Parsed
        What `parse` made of the body.
    schema : Schema
        Its label column, or `label_column`, tells the type of labels.
    now : datetime
        The clock, and the time at which labels without ``observed_at`` became known.
    sizes : sequence of int, optional
        As `check_records`.

    Returns
    -------
    Checked
        ``accepted`` has ``prediction_id`` (string), ``label``, ``timestamp`` (of the prediction;
        may be null) and ``observed_at``, both timestamp[us, UTC].

    Raises
    ------
    BadInput
        ``naive_timestamp`` and ``duplicate_column``, as `check_records`.

    Examples
    --------
    >>> schema = Schema((Column("label", ColumnType.BOOLEAN, Role.LABEL),), Task.BINARY)
    >>> now = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    >>> checked = check_labels([{"prediction_id": 7, "label": 1}], schema, now=now)
    >>> checked.accepted.select(["prediction_id", "label"]).to_pylist()
    [{'prediction_id': '7', 'label': True}]
    """
    source = open_source(parsed)
    faults = Faults(source.unreadable)
    label = label_column(schema)
    id_column = Column("prediction_id", ColumnType.TEXT, Role.PREDICTION_ID)
    schemas_id = schema.role(Role.PREDICTION_ID)
    id_names = [id_column.name, *([schemas_id.name] if schemas_id is not None else [])]
    ids = _convert(source, id_column, id_names, "UTC", faults)
    _require(ids, id_column, faults)
    labels = _convert(source, label, ["label", label.name], schema.timezone, faults)
    _require(labels, replace(label, name="label", role=Role.LABEL), faults)
    times = []
    for name in ("timestamp", "observed_at"):
        column = Column(name, ColumnType.DATETIME, Role.TIMESTAMP)
        times.append(_convert(source, column, [name], "UTC", faults))
        _require_zones(source, name, faults)
        _require_past(times[-1], name, now, faults)
    times[1] = times[1].fill_null(pa.scalar(_utc(now), TIMESTAMP))
    table = pa.table(
        {"prediction_id": ids, "label": labels, "timestamp": times[0], "observed_at": times[1]}
    )
    return _sorted_out(source, table, faults, "prediction_id", sizes)


def label_column(schema: Schema) -> Column:
    """Return the column of a schema's labels, or what it is to be where the schema has none.

    Labels of a regression are then numeric. Those of a binary model are boolean, unless its
    predictions or its positive class are texts; all others are categorical.

    Examples
    --------
    >>> label_column(Schema((), Task.REGRESSION)).type.value
    'numeric'
    >>> label_column(Schema((), Task.BINARY, positive="late")).type.value
    'categorical'
    """
    column = schema.role(Role.LABEL)
    if column is not None:
        return column
    kind = ColumnType.CATEGORICAL
    if schema.task is Task.REGRESSION:
        kind = ColumnType.NUMERIC
    elif schema.task is Task.BINARY and schema.positive.lower() in _TRUE:
        said = schema.role(Role.PREDICTION)
        if said is None or said.type in (ColumnType.BOOLEAN, ColumnType.NUMERIC):
            kind = ColumnType.BOOLEAN
    return Column("label", kind, Role.LABEL)


def _require_free_names(schema: Schema) -> None:
    for name in (EXTRA, VERSION):
        if name in schema:
            raise BadInput(
                f"column {name!r} of the schema has a name of our own; rename it",
                code="reserved_column",
            )


@lru_cache(maxsize=256)
def _stored(schema: Schema) -> pa.Schema:
    """Return the Arrow schema of accepted records."""
    own = [pa.field(EXTRA, pa.string()), pa.field(VERSION, pa.string())]
    return pa.schema([*arrow_schema(schema), *own])


def _convert(
    source: Source, column: Column, names: Sequence[str], zone: str, faults: Faults
) -> Any:
    """Return the column that stands under the first of some names; nulls if under none."""
    for name in names:
        if name in source.names:
            named = column if column.name == name else replace(column, name=name)
            array, found = source.convert(name, named, zone)
            if found:
                faults.add(name, found)
            return array
    return _nulls(source, arrow_type(column))


def _nulls(source: Source, kind: Any) -> Any:
    return pa.nulls(source.size, kind)


def _require(array: Any, column: Column, faults: Faults) -> None:
    """Note the records that have nothing in a column in which each needs something."""
    missing = places(array.is_null()) if array.null_count else []
    if column.role is Role.PREDICTION_ID:
        missing += places(pc.equal(array, _NO_TEXT))
    if missing:
        misfits = {error.index for error in faults.of(column.name)}
        code = f"missing_{column.role.value}"
        message = f"column {column.name!r}: nothing there; every record needs its {_WHAT[code]}"
        faults.add(column.name, [(i, code, message) for i in missing if i not in misfits])


_WHAT = {
    "missing_prediction_id": "prediction id, as text or a whole number",
    "missing_timestamp": "time, as '2026-01-01T00:00:00Z'",
    "missing_label": "label",
}


def _require_zones(source: Source, name: str, faults: Faults) -> None:
    """Refuse a request in which no time has a zone: its sender has to change that once."""
    naive = [error for error in faults.of(name) if error.code == "naive_timestamp"]
    if naive and len(naive) == source.size:
        raise BadInput(f"all {source.size} records: {naive[0].message}", code="naive_timestamp")


def _require_past(array: Any, name: str, now: datetime.datetime, faults: Faults) -> None:
    if array.type != TIMESTAMP:
        return
    ahead = ahead_of(array, _utc(now))
    if ahead:
        message = (
            f"column {name!r}: more than 10 minutes ahead of the server's clock "
            f"({_utc(now):%Y-%m-%dT%H:%M:%SZ}); check the sender's clock and time zone"
        )
        faults.add(name, [(index, "future_timestamp", message) for index in ahead])


def _utc(time: datetime.datetime) -> datetime.datetime:
    if time.tzinfo is None:
        return time.replace(tzinfo=datetime.UTC)
    return time.astimezone(datetime.UTC)


def _versions(source: Source, schema: Schema, arrays: dict[str, Any], version: str | None) -> Any:
    """Return each record's own version, else that of the request.

    A field ``version`` counts even where the schema does not know it.
    """
    column = schema.role(Role.VERSION)
    if column is not None:
        own = arrays[column.name]
    elif "version" not in schema and "version" in source.names:
        version_column = Column("version", ColumnType.CATEGORICAL, Role.VERSION)
        own = source.convert("version", version_column, schema.timezone).array
    else:
        own = None
    if version is None:
        return _nulls(source, pa.string()) if own is None else own
    return pa.repeat(version, source.size) if own is None else own.fill_null(version)


def _sorted_out(
    source: Source,
    table: pa.Table,
    faults: Faults,
    id_name: str | None,
    sizes: Sequence[int] | None,
) -> Checked:
    bad = faults.indices
    fits = np.ones(source.size, dtype=np.bool_)
    if bad:
        fits[bad] = False
        table = table.filter(pa.array(fits))
    fitting = table.num_rows
    if id_name is not None and (sizes is None or max(sizes, default=0) > 1):
        requests = None if sizes is None else np.repeat(np.arange(len(sizes)), sizes)[fits]
        first = _first_rows(table.column(id_name), requests)
        table = table if first is None else table.take(pa.array(first))
    return Checked(
        accepted=table,
        quarantined=faults.table(source.records(bad)) if bad else _NONE_ASIDE,
        errors=faults.errors,
        repeated=fitting - table.num_rows,
    )


def _first_rows(ids: Any, requests: Any) -> Any:
    """Return the rows of the first occurrence of each id in its request; None if none repeats."""
    distinct = len(ids.unique())
    if distinct == len(ids):
        return None
    codes = ids.combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    if requests is not None:
        codes = requests * distinct + codes
    _, first = np.unique(codes, return_index=True)
    return np.sort(first)
