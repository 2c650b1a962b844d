"""From batches of records to what the search for the worst segments reads: a code per column and
an outcome per labelled record, in bounded memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.errors import BadInput
from tidegauge.profile.bins import CategoryBins, NumericBins
from tidegauge.profile.columns import encode
from tidegauge.profile.hashing import hash_array, mix64
from tidegauge.profile.layout import Layout
from tidegauge.profile.values import column_of, numbers, truth
from tidegauge.schema import Column, ColumnType, Role, Schema, Task

#: Labelled records that are held at most; of more, those with the smallest hash of their id.
MOST_ROWS = 250_000
#: Columns that are searched at most, in the schema's order.
MOST_COLUMNS = 64

_CLIP = float(np.finfo(np.float64).eps)
_SEARCHED = frozenset({Role.FEATURE, Role.SEGMENT})
_TYPES = frozenset(
    {ColumnType.NUMERIC, ColumnType.CATEGORICAL, ColumnType.BOOLEAN, ColumnType.DATETIME}
)
_OutcomeOf = Callable[
    [pa.RecordBatch, Layout], tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
]


@dataclass(frozen=True)
class Question:
    """What the search is about.

    Parameters
    ----------
    metric : str
    lower_is_worse : bool
    outcome : callable
        Gives label (0 or 1, or nothing), score and loss of each record; NaN where it has none.
    ranks : bool
        Whether it is the ranking of the scores, not a mean loss.
    """

    metric: str
    lower_is_worse: bool
    outcome: _OutcomeOf
    ranks: bool = False


@dataclass(frozen=True, eq=False)
class Rows:
    """The labelled records of one side.

    Parameters
    ----------
    codes : (n, columns) uint16
        Fine bins: a column's own, then one of missing values, then one of ±Infinity.
    label, score, loss : (n,) float64
        Whatever the metric needs; NaN elsewhere.
    records : int
        All records that were seen, with or without a label.
    labelled : int
        Those with a label and what the metric needs; n, or more where only some are held.
    """

    codes: NDArray[np.uint16]
    label: NDArray[np.float64]
    score: NDArray[np.float64]
    loss: NDArray[np.float64]
    records: int
    labelled: int

    def __len__(self) -> int:
        return len(self.codes)


def searched_columns(layout: Layout) -> list[Column]:
    """Return the features and segment columns that have bins."""
    found = [
        column
        for column in layout.schema
        if (column.role in _SEARCHED or column.name in layout.schema.segment_columns)
        and column.type in _TYPES
        and column.name in layout.bins
    ]
    return found[:MOST_COLUMNS]


def question_of(schema: Schema, metric: str | None = None) -> Question | str:
    """Return what is searched for, or why nothing can be.

    Parameters
    ----------
    schema : Schema
    metric : str, optional
        One of those of the schema's task; the first of them by default.

    Raises
    ------
    BadInput
        On a metric that cannot be searched for this task; with those that can.
    """
    from difflib import get_close_matches

    if schema.role(Role.LABEL) is None:
        return "the schema has no label, and only labelled records tell how good a segment is"
    known = _questions(schema)
    if not known:
        return "there is no score or prediction to hold against the label"
    if metric is None:
        return next(iter(known.values()))
    if metric not in known:
        close = get_close_matches(metric, known, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise BadInput(
            f"segments cannot be searched by {metric!r} here{hint}; choose {' or '.join(known)}",
            code="unknown_metric",
        )
    return known[metric]


def _questions(schema: Schema) -> dict[str, Question]:
    score = schema.role(Role.SCORE)
    found: list[Question] = []
    if schema.task is Task.BINARY:
        if score is not None:
            found += [
                Question("roc_auc", True, _ranked, ranks=True),
                Question("log_loss", False, _log_loss),
                Question("brier", False, _squared),
            ]
        if score is not None or schema.role(Role.PREDICTION) is not None:
            found.append(Question("accuracy", True, _wrong))
    elif schema.task is Task.MULTICLASS:
        scores = [c for c in schema.with_role(Role.SCORE) if c.class_ is not None]
        if scores or schema.role(Role.PREDICTION) is not None:
            found.append(Question("accuracy", True, _wrong_class))
        if scores:
            found.append(Question("log_loss", False, _class_log_loss))
    elif schema.task is Task.REGRESSION and (score or schema.role(Role.PREDICTION)):
        found += [Question("mae", False, _absolute), Question("mse", False, _squared_error)]
    return {one.metric: one for one in found}


class RowReader:
    """Reads batches into rows, at most ``most`` of them.

    Parameters
    ----------
    layout : Layout
    columns : list of Column
    question : Question
    most : int
    """

    def __init__(
        self, layout: Layout, columns: list[Column], question: Question, most: int = MOST_ROWS
    ) -> None:
        self.layout = layout
        self.columns = columns
        self.question = question
        self.most = most
        self.records = 0
        self.labelled = 0
        self._keep = 2**64 - 1
        self._parts: list[tuple[NDArray[np.uint64], NDArray[np.uint16], NDArray[np.float64]]] = []
        self._held = 0

    @property
    def needed(self) -> list[str]:
        """Names of the columns to bring."""
        used = {Role.PREDICTION_ID, Role.LABEL, Role.SCORE, Role.PREDICTION}
        names = {c.name for c in self.columns}
        return [c.name for c in self.layout.schema if c.name in names or c.role in used]

    def update(self, batch: pa.RecordBatch) -> None:
        """Add the labelled records of a batch."""
        place = self._places(batch)
        self.records += batch.num_rows
        told = np.column_stack(self.question.outcome(batch, self.layout))
        held = np.isfinite(told[:, 1:2] if self.question.ranks else told[:, 2:]).all(axis=1)
        if self.question.ranks:
            held &= np.isfinite(told[:, 0])
        self.labelled += int(held.sum())
        rows = np.flatnonzero(held & (place <= np.uint64(self._keep)))
        if not len(rows):
            return
        codes = np.empty((len(rows), len(self.columns)), dtype=np.uint16)
        for at, column in enumerate(self.columns):
            codes[:, at] = self._codes(batch, column)[rows]
        self._parts.append((place[rows], codes, told[rows]))
        self._held += len(rows)
        while self._held > 2 * self.most:
            self._thin(int(self._keep // 2))

    def finish(self) -> Rows:
        """Return the rows so far."""
        if not self._parts:
            none = np.empty(0)
            codes = np.empty((0, len(self.columns)), np.uint16)
            return Rows(codes, none, none, none, self.records, self.labelled)
        if self._held > self.most:
            places = np.concatenate([part[0] for part in self._parts])
            self._thin(int(np.partition(places, self.most - 1)[self.most - 1]))
        codes = np.concatenate([part[1] for part in self._parts])
        told = np.concatenate([part[2] for part in self._parts])
        label, score, loss = (np.ascontiguousarray(told[:, k]) for k in range(3))
        return Rows(codes, label, score, loss, self.records, self.labelled)

    def _thin(self, keep: int) -> None:
        self._keep = keep
        kept = [(*part, part[0] <= np.uint64(keep)) for part in self._parts]
        self._parts = [(a[rows], b[rows], c[rows]) for a, b, c, rows in kept]
        self._held = sum(len(part[0]) for part in self._parts)

    def _places(self, batch: pa.RecordBatch) -> NDArray[np.uint64]:
        column = self.layout.schema.role(Role.PREDICTION_ID)
        if column is not None and column.name in batch.schema.names:
            return hash_array(batch.column(column.name))
        index = np.arange(self.records, self.records + batch.num_rows, dtype=np.uint64)
        return mix64(index * np.uint64(0x9E3779B97F4A7C15))

    def _codes(self, batch: pa.RecordBatch, column: Column) -> NDArray[np.int32]:
        bins = self.layout.bins[column.name]
        values = column_of(batch, column.name)
        if isinstance(bins, CategoryBins):
            return bins.codes(encode(values))[0]
        zone = self.layout.schema.timezone if column.type is ColumnType.DATETIME else None
        return bins.codes(numbers(values, zone)[0])


def read_rows(
    batches: Iterable[pa.RecordBatch],
    layout: Layout,
    columns: list[Column],
    question: Question,
    *,
    most: int = MOST_ROWS,
) -> Rows:
    """Read all batches."""
    reader = RowReader(layout, columns, question, most)
    for batch in batches:
        reader.update(batch)
    return reader.finish()


_Told = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def _values(batch: pa.RecordBatch, layout: Layout, role: Role) -> pa.Array | None:
    column = layout.schema.role(role)
    return None if column is None else column_of(batch, column.name)


def _label_and_score(
    batch: pa.RecordBatch, layout: Layout
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Labels as 0 or 1, and scores; NaN where there is none, or none between 0 and 1."""
    y = truth(_values(batch, layout, Role.LABEL), layout.schema.positive).astype(np.float64)
    y[y < 0] = np.nan
    column = layout.schema.role(Role.SCORE)
    if column is None or not isinstance(layout.bins.get(column.name), NumericBins):
        return y, np.full(len(y), np.nan)
    s = numbers(column_of(batch, column.name))[0]
    with np.errstate(invalid="ignore"):
        return y, np.where((s >= 0) & (s <= 1), s, np.nan)


