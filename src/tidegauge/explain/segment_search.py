"""The search itself: which ranges of one or two columns are worse than the rest, and how surely.

Every segment of coarse bins with enough records is held against all other records; the ends of the
most promising ones are then moved over fine bins. What the strongest one holds is taken out, and
the rest is searched again: so neither a parent, nor a part, nor a neighbour that only shares its
records with a finding is found a second time. The p-values are multiplied by how many tests the
fine bins allow for (`segment_tests`), which bounds the chance of any false finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegauge.explain.segment_cells import (
    Axes,
    Range,
    Ranges,
    count_fine,
    count_pairs,
    holds,
    in_ranges,
    running,
)
from tidegauge.explain.segment_statistics import Statistic, Values
from tidegauge.explain.segment_tests import factors, kind_of

#: Findings that are looked for at most.
MOST = 10
#: Pairs of columns whose best segment is looked at closely.
_CLOSER = 16
_MOVES = 6
#: How surely a condition must matter to stay, among all that its parent could have had.
_MATTERS = 0.05


#: Value, variance and degrees of freedom of each group.
_Value = tuple[Values, Values, Values]


@dataclass(frozen=True)
class Found:
    """A segment that is worse than the rest.

    Parameters
    ----------
    ranges : tuple of Range
    p_value : float
        Corrected for all that could have been found.
    """

    ranges: Ranges
    p_value: float


@dataclass(frozen=True, eq=False)
class Side:
    """The records of one side.

    Parameters
    ----------
    codes : (n, columns) uint16
        Fine bins within each column.
    outcome : (n,) uint16
        Class of outcome.
    """

    codes: NDArray[np.uint16]
    outcome: NDArray[np.uint16]

    def take(self, rows: NDArray[np.bool_]) -> Side:
        """Return some of the records."""
        return Side(self.codes[rows], self.outcome[rows])


def search(
    sides: tuple[Side, ...],
    axes: Axes,
    statistic: Statistic,
    *,
    depth: int = 2,
    least: int = 100,
    level: float = 0.05,
) -> tuple[list[Found], int]:
    """Find the segments that are worse than the rest; or, with a reference, that got worse.

    Parameters
    ----------
    sides : tuple of one or two Side
        The records in question and, with a second one, the reference: then a segment must be
        worse than it was there itself, and by more than the rest.
    axes : Axes
    statistic : Statistic
    depth : int
        Columns of a segment at most: 1 or 2.
    least : int
        Records that a segment needs on every side.
    level : float
        The chance of any false finding.

    Returns
    -------
    found : list of Found
        The surest first, each beside those before it.
    looked : int
        Number of coarse segments with enough records.
    """
    looker = _Looker(axes, statistic, depth, least)
    tables = [looker.count(side) for side in sides]
    found: list[Found] = []
    looked = 0
    while len(found) < MOST:
        promising, looked_now = looker.promising(tables, found)
        looked = looked or looked_now
        closer = [looker.closer(sides, one.ranges, found) for one in promising]
        best = min(closer, key=lambda one: (one.p_value, len(one.ranges)), default=None)
        if best is None or best.p_value >= level:
            break
        best = looker.simplest(sides, best, level, found)
        found.append(best)
        held = [holds(side.codes, best.ranges) for side in sides]
        for table, side, rows in zip(tables, sides, held, strict=True):
            table -= looker.count(side.take(rows))
        sides = tuple(s.take(~rows) for s, rows in zip(sides, held, strict=True))
    return found, looked


class _Looker:
    """Holds segments against the rest, from counts."""

    def __init__(self, axes: Axes, statistic: Statistic, depth: int, least: int) -> None:
        self.axes = axes
        self.statistic = statistic
        self.depth = depth
        self.least = least
        self.factors = factors(axes, depth)

    def count(self, side: Side) -> NDArray[np.int32]:
        """Count rows by class of outcome and pairs of coarse bins."""
        coarse = self.axes.coarse_codes(side.codes)
        return count_pairs(coarse, side.outcome, self.statistic.classes, self.axes)

    def promising(
        self, tables: list[NDArray[np.int32]], found: list[Found]
    ) -> tuple[list[Found], int]:
        """Return the best coarse segment of each of the best pairs of columns; how many it saw."""
        axes = self.axes
        best: dict[tuple[int, ...], Found] = {}
        looked = 0
        for ones, others, counts, totals in self._groups(tables):
            alone = ones is others
            wide = (...,) + (None,) * (counts[0].ndim - 1)
            rest = [t[wide] - c for t, c in zip(totals, counts, strict=True)]
            p = self._p_values(counts, rest)
            looked += int(np.isfinite(p).sum())
            for one in found:
                beside = self._coarse_touching(one.ranges, ones, others)
                p = np.where(beside, np.nan, p)
            starts = (
                np.array([0]) if alone else np.unique(axes.column[others], return_index=True)[1]
            )
            ends = [*starts[1:], len(others)]
            for start, end in zip(starts, ends, strict=True):
                part = p if alone else p[:, start:end]
                if not np.isfinite(part).any():
                    continue
                at = np.unravel_index(np.nanargmin(part), part.shape)
                ranges: Ranges = (axes.ranges[ones[at[0]]],)
                if not alone:
                    ranges = (*ranges, axes.ranges[others[start + at[1]]])
                columns = tuple(r.column for r in ranges)
                by = self.factors[kind_of(axes, columns)]
                best[columns] = Found(ranges, float(part[at]) * by)
        ranked = sorted(best.values(), key=lambda one: (one.p_value, len(one.ranges)))
        return ranked[:_CLOSER], looked

    def _groups(
        self, tables: list[NDArray[np.int32]]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], list[Values], list[Values]]]:
        """Yield ranges, other ranges, and their counts on each side: columns, then pairs."""
        axes = self.axes
        sums = [running(table) for table in tables]
        whole = slice(0, int(axes.first[1]))
        totals = [t[:, whole, whole].sum(axis=(1, 2)).astype(np.float64) for t in tables]
        for column in range(len(axes.edges)):
            ones = np.flatnonzero(axes.column == column)
            if not len(ones):
                continue
            # Of one column no two bins hold the same row, so a range crossed with itself is whole.
            crossed = [in_ranges(s, axes, ones, ones) for s in sums]
            yield ones, ones, [np.diagonal(c, axis1=1, axis2=2) for c in crossed], totals
            others = np.flatnonzero(axes.column > column)
            if self.depth > 1 and len(others):
                yield ones, others, [in_ranges(s, axes, ones, others) for s in sums], totals

    def _p_values(self, inside: list[Values], outside: list[Values]) -> Values:
        """One-sided p-values that the first of each side is worse; NaN with too few records.

        With a reference both must be so: that it fell, and that it fell by more than the rest. The
        larger of the two p-values bounds the chance that either is untrue (Berger 1982).

        What stands for "as it should be" (the records outside, and the reference) has at least the
        spread of all records: a few good ones, alike by chance, are no certainty.
        """
        enough: NDArray[np.bool_] | bool = True
        here: list[_Value] = []
        there: list[_Value] = []
        for at, (one, other) in enumerate(zip(inside, outside, strict=True)):
            whole = (one + other).reshape(len(one), -1)[:, :1]
            _, spread_whole, df_whole = self.statistic(whole)
            usual = (spread_whole * df_whole)[0]
            enough = enough & (one.sum(axis=0) >= self.least) & (other.sum(axis=0) >= self.least)
            value, spread, df = self.statistic(one)
            here.append((value, np.maximum(spread, usual / df) if at else spread, df))
            value, spread, df = self.statistic(other)
            there.append((value, np.maximum(spread, usual / df), df))
        signs = (1.0, -1.0)[: len(here)]
        beside = _below(enough, (*signs, *(-sign for sign in signs)), (*here, *there))
        return beside if len(here) < 2 else np.maximum(beside, _below(enough, signs, here))

    def closer(self, sides: tuple[Side, ...], ranges: Ranges, found: list[Found]) -> Found:
        """Move a segment's ends over fine bins while that makes it surer; correct its p-value."""
        columns = tuple(one.column for one in ranges)
        by = self.factors[kind_of(self.axes, columns)]
        counts = [
            count_fine(s.codes, s.outcome, self.statistic.classes, self.axes, columns)
            for s in sides
        ]
        totals = [c.reshape(len(c), -1).sum(axis=1)[:, None] for c in counts]
        best = Found(ranges, 1.0)
        for move in range(_MOVES):
            axis = move % len(ranges)
            held = best.ranges
            rest = held[1 - axis] if len(held) > 1 else None
            inside = []
            for c in counts:
                if rest is not None:
                    c = np.moveaxis(c, 2 - axis, -1)[..., rest.low : rest.high].sum(axis=-1)
                sums = np.concatenate((np.zeros((len(c), 1)), np.cumsum(c, axis=1)), axis=1)
                choices = self.axes.fine_ranges(columns[axis])
                inside.append(sums[:, choices[:, 1]] - sums[:, choices[:, 0]])
            p = self._p_values(inside, [t - i for t, i in zip(totals, inside, strict=True)])
            options = [Range(columns[axis], int(low), int(high)) for low, high in choices]
            if found:
                beside = [
                    any(self._touches(one.ranges, _with(held, axis, option)) for one in found)
                    for option in options
                ]
                p = np.where(beside, np.nan, p)
            if not np.isfinite(p).any():
                return best
            at = int(np.nanargmin(p))
            now = Found(_with(held, axis, options[at]), min(float(p[at]) * by, 1.0))
            if move >= len(ranges) and now.p_value >= best.p_value:
                return best
            best = now
        return best

    def _coarse_touching(
        self, finding: Ranges, ones: NDArray[np.int64], others: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Whether coarse segments touch a finding, in no other columns than its own."""
        ranges = self.axes.ranges
        near = [
            np.array([self._near(finding, ranges[at]) for at in group], dtype=np.bool_)
            for group in (ones, others)
        ]
        if ones is others:
            return near[0]
        both: NDArray[np.bool_] = near[0][:, None] & near[1][None, :]
        return both

    def _touches(self, finding: Ranges, ranges: Ranges) -> bool:
        return all(self._near(finding, one) for one in ranges)

    def _near(self, finding: Ranges, one: Range) -> bool:
        """Whether a range shares bins with a finding's in the same column, or lies next to them."""
        for held in finding:
            if held.column == one.column:
                ordered = self.axes.fine_ordered(one.column)
                apart = 1 if held.high <= ordered and one.high <= ordered else 0
                return one.low < held.high + apart and held.low < one.high + apart
        return False

    def simplest(
        self, sides: tuple[Side, ...], best: Found, level: float, found: list[Found]
    ) -> Found:
        """Drop a condition that does not matter: the rest of its parent is as bad as the segment.

        A condition stays if the segment is worse than the rest of the parent beyond what choosing
        among the parent's parts explains; a parent takes its place only if it is a finding itself.
        """
        if len(best.ranges) == 1:
            return best
        child = [holds(side.codes, best.ranges) for side in sides]
        simpler: list[Found] = []
        for kept, dropped in (best.ranges, best.ranges[::-1]):
            parent = [holds(side.codes, (kept,)) for side in sides]
            part = [self._outcomes(s, c) for s, c in zip(sides, child, strict=True)]
            rest = [self._outcomes(s, p & ~c) for s, p, c in zip(sides, parent, child, strict=True)]
            matters = float(self._p_values(part, rest)[0])
            choices = len(self.axes.fine_ranges(dropped.column)) * (len(self.axes.edges) - 1)
            if matters >= _MATTERS / choices or np.isnan(matters):
                one = self.closer(sides, (kept,), found)
                if one.p_value < level:
                    simpler.append(one)
        return min(simpler, key=lambda one: one.p_value, default=best)

    def _outcomes(self, side: Side, rows: NDArray[np.bool_]) -> Values:
        counts = np.bincount(side.outcome[rows], minlength=self.statistic.classes)
        return counts.astype(np.float64)[:, None]


def _below(
    enough: NDArray[np.bool_] | bool, signs: Sequence[float], values: Sequence[_Value]
) -> Values:
    """One-sided p-values that a sum of signed values is below zero; NaN where not known."""
    from scipy.special import stdtr

    difference = sum(sign * value for sign, (value, _, _) in zip(signs, values, strict=True))
    variance = np.asarray(sum(spread for _, spread, _ in values))
    freedom = np.minimum.reduce([df for _, _, df in values])
    known = enough & np.isfinite(variance)
    z = np.where(known, difference / np.sqrt(np.where(known, variance, 1.0)), np.nan)
    out: Values = stdtr(np.where(known, freedom, 1.0), z)
    return out


def _with(ranges: Ranges, axis: int, one: Range) -> Ranges:
    return tuple(one if at == axis else held for at, held in enumerate(ranges))
