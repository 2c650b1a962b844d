"""The verdict from contrasts: intersection and union, margins in either direction, numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tidegauge.errors import BadInput
from tidegauge.versions.contrast import Contrast, Held, Standing
from tidegauge.versions.decision import as_seen, judged, needed, records_for
from tidegauge.versions.rule import Rule


def held(effect: float, error: float, margin: float, parts: int = 4) -> Held:
    return Held(effect, error, error, 0.0, margin, 1_000, np.full(parts, error / np.sqrt(parts)))


def gate(name: str) -> Contrast:
    return Contrast(name, "performance", None, None, "higher", gate=True)


def test_a_gate_passes_where_its_whole_interval_is_on_the_good_side() -> None:
    cases = [(0.0, Standing.WITHIN), (-0.012, Standing.OPEN), (-0.03, Standing.BEYOND)]
    for effect, standing in cases:
        found = [(gate("a"), held(effect, 0.004, 0.01))]
        assert judged(found, Rule())[0].standing is standing


def test_do_not_ship_is_asked_of_several_gates_at_a_smaller_level() -> None:
    beyond = held(-0.0185, 0.004, 0.01)  # 2.1 standard errors past the margin
    assert judged([(gate("a"), beyond)], Rule())[0].standing is Standing.BEYOND
    both = judged([(gate("a"), beyond), (gate("b"), held(0, 0.001, 0.01))], Rule())
    assert both[0].standing is Standing.OPEN and both[1].standing is Standing.WITHIN


def test_the_number_of_records_is_that_of_the_textbook() -> None:
    z = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    scale, observed = needed([held(-0.001, 0.01, 0.02)], Rule())
    assert scale == pytest.approx((z * 0.01 / 0.02) ** 2) and not observed
    assert records_for(0.5, 0.02) == int(np.ceil((z * 0.5 / 0.02) ** 2))


def test_gates_that_go_together_need_fewer_records_than_gates_that_do_not() -> None:
    one = held(0.0, 0.02, 0.01, 8)
    other = Held(0.0, 0.02, 0.02, 0.0, 0.01, 1_000, one.parts * np.tile([1.0, -1.0], 4))
    alone = needed([one], Rule())[0]
    together, apart = (needed([one, two], Rule())[0] for two in (one, other))
    assert together == pytest.approx(alone, rel=0.03)
    assert apart > 1.1 * together


def test_enough_records_for_equal_versions_go_by_the_difference_seen() -> None:
    near = held(-0.006, 0.003, 0.01)
    scale, observed = needed([near], Rule())
    assert observed and scale == pytest.approx(as_seen([near], Rule())) and scale > 1
    assert needed([held(-0.01, 0.003, 0.01)], Rule())[0] == float("inf")
    past = held(-0.014, 0.003, 0.01)
    assert 1 < needed([past], Rule())[0] < 10


def test_a_level_that_is_none_is_refused() -> None:
    for wrong in ({"level": 1.0}, {"level": float("nan")}, {"power": 0.0}, {"planned": 0.0}):
        with pytest.raises(BadInput):
            Rule(**wrong)


def test_intervals_for_any_time_are_wider_at_every_number_of_records() -> None:
    rule = Rule(planned=5_000)
    for records in (10, 100, 5_000, 10**6):
        assert rule.reach(records) > 1.3 * Rule().reach(records)
    assert rule.reach(5_000) < min(rule.reach(100), rule.reach(10**7))
