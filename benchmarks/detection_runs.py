"""The months that are counted: what is looked for in them, and what each came to.

The figures made of them stand in `detection.py`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

from benchmarks.detection_month import Alarm, Month
from benchmarks.streams import Kind, Stream, What

BASELINE_WINDOWS = WINDOWS = 30


@dataclass(frozen=True)
class Power:
    """A change that is to be found, on its own column, within some windows.

    Parameters
    ----------
    name : str
    kind : Kind
    what, size, ramp
        The change, as in `Change`.
    within : int
        Windows in which it counts as found.
    bound : float
        Share of the months in which it is to be found at least.
    baseline_windows : int
    """

    name: str
    kind: Kind
    what: What
    size: float
    within: int
    bound: float
    ramp: bool = False
    baseline_windows: int = BASELINE_WINDOWS


@dataclass(frozen=True)
class Null:
    """Months in which nothing changes: windows with an alarm, at most ``bound`` on average."""

    kind: Kind
    bound: float


NULLS = (Null(Kind.IID, 0.8), Null(Kind.REALISTIC, 1.5), Null(Kind.SIGMA, 1.5))
POWERS = (
    Power("shift 0.25 σ", Kind.IID, What.SHIFT, 0.25, 2, 0.99),
    Power("category 10 → 14 %", Kind.IID, What.SHARE, 0.14, 2, 0.99),
    Power("missing 1 → 3 %", Kind.IID, What.MISSING, 0.03, 2, 0.99),
    Power("shift 0.25 σ", Kind.REALISTIC, What.SHIFT, 0.25, 2, 0.80),
    Power("shift 0.25 σ", Kind.REALISTIC, What.SHIFT, 0.25, 2, 0.88, baseline_windows=60),
    Power("category 10 → 14 %", Kind.REALISTIC, What.SHARE, 0.14, 2, 0.98),
    Power("missing 1 → 3 %", Kind.REALISTIC, What.MISSING, 0.03, 2, 0.98),
    Power("category 10 → 14 %", Kind.SIGMA, What.SHARE, 0.14, 2, 0.98),
    Power("ramp 0.02 σ a day", Kind.IID, What.SHIFT, 0.02, 6, 0.90, ramp=True),
    Power("ramp 0.005 σ a day", Kind.IID, What.SHIFT, 0.005, 14, 0.90, ramp=True),
    Power("step 0.05 σ", Kind.IID, What.SHIFT, 0.05, 9, 0.90),
    Power("ramp 0.02 σ a day", Kind.REALISTIC, What.SHIFT, 0.02, 14, 0.90, ramp=True),
)


@dataclass(frozen=True)
class Found:
    """In which watched window (from 1) a change was first found; ``None`` if it was not."""

    column: str
    on_column: int | None
    anywhere: int | None


@dataclass(frozen=True)
class MonthResult:
    """What one month came to.

    Parameters
    ----------
    alarmed : int or None
        Watched windows with an alarm while nothing changed.
    sources : mapping of str to int
        Of these, windows with an alarm of that source.
    metrics : mapping of "source column" to int
        Alarms of each source and column.
    found : mapping of int to Found
        By place in ``POWERS``.
    """

    kind: Kind
    month: int
    baseline_windows: int
    alarmed: int | None
    sources: dict[str, int]
    metrics: dict[str, int]
    found: dict[int, Found]


SOURCES = {
    "location_shift": "location",
    "shape_shift": "shape",
    "total_variation": "categories",
    "missing_share": "missing",
    "row_count": "rows",
}
"""What a judged metric asks; others stand under their own name."""

SLOW = "slow"


def source(alarm: Alarm) -> str:
    """What raised an alarm."""
    return SLOW if alarm.slow else SOURCES.get(alarm.metric, alarm.metric)


def run_month(kind: Kind, baseline_windows: int, month: int) -> MonthResult:
    """Run a month without a change, and with each that is looked for in such months."""
    asked = [p for p in POWERS if (p.kind, p.baseline_windows) == (kind, baseline_windows)]
    # A longer baseline is looked at for its power only.
    counted = baseline_windows == BASELINE_WINDOWS
    windows = WINDOWS if counted else max(power.within for power in asked)
    one = Month(Stream(kind, month, baseline_windows, windows))
    alarms = one.alarms(one.unchanged) if counted else []
    sources = {(alarm.window, source(alarm)) for alarm in alarms}
    found: dict[int, Found] = {}
    if month == 0:
        one.check(one.stream.pick(asked[0].what, asked[0].size))
    for at, power in enumerate(POWERS):
        if power not in asked:
            continue
        change = one.stream.pick(power.what, power.size, ramp=power.ramp)
        after = one.alarms_only(one.changed(change, power.within))
        first = [a.window + 1 for a in after]
        own = [a.window + 1 for a in after if a.column == change.column]
        found[at] = Found(change.column, min(own, default=None), min(first, default=None))
    return MonthResult(
        kind,
        month,
        baseline_windows,
        len({alarm.window for alarm in alarms}) if counted else None,
        dict(Counter(name for _, name in sources)),
        dict(Counter(f"{source(alarm)} {alarm.column or ''}".strip() for alarm in alarms)),
        found,
    )


def months_of(kinds: Sequence[Kind], months: int) -> list[tuple[Kind, int, int]]:
    """What is to be run: kind, baseline windows and number of each month."""
    variants = sorted({(p.kind, p.baseline_windows) for p in POWERS if p.kind in kinds})
    return [(*variant, month) for month in range(months) for variant in variants]


def run_months(
    kinds: Sequence[Kind], months: int, processes: int, advance: Callable[[], None]
) -> list[MonthResult]:
    """Run months of these kinds, in so many processes; with one, in this one."""
    wanted = months_of(kinds, months)
    results = []
    # The processes are busy enough; each keeps to one thread.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    fresh = get_context("spawn")
    with ProcessPoolExecutor(processes, fresh) if processes > 1 else nullcontext() as pool:
        each = map if pool is None else partial(pool.map, chunksize=4)
        for result in each(run_month, *zip(*wanted, strict=True)):
            results.append(result)
            advance()
    return results
