"""All faults in full: `python -m tests.torture`, or `make torture`. About an hour."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tests.torture import disks, kills, neighbours, several
from tests.torture.world import Outcome

#: What is tried, by name: takes a folder of its own and how often, and how often that is in full.
Fault = tuple[Callable[[Path, int], Outcome], int]
MIB = 1 << 20


def _killed(name: str) -> Callable[[Path, int], Outcome]:
    return lambda folder, times: kills.killed_while(name, folder / "data", times)


FAULTS: dict[str, Fault] = {
    **{f"kill-{name.replace(' ', '-')}": (_killed(name), 45) for name in kills.MOMENTS},
    "kill-erasure": (lambda f, n: kills.killed_while_erasing(f / "data", n), 30),
    "sigterm": (lambda f, n: kills.ended_by_sigterm(f / "data", n), 10),
    "disk-full": (lambda f, n: disks.full_disk(f, n), 5),
    "disk-nearly-full": (lambda f, n: disks.full_disk(f, n, min_free=24 * MIB), 5),
    "disk-refuses": (lambda f, n: disks.refusing_disk(f / "data", n), 5),
    "disk-read-only": (lambda f, _: disks.read_only_disk(f), 1),
    "journal-flipped": (lambda f, n: disks.damaged_journal(f / "data", n, cut=False), 10),
    "journal-cut": (lambda f, n: disks.damaged_journal(f / "data", n, cut=True), 10),
    "corrupt-batches": (lambda f, n: neighbours.corrupt_batches(f / "data", n), 200),
    "clock-jumps": (lambda f, n: neighbours.jumping_clock(f / "data", n), 10),
    "catalog-away": (lambda f, n: neighbours.catalog_away(f / "data", n), 60),
    "store-fails": (lambda f, n: neighbours.failing_store(f / "data", n), 60),
    "holder-killed": (lambda f, n: several.lease_holders(f, n, signal.SIGKILL), 10),
    "holder-stands-still": (lambda f, n: several.lease_holders(f, n, signal.SIGSTOP), 5),
    "client-alone": (lambda f, n: several.client_without_server(f, n), 600),
}


def main() -> int:
    """Do all faults, or those named, and print what came of them."""
    parser = argparse.ArgumentParser(prog="tests.torture", description=__doc__)
    parser.add_argument("faults", nargs="*", help=f"of {', '.join(FAULTS)}; all by default")
    parser.add_argument("--share", type=float, default=1.0, help="how much of each, 1 being all")
    options = parser.parse_args()
    if unknown := set(options.faults) - FAULTS.keys():
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    console = Console(highlight=False)
    outcomes, broken = [], []
    for name in options.faults or FAULTS:
        fault, times = FAULTS[name]
        folder = Path(tempfile.mkdtemp(prefix=f"tidegauge-{name}-"))
        began = time.monotonic()
        try:
            with console.status(name):
                outcome = fault(folder, max(1, round(times * options.share)))
        except Exception:
            broken.append(name)
            console.print(f"[bold red]{name} broke off[/]; its folder is kept: {folder}")
            traceback.print_exc()
            continue
        outcomes.append(outcome)
        told = "[green]ok[/]" if outcome.good else f"[bold red]NOT GOOD[/], kept: {folder}"
        took = time.monotonic() - began
        console.print(f"{name}: {told}, {took:.0f} s. {outcome.note}", soft_wrap=True)
        if outcome.good:
            shutil.rmtree(folder, ignore_errors=True)
    console.print(table_of(outcomes))
    return 0 if not broken and all(one.good for one in outcomes) else 1


def table_of(outcomes: list[Outcome]) -> Table:
    """What was tried, what was acknowledged, and what of it was lost or is there twice."""
    table = Table(title="faults under load", box=None)
    table.add_column("fault", no_wrap=True)
    for name in ("tried", "acknowledged", "lost", "doubled", "alarms", "missing or twice"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in outcomes:
        style = None if one.good else "bold red"
        numbers = (one.tried, one.acknowledged, one.lost, one.doubled)
        numbers += (one.alarms, one.alarms_wrong)
        table.add_row(one.fault, *(f"{number:,}" for number in numbers), style=style)
    total = [
        sum(getattr(one, name) for one in outcomes)
        for name in ("tried", "acknowledged", "lost", "doubled", "alarms", "alarms_wrong")
    ]
    table.add_row("all", *(f"{number:,}" for number in total), style="bold")
    return table


if __name__ == "__main__":
    sys.exit(main())
