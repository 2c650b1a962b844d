"""What is to be expected of a regression's windows: sums of errors, from expected errors of rows.

The relation tells of every sampled row the error, its size and its square that are to be expected;
their means stand for all records of the window and segment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.estimation.curves import between
from tidegauge.estimation.estimates import Worlds
from tidegauge.estimation.relation import FOLDS, Relation
from tidegauge.estimation.sampled import Sampled
from tidegauge.estimation.targets import labels_of, said_of
from tidegauge.profile import Baseline, NumericBins, Profile
from tidegauge.profile.layout import Layout
from tidegauge.profile.profile import PERFORMANCE, ROWS
from tidegauge.profile.values import numbers
from tidegauge.schema import Role

Values = NDArray[np.float64]

#: What is summed over records, in the order of the arrays here.
SUMS = ("errors", "absolute", "squared", "relative", "cross")
_ERROR, _ABSOLUTE, _SQUARED, _RELATIVE, _CROSS = range(5)
#: Which of them are above zero, and drawn as such.
_POSITIVE = np.array([False, True, True, True, False])
#: Sampled rows that a segment's mean is drawn to its window's with.
_DRAWN = 5.0
_FAR = 4.0


@dataclass(frozen=True, eq=False)
class Expected:
    """What is expected of rows.

    Parameters
    ----------
    means : (fold, sum, row) float64
    variances : (sum, row) float64
        Of a single row about its mean.
    shifted : (row,) float64
        The prediction less the middle of the labels.
    """

    means: Values
    variances: Values
    shifted: Values


@dataclass(frozen=True, eq=False)
class Evidence:
    """How labels that are known lie beside what was expected of them.

    Of amounts on a logarithmic scale, of errors by difference; (window, segment, 3) each, for the
    error, its size and its square.
    """

    shift: Values
    variance: Values


@dataclass(frozen=True, eq=False)
class RegressionModel:
    """What a baseline teaches about a model that predicts numbers.

    Parameters
    ----------
    relation : Relation
    middle : float
        What labels are summed about.
    kurtosis : float
        E e⁴ over (E e²)², of single rows.
    percent : (2,) float64
        A relative error over the expected error over the prediction; and its spread likewise.
    least : float
        The smallest prediction that is divided by.
    factors : (3,) float64
        What of all labelled records came to over what of the learning rows did: the error by
        difference, its size and square by ratio.
    usual : (5,) float64
        Means of the sums in the baseline.
    wobble : (3,) float64
        Variances from window to window, beyond what the inputs explain.
    """

    relation: Relation
    middle: float
    kurtosis: float
    percent: Values
    least: float
    factors: Values
    usual: Values
    wobble: Values

    @classmethod
    def learn(cls, baseline: Baseline, relation: Relation, rows: pa.Table) -> RegressionModel:
        """Learn from a baseline, and a relation that was learnt from the given rows."""
        layout = baseline.layout
        said = said_of(rows, layout)
        assert said is not None
        targets = labels_of(rows, layout, said)
        assert targets is not None
        held = np.flatnonzero(np.isfinite(relation.held_out[:, 0]))
        mean, seen, says = relation.held_out[held], targets[held], said.values[held, 0]
        label = layout.schema.role(Role.LABEL)
        assert label is not None
        true = np.abs(says - seen[:, 0])
        with np.errstate(all="ignore"):
            kurtosis = float((seen[:, 2] ** 2).sum() / (mean[:, 2] ** 2).sum())
            relative = seen[:, 1] / np.maximum(true, np.finfo(float).eps)
        least = max(float(np.quantile(np.abs(says), 0.05)), float(np.finfo(float).eps))
        ratio = mean[:, 1] / np.maximum(np.abs(says), least)
        factor = float(relative.sum() / max(ratio.sum(), 1e-300))
        spread = float(((relative - factor * ratio) ** 2).sum() / max((ratio**2).sum(), 1e-300))
        whole = baseline.total[PERFORMANCE]
        n = float(whole["labelled"][0, 0])
        overall = np.array([float(whole[name][0, 0]) for name in ("errors", "absolute", "squared")])
        own = mean.mean(axis=0)
        factors = np.array(
            [
                overall[0] / n - own[0],
                overall[1] / n / max(own[1], 1e-300),
                overall[2] / n / max(own[2], 1e-300),
            ]
        )
        model = cls(
            relation,
            middle_of(layout),
            min(max(kurtosis, 1.5), 1e3) if np.isfinite(kurtosis) else 3.0,
            np.array([factor, min(spread, 1e300)]),
            least,
            factors if np.isfinite(factors).all() else np.array([0.0, 1.0, 1.0]),
            np.zeros(len(SUMS)),
            np.zeros(3),
        )
        expected = model.told(rows, relation.held_out[None])
        usual = np.nanmean(expected.means.mean(axis=0), axis=-1)
        model = replace(model, usual=usual)
        same = rows is baseline.profile.sample
        return replace(model, wobble=model._wobble(baseline.profile, expected if same else None))

    def expected(self, rows: pa.Table) -> Expected:
        """Return what is expected of rows; NaN of those without a usable prediction."""
        return self.told(rows, self.relation.by_fold(rows))

    def told(self, rows: pa.Table, by_fold: Values) -> Expected:
        """Return what is expected of rows, from what the relation tells: (fold, row, target)."""
        said = said_of(rows, self.relation.layout)
        says = np.full(len(rows), np.nan) if said is None else said.values[:, 0]
        error, size, square = np.moveaxis(by_fold, -1, 0)
        error = error + self.factors[0]
        size, square = size * self.factors[1], square * self.factors[2]
        square = np.maximum(square, size**2)
        ratio = size / np.maximum(np.abs(says), self.least)
        shifted = says - self.middle
        means = np.stack((error, size, square, self.percent[0] * ratio, shifted * error), axis=1)
        e, a, s, _, _ = means.mean(axis=0)
        own = np.maximum(s - e**2, 0.0)
        variances = np.stack(
            (
                own,
                np.maximum(s - a**2, 0.0),
                (self.kurtosis - 1.0) * s**2,
                self.percent[1] * ratio.mean(axis=0) ** 2,
                shifted**2 * own,
            )
        )
        return Expected(means, variances, shifted)

    @property
    def drawn_of_cell(self) -> int:
        """Numbers that a world needs for each window and segment."""
        return len(SUMS)

    def support(self, profile: Profile) -> tuple[Values, Values, Values]:
        """Return records with a prediction, those with a label, those beyond the baseline."""
        name, bins = predicted(profile.layout)
        counts = profile[name]["counts"].astype(np.float64)
        rows = counts.sum(axis=-1)
        beyond = rows - counts[..., bins.inside].sum(axis=-1)
        known = np.minimum(profile[PERFORMANCE]["labelled"].astype(np.float64), rows)
        return rows, known, beyond

    def worlds(self, profile: Profile, count: int, rng: np.random.Generator) -> Worlds | None:
        """Draw so many worlds for the windows of a profile."""
        if PERFORMANCE not in profile or predicted(profile.layout)[0] not in profile:
            return None
        sampled = Sampled.of(profile)
        expected = self.expected(sampled.table)
        part = _labelled(sampled.table, self.relation.layout)
        rows, known, _ = self.support(profile)
        still = rows - known
        means, spread, variances, shifted = self._means(sampled, expected, part, still)
        evidence = self._evidence(sampled, expected, part)
        shift, doubt = _posterior(evidence, self.wobble)
        centre = _moved(means.mean(axis=0), shift)
        apart = (means - means.mean(axis=0)) * np.sqrt((FOLDS - 1) / FOLDS)
        drawn = centre + np.tensordot(rng.standard_normal((count, FOLDS)), apart, axes=1)
        drawn = drawn + rng.standard_normal((count, *centre.shape)) * np.sqrt(spread)
        turn = rng.standard_normal((count, *doubt.shape)) * np.sqrt(doubt)
        drawn = _moved(drawn, turn)
        drawn[..., _POSITIVE] = np.maximum(drawn[..., _POSITIVE], 1e-3 * centre[..., _POSITIVE])
        total = _amounts(still[..., None] * drawn, still[..., None] * variances, rng)
        plain = _group(profile, still, still[..., None] * centre, shifted)
        worlds = _group(profile, still, total, shifted)
        flat = {
            name: np.broadcast_to(v, (count, *profile.rows.shape)).reshape(
                -1, profile.rows.shape[1]
            )
            for name, v in worlds.items()
        }
        made = replace(profile, arrays={**profile.arrays, PERFORMANCE: plain})
        many = Profile(
            profile.layout,
            np.arange(count * len(profile.windows), dtype=np.int64),
            profile.width,
            {ROWS: {"n": np.tile(profile.rows, (count, 1))}, PERFORMANCE: flat},
        )
        return Worlds(made, made, many)

    def _means(
        self, sampled: Sampled, expected: Expected, part: NDArray[np.int64], still: Values
    ) -> tuple[Values, Values, Values, Values]:
        """Mean over the records without a label, from those in the sample.

        Returns
        -------
        means : (fold, window, segment, sum) float64
        spread : (window, segment, sum) float64
            Variance of it, as not all records are in the sample.
        variances : (window, segment, sum) float64
            Mean variance of single rows.
        shifted : (window, segment, 2) float64
            Mean of the shifted prediction, and of its square.
        """
        usable = np.flatnonzero(np.isfinite(expected.means[0, 0]))
        some = usable[part[usable] == 0]
        both = _Means.of(sampled, usable, expected)
        mine = _Means.of(sampled, some, expected)
        # Where every sampled row has a label, all of them have to do.
        chosen = mine.or_else(both)
        n = chosen.n
        share = np.where(still > 0, np.minimum(mine.n / np.maximum(still, 1.0), 1.0), 1.0)
        drawn = (_DRAWN * (1.0 - share))[..., None]
        parent = np.where(
            chosen.n[:, :1, None] > 0,
            chosen.sums[:, :, :1] / np.maximum(chosen.n[:, :1, None], 1.0),
            self.usual,
        )
        means = (chosen.sums + drawn * parent) / np.maximum(n[..., None] + drawn, 1e-9)
        about = means.mean(axis=0)
        with np.errstate(all="ignore"):
            within = np.where(n[..., None] > 1, chosen.squares / n[..., None] - about**2, about**2)
        spread = np.maximum(within, 0.0) / np.maximum(n[..., None] + drawn, 1.0)
        spread = spread * (1.0 - share)[..., None]
        return means, spread, chosen.mean(chosen.variances), chosen.mean(chosen.shifted)

    def _evidence(self, sampled: Sampled, expected: Expected, part: NDArray[np.int64]) -> Evidence:
        """Hold the labels that are known against what was expected of their rows."""
        rows = np.flatnonzero(np.isfinite(expected.means[0, 0]) & (part == 1))
        said = said_of(sampled.table, self.relation.layout)
        shape = (*_Means.of(sampled, rows, expected).n.shape, 3)
        if said is None or not len(rows):
            return Evidence(np.zeros(shape), np.full(shape, np.inf))
        targets = labels_of(sampled.table, self.relation.layout, said)
        assert targets is not None
        mean = expected.means.mean(axis=0)[:3, rows]
        none = np.zeros(len(rows), dtype=np.int64)

        def over(values: Values) -> Values:
            return np.stack([sampled.sums(rows, none, 1, v)[..., 0] for v in values], axis=-1)

        seen, thought = over(targets[rows].T), over(mean)
        variance = over(expected.variances[:3, rows])
        n = sampled.counts(rows, none, 1)
        with np.errstate(all="ignore"):
            by_ratio = np.log(np.maximum(seen, 1e-3 * thought) / thought)
            shift = np.where(_POSITIVE[:3], by_ratio, (seen - thought) / n)
            error = np.where(_POSITIVE[:3], variance / thought**2, variance / n**2)
        known = np.isfinite(shift) & np.isfinite(error) & (n > 1)
        return Evidence(
            np.where(known, np.clip(shift, -_FAR * 100, _FAR * 100), 0.0),
            np.where(known, np.maximum(error, 1e-12), np.inf),
        )

    def _wobble(self, profile: Profile, expected: Expected | None) -> Values:
        """Variances between the baseline's windows beyond chance, each row held out."""
        sampled = Sampled.of(profile)
        part = _labelled(sampled.table, self.relation.layout)
        if expected is None or len(expected.shifted) != len(sampled.table):
            expected = self.expected(sampled.table)
        evidence = self._evidence(sampled, expected, part)
        shift, error = evidence.shift[:, 0], evidence.variance[:, 0]
        held = np.flatnonzero(np.isfinite(error).all(axis=1))
        return between(shift[held], error[held])


