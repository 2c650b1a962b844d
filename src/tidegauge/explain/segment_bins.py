"""The bins that segments are made of, from those of a profile; and what to call a range of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.explain.segment_cells import Axes
from tidegauge.explain.segment_rows import Rows
from tidegauge.profile.bins import CategoryBins, NumericBins, coarse_groups
from tidegauge.profile.layout import OTHER, Layout, to_datetime
from tidegauge.schema import Column, ColumnType

#: A numeric column is looked at first in so many bins of about equal weight, then in so many.
COARSE, FINE = 6, 24
#: Values of a categorical column that are looked at each alone; the rest is pooled.
VALUES = 7
#: What stands for records without a value.
MISSING = "(missing)"


@dataclass(frozen=True)
class Condition:
    """What a segment's records have in common in one column: a value, or a range of numbers.

    Parameters
    ----------
    column : str
    value : str, optional
        The value; ``(other)`` for the pooled rest, ``(missing)`` for none.
    above, up_to : float, optional
        The range's ends, the lower one not within it; seconds since 1970 (UTC) for times.

    Examples
    --------
    >>> str(Condition("age", above=30, up_to=50)), str(Condition("carrier", "UA"))
    ('30 < age ≤ 50', 'carrier = UA')
    """

    column: str
    value: str | None = None
    above: float | None = None
    up_to: float | None = None
    times: bool = False

    def __str__(self) -> str:
        if self.value is not None:
            return f"{self.column} = {self.value}"
        if self.above is None:
            return f"{self.column} ≤ {self._end(self.up_to)}"
        if self.up_to is None:
            return f"{self.column} > {self._end(self.above)}"
        return f"{self._end(self.above)} < {self.column} ≤ {self._end(self.up_to)}"

    def _end(self, value: float | None) -> str:
        if value is None:
            return ""
        if self.times:
            return f"{to_datetime(int(value * 1e6)):%Y-%m-%d %H:%M}"
        return f"{value:.4g}"

    def to_json(self) -> dict[str, Any]:
        """Return ``{"column", "value"}``, or ``{"column", "above", "up_to"}``."""
        if self.value is not None:
            return {"column": self.column, "value": self.value}
        return {"column": self.column, "above": self.above, "up_to": self.up_to}


@dataclass(frozen=True, eq=False)
class SearchedColumn:
    """The bins of one column: about equally heavy ones in order, then those without order.

    Parameters
    ----------
    column : Column
    table : (bins + 2,) uint16
        For each bin of a profile, missing values and ±Infinity, the bin of the search.
    starts : tuple of int
        First bin of a profile in each ordered bin.
    coarse : tuple of int
        First of the ordered bins in each coarse one.
    names : tuple of str
        What the bins without order are called.
    bins : NumericBins or CategoryBins
    """

    column: Column
    table: NDArray[np.uint16]
    starts: tuple[int, ...]
    coarse: tuple[int, ...]
    names: tuple[str, ...]
    bins: NumericBins | CategoryBins

    @property
    def size(self) -> int:
        """Number of bins."""
        return len(self.starts) + len(self.names)

    def condition(self, low: int, high: int) -> Condition:
        """Return what the records of the bins ``low`` to ``high - 1`` have in common."""
        name = self.column.name
        ordered = len(self.starts)
        if low >= ordered:
            return Condition(name, self.names[low - ordered])
        assert isinstance(self.bins, NumericBins)
        first, last = [*self.starts, self.bins.size][low], [*self.starts, self.bins.size][high]
        times = self.column.type is ColumnType.DATETIME
        if self.bins.exact and last - first == 1 and 0 < first < self.bins.size - 1 and not times:
            return Condition(name, f"{float(self.bins.edges[first]):.6g}")
        above = None if low == 0 else float(self.bins.edges[first - 1])
        up_to = None if high == ordered else float(self.bins.edges[last - 1])
        return Condition(name, above=above, up_to=up_to, times=times)


def searched_bins(
    layout: Layout, columns: Sequence[Column], sides: Sequence[Rows]
) -> list[SearchedColumn]:
    """Return the bins of columns, made from the last side's records: the reference's, if any."""
    return [_bins(layout, column, at, sides) for at, column in enumerate(columns)]


def _bins(layout: Layout, column: Column, at: int, sides: Sequence[Rows]) -> SearchedColumn:
    bins = layout.bins[column.name]
    size = bins.size
    length = size + 2
    counts = [np.bincount(side.codes[:, at], minlength=length)[:length] for side in sides]
    missing = any(c[size:].any() for c in counts)
    own = counts[-1].astype(np.float64)
    table = np.zeros(length, dtype=np.uint16)
    if isinstance(bins, NumericBins):
        starts = coarse_groups(own[:size], FINE)
        # The open ends hold nothing of the baseline: they belong to their neighbours.
        starts = starts[np.add.reduceat(own[:size], starts) > 0]
        starts = np.append(0, starts[1:])
        table[:size] = np.searchsorted(starts, np.arange(size), side="right") - 1
        table[size:] = len(starts)
        absent = (MISSING,) if missing else ()
        coarse = coarse_groups(np.add.reduceat(own[:size], starts), COARSE)
        told = tuple(int(s) for s in starts), tuple(int(c) for c in coarse)
        return SearchedColumn(column, table, *told, absent, bins)
    ranked = [int(k) for k in np.argsort(-own[: len(bins.values)], kind="stable")[:VALUES]]
    kept = [k for k in ranked if own[k] > 0 and bins.values[k] != OTHER]
    table[:] = len(kept)
    for place, k in enumerate(kept):
        table[k] = place
    rest = any(np.delete(c[:size], kept).any() for c in counts)
    names = tuple(bins.values[k] for k in kept) + ((OTHER,) if rest else ())
    table[size:] = len(names)
    return SearchedColumn(column, table, (), (), names + ((MISSING,) if missing else ()), bins)


def axes_of(columns: Sequence[SearchedColumn]) -> Axes:
    """Return the bins of all columns, fine and coarse."""
    edges = tuple((*c.coarse, *range(len(c.starts), c.size + 1)) for c in columns)
    return Axes(edges, tuple(len(c.coarse) for c in columns))


def searched_codes(columns: Sequence[SearchedColumn], rows: Rows) -> NDArray[np.uint16]:
    """Return the bin of each row in each column; (n, columns) uint16."""
    if not columns:
        return np.empty((len(rows), 0), dtype=np.uint16)
    return np.column_stack([c.table[rows.codes[:, at]] for at, c in enumerate(columns)])
