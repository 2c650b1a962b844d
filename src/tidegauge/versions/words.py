"""Differences in words: as many decimals as the interval's width bears, shares in points."""

from __future__ import annotations

from math import floor, log10

from tidegauge.report.format import NONE, THIN, known, quantity
from tidegauge.versions.contrast import Contrast

#: How a difference of two shares is called, so that nobody takes it for a share of a value.
POINTS = "pp"


def written(value: float | None, one: Contrast, *, sign: bool = True) -> str:
    """Write a difference, or an end of its interval.

    Examples
    --------
    >>> one = Contrast("accuracy", "performance", None, "share", "higher", 0.8, 0.7904, -0.0096,
    ...                -0.0171, -0.00215)
    >>> written(one.difference, one).split(THIN), written(one.upper, one).split(THIN)
    (['−0.96', 'pp'], ['−0.21', 'pp'])
    """
    if not known(value):
        return NONE
    scale, unit = _scale(one)
    digits = _digits(one, scale)
    text = f"{abs(value) * scale:,.{digits}f}".replace(",", THIN)
    if not any(mark in text for mark in "123456789"):
        return f"0{unit}"
    before = "−" if value < 0 else "+" if sign else ""
    return f"{before}{text}{unit}"


def interval_text(one: Contrast) -> str:
    """Write the interval of a difference.

    Examples
    --------
    >>> interval_text(Contrast("roc_auc", "performance", None, None, "higher", 0.8, 0.796, -0.004,
    ...                        -0.0075, -0.00002))
    '−0.0075 to 0'
    """
    if not known(one.lower) or not known(one.upper):
        return NONE
    _, unit = _scale(one)
    ends = [written(end, one, sign=False).removesuffix(unit) for end in (one.lower, one.upper)]
    return f"{ends[0]} to {ends[1]}{unit}"


def margin_text(one: Contrast) -> str:
    """Write a margin."""
    if one.margin is None:
        return NONE
    scale, unit = _scale(one)
    return f"{one.margin * scale:g}{unit}"


def says(one: Contrast) -> str:
    """Say a contrast in words.

    Examples
    --------
    >>> says(Contrast("roc_auc", "performance", None, None, "higher", 0.8, 0.79, -0.01, -0.02, 0.0,
    ...               margin=0.015, bound=-0.015))
    'roc_auc −0.010 (−0.020 to 0, margin 0.015)'
    """
    if one.difference is None:
        return f"{one.name}: {one.reason}"
    told = f"{one.name} {written(one.difference, one)}"
    margin = "" if one.margin is None else f", margin {margin_text(one)}"
    return f"{told} ({interval_text(one)}{margin})"


def value_text(value: float | None, one: Contrast) -> str:
    """Write the value of one version."""
    return quantity(value, one.unit)


def _scale(one: Contrast) -> tuple[float, str]:
    if one.relative:
        return 100.0, f"{THIN}%"
    if one.unit == "share":
        return 100.0, f"{THIN}{POINTS}"
    return 1.0, f"{THIN}{one.unit}" if one.unit else ""


def _digits(one: Contrast, scale: float) -> int:
    """Return as many decimals as give the half of the interval two digits."""
    if not known(one.lower) or not known(one.upper) or one.upper <= one.lower:
        return 4 if scale == 1 else 2
    half = (one.upper - one.lower) / 2 * scale
    return min(max(1 - floor(log10(half)), 0), 6 if scale == 1 else 3)
