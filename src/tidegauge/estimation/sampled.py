"""The sampled rows of a profile, each with its window, segments and cell, and sums over cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.profile import Profile, Profiler
from tidegauge.profile.cells import Cells

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sampled:
    """Rows of a profile's coordinated sample.

    Parameters
    ----------
    table : pyarrow.Table
    cells : Cells
        Where each row belongs on the axes (window, segment).
    """

    table: pa.Table
    cells: Cells

    @classmethod
    def of(cls, profile: Profile) -> Sampled:
        """Return the sampled rows of a profile; none where it has no sample."""
        sample = profile.sample
        segments = len(profile.layout.segments)
        slots = np.arange(len(profile.windows), dtype=np.int64)
        if sample is None or not len(sample) or not len(slots):
            empty = pa.table({"_window": pa.array([], pa.int64())})
            none = np.empty(0, dtype=np.int64)
            groups = tuple(
                (first, len(values), none) for _, first, values in profile.layout.segment_groups
            )
            return cls(empty, Cells(0, slots, none, segments, groups))
        held = sample["_window"].to_numpy()
        window = np.searchsorted(profile.windows, held)
        inside = (window < len(slots)) & (
            profile.windows[np.minimum(window, len(slots) - 1)] == held
        )
        if not inside.all():
            sample, window = sample.filter(pa.array(inside)), window[inside]
        batch = sample.combine_chunks().to_batches()[0] if len(sample) else None
        if batch is None:
            return cls.of(Profile(profile.layout, profile.windows, profile.width, profile.arrays))
        groups = Profiler(profile.layout, profile.width, sample=0).groups(batch)
        cells = Cells(len(sample), slots, window.astype(np.int64), segments, groups)
        return cls(sample, cells)

    def sums(
        self, rows: NDArray[np.int64], codes: NDArray[np.int64], size: int, values: Values
    ) -> Values:
        """Sum values of some rows by cell and code: (window, segment, code)."""
        out: Values = self.cells.take(rows).histogram(codes, size, values)
        return out

    def counts(self, rows: NDArray[np.int64], codes: NDArray[np.int64], size: int) -> Values:
        """Count some rows by cell and code: (window, segment, code)."""
        return self.cells.take(rows).histogram(codes, size).astype(np.float64)
