"""What is to be expected of a multiclass model's windows: every class against the rest.

As for a binary model, but a class's curve is moved by what was said, not by groups of scores, and
labels that are known count as they are without moving the curves for the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.estimation.calibration import Calibration
from tidegauge.estimation.curves import Moves, Sums, logit, moved, sigma
from tidegauge.estimation.estimates import Worlds
from tidegauge.estimation.relation import FOLDS, Relation
from tidegauge.estimation.sampled import Sampled
from tidegauge.estimation.targets import labels_of, said_of
from tidegauge.profile import Baseline, Profile
from tidegauge.profile.answers import COARSE_LOGITS, coarse_logits
from tidegauge.profile.layout import Layout
from tidegauge.profile.outcomes import CALIBRATION_BINS, LOGIT_BINS, classes_said
from tidegauge.profile.profile import CONFIDENCE, ESTIMATE, PERFORMANCE, ROWS
from tidegauge.schema import Role

Values = NDArray[np.float64]

_VAGUE = 4.0
#: Middle of each bin of the logit grid, and of the coarse one.
_CENTRES = np.concatenate(([-14.0], (np.arange(256) + 0.5) * (24 / 256) - 12.0, [14.0]))
_SCORES = sigma(_CENTRES)
_COARSE = coarse_logits(np.arange(LOGIT_BINS))
_COARSE_SCORES = sigma(np.bincount(_COARSE, _CENTRES) / np.bincount(_COARSE))
_TENTH = np.searchsorted(np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1], _COARSE_SCORES)


def scored_classes(layout: Layout) -> NDArray[np.int64]:
    """Return the places of the classes that have a score."""
    held = {c.class_ for c in layout.schema.with_role(Role.SCORE)}
    return np.array([i for i, one in enumerate(layout.classes) if one in held], dtype=np.int64)


def _coarse(values: Values) -> Values:
    """Sum (…, logit bin) into coarse bins."""
    starts = np.flatnonzero(np.append(True, _COARSE[1:] != _COARSE[:-1]))
    out: Values = np.add.reduceat(values, starts, axis=-1)
    return out


@dataclass(frozen=True, eq=False)
class Open:
    """Records without a label.

    Parameters
    ----------
    n : (window, segment, said, scored class, coarse bin) float64
    fine : (window, segment, scored class, bin) float64
    rows : (window, segment) float64
    known : (window, segment) float64
        Records with a label.
    """

    n: Values
    fine: Values
    rows: Values
    known: Values

    @classmethod
    def of(cls, profile: Profile) -> Open | None:
        """Read the counts of a profile; None where an earlier release stored it without them."""
        if ESTIMATE not in profile or "class_scores" not in profile[ESTIMATE]:
            return None
        held, labelled = profile[ESTIMATE], profile[PERFORMANCE]
        fine = held["class_scores"].astype(np.float64)
        known = labelled["class_counts"].sum(axis=3)
        left = np.maximum(fine - known, 0.0)
        n = held["said_class_scores"].astype(np.float64)
        with np.errstate(all="ignore"):
            share = np.nan_to_num(_coarse(left) / _coarse(fine))
        n = n * share[:, :, None]
        return cls(n, left, left[:, :, 0].sum(axis=-1), known[:, :, 0].sum(axis=-1))


@dataclass(frozen=True, eq=False)
class MulticlassModel:
    """What a baseline teaches about a model of several classes.

    Parameters
    ----------
    relation : Relation
    curves : tuple of Calibration
        One for each class that has a score.
    places : (k,) int64
        Of these among the classes.
    known : (k, coarse bin) float64
        Labelled records of the baseline.
    """

    relation: Relation
    curves: tuple[Calibration, ...]
    places: NDArray[np.int64]
    known: Values

    @classmethod
    def learn(cls, baseline: Baseline, relation: Relation, rows: pa.Table) -> MulticlassModel:
        """Learn from a baseline, and a relation that was learnt from its rows."""
        counts = baseline.total[PERFORMANCE]["class_counts"][0, 0].astype(np.float64)
        curves = tuple(Calibration.learn(_SCORES, one.sum(axis=0), one[1]) for one in counts)
        return cls(relation, curves, scored_classes(baseline.layout), _coarse(counts.sum(axis=1)))

    def support(self, profile: Profile) -> tuple[Values, Values, Values]:
        """Return records with usable scores, those with a label, those beyond the baseline."""
        held = Open.of(profile)
        assert held is not None
        unknown = (self.known == 0)[:, _COARSE]
        beyond = (held.fine * unknown).sum(axis=-1).max(axis=-1)
        return held.rows + held.known, held.known, beyond

    def worlds(self, profile: Profile, count: int, rng: np.random.Generator) -> Worlds | None:
        """Draw so many worlds for the windows of a profile; None where its counts are missing."""
        held = Open.of(profile)
        if held is None:
            return None
        moves = self._moves(profile, held)
        coarse = np.stack([curve.logit(_COARSE_SCORES) for curve in self.curves])
        fine = np.stack([curve.logit(_SCORES) for curve in self.curves])
        move = moves.mean[:, :, 0]
        rate = sigma(coarse + move[..., None])
        by_said = (held.n * rate).sum(axis=-1)
        spread = (held.n * rate * (1 - rate)).sum(axis=-1)
        # What a class's scores make of it, whatever was said: weighed by what was.
        all_said = held.n.sum(axis=2)
        with np.errstate(all="ignore"):
            mixed = np.where(all_said > 0, (held.n * move[..., None]).sum(axis=2) / all_said, 0.0)
        by_bin = sigma(fine + mixed[..., _COARSE])
        expected = _Parts(by_said, held.fine * by_bin, (held.n * rate), held)
        drawn = self._drawn(moves, coarse + mixed, by_said, spread, rate, held, count, rng)
        return _worlds(self, profile, expected, drawn)

    def _moves(self, profile: Profile, held: Open) -> Moves:
        """Hold what the relation expects of sampled rows against the curves of their classes."""
        c, k = held.n.shape[2:4]
        shape = (*profile.rows.shape, 2, c, k)
        none = Moves(np.zeros((FOLDS, *shape)), np.zeros(shape))
        sampled = Sampled.of(profile)
        said = said_of(sampled.table, profile.layout)
        if said is None or not len(sampled.table):
            return none
        batch = sampled.table.combine_chunks().to_batches()[0]
        scores = said.values[:, self.places]
        classes = classes_said(batch, profile.layout, self.places, scores)
        if classes is None:
            return none
        rows = np.flatnonzero(said.usable & (classes < c))
        labels = labels_of(sampled.table, profile.layout, said)
        part = np.zeros(len(batch), bool) if labels is None else np.isfinite(labels[:, 0])
        codes = part[rows].astype(np.int64) * c + classes[rows]
        means = self.relation.by_fold(sampled.table)[:, rows][:, :, self.places]

        def over(values: Values) -> Values:
            each = [sampled.sums(rows, codes, 2 * c, values[:, j]) for j in range(k)]
            return np.stack(each, axis=-1).reshape(shape)

        at = np.stack([curve(scores[rows, j]) for j, curve in enumerate(self.curves)], axis=1)
        gap = means.mean(axis=0) - at
        n = sampled.counts(rows, codes, 2 * c).reshape(shape[:-1])[..., None]
        sums = Sums(
            np.broadcast_to(n, shape),
            over(at),
            np.stack([over(one) for one in means]),
            over(gap),
            over(gap**2),
        )
        population = np.zeros(shape)
        population[:, :, 0] = held.n.sum(axis=-1)
        population[:, :, 1] = sums.n[:, :, 1]
        return moved(sums, population)

    def _drawn(
        self,
        moves: Moves,
        at: Values,
        by_said: Values,
        spread: Values,
        rate: Values,
        held: Open,
        count: int,
        rng: np.random.Generator,
    ) -> _Parts:
        """Draw what was, by what was said, and by the score of each class."""
        p = sigma(np.stack([curve.logit(_COARSE_SCORES) for curve in self.curves]))
        doubt = np.sqrt(1.0 / (self.known * np.maximum(p * (1 - p), 0.01) + _VAGUE))
        vague = rng.standard_normal((count, *doubt.shape)) * doubt
        by_fold = moves.by_fold[:, :, :, 0]
        apart = (by_fold - by_fold.mean(axis=0)) * np.sqrt((FOLDS - 1) / FOLDS)
        turn = rng.standard_normal((count, FOLDS))
        shift = np.tensordot(turn, apart, axes=1)
        shift += rng.standard_normal(shift.shape) * np.sqrt(moves.noise[:, :, 0])
        # What the curves' own doubt does to a sum over the scores of what was said.
        weight = held.n * rate * (1 - rate)
        total = np.maximum(weight.sum(axis=-1), 1e-9)
        own = np.einsum("dkb,wsckb->dwsck", vague, weight) / total
        middle = by_said + spread * (shift + own)
        noise = rng.standard_normal(middle.shape) * np.sqrt(spread)
        n = held.n[:, :, :, :1].sum(axis=-1)
        said = np.clip(middle + noise, 0.0, n)
        all_said = held.n.sum(axis=2)
        share = held.n.sum(axis=-1) / np.maximum(held.n.sum(axis=(2, 4))[:, :, None], 1e-9)
        mixed = np.einsum("dwsck,wsck->dwsk", shift, share)
        eta = at + vague[:, None, None] + mixed[..., None]
        hits = rng.binomial(np.rint(all_said).astype(np.int64), sigma(eta)).astype(np.float64)
        right = np.zeros((count, *held.n.shape[:2], COARSE_LOGITS))
        for place, j in self.pairs():
            lift = (shift + own)[:, :, :, place, j, None]
            chance = sigma(logit(rate[:, :, place, j]) + lift)
            right += rng.binomial(np.rint(held.n[:, :, place, j]).astype(np.int64), chance)
        return _Parts(said, hits, right, held)

    def pairs(self) -> list[tuple[int, int]]:
        """Classes as (what was said, its scored class)."""
        return [(int(place), j) for j, place in enumerate(self.places)]


@dataclass(frozen=True, eq=False)
class _Parts:
    """What was, or may have been, of the records without a label.

    Parameters
    ----------
    by_said : (…, said, scored class) float64
    by_bin : (…, scored class, bin) float64
        Records of the class, by its score.
    right : (…, said, scored class, coarse bin) or (…, coarse bin) float64
        Records whose said class was right, by its score.
    held : Open
    """

    by_said: Values
    by_bin: Values
    right: Values
    held: Open


def _worlds(model: MulticlassModel, profile: Profile, expected: _Parts, drawn: _Parts) -> Worlds:
    held = expected.held
    right = sum(
        (expected.right[:, :, place, j] for place, j in model.pairs()),
        np.zeros((*profile.rows.shape, COARSE_LOGITS)),
    )
    fine = _group(model, profile, replace(expected, right=right), held.fine, _SCORES)
    coarse = _coarse(expected.by_bin)
    plain = _group(
        model,
        profile,
        _Parts(expected.by_said, coarse, right, held),
        _coarse(held.fine),
        _COARSE_SCORES,
    )
    many = _group(model, profile, drawn, _coarse(held.fine), _COARSE_SCORES)
    count = len(drawn.by_said)
    w = len(profile.windows)
    layout = profile.layout

    def made(group: dict[str, Values]) -> Profile:
        return replace(profile, arrays={**profile.arrays, PERFORMANCE: group})

    joined = {name: v.reshape(count * w, *v.shape[2:]) for name, v in many.items()}
    worlds = Profile(
        layout,
        np.arange(count * w, dtype=np.int64),
        profile.width,
        {ROWS: {"n": np.tile(profile.rows, (count, 1))}, PERFORMANCE: joined},
    )
    return Worlds(made(fine), made(plain), worlds)


def _confidence(profile: Profile, otherwise: Values) -> Values:
    """Return the summed probability of the likeliest class, which needs no label."""
    if CONFIDENCE not in profile:
        return otherwise
    out: Values = profile[CONFIDENCE]["total"].astype(np.float64)
    return out


def _group(
    model: MulticlassModel, profile: Profile, parts: _Parts, n: Values, scores: Values
) -> dict[str, Values]:
    """Return the ``@performance`` group of known labels and of parts.

    Parameters
    ----------
    parts : _Parts
        With any axes before (window, segment).
    n : (window, segment, scored class, bin) float64
        Records without a label by score.
    scores : (bin,) float64
    """
    known, held = profile[PERFORMANCE], parts.held
    c = held.n.shape[2]
    by_said = parts.by_said
    # Who was not of the said class was of another one: they share what is left.
    table = np.zeros((*by_said.shape[:-2], c, c))
    table[..., model.places, :] = np.moveaxis(by_said, -1, -2)
    total = held.n[:, :, :, 0].sum(axis=-1)
    diagonal = np.minimum(np.diagonal(table, axis1=-2, axis2=-1), total)
    others = table.copy()
    np.einsum("...ii->...i", others)[...] = 0.0
    with np.errstate(all="ignore"):
        factor = np.nan_to_num((total - diagonal) / others.sum(axis=-2))
    others = others * factor[..., None, :]
    np.einsum("...ii->...i", others)[...] = diagonal
    grid = known["class_counts"].astype(np.float64)
    grid = grid if grid.shape[-1] == n.shape[-1] else _coarse(grid)
    hits = parts.by_bin
    counts = np.stack((n - hits, hits), axis=-2) + grid
    squares = (n * scores**2).sum(axis=(-1, -2))
    rows = held.rows
    squared = squares - 2 * (hits * scores).sum(axis=(-1, -2)) + rows
    loss = -np.log(np.clip(scores, 1e-12, 1.0))
    best = np.stack([held.n[:, :, place, j] for place, j in model.pairs()]).sum(axis=0)
    tenths = np.eye(CALIBRATION_BINS)[_TENTH]
    lead = parts.by_said.shape[: parts.by_said.ndim - 4]

    def wide(values: Values) -> Values:
        return np.broadcast_to(values, (*lead, *values.shape))

    return {
        "confusion": others + known["confusion"],
        "class_counts": counts,
        "squared": known["squared"] + np.maximum(squared, 0.0),
        "fourth": known["fourth"] + squared**2 / np.maximum(rows, 1.0),
        "log_loss": known["log_loss"] + (hits * loss).sum(axis=(-1, -2)),
        "log_loss_squares": known["log_loss_squares"] + (hits * loss**2).sum(axis=(-1, -2)),
        "score_total": wide(_confidence(profile, known["score_total"] + best @ _COARSE_SCORES)),
        "score_squares": wide(known["score_squares"] + best @ _COARSE_SCORES**2),
        "calibration_counts": wide(known["calibration_counts"] + best @ tenths),
        "calibration_scores": wide(known["calibration_scores"] + (best * _COARSE_SCORES) @ tenths),
        "calibration_hits": known["calibration_hits"] + parts.right @ tenths,
    }
