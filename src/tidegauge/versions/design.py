"""Which records are held against which: pairs that both versions scored, or two sets of records.

Both ways give the same thing for a measure: its two values, and what each record contributes to
either. So variances, differences, ratios and the correlation of several measures follow alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tidegauge.schema import Column
from tidegauge.versions.influence import Estimate, Floats, Ints
from tidegauge.versions.measures import Measure
from tidegauge.versions.mix import LEAST_OVERLAP, Mix, effective, mix_of
from tidegauge.versions.rows import Side

#: Pairs from which on, and share of the smaller version's records, two versions are paired.
FEWEST_PAIRS, PAIRED_SHARE = 30, 0.5
#: Records of equal weight that adjusted traffic must be worth.
_LEAST_EFFECTIVE = 50.0


@dataclass(frozen=True, eq=False)
class Two:
    """A measure of both versions.

    Parameters
    ----------
    champion, challenger : float
        Its values; NaN where it is not defined.
    first, second : (n,) float64
        What each record contributes to either; the sum of squares is the variance.
    floors : (float, float)
        Added to the variance of either, for shares of few.
    counts : (int, int)
        Records of each.
    raw : (float, float)
        Its values before adjusting; the same where nothing was adjusted.
    why_not : str
        Why there is no value.
    bias : float
        By how much chance is expected to raise the champion's value. The challenger's is left as
        it is, which is the careful side.
    many : float
        Of a plain share: how many records of the challenger it is of. 0 for what is none.
    """

    champion: float
    challenger: float
    first: Floats
    second: Floats
    floors: tuple[float, float]
    counts: tuple[int, int]
    raw: tuple[float, float]
    why_not: str = ""
    bias: float = 0.0
    many: float = 0.0


class Design(Protocol):
    """How two versions' records are held against one another."""

    @property
    def kind(self) -> str:
        """``paired`` or ``unpaired``."""
        ...

    def two(self, measure: Measure) -> Two:
        """Return a measure of both versions."""
        ...

    @property
    def champion(self) -> Side:
        """The champion's records that are compared."""
        ...

    @property
    def challenger(self) -> Side:
        """The challenger's records that are compared."""
        ...


def _nothing(counts: tuple[int, int], why: str) -> Two:
    none = np.empty(0)
    nan = float("nan")
    return Two(nan, nan, none, none, (0.0, 0.0), counts, (nan, nan), why)


def _floor(estimate: Estimate, n: float) -> float:
    return (estimate.reach / n) ** 2 if n > 0 else 0.0


@dataclass(frozen=True, eq=False)
class Paired:
    """The same records, scored by both.

    Parameters
    ----------
    champion, challenger : Side
        Row by row the same records.
    """

    champion: Side
    challenger: Side
    kind: str = field(default="paired", init=False)

    @property
    def size(self) -> int:
        """Pairs."""
        return self.champion.rows

    def two(self, measure: Measure) -> Two:
        """Return a measure of both versions over the records that tell it of both."""
        sides = self.champion, self.challenger
        each = [measure.needs(side) for side in sides]
        rows = np.flatnonzero(each[0] & each[1])
        n = len(rows)
        # First each by itself, so that the side is named that wants something.
        tried = [np.flatnonzero(each[0]), np.flatnonzero(each[1]), rows, rows]
        for side, own in zip((*sides, *sides), tried, strict=True):
            why = measure.short_of(side, own)
            if why:
                return _nothing((n, n), why)
        weights = np.ones(n)
        found = [_computed(measure, side, rows, weights) for side in sides]
        if not all(np.isfinite(one.value) for one in found):
            return _nothing((n, n), _undefined(measure))
        parts = []
        for one in found:
            part = np.zeros(self.size)
            part[rows] = one.psi / n
            parts.append(part)
        values = found[0].value, found[1].value
        floors = _floor(found[0], n), _floor(found[1], n)
        many = float(n) if found[1].reach == 1.0 else 0.0
        return Two(
            *(*values, parts[0], parts[1], floors, (n, n), values), bias=found[0].bias, many=many
        )


