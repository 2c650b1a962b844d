"""A column's distribution, from stored profiles: of one window, of a range, window by window.

Of a range only counts of whole windows are kept, a month at a time, as long as its files are.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.lake.profiles import ProfileRow, get_profiles
from tidegauge.lake.tables import Lake, last_date
from tidegauge.lake.wildcard import ANY, Wildcard
from tidegauge.profile import Baseline, CategoryBins, Profile
from tidegauge.profile.codec import profile_from_bytes
from tidegauge.profile.histogram import display_bins
from tidegauge.profile.layout import to_micros
from tidegauge.profile.profile import merge_profiles
from tidegauge.report.data import Histogram
from tidegauge.server.known import Model

_WANTED = ("counts", "minimum", "maximum")


@dataclass(frozen=True, eq=False)
class ColumnCounts:
    """A column's counts over windows.

    Parameters
    ----------
    starts : (w,) int64
    counts : (w, bin)
    minimum, maximum : (w,) float64
        Empty where the column has none.
    """

    starts: NDArray[np.int64]
    counts: NDArray[Any]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Month:
    starts: NDArray[np.int64]
    versions: tuple[str | None, ...]
    columns: Mapping[str, Mapping[str, NDArray[Any]]]

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for one in self.columns.values() for array in one.values())


class Distributions:
    """Reads profiles, and keeps the counts of whole windows.

    Parameters
    ----------
    lake : Lake
    most_bytes : int
        Memory, over all models.
    """

    def __init__(self, lake: Lake, *, most_bytes: int = 128 << 20) -> None:
        self._lake = lake
        self._most = most_bytes
        self._held: OrderedDict[tuple[int, str, str], tuple[tuple[str, ...], _Month]] = (
            OrderedDict()
        )
        self._guard = threading.Lock()

    def window(
        self, model: Model, baseline: Baseline, start: datetime, version: str | None = None
    ) -> Profile | None:
        """Return the stored profile of one window, of all versions or of one."""
        rows = get_profiles(
            self._lake,
            model.project,
            model.name,
            start,
            start + model.window,
            _wanted(version),
            baseline_id=baseline.id,
        )
        if not rows:
            return None
        return merge_profiles([profile_from_bytes(row.profile, baseline.layout) for row in rows])

    def over(
        self,
        model: Model,
        baseline: Baseline,
        column: str,
        start: datetime,
        end: datetime,
        version: str | None = None,
    ) -> ColumnCounts:
        """Return a column's counts in every window of a range."""
        first, last = start.astimezone(UTC).date(), last_date(end)
        folders: dict[str, list[str]] = {}
        for path in self._lake.files(model.project, model.name, "profiles", first, last):
            folder, _, name = path.rpartition("/")
            folders.setdefault(folder.rpartition("=")[2], []).append(name)
        parts = []
        for day, files in sorted(folders.items()):
            month = self._month(model, baseline, day, tuple(files))
            keep = (month.starts >= to_micros(start)) & (month.starts < to_micros(end))
            if version is not None:
                keep &= np.array([one == version for one in month.versions], bool)
            if column in month.columns:
                parts.append((month.starts[keep], month.columns[column], keep))
        empty = np.empty(0)
        if not parts:
            return ColumnCounts(np.empty(0, np.int64), np.empty((0, 0)), empty, empty)
        arrays = [
            np.concatenate([held[name][keep] for _, held, keep in parts])
            if all(name in held for _, held, _ in parts)
            else empty
            for name in _WANTED
        ]
        return _by_window(np.concatenate([starts for starts, _, _ in parts]), *arrays)

    def forget(self) -> None:
        """Let go of everything."""
        with self._guard:
            self._held.clear()

    def _month(self, model: Model, baseline: Baseline, day: str, files: tuple[str, ...]) -> _Month:
        key = model.id, baseline.id, day
        with self._guard:
            held = self._held.get(key)
            if held is not None and held[0] == files:
                self._held.move_to_end(key)
                return held[1]
        begin = datetime.fromisoformat(day).replace(tzinfo=UTC)
        end = (begin + timedelta(days=32)).replace(day=1)
        rows = get_profiles(
            self._lake, model.project, model.name, begin, end, baseline_id=baseline.id
        )
        month = _month_of(rows)
        with self._guard:
            self._held.pop(key, None)
            self._held[key] = files, month
            while sum(one.nbytes for _, one in self._held.values()) > self._most:
                self._held.popitem(last=False)
        return month


