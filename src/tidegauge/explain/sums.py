"""The sums behind every performance metric, as linear maps of what rows turned out to be.

A performance metric is a function of the sums in the profile's ``@performance`` group, and every
one of these is linear in the outcomes of rows. So the same map takes what happened (one outcome a
row), what a relation leads one to expect (a probability of each), and weighted rows to the same
sums; and its transpose takes a metric's derivative back to the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from tidegauge.metrics.registry import Metric, Values, View
from tidegauge.metrics.sampled import held_in
from tidegauge.profile import CategoryBins, NumericBins, Profiler
from tidegauge.profile.columns import encode
from tidegauge.profile.layout import Layout
from tidegauge.profile.outcomes import CALIBRATION_BINS, LOGIT_BINS, logit_codes
from tidegauge.profile.profile import PERFORMANCE, Profile
from tidegauge.profile.values import numbers, truth
from tidegauge.schema import Role, Task

_CLIP = float(np.finfo(np.float64).eps)
_TENTHS = np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1]
#: Values of the sums that are looked at together when a derivative is taken.
_AT_ONCE = 2_000_000
#: Steps of a numeric derivative, as a share of all rows.
_STEP = 1e-4

Codes = NDArray[np.int64]
#: To which array, of which rows (of all: None), at which place in it, and how much is added.
Entry = tuple[str, Codes | None, Codes | int, Any]


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of one side, as the sums read them.

    Parameters
    ----------
    table : pyarrow.Table
        Those that the metric can be told of.
    outcomes : (n, m) float64
        What happened: of a classifier 1 for the class that was right; of a regression 1, the error
        (prediction less label), its absolute value and its square. NaN without labels.
    maps : tuple of m sparse (n, L) matrices
        What one unit of each outcome adds to the sums.
    """

    table: pa.Table
    outcomes: Values
    maps: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.table)

    def sums(self, outcomes: Values) -> Values:
        """Return the sums under given (n, m) outcomes: (L,)."""
        total = np.zeros(self.maps[0].shape[1])
        for at, one in enumerate(self.maps):
            total += one.T @ outcomes[:, at]
        return total

    def worth(self, slope: Values, outcomes: Values) -> Values:
        """Return what each row adds, with a metric's derivative by the sums: (n,)."""
        total = np.zeros(len(self))
        for at, one in enumerate(self.maps):
            total += (one @ slope) * outcomes[:, at]
        return total


