"""Holds `tidegauge compare` against its promised time and memory: `python -m benchmarks.compare`.

Prints each figure with its bound and whether it was reached; what they mean stands in README.md.
"""

import argparse
import functools
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.commands import REPORT, compare, floor, make_data
from benchmarks.datasets import CURRENT, CURRENT_10M, REFERENCE, SMALL_CURRENT, SMALL_REFERENCE
from benchmarks.measure import CommandFailed, Run, interleaved
from benchmarks.peers import PEERS, cpu_model, kept

MB = 1_000_000

BUSY = 0.5
"""Load average before the first run above which nobody should believe the figures."""


@dataclass(frozen=True)
class Figure:
    """One line of the table; `value` is held against `bound`, `evidence` is what was measured."""

    name: str
    evidence: str
    value: float
    unit: str
    bound: float
    at_least: bool = False

    @property
    def reached(self) -> bool:
        """Whether the bound is kept."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound


@functools.cache
def floor_and_compare() -> tuple[Run, Run, int]:
    """The 1M pair, interleaved with the floor, and the size of the report."""
    make_data(REFERENCE, CURRENT)
    low, own = interleaved(lambda: floor(REFERENCE, CURRENT), lambda: compare(REFERENCE, CURRENT))
    return low, own, REPORT.stat().st_size


def small() -> Iterator[Figure]:
    """Two files of 10,000 rows: start-up and little else."""
    make_data(SMALL_REFERENCE, SMALL_CURRENT)
    (own,) = interleaved(lambda: compare(SMALL_REFERENCE, SMALL_CURRENT))
    yield Figure("10k against 10k: time", shown(own), own.seconds, "s", 1.5)


def against_floor() -> Iterator[Figure]:
    """1M against 1M, as a multiple of just reading the columns."""
    low, own, report = floor_and_compare()
    evidence = f"{shown(own)}; floor {shown(low)}"
    yield Figure("1M against 1M: time / floor", evidence, own.seconds / low.seconds, "×", 6)
    yield Figure("1M against 1M: peak memory", shown(own), own.peak_bytes / MB, "MB", 1000)
    yield Figure("1M against 1M: report", "53 columns, HTML", report / MB, "MB", 1.5)


def against_peers() -> Iterator[Figure]:
    """1M against 1M, beside the kept figures of other packages, carried over by the floor."""
    low, own, _ = floor_and_compare()
    for peer in PEERS:
        figure = kept(peer)
        if figure is None:
            continue
        here = figure.seconds_here(low)
        evidence = (
            f"{here:.0f} s here (then {figure.cpu_seconds:.0f} s of processor in "
            f"{figure.seconds:.0f} s), {figure.peak_bytes / MB:,.0f} MB; {shown(own)}"
        )
        ratio = here / own.seconds
        name = f"{peer.name} {peer.version} time / ours"
        yield Figure(name, evidence, ratio, "×", peer.at_least, at_least=True)


def ten_million() -> Iterator[Figure]:
    """10M current rows beside 1M, the reference staying at 1M."""
    make_data(REFERENCE, CURRENT, CURRENT_10M)
    one, ten = interleaved(
        lambda: compare(REFERENCE, CURRENT), lambda: compare(REFERENCE, CURRENT_10M)
    )
    evidence = f"{shown(ten)}; 1M {shown(one)}"
    yield Figure("10M / 1M current: time", evidence, ten.seconds / one.seconds, "×", 7)
    memory = ten.peak_bytes / one.peak_bytes
    yield Figure("10M / 1M current: peak memory", evidence, memory, "×", 1.3)


PARTS: dict[str, Callable[[], Iterator[Figure]]] = {
    "small": small,
    "floor": against_floor,
    "peers": against_peers,
    "ten-million": ten_million,
}


def shown(run: Run) -> str:
    """A run in words."""
    return f"{run.seconds:.2f} s, {run.peak_bytes / MB:,.0f} MB"


def table_of(figures: list[Figure]) -> Table:
    """The figures as a person reads them."""
    table = Table(title="tidegauge compare: whole processes, medians of 5, interleaved")
    table.add_column("figure")
    table.add_column("measured")
    table.add_column("value", justify="right")
    table.add_column("bound", justify="right")
    table.add_column("")
    for f in figures:
        relation = "≥" if f.at_least else "≤"
        verdict = "[green]reached[/]" if f.reached else "[bold red]missed[/]"
        value = f"{f.value:,.2f} {f.unit}" if f.value < 10 else f"{f.value:,.0f} {f.unit}"
        table.add_row(f.name, f.evidence, value, f"{relation} {f.bound:,g} {f.unit}", verdict)
    return table


def chosen(text: str) -> list[str]:
    """Parts from a comma-separated option."""
    names = text.split(",")
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    return names


def main() -> int:
    """Run the chosen parts; the exit code tells of a missed bound only when asked to."""
    parser = argparse.ArgumentParser(prog="benchmarks.compare", description=__doc__)
    parser.add_argument(
        "--only", type=chosen, default=list(PARTS), metavar="PART,…", help=", ".join(PARTS)
    )
    parser.add_argument("--strict", action="store_true", help="exit 1 if a bound is missed")
    options = parser.parse_args()

    console = Console()
    before = os.getloadavg()[0]
    figures: list[Figure] = []
    try:
        for name in options.only:
            with console.status(f"measuring: {name}"):
                figures += PARTS[name]()
    except (CommandFailed, FileNotFoundError) as error:
        print(f"benchmarks: error: {error}", file=sys.stderr)
        return 2
    console.print(table_of(figures))
    load = f"load average {before:.1f} before, {os.getloadavg()[0]:.1f} after"
    console.print(f"{cpu_model()}, {os.cpu_count()} cores; {load}.")
    if before > BUSY:
        console.print(f"[yellow]The machine was busy (load above {BUSY:g}): measure again.[/]")
    if "peers" in options.only:
        console.print(
            "A peer ran once, when and where peers.json tells. Its processor time is carried over "
            "to here in proportion to the floor's, which was taken in the same run then and now."
        )
    return 1 if options.strict and not all(f.reached for f in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
