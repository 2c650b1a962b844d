"""What the verdict rests on: what decides, guardrails, and whatever was given a margin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tidegauge.errors import BadInput
from tidegauge.schema import Task
from tidegauge.versions.margins import Margin, known_name, parse_margin
from tidegauge.versions.measures import Measure
from tidegauge.versions.rows import Side

#: Guardrails: part of the verdict wherever both versions tell them.
GUARDRAILS = ("error_share", "latency_p95")

Margins = Mapping[str, Any] | float | str | None


def primary_of(
    metric: str | Iterable[str] | None,
    listed: Sequence[Measure],
    task: Task | None,
) -> list[str]:
    """Return the metrics that decide."""
    names = [one.name for one in listed]
    if metric is not None:
        told = [metric] if isinstance(metric, str) else list(metric)
        columns = [one.column for one in listed if one.column]
        for name in told:
            known_name(name, [*names, *columns], "metric")
        neutral = {one.name for one in listed if one.direction == "neither"}
        for name in told:
            if name in neutral:
                raise BadInput(
                    f"metric {name!r} knows no better and worse, so it can decide nothing; it is "
                    "shown anyway",
                    code="bad_metric",
                )
        return told
    usual = {
        Task.BINARY: ["roc_auc", "accuracy"],
        Task.MULTICLASS: ["accuracy"],
        Task.REGRESSION: ["mae"],
    }
    wanted = usual.get(task, []) if task is not None else []
    return [name for name in wanted if name in names][:1]


def margins_of(
    margin: Margins,
    metric: str | Iterable[str] | None,
    listed: Sequence[Measure],
    task: Task | None,
) -> dict[str, Margin | None]:
    """Return the margins that were set, by measure; None for those taken out of the verdict."""
    if margin is None:
        return {}
    if not isinstance(margin, Mapping):
        margin = dict.fromkeys(primary_of(metric, listed, task)[:1], margin)
        if not margin:
            raise BadInput("there is no metric for this margin to be of", code="bad_margin")
    out: dict[str, Margin | None] = {}
    for name, told in margin.items():
        fitting = [one for one in listed if name in (one.name, one.column, one.key)]
        if not fitting:
            every = [one.name for one in listed] + [one.column for one in listed if one.column]
            known_name(str(name), every, "margin")
        for one in fitting:
            size = parse_margin(name, told)
            if one.direction == "neither":
                raise BadInput(
                    f"margin of {name}: it knows no better and worse, so it has no margin",
                    code="bad_margin",
                )
            if size is not None and size.relative and one.unit == "share":
                raise BadInput(
                    f"margin of {name}: {told} could mean two things, for {name} is a share "
                    f"itself; write {size.size:g} for {size.size * 100:g} points of it",
                    code="bad_margin",
                )
            out[one.key] = size
    return out


def gates_of(
    metric: str | Iterable[str] | None,
    margins: Mapping[str, Margin | None],
    listed: Sequence[Measure],
    task: Task | None,
    sides: Sequence[Side],
    asked: set[str],
) -> set[str]:
    """Return what the verdict rests on: what decides, guardrails, and what was given a margin."""
    primary = primary_of(metric, listed, task)
    gates: set[str] = set()
    fair: set[str] = set()
    for one in listed:
        told = one.name in primary or (one.column in primary and one.column is not None)
        if one.name in GUARDRAILS:
            told = told or all(bool(one.needs(side).any()) for side in sides)
        if one.family == "fairness" and one.column in asked and one.column not in fair:
            fair.add(str(one.column))
            told = True
        if one.key in margins:
            told = margins[one.key] is not None
        if told and one.direction != "neither":
            gates.add(one.key)
    return gates
