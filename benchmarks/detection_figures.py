"""The figures that are made of counted months, and of what closing a window cost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from benchmarks.closing_cost import BOUND, GROWTH, Cost
from benchmarks.datasets import CACHE
from benchmarks.detection_runs import (
    BASELINE_WINDOWS,
    NULLS,
    POWERS,
    SLOW,
    SOURCES,
    WINDOWS,
    MonthResult,
    Null,
    Power,
)
from benchmarks.intervals import of_mean, wilson

PER_CENT = "%"
SPAN = "least – most"


@dataclass(frozen=True)
class Figure:
    """One line of a table: a value with its interval, held against a bound."""

    part: str
    name: str
    value: float
    low: float | None
    high: float | None
    unit: str
    bound: float | None
    at_least: bool = False
    beside: dict[str, str] = field(default_factory=dict)
    interval: str = "95 %"

    @property
    def reached(self) -> bool | None:
        """Whether the bound is kept; None where there is none."""
        if self.bound is None:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def null_figures(null: Null, results: Sequence[MonthResult]) -> Iterator[Figure]:
    """Windows with an alarm a month, and of these by what raised it."""
    counted = [r for r in results if r.kind == null.kind and r.alarmed is not None]
    part = f"nothing changed: alarmed windows a month of {WINDOWS}"
    alarmed = [float(r.alarmed or 0) for r in counted]
    low, high = of_mean(alarmed)
    yield Figure(part, null.kind, fmean(alarmed), max(low, 0.0), high, "", null.bound)
    names = dict.fromkeys([*SOURCES.values(), SLOW, *(s for r in counted for s in r.sources)])
    for name in names:
        values = [float(r.sources.get(name, 0)) for r in counted]
        low, high = of_mean(values)
        yield Figure(part, f"  of these by {name}", fmean(values), max(low, 0.0), high, "", None)


def power_figure(power: Power, place: int, results: Sequence[MonthResult]) -> Figure:
    """The share of months in which a change was found in time, on its own column."""
    found = [r.found[place] for r in results if place in r.found]
    on_column = [one.on_column for one in found if one.on_column is not None]
    anywhere = sum(one.anywhere is not None for one in found)
    low, high = wilson(len(on_column), len(found))
    slow = power.within > 2
    name = f"{power.kind}: {power.name}, within {power.within}" if slow else power.name
    if power.baseline_windows != BASELINE_WINDOWS:
        name += f", {power.baseline_windows} baseline windows"
    return Figure(
        "slow changes" if slow else f"{power.kind}: found within 2 windows",
        name,
        100 * len(on_column) / len(found),
        100 * low,
        100 * high,
        PER_CENT,
        100 * power.bound,
        at_least=True,
        beside={
            "anywhere": f"{100 * anywhere / len(found):.1f} %",
            "when": f"{median(on_column):g}" if on_column else "–",
        },
    )


def figures_of(results: Sequence[MonthResult]) -> list[Figure]:
    """All figures of simulated months."""
    kinds = {r.kind for r in results}
    out = [f for null in NULLS if null.kind in kinds for f in null_figures(null, results)]
    for place, power in enumerate(POWERS):
        if power.kind in kinds:
            out.append(power_figure(power, place, results))
    return out


def cost_figures() -> Iterator[Figure]:
    """Closing one large window beyond profiling it, after more and more small ones."""
    out = CACHE / "closing_cost.json"
    command = [sys.executable, "-m", "benchmarks.closing_cost", "--json", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    costs = [Cost(**entry) for entry in json.loads(out.read_text())]
    part = "closing a window of 1M records, 50 columns, 10 segments, beyond profiling them"
    for cost in costs:
        beside = {
            "profiling": f"{median(cost.profiling):.2f} s",
            "a hole": f"{median(cost.holes):.2f} s",
        }
        name = f"after {cost.history} closed windows" if cost.history else "the first"
        low, high = min(cost.seconds), max(cost.seconds)
        yield Figure(part, name, cost.median, low, high, "s", BOUND, False, beside, SPAN)
    first, last = costs[0], costs[-1]
    name = f"after {last.history} / the first"
    yield Figure(part, name, last.median / first.median, None, None, "×", GROWTH, interval=SPAN)
