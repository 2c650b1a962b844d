"""Figure 4: may it ship? How often that is said wrongly, and whether the records asked for suffice.

Every run is a pair of versions made up so that the true difference is known: at the margin, where
"ship" is wrong, or zero, where it is right. What is run is what ``tg.compare_versions`` runs on
them, from the records on: design, contrast, standing, number of records.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from rich.console import Console
from scipy import special, stats

from benchmarks.estimation_figures import Figure, table_of
from tidegauge.schema import Column, ColumnType, Role, Schema, Task
from tidegauge.versions.contrast import Contrast, Held, Standing, contrast
from tidegauge.versions.decision import judged, needed
from tidegauge.versions.design import Design, Paired, Separate
from tidegauge.versions.margins import Margin
from tidegauge.versions.measures import Measure, measures_of
from tidegauge.versions.mix import mix_of
from tidegauge.versions.rows import Side
from tidegauge.versions.rule import Rule

Floats = NDArray[np.float64]
Rng = np.random.Generator
Make = Callable[[Rng, int], Design]

SEED = 20_130_104
#: Runs at the margin, pilots, and runs for each point of the search for what is needed.
RUNS, PILOTS, POINTS = 4_000, 200, 1_000
_RULE = Rule()
_BINARY = Schema(
    (
        Column("score", ColumnType.NUMERIC, Role.SCORE),
        Column("label", ColumnType.BOOLEAN, Role.LABEL),
        Column("latency_ms", ColumnType.NUMERIC, Role.LATENCY, "ms"),
        Column("status", ColumnType.CATEGORICAL, Role.STATUS),
        Column("group", ColumnType.CATEGORICAL, Role.SEGMENT),
    ),
    Task.BINARY,
)
_NUMBERS = Schema(
    (
        Column("prediction", ColumnType.NUMERIC, Role.PREDICTION),
        Column("label", ColumnType.NUMERIC, Role.LABEL),
    ),
    Task.REGRESSION,
)
_MEASURES = {one.name: one for one in measures_of(_BINARY, [], segments=["group"])}
_MEASURES |= {one.name: one for one in measures_of(_NUMBERS, [])}


@dataclass(frozen=True)
class Case:
    """Versions whose true difference is known.

    Parameters
    ----------
    name, metric : str
    margin : Margin
    make : callable
        ``(rng, n) -> Design`` of n pairs, or n records of each.
    n : int
    """

    name: str
    metric: str
    margin: Margin
    make: Make
    n: int

    @property
    def measure(self) -> Measure:
        """What is compared."""
        return _MEASURES[self.metric]


def _side(name: str, **held: Floats) -> Side:
    arrays = {key: held.get(key) for key in ("label", "said", "scores", "failures")}
    n = len(next(iter(held.values())))
    numbers = {"latency_ms": held["latency"]} if "latency" in held else {}
    inputs = {"x": pa.array(held["x"])} if "x" in held else {}
    return Side(
        name=name,
        rows=n,
        keys=None,
        label=arrays["label"],
        said=arrays["said"],
        scores=arrays["scores"],
        numbers=numbers,
        failures=arrays["failures"],
        groups={},
        names={},
        features=pa.table(inputs) if inputs else pa.table({"row": np.arange(n)}),
    )


_X = (Column("x", ColumnType.NUMERIC),)


def _apart(first: Side, second: Side) -> Separate:
    mix = (
        mix_of(first.features, second.features, _X) if "x" in first.features.column_names else None
    )
    return Separate(first, second, mix)


def _area(strength: float) -> float:
    return float(special.ndtr(strength / sqrt(2)))


def _strength(area: float) -> float:
    return float(special.ndtri(area)) * sqrt(2)


def paired_scores(area: float, other: float, alike: float, share: float = 0.2) -> Make:
    """Scores of two versions for the same records, binormal, with these areas."""

    def make(rng: Rng, n: int) -> Design:
        y = (rng.random(n) < share).astype(np.float64)
        z = rng.standard_normal((3, n))
        sides = []
        for name, strength, noise in (("a", _strength(area), z[0]), ("b", _strength(other), z[1])):
            latent = strength * y + sqrt(alike) * z[2] + sqrt(1 - alike) * noise
            scores = special.expit(latent - 1.5)
            said = (scores >= 0.5).astype(np.float64)
            sides.append(_side(name, label=y, scores=scores, said=said))
        return Paired(*sides)

    return make


def shifted_scores(worse: float) -> Make:
    """Versions with traffic of their own: the challenger gets other inputs, and easier ones."""

    def one(rng: Rng, n: int, name: str, shift: float, lost: float) -> Side:
        x = rng.normal(shift, 1.0, n)
        y = (rng.random(n) < special.expit(-1 + 0.8 * x)).astype(np.float64)
        latent = (1.2 + 0.4 * x - lost) * y + 0.7 * x + rng.standard_normal(n)
        return _side(name, label=y, scores=special.expit(latent), x=x)

    def make(rng: Rng, n: int) -> Design:
        return _apart(one(rng, n, "a", 0.0, 0.0), one(rng, n, "b", 0.6, worse))

    return make


def shifted_accuracy(worse: float) -> Make:
    """Versions with traffic of their own; at every input the challenger is worse by as much."""

    def one(rng: Rng, n: int, name: str, shift: float, lost: float) -> Side:
        x = rng.normal(shift, 1.0, n)
        right = rng.random(n) < 0.6 + 0.3 * special.expit(2 * x) - lost
        y = (rng.random(n) < 0.4).astype(np.float64)
        return _side(name, label=y, said=np.where(right, y, 1 - y), x=x)

    def make(rng: Rng, n: int) -> Design:
        return _apart(one(rng, n, "a", 0.0, 0.0), one(rng, n, "b", 0.8, worse))

    return make


def paired_errors(times: float) -> Make:
    """Regressions of the same records; the challenger's errors are so many times as large."""

    def make(rng: Rng, n: int) -> Design:
        y = rng.gamma(2.0, 10.0, n)
        both, first, second = rng.standard_t(5, (3, n))
        a, b = 0.7 * both + 0.7 * first, 0.7 * both + 0.7 * second
        return Paired(_side("a", label=y, said=y + a), _side("b", label=y, said=y + times * b))

    return make


