"""The search for the worst segments: how often it finds a planted one, and one that is not there.

A window is 20,000 records of 20 columns (12 numeric, 8 categorical) and a score with a ROC AUC of
0.85. The planted segment holds 5 % of them, in two columns: two categories, a category and a
range of numbers, or two ranges, in turn; where a range begins is random, so that it meets no bin's
edges. In it the AUC is 0.73. With a reference (80,000 records) one column moves the score and makes
some segments harder by design, in both; without one the columns tell nothing of it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.estimation_figures import Figure
from tidegauge.explain.segment_bins import Condition
from tidegauge.explain.worst_segments import WorstSegments, worst_segments

#: Records of a window, and of the reference.
RECORDS, REFERENCE = 20_000, 80_000
NUMERIC, CATEGORICAL = 12, 8
#: Share of the planted segment.
SHARE = 0.05
#: Distances of the two classes' scores for a ROC AUC of 0.85, and 0.12 lower.
GOOD, BAD = 1.4657, 0.8666
RUNS = 200
_VALUES = "ABCDEFGH"
_FIRST = SHARE**0.5
_REST = np.array([0.2, 0.16, 0.13, 0.1, 0.08, 0.06, 0.0464])
_CHANCES = np.cumsum([_FIRST, *_REST])


@dataclass(frozen=True, eq=False)
class World:
    """A window's columns, its truth, and which records are in the planted segment."""

    frame: pa.Table
    planted: NDArray[np.bool_]
    columns: frozenset[str]


def make(rng: np.random.Generator, n: int, kind: int | None, *, by_design: bool = False) -> World:
    """Make records.

    Parameters
    ----------
    kind : int or None
        0 two categories, 1 a category and a range, 2 two ranges; None for no planted segment.
    by_design : bool
        Whether one column moves the classes' shares, so that its segments are harder.
    """
    numbers = {f"x{j}": rng.random(n) for j in range(NUMERIC)}
    draws = [rng.random(n) for _ in range(CATEGORICAL)]
    codes = {f"c{j}": np.searchsorted(_CHANCES, u).clip(0, 7) for j, u in enumerate(draws)}
    planted = np.zeros(n, dtype=np.bool_)
    columns: frozenset[str] = frozenset()
    if kind is not None:
        width, (a, b) = _FIRST, rng.random(2) * (1 - _FIRST)
        ranges = [
            (numbers[c] > at) & (numbers[c] <= at + width) for c, at in (("x0", a), ("x1", b))
        ]
        values = [codes["c0"] == 0, codes["c1"] == 0]
        parts = {
            0: {"c0": values[0], "c1": values[1]},
            1: {"x0": ranges[0], "c0": values[0]},
            2: {"x0": ranges[0], "x1": ranges[1]},
        }[kind]
        columns = frozenset(parts)
        planted = np.logical_and.reduce(list(parts.values()))
    rate = 0.15 + 0.3 * numbers["x5"] if by_design else np.full(n, 0.3)
    label = rng.random(n) < rate
    score = rng.normal(size=n) + np.where(planted, BAD, GOOD) * label
    if by_design:
        # What the column tells stands in the score too: within its ranges less is left to rank.
        score += np.log(rate / (1 - rate)) / GOOD
    names = np.array(list(_VALUES))
    frame = {
        **numbers,
        **{name: names[code] for name, code in codes.items()},
        "score": 1 / (1 + np.exp(-GOOD * score + 2.0)),
        "label": label,
    }
    return World(pa.table(frame), planted, columns)


def searched(seed: int, kind: int | None, *, reference: bool) -> tuple[WorstSegments, World]:
    """Search one window."""
    rng = np.random.default_rng(seed)
    world = make(rng, RECORDS, kind, by_design=reference)
    then = make(rng, REFERENCE, None, by_design=True).frame if reference else None
    return worst_segments(world.frame, then), world


def overlap(world: World, conditions: Sequence[Condition]) -> float:
    """Records in both the planted and the found segment, as a share of those in either."""
    held = np.ones(len(world.planted), dtype=np.bool_)
    for one in conditions:
        values = world.frame[one.column].to_numpy()
        if one.value is not None:
            held &= values == one.value
            continue
        held &= values > (-np.inf if one.above is None else one.above)
        held &= values <= (np.inf if one.up_to is None else one.up_to)
    return float((held & world.planted).sum() / (held | world.planted).sum())


def shares(hits: int, runs: int) -> str:
    """Write a share with its 95 % interval (Clopper and Pearson, Biometrika 26, 1934)."""
    from scipy.stats import beta

    low = beta.ppf(0.025, hits, runs - hits + 1) if hits else 0.0
    high = beta.ppf(0.975, hits + 1, runs - hits) if hits < runs else 1.0
    return f"{hits / runs:.1%} ({low:.1%}–{high:.1%})"


def run(console: Console, runs: int = RUNS) -> list[Figure]:
    """Return the figures, each over ``runs`` windows of fixed seeds; half as many with a reference.

    With a reference the segment's own value there is uncertain too, which costs power: that share
    is shown without a bound.
    """
    figures: list[Figure] = []
    for reference in (False, True):
        runs = runs // 2 if reference else runs
        how = "with a reference" if reference else "without a reference"
        first = more = 0
        overlaps, seconds = [], []
        for seed in range(runs):
            before = time.perf_counter()
            found, world = searched(seed, seed % 3, reference=reference)
            seconds.append(time.perf_counter() - before)
            if not found.findings:
                continue
            best = found.findings[0]
            first += {one.column for one in best.conditions} == world.columns
            more += len(found.findings) > 1
            overlaps.append(overlap(world, best.conditions))
        console.print(f"segments {how}: planted one first {first}/{runs}")
        figures += [
            Figure(
                f"planted segment first, {how}",
                shares(first, runs),
                "" if reference else "≥ 90 %",
                None if reference else first >= 0.9 * runs,
                f"{runs} windows; records shared with it {np.mean(overlaps or [0.0]):.0%}",
            ),
            Figure(
                f"anything besides it, {how}",
                shares(more, runs),
                note=f"{runs} windows; {np.median(seconds):.2f} s a window, making it included",
            ),
        ]
        any_found = 0
        for seed in range(runs):
            found, _ = searched(10_000 + seed, None, reference=reference)
            any_found += bool(found.findings)
        console.print(f"segments {how}: none planted, any reported {any_found}/{runs}")
        figures.append(
            Figure(
                f"any with none planted, {how}",
                shares(any_found, runs),
                "≤ 5 %",
                any_found <= 0.05 * runs,
                f"{runs} windows of {found.looked:,} segments",
            )
        )
    return figures


if __name__ == "__main__":
    from benchmarks.estimation_figures import table_of

    screen = Console()
    screen.print(table_of("Worst segments", run(screen)))
