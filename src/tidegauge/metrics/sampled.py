"""What metrics of the coordinated sample share: its values as arrays, and how they are registered.

The sample has up to 2,000 rows of each window. It is not divided by segment, so such a metric is
of the whole only: NaN for segments. It is computed only where somebody asks for it by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.metrics.registry import Compute, Values, View, metric
from tidegauge.profile.values import numbers
from tidegauge.schema import ColumnType

#: A statistic and its p-value, each (window, segment).
Pair = tuple[Values, Values]
NONE = (float("nan"), float("nan"))


def with_p_value(
    name: str, *args: Any, **about: Any
) -> Callable[[Callable[[View, View], Pair]], Callable[[View, View], Pair]]:
    """Register a function that gives a statistic and its p-value at once; both are kept.

    Where either is not a finite number, neither is defined.

    Parameters
    ----------
    name : str
    *args, **about
        As of :func:`metric`.
    """

    def register(both: Callable[[View, View], Pair]) -> Callable[[View, View], Pair]:
        def part(index: int) -> Compute:
            def compute(current: View, reference: View) -> Values:
                pair = current.once((name, reference), lambda: both(current, reference))
                known = np.isfinite(pair[0]) & np.isfinite(pair[1])
                out: Values = np.where(known, pair[index], np.nan)
                return out

            compute.__doc__ = both.__doc__
            return compute

        metric(name, *args, p_value=part(1), asked=True, **about)(part(0))
        return both

    return register


def of_whole(view: View, values: Iterable[float]) -> Values:
    """Lay out one value a window: (window, segment), NaN but for the whole."""
    out: Values = np.full(view.rows.shape, np.nan)
    whole = np.array(list(values), dtype=np.float64)
    out[:, 0] = np.where(np.isfinite(whole), whole, np.nan)
    return out


def pairs_of_whole(view: View, pairs: Iterable[tuple[float, float]]) -> Pair:
    """Lay out one statistic and p-value a window."""
    found = list(pairs)
    return of_whole(view, (v for v, _ in found)), of_whole(view, (p for _, p in found))


def values_of(view: View) -> tuple[pa.Array, ...]:
    """Return the column's values in the sample of each window, by hash of their record."""
    return view.once("values", lambda: tuple(held_in(table, view.group) for table in view.samples))


def held_in(table: pa.Table, name: str) -> pa.Array:
    """Return a column of a sample as one array; nulls where it has none of this name."""
    if name not in table.column_names:
        return pa.nulls(len(table))
    held = table[name].combine_chunks()
    return held.combine_chunks() if isinstance(held, pa.ChunkedArray) else held


def finite(view: View) -> tuple[Values, ...]:
    """Return the finite values of a numeric or datetime column, by window."""
    zone = view.profile.layout.schema.timezone
    zone_of_times = zone if view.column.type is ColumnType.DATETIME else None

    def read() -> tuple[Values, ...]:
        found = (numbers(values, zone_of_times)[0] for values in values_of(view))
        return tuple(x[np.isfinite(x)] for x in found)

    return view.once("finite", read)


def hashes(table: pa.Table) -> NDArray[np.uint64]:
    """Return the hash of each row's record: (row,) uint64."""
    found: NDArray[np.uint64] = table["_hash"].to_numpy()
    return found
