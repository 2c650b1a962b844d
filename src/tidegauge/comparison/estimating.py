"""``tg.estimate_performance``: how a model performs on records whose labels are not there yet."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidegauge.comparison.fit import Segments
from tidegauge.comparison.foreseen import SAMPLED, basis_of, wanting
from tidegauge.comparison.run import parse_window
from tidegauge.comparison.sides import Progress, open_sides
from tidegauge.comparison.summary import source_info
from tidegauge.errors import BadInput
from tidegauge.estimation import Estimator, summarised
from tidegauge.metrics import evaluate
from tidegauge.metrics.registry import Family, selected
from tidegauge.metrics.result import Basis
from tidegauge.monitor.estimates import outlook, unjudged
from tidegauge.monitor.tables import results_table
from tidegauge.profile import Baseline, Profile
from tidegauge.profile.profile import ESTIMATE
from tidegauge.report.estimated import EstimatedPerformance
from tidegauge.report.format import count, plural
from tidegauge.schema import Role, Schema, Task


def estimate_performance(
    reference: Any,
    current: Any,
    schema: Schema | str | os.PathLike[str] | None = None,
    window: str | None = None,
    segments: Segments = (),
    *,
    progress: Progress | None = None,
) -> EstimatedPerformance:
    """Estimate how a model performs on records without labels, from what a reference taught.

    The reference's labels teach how often which outcome follows, given the inputs and the score.
    As long as that stays so, the estimates hold however much the inputs change; that the relation
    itself changed (concept drift) only labels can tell. Where the current side has labels, what
    was measured stands beside.

    Parameters
    ----------
    reference : path or frame
        With labels. As of ``tg.compare``.
    current : path or frame
        With labels, some, or none.
    schema : Schema or path, optional
        Inferred from the reference by default.
    window : str, optional
        Width of tumbling windows of event time (``"1d"``, ``"6h"``).
    segments : iterable of str
        Columns by which to look separately too.
    progress : callable, optional
        Called with a stage, the rows done, and the rows in all where that is known.

    Returns
    -------
    EstimatedPerformance
        Shows itself; ``to_frame()`` has one row a metric, segment, window and basis, with the
        95 % interval as ``ci_lower`` and ``ci_upper``.

    Raises
    ------
    BadInput
        If a source cannot be read, the two do not fit each other or the schema, or the reference
        cannot teach what to expect: it has no labels, or of one class only, or no usable scores.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> import pyarrow as pa
    >>> def records(hard):
    ...     x = rng.normal(0.0, 0.5 if hard else 2.0, 3000)
    ...     score = 1 / (1 + np.exp(-2 * x))
    ...     return pa.table({"x": x, "score": score, "label": rng.random(3000) < score})
    >>> there = records(hard=True)
    >>> found = estimate_performance(records(hard=False), there.drop_columns(["label"]))
    >>> guess = found["roc_auc"]
    >>> guess.basis.value, guess.value < 0.8 < guess.expected
    ('estimated', True)
    """
    width = None if window is None else parse_window(window)
    sides = open_sides(reference, current, schema, segments)
    sides = sides.fitted(width)
    then, now, notes = sides.profiled(
        width, progress, sample=SAMPLED, summarised=summarised(sides.schema)
    )
    moment = datetime.now(UTC)
    baseline = Baseline(then, moment)
    estimator = Estimator.learn(baseline)
    if estimator.why_not is not None:
        raise BadInput(
            f"{sides.first.name}: nothing to estimate performance from: {estimator.why_not}",
            code="no_estimate",
        )
    metrics = [one for one in selected() if one.family is Family.PERFORMANCE]
    usual = {
        one.metric.name: one.value for one in evaluate(baseline.total, baseline.total, metrics)
    }
    series = evaluate(now, baseline.total, metrics)
    shown = [unjudged(one, usual[one.metric.name]) for one in series if one.metric.name in usual]
    found = outlook(shown, now, estimator, wanting(now))
    if found.why_not is not None:
        raise BadInput(f"{sides.second.name}: {found.why_not}", code="no_estimate")
    notes += [estimator.note] if estimator.note else []
    notes += [*_unread(sides.first.name, then), *_unread(sides.second.name, now)]
    basis = basis_of(now)
    guessed = np.full(basis.shape, Basis.ESTIMATED.value, dtype=object)
    table = pa.concat_tables(
        [
            results_table(found.guesses, now, computed_at=moment, basis=guessed),
            results_table(found.judged, now, computed_at=moment, basis=basis),
        ]
    )
    return EstimatedPerformance(
        table.filter(pc.is_valid(table["value"])),
        source_info(sides.first, then),
        source_info(sides.second, now),
        moment,
        tuple(notes),
        window,
    )


def _unread(name: str, profile: Profile) -> list[str]:
    """Say how many records take no part for want of a usable score, and of odd labels."""
    schema, held = profile.layout.schema, profile.arrays.get(ESTIMATE, {})
    out = []
    scored = None
    if "said_scores" in held:
        scored = held["said_scores"][:, 0].sum()
    elif "class_scores" in held:
        scored = held["class_scores"][:, 0, 0].sum()
    rows = int(profile.rows[:, 0].sum())
    if scored is not None and scored < rows:
        without = rows - int(scored)
        out.append(
            f"{name}: {plural(without, 'record')} of {count(rows)} without a score within 0–1, "
            "which take no part"
        )
    label = schema.role(Role.LABEL)
    arrays = {} if label is None else profile.arrays.get(label.name, {})
    unseen = int(arrays["unseen"][:, 0].sum()) if "unseen" in arrays else 0
    if unseen and schema.task is not Task.REGRESSION:
        read = f"not {schema.positive!r}" if schema.task is Task.BINARY else "none"
        out.append(
            f"{name}: {plural(unseen, 'label')} of a class that the reference has not, read as "
            f"{read}"
        )
    return out