def latencies(times: float) -> Make:
    """Latencies of records of their own, lognormal; the challenger's so many times as long."""

    def make(rng: Rng, n: int) -> Design:
        a, b = np.exp(0.6 * rng.standard_normal((2, n)) + 3.0)
        return Separate(_side("a", latency=a), _side("b", latency=times * b), None)

    return make


def failures(share: float, other: float) -> Make:
    """Failed answers of records of their own."""

    def make(rng: Rng, n: int) -> Design:
        first, second = rng.random((2, n))
        a, b = (first < share).astype(np.float64), (second < other).astype(np.float64)
        return Separate(_side("a", failures=a), _side("b", failures=b), None)

    return make


def fair_and_less(gap: float, alike: float, groups: int = 4) -> Make:
    """A champion that treats all groups alike, and one that finds less of one group's positives."""

    def make(rng: Rng, n: int) -> Design:
        group = rng.integers(0, groups, n)
        y = (rng.random(n) < 0.4).astype(np.float64)
        first = rng.random(n)
        second = np.where(rng.random(n) < alike, first, rng.random(n))
        sides = []
        for name, drawn, less in (("a", first, 0.0), ("b", second, gap)):
            chance = np.where(y > 0, 0.7, 0.3) - np.where(group == 0, less, 0.0)
            said = (drawn < chance).astype(np.float64)
            held = _side(name, label=y, said=said)
            names = {"group": tuple(str(at) for at in range(groups))}
            sides.append(replace(held, groups={"group": group}, names=names))
        return Paired(*sides)

    return make


def verdicts(case: Case, runs: int, seed: int, rule: Rule = _RULE, n: int = 0) -> Floats:
    """Return of each run whether the challenger would ship."""
    rng = np.random.default_rng(seed)
    out = np.zeros(runs)
    for at in range(runs):
        found = contrast(
            *(case.measure, case.make(rng, n or case.n), case.margin, rule),
            gate=True,
            adjusted=False,
        )
        out[at] = judged([found], rule)[0].standing is Standing.WITHIN
    return out


def asked(case: Case, pilots: int, seed: int, rule: Rule = _RULE) -> Floats:
    """Return the number of records (in pairs, or of each version) that each pilot asks for."""
    rng = np.random.default_rng(seed)
    out = np.zeros(pilots)
    for at in range(pilots):
        _, held = contrast(
            *(case.measure, case.make(rng, case.n), case.margin, rule), gate=True, adjusted=False
        )
        assert held is not None
        out[at] = needed([replace(held, effect=0.0)], rule)[0] * case.n
    return out


