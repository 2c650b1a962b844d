"""A budget and monitors as people write them: from YAML or JSON, and back; errors name the place.

The same file may hold the model's schema; ``schema/document.py`` reads that. What a monitor names
is held to the metrics there are, and to a schema, so that none watches nothing unnoticed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from tidegauge.errors import MissingExtra, MonitorError, SchemaError
from tidegauge.metrics.registry import Metric, all_metrics
from tidegauge.monitor.policy import Against, FalseAlarms, Monitor, Policies, Threshold, fits
from tidegauge.schema import Column, Schema
from tidegauge.schema.document import MONITOR_KEYS, RETENTION_KEYS, SCHEMA_KEYS, read_schema
from tidegauge.schema.durations import duration_text, read_duration
from tidegauge.schema.reading import Kind, Node, did_you_mean, finite, mapping, problem, text, word
from tidegauge.schema.retention import Retention, read_retention
from tidegauge.schema.yaml import json_node, read_text, scalar, yaml_node

KEYS = ("metric", "columns", "threshold", "weight", "minimum_effect", "severity")
THRESHOLD_KEYS = ("above", "below", "change", "against", "segments")
_FORM = "{metric: …, columns: …, threshold: …}"
#: A span of time; YAML reads it as text without quotes.
_SPAN = re.compile(r"\d+[smhdw]")


class Severity(StrEnum):
    """How grave a monitor's alarms are."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Named(StrEnum):
    """Thresholds that have a name."""

    EVIDENTLY = "evidently"


@dataclass(frozen=True)
class ModelDocument:
    """What one file says of a model: its schema, its budget and monitors, how long it is kept.

    Parameters
    ----------
    root : Node
    source : str
        What errors call the file.
    """

    root: Node
    source: str

    @classmethod
    def load(cls, path: str | Path) -> ModelDocument:
        """Read a YAML file.

        Raises
        ------
        UnreadableSource
            If it cannot be read.
        SchemaError
            If it is no YAML, or holds a key that is none of ours.
        """
        source = str(path)
        root = yaml_node(read_text(path), source)
        if root is None:
            raise SchemaError(f"{source}:1:1: nothing here; name columns, false_alarms or monitors")
        mapping(root, "a model's document", (*SCHEMA_KEYS, *MONITOR_KEYS, *RETENTION_KEYS))
        return cls(root, source)

    @cached_property
    def model(self) -> str | None:
        """Name of the model, where it is said."""
        return next((text(v, "model") for k, v in self.root.pairs() if k.text == "model"), None)

    @cached_property
    def schema(self) -> Schema | None:
        """The model's schema, where columns are said."""
        if any(key.text == "columns" for key, _ in self.root.pairs()):
            return read_schema(self.root, (*MONITOR_KEYS, *RETENTION_KEYS))
        return None

    @cached_property
    def retention(self) -> Retention | None:
        """For how long records and profiles are kept, where that is said.

        Raises
        ------
        SchemaError
            The message names file, line and column.
        """
        return next(
            (read_retention(v) for k, v in self.root.pairs() if k.text in RETENTION_KEYS), None
        )

    def policies(self, schema: Schema | None) -> Policies | None:
        """Return the budget and monitors, held to a schema; None where none is said.

        Raises
        ------
        MonitorError
            The message names file, line and column.
        """
        if any(key.text in MONITOR_KEYS for key, _ in self.root.pairs()):
            return read_policies(self.root, schema, (*SCHEMA_KEYS, *RETENTION_KEYS))
        return None


def load_policies(path: str | Path, schema: Schema | None = None) -> Policies:
    """Read a budget and monitors from a YAML file, which may hold the model's schema too.

    Parameters
    ----------
    path : path
    schema : Schema, optional
        What monitors name must be there, and of a type that their metric is for.

    Raises
    ------
    UnreadableSource
        If the file cannot be read.
    MonitorError
        If what it says is wrong; the message names file, line and column.
    """
    also = (*SCHEMA_KEYS, *RETENTION_KEYS)
    return loads_policies(read_text(path), str(path), schema, also)


def loads_policies(
    content: str,
    source: str = "monitors.yaml",
    schema: Schema | None = None,
    also: tuple[str, ...] = (),
) -> Policies:
    """Read a budget and monitors from YAML text; see `load_policies`.

    Examples
    --------
    >>> loads_policies("monitors: [{metric: psi, columns: age, threshold: {above: 0.2}}]").monitors
    (Monitor(metric='psi', columns=('age',), ... threshold=Threshold(above=0.2, ...
    >>> loads_policies("monitors: [{metric: missing_shar}]")
    Traceback (most recent call last):
    tidegauge.errors.MonitorError: monitors.yaml:1:21: no metric 'missing_shar' (did you mean
    'missing_share'?); docs/metrics.md lists all
    """
    try:
        root = yaml_node(content, source)
    except SchemaError as error:
        raise MonitorError(error.message, code=error.code) from None
    return Policies() if root is None else read_policies(root, schema, also)


