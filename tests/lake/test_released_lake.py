"""A data folder as the first version left it (no ids of journals in its tables) is gone on with.

It was written by the code of before `_journal`: 330 records and 165 labels that came through one
journal in three requests, ten windows closed, a baseline of six of them.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tidegauge.keeping.doctor import examine
from tidegauge.keeping.installation import Installation
from tidegauge.lake.entries import Entry, JournalRequest
from tidegauge.lake.names import TABLE_KINDS
from tidegauge.lake.profiles import get_profiles
from tidegauge.lake.upkeep import compact
from tidegauge.profile.codec import profile_from_bytes
from tidegauge.server.runtime import Runtime
from tidegauge.server.settings import Settings

FIRST = Path(__file__).parent / "released/first"
START = datetime(2026, 1, 5, tzinfo=UTC)
MOMENT = pa.timestamp("us", "UTC")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIRST, tmp_path / "data"))


def found(installation: Installation) -> set[str]:
    """Return what the doctor finds, whatever the clock says here."""
    return {one.code for one in examine(installation).findings} - {"clock_behind"}


def late(count: int) -> tuple[Entry, Entry]:
    """Return records of the third day that come now, and labels of records of then."""
    moment = START + timedelta(days=2, hours=3)
    records = pa.table(
        {
            "prediction_id": [f"late-{at}" for at in range(count)],
            "timestamp": pa.array([moment] * count, MOMENT),
            "region": ["north"] * count,
            "amount": [20.0] * count,
            "score": [0.5] * count,
            "_version": ["1"] * count,
        }
    )
    labels = pa.table(
        {
            "prediction_id": [f"p0-{2 * at + 1}" for at in range(count)],
            "label": [True] * count,
            "timestamp": pa.nulls(count, MOMENT),
            "observed_at": pa.nulls(count, MOMENT),
        }
    )
    return (
        Entry("default", "churn", "records", records),
        Entry("default", "churn", "labels", labels),
    )


def counts(runtime: Runtime) -> dict[str, int]:
    found = {}
    for kind in TABLE_KINDS:
        paths = runtime.lake.files("default", "churn", kind)
        found[kind] = sum(pq.read_metadata(path).num_rows for path in paths)
    return found


def test_a_lake_of_the_first_version_is_opened_added_to_restated_and_compacted(data: Path) -> None:
    installation = Installation.of([data])
    assert found(installation) == {"catalog_older"}
    runtime = Runtime(Settings(data=data))
    scheduler: Any = runtime.scheduler
    try:
        model = runtime.get("default", "churn")
        before = counts(runtime)
        assert (before["records"], before["labels"]) == (330, 165)
        engine = runtime.engine
        third = START + timedelta(days=2)
        bounds = ("default", "churn", model.schema, third, third + timedelta(days=1))
        read = pa.Table.from_batches(list(engine.batches(*bounds, window=model.window)))
        assert read.num_rows == 30 and read["gone"].null_count < 30
        baseline = runtime.baseline(model)
        assert baseline is not None and baseline.profile.rows[:, 0].sum() == 180

        runtime.append(JournalRequest("default", "churn", late(10))).result()
        runtime.flusher.flush_now()
        told = runtime.lake.columns("default", "churn", "records")
        assert "_journal" in told.names
        for _ in range(3):
            scheduler.tick()
        windows = {w.start: w for w in runtime.catalog.windows.between(model.id)}
        assert len(windows) == 10
        assert windows[third].n_records == 40 and windows[START].n_records == 30
        (kept,) = get_profiles(runtime.lake, "default", "churn", third, third + timedelta(days=1))
        assert profile_from_bytes(kept.profile, baseline.layout).rows[:, 0].sum() == 40

        before = counts(runtime)
        for kind in TABLE_KINDS:
            compact(runtime.lake, "default", "churn", kind, small_files=2)
        assert counts(runtime) == before
        read = pa.Table.from_batches(list(engine.batches(*bounds, window=model.window)))
        assert read.num_rows == 40
    finally:
        runtime.stop()
    assert found(installation) == set()