def predicted(layout: Layout) -> tuple[str, NumericBins]:
    """Return the column of the predictions and its bins."""
    column = layout.schema.role(Role.PREDICTION) or layout.schema.role(Role.SCORE)
    assert column is not None
    bins = layout.bins[column.name]
    assert isinstance(bins, NumericBins)
    return column.name, bins


def middle_of(layout: Layout) -> float:
    """Return the value that the profiler sums labels about."""
    column = layout.schema.role(Role.LABEL)
    bins = layout.bins.get(column.name) if column is not None else None
    return float(np.median(bins.edges)) if isinstance(bins, NumericBins) else 0.0


def _labelled(rows: pa.Table, layout: Layout) -> NDArray[np.int64]:
    """Return 1 for rows with a label, else 0."""
    column = layout.schema.role(Role.LABEL)
    if column is None or column.name not in rows.column_names:
        return np.zeros(len(rows), dtype=np.int64)
    values = numbers(rows[column.name].combine_chunks())[0]
    return np.isfinite(values).astype(np.int64)


@dataclass(frozen=True, eq=False)
class _Means:
    """Sums over sampled rows by (window, segment)."""

    n: Values
    sums: Values
    squares: Values
    variances: Values
    shifted: Values

    @classmethod
    def of(cls, sampled: Sampled, rows: NDArray[np.int64], expected: Expected) -> _Means:
        none = np.zeros(len(rows), dtype=np.int64)

        def over(values: Values) -> Values:
            held = [sampled.sums(rows, none, 1, v)[..., 0] for v in values[..., rows]]
            return np.stack(held, axis=-1)

        about = expected.means.mean(axis=0)
        shifted = np.stack((expected.shifted, expected.shifted**2))
        return cls(
            sampled.counts(rows, none, 1)[..., 0],
            np.stack([over(one) for one in expected.means]),
            over(about**2),
            over(expected.variances),
            over(shifted),
        )

    def or_else(self, other: _Means) -> _Means:
        """Take another's sums where there are no rows here."""
        none = (self.n == 0)[..., None]
        return _Means(
            np.where(none[..., 0], other.n, self.n),
            np.where(none, other.sums, self.sums),
            np.where(none, other.squares, self.squares),
            np.where(none, other.variances, self.variances),
            np.where(none, other.shifted, self.shifted),
        )

    def mean(self, values: Values) -> Values:
        out: Values = values / np.maximum(self.n, 1.0)[..., None]
        return out


