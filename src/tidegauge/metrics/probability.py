"""Performance by probabilities: how far the scores were from what happened, and how sure.

Only records with a label and a score in 0–1 count; the confidence needs no label. All are read
from exact sums, to nine digits, but for the quantiles of the confidence.
"""

from __future__ import annotations

import numpy as np

from tidegauge.metrics.registry import Compute, Direction, Family, Scale, Values, View, metric
from tidegauge.metrics.significance import change_p, mean_variance
from tidegauge.profile.profile import CONFIDENCE, PERFORMANCE
from tidegauge.schema import Task

_CLASSES = frozenset({Task.BINARY, Task.MULTICLASS})


def _scored(view: View) -> Values:
    """Records with label and score: (window, segment)."""
    counts: Values = view["calibration_counts"].sum(axis=-1).astype(np.float64)
    return counts


def _mean(view: View, name: str) -> Values:
    mean: Values = view[name] / _scored(view)
    return mean


def _mean_noise(view: View, name: str, squares: str) -> Values:
    return mean_variance(view[name], view[squares], _scored(view))


def _mean_p(name: str, squares: str, direction: Direction = Direction.NEITHER) -> Compute:
    """Two-sample z-test of a mean over scored records."""

    def p_value(current: View, reference: View) -> Values:
        return change_p(
            _mean(current, name),
            _mean(reference, name),
            _mean_noise(current, name, squares),
            _mean_noise(reference, name, squares),
            direction,
        )

    return p_value


def _log_noise(view: View, name: str, squares: str) -> Values:
    """Sampling variance of the logarithm of a mean."""
    mean = _mean(view, name)
    noise: Values = np.where(mean == 0, 0.0, _mean_noise(view, name, squares) / mean**2)
    return noise


@metric(
    "log_loss",
    Family.PERFORMANCE,
    group=PERFORMANCE,
    tasks=_CLASSES,
    needs=("log_loss",),
    unit="nats",
    scale=Scale.LOG,
    minimum_effect=0.05,
    relative=True,
    noise=lambda view: _log_noise(view, "log_loss", "log_loss_squares"),
    p_value=_mean_p("log_loss", "log_loss_squares", Direction.LOWER_IS_BETTER),
    uses_reference=False,
)
def log_loss(current: View, reference: View) -> Values:
    """Cross-entropy: the mean of −ln of the probability given to what happened.

    Probabilities are held 2.2e-16 away from 0 and 1, as in scikit-learn; those of several classes
    are made to add up to one.
    """
    return _mean(current, "log_loss")


@metric(
    "brier",
    Family.PERFORMANCE,
    group=PERFORMANCE,
    tasks=_CLASSES,
    needs=("squared",),
    scale=Scale.LOG,
    minimum_effect=0.05,
    relative=True,
    noise=lambda view: _log_noise(view, "squared", "fourth"),
    p_value=_mean_p("squared", "fourth", Direction.LOWER_IS_BETTER),
    uses_reference=False,
)
def brier(current: View, reference: View) -> Values:
    """Brier score: the mean squared distance of the probability from what happened.

    Of several classes the squares are summed, so it reaches 2. Source: Brier (1950).
    """
    return _mean(current, "squared")


@metric(
    "calibration_error",
    Family.PERFORMANCE,
    group=PERFORMANCE,
    tasks=_CLASSES,
    needs=("calibration_counts",),
    unit="share",
    minimum_effect=0.02,
    uses_reference=False,
)
def calibration_error(current: View, reference: View) -> Values:
    """Expected calibration error: mean gap between score and what happened, over ten bins.

    Bins of equal width, closed on the right (scikit-learn's ``calibration_curve``), each at its
    own mean score; of several classes the likeliest one's probability is held against whether it
    was right. Source: Naeini, Cooper and Hauskrecht (2015).

    It is above zero even for a calibrated model, the more so the fewer records there are.
    """
    gaps = np.abs(current["calibration_hits"] - current["calibration_scores"])
    error: Values = gaps.sum(axis=-1) / _scored(current)
    return error


@metric(
    "mean_score",
    Family.PERFORMANCE,
    group=PERFORMANCE,
    tasks=_CLASSES,
    needs=("score_total",),
    unit="share",
    direction=Direction.NEITHER,
    minimum_effect=0.02,
    noise=lambda view: _mean_noise(view, "score_total", "score_squares"),
    p_value=_mean_p("score_total", "score_squares"),
    uses_reference=False,
)
def mean_score(current: View, reference: View) -> Values:
    """Mean score of the labelled records; of several classes that of the likeliest one."""
    return _mean(current, "score_total")


@metric(
    "mean_confidence",
    Family.PERFORMANCE,
    group=CONFIDENCE,
    tasks=_CLASSES,
    needs=("total",),
    unit="share",
    direction=Direction.NEITHER,
    minimum_effect=0.02,
    uses_reference=False,
)
def mean_confidence(current: View, reference: View) -> Values:
    """Mean probability of the likeliest class, over all records with a score, labelled or not."""
    return current["total"] / current.present


def _confidence_quantile(name: str, level: float) -> None:
    def compute(current: View, reference: View) -> Values:
        return share_quantile(current["counts"], level)

    compute.__doc__ = (
        f"{level:.0%} quantile of the probability of the likeliest class, within 0.01; "
        "over all records with a score.\n\n"
        "The exact one is the smallest probability that this share of the records does not exceed."
    )
    metric(
        name,
        Family.PERFORMANCE,
        group=CONFIDENCE,
        tasks=_CLASSES,
        needs=("counts",),
        unit="share",
        direction=Direction.NEITHER,
        minimum_effect=0.02,
        uses_reference=False,
    )(compute)


def share_quantile(counts: Values, level: float) -> Values:
    """Return a quantile of shares from their counts over equal-width bins of 0–1.

    Within its bin by straight interpolation, so at most one bin's width from the smallest value
    that ``level`` of all do not exceed.

    Parameters
    ----------
    counts : (..., bin)
    level : float
        In 0–1.

    Returns
    -------
    (...) float64
        NaN where there are none.

    Examples
    --------
    >>> share_quantile(np.array([0, 0, 2, 2]), 0.5).tolist()
    0.75
    """
    bins = counts.shape[-1]
    n = counts.sum(axis=-1)
    through = np.cumsum(counts, axis=-1)
    target = level * n
    at = np.minimum((through < target[..., None]).sum(axis=-1), bins - 1)
    held = np.take_along_axis(counts, at[..., None], axis=-1)[..., 0]
    past = np.take_along_axis(through, at[..., None], axis=-1)[..., 0] - held
    inside = np.clip((target - past) / np.maximum(held, 1), 0.0, 1.0)
    value: Values = np.where(n > 0, (at + inside) / bins, np.nan)
    return value


_confidence_quantile("confidence_p05", 0.05)
_confidence_quantile("confidence_p50", 0.5)
