"""Closing windows: a profile of closed windows in, points and alarms out.

Where rows come from and where results go is the caller's business; here is what is decided.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from functools import partial as partial_of

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.estimation.estimator import Estimator
from tidegauge.estimation.moved import with_relation
from tidegauge.explain import ScoreImpact
from tidegauge.metrics import Series, evaluate
from tidegauge.metrics.registry import Family, selected
from tidegauge.metrics.result import Basis
from tidegauge.metrics.staleness import Facts, with_facts
from tidegauge.monitor.estimates import outlook
from tidegauge.monitor.judge import Judged, Verdicts, judge
from tidegauge.monitor.policy import Policies
from tidegauge.monitor.spans import Deviations, span
from tidegauge.monitor.statistics import Expectations, expectations
from tidegauge.monitor.tables import results_table
from tidegauge.monitor.thresholds import Past, hold
from tidegauge.profile import Baseline, Profile, Profiler
from tidegauge.profile.layout import to_micros
from tidegauge.profile.profile import ROWS
from tidegauge.schema import Role

_OUTPUTS = frozenset({Role.SCORE, Role.PREDICTION})


@dataclass(frozen=True, eq=False)
class Yardstick:
    """A baseline with everything that is learnt from it once.

    Parameters
    ----------
    baseline : Baseline
    width : timedelta
        Width of a window; the baseline's own windows are as wide.
    policies : Policies
        The model's false-alarm budget and monitors.
    """

    baseline: Baseline
    width: timedelta
    policies: Policies = field(default_factory=Policies)

    def like(self, other: Yardstick) -> bool:
        """Whether the other would learn the same."""
        return (self.baseline.id, self.width, self.policies) == (
            other.baseline.id,
            other.width,
            other.policies,
        )

    @cached_property
    def expectations(self) -> Expectations:
        """What to expect of each metric."""
        relation, total = self.estimator.relation, self.baseline.total
        known = with_relation(self.baseline.profile, relation, total, learnt=True)
        return expectations(known, self.policies)

    @cached_property
    def estimator(self) -> Estimator:
        """What the baseline's labels teach of windows without them."""
        return Estimator.learn(self.baseline)

    def related(self, profile: Profile) -> Profile:
        """Return a profile with what the baseline's relation expects of its sampled records."""
        return with_relation(profile, self.estimator.relation, self.baseline.total)

    @property
    def learnt(self) -> bool:
        """Whether nothing that takes seconds has to be learnt any more."""
        return "expectations" in vars(self) and "estimator" in vars(self)

    def learn(self) -> None:
        """Learn what takes seconds."""
        assert self.estimator is not None
        assert self.expectations is not None

    @cached_property
    def impact(self) -> ScoreImpact:
        """What each column's shift can do to the score."""
        return ScoreImpact.learn(self.baseline)


@dataclass(frozen=True, eq=False)
class ClosedWindows:
    """What closing some windows of one model version came to.

    Parameters
    ----------
    profile : Profile
    judged : list of Judged
    points : pyarrow.Table
        Rows to keep (``RESULT_SCHEMA``).
    labelled : (window,) int64
        Records with a label.
    deviations : Deviations
        Of as many of the newest windows as later ones are judged with.
    """

    profile: Profile
    judged: list[Judged]
    points: pa.Table
    labelled: NDArray[np.int64]
    deviations: Deviations


def profile_windows(
    batches: Iterable[pa.RecordBatch],
    yardstick: Yardstick,
    starts: Iterable[datetime],
) -> Profile:
    """Profile the records of some windows; windows without a record are there too, empty.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
        The records of these windows, labels joined.
    yardstick : Yardstick
    starts : iterable of datetime
        Start of every window that is being closed.
    executor : Executor, optional
    """
    profiler = Profiler(yardstick.baseline.layout, yardstick.width)
    for batch in batches:
        profiler.update(batch)
    return profiler.finish(np.array([to_micros(start) for start in starts], dtype=np.int64))


