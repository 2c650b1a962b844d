"""Fields that records bring and the schema does not know: counted, shown, taken into the schema."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tidegauge.catalog.new_fields import Counted
from tidegauge.engine.extras import Found, count_extras
from tidegauge.errors import BadInput, Conflict, NotFound, SchemaError
from tidegauge.lake.columns import OWN
from tidegauge.schema import Column, ColumnType, Role, Schema, schema_from_json

if TYPE_CHECKING:
    from tidegauge.server.known import Model
    from tidegauge.server.runtime import Runtime

#: Names of a model that are kept; of others it is only counted how many values they had.
KEPT = 200
_LONGEST = 200
_TRIES = 5
_CONTROL = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_GUESSES: tuple[tuple[frozenset[str], ColumnType], ...] = (
    (frozenset({"number"}), ColumnType.NUMERIC),
    (frozenset({"boolean"}), ColumnType.BOOLEAN),
    (frozenset({"time"}), ColumnType.DATETIME),
    (frozenset({"vector"}), ColumnType.EMBEDDING),
    (frozenset({"number", "boolean", "text", "time"}), ColumnType.CATEGORICAL),
    (frozenset({"number", "boolean", "text", "time", "long"}), ColumnType.TEXT),
)
_FIXED = {
    Role.PREDICTION_ID: "records without it were never accepted",
    Role.TIMESTAMP: "records are stored by their event time already",
    Role.LABEL: "name it in the schema, or send labels",
}


@dataclass(frozen=True)
class NewColumn:
    """A field that the schema does not know.

    Parameters
    ----------
    name : str
    type : ColumnType or None
        What it looks like; None for objects and lists, which can be no column.
    rows : int
        Records that brought a value.
    first_seen, last_seen : datetime
        When the first and the last came.
    example : str
        As JSON, of a long one the beginning.
    """

    name: str
    type: ColumnType | None
    rows: int
    first_seen: datetime
    last_seen: datetime
    example: str


@dataclass(frozen=True)
class NewColumns:
    """All fields of a model that its schema does not know.

    Parameters
    ----------
    columns : tuple of NewColumn
        The most frequent first.
    left_out : int
        Values under further names, which are not told apart.
    """

    columns: tuple[NewColumn, ...]
    left_out: int


def new_columns(runtime: Runtime, model: Model, *, patience: float = 0.0) -> NewColumns:
    """Return the fields that the schema does not know, those of the newest records included.

    Parameters
    ----------
    patience : float
        What was true so many seconds ago will do.
    """
    counted = _counted(runtime, model, patience)
    shown = [
        _shown(name, told) for name, told in counted.fields.items() if name not in model.schema
    ]
    shown.sort(key=lambda column: (-column.rows, column.name))
    return NewColumns(tuple(shown), counted.left_out)


def accept(
    runtime: Runtime,
    model: Model,
    wanted: Mapping[str, Any] | Iterable[str],
    *,
    by: str,
    reason: str,
) -> Model:
    """Take fields into the schema; values that were set aside are read under their name from now.

    Parameters
    ----------
    wanted : mapping or iterable of str
        Their names; in a mapping each with its type, or with what a schema says of a column
        (``{"type": …, "role": …}``), or None for the type that it looks like.
    by, reason : str
        Who does it and why, for the schema's history.

    Raises
    ------
    NotFound
        If no record brought such a field.
    BadInput
        If a name or type cannot be a column's.
    """
    specs = dict(wanted) if isinstance(wanted, Mapping) else dict.fromkeys(wanted)
    if not specs:
        raise BadInput("no column is named; name those to be accepted", code="no_columns")
    seen = {column.name: column for column in new_columns(runtime, model).columns}
    columns = [_column(model.schema, name, spec, seen) for name, spec in specs.items()]
    schema = replace(model.schema, columns=(*model.schema.columns, *columns))
    names = ", ".join(column.name for column in columns)
    why, number = reason or f"new columns accepted: {names}", model.schema_number
    return runtime.put_schema(model.project, model.name, schema, by, why, number=number)


def _column(schema: Schema, name: str, spec: Any, seen: Mapping[str, NewColumn]) -> Column:
    _require_name(schema, name)
    found = seen.get(name)
    if found is None:
        raise NotFound(
            f"no record brought a field {name!r}{Schema(_named(seen)).hint(name)}; the schema "
            "itself can name columns that are still to come",
            code="unknown_column",
        )
    if found.type is None:
        raise BadInput(
            f"column {name!r} holds objects or lists, as {found.example[:60]}; a column has single "
            "values or lists of numbers, so send its parts as fields of their own",
            code="nested_column",
        )
    said = found.type.value if spec is None else spec
    try:
        column = schema_from_json({"columns": {name: said}})[name]
    except SchemaError as error:
        raise SchemaError(f"column {name!r}: {error.message}", code=error.code) from None
    why = _FIXED.get(column.role)
    if why is not None:
        raise BadInput(
            f"column {name!r} cannot have the role {column.role.value!r}: {why}", code="fixed_role"
        )
    return column


def _require_name(schema: Schema, name: str) -> None:
    """Refuse names that are no columns'.

    Raises
    ------
    BadInput
    """
    shown = name[:60]
    if not name.strip():
        raise BadInput("a column needs a name that can be seen", code="bad_column_name")
    if len(name) > _LONGEST:
        raise BadInput(
            f"the name {shown!r}… has more than {_LONGEST} characters; send a shorter one",
            code="bad_column_name",
        )
    if any(unicodedata.category(letter) in _CONTROL for letter in name):
        raise BadInput(
            f"the name {shown!r} holds a character that cannot be seen; send another",
            code="bad_column_name",
        )
    if name.startswith("_") or name in OWN:
        raise BadInput(
            f"the name {shown!r} begins as our own columns do; send another", code="reserved_column"
        )
    if name in schema:
        raise Conflict(f"the schema has a column {shown!r} already", code="known_column")
    twin = next((one for one in schema.names if one.lower() == name.lower()), None)
    if twin is not None:
        raise BadInput(
            f"the name {shown!r} differs from that of column {twin!r} in case only; send one of "
            "them under both",
            code="duplicate_column",
        )


def _named(names: Iterable[str]) -> tuple[Column, ...]:
    return tuple(Column(name, ColumnType.TEXT) for name in names)


def _counted(runtime: Runtime, model: Model, patience: float = 0.0) -> Counted:
    """Count what came since the last count, and return all that was counted.

    Parameters
    ----------
    patience : float
        A count that was made so many seconds ago will do.
    """
    version = runtime.lake.table_version(model.project, model.name, "records")
    held = runtime.new_fields.get(model.id)
    if held is not None and (held[0] == version or time.monotonic() - held[1] < patience):
        return held[2]
    book = runtime.catalog.new_fields
    for _ in range(_TRIES):
        counted, now = book.get(model.id), datetime.now(UTC)
        names = model.project, model.name
        found, upto = count_extras(runtime.engine, *names, counted.counted, counted.at)
        if upto == counted.counted:
            break
        fields, left_out = _merged(counted, found)
        if book.save(model.id, Counted(counted.turn, now, upto, fields, left_out)):
            counted = book.get(model.id)
            break
    runtime.new_fields[model.id] = version, time.monotonic(), counted
    return counted


def _merged(counted: Counted, found: Iterable[Found]) -> tuple[dict[str, dict[str, Any]], int]:
    fields = {name: dict(told) for name, told in counted.fields.items()}
    left_out = counted.left_out
    for one in found:
        if one.name not in fields and (
            len(fields) >= KEPT or not one.name or len(one.name) > _LONGEST
        ):
            left_out += one.rows
            continue
        first, last = one.first_seen.isoformat(), one.last_seen.isoformat()
        before = fields.setdefault(
            one.name,
            {"kinds": {}, "first_seen": first, "last_seen": last, "example": one.example},
        )
        before["kinds"] = {
            **before["kinds"],
            one.kind: before["kinds"].get(one.kind, 0) + one.rows,
        }
        if last >= before["last_seen"]:
            before["last_seen"], before["example"] = last, one.example
        before["first_seen"] = min(first, before["first_seen"])
    return fields, left_out


def _shown(name: str, told: Mapping[str, Any]) -> NewColumn:
    kinds = frozenset(told["kinds"])
    guess = next((guess for held, guess in _GUESSES if kinds <= held), None)
    return NewColumn(
        name,
        guess,
        sum(told["kinds"].values()),
        datetime.fromisoformat(told["first_seen"]),
        datetime.fromisoformat(told["last_seen"]),
        told["example"],
    )