@dataclass(frozen=True, eq=False)
class Sums:
    """Where each array of the ``@performance`` group lies in one vector of length L.

    Parameters
    ----------
    layout : Layout
    places : mapping of array name to (first, shape)
    size : int
    profile : Profile
        Of rows of either side, for what a metric reads beside the sums.
    """

    layout: Layout
    places: Mapping[str, tuple[int, tuple[int, ...]]]
    size: int
    profile: Profile

    @classmethod
    def of(cls, layout: Layout, tables: Sequence[pa.Table]) -> Sums:
        """Lay out the sums of a model; the tables are the rows of both sides."""
        outputs = (Role.SCORE, Role.PREDICTION, Role.LABEL)
        read = [column.name for column in layout.schema if column.role in outputs]
        narrow = replace(layout, schema=layout.schema.select(read), segments=(None,))
        profiler = Profiler(narrow, sample=0)
        for table in tables:
            for batch in table.combine_chunks().to_batches():
                profiler.update(batch)
        profile = profiler.finish()
        arrays = profile.arrays.get(PERFORMANCE, {})
        places: dict[str, tuple[int, tuple[int, ...]]] = {}
        at = 0
        for name, array in arrays.items():
            if name in ("labels", "labels_until"):
                continue
            shape = array.shape[2:]
            places[name] = (at, shape)
            at += int(np.prod(shape, dtype=np.int64))
        return cls(narrow, places, at, profile)

    def _views(self, sums: Values) -> tuple[View, View]:
        """Return sums (replicate, L) as a metric sees them, a replicate as a window."""
        n = len(sums)
        arrays = {
            name: sums[:, at : at + int(np.prod(shape, dtype=np.int64))].reshape(n, 1, *shape)
            for name, (at, shape) in self.places.items()
        }
        arrays["labels"] = np.ones((n, 1))
        view = View(
            replace(self.profile, arrays={**self.profile.arrays, PERFORMANCE: arrays}), PERFORMANCE
        )
        return view, view

    def values(self, metric: Metric, sums: Values) -> Values:
        """Return a metric's value from each of some sums: (replicate, L) to (replicate,)."""
        with np.errstate(all="ignore"):
            value: Values = np.asarray(metric.compute(*self._views(sums)), dtype=np.float64)[:, 0]
        return value

    def slope(self, metric: Metric, sums: Values, n: float) -> Values:
        """Return the metric's derivative by each of the sums of ``n`` rows, times ``n``: (L,).

        By central differences; 0 where it cannot be told.
        """
        out = np.zeros(self.size)
        for name, (at, shape) in self._read(metric, sums).items():
            length = int(np.prod(shape, dtype=np.int64))
            if name != "class_counts":
                out[at : at + length] = self._steps(metric, sums, range(at, at + length), n)
                continue
            # What is ranked is ranked class by class, and the mean is taken.
            one = replace(self, places={name: (0, (1, *shape[1:]))}, size=length // shape[0])
            each = sums[at : at + length].reshape(shape[0], -1)
            known = np.isfinite([one.values(metric, own[None])[0] for own in each])
            for k in np.flatnonzero(known):
                first = at + int(k) * one.size
                found = one._steps(metric, each[k], range(one.size), n)
                out[first : first + one.size] = found / known.sum()
        return np.where(np.isfinite(out), out, 0.0)

    def _read(self, metric: Metric, sums: Values) -> dict[str, tuple[int, tuple[int, ...]]]:
        """Return the arrays that a metric reads: those that it changes with."""
        rng = np.random.default_rng(0)
        whole = self.values(metric, sums[None])[0]
        found = {}
        for name, (at, shape) in self.places.items():
            length = int(np.prod(shape, dtype=np.int64))
            probe = sums.copy()
            probe[at : at + length] *= 1 + 0.01 * rng.random(length)
            if self.values(metric, probe[None])[0] != whole:
                found[name] = (at, shape)
        return found

    def _steps(self, metric: Metric, sums: Values, cells: range, n: float) -> Values:
        """Return the derivative by some of the sums, times ``n``, by small steps."""
        out = np.zeros(len(cells))
        step, chunk = _STEP * n, max(1, _AT_ONCE // self.size)
        for first in range(0, len(cells), chunk):
            mine = np.array(cells[first : first + chunk])
            moved = np.repeat(sums[None], 2 * len(mine), axis=0)
            # A count is not taken below none: there the step is to one side only.
            back = np.where(sums[mine] == 0, 0.0, np.minimum(step, np.abs(sums[mine])))
            moved[np.arange(len(mine)), mine] += step
            moved[len(mine) + np.arange(len(mine)), mine] -= back
            high, low = np.split(self.values(metric, moved), 2)
            out[first : first + len(mine)] = (high - low) / (step + back) * n
        return out

    def rows(self, table: pa.Table, *, labelled: bool = True) -> Rows:
        """Return the rows that a metric can be told of.

        Parameters
        ----------
        table : pyarrow.Table
        labelled : bool
            Whether only rows with a label count.
        """
        task = self.layout.schema.task
        if task is Task.BINARY:
            return self._binary(table, labelled)
        if task is Task.MULTICLASS:
            return self._multiclass(table, labelled)
        return self._regression(table, labelled)

    def _held(self, table: pa.Table, role: Role) -> pa.Array | None:
        column = self.layout.schema.role(role)
        return None if column is None else held_in(table, column.name)

    def _map(self, n: int, entries: Sequence[Entry]) -> Any:
        """Make one sparse map of (array, rows, codes in the array, values)."""
        rows, columns, values = [], [], []
        for name, own, codes, value in entries:
            if name not in self.places:
                continue
            own = np.arange(n) if own is None else own
            rows.append(own)
            columns.append(self.places[name][0] + np.broadcast_to(codes, own.shape))
            values.append(np.broadcast_to(value, own.shape).astype(np.float64))
        if not rows:
            return sparse.csr_matrix((n, self.size))
        return sparse.csr_matrix(
            (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
            shape=(n, self.size),
        )

    def _binary(self, table: pa.Table, labelled: bool) -> Rows:
        schema = self.layout.schema
        score = schema.role(Role.SCORE)
        bins = None if score is None else self.layout.bins.get(score.name)
        p = None
        if score is not None and isinstance(bins, NumericBins):
            p = numbers(held_in(table, score.name))[0]
        prediction = self._held(table, Role.PREDICTION)
        if prediction is not None:
            said = truth(prediction, schema.positive)
        elif p is not None:
            said = np.where(np.isfinite(p), p >= 0.5, -1).astype(np.int8)
        else:
            said = np.full(len(table), -1, dtype=np.int8)
        label = self._held(table, Role.LABEL)
        y = np.full(len(table), -1) if label is None else truth(label, schema.positive)
        usable = said >= 0
        if p is not None:
            usable &= (p >= 0) & (p <= 1)
        kept = np.flatnonzero(usable & (y >= 0) if labelled else usable)
        y, kind = y[kept].astype(np.int64), said[kept].astype(np.int64)
        maps = []
        for t in (0, 1):
            entries: list[Entry] = [("confusion", None, 2 * t + kind, 1.0)]
            if p is not None and isinstance(bins, NumericBins):
                entries += _of_score(p[kept], t, bins)
            maps.append(self._map(len(kept), entries))
        outcomes = np.where((y >= 0)[:, None], np.stack([1.0 - y, y], axis=1), np.nan)
        return Rows(table.take(pa.array(kept)), outcomes, tuple(maps))

    def _multiclass(self, table: pa.Table, labelled: bool) -> Rows:
        classes = CategoryBins(self.layout.classes)
        c = len(self.layout.classes)
        held = {
            self.layout.classes.index(column.class_): column.name
            for column in self.layout.schema.with_role(Role.SCORE)
            if column.class_ in self.layout.classes
        }
        places = np.array(sorted(held), dtype=np.int64)
        scores = (
            np.column_stack([numbers(held_in(table, held[int(k)]))[0] for k in places])
            if len(places)
            else np.empty((len(table), 0))
        )
        prediction = self._held(table, Role.PREDICTION)
        if prediction is not None:
            said = classes.codes(encode(prediction))[0]
        elif len(places):
            known = np.isfinite(scores).all(axis=1)
            said = np.where(known, places[np.nan_to_num(scores).argmax(axis=1)], c)
        else:
            said = np.full(len(table), c)
        label = self._held(table, Role.LABEL)
        y = np.full(len(table), c) if label is None else classes.codes(encode(label))[0]
        usable = (said < c) & ((scores >= 0) & (scores <= 1)).all(axis=1)
        kept = np.flatnonzero(usable & (y < c) if labelled else usable)
        y, kind, scores = y[kept], said[kept].astype(np.int64), scores[kept]
        maps = [self._map(len(kept), self._of_class(t, kind, scores, places)) for t in range(c)]
        outcomes = np.where((y < c)[:, None], y[:, None] == np.arange(c), np.nan)
        return Rows(table.take(pa.array(kept)), outcomes.astype(np.float64), tuple(maps))

    def _of_class(self, t: int, said: Codes, scores: Values, places: Codes) -> list[Entry]:
        """What a label of class ``t`` adds."""
        confusion = t * (int(self.places["confusion"][1][0])) + said
        entries: list[Entry] = [("confusion", None, confusion, 1.0)]
        if t not in places:
            return entries
        own = int(np.flatnonzero(places == t)[0])
        true = np.zeros(scores.shape[1])
        true[own] = 1.0
        for j in range(scores.shape[1]):
            at = (2 * j + int(j == own)) * LOGIT_BINS
            entries.append(("class_counts", None, at + logit_codes(scores[:, j]), 1.0))
        squared = ((scores - true) ** 2).sum(axis=1)
        p = np.clip(scores[:, own] / np.maximum(scores.sum(axis=1), _CLIP), _CLIP, 1.0)
        sure, best = scores.max(axis=1), scores.argmax(axis=1)
        return [*entries, *_of_loss(squared, -np.log(p), sure, (best == own).astype(np.float64))]

    def _regression(self, table: pa.Table, labelled: bool) -> Rows:
        role = Role.PREDICTION if self.layout.schema.role(Role.PREDICTION) else Role.SCORE
        prediction, label = self._held(table, role), self._held(table, Role.LABEL)
        none = np.full(len(table), np.nan)
        said = none if prediction is None else numbers(prediction)[0]
        y = none if label is None else numbers(label)[0]
        usable = np.isfinite(said)
        kept = np.flatnonzero(usable & np.isfinite(y) if labelled else usable)
        y, said = y[kept], said[kept]
        e, n = said - y, len(kept)
        from_middle = said - self._middle()
        eps = np.finfo(np.float64).eps
        each = [
            self._map(
                n,
                [
                    ("labelled", None, 0, 1.0),
                    ("label_total", None, 0, from_middle),
                    ("label_squares", None, 0, from_middle**2),
                ],
            ),
            self._map(
                n,
                [
                    ("errors", None, 0, 1.0),
                    ("label_total", None, 0, -1.0),
                    ("label_squares", None, 0, -2.0 * from_middle),
                ],
            ),
            self._map(n, [("absolute", None, 0, 1.0)]),
            self._map(n, [("squared", None, 0, 1.0), ("label_squares", None, 0, 1.0)]),
            self._map(n, [("relative", None, 0, 1.0)]),
        ]
        relative = np.abs(e) / np.maximum(np.abs(y), eps)
        outcomes = np.stack([np.ones(n), e, np.abs(e), e * e, relative], axis=1)
        return Rows(table.take(pa.array(kept)), outcomes, tuple(each))

    def _middle(self) -> float:
        column = self.layout.schema.role(Role.LABEL)
        bins = self.layout.bins.get(column.name) if column is not None else None
        return float(np.median(bins.edges)) if isinstance(bins, NumericBins) else 0.0


def _of_score(p: Values, t: int, bins: NumericBins) -> list[Entry]:
    """What a label of ``t`` adds beside a score of ``p``."""
    clipped = np.clip(p, _CLIP, 1 - _CLIP)
    loss = -np.log(clipped) if t else -np.log1p(-clipped)
    return [
        ("score_counts", None, t * bins.size + bins.codes(p).astype(np.int64), 1.0),
        ("logit_counts", None, t * LOGIT_BINS + logit_codes(p), 1.0),
        *_of_loss((p - t) ** 2, loss, p, np.full(len(p), float(t))),
    ]


def _of_loss(squared: Values, loss: Values, sure: Values, hit: Values) -> list[Entry]:
    tenth = np.searchsorted(_TENTHS, sure)
    return [
        ("squared", None, 0, squared),
        ("fourth", None, 0, squared**2),
        ("log_loss", None, 0, loss),
        ("log_loss_squares", None, 0, loss**2),
        ("score_total", None, 0, sure),
        ("score_squares", None, 0, sure**2),
        ("calibration_counts", None, tenth, 1.0),
        ("calibration_scores", None, tenth, sure),
        ("calibration_hits", None, tenth, hit),
    ]
