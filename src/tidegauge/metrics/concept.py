"""Concept drift: whether the same inputs come to another end, told apart from changed inputs.

Labelled records are counted by their score (or prediction) in ten groups. In each, what happened
is held to what the baseline leads one to expect there, so another mix of scores is no drift; and
where the relation that was learnt from the baseline's sample expects something else of *these*
inputs at that score, that is taken off as well (``moved_by_inputs``). What is left is a change of
P(y | x), as far as the inputs are known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from tidegauge.metrics.registry import Direction, Family, Linear, Values, View, metric
from tidegauge.profile.bins import coarse_groups
from tidegauge.profile.layout import Layout
from tidegauge.profile.outcomes import ERROR_GROUPS, LOGIT_BINS
from tidegauge.profile.profile import PERFORMANCE
from tidegauge.schema import Role, Task

#: What the relation expects of sampled labelled rows, beyond what their score does.
RELATION = "@relation"
#: Groups of scores.
GROUPS = 10
#: Classes that are looked at by themselves: the most frequent.
CLASSES = 10
#: Expected variance of the number of hits below which it is far from normal.
_LEAST_VARIANCE = 5.0
_KNOTS = np.array([0.5, 3, 8, 16, 26, 38, 50, 62, 74, 84, 92, 97, 99.5]) / 100
_ROUNDS = 30
#: Prior variances: of how a segment's level and slope differ from the whole's.
_SEGMENT_LEVEL, _SEGMENT_SLOPE = 0.25, 0.1
#: Rows that a segment's mean error is drawn to the whole's with.
_SEGMENT_ROWS = 50.0
#: Logits of the middle of each bin of the fixed grid.
_LOGITS = np.concatenate(([-12.05], (np.arange(LOGIT_BINS - 2) + 0.5) * 24 / 256 - 12, [12.05]))


@dataclass(frozen=True, eq=False)
class Curve:
    """What the baseline leads one to expect at each bin, and how surely.

    Parameters
    ----------
    expected : (segment, channel, bin) float64
        Of a class its probability; of numbers the mean error, and the mean size of it.
    spread : (segment, channel, bin) float64
        Variance of one record.
    groups : (channel, bin) int64
        The group of each bin.
    scores : (channel, group) float64
        Normal score of each group's middle rank, mean 0 and variance 1 in the baseline.
    design : (channel, bin, knot) float64
    covariance : (channel, knot, knot) float64
        Of the knots that a curve of probabilities goes through.
    names : tuple of str
        Of the channels: the classes of a model of several; else empty.
    """

    expected: Values
    spread: Values
    groups: NDArray[np.int64]
    scores: Values
    design: Values
    covariance: Values
    names: tuple[str, ...]


def scored_classes(layout: Layout) -> tuple[str, ...]:
    """Return the classes that have a score, in the order of their arrays."""
    held = {column.class_ for column in layout.schema.with_role(Role.SCORE)}
    return tuple(name for name in layout.classes if name in held)


def channels(view: View) -> tuple[Values, Values, Values]:
    """Return the number of labelled records, the sum and the squares of what happened.

    Returns
    -------
    three (window, segment, channel, bin) float64
    """
    if "error_counts" in view:
        n = np.stack([view["error_counts"]] * 2, axis=2).astype(np.float64)
        total = np.stack([view["error_sums"], view["error_sizes"]], axis=2)
        return n, total, np.stack([view["error_squares"]] * 2, axis=2)
    if "class_counts" in view:
        counts = view["class_counts"].astype(np.float64)
    else:
        counts = view["logit_counts"][:, :, None].astype(np.float64)
    hits = counts[..., 1, :]
    return counts.sum(axis=-2), hits, hits


def curve(reference: View) -> Curve:
    """Learn from a baseline's total what to expect at each score."""
    return reference.once("curve of what happens", lambda: _curve(reference))


