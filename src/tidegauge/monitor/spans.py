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
from typing import Any, NamedTuple

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
#: Deviations below this are rounding.
_SAME = 1e-9


def span(width: timedelta) -> int:
    """Return how many windows the longest test looks back over: a week of days, a day of hours.

    Examples
    --------
    >>> span(timedelta(days=1)), span(timedelta(hours=1)), span(timedelta(minutes=1))
    (7, 24, 24)
    """
    return max(_WEEK, min(_MOST, _DAY // width))


class Track(NamedTuple):
    """How far one series lay from what was expected of it, window by window.

    ``deviation`` and its sampling ``variance`` are (window, segment, part), NaN where of no use;
    ``alarm`` says which windows were alarms by themselves, (window, segment, 1).
    """

    deviation: Values
    variance: Values
    alarm: NDArray[np.bool_]

    @classmethod
    def of(cls, deviation: Values, variance: Values) -> Track:
        """Return a track without alarms."""
        return cls(deviation, variance, np.zeros((*deviation.shape[:-1], 1), dtype=np.bool_))

    def take(self, which: Any) -> Track:
        """Return some of the windows."""
        return Track(*(one[which] for one in self))

    def then(self, later: Track) -> Track:
        """Return the windows of both."""
        return Track(*(np.concatenate(both) for both in zip(self, later, strict=True)))


@dataclass(frozen=True, eq=False)
class Deviations:
    """How far windows lay from what was expected of them, on the scale of judging.

    Parameters
    ----------
    starts : (window,) int64, increasing
    tracks : mapping of (metric, column) to Track
    """

    starts: NDArray[np.int64]
    tracks: Mapping[tuple[str, str], Track]

    def take(self, which: Any) -> Deviations:
        """Return those of some windows."""
        tracks = {name: track.take(which) for name, track in self.tracks.items()}
        return Deviations(self.starts[which], tracks)

    def last(self, count: int) -> Deviations:
        """Return those of the newest windows."""
        return self.take(slice(max(len(self.starts) - count, 0), None))

    def then(self, later: Deviations) -> Deviations:
        """Return these and later ones; of a window that both hold, the later is right."""
        old = self.take(~np.isin(self.starts, later.starts))
        starts = np.concatenate((old.starts, later.starts))
        order = np.argsort(starts, kind="stable")
        tracks = {}
        for name, track in later.tracks.items():
            mine = old.tracks.get(name)
            if mine is None or mine.deviation.shape[1:] != track.deviation.shape[1:]:
                blank = np.full((len(old.starts), *track.deviation.shape[1:]), np.nan)
                mine = Track.of(blank, blank)
            tracks[name] = mine.then(track).take(order)
        return Deviations(starts[order], tracks)

    def marked(
        self, starts: NDArray[np.int64], alarms: Mapping[tuple[str, str], NDArray[np.bool_]]
    ) -> Deviations:
        """Return these with the alarms of some windows: (window, segment) by series."""
        at = np.searchsorted(self.starts, starts)
        tracks = dict(self.tracks)
        for name, flags in alarms.items():
            alarm = tracks[name].alarm.copy()
            alarm[at] = flags[..., None]
            tracks[name] = tracks[name]._replace(alarm=alarm)
        return Deviations(self.starts, tracks)

    def at(self, name: tuple[str, str], starts: NDArray[np.int64]) -> Track:
        """Return one series' windows by their starts; NaN where there is none."""
        at = np.minimum(np.searchsorted(self.starts, starts), len(self.starts) - 1)
        there = (self.starts[at] == starts)[:, None, None]
        found = self.tracks[name].take(at)
        return found._replace(deviation=np.where(there, found.deviation, np.nan))


@dataclass(frozen=True, eq=False)
class SpanTest:
    """The mean of the last windows of one series, tested; all (window, segment, part).

    Parameters
    ----------
    p : float64
        NaN where there is too little to tell.
    expected : float64
        Mean of what level and seasons lead one to expect of the last windows.
    mean : float64
        Mean deviation of the last windows from that.
    carried : float64
        What of it the window before them led one to expect.
    sd : float64
        Standard deviation of the rest if nothing changed.
    windows : int64
        Windows that the mean is taken over.
    """

    p: Values
    expected: Values
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
    own = expectation.at(starts)
    total, noise, count, newest = _sums(history, name, starts, step, length)
    mean, noise = total / count, noise / count
    r, between = expectation.correlation, expectation.between
    variance = (between + noise) * inflation(r, count) / count
    variance = variance + _uncertainty(expectation, starts, step, length)
    earlier = history.at(name, starts - length * step)
    before, usable = _before(earlier, expectation)
    shared = _shared(r, length) * expectation.spread
    carried = np.where(usable, shared / before * earlier.deviation, 0.0)
    told = np.where(usable, shared**2 / before, 0.0)
    sd = np.sqrt(np.maximum(variance - told, noise / count))
    t = np.where(np.abs(mean - carried) < _SAME, 0.0, (mean - carried) / sd)
    df = expectation.df
    p = 2 * special.stdtr(df, -np.abs(t)) if side == 0 else special.stdtr(df, -side * t)
    enough = newest & (count >= min(length, max(_FEWEST, length // 2)))
    expected = sum((expectation.at(starts - lag * step) for lag in range(1, length)), own)
    return SpanTest(np.where(enough, p, np.nan), expected / length, mean, carried, sd, count)


def _sums(
    history: Deviations, name: tuple[str, str], starts: NDArray[np.int64], step: int, length: int
) -> tuple[Values, Values, NDArray[np.int64], NDArray[np.bool_]]:
    """Sums of deviations and sampling variances, how many, and whether the newest is there.

    What was an alarm by itself is no slow drift, and must not make one of later windows.
    """
    shape = (len(starts), *history.tracks[name].deviation.shape[1:])
    total, noise, count = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=np.int64)
    first = np.zeros(shape, dtype=np.bool_)
    for lag in range(length):
        track = history.at(name, starts - lag * step)
        there = np.isfinite(track.deviation)
        if length > 1:
            there &= ~track.alarm
        total += np.where(there, track.deviation, 0.0)
        noise += np.where(there, track.variance, 0.0)
        count += there
        first = there if lag == 0 else first
    return total, noise, count, first


def _before(earlier: Track, expectation: Expectation) -> tuple[Values, NDArray[np.bool_]]:
    """Variance of the window before a span, and whether it tells of the span.

    A window far off tells of a change, not of how windows usually vary.
    """
    variance = earlier.variance + expectation.between
    near = np.abs(earlier.deviation) <= _FAR * np.sqrt(variance)
    usable: NDArray[np.bool_] = np.isfinite(earlier.deviation) & near & (not expectation.sampled)
    return np.where(usable, np.maximum(variance, _TINY), 1.0), usable


def _uncertainty(
    expectation: Expectation, starts: NDArray[np.int64], step: int, length: int
) -> Values:
    """Return how surely the level and the seasons of a mean over windows are known: a variance."""
    known = expectation.level_variance
    if not expectation.sampled:
        before = np.maximum(expectation.windows, 1)
        known = known * inflation(expectation.correlation, before)
    out: Values = np.broadcast_to(known, (len(starts), *known.shape))
    for one in expectation.effects:
        slots = np.zeros((len(starts), one.season.slots))
        for lag in range(length):
            slots[np.arange(len(starts)), one.season.of(starts - lag * step)] += 1.0 / length
        squares = slots**2
        out = out + np.tensordot(squares, one.variance, axes=1)
        out = out - (1.0 - squares.sum(axis=1))[:, None, None] * one.common
    return np.maximum(out, 0.0)


def inflation(r: Values, count: NDArray[np.int64]) -> Values:
    """Return how many times the variance of a mean grows by autocorrelation ``r`` per step.

    That is 1 + 2 Σ (1 − k/n) rᵏ for k from 1 to n − 1, summed in closed form.

    Parameters
    ----------
    r : float64
        Below 1.
    count : int64
        Values that the mean is of, n.

    Examples
    --------
    >>> inflation(np.array([0.0, 0.5]), np.array([2, 2])).tolist()
    [1.0, 1.5]
    """
    n, rest = np.maximum(count, 1), 1.0 - r
    out: Values = 1.0 + 2.0 * (r / rest - r * (1.0 - r**n) / (n * rest**2))
    return out


def _shared(r: Values, length: int) -> Values:
    """Mean correlation of the windows of a span with the one before it."""
    out: Values = (r[..., None] ** np.arange(1, length + 1)).mean(axis=-1)
    return out
