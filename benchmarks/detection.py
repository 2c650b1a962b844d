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
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from rich.console import Console
from rich.progress import Progress

from benchmarks import peers_detection
from benchmarks.datasets import CACHE
from benchmarks.detection_figures import Figure, cost_figures, figures_of
from benchmarks.detection_runs import POWERS, MonthResult, months_of, run_months
from benchmarks.detection_tables import about_peers, peers_table, tables_of
from benchmarks.peers import cpu_model
from benchmarks.streams import Kind

MONTHS, QUICK, PROCESSES = 300, 40, 2
RESULTS = CACHE / "detection.json"
PARTS = (*Kind, "cost", "peers")


def kept(figures: Sequence[Figure], results: Sequence[MonthResult], seconds: float) -> str:
    """Everything that was counted, as JSON: the figures, and each month's result."""
    alarms: dict[str, Counter[str]] = {}
    missed: dict[str, Counter[str]] = {}
    for result in results:
        alarms.setdefault(result.kind, Counter()).update(result.metrics)
        for place, one in result.found.items():
            power = POWERS[place]
            name = f"{power.kind}: {power.name}, {power.baseline_windows} baseline windows"
            if one.on_column is None:
                missed.setdefault(name, Counter())[one.column] += 1
    return json.dumps(
        {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "cpu": cpu_model(),
            "seconds": round(seconds, 1),
            "figures": [{**asdict(f), "reached": f.reached} for f in figures],
            "alarms_by_statistic": {
                kind: dict(counted.most_common()) for kind, counted in alarms.items()
            },
            "missed_by_column": {name: dict(one.most_common()) for name, one in missed.items()},
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
    parser.add_argument("--peers", action="store_true", help="run the peers anew (half an hour)")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a bound is missed")
    options = parser.parse_args()
    months = min(options.months, QUICK) if options.quick else options.months
    kinds = [kind for kind in Kind if kind in options.only]

    console = Console()
    if not console.is_terminal:
        console = Console(width=100)
    before, started = os.getloadavg()[0], time.perf_counter()
    if options.peers:
        peers_detection.measure_all()
        before, started = os.getloadavg()[0], time.perf_counter()
    costs: list[Figure] = []
    if "cost" in options.only:
        with console.status("closing windows of 1M records"):
            costs = list(cost_figures())
    results: list[MonthResult] = []
    if kinds:
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("months", total=len(months_of(kinds, months)))
            results = run_months(kinds, months, options.processes, lambda: progress.advance(task))
    figures = [*figures_of(results), *costs]
    seconds = time.perf_counter() - started

    for table in tables_of(figures):
        console.print(table, "")
    if results:
        console.print(
            f"{months} simulated months of each kind, with baselines of their own. Found: on the "
            "changed column; anywhere: on any; when: the median window of those found.\n"
        )
    if "peers" in options.only and peers_detection.KEPT.exists():
        console.print(peers_table(results), "")
        console.print(about_peers() + "\n")
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
