"""How many independent tests a search over ranges amounts to: what its p-values are multiplied by.

Ranges of one pair of columns overlap, so that the chance that any of them passes a height is less
than the sum of their chances. The share of that sum which is left was computed by importance
sampling (Naiman and Priebe, J. Comput. Graph. Stat. 10, 2001) for grids of independent normal cells
of equal weight, at a height of 5.2; it falls with the number of bins, and with lower heights, so
taking it from the next smaller grid keeps a bound. Over kinds of segments and pairs of columns
nothing is assumed: their chances are added up.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from enum import IntEnum

from tidegauge.explain.segment_cells import Axes

_BINS = (1, 3, 4, 6, 8, 12, 18, 24)
#: Of ranges of one column, alone or with each value of a category; and of pairs of ranges.
_ONE = (1.0, 1.0, 1.0, 0.98, 0.95, 0.87, 0.77, 0.68)
_TWO = (1.0, 0.99, 0.96, 0.84, 0.73, 0.55, 0.37, 0.26)


class Kind(IntEnum):
    """Kinds of segments; each has its part of the chance of a false finding."""

    SINGLE = 0
    VALUES = 1
    MIXED = 2
    RANGES = 3


#: Parts of the chance, for the kinds there are. The more choices a kind has, the more of it.
PARTS = {Kind.SINGLE: 0.1, Kind.VALUES: 0.2, Kind.MIXED: 0.3, Kind.RANGES: 0.4}


def kind_of(axes: Axes, columns: tuple[int, ...]) -> Kind:
    """Return the kind of the segments of one or two columns."""
    if len(columns) == 1:
        return Kind.SINGLE
    return (Kind.VALUES, Kind.MIXED, Kind.RANGES)[sum(axes.ordered[c] > 1 for c in columns)]


def factors(axes: Axes, depth: int) -> dict[Kind, float]:
    """Return by what the p-value of a segment of each kind is to be multiplied.

    Examples
    --------
    >>> axes = Axes(((0, 1, 2, 3), (0, 1, 2, 3)), (0, 0))
    >>> {kind.name: round(by, 6) for kind, by in factors(axes, 2).items()}
    {'SINGLE': 18.0, 'VALUES': 13.5}
    """
    tests: Counter[Kind] = Counter()
    weights: dict[Kind, float] = {}
    counts = [len(axes.fine_ranges(c)) for c in range(len(axes.edges))]
    for one, ranges in enumerate(counts):
        bins = axes.fine_ordered(one)
        weights[Kind.SINGLE] = weights.get(Kind.SINGLE, 0.0) + ranges * _share(_ONE, bins)
        tests[Kind.SINGLE] += ranges
        for other in range(one) if depth > 1 else ():
            kind = kind_of(axes, (one, other))
            least, most = sorted((bins, axes.fine_ordered(other)))
            share = _share(_TWO, least) if kind is Kind.RANGES else _share(_ONE, most)
            weights[kind] = weights.get(kind, 0.0) + ranges * counts[other] * share
            tests[kind] += ranges * counts[other]
    there = {kind: weight for kind, weight in weights.items() if tests[kind]}
    whole = sum(PARTS[kind] for kind in there)
    return {kind: weight * whole / PARTS[kind] for kind, weight in there.items()}


def _share(table: tuple[float, ...], bins: int) -> float:
    return table[max(bisect_right(_BINS, bins) - 1, 0)]