def close_windows(
    profile: Profile,
    yardstick: Yardstick,
    *,
    model: str,
    version: str | None,
    computed_at: datetime,
    final_before: datetime,
    facts: Facts | None = None,
    earlier: Deviations | None = None,
    past: Past | None = None,
    estimate: bool = True,
) -> ClosedWindows:
    """Judge the windows of a profile.

    By segment, performance, volume and the model's outputs are judged; inputs are judged as a
    whole only, so that the number of tests, and of false alarms, stays small.

    Parameters
    ----------
    profile : Profile
    yardstick : Yardstick
    model, version : str
    computed_at : datetime
    final_before : datetime
        Labels of windows that end by then are all in; later ones are partial until every
        record has its label.
    facts : Facts, optional
        What is known beside the records.
    earlier : Deviations, optional
        Of the windows before these, so that slow drift is seen; ``ClosedWindows`` has them.
    past : Past, optional
        Brings values of windows before these, for thresholds that are relative to one.
    estimate : bool
        Whether to estimate performance without the windows' labels, beside what is measured.
        Estimates are kept, and judged by nothing.
    """
    profile = yardstick.related(profile)
    total = yardstick.baseline.total
    series, verdicts = _judged(with_facts(profile, facts or Facts()), yardstick, earlier)
    judged = hold(verdicts.judged, yardstick.policies, profile, total, past)
    labelled = _labelled(series, profile)
    basis = _basis(profile, labelled, final_before)
    partial = (basis == Basis.PARTIAL.value) & (labelled > 0)
    shown = outlook(judged, profile, yardstick.estimator, partial, guess=estimate)
    keep = np.array([_by_segment(s) for s in series])
    table = partial_of(
        results_table, profile=profile, computed_at=computed_at, model=model, version=version
    )
    guessed = np.full(basis.shape, Basis.ESTIMATED.value, dtype=object)
    points = pa.concat_tables(
        [table(shown.judged, basis=basis, keep=keep), table(shown.guesses, basis=guessed)]
    )
    points = points.filter(pa.compute.is_valid(points["value"]))
    newest = verdicts.deviations.last(span(yardstick.width))
    return ClosedWindows(profile, shown.judged, points, labelled[:, 0], newest)


def deviations_of(profile: Profile, yardstick: Yardstick) -> Deviations:
    """Return how far the windows of a profile lay from what was expected of them."""
    return _judged(profile, yardstick, None)[1].deviations


def _judged(
    profile: Profile, yardstick: Yardstick, earlier: Deviations | None
) -> tuple[list[Series], Verdicts]:
    metrics = selected(yardstick.policies.asked())
    series = [_whole_only(s) for s in evaluate(profile, yardstick.baseline.total, metrics)]
    verdicts = judge(
        series,
        yardstick.expectations,
        profile.windows,
        yardstick.width,
        yardstick.policies,
        earlier,
    )
    return series, verdicts


def _by_segment(series: Series) -> bool:
    if series.metric.family in (Family.PERFORMANCE, Family.SERVICE):
        return True
    if series.column is None:
        return True
    return series.column.role in _OUTPUTS and series.metric.judged


def _whole_only(series: Series) -> Series:
    """Hide the segments of a series that is looked at as a whole only."""
    if _by_segment(series) or series.value.shape[1] == 1:
        return series
    value = series.value.copy()
    value[:, 1:] = np.nan
    return replace(series, value=value)


def _labelled(series: Iterable[Series], profile: Profile) -> NDArray[np.int64]:
    """Labelled records: (window, segment)."""
    for one in series:
        if one.metric.family is Family.PERFORMANCE and one.metric.judged:
            return one.n_current
    return np.zeros(profile.rows.shape, dtype=np.int64)


def _basis(
    profile: Profile, labelled: NDArray[np.int64], final_before: datetime
) -> NDArray[np.object_]:
    width = profile.width
    assert width is not None
    ends = profile.windows + int(width.total_seconds() * 1e6)
    done = (ends <= to_micros(final_before))[:, None] | (labelled >= profile[ROWS]["n"])
    return np.where(done, Basis.FINAL.value, Basis.PARTIAL.value)
