"""One thing compared: two values, their difference with its interval, and where the margin lies."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from scipy import special

from tidegauge.versions.design import Design, Two
from tidegauge.versions.influence import Floats
from tidegauge.versions.margins import Margin
from tidegauge.versions.measures import Measure
from tidegauge.versions.rule import Rule


class Standing(StrEnum):
    """How a difference stands to its margin."""

    #: The whole interval is on the good side of the margin.
    WITHIN = "within"
    #: The whole interval is beyond the margin.
    BEYOND = "beyond"
    #: The margin lies in the interval.
    OPEN = "open"
    #: It has no margin, or no better and worse.
    SHOWN = "shown"
    #: It could not be computed.
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Contrast:
    """One metric of both versions, and its difference, challenger less champion.

    Parameters
    ----------
    metric, family : str
    column : str or None
    unit : str or None
    direction : str
        ``higher``, ``lower`` or ``neither`` is better.
    champion, challenger : float or None
    difference, lower, upper : float or None
        In the metric's unit; a share of the champion's value where ``relative``.
    relative : bool
    margin : float or None
        How much worse is not worse, above zero, on the difference's scale.
    bound : float or None
        Where the margin lies on the difference's scale, with its sign.
    gate : bool
        Whether it is part of the verdict.
    standing : Standing
    p_value : float or None
        One-sided, of "worse by the margin or more".
    unadjusted : float or None
        The difference before the traffic's mix was adjusted for; None where nothing was adjusted.
    n_champion, n_challenger : int
        Records that tell it.
    needed : float or None
        How many times as many records would decide it with the stated power, by itself.
    reason : str
        Why it could not be computed.
    summary : str
    """

    metric: str
    family: str
    column: str | None
    unit: str | None
    direction: str
    champion: float | None = None
    challenger: float | None = None
    difference: float | None = None
    lower: float | None = None
    upper: float | None = None
    relative: bool = False
    margin: float | None = None
    bound: float | None = None
    gate: bool = False
    standing: Standing = Standing.SHOWN
    p_value: float | None = None
    unadjusted: float | None = None
    n_champion: int = 0
    n_challenger: int = 0
    needed: float | None = None
    reason: str = ""
    summary: str = ""

    @property
    def name(self) -> str:
        """The metric, with its column where it is of one."""
        return f"{self.metric} ({self.column})" if self.column else self.metric

    @property
    def difference_unit(self) -> str | None:
        """The unit of the difference."""
        return "share" if self.relative else self.unit


@dataclass(frozen=True, eq=False)
class Held:
    """A contrast on the scale where it is tested: good is positive.

    Parameters
    ----------
    effect, error : float
        Distance from equality, and its standard error.
    worst : float
        The standard error if the challenger were worse by the margin: of rare failures it is
        larger, and a lucky challenger must not be told by the small one of its own.
    caution : float
        How much further the interval reaches on the bad side, for what chance adds to the
        champion's value.
    margin : float
        Above zero, on the same scale.
    records : int
        That it rests on.
    parts : (n,) float64
        What each record contributes, before the floor of the variance.
    """

    effect: float
    error: float
    worst: float
    caution: float
    margin: float
    records: int
    parts: Floats = field(repr=False)


def contrast(
    measure: Measure,
    design: Design,
    margin: Margin | None,
    rule: Rule,
    *,
    gate: bool,
    adjusted: bool,
) -> tuple[Contrast, Held | None]:
    """Return a measure's contrast; and how it is tested, where it has a margin.

    Parameters
    ----------
    measure : Measure
    design : Design
    margin : Margin or None
    rule : Rule
    gate : bool
        Whether it is part of the verdict.
    adjusted : bool
        Whether the design adjusts.
    """
    two = design.two(measure)
    about = Contrast(
        *(measure.name, measure.family, measure.column, measure.unit, measure.direction),
        gate=gate,
        n_champion=two.counts[0],
        n_challenger=two.counts[1],
        summary=measure.summary,
    )
    if two.why_not:
        return replace(about, standing=Standing.UNKNOWN, reason=two.why_not), None
    relative = margin is not None and margin.relative
    if relative and not (two.champion > 0 and two.challenger > 0):
        why = (
            f"a share of the champion's value means nothing at {two.champion:g}; give it a margin "
            "in its unit, or take it out with off"
        )
        if two.champion > 0:
            why = f"the challenger's value is {two.challenger:g}, which no ratio tells of"
        told = replace(about, champion=two.champion, challenger=two.challenger)
        return replace(told, standing=Standing.UNKNOWN, reason=why), None
    effect, parts, error, caution = _tested(two, relative)
    records = sum(two.counts) if design.kind == "unpaired" else two.counts[0]
    size = rule.reach(records)
    sign = 1.0 if measure.direction == "higher" else -1.0
    worst = error
    if margin is not None and not relative and two.many and measure.direction != "neither":
        worst = _at_the_margin(error, two, -sign * margin.size)
    low, high = effect - size * error, effect + size * error
    if sign > 0:
        low = effect - size * worst - caution
    else:
        high = effect + size * worst + caution
    shown = np.expm1 if relative else (lambda value: value)
    known = replace(
        about,
        champion=two.champion,
        challenger=two.challenger,
        difference=float(shown(effect)),
        lower=float(shown(low)),
        upper=float(shown(high)),
        relative=relative,
        unadjusted=_raw(two, relative) if adjusted else None,
    )
    if margin is None or measure.direction == "neither":
        return known, None
    bound = -sign * margin.size
    if relative and bound <= -1:
        why = f"a margin of {margin} lets a value that should be high fall to nothing"
        return replace(known, standing=Standing.UNKNOWN, reason=why), None
    room = -sign * (float(np.log1p(bound)) if relative else bound)
    # What never varies is told apart by a hair.
    error, worst = max(error, 1e-9 * room), max(worst, 1e-9 * room)
    held = Held(sign * effect, error, worst, caution, room, records, sign * parts)
    p = float(special.ndtr(-(held.effect - caution + room) / worst))
    return replace(known, margin=margin.size, bound=bound, p_value=p), held


def _at_the_margin(error: float, two: Two, bound: float) -> float:
    """Return the standard error of a share's difference if it were that of the margin.

    As Farrington and Manning (1990) have it, with the champion's share as it was seen.
    """
    there, here = min(max(two.champion + bound, 0.0), 1.0), two.challenger
    more = (there * (1 - there) - here * (1 - here)) / two.many - sum(two.floors)
    return float(np.sqrt(error**2 + max(more, 0.0)))


def _tested(two: Two, relative: bool) -> tuple[float, Floats, float, float]:
    """Return the difference, or its logarithm's, what records contribute, its error, caution."""
    a, b = (two.champion, two.challenger) if relative else (1.0, 1.0)
    parts = two.second / b - two.first / a
    floor = two.floors[0] / a**2 + two.floors[1] / b**2
    effect = float(np.log(b / a)) if relative else two.challenger - two.champion
    # Chance that both versions share, as over the same records, is in both values alike.
    apart = float(two.second @ two.second / b**2 + two.first @ two.first / a**2)
    own = min(float(np.sqrt(parts @ parts / max(apart, 1e-300))), 1.0)
    return effect, parts, float(np.sqrt(parts @ parts + floor)), two.bias / a * own


def _raw(two: Two, relative: bool) -> float | None:
    a, b = two.raw
    if not (np.isfinite(a) and np.isfinite(b)):
        return None
    if relative:
        return b / a - 1.0 if a else None
    return b - a
