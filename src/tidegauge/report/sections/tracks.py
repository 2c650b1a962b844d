"""One metric over the windows of a comparison, read from the table of all results."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidegauge.metrics.result import Basis, Result, State

#: A metric of a column; ``""`` for the model itself.
Key = tuple[str, str]
_NUMBERS = ("value", "expected", "lower", "upper", "ci_lower", "ci_upper")


@dataclass(frozen=True)
class Track:
    """One metric of one column over windows, in order of time.

    Parameters
    ----------
    column, metric : str
        ``column`` is empty for the model's own metrics.
    starts, ends : tuple of int
        Windows, in microseconds since 1970.
    value, expected, lower, upper, ci_lower, ci_upper : tuple of float or None
    n : tuple of int
        Records.
    states : tuple of str
    bases, reasons : tuple of str or None
    """

    column: str
    metric: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    value: tuple[float | None, ...]
    expected: tuple[float | None, ...]
    lower: tuple[float | None, ...]
    upper: tuple[float | None, ...]
    ci_lower: tuple[float | None, ...]
    ci_upper: tuple[float | None, ...]
    n: tuple[int, ...]
    states: tuple[str, ...]
    bases: tuple[str | None, ...]
    reasons: tuple[str | None, ...] = ()

    @property
    def bounded(self) -> bool:
        """Whether any window has a band."""
        return any(x is not None for x in self.lower) or any(x is not None for x in self.upper)

    def results(self, unit: str | None = None) -> list[Result]:
        """Return the track as results, a window each."""
        return [
            Result(
                self.metric,
                column=self.column or None,
                window_start=moment(self.starts[at]),
                window_end=moment(self.ends[at]),
                value=self.value[at],
                expected=self.expected[at],
                lower=self.lower[at],
                upper=self.upper[at],
                n_current=self.n[at],
                state=State(self.states[at]),
                basis=Basis(basis) if (basis := self.bases[at]) else None,
                unit=unit,
                reason=self.reasons[at] if self.reasons else None,
                ci_lower=self.ci_lower[at],
                ci_upper=self.ci_upper[at],
            )
            for at in range(len(self.starts))
        ]


def tracks(
    results: pa.Table, wanted: Collection[Key], *, estimated: bool = False
) -> dict[Key, Track]:
    """Return the tracks of the wanted metrics.

    Parameters
    ----------
    results : pyarrow.Table
        ``RESULT_SCHEMA``, of all windows and no segment.
    wanted : collection of (column, metric)
    estimated : bool
        Of what was estimated, in place of what was measured.
    """
    guessed = pc.fill_null(pc.equal(results["basis"], Basis.ESTIMATED.value), False)
    results = results.filter(guessed if estimated else pc.invert(guessed))
    rows = results.filter(pc.is_valid(results["window_start"]))
    rows = rows.filter(pc.is_in(rows["metric"], pa.array(sorted({one[1] for one in wanted}))))
    names = sorted({one[0] for one in wanted})
    rows = rows.set_column(1, "column", pc.fill_null(rows["column"], ""))
    rows = rows.filter(pc.is_in(rows["column"], pa.array(names, pa.string())))
    if not rows.num_rows:
        return {}
    rows = rows.sort_by([(name, "ascending") for name in ("column", "metric", "window_start")])
    held = {
        name: rows[name].to_pylist() for name in ("column", "metric", "state", "basis", "reason")
    }
    held |= {name: rows[name].to_pylist() for name in _NUMBERS}
    for name in ("window_start", "window_end"):
        held[name] = rows[name].cast(pa.int64()).to_pylist()
    held["n"] = pc.fill_null(rows["n_current"], 0).to_pylist()
    keys = list(zip(held["column"], held["metric"], strict=True))
    starts = [0, *(at for at in range(1, len(keys)) if keys[at] != keys[at - 1]), len(keys)]
    found = {}
    for first, last in pairwise(starts):
        if keys[first] in wanted:
            found[keys[first]] = _track(keys[first], held, slice(first, last))
    return found


def _track(key: Key, held: dict[str, list[Any]], part: slice) -> Track:
    return Track(
        column=key[0],
        metric=key[1],
        starts=tuple(held["window_start"][part]),
        ends=tuple(held["window_end"][part]),
        **{name: tuple(held[name][part]) for name in _NUMBERS},
        n=tuple(held["n"][part]),
        states=tuple(held["state"][part]),
        bases=tuple(held["basis"][part]),
        reasons=tuple(held["reason"][part]),
    )


def moment(micros: int) -> datetime:
    """Return microseconds since 1970 as an aware time."""
    return datetime.fromtimestamp(micros / 1e6, UTC)


def window_count(results: pa.Table) -> int:
    """Return how many windows there are."""
    starts = results["window_start"].cast(pa.int64()).drop_null()
    return int(np.unique(starts.to_numpy()).size)
