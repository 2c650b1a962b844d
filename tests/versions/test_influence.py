"""Influence functions: exact where there is an exact formula, and the bootstrap's elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from tidegauge.versions import influence
from tidegauge.versions.influence import Estimate

Floats = NDArray[np.float64]
RNG = np.random.default_rng(5)
N = 600
TRUTH = (RNG.random(N) < 0.35).astype(float)
SCORES = np.round(np.clip(0.3 + 0.3 * TRUTH + 0.25 * RNG.standard_normal(N), 0, 1), 2)
SAID = (SCORES >= 0.5).astype(float)
ERRORS = RNG.standard_t(6, N)
LABELS = RNG.gamma(2.0, 3.0, N)
LATENCY = RNG.lognormal(3, 0.4, N)

STATISTICS: dict[str, Callable[[NDArray[np.int64], Floats], Estimate]] = {
    "mean": lambda r, w: influence.mean(ERRORS[r], w),
    "ratio": lambda r, w: influence.ratio(2 * (TRUTH * SAID)[r], (TRUTH + SAID)[r], w),
    "roc_auc": lambda r, w: influence.roc_auc(SCORES[r], TRUTH[r], w),
    "average_precision": lambda r, w: influence.average_precision(SCORES[r], TRUTH[r], w),
    "r2": lambda r, w: influence.r2(ERRORS[r], LABELS[r], w),
    "rmse": lambda r, w: influence.root(influence.mean(ERRORS[r] ** 2, w)),
    "quantile": lambda r, w: influence.quantile(LATENCY[r], w, 0.9),
}


def delong(first: Floats, second: Floats, truth: Floats) -> float:
    """Variance of the difference of two areas over the same records, as DeLong et al. have it."""

    def placed(scores: Floats) -> tuple[Floats, Floats]:
        x, y = scores[truth > 0], scores[truth == 0]
        psi = (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])
        return psi.mean(axis=1), psi.mean(axis=0)

    (a10, a01), (b10, b01) = placed(first), placed(second)
    s10, s01 = np.cov(np.stack([a10, b10])), np.cov(np.stack([a01, b01]))
    both = s10 / len(a10) + s01 / len(a01)
    return float(both[0, 0] + both[1, 1] - 2 * both[0, 1])


def test_the_variance_of_two_areas_is_delongs() -> None:
    other = np.round(np.clip(SCORES + 0.1 * RNG.standard_normal(N), 0, 1), 2)
    a, b = (influence.roc_auc(s, TRUTH, np.ones(N)) for s in (SCORES, other))
    ours = float((((b.psi - a.psi) / N) ** 2).sum())
    assert ours == pytest.approx(delong(SCORES, other, TRUTH), rel=1e-9)


def test_values_are_those_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    weights = RNG.random(N)
    got = influence.roc_auc(SCORES, TRUTH, weights).value
    assert got == pytest.approx(metrics.roc_auc_score(TRUTH, SCORES, sample_weight=weights))
    got = influence.average_precision(SCORES, TRUTH, weights).value
    wanted = metrics.average_precision_score(TRUTH, SCORES, sample_weight=weights)
    assert got == pytest.approx(wanted)
    got = influence.ratio(2 * TRUTH * SAID, TRUTH + SAID, weights).value
    assert got == pytest.approx(metrics.f1_score(TRUTH, SAID, sample_weight=weights))


@pytest.mark.parametrize("name", STATISTICS)
def test_the_influence_of_a_record_is_what_a_little_more_of_it_changes(name: str) -> None:
    statistic, rows = STATISTICS[name], np.arange(N)
    whole = statistic(rows, np.ones(N))
    assert abs(whole.psi.mean()) < 1e-3 * np.abs(whole.psi).mean()
    if name == "quantile":  # it jumps from record to record; the bootstrap holds it below
        return
    for at in (3, 77, 410):
        more = np.ones(N)
        more[at] += 1e-5
        slope = (statistic(rows, more).value - whole.value) / 1e-5 * N
        assert whole.psi[at] == pytest.approx(slope, rel=5e-3, abs=1e-3 * np.abs(whole.psi).max())


@pytest.mark.parametrize("name", STATISTICS)
def test_the_error_is_that_of_the_bootstrap(name: str) -> None:
    statistic, rng = STATISTICS[name], np.random.default_rng(1)
    whole = statistic(np.arange(N), np.ones(N))
    ours = float(np.sqrt((whole.psi**2).sum())) / N
    drawn = [statistic(rng.integers(0, N, N), np.ones(N)).value for _ in range(300)]
    assert ours == pytest.approx(float(np.std(drawn)), rel=0.2 if name != "quantile" else 0.35)


def test_one_class_has_no_area() -> None:
    assert np.isnan(influence.roc_auc(SCORES, np.ones(N), np.ones(N)).value)
    assert np.isnan(influence.average_precision(SCORES, np.zeros(N), np.ones(N)).value)
