"""Stored results as lines: one metric of one column and segment over a model's windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.metrics.result import Basis, Result, State
from tidegauge.profile.layout import to_datetime, to_micros

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STATES = tuple(State)
#: The basis of a result that is none of performance comes first.
BASES: tuple[Basis | None, ...] = (None, *Basis)
ALARM = STATES.index(State.ALARM)
TOO_FEW = STATES.index(State.TOO_FEW)
NOT_APPLICABLE = STATES.index(State.NOT_APPLICABLE)
FLOATS = ("value", "expected", "lower", "upper", "p_value", "effect")


@dataclass(frozen=True, eq=False)
class Line:
    """One metric of one column and segment, in order of time.

    Parameters
    ----------
    metric : str
    column : str or None
        None for a metric of the model as a whole.
    segment : str or None
        As JSON text; None for the whole.
    unit : str or None
    starts, ends : (window,) int64
        Microseconds since 1970.
    value, expected, lower, upper, p_value, effect : (window,) float64
        NaN where there is none.
    n : (window,) int64
    states, bases : (window,) int8
        Places in ``STATES`` and ``BASES``.
    versions : (window,) int32
        Places in the names of versions that the line's source has.
    """

    metric: str
    column: str | None
    segment: str | None
    unit: str | None
    starts: Ints
    ends: Ints
    value: Floats
    expected: Floats
    lower: Floats
    upper: Floats
    p_value: Floats
    effect: Floats
    n: Ints
    states: NDArray[np.int8]
    bases: NDArray[np.int8]
    versions: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def alarms(self) -> NDArray[np.bool_]:
        """Which windows are an alarm."""
        return np.asarray(self.states == ALARM)

    @property
    def bounded(self) -> bool:
        """Whether any window is judged."""
        return bool(np.isfinite(self.lower).any() or np.isfinite(self.upper).any())

    def select(self, keep: NDArray[np.bool_] | slice) -> Line:
        """Return some of the windows."""
        names = ("starts", "ends", *FLOATS, "n", "states", "bases", "versions")
        return replace(self, **{name: getattr(self, name)[keep] for name in names})

    def between(self, start: datetime, end: datetime) -> Line:
        """Return the windows that begin within ``[start, end)``."""
        first, last = np.searchsorted(self.starts, [to_micros(start), to_micros(end)])
        return self.select(slice(int(first), int(last)))

    def at(self, start: datetime) -> Result | None:
        """Return the result of the window that begins then."""
        found = np.flatnonzero(self.starts == to_micros(start))
        return self.result(int(found[-1])) if len(found) else None

    def last(self) -> Result | None:
        """Return the newest result."""
        return self.result(len(self) - 1) if len(self) else None

    def worst(self) -> int | None:
        """Return the place of what stands out most: the largest alarm, else the largest effect."""
        if not len(self):
            return None
        size = np.nan_to_num(np.abs(self.effect), nan=-1.0)
        return int(np.lexsort((size, self.alarms))[-1])

    def result(self, at: int) -> Result:
        """Return one window's result."""
        return self.select(slice(at, at + 1)).results()[0]

    def results(self) -> list[Result]:
        """Return every window's result."""
        return list(self._results())

    def _results(self) -> Iterator[Result]:
        columns = (getattr(self, name).tolist() for name in FLOATS)
        rows = zip(
            self.starts.tolist(),
            self.ends.tolist(),
            self.n.tolist(),
            self.states.tolist(),
            self.bases.tolist(),
            *columns,
            strict=True,
        )
        for start, end, n, state, basis, value, expected, lower, upper, p_value, effect in rows:
            yield Result(
                self.metric,
                self.column,
                window_start=to_datetime(start),
                window_end=to_datetime(end),
                value=_number(value),
                unit=self.unit,
                expected=_number(expected),
                lower=_number(lower),
                upper=_number(upper),
                p_value=_number(p_value),
                effect=_number(effect),
                n_current=n,
                state=STATES[state],
                basis=BASES[basis],
            )

    def on(self, windows: Ints) -> Line:
        """Return the line over these windows, with gaps where it has none of them.

        Parameters
        ----------
        windows : (w,) int64, ascending
            Starts; those of the line that are not among them are left out.
        """
        if len(windows) == len(self) and np.array_equal(windows, self.starts):
            return self
        at = np.searchsorted(self.starts, windows)
        inside = np.minimum(at, max(len(self) - 1, 0))
        held = (self.starts[inside] == windows) if len(self) else np.zeros(len(windows), bool)
        width = int(self.ends[0] - self.starts[0]) if len(self) else 0

        def spread(values: NDArray[Any], gap: float) -> NDArray[Any]:
            out = np.full(len(windows), gap, dtype=values.dtype)
            out[held] = values[inside[held]]
            return out

        changed: dict[str, Any] = {name: spread(getattr(self, name), np.nan) for name in FLOATS}
        for name in ("n", "bases", "versions"):
            changed[name] = spread(getattr(self, name), 0)
        changed["states"] = spread(self.states, NOT_APPLICABLE)
        return replace(self, starts=windows, ends=windows + width, **changed)


def _number(value: float) -> float | None:
    return None if value != value or value in (np.inf, -np.inf) else float(value)
