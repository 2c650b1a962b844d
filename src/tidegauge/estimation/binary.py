"""What is to be expected of a binary model's windows: counts by score bin, from moved curves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.estimation.calibration import Calibration
from tidegauge.estimation.curves import (
    Level,
    Moves,
    Sums,
    level_of,
    logit,
    moved,
    sigma,
    wobble_of,
)
from tidegauge.estimation.estimates import Group, Worlds
from tidegauge.estimation.relation import FOLDS, Relation
from tidegauge.estimation.sampled import Sampled
from tidegauge.estimation.targets import labels_of, said_of
from tidegauge.profile import Baseline, NumericBins, Profile
from tidegauge.profile.bins import coarse_groups
from tidegauge.profile.outcomes import (
    CALIBRATION_BINS,
    LOGIT_BINS,
    logit_codes,
    positives_said,
)
from tidegauge.profile.profile import ESTIMATE, PERFORMANCE, ROWS
from tidegauge.schema import Role

Values = NDArray[np.float64]

#: Groups of score bins in which a curve is moved, and worlds are drawn.
GROUPS = 24
#: Records that the line of the calibration is worth where the baseline has hardly any.
_VAGUE = 4.0
_CLIP = float(np.finfo(np.float64).eps)
_TENTHS = np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1]


@dataclass(frozen=True, eq=False)
class Counts:
    """The counts of a profile that an estimate starts from.

    Parameters
    ----------
    open : (window, segment, said, bin) float64
        Records without a label.
    known : (window, segment, label, said, bin) float64
        Records with a label. By what was said as all records of the bin are divided; a threshold
        on the score makes that exact but for one bin.
    scores : (window, segment, bin) float64
        Mean score of each bin.
    inner : slice
        The bins of the baseline's range.
    """

    open: Values
    known: Values
    scores: Values
    inner: slice

    @classmethod
    def of(cls, profile: Profile) -> Counts | None:
        """Read the counts of a profile; None where an earlier release stored it without them."""
        if ESTIMATE not in profile or "said_scores" not in profile[ESTIMATE]:
            return None
        said = profile[ESTIMATE]["said_scores"].astype(np.float64)
        labelled = profile[PERFORMANCE]["score_counts"].astype(np.float64)
        bins, scores = _scores(profile, said.sum(axis=2))
        total = said.sum(axis=2, keepdims=True)
        with np.errstate(invalid="ignore"):
            share = np.where(total > 0, said / total, 0.5)
        known = labelled[:, :, :, None] * share[:, :, None]
        return cls(np.maximum(said - known.sum(axis=2), 0.0), known, scores, bins.inside)

    @property
    def both(self) -> Values:
        """All records by part: (window, segment, part, said, bin)."""
        return np.stack((self.open, self.known.sum(axis=2)), axis=2)


def _scores(profile: Profile, usable: Values) -> tuple[NumericBins, Values]:
    """Return the bins of the score, and the mean score in each: (window, segment, bin)."""
    column = profile.layout.schema.role(Role.SCORE)
    assert column is not None
    bins = profile.layout.bins[column.name]
    assert isinstance(bins, NumericBins)
    counts, sums = profile[column.name]["counts"], profile[column.name]["sums"]
    edges = bins.edges
    middle = np.concatenate((edges[:1], (edges[1:] + edges[:-1]) / 2, edges[-1:]))
    with np.errstate(all="ignore"):
        # A bin that also holds what is no probability tells nothing of the mean of the others.
        means = np.where((counts > 0) & (counts <= usable), sums / counts, middle)
    return bins, np.clip(means, 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class BinaryModel:
    """What a baseline teaches about a binary model.

    Parameters
    ----------
    relation : Relation
    curve : Calibration
        Of all labelled records of the baseline.
    offsets, doubts : (segment,) float64
        How far each segment's curve lies from the whole's, in logits, and its standard error.
    own : (2, knot) float64
        Logits of scores, and how far the relation lies from the curve there in the baseline
        itself; that is taken off.
    known : (bin,) float64
        Labelled records of the baseline by bin.
    scale : (2,) float64
        Middle and spread of the baseline's curve, in logits, for the tilt.
    wobble : (2,) float64
        Variances of shift and tilt from window to window, beyond what the inputs explain.
    """

    relation: Relation
    curve: Calibration
    offsets: Values
    doubts: Values
    own: Values
    known: Values
    scale: Values
    wobble: Values

    @classmethod
    def learn(cls, baseline: Baseline, relation: Relation, rows: pa.Table) -> BinaryModel:
        """Learn from a baseline, and a relation that was learnt from the given rows."""
        total = baseline.total
        counts = total[PERFORMANCE]["score_counts"].astype(np.float64)
        _, scores = _scores(total, counts.sum(axis=2))
        n, hits = counts[0].sum(axis=1), counts[0, :, 1]
        curve = Calibration.learn(scores[0, 0], n[0], hits[0])
        offsets, doubts = _offsets(curve.logit(scores[0]), n, hits)
        at = curve.logit(scores[0, 0])
        middle = float((n[0] * at).sum() / n[0].sum())
        spread = float(np.sqrt((n[0] * (at - middle) ** 2).sum() / n[0].sum()))
        model = cls(
            relation,
            curve,
            offsets,
            doubts,
            _own(relation, curve, rows),
            n[0],
            np.array([middle, spread if spread > 1e-6 else 1.0]),
            np.zeros(2),
        )
        return replace(model, wobble=model._wobble(baseline.profile, rows))

    def _wobble(self, profile: Profile, rows: pa.Table) -> Values:
        """Variances of shift and tilt between the baseline's windows, each row held out."""
        counts = Counts.of(profile)
        if counts is None or len(profile.windows) < 5:
            return np.zeros(2)
        starts = self._starts(counts)
        same = rows is profile.sample
        held_out = np.nan_to_num(self.relation.held_out, nan=0.5)[None, :, None] if same else None
        moves = self.moves(profile, counts, starts, held_out)
        eta, tilt = self._curve(counts, moves, 1, starts)
        return wobble_of(eta, tilt, counts.known.sum(axis=2), counts.known[:, :, 1])

    def _starts(self, counts: Counts) -> NDArray[np.int64]:
        """First bin of each group: of about equal weight in the baseline and in these windows."""
        here = counts.both[:, 0].sum(axis=(0, 1, 2))
        weights = here / max(here.sum(), 1.0) + self.known / max(self.known.sum(), 1.0)
        return coarse_groups(weights, GROUPS)

    def _curve(
        self, counts: Counts, moves: Moves, part: int, starts: NDArray[np.int64]
    ) -> tuple[Values, Values]:
        """Return the moved curve (window, segment, said, bin), and its tilt (…, bin): logits."""
        base = self.curve.logit(counts.scores) + self.offsets[:, None]
        widths = np.diff(np.append(starts, base.shape[-1]))
        move = np.repeat(moves.mean[:, :, part], widths, axis=-1)
        return base[:, :, None] + move, (base - self.scale[0]) / self.scale[1]

    def moves(
        self,
        profile: Profile,
        counts: Counts,
        starts: NDArray[np.int64],
        expected: Values | None = None,
    ) -> Moves:
        """Hold what the relation expects of sampled rows against the curve at their scores.

        Parameters
        ----------
        expected : (fold, row, 1) float64, optional
            What is expected of the sampled rows, where that is known already.
        """
        shape = (*profile.rows.shape, 2, 2, len(starts))
        none = Moves(np.zeros((FOLDS, *shape)), np.zeros(shape))
        sampled = Sampled.of(profile)
        said = said_of(sampled.table, profile.layout)
        if said is None or not len(sampled.table):
            return none
        batch = sampled.table.combine_chunks().to_batches()[0]
        positive = positives_said(batch, profile.layout, said.values[:, 0])
        if positive is None:
            return none
        rows = np.flatnonzero(said.usable & (positive >= 0))
        labels = labels_of(sampled.table, profile.layout, said)
        part = np.zeros(len(batch), bool) if labels is None else np.isfinite(labels[:, 0])
        scores = said.values[rows, 0]
        column = profile.layout.schema.role(Role.SCORE)
        assert column is not None
        bins = profile.layout.bins[column.name]
        assert isinstance(bins, NumericBins)
        group = np.searchsorted(starts, bins.codes(scores), side="right") - 1
        codes = (part[rows] * 2 + positive[rows]).astype(np.int64) * len(starts) + group
        size = 4 * len(starts)

        def over(values: Values) -> Values:
            return sampled.sums(rows, codes, size, values).reshape(shape)

        at = self.curve.logit(scores)
        own = np.interp(logit(scores), *self.own)
        if expected is None or expected.shape[1] != len(sampled.table):
            expected = self.relation.by_fold(sampled.table)
        means = sigma(logit(expected[:, rows, 0]) - own)
        usual = over(sigma(at))
        for first, values, segment in sampled.cells.take(rows).groups:
            mine = over(sigma(at + self.offsets[first : first + values][segment]))
            usual[:, first : first + values] = mine[:, first : first + values]
        gap = means.mean(axis=0) - sigma(at)
        sums = Sums(
            sampled.counts(rows, codes, size).reshape(shape),
            usual,
            np.stack([over(one) for one in means]),
            over(gap),
            over(gap**2),
        )
        return moved(sums, np.add.reduceat(counts.both, starts, axis=-1))

    def worlds(self, profile: Profile, count: int, rng: np.random.Generator) -> Worlds | None:
        """Draw so many worlds for the windows of a profile; None where its counts are missing."""
        counts = Counts.of(profile)
        if counts is None:
            return None
        starts = self._starts(counts)
        moves = self.moves(profile, counts, starts)
        eta, tilt = self._curve(counts, moves, 1, starts)
        level = level_of(eta, tilt, counts.known.sum(axis=2), counts.known[:, :, 1], self.wobble)
        eta, tilt = self._curve(counts, moves, 0, starts)
        eta = eta + (level.mean[..., :1] + level.mean[..., 1:] * tilt)[:, :, None]
        drawing = _Drawing.of(profile, counts, sigma(eta), starts)
        drawn = self._drawn(drawing, moves, level, tilt, starts, count, rng)
        return Worlds(
            _fine(profile, counts, sigma(eta)),
            drawing.profile(profile, drawing.hits[None]),
            drawing.profile(profile, drawn),
        )

    @property
    def drawn_of_cell(self) -> int:
        """Numbers that a world needs for each window and segment."""
        return 2 * GROUPS

    def support(self, profile: Profile) -> tuple[Values, Values, Values]:
        """Return records with a usable score, those with a label, those beyond the baseline."""
        counts = Counts.of(profile)
        assert counts is not None
        both = counts.both.sum(axis=3)
        whole = both.sum(axis=2)
        beyond = whole.sum(axis=-1) - whole[..., counts.inner].sum(axis=-1)
        return whole.sum(axis=-1), both[:, :, 1].sum(axis=-1), beyond

    def _drawn(
        self,
        drawing: _Drawing,
        moves: Moves,
        level: Level,
        tilt: Values,
        starts: NDArray[np.int64],
        count: int,
        rng: np.random.Generator,
    ) -> Values:
        """Draw how many are positive: (world, window, segment, said, group)."""
        n, hits = drawing.n, drawing.hits
        w, s, _, g = n.shape
        with np.errstate(all="ignore"):
            rate = np.where(n > 0, hits / n, 0.5)
        at = logit(rate)
        held = np.add.reduceat(self.known, starts)
        middle = self.curve.logit(drawing.scores(starts))
        p = sigma(middle)
        doubt = np.sqrt(1.0 / (held * np.maximum(p * (1 - p), 0.01) + _VAGUE))
        by_fold = moves.by_fold[:, :, :, 0]
        apart = (by_fold - by_fold.mean(axis=0)) * np.sqrt((FOLDS - 1) / FOLDS)
        turn = rng.standard_normal((count, FOLDS))
        eta = at + np.tensordot(turn, apart, axes=1)
        eta += (rng.standard_normal((count, g)) * doubt)[:, None, None, None]
        eta += (rng.standard_normal((count, s)) * self.doubts)[:, None, :, None, None]
        eta += rng.standard_normal((count, w, s, 2, g)) * np.sqrt(moves.noise[:, :, 0])
        shift = np.einsum("wsij,cwsj->cwsi", level.root, rng.standard_normal((count, w, s, 2)))
        lean = np.add.reduceat(tilt, starts, axis=-1) / np.diff(np.append(starts, tilt.shape[-1]))
        eta += (shift[..., :1] + shift[..., 1:] * lean)[:, :, :, None]
        drawn: Values = rng.binomial(np.rint(n).astype(np.int64), sigma(eta)).astype(np.float64)
        return drawn