def _ranked(batch: pa.RecordBatch, layout: Layout) -> _Told:
    y, s = _label_and_score(batch, layout)
    return y, s, np.full(len(y), np.nan)


def _log_loss(batch: pa.RecordBatch, layout: Layout) -> _Told:
    y, s = _label_and_score(batch, layout)
    p = np.clip(s, _CLIP, 1 - _CLIP)
    return y, s, -np.where(np.isnan(y), np.nan, np.where(y == 1, np.log(p), np.log1p(-p)))


def _squared(batch: pa.RecordBatch, layout: Layout) -> _Told:
    y, s = _label_and_score(batch, layout)
    return y, s, (s - y) ** 2


def _wrong(batch: pa.RecordBatch, layout: Layout) -> _Told:
    y, s = _label_and_score(batch, layout)
    prediction = _values(batch, layout, Role.PREDICTION)
    if prediction is not None:
        said = truth(prediction, layout.schema.positive).astype(np.float64)
        said[said < 0] = np.nan
    else:
        said = np.where(np.isnan(s), np.nan, s >= 0.5)
    return y, s, np.where(np.isnan(said) | np.isnan(y), np.nan, said != y)


def _wrong_class(batch: pa.RecordBatch, layout: Layout) -> _Told:
    classes = CategoryBins(layout.classes)
    y, _ = classes.codes(encode(_values(batch, layout, Role.LABEL)))
    prediction = _values(batch, layout, Role.PREDICTION)
    if prediction is not None:
        said = classes.codes(encode(prediction))[0].astype(np.int64)
    else:
        places, table = _class_scores(batch, layout)
        known = np.isfinite(table).all(axis=1)
        said = np.where(known, places[np.nan_to_num(table).argmax(axis=1)], classes.size)
    known = (y < classes.size) & (said < classes.size)
    none = np.full(len(y), np.nan)
    return none, none, np.where(known, said != y, np.nan)


