"""The first look at a baseline: what its values are like, so that bins and segments can be made."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tidegauge.profile.bins import NAMED_VALUES, Bins, CategoryBins, numeric_bins
from tidegauge.profile.columns import encode
from tidegauge.profile.divided import Combinations
from tidegauge.profile.hashing import hash_strings, mix64
from tidegauge.profile.layout import OTHER, Layout, Segment
from tidegauge.profile.values import column_of, numbers
from tidegauge.schema import Column, ColumnType, Role, Schema, Task

#: Rows from which quantile edges are taken; minimum and maximum come from all rows.
EDGE_ROWS = 100_000
#: Values of one segment column that get an axis of their own; the rest is pooled.
SEGMENT_VALUES = 20
#: Classes of a multiclass model that are told apart; those that have scores come first.
CLASSES = 100
_COUNTED = 5_000
_VOCABULARY = 262_144
_UNBINNED = frozenset({Role.PREDICTION_ID, Role.TRACE_ID, Role.TAG, Role.TIMESTAMP, Role.VERSION})


class Survey:
    """Collects what is needed to lay out profiles, in one pass over the baseline.

    Parameters
    ----------
    schema : Schema
    segments : int
        Values of a segment column that get an axis of their own.

    Examples
    --------
    >>> schema = Schema((Column("x", ColumnType.NUMERIC),))
    >>> survey = Survey(schema)
    >>> survey.update(pa.record_batch({"x": [1.0, 2.0, None]}))
    >>> survey.layout("b1").bins["x"].edges.round(3).tolist()
    [1.0, 1.0, 2.0]
    """

    def __init__(self, schema: Schema, segments: int = SEGMENT_VALUES) -> None:
        self.schema = schema
        self.segment_values = segments
        self.rows = 0
        self._keep = 1.0
        self._places: list[NDArray[np.float64]] = []
        self._numeric: dict[str, _Numbers] = {}
        self._words: dict[str, _Words] = {}
        for column in schema:
            if column.role in _UNBINNED and column.name not in schema.segment_columns:
                continue
            if column.type in (ColumnType.NUMERIC, ColumnType.DATETIME):
                self._numeric[column.name] = _Numbers()
            elif column.type in (ColumnType.CATEGORICAL, ColumnType.BOOLEAN):
                self._words[column.name] = _Words()
        self._divided = {one.name: Combinations(one) for one in schema.divisions if not one.plain}
        if schema.task is Task.MULTICLASS:
            for role in (Role.LABEL, Role.PREDICTION):
                held = schema.role(role)
                if held is not None:
                    self._words.setdefault(held.name, _Words())

    @property
    def columns(self) -> list[str]:
        """Names of the columns that the survey reads."""
        wanted = {*self._numeric, *self._words, *self.schema.segment_columns}
        return [name for name in self.schema.names if name in wanted]

    def update(self, batch: pa.RecordBatch) -> None:
        """Look at one batch of the baseline."""
        n = batch.num_rows
        if n == 0:
            return
        index = np.arange(self.rows, self.rows + n, dtype=np.uint64)
        place = mix64(index * np.uint64(0x9E3779B97F4A7C15)) / 2.0**64
        self.rows += n
        picked = np.flatnonzero(place < self._keep)
        self._places.append(place[picked])

        for name, held in self._numeric.items():
            held.update(column_of(batch, name), picked, self._zone(name))
        for name, words in self._words.items():
            words.update(column_of(batch, name))
        for divided in self._divided.values():
            divided.update(batch)
        while sum(len(p) for p in self._places) > 2 * EDGE_ROWS:
            self._thin()

    def _zone(self, name: str) -> str | None:
        return self.schema.timezone if self.schema[name].type is ColumnType.DATETIME else None

    def _thin(self) -> None:
        self._keep /= 2
        place = np.concatenate(self._places)
        keep = np.flatnonzero(place < self._keep)
        self._places = [place[keep]]
        for held in self._numeric.values():
            held.parts = [np.concatenate(held.parts)[keep]]

    def layout(self, baseline_id: str) -> Layout:
        """Return the layout that what was seen suggests."""
        bins: dict[str, Bins] = {}
        for name, held in self._numeric.items():
            column = self.schema[name]
            bins[name] = held.bins(column)
        for name, words in self._words.items():
            bins[name] = words.bins()
        segments: list[Segment | None] = [None]
        for name in self.schema.segments:
            if name in self._divided:
                segments += self._divided[name].segments(self.segment_values)
                continue
            for value in self._segment_values(name, bins):
                segments.append(Segment(name, value))
        return Layout(self.schema, bins, tuple(segments), self._classes(), baseline_id)

    def _segment_values(self, name: str, bins: dict[str, Bins]) -> list[str]:
        held = bins.get(name)
        if not isinstance(held, CategoryBins):
            return []
        named = [value for value in held.values if value != OTHER]
        return [*named[: self.segment_values], OTHER]

    def _classes(self) -> tuple[str, ...]:
        if self.schema.task is not Task.MULTICLASS:
            return ()
        found = [c.class_ for c in self.schema.with_role(Role.SCORE) if c.class_ is not None]
        for role in (Role.LABEL, Role.PREDICTION):
            column = self.schema.role(role)
            if column is not None:
                found += self._words[column.name].bins().values
        return tuple(sorted(list(dict.fromkeys(found))[:CLASSES]))


class _Numbers:
    """A numeric column's sample, and its range over all rows."""

    def __init__(self) -> None:
        self.parts: list[NDArray[np.float64]] = []
        self.low = np.inf
        self.high = -np.inf

    def update(self, column: pa.Array, picked: NDArray[np.int64], zone: str | None) -> None:
        values = numbers(column, zone)[0]
        low, high = np.fmin.reduce(values), np.fmax.reduce(values)
        if not (np.isfinite(low) and np.isfinite(high)):
            finite = values[np.isfinite(values)]
            low = finite.min() if finite.size else np.inf
            high = finite.max() if finite.size else -np.inf
        self.low, self.high = min(self.low, float(low)), max(self.high, float(high))
        self.parts.append(values[picked])

    def bins(self, column: Column) -> Bins:
        sample = np.concatenate(self.parts) if self.parts else np.empty(0)
        return numeric_bins(
            sample[np.isfinite(sample)],
            self.low,
            self.high,
            minimum=column.minimum,
            maximum=column.maximum,
        )


