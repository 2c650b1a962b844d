"""Performance by errors: how far numbers were from what was predicted, and ``bias`` of any task.

Only records with a finite label and a finite prediction count. All are read from exact sums, to
nine digits; of ``bias``, where errors cancel, those of the largest error.
"""

from __future__ import annotations

import numpy as np

from tidegauge.metrics.registry import Direction, Family, Scale, Values, View, metric
from tidegauge.metrics.significance import change_p, mean_variance
from tidegauge.profile.profile import PERFORMANCE
from tidegauge.schema import Task

_REGRESSION = frozenset({Task.REGRESSION})
_NUMBERS = _REGRESSION | {Task.BINARY}


def _mean(view: View, name: str) -> Values:
    mean: Values = view[name] / view["labelled"]
    return mean


def _log_noise(view: View, name: str, squares: str) -> Values:
    """Sampling variance of the logarithm of a mean over records."""
    mean = _mean(view, name)
    variance = mean_variance(view[name], view[squares], view["labelled"])
    noise: Values = np.where(mean == 0, 0.0, variance / mean**2)
    return noise


def _mean_p(current: View, reference: View, name: str, squares: str) -> Values:
    return change_p(
        _mean(current, name),
        _mean(reference, name),
        mean_variance(current[name], current[squares], current["labelled"]),
        mean_variance(reference[name], reference[squares], reference["labelled"]),
        Direction.LOWER_IS_BETTER,
    )


@metric(
    "mae",
    Family.PERFORMANCE,
    group=PERFORMANCE,
    tasks=_REGRESSION,
    needs=("absolute",),
    unit="label",
    scale=Scale.LOG,
    judged=True,
    minimum_effect=0.05,
    relative=True,
    noise=lambda view: _log_noise(view, "absolute", "squared"),
    p_value=lambda now, then: _mean_p(now, then, "absolute", "squared"),
    uses_reference=False,
)
def mae(current: View, reference: View) -> Values:
    """Mean absolute error, in the label's unit."""
    return _mean(current, "absolute")


@metric(
    "mse",
    Family.PERFORMANCE,
    group=PERFORMANCE,
    tasks=_REGRESSION,
    needs=("squared",),
    unit="label²",
    scale=Scale.LOG,
    minimum_effect=0.1,
    relative=True,
    noise=lambda view: _log_noise(view, "squared", "fourth"),
    p_value=lambda now, then: _mean_p(now, then, "squared", "fourth"),
    uses_reference=False,
)
def mse(current: View, reference: View) -> Values:
    """Mean squared error, in the label's unit squared."""
    return _mean(current, "squared")


@metric(
    "rmse",
    Family.PERFORMANCE,
    group=PERFORMANCE,
    tasks=_REGRESSION,
    needs=("squared",),
    unit="label",
    scale=Scale.LOG,
    minimum_effect=0.05,
    relative=True,
    noise=lambda view: _log_noise(view, "squared", "fourth") / 4,
    p_value=lambda now, then: _mean_p(now, then, "squared", "fourth"),
    uses_reference=False,
)
def rmse(current: View, reference: View) -> Values:
    """Root of the mean squared error, in the label's unit."""
    root: Values = np.sqrt(_mean(current, "squared"))
    return root


@metric(
    "mape",
    Family.PERFORMANCE,
    group=PERFORMANCE,
    tasks=_REGRESSION,
    needs=("relative",),
    unit="share",
    scale=Scale.LOG,
    minimum_effect=0.05,
    relative=True,
    uses_reference=False,
)
def mape(current: View, reference: View) -> Values:
    """Mean absolute error as a share of the label; immense where labels are zero."""
    return _mean(current, "relative")


@metric(
    "r2",
    Family.PERFORMANCE,
    group=PERFORMANCE,
    tasks=_REGRESSION,
    needs=("label_squares",),
    direction=Direction.HIGHER_IS_BETTER,
    minimum_effect=0.02,
    uses_reference=False,
)
def r2(current: View, reference: View) -> Values:
    """Coefficient of determination: the share of the labels' variance that is explained.

    Not defined where all labels are equal. Squares are summed about the middle of the baseline's
    labels: with the mean d deviations from there, the unexplained share is to some 1e-16 (1 + d²)
    (n times that at worst), so to nine digits up to about d = 1,000; from 1e6 on it is not defined.
    """
    n = current["labelled"]
    spread = current["label_squares"] - current["label_total"] ** 2 / n
    varied = spread > 1e-12 * current["label_squares"]
    share: Values = np.where(varied, 1.0 - current["squared"] / spread, np.nan)
    return share


def _bias(view: View) -> Values:
    if "labelled" in view:
        return -_mean(view, "errors")
    hits, scores, n = _hits_and_scores(view)
    return (hits - scores) / n


def _hits_and_scores(view: View) -> tuple[Values, Values, Values]:
    n: Values = view["calibration_counts"].sum(axis=-1).astype(np.float64)
    return view["calibration_hits"].sum(axis=-1), view["score_total"], n


def bias_noise(view: View) -> Values:
    """Return the sampling variance of ``bias``: (window, segment).

    For a binary model the larger of Σ p (1 − p) / n², as if scores were right, and what was seen.
    """
    if "labelled" in view:
        return mean_variance(view["errors"], view["squared"], view["labelled"])
    hits, scores, n = _hits_and_scores(view)
    if_right = (scores - view["score_squares"]) / n**2
    noise: Values = np.maximum(if_right, mean_variance(hits - scores, view["squared"], n))
    return noise


def _bias_p(current: View, reference: View) -> Values:
    return change_p(_bias(current), _bias(reference), bias_noise(current), bias_noise(reference))


@metric(
    "bias",
    Family.PERFORMANCE,
    group=PERFORMANCE,
    tasks=_NUMBERS,
    needs=("squared",),
    unit="share",
    direction=Direction.NEITHER,
    judged=True,
    minimum_effect=0.02,
    by_task={
        Task.REGRESSION: {
            "unit": "label",
            "minimum_effect": 0.1,
            "yardstick": lambda view: _mean(view, "absolute"),
        }
    },
    noise=bias_noise,
    p_value=_bias_p,
    uses_reference=False,
)
def bias(current: View, reference: View) -> Values:
    """How much more happened than was predicted: mean label less mean score or prediction.

    Above zero the model said too little. For numbers it is the mean error with the sign turned
    (label − prediction), so that it reads the same for every task; a change counts from a tenth
    of the baseline's mean absolute error on.
    """
    return _bias(current)