def _class_log_loss(batch: pa.RecordBatch, layout: Layout) -> _Told:
    y, _ = CategoryBins(layout.classes).codes(encode(_values(batch, layout, Role.LABEL)))
    places, table = _class_scores(batch, layout)
    none = np.full(len(y), np.nan)
    with np.errstate(invalid="ignore"):
        known = ((table >= 0) & (table <= 1)).all(axis=1)
    own = np.full(len(y), np.nan)
    for at, place in enumerate(places):
        rows = known & (y == place)
        own[rows] = table[rows, at] / np.maximum(table[rows].sum(axis=1), _CLIP)
    return none, none, -np.log(np.clip(own, _CLIP, 1.0))


def _class_scores(
    batch: pa.RecordBatch, layout: Layout
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    held = {
        layout.classes.index(column.class_): column.name
        for column in layout.schema.with_role(Role.SCORE)
        if column.class_ in layout.classes
    }
    places = sorted(held)
    table = np.column_stack([numbers(column_of(batch, held[k]))[0] for k in places])
    return np.array(places, dtype=np.int64), table


def _errors(batch: pa.RecordBatch, layout: Layout) -> NDArray[np.float64]:
    prediction = _values(batch, layout, Role.PREDICTION)
    if prediction is None:
        prediction = _values(batch, layout, Role.SCORE)
    return numbers(prediction)[0] - numbers(_values(batch, layout, Role.LABEL))[0]


def _absolute(batch: pa.RecordBatch, layout: Layout) -> _Told:
    e = np.abs(_errors(batch, layout))
    none = np.full(len(e), np.nan)
    return none, none, e


def _squared_error(batch: pa.RecordBatch, layout: Layout) -> _Told:
    e = _errors(batch, layout) ** 2
    none = np.full(len(e), np.nan)
    return none, none, e
