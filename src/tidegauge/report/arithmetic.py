"""The arithmetic of a verdict in plain words: value, expected, spread, p-value, budget's share.

Every surface says it through what stands here, so that an alarm reads the same on a page, in a
report and in a terminal.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from tidegauge.metrics.registry import Direction, all_metrics
from tidegauge.metrics.result import Result, State
from tidegauge.monitor.words import mean_windows
from tidegauge.report.format import (
    NONE,
    THIN,
    count,
    duration,
    known,
    number,
    p_value,
    quantity,
    share,
)

#: How large a change is, for people: shown beside what is judged.
_SIZES = ("ks", "psi", "wasserstein", "total_variation", "js_distance")
_MOST_SIZES = 3
_PER_CENT = re.compile(r"(?<=\d)%")
_WHERE = re.compile(
    r"(?:slow: )?(?:(?:(?P<of>.*), )?mean of the last (?P<windows>\d+) windows |(?P<part>.*): )?"
    r"(?P<value>[^ ]+(?: [^ ]+)?) where (?P<usual>.*?) was expected(?:;|$)"
)
_MINUS = re.compile(r"(?<![\w.])-(?=\d)")


def arithmetic(result: Result, *, short: bool = False) -> str:
    """Say why a result is what it is: what was expected, how far off that is, how likely so.

    Parameters
    ----------
    result : Result
    short : bool
        Leave the value itself out, where it stands beside.

    Examples
    --------
    >>> shift = Result("location_shift", "age", value=0.31, unit="σ", expected=0.02, spread=0.041,
    ...     lower=-0.1, upper=0.2, p_value=3e-9, level=4e-4, state=State.ALARM)
    >>> print(arithmetic(shift).replace("\u202f", " "))
    0.31 σ; expected 0.02 ± 0.041 σ; p = 3×10⁻⁹, below its share of the budget, 4×10⁻⁴
    """
    said = [] if short else [quantity(result.value, result.unit)]
    if result.state is State.TOO_FEW:
        return "; ".join([*said, why(result) or "too few records to judge"])
    reason = why(result)
    if not reason or not _replaces(result):
        said += [f"expected {expected(result)}"] if known(result.expected) else []
    elif not short and known(result.expected):
        usual = expected(result)
        said[-1] += " in this window" if mean_windows(result.reason) else f" ({usual} is usual)"
    said += [reason] if reason else []
    said += [_chance(result)] if known(result.p_value) and known(result.level) else []
    return "; ".join(said) or NONE


def expected(result: Result) -> str:
    """Write what was expected, with the spread that is usual where it is that of the value.

    Examples
    --------
    >>> expected(Result("missing_share", unit="share", expected=0.021, spread=0.0042))
    '2.1 ± 0.42\u202f%'
    """
    if not known(result.spread) or _in_parts(result.metric):
        return quantity(result.expected, result.unit)
    both = give_or_take(result.expected, result.spread, result.unit)
    if not mean_windows(result.reason):
        return both
    middle, _, rest = both.partition(" ± ")
    return middle + THIN + rest.rpartition(THIN)[2] if THIN in rest else middle


def alone(result: Result) -> bool:
    """Whether a window was judged by its own value, not by the mean of it and those before it."""
    return not mean_windows(result.reason)


def outside(result: Result) -> str:
    """Write from where on a value is an alarm; nothing where nothing bounds it.

    Examples
    --------
    >>> outside(Result("location_shift", unit="σ", lower=-0.35, upper=0.6))
    '< −0.35 or > 0.6\u202fσ'
    >>> outside(Result("missing_share", unit="share", upper=0.012))
    '> 1.2\u202f%'
    """
    low, high = (quantity(x, result.unit) for x in (result.lower, result.upper))
    if not known(result.lower):
        return f"> {high}" if known(result.upper) else ""
    if not known(result.upper):
        return f"< {low}"
    unit = "%" if result.unit == "share" else result.unit or ""
    return f"< {low.removesuffix(f'{THIN}{unit}')} or > {high}"


def give_or_take(middle: float | None, spread: float | None, unit: str | None = None) -> str:
    """Write a value with its spread, both to the digits that the spread warrants.

    Examples
    --------
    >>> give_or_take(0.01873, 0.0376, "σ"), give_or_take(931.2, 49.94, "rows")
    ('0.019 ± 0.038\u202fσ', '931 ± 50\u202frows')
    """
    if not known(middle) or not known(spread) or spread <= 0:
        return quantity(middle, unit)
    if unit == "s":
        return f"{duration(middle)} ± {duration(spread)}"
    factor, shown = (100.0, "%") if unit == "share" else (1.0, unit or "")
    middle, spread = middle * factor, spread * factor
    if spread < 1e-4 or spread >= 1e6:
        return f"{number(middle)} ± {number(spread)}{THIN}{shown}".rstrip(THIN)
    digits = max(0, 1 - math.floor(math.log10(spread)))
    both = (_rounded(middle, digits), _rounded(spread, digits))
    return f"{both[0]} ± {both[1]}{THIN}{shown}".rstrip(THIN)


def _rounded(value: float, digits: int) -> str:
    whole = round(value, digits) or 0.0
    if digits == 0:
        return count(whole)
    text = f"{abs(whole):,.{digits}f}".replace(",", THIN).rstrip("0").rstrip(".")
    return f"−{text}" if whole < 0 else text


def why(result: Result) -> str:
    """Return a result's reason as it is written here; nothing where the numbers say all.

    Examples
    --------
    >>> why(Result("total_variation", reason="DL: 14.0% where 10.1% ± 0.7% was expected"))
    'DL: 14\u202f% where 10.1\u202f% ± 0.7\u202f% was expected'
    """
    return _said(result.reason or "")


def _said(text: str) -> str:
    text = _PER_CENT.sub(f"{THIN}%", text).replace(f".0{THIN}%", f"{THIN}%")
    return _MINUS.sub("−", text)


def _chance(result: Result) -> str:
    p, level = result.p_value, result.level
    assert p is not None and level is not None
    said = p_value(p) if p_value(p).startswith("<") else f"= {p_value(p)}"
    side = "above" if p > level else "below"
    # Too small a change to count, or one that another metric of the column tells better.
    yet = ", yet no alarm of its own" if p <= level and result.state is not State.ALARM else ""
    return f"p {said}, {side} its share of the budget, {p_value(level)}{yet}"


def _replaces(result: Result) -> bool:
    """Whether the reason says what was expected, in place of the result's own numbers."""
    return "was expected" in (result.reason or "")


