"""Sharing a window's level out among its tests, and what each of them came to.

Performance gets half where there is any, segments get half of each. Where the level allows an
alarm of a column, the statistic that speaks for it most carries it, and others of another kind
that could alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.metrics.registry import Family, Values
from tidegauge.monitor.budget import combine, spend

_Flags = NDArray[np.bool_]


class Strength(NamedTuple):
    """How strongly one series speaks against "nothing changed"; (window, segment).

    ``p`` is its p-value, ``smallest`` that of its strongest part. ``large`` is that of the
    strongest part whose change is no smaller than the minimum effect, infinite if there is none,
    and ``lead`` that part: (window, segment, 1).
    """

    p: Values
    smallest: Values
    large: Values
    lead: NDArray[np.int64]


class Entry(NamedTuple):
    """One series that takes part.

    Series of one ``unit`` are tested together. ``asked`` is the weight that a monitor gives the
    series among all, ``weight`` the one that its p-value has within the unit; ``parts`` how many
    p-values its own was combined of.
    """

    unit: str
    family: Family
    asked: float
    weight: float
    parts: int
    strength: Strength


class Share(NamedTuple):
    """What came of one series' part of the level; (window, segment).

    ``level`` is what the p-value of the series must not pass by itself, ``first`` what that of
    one of its parts must not before other tests have handed on their shares.
    """

    alarm: _Flags
    level: Values
    first: Values


def at(parts: NDArray[Any], lead: NDArray[np.int64]) -> NDArray[Any]:
    """Take one part of each cell."""
    return np.take_along_axis(parts, lead, axis=-1)[..., 0]


def share_out(entries: Mapping[int, Entry], level: float) -> dict[int, Share]:
    """Spend a level over series.

    Parameters
    ----------
    entries : mapping of any number to Entry
    level : float
        The chance of any false alarm.

    Returns
    -------
    dict of the same numbers to Share
    """
    units: dict[str, list[int]] = {}
    for index, entry in entries.items():
        units.setdefault(entry.unit, []).append(index)
    if not units:
        return {}
    members = [[entries[i] for i in group] for group in units.values()]
    inside = [np.array([one.asked * one.weight for one in group]) for group in members]
    p = np.stack(
        [
            combine(np.stack([one.strength.p for one in group], axis=-1), weight)
            for group, weight in zip(members, inside, strict=True)
        ],
        axis=-1,
    )
    asked = np.array([np.mean([one.asked for one in group]) for group in members])
    performance = np.array([group[0].family is Family.PERFORMANCE for group in members])
    weights = _weights(p, asked, performance)
    spent = spend(p.reshape(len(p), -1), weights.reshape(len(p), -1), level)
    rejected = spent.rejected.reshape(p.shape)
    own, first = spent.level.reshape(p.shape), spent.first.reshape(p.shape)
    out: dict[int, Share] = {}
    for u, indices in enumerate(units.values()):
        ends = rejected[..., u], own[..., u], first[..., u]
        out.update(zip(indices, _within(members[u], inside[u], *ends), strict=True))
    return out


def _weights(p: Values, weight: Values, performance: _Flags) -> Values:
    """Share of the level that each test gets: (window, segment, unit)."""
    tested = np.isfinite(p) & (weight > 0)
    out = np.zeros(p.shape)
    halves = [half for half in (performance, ~performance) if half.any()]
    for half in halves:
        segments = tested[:, 1:, half].any(axis=(1, 2))
        for places, part in ((slice(0, 1), np.where(segments, 0.5, 1.0)), (slice(1, None), 0.5)):
            own = np.where(tested[:, places][..., half], weight[half], 0.0)
            total = own.sum(axis=(1, 2), keepdims=True)
            scaled = own / np.where(total > 0, total, 1.0)
            out[:, places, half] = scaled * np.reshape(part, (-1, 1, 1)) / len(halves)
    return out


def _within(
    members: Sequence[Entry], weight: Values, rejected: _Flags, own: Values, first: Values
) -> list[Share]:
    """Say which series of one unit carry its alarm, and what each might have spent."""
    told = np.stack([np.isfinite(one.strength.p) for one in members], axis=-1)
    total = (told * weight).sum(axis=-1)
    smallest = np.fmin.reduce([one.strength.smallest for one in members])
    taken: dict[Family, _Flags] = {}
    out = []
    for one, its in zip(members, weight, strict=True):
        part = its / np.maximum(total, its)
        tried = one.parts / part
        large = one.strength.large
        rivals = [other.strength.large for other in members if other.family is one.family]
        clear = (large <= own / tried) | (large <= smallest * (1 + 1e-9))
        alarm = rejected & np.isfinite(large) & clear & (large <= np.minimum.reduce(rivals))
        before = taken.get(one.family, np.zeros(alarm.shape, np.bool_))
        alarm &= ~before
        taken[one.family] = alarm | before
        level: Values = np.where(np.isfinite(one.strength.p), own * part, np.nan)
        out.append(Share(alarm, level, first / tried))
    return out
