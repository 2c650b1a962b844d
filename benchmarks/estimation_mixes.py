"""Streams whose performance falls by a known mix of changed inputs and a changed relation.

A model that knows six of eight inputs, and no interaction but one, scores records. Its inputs move
to where it is worse (longer distances, worse weather, another mix of carriers), or the same inputs
come to another end, or both. How much of the fall comes of which is computed from records drawn by
the million: the fall with the old relation on the new inputs, and the rest::

    mix = Mix.of("roc_auc", share=0.25)        # a quarter of the fall comes of the inputs
    reference, current = mix.draw(7)           # two pyarrow tables of 20,000 records
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import special

from tidegauge.schema import Column, ColumnType, Role, Schema, Task

Floats = NDArray[np.float64]

SEED = 20_260_301
ROWS = 20_000
#: Records that a truth is computed from.
MANY = 1_000_000
#: How far the metric falls in all (a loss: rises).
FALLS = {"roc_auc": -0.08, "log_loss": 0.08}
CARRIERS = ("UA", "AA", "DL", "WN", "HA")
COLUMNS = ("distance", "weather", "hour", "age", "load", "crew", "noise")

SCHEMA = Schema(
    (
        *(Column(name, ColumnType.NUMERIC) for name in COLUMNS),
        Column("carrier", ColumnType.CATEGORICAL, Role.SEGMENT),
        Column("score", ColumnType.NUMERIC, Role.SCORE),
        Column("label", ColumnType.NUMERIC, Role.LABEL),
    ),
    Task.BINARY,
)


@dataclass(frozen=True, eq=False)
class Inputs:
    """Inputs of records: (n, 7) numbers, and (n,) codes of their carriers."""

    x: Floats
    carrier: NDArray[np.int64]


def inputs(rng: np.random.Generator, n: int, moved: float) -> Inputs:
    """Draw inputs; ``moved`` is how far they lie from the reference's."""
    shares = np.array([0.3, 0.25, 0.2, 0.15, 0.1]) * np.exp(moved * np.array([-0.6, 0, 0, 0.3, 1]))
    carrier = rng.choice(5, n, p=shares / shares.sum())
    z = rng.standard_normal((n, 7))
    z[:, 0] += 0.9 * moved  # distance
    z[:, 1] = 0.5 * z[:, 0] + np.sqrt(0.75) * z[:, 1] + 0.3 * moved  # weather goes with it
    z[:, 3] = np.abs(z[:, 3]) * (1 + 0.1 * moved)  # age
    z[:, 5] += 0.4 * (carrier == 4)
    return Inputs(z, carrier)


def chance(x: Inputs, changed: float) -> Floats:
    """Return the chance of the positive class; ``changed`` is how far the relation has changed."""
    z, own = x.x, np.array([0.3, 0.0, -0.3, 0.1, 0.5])[x.carrier]
    strength = 1.2 / (1 + np.exp(1.6 * (z[:, 0] - 0.9))) + 0.15  # weak at long distances
    eta = -0.8 + own + strength * (1.6 * z[:, 1] + 0.9 * z[:, 2] - 0.7 * z[:, 4])
    eta += 0.5 * z[:, 3] + 0.35 * z[:, 5] * z[:, 2]
    turned = -0.4 + 0.5 * z[:, 3] + 0.9 * z[:, 5] - 0.2 * z[:, 1] + own
    p: Floats = special.expit((1 - changed) * eta + changed * turned)
    return p


def score(x: Inputs) -> Floats:
    """Return what the model says: it knows neither the crew nor the carriers' own levels."""
    z = x.x
    strength = 1.2 / (1 + np.exp(1.6 * (z[:, 0] - 0.9))) + 0.15
    eta = -0.65 + strength * (1.5 * z[:, 1] + 0.8 * z[:, 2] - 0.7 * z[:, 4]) + 0.45 * z[:, 3]
    p: Floats = special.expit(eta)
    return p


def roc_auc(s: Floats, p: Floats) -> float:
    """Area under the ROC curve of scores, given the chance of every record."""
    order = np.argsort(s)
    p = p[order]
    below = np.cumsum(1 - p) - (1 - p) / 2
    return float((p * below).sum() / (p.sum() * (1 - p).sum()))


def log_loss(s: Floats, p: Floats) -> float:
    """Cross-entropy of scores, given the chance of every record."""
    return float(-(p * np.log(s) + (1 - p) * np.log1p(-s)).mean())


TRUTHS: dict[str, Callable[[Floats, Floats], float]] = {"roc_auc": roc_auc, "log_loss": log_loss}


@cache
def _many(moved: float) -> Inputs:
    return inputs(np.random.default_rng(SEED), MANY, moved)


def value(metric: str, moved: float, changed: float) -> float:
    """Return a metric of a stream, from a million records."""
    x = _many.__wrapped__(moved) if moved else _many(0.0)
    return TRUTHS[metric](score(x), chance(x, changed))


@dataclass(frozen=True)
class Mix:
    """How far inputs have moved and the relation has changed, and what came of either.

    Parameters
    ----------
    metric : str
    moved, changed : float
    total, inputs : float
        The metric's change, and what of it came of the inputs.
    """

    metric: str
    moved: float
    changed: float
    total: float
    inputs: float

    @property
    def share(self) -> float:
        """Share of the change that the inputs bear."""
        return self.inputs / self.total

    @classmethod
    def of(cls, metric: str, share: float) -> Mix:
        """Find the stream whose inputs bear a share of the fall."""
        fall = FALLS[metric]
        usual = value(metric, 0.0, 0.0)
        moved = _solved(lambda a: (value(metric, a, 0.0) - usual) / fall, share, 3.0)
        changed = _solved(lambda c: (value(metric, moved, c) - usual) / fall, 1.0, 1.0)
        between = value(metric, moved, 0.0)
        return cls(metric, moved, changed, value(metric, moved, changed) - usual, between - usual)

    def draw(self, run: int, rows: int = ROWS) -> tuple[pa.Table, pa.Table]:
        """Draw the reference's records and the current ones."""
        seeds = [SEED, run, round(self.share * 100), list(TRUTHS).index(self.metric)]
        rng = np.random.default_rng(seeds)
        return table(rng, rows, 0.0, 0.0), table(rng, rows, self.moved, self.changed)


def table(rng: np.random.Generator, n: int, moved: float, changed: float) -> pa.Table:
    """Draw records with their labels."""
    x = inputs(rng, n, moved)
    label = (rng.random(n) < chance(x, changed)).astype(np.float64)
    columns = {name: pa.array(x.x[:, at]) for at, name in enumerate(COLUMNS)}
    carrier = pa.array(CARRIERS).take(pa.array(x.carrier))
    return pa.table(
        {**columns, "carrier": carrier, "score": pa.array(score(x)), "label": pa.array(label)}
    )


def _solved(far: Callable[[float], float], wanted: float, most: float) -> float:
    """Find where a rising function reaches a value, by halving."""
    if not wanted:
        return 0.0
    low, high = 0.0, most
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if far(middle) < wanted else (low, middle)
    return (low + high) / 2
