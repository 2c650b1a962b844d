"""The reason of a verdict in words, where its numbers do not say it; written into an array."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from tidegauge.metrics.evaluate import Series
from tidegauge.metrics.registry import Scale, Values
from tidegauge.monitor.statistics import MIN_RECORDS

_Flags = NDArray[np.bool_]
_Words = NDArray[np.object_]
#: Of so few windows nobody calls a change slow.
_PAIR = 2
_MEAN = re.compile(r"(slow: )?(?:.*?, )?mean of the last (\d+) windows")


def mean_windows(reason: str | None) -> int:
    """Return over how many windows a mean was taken; 0 where a window spoke for itself.

    Examples
    --------
    >>> mean_windows("mean of the last 2 windows 0.2 σ where 0.1 ± 0.03 σ was expected")
    2
    """
    found = _MEAN.match(reason or "")
    return int(found[2]) if found else 0


def slow_windows(reason: str | None) -> int:
    """Return over how many windows a slow change showed; 0 where the reason is another.

    Examples
    --------
    >>> slow_windows("slow: spread, mean of the last 7 windows 0.2 σ where 0.1 ± 0.03 σ …")
    7
    """
    found = _MEAN.match(reason or "")
    return int(found[2]) if found and found[1] else 0


def few(reason: _Words, where: _Flags, series: Series) -> None:
    """Say how many more records are needed."""
    reason[where] = "more records needed"
    reason[where & ~series.enough] = "more records of each outcome needed"
    n = series.n_current
    for held in np.unique(n[where & (n < MIN_RECORDS)]):
        more = f"{_count(MIN_RECORDS - int(held), 'more record')} needed"
        reason[where & (n == held)] = more


def short(reason: _Words, where: _Flags, wanting: NDArray[np.int64]) -> None:
    """Say how many more windows the baseline needs: (segment, part) of them."""
    least = np.broadcast_to(wanting.min(axis=-1), where.shape)
    for more in np.unique(least[where]):
        words = f"the baseline needs about {_count(int(more), 'more window')} for this budget"
        reason[where & (least == more)] = words


def together(reason: _Words, where: _Flags) -> None:
    """Say that it takes the column's other statistics to make an alarm of this one."""
    for place in zip(*np.nonzero(where), strict=True):
        said = reason[place]
        others = "an alarm together with the column's other statistics"
        reason[place] = others if said is None else f"{said}; {others}"


def moved(
    reason: _Words,
    where: _Flags,
    series: Series,
    part: NDArray[np.int64],
    now: Values,
    usual: Values,
    spread: Values,
) -> None:
    """Say which part of a statistic stands out; all (window, segment)."""
    assert series.linear is not None
    for place in zip(*np.nonzero(where), strict=True):
        name = series.linear.parts[int(part[place])]
        reason[place] = (
            f"{name}: {_number(series, now[place], unit=True)} where "
            f"{_expected(series, usual[place], spread[place])} was expected"
        )


def moved_slowly(
    reason: _Words,
    where: _Flags,
    series: Series,
    part: NDArray[np.int64],
    windows: NDArray[np.int64],
    now: Values,
    usual: Values,
    spread: Values,
) -> None:
    """Say how far the mean of the last windows stands out; all (window, segment)."""
    for place in zip(*np.nonzero(where), strict=True):
        name = ""
        if series.linear is not None and len(series.linear.parts) > 1:
            name = f"{series.linear.parts[int(part[place])]}, "
        n = int(windows[place])
        reason[place] = (
            f"{'slow: ' if n > _PAIR else ''}{name}mean of the last {n} windows "
            f"{_number(series, now[place], unit=True)} where "
            f"{_expected(series, usual[place], spread[place])} was expected"
        )


def _expected(series: Series, usual: float, spread: float) -> str:
    """Write what was expected; a value that is small beside its spread is no more than 0."""
    near = usual if abs(usual) >= 0.05 * spread else 0.0
    return f"{_number(series, near)} ± {_number(series, spread, unit=True)}"


def _number(series: Series, value: float, *, unit: bool = False) -> str:
    """Write a number; with its unit, where it is no share."""
    own = series.metric.unit_for(series.column)
    if series.metric.scale is Scale.ARCSINE or own == "share":
        return f"{value:.1%}" if abs(value) >= 0.001 or value == 0 else f"{value:.2%}"
    return f"{value:.3g} {own}" if unit and own else f"{value:.3g}"


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
