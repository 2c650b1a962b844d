"""The profiler: Arrow batches in, a profile out. The one place where rows become arrays."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.profile.answers import answer_arrays
from tidegauge.profile.cells import Cells
from tidegauge.profile.columns import Arrays, column_arrays, encode
from tidegauge.profile.divided import segment_codes
from tidegauge.profile.hashing import hash_array, mix64
from tidegauge.profile.layout import Layout, window_floor
from tidegauge.profile.outcomes import confidence_arrays, outcome_arrays
from tidegauge.profile.profile import (
    CONFIDENCE,
    EMPTY,
    ESTIMATE,
    MERGES,
    PERFORMANCE,
    ROWS,
    SERVICE,
    Array,
    Profile,
)
from tidegauge.profile.sample import SAMPLE_SIZE, Sampler
from tidegauge.profile.values import NO_TIME, column_of, micros, rows_of
from tidegauge.schema import Column, ColumnType, Role

_Task = tuple[str, Callable[[], Arrays | None]]

_FINE = frozenset({"ok", "success", "succeeded", "true", "completed"})


class Profiler:
    """Turns batches of records into one profile.

    Parameters
    ----------
    layout : Layout
    width : timedelta, optional
        Window width; without it one window holds every row.
    sample : int
        Rows of the coordinated sample, per window; 0 switches it off.
    summarised : collection of str, optional
        Columns that get arrays of their own, by default all; the others are in the sample only.

    Examples
    --------
    >>> from tidegauge.profile import Survey
    >>> from tidegauge.schema import Column, Schema
    >>> batch = pa.record_batch({"x": [1.0, 2.0, None]})
    >>> survey = Survey(Schema((Column("x", ColumnType.NUMERIC),)))
    >>> survey.update(batch)
    >>> profiler = Profiler(survey.layout("b1"))
    >>> profiler.update(batch)
    >>> profile = profiler.finish()
    >>> int(profile.rows[0, 0]), int(profile["x"]["missing"][0, 0])
    (3, 1)
    """

    def __init__(
        self,
        layout: Layout,
        width: timedelta | None = None,
        *,
        sample: int = SAMPLE_SIZE,
        summarised: Collection[str] | None = None,
    ) -> None:
        self.layout = layout
        self.width = width
        self._summarised = [
            column
            for column in layout.schema
            if column.role is not Role.PREDICTION_ID
            and (summarised is None or column.name in summarised)
        ]
        self._sampler = Sampler(sample)
        self._slots: dict[int, int] = {} if width else {0: 0}
        self._arrays: dict[str, dict[str, Array]] = {}
        self._rows = 0
        #: Rows without a usable timestamp, which belong to no window.
        self.untimed = 0

    @property
    def columns(self) -> list[str]:
        """Names of the columns that the profiler reads."""
        return [column.name for column in self.layout.schema]

    def update(self, batch: pa.RecordBatch) -> None:
        """Add the records of a batch.

        Parameters
        ----------
        batch : pyarrow.RecordBatch
            Columns that the schema does not know are ignored; those that are not there count
            as missing.
        """
        times = self._times(batch)
        if times is not None and self.width is not None:
            timed = times != NO_TIME
            if not timed.all():
                self.untimed += int((~timed).sum())
                batch = batch.filter(pa.array(timed))
                times = times[timed]
        if batch.num_rows == 0:
            return
        starts, window = self._windows(times, batch.num_rows)
        cells = self._cells(batch, starts, window)
        self._add(cells, self._tasks(batch, times, cells))
        self._sampler.update(batch, starts[window], self._hashes(batch))
        self._rows += batch.num_rows

    def _tasks(
        self, batch: pa.RecordBatch, times: NDArray[np.int64] | None, cells: Cells
    ) -> list[_Task]:
        """The work of one batch by array group, each part independent of the others."""
        tasks: list[_Task] = [
            (ROWS, lambda: self._row_arrays(cells, times)),
            (PERFORMANCE, lambda: outcome_arrays(batch, self.layout, cells, times)),
            (CONFIDENCE, lambda: confidence_arrays(batch, self.layout, cells)),
            (ESTIMATE, lambda: answer_arrays(batch, self.layout, cells)),
            (SERVICE, lambda: self._service_arrays(batch, cells)),
        ]
        tasks += [
            (column.name, partial(self._column_arrays, batch, column, cells))
            for column in self._summarised
        ]
        return tasks

    def _times(self, batch: pa.RecordBatch) -> NDArray[np.int64] | None:
        column = self.layout.schema.role(Role.TIMESTAMP)
        if column is None:
            return None
        return micros(column_of(batch, column.name), self.layout.schema.timezone)

    def _windows(
        self, times: NDArray[np.int64] | None, n: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Starts of the batch's windows, and for each row the index of its own."""
        if self.width is None or times is None:
            return np.zeros(1, dtype=np.int64), np.zeros(n, dtype=np.int64)
        first, last = window_floor(np.array([times.min(), times.max()]), self.width)
        if first == last:
            return np.array([first]), np.zeros(n, dtype=np.int64)
        starts, window = np.unique(window_floor(times, self.width), return_inverse=True)
        return starts, window.astype(np.int64)

    def _cells(
        self, batch: pa.RecordBatch, starts: NDArray[np.int64], window: NDArray[np.int64]
    ) -> Cells:
        for start in starts:
            self._slots.setdefault(int(start), len(self._slots))
        slots = np.array([self._slots[int(start)] for start in starts], dtype=np.int64)
        return Cells(
            batch.num_rows,
            slots,
            window if len(starts) > 1 else None,
            len(self.layout.segments),
            self.groups(batch),
        )

    def groups(self, batch: pa.RecordBatch) -> tuple[tuple[int, int, NDArray[np.int64]], ...]:
        """Return the segment of each row, by segment column.

        Returns
        -------
        tuple of (first index on the segment axis, number of values, (n,) int64 codes)
        """
        return tuple(
            (first, len(values), segment_codes(batch, self.layout, name))
            for name, first, values in self.layout.segment_groups
        )

    def _row_arrays(self, cells: Cells, times: NDArray[np.int64] | None) -> Arrays:
        out: Arrays = {"n": cells.counts()}
        if times is not None:
            timed = np.flatnonzero(times != NO_TIME)
            low, high = cells.take(timed).extremes(times[timed].astype(np.float64))
            out |= {"minimum": low, "maximum": high}
        return out

    def _column_arrays(self, batch: pa.RecordBatch, column: Column, cells: Cells) -> Arrays:
        zone = self.layout.schema.timezone if column.type is ColumnType.DATETIME else None
        bins = self.layout.bins.get(column.name)
        return column_arrays(column_of(batch, column.name), bins, cells, zone)

    def _service_arrays(self, batch: pa.RecordBatch, cells: Cells) -> Arrays | None:
        column = self.layout.schema.role(Role.STATUS)
        if column is None:
            return None
        encoded = encode(column_of(batch, column.name))
        told = np.array([failed(word) for word in encoded.dictionary.to_pylist()] + [False])
        codes = rows_of(encoded, len(told) - 1)
        known = np.flatnonzero(codes < len(told) - 1)
        return {
            "status_known": cells.take(known).counts(),
            "errors": cells.take(np.flatnonzero(told[codes])).counts(),
        }

    def _hashes(self, batch: pa.RecordBatch) -> NDArray[np.uint64]:
        column = self.layout.schema.role(Role.PREDICTION_ID)
        if column is not None and column.name in batch.schema.names:
            return hash_array(batch.column(column.name))
        index = np.arange(self._rows, self._rows + batch.num_rows, dtype=np.uint64)
        return mix64(index * np.uint64(0x9E3779B97F4A7C15))

    def _add(self, cells: Cells, tasks: list[_Task]) -> None:
        def run(task: _Task) -> tuple[str, Arrays | None]:
            # Sums of the greatest doubles may overflow to infinity: quietly, in every thread.
            with np.errstate(over="ignore", invalid="ignore"):
                return task[0], task[1]()

        for group, arrays in map(run, tasks):
            if arrays is not None:
                held = self._arrays.setdefault(group, {})
                for name, part in arrays.items():
                    held[name] = self._grown(name, held.get(name), part)
                    combine = MERGES.get(name, np.add)
                    with np.errstate(over="ignore", invalid="ignore"):
                        held[name][cells.slots] = combine(held[name][cells.slots], part)

    def _grown(self, name: str, held: Array | None, part: Array) -> Array:
        need = len(self._slots)
        have = 0 if held is None else len(held)
        if held is not None and have >= need:
            return held
        room = np.full(
            (max(need, have + have // 2), *part.shape[1:]), EMPTY.get(name, 0), dtype=part.dtype
        )
        if held is not None:
            room[:have] = held
        return room

    def finish(self, windows: NDArray[np.int64] | None = None) -> Profile:
        """Return the profile of all records so far.

        Parameters
        ----------
        windows : (w,) int64, optional
            Starts of windows that should be there even if no record fell into them.
        """
        for start in () if windows is None else windows:
            self._slots.setdefault(int(start), len(self._slots))
        if not self._arrays:
            self._add_nothing()
        starts = np.array(list(self._slots), dtype=np.int64)
        order = np.argsort(starts)
        arrays = {
            group: {
                name: self._grown(name, array, array)[: len(starts)][order]
                for name, array in held.items()
            }
            for group, held in self._arrays.items()
        }
        return Profile(self.layout, starts[order], self.width, arrays, self._sampler.finish())

    def _add_nothing(self) -> None:
        """Give every array its shape, though no record came."""
        kinds = {
            ColumnType.NUMERIC: pa.float64(),
            ColumnType.DATETIME: pa.timestamp("us", "UTC"),
            ColumnType.BOOLEAN: pa.bool_(),
        }
        columns = list(self.layout.schema)
        batch = pa.RecordBatch.from_arrays(
            [pa.array([], kinds.get(c.type, pa.string())) for c in columns],
            names=[c.name for c in columns],
        )
        slots = np.array(list(self._slots.values()), dtype=np.int64)
        groups = tuple(
            (first, len(values), np.empty(0, dtype=np.int64))
            for _, first, values in self.layout.segment_groups
        )
        window = None if len(slots) == 1 else np.empty(0, dtype=np.int64)
        cells = Cells(0, slots, window, len(self.layout.segments), groups)
        self._add(cells, self._tasks(batch, self._times(batch), cells))


def failed(status: str | None) -> bool:
    """Whether a status tells of a failure: an HTTP code from 500 on, or a word that is not well."""
    if status is None:
        return False
    text = status.strip().lower()
    if text.replace(".", "", 1).isdigit():
        return float(text) >= 500
    return text not in _FINE
