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
from tidegauge.estimation.estimates import Group, Worlds
from tidegauge.estimation.relation import FOLDS, Relation
from tidegauge.estimation.sampled import Sampled
from tidegauge.estimation.targets import labels_of, said_of
from tidegauge.profile import Baseline, Profile
from tidegauge.profile.answers import COARSE_LOGITS, coarse_logits
from tidegauge.profile.layout import Layout
from tidegauge.profile.outcomes import CALIBRATION_BINS, LOGIT_BINS, classes_said, logit_codes
from tidegauge.profile.profile import CONFIDENCE, ESTIMATE, PERFORMANCE, ROWS
from tidegauge.schema import Role

Values = NDArray[np.float64]

_VAGUE = 4.0
#: Worlds only tell differences: pairs within a coarse bin are ties.
_TIES = {"class_ties": np.ones((1, 1, 1, 1), dtype=np.bool_)}
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

    @property
    def drawn_of_cell(self) -> int:
        """Numbers that a world needs for each window and segment."""
        return len(self.places) * 3 * COARSE_LOGITS

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
        by_said, by_class = self._moves(profile, held)
        coarse = np.stack([curve.logit(_COARSE_SCORES) for curve in self.curves])
        fine = np.stack([curve.logit(_SCORES) for curve in self.curves])
        # Who was said: (window, segment, said, scored class), from the curve as a whole.
        rate = sigma(coarse + by_said.mean[:, :, 0, :, :, None])
        said = (held.n * rate).sum(axis=-1)
        spread = (held.n * rate * (1 - rate)).sum(axis=-1)
        # Each class against the rest: (window, segment, class, whether it was said, bin).
        n = _against_rest(held.n, self.places)
        at = np.stack([coarse[j] + m.mean[:, :, 0] for j, m in enumerate(by_class)], axis=2)
        hits = n * sigma(at)
        with np.errstate(all="ignore"):
            share = np.where(n.sum(axis=3) > 0, hits.sum(axis=3) / n.sum(axis=3), sigma(coarse))
        by_bin = held.fine * sigma(fine + (logit(share) - coarse)[..., _COARSE])
        for j, place in enumerate(self.places):
            said[:, :, place, j] = hits[:, :, j, 1].sum(axis=-1)
        expected = _Parts(said, by_bin, hits[:, :, :, 1].sum(axis=2), held)
        drawn = self._drawn((by_said, by_class), at, n, said, spread, held, count, rng)
        return _worlds(self, profile, expected, drawn)

    def _moves(self, profile: Profile, held: Open) -> tuple[Moves, list[Moves]]:
        """Hold what the relation expects of sampled rows against the curves of their classes.

        Returns
        -------
        by_said : Moves
            With the groups (said, scored class).
        by_class : list of Moves
            Of each scored class, with the groups (whether it was said, coarse bin).
        """
        c, k = held.n.shape[2:4]
        shape = (*profile.rows.shape, 2, c, k)
        against = (*profile.rows.shape, 2, 2, COARSE_LOGITS)
        none = [Moves(np.zeros((FOLDS, *one)), np.zeros(one)) for one in (shape, against)]
        sampled = Sampled.of(profile)
        said = said_of(sampled.table, profile.layout)
        if said is None or not len(sampled.table):
            return none[0], [none[1]] * k
        batch = sampled.table.combine_chunks().to_batches()[0]
        scores = said.values[:, self.places]
        classes = classes_said(batch, profile.layout, self.places, scores)
        assert classes is not None
        rows = np.flatnonzero(said.usable & (classes < c))
        labels = labels_of(sampled.table, profile.layout, said)
        labelled = np.zeros(len(batch), bool) if labels is None else np.isfinite(labels[:, 0])
        part, classes, scores = labelled[rows].astype(np.int64), classes[rows], scores[rows]
        means = self.relation.by_fold(sampled.table)[:, rows][:, :, self.places]
        at = np.stack([curve(scores[:, j]) for j, curve in enumerate(self.curves)], axis=1)

        def sums(codes: NDArray[np.int64], size: int, j: int, shape: tuple[int, ...]) -> Sums:
            def over(values: Values) -> Values:
                return sampled.sums(rows, codes, size, values).reshape(shape)

            gap = means[:, :, j].mean(axis=0) - at[:, j]
            return Sums(
                sampled.counts(rows, codes, size).reshape(shape),
                over(at[:, j]),
                np.stack([over(one) for one in means[:, :, j]]),
                over(gap),
                over(gap**2),
            )

        by_said = [sums(part * c + classes, 2 * c, j, shape[:-1]) for j in range(k)]
        population = np.stack(
            (held.n.sum(axis=-1), by_said[0].n[:, :, 1, :, None] + np.zeros(k)), 2
        )
        together = Sums(
            *(
                np.stack([getattr(one, name) for one in by_said], axis=-1)
                for name in ("n", "usual", "expected", "gaps", "squares")
            )
        )
        open_ones = _against_rest(held.n, self.places)
        by_class = []
        for j, place in enumerate(self.places):
            code = coarse_logits(logit_codes(scores[:, j]))
            mine = part * 2 + (classes == place)
            held_sums = sums(mine * COARSE_LOGITS + code, 4 * COARSE_LOGITS, j, against)
            both = np.stack((open_ones[:, :, j], held_sums.n[:, :, 1]), axis=2)
            by_class.append(moved(held_sums, both))
        return moved(together, population), by_class

    def _drawn(
        self,
        moves: tuple[Moves, list[Moves]],
        at: Values,
        n: Values,
        said: Values,
        spread: Values,
        held: Open,
        count: int,
        rng: np.random.Generator,
    ) -> _Parts:
        """Draw what was, by what was said, and by the score of each class."""
        p = sigma(np.stack([curve.logit(_COARSE_SCORES) for curve in self.curves]))
        doubt = np.sqrt(1.0 / (self.known * np.maximum(p * (1 - p), 0.01) + _VAGUE))
        turn = rng.standard_normal((count, FOLDS))
        by_said, by_class = moves
        shift = np.tensordot(turn, _apart(by_said), axes=1)
        shift += rng.standard_normal(shift.shape) * np.sqrt(by_said.noise[:, :, 0])
        middle = said + spread * shift + rng.standard_normal(shift.shape) * np.sqrt(spread)
        drawn = np.clip(middle, 0.0, held.n[:, :, :, :1].sum(axis=-1))
        shape = (count, *n.shape[:2])
        hits = np.empty((*shape, len(self.places), COARSE_LOGITS))
        right = np.zeros((*shape, COARSE_LOGITS))
        whole = np.rint(n).astype(np.int64)
        for j, place in enumerate(self.places):
            eta = at[:, :, j] + np.tensordot(turn, _apart(by_class[j]), axes=1)
            eta += rng.standard_normal(eta.shape) * np.sqrt(by_class[j].noise[:, :, 0])
            eta += (rng.standard_normal((count, COARSE_LOGITS)) * doubt[j])[:, None, None, None]
            mine = rng.binomial(whole[:, :, j], sigma(eta))
            hits[..., j, :] = mine.sum(axis=-2)
            right += mine[..., 1, :]
            drawn[..., place, j] = mine[..., 1, :].sum(axis=-1)
        return _Parts(drawn, hits, right, held)

    def pairs(self) -> list[tuple[int, int]]:
        """Classes as (what was said, its scored class)."""
        return [(int(place), j) for j, place in enumerate(self.places)]