def policies_from_json(
    data: object, schema: Schema | None = None, source: str = "monitors", *, trusted: bool = False
) -> Policies:
    """Return the budget and monitors that JSON values describe, as `policies_to_json` gives them.

    Parameters
    ----------
    data : dict
    schema : Schema, optional
        As in `load_policies`.
    source : str
        What errors call the values.
    trusted : bool
        Whether they were read before: names are not looked up again, since metrics and columns
        may have gone.

    Raises
    ------
    MonitorError
        The message names the place as a path.

    Examples
    --------
    >>> policies_from_json({"false_alarms": {"count": 2, "per": "30d"}}).false_alarms.count
    2.0
    """
    return read_policies(json_node(data, source), schema, ("model",), lookup=not trusted)


def policies_to_json(policies: Policies) -> dict[str, Any]:
    """Return a budget and monitors as plain JSON values; what is as by default is left out.

    Examples
    --------
    >>> policies_to_json(Policies(monitors=(Monitor("psi", ("age",), 2.0),)))
    {'false_alarms': {'count': 1, 'per': '30d'},
     'monitors': [{'metric': 'psi', 'columns': ['age'], 'weight': 2}]}
    """
    budget = policies.false_alarms
    return {
        "false_alarms": {"count": _short(budget.count), "per": duration_text(budget.per)},
        "monitors": [_monitor_to_json(one) for one in policies.monitors],
    }


def dump_policies(policies: Policies) -> str:
    """Write a budget and monitors as YAML, a monitor a line; reading it gives the same again.

    Examples
    --------
    >>> print(dump_policies(Policies(monitors=(Monitor("psi", ("fare_*",), weight=2),))), end="")
    false_alarms: {count: 1, per: 30d}
    monitors:
      - {metric: psi, columns: "fare_*", weight: 2}
    """
    told = policies_to_json(policies)
    lines = [f"false_alarms: {flow(told['false_alarms'])}"]
    lines.append("monitors:" if told["monitors"] else "monitors: []")
    lines += [f"  - {flow(one)}" for one in told["monitors"]]
    return "\n".join(lines) + "\n"


