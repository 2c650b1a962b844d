"""What the tests of the lake share: a schema, and rows to store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from tidegauge.lake.journal import Journal
from tidegauge.lake.tables import Lake
from tidegauge.schema import Column, ColumnType, Role, Schema

MOMENT = pa.timestamp("us", "UTC")


class Rows:
    """Makes tables of records and labels around one day."""

    start = datetime(2026, 3, 2, tzinfo=UTC)
    schema = Schema(
        (
            Column("prediction_id", ColumnType.TEXT, Role.PREDICTION_ID),
            Column("timestamp", ColumnType.DATETIME, Role.TIMESTAMP),
            Column("age", ColumnType.NUMERIC),
            Column("label", ColumnType.BOOLEAN, Role.LABEL),
        )
    )

    def at(self, hours: float) -> datetime:
        return self.start + timedelta(hours=hours)

    def records(
        self,
        ids: Sequence[str],
        hours: Sequence[float] | float = 1.0,
        age: Sequence[float] | float = 40.0,
        version: str | None = None,
    ) -> pa.Table:
        n = len(ids)
        times = [hours] * n if isinstance(hours, int | float) else hours
        ages = [age] * n if isinstance(age, int | float) else age
        return pa.table(
            {
                "prediction_id": list(ids),
                "timestamp": pa.array([self.at(h) for h in times], MOMENT),
                "age": pa.array(ages, pa.float64()),
                "_version": pa.array([version] * n, pa.string()),
            }
        )

    def labels(
        self,
        values: dict[str, bool | None],
        observed: float = 5.0,
        predicted: float | None = None,
    ) -> pa.Table:
        n = len(values)
        time = None if predicted is None else self.at(predicted)
        return pa.table(
            {
                "prediction_id": list(values),
                "label": pa.array(list(values.values()), pa.bool_()),
                "timestamp": pa.array([time] * n, MOMENT),
                "observed_at": pa.array([self.at(observed)] * n, MOMENT),
            }
        )


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal") as opened:
        yield opened
