"""Fairness: how far the segments of one segment column lie apart in what a model does to them.

One value for each segment column, of all records: the greatest group's value less the smallest's,
or the smallest over the greatest, as fairlearn's metrics have it (``method="between_groups"``,
``agg="worst_case"``), with its 95 % interval (``between.py``). The groups are the column's values.
``(other)``, which pools rare and missing values, is no group, and is left out; so is a group with
fewer than ``FEWEST`` records under its rate. Both are named in the reason of the result.

For a multiclass model every class in turn is the positive one, and the value is that of the class
for which groups lie furthest apart; of fairlearn's binary metrics the worst. Rates are not defined
without a record under them, where fairlearn says 0.

Whether a decision was positive is known of every record, so demographic parity needs no labels;
the rest is read from labelled records. Which of these are due to be equal is for people to say:
they contradict one another wherever base rates differ (Kleinberg, Mullainathan and Raghavan 2016;
Chouldechova 2017), so they are shown, and judged only where a monitor asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.metrics.between import Flags, Groups, Spread, difference, means, ratio, shares
from tidegauge.metrics.registry import Direction, Family, Values, View, metric
from tidegauge.metrics.significance import mean_variance
from tidegauge.profile import NumericBins
from tidegauge.profile.bins import CategoryBins
from tidegauge.profile.columns import centre
from tidegauge.profile.layout import OTHER
from tidegauge.profile.profile import ESTIMATE, PERFORMANCE, ROWS, Array
from tidegauge.profile.values import truth
from tidegauge.schema import ColumnType, Role, Task
from tidegauge.schema.divisions import CROSS

#: Records that a group needs under its rate to be compared: of fewer, the 95 % interval of a share
#: of a half is wider than 0.4.
FEWEST = 20
#: Below this ratio of selection rates the Uniform Guidelines on Employee Selection Procedures
#: (29 CFR 1607.4 D, 1978) see evidence of adverse impact.
FOUR_FIFTHS = 0.8

_BINARY = frozenset({Task.BINARY})
_MULTICLASS = frozenset({Task.MULTICLASS})
_CLASSES = _BINARY | _MULTICLASS
_REGRESSION = frozenset({Task.REGRESSION})
_NAMED = 3
#: Positive classes that may be written in several ways.
_NUMERALS = frozenset({"0", "1", "true", "false"})
#: How a column of truth values names the true one; that of 0 and 1 as a number.
_TRUE = frozenset({"1", "true"})


@dataclass(frozen=True, eq=False)
class Compared:
    """The groups of one segment column in one respect.

    Parameters
    ----------
    groups : Groups
    base : (window, group) float64
        Records of each group that say anything here at all.
    under : tuple of str
        What the records under each kind of value are called.
    kinds : tuple of str
        What each kind of value is called; empty where there is one alone.
    share : bool
        Whether values are shares.
    """

    groups: Groups
    base: Values
    under: tuple[str, ...]
    kinds: tuple[str, ...] = ("",)
    share: bool = True


Make = Callable[[View], Compared]


def _named(view: View) -> Flags:
    """Which segments are groups: (group,)."""
    return np.array([not _pooled(value) for value in view.compared[1]], dtype=np.bool_)


def _pooled(value: str) -> bool:
    """Whether a segment holds what is pooled of its column, or of one of a combination's."""
    return OTHER in value.split(CROSS)


def _shares(hits: Values, records: Values, named: Flags) -> Groups:
    return shares(hits, np.where(named[None, :, None], records, 0.0), FEWEST)


def _means(total: Values, squares: Values, records: Values, named: Flags) -> Groups:
    """Groups by a mean, from sums over their records: (window, group) each."""
    n = np.where(named, records, 0.0)
    with np.errstate(all="ignore"):
        mean, variance = total / n, mean_variance(total, squares, n)
    return means(mean[..., None], variance[..., None], n[..., None], FEWEST)


# What the model said