def _curve(reference: View) -> Curve:
    n, total, squares = (one[0] for one in channels(reference))
    numbers = "error_counts" in reference
    channel, bins = n.shape[1:]
    wanted = ERROR_GROUPS if numbers else GROUPS
    groups = np.zeros((channel, bins), dtype=np.int64)
    scores = np.zeros((channel, wanted))
    knots = 1 if numbers else len(_KNOTS)
    design, covariance = np.zeros((channel, bins, knots)), np.zeros((channel, knots, knots))
    expected, spread = np.zeros(n.shape), np.zeros(n.shape)
    for k in range(channel):
        starts = np.arange(bins) if numbers else coarse_groups(n[0, k], GROUPS)
        groups[k] = np.searchsorted(starts, np.arange(bins), side="right") - 1
        scores[k] = _normal_scores(np.bincount(groups[k], n[0, k], wanted).astype(np.float64))
        if numbers:
            expected[:, k], spread[:, k] = _errors(n[:, k], total[:, k], squares[:, k])
            continue
        design[k] = _hats(n[0, k])
        eta, covariance[k] = _fitted(design[k], n[0, k], total[0, k])
        expected[:, k] = special.expit(_by_segment(eta, n[:, k], total[:, k]))
        spread[:, k] = expected[:, k] * (1 - expected[:, k])
    names = scored_classes(reference.profile.layout) if "class_counts" in reference else ()
    return Curve(expected, spread, groups, scores, design, covariance, names)


def _normal_scores(held: Values) -> Values:
    if not held.sum():
        return np.zeros(len(held))
    shares = held / held.sum()
    rank = np.clip(np.cumsum(shares) - shares / 2, 1e-3, 1 - 1e-3)
    scores: Values = np.where(shares > 0, special.ndtri(rank), 0.0)
    scores = scores - shares @ scores
    size = np.sqrt(shares @ scores**2)
    return np.where(shares > 0, scores / size, 0.0) if size > 0 else scores * 0.0


def _hats(n: Values) -> Values:
    """Return a piecewise linear basis over the logits, with knots where the records are."""
    out = np.zeros((len(n), len(_KNOTS)))
    if not n.sum():
        out[:, 0] = 1.0
        return out
    through = np.cumsum(n) / n.sum()
    places = np.unique(_LOGITS[np.searchsorted(through, _KNOTS - 1e-9)])
    if len(places) == 1:
        out[:, 0] = 1.0
        return out
    for at in range(len(places)):
        out[:, at] = np.interp(_LOGITS, places, np.eye(len(places))[at])
    # Beyond the outer knots the curve goes on half as steep as between the two outermost.
    for end, near in ((0, 1), (-1, -2)):
        beyond = np.flatnonzero((_LOGITS - places[end]) * (places[end] - places[near]) > 0)
        far = np.abs(_LOGITS[beyond] - places[end]) / abs(places[end] - places[near]) / 2
        last, before = (len(places) + end) % len(places), (len(places) + near) % len(places)
        out[beyond, last] += far
        out[beyond, before] -= far
    return out


def _fitted(design: Values, n: Values, hits: Values) -> tuple[Values, Values]:
    """Fit a curve of logits by logistic regression, drawn to a line; also its covariance."""
    used = design.any(axis=0)
    x = design[:, used]
    knots = x.shape[1]
    penalty = np.eye(knots) * 1e-2
    for at in range(1, knots - 1):
        bend = np.zeros(knots)
        bend[at - 1 : at + 2] = -0.5, 1.0, -0.5
        penalty += np.outer(bend, bend)
    share = (hits.sum() + 0.5) / (n.sum() + 1.0)
    middle = special.logit(share)
    held = np.zeros(knots)
    curved = penalty
    for _ in range(_ROUNDS):
        p = special.expit(middle + x @ held)
        curved = (x.T * (n * p * (1 - p))) @ x + penalty
        step = np.linalg.solve(curved, x.T @ (hits - n * p) - penalty @ held)
        held += np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-8:
            break
    covariance = np.zeros((design.shape[1],) * 2)
    covariance[np.ix_(used, used)] = np.linalg.inv(curved)
    return middle + x @ held, covariance


def _by_segment(eta: Values, n: Values, hits: Values) -> Values:
    """Give each segment a level and a slope of its own, as far as its records tell: (s, bin)."""
    centre = (n[0] @ _LOGITS) / max(n[0].sum(), 1.0)
    z = (_LOGITS - centre) / 2
    level, slope = np.zeros((2, len(n), 1))
    for _ in range(_ROUNDS):
        p = special.expit(eta + level + slope * z)
        weight, rest = n * p * (1 - p), hits - n * p
        a = weight.sum(axis=1, keepdims=True) + 1 / _SEGMENT_LEVEL
        b = (weight * z).sum(axis=1, keepdims=True)
        c = (weight * z * z).sum(axis=1, keepdims=True) + 1 / _SEGMENT_SLOPE
        up = rest.sum(axis=1, keepdims=True) - level / _SEGMENT_LEVEL
        along = (rest * z).sum(axis=1, keepdims=True) - slope / _SEGMENT_SLOPE
        determinant = a * c - b * b
        steps = (c * up - b * along) / determinant, (a * along - b * up) / determinant
        level, slope = level + np.clip(steps[0], -2, 2), slope + np.clip(steps[1], -2, 2)
        if max(np.abs(one).max() for one in steps) < 1e-8:
            break
    level[0] = slope[0] = 0.0
    out: Values = eta + level + slope * z
    return out


