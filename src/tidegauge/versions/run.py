"""The comparison of two versions, step by step."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from tidegauge.comparison.fit import checked_segments, schema_of
from tidegauge.engine import open_source
from tidegauge.engine.source import Source
from tidegauge.errors import BadInput, EmptyInput, SchemaMismatch
from tidegauge.report.format import count, share
from tidegauge.schema import Role, Schema
from tidegauge.versions.contrast import Contrast, Held, Standing, contrast
from tidegauge.versions.decision import Decision, Verdict, judged, verdict
from tidegauge.versions.design import (
    Design,
    Separate,
)
from tidegauge.versions.gates import Margins, gates_of, margins_of
from tidegauge.versions.measures import FEWEST, Measure, measures_of
from tidegauge.versions.mix import Mix, effective
from tidegauge.versions.report import Traffic, Version, VersionReport, by_standing
from tidegauge.versions.rows import (
    Side,
    classes_of,
    columns_of,
    resources_of,
    side_of,
    thinned,
    values_of,
)
from tidegauge.versions.rule import Rule
from tidegauge.versions.traffic import designed, outside
from tidegauge.versions.words import says

#: Records of each version that are read at most; of more, those whose ids hash smallest.
MOST_RECORDS = 1_000_000


def compare_versions(
    champion: Any,
    challenger: Any,
    schema: Schema | str | os.PathLike[str] | None = None,
    metric: str | Iterable[str] | None = None,
    margin: Margins = None,
    level: float = 0.95,
    segments: Iterable[str] = (),
    *,
    power: float = 0.8,
    anytime: float | None = None,
    pairing: str = "auto",
    resources: Iterable[str] = (),
    costs: Iterable[str] = (),
    names: tuple[str, str] = ("champion", "challenger"),
) -> VersionReport:
    """Hold a challenger against a champion, and say whether it may ship.

    Records that both scored (by ``prediction_id``, else by equal inputs) are compared pair by
    pair; records of their own are weighted to the mix of traffic that both versions serve.

    Parameters
    ----------
    champion, challenger : path or frame
        Records with their labels, as for :func:`tidegauge.compare`.
    schema : Schema or path, optional
        Inferred from the champion by default.
    metric : str or iterable of str, optional
        What decides: ``roc_auc`` (binary; ``accuracy`` without scores), ``accuracy``
        (multiclass) or ``mae`` (regression) by default.
    margin : float, str or mapping, optional
        How much worse the challenger may be and still be no worse: of the deciding metric, or
        by metric (or column, for outcomes and resources). A number is in the metric's unit,
        ``"5%"`` a share of the champion's value, ``"off"`` takes a guardrail out. Whatever is
        given a margin is part of the verdict.
    level : float
        Of the two-sided intervals; a challenger worse by the margin is shipped with a chance of
        at most (1 − level) / 2.
    segments : iterable of str
        Columns whose groups are to be treated alike: the fairness of these is part of the verdict.
    power : float
        Chance of "ship" for equal versions that the number of records asked for shall give.
    anytime : float, optional
        Makes intervals that hold however often one looks, tightest at about this many records.
    pairing : str
        ``auto``, ``paired`` or ``unpaired``.
    resources : iterable of str
        Columns that tell what an answer used, beside those whose names tell (``cpu_ms``, …).
    costs : iterable of str
        Outcome columns of which less is better.
    names : (str, str)
        What the two are called.

    Returns
    -------
    VersionReport

    Raises
    ------
    BadInput
        If a source cannot be read, the two do not fit each other, or a margin is none.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> label = rng.random(4000) < 0.3
    >>> score = np.clip(0.3 + 0.3 * label + 0.15 * rng.standard_normal(4000), 0, 1)
    >>> ids = [str(i) for i in range(4000)]
    >>> old = pa.table({"prediction_id": ids, "score": score, "label": label})
    >>> new = old.set_column(1, "score", pa.array(np.clip(score + 0.001, 0, 1)))
    >>> compare_versions(old, new).decision
    'ship'
    """
    rule = Rule(level, power, anytime)
    if pairing not in ("auto", "paired", "unpaired"):
        raise BadInput(
            f"pairing {pairing!r} is not known; write auto, paired or unpaired", code="bad_pairing"
        )
    first, second = (
        open_source(champion, _name(champion, names[0])),
        open_source(challenger, _name(challenger, names[1])),
    )
    wanted = checked_segments(segments, first)
    known = schema_of(schema, first, wanted)
    named = checked_segments(resources, first)
    used = resources_of(known, named)
    for name in named:
        if name not in used:
            raise BadInput(f"column {name!r} is not in the schema", code="unknown_column")
    tables = [_read(source, known, used) for source in (first, second)]
    return compare_tables(
        tables[0],
        tables[1],
        known,
        metric=metric,
        margin=margin,
        rule=rule,
        segments=wanted,
        pairing=pairing,
        resources=used,
        costs=_checked_costs(costs, known),
        names=names,
    )


def _name(what: Any, side: str) -> str:
    return str(what) if isinstance(what, str | os.PathLike) else side


def _checked_costs(costs: Iterable[str], schema: Schema) -> tuple[str, ...]:
    listed = (costs,) if isinstance(costs, str) else tuple(costs)
    outcomes = [column.name for column in schema.with_role(Role.OUTCOME)]
    for name in listed:
        if name not in outcomes:
            there = ", ".join(outcomes) or "none"
            raise BadInput(
                f"{name!r} is no outcome column (there are: {there}); give it the role outcome",
                code="unknown_column",
            )
    return listed


def _read(source: Source, schema: Schema, resources: Sequence[str]) -> pa.Table:
    """Read what a comparison needs of a source."""
    held = source.arrow_schema()
    time = schema.role(Role.TIMESTAMP)
    wanted = [*columns_of(schema, resources), *([] if time is None else [time.name])]
    columns = [name for name in wanted if name in held.names]
    if not columns:
        raise SchemaMismatch(
            f"{source.name} has none of the schema's columns", code="no_common_columns"
        )
    batches = list(source.batches(columns))
    table = pa.Table.from_batches(batches) if batches else pa.table({})
    if not len(table):
        raise EmptyInput(f"{source.name} has no rows; nothing to compare", code="empty")
    return table


def compare_tables(
    champion: pa.Table,
    challenger: pa.Table,
    schema: Schema,
    *,
    metric: str | Iterable[str] | None = None,
    margin: Margins = None,
    rule: Rule | None = None,
    segments: Iterable[str] = (),
    pairing: str = "auto",
    resources: Sequence[str] | None = None,
    costs: Iterable[str] = (),
    totals: tuple[int, int] | None = None,
    names: tuple[str, str] = ("champion", "challenger"),
) -> VersionReport:
    """Compare two versions' records, as :func:`compare_versions` does.

    Parameters
    ----------
    champion, challenger : pyarrow.Table
    schema : Schema
    rule : Rule, optional
    resources : sequence of str, optional
        Those that names tell by default.
    totals : (int, int), optional
        How many records each version has, where the tables hold only some of them.
    """
    rule = Rule() if rule is None else rule
    metric = metric if metric is None or isinstance(metric, str) else tuple(metric)
    used = resources_of(schema) if resources is None else resources
    tables = [thinned(table, schema, MOST_RECORDS) for table in (champion, challenger)]
    classes = classes_of(schema, tables)
    notes: list[str] = []
    shared = values_of(schema, tables)
    old, new = (
        side_of(table, name, schema, classes=classes, resources=used, names=shared)
        for table, name in zip(tables, names, strict=True)
    )
    whole = (len(champion), len(challenger)) if totals is None else totals
    sides = [old, new]
    for table, side, rows in zip(tables, sides, whole, strict=True):
        if len(table) < rows:
            notes.append(
                f"{side.name}: {count(rows)} records; {count(len(table))} are compared, those "
                "whose ids hash smallest"
            )
        notes += outside(side)
    design, traffic, more, why = designed(old, new, schema, pairing, tables, used)
    notes += more
    alike = list(segments)
    for name in alike:
        if name not in shared:
            raise BadInput(
                f"{names[1]} has no column {name!r} with values to hold against one another; "
                "leave it out of the segments",
                code="unknown_segment",
            )
    listed = measures_of(schema, sides, segments=list(shared), resources=used, costs=costs)
    margins = margins_of(margin, metric, listed, schema.task)
    gates = gates_of(metric, margins, listed, schema.task, sides, set(alike))
    found: list[tuple[Contrast, Held | None]]
    beside = Separate(old, new, None)
    if design is None:
        found = [(_beside(one, beside, gate=one.key in gates), None) for one in listed]
    else:
        found = [
            contrast(
                one,
                design,
                margins.get(one.key, one.margin),
                rule,
                gate=one.key in gates,
                adjusted=traffic.adjusted,
            )
            for one in listed
        ]
        found = [(_same_outcome(one, design), held) for one, held in found]
    contrasts = judged(found, rule)
    least = min((_records(one, traffic) for one in contrasts if one.gate), default=0)
    told = verdict(
        contrasts,
        [held for _, held in found],
        records=max(least, 1),
        rule=rule,
        noun=_noun(traffic, contrasts),
        names=(f"{names[0]}", f"{names[1]}"),
        say=says,
    )
    few = _at_least(contrasts)
    if design is None and not (traffic.adjusted and few):
        sentence = f"Not comparable as they are: {why}."
        told = Verdict(Decision.NOT_ENOUGH, sentence, None, None, False, told.gates, ())
    elif told.needed is None:
        told = replace(told, needed=few)
    mix = design.mix if isinstance(design, Separate) else None
    return VersionReport(
        champion=_version(old, whole[0], design, 0, mix),
        challenger=_version(new, whole[1], design, 1, mix),
        traffic=traffic,
        rule=rule,
        verdict=told,
        contrasts=tuple(by_standing(contrasts)),
        notes=tuple(notes),
        method=_method(rule, len(told.gates), traffic),
    )


def _version(side: Side, records: int, design: Design | None, at: int, mix: Mix | None) -> Version:
    held = side if design is None else (design.champion, design.challenger)[at]
    worth = None if mix is None else effective((mix.champion, mix.challenger)[at])
    return Version(side.name, records, side.labelled, held.rows if design else 0, worth)


def _records(one: Contrast, traffic: Traffic) -> int:
    if traffic.kind == "paired":
        return one.n_champion
    return one.n_champion + one.n_challenger


def _at_least(contrasts: Sequence[Contrast]) -> int | None:
    """Return how many records are needed before anything can be told, where that is known."""
    few = [
        FEWEST - n
        for one in contrasts
        if one.gate and one.standing is Standing.UNKNOWN
        for n in (one.n_champion, one.n_challenger)
        if n < FEWEST
    ]
    return max(few) if few else None


def _noun(traffic: Traffic, contrasts: Sequence[Contrast]) -> Any:
    labels = any(one.gate and one.family in ("performance", "fairness") for one in contrasts)
    word = "labelled record" if labels else "record"
    tail = " that both score" if traffic.kind == "paired" else ", of both versions together,"

    def noun(amount: int) -> str:
        return f"{count(amount)} more {word}{'' if amount == 1 else 's'}{tail}"

    return noun


def _beside(measure: Measure, both: Separate, *, gate: bool) -> Contrast:
    """Return a measure of both versions side by side, where nothing can be held against another."""
    two = both.two(measure)
    return Contrast(
        *(measure.name, measure.family, measure.column, measure.unit, measure.direction),
        champion=None if two.why_not else two.champion,
        challenger=None if two.why_not else two.challenger,
        gate=gate,
        standing=Standing.UNKNOWN,
        n_champion=two.counts[0],
        n_challenger=two.counts[1],
        reason=two.why_not,
        summary=measure.summary,
    )


def _same_outcome(one: Contrast, design: Design) -> Contrast:
    """Say where a pair's outcome cannot tell the versions apart, being one and the same."""
    if one.family != "outcome" or design.kind != "paired" or one.column is None:
        return one
    a, b = (side.numbers[one.column] for side in (design.champion, design.challenger))
    known = np.isfinite(a) & np.isfinite(b)
    if not known.any() or not (a[known] == b[known]).all():
        return one
    return replace(
        one,
        difference=None,
        lower=None,
        upper=None,
        standing=Standing.UNKNOWN,
        reason="both records of every pair have the same outcome: it is of whichever answer was "
        "acted on, so it cannot tell the versions apart",
    )


