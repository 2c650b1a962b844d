"""Simulated months of a model's traffic, for counting false alarms and missed changes.

A stream has 20 numeric and 5 categorical columns and a score, in daily windows: some of a baseline
and some that are watched. Everything follows from its kind, its month's number and ``SEED``, and
each column from random numbers of its own, so that one column can be drawn again with a change in
it while all else, its own noise included, stays as it was::

    stream = Stream(Kind.REALISTIC, month=7, baseline_windows=30, windows=30)
    stream.table(BASELINE), stream.table(WATCHED)             # pyarrow.Table
    change = stream.pick(What.SHIFT, 0.25)                    # of one numeric column, at random
    stream.table(WATCHED, ["timestamp", change.column], change)

What is in a stream:

- *iid*: nothing but sampling noise. *realistic*: beside it an effect of the weekday on each column
  (standard deviation 0.3 σ) and a level of the day (0.05 σ, autocorrelation 0.5 at a day's lag).
  In a categorical column they move the logits of its values' shares, 0.3 and 0.05 along one
  direction of length 1, drawn for the month: one value's by 0.13 and 0.02 where there are five.
- *realistic-σ*: the same, and only columns that have a σ vary: numbers, not categories.
- Records of a day: log-normal around 2,000, standard deviation of the logarithm 0.25; *realistic*
  has on Saturdays and Sundays 60 % of what it has on other days, and as many in a week.
- 1 % of the values are missing in eight columns, in both kinds alike on every day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

SEED = 20_260_105
#: A Monday; months begin on different weekdays.
START = datetime(2026, 1, 5, tzinfo=UTC)
WIDTH = timedelta(days=1)
ROWS, ROWS_SIGMA, WEEKEND = 2_000, 0.25, 0.6
WEEKDAY_SD, DAY_SD, DAY_CORRELATION = 0.3, 0.05, 0.5
MISSING = 0.01
BASELINE, WATCHED = 0, 1


class Kind(StrEnum):
    """What a stream's windows differ by."""

    IID = "iid"
    REALISTIC = "realistic"
    SIGMA = "realistic-σ"


class What(StrEnum):
    """What a change is of."""

    SHIFT = "shift"
    SHARE = "share"
    MISSING = "missing"


@dataclass(frozen=True)
class Change:
    """A change of one column, from the first watched window on.

    Parameters
    ----------
    what : What
    column : str
    size : float
        Of a shift, in σ; else the share (of the column's ``moved`` value, of missing values) from
        then on.
    ramp : bool
        Whether a shift grows by ``size`` with every window.
    """

    what: What
    column: str
    size: float
    ramp: bool = False

    def shift(self, window: NDArray[np.int64]) -> Floats:
        """Return the shift of watched windows, counted from 0, in σ."""
        if self.what is not What.SHIFT:
            return np.zeros(len(window))
        times = window + 1 if self.ramp else np.ones(len(window))
        return np.asarray(self.size * times, dtype=np.float64)


#: Draws values, given for each record how far its level lies from the column's own, in σ.
Draw = Callable[[np.random.Generator, Floats], NDArray[Any]]


@dataclass(frozen=True)
class Numeric:
    """A numeric column."""

    name: str
    draw: Draw
    missing: float = 0.0


@dataclass(frozen=True)
class Categorical:
    """A categorical column; the value at index ``moved`` has a share of 0.1."""

    name: str
    shares: tuple[float, ...]
    moved: int
    missing: float = 0.0

    @property
    def values(self) -> list[str]:
        """The names of its values."""
        return [f"{self.name}-{at}" for at in range(len(self.shares))]


def normal(mean: float, sd: float) -> Draw:
    """Gaussian."""
    return lambda rng, level: mean + sd * (rng.standard_normal(len(level)) + level)


def lognormal(mean: float, sigma: float) -> Draw:
    """Log-normal; its level moves on the logarithm, in σ of that."""
    return lambda rng, level: np.exp(mean + sigma * (rng.standard_normal(len(level)) + level))


def shifted_lognormal(low: float, sigma: float) -> Draw:
    """Log-normal above an edge that moves with its level."""
    sd = float(np.sqrt(np.expm1(sigma**2) * np.exp(sigma**2)))
    return lambda rng, level: low + sd * level + rng.lognormal(0.0, sigma, len(level))


def student_t3(scale: float) -> Draw:
    """Student's t with three degrees of freedom."""
    return lambda rng, level: scale * (rng.standard_t(3, len(level)) + np.sqrt(3) * level)


def gamma(shape: float, scale: float) -> Draw:
    """Gamma; its scale grows with its level, so that the mean moves by so many σ."""
    root = np.sqrt(shape)
    return lambda rng, level: scale * rng.standard_gamma(shape, len(level)) * (1 + level / root)


def counts(mean: float) -> Draw:
    """Poisson."""
    return lambda rng, level: rng.poisson(np.maximum(mean + np.sqrt(mean) * level, 0.01))


