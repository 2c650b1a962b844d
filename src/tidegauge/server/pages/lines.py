"""Stored results as lines: one metric of one column and segment over a model's windows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from tidegauge.metrics.result import Basis, Result, State
from tidegauge.profile.layout import to_datetime, to_micros

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Texts = NDArray[np.object_]

STATES = tuple(State)
#: The basis of a result that is none of performance comes first.
BASES: tuple[Basis | None, ...] = (None, *Basis)
ALARM = STATES.index(State.ALARM)
TOO_FEW = STATES.index(State.TOO_FEW)
NOT_APPLICABLE = STATES.index(State.NOT_APPLICABLE)

#: The rows of a line's two arrays.
FLOATS = (
    *("value", "expected", "lower", "upper", "p_value", "effect", "spread", "level"),
    *("ci_lower", "ci_upper"),
)
INTS = ("start", "end", "n", "state", "basis", "version")
_START, _END, _N, _STATE, _BASIS, _VERSION = range(len(INTS))
_EPOCH = to_datetime(0)
_MICROSECOND = timedelta(microseconds=1)


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
    ints : (6, window) int64
        As ``INTS`` names them: microseconds since 1970, places in ``STATES`` and ``BASES`` and in
        the versions that the line's source has.
    floats : (10, window) float64
        As ``FLOATS`` names them; NaN where there is none.
    reasons : (window,) of str or None
    """

    metric: str
    column: str | None
    segment: str | None
    unit: str | None
    ints: Ints
    floats: Floats
    reasons: Texts

    def __len__(self) -> int:
        return int(self.ints.shape[1])

    @property
    def starts(self) -> Ints:
        """Start of each window."""
        return np.asarray(self.ints[_START])

    @property
    def ends(self) -> Ints:
        """End of each window."""
        return np.asarray(self.ints[_END])

    @property
    def n(self) -> Ints:
        """Records that each value rests on."""
        return np.asarray(self.ints[_N])

    @property
    def states(self) -> Ints:
        """The state of each window."""
        return np.asarray(self.ints[_STATE])

    @property
    def versions(self) -> Ints:
        """The version that each result is of."""
        return np.asarray(self.ints[_VERSION])

    @property
    def value(self) -> Floats:
        """The values."""
        return np.asarray(self.floats[0])

    @property
    def expected(self) -> Floats:
        """What was expected."""
        return np.asarray(self.floats[1])

    @property
    def lower(self) -> Floats:
        """Below which is an alarm."""
        return np.asarray(self.floats[2])

    @property
    def upper(self) -> Floats:
        """Above which is an alarm."""
        return np.asarray(self.floats[3])

    @property
    def effect(self) -> Floats:
        """Distance from what was expected."""
        return np.asarray(self.floats[5])

    @property
    def alarms(self) -> NDArray[np.bool_]:
        """Which windows are an alarm."""
        return np.asarray(self.states == ALARM)

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Which windows have a value that rests on enough records."""
        return np.asarray((self.states != TOO_FEW) & np.isfinite(self.value))

    @property
    def bounded(self) -> bool:
        """Whether any window has a band."""
        return bool(np.isfinite(self.floats[2:4]).any())

    def select(self, keep: NDArray[np.bool_] | Ints | slice) -> Line:
        """Return some of the windows."""
        return replace(
            self,
            ints=self.ints[:, keep],
            floats=self.floats[:, keep],
            reasons=self.reasons[keep],
        )

    def joined(self, others: Iterable[Line]) -> Line:
        """Return this line with the alarms of others over the same windows beside its own.

        What another line is in alarm for becomes an alarm of this one, with that one's reason.
        """
        ints, reasons = self.ints.copy(), self.reasons.copy()
        for other in others:
            shared = other.on(self.starts)
            new = shared.alarms & (ints[_STATE] != ALARM)
            ints[_STATE, new] = ALARM
            reasons[new] = [
                f"{other.metric}: {r}" if r else other.metric for r in shared.reasons[new]
            ]
        return replace(self, ints=ints, reasons=reasons)

    def between(self, start: datetime, end: datetime) -> Line:
        """Return the windows that begin within ``[start, end)``."""
        first, last = np.searchsorted(self.starts, [to_micros(start), to_micros(end)])
        return self.select(slice(int(first), int(last)))

    def at(self, start: datetime) -> Result | None:
        """Return the result of the window that begins then."""
        return self.at_start(to_micros(start))

    def at_start(self, micros: int) -> Result | None:
        """Return the result of the window that begins then, microseconds since 1970."""
        found = np.flatnonzero(self.starts == micros)
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
        held = self.floats.astype(object)
        held[~np.isfinite(self.floats)] = None
        columns = held.tolist()
        for start, end, n, state, basis, _, reason, *numbers in zip(
            *self.ints.tolist(), self.reasons.tolist(), *columns, strict=True
        ):
            value, expected, lower, upper, p_value, effect, spread, level, *interval = numbers
            yield Result(
                self.metric,
                self.column,
                window_start=_EPOCH + start * _MICROSECOND,
                window_end=_EPOCH + end * _MICROSECOND,
                value=value,
                unit=self.unit,
                expected=expected,
                lower=lower,
                upper=upper,
                p_value=p_value,
                effect=effect,
                n_current=n,
                state=STATES[state],
                basis=BASES[basis],
                spread=spread,
                level=level,
                reason=reason,
                ci_lower=interval[0],
                ci_upper=interval[1],
            )

    def on(self, windows: Ints) -> Line:
        """Return the line over these windows, with gaps where it has none of them.

        Parameters
        ----------
        windows : (w,) int64, ascending
            Starts; those of the line that are not among them are left out.
        """
        if np.array_equal(windows, self.starts):
            return self
        ints = np.zeros((len(INTS), len(windows)), np.int64)
        floats = np.full((len(FLOATS), len(windows)), np.nan)
        reasons = np.full(len(windows), None, dtype=object)
        ints[_STATE] = NOT_APPLICABLE
        width = int(self.ends[0] - self.starts[0]) if len(self) else 0
        if len(self):
            at = np.minimum(np.searchsorted(self.starts, windows), len(self) - 1)
            held = self.starts[at] == windows
            ints[:, held] = self.ints[:, at[held]]
            floats[:, held] = self.floats[:, at[held]]
            reasons[held] = self.reasons[at[held]]
        ints[_START], ints[_END] = windows, windows + width
        return replace(self, ints=ints, floats=floats, reasons=reasons)
