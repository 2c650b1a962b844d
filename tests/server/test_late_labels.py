"""Labels that come late, early, often and many at once: found, coalesced, and as of any time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tidegauge.lake.entries import Entry, JournalRequest
from tidegauge.profile import Baseline
from tidegauge.schema import Column, ColumnType, Role, Schema, Task
from tidegauge.server import scheduler as scheduling
from tidegauge.server.baselining import from_stored
from tidegauge.server.runtime import Model, Runtime
from tidegauge.server.settings import Settings
from tidegauge.server.watching import ModelWatch

START, DAY, MINUTE = datetime(2026, 1, 5, tzinfo=UTC), timedelta(days=1), timedelta(minutes=1)
TIMES = pa.timestamp("us", "UTC")
SCHEMA = Schema(
    (
        Column("prediction_id", ColumnType.TEXT, Role.PREDICTION_ID),
        Column("timestamp", ColumnType.DATETIME, Role.TIMESTAMP),
        Column("age", ColumnType.NUMERIC),
        Column("score", ColumnType.NUMERIC, Role.SCORE),
        Column("label", ColumnType.BOOLEAN, Role.LABEL),
    ),
    Task.BINARY,
)


class Watch:
    """A model on a runtime whose clock the test moves."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.clock = START + 100 * DAY
        self.computed: list[list[datetime]] = []
        self.reads = 0
        self.rows_a_day = 300

    @property
    def model(self) -> Model:
        return self.runtime.get("default", "m")

    def begin(self, days: int = 8) -> None:
        """Fill some days with labelled records, and make them the baseline."""
        self.runtime.put_schema("default", "m", SCHEMA)
        self.predictions(-days, days)
        self.labels(*range(-days, 0), dated=True)
        made = from_stored(self.runtime, self.model, START - days * DAY, START)
        baseline: Baseline = made.baseline
        self.runtime.put_baseline(self.model, baseline, source="interval")
        self.tick()
        self.computed.clear()

    def send(self, kind: Any, table: pa.Table) -> None:
        entry = Entry("default", "m", kind, table, "timestamp")
        self.runtime.append(JournalRequest("default", "m", (entry,))).result(30)
        self.runtime.flusher.flush_now()

    def predictions(self, first: int, days: int = 1) -> None:
        times = self._times(first, days)
        n = len(times)
        self.send(
            "records",
            pa.table(
                {
                    "prediction_id": self._ids(first, days),
                    "timestamp": pa.array(times, TIMES),
                    "age": _noise(n, first),
                    "score": pa.array(np.clip(0.5 + 0.2 * _noise(n, first + 1).to_numpy(), 0, 1)),
                    "label": pa.nulls(n, pa.bool_()),
                    "_extra": pa.nulls(n, pa.string()),
                    "_version": pa.repeat("1", n),
                }
            ),
        )

    def labels(
        self,
        *days: int,
        dated: bool,
        part: slice = slice(None),
        observed: datetime | None = None,
        value: bool | None = None,
    ) -> int:
        """Send labels of some days' predictions, or of a part of them; return how many."""
        ids = [one for day in days for one in self._ids(day, 1)][part]
        times: Any = pa.array([t for day in days for t in self._times(day, 1)][part], TIMES)
        n = len(ids)
        said = [value] * n if value is not None else list(_noise(n, days[0]).to_numpy() > 0)
        self.send(
            "labels",
            pa.table(
                {
                    "prediction_id": ids,
                    "label": pa.array(said, pa.bool_()),
                    "timestamp": times if dated else pa.nulls(n, TIMES),
                    "observed_at": pa.array([observed or self.clock] * n, TIMES),
                }
            ),
        )
        return n

    def _ids(self, first: int, days: int) -> list[str]:
        return [f"d{d}-{i}" for d in range(first, first + days) for i in range(self.rows_a_day)]

    def _times(self, first: int, days: int) -> list[datetime]:
        step = DAY / self.rows_a_day
        return [
            START + d * DAY + i * step
            for d in range(first, first + days)
            for i in range(self.rows_a_day)
        ]

    def tick(self, after: timedelta = MINUTE) -> None:
        self.clock += after
        scheduler: Any = self.runtime.scheduler
        scheduler.tick()

    def labelled(self, day: int) -> int:
        """Labels that the newest judgement of a day's window knows."""
        start = START + day * DAY
        return sum(
            row.n_labelled
            for row in self.runtime.catalog.windows.between(self.model.id, start, start + DAY)
        )

    def believed(self, day: int, as_of: datetime) -> int:
        """Labels that performance of a day's window rested on, as it was believed then."""
        start = START + day * DAY
        points = self.runtime.engine.points(
            "default", "m", start=start, end=start + DAY, metric="roc_auc", as_of=as_of
        )
        return int(points["n_current"][0].as_py()) if points.num_rows else 0

    def known(self, day: int, as_of: datetime | None = None) -> list[bool | None]:
        """The labels of a day's records, as of some time."""
        start = START + day * DAY
        batches = self.runtime.engine.batches(
            "default", "m", SCHEMA, start, start + DAY, window=DAY, as_of=as_of
        )
        return [value for batch in batches for value in batch["label"].to_pylist()]