def found_needed(case: Case, start: float, seed: int) -> tuple[float, float]:
    """Return the number of records that is needed, by trying, and its standard error.

    The chance of "ship" at several numbers of records, and a line through its normal scores over
    the root of the number, as it must be.
    """
    sizes = [round(start * times) for times in (0.7, 0.85, 1.0, 1.15, 1.3)]
    chances = [float(verdicts(case, POINTS, seed + at, n=n).mean()) for at, n in enumerate(sizes)]
    roots, scores = np.sqrt(sizes), special.ndtri(np.clip(chances, 1e-3, 1 - 1e-3))
    slope, base = np.polyfit(roots, scores, 1)
    wanted = float(special.ndtri(_RULE.power))
    root = (wanted - base) / slope
    spread = sqrt(_RULE.power * (1 - _RULE.power) / POINTS) / stats.norm.pdf(wanted)
    return float(root**2), float(2 * root * spread / sqrt(len(sizes)) / slope)


def interval(hits: float, runs: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Clopper and Pearson)."""
    found = stats.binomtest(round(hits), runs).proportion_ci(0.95)
    return float(found.low), float(found.high)


def _told(shares: Floats) -> tuple[str, float, float]:
    low, high = interval(float(shares.sum()), len(shares))
    return f"{shares.mean():.1%} ({low:.1%}–{high:.1%})", low, high


def true_difference(make: Make, metric: str, seed: int, n: int = 1_500_000) -> float:
    """Return the true difference of versions, from very many records."""
    two = make(np.random.default_rng(seed), n).two(_MEASURES[metric])
    return two.challenger - two.champion


def at_the_margin() -> list[Case]:
    """Return versions that are worse by exactly the margin."""
    lost = -true_difference(shifted_scores(0.1), "roc_auc", SEED + 1)
    half = paired_scores(0.85, 0.84, 0.8)
    f1 = -true_difference(half, "f1", SEED + 2)
    return [
        Case("ROC AUC, paired", "roc_auc", Margin(0.01), paired_scores(0.8, 0.79, 0.85), 2_000),
        Case("ROC AUC 0.95, paired", "roc_auc", Margin(0.01), paired_scores(0.95, 0.94, 0.85), 800),
        Case("F1, paired", "f1", Margin(f1), half, 2_000),
        Case("MAE, paired", "mae", Margin(0.05, True), paired_errors(1.05), 1_000),
        Case("ROC AUC, other traffic", "roc_auc", Margin(lost), shifted_scores(0.1), 2_000),
        Case("accuracy, other traffic", "accuracy", Margin(0.02), shifted_accuracy(0.02), 2_000),
        Case(
            *("equal opportunity, a fair champion", "equal_opportunity_difference", Margin(0.05)),
            *(fair_and_less(0.05, 0.6), 4_000),
        ),
        Case("latency p95, unpaired", "latency_p95", Margin(0.2, True), latencies(1.2), 1_000),
        Case(
            "failed answers, unpaired", "error_share", Margin(0.005), failures(0.003, 0.008), 2_000
        ),
    ]


def equal() -> list[Case]:
    """Return versions that are equally good."""
    return [
        Case("ROC AUC, paired", "roc_auc", Margin(0.02), paired_scores(0.8, 0.8, 0.7), 1_000),
        Case("MAE, paired", "mae", Margin(0.05, True), paired_errors(1.0), 1_000),
        Case("ROC AUC, other traffic", "roc_auc", Margin(0.04), shifted_scores(0.0), 1_000),
        Case("accuracy, other traffic", "accuracy", Margin(0.04), shifted_accuracy(0.0), 1_000),
        Case("latency p95, unpaired", "latency_p95", Margin(0.1, True), latencies(1.0), 2_000),
        Case(
            *("failed answers, unpaired", "error_share", Margin(0.005)),
            *(failures(0.005, 0.005), 4_000),
        ),
    ]


def wrong_ships() -> list[Figure]:
    """Measure how often a challenger that is worse by the margin ships."""
    out = []
    for at, case in enumerate(at_the_margin()):
        value, low, _ = _told(verdicts(case, RUNS, SEED + 100 + at))
        out.append(
            Figure(
                f'wrong "ship" at the margin: {case.name}',
                value,
                f"≤ {_RULE.wrong:.1%}",
                low <= _RULE.wrong,
                f"{RUNS} runs of {case.n}",
            )
        )
    return out


def numbers_asked() -> list[Figure]:
    """Hold the number of records asked for against the one that is then needed."""
    out = []
    for at, case in enumerate(equal()):
        told = asked(case, PILOTS, SEED + 200 + at)
        middle = float(np.median(told))
        need, error = found_needed(case, middle, SEED + 300 + 10 * at)
        off = told / need - 1.0
        low, high = np.quantile(off, [0.05, 0.95])
        value, least, most = _told(verdicts(case, RUNS // 2, SEED + 400 + at, n=round(middle)))
        out.append(
            Figure(
                f"records asked for, over those needed: {case.name}",
                f"{np.median(off):+.0%} (90 % of pilots {low:+.0%} to {high:+.0%})",
                "within ±20 %",
                bool(np.median(np.abs(off)) <= 0.2 and abs(float(np.median(off))) <= 0.2),
                f"{PILOTS} pilots of {case.n}; needed {need:,.0f} ± {2 * error:,.0f}; "
                f"{np.mean(np.abs(off) <= 0.2):.0%} of pilots within",
            )
        )
        out.append(
            Figure(
                f'"ship" of equal versions at the number asked for: {case.name}',
                value,
                "80 %, ± 5",
                bool(least <= 0.85 and most >= 0.75),
                f"{RUNS // 2} runs of {middle:,.0f}",
            )
        )
    return out


def two_gates(runs: int = 1_500) -> list[Figure]:
    """Measure how often two gates pass together at the number asked for both."""
    make = paired_scores(0.8, 0.8, 0.7)
    wanted = (("roc_auc", Margin(0.02)), ("f1", Margin(0.03)))

    def found(rng: Rng, n: int) -> list[tuple[Contrast, Held | None]]:
        design = make(rng, n)
        return [
            contrast(_MEASURES[name], design, margin, _RULE, gate=True, adjusted=False)
            for name, margin in wanted
        ]

    rng = np.random.default_rng(SEED + 600)
    told = []
    for _ in range(100):
        held = [replace(one, effect=0.0) for _, one in found(rng, 1_000) if one is not None]
        told.append(needed(held, _RULE)[0] * 1_000)
    n = round(float(np.median(told)))
    ships = np.array(
        [
            float(all(one.standing is Standing.WITHIN for one in judged(found(rng, n), _RULE)))
            for _ in range(runs)
        ]
    )
    value, low, high = _told(ships)
    return [
        Figure(
            '"ship" of equal versions at the number asked for: ROC AUC and F1 together',
            value,
            "80 %, ± 5",
            bool(low <= 0.85 and high >= 0.75),
            f"{runs} runs of {n:,}",
        )
    ]


def looking_often(looks: int = 20, runs: int = 1_000) -> list[Figure]:
    """Measure how often a challenger worse by the margin ever ships if one looks often."""
    step = 250
    make = paired_scores(0.8, 0.79, 0.85)
    measure = _MEASURES["roc_auc"]
    out = []
    for name, rule, bound in (
        ("one-look intervals", _RULE, None),
        ("intervals for any time", Rule(planned=2_500), 1 - _RULE.level),
    ):
        rng = np.random.default_rng(SEED + 500)
        ever = np.zeros(runs)
        for at in range(runs):
            whole = make(rng, looks * step)
            for look in range(2, looks + 1):
                rows = np.arange(look * step)
                part = Paired(whole.champion.take(rows), whole.challenger.take(rows))
                found = contrast(measure, part, Margin(0.01), rule, gate=True, adjusted=False)
                if judged([found], rule)[0].standing is Standing.WITHIN:
                    ever[at] = 1.0
                    break
        value, low, _ = _told(ever)
        out.append(
            Figure(
                f'wrong "ship" ever, looking {looks} times: {name}',
                value,
                "" if bound is None else f"≤ {bound:.0%}",
                None if bound is None else low <= bound,
                f"{runs} runs, a look every {step} pairs",
            )
        )
    return out


def run(console: Console) -> list[Figure]:
    """Measure figure 4."""
    figures: list[Figure] = []
    with console.status("champion against challenger") as shown:
        for part in (wrong_ships, numbers_asked, two_gates, looking_often):
            shown.update(f"champion against challenger: {part.__name__.replace('_', ' ')}")
            figures += part()
    return figures


def main() -> None:
    """Print the figures."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    console = Console(width=170)
    console.print(table_of("Champion against challenger", run(console)))


if __name__ == "__main__":
    main()