def _offsets(at: Values, n: Values, hits: Values) -> tuple[Values, Values]:
    """How far each segment's curve lies from the whole's, drawn to none: (segment,) twice."""
    shift = np.zeros(len(n))
    for _ in range(6):
        p = sigma(at + shift[:, None])
        information = (n * p * (1 - p)).sum(axis=1)
        shift = shift + np.clip((hits - n * p).sum(axis=1) / (information + 1.0), -1.0, 1.0)
    error = 1.0 / np.maximum(information, 1e-9)
    some = np.flatnonzero(information[1:] > 5.0) + 1
    spread = max(float((shift[some] ** 2 - error[some]).mean()), 0.0) if len(some) else 0.0
    drawn = spread / (spread + error) if spread > 0 else np.zeros(len(n))
    drawn[0] = 0.0
    return drawn * shift, np.sqrt(drawn * np.minimum(error, 1.0))


def _own(relation: Relation, curve: Calibration, rows: pa.Table) -> Values:
    """Where, and how far, the relation lies from the curve in the baseline itself."""
    said = said_of(rows, relation.layout)
    assert said is not None
    held = np.flatnonzero(np.isfinite(relation.held_out))
    order = held[np.argsort(said.values[held, 0], kind="stable")]
    parts = [part for part in np.array_split(order, GROUPS) if len(part)]
    scores = [said.values[part, 0] for part in parts]
    own = [
        logit(relation.held_out[part].mean()) - logit(curve(s).mean())
        for part, s in zip(parts, scores, strict=True)
    ]
    knots, first = np.unique([float(logit(s).mean()) for s in scores], return_index=True)
    return np.stack((knots, np.array(own)[first]))


