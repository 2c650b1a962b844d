"""Performance by ranking: ROC AUC and average precision, read from per-class score bins.

A binary model has two grids of bins, the baseline's quantiles and fixed logits; for each window
and segment the one with the smaller bound on the error of the ROC AUC is read. A multiclass model
is taken one class against the rest, and the plain mean over the classes that have both positives
and negatives.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import special

from tidegauge.metrics.registry import Direction, Family, Values, View, metric
from tidegauge.metrics.significance import change_p
from tidegauge.profile import NumericBins
from tidegauge.profile.profile import PERFORMANCE, Array
from tidegauge.schema import Role, Task

_CLASSES = frozenset({Task.BINARY, Task.MULTICLASS})
_Statistic = Callable[[Values, Values, bool], Values]


def _ranked(view: View, statistic: _Statistic) -> Values:
    """Compute a statistic of (negatives, positives, exact), each (..., bin): (window, segment)."""
    if "class_counts" in view:
        each = statistic(*_split(view["class_counts"]), False)
        known = np.isfinite(each)
        mean: Values = np.where(known, each, 0.0).sum(axis=-1) / known.sum(axis=-1)
        return mean
    column = view.profile.layout.schema.role(Role.SCORE)
    bins = None if column is None else view.profile.layout.bins[column.name]
    exact = isinstance(bins, NumericBins) and bins.exact
    fine, logit = _split(view["score_counts"]), _split(view["logit_counts"])
    # A hair's breadth for sums in another order: exact bins must win a tie.
    finer = _tied_pairs(*fine, exact) <= _tied_pairs(*logit, False) * (1 + 1e-9)
    return np.where(finer, statistic(*fine, exact), statistic(*logit, False))


def _split(counts: Array) -> tuple[Values, Values]:
    both = counts.astype(np.float64)
    return both[..., 0, :], both[..., 1, :]


def _tied_pairs(negatives: Values, positives: Values, exact: bool) -> Values:
    """Half the share of (positive, negative) pairs within one bin: Σ p q / 2."""
    pairs = positives.sum(axis=-1) * negatives.sum(axis=-1)
    half: Values = (positives * negatives).sum(axis=-1) / pairs / 2
    return half


def _auc(negatives: Values, positives: Values, exact: bool) -> Values:
    below = np.cumsum(negatives, axis=-1) - negatives / 2
    pairs = positives.sum(axis=-1) * negatives.sum(axis=-1)
    area: Values = (positives * below).sum(axis=-1) / pairs
    return area


def _auc_variance(negatives: Values, positives: Values, exact: bool) -> Values:
    """Return DeLong's variance, and at least Hanley and McNeil's of a slightly smaller area.

    The latter keeps it above zero where a few records are ranked without a fault.
    """
    p = positives.sum(axis=-1, keepdims=True)
    n = negatives.sum(axis=-1, keepdims=True)
    area = _auc(negatives, positives, exact)[..., None]
    won = (np.cumsum(negatives, axis=-1) - negatives / 2) / n
    lost = 1.0 - (np.cumsum(positives, axis=-1) - positives / 2) / p
    of_positives = (positives * (won - area) ** 2).sum(axis=-1, keepdims=True)
    of_negatives = (negatives * (lost - area) ** 2).sum(axis=-1, keepdims=True)
    delong = of_positives / np.maximum(p - 1, 1) / p + of_negatives / np.maximum(n - 1, 1) / n
    a = (area * p * n + 1) / (p * n + 2)
    twice_won, twice_lost = a / (2 - a), 2 * a**2 / (1 + a)
    hanley = a * (1 - a) + (p - 1) * (twice_won - a**2) + (n - 1) * (twice_lost - a**2)
    variance: Values = np.maximum(delong, hanley / (p * n))[..., 0]
    return variance


def roc_auc_bound(view: View) -> Values:
    """Return how far ``roc_auc`` can be from the exact area: (window, segment)."""
    return _ranked(view, _tied_pairs)


def roc_auc_noise(view: View) -> Values:
    """Return the sampling variance of ``roc_auc``: (window, segment).

    Source: DeLong, DeLong and Clarke-Pearson (1988), from bins; Hanley and McNeil (1982). Of
    several classes the square of the mean standard error, which is never too small.
    """
    return _ranked(view, lambda *counts: np.sqrt(_auc_variance(*counts))) ** 2


def _roc_auc_p(current: View, reference: View) -> Values:
    return change_p(
        _ranked(current, _auc),
        _ranked(reference, _auc),
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
    minimum_effect=0.02,
    by_task={Task.BINARY: {"judged": True}},
    noise=roc_auc_noise,
    p_value=_roc_auc_p,
    uses_reference=False,
)
def roc_auc(current: View, reference: View) -> Values:
    """Area under the ROC curve: how often a positive record has the higher score.

    Pairs within one bin count half, so the error is at most Σ p q / 2 over the bins that hold
    both classes, p and q being each class's shares (``roc_auc_bound``): about 1e-4 while scores
    keep the baseline's range, 4e-4 beyond it. Several classes: one against the rest, macro, from
    logit bins only. Not defined where one class is missing.
    """
    return _ranked(current, _auc)


def _precision_terms(negatives: Values, positives: Values) -> tuple[Values, Values, Values, Values]:
    """Counts from the highest bin down: positives and negatives of each, and those above it."""
    p, n = positives[..., ::-1], negatives[..., ::-1]
    return p, n, np.cumsum(p, axis=-1) - p, np.cumsum(n, axis=-1) - n


def _average_precision(negatives: Values, positives: Values, exact: bool) -> Values:
    p, n, hits, misses = _precision_terms(negatives, positives)
    above, held = hits + misses, p + n
    if exact:
        terms = p * (hits + p) / (above + held)
    else:
        share = p / held
        log = np.log1p(held / np.maximum(above, 1.0)) / held
        smooth = share + np.where(above > 0, (hits - share * above) * log, 0.0)
        terms = p * np.clip(smooth, 0.0, 1.0)
    area: Values = np.where(p > 0, terms, 0.0).sum(axis=-1) / p.sum(axis=-1)
    return area


def _average_precision_bound(negatives: Values, positives: Values, exact: bool) -> Values:
    p, n, hits, misses = _precision_terms(negatives, positives)
    least = hits + misses + n
    worst = p - (misses + n) * (special.digamma(least + p + 1) - special.digamma(least + 1))
    best = p * (hits + p) / (hits + p + misses)
    highest, lowest = (
        np.where(p > 0, terms, 0.0).sum(axis=-1) / p.sum(axis=-1) for terms in (best, worst)
    )
    value = _average_precision(negatives, positives, exact)
    bound: Values = np.maximum(highest - value, value - lowest)
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
    positives first, or last (``average_precision_bound``); in practice below 1e-3. Several
    classes: one against the rest, macro. Not defined without positives.
    """
    return _ranked(current, _average_precision)
