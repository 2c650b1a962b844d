"""Performance by ranking: ROC AUC and average precision, read from per-class score bins.

A binary model has two grids of bins, the baseline's quantiles and fixed logits; for each window
and segment the one with the smaller bound on the error of the ROC AUC is read. A bin that holds
one value only (scores whose mean agrees with the bin's edge to nine digits or more) has true ties
and adds no error. Where neither grid tells the scores apart (a bound
above ``RESOLVED``), there is no value rather than a wrong one. A multiclass model is taken one
class against the rest, and the plain mean over the classes that have both positives and
negatives (for the average precision: that have positives).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from tidegauge.metrics.registry import Direction, Family, Values, View, metric
from tidegauge.metrics.significance import change_p
from tidegauge.profile import NumericBins
from tidegauge.profile.profile import PERFORMANCE, Array
from tidegauge.schema import Role, Task

_CLASSES = frozenset({Task.BINARY, Task.MULTICLASS})
#: The largest possible error of a ROC AUC that is still shown.
RESOLVED = 0.05

_EPS = float(np.finfo(np.float64).eps)
#: Records of either class below which a ROC AUC is shown and not judged.
FEWEST = 10


class _Grid(NamedTuple):
    """Scores of the two classes over bins, all (..., bin)."""

    negatives: Values
    positives: Values
    #: Whether all values of the bin are the same.
    single: NDArray[np.bool_]


_Statistic = Callable[[_Grid], Values]


def _ranked(view: View, statistic: _Statistic) -> Values:
    """Compute a statistic of the better grid: (window, segment)."""
    if "class_counts" in view:
        counts = view["class_counts"]
        # Only where labels are imagined (``estimation``) does a bin stand for one score.
        single = view["class_ties"] if "class_ties" in view else np.zeros(1, dtype=np.bool_)
        grid = _grid(counts, single)
        return _mean_of_known(statistic(grid))
    fine, logit = _grids(view)
    # A hair's breadth for sums in another order: bins of single values must win a tie.
    finer = _tied_pairs(fine) <= _tied_pairs(logit) * (1 + 1e-9)
    return np.where(finer, statistic(fine), statistic(logit))


def _resolved(view: View, statistic: _Statistic) -> Values:
    """Compute a statistic where the bins tell the scores apart, NaN elsewhere."""
    unclear = _ranked(view, _tied_pairs) > RESOLVED
    return np.where(unclear, np.nan, _ranked(view, statistic))


def _mean_of_known(each: Values) -> Values:
    known = np.isfinite(each)
    mean: Values = np.where(known, each, 0.0).sum(axis=-1) / known.sum(axis=-1)
    return mean


def _grid(counts: Array, single: NDArray[np.bool_]) -> _Grid:
    both = counts.astype(np.float64)
    return _Grid(both[..., 0, :], both[..., 1, :], single)


def _grids(view: View) -> tuple[_Grid, _Grid]:
    """Return the quantile grid and the logit grid of a binary model."""
    column = view.profile.layout.schema.role(Role.SCORE)
    assert column is not None
    score = View(view.profile, column.name)
    bins = score.bins
    assert isinstance(bins, NumericBins)
    constant = (score["minimum"] == score["maximum"])[..., None]
    # Bins are closed on the right: their values add up to n edges only if all lie on the edge.
    edges = np.append(bins.edges, np.nan)
    with np.errstate(invalid="ignore"):
        short = np.abs(score["sums"] - score["counts"] * edges)
        rounding = np.minimum(score["counts"] * _EPS, 1e-9)
        single = constant | (short <= rounding * score["counts"] * np.abs(edges))
    return _grid(view["score_counts"], single), _grid(view["logit_counts"], constant)


def _tied_pairs(grid: _Grid) -> Values:
    """Half the share of (positive, negative) pairs in one bin of different values: Σ p q / 2."""
    pairs = grid.positives.sum(axis=-1) * grid.negatives.sum(axis=-1)
    tied = np.where(grid.single, 0.0, grid.positives * grid.negatives)
    half: Values = tied.sum(axis=-1) / pairs / 2
    return half


def _auc(grid: _Grid) -> Values:
    negatives, positives, _ = grid
    below = np.cumsum(negatives, axis=-1) - negatives / 2
    pairs = positives.sum(axis=-1) * negatives.sum(axis=-1)
    area: Values = (positives * below).sum(axis=-1) / pairs
    return area


def _auc_variance(grid: _Grid) -> Values:
    """Return DeLong's variance, and at least half of Hanley and McNeil's.

    The latter, of a slightly smaller area, keeps it above zero where a few records are ranked
    without a fault; it knows no ties, so it is no more than a floor.
    """
    negatives, positives, _ = grid
    p = positives.sum(axis=-1, keepdims=True)
    n = negatives.sum(axis=-1, keepdims=True)
    area = _auc(grid)[..., None]
    won = (np.cumsum(negatives, axis=-1) - negatives / 2) / n
    lost = 1.0 - (np.cumsum(positives, axis=-1) - positives / 2) / p
    of_positives = (positives * (won - area) ** 2).sum(axis=-1, keepdims=True)
    of_negatives = (negatives * (lost - area) ** 2).sum(axis=-1, keepdims=True)
    delong = of_positives / np.maximum(p - 1, 1) / p + of_negatives / np.maximum(n - 1, 1) / n
    a = (area * p * n + 1) / (p * n + 2)
    twice_won, twice_lost = a / (2 - a), 2 * a**2 / (1 + a)
    hanley = a * (1 - a) + (p - 1) * (twice_won - a**2) + (n - 1) * (twice_lost - a**2)
    variance: Values = np.maximum(delong, hanley / (p * n) / 2)[..., 0]
    return variance


def roc_auc_bound(view: View) -> Values:
    """Return how far ``roc_auc`` can be from the exact area: (window, segment)."""
    return _ranked(view, _tied_pairs)


def roc_auc_noise(view: View) -> Values:
    """Return the sampling variance of ``roc_auc``: (window, segment).

    Source: DeLong, DeLong and Clarke-Pearson (1988), from bins; Hanley and McNeil (1982). Of
    several classes the square of the mean standard error, which is never too small.
    """
    return _ranked(view, lambda grid: np.sqrt(_auc_variance(grid))) ** 2


def _enough(view: View) -> NDArray[np.bool_]:
    """Whether both classes have so many records that their area is nearly normal."""
    return _ranked(view, _rarer_class) >= FEWEST


def _rarer_class(grid: _Grid) -> Values:
    rarer: Values = np.minimum(grid.positives.sum(axis=-1), grid.negatives.sum(axis=-1))
    return rarer


def _roc_auc_p(current: View, reference: View) -> Values:
    return change_p(
        _resolved(current, _auc),
        _resolved(reference, _auc),
        roc_auc_noise(current),
        roc_auc_noise(reference),
        Direction.HIGHER_IS_BETTER,
    )


@metric(
    "roc_auc",
    Family.PERFORMANCE,
    group=PERFORMANCE,
    tasks=_CLASSES,
    needs=("calibration_counts",),
    direction=Direction.HIGHER_IS_BETTER,
    minimum_effect=0.05,
    by_task={Task.BINARY: {"judged": True}},
    noise=roc_auc_noise,
    enough=_enough,
    p_value=_roc_auc_p,
    uses_reference=False,
)
def roc_auc(current: View, reference: View) -> Values:
    """Area under the ROC curve: how often a positive record has the higher score.

    Pairs within one bin count half, so the error is at most Σ p q / 2 over the bins that hold
    both classes and several values, p and q being each class's shares (``roc_auc_bound``). In
    practice it is some 1e-5 while scores keep the baseline's range, and below 1e-3 beyond it.
    Several classes: one against the rest, macro, from logit bins only. Not defined where one
    class is missing, or where the bound is above ``RESOLVED``.
    """
    return _resolved(current, _auc)


def _from_the_top(grid: _Grid) -> tuple[Values, Values, Values, Values]:
    """Counts from the highest bin down: positives and negatives of each, and those above it."""
    p, n = grid.positives[..., ::-1], grid.negatives[..., ::-1]
    return p, n, np.cumsum(p, axis=-1) - p, np.cumsum(n, axis=-1) - n


def _mean_over_positives(p: Values, terms: Values) -> Values:
    mean: Values = np.where(p > 0, terms, 0.0).sum(axis=-1) / p.sum(axis=-1)
    return mean


def _average_precision(grid: _Grid) -> Values:
    p, n, hits, misses = _from_the_top(grid)
    above, held = hits + misses, p + n
    share = p / held
    log = np.log1p(held / np.maximum(above, 1.0)) / held
    mixed = share + np.where(above > 0, (hits - share * above) * log, 0.0)
    tied = (hits + p) / (above + held)
    precision = np.where(grid.single[..., ::-1], tied, np.clip(mixed, 0.0, 1.0))
    return _mean_over_positives(p, p * precision)


def _average_precision_bound(grid: _Grid) -> Values:
    p, n, hits, misses = _from_the_top(grid)
    least = hits + misses + n
    worst = p - (misses + n) * (special.digamma(least + p + 1) - special.digamma(least + 1))
    best = p * (hits + p) / (hits + p + misses)
    tied = p * (hits + p) / (hits + p + misses + n)
    single = grid.single[..., ::-1]
    value = _average_precision(grid)
    over, under = (_mean_over_positives(p, np.where(single, tied, end)) for end in (best, worst))
    bound: Values = np.maximum(over - value, value - under)
    return bound


def average_precision_bound(view: View) -> Values:
    """Return how far ``average_precision`` can be from the exact one: (window, segment)."""
    return _ranked(view, _average_precision_bound)


@metric(
    "average_precision",
    Family.PERFORMANCE,
    group=PERFORMANCE,
    tasks=_CLASSES,
    needs=("calibration_counts",),
    direction=Direction.HIGHER_IS_BETTER,
    minimum_effect=0.02,
    uses_reference=False,
)
def average_precision(current: View, reference: View) -> Values:
    """Average precision: the area under the precision–recall curve, without interpolation.

    Within a bin positives and negatives are taken as evenly mixed (in bins of single values as
    ties, as scikit-learn has them). The error is at most the gap to the value with all of a bin's
    positives first, or last (``average_precision_bound``); in practice below 5e-3 from some
    hundred positives on. Several classes: one against the rest, macro. Not defined without
    positives, or where the bins do not tell scores apart (as for ``roc_auc``).
    """
    return _resolved(current, _average_precision)