def _said(view: View) -> tuple[NDArray[Any], str]:
    """Records by predicted class: (window, segment, class), and what these records are called.

    Out of the prediction's own column; where only scores tell it, of all records with one; of
    labelled records where the profile tells no more, as those of earlier releases.
    """
    named = _named_predictions(view)
    if named is not None:
        return named, "predictions"
    scored = "predictions with a score within 0–1"
    answers, held = (view.profile.arrays.get(name, {}) for name in (ESTIMATE, PERFORMANCE))
    if "said_scores" in answers:
        return answers["said_scores"].sum(axis=-1), scored
    if "said_class_scores" in answers:
        return answers["said_class_scores"][:, :, :, 0].sum(axis=-1), scored
    if "confusion" in held:
        return held["confusion"].sum(axis=-2), "labelled predictions"
    return np.zeros((*view.rows.shape, 2), dtype=np.int64), "predictions"


def _named_predictions(view: View) -> NDArray[Any] | None:
    """Records by predicted class, where the model says classes by name; None where it does not."""
    layout = view.profile.layout
    column = layout.schema.role(Role.PREDICTION)
    bins = None if column is None else layout.bins.get(column.name)
    if column is None or not isinstance(bins, CategoryBins) or column.name not in view.profile:
        return None
    counts = view.profile[column.name]["counts"]
    if layout.schema.task is Task.BINARY:
        positive, size = layout.schema.positive, 2
        if column.type is ColumnType.BOOLEAN:
            words = pa.array([value in _TRUE for value in bins.values], pa.bool_())
            place = np.append(truth(words, positive), -1)
        elif positive in bins.values and positive not in _NUMERALS:
            place = np.array([value == positive for value in (*bins.values, None)], np.int64)
        else:  # Words that stand for numbers, or a class that the baseline has not seen.
            return None
    else:
        at = {name: k for k, name in enumerate(layout.classes)}
        size = CategoryBins(layout.classes).size
        place = np.array([at.get(name, size - 1) for name in bins.values] + [size - 1])
    out = np.zeros((*counts.shape[:2], size), dtype=np.int64)
    for k in range(size):
        out[..., k] = counts[..., np.flatnonzero(place == k)].sum(axis=-1)
    return out


def _classes(view: View, each: Values) -> Values:
    """The last axis without the negative class of a binary model."""
    return each[..., 1:] if view.profile.layout.schema.task is Task.BINARY else each


def _class_names(view: View) -> tuple[str, ...]:
    layout = view.profile.layout
    return ("",) if layout.schema.task is Task.BINARY else (*layout.classes, OTHER)


def _selection(view: View) -> Compared:
    part, _ = view.compared
    said, word = _said(view)
    table = said[:, part].astype(np.float64)
    n = table.sum(axis=-1)
    hits, names = _classes(view, table), _class_names(view)
    records = np.broadcast_to(n[..., None], hits.shape)
    return Compared(_shares(hits, records, _named(view)), n, (word,) * len(names), names)


def _decided(view: View) -> NDArray[np.int64]:
    decided: NDArray[np.int64] = _said(view)[0].sum(axis=-1).astype(np.int64)
    return decided


# What the model said, against what happened


def _rates(*wanted: str) -> Make:
    """Return what gives one or more of a confusion matrix's rates, one after the other."""

    def make(view: View) -> Compared:
        part, _ = view.compared
        table = view["confusion"][:, part].astype(np.float64)
        hits = np.diagonal(table, axis1=-2, axis2=-1)
        said, true = table.sum(axis=-2), table.sum(axis=-1)
        base = table.sum(axis=(-1, -2))
        cells = {
            "true positive rate": (hits, true, "labelled positives"),
            "false positive rate": (said - hits, base[..., None] - true, "labelled negatives"),
            "false negative rate": (true - hits, true, "labelled positives"),
            "precision": (hits, said, "labelled predicted positives"),
        }
        names = _class_names(view)
        chosen = [cells[name] for name in wanted]
        one = len(wanted) == 1
        kinds = tuple(
            " of ".join(word for word in ("" if one else rate, name) if word)
            for rate in wanted
            for name in names
        )
        above = np.concatenate([_classes(view, cell[0]) for cell in chosen], axis=-1)
        below = np.concatenate([_classes(view, cell[1]) for cell in chosen], axis=-1)
        under = tuple(cell[2] for cell in chosen for _ in names)
        return Compared(_shares(above, below, _named(view)), base, under, kinds)

    return make