def _in_parts(metric: str) -> bool:
    """Whether a metric is judged by parts of it, so that its spread is not its value's own."""
    found = all_metrics().get(metric)
    if found is None or found.linear is None:
        return False
    return found.direction is not Direction.NEITHER


def shift(result: Result) -> str:
    """Say in a few words how a column moved: what people understand of what is judged.

    Examples
    --------
    >>> shift(Result("location_shift", value=0.31, effect=0.29, expected=0.02))
    '0.29\u202fσ above expected'
    >>> shift(Result("total_variation", value=0.051, unit="share"))
    '5.1\u202f% moved'
    >>> shift(Result("total_variation", reason="DL: 14.0% where 10.1% ± 0.7% was expected"))
    'DL: 14\u202f%'
    """
    found = _WHERE.match(result.reason or "")
    if found:
        part, windows = found["of"] or found["part"], found["windows"]
        said = f"{part}: {_said(found['value'])}" if part else _said(found["value"])
        return said + (f" in the mean of {windows} windows" if windows else "")
    if result.metric == "location_shift" and known(result.effect):
        side = "above" if result.effect > 0 else "below"
        return f"{number(abs(result.effect))}{THIN}σ {side} expected"
    if result.metric == "total_variation" and known(result.value):
        return f"{share(result.value)} moved"
    return f"{quantity(result.value, result.unit)} {result.metric}"


def foreseen(result: Result) -> str:
    """Write what was expected in place of what ``shift`` says.

    Examples
    --------
    >>> foreseen(Result("total_variation", reason="DL: 14.0% where 10.1% ± 0.7% was expected"))
    '10.1\u202f% ± 0.7\u202f%'
    """
    found = _WHERE.match(result.reason or "")
    return _said(found["usual"]) if found else expected(result)


def sizes(results: Sequence[Result], beside: Result | None = None) -> list[Result]:
    """Return the effect sizes that people know, of a column: KS, PSI, Wasserstein, and such.

    Parameters
    ----------
    results : sequence of Result
        All about the column.
    beside : Result, optional
        What they stand beside; it is left out.
    """
    found = {one.metric: one for one in results if known(one.value)}
    names = [name for name in _SIZES if beside is None or name != beside.metric]
    return [found[name] for name in names if name in found][:_MOST_SIZES]