def _method(rule: Rule, gates: int, traffic: Traffic) -> tuple[str, ...]:
    """Say how far the verdict holds."""
    level = f"{rule.level:.4g}"
    told = [
        f'Intervals are two-sided at {share(rule.level)}. "Ship" asks that every gate\'s whole '
        "interval is on the good side of its margin; a challenger that is worse by the margin in "
        f"any one gate passes with a chance of at most {share(rule.wrong)} at one look.",
    ]
    if gates > 1:
        told.append(
            f"All {gates} gates must pass (an intersection–union test), so that needs no "
            'correction for their number; "do not ship" may come from any one of them, so it is '
            f"asked at the level divided by {gates}."
        )
    if rule.planned is None:
        told.append(
            "That holds for one look, at a number of records settled before. Looking again and "
            'again and stopping at the first "ship" is wrong more often; for that, ask for '
            f"intervals that hold however often one looks (anytime, here level {level})."
        )
    else:
        told.append(
            "Intervals hold however often one looks (an asymptotic confidence sequence, tightest "
            f'at about {count(rule.planned)} records): a wrong "ship" ever has a chance of at '
            f"most {share(1 - rule.level)}."
        )
    if traffic.kind == "unpaired":
        told.append(
            "Adjusting goes by the inputs that are logged; what they do not tell is not adjusted "
            "for."
            if traffic.adjusted
            else "Nothing was adjusted: this takes the traffic for shared at random."
        )
    return tuple(told)
