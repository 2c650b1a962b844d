"""How two versions' traffic is made comparable, and what there is to say of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tidegauge.errors import EmptyInput
from tidegauge.profile.values import NO_TIME, micros
from tidegauge.report.format import count, plural, share
from tidegauge.schema import Role, Schema
from tidegauge.versions.design import Design, enough_pairs, matched, paired, separate
from tidegauge.versions.mix import effective
from tidegauge.versions.report import Traffic
from tidegauge.versions.rows import Side, features_of

#: Records of each version that are weighted at most; of more, those whose ids hash smallest.
MOST_ADJUSTED = 50_000
#: Share of contradicting labels from which on equal ids do not mean equal records.
CONTRADICTING = 0.1
#: What is said of versions that cannot be compared.
_BESIDE = "values stand side by side only: nothing is held against each other"


def designed(
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
    doubt: list[str] = []
    if pairing == "paired" or (pairing == "auto" and enough_pairs(found, old, new)):
        design, differ = paired(found, old, new)
        known = differ + design.champion.labelled
        if pairing == "paired" or differ <= CONTRADICTING * known:
            smaller = min(old.rows, new.rows)
            sentence = (
                f"{plural(found.common, 'record')} scored by both ({share(found.common / smaller)}"
                f" of the smaller version's, by {by}) are compared pair by pair"
            )
            left = f"{plural(differ, 'pair')} with two different labels left out of performance"
            about = Traffic("paired", found.common, False, None, None, None, None, sentence)
            return design, about, [left] if differ else [], ""
        doubt = [
            f"{plural(found.common, 'record')} have the same {by} in both, but labels contradict "
            f"one another in {share(differ / known)} of them: they are taken for different records"
        ]
    if min(old.rows, new.rows) == 0:
        raise EmptyInput("one of the versions has no record; nothing to compare")
    thin = [side.take(_thin(side)) for side in (old, new)]
    inputs = tuple(
        column
        for column in features_of(schema, resources)
        if all(column.name in table.column_names for table in tables)
    )
    apart, mix, why = separate(thin[0], thin[1], inputs)
    notes = doubt + _labels_apart(*thin) + _times_apart(tables, schema, old, new)
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
    weighted = found.common, True, mix.overlap, mix.apart, mix.before, mix.after
    if apart is None:
        return None, Traffic("none", *weighted, _BESIDE), notes, why
    worth = [count(effective(weights)) for weights in (mix.champion, mix.challenger)]
    sentence = (
        f"records of their own, weighted to the mix that both serve: {share(mix.overlap)} of the "
        f"traffic is common; it differs most in {mix.apart!r}, by {mix.before:.2g} σ, and in no "
        f"input by more than {max(mix.after, 0.01):.1g} σ once weighted; worth {worth[0]} and "
        f"{worth[1]} records of equal weight"
    )
    return apart, Traffic("unpaired", *weighted, sentence), notes, ""


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


def outside(side: Side) -> list[str]:
    """Say how many scores are no probabilities."""
    if side.scores is None:
        return []
    with np.errstate(invalid="ignore"):
        wrong = np.isfinite(side.scores) & ((side.scores < 0) | (side.scores > 1))
    rows = wrong if wrong.ndim == 1 else wrong.any(axis=1)
    n = int(rows.sum())
    if not n:
        return []
    return [f"{side.name}: {plural(n, 'score')} outside 0–1 left out of what reads probabilities"]
