"""What is compared of two versions: performance, fairness, latency, resources, outcome.

A measure says which records it needs and what it makes of them; `design.py` says which records
are held against which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tidegauge.metrics.fairness import FEWEST as FEWEST_UNDER
from tidegauge.metrics.ranking import FEWEST as RARER
from tidegauge.metrics.registry import all_metrics
from tidegauge.schema import Role, Schema, Task
from tidegauge.versions import influence
from tidegauge.versions.influence import Estimate, Floats, Ints
from tidegauge.versions.margins import DEFAULTS, Margin
from tidegauge.versions.rows import Side

Mask = NDArray[np.bool_]
Needs = Callable[[Side], Mask]
Compute = Callable[[Side, Ints, Floats], Estimate]

#: Records of one version below which nothing is told.
FEWEST = 100
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Measure:
    """One thing that is compared.

    Parameters
    ----------
    name : str
        The metric's.
    family : str
        ``performance``, ``fairness``, ``latency``, ``resources``, ``outcome``.
    needs : callable
        ``(side) -> (n,) bool``: which records tell it.
    compute : callable
        ``(side, rows, weights) -> Estimate`` over those rows.
    direction : str
        ``higher``, ``lower`` or ``neither`` is better.
    unit : str or None
    column : str or None
        The column it is about.
    margin : Margin or None
        By default; None where there is no better and worse.
    rarer : bool
        Whether it needs some records of both classes.
    summary : str
    """

    name: str
    family: str
    needs: Needs = field(repr=False)
    compute: Compute = field(repr=False)
    direction: str = "lower"
    unit: str | None = None
    column: str | None = None
    margin: Margin | None = None
    rarer: bool = False
    summary: str = ""

    @property
    def key(self) -> str:
        """How a margin names it: the metric, with its column where there may be several."""
        return f"{self.name}:{self.column}" if self.column else self.name

    @property
    def labels(self) -> bool:
        """Whether it needs labels."""
        unlabelled = ("demographic_parity_difference", "mean_prediction_difference")
        return self.family in ("performance", "fairness") and self.name not in unlabelled

    def _none_of(self, side: Side) -> str:
        """Say why no record of a version tells it."""
        if self.labels and not side.labelled:
            return f"no label of {side.name} is known yet"
        if self.needs is scored:
            told = "lies within 0–1" if side.scores is not None else "is there"
            return f"no score of {side.name} with a label {told}"
        return f"no record of {side.name} tells it"

    def short_of(self, side: Side, rows: Ints) -> str:
        """Say why some records are too few; nothing where they are enough."""
        if not len(rows):
            return self._none_of(side)
        if len(rows) < FEWEST:
            labelled = " with a label" if self.labels else ""
            return (
                f"{len(rows)} of the {FEWEST} records{labelled} that are needed at least "
                f"({side.name})"
            )
        if self.rarer and side.label is not None:
            positive = int(side.label[rows].sum())
            rarer = min(positive, len(rows) - positive)
            if rarer == 0:
                which = "positive" if positive else "negative"
                return f"all labels of {side.name} are {which}: one class only"
            if rarer < RARER:
                return f"{side.name} has {rarer} records of the rarer class, {RARER} are needed"
        return ""


def _known(array: Floats | None, side: Side) -> Mask:
    if array is None:
        return np.zeros(side.rows, dtype=np.bool_)
    finite: Mask = np.isfinite(array)
    return finite


def _decided(side: Side) -> Mask:
    return _known(side.label, side) & _known(side.said, side)


def scored(side: Side) -> Mask:
    """Which records have a label and scores within 0–1."""
    if side.scores is None:
        return np.zeros(side.rows, dtype=np.bool_)
    with np.errstate(invalid="ignore"):
        inside = np.asarray((side.scores >= 0) & (side.scores <= 1), dtype=np.bool_)
    whole = np.asarray(inside.reshape(side.rows, -1).all(axis=1), dtype=np.bool_)
    return whole & _known(side.label, side)


def _label(side: Side, rows: Ints) -> Floats:
    assert side.label is not None
    return side.label[rows]


def _said(side: Side, rows: Ints) -> Floats:
    assert side.said is not None
    return side.said[rows]


def _score(side: Side, rows: Ints) -> Floats:
    assert side.scores is not None
    return side.scores[rows]


def measures_of(
    schema: Schema,
    sides: Sequence[Side],
    *,
    segments: Iterable[str] = (),
    resources: Sequence[str] = (),
    costs: Iterable[str] = (),
) -> list[Measure]:
    """Return everything that can be compared of two versions of a model.

    Parameters
    ----------
    schema : Schema
    sides : (Side, Side)
    segments : iterable of str
        Columns whose groups are held against one another.
    resources : sequence of str
    costs : iterable of str
        Outcome columns of which less is better.
    """
    found: list[Measure] = []
    label = schema.role(Role.LABEL)
    if label is not None:
        found += _performance(schema)
    for name in segments:
        found += _fairness(schema, name)
    found += _service(schema)
    found += [
        _mean_of(name, "resource_mean", "resources", "lower", _unit(schema, name))
        for name in resources
        if all(name in side.numbers for side in sides)
    ]
    less = set(costs)
    found += [
        _mean_of(
            column.name,
            "outcome_mean",
            "outcome",
            "lower" if column.name in less else "higher",
            column.unit,
        )
        for column in schema.with_role(Role.OUTCOME)
        if all(column.name in side.numbers for side in sides)
    ]
    return [replace(one, margin=_default(one)) for one in found]


def _default(measure: Measure) -> Margin | None:
    return None if measure.direction == "neither" else DEFAULTS.get(measure.name)


def _unit(schema: Schema, name: str) -> str | None:
    own = schema[name].unit
    word = name.rsplit("_", 1)[-1].lower()
    units = {"ms": "ms", "s": "s", "seconds": "s", "mb": "MB", "mib": "MiB", "gb": "GB"}
    units |= {"gib": "GiB", "bytes": "bytes", "kb": "kB", "percent": "%", "share": "share"}
    return own or units.get(word)


def _mean_of(column: str, name: str, family: str, direction: str, unit: str | None) -> Measure:
    def compute(side: Side, rows: Ints, weights: Floats) -> Estimate:
        return influence.mean(side.numbers[column][rows], weights)

    return Measure(
        name,
        family,
        lambda side: _known(side.numbers.get(column), side),
        compute,
        direction,
        unit,
        column,
        summary=f"Mean of {column!r} over the records that have it.",
    )


def _about(name: str, schema: Schema) -> dict[str, str | None]:
    """Return unit, direction and summary of a metric that stands in the registry."""
    known = all_metrics()[name].within(schema)
    words = {"higher_is_better": "higher", "lower_is_better": "lower"}
    return {
        "unit": known.unit or None,
        "direction": words.get(known.direction.value, "neither"),
        "summary": known.summary,
    }


def _made(
    schema: Schema, name: str, needs: Needs, compute: Compute, *, rarer: bool = False
) -> Measure:
    about = _about(name, schema)
    return Measure(
        name,
        "performance",
        needs,
        compute,
        str(about["direction"]),
        about["unit"],
        rarer=rarer,
        summary=str(about["summary"]),
    )


def _performance(schema: Schema) -> list[Measure]:
    if schema.task is Task.BINARY:
        return _binary(schema)
    if schema.task is Task.MULTICLASS:
        return _multiclass(schema)
    if schema.task is Task.REGRESSION:
        return _regression(schema)
    return []


def _right(side: Side, rows: Ints, weights: Floats) -> Estimate:
    right = (_label(side, rows) == _said(side, rows)).astype(np.float64)
    return influence.share(right, weights)


def _loss(side: Side, rows: Ints) -> Floats:
    p, y = _score(side, rows), _label(side, rows)
    if p.ndim == 2:
        own = p[np.arange(len(rows)), y.astype(np.int64)] / np.maximum(p.sum(axis=1), _EPS)
        return -np.asarray(np.log(np.clip(own, _EPS, 1.0)), dtype=np.float64)
    p = np.clip(p, _EPS, 1 - _EPS)
    return -np.where(y > 0, np.log(p), np.log1p(-p))


def _squares(side: Side, rows: Ints) -> Floats:
    p, y = _score(side, rows), _label(side, rows)
    if p.ndim == 2:
        true = np.zeros_like(p)
        true[np.arange(len(rows)), y.astype(np.int64)] = 1.0
        return np.asarray(((p - true) ** 2).sum(axis=1), dtype=np.float64)
    return np.asarray((p - y) ** 2, dtype=np.float64)


def _binary(schema: Schema) -> list[Measure]:
    def precision(side: Side, rows: Ints, weights: Floats) -> Estimate:
        y, said = _label(side, rows), _said(side, rows)
        return influence.ratio(y * said, said, weights)

    def recall(side: Side, rows: Ints, weights: Floats) -> Estimate:
        y, said = _label(side, rows), _said(side, rows)
        return influence.ratio(y * said, y, weights)

    def f1(side: Side, rows: Ints, weights: Floats) -> Estimate:
        y, said = _label(side, rows), _said(side, rows)
        return influence.ratio(2 * y * said, y + said, weights)

    made = [
        _made(
            schema,
            "roc_auc",
            scored,
            lambda s, r, w: influence.roc_auc(_score(s, r), _label(s, r), w),
            rarer=True,
        ),
        _made(
            schema,
            "average_precision",
            scored,
            lambda s, r, w: influence.average_precision(_score(s, r), _label(s, r), w),
            rarer=True,
        ),
        _made(schema, "accuracy", _decided, _right),
        _made(schema, "precision", _decided, precision, rarer=True),
        _made(schema, "recall", _decided, recall, rarer=True),
        _made(schema, "f1", _decided, f1, rarer=True),
        _made(schema, "log_loss", scored, lambda s, r, w: influence.mean(_loss(s, r), w)),
        _made(schema, "brier", scored, lambda s, r, w: influence.mean(_squares(s, r), w)),
        _made(
            schema,
            "calibration_error",
            scored,
            lambda s, r, w: influence.calibration_error(_score(s, r), _label(s, r), w),
        ),
        _made(schema, "mean_score", scored, lambda s, r, w: influence.mean(_score(s, r), w)),
        _made(
            schema,
            "bias",
            scored,
            lambda s, r, w: influence.mean(_label(s, r) - _score(s, r), w),
        ),
    ]
    held = bool(schema.with_role(Role.SCORE))
    return made if held else [one for one in made if one.needs is not scored]


def _multiclass(schema: Schema) -> list[Measure]:
    def by_class(
        each: Callable[[Floats, Floats, Floats], Estimate],
    ) -> Compute:
        def compute(side: Side, rows: Ints, weights: Floats) -> Estimate:
            y, said = _label(side, rows), _said(side, rows)
            parts = []
            for k in np.unique(np.concatenate([y, said])):
                one = each((y == k).astype(np.float64), (said == k).astype(np.float64), weights)
                if not np.isfinite(one.value):
                    one = Estimate(0.0, np.zeros(len(rows)), one.reach)
                parts.append(one)
            return influence.average(parts)

        return compute

    def ranked(each: Callable[[Floats, Floats, Floats], Estimate]) -> Compute:
        def compute(side: Side, rows: Ints, weights: Floats) -> Estimate:
            y, p = _label(side, rows), _score(side, rows)
            return influence.average(
                [
                    each(p[:, k], (y == k).astype(np.float64), weights)
                    for k in range(p.shape[1])
                    if 0 < int((y == k).sum()) < len(y)
                ]
                or [Estimate(np.nan, np.full(len(rows), np.nan))]
            )

        return compute

    def calibration(side: Side, rows: Ints, weights: Floats) -> Estimate:
        p, y = _score(side, rows), _label(side, rows)
        hit = (p.argmax(axis=1) == y).astype(np.float64)
        return influence.calibration_error(p.max(axis=1), hit, weights)

    made = [
        _made(schema, "accuracy", _decided, _right),
        _made(schema, "roc_auc", scored, ranked(influence.roc_auc)),
        _made(schema, "average_precision", scored, ranked(influence.average_precision)),
        _made(
            schema,
            "precision",
            _decided,
            by_class(lambda y, s, w: influence.ratio(y * s, s, w)),
        ),
        _made(schema, "recall", _decided, by_class(lambda y, s, w: influence.ratio(y * s, y, w))),
        _made(
            schema,
            "f1",
            _decided,
            by_class(lambda y, s, w: influence.ratio(2 * y * s, y + s, w)),
        ),
        _made(schema, "log_loss", scored, lambda s, r, w: influence.mean(_loss(s, r), w)),
        _made(schema, "brier", scored, lambda s, r, w: influence.mean(_squares(s, r), w)),
        _made(schema, "calibration_error", scored, calibration),
    ]
    held = bool(schema.with_role(Role.SCORE))
    return made if held else [one for one in made if one.needs is not scored]


def _regression(schema: Schema) -> list[Measure]:
    def errors(side: Side, rows: Ints) -> Floats:
        return _said(side, rows) - _label(side, rows)

    def relative(side: Side, rows: Ints) -> Floats:
        sizes = np.maximum(np.abs(_label(side, rows)), _EPS)
        return np.asarray(np.abs(errors(side, rows)) / sizes, dtype=np.float64)

    return [
        _made(schema, "mae", _decided, lambda s, r, w: influence.mean(np.abs(errors(s, r)), w)),
        _made(
            schema,
            "rmse",
            _decided,
            lambda s, r, w: influence.root(influence.mean(errors(s, r) ** 2, w)),
        ),
        _made(schema, "mse", _decided, lambda s, r, w: influence.mean(errors(s, r) ** 2, w)),
        _made(schema, "mape", _decided, lambda s, r, w: influence.mean(relative(s, r), w)),
        _made(
            schema,
            "r2",
            _decided,
            lambda s, r, w: influence.r2(errors(s, r), _label(s, r), w),
        ),
        _made(schema, "bias", _decided, lambda s, r, w: influence.mean(-errors(s, r), w)),
    ]


def _service(schema: Schema) -> list[Measure]:
    found: list[Measure] = []
    latency = schema.role(Role.LATENCY)
    if latency is not None:
        name, unit = latency.name, latency.unit

        def timed(side: Side) -> Mask:
            return _known(side.numbers.get(name), side)

        def at(level: float) -> Compute:
            return lambda s, r, w: influence.quantile(s.numbers[name][r], w, level)

        made: list[tuple[str, Compute]] = [
            ("latency_p95", at(0.95)),
            ("latency_mean", lambda s, r, w: influence.mean(s.numbers[name][r], w)),
            ("latency_p50", at(0.5)),
            ("latency_p99", at(0.99)),
        ]
        found += [
            Measure(
                one, "latency", timed, compute, "lower", unit, summary=all_metrics()[one].summary
            )
            for one, compute in made
        ]
    if schema.role(Role.STATUS) is not None:

        def failures(side: Side, rows: Ints, weights: Floats) -> Estimate:
            assert side.failures is not None
            return influence.share(side.failures[rows], weights)

        found.append(
            Measure(
                "error_share",
                "latency",
                lambda side: _known(side.failures, side),
                failures,
                "lower",
                "share",
                summary=all_metrics()["error_share"].summary,
            )
        )
    return found


@dataclass(frozen=True)
class _Rate:
    """A rate of a group: hits among those it is of."""

    name: str
    of: Callable[[Floats, Floats], Floats]
    hit: Callable[[Floats, Floats], Floats]


_SELECTED = _Rate("demographic_parity_difference", lambda y, s: np.ones_like(s), lambda y, s: s)
_FOUND = _Rate("equal_opportunity_difference", lambda y, s: y, lambda y, s: y * s)
_RAISED = _Rate("false_positive_rate_difference", lambda y, s: 1 - y, lambda y, s: (1 - y) * s)
_TRUE = _Rate("predictive_parity_difference", lambda y, s: s, lambda y, s: y * s)


def _fairness(schema: Schema, column: str) -> list[Measure]:
    unit: str | None = "share"
    made: list[tuple[str, Needs, Compute]] = []

    def grouped(needs: Needs) -> Needs:
        return lambda side: needs(side) & (side.groups[column] >= 0)

    if schema.task is Task.BINARY:
        made = [
            (_FOUND.name, _decided, _gap(column, [_FOUND])),
            (
                _SELECTED.name,
                lambda side: _known(side.said, side),
                _gap(column, [_SELECTED], labels=False),
            ),
            (_RAISED.name, _decided, _gap(column, [_RAISED])),
            ("equalized_odds_difference", _decided, _gap(column, [_FOUND, _RAISED])),
            (_TRUE.name, _decided, _gap(column, [_TRUE])),
        ]
    elif schema.task is Task.MULTICLASS:
        right = _Rate("accuracy_difference", lambda y, s: np.ones_like(y), lambda y, s: y == s)
        made = [(right.name, _decided, _gap(column, [right]))]
    elif schema.task is Task.REGRESSION:
        ones = lambda y, s: np.ones_like(s)  # noqa: E731
        label = schema.role(Role.LABEL)
        unit = None if label is None else label.unit
        worse = _Rate("mae_difference", ones, lambda y, s: np.abs(s - y))
        level = _Rate("mean_prediction_difference", ones, lambda y, s: s)
        made = [
            (worse.name, _decided, _gap(column, [worse])),
            (
                level.name,
                lambda side: _known(side.said, side),
                _gap(column, [level], labels=False),
            ),
        ]
    return [
        Measure(
            name,
            "fairness",
            grouped(needs),
            compute,
            "lower",
            unit,
            column,
            summary=f"Gap between the groups of {column!r} where widest; its interval reaches "
            "further on the bad side, for what chance adds to the champion's.",
        )
        for name, needs, compute in made
    ]


def _gap(column: str, rates: Sequence[_Rate], *, labels: bool = True) -> Compute:
    """Return the widest gap of rates between groups, to first order as those two have it."""

    def compute(side: Side, rows: Ints, weights: Floats) -> Estimate:
        said = _said(side, rows)
        y = _label(side, rows) if labels else np.zeros_like(said)
        groups = side.groups[column][rows]
        widest = Estimate(np.nan, np.full(len(rows), np.nan))
        for rate in rates:
            found = []
            whole, hit = rate.of(y, said), np.asarray(rate.hit(y, said), dtype=np.float64)
            for code in range(len(side.names[column])):
                mine = groups == code
                if float(whole[mine].sum()) >= FEWEST_UNDER:
                    own = mine.astype(np.float64)
                    found.append(influence.ratio(hit * own, whole * own, weights))
            if len(found) < 2:
                continue
            gap = influence.widest_gap(found, weights)
            if not widest.value >= gap.value:
                widest = gap
        return widest

    return compute