def _noise(n: int, seed: int) -> pa.Array[Any]:
    return pa.array(np.random.default_rng(seed + 1000).normal(size=n))


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    settings = Settings(data=tmp_path, port=0, restate_interval=timedelta(minutes=10))
    runtime = Runtime(settings)
    made = Watch(runtime)
    judge, read = ModelWatch._judge, ModelWatch._rows

    def counted(self: ModelWatch, profiles: Any, starts: Any, *rest: Any, new: bool) -> None:
        if new:
            made.computed.append(list(starts))
        judge(self, profiles, starts, *rest, new=new)

    def reading(self: ModelWatch, *rest: Any) -> Any:
        made.reads += 1
        return read(self, *rest)

    monkeypatch.setattr(scheduling, "utc_now", lambda: made.clock)
    monkeypatch.setattr(ModelWatch, "_judge", counted)
    monkeypatch.setattr(ModelWatch, "_rows", reading)
    made.begin()
    yield made
    runtime.stop()


@pytest.mark.parametrize("dated", [True, False])
def test_labels_that_were_there_before_their_predictions_are_found_when_these_come(
    watch: Watch, dated: bool
) -> None:
    # Weeks before, the day before, and within the window.
    for ahead, part in ((21, slice(0, 100)), (1, slice(100, 200)), (0, slice(200, 300))):
        watch.labels(2, dated=dated, part=part, observed=START + (2 - ahead) * DAY + 12 * MINUTE)
    watch.tick()
    watch.predictions(2)
    watch.predictions(4)
    watch.tick()
    assert watch.labelled(2) == 300
    assert None not in watch.known(2)


@pytest.mark.parametrize("dated", [True, False])
def test_predictions_that_come_after_their_window_closed_find_the_labels_that_waited(
    watch: Watch, dated: bool
) -> None:
    watch.predictions(4)
    watch.tick()
    watch.labels(2, dated=dated, observed=START + 5 * DAY)
    watch.tick()
    assert watch.labelled(2) == 0
    watch.predictions(2)  # weeks after their time, and after their labels
    watch.tick(timedelta(days=3))
    assert watch.labelled(2) == 300


@pytest.mark.parametrize("dated", [True, False])
def test_a_window_is_restated_once_in_an_interval_with_all_labels_of_that_time(
    watch: Watch, dated: bool
) -> None:
    watch.predictions(0, 3)
    watch.predictions(4)
    watch.tick()
    closed = watch.clock
    watch.computed.clear()
    watch.labels(1, dated=dated, part=slice(0, 150))
    watch.tick()
    first = watch.clock
    for minute in range(5):
        watch.labels(1, dated=dated, part=slice(150 + 30 * minute, 180 + 30 * minute))
        watch.tick()
    assert watch.computed == [[START + DAY]]
    assert watch.labelled(1) == 150
    watch.tick(10 * MINUTE)
    watch.tick()
    assert watch.computed == [[START + DAY], [START + DAY]]
    assert watch.labelled(1) == 300
    second = first + 15 * MINUTE
    for moment, believed in (
        (closed, 0),
        (first - timedelta(seconds=1), 0),
        (first, 150),
        (first + 14 * MINUTE, 150),
        (second, 300),
        (watch.clock + DAY, 300),
    ):
        assert watch.believed(1, moment) == believed, moment


def test_of_several_labels_the_one_observed_last_counts_as_of_any_time(watch: Watch) -> None:
    watch.predictions(0)
    watch.predictions(2)
    noon, evening = START + DAY / 2, START + DAY * 3 / 4
    watch.labels(0, dated=True, observed=evening, value=True)  # the correction comes first
    watch.labels(0, dated=False, observed=noon, value=False)
    assert set(watch.known(0)) == {True}
    assert set(watch.known(0, evening - MINUTE)) == {False}
    assert set(watch.known(0, noon - MINUTE)) == {None}
    watch.tick()
    assert watch.labelled(0) == 300


@pytest.mark.parametrize("dated", [True, False])
def test_a_hundred_thousand_labels_at_once_restate_the_windows_that_they_are_of(
    watch: Watch, dated: bool
) -> None:
    watch.rows_a_day = 15_000
    days = [0, 1, 2, 3, 5, 8, 10]  # some in a row, others alone
    for day in days:
        watch.predictions(day)
    watch.predictions(12)
    watch.tick()
    watch.computed.clear()
    watch.reads = 0
    sent = watch.labels(*days, dated=dated)
    assert sent == 105_000
    watch.tick()
    # Each window once; the labels are read once for all of them, however they lie.
    assert sorted(start for run in watch.computed for start in run) == [
        START + day * DAY for day in days
    ]
    assert watch.reads == 1
    assert [watch.labelled(day) for day in days] == [15_000] * len(days)


def test_labels_of_predictions_that_never_come_cost_no_window_anything(watch: Watch) -> None:
    watch.predictions(0, 3)
    watch.predictions(4)
    watch.tick()
    watch.computed.clear()
    watch.rows_a_day = 10_000
    watch.labels(300, dated=False)  # of ids that nobody predicted
    watch.tick()
    assert watch.computed == []