def rating(*cuts: float) -> Draw:
    """Few integers: a Gaussian that is cut into steps."""
    return lambda rng, level: 1 + np.searchsorted(cuts, rng.standard_normal(len(level)) + level)


def uniform(low: float, high: float) -> Draw:
    """Uniform; both edges move with its level."""
    sd = (high - low) / np.sqrt(12)
    return lambda rng, level: rng.uniform(low, high, len(level)) + sd * level


def bounded(low: float, high: float) -> Draw:
    """Uniform between edges that stay: the levels move on the scale of a Gaussian."""

    def draw(rng: np.random.Generator, level: Floats) -> Floats:
        inside: Floats = special.ndtr(rng.standard_normal(len(level)) + level)
        return low + (high - low) * inside

    return draw


def bimodal(share: float, first: float, second: float) -> Draw:
    """Two Gaussians of unit width, ``share`` of the values around ``second``."""
    sd = float(np.sqrt(1 + share * (1 - share) * (second - first) ** 2))

    def draw(rng: np.random.Generator, level: Floats) -> Floats:
        centre = np.where(rng.random(len(level)) < share, second, first)
        return rng.standard_normal(len(level)) + centre + sd * level

    return draw


def beta(a: float, b: float) -> Draw:
    """Beta; its level moves on the logit, in σ of that."""
    sd = float(np.sqrt(special.polygamma(1, a) + special.polygamma(1, b)))

    def draw(rng: np.random.Generator, level: Floats) -> Floats:
        odds = rng.standard_gamma(a, len(level)) / rng.standard_gamma(b, len(level))
        odds *= np.exp(sd * level)
        return odds / (1 + odds)

    return draw


NUMERIC: tuple[Numeric, ...] = (
    Numeric("normal_1", normal(0, 1)),
    Numeric("normal_2", normal(100, 15), MISSING),
    Numeric("normal_3", normal(-5, 0.1)),
    Numeric("normal_4", normal(1e6, 2e5), MISSING),
    Numeric("lognormal_1", lognormal(0, 1)),
    Numeric("lognormal_2", lognormal(3, 0.5), MISSING),
    Numeric("lognormal_3", lognormal(8, 1.5)),
    Numeric("edged_1", shifted_lognormal(10, 0.5)),
    Numeric("edged_2", shifted_lognormal(0, 1), MISSING),
    Numeric("t3_1", student_t3(1)),
    Numeric("t3_2", student_t3(0.01), MISSING),
    Numeric("gamma_1", gamma(2, 10)),
    Numeric("gamma_2", gamma(6, 1)),
    Numeric("counts_1", counts(3)),
    Numeric("counts_2", counts(40), MISSING),
    Numeric("rating", rating(-1.2, -0.4, 0.5, 1.3)),
    Numeric("uniform_1", uniform(0, 1)),
    Numeric("bounded_1", bounded(0, 100)),
    Numeric("bimodal_1", bimodal(0.5, -3, 3)),
    Numeric("bimodal_2", bimodal(0.2, 0, 6)),
)
CATEGORICAL: tuple[Categorical, ...] = (
    Categorical("flag", (0.9, 0.1), 1),
    Categorical("plan", (0.6, 0.3, 0.1), 2, MISSING),
    Categorical("device", (0.42, 0.25, 0.15, 0.1, 0.08), 3),
    Categorical("channel", (0.3, 0.2, 0.15, 0.12, 0.1, 0.07, 0.04, 0.02), 4, MISSING),
    Categorical(
        "region", (0.22, 0.16, 0.13, 0.11, 0.1, 0.08, 0.06, 0.05, 0.04, 0.03, 0.015, 0.005), 4
    ),
)
SCORE = Numeric("score", beta(2, 5))
COLUMNS: tuple[Numeric | Categorical, ...] = (*NUMERIC, *CATEGORICAL, SCORE)
_PLACE = {column.name: at for at, column in enumerate(COLUMNS)}


