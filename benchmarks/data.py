"""Writes the benchmark's Parquet files: deterministic, each once, a row group at a time.

`python -m benchmarks.data reference-1m current-1m` writes those that the cache lacks.
"""

import os
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.columns import CATEGORICAL, NUMERIC, Categorical, Numeric
from benchmarks.datasets import DATASETS, Dataset

ROW_GROUP = 122_880
"""Rows in a row group: DuckDB's own, so that a file looks as most do."""

START = np.datetime64("2026-01-01T00:00:00", "us")
DAYS = 30


def ensure(dataset: Dataset) -> Path:
    """Return the path of `dataset`, writing the file first if the cache lacks it.

    The file appears under its name only when it is whole, and holds the same rows for the same
    NumPy wherever and whenever it is written.
    """
    path = dataset.path
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        _write(dataset, unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def _write(dataset: Dataset, path: Path) -> None:
    starts = range(0, dataset.rows, ROW_GROUP)
    first = batch_of(dataset, 0)
    with pq.ParquetWriter(path, first.schema, compression="snappy") as writer:
        writer.write_batch(first, row_group_size=ROW_GROUP)
        for start in starts[1:]:
            writer.write_batch(batch_of(dataset, start), row_group_size=ROW_GROUP)


def batch_of(dataset: Dataset, start: int) -> pa.RecordBatch:
    """Draw the row group that begins at row `start`; every row group has a seed of its own."""
    rows = min(ROW_GROUP, dataset.rows - start)
    rng = np.random.default_rng([dataset.seed, start // ROW_GROUP])
    columns: dict[str, pa.Array] = {"timestamp": _timestamps(rng, dataset.rows, start, rows)}
    drawn: tuple[Numeric | Categorical, ...] = (*NUMERIC, *CATEGORICAL)
    for column in drawn:
        columns[column.name] = column.values(rng, rows, dataset.drift)
    logit = rng.normal(-1.5 if dataset.drift else -1.7, 1.2, rows)
    score = 1 / (1 + np.exp(-logit))
    columns["score"] = pa.array(score)
    columns["label"] = pa.array((rng.random(rows) < score).astype(np.int8))
    return pa.RecordBatch.from_pydict(columns)


def _timestamps(rng: np.random.Generator, total: int, start: int, rows: int) -> pa.Array:
    """Sorted, evenly spread over `DAYS` days, with jitter inside each step."""
    step = DAYS * 86_400e6 / total
    offsets = (np.arange(start, start + rows) + rng.random(rows)) * step
    return pa.array(START + offsets.astype("timedelta64[us]"), type=pa.timestamp("us", tz="UTC"))


if __name__ == "__main__":
    for name in sys.argv[1:]:
        ensure(DATASETS[name])
