"""The profile: named arrays over (window, segment, …), each with its declared merge.

Array groups are keyed by column name; ``ROWS``, ``PERFORMANCE``, ``CONFIDENCE``, ``SERVICE`` and
``ESTIMATE`` are the groups that belong to no column. Which groups and arrays there are follows
from the layout, never from the records; a profile that an earlier release stored may lack a
group or an array that later ones have, and so does what it is merged into. Nothing here computes
a statistic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.errors import SchemaMismatch
from tidegauge.profile.layout import Layout, to_datetime
from tidegauge.profile.sample import SAMPLE_SIZE, smallest, together

Array = NDArray[Any]

ROWS = "@rows"
PERFORMANCE = "@performance"
CONFIDENCE = "@confidence"
SERVICE = "@service"
#: What the model said about all records, labelled or not.
ESTIMATE = "@estimate"

#: How an array of this name merges; every other array is a sum.
MERGES: dict[str, Callable[[Array, Array], Array]] = {
    "minimum": np.minimum,
    "maximum": np.maximum,
    "labels_until": np.maximum,
    "registers": np.maximum,
}
#: What an array of this name holds where there were no rows; zero for every other.
EMPTY: dict[str, float] = {"minimum": np.inf, "maximum": -np.inf, "labels_until": -np.inf}


@dataclass(frozen=True, eq=False)
class Profile:
    """The mergeable summary of records, over windows and segments at once.

    Parameters
    ----------
    layout : Layout
    windows : (W,) int64, increasing
        Start of each window, microseconds since 1970 (UTC).
    width : timedelta or None
        Width of a window; ``None`` when one window holds everything.
    arrays : mapping of group to mapping of name to array
        Each array has the axes (window, segment, …), except ``registers``: (window, …).
    sample : pyarrow.Table, optional
        The coordinated sample, with the columns ``_window`` and ``_hash`` beside the data's.
    """

    layout: Layout
    windows: NDArray[np.int64]
    width: timedelta | None
    arrays: Mapping[str, Mapping[str, Array]]
    sample: pa.Table | None = None

    @property
    def rows(self) -> NDArray[np.int64]:
        """Number of records: (window, segment)."""
        rows: NDArray[np.int64] = self.arrays[ROWS]["n"]
        return rows

    @property
    def event_times(self) -> tuple[datetime | None, datetime | None]:
        """First and last event time of the records; None where they have no times."""
        held = self.arrays[ROWS]
        if "minimum" not in held or not len(held["minimum"]):
            return None, None
        low, high = float(held["minimum"][:, 0].min()), float(held["maximum"][:, 0].max())
        if low > high:
            return None, None
        try:
            return to_datetime(int(low)), to_datetime(int(high))
        except OverflowError:  # beyond the year 9999
            return None, None

    def __getitem__(self, group: str) -> Mapping[str, Array]:
        return self.arrays[group]

    def __contains__(self, group: object) -> bool:
        return group in self.arrays

    def total(self) -> Profile:
        """Merge all windows into one.

        Returns
        -------
        Profile
            With one window, that starts where the first did (0 for an empty profile).
        """
        start = self.windows[:1] if len(self.windows) else np.zeros(1, dtype=np.int64)
        return replace(
            self,
            windows=start,
            width=None,
            arrays=self._each(_collapse),
            sample=None if self.sample is None else _one_window(self.sample, int(start[0])),
        )

    def select(self, keep: NDArray[Any]) -> Profile:
        """Return the profile of some windows, given by index or mask."""
        sample = self.sample
        windows = self.windows[keep]
        if sample is not None:
            inside = np.isin(sample["_window"].to_numpy(), windows)
            sample = sample.filter(pa.array(inside))
        return replace(
            self, windows=windows, arrays=self._each(lambda _, a: a[keep]), sample=sample
        )

    def merge(self, other: Profile) -> Profile:
        """Return the profile of the records of both.

        Windows of the same start are merged, others stand side by side.

        Raises
        ------
        SchemaMismatch
            If the two do not share a baseline, segments or bins.
        """
        return merge_profiles([self, other])

    def _each(self, change: Callable[[str, Array], Array]) -> dict[str, dict[str, Array]]:
        return {
            group: {name: change(name, array) for name, array in arrays.items()}
            for group, arrays in self.arrays.items()
        }


def merge_profiles(profiles: Iterable[Profile]) -> Profile:
    """Merge any number of profiles of one layout; the order does not matter.

    Raises
    ------
    SchemaMismatch
        If they do not share a layout and window width.
    """
    items = list(profiles)
    first = items[0]
    for other in items[1:]:
        if not first.layout.compatible(other.layout) or first.width != other.width:
            raise SchemaMismatch(
                "profiles of different baselines, segments or window widths cannot be merged; "
                "profile both with one baseline",
                code="incompatible_profiles",
            )
    if len(items) == 1:
        return first
    windows = np.unique(np.concatenate([p.windows for p in items]))
    slots = [np.searchsorted(windows, p.windows) for p in items]
    arrays: dict[str, dict[str, Array]] = {}
    for group, held in first.arrays.items():
        if not all(group in p for p in items):
            continue
        arrays[group] = {
            name: _stack(name, len(windows), slots, [p.arrays[group][name] for p in items])
            for name in held
            if all(name in p.arrays[group] for p in items)
        }
    samples = [p.sample for p in items if p.sample is not None]
    sample = smallest(together(samples), SAMPLE_SIZE) if samples else None
    return replace(first, windows=windows, arrays=arrays, sample=sample)


def _stack(name: str, n: int, slots: list[NDArray[np.int64]], parts: list[Array]) -> Array:
    out = np.full((n, *parts[0].shape[1:]), EMPTY.get(name, 0), dtype=parts[0].dtype)
    combine = MERGES.get(name, np.add)
    with np.errstate(over="ignore", invalid="ignore"):
        for at, part in zip(slots, parts, strict=True):
            out[at] = combine(out[at], part)
    return out


def _collapse(name: str, array: Array) -> Array:
    if len(array) == 0:
        return np.full((1, *array.shape[1:]), EMPTY.get(name, 0), dtype=array.dtype)
    if name in MERGES:
        merged: Array = reduce(MERGES[name], array)[None]
        return merged
    with np.errstate(over="ignore", invalid="ignore"):
        total: Array = array.sum(axis=0, keepdims=True)
    return total


def _one_window(sample: pa.Table, start: int) -> pa.Table:
    at = sample.schema.get_field_index("_window")
    column = pa.array(np.full(len(sample), start, dtype=np.int64))
    return smallest(sample.set_column(at, "_window", column), SAMPLE_SIZE)
