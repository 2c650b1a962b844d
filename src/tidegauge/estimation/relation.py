"""What happens, given the inputs and what the model said: learnt from the baseline's labelled rows.

Under covariate shift a calibration curve alone is not enough: what happens at a score depends on
which inputs come with it. So three layers are learnt, each about the one before: the calibration
curve, a linear model of the inputs, and boosted trees. Rows that a layer has not seen tell how
much it counts; where there is nothing to learn from the inputs, the curve stays as it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.estimation.inputs import Design, Inputs, levelled, telling
from tidegauge.estimation.links import Link, Values, Weights, ridge, weigh
from tidegauge.estimation.targets import First, Said, first_of, labels_of, links_of, said_of, told
from tidegauge.profile.layout import Layout
from tidegauge.schema import Role, Task

#: Parts of the cross-fitting.
FOLDS = 5
#: Labelled rows below which nothing is learnt, and most that are learnt from.
FEWEST, MOST = 200, 30_000
#: Labelled rows of each class (or in all, of numbers) below which a class cannot be told.
FEWEST_OF_CLASS = 10
#: Rows from which on trees are grown.
_FOR_TREES = 1_000
#: The trees: shallow and few, as what they add is weighed by rows that they have not seen.
_TREES = {"learning_rate": 0.08, "max_iter": 50, "max_leaf_nodes": 12, "min_samples_leaf": 50}
#: Rows that a leaf is drawn to zero with.
_DRAWN = 10.0
_NO_TREES = (
    "without scikit-learn a linear model stands alone for what inputs tell beyond the score: "
    "pip install 'tidegauge[multivariate]'"
)


@dataclass(frozen=True, eq=False)
class _Fold:
    """What was learnt of one target without one part of the rows."""

    first: First
    linear: Values
    further: float
    trees: Any


@dataclass(frozen=True, eq=False)
class _Head:
    """What was learnt of one target."""

    link: Link
    folds: tuple[_Fold, ...]
    weights: Weights


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows in the forms that the layers read."""

    said: Values
    inputs: Values

    def take(self, places: NDArray[Any]) -> _Rows:
        return _Rows(self.said[places], self.inputs[places])


@dataclass(frozen=True, eq=False)
class Relation:
    """What the label is to be expected to be, given the inputs and what the model said.

    Parameters
    ----------
    layout : Layout
    targets : int
        1 for a binary model, the number of classes for several, 3 for numbers.
    held_out : (row,) or (row, target) float64
        The expectation for the rows it was learnt from, each by what was learnt without it; NaN
        for rows without a label, or without a usable score.
    why_not : str or None
        Why nothing could be learnt; then every expectation is NaN.
    note : str or None
        What is missing that would make it better.

    Examples
    --------
    >>> from tidegauge.profile import Survey
    >>> from tidegauge.schema import Column, ColumnType, Schema
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=4000)
    >>> y = rng.random(4000) < 1 / (1 + np.exp(-x))
    >>> rows = pa.table({"x": x, "score": np.full(4000, 0.5), "label": y.astype(int)})
    >>> columns = (
    ...     Column("x", ColumnType.NUMERIC),
    ...     Column("score", ColumnType.NUMERIC, Role.SCORE),
    ...     Column("label", ColumnType.BOOLEAN, Role.LABEL),
    ... )
    >>> survey = Survey(Schema(columns, Task.BINARY))
    >>> for batch in rows.to_batches():
    ...     survey.update(batch)
    >>> relation = Relation.learn(rows, survey.layout("b"))
    >>> asked = pa.table({"x": [-2.0, 0.0, 2.0], "score": [0.5, 0.5, 0.5]})
    >>> relation.expected(asked).round(1).tolist()
    [0.1, 0.5, 0.9]
    """

    layout: Layout
    targets: int
    held_out: Values
    why_not: str | None = None
    note: str | None = None
    _inputs: Inputs | None = None
    _design: Design | None = None
    _heads: tuple[_Head, ...] = ()

    @classmethod
    def learn(cls, rows: pa.Table, layout: Layout, *, seed: int = 0) -> Relation:
        """Learn from rows, those with a label and a usable score (or prediction).

        Parameters
        ----------
        rows : pyarrow.Table
            The baseline's coordinated sample, or any rows with the columns of its schema. Of more
            than 30,000 usable ones so many are drawn; the rest still get a held-out expectation.
        layout : Layout
            Of the baseline: its schema, bins and classes.
        seed : int
            Of the parts of the cross-fitting, and of the trees.
        """
        said = said_of(rows, layout)
        labels = None if said is None else labels_of(rows, layout, said)
        width = _targets(layout)
        none = np.full(len(rows) if width == 1 else (len(rows), width), np.nan)
        if said is None or labels is None:
            return cls(layout, width, none, _nothing(layout))
        usable = np.flatnonzero(said.usable & np.isfinite(labels).all(axis=1))
        why_not = _too_little(layout, said, labels, usable)
        if why_not is not None:
            return cls(layout, width, none, why_not)
        return _learnt(cls, rows, layout, said, labels, usable, seed)

    def expected(self, rows: pa.Table) -> Values:
        """Return what is to be expected of rows; their labels, if any, are not looked at.

        Returns
        -------
        (row,) float64
            Of a binary model: the probability of the positive class.
        (row, class) float64
            Of several classes: the probability of each, in the order of ``layout.classes``.
        (row, 3) float64
            Of numbers: the mean of the error (prediction − label), of its size, of its square.

        NaN for rows without a usable score (or prediction).
        """
        out: Values = self.by_fold(rows).mean(axis=0)
        return out[:, 0] if self.targets == 1 else out

    def by_fold(self, rows: pa.Table) -> Values:
        """Return what is expected by each of the parts that were learnt: (fold, row, target).

        ``expected`` is their mean; how far they lie apart tells how sure it is.
        """
        out = np.full((FOLDS, len(rows), self.targets), np.nan)
        said = said_of(rows, self.layout)
        if said is None or self.why_not is not None or not said.usable.any():
            return out
        usable = np.flatnonzero(said.usable)
        assert self._design is not None
        held = self._forms(rows if len(usable) == len(rows) else rows.take(usable), said, usable)
        for fold in range(FOLDS):
            parts = [
                _predicted(head, fold, held, self._design, self.layout.schema.task)
                for head in self._heads
            ]
            out[fold, usable] = _together(np.stack(parts, axis=1), self.layout.schema.task)
        return out

    def _forms(self, rows: pa.Table, said: Said, usable: NDArray[np.int64]) -> _Rows:
        assert self._inputs is not None
        x = self._inputs.matrix(rows)
        return _Rows(said.values[usable], x)


