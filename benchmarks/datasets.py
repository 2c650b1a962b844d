"""Names, sizes and places of the benchmark's files; standard library only, see `measure.py`.

What is in them stands in `columns.py`, how they are written in `data.py`.
"""

from dataclasses import dataclass
from pathlib import Path

CACHE = Path(".bench")
"""Where everything the benchmarks make is kept, relative to the repository root."""

GENERATION = 1
"""Part of every file name: raise it when the generator changes, so that no old file is measured."""


@dataclass(frozen=True)
class Dataset:
    """One file: name, rows, seed of its random numbers, and whether the drift is in it."""

    name: str
    rows: int
    seed: int
    drift: bool

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return CACHE / f"{self.name}-v{GENERATION}.parquet"


REFERENCE = Dataset("reference-1m", 1_000_000, seed=1, drift=False)
CURRENT = Dataset("current-1m", 1_000_000, seed=2, drift=True)
CURRENT_10M = Dataset("current-10m", 10_000_000, seed=3, drift=True)
SMALL_REFERENCE = Dataset("reference-10k", 10_000, seed=4, drift=False)
SMALL_CURRENT = Dataset("current-10k", 10_000, seed=5, drift=True)

DATASETS = {d.name: d for d in (REFERENCE, CURRENT, CURRENT_10M, SMALL_REFERENCE, SMALL_CURRENT)}
