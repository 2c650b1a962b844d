"""What there is to learn of labelled rows: the label (or the error) of each, and a first guess."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.estimation.calibration import Calibration, logits
from tidegauge.estimation.inputs import column_in
from tidegauge.estimation.links import Link, Values
from tidegauge.profile.bins import CategoryBins
from tidegauge.profile.columns import encode
from tidegauge.profile.layout import Layout
from tidegauge.profile.values import numbers, truth
from tidegauge.schema import Role, Task

#: Groups of predictions, or scores, that a first guess is made of.
_GROUPS = 40
#: Rows that a group of predictions is drawn to the overall mean with.
_DRAWN = 20.0
#: Errors of regression: the error itself, its size, its square.
ERRORS = ("error", "absolute", "squared")


@dataclass(frozen=True, eq=False)
class Said:
    """What a model said about rows.

    Parameters
    ----------
    values : (row, k) float64
        Score of the positive class, scores by class, or the prediction; NaN where not usable.
    usable : (row,) bool
    """

    values: Values
    usable: NDArray[np.bool_]


def said_of(rows: pa.Table, layout: Layout) -> Said | None:
    """Return what the model said about rows; None where it said nothing that can be learnt from.

    Scores outside 0–1 are not usable.
    """
    schema = layout.schema
    if schema.task is Task.REGRESSION:
        column = schema.role(Role.PREDICTION) or schema.role(Role.SCORE)
    elif schema.task is Task.BINARY:
        column = schema.role(Role.SCORE)
    else:
        scores = {c.class_: c.name for c in schema.with_role(Role.SCORE)}
        if schema.task is not Task.MULTICLASS or not scores.keys() & set(layout.classes):
            return None
        names = [scores.get(one) for one in layout.classes]
        held = [
            np.full(len(rows), np.nan) if name is None else numbers(column_in(rows, name))[0]
            for name in names
        ]
        table = np.stack(held, axis=1) if held else np.empty((len(rows), 0))
        scored = table[:, [name is not None for name in names]]
        within: NDArray[np.bool_] = np.all((scored >= 0) & (scored <= 1), axis=1)
        return Said(np.where(within[:, None], table, np.nan), within)
    if column is None:
        return None
    values = numbers(column_in(rows, column.name))[0]
    if schema.task is Task.REGRESSION:
        usable = np.isfinite(values)
    else:
        usable = (values >= 0) & (values <= 1)
    return Said(np.where(usable, values, np.nan)[:, None], usable)


def labels_of(rows: pa.Table, layout: Layout, said: Said) -> Values | None:
    """Return the targets of rows: (row, target), NaN where there is no label.

    Of a binary model whether the class is the positive one, of several classes one column a
    class, of numbers the error, its size and its square.
    """
    column = layout.schema.role(Role.LABEL)
    if column is None:
        return None
    held = column_in(rows, column.name)
    if layout.schema.task is Task.BINARY:
        y = truth(held, layout.schema.positive).astype(np.float64)
        return np.where(y >= 0, y, np.nan)[:, None]
    if layout.schema.task is Task.REGRESSION:
        with np.errstate(over="ignore", invalid="ignore"):
            error = said.values[:, 0] - numbers(held)[0]
            out = np.stack((error, np.abs(error), error**2), axis=1)
        return np.where(np.isfinite(out).all(axis=1)[:, None], out, np.nan)
    classes = CategoryBins(layout.classes)
    codes = classes.codes(encode(held))[0]
    table = (codes[:, None] == np.arange(len(layout.classes))).astype(np.float64)
    return np.where((codes < len(layout.classes))[:, None], table, np.nan)


#: From what was said about rows, (row, k), to the sum that a target's first guess has, (row,).
First = Callable[[Values], Values]


@dataclass(frozen=True, eq=False)
class Curve:
    """A first guess of amounts: the mean at each prediction, between its neighbours.

    Parameters
    ----------
    knots, values : (knot,) float64
    """

    knots: Values
    values: Values

    @classmethod
    def learn(cls, said: Values, target: Values, link: Link) -> Curve:
        """Learn from rows: (row,) each."""
        order = np.argsort(said, kind="stable")
        parts = [part for part in np.array_split(order, _GROUPS) if len(part)]
        overall = float(target.mean())
        means = np.array(
            [
                (target[p].sum() + _DRAWN * overall) / (len(p) + _DRAWN)
                if link is Link.LOG
                else target[p].sum() / (len(p) + _DRAWN)
                for p in parts
            ]
        )
        knots, first = np.unique([said[p].mean() for p in parts], return_index=True)
        return cls(knots, link.sum(means)[first])

    def __call__(self, said: Values) -> Values:
        """Return the sum of the first guess: (row,)."""
        out: Values = np.interp(said[:, 0], self.knots, self.values)
        return out


@dataclass(frozen=True, eq=False)
class ByScore:
    """A first guess of a class: the calibration curve of its score, or its share without one."""

    curve: Calibration
    place: int

    @classmethod
    def learn(cls, said: Values, target: Values, place: int) -> ByScore:
        """Learn from rows: said (row, k), target (row,)."""
        scores = said[:, place]
        if np.isnan(scores).any():
            return cls(Calibration.constant(float(target.mean())), place)
        z, group, n = np.unique(scores, return_inverse=True, return_counts=True)
        hits: Values = np.bincount(group, target).astype(np.float64)
        return cls(Calibration.learn(z, n.astype(np.float64), hits), place)

    def __call__(self, said: Values) -> Values:
        """Return the logit of the class: (row,)."""
        return self.curve.logit(np.nan_to_num(said[:, self.place], nan=0.5))


def links_of(task: Task | None, targets: int) -> list[Link]:
    """Return the link of each target."""
    if task is Task.REGRESSION:
        return [Link.IDENTITY, Link.LOG, Link.LOG]
    return [Link.LOGIT] * targets


def first_of(task: Task | None, said: Values, targets: Values, at: int, link: Link) -> First:
    """Learn the first guess of one target from rows."""
    if task is Task.REGRESSION:
        return Curve.learn(said[:, 0], targets[:, at], link)
    return ByScore.learn(said, targets[:, at], at)


def told(task: Task | None, said: Values) -> Values:
    """Return what was said as columns that trees can split: (row, k)."""
    return said if task is Task.REGRESSION else logits(said)
