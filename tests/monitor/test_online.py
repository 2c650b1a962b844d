"""Online detectors: a known step is found, a flat series is left alone, bad input is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import polars as pl
import pytest

import tidegauge as tg
from tidegauge.errors import BadInput, EmptyInput
from tidegauge.monitor.online import Changes

START = datetime(2026, 1, 1, tzinfo=UTC)
DETECTORS = ("adwin", "page_hinkley", "ddm")


def errors(*shares: float, each: int = 1000, seed: int = 0) -> np.ndarray:
    """Errors of 0 and 1, as many of each share."""
    rng = np.random.default_rng(seed)
    return (rng.random(each * len(shares)) < np.repeat(shares, each)).astype(float)


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_known_step_is_found_where_it_is_and_told_with_its_levels(detector: str) -> None:
    (change,) = tg.detect_changes(errors(0.1, 0.4), detector=detector)
    assert 990 <= change.index <= 1010
    assert change.index <= change.noticed <= 1250
    assert change.before == pytest.approx(0.1, abs=0.02)
    assert change.after == pytest.approx(0.4, abs=0.15)
    assert (change.direction, change.time, change.noticed_at) == ("up", None, None)


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("seed", range(3))
def test_a_flat_series_has_no_change(detector: str, seed: int) -> None:
    found = tg.detect_changes(errors(0.3, 0.3, seed=seed), detector=detector)
    assert list(found) == []
    assert (found.values, found.notes) == (2000, ())


@pytest.mark.parametrize("detector", ["adwin", "page_hinkley"])
def test_a_step_down_and_one_up_again_are_two_changes(detector: str) -> None:
    down, up = tg.detect_changes(errors(0.5, 0.1, 0.5), detector=detector)
    assert (down.direction, up.direction) == ("down", "up")
    assert abs(down.index - 1000) < 30 and abs(up.index - 2000) < 30
    assert up.before == pytest.approx(0.1, abs=0.02)


def test_ddm_and_one_sided_page_hinkley_tell_of_their_side_only() -> None:
    falling = errors(0.5, 0.1)
    assert not tg.detect_changes(falling, detector="ddm")
    assert not tg.detect_changes(falling, detector="page_hinkley", mode="up")
    (change,) = tg.detect_changes(falling, detector="page_hinkley", mode="down")
    assert change.direction == "down"


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e300])
def test_adwin_finds_the_same_in_any_unit(unit: float) -> None:
    rng = np.random.default_rng(0)
    series = rng.normal(size=600) + np.repeat([0, 3], 300)
    (change,) = tg.detect_changes(series * unit)
    assert abs(change.index - 300) <= 2
    assert change.after / unit == pytest.approx(3, abs=0.5)


def test_times_order_the_values_and_say_when() -> None:
    series = errors(0.1, 0.6)
    times = [START + timedelta(hours=i) for i in range(len(series))]
    shuffled = np.random.default_rng(5).permutation(len(series))
    (plain,) = tg.detect_changes(series)
    (change,) = tg.detect_changes(series[shuffled], [times[i] for i in shuffled])
    assert change.time == times[plain.index] and change.noticed_at == times[plain.noticed]
    assert shuffled[change.index] == plain.index
    naive = [moment.replace(tzinfo=None) for moment in times]
    texts = [moment.isoformat() for moment in times]
    for other in (naive, texts, pd.Series(times), pl.Series(times), np.array(naive, "M8[us]")):
        assert tg.detect_changes(series, other)[0].time == change.time


def test_what_is_no_finite_value_is_skipped_and_counted() -> None:
    series = [None if i % 5 == 0 else float(v) for i, v in enumerate(errors(0.1, 0.6))]
    series[1:4] = [float("nan"), float("inf"), float("-inf")]
    found = tg.detect_changes(series)
    assert (found.values, found.missing, found.infinite) == (1597, 401, 2)
    assert found.notes == ("401 missing values skipped", "2 infinite values skipped")
    assert abs(found[0].index - 1000) < 20
    times: list[datetime | None] = [START] * 2000
    times[7] = None
    assert tg.detect_changes(series, times).missing == 402


def test_any_kind_of_series_is_read() -> None:
    series = errors(0.1, 0.6)
    (wanted,) = tg.detect_changes(series)
    for other in (
        series.tolist(),
        series.astype(bool),
        series.astype(int),
        pd.Series(series),
        pl.Series(series),
        pl.Series(series.astype(bool)),
        [str(value) for value in series],
    ):
        assert list(tg.detect_changes(other)) == [wanted]


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("n", [1, 2, 9, 10, 25, 30])
def test_a_series_that_is_too_short_says_so(detector: str, n: int) -> None:
    found = tg.detect_changes([i % 2 for i in range(n)], detector=detector)
    assert not found
    if n > 1:
        assert len(found.notes) == 1
        assert "too few" in found.notes[0] or "would not notice" in found.notes[0]


def test_a_threshold_that_nothing_can_pass_is_told() -> None:
    daily = np.random.default_rng(0).normal(0.8, 0.01, 90)
    assert "would not notice" in tg.detect_changes(daily, detector="page_hinkley").notes[0]
    able = tg.detect_changes(daily, detector="page_hinkley", threshold=0.2, delta=0.01)
    assert able.notes == () and not able
    daily[60:] -= 0.05
    (change,) = tg.detect_changes(daily, detector="page_hinkley", threshold=0.2, delta=0.01)
    assert abs(change.index - 60) <= 1


def test_a_constant_series_has_no_change_and_nothing_to_be_told() -> None:
    for detector in DETECTORS[:2]:
        assert tg.detect_changes([3.5] * 100, detector=detector).notes == ()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"detector": "adwn"}, "did you mean 'adwin'"),
        ({"detector": "page-hinkley"}, "did you mean 'page_hinkley'"),
        ({"detector": "kswin"}, "there are: adwin, page_hinkley, ddm"),
        ({"dleta": 1}, "did you mean 'delta'"),
        ({"delta": 0}, "above 0, at most 1"),
        ({"delta": float("nan")}, "give a number"),
        ({"delta": None}, "give a number"),
        ({"clock": 0}, "a whole number from 1"),
        ({"clock": 1.5}, "a whole number from 1"),
        ({"max_buckets": 1}, "from 2"),
        ({"detector": "page_hinkley", "mode": "sideways"}, "one of both, up, down"),
        ({"detector": "page_hinkley", "threshold": float("inf")}, "above 0"),
        ({"detector": "ddm", "values": [0, 1, 0.4]}, "value 3 is 0.4"),
        ({"values": ["1", "x"]}, "value 2 of the series is 'x'"),
        ({"values": [[1], [2]]}, "no number"),
        ({"values": 5}, "no plain series"),
        ({"values": [1, "x"]}, "no plain series"),
        ({"times": [START]}, "1 times for 100 values"),
        ({"times": list(range(100))}, "whose unit nothing tells"),
        ({"times": ["2026-01-01", None, *["soon"] * 98]}, "time 3 of the series is 'soon'"),
    ],
)
def test_bad_input_is_told(given: dict[str, object], says: str) -> None:
    arguments: dict[str, object] = {"values": [0.0, 1.0] * 50, **given}
    with pytest.raises(BadInput, match=says):
        tg.detect_changes(**arguments)


@pytest.mark.parametrize("series", [[], [None], [float("nan"), float("inf")], np.empty(0)])
def test_nothing_to_look_at_is_no_all_clear(series: object) -> None:
    with pytest.raises(EmptyInput, match="no values"):
        tg.detect_changes(series)


def test_every_parameter_can_be_given_as_text() -> None:
    for detector in DETECTORS:
        taken: Changes = tg.detect_changes(errors(0.2), detector=detector)
        given = {name: str(value) for name, value in taken.parameters.items()}
        assert tg.detect_changes(errors(0.2), detector=detector, **given).parameters == (
            taken.parameters
        )
