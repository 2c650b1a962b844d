"""Fairness: every value held against fairlearn's, and what the intervals cover.

Data sets are drawn at random: groups, their sizes and their rates; their records go through the
profiler like any others. fairlearn gets the same records as plain arrays, less the groups that are
too small to be compared. What is no metric of fairlearn by name is made of its ``MetricFrame``.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from fairlearn import metrics as fair
from numpy.typing import NDArray
from rich.console import Console
from sklearn import metrics as sk

from benchmarks.estimation_figures import Figure, table_of
from benchmarks.intervals import wilson
from tidegauge.metrics import evaluate, find_metric
from tidegauge.metrics.between import Groups, difference, means, ratio, shares
from tidegauge.metrics.fairness import FEWEST
from tidegauge.profile import Profiler, Survey
from tidegauge.schema import Column, ColumnType, Role, Schema, Task

#: How far a value may lie from fairlearn's.
BOUND = 1e-9
_MOST = 21
Truth = NDArray[Any]
#: Labels, predictions, scores (or None), groups.
Records = tuple[Truth, Truth, Truth | None, Truth]


@dataclass(frozen=True)
class DataSet:
    """Records of one task, with the groups they belong to.

    Parameters
    ----------
    task : Task
    label, said, group : (n,) array
    score : (n,) float64 or None
    """

    task: Task
    label: Truth
    said: Truth
    group: Truth
    score: Truth | None = None

    @property
    def table(self) -> pa.Table:
        """The records as the profiler takes them."""
        columns = {
            "label": pa.array(self.label),
            "prediction": pa.array(self.said),
            "group": pa.array(self.group),
        }
        if self.score is not None:
            columns["score"] = pa.array(self.score)
        return pa.table(columns)

    @property
    def schema(self) -> Schema:
        """Its schema, the groups being a segment column."""
        answer = {
            Task.BINARY: ColumnType.BOOLEAN,
            Task.MULTICLASS: ColumnType.CATEGORICAL,
            Task.REGRESSION: ColumnType.NUMERIC,
        }[self.task]
        columns = [
            Column("label", answer, Role.LABEL),
            Column("prediction", answer, Role.PREDICTION),
            Column("group", ColumnType.CATEGORICAL, Role.SEGMENT),
        ]
        if self.score is not None:
            columns.append(Column("score", ColumnType.NUMERIC, Role.SCORE))
        return Schema(tuple(columns), self.task, positive="true")

    def values(self) -> dict[str, float]:
        """Return every metric of fairness by name, as Tidegauge has it."""
        survey = Survey(self.schema, _MOST)
        for batch in self.table.to_batches():
            survey.update(batch)
        profiler = Profiler(survey.layout("baseline"), None)
        for batch in self.table.to_batches(1000):
            profiler.update(batch)
        profile = profiler.finish()
        found = evaluate(profile, profile, [find_metric(name) for name in PEERS])
        return {one.metric.name: float(one.value[0, 0]) for one in found}


def draw(rng: np.random.Generator, task: Task) -> DataSet:
    """Draw a data set: 2 to 20 groups, of very unequal sizes and rates."""
    groups, n = int(rng.integers(2, 21)), int(rng.integers(400, 6000))
    sizes = rng.dirichlet(np.full(groups, rng.choice([0.5, 2.0, 20.0])))
    code = rng.choice(groups, n, p=sizes)
    group = np.array([f"g{k}" for k in range(groups)])[code]
    if task is Task.REGRESSION:
        label = rng.gamma(2.0, 10.0, n) + rng.normal(0, 3, groups)[code]
        said = label + rng.normal(0, rng.uniform(0.5, 6, groups)[code]) + rng.normal(0, 1)
        return DataSet(task, label, said, group)
    level = rng.normal(rng.normal(0, 1), 0.7, groups)[code]
    if task is Task.BINARY:
        logit = rng.normal(size=n) * rng.uniform(0.3, 2) + level
        score = 1 / (1 + np.exp(-logit))
        label = rng.random(n) < 1 / (1 + np.exp(-logit * rng.uniform(0.3, 1.5)))
        return DataSet(task, label, score >= rng.uniform(0.2, 0.8), group, score)
    names = np.array(["a", "b", "c", "d"])
    base = rng.dirichlet([3.0] * 4, groups)
    label = np.array([rng.choice(4, p=base[k]) for k in code])
    right = rng.random(n) < rng.uniform(0.4, 0.9, groups)[code]
    return DataSet(task, names[label], names[np.where(right, label, rng.integers(0, 4, n))], group)


def _frame(metric: Callable[..., float], y: Truth, said: Truth, group: Truth) -> Any:
    return fair.MetricFrame(metrics=metric, y_true=y, y_pred=said, sensitive_features=group)


def _by_frame(metric: Callable[..., float]) -> Callable[[Truth, Truth, Truth], float]:
    return lambda y, said, group: float(_frame(metric, y, said, group).difference())


def _by_name(name: str) -> Callable[[Truth, Truth, Truth], float]:
    function = getattr(fair, name)
    return lambda y, said, group: float(function(y, said, sensitive_features=group))


def _mean_error(y: Truth, said: Truth) -> float:
    return float(np.mean(said - y))


_PRECISION = _by_frame(lambda y, said: sk.precision_score(y, said, zero_division=0))
#: Which records count under a rate: those that a group needs enough of.
_ALL, _POSITIVE, _NEGATIVE, _SAID = "all", "positive", "negative", "said"


@dataclass(frozen=True)
class Peer:
    """What a metric is held against.

    Parameters
    ----------
    function : callable
        ``(labels, predictions, groups) -> value`` by fairlearn.
    under : str
        Which records a group needs enough of.
    numbers : bool
        Whether it is of numbers that were predicted.
    smallest : bool
        Whether the worst of several classes is the smallest.
    scores : bool
        Whether it takes scores in the predictions' place.
    """

    function: Callable[[Truth, Truth, Truth], float]
    under: str = _ALL
    numbers: bool = False
    smallest: bool = False
    scores: bool = False


#: By metric. Equalised odds are the worse of two rates, each over the groups with enough of it.
PEERS: dict[str, Peer] = {
    "demographic_parity_difference": Peer(_by_name("demographic_parity_difference")),
    "demographic_parity_ratio": Peer(_by_name("demographic_parity_ratio"), smallest=True),
    "disparate_impact": Peer(_by_name("selection_rate_ratio"), smallest=True),
    "equal_opportunity_difference": Peer(_by_name("equal_opportunity_difference"), _POSITIVE),
    "equal_opportunity_ratio": Peer(_by_name("equal_opportunity_ratio"), _POSITIVE, smallest=True),
    "equalized_odds_difference": Peer(_by_name("equalized_odds_difference"), "both"),
    "equalized_odds_ratio": Peer(_by_name("equalized_odds_ratio"), "both", smallest=True),
    "predictive_parity_difference": Peer(_PRECISION, _SAID),
    "false_positive_rate_difference": Peer(_by_name("false_positive_rate_difference"), _NEGATIVE),
    "false_negative_rate_difference": Peer(_by_name("false_negative_rate_difference"), _POSITIVE),
    "calibration_difference": Peer(_by_frame(_mean_error), scores=True),
    "mean_prediction_difference": Peer(_by_frame(fair.mean_prediction), numbers=True),
    "mae_difference": Peer(_by_frame(sk.mean_absolute_error), numbers=True),
    "rmse_difference": Peer(_by_frame(sk.root_mean_squared_error), numbers=True),
    "mean_error_difference": Peer(_by_frame(_mean_error), numbers=True),
}


def peer_value(name: str, data: DataSet) -> float | None:
    """Return what fairlearn says of a metric; None where it or we have no answer."""
    peer = PEERS[name]
    if peer.numbers != (data.task is Task.REGRESSION):
        return None
    if peer.scores:
        if data.score is None:
            return None
        return _of_groups(peer, data.label.astype(float), data.score, data.group, _ALL)
    if peer.numbers:
        return _of_groups(peer, data.label, data.said, data.group, _ALL)
    if data.task is Task.BINARY:
        return _of_class(name, data.label, data.said, data.group)
    each = [
        _of_class(name, data.label == one, data.said == one, data.group)
        for one in np.unique(data.label)
    ]
    known = [one for one in each if one is not None]
    return None if not known else (min if peer.smallest else max)(known)


def _of_class(name: str, label: Truth, said: Truth, group: Truth) -> float | None:
    peer, y, d = PEERS[name], label.astype(int), said.astype(int)
    if peer.under != "both":
        return _of_groups(peer, y, d, group, peer.under)
    enough = [_enough(y, d, group, under) for under in (_POSITIVE, _NEGATIVE)]
    if np.array_equal(*enough):
        return _of_groups(peer, y, d, group, _POSITIVE)
    kind = "ratio" if peer.smallest else "difference"
    each = [
        _of_groups(Peer(_by_name(f"{rate}_{kind}")), y, d, group, under)
        for rate, under in (("true_positive_rate", _POSITIVE), ("false_positive_rate", _NEGATIVE))
    ]
    known = [one for one in each if one is not None]
    return None if not known else (min if peer.smallest else max)(known)


def _enough(y: Truth, said: Truth, group: Truth, under: str) -> Truth:
    held = {_ALL: np.ones(len(y), bool), _POSITIVE: y == 1, _NEGATIVE: y == 0, _SAID: said == 1}
    names, counts = np.unique(group[held[under]], return_counts=True)
    kept: Truth = names[counts >= FEWEST]
    return kept


def _of_groups(peer: Peer, y: Truth, said: Truth, group: Truth, under: str) -> float | None:
    kept = _enough(y, said, group, under)
    if len(kept) < 2:
        return None
    rows = np.isin(group, kept)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = peer.function(y[rows], said[rows], group[rows])
    return value if np.isfinite(value) else None


def gaps(runs: int, seed: int = 0) -> tuple[dict[str, float], dict[str, int]]:
    """Return the largest difference from fairlearn of each metric, and over how many data sets."""
    rng = np.random.default_rng(seed)
    worst, pairs = dict.fromkeys(PEERS, 0.0), dict.fromkeys(PEERS, 0)
    for run in range(runs):
        task = (Task.BINARY, Task.MULTICLASS, Task.REGRESSION)[run % 3]
        data = draw(rng, task)
        values = data.values()
        for name in PEERS:
            exact = peer_value(name, data)
            if exact is not None:
                gap = abs(values[name] - exact)
                worst[name] = max(worst[name], np.inf if np.isnan(gap) else gap)
                pairs[name] += 1
    return worst, pairs


@dataclass(frozen=True)
class World:
    """Groups whose true rates are known.

    Parameters
    ----------
    name : str
    rates : tuple of float
    sizes : tuple of int
        Records of each group.
    """

    name: str
    rates: tuple[float, ...]
    sizes: tuple[int, ...]


def _spaced(low: float, high: float, n: int) -> tuple[float, ...]:
    return tuple(np.linspace(low, high, n).tolist())


WORLDS = (
    World("2 groups of 30, alike", (0.3, 0.3), (30, 30)),
    World("2 groups of 30, apart", (0.3, 0.6), (30, 30)),
    World("2 groups of 40, rare", (0.03, 0.08), (40, 40)),
    World("2 groups of 30 and 3000", (0.5, 0.8), (30, 3000)),
    World("5 groups of 100, alike", (0.2,) * 5, (100,) * 5),
    World("10 groups of 200, one apart", (*(0.3,) * 9, 0.12), (200,) * 10),
    World("20 groups of 40, alike", (0.25,) * 20, (40,) * 20),
    World("20 groups of 100, two apart", (*(0.3,) * 18, 0.05, 0.8), (100,) * 20),
    World(
        "20 groups, 30 to 3000, evenly spread", _spaced(0.1, 0.4, 20), (*(30,) * 10, *(3000,) * 10)
    ),
)


def covered(world: World, runs: int, rng: np.random.Generator, kind: str) -> int:
    """Return in how many of the runs an interval holds the true difference, or ratio."""
    p, n = np.array(world.rates), np.array(world.sizes)
    if kind == "mean":
        spread = 1.0 + p
        mean = p + spread * rng.normal(size=(runs, len(p))) / np.sqrt(n)
        noise = spread**2 * rng.chisquare(n - 1, (runs, len(p))) / (n - 1) / n
        records = np.broadcast_to(n.astype(np.float64), mean.shape)
        groups: Groups = means(mean[..., None], noise[..., None], records[..., None], 2)
    else:
        hits = rng.binomial(n, p, (runs, len(p))).astype(np.float64)
        groups = shares(hits[..., None], np.broadcast_to(n, hits.shape)[..., None] * 1.0, 2)
    found = ratio(groups) if kind == "ratio" else difference(groups)
    true = p.min() / p.max() if kind == "ratio" else p.max() - p.min()
    held = (found.lower <= true + 1e-12) & (found.upper >= true - 1e-12)
    return int((held | ~np.isfinite(found.value)).sum())


def coverage(runs: int, seed: int = 0) -> Iterator[Figure]:
    """Yield what the 95 % intervals cover, by world."""
    rng = np.random.default_rng(seed)
    for world in WORLDS:
        told = []
        for kind in ("difference", "ratio", "mean"):
            hits = covered(world, runs, rng, kind)
            low, high = wilson(hits, runs)
            span = f" ({100 * low:.1f}–{100 * high:.1f})" if kind == "difference" else ""
            told.append(f"{100 * hits / runs:.1f} %{span}")
        note = f"ratio {told[1]}, means {told[2]}"
        yield Figure(f"covered: {world.name}", told[0], note=note)


def run(console: Console, runs: int = 75, draws: int = 2000) -> list[Figure]:
    """Measure, and return the figures.

    Parameters
    ----------
    console : Console
    runs : int
        Data sets that are held against fairlearn.
    draws : int
        Data sets of each world whose interval is held against the truth.
    """
    worst, pairs = gaps(runs)
    figures = [
        Figure(
            name,
            f"{worst[name]:.1e}",
            f"≤ {BOUND:.0e}",
            bool(worst[name] <= BOUND),
            f"from fairlearn {fair_version()}, at most, {pairs[name]} data sets",
        )
        for name in PEERS
    ]
    console.print(f"{runs} data sets held against fairlearn {fair_version()}")
    figures += coverage(draws)
    console.print(f"{draws} data sets of each of {len(WORLDS)} worlds for the intervals")
    return figures


def fair_version() -> str:
    """Return fairlearn's version."""
    import fairlearn

    return str(fairlearn.__version__)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=75)
    parser.add_argument("--draws", type=int, default=2000)
    told = parser.parse_args()
    made = run(Console(width=160), told.runs, told.draws)
    Console(width=160).print(table_of("Fairness", made))