def _calibration(view: View) -> Compared:
    """Mean score less the share of positives: calibration-in-the-large of each group.

    For a multiclass model: the mean confidence less the share that was right.
    """
    part, _ = view.compared
    counts, scores, hits = (
        view[f"calibration_{name}"][:, part].astype(np.float64)
        for name in ("counts", "scores", "hits")
    )
    n, total = counts.sum(axis=-1), (scores - hits).sum(axis=-1)
    if view.profile.layout.schema.task is Task.BINARY:
        squares = view["squared"][:, part].astype(np.float64)
    else:
        # Confidence and being right vary together at least as much as their means by bin do.
        with np.errstate(all="ignore"):
            shared = np.where(counts > 0, scores * hits / counts, 0.0).sum(axis=-1)
        squares = view["score_squares"][:, part] + hits.sum(axis=-1) - 2 * shared
    groups = _means(total, squares, n, _named(view))
    return Compared(groups, n, ("labelled records with a score within 0–1",))


def _calibrated(view: View) -> NDArray[np.int64]:
    held: NDArray[np.int64] = view["calibration_counts"].sum(axis=-1).astype(np.int64)
    return held


# Numbers that were predicted


def _prediction(view: View) -> tuple[Array, Array, Array]:
    """Number, sum and sum of squares of predictions, labelled or not: (window, segment) each."""
    layout = view.profile.layout
    column = layout.schema.role(Role.PREDICTION) or layout.schema.role(Role.SCORE)
    bins = None if column is None else layout.bins.get(column.name)
    if column is None or not isinstance(bins, NumericBins) or column.name not in view.profile:
        return (np.zeros(view.rows.shape),) * 3
    held = view.profile[column.name]
    n, total = held["counts"].sum(axis=-1).astype(np.float64), held["sums"].sum(axis=-1)
    about = centre(bins)
    return n, total, held["squares"] + about * (2 * total - about * n)


def _mean_prediction(view: View) -> Compared:
    part, _ = view.compared
    n, total, squares = (each[:, part] for each in _prediction(view))
    groups = _means(total, squares, n, _named(view))
    return Compared(groups, n, ("predictions",), share=False)


def _predicted(view: View) -> NDArray[np.int64]:
    return _prediction(view)[0].astype(np.int64)


def _errors(name: str, squares: str) -> Make:
    def make(view: View) -> Compared:
        part, _ = view.compared
        n = view["labelled"][:, part].astype(np.float64)
        groups = _means(view[name][:, part], view[squares][:, part], n, _named(view))
        return Compared(groups, n, ("labelled records",), share=False)

    return make


def _root(view: View) -> Compared:
    part, _ = view.compared
    n = view["labelled"][:, part].astype(np.float64)
    used = np.where(_named(view), n, 0.0)
    squared, fourth = view["squared"][:, part], view["fourth"][:, part]
    with np.errstate(all="ignore"):
        mean = squared / used
        noise = mean_variance(squared, fourth, used)
        noise = np.where(mean > 0, noise / (4.0 * mean), noise)
    groups = means(np.sqrt(mean)[..., None], noise[..., None], used[..., None], FEWEST)
    return Compared(groups, n, ("labelled records",), share=False)


# The metrics