def _targets(layout: Layout) -> int:
    task = layout.schema.task
    return {Task.BINARY: 1, Task.REGRESSION: 3}.get(task, len(layout.classes)) if task else 1


def _nothing(layout: Layout) -> str:
    schema = layout.schema
    if schema.task is None:
        return "the schema names no task, so there is no performance to estimate"
    if schema.role(Role.LABEL) is None:
        return "the schema has no label column, so the baseline cannot tell how scores come true"
    if schema.task is Task.REGRESSION:
        return "the schema has no prediction column, so there is no error to estimate"
    return "the schema has no score column; performance is estimated from scores of 0–1"


def _too_little(
    layout: Layout, said: Said, labels: Values, usable: NDArray[np.int64]
) -> str | None:
    """Say in a sentence why labelled rows are too few, or too much alike, to learn from."""
    schema = layout.schema
    column = schema.role(Role.LABEL)
    name = column.name if column is not None else "label"
    known = np.isfinite(labels).all(axis=1).sum()
    if not len(labels):
        return "the baseline kept no sample of its rows, so there is nothing to learn from"
    if not said.usable.any():
        what = "prediction" if schema.task is Task.REGRESSION else "score within 0–1"
        return f"no row of the baseline has a {what}"
    if not known:
        return f"no row of the baseline has a label that is known ({name!r})"
    if len(usable) < FEWEST:
        return f"the baseline has {len(usable)} labelled rows; {FEWEST} are needed to estimate"
    if schema.task is Task.REGRESSION:
        return None
    counts = labels[usable].sum(axis=0)
    if schema.task is Task.BINARY:
        counts = np.array([len(usable) - counts[0], counts[0]])
    if (counts > 0).sum() < 2:
        return "all labelled rows of the baseline are of one class; both are needed to estimate"
    if np.sort(counts)[-2] < FEWEST_OF_CLASS:
        least = int(np.sort(counts)[-2])
        return (
            f"the baseline has {least} labelled rows of its rarer class; "
            f"{FEWEST_OF_CLASS} are needed to estimate"
        )
    return None


def _learnt(
    kind: type[Relation],
    rows: pa.Table,
    layout: Layout,
    said: Said,
    labels: Values,
    usable: NDArray[np.int64],
    seed: int,
) -> Relation:
    task = layout.schema.task
    rng = np.random.default_rng(seed)
    links = links_of(task, labels.shape[1])
    order = rng.permutation(len(usable))
    part = np.full(len(usable), -1)
    part[order[:MOST]] = np.arange(min(MOST, len(usable))) % FOLDS
    inputs = Inputs.of(layout)
    table = rows if len(usable) == len(rows) else rows.take(pa.array(usable))
    x = inputs.matrix(table)
    s, y = said.values[usable], labels[usable]
    rough = first_of(task, s, y, 0, links[0])(s)
    kept = telling(x, inputs.worded, y[:, 0] - links[0].mean(rough))
    inputs, x = inputs.keeping(kept), x[:, kept]
    design = Design.learn(x[part >= 0], inputs.worded)
    held = _Rows(s, x)
    levels = levelled(x, inputs.worded)
    trees = find_spec("sklearn") is not None
    heads, predicted = [], []
    grown = trees and len(usable) >= _FOR_TREES
    with _quietly():
        for at, link in enumerate(links):
            head, means = _head(
                task, at, link, held, y, part, design, levels if grown else None, seed
            )
            heads.append(head)
            predicted.append(means)
    out = np.full((len(rows), len(links)), np.nan)
    out[usable] = _together(np.stack(predicted, axis=1), task)
    return kind(
        layout,
        len(links),
        out[:, 0] if len(links) == 1 else out,
        None,
        None if trees else _NO_TREES,
        inputs,
        design,
        tuple(heads),
    )


