"""A schema from a document, whatever it is written in; every error names the place.

The syntax lives elsewhere (``yaml.py`` gives YAML nodes with line and column, and plain JSON
values with their path). Here is what may stand where, and what it means.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from zoneinfo import available_timezones

from tidegauge.errors import SchemaError
from tidegauge.schema.divisions import MOST_DIVISIONS, Division, Part
from tidegauge.schema.reading import Kind, Node, did_you_mean, finite, mapping, problem, text, word
from tidegauge.schema.roles import role_by_name
from tidegauge.schema.types import SINGLE_ROLES, Column, ColumnType, Role, Schema, Task

SCHEMA_KEYS = ("model", "task", "positive", "timezone", "segments", "columns")
#: What else a model's document may hold; read in ``monitor/document.py``,
MONITOR_KEYS = ("false_alarms", "monitors")
#: and in ``retention.py``.
RETENTION_KEYS = ("retention",)
COLUMN_KEYS = ("type", "role", "unit", "class", "range")

#: Roles that only columns of one type can have.
NEEDED_TYPE = {
    Role.TIMESTAMP: ColumnType.DATETIME,
    Role.SCORE: ColumnType.NUMERIC,
    Role.LATENCY: ColumnType.NUMERIC,
    Role.WEIGHT: ColumnType.NUMERIC,
}


def read_schema(root: Node, also: tuple[str, ...] = ()) -> Schema:
    """Return the schema that a document describes.

    Parameters
    ----------
    root : Node
    also : tuple of str
        Keys of the same document that are others' to read.

    Raises
    ------
    SchemaError
        Naming the place, what is wrong there, and what may stand there instead.
    """
    if root.kind is Kind.NOTHING:
        raise problem(root, "nothing here; a schema has at least 'columns: {name: {type: …}}'")
    parts = mapping(root, "a schema", SCHEMA_KEYS, also)
    if "columns" not in parts:
        raise problem(root, "no 'columns' in the schema; name them as 'columns: {name: {type: …}}'")
    columns = tuple(_columns(parts["columns"]))
    if "model" in parts:
        text(parts["model"], "model")
    task = parts.get("task")
    divided = _segments(parts["segments"], columns) if "segments" in parts else ()
    return Schema(
        columns,
        task=None if task is None or task.kind is Kind.NOTHING else word(task, Task, "task"),
        segments=tuple(one.name for one in divided),
        divisions=tuple(one for one in divided if not one.plain),
        positive=text(parts["positive"], "positive") if "positive" in parts else "1",
        timezone=_timezone(parts["timezone"]) if "timezone" in parts else "UTC",
    )


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
        return Column(name, word(spec, ColumnType, "type", name), usual_role), name_node
    if spec.kind is Kind.NOTHING and usual_type is not None:
        return Column(name, usual_type, usual_role), name_node
    parts = mapping(spec, f"column {name!r}", COLUMN_KEYS, ("name",), form="{type: …, role: …}")
    if "type" in parts:
        kind = word(parts["type"], ColumnType, "type", name)
    elif usual_type is not None:
        kind = usual_type
    else:
        raise problem(spec, f"column {name!r} has no type; one of {', '.join(ColumnType)}")
    role = word(parts["role"], Role, "role", name) if "role" in parts else usual_role
    low, high = None, None
    if "range" in parts:
        if kind is not ColumnType.NUMERIC:
            raise problem(parts["range"], f"column {name!r} is {kind.value}; only numeric ones "
                          "have a range")  # fmt: skip
        low, high = _range(parts["range"], name)
    unit = text(parts["unit"], f"unit of column {name!r}") if "unit" in parts else None
    class_ = text(parts["class"], f"class of column {name!r}") if "class" in parts else None
    return Column(name, kind, role, unit, class_, low, high), parts.get("role", name_node)


def _segments(node: Node, columns: tuple[Column, ...]) -> tuple[Division, ...]:
    if node.kind is not Kind.LIST:
        raise problem(node, f"'segments' must be a list of columns, not {node.kind.value}")
    known = {column.name: column for column in columns}
    found: dict[str, Division] = {}
    for item in node.items():
        one = _division(item, known)
        same = [held for held in found.values() if set(held.columns) == set(one.columns)]
        if same and not (one.plain and same[0].plain):
            raise problem(item, f"segments {one.name!r} stand twice; keep one", "duplicate_segment")
        found[one.name] = one
        if len(found) > MOST_DIVISIONS:
            raise problem(
                item,
                f"{MOST_DIVISIONS} divisions into segments is the most; leave some out",
                "too_many_segments",
            )
    return tuple(found.values())


def _division(item: Node, known: dict[str, Column]) -> Division:
    """Read a column's name, a column in bins, or a combination of these."""
    inner = list(item.items()) if item.kind is Kind.LIST else [item]
    alone = item.kind is not Kind.LIST
    parts = tuple(_part(one, known, alone=alone) for one in inner)
    try:
        return Division(parts)
    except SchemaError as error:
        raise problem(item, error.message, error.code) from None


def _part(item: Node, known: dict[str, Column], *, alone: bool) -> Part:
    fields: dict[str, Node] = {"column": item}
    if item.kind is Kind.MAPPING:
        form = "{column: age, bins: [18, 30, 50]}"
        fields = mapping(item, "a segment column in bins", ("column", "bins"), form=form)
        if set(fields) != {"column", "bins"}:
            raise problem(item, f"a segment column in bins is written {form}", "bad_segment")
    name = text(fields["column"], "a segment column")
    if name not in known:
        hint = did_you_mean(name, known)
        raise problem(
            fields["column"], f"segment column {name!r} is not in the schema{hint}",
            "unknown_segment",
        )  # fmt: skip
    kind = known[name].type
    if "bins" not in fields:
        if not alone and kind not in (ColumnType.CATEGORICAL, ColumnType.BOOLEAN):
            raise problem(
                item,
                f"column {name!r} is {kind.value}; in a combination give it bins: "
                f"{{column: {name}, bins: [18, 30, 50]}}",
                "bad_segment",
            )
        return Part(name)
    if kind is not ColumnType.NUMERIC:
        raise problem(
            fields["bins"], f"column {name!r} is {kind.value}; only numeric ones have bins",
            "bad_bins",
        )  # fmt: skip
    if fields["bins"].kind is not Kind.LIST or not list(fields["bins"].items()):
        raise problem(
            fields["bins"], f"bins of {name!r} must be a list of numbers that increase", "bad_bins"
        )
    form = f"bins of {name!r} must be numbers"
    edges = tuple(finite(one, form) for one in fields["bins"].items())
    try:
        return Part(name, edges)
    except SchemaError as error:
        raise problem(fields["bins"], error.message, error.code) from None


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _timezone(node: Node) -> str:
    name = text(node, "timezone")
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
    return finite(node, form)