def flow(value: Any) -> str:
    """Write plain values as YAML on one line; a list of one as that one.

    Examples
    --------
    >>> flow({"metric": "psi", "columns": ["age"], "threshold": {"above": 0.2}})
    '{metric: psi, columns: age, threshold: {above: 0.2}}'
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return flow(value[0]) if len(value) == 1 else f"[{', '.join(map(flow, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return str(value)
    return value if _SPAN.fullmatch(value) else scalar(value)


def read_policies(
    root: Node, schema: Schema | None, also: tuple[str, ...] = (), *, lookup: bool = True
) -> Policies:
    """Return the budget and monitors that a document describes.

    Parameters
    ----------
    root : Node
    schema : Schema or None
        What monitors name is held to.
    also : tuple of str
        Keys of the same document that are others' to read.
    lookup : bool
        Whether what monitors name is looked up at all.

    Raises
    ------
    MonitorError
        Naming the place, what is wrong there, and what may stand there instead.
    """
    try:
        parts = mapping(root, "a document of monitors", MONITOR_KEYS, also)
        budget = parts.get("false_alarms")
        listed = parts.get("monitors")
        monitors: list[Monitor] = []
        if listed is not None and listed.kind is not Kind.NOTHING:
            if listed.kind is not Kind.LIST:
                raise problem(
                    listed, f"'monitors' must be a list, not {listed.kind.value}; write - {_FORM}"
                )
            monitors = [_monitor(one, schema, lookup) for one in listed.items()]
        return Policies(FalseAlarms() if budget is None else _budget(budget), tuple(monitors))
    except SchemaError as error:
        raise MonitorError(error.message) from None


def _budget(node: Node) -> FalseAlarms:
    usual = FalseAlarms()
    parts = mapping(node, "'false_alarms'", ("count", "per"), form="{count: 1, per: 30d}")
    count, per = usual.count, usual.per
    if "count" in parts:
        count = finite(parts["count"], "'count' must be a number of windows")
        if count <= 0:
            raise problem(
                parts["count"],
                f"'count' must be greater than 0, not {parts['count'].text}; windows with a false "
                "alarm cannot be ruled out, but made rare, such as 0.1",
            )
    if "per" in parts:
        per = _duration(parts["per"])
    return FalseAlarms(count, per)


def _duration(node: Node) -> timedelta:
    span = None if node.kind in (Kind.LIST, Kind.MAPPING) else read_duration(node.text)
    if not span:
        said = repr(node.text) if node.kind in (Kind.TEXT, Kind.NUMBER) else node.kind.value
        raise problem(node, f"'per' must be a span of time such as 30d, 2w or 12h, not {said}")
    return span


def _monitor(node: Node, schema: Schema | None, lookup: bool) -> Monitor:
    parts = mapping(node, "a monitor", KEYS, form=_FORM)
    threshold = _threshold(parts["threshold"]) if "threshold" in parts else None
    metric = _metric(node, parts, threshold)
    columns = _columns(parts["columns"]) if "columns" in parts else []
    if threshold is not None:
        for key in ("weight", "minimum_effect"):
            if key in parts:
                raise problem(
                    parts[key],
                    f"{key!r} is about the budget, and a threshold takes its place; leave one out",
                )
    made = Monitor(
        metric,
        tuple(one.text for one in columns),
        _at_least_0(parts["weight"], "weight") if "weight" in parts else 1.0,
        _at_least_0(parts["minimum_effect"], "minimum_effect")
        if "minimum_effect" in parts
        else None,
        threshold,
        word(parts["severity"], Severity, "severity").value if "severity" in parts else None,
    )
    if lookup:
        _look_up(made, parts.get("metric", node), columns, schema)
    return made


def _metric(node: Node, parts: dict[str, Node], threshold: Threshold | None) -> str:
    evidently = threshold is not None and threshold.evidently
    if "metric" not in parts:
        if evidently:
            return "*"
        raise problem(node, "this monitor names no metric; write {metric: psi, …}")
    name = text(parts["metric"], "metric")
    if evidently and name != "*":
        raise problem(
            parts["metric"], "'threshold: evidently' has metrics of its own; leave 'metric' out"
        )
    if threshold is not None and not evidently and name == "*":
        raise problem(
            parts["metric"],
            "one bound cannot be for all metrics, whose units differ; name one metric",
        )
    return name


def _columns(node: Node) -> list[Node]:
    if node.kind is not Kind.LIST:
        text(node, "columns")
        return [node]
    names = list(node.items())
    if not names:
        raise problem(node, "'columns' names none; leave it out for all")
    for one in names:
        text(one, "a column's name")
    return names


def _at_least_0(node: Node, what: str) -> float:
    value = finite(node, f"{what!r} must be a number")
    if value < 0:
        raise problem(node, f"{what!r} must be 0 or more, not {node.text}")
    return value


def _threshold(node: Node) -> Threshold:
    if node.kind is Kind.TEXT:
        word(node, Named, "threshold")
        return Threshold(evidently=True)
    form = "{above: 0.2}, {below: 0.7}, {change: 0.3} or evidently"
    parts = mapping(node, "a threshold", THRESHOLD_KEYS, form=form)
    if not {"above", "below", "change"} & set(parts):
        raise problem(node, f"a threshold with nothing to hold to; write {form}")
    above, below = (
        finite(parts[key], f"{key!r} must be a number") if key in parts else None
        for key in ("above", "below")
    )
    if above is not None and below is not None and below >= above:
        raise problem(
            parts["below"],
            f"below {below:g} and above {above:g} leave no value that is no alarm; swap them",
        )
    change = None
    if "change" in parts:
        change = finite(parts["change"], "'change' must be a share such as 0.3")
        if change <= 0:
            raise problem(parts["change"], "'change' must be a share above 0, such as 0.3")
        if above is not None or below is not None:
            raise problem(parts["change"], "give either 'change' or 'above' and 'below'")
    elif "against" in parts:
        raise problem(parts["against"], "'against' says what a 'change' is from; give a change too")
    against = Against.PREVIOUS
    if "against" in parts:
        against = word(parts["against"], Against, "against")
    segments = "segments" in parts and _truth(parts["segments"])
    return Threshold(above, below, change, against, segments=segments)


def _truth(node: Node) -> bool:
    if node.text not in ("true", "false") or node.kind not in (Kind.TEXT, Kind.BOOLEAN):
        raise problem(node, "'segments' must be true or false")
    return node.text == "true"


def _look_up(monitor: Monitor, place: Node, columns: list[Node], schema: Schema | None) -> None:
    """Refuse a monitor that watches nothing."""
    metrics = [one for name, one in all_metrics().items() if fits(name, monitor.metric)]
    if not metrics:
        hint = did_you_mean(monitor.metric, all_metrics())
        raise problem(place, f"no metric {monitor.metric!r}{hint}; docs/metrics.md lists all")
    if monitor.metric != "*":
        _check_extras(metrics, place)
    if columns and all(one.group and not one.over_segments for one in metrics):
        raise problem(
            columns[0], f"{monitor.metric} is of the model as a whole; leave 'columns' out"
        )
    if schema is None:
        return
    for node in columns:
        found = [column for column in schema if fits(column.name, node.text)]
        if not found:
            hint = schema.hint(node.text)
            said = "no column fits" if "*" in node.text else "the schema has no column"
            raise problem(node, f"{said} {node.text!r}{hint}")
        if not _watched(monitor, metrics, found, schema):
            raise problem(node, _not_for(monitor, metrics, node.text, found))
    if not columns and not _watched(monitor, metrics, [None, *schema], schema):
        tasks = sorted({task.value for one in metrics for task in one.tasks})
        if tasks and (schema.task is None or schema.task.value not in tasks):
            own = "has no task" if schema.task is None else f"is {schema.task.value}"
            raise problem(place, f"{monitor.metric} is for {_or(tasks)} models, and this one {own}")
        which = "segment column" if all(one.over_segments for one in metrics) else "column"
        raise problem(place, f"the schema has no {which} that {monitor.metric} is for")


def _check_extras(metrics: Iterable[Metric], place: Node) -> None:
    try:
        for one in metrics:
            one.check()
    except MissingExtra as error:
        raise problem(place, error.message) from None


def _watched(
    monitor: Monitor, metrics: Iterable[Metric], columns: Iterable[Column | None], schema: Schema
) -> bool:
    held = list(columns)
    return any(
        one.applies_to(column, schema.task) and monitor.covers(one, column)
        for one in metrics
        for column in held
        if not one.over_segments or (column is not None and column.name in schema.segments)
    )


def _not_for(monitor: Monitor, metrics: list[Metric], pattern: str, found: list[Column]) -> str:
    """Say what columns a metric is for, and what these are instead."""
    what = "Evidently's threshold" if monitor.metric == "*" else monitor.metric
    if all(one.over_segments for one in metrics):
        return f"{what} is for segment columns; list {found[0].name!r} under 'segments' to be one"
    types = {kind.value for one in metrics for kind in one.types}
    if monitor.metric == "*":
        types = {"numeric", "categorical", "boolean"}
    roles = sorted({role.value for one in metrics for role in one.roles})
    suits = [column for column in found if column.type.value in types]
    if suits and roles:
        wanted = f"columns with the role {_or(roles)}"
        is_ = f"has the role {suits[0].role.value}"
    else:
        wanted, is_ = f"{_or(sorted(types))} columns", f"is {found[0].type.value}"
    name = (suits or found)[0].name
    these = f"{name!r} {is_}" if name == pattern else f"{name!r}, which {pattern!r} names, {is_}"
    return f"{what} is for {wanted}, and {these}"


def _or(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def _short(number: float) -> float | int:
    return int(number) if float(number).is_integer() and abs(number) < 1e15 else number


def _monitor_to_json(monitor: Monitor) -> dict[str, Any]:
    told: dict[str, Any] = {}
    threshold = monitor.threshold
    if threshold is None or not threshold.evidently:
        told["metric"] = monitor.metric
    if monitor.columns:
        told["columns"] = list(monitor.columns)
    if threshold is not None:
        told["threshold"] = _threshold_to_json(threshold)
    if monitor.weight != 1:
        told["weight"] = _short(monitor.weight)
    if monitor.minimum_effect is not None:
        told["minimum_effect"] = _short(monitor.minimum_effect)
    if monitor.severity is not None:
        told["severity"] = monitor.severity
    return told


def _threshold_to_json(threshold: Threshold) -> Any:
    if threshold.evidently:
        return Named.EVIDENTLY.value
    told: dict[str, Any] = {}
    for name in ("above", "below", "change"):
        value = getattr(threshold, name)
        if value is not None:
            told[name] = _short(value)
    if threshold.change is not None and threshold.against is not Against.PREVIOUS:
        told["against"] = Against(threshold.against).value
    if threshold.segments:
        told["segments"] = True
    return told