def _against_rest(n: Values, places: NDArray[np.int64]) -> Values:
    """Return counts by whether the class was said: (window, segment, scored class, 2, bin)."""
    own = np.stack([n[:, :, place, j] for j, place in enumerate(places)], axis=2)
    return np.stack((n.sum(axis=2) - own, own), axis=3)


def _apart(moves: Moves) -> Values:
    """How far the folds lie apart for records without a label, as a jackknife has it."""
    by_fold = moves.by_fold[:, :, :, 0]
    out: Values = (by_fold - by_fold.mean(axis=0)) * np.sqrt((FOLDS - 1) / FOLDS)
    return out


@dataclass(frozen=True, eq=False)
class _Parts:
    """What was, or may have been, of the records without a label.

    Parameters
    ----------
    by_said : (…, said, scored class) float64
    by_bin : (…, scored class, bin) float64
        Records of the class, by its score.
    right : (…, coarse bin) float64
        Records whose said class was right, by its score.
    held : Open
    """

    by_said: Values
    by_bin: Values
    right: Values
    held: Open


def _worlds(model: MulticlassModel, profile: Profile, expected: _Parts, drawn: _Parts) -> Worlds:
    held = expected.held
    fine = _group(model, profile, expected, held.fine, _SCORES)
    coarse = _coarse(expected.by_bin)
    plain = _group(
        model,
        profile,
        replace(expected, by_bin=coarse),
        _coarse(held.fine),
        _COARSE_SCORES,
    )
    many = _group(model, profile, drawn, _coarse(held.fine), _COARSE_SCORES)
    count = len(drawn.by_said)
    w = len(profile.windows)
    layout = profile.layout

    def made(group: Group) -> Profile:
        return replace(profile, arrays={**profile.arrays, PERFORMANCE: group})

    joined = {name: v.reshape(count * w, *v.shape[2:]) for name, v in many.items()}
    worlds = Profile(
        layout,
        np.arange(count * w, dtype=np.int64),
        profile.width,
        {ROWS: {"n": np.tile(profile.rows, (count, 1))}, PERFORMANCE: joined | _TIES},
    )
    return Worlds(made(fine), made(plain | _TIES), worlds)


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
    with np.errstate(all="ignore"):
        whole = np.nan_to_num(rows / best.sum(axis=-1))[..., None]
    best = best * whole
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
        "calibration_hits": known["calibration_hits"] + (parts.right * whole) @ tenths,
    }
