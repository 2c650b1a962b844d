"""The arithmetic of verdicts in words: every alarm says what it rests on."""

from __future__ import annotations

import pytest

from tidegauge.metrics.result import Result, State
from tidegauge.report.arithmetic import arithmetic, expected, foreseen, give_or_take, shift, sizes

ALARM = {"state": State.ALARM, "p_value": 3e-9, "level": 4e-4}
SLOW = "slow: mean of the last 7 windows 0.16 σ where 0.02 ± 0.04 σ was expected"
PAIR = "tails, mean of the last 2 windows -0.16 σ where 0.02 ± 0.04 σ was expected"
WORD = "DL: 14.0% where 10.1% ± 0.7% was expected"


def plain(text: str) -> str:
    return text.replace("\u202f", " ")


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (
            Result("location_shift", value=0.31, unit="σ", expected=0.02, spread=0.04, **ALARM),
            "0.31 σ; expected 0.02 ± 0.04 σ; p = 3×10⁻⁹, below its share of the budget, 4×10⁻⁴",
        ),
        (
            Result("location_shift", value=0.1, unit="σ", expected=0.02, spread=0.01, reason=SLOW,
                   **ALARM),
            "0.1 σ in this window; slow: mean of the last 7 windows 0.16 σ where 0.02 ± 0.04 σ "
            "was expected; p = 3×10⁻⁹, below its share of the budget, 4×10⁻⁴",
        ),
        (
            Result("total_variation", value=0.051, unit="share", expected=0.03, spread=0.007,
                   reason=WORD, **ALARM),
            "5.1 % (3 % is usual); DL: 14 % where 10.1 % ± 0.7 % was expected; p = 3×10⁻⁹, below "
            "its share of the budget, 4×10⁻⁴",
        ),
        (
            Result("missing_share", value=0.02, unit="share", expected=0.021, spread=0.004,
                   p_value=0.44, level=4e-4),
            "2 %; expected 2.1 ± 0.4 %; p = 0.44, above its share of the budget, 4×10⁻⁴",
        ),
        (
            Result("missing_share", value=0.02, unit="share", expected=0.021, spread=0.004,
                   p_value=2e-4, level=4e-4),
            "2 %; expected 2.1 ± 0.4 %; p = 2×10⁻⁴, below its share of the budget, 4×10⁻⁴, yet no "
            "alarm of its own",
        ),
        (
            Result("ks", value=0.4, expected=0.1, state=State.ALARM,
                   reason="fixed threshold: above 0.3"),
            "0.4; expected 0.1; fixed threshold: above 0.3",
        ),
        (
            Result("row_count", value=12.0, unit="rows", state=State.TOO_FEW,
                   reason="18 more records needed"),
            "12 rows; 18 more records needed",
        ),
        (Result("psi", state=State.NOT_APPLICABLE), "—"),
    ],
)  # fmt: skip
def test_a_result_says_what_it_rests_on(result: Result, said: str) -> None:
    assert plain(arithmetic(result)) == said


def test_the_value_is_left_out_where_it_stands_beside() -> None:
    one = Result("location_shift", value=0.31, unit="σ", expected=0.02, spread=0.04, **ALARM)
    assert plain(arithmetic(one, short=True)).startswith("expected 0.02 ± 0.04 σ; p = 3×10⁻⁹")


def test_the_spread_of_a_part_is_not_given_to_the_whole() -> None:
    whole = Result("total_variation", unit="share", expected=0.03, spread=0.007)
    assert plain(expected(whole)) == "3 %"
    slow = Result("location_shift", unit="σ", expected=-0.00966, spread=0.495, reason=SLOW)
    assert plain(expected(slow)) == "−0.01 σ"


@pytest.mark.parametrize(
    ("middle", "spread", "unit", "said"),
    [
        (-0.004, 0.12, "share", "0 ± 12 %"),
        (945.1, 52.81, "rows", "945 ± 53 rows"),
        (12_345.0, 678.9, None, "12 345 ± 679"),
        (0.25, 0.031, "s", "250 ms ± 31 ms"),
        (0.5, None, "σ", "0.5 σ"),
        (3e-9, 2e-9, "nats", "3×10⁻⁹ ± 2×10⁻⁹ nats"),
    ],
)
def test_a_value_has_the_digits_that_its_spread_warrants(
    middle: float, spread: float | None, unit: str | None, said: str
) -> None:
    assert plain(give_or_take(middle, spread, unit)) == said


@pytest.mark.parametrize(
    ("reason", "moved", "usual"),
    [
        (SLOW, "0.16 σ in the mean of 7 windows", "0.02 ± 0.04 σ"),
        (PAIR, "tails: −0.16 σ in the mean of 2 windows", "0.02 ± 0.04 σ"),
        (WORD, "DL: 14 %", "10.1 % ± 0.7 %"),
        ("all other values: 3.2% where 9.8% ± 1.1% was expected", "all other values: 3.2 %",
         "9.8 % ± 1.1 %"),
        (f"{WORD}; an alarm together with the column's other statistics", "DL: 14 %",
         "10.1 % ± 0.7 %"),
        ("a: b, c: 1.0% where 2.0% ± 0.1% was expected", "a: b, c: 1 %", "2 % ± 0.1 %"),
    ],
)  # fmt: skip
def test_a_headline_says_how_a_column_moved_and_from_where(
    reason: str, moved: str, usual: str
) -> None:
    one = Result("total_variation", value=0.1, expected=0.03, reason=reason, **ALARM)
    assert (plain(shift(one)), plain(foreseen(one))) == (moved, usual)


def test_effect_sizes_that_people_know_stand_beside() -> None:
    results = [
        Result("location_shift", value=0.3),
        Result("js_distance", value=0.1),
        Result("psi", value=0.2),
        Result("ks", value=0.14),
        Result("wasserstein", value=None),
    ]
    assert [one.metric for one in sizes(results, results[0])] == ["ks", "psi", "js_distance"]