def _errors(n: Values, total: Values, squares: Values) -> tuple[Values, Values]:
    """Return mean and variance of the errors of each group, (s, group) each."""
    overall = total[0].sum() / max(n[0].sum(), 1.0)
    mean = (total[0] + _SEGMENT_ROWS / 10 * overall) / (n[0] + _SEGMENT_ROWS / 10)
    apart = (total - n * mean).sum(axis=1) / (n.sum(axis=1) + _SEGMENT_ROWS)
    apart[0] = 0.0
    pooled = max(squares[0].sum() / max(n[0].sum(), 1.0) - overall**2, 0.0)
    about = np.maximum(squares - total**2 / np.maximum(n, 1), 0.0)
    spread = (about + _SEGMENT_ROWS * pooled) / (n + _SEGMENT_ROWS)
    return mean + apart[:, None], spread


def in_groups(values: Values, curve: Curve) -> Values:
    """Sum (…, channel, bin) by group: (…, channel, group)."""
    pick = curve.groups[..., None] == np.arange(curve.scores.shape[1])
    out: Values = np.einsum("wskb,kbg->wskg", values, pick.astype(np.float64))
    return out


def _moved(view: View, n: Values) -> tuple[Values, Values, Values]:
    """Return what the inputs move at a score: mean by group, its variance, and mean by fold."""
    if RELATION not in view.profile:
        return np.zeros(n.shape), np.zeros(n.shape), np.zeros((*n.shape, 1))
    held = view.profile[RELATION]
    rows = held["relation_rows"][..., None]
    by_fold = np.where(rows > 0, held["moved"] / np.maximum(rows, 1.0), 0.0)
    mean = by_fold.mean(axis=-1)
    rows = rows[..., 0]
    about = np.maximum(held["moved_squares"] - rows * mean**2, 0.0)
    variance = about / np.maximum(rows - 1, 1.0) / np.maximum(rows, 1.0)
    # One row tells nothing of its own spread: as much as it lies off.
    return mean, np.where(rows == 1, mean**2, variance), by_fold


@dataclass(frozen=True, eq=False)
class _Surprise:
    """What happened beyond what was to be expected; (window, segment, channel, group) each.

    ``by_fold`` has the relation's folds behind it: what each of them thinks the inputs move.
    """

    n: Values
    beyond: Values
    variance: Values
    by_fold: Values


def _surprise(current: View, reference: View) -> _Surprise:
    held = curve(reference)
    n, total, squares = channels(current)
    beyond = in_groups(total - n * held.expected, held)
    variance = in_groups(n * held.spread, held)
    if "error_counts" in current:
        own = np.maximum(squares - total**2 / np.maximum(n, 1.0), 0.0)
        own = in_groups(own, held).sum(axis=-1, keepdims=True)
        usual = variance.sum(axis=-1, keepdims=True)
        variance = variance * np.fmax(1.0, own / np.where(usual > 0, usual, np.inf))
    grouped = in_groups(n, held)
    # Without a labelled record in the baseline nothing can be expected of a channel.
    known = channels(reference)[0][:1, :1].sum(axis=-1, keepdims=True) > 0
    beyond = np.where(known, beyond, np.nan)
    mean, unsure, by_fold = _moved(current, grouped)
    beyond = beyond - grouped * mean
    variance = variance + grouped**2 * unsure
    return _Surprise(grouped, beyond, variance, by_fold)


