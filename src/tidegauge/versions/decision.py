"""From contrasts to a verdict: ship, do not ship, or how many records more.

The challenger may ship if **every** gate's whole interval is on the good side of its margin.
That is an intersection–union test: if the challenger is worse by the margin in any one gate, it is
passed at most with that gate's own level, so several gates need no correction (Berger 1982). It
shall not ship if any gate's interval lies beyond its margin; since there any one of K gates may be
wrong, that is asked at level / K (Bonferroni).

How many records are needed comes from the gates' joint normal distribution, with the correlation
that the records themselves show, so that all of them pass together with the stated power.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import ceil, isfinite

import numpy as np
from scipy import special

from tidegauge.report.format import count, number
from tidegauge.versions.contrast import Contrast, Held, Standing
from tidegauge.versions.influence import Floats
from tidegauge.versions.rule import Rule

#: Draws for the joint power of several gates, and the seed they come from.
_DRAWS, _SEED = 20_000, 20_131_101
#: More than so many times the records that there are is "never".
_NEVER = 1e4
#: Rounds to find a scale whose reach depends on it.
_ROUNDS = 12


class Decision(StrEnum):
    """What to do with the challenger."""

    SHIP = "ship"
    DO_NOT_SHIP = "do_not_ship"
    NOT_ENOUGH = "not_enough_data"


@dataclass(frozen=True)
class Verdict:
    """What follows from all contrasts.

    Parameters
    ----------
    decision : Decision
    sentence : str
    needed : int or None
        Records more, of both versions together or pairs, until it can be told with the stated
        power if both are equally good; None where that cannot be told. 0 once it is decided.
    total : int or None
        Records in all.
    as_observed : bool
        Whether ``needed`` goes by the difference that was seen: there are enough records to tell
        that two equally good versions are, so they are hardly that.
    gates : tuple of str
        Names of what the verdict rests on.
    missing : tuple of str
        What is missing for a verdict, a sentence each.
    """

    decision: Decision
    sentence: str
    needed: int | None
    total: int | None
    as_observed: bool
    gates: tuple[str, ...]
    missing: tuple[str, ...]


def judged(found: Sequence[tuple[Contrast, Held | None]], rule: Rule) -> list[Contrast]:
    """Return contrasts with how each stands to its margin."""
    gates = sum(one.gate for one, _ in found)
    out = []
    for one, held in found:
        if held is None:
            out.append(one)
            continue
        low = held.effect - held.caution - rule.reach(held.records) * held.worst
        tests = gates if one.gate else 1
        high = held.effect + rule.reach(held.records, tests) * held.error
        standing = Standing.OPEN
        if low > -held.margin:
            standing = Standing.WITHIN
        elif high < -held.margin:
            standing = Standing.BEYOND
        alone = None
        if standing is Standing.OPEN:
            alone = finite(needed([held], rule)[0])
        out.append(replace(one, standing=standing, needed=alone))
    return out


def finite(scale: float) -> float | None:
    """Return a scale that can be reached, else None."""
    return scale if isfinite(scale) and scale <= _NEVER else None


def verdict(
    contrasts: Sequence[Contrast],
    held: Sequence[Held | None],
    *,
    records: int,
    rule: Rule,
    noun: Callable[[int], str],
    names: tuple[str, str],
    say: Callable[[Contrast], str],
) -> Verdict:
    """Return what follows from all contrasts.

    Parameters
    ----------
    contrasts : sequence of Contrast
        Those that `judged` has judged.
    held : sequence of Held or None
        How each is tested.
    records : int
        Records (or pairs) that there are of what has fewest.
    rule : Rule
    noun : callable
        Writes a number of records.
    names : (str, str)
        Of champion and challenger.
    say : callable
        Writes a contrast in words.
    """
    gates = [(one, test) for one, test in zip(contrasts, held, strict=True) if one.gate]
    listed = tuple(one.name for one, _ in gates)
    champion, challenger = names
    beyond = [one for one, _ in gates if one.standing is Standing.BEYOND]
    if beyond:
        worst = "; ".join(say(one) for one in beyond[:3])
        return Verdict(
            Decision.DO_NOT_SHIP,
            f"Do not ship: {challenger} is worse than {champion} by more than the margin: {worst}.",
            0,
            records,
            False,
            listed,
            (),
        )
    unknown = [one for one, _ in gates if one.standing is Standing.UNKNOWN]
    opened = [(one, test) for one, test in gates if one.standing is Standing.OPEN]
    if gates and not unknown and not opened:
        told = "; ".join(say(one) for one, _ in gates[:4])
        more = f"; and {len(gates) - 4} more" if len(gates) > 4 else ""
        return Verdict(
            Decision.SHIP,
            f"Ship: {challenger} is no worse than {champion} by more than the margins: "
            f"{told}{more}.",
            0,
            records,
            False,
            listed,
            (),
        )
    missing = tuple(f"{one.name}: {one.reason}" for one in unknown)
    missing += tuple(_open(one, say) for one, _ in opened)
    scale, observed = needed([test for _, test in gates if test is not None], rule)
    if unknown or not gates:
        why = "; ".join(missing[: max(len(unknown), 1)][:3]) or "nothing to compare them by"
        return Verdict(
            Decision.NOT_ENOUGH,
            f"Not enough data yet: {why}.",
            None,
            None,
            False,
            listed,
            missing or ("nothing to compare them by",),
        )
    if finite(scale) is None:
        return Verdict(
            Decision.NOT_ENOUGH,
            "Not enough data yet, and hardly ever enough: the difference is too near to the margin "
            f"({'; '.join(say(one) for one, _ in opened[:3])}). Set another margin, or decide "
            "without one.",
            None,
            None,
            observed,
            listed,
            missing,
        )
    total = ceil(scale * records)
    wanting = max(total - records, 1)
    supposed = "if the two are equally good"
    seen = finite(as_seen([test for _, test in gates if test is not None], rule))
    if observed:
        supposed = "if the difference is as seen so far"
    elif seen is None:
        supposed += "; hardly ever enough if the difference is as seen so far"
    elif seen > 1.2 * scale:
        more = count(_two_digits(ceil(seen * records) - records))
        supposed += f"; about {more} if the difference is as seen so far"
    return Verdict(
        Decision.NOT_ENOUGH,
        f"Not enough data yet: about {noun(_two_digits(wanting))} are needed "
        f"for a chance of {rule.power:.0%} ({supposed}).",
        wanting,
        total,
        observed,
        listed,
        missing,
    )


def _open(one: Contrast, say: Callable[[Contrast], str]) -> str:
    """Say of an open gate what would decide it by itself."""
    if one.needed is None:
        return f"{say(one)}: too near to its margin for any number of records"
    return f"{say(one)}: by itself decided at about {number(one.needed)} times as many records"


def _two_digits(amount: int) -> int:
    """Round up to two digits: nothing more is known of it.

    Examples
    --------
    >>> _two_digits(12345), _two_digits(7)
    (13000, 7)
    """
    step = int(10 ** max(len(str(amount)) - 2, 0))
    return ceil(amount / step) * step


def needed(tests: Sequence[Held], rule: Rule) -> tuple[float, bool]:
    """Return how many times as many records would decide, and whether by the difference seen.

    First as if both versions were equally good; where there are as many already, by the
    differences that were seen.

    Parameters
    ----------
    tests : sequence of Held
    rule : Rule

    Examples
    --------
    >>> one = Held(0.0, 0.01, 0.01, 0.0, 0.01, 4, np.full(4, 0.005))
    >>> round(needed([one], Rule())[0], 2)
    7.85
    """
    if not tests:
        return float("inf"), False
    draws = _draws(tests)
    equal = _scale(tests, [one.margin for one in tests], draws, rule)
    if equal > 1.0:
        return equal, False
    return as_seen(tests, rule), True


def as_seen(tests: Sequence[Held], rule: Rule) -> float:
    """Return how many times as many records would decide, if the differences are those seen.

    To ship, or, where one is worse than its margin, not to.
    """
    rooms = [one.margin + one.effect for one in tests]
    if all(room > 0 for room in rooms):
        return max(_scale(tests, rooms, _draws(tests), rule), 1.0)
    # Worse than the margin, as seen: until the worst of them shows that.
    worst, test = min(zip(rooms, tests, strict=True), key=lambda pair: pair[0] / pair[1].error)
    if worst == 0:
        return float("inf")
    z = float(special.ndtri(rule.power))
    scale = 1.0
    for _ in range(_ROUNDS):
        beyond = rule.reach(scale * test.records, len(tests))
        scale = max(((beyond + z) * test.error / worst) ** 2, 1.0)
    return scale


def _scale(tests: Sequence[Held], rooms: Sequence[float], draws: Floats, rule: Rule) -> float:
    """Return the scale at which all pass together with the rule's power."""
    z, scale = float(special.ndtri(rule.power)), 1.0
    for _ in range(_ROUNDS if rule.planned is not None else 1):
        sizes = [rule.reach(scale * one.records) for one in tests]
        if len(tests) == 1:
            one = tests[0]
            sure = sizes[0] * one.worst + one.caution + z * one.error
            scale = max(sure / rooms[0], 0.0) ** 2
            continue
        wanted = [
            np.maximum((size * one.worst + one.caution - draws[:, k] * one.error) / room, 0.0)
            for k, (one, room, size) in enumerate(zip(tests, rooms, sizes, strict=True))
        ]
        scale = float(np.quantile(np.max(wanted, axis=0), rule.power)) ** 2
    return scale


def _draws(tests: Sequence[Held]) -> Floats:
    """Draw what chance adds to each test, correlated as the records say: (draw, test)."""
    parts = np.stack([one.parts for one in tests])
    sizes = np.array([one.error for one in tests])
    together = parts @ parts.T / np.outer(sizes, sizes)
    np.fill_diagonal(together, 1.0)
    values, vectors = np.linalg.eigh(together)
    half = vectors * np.sqrt(np.maximum(values, 0.0))
    normal = np.random.default_rng(_SEED).standard_normal((_DRAWS, len(tests)))
    return np.asarray(normal @ half.T, dtype=np.float64)


def records_for(deviation: float, margin: float, level: float = 0.95, power: float = 0.8) -> int:
    """Return how many records tell that a difference of nothing is within a margin.

    Parameters
    ----------
    deviation : float
        Standard deviation of one record's (or pair's) part in the difference.
    margin : float
    level : float
        Of the two-sided interval.
    power : float

    Examples
    --------
    >>> records_for(0.5, 0.02)
    4906
    """
    z = float(special.ndtri(0.5 + level / 2)) + float(special.ndtri(power))
    return ceil((z * deviation / margin) ** 2)