def _costs(scores: Values) -> dict[str, tuple[Values, Values]]:
    """What a record of the negative, and of the positive, class adds to each sum."""
    p = np.clip(scores, _CLIP, 1 - _CLIP)
    below, above = -np.log1p(-p), -np.log(p)
    return {
        "squared": (scores**2, (1 - scores) ** 2),
        "fourth": (scores**4, (1 - scores) ** 4),
        "log_loss": (below, above),
        "log_loss_squares": (below**2, above**2),
    }


def _fine(profile: Profile, counts: Counts, rate: Values) -> Profile:
    """Return the profile with what is expected, in its own bins."""
    held = profile[PERFORMANCE]
    hits = counts.open * rate
    both = np.stack((counts.open - hits, hits), axis=2)
    by_bin = both.sum(axis=3)
    w, s, _, b = by_bin.shape
    place = logit_codes(counts.scores.ravel()).reshape(w, s, 1, b)
    start = np.arange(w * s * 2).reshape(w, s, 2, 1) * LOGIT_BINS
    logits = np.bincount((start + place).ravel(), by_bin.ravel(), w * s * 2 * LOGIT_BINS)
    tenth = np.searchsorted(_TENTHS, counts.scores)
    cell = np.arange(w * s).reshape(w, s, 1) * CALIBRATION_BINS

    def by_tenth(values: Values) -> Values:
        flat = np.bincount((cell + tenth).ravel(), values.ravel(), w * s * CALIBRATION_BINS)
        return flat.reshape(w, s, CALIBRATION_BINS).astype(np.float64)

    total = by_bin.sum(axis=2)
    group: dict[str, Values] = {
        "confusion": held["confusion"] + both.sum(axis=-1),
        "score_counts": held["score_counts"] + by_bin,
        "logit_counts": held["logit_counts"] + logits.reshape(w, s, 2, LOGIT_BINS),
        "calibration_counts": held["calibration_counts"] + by_tenth(total),
        "calibration_scores": held["calibration_scores"] + by_tenth(total * counts.scores),
        "calibration_hits": held["calibration_hits"] + by_tenth(by_bin[:, :, 1]),
    }
    for name, (low, high) in _costs(counts.scores).items():
        group[name] = held[name] + (by_bin[:, :, 0] * low + by_bin[:, :, 1] * high).sum(axis=-1)
    # What scores come to needs no label.
    everyone = counts.both.sum(axis=(2, 3))
    group["score_total"] = (everyone * counts.scores).sum(axis=-1)
    group["score_squares"] = (everyone * counts.scores**2).sum(axis=-1)
    return replace(profile, arrays={**profile.arrays, PERFORMANCE: group})


