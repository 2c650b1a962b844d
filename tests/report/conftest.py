"""Comparisons to draw: a realistic one, a quiet one, an empty one, a hostile one; and Chromium."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from tidegauge.metrics.result import RESULT_SCHEMA, Basis, Result, State
from tidegauge.report.data import ColumnReport, Histogram, ReportData, SourceInfo

NOW = datetime(2013, 12, 31, 6, 12, tzinfo=UTC)
START = datetime(2013, 4, 1, tzinfo=UTC)

#: Name, unit, least and greatest value.
_NUMERIC = (
    ("temp", "°F", 10, 100), ("dewp", "°F", -10, 80), ("humid", "%", 10, 100),
    ("wind_speed", "mph", 0, 45), ("wind_gust", "mph", 10, 70), ("precip", "in", 0, 1.2),
    ("pressure", "hPa", 983, 1043), ("visib", "mi", 0, 10), ("distance", "mi", 0, 5000),
    ("air_time", "min", 20, 700), ("sched_hour", "h", 0, 24), ("seats", None, 0, 450),
    ("plane_age", "years", 0, 57), ("dep_minute", "min", 0, 60),
)  # fmt: skip
_WORDS = {
    "carrier": ("UA", "B6", "EV", "DL", "AA", "MQ", "US", "9E", "WN", "VX", "FL", "AS"),
    "origin": ("EWR", "JFK", "LGA"),
    "dest": tuple(f"{a}{b}{c}" for a in "ABM" for b in "OTI" for c in "LRX"),
    "engine": ("Turbo-fan", "Turbo-jet", "Reciprocating"),
}


def table_of(results: Sequence[Result]) -> pa.Table:
    """Results as the table that a comparison carries."""
    rows = [
        {
            **result.__dict__,
            "segment": json.dumps(result.segment) if result.segment else None,
            "state": str(result.state),
            "basis": str(result.basis) if result.basis else None,
        }
        for result in results
    ]
    return pa.Table.from_pylist(rows, schema=RESULT_SCHEMA)


def bell(n: int, centre: float, width: float) -> tuple[float, ...]:
    """Shares of a bell over n bins."""
    raw = [math.exp(-(((at + 0.5) / n - centre) ** 2) / (2 * width**2)) for at in range(n)]
    total = sum(raw)
    return tuple(x / total for x in raw)


def numeric_column(
    rng: random.Random,
    name: str,
    unit: str | None,
    shift: float,
    ends: tuple[float, float] = (0.0, 1.0),
    **about: Any,
) -> ColumnReport:
    """A numeric column that moved by so much of its range."""
    low, span = ends[0], ends[1] - ends[0]
    edges = tuple(low + span * at / 30 for at in range(31))
    centre, width = rng.uniform(0.35, 0.6), rng.uniform(0.08, 0.2)
    then, now = bell(30, centre, width), bell(30, centre + shift, width)
    gap = max(abs(a - b) for a, b in zip(_running(then), _running(now), strict=True))
    histogram = Histogram(edges, (), then, now, (0.0, 0.004), (0.001, 0.0))
    return _column(rng, name, "numeric", unit, gap, histogram, **about)


def word_column(
    rng: random.Random, name: str, labels: Sequence[str], shift: float, **about: Any
) -> ColumnReport:
    """A categorical column of which a part moved to its first value."""
    raw = [1 / (at + 1.5) for at in range(len(labels))]
    then = tuple(x / sum(raw) for x in raw)
    now = tuple(x * (1 - shift) + (shift if at == 0 else 0) for at, x in enumerate(then))
    distance = sum(abs(a - b) for a, b in zip(then, now, strict=True)) / 2
    histogram = Histogram((), tuple(labels), then, now)
    return _column(rng, name, "categorical", None, distance, histogram, **about)


def _running(shares: Sequence[float]) -> list[float]:
    out, total = [], 0.0
    for share in shares:
        total += share
        out.append(total)
    return out


def _column(
    rng: random.Random,
    name: str,
    kind: str,
    unit: str | None,
    value: float,
    histogram: Histogram,
    *,
    role: str = "feature",
    impact: float | None = None,
    n: int = 27_931,
    missing: float = 0.0,
) -> ColumnReport:
    few = n < 100
    state = State.TOO_FEW if few else State.ALARM if value > 0.05 else State.OK
    about = {"column": name, "n_reference": 80_789, "n_current": n, "computed_at": NOW}
    about |= {"state": state}
    chance = {"p_value": math.exp(-160 * value), "level": 4e-4}
    if few:
        chance = {"reason": f"{100 - n} more records needed"}
    if kind == "numeric":
        headline = Result(
            "location_shift", value=3 * value, unit="σ", expected=0.02, lower=-0.11, upper=0.15,
            effect=3 * value - 0.02, spread=0.041, direction="neither", **chance, **about,
        )  # fmt: skip
    else:
        reason = None
        if state is State.ALARM:
            first = (histogram.labels[0], histogram.current[0], histogram.reference[0])
            reason = "{}: {:.1%} where {:.1%} ± 0.7% was expected".format(*first)
        headline = Result(
            "total_variation", value=value, unit="share", expected=0.008, upper=0.05,
            effect=value - 0.008, spread=0.007, direction="lower_is_better",
            **{"reason": reason, **chance}, **about,
        )  # fmt: skip
    about |= {"state": State.OK}
    shown = [
        headline,
        Result(
            "missing_share", value=missing, unit="share", expected=0.002, upper=0.012,
            p_value=0.4 if missing < 0.01 else 1e-9, effect=missing - 0.002,
            spread=0.0024, level=4e-4,
            **{**about, "state": State.ALARM if missing > 0.012 else State.OK},
        ),
        Result("psi", value=value**2 * 6, p_value=None, **about),
        Result("js_distance", value=value / 2, **about),
        Result("hellinger", value=value / 2.2, **about),
        Result("kl_divergence", value=value**2 * 3, unit="nats", **about),
    ]  # fmt: skip
    if kind == "numeric":
        shown.append(Result("ks", value=value, **about))
        middle = sum(histogram.edges) / len(histogram.edges)
        shown += [
            Result("wasserstein", value=value * 12.3, unit=unit, **about),
            Result("out_of_range_share", value=0.0003, unit="share", **about),
            Result("mean", value=middle, expected=middle * 0.98, unit=unit, **about),
            Result("std", value=12.1, expected=11.7, unit=unit, **about),
            *(
                Result(level, value=middle + at, expected=middle + at - 1, unit=unit, **about)
                for at, level in enumerate(("p05", "p25", "median", "p75", "p95"))
            ),
        ]
    else:
        shown += [
            Result("chi2", value=value * 900, p_value=1e-12, **about),
            Result("unseen_share", value=0.0, unit="share", expected=0.0, upper=0.01, **about),
            Result("distinct_count", value=float(len(histogram.labels)), unit="values", **about),
        ]
    alarms = sum(result.state is State.ALARM for result in shown)
    alarmed = tuple(result.metric for result in shown if result.state is State.ALARM)
    return ColumnReport(
        name,
        kind,
        role,
        unit,
        headline,
        tuple(shown),
        alarms,
        impact,
        histogram,
        alarmed,
        value / 2,
    )


def performance(bad: bool = True) -> tuple[Result, ...]:
    """Model-level results."""
    about = {"n_reference": 80_789, "n_current": 27_618, "computed_at": NOW, "basis": Basis.FINAL}
    higher = {"direction": "higher_is_better", **about}
    state = State.ALARM if bad else State.OK
    return (
        Result("roc_auc", value=0.716 if bad else 0.783, expected=0.781, lower=0.762,
               effect=-0.065, p_value=1e-8 if bad else 0.6, spread=0.0071, level=0.0038,
               state=state, **higher),
        Result("log_loss", value=0.561 if bad else 0.442, expected=0.441, upper=0.468,
               state=state, direction="lower_is_better", **about),
        Result("calibration_error", value=0.093 if bad else 0.011, unit="share", expected=0.012,
               upper=0.03, state=state, **about),
        Result("accuracy", value=0.741, unit="share", expected=0.79, **higher),
        Result("f1", value=0.412, expected=0.447, **higher),
        Result("brier", value=0.188, expected=0.141, direction="lower_is_better", **about),
        Result("row_count", value=27931.0, unit="rows", expected=28100.0, lower=22000.0,
               upper=34000.0, n_reference=80_789, n_current=27_931),
    )  # fmt: skip


def sources() -> tuple[SourceInfo, SourceInfo]:
    """The two sides."""
    return (
        SourceInfo("flights-q1.parquet", 80_789, datetime(2013, 1, 1, tzinfo=UTC), START),
        SourceInfo("flights-now.parquet", 27_931, START, datetime(2013, 7, 1, tzinfo=UTC)),
    )


def comparison(
    columns: int = 53, *, quiet: bool = False, seed: int = 7, **changed: Any
) -> ReportData:
    """A comparison of so many columns, the first ones moved unless it is quiet."""
    rng = random.Random(seed)
    made: list[ColumnReport] = []
    moved = 0 if quiet else min(6, columns)
    words = list(_WORDS.items())
    for at in range(columns):
        shift = (0.22, 0.16, 0.3, 0.09, 0.12, 0.07)[at] if at < moved else rng.uniform(0, 0.012)
        impact = (0.041, 0.018, 0.0071, 0.0004, 0.0001, 0.0)[at] if at < moved else 0.0002
        few = {"n": 31} if not quiet and at in (moved, moved + 1) else {}
        missing = {"missing": 0.083} if not quiet and at == 1 else {}
        if at % 6 == 2:
            name, labels = words[(at // 6) % len(words)]
            name = name if at < 24 else f"{name}_{at}"
            one = word_column(rng, name, labels, shift, impact=impact, **few, **missing)
        else:
            name, unit, *ends = _NUMERIC[at % len(_NUMERIC)]
            name = name if at < len(_NUMERIC) else f"{name}_{at // len(_NUMERIC)}"
            about = {"impact": impact, **few, **missing}
            one = numeric_column(rng, name, unit, shift, tuple(ends), **about)
        made.append(one)
    shown = performance(bad=not quiet)
    every = [result for one in made for result in one.results] + list(shown)
    alarms = sum(result.state is State.ALARM for result in every)
    verdict = (
        f"Working as expected: nothing of {columns} columns and 6 performance figures is out of "
        "its band."
        if quiet
        else "Not working: roc_auc fell from 0.781 to 0.716, and 6 of 53 columns drifted; "
        "temp costs most."
    )
    fields: dict[str, Any] = {
        "verdict": verdict,
        "alarms": alarms,
        "reference": sources()[0],
        "current": sources()[1],
        "columns": tuple(made),
        "performance": shown,
        "results": table_of(every),
        "computed_at": NOW,
        "version": "0.1.0",
        "notes": () if quiet else ("flights-now.parquet: naive times in time_hour read as UTC.",),
        "task": "binary",
    }
    return ReportData(**fields | changed)


def windowed(columns: int = 12, windows: int = 30, values: int = 5, metrics: int = 3) -> ReportData:
    """A comparison by day and by carrier, with an incident in its second half."""
    rng = random.Random(3)
    whole = comparison(columns)
    carriers = (*_WORDS["carrier"], *(f"X{at}" for at in range(100)))[:values]
    segments = (None, *({"carrier": one} for one in carriers))
    every: list[Result] = []
    for day in range(windows):
        start = START + timedelta(days=day)
        when = {"window_start": start, "window_end": start + timedelta(days=1)}
        bad = windows * 0.55 < day < windows * 0.8
        for at, segment in enumerate(segments):
            n = rng.randint(700, 1000) if at == 0 else rng.randint(20, 200)
            for rank, column in enumerate(whole.columns):
                for result in column.results[:metrics]:
                    value = (result.value or 0) * 0.1 + rng.uniform(0, 0.03)
                    hit = bad and rank < 4 and at in (0, 1, 3) and result.upper is not None
                    state = State.TOO_FEW if n < 60 else State.ALARM if hit else State.OK
                    every.append(
                        replace(result, segment=segment, n_current=n, state=state,
                                value=value + (0.2 if hit else 0), **when)
                    )  # fmt: skip
            basis = (
                Basis.ESTIMATED
                if day >= windows - 4
                else Basis.PARTIAL if day >= windows - 8 else Basis.FINAL
            )  # fmt: skip
            for result in whole.performance:
                drop = 0.9 if bad and at in (0, 1) and result.lower is not None else 1.0
                count = result.metric == "row_count"
                value = (
                    n * 1.0 if count else (result.expected or 0) * rng.uniform(0.98, 1.02) * drop
                )
                state = State.ALARM if drop < 1 and not count else State.OK
                bounds = {"lower": 600.0, "upper": 1100.0, "expected": 850.0} if count else {}
                every.append(
                    replace(result, value=value, segment=segment, state=state, n_current=n,
                            basis=None if count else basis, **when, **bounds)
                )  # fmt: skip
    return replace(
        whole,
        results=table_of(every),
        window="1d",
        segments={"carrier": carriers},
        alarms=sum(result.state is State.ALARM for result in every),
        verdict="Not working: roc_auc was below its band on 7 of 30 days, worst for carrier UA.",
    )


def hostile() -> ReportData:
    """Names, values and notes that would like to be markup."""
    evil = "<script>alert('x')</script>\"'&{{7*7}}"
    column = word_column(random.Random(1), evil, (evil, "</script>", "\u2028", ""), 0.3)
    source = SourceInfo(evil, 3, None, None)
    return replace(
        comparison(0),
        verdict=evil,
        notes=(evil,),
        columns=(column,),
        reference=source,
        current=source,
        results=table_of(column.results),
        segments={evil: (evil,)},
    )


def broken() -> ReportData:
    """Every state, with None, NaN and infinity wherever a number may stand."""
    results = [
        Result("ks", column=f"c{at}", value=value, expected=value, lower=value, upper=value,
               p_value=value, effect=value, state=state, n_current=0)
        for at, (value, state) in enumerate(
            (value, state)
            for value in (None, math.nan, math.inf, -math.inf, 0.0, 1e300, 5e-324)
            for state in State
        )
    ]  # fmt: skip
    nothing = (
        None,
        Histogram((), (), (), ()),
        Histogram((0.0, 0.0), (), (1.0,), (1.0,)),
        Histogram((0.0, 1.0), (), (math.nan,), (0.0,)),
        Histogram((), ("only",), (1.0,), (0.0,)),
        Histogram((-1e300, 0.0, 1e300), (), (0.5, 0.5), (math.nan, math.nan)),
        Histogram((0.0, 1e-12, 5.0), (), (0.5, 0.5), (0.1, 0.9)),
    )
    columns = tuple(
        ColumnReport(
            result.column or "", ("numeric", "datetime", "text")[at % 3], "feature", None,
            result if at % 2 else None, (result,) if at % 5 else (), int(result.state == "alarm"),
            result.value, nothing[at % len(nothing)],
        )
        for at, result in enumerate(results)
    )  # fmt: skip
    return replace(
        comparison(0),
        columns=columns,
        performance=tuple(replace(result, column=None, metric="rmse") for result in results),
        results=table_of(results),
        reference=SourceInfo("", 0, None, None),
    )


def empty() -> ReportData:
    """Nothing in common."""
    return replace(
        comparison(0),
        verdict="Nothing to judge: the two sides have no column in common.",
        performance=(),
        alarms=0,
        results=table_of([]),
        notes=(),
    )


CASES: dict[str, Callable[[], ReportData]] = {
    "realistic": comparison,
    "quiet": lambda: comparison(20, quiet=True),
    "windowed": windowed,
    "hostile": hostile,
    "broken": broken,
    "empty": empty,
}


@pytest.fixture(params=sorted(CASES))
def any_comparison(request: pytest.FixtureRequest) -> ReportData:
    """Each of the comparisons in turn."""
    return CASES[request.param]()


@pytest.fixture(scope="session")
def comparisons() -> dict[str, Callable[[], ReportData]]:
    """The comparisons by name."""
    return CASES
