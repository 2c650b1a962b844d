"""Slow drift: the mean of the last windows, for changes too small to show in one.

A full week (or day) of windows, so that seasons cancel. The expected number of false alarms is at
most the sum of the levels spent on it, however much the means of neighbouring windows share: no
run length need be known.
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


def span(width: timedelta) -> int:
    """Return how many windows the slow test looks back over: a week of days, a day of hours.

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

    def _without(self, starts: NDArray[np.int64]) -> Deviations:
        keep = ~np.isin(self.starts, starts)
        held = {name: (d[keep], v[keep]) for name, (d, v) in self.held.items()}
        return Deviations(self.starts[keep], held)


@dataclass(frozen=True, eq=False)
class MovingMean:
    """The slow test of one series; all (window, segment, part).

    Parameters
    ----------
    p : float64
    mean, sd : float64
        Mean deviation of the last windows, and its standard deviation if nothing changed.
    windows : int64
        Windows that the mean is taken over.
    """

    p: Values
    mean: Values
    sd: Values
    windows: NDArray[np.int64]


def moving_mean(
    held: Deviations,
    name: tuple[str, str],
    starts: NDArray[np.int64],
    expectation: Expectation,
    width: timedelta,
    side: int,
) -> MovingMean:
    """Test the mean deviation of the last windows, up to each of some.

    Parameters
    ----------
    held : Deviations
        Of these windows and those before.
    name : (metric, column)
    starts : (window,) int64
        The windows that are asked about.
    expectation : Expectation
    width : timedelta
    side : int
        1 where only greater values count, -1 where only smaller ones do, 0 for both.
    """
    deviation, variance = held.held[name]
    step, length = width // timedelta(microseconds=1), span(width)
    shape = (len(starts), *deviation.shape[1:])
    total, noise = np.zeros(shape), np.zeros(shape)
    count = np.zeros(shape, dtype=np.int64)
    newest = np.zeros(shape, dtype=np.bool_)
    for lag in range(length):
        wanted = starts - lag * step
        at = np.minimum(np.searchsorted(held.starts, wanted), len(held.starts) - 1)
        there = (held.starts[at] == wanted)[:, None, None] & np.isfinite(deviation[at])
        total += np.where(there, deviation[at], 0.0)
        noise += np.where(there, variance[at], 0.0)
        count += there
        if lag == 0:
            newest = there
    mean, noise = total / count, noise / count
    r, before = expectation.correlation, np.maximum(expectation.windows, 1)
    factors = np.array([inflation(m, r) for m in range(length + 1)])
    lengths = np.arange(1, int(before.max(initial=1)) + 1)
    long = np.array([inflation(int(m), r) for m in (lengths if r else lengths[:1])])
    past = long[before - 1] if r else np.ones(before.shape)
    spread = expectation.between + noise
    sd = np.sqrt(spread * (factors[count] / count + past / before))
    t = np.where(mean == 0, 0.0, mean / sd)
    df = expectation.df
    p = 2 * special.stdtr(df, -np.abs(t)) if side == 0 else special.stdtr(df, -side * t)
    usable = newest & (count >= max(_FEWEST, length // 2)) & (expectation.windows > 0)
    return MovingMean(np.where(usable, p, np.nan), mean, sd, count)


def inflation(count: int, r: float) -> float:
    """Return how many times the variance of a mean grows by autocorrelation ``r`` per step.

    Examples
    --------
    >>> inflation(1, 0.5), inflation(2, 0.5)
    (1.0, 1.5)
    """
    lags = np.arange(1, max(count, 1))
    return float(1 + 2 * ((1 - lags / max(count, 1)) * r**lags).sum())
