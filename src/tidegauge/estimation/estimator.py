"""The estimator: a baseline in, for any profile of its layout every performance metric out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.estimation.binary import BinaryModel
from tidegauge.estimation.estimates import Estimate, Estimates, metrics_of, worlds_for
from tidegauge.estimation.multiclass import MulticlassModel
from tidegauge.estimation.regression import RegressionModel
from tidegauge.estimation.relation import Relation
from tidegauge.profile import Baseline, Profile
from tidegauge.profile.profile import PERFORMANCE
from tidegauge.schema import Role, Schema, Task

Values = NDArray[np.float64]

#: Numbers that are drawn at once, and windows, so that memory stays bounded.
_DRAWN, _WINDOWS = 20_000_000, 32
_SEED = 0
_SUMMARISED = frozenset({Role.SCORE, Role.PREDICTION, Role.LABEL})

Model = BinaryModel | MulticlassModel | RegressionModel


@dataclass(frozen=True, eq=False)
class Estimator:
    """What a baseline teaches about performance, ready for windows without labels.

    Parameters
    ----------
    relation : Relation
        What is expected of single rows.
    why_not : str or None
        Why nothing can be estimated, in a sentence.
    """

    relation: Relation
    why_not: str | None
    _model: Model | None = None

    @property
    def note(self) -> str | None:
        """What is missing that would make the estimates better."""
        return self.relation.note

    @classmethod
    def learn(cls, baseline: Baseline, rows: pa.Table | None = None) -> Estimator:
        """Learn from a baseline.

        Parameters
        ----------
        baseline : Baseline
            With labels; its coordinated sample tells what inputs have to do with them.
        rows : pyarrow.Table, optional
            Rows of the baseline to learn from in place of its sample, where more are at hand.
        """
        sample = baseline.profile.sample if rows is None else rows
        table = pa.table({}) if sample is None else sample
        relation = Relation.learn(table, baseline.layout)
        if relation.why_not is not None:
            return cls(relation, relation.why_not)
        kinds: dict[Task | None, type[Model]] = {
            Task.BINARY: BinaryModel,
            Task.MULTICLASS: MulticlassModel,
            Task.REGRESSION: RegressionModel,
        }
        kind = kinds[baseline.layout.schema.task]
        return cls(relation, None, kind.learn(baseline, relation, table))

    def estimate(self, profile: Profile) -> Estimates:
        """Estimate performance for every window and segment of a profile.

        Parameters
        ----------
        profile : Profile
            In the baseline's layout; labels that are there already are used as they are.
        """
        shape = profile.rows.shape
        if self._model is None or not len(profile.windows):
            return _none(profile, self.why_not)
        parts: list[dict[str, Estimate]] = []
        rows, known, beyond = (np.zeros(shape) for _ in range(3))
        step = self._at_once(profile)
        for first in range(0, len(profile.windows), step):
            some = np.arange(first, min(first + step, len(profile.windows)))
            part = profile.select(some)
            made = self._model.worlds(
                part, worlds_for(part.rows.size), np.random.default_rng(_SEED)
            )
            if made is None:
                return _none(
                    profile,
                    "the profile was stored by a release that kept no scores of unlabelled records",
                )
            rows[some], known[some], beyond[some] = self._model.support(part)
            parts.append(metrics_of(made, rows[some] > 0))
        with np.errstate(all="ignore"):
            coverage = np.where(rows > 0, known / rows, np.nan)
            outside = np.where(rows > 0, beyond / rows, np.nan)
        return Estimates(_joined(parts), coverage, rows.astype(np.int64), outside)

    def _at_once(self, profile: Profile) -> int:
        assert self._model is not None
        segments = int(profile.rows.shape[1])
        drawn = worlds_for(_WINDOWS * segments) * segments * self._model.drawn_of_cell
        return max(1, min(_WINDOWS, _DRAWN // drawn))


def summarised(schema: Schema) -> frozenset[str]:
    """Return the columns whose summaries an estimator reads; the inputs it reads row by row.

    Examples
    --------
    >>> from tidegauge.schema import Column, ColumnType
    >>> columns = Column("x", ColumnType.NUMERIC), Column("p", ColumnType.NUMERIC, Role.SCORE)
    >>> sorted(summarised(Schema(columns, Task.BINARY)))
    ['p']
    """
    return frozenset(column.name for column in schema if column.role in _SUMMARISED)


def _joined(parts: list[dict[str, Estimate]]) -> dict[str, Estimate]:
    return {
        name: Estimate(
            *(
                np.concatenate([getattr(part[name], what) for part in parts])
                for what in ("value", "lower", "upper")
            )
        )
        for name in parts[0]
    }


def _none(profile: Profile, why_not: str | None) -> Estimates:
    shape = profile.rows.shape
    labels = profile[PERFORMANCE].get("labels") if PERFORMANCE in profile else None
    known = np.zeros(shape) if labels is None else labels.astype(np.float64)
    with np.errstate(all="ignore"):
        coverage = np.where(profile.rows > 0, known / profile.rows, np.nan)
    return Estimates({}, coverage, np.zeros(shape, np.int64), np.full(shape, np.nan), why_not)
