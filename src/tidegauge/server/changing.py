"""A schema takes the place of another: what may change, what was stored before, what is told."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tidegauge.errors import Conflict
from tidegauge.ingest import label_column
from tidegauge.lake.names import TableKind
from tidegauge.lake.tables import Lake
from tidegauge.lake.widening import widen
from tidegauge.schema import Column, Schema, arrow_type
from tidegauge.server.known import Model, require_storable

if TYPE_CHECKING:
    from tidegauge.server.runtime import Runtime

_WORDS = {"bool": "boolean", "double": "numeric", "string": "categorical or text"}
_WIDER = {("bool", "double"), ("bool", "string"), ("double", "string")}

_Types = dict[TableKind, dict[str, pa.DataType]]


def widenings(lake: Lake, model: Model, schema: Schema) -> _Types:
    """Return by table the columns whose stored type has to become wider, and the wider type.

    A type may change from boolean to numeric, and from either to categorical or text; categorical
    and text are stored alike.

    Raises
    ------
    Conflict
        ``type_changed``: a type that is stored would become another, or narrower.
        ``duplicate_column``: a name differs from a stored one in case only.
    """
    label = label_column(schema)
    wanted: dict[TableKind, dict[str, Column]] = {
        "records": {column.name: column for column in schema},
        "labels": {"label": replace(label, name="label")},
    }
    found: _Types = {}
    for kind, columns in wanted.items():
        stored = lake.columns(model.project, model.name, kind)
        names = {name.lower(): name for name in stored.names}
        for name, column in columns.items():
            same = names.get(name.lower())
            if same is None:
                continue
            if same != name:
                raise Conflict(
                    f"column {name!r}: records are stored with a column {same!r}, whose name "
                    "differs in case only; keep that name",
                    code="duplicate_column",
                )
            held, type_ = _plain(stored.field(name).type), arrow_type(column)
            if held == type_ or (pa.types.is_timestamp(held) and pa.types.is_timestamp(type_)):
                continue
            if (str(held), str(type_)) not in _WIDER:
                raise Conflict(
                    f"column {name!r} is stored as {_word(held)} and would become {column.type}; "
                    "a type can only get wider: boolean to numeric, and either of them to "
                    "categorical or text. Keep its type, or send its values under another name",
                    code="type_changed",
                )
            found.setdefault(kind, {})[name] = type_
    return found


def prepare(runtime: Runtime, model: Model, schema: Schema) -> None:
    """Store what was stored before in the types of a schema that takes the place of another.

    Raises
    ------
    SchemaError, SchemaMismatch
        If the lake could not store records of the schema.
    Conflict
        As `widenings`; nothing is changed then.
    """
    require_storable(schema)
    for kind, types in widenings(runtime.lake, model, schema).items():
        widen(runtime.lake, model.project, model.name, kind, types)


def in_types_of(schema: Schema, older: Schema) -> Schema:
    """Return a schema with the types that its columns have in another.

    A baseline is laid out in the types of its time. Until there is a new one, records are
    profiled in these; what has no value in them counts as missing.

    Examples
    --------
    >>> from tidegauge.schema import ColumnType
    >>> now = Schema((Column("plan", ColumnType.TEXT), Column("age", ColumnType.NUMERIC)))
    >>> then = Schema((Column("plan", ColumnType.NUMERIC),))
    >>> [column.type.value for column in in_types_of(now, then)]
    ['numeric', 'numeric']
    """
    columns = tuple(
        replace(column, type=older[column.name].type) if column.name in older else column
        for column in schema
    )
    return schema if columns == schema.columns else replace(schema, columns=columns)


def outdated(schema: Schema, older: Schema) -> tuple[str, ...]:
    """Return the columns that are stored in another type than a baseline's schema has.

    Examples
    --------
    >>> from tidegauge.schema import ColumnType
    >>> now = Schema((Column("plan", ColumnType.TEXT),))
    >>> outdated(now, Schema((Column("plan", ColumnType.BOOLEAN),)))
    ('plan',)
    """
    return tuple(
        column.name
        for column in schema
        if column.name in older and arrow_type(column) != arrow_type(older[column.name])
    )


@dataclass(frozen=True)
class Change:
    """One thing in which a schema differs from the one before.

    Parameters
    ----------
    what : {"added", "removed", "changed"}
    subject : str
        A column's name; of what is set for the schema as a whole ``task``, ``segments``,
        ``positive`` or ``timezone``.
    before, after : dict or None
        What it was and is, as far as that differs; for added and removed columns all of it.
    """

    what: str
    subject: str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None

    @property
    def words(self) -> str:
        """The change in words.

        Examples
        --------
        >>> Change("changed", "plan", {"type": "numeric"}, {"type": "text"}).words
        'plan: type numeric → text'
        >>> Change("added", "plan", None, {"type": "text", "role": "tag"}).words
        'plan added: text, tag'
        """
        if self.what == "added":
            return f"{self.subject} added: {', '.join(map(_said, (self.after or {}).values()))}"
        if self.what == "removed":
            return f"{self.subject} removed"
        before, after = self.before or {}, self.after or {}
        parts = [f"{key} {_said(before.get(key))} → {_said(after[key])}" for key in after]
        return f"{self.subject}: {', '.join(parts)}"


def changes(before: Schema | None, after: Schema) -> list[Change]:
    """Return in what a schema differs from the one before; a first one in nothing.

    Examples
    --------
    >>> from tidegauge.schema import ColumnType
    >>> one = Schema((Column("plan", ColumnType.NUMERIC),))
    >>> two = Schema((Column("plan", ColumnType.TEXT), Column("age", ColumnType.NUMERIC)))
    >>> [change.words for change in changes(one, two)]
    ['plan: type numeric → text', 'age added: numeric, feature']
    """
    if before is None:
        return []
    found = []
    for column in before:
        if column.name not in after:
            found.append(Change("removed", column.name, _shown(column)))
            continue
        old, new = _shown(column, whole=True), _shown(after[column.name], whole=True)
        differing = [key for key in new if old[key] != new[key]]
        if differing:
            parts = [{key: side[key] for key in differing} for side in (old, new)]
            found.append(Change("changed", column.name, *parts))
    found += [
        Change("added", column.name, None, _shown(column))
        for column in after
        if column.name not in before
    ]
    for name in ("task", "segments", "positive", "timezone"):
        pair = tuple(_whole(schema, name) for schema in (before, after))
        if pair[0] != pair[1]:
            found.append(Change("changed", name, *({name: value} for value in pair)))
    return found


def _whole(schema: Schema, name: str) -> Any:
    if name == "segments":
        return [schema.division(one).to_json() for one in schema.segments]
    return _json(getattr(schema, name))


def _shown(column: Column, *, whole: bool = False) -> dict[str, Any]:
    told = {key.rstrip("_"): _json(value) for key, value in asdict(column).items()}
    del told["name"]
    return {key: value for key, value in told.items() if whole or value is not None}


def _json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else None if value is None else value


def _said(value: Any) -> str:
    if isinstance(value, list):
        told = (one if isinstance(one, str) else json.dumps(one) for one in value)
        return ", ".join(told) or "none"
    return "none" if value is None else str(value)


def _word(kind: pa.DataType) -> str:
    return _WORDS.get(str(kind), "datetime" if pa.types.is_timestamp(kind) else str(kind))


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return a type as the schema's words have it: texts and lists may be of a large kind."""
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_list_view(kind):
        return pa.list_(pa.float32())
    return kind
