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
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from tidegauge.engine.lake import LakeEngine
from tidegauge.lake.tables import Lake, last_date
from tidegauge.lake.wildcard import ANY
from tidegauge.metrics.result import Basis, State
from tidegauge.server.known import Model
from tidegauge.server.pages.lines import BASES, FLOATS, INTS, STATES, Floats, Ints, Line, Texts

#: Metric, column and segment; None for the model as a whole, for no segment.
Key = tuple[str, str | None, str | None]

_STATE = {str(state): at for at, state in enumerate(State)}
_BASIS = {str(basis): at + 1 for at, basis in enumerate(Basis)}
_ESTIMATED = _BASIS[str(Basis.ESTIMATED)]
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
        Of what is measured, or is none of performance.
    estimates : mapping of Key to (first, last)
        Of what is estimated of performance.
    units : mapping of Key to str
    ints, floats, reasons : (…, result)
        As those of a :class:`Line`.
    versions : tuple of str or None
    """

    places: Mapping[Key, tuple[int, int]]
    estimates: Mapping[Key, tuple[int, int]]
    units: Mapping[Key, str | None]
    ints: Ints
    floats: Floats
    reasons: Texts
    versions: tuple[str | None, ...]

    @property
    def nbytes(self) -> int:
        """Memory, nearly."""
        return self.ints.nbytes + self.floats.nbytes + self.reasons.nbytes + 400 * len(self.units)


_NO_INTS: Ints = np.empty((len(INTS), 0), np.int64)
_NO_FLOATS: Floats = np.empty((len(FLOATS), 0))
_NO_TEXTS: Texts = np.empty(0, dtype=object)


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
        codes = {version: code for code, version in enumerate(self.versions)}
        self._codes = {
            id(month): np.array([codes[version] for version in month.versions], np.int64)
            for month in self._months
        }

    @cached_property
    def keys(self) -> list[Key]:
        """All metrics, columns and segments that there are."""
        return list(dict.fromkeys(key for month in self._months for key in month.places))

    @cached_property
    def estimated(self) -> list[Key]:
        """All metrics and segments of which there are estimates."""
        return list(dict.fromkeys(key for month in self._months for key in month.estimates))

    def line(
        self,
        metric: str,
        column: str | None = None,
        segment: str | None = None,
        *,
        estimated: bool = False,
    ) -> Line:
        """Return one line of all versions; an empty one where there is nothing.

        Parameters
        ----------
        metric, column, segment : str
        estimated : bool
            What was estimated, in place of what was measured.
        """
        key = metric, column, segment
        held = [(m, m.estimates if estimated else m.places) for m in self._months]
        parts = [(month, slice(*places[key])) for month, places in held if key in places]
        if not parts:
            return Line(metric, column, segment, None, _NO_INTS, _NO_FLOATS, _NO_TEXTS)
        ints = np.concatenate([month.ints[:, part] for month, part in parts], axis=1)
        floats = np.concatenate([month.floats[:, part] for month, part in parts], axis=1)
        reasons = np.concatenate([month.reasons[part] for month, part in parts])
        if len(self.versions) > 1:
            recoded = [self._codes[id(month)][month.ints[-1, part]] for month, part in parts]
            ints[-1] = np.concatenate(recoded)
        return Line(metric, column, segment, parts[-1][0].units[key], ints, floats, reasons)


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
        table = self._engine.points(
            model.project, model.name, start=begin, end=end, basis=ANY, **scope.asked
        )
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
        return Month({}, {}, {}, _NO_INTS, _NO_FLOATS, _NO_TEXTS, ())
    codes, words = {}, {}
    for name in (*_TEXT, "version", "unit", "state", "basis"):
        codes[name], words[name] = _coded(table[name])
    starts = _micros(table["window_start"])
    key: Ints = np.zeros(len(starts), np.int64)
    for name in _TEXT:
        key = key * len(words[name]) + codes[name]
    basis = _renamed(codes["basis"], words["basis"], _BASIS)
    key = key * 2 + (basis == _ESTIMATED)
    order = np.lexsort((codes["version"], starts, key))
    versions, version = np.unique(codes["version"], return_inverse=True)
    ints = np.stack(
        [
            starts,
            _micros(table["window_end"]),
            table["n_current"].fill_null(0).to_numpy(),
            _renamed(codes["state"], words["state"], _STATE),
            basis,
            version,
        ]
    )
    floats = np.stack([table[name].to_numpy() for name in FLOATS]).astype(np.float64, copy=False)
    key = key[order]
    edges = np.flatnonzero(np.diff(key, prepend=key[0] - 1, append=key[-1] + 1))
    places: dict[Key, tuple[int, int]] = {}
    estimates: dict[Key, tuple[int, int]] = {}
    units: dict[Key, str | None] = {}
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        at = int(order[first])
        metric, column, segment = (words[one][codes[one][at]] for one in _TEXT)
        found = estimates if basis[at] == _ESTIMATED else places
        found[metric, column, segment] = first, last
        units[metric, column, segment] = words["unit"][codes["unit"][at]]
    names = tuple(words["version"][code] for code in versions)
    code, texts = _coded(table["reason"])
    reasons = np.array(texts, dtype=object)[code]
    return Month(places, estimates, units, ints[:, order], floats[:, order], reasons[order], names)


def _coded(column: pa.ChunkedArray[Any]) -> tuple[Ints, list[Any]]:
    """Return each row's text as a place in a list; the list ends with None."""
    merged: Any = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if not pa.types.is_dictionary(merged.type):
        merged = merged.dictionary_encode()
    words = [*merged.dictionary.to_pylist(), None]
    codes = merged.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)
    return codes.astype(np.int64), words


def _renamed(codes: Ints, words: list[Any], names: Mapping[str, int]) -> Ints:
    return np.array([names.get(word, 0) for word in words], np.int64)[codes]


def _micros(column: pa.ChunkedArray[Any]) -> Ints:
    return np.asarray(column.cast(pa.int64()).to_numpy(), dtype=np.int64)


assert len(STATES) == len(_STATE)
assert len(BASES) == len(_BASIS) + 1
