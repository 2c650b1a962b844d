"""What views are made of: lines, ranges, addresses, distributions, charts over one time axis."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from watched_model import BASELINE_DAYS, NAME, START, day, make

from tidegauge.errors import BadInput
from tidegauge.lake.points import append_points
from tidegauge.metrics.result import RESULT_SCHEMA, Result, State
from tidegauge.profile.codec import profile_to_bytes
from tidegauge.profile.layout import to_micros
from tidegauge.report.charts import (
    Count,
    Lane,
    TimeMark,
    alarm_counts,
    quantile_ribbon,
    share_ribbon,
    timeline,
)
from tidegauge.schema import Column, ColumnType, Role, Schema
from tidegauge.server.pages import model as model_page
from tidegauge.server.pages.asked import Asked, Links, read_query, read_time, time_text
from tidegauge.server.pages.book import Book, Scope
from tidegauge.server.pages.distributions import (
    range_histogram,
    value_shares,
    whole_counts,
    window_histogram,
)
from tidegauge.server.pages.lines import FLOATS, INTS, Line
from tidegauge.server.pages.ranking import column_groups, line_picture
from tidegauge.server.pages.reading import Reading
from tidegauge.server.pages.span import MOST, USUAL, span_of
from tidegauge.server.pages.verdict import state_of, unjudged, verdict_of
from tidegauge.server.runtime import Runtime
from tidegauge.server.settings import Settings
from tidegauge.server.shown import model_state

pytestmark = pytest.mark.xdist_group("pages-views")
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    held = Runtime(Settings(data=make(tmp_path_factory.mktemp("views"))))
    yield held
    held.stop()


@pytest.fixture
def reading(runtime: Runtime) -> Reading:
    return Reading(runtime)


def history_of(reading: Reading, **asked: Any) -> Any:
    model = reading.runtime.get("default", NAME)
    found = reading.history(reading.standing(model), Asked(**asked))
    assert found is not None
    return found


def line(
    values: list[float], starts: list[int] | None = None, alarms: tuple[int, ...] = ()
) -> Line:
    n = len(values)
    begin = [to_micros(day(at)) for at in (range(n) if starts is None else starts)]
    ints = np.zeros((len(INTS), n), np.int64)
    ints[0], ints[1], ints[2] = begin, np.array(begin) + 86_400_000_000, 100
    ints[3, list(alarms)] = list(State).index(State.ALARM)
    floats = np.full((len(FLOATS), n), np.nan)
    floats[0] = values
    floats[5] = values
    return Line("location_shift", "amount", None, None, ints, floats, np.full(n, None, object))


# Lines


def test_a_line_has_the_results_that_the_engine_brings(reading: Reading) -> None:
    history = history_of(reading, version="1")
    table = reading.runtime.engine.points(
        "default", NAME, start=START, end=day(90), metric="bias", column=None, version="1"
    )
    rows = sorted(table.to_pylist(), key=lambda row: row["window_start"])
    found = history.line("bias").results()
    assert [one.value for one in found] == [row["value"] for row in rows]
    assert [str(one.state) for one in found] == [row["state"] for row in rows]
    assert [one.n_current for one in found] == [row["n_current"] for row in rows]
    assert [str(one.basis) for one in found] == [row["basis"] for row in rows]
    assert [one.p_value for one in found] == [row["p_value"] for row in rows]


def test_a_line_over_other_windows_has_gaps_that_are_nothing() -> None:
    windows = np.array([to_micros(day(at)) for at in range(6)])
    spread = line([0.1, 0.5], starts=[1, 4], alarms=(1,)).on(windows)
    values = [one.value for one in spread.results()]
    assert values == [None, 0.1, None, None, 0.5, None]
    assert [str(one.state) for one in spread.results()][:2] == ["not_applicable", "ok"]
    assert spread.alarms.tolist() == [False] * 4 + [True, False]
    assert spread.results()[0].window_end == day(1)


@given(st.lists(st.one_of(st.floats(-1, 1), st.just(float("nan"))), min_size=1, max_size=700))
def test_a_small_drawing_keeps_the_least_and_the_greatest(values: list[float]) -> None:
    from tidegauge.server.pages.ranking import _extremes

    drawn = line(values)
    kept = drawn.value[_extremes(drawn)]
    assert len(kept) <= 82
    known = drawn.value[np.isfinite(drawn.value)]
    if len(known):
        assert np.nanmin(kept) == known.min() and np.nanmax(kept) == known.max()
    assert line_picture(drawn, "of x").startswith("<svg")


def test_of_two_versions_of_a_window_the_one_with_most_records_is_shown(reading: Reading) -> None:
    history = history_of(reading)
    counts = history.line("row_count")
    assert len(counts) == 45 and len(set(counts.starts.tolist())) == 45
    assert [name for name, _ in history.versions] == ["1", "2"]
    assert history.versions[1][1] == to_micros(day(40))
    second = history_of(reading, version="2").line("row_count")
    assert second.value[-5:].tolist() == [200.0] * 5 and not second.value[:-5].any()
    assert counts.value[:-1].tolist() == [200.0] * 44
    assert len(history_of(reading, version="9").line("row_count")) == 0


# What is kept


def test_only_the_month_that_changed_is_read_again(reading: Reading) -> None:
    asked: list[datetime] = []
    engine = reading.runtime.engine

    class Watching:
        def points(self, *names: str, **wanted: Any) -> pa.Table:
            asked.append(wanted["start"])
            return engine.points(*names, **wanted)

    book = Book(reading.runtime.lake, Watching())  # type: ignore[arg-type]
    model = reading.runtime.get("default", NAME)
    before = book.read(model, START, day(45)).line("row_count")
    assert asked == [datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)]
    book.read(model, START, day(45))
    assert len(asked) == 2
    row = dict.fromkeys(RESULT_SCHEMA.names) | {
        "metric": "row_count",
        "version": "2",
        "window_start": day(44),
        "window_end": day(45),
        "value": 123.0,
        "state": "alarm",
        "n_current": 123,
        "computed_at": datetime.now(UTC) + HOUR,
    }
    append_points(reading.runtime.lake, "default", NAME, pa.Table.from_pylist([row], RESULT_SCHEMA))
    after = book.read(model, START, day(45)).line("row_count")
    assert asked[2:] == [datetime(2026, 2, 1, tzinfo=UTC)]
    newest = after.select(after.starts == to_micros(day(44)))
    assert len(after) == len(before) and 123 in newest.value[newest.alarms]


def test_memory_for_results_is_bounded(reading: Reading) -> None:
    book = Book(reading.runtime.lake, reading.runtime.engine, most_bytes=1)
    model = reading.runtime.get("default", NAME)
    assert len(book.read(model, START, day(45), Scope(metric="bias")).keys) == 4
    assert len(book._held) == 1


# Ranges and addresses


def watched(width: timedelta) -> Any:
    return SimpleNamespace(window=width)


def test_by_default_the_newest_windows_are_shown_and_never_too_many() -> None:
    model = watched(HOUR)
    span = span_of(model, START, START + 365 * DAY, Asked())
    assert span.windows == USUAL and span.present and not span.asked
    whole = span_of(model, START, START + 365 * DAY, Asked(start=START))
    assert whole.windows == MOST and whole.cut == 365 * 24 - MOST and whole.present
    assert whole.presets()[-1][0] == "newest"


@given(st.integers(-20, 60), st.integers(-20, 60), st.integers(1, 40), st.integers(0, 86_399))
def test_a_range_is_whole_windows_within_what_is_there(
    start: int, length: int, closed: int, second: int
) -> None:
    first, newest = START, START + closed * DAY
    begin = START + start * DAY + timedelta(seconds=second)
    asked = Asked(start=begin, end=begin + max(length, 1) * DAY / 3)
    span = span_of(watched(DAY), first, newest, asked)
    assert first <= span.start < span.end <= max(newest, first + DAY)
    assert (span.end - span.start) % DAY == timedelta(0) == (span.start - START) % DAY
    again = span_of(watched(DAY), first, newest, Asked(start=span.start, end=span.end))
    assert (again.start, again.end) == (span.start, span.end)


SEGMENTED = Schema((Column("a:b", ColumnType.CATEGORICAL, Role.SEGMENT),
                    Column("a", ColumnType.CATEGORICAL, Role.SEGMENT)))  # fmt: skip


@given(
    st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1)),
    st.sampled_from(["a:b", "a"]),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=9),
)
def test_an_address_says_what_was_asked(moment: datetime, column: str, value: str) -> None:
    from urllib.parse import parse_qsl

    # A value that begins like the other column's rest cannot be told apart from it.
    if column == "a" and value.startswith("b:"):
        return
    asked = Asked(moment.replace(tzinfo=UTC), None, value.strip() or None, (column, value))
    query = dict(parse_qsl(asked.query()[1:], keep_blank_values=True))
    assert read_query(query, SEGMENTED) == asked


def test_times_are_read_as_people_write_them() -> None:
    moment = datetime(2026, 2, 1, 6, 30, tzinfo=UTC)
    for text in ("2026-02-01T06:30Z", "2026-02-01 06:30", "2026-02-01T07:30+01:00",
                 "2026-02-01T07:30 01:00"):  # fmt: skip
        assert read_time(text) == moment
    assert time_text(moment) == "2026-02-01T06:30Z"
    for text in ("soon", "2026-13-01", "9999-12-31T23:59-12:00", "١"):
        with pytest.raises(BadInput):
            read_time(text)


def test_addresses_hold_names_of_any_letters() -> None:
    links = Links("a/b", "m?", Asked(segment=("region", "a&b")))
    assert links.base == "/projects/a%2Fb/models/m%3F"
    assert links.column("x/y #1") == f"{links.base}/columns/x%2Fy%20%231?segment=region:a%26b"


# Distributions


def test_the_counts_of_a_stored_profile_are_those_of_the_profile(runtime: Runtime) -> None:
    model = runtime.get("default", NAME)
    baseline = runtime.baseline(model)
    assert baseline is not None
    total = baseline.total
    held = whole_counts(profile_to_bytes(total))
    for name in ("amount", "plan", "gone"):
        assert held[name]["counts"].tolist() == total[name]["counts"][0, 0].tolist()
    assert held["amount"]["minimum"] == total["amount"]["minimum"][0, 0]


@pytest.mark.parametrize("name", ["amount", "plan", "visits"])
def test_a_range_of_one_window_is_that_window(reading: Reading, name: str) -> None:
    runtime = reading.runtime
    model = runtime.get("default", NAME)
    baseline = runtime.baseline(model)
    assert baseline is not None
    profile = reading.distributions.window(model, baseline, day(20))
    held = reading.distributions.over(model, baseline, name, day(20), day(21))
    assert profile is not None and len(held.starts) == 1
    assert range_histogram(baseline, held, name) == window_histogram(baseline, profile, name)


def test_shares_of_values_sum_to_one_in_every_window(reading: Reading) -> None:
    model = reading.runtime.get("default", NAME)
    baseline = reading.runtime.baseline(model)
    assert baseline is not None
    held = reading.distributions.over(model, baseline, "plan", START, day(45))
    shares = value_shares(baseline, held, "plan")
    assert set(shares) == {"basic", "plus", "max"}
    totals = np.sum(list(shares.values()), axis=0)
    assert len(totals) == 45 and np.allclose(totals, 1)


# Views


def test_a_line_takes_in_the_alarms_of_another_with_its_reason() -> None:
    one, other = line([0.1, 0.2, 0.3], alarms=(0,)), line([1.0, 2.0, 3.0], alarms=(0, 2))
    other = replace(other, metric="shape_shift")
    other.reasons[2] = "spread: 0.5 σ where 0 ± 0.1 σ was expected"
    both = one.joined([other])
    assert both.alarms.tolist() == [True, False, True]
    assert both.value.tolist() == [0.1, 0.2, 0.3]
    assert both.reasons[2] == "shape_shift: spread: 0.5 σ where 0 ± 0.1 σ was expected"
    assert both.reasons[0] is None and not one.alarms[2]


def test_pages_and_api_call_a_model_alike() -> None:
    def incident(severity: str) -> Any:
        return SimpleNamespace(severity=severity)

    for severities in ([], ["info"], ["info", "warning"], ["critical", "info"]):
        for known in (True, False):
            held = [incident(one) for one in severities]
            assert state_of(held, known) == model_state(held, known)
    assert state_of([incident("info")]) == "ok"


def test_a_model_of_which_nothing_could_be_judged_is_not_called_well(reading: Reading) -> None:
    history = history_of(reading)
    assert unjudged(history) == ""
    few = list(State).index(State.TOO_FEW)
    for held in (*history.drift.values(), *history.quality.values()):
        held.ints[3] = few
        held.reasons[:] = "12 more records needed"
    sparse: Any = SimpleNamespace(
        drift=history.drift, quality=history.quality, judged=(), windows=history.windows
    )
    assert unjudged(sparse) == "12 more records needed"


def test_columns_are_ranked_by_harm_and_quiet_ones_stand_last(reading: Reading) -> None:
    groups = {group.key: [one.name for one in group.cells] for group in
              column_groups(history_of(reading))}  # fmt: skip
    assert groups["harm"] == ["gone", "visits"]
    assert groups["drift"][0] == "amount"
    assert {"plan", "region"} <= set(groups["quiet"])
    assert not any("timestamp" in names for names in groups.values())


def test_a_verdict_speaks_of_the_range(reading: Reading) -> None:
    assert verdict_of(history_of(reading)).state == "ok"
    passed = verdict_of(history_of(reading, start=day(28), end=day(36)))
    assert passed.state == "alarm" and passed.incident is not None
    calm = verdict_of(history_of(reading, start=day(3), end=day(10)))
    assert calm.state == "ok" and "Worked as expected" in calm.sentence


def test_a_year_old_model_that_is_calm_says_so(reading: Reading) -> None:
    history = history_of(reading, start=day(BASELINE_DAYS), end=day(24))
    assert history.within == [] and verdict_of(history).state == "ok"
    drawn = model_page.model_view(history, reading.by_segment(history))
    assert drawn.incidents == [] and drawn.segments is not None
    assert [one.id for one in drawn.lanes][:2] == ["bias", "roc_auc"]


# Charts


def results(n: int = 5) -> list[Result]:
    return [
        Result("bias", value=0.1 * at, expected=0.0, lower=-0.2, upper=0.2, n_current=9,
               unit="share", window_start=day(at), window_end=day(at + 1))
        for at in range(n)
    ]  # fmt: skip


def specs() -> Iterator[tuple[str, dict[str, Any]]]:
    windows = [(day(at), day(at + 1)) for at in range(5)]
    marks = [
        TimeMark("baseline", day(0), day(2), "baseline"),
        TimeMark("incident", day(1), day(3), "a", "/x", "warning"),
        TimeMark("incident", day(3), None, "b", None, "quiet"),
        TimeMark("version", day(2), None, "version 2"),
    ]
    lane = Lane(day(0), day(9), link="/windows/")
    counts = [Count(a, b, ("x",), ("y", "z"), 9) for a, b in windows]
    five = {"p05": [1.0] * 5, "median": [2.0] * 5, "p95": [3.0] * 5}
    yield "timeline", lane.hold(timeline(results(), title="bias", marks=marks, brush=True), "b", 1)
    yield "counts", lane.hold(alarm_counts(counts, title="columns", marks=marks, brush=True))
    yield "calm", alarm_counts([], title="columns")
    yield "quantiles", lane.hold(quantile_ribbon(windows, five, name="x"))
    yield "shares", lane.hold(share_ribbon(windows, {"a": [0.5] * 5, "b": [0.5] * 5}, name="x"))


@pytest.mark.parametrize("name", [name for name, _ in specs()])
def test_charts_of_pages_are_vega_lite(name: str) -> None:
    import altair

    text = json.dumps(dict(specs())[name], allow_nan=False)
    altair.Chart.from_dict(json.loads(text), validate=True)


def test_a_lane_reaches_over_the_whole_range_and_keeps_the_chart() -> None:
    spec = timeline(results(), title="bias")
    before = json.dumps(spec)
    held = Lane(day(-3), day(9)).hold(spec)
    assert json.dumps(spec) == before
    ends = held["layer"][-1]["data"]["values"]
    assert [one["a"] for one in ends] == [to_micros(day(-3)) // 1000, to_micros(day(9)) // 1000]
