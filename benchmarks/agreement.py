"""Holds every metric against SciPy, scikit-learn or NumPy: `python -m benchmarks.agreement`.

Hypothesis makes the pairs of samples (`samples.py`); `counterparts.py` says what each metric is
held against and how far it may be off. `tests/metrics/test_agreement.py` runs the same.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, given, settings
from rich.console import Console
from rich.table import Table

from benchmarks.counterparts import COUNTERPARTS, WITHOUT, Gap, Row, gaps
from benchmarks.samples import KINDS, Pair
from tidegauge.metrics import all_metrics

PAIRS = 200
"""Pairs of samples that each metric is tried on at least."""


@dataclass
class Tally:
    """What was seen of one metric.

    Parameters
    ----------
    pairs : int
    largest : float
        The largest difference, as a share of the largest value where it has a unit.
    part : float
        The largest difference as a part of what was allowed.
    worst : Gap, optional
        Where that was.
    """

    pairs: int = 0
    largest: float = 0.0
    part: float = 0.0
    worst: Gap | None = None

    def add(self, gap: Gap) -> None:
        """Count one comparison."""
        self.pairs += 1
        self.largest = max(self.largest, gap.shown)
        if self.worst is None or gap.part > self.part:
            self.part, self.worst = gap.part, gap

    @property
    def reached(self) -> bool:
        """Whether there were enough pairs, and none differed by more than it may."""
        return self.pairs >= PAIRS and self.part <= 1.0


def compare(kind: type[Pair], *, strict: bool = False) -> dict[str, Tally]:
    """Compare the metrics of one kind of samples with their counterparts.

    Parameters
    ----------
    kind : type
    strict : bool
        Whether to stop at the first that disagrees, and to look for a simple example of it.

    Raises
    ------
    AssertionError
        If a metric is defined where its counterpart is not, or the reverse; and when ``strict``,
        if they differ by more than the bound.
    """
    tallies = {row.name: Tally() for row in COUNTERPARTS if kind in row.kinds}

    @settings(
        max_examples=kind.examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink) if strict else (Phase.generate,),
    )
    @given(kind.strategy())
    def one(pair: Pair) -> None:
        for gap in gaps(pair):
            tallies[gap.row.name].add(gap)
            assert not strict or gap.part <= 1.0, gap

    one()
    return tallies


def unnamed() -> tuple[set[str], set[str]]:
    """Return registered metrics that no list names, and names that are not registered."""
    named = {row.metric for row in COUNTERPARTS} | set(WITHOUT)
    return set(all_metrics()) - named, named - set(all_metrics())


def merged(of_kinds: list[dict[str, Tally]]) -> dict[str, Tally]:
    """Return one tally a metric, over all kinds of samples."""
    out: dict[str, Tally] = {}
    for tallies in of_kinds:
        for name, tally in tallies.items():
            have = out.setdefault(name, Tally())
            have.pairs += tally.pairs
            have.largest = max(have.largest, tally.largest)
            if have.worst is None or tally.part > have.part:
                have.part, have.worst = tally.part, tally.worst
    return out


def table(tallies: dict[str, Tally], rows: dict[str, Row]) -> Table:
    out = Table(title="Agreement with SciPy, scikit-learn and NumPy")
    for name in ("metric", "counterpart"):
        out.add_column(name, overflow="fold")
    for name in ("pairs", "largest difference", "part of bound"):
        out.add_column(name, justify="right")
    out.add_column("bound", overflow="fold")
    out.add_column("reached")
    for name, tally in tallies.items():
        out.add_row(
            name,
            rows[name].counterpart,
            str(tally.pairs),
            f"{tally.largest:.1e}" if tally.largest else "0",
            f"{tally.part:.2g}",
            rows[name].bound.text,
            "yes" if tally.reached else "[bold red]no",
        )
    return out


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__)
    parser.add_argument("--strict", action="store_true", help="exit 1 where a bound is missed")
    args = parser.parse_args()
    start = time.perf_counter()
    tallies = merged([compare(kind) for kind in KINDS])
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table(tallies, {row.name: row for row in reversed(COUNTERPARTS)}))
    missing, _ = unnamed()
    for name in sorted(missing):
        console.print(f"{name}: neither a counterpart nor a reason why there is none")
    agreed = sum(tally.reached for tally in tallies.values())
    seconds = time.perf_counter() - start
    console.print(f"{agreed} of {len(tallies)} reached, in {seconds:.0f} s")
    return 1 if args.strict and (missing or agreed < len(tallies)) else 0


if __name__ == "__main__":
    sys.exit(main())
