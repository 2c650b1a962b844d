"""What is judged of a distribution: statistics that are linear in the shares of its bins.

A level that moves from day to day moves these along one direction, so that their variation
between windows is one variance, which a t-test can know. The quadratic divergences of ``drift.py``
have no such null; they say how large a change is, and are shown.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from tidegauge.metrics.registry import Linear, Values, View
from tidegauge.profile import CategoryBins
from tidegauge.profile.bins import coarse_groups

_LOCATION_BINS = 40
#: So far beyond the baseline's end groups a value counts at most, in σ.
_FAR = 8.0
_SHAPE_BINS = 10
#: Degrees of the polynomials: what about the distribution each of them sees.
_SHAPES = {2: "spread", 3: "asymmetry", 4: "tails"}
#: A category is judged by itself from this share of the baseline on, and at most so many are.
_OWN_SHARE = 0.01
_OWN = 50
#: Expected records below which a category's share is too coarse a number to be judged.
_FEWEST = 8
_REST = "all other values"


def _groups(reference: View, bins: int) -> tuple[NDArray[np.int64], Values, Values]:
    """First fine bins, shares and middle ranks of about ``bins`` groups of equal weight.

    All from the baseline's whole, so that every window and segment is measured alike.
    """
    counts = reference["counts"][0, 0].astype(np.float64)
    starts = coarse_groups(counts, bins)
    held = np.add.reduceat(counts, starts)
    shares = held / held.sum()
    return starts, shares, np.cumsum(shares) - shares / 2


def _means(view: View, starts: NDArray[np.int64], scores: Values) -> tuple[Values, Values]:
    """Mean of each score over a window's records, and the sampling variance of it.

    Parameters
    ----------
    scores : (group, part) float64

    Returns
    -------
    (window, segment, part) float64, twice
    """
    counts = np.add.reduceat(view["counts"].astype(np.float64), starts, axis=-1)
    n = counts.sum(axis=-1, keepdims=True)
    mean: Values = counts @ scores / n
    variance: Values = np.maximum(counts @ scores**2 / n - mean**2, 0.0) / n
    return mean, variance


class _Scores(NamedTuple):
    """Normal scores of a column's fine bins: mean 0, variance 1 in the baseline.

    Parameters
    ----------
    fixed : (bin,) float64
    ends : (2,) float64
        The baseline's least and greatest value.
    scales : (2,) float64
        What a step beyond each of them is measured by.
    """

    fixed: Values
    ends: Values
    scales: Values


def _normal_scores(reference: View) -> _Scores:
    """Score the bins by their rank in the baseline, and their outermost by their distance.

    Between the ends each of about 40 groups of bins has the normal quantile of its middle rank
    (van der Waerden, 1952). A rank says no more once values leave the baseline's range, so in the
    end groups, and beyond, each bin lies as far out as its mean does, in σ of the middle or in the
    end's own spread, whichever is greater: heavy tails weigh little more than their rank.
    """
    starts, _, rank = _groups(reference, _LOCATION_BINS)
    half = 0.5 / _LOCATION_BINS
    by_group = special.ndtri(np.clip(rank, half, 1 - half))
    counts, sums = (reference[name][0, 0].astype(np.float64) for name in ("counts", "sums"))
    group = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(counts))))
    held = np.bincount(group, counts)
    centres = np.bincount(group, sums) / held
    ends = np.array([reference["minimum"][0, 0], reference["maximum"][0, 0]], dtype=np.float64)
    known = np.isfinite(centres)
    if not known.any():
        return _Scores(np.full(len(counts), np.nan), ends, np.ones(2))
    sigma = np.diff(np.interp([-1.0, 1.0], by_group[known], centres[known]))[0] / 2
    fixed, scales = by_group[group], np.full(2, sigma)
    means = np.where(counts > 0, sums / counts, np.nan)
    for side, last in ((0, 0), (1, len(starts) - 1)):
        own = np.flatnonzero((group == last) & (counts > 0))
        if not own.size or len(starts) < 3:
            continue
        away = means[own] - centres[last]
        scales[side] = max(sigma, np.sqrt((counts[own] * away**2).sum() / held[last]))
        if scales[side] > 0:
            fixed[own] += np.clip(away / scales[side], -_FAR, _FAR)
        fixed[-side] = fixed[own[-side]]
    total = counts.sum()
    fixed = fixed - counts @ fixed / total
    spread = np.sqrt(counts @ fixed**2 / total)
    return _Scores(fixed / spread if spread > 0 else fixed, ends, scales)


def _scored(view: View, scores: _Scores) -> tuple[Values, Values]:
    """Mean score of a window's records, and the variance of one: (window, segment)."""
    counts, sums = view["counts"].astype(np.float64), view["sums"]
    n = view.present
    total, squares = counts @ scores.fixed, counts @ scores.fixed**2
    for side in (0, 1):
        beyond, end = counts[..., -side], scores.fixed[-side]
        sign = 2 * side - 1
        step = sign * (sums[..., -side] / beyond - scores.ends[side]) / scores.scales[side]
        # Beside a constant nothing tells what is far: one step.
        step = np.where(scores.scales[side] > 0, step, 1.0)
        far = sign * np.clip(np.where(beyond > 0, step, 0.0), 0.0, _FAR)
        total += beyond * far
        squares += beyond * ((end + far) ** 2 - end**2)
    mean: Values = total / n
    return mean, np.maximum(squares / n - mean**2, 0.0)