def _register(
    name: str,
    make: Make,
    summary: str,
    *,
    smallest: bool = False,
    four_fifths: bool = False,
    **about: Any,
) -> None:
    """Register the greatest difference, or the smallest ratio, of what ``make`` gives."""

    def held(view: View) -> tuple[Compared, Spread]:
        def found() -> tuple[Compared, Spread]:
            compared = make(view)
            with np.errstate(all="ignore"):
                return compared, (ratio if smallest else difference)(compared.groups)

        return view.once(name, found)

    def whole(view: View, values: NDArray[Any], blank: Any) -> NDArray[Any]:
        out = np.full(view.rows.shape, blank, dtype=values.dtype)
        out[:, 0] = values
        return out

    def compute(current: View, reference: View) -> Values:
        return whole(current, held(current)[1].value, np.nan)

    def interval(current: View, reference: View) -> tuple[Values, Values]:
        spread = held(current)[1]
        return whole(current, spread.lower, np.nan), whole(current, spread.upper, np.nan)

    def reason(current: View, reference: View) -> NDArray[np.object_]:
        compared, spread = held(current)
        values = current.compared[1]
        told = [
            _told(compared, spread, values, at, four_fifths=four_fifths)
            for at in range(len(spread.value))
        ]
        return whole(current, np.array(told, dtype=object), None)

    def enough(view: View) -> Flags:
        compared, spread = held(view)
        groups = (compared.base * _named(view) > 0).sum(axis=1)
        out = np.ones(view.rows.shape, dtype=np.bool_)
        out[:, 0] = np.isfinite(spread.value) | (groups < 2)
        return out

    compute.__doc__ = summary
    metric(
        name,
        Family.FAIRNESS,
        unit=about.pop("unit", "share"),
        direction=Direction.HIGHER_IS_BETTER if smallest else Direction.LOWER_IS_BETTER,
        minimum_effect=about.pop("minimum_effect", 0.05),
        uses_reference=False,
        over_segments=True,
        interval=interval,
        reason=reason,
        enough=enough,
        **about,
    )(compute)


def _told(
    compared: Compared, spread: Spread, values: tuple[str, ...], at: int, *, four_fifths: bool
) -> str | None:
    """Say which groups a value is of, and which were left out; or why there is none."""
    left = _left_out(compared, values, at, int(spread.kind[at]))
    if not np.isfinite(spread.value[at]):
        why = _why_not(compared, values, at)
        return f"{why}; {left}" if left else why
    kind = int(spread.kind[at])
    top, bottom = int(spread.greatest[at]), int(spread.smallest[at])
    of = f"{compared.kinds[kind]}: " if compared.kinds[kind] else ""
    first, last = (_number(compared, at, group, kind) for group in (top, bottom))
    said = f"{of}{values[top]} {first}, {values[bottom]} {last}"
    if four_fifths:
        said = f"{_four_fifths(spread, at)}; {said}"
    lost = _not_compared(compared, at)
    return "; ".join(part for part in (said, lost, left) if part)


def _not_compared(compared: Compared, at: int) -> str:
    """Name the rates, or classes, with too few groups to be compared, where others have enough."""
    few = np.flatnonzero(compared.groups.enough[at].sum(axis=0) < 2)
    if not len(few):
        return ""
    more = f" and {len(few) - _NAMED} more" if len(few) > _NAMED else ""
    return f"too few for {', '.join(compared.kinds[k] for k in few[:_NAMED])}{more}"


def _four_fifths(spread: Spread, at: int) -> str:
    if spread.value[at] >= FOUR_FIFTHS:
        return "four fifths are kept"
    sure = spread.upper[at] < FOUR_FIFTHS
    return "below four fifths" + (", and not by chance alone" if sure else ", perhaps by chance")


def _number(compared: Compared, at: int, group: int, kind: int) -> str:
    value = float(compared.groups.value[at, group, kind])
    return f"{value:.1%}" if compared.share else f"{value:.3g}"


def _left_out(compared: Compared, values: tuple[str, ...], at: int, kind: int) -> str:
    """Name the groups that have records, but too few, and the pooled rest."""
    kind = max(kind, 0)
    enough, n = compared.groups.enough[at, :, kind], compared.groups.records[at, :, kind]
    seen = [g for g in np.flatnonzero(compared.base[at] > 0) if not enough[g]]
    if not seen:
        return ""
    told = [
        values[g] if _pooled(values[g]) else f"{values[g]} ({int(n[g])})"
        for g in sorted(seen, key=lambda g: -compared.base[at, g])
    ]
    more = f" and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
    return f"left out: {', '.join(told[:_NAMED])}{more}"