def _unsure(current: View, reference: View, weight: Values) -> Values:
    """Variance of a part's mean that comes of the curve: (window, segment, channel).

    Only as far as the window's scores lie elsewhere than the baseline's: what both have in common
    is part of the expectation's own level.
    """
    held = curve(reference)
    if not held.covariance.any():
        return np.zeros(1)
    of_bins = np.take_along_axis(weight, held.groups, axis=1)
    pulls = []
    for view in (current, reference):
        n = channels(view)[0]
        share = n / np.maximum(n.sum(axis=-1, keepdims=True), 1.0)
        pulls.append(np.einsum("wskb,kbj->wskj", share * of_bins * held.spread, held.design))
    apart = pulls[0] - pulls[1]
    out: Values = np.einsum("wski,kij,wskj->wsk", apart, held.covariance, apart)
    return out


def surprises(current: View, reference: View) -> Linear:
    """Return level and slope of what happened beyond what was to be expected.

    ``level`` is the mean of what happened less what was expected, ``slope`` its mean product with
    the normal score of the record's group; of several classes each by itself, of numbers beside
    them ``size``: the mean size of errors less what was expected.
    """
    held = curve(reference)
    found = _surprise(current, reference)
    n = found.n.sum(axis=-1)
    numbers = "error_counts" in current
    values, variances, names = [], [], []
    for name, weight in (("level", np.ones_like(held.scores)), ("slope", held.scores)):
        value = (found.beyond * weight).sum(axis=-1) / n
        variance = (found.variance * weight**2).sum(axis=-1) / n**2
        share = found.n / n[..., None]
        by_fold = ((share * weight)[..., None] * found.by_fold).sum(axis=-2)
        folds = by_fold.shape[-1]
        variance = variance + (folds - 1) * by_fold.var(axis=-1)
        variance = variance + _unsure(current, reference, weight)
        if not numbers:
            value = np.where(found.variance.sum(axis=-1) >= _LEAST_VARIANCE, value, np.nan)
        for k in _frequent(reference, held):
            if numbers and k == 1 and name == "slope":
                continue
            values.append(value[..., k])
            variances.append(variance[..., k])
            own = "size" if numbers and k == 1 else name
            names.append(f"{own} of {held.names[k]}" if held.names else own)
    return Linear(np.stack(values, axis=-1), np.stack(variances, axis=-1), tuple(names))


def _frequent(reference: View, held: Curve) -> list[int]:
    """The channels that are looked at by themselves, in their order."""
    hits = channels(reference)[1][0, 0].sum(axis=-1)
    if not held.names:
        return list(range(len(hits)))
    return sorted(np.argsort(-hits, kind="stable")[:CLASSES].tolist())


def _size(current: View, reference: View) -> Values:
    found = _surprise(current, reference)
    channel = slice(0, 1) if "error_counts" in current else slice(None)
    n, beyond, variance = (one[:, :, channel] for one in (found.n, found.beyond, found.variance))
    with np.errstate(invalid="ignore", divide="ignore"):
        off = np.where(n > 0, (beyond**2 - variance) / n, 0.0 * beyond).sum(axis=-1)
        mean = (off / n.sum(axis=-1)).sum(axis=-1)
        # Every change of one class is one of another, too.
        size: Values = np.sqrt(np.maximum(mean, 0.0) / (2 if n.shape[2] > 1 else 1))
    return np.where(n[:, :, 0].sum(axis=-1) > 0, size, np.nan)


def _usual_error(reference: View) -> Values:
    """Mean absolute error of the baseline: what a change of errors is measured by."""
    mean: Values = reference["absolute"] / reference["labelled"]
    return mean


@metric(
    "concept_drift",
    Family.PERFORMANCE,
    group=PERFORMANCE,
    tasks=frozenset(Task),
    needs=("labels",),
    unit="share",
    direction=Direction.LOWER_IS_BETTER,
    judged=True,
    minimum_effect=0.02,
    by_task={
        Task.BINARY: {"needs": ("logit_counts",)},
        Task.MULTICLASS: {"needs": ("class_counts",)},
        Task.REGRESSION: {
            "needs": ("error_counts",),
            "unit": "label",
            "minimum_effect": 0.1,
            "yardstick": _usual_error,
        },
    },
    linear=surprises,
)
def concept_drift(current: View, reference: View) -> Values:
    """How far the same inputs come to another end: the change of P(y | score), inputs allowed for.

    Root mean square, over ten groups of scores, of how much more often (of numbers: of the mean
    error by prediction) it happened than the baseline leads one to expect there, less what chance
    alone does. Judged are its level and its slope over the scores.
    """
    return _size(current, reference)
