"""Performance by decisions: what the model said against what happened, counted by class.

Only records with a label and a prediction count, and all follow exactly from their counts. For
a binary model precision, recall and F1 are those of the positive class; for a multiclass one the
plain mean over its classes (macro), and ``…_micro`` over records. A value without records under
it is not defined (NaN), where scikit-learn would say 0. What needs probabilities is in
``probability.py`` and ``ranking.py``.
"""

from __future__ import annotations

import numpy as np

from tidegauge.metrics.registry import Direction, Family, Scale, Values, View, metric
from tidegauge.metrics.significance import share_change_p, share_rise_p, share_variance
from tidegauge.profile.profile import PERFORMANCE
from tidegauge.schema import Task

_BINARY = frozenset({Task.BINARY})
_MULTICLASS = frozenset({Task.MULTICLASS})
_CLASSES = _BINARY | _MULTICLASS
#: Of a mean over classes the sampling variance is not known.
_MACRO = {Task.MULTICLASS: {"noise": None, "p_value": None}}


def _decided(view: View) -> Values:
    """Records with label and prediction: (window, segment)."""
    counts: Values = view["confusion"].sum(axis=(-1, -2)).astype(np.float64)
    return counts


def _by_class(view: View) -> tuple[Values, Values, Values]:
    """Hits, predictions and labels of each class: (window, segment, class).

    A binary model has one class here: the positive one.
    """
    table = view["confusion"].astype(np.float64)
    hits = np.diagonal(table, axis1=-2, axis2=-1)
    said, true = table.sum(axis=-2), table.sum(axis=-1)
    if view.profile.layout.schema.task is Task.BINARY:
        return hits[..., 1:], said[..., 1:], true[..., 1:]
    return hits, said, true


def _mean_ratio(view: View, part: Values, whole: Values) -> Values:
    """Mean of part / whole over the classes that occur; of a single class the ratio itself."""
    ratio = part / whole
    if ratio.shape[-1] == 1:
        return ratio[..., 0]
    _, said, true = _by_class(view)
    occurs = said + true > 0
    total: Values = np.where(occurs & (whole > 0), ratio, 0.0).sum(axis=-1) / occurs.sum(axis=-1)
    return total


def _right(view: View) -> Values:
    right: Values = np.trace(view["confusion"], axis1=-2, axis2=-1).astype(np.float64)
    return right


def _accuracy_p(current: View, reference: View) -> Values:
    n, m = _decided(current), _decided(reference)
    return share_rise_p(n - _right(current), n, m - _right(reference), m)


@metric(
    "accuracy",
    Family.PERFORMANCE,
    group=PERFORMANCE,
    tasks=_CLASSES,
    needs=("confusion",),
    unit="share",
    direction=Direction.HIGHER_IS_BETTER,
    scale=Scale.ARCSINE,
    minimum_effect=0.02,
    by_task={Task.MULTICLASS: {"judged": True}},
    noise=lambda view: share_variance(_decided(view)),
    p_value=_accuracy_p,
    uses_reference=False,
)
def accuracy(current: View, reference: View) -> Values:
    """Share of records whose class was predicted rightly."""
    return _right(current) / _decided(current)


def _share_of(view: View, whole: int) -> tuple[Values, Values]:
    """Missed and all records under precision (``whole`` 1) or recall (2) of the positive class."""
    counts = _by_class(view)
    return (counts[whole] - counts[0])[..., 0], counts[whole][..., 0]


@metric(
    "precision",
    Family.PERFORMANCE,
    group=PERFORMANCE,
    tasks=_CLASSES,
    needs=("confusion",),
    unit="share",
    direction=Direction.HIGHER_IS_BETTER,
    scale=Scale.ARCSINE,
    minimum_effect=0.02,
    by_task=_MACRO,
    noise=lambda view: share_variance(_by_class(view)[1][..., 0]),
    p_value=lambda now, then: share_rise_p(*_share_of(now, 1), *_share_of(then, 1)),
    uses_reference=False,
)
def precision(current: View, reference: View) -> Values:
    """Share of the records predicted positive that were; of several classes the plain mean."""
    hits, said, _ = _by_class(current)
    return _mean_ratio(current, hits, said)


@metric(
    "recall",
    Family.PERFORMANCE,
    group=PERFORMANCE,
    tasks=_CLASSES,
    needs=("confusion",),
    unit="share",
    direction=Direction.HIGHER_IS_BETTER,
    scale=Scale.ARCSINE,
    minimum_effect=0.02,
    by_task=_MACRO,
    noise=lambda view: share_variance(_by_class(view)[2][..., 0]),
    p_value=lambda now, then: share_rise_p(*_share_of(now, 2), *_share_of(then, 2)),
    uses_reference=False,
)
def recall(current: View, reference: View) -> Values:
    """Share of the positive records that were predicted so; of several classes the plain mean."""
    hits, _, true = _by_class(current)
    return _mean_ratio(current, hits, true)


@metric(
    "f1",
    Family.PERFORMANCE,
    group=PERFORMANCE,
    tasks=_CLASSES,
    needs=("confusion",),
    unit="share",
    direction=Direction.HIGHER_IS_BETTER,
    scale=Scale.ARCSINE,
    minimum_effect=0.02,
    uses_reference=False,
)
def f1(current: View, reference: View) -> Values:
    """Harmonic mean of precision and recall; of several classes the plain mean."""
    hits, said, true = _by_class(current)
    return _mean_ratio(current, 2.0 * hits, said + true)


def _micro(name: str) -> None:
    def compute(current: View, reference: View) -> Values:
        return accuracy(current, reference)

    compute.__doc__ = (
        f"{name.capitalize()} over all records together; with one class a record, the accuracy."
    )
    metric(
        f"{name}_micro",
        Family.PERFORMANCE,
        group=PERFORMANCE,
        tasks=_MULTICLASS,
        needs=("confusion",),
        unit="share",
        direction=Direction.HIGHER_IS_BETTER,
        scale=Scale.ARCSINE,
        minimum_effect=0.02,
        noise=lambda view: share_variance(_decided(view)),
        p_value=_accuracy_p,
        uses_reference=False,
    )(compute)


for _name in ("precision", "recall", "f1"):
    _micro(_name)


def _positives(view: View) -> Values:
    return _by_class(view)[2][..., 0]


@metric(
    "mean_label",
    Family.PERFORMANCE,
    group=PERFORMANCE,
    tasks=_BINARY,
    needs=("confusion",),
    unit="share",
    direction=Direction.NEITHER,
    scale=Scale.ARCSINE,
    minimum_effect=0.02,
    noise=lambda view: share_variance(_decided(view)),
    p_value=lambda now, then: share_change_p(
        _positives(now), _decided(now), _positives(then), _decided(then)
    ),
    uses_reference=False,
)
def mean_label(current: View, reference: View) -> Values:
    """Rate of positives: the share of labelled records that were of the positive class."""
    return _positives(current) / _decided(current)


@metric(
    "label_coverage",
    Family.PERFORMANCE,
    group=PERFORMANCE,
    needs=("labels",),
    unit="share",
    direction=Direction.HIGHER_IS_BETTER,
    scale=Scale.ARCSINE,
    minimum_effect=0.02,
    noise=lambda view: share_variance(view.rows),
    uses_reference=False,
)
def label_coverage(current: View, reference: View) -> Values:
    """Share of records whose label is known."""
    known: Values = np.where(current.rows > 0, current["labels"] / current.rows, np.nan)
    return known