def location(current: View, reference: View) -> Linear:
    """Return how far the mean normal score lies from the baseline's, in its standard deviations."""
    scores = _normal_scores(reference)
    mean, own = _scored(current, scores)
    usual, theirs = _scored(reference, scores)
    variance = np.fmax(own, theirs) / current.present
    return Linear((mean - usual)[..., None], variance[..., None], ("location",))


def polynomials(rank: Values, shares: Values) -> Values:
    """Return polynomials of a rank, orthonormal under the given shares, of degrees 2 to 4.

    Parameters
    ----------
    rank, shares : (group,) float64

    Returns
    -------
    (group, 3) float64
        0 for the degrees that so few groups cannot tell apart.

    Examples
    --------
    >>> even = np.full(10, 0.1)
    >>> curves = polynomials(np.arange(10) / 10 + 0.05, even)
    >>> np.allclose(curves.T @ (curves * even[:, None]), np.eye(3))
    True
    """
    out = np.zeros((len(rank), len(_SHAPES)))
    filled = np.flatnonzero(shares > 0)
    degrees = [d for d in _SHAPES if d < len(filled)]
    if degrees:
        root = np.sqrt(shares[filled])
        powers = (2 * rank[filled, None] - 1) ** np.arange(degrees[-1] + 1)
        q, r = np.linalg.qr(powers * root[:, None])
        out[filled, : len(degrees)] = (q * np.sign(np.diag(r)) / root[:, None])[:, degrees]
    return out


def shape(current: View, reference: View) -> Linear:
    """Return how far the means of three polynomials of the rank lie from the baseline's.

    Source: the components of Neyman's smooth test (1937).
    """
    starts, shares, rank = _groups(reference, _SHAPE_BINS)
    scores = polynomials(rank, shares)
    return _moved(current, reference, starts, scores, tuple(_SHAPES.values()))


def _moved(
    current: View,
    reference: View,
    starts: NDArray[np.int64],
    scores: Values,
    parts: tuple[str, ...],
) -> Linear:
    """Hold means of scores to those of the same segment in the baseline.

    The variance of a record is the baseline's, or the window's own where that is greater: of few
    records the own is too often too small.
    """
    mean, own = _means(current, starts, scores)
    usual, theirs = _means(reference, starts, scores)
    n, m = current.present[..., None], reference.present[..., None]
    return Linear(mean - usual, np.fmax(own, theirs * m / n), parts)


def categories(current: View, reference: View) -> Linear:
    """Return the share of each frequent value and of all others, as the arcsine of its root.

    A value is left out of a window in which fewer than eight records of it are expected.
    """
    counts = reference["counts"][0, 0].astype(np.float64)
    shares = counts / counts.sum() if counts.sum() else counts
    own = _own(shares)
    rest = np.setdiff1d(np.arange(len(shares)), own)
    held = current["counts"].astype(np.float64)
    parts = np.concatenate((held[..., own], held[..., rest].sum(axis=-1, keepdims=True)), axis=-1)
    usual = np.append(shares[own], shares[rest].sum())
    n = current.present[..., None]
    value = np.arcsin(np.sqrt((parts + 0.375) / (n + 0.75)))
    known = (n * np.minimum(usual, 1 - usual) >= _FEWEST) | (usual == 1)
    value = np.where(known, value, np.nan)
    variance = np.broadcast_to(1.0 / (4.0 * n + 2.0), value.shape)
    return Linear(value, variance, (*(_name(reference, int(i)) for i in own), _REST))


def _own(shares: Values) -> NDArray[np.int64]:
    """The categories that are judged by themselves, the most frequent first."""
    order = np.argsort(-shares, kind="stable")[:_OWN]
    return order[shares[order] >= _OWN_SHARE].astype(np.int64)


def _name(view: View, index: int) -> str:
    bins = view.bins
    assert isinstance(bins, CategoryBins)
    return bins.values[index] if index < len(bins.values) else _REST
