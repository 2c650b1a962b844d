"""Counts false alarms and missed changes over simulated months: `python -m benchmarks.detection`.

Streams are made in `streams.py`, months run in `detection_month.py`; what the figures mean stands
in README.md. `--quick`, or `--months 20 --only iid --processes 1`, is a look in between.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from statistics import fmean, median

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.datasets import CACHE
from benchmarks.detection_runs import (
    BASELINE_WINDOWS,
    NULLS,
    POWERS,
    SOURCES,
    WINDOWS,
    MonthResult,
    Null,
    Power,
    months_of,
    run_months,
)
from benchmarks.intervals import of_mean, wilson
from benchmarks.peers import cpu_model
from benchmarks.streams import Kind

MONTHS, QUICK, PROCESSES = 300, 40, 2
RESULTS = CACHE / "detection.json"
PARTS = ("iid", "realistic", "cost", "peers")
PER_CENT = "%"


@dataclass(frozen=True)
class Figure:
    """One line of the table: a value with its interval, held against a bound."""

    part: str
    name: str
    value: float
    low: float | None
    high: float | None
    unit: str
    bound: float | None
    at_least: bool = False
    beside: dict[str, str] = field(default_factory=dict)

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
    names = dict.fromkeys([*SOURCES.values(), *(s for r in counted for s in r.sources)])
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


def tables_of(figures: Sequence[Figure]) -> Iterator[Table]:
    """The figures as a person reads them: a table for each part."""
    for part, held in groupby(figures, key=lambda f: f.part):
        table = Table(
            title=part, title_justify="left", title_style="bold", box=None, pad_edge=False
        )
        table.add_column("", min_width=38, no_wrap=True)
        table.add_column("measured", min_width=8, justify="right", no_wrap=True)
        table.add_column("95 %", min_width=13, justify="right", no_wrap=True)
        table.add_column("bound", min_width=9, justify="right", no_wrap=True)
        table.add_column("", min_width=7, no_wrap=True)
        shown = list(held)
        for name in dict.fromkeys(name for f in shown for name in f.beside):
            table.add_column(name, justify="right", no_wrap=True)
        for f in shown:
            table.add_row(*_cells(f))
        yield table


def _cells(f: Figure) -> Iterator[str]:
    digits = 1 if f.unit == PER_CENT else 2
    unit = f" {f.unit}" if f.unit else ""
    verdict = {True: "[green]reached[/]", False: "[bold red]missed[/]", None: ""}
    yield f.name
    yield f"{f.value:.{digits}f}{unit}"
    yield "" if f.low is None or f.high is None else f"{f.low:.{digits}f} – {f.high:.{digits}f}"
    yield "" if f.bound is None else f"{'≥' if f.at_least else '≤'} {f.bound:g}{unit}"
    yield verdict[f.reached]
    yield from f.beside.values()


def kept(figures: Sequence[Figure], results: Sequence[MonthResult], seconds: float) -> str:
    """Everything that was counted, as JSON: the figures, and each month's result."""
    alarms: dict[str, Counter[str]] = {}
    for result in results:
        alarms.setdefault(result.kind, Counter()).update(result.metrics)
    return json.dumps(
        {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "cpu": cpu_model(),
            "seconds": round(seconds, 1),
            "figures": [{**asdict(f), "reached": f.reached} for f in figures],
            "alarms_by_statistic": {
                kind: dict(counted.most_common()) for kind, counted in alarms.items()
            },
            "months": [asdict(result) for result in results],
        },
        indent=1,
        default=str,
        ensure_ascii=False,
    )


def chosen(text: str) -> list[str]:
    """Parts from a comma-separated option."""
    names = text.split(",")
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    return names


def main() -> int:
    """Run the months and print the figures; the exit code tells of a miss only when asked to."""
    parser = argparse.ArgumentParser(prog="benchmarks.detection", description=__doc__)
    parser.add_argument("--months", type=int, default=MONTHS, help="simulated months of each kind")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} months instead")
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument(
        "--only", type=chosen, default=list(PARTS), metavar="PART,…", help=", ".join(PARTS)
    )
    parser.add_argument("--strict", action="store_true", help="exit 1 if a bound is missed")
    options = parser.parse_args()
    months = min(options.months, QUICK) if options.quick else options.months
    kinds = [kind for kind in Kind if kind in options.only]

    console = Console()
    if not console.is_terminal:
        console = Console(width=100)
    before, started = os.getloadavg()[0], time.perf_counter()
    results: list[MonthResult] = []
    if kinds:
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("months", total=len(months_of(kinds, months)))
            results = run_months(kinds, months, options.processes, lambda: progress.advance(task))
    figures = figures_of(results)
    seconds = time.perf_counter() - started

    for table in tables_of(figures):
        console.print(table, "")
    console.print(
        f"{months} simulated months of each kind, with baselines of their own. Found: on the "
        "changed column; anywhere: on any; when: the median window of those found."
    )
    console.print(
        f"{seconds / 60:.1f} min in {options.processes} processes; {cpu_model()}, "
        f"{os.cpu_count()} cores; load average {before:.1f} before."
    )
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(kept(figures, results, seconds))
    console.print(f"All of it, month by month: {RESULTS}")
    return 1 if options.strict and any(f.reached is False for f in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
