"""Schemas as YAML for people, and as plain JSON values for the catalog and HTTP.

What a document may say is in ``document.py``; here are the two syntaxes and the places in them.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegauge.errors import SchemaError, UnreadableSource
from tidegauge.schema.document import MONITOR_KEYS, RETENTION_KEYS, read_schema
from tidegauge.schema.reading import Kind, Node, problem
from tidegauge.schema.types import Column, ColumnType, Role, Schema

_HEADER = f"""\
The columns of a model's records: what their values are, and what they are for.

type: {", ".join(ColumnType)}
role: {", ".join(Role)}
Also, where it helps: unit: "°F", class: A (of a score_A), range: [0, 120] or [0, null].
Roles for several columns: feature, intermediate, score, segment, outcome, tag; the others for one.
task is binary, multiclass or regression; positive is the label that counts as such.
segments lists the columns by which everything is divided as well; [carrier, origin] in it is a
  combination, {{column: age, bins: [18, 30, 50]}} numbers in bins.
"""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[ ./-][A-Za-z0-9_]+)*")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})
#: YAML takes no longer keys without a question mark before them.
_LONGEST_KEY = 900


def load_schema(path: str | Path) -> Schema:
    """Read a schema from a YAML file, which may hold the model's monitors too.

    Raises
    ------
    UnreadableSource
        If the file cannot be read or is not UTF-8.
    SchemaError
        If what it says is wrong; the message names file, line and column.
    """
    return loads_schema(read_text(path), source=str(path), also=(*MONITOR_KEYS, *RETENTION_KEYS))


def loads_schema(text: str, source: str = "schema.yaml", also: tuple[str, ...] = ()) -> Schema:
    """Read a schema from YAML text.

    Parameters
    ----------
    text : str
    source : str
        What errors call the text.
    also : tuple of str
        Keys that are others' to read.

    Raises
    ------
    SchemaError
        If the YAML or what it says is wrong; the message names source, line and column.

    Examples
    --------
    >>> loads_schema("columns: {age: {type: numeric, unit: years}}")["age"].unit
    'years'
    >>> loads_schema("columns: {age: {type: numerc}}")
    Traceback (most recent call last):
    tidegauge.errors.SchemaError: schema.yaml:1:23: unknown type 'numerc' for column 'age' (did you
    mean 'numeric'?); one of numeric, categorical, boolean, datetime, text, embedding
    """
    root = yaml_node(text, source)
    if root is None:
        raise SchemaError(f"{source}:1:1: nothing here; a schema has at least 'columns'")
    return read_schema(root, also)


def read_text(path: str | Path) -> str:
    """Return what a file says.

    Raises
    ------
    UnreadableSource
        If it cannot be read or is not UTF-8.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableSource(
            f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8"
        ) from None
    except OSError as error:
        raise UnreadableSource(f"{path}: cannot be read: {error.strerror or error}") from None


def yaml_node(text: str, source: str) -> Node | None:
    """Return a YAML document, read no deeper than it is asked; None where there is nothing.

    Raises
    ------
    SchemaError
        If it is no YAML; the message names source, line and column.
    """
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        said = error.problem or error.context or "it cannot be read"
        raise SchemaError(f"{source}{place}: not valid YAML: {said}", code="bad_yaml") from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise SchemaError(
            f"{source}:{line}:{column}: not valid YAML: character {_as_character(error)!r} is not "
            "allowed",
            code="bad_yaml",
        ) from None
    except (ValueError, OverflowError, RecursionError):
        raise SchemaError(
            f"{source}: not valid YAML: nested too deeply, or an escape that is no character",
            code="bad_yaml",
        ) from None
    return None if root is None else _YamlNode(root, source)


def json_node(data: object, source: str) -> Node:
    """Return plain JSON values as a document, whose places are paths."""
    return _JsonNode(data, source)


def dump_schema(schema: Schema) -> str:
    """Write a schema as YAML to be edited by hand; reading it gives the same schema again.

    Examples
    --------
    >>> from tidegauge.schema import Task
    >>> schema = Schema((Column("age", ColumnType.NUMERIC, minimum=0),), Task.BINARY)
    >>> for line in dump_schema(schema).splitlines()[-4:]:
    ...     print(line)
    task: binary
    positive: "1"
    columns:
      age: {type: numeric, role: feature, range: [0, null]}
    """
    lines = [
        f"# {line}".rstrip()
        for paragraph in _HEADER.splitlines()
        for line in textwrap.wrap(paragraph, 96, subsequent_indent="  ") or [""]
    ]
    if schema.task is not None:
        lines.append(f"task: {schema.task.value}")
    if schema.task is not None or schema.positive != "1":
        lines.append(f"positive: {scalar(schema.positive)}")
    if schema.timezone != "UTC":
        lines.append(f"timezone: {scalar(schema.timezone)}")
    if schema.segments:
        told = (_flow(schema.division(name).to_json()) for name in schema.segments)
        lines.append(f"segments: [{', '.join(told)}]")
    lines.append("columns:" if schema.columns else "columns: {}")
    for column in schema:
        parts = ", ".join(f"{key}: {value}" for key, value in _yaml_parts(column))
        key = scalar(column.name)
        mark = "\n  :" if len(key) > _LONGEST_KEY else ":"
        lines.append(f"  {'? ' if len(key) > _LONGEST_KEY else ''}{key}{mark} {{{parts}}}")
    return "\n".join(lines) + "\n"


