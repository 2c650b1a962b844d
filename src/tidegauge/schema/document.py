"""A schema from a document, whatever it is written in; every error names the place.

The syntax lives elsewhere (``yaml.py`` gives YAML nodes with line and column, and plain JSON
values with their path). Here is what may stand where, and what it means.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from enum import StrEnum
from functools import cache
from typing import Protocol, TypeVar
from zoneinfo import available_timezones

from tidegauge.errors import SchemaError
from tidegauge.schema.roles import role_by_name
from tidegauge.schema.types import SINGLE_ROLES, Column, ColumnType, Role, Schema, Task

SCHEMA_KEYS = ("model", "task", "positive", "timezone", "segments", "columns")
COLUMN_KEYS = ("type", "role", "unit", "class", "range")

#: Roles that only columns of one type can have.
NEEDED_TYPE = {
    Role.TIMESTAMP: ColumnType.DATETIME,
    Role.SCORE: ColumnType.NUMERIC,
    Role.LATENCY: ColumnType.NUMERIC,
    Role.WEIGHT: ColumnType.NUMERIC,
}


class Kind(StrEnum):
    """What stands at one place of a document."""

    TEXT = "text"
    NUMBER = "a number"
    BOOLEAN = "true or false"
    NOTHING = "nothing"
    LIST = "a list"
    MAPPING = "a mapping"


class Node(Protocol):
    """One place of a document: what is there, and how to call the place in an error."""

    @property
    def where(self) -> str:
        """The place, as ``schema.yaml:7:12``."""

    @property
    def kind(self) -> Kind:
        """What stands here."""

    @property
    def text(self) -> str:
        """A scalar as text; ``"true"`` and ``"false"`` for truth values."""

    def items(self) -> Iterable[Node]:
        """Return the members of a list."""

    def pairs(self) -> Iterable[tuple[Node, Node]]:
        """Return the keys and values of a mapping."""


Word = TypeVar("Word", bound=StrEnum)


def read_schema(root: Node) -> Schema:
    """Return the schema that a document describes.

    Raises
    ------
    SchemaError
        Naming the place, what is wrong there, and what may stand there instead.
    """
    if root.kind is Kind.NOTHING:
        raise problem(root, "nothing here; a schema has at least 'columns: {name: {type: …}}'")
    parts = _mapping(root, "a schema", SCHEMA_KEYS)
    if "columns" not in parts:
        raise problem(root, "no 'columns' in the schema; name them as 'columns: {name: {type: …}}'")
    columns = tuple(_columns(parts["columns"]))
    if "model" in parts:
        _text(parts["model"], "model")
    task = parts.get("task")
    return Schema(
        columns,
        task=None if task is None or task.kind is Kind.NOTHING else _word(task, Task, "task"),
        segments=_segments(parts["segments"], columns) if "segments" in parts else (),
        positive=_text(parts["positive"], "positive") if "positive" in parts else "1",
        timezone=_timezone(parts["timezone"]) if "timezone" in parts else "UTC",
    )


def problem(node: Node, message: str, code: str | None = None) -> SchemaError:
    """Return the error that something is wrong at a place."""
    return SchemaError(f"{node.where}: {message}", code=code)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean …?)"`` for what is almost a known word, or ``""``.

    Examples
    --------
    >>> did_you_mean("numerc", ["numeric", "text"])
    " (did you mean 'numeric'?)"
    """
    close = get_close_matches(word, [str(name) for name in known], n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _columns(node: Node) -> Iterator[Column]:
    holders: dict[Role, str] = {}
    for name_node, name, spec in _named_columns(node):
        column, role_node = _column(name_node, name, spec)
        needed = NEEDED_TYPE.get(column.role, column.type)
        if column.type is not needed:
            raise problem(
                role_node,
                f"column {name!r} has the role {column.role.value!r} and must be "
                f"{needed.value}, not {column.type.value}",
            )
        if column.role in SINGLE_ROLES:
            if column.role in holders:
                raise problem(
                    role_node,
                    f"columns {holders[column.role]!r} and {name!r} both have the role "
                    f"{column.role.value!r}; give it to one of them",
                    "duplicate_role",
                )
            holders[column.role] = name
        yield column


def _named_columns(node: Node) -> Iterator[tuple[Node, str, Node]]:
    """Yield place, name and description of each column, from a mapping or a list."""
    seen: set[str] = set()
    if node.kind is Kind.LIST:
        pairs = ((_name_of(spec), spec) for spec in node.items())
    elif node.kind is Kind.MAPPING:
        pairs = ((key, value) for key, value in node.pairs())
    else:
        raise problem(node, f"'columns' must be a mapping of name to type, not {node.kind.value}")
    for key, spec in pairs:
        if key.kind in (Kind.LIST, Kind.MAPPING):
            raise problem(key, f"a column's name must be text, not {key.kind.value}")
        if key.text in seen:
            raise problem(key, f"column {key.text!r} stands twice; keep one", "duplicate_column")
        seen.add(key.text)
        yield key, key.text, spec


def _name_of(spec: Node) -> Node:
    if spec.kind is not Kind.MAPPING:
        raise problem(spec, f"a column must be a mapping with a name, not {spec.kind.value}")
    for key, value in spec.pairs():
        if key.text == "name":
            return value
    raise problem(spec, "this column has no 'name'")


def _column(name_node: Node, name: str, spec: Node) -> tuple[Column, Node]:
    """Return a column, and the place that says its role."""
    usual_type, usual_role = role_by_name(name)
    if spec.kind is Kind.TEXT:
        return Column(name, _word(spec, ColumnType, "type", name), usual_role), name_node
    if spec.kind is Kind.NOTHING and usual_type is not None:
        return Column(name, usual_type, usual_role), name_node
    parts = _mapping(spec, f"column {name!r}", COLUMN_KEYS, also="name")
    if "type" in parts:
        kind = _word(parts["type"], ColumnType, "type", name)
    elif usual_type is not None:
        kind = usual_type
    else:
        raise problem(spec, f"column {name!r} has no type; one of {', '.join(ColumnType)}")
    role = _word(parts["role"], Role, "role", name) if "role" in parts else usual_role
    low, high = None, None
    if "range" in parts:
        if kind is not ColumnType.NUMERIC:
            raise problem(parts["range"], f"column {name!r} is {kind.value}; only numeric ones "
                          "have a range")  # fmt: skip
        low, high = _range(parts["range"], name)
    unit = _text(parts["unit"], f"unit of column {name!r}") if "unit" in parts else None
    class_ = _text(parts["class"], f"class of column {name!r}") if "class" in parts else None
    return Column(name, kind, role, unit, class_, low, high), parts.get("role", name_node)


def _mapping(node: Node, what: str, known: tuple[str, ...], also: str = "") -> dict[str, Node]:
    if node.kind is not Kind.MAPPING:
        hint = "; write {type: …, role: …}" if known is COLUMN_KEYS else ""
        raise problem(node, f"{what} must be a mapping, not {node.kind.value}{hint}")
    parts: dict[str, Node] = {}
    for key, value in node.pairs():
        if key.kind in (Kind.LIST, Kind.MAPPING):
            raise problem(key, f"a key of {what} must be text, not {key.kind.value}")
        if key.text in parts:
            raise problem(key, f"{key.text!r} stands twice in {what}; keep one")
        if key.text not in known and key.text != also:
            hint = did_you_mean(key.text, known)
            raise problem(
                key, f"unknown key {key.text!r} in {what}{hint}; one of {', '.join(known)}"
            )
        parts[key.text] = value
    return parts


def _word(node: Node, words: type[Word], what: str, column: str | None = None) -> Word:
    of = f" for column {column!r}" if column is not None else ""
    allowed = ", ".join(words)
    if node.kind in (Kind.LIST, Kind.MAPPING, Kind.NOTHING):
        raise problem(node, f"{what}{of} must be a word, not {node.kind.value}; one of {allowed}")
    try:
        return words(node.text)
    except ValueError:
        hint = did_you_mean(node.text, words)
        raise problem(node, f"unknown {what} {node.text!r}{of}{hint}; one of {allowed}") from None


def _text(node: Node, what: str) -> str:
    if node.kind in (Kind.LIST, Kind.MAPPING, Kind.NOTHING):
        raise problem(node, f"{what} must be text, not {node.kind.value}")
    return node.text


def _segments(node: Node, columns: tuple[Column, ...]) -> tuple[str, ...]:
    if node.kind is not Kind.LIST:
        raise problem(node, f"'segments' must be a list of columns, not {node.kind.value}")
    known = {column.name for column in columns}
    names = []
    for item in node.items():
        name = _text(item, "a segment column")
        if name not in known:
            hint = did_you_mean(name, known)
            raise problem(
                item, f"segment column {name!r} is not in the schema{hint}", "unknown_segment"
            )
        names.append(name)
    return tuple(names)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _timezone(node: Node) -> str:
    name = _text(node, "timezone")
    if name != "UTC" and _zones() and name not in _zones():
        hint = did_you_mean(name, _zones())
        raise problem(node, f"unknown time zone {name!r}{hint}; a name as 'Europe/Vienna'")
    return name


def _range(node: Node, column: str) -> tuple[float | None, float | None]:
    form = f"range of column {column!r} must be [least, greatest], numbers or null"
    if node.kind is not Kind.LIST:
        raise problem(node, f"{form}, not {node.kind.value}")
    ends = list(node.items())
    if len(ends) != 2:
        raise problem(node, f"{form}; here are {len(ends)}")
    low, high = (_bound(end, form) for end in ends)
    if low is not None and high is not None and low > high:
        raise problem(node, f"range of column {column!r} ends before it begins; swap its ends")
    return low, high


def _bound(node: Node, form: str) -> float | None:
    if node.kind is Kind.NOTHING:
        return None
    if node.kind in (Kind.NUMBER, Kind.TEXT):
        try:
            value = float(node.text)
        except ValueError:
            value = math.nan
        if math.isfinite(value):
            return value
        raise problem(node, f"{form}, not {node.text!r}")
    raise problem(node, f"{form}, not {node.kind.value}")
