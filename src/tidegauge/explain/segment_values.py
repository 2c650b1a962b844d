"""The metric over some records, from the records themselves, with an interval; and what the scores
of a segment promise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegauge.explain.segment_rows import Question, Rows

_Z = 1.959963984540054
_SCORE_BINS = 50


@dataclass(frozen=True)
class Estimate:
    """A value with a 95 % interval; NaN is written as None in JSON by whoever shows it."""

    value: float
    lower: float
    upper: float


def value_of(question: Question, rows: Rows, mask: NDArray[np.bool_] | None = None) -> Estimate:
    """Return the metric over some of the rows.

    Parameters
    ----------
    question : Question
    rows : Rows
        With at least one row.
    mask : (n,) bool, optional
        All rows by default.
    """
    chosen = slice(None) if mask is None else mask
    if question.ranks:
        return _area(rows.label[chosen], rows.score[chosen])
    loss = rows.loss[chosen]
    if question.lower_is_worse:
        return _share(1.0 - loss)
    n = len(loss)
    mean = float(loss.mean()) if n else 0.0
    half = _Z * float(loss.std(ddof=1)) / np.sqrt(n) if n > 1 else mean
    return Estimate(mean, max(mean - float(half), 0.0), mean + float(half))


def _share(hits: NDArray[np.float64]) -> Estimate:
    """A share with Wilson's interval (JASA 22, 1927)."""
    n = max(len(hits), 1)
    share = float(hits.sum()) / n
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * float(np.sqrt(share * (1 - share) / n + (_Z / (2 * n)) ** 2))
    return Estimate(share, max(centre - half, 0.0), min(centre + half, 1.0))


def _area(label: NDArray[np.float64], score: NDArray[np.float64]) -> Estimate:
    """ROC AUC with DeLong's variance, the interval on the scale of two normals' distance."""
    from scipy.special import ndtr, ndtri

    ones, zeros = np.sort(score[label == 1]), np.sort(score[label == 0])
    n1, n0 = len(ones), len(zeros)
    if not n1 or not n0:
        return Estimate(0.5, 0.0, 1.0)
    of_ones = (
        (np.searchsorted(zeros, ones, "left") + np.searchsorted(zeros, ones, "right")) / 2 / n0
    )
    of_zeros = (
        1 - (np.searchsorted(ones, zeros, "left") + np.searchsorted(ones, zeros, "right")) / 2 / n1
    )
    auc = float(of_ones.mean())
    spread = float(of_ones.var()) / max(n1 - 1, 1) + float(of_zeros.var()) / max(n0 - 1, 1)
    spread = max(spread, 0.25 / min(n0, n1) ** 2)
    at = float(ndtri(np.clip(auc, 0.5 / np.sqrt(n0 * n1), 1 - 0.5 / np.sqrt(n0 * n1))))
    half = _Z * np.sqrt(spread * 2 * np.pi * np.exp(at * at))
    return Estimate(auc, float(ndtr(at - half)), float(ndtr(at + half)))


def promised(question: Question, rows: Rows, mask: NDArray[np.bool_]) -> float | None:
    """Return the metric that a segment would have if its scores meant there what they mean outside.

    Outcomes by score bin are taken from the other records, the scores' distribution from the
    segment.

    Returns
    -------
    float or None
        None without scores.
    """
    if not np.isfinite(rows.score).all():
        return None
    levels = np.arange(1, _SCORE_BINS) / _SCORE_BINS
    edges = np.unique(np.quantile(rows.score[~mask], levels))
    codes = np.searchsorted(edges, rows.score, side="left")
    size = len(edges) + 1
    inside = np.bincount(codes[mask], minlength=size).astype(np.float64)
    outside = np.bincount(codes[~mask], minlength=size)
    told = rows.label if question.ranks else rows.loss
    sums = np.bincount(codes[~mask], weights=told[~mask], minlength=size)
    mean = float(told[~mask].mean())
    # An empty bin, or a nearly empty one, is told by all: as if one more record were in it.
    rate = (sums + mean) / (outside + 1.0)
    if not question.ranks:
        value = float((inside * rate).sum() / inside.sum())
        return 1.0 - value if question.lower_is_worse else value
    ones, zeros = inside * rate, inside * (1.0 - rate)
    if ones.sum() <= 0 or zeros.sum() <= 0:
        return None
    below = np.cumsum(zeros) - 0.5 * zeros
    return float((ones * below).sum() / (ones.sum() * zeros.sum()))
