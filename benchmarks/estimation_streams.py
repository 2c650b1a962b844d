"""Records whose inputs change while what follows from them does not: covariate shift, pure.

Three kinds, each hard in its own way for who only calibrates scores. Every stream has a baseline
of 20 daily windows and 20 watched ones of 2,000 records, over which the shift grows to its full
size. The model is fixed, and wrong in the way models are: it weighs some inputs too little.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.schema import Column, ColumnType, Role, Schema, Task

WINDOWS, ROWS = 20, 2_000
WIDTH = timedelta(days=1)
_DAY = 86_400_000_000
#: A Monday.
_START = 1_767_571_200_000_000
_INPUTS = 8
_REGIONS = ("north", "east", "south", "west", "abroad")
#: Each region's own level, which the model does not know.
_LEVELS = np.array([-0.6, -0.2, 0.2, 0.7, 1.2])

Values = NDArray[np.float64]


class Shift(StrEnum):
    """What of the inputs changes."""

    #: The means of three inputs, one of which the model weighs too little.
    MEANS = "means of inputs"
    #: The mix of regions, each with a calibration of its own.
    MIX = "mix of regions"
    #: The spread of inputs, and a rare kind of record that becomes frequent.
    KINDS = "spread, a rare kind"


@dataclass(frozen=True)
class Stream:
    """One stream of records; the same seed gives the same records.

    Parameters
    ----------
    shift : Shift
    task : Task
        ``BINARY`` or ``REGRESSION``.
    seed : int
    rows : int
        Records a window.
    """

    shift: Shift
    task: Task
    seed: int
    rows: int = ROWS

    @property
    def schema(self) -> Schema:
        """The schema of its records."""
        inputs = [Column(f"x{i}", ColumnType.NUMERIC) for i in range(_INPUTS)]
        region = Column("region", ColumnType.CATEGORICAL)
        if self.task is Task.BINARY:
            said = Column("score", ColumnType.NUMERIC, Role.SCORE)
            label = Column("label", ColumnType.BOOLEAN, Role.LABEL)
        else:
            said = Column("prediction", ColumnType.NUMERIC, Role.PREDICTION)
            label = Column("label", ColumnType.NUMERIC, Role.LABEL)
        time = Column("timestamp", ColumnType.DATETIME, Role.TIMESTAMP)
        return Schema((*inputs, region, said, label, time), self.task)

    def baseline(self) -> pa.Table:
        """Records of the baseline's windows, labelled."""
        return pa.concat_tables([self._window(day, 0.0) for day in range(WINDOWS)])

    def watched(self) -> pa.Table:
        """Records of the watched windows, with the labels that are to be estimated."""
        days = range(WINDOWS, 2 * WINDOWS)
        return pa.concat_tables([self._window(day, (day - WINDOWS + 1) / WINDOWS) for day in days])

    def _window(self, day: int, amount: float) -> pa.Table:
        kind = list(Shift).index(self.shift)
        rng = np.random.default_rng([self.seed, kind, day, self.task is Task.BINARY])
        n = self.rows
        x, region, rare = self._inputs(rng, n, amount)
        if self.task is Task.BINARY:
            answers = _classified(rng, x, region, rare)
        else:
            answers = _measured(rng, x, region, rare)
        times = np.sort(rng.integers(0, _DAY, n)) + _START + day * _DAY
        columns = {f"x{i}": x[:, i] for i in range(_INPUTS)}
        words = pa.DictionaryArray.from_arrays(region.astype(np.int32), list(_REGIONS))
        return pa.table(
            {
                **columns,
                "region": words,
                **answers,
                "timestamp": pa.array(times, pa.timestamp("us", "UTC")),
            }
        )

    def _inputs(
        self, rng: np.random.Generator, n: int, amount: float
    ) -> tuple[Values, NDArray[np.int64], NDArray[np.bool_]]:
        x = rng.standard_normal((n, _INPUTS))
        x[:, 1] = 0.5 * x[:, 0] + np.sqrt(0.75) * x[:, 1]
        shares = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
        rare_share = 0.03
        if self.shift is Shift.MEANS:
            x[:, [0, 3, 4]] += amount * np.array([0.6, 0.8, -0.5])
        elif self.shift is Shift.MIX:
            shares = shares * (1 - amount) + amount * np.array([0.1, 0.1, 0.15, 0.25, 0.4])
        else:
            x[:, 2:5] *= 1 + 0.7 * amount
            rare_share += 0.22 * amount
        rare = rng.random(n) < rare_share
        x[rare, 5] += 3.0
        x[rare, 6] -= 2.0
        return x, rng.choice(len(_REGIONS), n, p=shares), rare


def _classified(
    rng: np.random.Generator, x: Values, region: NDArray[np.int64], rare: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    own = 0.9 * x[:, 0] + 0.5 * x[:, 1] + 0.4 * x[:, 2] * (x[:, 2] > 0) - 0.8
    true = own + 0.7 * x[:, 3] - 0.3 * x[:, 4] + _LEVELS[region] + 1.2 * rare
    said = 1.15 * own + 0.25 * x[:, 3] + 0.2 * rng.standard_normal(len(x))
    score = 1 / (1 + np.exp(-said))
    label = rng.random(len(x)) < 1 / (1 + np.exp(-true))
    return {"score": score, "label": label.astype(np.int64)}


def _measured(
    rng: np.random.Generator, x: Values, region: NDArray[np.int64], rare: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    said = 20 + 5 * x[:, 0] + 3 * x[:, 1] + 1.5 * x[:, 3]
    spread = np.exp(0.4 * x[:, 4] + 0.25 * _LEVELS[region] + 0.6 * rare)
    true = said + 1.2 * x[:, 3] + 0.8 * _LEVELS[region] + 2.0 * spread * rng.standard_normal(len(x))
    return {"prediction": said, "label": true}