def _why_not(compared: Compared, values: tuple[str, ...], at: int) -> str:
    held = [g for g in np.flatnonzero(compared.base[at] > 0) if not _pooled(values[g])]
    under = compared.under[0] if len(set(compared.under)) == 1 else "records of each outcome"
    if not held:
        return f"no group has {under}"
    if len(held) == 1:
        return f"{values[held[0]]} is the only group with {under}"
    if (compared.groups.enough[at].sum(axis=0) >= 2).any():
        return "every group's rate is 0, so there is no ratio"
    return f"fewer than two groups with {FEWEST} {under}"


_LABELLED: dict[str, Any] = {"group": PERFORMANCE, "tasks": _CLASSES, "needs": ("confusion",)}
_ANY: dict[str, Any] = {"group": ROWS, "tasks": _CLASSES, "needs": ("n",), "records": _decided}

_register(
    "demographic_parity_difference",
    _selection,
    "Selection rate (share predicted positive) of the greatest group less the smallest's.",
    **_ANY,
)
_register(
    "demographic_parity_ratio",
    _selection,
    "Selection rate (share predicted positive) of the smallest group over the greatest's.",
    smallest=True,
    **_ANY,
)
_register(
    "disparate_impact",
    _selection,
    "Smallest selection rate over the greatest; adverse below four fifths (29 CFR 1607.4 D).",
    smallest=True,
    four_fifths=True,
    **_ANY,
)
_register(
    "equal_opportunity_difference",
    _rates("true positive rate"),
    "True positive rate of the greatest group less the smallest's (Hardt et al. 2016).",
    **_LABELLED,
)
_register(
    "equal_opportunity_ratio",
    _rates("true positive rate"),
    "True positive rate of the smallest group over the greatest's (Hardt et al. 2016).",
    smallest=True,
    **_LABELLED,
)
_ODDS = _rates("true positive rate", "false positive rate")
_register(
    "equalized_odds_difference",
    _ODDS,
    "The larger of the differences in true and in false positive rate (Hardt et al. 2016).",
    **_LABELLED,
)
_register(
    "equalized_odds_ratio",
    _ODDS,
    "The smaller of the ratios of true and of false positive rates (Hardt et al. 2016).",
    smallest=True,
    **_LABELLED,
)
_register(
    "predictive_parity_difference",
    _rates("precision"),
    "Precision of the greatest group less the smallest's (Chouldechova 2017).",
    **_LABELLED,
)
_register(
    "false_positive_rate_difference",
    _rates("false positive rate"),
    "False positive rate of the greatest group less the smallest's.",
    **_LABELLED,
)
_register(
    "false_negative_rate_difference",
    _rates("false negative rate"),
    "False negative rate of the greatest group less the smallest's.",
    **_LABELLED,
)
_register(
    "calibration_difference",
    _calibration,
    "Mean score less the share of positives: the greatest group's less the smallest's.",
    group=PERFORMANCE,
    tasks=_CLASSES,
    needs=("calibration_counts", "calibration_scores", "calibration_hits", "squared"),
    records=_calibrated,
)

_NUMBERS: dict[str, Any] = {
    "group": PERFORMANCE,
    "tasks": _REGRESSION,
    "unit": "label",
    "minimum_effect": 0.0,
}
_register(
    "mean_prediction_difference",
    _mean_prediction,
    "Mean prediction of the greatest group less the smallest's.",
    **{**_NUMBERS, "group": ROWS, "needs": ("n",), "records": _predicted},
)
_register(
    "mae_difference",
    _errors("absolute", "squared"),
    "Mean absolute error of the greatest group less the smallest's.",
    needs=("labelled", "absolute", "squared"),
    **_NUMBERS,
)
_register(
    "rmse_difference",
    _root,
    "Root mean squared error of the greatest group less the smallest's.",
    needs=("labelled", "squared", "fourth"),
    **_NUMBERS,
)
_register(
    "mean_error_difference",
    _errors("errors", "squared"),
    "Mean error (prediction less label) of the greatest group less the smallest's.",
    needs=("labelled", "errors", "squared"),
    **_NUMBERS,
)