@dataclass(frozen=True)
class Stream:
    """One simulated month with a baseline of its own.

    Parameters
    ----------
    kind : Kind
    month : int
    baseline_windows, windows : int
    """

    kind: Kind
    month: int
    baseline_windows: int = 30
    windows: int = 30

    def _rng(self, *place: int) -> np.random.Generator:
        kind = list(Kind).index(self.kind)
        return np.random.default_rng([SEED, kind, self.month, self.baseline_windows, *place])

    @cached_property
    def first(self) -> datetime:
        """Start of the first baseline window."""
        return START + int(self._rng(0).integers(7)) * WIDTH

    @cached_property
    def _days(self) -> NDArray[np.int64]:
        """Weekday of every window, the baseline's first."""
        return (self.first.weekday() + np.arange(self.baseline_windows + self.windows)) % 7

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Records of every window, the baseline's first."""
        rows = ROWS * np.exp(self._rng(1).normal(0, ROWS_SIGMA, len(self._days)))
        if self.kind is not Kind.IID:
            volume = np.array([1.0] * 5 + [WEEKEND] * 2)
            rows = (volume / volume.mean())[self._days] * rows
        return rows.astype(np.int64)

    def starts(self, part: int) -> list[datetime]:
        """Starts of the windows of a part."""
        at = range(len(self._days))[self._slice(part)]
        return [self.first + n * WIDTH for n in at]

    def _slice(self, part: int) -> slice:
        return (
            slice(self.baseline_windows) if part == BASELINE else slice(self.baseline_windows, None)
        )

    def _levels(self, place: int) -> Floats:
        """How far each window's level is from the column's own: (window,)."""
        n = len(self._days)
        words = isinstance(COLUMNS[place], Categorical)
        if self.kind is Kind.IID or (self.kind is Kind.SIGMA and words):
            return np.zeros(n)
        rng = self._rng(2, place)
        weekday = rng.normal(0, WEEKDAY_SD, 7)[self._days]
        day = rng.normal(0, DAY_SD, n)
        for at in range(1, n):
            day[at] = DAY_CORRELATION * day[at - 1] + np.sqrt(1 - DAY_CORRELATION**2) * day[at]
        return np.asarray(weekday + day, dtype=np.float64)

    def _window(self, part: int) -> NDArray[np.int64]:
        """Index of every record's window within its part."""
        sizes = self.sizes[self._slice(part)]
        return np.repeat(np.arange(len(sizes)), sizes)

    def column(self, name: str, part: int, change: Change | None = None) -> pa.Array:
        """Draw one column of a part.

        Parameters
        ----------
        name : str
        part : int
            ``BASELINE`` or ``WATCHED``.
        change : Change, optional
            Has an effect on its own column in the watched part only.
        """
        if change is not None and (change.column != name or part != WATCHED):
            change = None
        place = _PLACE[name]
        column = COLUMNS[place]
        window = self._window(part)
        rng = self._rng(3, place, part)
        if isinstance(column, Categorical):
            values = self._words(column, rng, part, window, change)
        else:
            level = self._levels(place)[self._slice(part)]
            if change is not None:
                level = level + change.shift(np.arange(len(level)))
            values = pa.array(column.draw(rng, level[window]))
        share = column.missing
        if change is not None and change.what is What.MISSING:
            share = change.size
        if not share:
            return values
        lost = self._rng(4, place, part).random(len(values)) < share
        return pc.if_else(pa.array(lost), pa.scalar(None, values.type), values)

    def _words(
        self,
        column: Categorical,
        rng: np.random.Generator,
        part: int,
        window: NDArray[np.int64],
        change: Change | None,
    ) -> pa.Array:
        shares = np.array(column.shares)
        if change is not None and change.what is What.SHARE:
            others = np.arange(len(shares)) != column.moved
            shares[others] *= (1 - change.size) / shares[others].sum()
            shares[column.moved] = change.size
        place = _PLACE[column.name]
        direction = self._rng(7, place).standard_normal(len(shares))
        direction /= np.sqrt((direction**2).sum())
        levels = self._levels(place)[self._slice(part)]
        weights = shares * np.exp(np.outer(levels, direction))
        edges = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)
        drawn = rng.random(len(window))
        codes = np.zeros(len(window), dtype=np.int8)
        for edge in edges.T[:-1]:
            codes += drawn >= edge[window]
        return pa.array(column.values).take(pa.array(codes))

    def timestamps(self, part: int) -> pa.Array:
        """Draw the records' moments."""
        window = self._window(part)
        start = np.datetime64(self.starts(part)[0].replace(tzinfo=None), "us")
        days = window + self._rng(5, part).random(len(window))
        return pa.array(
            start + (days * 86_400e6).astype("timedelta64[us]"), pa.timestamp("us", "UTC")
        )

    def table(
        self, part: int, columns: Iterable[str] | None = None, change: Change | None = None
    ) -> pa.Table:
        """Draw a part, or some columns of it; their values do not depend on what else is drawn."""
        names = ["timestamp", *_PLACE] if columns is None else list(columns)
        return pa.table(
            {
                name: self.timestamps(part)
                if name == "timestamp"
                else self.column(name, part, change)
                for name in names
            }
        )

    def pick(self, what: What, size: float, *, ramp: bool = False) -> Change:
        """Return a change of a column that is chosen at random, once a month for each kind."""
        among: list[str] = [column.name for column in NUMERIC]
        if what is What.SHARE:
            among = [column.name for column in CATEGORICAL]
        elif what is What.MISSING:
            among = [column.name for column in COLUMNS if column.missing]
        place = (list(What).index(what), round(size * 1e6), int(ramp))
        return Change(what, str(self._rng(6, *place).choice(among)), size, ramp)
