"""The numeric and categorical benchmark columns: shapes, missing values, planted drift.

The timestamp, the score and the label are drawn in `data.py`, which also writes the files.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

Floats = np.ndarray[Any, np.dtype[np.float64]]
Draw = Callable[[np.random.Generator, int], np.ndarray[Any, Any]]
Dtype = Literal["float64", "float32", "int64", "int32"]


@dataclass(frozen=True)
class Numeric:
    """One numeric column: how to draw it, how much is missing; `drifted` for the current file."""

    name: str
    draw: Draw
    dtype: Dtype = "float64"
    missing: float = 0.0
    drifted: Draw | None = None
    drifted_missing: float | None = None

    def values(self, rng: np.random.Generator, n: int, drift: bool) -> pa.Array:
        """Draw `n` values, nulls included, in the column's type."""
        draw = self.drifted if drift and self.drifted is not None else self.draw
        share = self.missing
        if drift and self.drifted_missing is not None:
            share = self.drifted_missing
        values = draw(rng, n).astype(self.dtype)
        return pa.array(values, mask=rng.random(n) < share if share else None)


@dataclass(frozen=True)
class Categorical:
    """One string column: its categories and their weights; `drifted` is for the current file."""

    name: str
    categories: tuple[str, ...]
    weights: Floats
    missing: float = 0.0
    drifted: Floats | None = None

    def values(self, rng: np.random.Generator, n: int, drift: bool) -> pa.Array:
        """Draw `n` plain strings (not dictionary-typed; the Parquet writer encodes as it likes)."""
        weights = self.drifted if drift and self.drifted is not None else self.weights
        cumulative = np.cumsum(weights / weights.sum())
        codes = np.minimum(np.searchsorted(cumulative, rng.random(n)), len(self.categories) - 1)
        mask = rng.random(n) < self.missing if self.missing else None
        return pa.array(self.categories).take(pa.array(codes, mask=mask))


def normal(mean: float, sd: float) -> Draw:
    """Gaussian."""
    return lambda rng, n: rng.normal(mean, sd, n)


def lognormal(mean: float, sigma: float, decimals: int | None = None) -> Draw:
    """Log-normal, rounded as an amount of money is if `decimals` says so."""

    def draw(rng: np.random.Generator, n: int) -> Floats:
        x = rng.lognormal(mean, sigma, n)
        return x if decimals is None else np.round(x, decimals)

    return draw


def student_t3(scale: float) -> Draw:
    """Student's t with three degrees of freedom: symmetric, heavy-tailed."""
    return lambda rng, n: scale * rng.standard_t(3, n)


def pareto(alpha: float) -> Draw:
    """Pareto from 1 upwards: a tail whose higher moments do not exist."""
    return lambda rng, n: 1 + rng.pareto(alpha, n)


def poisson(mean: float) -> Draw:
    """Counts."""
    return lambda rng, n: rng.poisson(mean, n)


def few(weights: tuple[float, ...]) -> Draw:
    """Integers 0, 1, 2, … with these probabilities."""
    return lambda rng, n: rng.choice(len(weights), n, p=np.array(weights) / sum(weights))


def many(low: int, high: int) -> Draw:
    """Integers, uniform in `[low, high)`."""
    return lambda rng, n: rng.integers(low, high, n)


def zero_inflated(zeros: float, mean: float, sigma: float) -> Draw:
    """Zero with probability `zeros`, else log-normal."""
    return lambda rng, n: np.where(rng.random(n) < zeros, 0.0, rng.lognormal(mean, sigma, n))


def bimodal(share: float, first: float, second: float) -> Draw:
    """Two Gaussians of unit width; `share` of the values around `second`."""
    return lambda rng, n: rng.normal(np.where(rng.random(n) < share, second, first), 1.0)


def uniform(low: float, high: float) -> Draw:
    """Uniform."""
    return lambda rng, n: rng.uniform(low, high, n)


def constant_ish(value: float, others: float) -> Draw:
    """One value nearly always, uniform noise around it with probability `others`."""
    return lambda rng, n: np.where(rng.random(n) < others, value * rng.uniform(0, 2, n), value)


