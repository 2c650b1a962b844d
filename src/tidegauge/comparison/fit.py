"""Do two sources fit each other, and a schema? What does not is said before any work is done."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tidegauge.engine.source import Source, head
from tidegauge.errors import BadInput, EmptyInput, SchemaMismatch
from tidegauge.monitor.document import (
    ModelDocument,
    load_policies,
    policies_from_json,
    policies_to_json,
)
from tidegauge.monitor.policy import Policies
from tidegauge.profile.values import numbers
from tidegauge.schema import ColumnType, Division, Part, Role, Schema, infer_schema, load_schema
from tidegauge.schema.divisions import MOST_DIVISIONS, division_of

#: What to divide by: a column's name, a list of names, ``{"column": …, "bins": […]}``, or texts as
#: ``carrier+origin`` and ``age:18,30``.
Segments = Iterable[Any]
_SEEN = 20_000
_OPTIONAL = frozenset({Role.LABEL, Role.OUTCOME, Role.WEIGHT, Role.TAG, Role.TRACE_ID})
#: Of these a report says that they are not there yet; the other optional ones are left out.
_AWAITED = frozenset({Role.LABEL, Role.OUTCOME})


def schema_of(
    given: Schema | str | os.PathLike[str] | None,
    source: Source,
    segments: Iterable[str | Division] = (),
) -> Schema:
    """Return the schema that was given, or what the source's first rows suggest.

    Raises
    ------
    BadInput
        If a column to segment by has too many values to be one.
    """
    divisions = [one if isinstance(one, Division) else Division((Part(one),)) for one in segments]
    if isinstance(given, Schema):
        known = given
    elif given is not None:
        known = load_schema(Path(given))
    else:
        table = head(source, _SEEN)
        if len(table) == 0:
            raise EmptyInput(f"{source.name} has no rows; a reference needs some")
        known = infer_schema(table, segments=_told_apart(divisions))
        known = replace(known, segments=(), divisions=())
    known = known.with_segments(divisions)
    for part in (part for one in known.divisions for part in one.parts):
        if part.bins and known[part.column].type is not ColumnType.NUMERIC:
            raise BadInput(
                f"column {part.column!r} is {known[part.column].type.value}; only numeric ones "
                "have bins",
                code="bad_segment",
            )
    for name in _told_apart(known.division(one) for one in known.segments):
        if known[name].type not in (ColumnType.CATEGORICAL, ColumnType.BOOLEAN):
            raise BadInput(
                f"column {name!r} is {known[name].type.value}, and segments are made of the values "
                "of a categorical column; give a numeric one bins, as "
                f"{name}:10,20, or call it categorical in a schema",
                code="bad_segment",
            )
    return known


def policies_of(
    given: Policies | str | os.PathLike[str] | None,
    document: Schema | str | os.PathLike[str] | None,
    schema: Schema,
) -> Policies:
    """Return the budget and monitors that were given, or those of the schema's file.

    Raises
    ------
    MonitorError
        If a monitor names what the schema does not have.
    """
    if isinstance(given, Policies):
        return policies_from_json(policies_to_json(given), schema)
    if given is not None:
        if not isinstance(given, str | os.PathLike):
            raise BadInput(
                f"monitors: a {type(given).__name__} holds none; give tg.Policies(…) or the path "
                "of a file"
            )
        return load_policies(Path(given), schema)
    if document is None or isinstance(document, Schema):
        return Policies()
    return ModelDocument.load(Path(document)).policies(schema) or Policies()


def _told_apart(divisions: Iterable[Division]) -> tuple[str, ...]:
    """Names of the columns whose values are told apart as they are."""
    parts = (part for one in divisions for part in one.parts if not part.bins)
    return tuple(dict.fromkeys(part.column for part in parts))


def divided_by(segments: Segments, source: Source) -> list[Division]:
    """Return what to divide by, of columns that the source has.

    Raises
    ------
    BadInput
        If a column is not there, or something is nothing to divide by.
    """
    names = source.arrow_schema().names
    given = [segments] if isinstance(segments, str | Mapping) else list(segments)
    wanted = [division_of(one, names) for one in given]
    if len(wanted) > MOST_DIVISIONS:
        raise BadInput(
            f"{len(wanted)} divisions into segments; {MOST_DIVISIONS} is the most",
            code="too_many_segments",
        )
    checked_segments([name for one in wanted for name in one.columns], source)
    return wanted


def checked_segments(segments: Iterable[str], source: Source) -> list[str]:
    """Return the segment columns, all of which the source has."""
    names = source.arrow_schema().names
    wanted = [segments] if isinstance(segments, str) else list(segments)
    for name in wanted:
        if name not in names:
            close = get_close_matches(name, names, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise BadInput(
                f"{source.name} has no column {name!r} to segment by{hint}", code="unknown_segment"
            )
    return wanted


def fit(schema: Schema, first: Source, second: Source) -> tuple[Schema, list[str]]:
    """Reduce the schema to what both sides have, or say what does not fit."""
    here, there = set(first.arrow_schema().names), set(second.arrow_schema().names)
    if not here & there:
        raise SchemaMismatch(
            f"{first.name} and {second.name} have no column in common "
            f"({_some(here)} / {_some(there)})",
            code="no_common_columns",
        )
    notes: list[str] = []
    dropped: set[str] = set()
    for column in schema:
        for source, held in ((first, here), (second, there)):
            if column.name in held:
                continue
            if column.role in _OPTIONAL:
                if column.role not in _AWAITED:
                    dropped.add(column.name)
                notes.append(f"{source.name} has no {column.name!r} ({column.role.value})")
                continue
            raise SchemaMismatch(
                f"{source.name} has no column {column.name!r}"
                + _closest(column.name, held - set(schema.names))
                + "; add it, or leave it out with a schema",
                code="missing_column",
            )
    extra = sorted(there - set(schema.names))
    if extra:
        notes.append(f"{second.name} has columns that are not compared: {_some(extra)}")
    for source in (first, second):
        _refuse_numbers_as_times(schema, source)
    _refuse_texts_as_numbers(schema, second)
    kept = schema.select(name for name in schema.names if name not in dropped)
    return kept, notes


def _closest(name: str, names: Iterable[str]) -> str:
    close = get_close_matches(name, list(names), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    more = f", … {len(listed) - 3} more" if len(listed) > 3 else ""
    return ", ".join(repr(name) for name in listed[:3]) + more


def _refuse_numbers_as_times(schema: Schema, source: Source) -> None:
    """Refuse plain numbers where times should be: nothing tells seconds from milliseconds."""
    held = source.arrow_schema()
    for column in schema:
        if column.type is ColumnType.DATETIME and column.name in held.names:
            kind = held.field(column.name).type
            if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
                raise SchemaMismatch(
                    f"{source.name}: column {column.name!r} should be datetime but holds numbers "
                    f"({kind}), whose unit nothing tells; convert them to timestamps, or change "
                    "its type in the schema",
                    code="type_mismatch",
                )


def _refuse_texts_as_numbers(schema: Schema, source: Source) -> None:
    """Refuse a numeric column that holds no number at all."""
    held = source.arrow_schema()
    doubtful = [
        column
        for column in schema
        if column.name in held.names
        and column.type is ColumnType.NUMERIC
        and not _could_be_number(held.field(column.name).type)
    ]
    if not doubtful:
        return
    table = head(source, _SEEN)
    for column in doubtful:
        values = table[column.name].combine_chunks()
        parsed, errors = numbers(values)
        if len(errors) and not np.isfinite(parsed).any():
            example = values[int(errors[0])].as_py()
            raise SchemaMismatch(
                f"{source.name}: column {column.name!r} should be numeric but holds "
                f"{example!r} (row {int(errors[0]) + 1}); convert it, or change its type in the "
                "schema",
                code="type_mismatch",
            )


def _could_be_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_null(kind)
    )


def naive_times(schema: Schema, *sources: Source) -> list[str]:
    """Say which sources' times carry no zone."""
    column = schema.role(Role.TIMESTAMP)
    notes = []
    for source in sources:
        held = source.arrow_schema()
        if column is None or column.name not in held.names:
            continue
        kind = held.field(column.name).type
        if pa.types.is_timestamp(kind) and kind.tz is None:
            notes.append(f"{source.name}: {column.name!r} has no zone, read as {schema.timezone}")
    return notes
