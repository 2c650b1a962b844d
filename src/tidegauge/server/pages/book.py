"""The stored results of models, held in memory as pages ask for them, a month at a time.

A month's results change only when its files do, so a new window costs no more than its own month.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.engine.lake import LakeEngine
from tidegauge.lake.tables import Lake, last_date
from tidegauge.lake.wildcard import ANY
from tidegauge.metrics.result import Basis, State
from tidegauge.server.known import Model
from tidegauge.server.pages.lines import BASES, FLOATS, STATES, Ints, Line

#: Metric, column and segment; None for the model as a whole, for no segment.
Key = tuple[str, str | None, str | None]

_STATE = {str(state): at for at, state in enumerate(State)}
_BASIS = {str(basis): at + 1 for at, basis in enumerate(Basis)}
_TEXT = ("metric", "column", "segment")


@dataclass(frozen=True)
class Scope:
    """Which results are meant.

    Parameters
    ----------
    segment : str or None
        As JSON text: only of this segment; None for the whole.
    metric : str or None
        All segments of this metric, beside the whole.
    """

    segment: str | None = None
    metric: str | None = None

    @property
    def asked(self) -> dict[str, Any]:
        """What the engine is asked for."""
        if self.metric is not None:
            return {"metric": self.metric, "segment": ANY}
        return {"segment": None if self.segment is None else json.loads(self.segment)}


WHOLE = Scope()


@dataclass(frozen=True, eq=False)
class Month:
    """One month's results of one scope, sorted by key and time.

    Parameters
    ----------
    places : mapping of Key to (first, last)
    arrays : mapping of field to array
    units : mapping of Key to str
    versions : tuple of str or None
    """

    places: Mapping[Key, tuple[int, int]]
    arrays: Mapping[str, NDArray[Any]]
    units: Mapping[Key, str | None]
    versions: tuple[str | None, ...]

    @property
    def nbytes(self) -> int:
        """Memory, nearly."""
        return sum(array.nbytes for array in self.arrays.values()) + 400 * len(self.places)


class Chapter:
    """The results of one model and scope, over the months that were asked for.

    Parameters
    ----------
    months : iterable of Month
        In order of time.
    """

    def __init__(self, months: Iterable[Month]) -> None:
        self._months = list(months)
        self.versions: tuple[str | None, ...] = tuple(
            dict.fromkeys(version for month in self._months for version in month.versions)
        )
        self._codes = {version: code for code, version in enumerate(self.versions)}

    @property
    def keys(self) -> list[Key]:
        """All metrics, columns and segments that there are."""
        return list(dict.fromkeys(key for month in self._months for key in month.places))

    def line(self, metric: str, column: str | None = None, segment: str | None = None) -> Line:
        """Return one line of all versions; an empty one where there is nothing."""
        key = metric, column, segment
        parts = [(m, m.places[key]) for m in self._months if key in m.places]
        arrays: dict[str, NDArray[Any]] = {}
        for name in ("starts", "ends", *FLOATS, "n", "states", "bases"):
            held = [month.arrays[name][a:b] for month, (a, b) in parts]
            arrays[name] = np.concatenate(held) if held else np.empty(0, _KINDS[name])
        codes = [self._recoded(month)[month.arrays["versions"][a:b]] for month, (a, b) in parts]
        versions = np.concatenate(codes) if codes else np.empty(0, np.int32)
        unit = parts[-1][0].units[key] if parts else None
        return Line(metric, column, segment, unit, versions=versions, **arrays)

    def _recoded(self, month: Month) -> NDArray[np.int32]:
        return np.array([self._codes[version] for version in month.versions], np.int32)


_KINDS: dict[str, type] = {
    "starts": np.int64,
    "ends": np.int64,
    "n": np.int64,
    "states": np.int8,
    "bases": np.int8,
    **dict.fromkeys(FLOATS, np.float64),
}
_Held = tuple[tuple[str, ...], Month]


class Book:
    """Reads results, and keeps what it read for as long as it is true.

    Parameters
    ----------
    lake : Lake
    engine : LakeEngine
    most_bytes : int
        Memory, over all models.
    """

    def __init__(self, lake: Lake, engine: LakeEngine, *, most_bytes: int = 256 << 20) -> None:
        self._lake = lake
        self._engine = engine
        self._most = most_bytes
        self._held: OrderedDict[tuple[int, str, Scope], _Held] = OrderedDict()
        self._bytes = 0
        self._guard = threading.Lock()

    def read(self, model: Model, start: datetime, end: datetime, scope: Scope = WHOLE) -> Chapter:
        """Return the results of the months that ``[start, end)`` touches."""
        first, last = start.astimezone(UTC).date(), last_date(end)
        folders: dict[str, list[str]] = {}
        for path in self._lake.files(model.project, model.name, "points", first, last):
            folder, _, name = path.rpartition("/")
            folders.setdefault(folder.rpartition("=")[2], []).append(name)
        return Chapter(
            self._month(model, day, tuple(files), scope) for day, files in sorted(folders.items())
        )

    def forget(self) -> None:
        """Let go of everything."""
        with self._guard:
            self._held.clear()
            self._bytes = 0

    def _month(self, model: Model, day: str, files: tuple[str, ...], scope: Scope) -> Month:
        key = model.id, day, scope
        with self._guard:
            held = self._held.get(key)
            if held is not None and held[0] == files:
                self._held.move_to_end(key)
                return held[1]
        begin = datetime.fromisoformat(day).replace(tzinfo=UTC)
        end = (begin + timedelta(days=32)).replace(day=1)
        table = self._engine.points(model.project, model.name, start=begin, end=end, **scope.asked)
        month = _month_of(table)
        with self._guard:
            before = self._held.pop(key, None)
            self._bytes += month.nbytes - (before[1].nbytes if before else 0)
            self._held[key] = files, month
            while self._bytes > self._most and len(self._held) > 1:
                self._bytes -= self._held.popitem(last=False)[1][1].nbytes
        return month


def _month_of(table: pa.Table) -> Month:
    if not table.num_rows:
        return Month({}, {}, {}, ())
    codes, words = {}, {}
    for name in (*_TEXT, "version", "unit", "state", "basis"):
        codes[name], words[name] = _coded(table[name])
    starts = _micros(table["window_start"])
    key: Ints = np.zeros(len(starts), np.int64)
    for name in _TEXT:
        key = key * len(words[name]) + codes[name]
    order = np.lexsort((codes["version"], starts, key))
    key = key[order]
    edges = np.flatnonzero(np.diff(key, prepend=key[0] - 1, append=key[-1] + 1))
    arrays: dict[str, NDArray[Any]] = {
        "starts": starts[order],
        "ends": _micros(table["window_end"])[order],
        "n": table["n_current"].fill_null(0).to_numpy().astype(np.int64)[order],
        "states": _renamed(codes["state"], words["state"], _STATE)[order],
        "bases": _renamed(codes["basis"], words["basis"], _BASIS)[order],
    }
    for name in FLOATS:
        arrays[name] = table[name].to_numpy().astype(np.float64, copy=False)[order]
    places: dict[Key, tuple[int, int]] = {}
    units: dict[Key, str | None] = {}
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        at = int(order[first])
        metric, column, segment = (words[one][codes[one][at]] for one in _TEXT)
        places[metric, column, segment] = first, last
        units[metric, column, segment] = words["unit"][codes["unit"][at]]
    versions, arrays["versions"] = np.unique(codes["version"][order], return_inverse=True)
    return Month(places, arrays, units, tuple(words["version"][code] for code in versions))


def _coded(column: pa.ChunkedArray[Any]) -> tuple[Ints, list[Any]]:
    """Return each row's text as a place in a list; the list ends with None."""
    merged: Any = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if not pa.types.is_dictionary(merged.type):
        merged = merged.dictionary_encode()
    words = [*merged.dictionary.to_pylist(), None]
    codes = merged.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)
    return codes.astype(np.int64), words


def _renamed(codes: Ints, words: list[Any], names: Mapping[str, int]) -> NDArray[np.int8]:
    return np.array([names.get(word, 0) for word in words], np.int8)[codes]


def _micros(column: pa.ChunkedArray[Any]) -> Ints:
    return np.asarray(column.cast(pa.int64()).to_numpy(), dtype=np.int64)


assert len(STATES) == len(_STATE)
assert len(BASES) == len(_BASIS) + 1
