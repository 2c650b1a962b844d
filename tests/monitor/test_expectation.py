"""What a baseline teaches: levels, seasons, variation, and how surely each is known."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from tidegauge.monitor.expectation import Expectation, fit, settle, squeeze, without_windows
from tidegauge.monitor.seasons import seasons
from tidegauge.monitor.spans import Deviations, Track, span_test

DAY = timedelta(days=1)
STEP = 86_400_000_000
MONDAY = 1_704_067_200_000_000
NAME = ("location_shift", "x")


def starts(n: int, first: int = 0) -> np.ndarray:
    return MONDAY + (first + np.arange(n)) * STEP


def learnt(y: np.ndarray, v: float = 0.0005, pooled: bool = False) -> list[Expectation]:
    """Learn from series (window, series), each by itself, then settle them together."""
    whole = np.zeros((1, 1))
    fitted = [
        fit(one[:, None, None], np.full((len(y), 1, 1), v), starts(len(y)), DAY, whole, whole[0])
        for one in y.T
    ]
    return settle(fitted, pooled=pooled)


def levels(rng: np.random.Generator, n: int, series: int, sd: float, r: float) -> np.ndarray:
    """Levels that move from window to window."""
    out = rng.normal(0, sd, (n, series))
    for at in range(1, n):
        out[at] = r * out[at - 1] + np.sqrt(1 - r**2) * out[at]
    return out


def test_weekdays_are_learnt_where_they_are_and_not_where_they_are_chance() -> None:
    rng = np.random.default_rng(0)
    week = rng.normal(0, 0.3, 7)
    noise = rng.normal(0, 0.02, (56, 1))
    (real,) = learnt(noise + week[np.arange(56) % 7, None])
    assert real.at(starts(7, 56))[:, 0, 0] == pytest.approx(week, abs=0.04)
    chance = learnt(rng.normal(0, 0.0224, (56, 40)))
    effects = [np.abs(one.effects[0].effect).max() for one in chance]
    assert np.median(effects) < 0.02


def test_a_weekday_that_the_baseline_never_saw_is_known_less_surely() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(0, 0.02, (28, 1)) + rng.normal(0, 0.3, 7)[np.arange(28) % 7, None]
    y[6::7] = np.nan
    (one,) = learnt(y)
    variance = one.effects[0].variance[:, 0, 0]
    assert variance[6] > 10 * variance[:6].max()


def test_variation_beyond_sampling_noise_is_told_from_it() -> None:
    rng = np.random.default_rng(2)
    still = learnt(rng.normal(0, np.sqrt(0.0005), (30, 200)))
    moving = learnt(rng.normal(0, np.sqrt(0.0005 + 0.0025), (30, 200)))
    assert np.median([one.between[0, 0] for one in still]) < 0.0001
    assert np.mean([one.between[0, 0] for one in moving]) == pytest.approx(0.0025, rel=0.15)


def test_autocorrelation_is_found_and_costs_degrees_of_freedom() -> None:
    rng = np.random.default_rng(3)
    free = learnt(rng.normal(size=(60, 30)))
    tied = learnt(levels(rng, 60, 30, 1.0, 0.6))
    assert np.mean([one.correlation for one in free]) < 0.1
    assert np.mean([one.correlation for one in tied]) == pytest.approx(0.6, abs=0.12)
    assert np.mean([one.df for one in tied]) < 0.7 * np.mean([one.df for one in free])


def test_few_series_carry_nothing_over() -> None:
    rng = np.random.default_rng(4)
    (one,) = learnt(levels(rng, 30, 1, 1.0, 0.8))
    assert one.correlation[0, 0] == 0.0


def test_pooled_variances_lie_nearer_to_each_other_and_are_surer() -> None:
    rng = np.random.default_rng(5)
    y = rng.normal(0, 0.1, (30, 25))
    alone, together = learnt(y), learnt(y, pooled=True)
    spread = [np.std([one.spread[0, 0] for one in kind]) for kind in (alone, together)]
    assert spread[1] < 0.75 * spread[0]
    assert min(one.df[0, 0] for one in together) > max(one.df[0, 0] for one in alone)


def test_one_column_far_less_steady_keeps_most_of_its_spread() -> None:
    rng = np.random.default_rng(6)
    y = rng.normal(0, 0.1, (30, 25))
    y[:, 0] *= 10
    assert learnt(y, pooled=True)[0].spread[0, 0] > 0.4 * y[:, 0].var(ddof=1)


def test_the_prior_of_variances_is_found() -> None:
    rng = np.random.default_rng(7)
    true = 4.0 * 8.0 / rng.chisquare(8.0, 20_000)
    more, prior = squeeze(true * rng.chisquare(20, 20_000) / 20, np.full(20_000, 20.0))
    assert more == pytest.approx(8.0, rel=0.1)
    assert prior == pytest.approx(4.0, rel=0.05)


def test_hours_and_weekdays_are_told_apart() -> None:
    hour, width = STEP // 24, timedelta(hours=1)
    rng = np.random.default_rng(8)
    at = MONDAY + np.arange(28 * 24) * hour
    by_hour, by_day = rng.normal(0, 0.3, 24), rng.normal(0, 0.3, 7)
    y = by_hour[np.arange(28 * 24) % 24] + by_day[np.arange(28 * 24) // 24 % 7]
    y = y + rng.normal(0, 0.05, len(y))
    whole = np.zeros((1, 1))
    fitted = fit(y[:, None, None], np.full((len(y), 1, 1), 1e-4), at, width, whole, whole[0])
    (one,) = settle([fitted], pooled=False)
    assert [season.slots for season in seasons(at, width)] == [24, 7]
    later = at + 28 * STEP
    assert one.at(later)[:, 0, 0] == pytest.approx(y, abs=0.3)
    assert np.std(one.at(later)[:, 0, 0] - y) < 0.07


@pytest.mark.parametrize("length", [1, 2, 7])
@pytest.mark.parametrize(("sd", "r", "week"), [(0.0, 0.0, 0.0), (0.05, 0.5, 0.3)])
def test_under_no_change_small_p_values_are_as_rare_as_they_say(
    length: int, sd: float, r: float, week: float
) -> None:
    rng = np.random.default_rng(100 + length)
    small = tried = 0
    v = 1 / 2000
    for _ in range(60):
        y = rng.normal(0, np.sqrt(v), (60, 25)) + levels(rng, 60, 25, sd, r)
        y = y + rng.normal(0, week, (7, 25))[np.arange(60) % 7]
        for one, series in zip(learnt(y[:30], v, pooled=True), y.T, strict=True):
            later = starts(30, 30)
            now = (series[30:, None, None] - one.at(later), np.full((30, 1, 1), v))
            history = Deviations(one.last[0], {NAME: Track.of(*one.last[1:])})
            history = history.then(Deviations(later, {NAME: Track.of(*now)}))
            p = span_test(history, NAME, later, one, STEP, 0, length).p
            small += int((p < 0.01).sum())
            tried += int(np.isfinite(p).sum())
    assert tried == 60 * 25 * 30
    assert 0.004 <= small / tried <= 0.014


def test_without_windows_sampling_noise_is_all_there_is() -> None:
    level, variance = np.array([[[0.5]]]), np.array([[[0.01]]])
    one = without_windows(level, variance, np.array([[0.5]]))
    at = np.zeros(1, dtype=np.int64)
    deviation = np.array([[[0.2]]])
    held = Deviations(at, {NAME: Track.of(deviation, np.array([[[0.03]]]))})
    found = span_test(held, NAME, at, one, 1, 0, 1)
    assert found.sd[0, 0, 0] == pytest.approx(np.sqrt(0.04))
    assert found.p[0, 0, 0] == pytest.approx(0.3173, abs=1e-4)


def test_an_alarm_is_left_out_of_later_means() -> None:
    rng = np.random.default_rng(9)
    (one,) = learnt(rng.normal(0, 0.1, (30, 1)))
    at = starts(7, 30)
    deviation = np.zeros((7, 1, 1))
    deviation[3] = 5.0
    held = Deviations(at, {NAME: Track.of(deviation, np.full((7, 1, 1), 0.0005))})
    marked = held.marked(at, {NAME: deviation[..., 0] > 1})
    loud, calm = (span_test(h, NAME, at, one, STEP, 0, 7) for h in (held, marked))
    assert loud.p[-1, 0, 0] < 1e-6
    assert calm.p[-1, 0, 0] > 0.5
    assert calm.windows[-1, 0, 0] == 6