def schema_to_json(schema: Schema) -> dict[str, Any]:
    """Return a schema as plain JSON values, columns as a list in their order.

    Examples
    --------
    >>> schema_to_json(Schema((Column("age", ColumnType.NUMERIC, unit="years"),)))
    {'task': None, 'positive': '1', 'timezone': 'UTC', 'segments': [],
     'columns': [{'name': 'age', 'type': 'numeric', 'role': 'feature', 'unit': 'years'}]}
    """
    return {
        "task": schema.task.value if schema.task is not None else None,
        "positive": schema.positive,
        "timezone": schema.timezone,
        "segments": [schema.division(name).to_json() for name in schema.segments],
        "columns": [{"name": column.name, **_json_parts(column)} for column in schema],
    }


def schema_from_json(data: object, source: str = "schema") -> Schema:
    """Return the schema that JSON values describe, as `schema_to_json` gives them.

    Columns may be a list of objects with a name, or an object of name to description.

    Raises
    ------
    SchemaError
        The message names the place as a path.

    Examples
    --------
    >>> schema_from_json({"columns": {"age": {"type": "numeric"}}}).names
    ('age',)
    >>> schema_from_json({"columns": [{"name": "age", "type": 7}]})
    Traceback (most recent call last):
    tidegauge.errors.SchemaError: schema.columns[0].type: unknown type '7' for column 'age'; one of
    numeric, categorical, boolean, datetime, text, embedding
    """
    return read_schema(json_node(data, source))


def _as_character(error: Any) -> str:
    return error.character if isinstance(error.character, str) else chr(error.character)


def _json_parts(column: Column) -> dict[str, Any]:
    parts: dict[str, Any] = {"type": column.type.value, "role": column.role.value}
    if column.unit is not None:
        parts["unit"] = column.unit
    if column.class_ is not None:
        parts["class"] = column.class_
    bounds = [_finite(column.minimum), _finite(column.maximum)]
    if bounds != [None, None]:
        parts["range"] = bounds
    return parts


def _finite(bound: float | None) -> float | None:
    """Return a bound that says something: none is the same as an infinite one."""
    return bound if bound is not None and math.isfinite(bound) else None


def _yaml_parts(column: Column) -> Iterator[tuple[str, str]]:
    for key, value in _json_parts(column).items():
        if key == "range":
            yield key, f"[{', '.join(map(_number, value))}]"
        else:
            yield key, scalar(value)


def _flow(told: Any) -> str:
    """Write a segment on one line."""
    if isinstance(told, list):
        return f"[{', '.join(map(_flow, told))}]"
    if isinstance(told, dict):
        edges = ", ".join(map(_number, told["bins"]))
        return f"{{column: {scalar(told['column'])}, bins: [{edges}]}}"
    return scalar(told)


def _number(bound: float | None) -> str:
    if bound is None:
        return "null"
    whole = float(bound).is_integer() and abs(bound) < 1e15
    return str(int(bound)) if whole else repr(float(bound))


def scalar(text: str) -> str:
    """Write text plainly where no reader of YAML could take it for anything else.

    Examples
    --------
    >>> scalar("age"), scalar("fare_*")
    ('age', '"fare_*"')
    """
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS and len(text) < _LONGEST_KEY:
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    code = ord(character)
    return (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    )


@dataclass(frozen=True)
class _YamlNode:
    """A node of PyYAML, read no deeper than it is asked."""

    node: Any
    source: str

    @property
    def where(self) -> str:
        mark = self.node.start_mark
        return f"{self.source}:{mark.line + 1}:{mark.column + 1}"

    @property
    def kind(self) -> Kind:
        if self.node.id == "sequence":
            return Kind.LIST
        if self.node.id == "mapping":
            return Kind.MAPPING
        names = {"null": Kind.NOTHING, "int": Kind.NUMBER, "float": Kind.NUMBER}
        return names.get(self.node.tag.rpartition(":")[2], Kind.TEXT)

    @property
    def text(self) -> str:
        text = str(self.node.value)
        truth = self.node.tag.endswith(":bool") and text.lower() in ("true", "false")
        return text.lower() if truth else text

    def items(self) -> Iterator[Node]:
        for node in self.node.value:
            yield _YamlNode(node, self.source)

    def pairs(self) -> Iterator[tuple[Node, Node]]:
        for key, value in self.node.value:
            place = _YamlNode(key, self.source)
            if key.tag.endswith(":merge"):
                raise problem(place, "'<<' is not read here; write the keys out")
            yield place, _YamlNode(value, self.source)


@dataclass(frozen=True)
class _JsonNode:
    """A plain value with its path."""

    value: object
    where: str

    @property
    def kind(self) -> Kind:
        if self.value is None:
            return Kind.NOTHING
        if isinstance(self.value, bool):
            return Kind.BOOLEAN
        if isinstance(self.value, int | float):
            return Kind.NUMBER
        if isinstance(self.value, Mapping):
            return Kind.MAPPING
        return Kind.LIST if isinstance(self.value, list | tuple) else Kind.TEXT

    @property
    def text(self) -> str:
        return str(self.value).lower() if isinstance(self.value, bool) else str(self.value)

    def items(self) -> Iterator[Node]:
        assert isinstance(self.value, list | tuple)
        for index, value in enumerate(self.value):
            yield _JsonNode(value, f"{self.where}[{index}]")

    def pairs(self) -> Iterator[tuple[Node, Node]]:
        assert isinstance(self.value, Mapping)
        for key, value in self.value.items():
            yield _JsonNode(key, self.where), _JsonNode(value, f"{self.where}.{key}")
