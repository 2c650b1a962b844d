"""The comparison of two versions, step by step."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from tidegauge.comparison.fit import checked_segments, schema_of
from tidegauge.engine import open_source
from tidegauge.engine.source import Source
from tidegauge.errors import BadInput, EmptyInput, SchemaMismatch
from tidegauge.profile.values import NO_TIME, micros
from tidegauge.report.format import count, plural, share
from tidegauge.schema import Role, Schema, Task
from tidegauge.versions.contrast import Contrast, Held, Standing, contrast
from tidegauge.versions.decision import Decision, Verdict, judged, verdict
from tidegauge.versions.design import (
    Design,
    Separate,
    enough_pairs,
    matched,
    paired,
    separate,
)
from tidegauge.versions.margins import Margin, known_name, parse_margin
from tidegauge.versions.measures import FEWEST, Measure, measures_of
from tidegauge.versions.mix import Mix, effective
from tidegauge.versions.report import Traffic, Version, VersionReport, by_standing
from tidegauge.versions.rows import (
    Side,
    classes_of,
    columns_of,
    features_of,
    resources_of,
    side_of,
    thinned,
)
from tidegauge.versions.rule import Rule
from tidegauge.versions.words import says

#: Records of each version that are read at most; of more, those whose ids hash smallest.
MOST_PAIRED, MOST_ADJUSTED = 1_000_000, 50_000
#: Guardrails: part of the verdict wherever both versions tell them.
GUARDRAILS = ("error_share", "latency_p95")

#: What is said of versions that cannot be compared.
_BESIDE = "values stand side by side only: nothing is held against each other"

Margins = Mapping[str, Any] | float | str | None


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
    used = resources_of(schema) if resources is None else resources
    tables = [thinned(table, schema, MOST_PAIRED) for table in (champion, challenger)]
    classes = classes_of(schema, tables)
    notes: list[str] = []
    old = side_of(tables[0], names[0], schema, classes=classes, resources=used)
    # Values of segments are numbered alike on both sides.
    new = side_of(tables[1], names[1], schema, classes=classes, resources=used)
    shared = {
        name: tuple(sorted({*old.names[name], *new.names[name]}))
        for name in schema.segments
        if name in old.names and name in new.names
    }
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
        notes += _outside(side)
    design, traffic, more, why = _designed(old, new, schema, pairing, tables, used)
    notes += more
    by_segment = [name for name in schema.segments if name in shared]
    listed = measures_of(schema, sides, segments=by_segment, resources=used, costs=costs)
    margins = _margins(margin, metric, listed, schema, sides)
    gates = _gates(metric, margin, margins, listed, schema, sides, set(segments))
    found: list[tuple[Contrast, Held | None]]
    beside = Separate(old, new, None)
    if design is None:
        found = [(_beside(one, beside, traffic, gate=one.key in gates), None) for one in listed]
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
    if design is None:
        sentence = f"Not comparable as they are: {why}."
        told = Verdict(Decision.NOT_ENOUGH, sentence, None, None, False, told.gates, ())
    elif told.needed is None:
        told = replace(told, needed=_at_least(contrasts))
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


def _outside(side: Side) -> list[str]:
    if side.scores is None:
        return []
    with np.errstate(invalid="ignore"):
        wrong = np.isfinite(side.scores) & ((side.scores < 0) | (side.scores > 1))
    rows = wrong if wrong.ndim == 1 else wrong.any(axis=1)
    n = int(rows.sum())
    if not n:
        return []
    return [f"{side.name}: {plural(n, 'score')} outside 0–1 left out of what reads probabilities"]


def _designed(
    old: Side,
    new: Side,
    schema: Schema,
    pairing: str,
    tables: Sequence[pa.Table],
    resources: Sequence[str],
) -> tuple[Design | None, Traffic, list[str], str]:
    """Return which records are held against which, what to say of it, and why not, if so."""
    found = matched(old, new)
    by = "prediction_id" if schema.role(Role.PREDICTION_ID) is not None else "equal inputs"
    if pairing == "paired" and not found.common:
        why = f"{old.name} and {new.name} have no record in common (by {by})"
        return None, Traffic("none", 0, False, None, None, None, None, _BESIDE), [], why
    if pairing == "paired" or (pairing == "auto" and enough_pairs(found, old, new)):
        design, differ = paired(found, old, new)
        smaller = min(old.rows, new.rows)
        sentence = (
            f"{plural(found.common, 'record')} scored by both ({share(found.common / smaller)} of "
            f"the smaller version's, by {by}) are compared pair by pair"
        )
        notes = (
            [f"{plural(differ, 'pair')} with two different labels left out of performance"]
            if differ
            else []
        )
        kind = Traffic("paired", found.common, False, None, None, None, None, sentence)
        return design, kind, notes, ""
    if min(old.rows, new.rows) == 0:
        raise EmptyInput("one of the versions has no record; nothing to compare")
    thin = [side.take(_thin(side)) for side in (old, new)]
    inputs = tuple(
        column
        for column in features_of(schema, resources)
        if all(column.name in table.column_names for table in tables)
    )
    apart, mix, why = separate(thin[0], thin[1], inputs)
    notes = _labels_apart(*thin) + _times_apart(tables, schema, old, new)
    for side, less in zip((old, new), thin, strict=True):
        if less.rows < side.rows:
            notes.append(
                f"{side.name}: {count(less.rows)} of {count(side.rows)} records, those whose ids "
                "hash smallest, are weighted"
            )
    if mix is None:
        sentence = (
            "records of their own, taken as they are: there is no input by which the traffic "
            "could be told apart"
        )
        return apart, Traffic("unpaired", found.common, False, *(None,) * 4, sentence), notes, ""
    about = found.common, True, mix.overlap, mix.apart, mix.before, mix.after
    if apart is None:
        return None, Traffic("none", *about, _BESIDE), notes, why
    worth = [count(effective(weights)) for weights in (mix.champion, mix.challenger)]
    sentence = (
        f"records of their own, weighted to the mix that both serve: {share(mix.overlap)} of the "
        f"traffic is common; it differs most in {mix.apart!r}, by {mix.before:.2g} σ, and in no "
        f"input by more than {max(mix.after, 0.01):.1g} σ once weighted; worth {worth[0]} and "
        f"{worth[1]} records of equal weight"
    )
    return apart, Traffic("unpaired", *about, sentence), notes, ""


def _thin(side: Side) -> np.ndarray[Any, np.dtype[np.int64]]:
    if side.rows <= MOST_ADJUSTED:
        return np.arange(side.rows)
    if side.keys is None:
        return np.arange(MOST_ADJUSTED)
    return np.sort(np.argpartition(side.keys, MOST_ADJUSTED)[:MOST_ADJUSTED])


def _labels_apart(old: Side, new: Side) -> list[str]:
    a, b = old.labelled / old.rows, new.labelled / new.rows
    if abs(a - b) < 0.05 or not (a and b):
        return []
    return [
        f"labels are known of {share(a)} of {old.name}'s records and {share(b)} of {new.name}'s; "
        "if that goes by more than the inputs, performance is not comparable"
    ]


def _times_apart(tables: Sequence[pa.Table], schema: Schema, old: Side, new: Side) -> list[str]:
    time = schema.role(Role.TIMESTAMP)
    if time is None or any(time.name not in table.column_names for table in tables):
        return []
    ends = []
    for table in tables:
        held = table[time.name].combine_chunks()
        if isinstance(held, pa.ChunkedArray):
            held = pa.concat_arrays(held.chunks)
        times = micros(held, schema.timezone)
        times = times[times != NO_TIME]
        if not len(times):
            return []
        ends.append((int(times.min()), int(times.max())))
    (first, last), (begin, end) = ends
    if begin > last or first > end:
        return [
            f"{old.name} and {new.name} served at different times: what changed with time alone "
            "is taken for a difference of the versions"
        ]
    return []


def _primary(
    metric: str | Iterable[str] | None,
    listed: Sequence[Measure],
    schema: Schema,
    sides: Sequence[Side],
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
    wanted = usual.get(schema.task, []) if schema.task is not None else []
    return [name for name in wanted if name in names][:1]


def _margins(
    margin: Margins,
    metric: str | Iterable[str] | None,
    listed: Sequence[Measure],
    schema: Schema,
    sides: Sequence[Side],
) -> dict[str, Margin | None]:
    """Return the margins that were set, by measure; None for those taken out of the verdict."""
    if margin is None:
        return {}
    if not isinstance(margin, Mapping):
        margin = dict.fromkeys(_primary(metric, listed, schema, sides)[:1], margin)
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


def _gates(
    metric: str | Iterable[str] | None,
    margin: Margins,
    margins: Mapping[str, Margin | None],
    listed: Sequence[Measure],
    schema: Schema,
    sides: Sequence[Side],
    asked: set[str],
) -> set[str]:
    """Return what the verdict rests on: what decides, guardrails, and what was given a margin."""
    primary = _primary(metric, listed, schema, sides)
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


def _beside(measure: Measure, both: Separate, traffic: Traffic, *, gate: bool) -> Contrast:
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
