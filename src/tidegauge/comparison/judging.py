"""Two profiles judged against each other; where inputs may explain it, they are heard first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from tidegauge.estimation.moved import with_relation
from tidegauge.estimation.relation import Relation
from tidegauge.metrics import Series, evaluate
from tidegauge.metrics.registry import Metric
from tidegauge.metrics.staleness import Facts, with_facts
from tidegauge.monitor import expectations, judge
from tidegauge.monitor.judge import Verdicts
from tidegauge.monitor.policy import Policies
from tidegauge.profile import Profile


def judged_sides(
    then: Profile,
    now: Profile,
    metrics: Sequence[Metric],
    policies: Policies,
    width: timedelta | None,
) -> tuple[list[Series], Verdicts]:
    """Judge what changed between two profiles.

    Concept drift is what changed inputs do not explain. To learn what they do takes seconds, so
    it waits until there is an alarm that they might explain.

    Parameters
    ----------
    then, now : Profile
        The reference by window, and the current side.
    metrics : sequence of Metric
    policies : Policies
    width : timedelta or None
        Of a window.
    """
    found = _judged(then, now, metrics, policies, width)
    if then.sample is None or not _concept_drift(found[1]):
        return found
    relation, total = Relation.learn(then.sample, then.layout), then.total()
    if relation.why_not is not None:
        return found
    then = with_relation(then, relation, total, learnt=True)
    return _judged(then, with_relation(now, relation, total), metrics, policies, width)


def _judged(
    then: Profile,
    now: Profile,
    metrics: Sequence[Metric],
    policies: Policies,
    width: timedelta | None,
) -> tuple[list[Series], Verdicts]:
    series = evaluate(with_facts(now, _facts(then, now)), then.total(), metrics)
    return series, judge(series, expectations(then, policies), now.windows, width, policies)


def _concept_drift(verdicts: Verdicts) -> bool:
    return any(one.alarms for one in verdicts.judged if one.series.metric.name == "concept_drift")


def _facts(then: Profile, now: Profile) -> Facts:
    """Return how far the reference's times reach, where both sides have times."""
    timed = now.event_times[1] is not None
    return Facts(baseline_until=then.event_times[1] if timed else None)