NUMERIC: tuple[Numeric, ...] = (
    Numeric("normal_1", normal(0, 1)),
    Numeric("normal_2", normal(100, 15), missing=0.02, drifted=normal(103, 15)),
    Numeric("normal_3", normal(-5, 0.1), missing=0.1),
    Numeric("normal_4", normal(1e6, 2e5), missing=0.001),
    Numeric("normal_5", normal(0, 1), missing=0.3, drifted=normal(0, 1.2)),
    Numeric("normal_6", normal(20, 8), drifted_missing=0.05),
    Numeric("normal32_1", normal(0, 1), "float32", missing=0.02),
    Numeric("normal32_2", normal(36.6, 0.5), "float32", drifted=normal(36.65, 0.5)),
    Numeric("lognormal32_3", lognormal(2, 1), "float32", missing=0.1),
    Numeric("lognormal_1", lognormal(0, 1)),
    Numeric("lognormal_2", lognormal(3, 0.5), missing=0.02, drifted=lognormal(3.1, 0.5)),
    Numeric("lognormal_3", lognormal(1, 2), missing=0.1),
    Numeric("amount_1", lognormal(3, 1, decimals=2), missing=0.001),
    Numeric("amount_2", lognormal(4, 0.7, decimals=2), drifted=lognormal(4.2, 0.7, decimals=2)),
    Numeric("t3_1", student_t3(1)),
    Numeric("t3_2", student_t3(10), missing=0.02),
    Numeric("t3_3", student_t3(0.01), missing=0.1, drifted=student_t3(0.013)),
    Numeric("pareto_1", pareto(1.5)),
    Numeric("pareto_2", pareto(2.5), missing=0.02, drifted=pareto(2.1)),
    Numeric("pareto_3", pareto(5), missing=0.3),
    Numeric("few_1", few((0.7, 0.2, 0.1)), "int32"),
    Numeric("few_2", few((5, 4, 3, 2, 1)), "int32", missing=0.02, drifted=few((4, 4, 3, 2, 2))),
    Numeric("few_3", poisson(3), "int64", missing=0.1),
    Numeric("few_4", few((0.5, 0.5)), "int64"),
    Numeric("many_1", many(0, 1_000_000), "int64"),
    Numeric("many_2", many(-5000, 5000), "int32", missing=0.02),
    Numeric("many_3", poisson(400), "int64", missing=0.1, drifted=poisson(420)),
    Numeric("many_4", many(0, 2**40), "int64", missing=0.001),
    Numeric("zeros_1", zero_inflated(0.9, 2, 1)),
    Numeric("zeros_2", zero_inflated(0.5, 0, 1), missing=0.02, drifted=zero_inflated(0.6, 0, 1)),
    Numeric("zeros_3", zero_inflated(0.99, 5, 2), missing=0.1),
    Numeric("zeros_4", zero_inflated(0.3, 1, 0.5)),
    Numeric("bimodal_1", bimodal(0.5, -3, 3)),
    Numeric("bimodal_2", bimodal(0.2, 0, 8), missing=0.02, drifted=bimodal(0.3, 0, 8)),
    Numeric("bimodal_3", bimodal(0.05, 10, 30), missing=0.1),
    Numeric("uniform_1", uniform(0, 1)),
    Numeric("uniform_2", uniform(-180, 180), missing=0.02),
    Numeric("uniform_3", uniform(0, 100), missing=0.3, drifted=uniform(0, 110)),
    Numeric("constant_1", constant_ish(1, 0.0005)),
    Numeric("constant_2", constant_ish(50, 0.01), missing=0.02),
)


def _names(prefix: str, count: int) -> tuple[str, ...]:
    return tuple(f"{prefix}{i:0{len(str(count - 1))}d}" for i in range(count))


def _zipf(count: int, exponent: float) -> Floats:
    return np.arange(1.0, count + 1) ** -exponent


def _shifted(weights: Floats, index: int, factor: float) -> Floats:
    changed = weights.copy()
    changed[index] *= factor
    return changed


_PLAN = np.array([60.0, 25.0, 10.0, 5.0])
_CARRIER = _zipf(16, 1.0)
_REGION = np.append(_zipf(20, 0.7), 0.0)

CATEGORICAL: tuple[Categorical, ...] = (
    Categorical("device", ("mobile", "desktop", "tablet"), np.array([6.0, 3.5, 0.5])),
    Categorical("plan", ("free", "basic", "plus", "team"), _PLAN, drifted=_shifted(_PLAN, 2, 1.4)),
    Categorical("channel", _names("channel-", 6), _zipf(6, 0.5), missing=0.02),
    Categorical("weekday", _names("day-", 7), np.ones(7)),
    Categorical("flag", ("yes", "no"), np.array([0.03, 0.97]), missing=0.1),
    Categorical("carrier", _names("carrier-", 16), _CARRIER, drifted=_shifted(_CARRIER, 0, 1.15)),
    # The last region is never seen in the reference.
    Categorical("region", _names("region-", 21), _REGION, drifted=np.append(_zipf(20, 0.7), 0.1)),
    Categorical("airport", _names("airport-", 100), _zipf(100, 0.9), missing=0.001),
    Categorical("merchant", _names("merchant-", 50_000), _zipf(50_000, 0.8)),
    Categorical("postcode", _names("zip-", 20_000), np.ones(20_000), missing=0.02),
)