@dataclass(frozen=True, eq=False)
class Separate:
    """Records of their own, weighted to the mix that both versions serve.

    Parameters
    ----------
    champion, challenger : Side
    mix : Mix or None
        None where nothing tells the traffic apart, so nothing is adjusted.
    """

    champion: Side
    challenger: Side
    mix: Mix | None
    kind: str = field(default="unpaired", init=False)

    @property
    def size(self) -> int:
        """Records of both."""
        return self.champion.rows + self.challenger.rows

    def two(self, measure: Measure) -> Two:
        """Return a measure of both versions, each over the records that tell it."""
        places = [np.flatnonzero(measure.needs(side)) for side in (self.champion, self.challenger)]
        counts = len(places[0]), len(places[1])
        for side, rows in zip((self.champion, self.challenger), places, strict=True):
            why = measure.short_of(side, rows)
            if why:
                return _nothing(counts, why)
        found: list[tuple[Estimate, Floats, float]] = []
        raw = []
        for at, (side, rows) in enumerate(
            zip((self.champion, self.challenger), places, strict=True)
        ):
            plain = np.ones(len(rows))
            weights = plain if self.mix is None else self._weights(at)[rows]
            raw.append(_computed(measure, side, rows, plain).value)
            one = _computed(measure, side, rows, weights)
            if not np.isfinite(one.value):
                return _nothing(counts, _undefined(measure))
            found.append((one, self._contributions(at, rows, one, weights), effective(weights)))
        (a, first, many), (b, second, more) = found
        floors = _floor(a, many), _floor(b, more)
        told = more if b.reach == 1.0 else 0.0
        values = a.value, b.value
        return Two(
            *(*values, first, second, floors, counts, (raw[0], raw[1])), bias=a.bias, many=told
        )

    def _weights(self, at: int) -> Floats:
        assert self.mix is not None
        return (self.mix.champion, self.mix.challenger)[at]

    def _contributions(self, at: int, rows: Ints, one: Estimate, weights: Floats) -> Floats:
        total = float(weights.sum())
        place = rows + (self.champion.rows if at else 0)
        part = np.zeros(self.size)
        part[place] = one.psi * weights / total
        if self.mix is None:
            return part
        slopes = np.zeros(self.size)
        slopes[place] = one.psi / total
        return part + self.mix.estimated(slopes)


def _computed(measure: Measure, side: Side, rows: Ints, weights: Floats) -> Estimate:
    """Compute a measure; not defined where its values are too large for numbers."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        one = measure.compute(side, rows, weights)
        if not np.isfinite(one.psi @ one.psi):
            return Estimate(float("nan"), one.psi)
    return one


def _undefined(measure: Measure) -> str:
    if measure.family == "fairness":
        return "fewer than two groups have enough records"
    return f"{measure.name} is not defined for these records"


@dataclass(frozen=True)
class Matching:
    """Which records both versions scored.

    Parameters
    ----------
    champion, challenger : (pairs,) int64
        Rows of each.
    """

    champion: Ints
    challenger: Ints

    @property
    def common(self) -> int:
        """How many."""
        return len(self.champion)


def matched(champion: Side, challenger: Side) -> Matching:
    """Return the records that both versions scored; of repeats the first counts.

    Examples
    --------
    >>> import pyarrow as pa
    >>> def side(keys):
    ...     return Side("", len(keys), np.array(keys, np.uint64), None, None, None, {}, None,
    ...                 {}, {}, pa.table({}))
    >>> found = matched(side([5, 3, 9]), side([9, 5, 1]))
    >>> found.champion.tolist(), found.challenger.tolist()
    ([0, 2], [1, 0])
    """
    none = np.empty(0, dtype=np.int64)
    if champion.keys is None or challenger.keys is None:
        return Matching(none, none)
    _, first, second = np.intersect1d(champion.keys, challenger.keys, return_indices=True)
    order = np.argsort(first, kind="stable")
    return Matching(first[order].astype(np.int64), second[order].astype(np.int64))


def enough_pairs(matching: Matching, champion: Side, challenger: Side) -> bool:
    """Whether two versions scored the same traffic, for the most part of the smaller one."""
    smaller = min(champion.rows, challenger.rows)
    return matching.common >= max(FEWEST_PAIRS, PAIRED_SHARE * smaller)


def paired(matching: Matching, champion: Side, challenger: Side) -> tuple[Paired, int]:
    """Return pairs, a label that one side knows told to both; and in how many labels differ."""
    first, second = champion.take(matching.champion), challenger.take(matching.challenger)
    if first.label is None or second.label is None:
        told = first.label if second.label is None else second.label
        if told is None:
            return Paired(first, second), 0
        return Paired(_with_label(first, told), _with_label(second, told)), 0
    differ: NDArray[np.bool_] = (
        np.isfinite(first.label) & np.isfinite(second.label) & (first.label != second.label)
    )
    told = np.where(np.isfinite(first.label), first.label, second.label)
    told = np.where(differ, np.nan, told)
    return Paired(_with_label(first, told), _with_label(second, told)), int(differ.sum())


def _with_label(side: Side, label: Floats) -> Side:
    return replace(side, label=label)


def separate(
    champion: Side, challenger: Side, inputs: tuple[Column, ...]
) -> tuple[Separate | None, Mix | None, str]:
    """Return two sets of records made comparable; or why they cannot be.

    Returns
    -------
    design : Separate or None
        None where the versions' traffic has next to nothing in common.
    mix : Mix or None
    why : str
    """
    mix = mix_of(champion.features, challenger.features, inputs) if inputs else None
    if mix is None:
        return Separate(champion, challenger, None), None, ""
    worth = min(effective(mix.champion), effective(mix.challenger))
    if mix.overlap < LEAST_OVERLAP or worth < min(
        _LEAST_EFFECTIVE, champion.rows / 2, challenger.rows / 2
    ):
        return (
            None,
            mix,
            f"the traffic of {champion.name} and {challenger.name} has next to nothing in common "
            f"({mix.overlap:.0%}; it differs most in {mix.apart!r}), and no weights mend that; let "
            "both score the same records, or share the traffic at random",
        )
    return Separate(champion, challenger, mix), mix, ""