@dataclass(frozen=True, eq=False)
class _Drawing:
    """What worlds are made of: counts by group of bins, and what a record adds to each sum.

    Parameters
    ----------
    n, hits : (window, segment, said, group) float64
        Records without a label, and how many of them are expected to be positive.
    counts : Counts
    starts : (group,) int64
    held : mapping of name to array
        What labelled records came to.
    costs : mapping of name to (window, segment, said, group) arrays
        For the negative and the positive class.
    tenths : (window, segment, said, group, tenth) float64
        In which tenth of the scores a group's positives lie.
    """

    n: Values
    hits: Values
    counts: Counts
    starts: NDArray[np.int64]
    held: Group
    costs: dict[str, tuple[Values, Values]]
    tenths: Values

    @classmethod
    def of(
        cls, profile: Profile, counts: Counts, rate: Values, starts: NDArray[np.int64]
    ) -> _Drawing:
        """Gather bins into groups."""
        n = np.add.reduceat(counts.open, starts, axis=-1)
        positive = counts.open * rate
        negative = counts.open - positive
        hits, misses = (np.add.reduceat(v, starts, axis=-1) for v in (positive, negative))
        costs = {}
        with np.errstate(all="ignore"):
            for name, pair in _costs(counts.scores).items():
                each = [
                    np.nan_to_num(np.add.reduceat(v * cost[:, :, None], starts, axis=-1) / whole)
                    for v, cost, whole in zip(
                        (negative, positive), pair, (misses, hits), strict=True
                    )
                ]
                costs[name] = (each[0], each[1])
            tenth = np.searchsorted(_TENTHS, counts.scores)
            shares = [
                np.nan_to_num(
                    np.add.reduceat(positive * (tenth == k)[:, :, None], starts, axis=-1) / hits
                )
                for k in range(CALIBRATION_BINS)
            ]
        return cls(n, hits, counts, starts, profile[PERFORMANCE], costs, np.stack(shares, axis=-1))

    def scores(self, starts: NDArray[np.int64]) -> Values:
        """Mean score of each group over all windows: (group,)."""
        records = self.counts.both[:, 0].sum(axis=(1, 2))
        scores = self.counts.scores[:, 0]
        weight = np.add.reduceat(records.sum(axis=0), starts)
        held = np.add.reduceat((records * scores).sum(axis=0), starts)
        plain = np.add.reduceat(scores.mean(axis=0), starts)
        widths = np.diff(np.append(starts, scores.shape[-1]))
        with np.errstate(all="ignore"):
            out: Values = np.where(weight > 0, held / weight, plain / widths)
        return out

    def profile(self, profile: Profile, hits: Values) -> Profile:
        """Return worlds as a profile, one after the other on the window axis.

        Parameters
        ----------
        profile : Profile
        hits : (world, window, segment, said, group) float64
            Positives among the records without a label.
        """
        count, w, s, _, g = hits.shape
        layout = profile.layout
        column = layout.schema.role(Role.SCORE)
        assert column is not None
        misses = self.n - hits
        known = np.add.reduceat(self.counts.known.sum(axis=3), self.starts, axis=-1)

        def flat(values: Values) -> Values:
            return np.broadcast_to(values, (count, *values.shape[-(values.ndim - 1) :])).reshape(
                count * w, *values.shape[2:]
            )

        by_group = np.stack((misses.sum(axis=3), hits.sum(axis=3)), axis=3) + known
        inside = np.stack((misses.sum(axis=-1), hits.sum(axis=-1)), axis=3)
        group: dict[str, Values] = {
            "confusion": flat(self.held["confusion"] + inside),
            "score_counts": flat(by_group),
            "logit_counts": flat(by_group.sum(axis=-1, keepdims=True)),
            "calibration_hits": flat(
                self.held["calibration_hits"] + np.einsum("cwsag,wsagt->cwst", hits, self.tenths)
            ),
        }
        for name, (low, high) in self.costs.items():
            group[name] = flat(self.held[name] + (misses * low + hits * high).sum(axis=(-2, -1)))
        fixed = _fine(profile, self.counts, np.zeros_like(self.counts.open))[PERFORMANCE]
        for name in ("calibration_counts", "calibration_scores", "score_total", "score_squares"):
            group[name] = flat(fixed[name][None])
        score = {
            "counts": np.zeros((count * w, s, g)),
            "sums": np.zeros((count * w, s, g)),
            # One value a group: pairs within it are ties, and worlds only tell differences.
            "minimum": np.zeros((count * w, s)),
            "maximum": np.zeros((count * w, s)),
        }
        bins = {**layout.bins, column.name: NumericBins(np.arange(g - 1, dtype=float), 0.0, 1.0)}
        return Profile(
            replace(layout, bins=bins),
            np.arange(count * w, dtype=np.int64),
            profile.width,
            {
                ROWS: {"n": flat(profile.rows[None].astype(np.float64))},
                PERFORMANCE: group,
                column.name: score,
            },
        )
