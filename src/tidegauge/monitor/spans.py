"""Tests over the last windows: one, two, and a week (or a day) of them, for drift too slow for one.

A mean over several windows is less noisy, and over a full turn of a season that season's errors
cancel. The expected number of false alarms is at most the sum of the levels spent, however much
the means of neighbouring windows share: no run length need be known.

Where windows that follow each other vary alike, the one before a span tells part of what the span
will show; that part is carried over into what is expected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray
from scipy import special

from tidegauge.metrics.registry import Values
from tidegauge.monitor.expectation import Expectation

_DAY = timedelta(days=1)
_WEEK = 7
_MOST = 24
_FEWEST = 3
#: Standard deviations from which a window counts as far off.
_FAR = 3.0
_TINY = 1e-18


def span(width: timedelta) -> int:
    """Return how many windows the longest test looks back over: a week of days, a day of hours.

    Examples
    --------
    >>> span(timedelta(days=1)), span(timedelta(hours=1)), span(timedelta(minutes=1))
    (7, 24, 24)
    """
    return max(_WEEK, min(_MOST, _DAY // width))


@dataclass(frozen=True, eq=False)
class Deviations:
    """How far windows lay from what was expected of them, on the scale of judging.

    Parameters
    ----------
    starts : (window,) int64, increasing
    held : mapping of (metric, column) to two (window, segment, part) float64
        Deviation and sampling variance; NaN where of no use.
    """

    starts: NDArray[np.int64]
    held: Mapping[tuple[str, str], tuple[Values, Values]]

    def last(self, count: int) -> Deviations:
        """Return those of the newest windows."""
        keep = slice(max(len(self.starts) - count, 0), None)
        held = {name: (d[keep], v[keep]) for name, (d, v) in self.held.items()}
        return Deviations(self.starts[keep], held)

    def before(self, start: int) -> Deviations:
        """Return those of the windows that begin before a moment."""
        keep = self.starts < start
        held = {name: (d[keep], v[keep]) for name, (d, v) in self.held.items()}
        return Deviations(self.starts[keep], held)

    def then(self, later: Deviations) -> Deviations:
        """Return these and later ones; of a window that both hold, the later is right."""
        old = self if not len(later.starts) else self._without(later.starts)
        starts = np.concatenate((old.starts, later.starts))
        order = np.argsort(starts, kind="stable")
        held = {}
        for name, parts in later.held.items():
            mine = old.held.get(name)
            if mine is None or mine[0].shape[1:] != parts[0].shape[1:]:
                blank = np.full((len(old.starts), *parts[0].shape[1:]), np.nan)
                mine = blank, blank
            held[name] = (
                np.concatenate((mine[0], parts[0]))[order],
                np.concatenate((mine[1], parts[1]))[order],
            )
        return Deviations(starts[order], held)

    def without(
        self, starts: NDArray[np.int64], alarms: Mapping[tuple[str, str], NDArray[np.bool_]]
    ) -> Deviations:
        """Return these, less what was an alarm: (window, segment) flags of the windows given."""
        at = np.searchsorted(self.starts, starts)
        held = dict(self.held)
        for name, flags in alarms.items():
            if flags.any():
                deviation, variance = held[name]
                deviation = deviation.copy()
                deviation[at] = np.where(flags[..., None], np.nan, deviation[at])
                held[name] = deviation, variance
        return Deviations(self.starts, held)

    def at(self, name: tuple[str, str], starts: NDArray[np.int64]) -> tuple[Values, Values]:
        """Return deviation and variance of windows by their starts; NaN where there is none."""
        deviation, variance = self.held[name]
        at = np.minimum(np.searchsorted(self.starts, starts), len(self.starts) - 1)
        there = (self.starts[at] == starts)[:, None, None]
        return np.where(there, deviation[at], np.nan), np.where(there, variance[at], np.nan)

    def _without(self, starts: NDArray[np.int64]) -> Deviations:
        keep = ~np.isin(self.starts, starts)
        held = {name: (d[keep], v[keep]) for name, (d, v) in self.held.items()}
        return Deviations(self.starts[keep], held)


@dataclass(frozen=True, eq=False)
class SpanTest:
    """The mean of the last windows of one series, tested; all (window, segment, part).

    Parameters
    ----------
    p : float64
        NaN where there is too little to tell.
    mean : float64
        Mean deviation of the last windows from what their seasons lead one to expect.
    carried : float64
        What of it the window before them led one to expect.
    sd : float64
        Standard deviation of the rest if nothing changed.
    windows : int64
        Windows that the mean is taken over.
    """

    p: Values
    mean: Values
    carried: Values
    sd: Values
    windows: NDArray[np.int64]


def span_test(
    history: Deviations,
    name: tuple[str, str],
    starts: NDArray[np.int64],
    expectation: Expectation,
    step: int,
    side: int,
    length: int,
) -> SpanTest:
    """Test the mean deviation of the last windows, up to each of some.

    Parameters
    ----------
    history : Deviations
        Of these windows and those before.
    name : (metric, column)
    starts : (window,) int64
        The windows that are asked about.
    expectation : Expectation
    step : int
        Width of a window, microseconds.
    side : int
        1 where only greater values count, -1 where only smaller ones do, 0 for both.
    length : int
        Windows that the mean is taken over; of more than three some may be missing.
    """
    total, noise, count, newest = _sums(history, name, starts, step, length)
    mean, noise = total / count, noise / count
    r, between = expectation.correlation, expectation.between
    variance = (between + noise) * _inflation(r, length)[count] / count
    variance = variance + _uncertainty(expectation, starts, step, length)
    before, usable = _before(history, name, starts - length * step, expectation)
    shared = _shared(r, length) * expectation.spread
    carried = np.where(usable, shared / before * history.at(name, starts - length * step)[0], 0.0)
    told = np.where(usable, shared**2 / before, 0.0)
    sd = np.sqrt(np.maximum(variance - told, noise / count))
    t = np.where(mean == carried, 0.0, (mean - carried) / sd)
    df = expectation.df
    p = 2 * special.stdtr(df, -np.abs(t)) if side == 0 else special.stdtr(df, -side * t)
    enough = newest & (count >= min(length, max(_FEWEST, length // 2)))
    return SpanTest(np.where(enough, p, np.nan), mean, carried, sd, count)


def _sums(
    history: Deviations, name: tuple[str, str], starts: NDArray[np.int64], step: int, length: int
) -> tuple[Values, Values, NDArray[np.int64], NDArray[np.bool_]]:
    """Sums of deviations and sampling variances, how many, and whether the newest is there."""
    deviation, variance = history.at(name, starts)
    newest = np.isfinite(deviation)
    total, noise = np.where(newest, deviation, 0.0), np.where(newest, variance, 0.0)
    count = newest.astype(np.int64)
    for lag in range(1, length):
        deviation, variance = history.at(name, starts - lag * step)
        there = np.isfinite(deviation)
        total += np.where(there, deviation, 0.0)
        noise += np.where(there, variance, 0.0)
        count += there
    return total, noise, count, newest


def _before(
    history: Deviations,
    name: tuple[str, str],
    starts: NDArray[np.int64],
    expectation: Expectation,
) -> tuple[Values, NDArray[np.bool_]]:
    """Variance of the window before a span, and whether it tells of the span.

    A window far off tells of a change, not of how windows usually vary.
    """
    deviation, variance = history.at(name, starts)
    variance = variance + expectation.between
    near = np.abs(deviation) <= _FAR * np.sqrt(variance)
    usable: NDArray[np.bool_] = np.isfinite(deviation) & near & (not expectation.sampled)
    return np.where(usable, np.maximum(variance, _TINY), 1.0), usable


def _uncertainty(
    expectation: Expectation, starts: NDArray[np.int64], step: int, length: int
) -> Values:
    """Return how surely the level and the seasons of a mean over windows are known: a variance."""
    known = expectation.level_variance
    if not expectation.sampled:
        before = np.maximum(expectation.windows, 1)
        known = known * _inflation(expectation.correlation, int(before.max()))[before]
    out: Values = np.broadcast_to(known, (len(starts), *known.shape))
    for one in expectation.effects:
        slots = np.zeros((len(starts), one.season.slots))
        for lag in range(length):
            slots[np.arange(len(starts)), one.season.of(starts - lag * step)] += 1.0 / length
        squares = slots**2
        out = out + np.tensordot(squares, one.variance, axes=1)
        out = out - (1.0 - squares.sum(axis=1))[:, None, None] * one.common
    return np.maximum(out, 0.0)


def _inflation(r: Values, most: int) -> _Table:
    """How many times the variance of a mean of so many windows grows by autocorrelation."""
    lags = np.arange(1, most + 1)
    powers = r[..., None] ** lags
    counts = np.arange(1, most + 1)[:, None]
    weights = np.where(lags < counts, 1 - lags / counts, 0.0)
    factors = 1 + 2 * (powers @ weights.T)
    return _Table(np.concatenate((factors[..., :1], factors), axis=-1))


class _Table:
    """Factors by count, each (segment, part): looked up by an array of counts."""

    def __init__(self, factors: Values) -> None:
        self.factors = factors

    def __getitem__(self, counts: NDArray[np.int64]) -> Values:
        shape = (*counts.shape, self.factors.shape[-1])
        table = np.broadcast_to(self.factors, shape)
        return np.take_along_axis(table, counts[..., None], axis=-1)[..., 0]


def _shared(r: Values, length: int) -> Values:
    """Mean correlation of the windows of a span with the one before it."""
    out: Values = (r[..., None] ** np.arange(1, length + 1)).mean(axis=-1)
    return out