def _posterior(evidence: Evidence, wobble: Values) -> tuple[Values, Values]:
    """Return shift and variance after the labels that are known.

    Before them both vary as they did between the baseline's windows; labels that contradict this
    widen it to what they ask for.
    """
    error = np.where(np.isfinite(evidence.variance), evidence.variance, 1e300)
    prior = np.maximum(evidence.shift**2 - error, wobble)
    weight = prior / (prior + error)
    return weight * evidence.shift, weight * np.minimum(error, 1e290)


def _moved(means: Values, shift: Values) -> Values:
    """Shift means (…, sum): amounts by a factor, errors by a difference."""
    out = means.copy()
    out[..., _ERROR] += shift[..., 0]
    factor = np.exp(np.clip(shift, -_FAR, _FAR))
    out[..., _ABSOLUTE] *= factor[..., 1]
    out[..., _RELATIVE] *= factor[..., 1]
    out[..., _SQUARED] *= factor[..., 2]
    return out


def _amounts(mean: Values, variance: Values, rng: np.random.Generator) -> Values:
    """Draw sums over records: normal, or log-normal where they are above zero."""
    turn = rng.standard_normal(mean.shape)
    with np.errstate(all="ignore"):
        spread = np.log1p(np.nan_to_num(variance / mean**2))
        above = np.where(mean > 0, mean * np.exp(np.sqrt(spread) * turn - spread / 2), 0.0)
    return np.where(_POSITIVE, above, mean + np.sqrt(variance) * turn)


def _group(
    profile: Profile, still: Values, sums: Values, shifted: Values
) -> dict[str, NDArray[np.float64]]:
    """Return the ``@performance`` group of known labels and of sums over the others."""
    held = profile[PERFORMANCE]
    error, absolute, squared, relative, cross = np.moveaxis(sums, -1, 0)
    n = np.broadcast_to(still, error.shape)
    return {
        "labelled": held["labelled"] + n,
        "errors": held["errors"] + error,
        "absolute": held["absolute"] + absolute,
        "squared": held["squared"] + squared,
        "fourth": held["fourth"] + squared**2 / np.maximum(n, 1.0),
        "relative": held["relative"] + relative,
        "label_total": held["label_total"] + n * shifted[..., 0] - error,
        "label_squares": held["label_squares"] + n * shifted[..., 1] - 2 * cross + squared,
    }
