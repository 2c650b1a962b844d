"""Models as files say them: what a server would have to change, shown first, then done.

A file holds a model's name, its schema, its budget and monitors, for how long it is kept, or some
of these. What it does not
say stays as it is; a second time there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from tidegauge.errors import BadInput
from tidegauge.monitor.document import (
    ModelDocument,
    flow,
    policies_from_json,
    policies_to_json,
)
from tidegauge.monitor.policy import Policies
from tidegauge.remote import RemoteModel
from tidegauge.schema import ColumnType, Schema, dump_schema, schema_from_json, schema_to_json
from tidegauge.schema.retention import Retention, retention_from_json, retention_to_json

if TYPE_CHECKING:
    from rich.console import Console

_IN = " " * 6


@dataclass(frozen=True)
class Line:
    """One line of a plan: ``sign`` is ``+``, ``-``, or a space for what is only said."""

    sign: str
    text: str


@dataclass(frozen=True)
class Change:
    """One thing to do on a server.

    Parameters
    ----------
    model : str
    title : str
        What is done, such as ``"create"``.
    lines : tuple of Line
    schema : Schema or None
        To be set.
    policies : Policies or None
        To be set.
    retention : Retention or None
        To be set.
    """

    model: str
    title: str
    lines: tuple[Line, ...]
    schema: Schema | None = None
    policies: Policies | None = None
    retention: Retention | None = None


def read(paths: Iterable[Path]) -> list[ModelDocument]:
    """Read files, each about one model.

    Raises
    ------
    BadInput
        If one cannot be read, names no model, or two are about the same.
    """
    documents = [ModelDocument.load(path) for path in paths]
    sources: dict[str, str] = {}
    for one in documents:
        if not one.model:
            raise BadInput(f"{one.source}: no 'model'; name the model that it is about")
        if one.model in sources:
            raise BadInput(
                f"{one.source} and {sources[one.model]} are both about {one.model!r}; put them "
                "into one file",
                code="same_model",
            )
        sources[one.model] = one.source
    return documents


def plan(document: ModelDocument, remote: RemoteModel) -> list[Change]:
    """Return what has to be changed on a server so that it is as a file says.

    Raises
    ------
    BadInput
        If the file is wrong, or has no schema for a model that is not there.
    """
    name = document.model or ""
    wanted = document.schema
    told = remote.find("schema")
    held = None if told is None else schema_from_json(told)
    policies = document.policies(wanted or held)
    changes = []
    if held is None:
        if wanted is None:
            raise BadInput(
                f"{document.source}: there is no model {name!r} yet, and the file has no "
                "'columns' to make it with; `tidegauge schema` infers them from records",
                code="unknown_model",
            )
        changes.append(Change(name, "create", tuple(_columns(wanted)), schema=wanted))
    elif wanted is not None and wanted != held:
        note = Line(" ", "counts in the metrics once a new baseline is set")
        lines = (*_differences(_schema_lines(held), _schema_lines(wanted)), note)
        changes.append(Change(name, "change the schema", lines, schema=wanted))
    if policies is not None:
        now = Policies()
        if held is not None:
            now = policies_from_json(remote.find("monitors") or {}, trusted=True)
        if policies != now:
            lines = tuple(_differences(_monitor_lines(now), _monitor_lines(policies)))
            changes.append(Change(name, "change the monitors", lines, policies=policies))
    kept = document.retention
    if kept is not None:
        told = {} if held is None else remote.find("retention") or {}
        before = Retention() if held is None else retention_from_json(_own(told))
        if kept != before:
            lines = tuple(_differences(_retention_lines(before), _retention_lines(kept)))
            changes.append(Change(name, "change the retention", lines, retention=kept))
    return changes


def carry_out(changes: Iterable[Change], remote: RemoteModel) -> list[str]:
    """Do what was planned for one model; return what the server warns of.

    Raises
    ------
    BadInput
        If the server refuses it.
    """
    warnings: list[str] = []
    for change in changes:
        if change.schema is not None:
            remote.put_schema(dump_schema(change.schema))
        if change.policies is not None:
            remote.put_monitors(policies_to_json(change.policies))
        if change.retention is not None:
            warnings += remote.put_retention(retention_to_json(change.retention))
    return warnings


def show(changes: Sequence[Change], console: Console) -> None:
    """Print a plan; lines that are too long go on further in."""
    from rich.text import Text

    styles = {"+": "green", "-": "red", " ": "dim"}
    for change in changes:
        console.print(Text.assemble((change.model, "bold"), f": {change.title}"))
        for line in change.lines:
            parts = wrap(
                line.text, console.width, initial_indent=f"  {line.sign} ", subsequent_indent=_IN
            )
            for part in parts:
                console.print(Text(part, styles[line.sign]), soft_wrap=True)


def _columns(schema: Schema) -> Iterator[Line]:
    """Say what a new model is, its columns by type."""
    if schema.task is not None:
        yield Line("+", f"task: {schema.task.value}")
    if schema.segments:
        yield Line("+", f"segments: {', '.join(schema.segments)}")
    for kind in ColumnType:
        names = [column.name for column in schema if column.type is kind]
        if names:
            yield Line("+", f"{len(names)} {kind.value}: {', '.join(names)}")


def _schema_lines(schema: Schema) -> list[str]:
    told = schema_to_json(schema)
    lines = [f"{key}: {flow(told[key])}" for key in ("task", "positive", "timezone") if told[key]]
    if schema.segments:
        lines.append(f"segments: {flow(told['segments'])}")
    return lines + [_column_line(dict(column)) for column in told["columns"]]


def _column_line(column: dict[str, Any]) -> str:
    name = column.pop("name")
    if "range" in column:
        column["range"] = ["null" if end is None else end for end in column["range"]]
    return f"{name}: {flow(column)}"


def _monitor_lines(policies: Policies) -> list[str]:
    told = policies_to_json(policies)
    return [
        f"false_alarms: {flow(told['false_alarms'])}",
        *(flow(one) for one in told["monitors"]),
    ]


def _own(told: dict[str, Any]) -> dict[str, Any]:
    return {name: told.get(name) for name in ("records", "profiles")}


def _retention_lines(retention: Retention) -> list[str]:
    told = retention_to_json(retention)
    return [f"{name}: kept {span or 'for ever'}" for name, span in told.items()]


def _differences(before: Sequence[str], after: Sequence[str]) -> Iterator[Line]:
    """Return the lines that go and come, in order."""
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag != "equal":
            yield from (Line("-", text) for text in before[a:b])
            yield from (Line("+", text) for text in after[c:d])
