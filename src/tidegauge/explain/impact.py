"""How far a column's shift would move the mean score, if nothing else had changed.

The mean score of each bin is read from the baseline's sample; the shift of the bins' shares,
weighed with it, is the column's impact: Σ (p − q) · s̄. It ranks drift by what it can do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.metrics.registry import View
from tidegauge.profile import Baseline, CategoryBins, NumericBins, Profile
from tidegauge.profile.bins import coarse_groups
from tidegauge.profile.columns import encode
from tidegauge.profile.values import numbers, truth
from tidegauge.schema import ColumnType, Role, Schema, Task

#: Sampled rows that a bin's mean is drawn towards the overall mean with.
_PRIOR = 20.0


@dataclass(frozen=True, eq=False)
class ScoreImpact:
    """Mean score by bin of every feature, from one baseline.

    Examples
    --------
    >>> ScoreImpact({}, {}).columns
    []
    """

    means: dict[str, NDArray[np.float64]]
    groups: dict[str, NDArray[np.int64]]

    @property
    def columns(self) -> list[str]:
        """Names of the columns whose impact is known."""
        return list(self.means)

    @classmethod
    def learn(cls, baseline: Baseline) -> ScoreImpact:
        """Read the mean score of each bin from a baseline's sample.

        Parameters
        ----------
        baseline : Baseline
            Without a sample, or a score, nothing is learnt.
        """
        sample = baseline.profile.sample
        schema = baseline.layout.schema
        score = None if sample is None else _score(sample, schema)
        if sample is None or score is None or not np.isfinite(score).any():
            return cls({}, {})
        means: dict[str, NDArray[np.float64]] = {}
        groups: dict[str, NDArray[np.int64]] = {}
        for column in schema.with_role(Role.FEATURE):
            bins = baseline.layout.bins.get(column.name)
            if bins is None or column.name not in sample.column_names:
                continue
            counts = baseline.total[column.name]["counts"][0, 0].astype(np.float64)
            values = sample[column.name].combine_chunks()
            if isinstance(bins, CategoryBins):
                starts = np.arange(bins.size, dtype=np.int64)
                codes = bins.codes(encode(values))[0]
            else:
                starts = coarse_groups(counts, 10)
                codes = bins.codes(numbers(values)[0])
            means[column.name] = _means(codes, starts, bins, score)
            groups[column.name] = starts
        return cls(means, groups)

    def of(self, current: Profile, reference: Profile, column: str) -> NDArray[np.float64] | None:
        """Return the impact of one column's shift: (window, segment), in the score's unit."""
        if column not in self.means:
            return None
        starts = self.groups[column]
        shares = [
            np.add.reduceat(View(p, column)["counts"].astype(np.float64), starts, axis=-1)
            for p in (current, reference)
        ]
        with np.errstate(invalid="ignore", divide="ignore"):
            p, q = (s / s.sum(axis=-1, keepdims=True) for s in shares)
        out: NDArray[np.float64] = ((p - q) * self.means[column]).sum(axis=-1)
        return out


def _score(sample: pa.Table, schema: Schema) -> NDArray[np.float64] | None:
    """The score of each sampled row; the prediction, or the label, where there is none."""
    for role in (Role.SCORE, Role.PREDICTION, Role.LABEL):
        column = schema.role(role)
        if column is None or column.name not in sample.column_names:
            continue
        values = sample[column.name].combine_chunks()
        if column.type is ColumnType.NUMERIC:
            return numbers(values)[0]
        if schema.task is Task.BINARY:
            hits = truth(values, schema.positive).astype(np.float64)
            return np.where(hits < 0, np.nan, hits)
    return None


def _means(
    codes: NDArray[np.int32],
    starts: NDArray[np.int64],
    bins: NumericBins | CategoryBins,
    score: NDArray[np.float64],
) -> NDArray[np.float64]:
    usable = np.flatnonzero((codes < bins.size) & np.isfinite(score))
    group = np.searchsorted(starts, codes[usable], side="right") - 1
    n = np.bincount(group, minlength=len(starts))
    total = np.bincount(group, score[usable], minlength=len(starts))
    overall = score[usable].mean() if usable.size else 0.0
    out: NDArray[np.float64] = (total + _PRIOR * overall) / (n + _PRIOR)
    return out