def _by_window(
    starts: NDArray[np.int64],
    counts: NDArray[Any],
    minimum: NDArray[np.float64],
    maximum: NDArray[np.float64],
) -> ColumnCounts:
    """Add up what several versions have of one window."""
    windows, place = np.unique(starts, return_inverse=True)
    total = np.zeros((len(windows), counts.shape[1]), np.int64)
    np.add.at(total, place, counts)
    if not len(minimum):
        return ColumnCounts(windows, total, minimum, maximum)
    low, high = np.full(len(windows), np.inf), np.full(len(windows), -np.inf)
    np.minimum.at(low, place, minimum)
    np.maximum.at(high, place, maximum)
    return ColumnCounts(windows, total, low, high)


def _wanted(version: str | None) -> str | Wildcard:
    return ANY if version is None else version


def _month_of(rows: Sequence[ProfileRow]) -> _Month:
    found: dict[str, dict[str, list[NDArray[Any]]]] = {}
    for row in rows:
        for group, arrays in whole_counts(row.profile).items():
            for name, array in arrays.items():
                found.setdefault(group, {}).setdefault(name, []).append(array)
    columns = {
        group: {name: np.stack(held) for name, held in arrays.items() if len(held) == len(rows)}
        for group, arrays in found.items()
    }
    starts = np.array([to_micros(row.window_start) for row in rows], np.int64)
    return _Month(starts, tuple(row.version for row in rows), columns)


def whole_counts(data: bytes) -> dict[str, dict[str, NDArray[Any]]]:
    """Read the counts of the whole, of every column, from a profile's bytes.

    A stored profile is an Arrow stream with a row an array; of each only the first segment is
    taken, so a year of windows stays small.
    """
    table = pa.ipc.open_stream(data).read_all().combine_chunks()
    groups, names = table["group"].to_pylist(), table["name"].to_pylist()
    shapes = table["shape"].to_pylist()
    lists = {field: table[field].chunk(0) for field in ("integers", "floats")}
    places = {field: held.offsets.to_numpy() for field, held in lists.items()}
    values = {field: held.values.to_numpy(zero_copy_only=False) for field, held in lists.items()}
    out: dict[str, dict[str, NDArray[Any]]] = {}
    for at, (group, name, shape) in enumerate(zip(groups, names, shapes, strict=True)):
        if name in _WANTED and not group.startswith("@"):
            first = places["integers"][at]
            field = "integers" if places["integers"][at + 1] > first else "floats"
            first = places[field][at]
            size = shape[2] if len(shape) > 2 else 1
            held = values[field][first : first + size]
            small = held.astype(np.int32 if name == "counts" else np.float64)
            out.setdefault(group, {})[name] = small if name == "counts" else small[0]
    return out


def window_histogram(baseline: Baseline, profile: Profile, column: str) -> Histogram | None:
    """Return a column's distribution in a profile, over the baseline's."""
    if column not in baseline.layout.bins or "counts" not in profile.arrays.get(column, {}):
        return None
    counts = profile[column]["counts"][:, 0].sum(axis=0)
    return _histogram(baseline, profile, column, counts)


def range_histogram(baseline: Baseline, held: ColumnCounts, column: str) -> Histogram | None:
    """Return a column's distribution over all windows of a range, over the baseline's."""
    if column not in baseline.layout.bins or not len(held.starts):
        return None
    counts = held.counts.sum(axis=0)
    arrays = {"counts": counts[None, None]}
    if len(held.minimum):
        arrays["minimum"] = np.array([[held.minimum.min()]])
        arrays["maximum"] = np.array([[held.maximum.max()]])
    current = Profile(baseline.layout, held.starts[:1], None, {column: arrays})
    return _histogram(baseline, current, column, counts)


def value_shares(
    baseline: Baseline, held: ColumnCounts, column: str
) -> dict[str, list[float | None]]:
    """Return the share of each value of a categorical column, window by window.

    The values that are rare in the whole range are put together as the chart needs it.
    """
    bins = baseline.layout.bins[column]
    assert isinstance(bins, CategoryBins)
    totals = held.counts.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(totals[:, None] > 0, held.counts / totals[:, None], np.nan)
    names = [*bins.values, "(other)"][: held.counts.shape[1]]
    order = np.argsort(-held.counts.sum(axis=0), kind="stable")
    return {
        names[at]: [None if value != value else value for value in shares[:, at].tolist()]
        for at in order.tolist()
        if held.counts[:, at].any()
    }


def _histogram(
    baseline: Baseline, current: Profile, column: str, counts: NDArray[Any]
) -> Histogram:
    bars = display_bins(baseline.total, current, column)
    then, then_below, then_above = bars.shares(baseline.total[column]["counts"][0, 0])
    now, below, above = bars.shares(counts)
    return Histogram(
        tuple(bars.edges.tolist()),
        bars.labels,
        tuple(then.tolist()),
        tuple(now.tolist()),
        (float(then_below), float(below)),
        (float(then_above), float(above)),
    )