class _Words:
    """A categorical column's most frequent values, and the hashes of all."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.hashes: NDArray[np.uint64] | None = np.empty(0, dtype=np.uint64)

    def update(self, column: pa.Array) -> None:
        encoded = encode(column)
        words = encoded.dictionary
        if len(self.counts) < _COUNTED or len(words) <= _COUNTED:
            seen = np.bincount(
                pc.drop_null(encoded.indices).to_numpy(zero_copy_only=False), minlength=len(words)
            )
            top = np.argsort(-seen, kind="stable")[:_COUNTED]
            names = words.take(pa.array(top)).to_pylist()
            for name, k in zip(names, top, strict=True):
                self.counts[name] += int(seen[k])
            if len(self.counts) > 2 * _COUNTED:
                self.counts = Counter(dict(self.counts.most_common(_COUNTED)))
        if self.hashes is not None:
            found = hash_strings(pc.drop_null(words))
            at = np.minimum(np.searchsorted(self.hashes, found), max(len(self.hashes) - 1, 0))
            new = found if len(self.hashes) == 0 else found[self.hashes[at] != found]
            if len(new):
                self.hashes = np.union1d(self.hashes, new)
            if len(self.hashes) > _VOCABULARY:
                self.hashes = None

    def bins(self) -> CategoryBins:
        ranked = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return CategoryBins(tuple(name for name, _ in ranked[:NAMED_VALUES]), self.hashes)
