"""Prints the figures of estimated performance and its reasons: `python -m benchmarks.estimation`.

`--only performance,decomposition` runs a part, `--peers` runs NannyML anew as well. What the
figures mean stands in README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import import_module

from rich.console import Console

from benchmarks import peers_estimation
from benchmarks.datasets import CACHE
from benchmarks.estimation_figures import Figure, table_of
from benchmarks.peers import cpu_model

#: Parts, and what each one's table is called; each is `run` in `estimation_<part>.py`.
PARTS = {
    "performance": "1  Performance estimated without labels",
    "decomposition": "2  How much of a change comes from the inputs",
    "segments": "3  The worst segment, found",
    "versions": "4  Champion against challenger",
    "fairness": "5  Fairness beside fairlearn",
    "concept": "6  Concept drift, and inputs that only moved",
}
RESULTS = CACHE / "estimation.json"


def chosen(text: str) -> list[str]:
    """Parts from a comma-separated option."""
    names = text.split(",")
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    return names


def main() -> int:
    """Run the parts and print their figures; the exit code tells of a miss only when asked to."""
    parser = argparse.ArgumentParser(prog="benchmarks.estimation", description=__doc__)
    parser.add_argument(
        "--only", type=chosen, default=list(PARTS), metavar="PART,…", help=", ".join(PARTS)
    )
    parser.add_argument("--peers", action="store_true", help="run NannyML anew (half an hour)")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a bound is missed")
    options = parser.parse_args()
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    if options.peers:
        peers_estimation.measure()
    load = os.getloadavg()[0]
    found: dict[str, list[Figure]] = {}
    for part in options.only:
        started = time.perf_counter()
        found[part] = import_module(f"benchmarks.estimation_{part}").run(console)
        console.print(table_of(PARTS[part], found[part]), "")
        console.print(f"{(time.perf_counter() - started) / 60:.1f} min\n")
    kept = peers_estimation.kept()
    if kept is not None and "performance" in found:
        console.print(f"{kept.peer} {kept.version}: {kept.task}; {kept.date}. {kept.packages}.")
    console.print(f"{cpu_model()}, {os.cpu_count()} cores; load average {load:.1f} before.")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(
        json.dumps(
            {
                "date": datetime.now(UTC).isoformat(timespec="seconds"),
                "cpu": cpu_model(),
                "figures": {part: [asdict(one) for one in held] for part, held in found.items()},
            },
            indent=1,
            ensure_ascii=False,
        )
    )
    console.print(f"All of it: {RESULTS}")
    missed = any(one.reached is False for held in found.values() for one in held)
    return 1 if options.strict and missed else 0


if __name__ == "__main__":
    sys.exit(main())
