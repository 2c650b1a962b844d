"""What other inputs change at a score: what the relation expects of sampled rows, less the curve.

It is put beside a profile's arrays as a group of its own, so that concept drift can take it off,
and stays there when the profile is stored, which keeps no sample.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.estimation.relation import Relation
from tidegauge.estimation.sampled import Sampled
from tidegauge.estimation.targets import labels_of, said_of
from tidegauge.metrics.concept import RELATION, curve, scored_classes
from tidegauge.metrics.registry import Values, View
from tidegauge.profile import Profile
from tidegauge.profile.outcomes import logit_codes, prediction_groups
from tidegauge.profile.profile import PERFORMANCE
from tidegauge.schema import Task


def with_relation(
    profile: Profile, relation: Relation, total: Profile, *, learnt: bool = False
) -> Profile:
    """Return a profile with what a relation expects of its labelled sampled rows.

    Parameters
    ----------
    profile : Profile
        Without a sample, or labels, it comes back as it is.
    relation : Relation
        Of the baseline.
    total : Profile
        All of the baseline, as one window.
    learnt : bool
        Whether these are the rows that the relation was learnt from; then each counts as it was
        told by the others.
    """
    if relation.why_not is not None or profile.sample is None or PERFORMANCE not in profile:
        return profile
    if RELATION in profile or not _scored(total):
        return profile
    sampled, layout = Sampled.of(profile), profile.layout
    said = said_of(sampled.table, layout)
    labels = None if said is None else labels_of(sampled.table, layout, said)
    if said is None or labels is None:
        return profile
    rows = np.flatnonzero(np.isfinite(labels).all(axis=1) & said.usable)
    if learnt and len(relation.held_out) == len(labels):
        held = relation.held_out[None, rows]
        by_fold = held[..., None] if held.ndim == 2 else held
    elif len(rows):
        by_fold = relation.by_fold(sampled.table.take(pa.array(rows)))
    else:
        by_fold = np.full((1, 0, relation.targets), np.nan)
    told = np.isfinite(by_fold).all(axis=(0, 2))
    rows, by_fold = rows[told], by_fold[:, told]
    held_to = curve(View(total, PERFORMANCE))
    size = held_to.scores.shape[1]
    channels = _channels(said.values[rows], by_fold, profile)
    parts = [
        _sums(sampled, rows, bins, folds, held_to.expected[:, k], held_to.groups[k], size)
        for k, (bins, folds) in enumerate(channels)
    ]
    names = ("relation_rows", "moved", "moved_squares")
    arrays = {name: np.stack([part[at] for part in parts], axis=2) for at, name in enumerate(names)}
    return replace(profile, arrays={**profile.arrays, RELATION: arrays})


def _scored(total: Profile) -> bool:
    held = total[PERFORMANCE]
    return any(name in held for name in ("logit_counts", "class_counts", "error_counts"))


def _channels(
    said: Values, by_fold: Values, profile: Profile
) -> list[tuple[NDArray[np.int64], Values]]:
    """Return each channel's bins, (row,), and what each fold expects there, (fold, row)."""
    layout = profile.layout
    if layout.schema.task is Task.REGRESSION:
        groups = prediction_groups(said[:, 0], layout)
        return [(groups, by_fold[:, :, 0]), (groups, by_fold[:, :, 1])]
    if layout.schema.task is Task.BINARY:
        return [(logit_codes(said[:, 0]), by_fold[:, :, 0])]
    places = [layout.classes.index(name) for name in scored_classes(layout)]
    return [(logit_codes(said[:, at]), by_fold[:, :, at]) for at in places]


def _sums(
    sampled: Sampled,
    rows: NDArray[np.int64],
    bins: NDArray[np.int64],
    by_fold: Values,
    expected: Values,
    groups: NDArray[np.int64],
    size: int,
) -> tuple[Values, Values, Values]:
    """Return rows, and sums and squares of what is moved: (window, segment, group[, fold])."""
    group = groups[bins]
    counts = sampled.counts(rows, bins, len(groups))
    usual = np.zeros((*counts.shape[:2], size))
    for at in range(size):
        mine = groups == at
        usual[..., at] = (counts[..., mine] * expected[:, mine]).sum(axis=-1)
    n = sampled.counts(rows, group, size)
    folds = np.stack([sampled.sums(rows, group, size, one) for one in by_fold], axis=-1)
    moved = folds - usual[..., None]
    beyond = by_fold.mean(axis=0) - expected[0, bins]
    total = sampled.sums(rows, group, size, beyond)
    squares = sampled.sums(rows, group, size, beyond**2)
    some = np.maximum(n, 1.0)
    about = np.maximum(squares - total**2 / some, 0.0)
    return n, moved, about + moved.mean(axis=-1) ** 2 / some
