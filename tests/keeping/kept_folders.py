"""What the tests of this folder share: rows of the watched model, and where it is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from harness import frame

from tidegauge.keeping.installation import Installation


def named(rows: int, batch: int) -> pa.Table:
    ids: Any = pa.array([f"late-{batch}-{row}" for row in range(rows)])
    return frame(rows).select(["timestamp", "score"]).append_column("prediction_id", ids)


def place(folder: Path, **other: Any) -> Installation:
    """Return the installation of a data folder, with lake and catalog in it unless told."""
    return Installation.of([folder], **other)
