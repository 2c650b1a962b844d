"""Ages at a window's end: exact, none where the fact lies ahead, none without the fact."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from tidegauge.metrics import evaluate
from tidegauge.metrics.staleness import Facts, labels_until, with_facts
from tidegauge.profile import Profile, Profiler, Survey
from tidegauge.schema import Column, ColumnType, Role, Schema, Task

START = datetime(2026, 1, 5, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
AGES = ("model_age", "baseline_age", "label_age")


def profile(
    hours: Sequence[int], labelled: Sequence[int], width: timedelta | None = DAY
) -> Profile:
    """Profile a record at each of these hours; those of ``labelled`` have a label."""
    schema = Schema(
        (
            Column("timestamp", ColumnType.DATETIME, Role.TIMESTAMP),
            Column("place", ColumnType.CATEGORICAL, Role.SEGMENT),
            Column("score", ColumnType.NUMERIC, Role.SCORE),
            Column("label", ColumnType.BOOLEAN, Role.LABEL),
        ),
        Task.BINARY,
        ("place",),
    )
    batch = pa.record_batch(
        {
            "timestamp": pa.array([START + h * HOUR for h in hours], pa.timestamp("us", "UTC")),
            "place": pa.array(
                ["north", "south"] * (len(hours) // 2) + ["north"] * (len(hours) % 2)
            ),
            "score": pa.array([0.5] * len(hours)),
            "label": pa.array([True if h in labelled else None for h in hours], pa.bool_()),
        }
    )
    survey = Survey(schema)
    survey.update(batch)
    profiler = Profiler(survey.layout("b1"), width)
    profiler.update(batch)
    return profiler.finish()


def ages(made: Profile, facts: Facts) -> dict[str, list[float]]:
    found = evaluate(with_facts(made, facts), made.total())
    series = {s.metric.name: s.value for s in found if s.metric.name in AGES}
    assert all(np.isnan(value[:, 1:]).all() for value in series.values())
    return {name: value[:, 0].tolist() for name, value in series.items()}


def seconds(age: timedelta) -> float:
    return age.total_seconds()


def test_ages_run_from_the_fact_to_the_end_of_the_window() -> None:
    made = profile([1, 25, 49], [1, 25])
    until = np.fmax.accumulate(labels_until(made))
    found = ages(made, Facts(START - DAY, START - HOUR, until))
    assert found == {
        "model_age": [seconds(2 * DAY), seconds(3 * DAY), seconds(4 * DAY)],
        "baseline_age": [seconds(n * DAY + HOUR) for n in (1, 2, 3)],
        "label_age": [seconds(23 * HOUR), seconds(23 * HOUR), seconds(47 * HOUR)],
    }


def test_there_is_no_age_before_the_fact() -> None:
    made = profile([1, 25], [])
    found = ages(made, Facts(START, START + 30 * HOUR, labels_until(made)))
    assert found["model_age"] == [seconds(DAY), seconds(2 * DAY)]
    assert np.isnan(found["baseline_age"][0])
    assert found["baseline_age"][1] == seconds(18 * HOUR)
    assert np.isnan(found["label_age"]).all()


def test_what_is_not_known_has_no_result() -> None:
    made = profile([1], [1])
    assert ages(made, Facts()) == {}
    assert ages(made, Facts(model_since=START)).keys() == {"model_age"}
    assert not {s.metric.name for s in evaluate(made, made.total())} & set(AGES)


def test_without_windows_the_last_record_is_the_end() -> None:
    made = profile([1, 30], [], None)
    assert ages(made, Facts(baseline_until=START)) == {"baseline_age": [seconds(30 * HOUR)]}


def test_the_newest_label_merges_like_everything_else() -> None:
    one, other = profile([1, 2, 30], [1]), profile([3, 4, 30], [3, 30])
    assert labels_until(one.merge(replaced(other, one))).tolist() == [
        (START + 3 * HOUR).timestamp() * 1e6,
        (START + 30 * HOUR).timestamp() * 1e6,
    ]
    assert labels_until(one).tolist()[1] == -np.inf


def replaced(made: Profile, like: Profile) -> Profile:
    """Return a profile under the layout of another; the two have the same bins."""
    return Profile(like.layout, made.windows, made.width, made.arrays, made.sample)
