"""How often concept drift is found where there is some, and where only the inputs moved.

Months of a model's labelled traffic, judged as the server judges them: a baseline of 30 days, then
days in which nothing changes, the inputs move, or the relation changes. Every day's inputs lie a
little elsewhere by themselves (0.1 σ of the distance), with the same relation.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.progress import track

from benchmarks.estimation_figures import Figure, table_of
from benchmarks.estimation_mixes import CARRIERS, COLUMNS, Floats, chance, inputs, score
from benchmarks.estimation_mixes import SCHEMA as MIXES
from benchmarks.intervals import of_mean, wilson
from tidegauge.monitor.closing import Yardstick, close_windows, profile_windows
from tidegauge.profile import Baseline, Profiler, Survey
from tidegauge.schema import Column, ColumnType, Role, Schema, Task

SEED = 20_260_411
START, DAY = datetime(2026, 1, 5, tzinfo=UTC), timedelta(days=1)
ROWS, BASELINE_DAYS = 2_000, 30
MONTHS = 20
SCHEMA = Schema(
    (Column("timestamp", ColumnType.DATETIME, Role.TIMESTAMP), *MIXES.columns), Task.BINARY
)


@dataclass(frozen=True)
class Days:
    """What days are like.

    Parameters
    ----------
    name : str
    count : int
    moved : float
        How far the inputs have moved together.
    changed : float
        How far the relation has changed.
    hour, local : float
        How far one input that the model knows has moved, and the share of records that come from
        one carrier, whose own level the model does not know.
    """

    name: str
    count: int
    moved: float = 0.0
    changed: float = 0.0
    hour: float = 0.0
    local: float = 0.0


NULL = Days("nothing", 30)
MOVED = (
    Days("inputs moved together", 5, moved=0.7),
    Days("an input that the model knows moved by 0.8 σ", 5, hour=0.8),
    Days("half of the records from a carrier that it does not know", 5, local=0.5),
)
CHANGED = (
    Days("relation changed, ROC AUC lower by 0.04", 2, changed=0.2),
    Days("relation changed, ROC AUC lower by 0.065", 2, changed=0.3),
    Days("both", 2, moved=0.5, changed=0.3),
)


def days(rng: np.random.Generator, what: Days, first: int) -> Iterator[pa.RecordBatch]:
    """Draw the records of some days, a batch a day."""
    for day in range(first, first + what.count):
        x = inputs(rng, ROWS, what.moved + 0.1 * rng.standard_normal())
        x.x[:, 2] += what.hour
        x.carrier[rng.random(ROWS) < what.local] = len(CARRIERS) - 1
        label = (rng.random(ROWS) < chance(x, what.changed)).astype(np.float64)
        offset: Floats = rng.random(ROWS) * 86_400e6
        start = np.datetime64((START + day * DAY).replace(tzinfo=None), "us")
        times = pa.array(start + offset.astype("timedelta64[us]"), pa.timestamp("us", "UTC"))
        numbers = {name: pa.array(x.x[:, at]) for at, name in enumerate(COLUMNS)}
        carrier = pa.array(CARRIERS).take(pa.array(x.carrier))
        yield pa.RecordBatch.from_pydict(
            {"timestamp": times, **numbers, "carrier": carrier, "score": score(x), "label": label}
        )


def yardstick(month: int) -> Yardstick:
    """Return a month's baseline."""
    rng = np.random.default_rng([SEED, month])
    batches = list(days(rng, Days("baseline", BASELINE_DAYS), 0))
    survey = Survey(SCHEMA)
    for batch in batches:
        survey.update(batch)
    profiler = Profiler(survey.layout(f"m{month}"), DAY)
    for batch in batches:
        profiler.update(batch)
    return Yardstick(Baseline(profiler.finish(), START), DAY)


def alarms(stick: Yardstick, what: Days, month: int) -> tuple[int, int, bool]:
    """Judge some days; return windows with any alarm, with concept drift, and if it was found."""
    rng = np.random.default_rng([SEED, month, sum(map(ord, what.name))])
    starts = [START + (BASELINE_DAYS + day) * DAY for day in range(what.count)]
    profile = profile_windows(days(rng, what, BASELINE_DAYS), stick, starts)
    closed = close_windows(
        profile,
        stick,
        model="simulated",
        version=None,
        computed_at=START,
        final_before=starts[-1] + 2 * DAY,
        estimate=False,
    )
    any_alarm = np.zeros(what.count, dtype=np.bool_)
    concept = np.zeros(what.count, dtype=np.bool_)
    for one in closed.judged:
        alarmed = (one.state == "alarm").any(axis=1)
        any_alarm |= alarmed
        if one.series.metric.name == "concept_drift":
            concept |= alarmed
    return int(any_alarm.sum()), int(concept.sum()), bool(concept.any())


def run(console: Console, months: int = MONTHS) -> list[Figure]:
    """Measure the figures; a few minutes."""
    counted: dict[str, list[tuple[int, int, bool]]] = {}
    for month in track(range(months), "months", console=console, transient=True):
        stick = yardstick(month)
        for what in (NULL, *MOVED, *CHANGED):
            counted.setdefault(what.name, []).append(alarms(stick, what, month))
    null = counted[NULL.name]
    figures = [
        Figure(
            "windows of 30 with any alarm while nothing changes",
            _mean([found[0] for found in null]),
            "≤ 1, the budget",
            float(np.mean([found[0] for found in null])) <= 1.0,
            f"{months} months of {ROWS:,} labelled records a day; of them by concept drift "
            f"{_mean([found[1] for found in null])}",
        )
    ]
    for what in MOVED:
        hits, of = sum(found[1] for found in counted[what.name]), months * what.count
        figures.append(
            Figure(f"windows with concept drift: {what.name}", _share(hits, of), note=f"{of} days")
        )
    for what in CHANGED:
        hits = sum(found[2] for found in counted[what.name])
        figures.append(Figure(f"found within {what.count} days: {what.name}", _share(hits, months)))
    return figures


def _share(count: int, of: int) -> str:
    low, high = wilson(count, of)
    return f"{count / of:.1%} ({low * 100:.0f}–{high * 100:.0f})"


def _mean(values: list[int]) -> str:
    low, high = of_mean([float(value) for value in values])
    return f"{np.mean(values):.2f} ({max(low, 0):.2f}–{high:.2f})"


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--months", type=int, default=MONTHS)
    console = Console()
    figures = run(console, parser.parse_args().months)
    console.print(table_of("Concept drift", figures))


if __name__ == "__main__":
    main()