def _head(
    task: Task | None,
    at: int,
    link: Link,
    rows: _Rows,
    y: Values,
    part: NDArray[np.int64],
    design: Design,
    levels: Values | None,
    seed: int,
) -> tuple[_Head, Values]:
    """Learn one target, and return it with its held-out means.

    Nothing tells how inputs go on beyond what was learnt from; each part holds another view, from
    not at all to all the way, so that their mean goes half the way and their spread says so.
    """
    target = y[:, at]
    offset, layers = np.zeros(len(y)), np.zeros((len(y), 2))
    folds = []
    for fold in range(FOLDS):
        seen = np.flatnonzero((part != fold) & (part >= 0))
        others = np.flatnonzero((part == fold) | ((part < 0) & (fold == 0)))
        first = first_of(task, rows.said[seen], y[seen], at, link)
        mine = rows.take(seen)
        about = first(mine.said)
        spread = _spread(link, target[seen] - about)
        further = fold / (FOLDS - 1)
        x = design.rows(mine.inputs, further)
        linear = ridge(link, x, target[seen] / spread, about / spread) * spread
        trees = None
        if levels is not None:
            so_far = about + linear[0] + x @ linear[1:]
            read = _Rows(mine.said, levels[seen])
            trees = _grow(task, link, read, target[seen], so_far, design.worded, seed)
        folds.append(_Fold(first, linear, further, trees))
        left = rows.take(others)
        offset[others] = first(left.said)
        layers[others] = _layers(folds[-1], left, design, task)
    tested = part >= 0
    spread = _spread(link, target[tested] - offset[tested])
    weights = weigh(link, layers[tested] / spread, target[tested] / spread, offset[tested] / spread)
    weights = Weights(weights.constant * spread, weights.factors)
    return _Head(link, tuple(folds), weights), link.mean(weights.applied(offset, layers))


def _spread(link: Link, residuals: Values) -> float:
    """By what numbers are divided, so that they have a spread of 1."""
    if link is not Link.IDENTITY:
        return 1.0
    spread = float(residuals.std())
    return spread if spread > 0 else 1.0


def _grow(
    task: Task | None,
    link: Link,
    rows: _Rows,
    target: Values,
    about: Values,
    worded: NDArray[np.bool_],
    seed: int,
) -> Any:
    """Grow trees on what the layers before left, as one Newton step on the scale of the sum."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    residual, weight = link.working(target, about)
    read = _read_by_trees(task, rows)
    read = np.concatenate((rows.inputs, levelled(read[:, len(worded) :])), axis=1)
    blank = ~np.isfinite(read).any(axis=0)
    model = HistGradientBoostingRegressor(
        **_TREES,
        l2_regularization=_DRAWN * float(weight.mean()),
        categorical_features=_and_said(worded, read) & ~blank,
        early_stopping=False,
        random_state=seed,
    )
    return model.fit(np.where(blank, 0.0, read), residual, sample_weight=weight)


def _and_said(worded: NDArray[np.bool_], read: Values) -> NDArray[np.bool_]:
    return np.concatenate((worded, np.zeros(read.shape[1] - len(worded), dtype=np.bool_)))


def _read_by_trees(task: Task | None, rows: _Rows) -> Values:
    return np.concatenate((rows.inputs, told(task, rows.said)), axis=1)


def _layers(fold: _Fold, rows: _Rows, design: Design, task: Task | None) -> Values:
    """Return what the linear part and the trees add: (row, 2)."""
    out = np.zeros((len(rows.said), 2))
    out[:, 0] = fold.linear[0] + design.rows(rows.inputs, fold.further) @ fold.linear[1:]
    if fold.trees is not None and len(out):
        out[:, 1] = fold.trees.predict(_read_by_trees(task, rows))
    return out


def _predicted(head: _Head, fold: int, rows: _Rows, design: Design, task: Task | None) -> Values:
    """Return one fold's means of one target: (row,)."""
    one = head.folds[fold]
    with _quietly():
        layers = _layers(one, rows, design, task)
    return head.link.mean(head.weights.applied(one.first(rows.said), layers))


def _together(means: Values, task: Task | None) -> Values:
    """Make the means of several targets agree: classes add up to 1, sizes are possible."""
    if task is Task.MULTICLASS:
        out: Values = means / np.maximum(means.sum(axis=1, keepdims=True), 1e-12)
        return out
    if task is Task.REGRESSION:
        error, absolute, squared = means.T
        absolute = np.maximum(absolute, np.abs(error))
        return np.stack((error, absolute, np.maximum(squared, absolute**2)), axis=1)
    return means


@contextmanager
def _quietly() -> Iterator[None]:
    """Work without warnings, and in one thread: beside other work, several wait for each other."""
    if find_spec("threadpoolctl") is None:
        yield
        return
    from threadpoolctl import threadpool_limits

    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        yield
