"""``tg.explain_change``: why performance differs between two sources of records."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pyarrow as pa

from tidegauge.comparison.fit import Segments, divided_by, fit, schema_of
from tidegauge.engine import open_source, survey_source
from tidegauge.engine.run import ahead
from tidegauge.engine.source import Source
from tidegauge.errors import EmptyInput
from tidegauge.explain.decomposition import MOST_ROWS, decompose
from tidegauge.explain.parts import Decomposition
from tidegauge.metrics.registry import find_metric
from tidegauge.profile.hashing import hash_array, mix64
from tidegauge.profile.sample import Sampler
from tidegauge.schema import Role, Schema

_STEP = np.uint64(0x9E3779B97F4A7C15)


def explain_change(
    reference: Any,
    current: Any,
    metric: str | None = None,
    schema: Schema | str | os.PathLike[str] | None = None,
    segments: Segments = (),
) -> Decomposition:
    """Say how much of a change in performance comes of changed inputs, and how much does not.

    Parameters
    ----------
    reference, current : path or frame
        As of ``tg.compare``; the reference with labels. Without labels in the current side only
        what changed inputs lead one to expect is told.
    metric : str, optional
        A performance metric: ROC AUC, accuracy or MAE by default, by the model's task.
    schema : Schema or path, optional
        Inferred from the reference by default.
    segments : iterable of str
        Columns by whose values to split the change too.

    Returns
    -------
    Decomposition
        Shows itself in words; ``total = inputs + relation``, ``inputs`` by column and segment.
        Of more than 50,000 records a side, those whose ids hash smallest are looked at.

    Raises
    ------
    BadInput
        If a source cannot be read, the two do not fit each other or the schema, or the metric is
        not one of the model's performance.
    NotFound
        If there is no such metric.

    Examples
    --------
    >>> rng = np.random.default_rng(4)
    >>> def records(far):
    ...     x = rng.normal(far, 1.0, 3000)
    ...     y = rng.random(3000) < np.where(x > 1, 0.5, 1 / (1 + np.exp(-3 * x)))
    ...     return pa.table({"x": x, "score": 1 / (1 + np.exp(-3 * x)), "label": y})
    >>> change = explain_change(records(0.0), records(1.0), "accuracy")
    >>> change.total.clear, change.inputs.clear, change.relation.clear
    (True, True, False)
    """
    if metric is not None:
        find_metric(metric)
    first, second = (
        open_source(one, str(one) if isinstance(one, str | os.PathLike) else side)
        for one, side in ((reference, "reference"), (current, "current"))
    )
    known = schema_of(schema, first, divided_by(segments, first))
    known, _ = fit(known, first, second)
    survey = survey_source(first, known)
    if survey.rows == 0:
        raise EmptyInput(f"{first.name} has no rows; a reference needs some", code="empty")
    then, now = (_sampled(one, known) for one in (first, second))
    if not len(now):
        raise EmptyInput(f"{second.name} has no rows; nothing to explain", code="empty")
    return decompose(then, now, survey.layout("reference"), metric)


def _sampled(source: Source, schema: Schema) -> pa.Table:
    """Return all rows of a source, or those of most many whose ids hash smallest."""
    held = set(source.arrow_schema().names)
    columns = [name for name in schema.names if name in held]
    key = schema.role(Role.PREDICTION_ID)
    sampler, read = Sampler(MOST_ROWS), 0
    for batch in ahead(source.batches(columns)):
        n = batch.num_rows
        if key is not None and key.name in batch.schema.names:
            hashes = hash_array(batch.column(key.name))
        else:
            hashes = mix64(np.arange(read, read + n, dtype=np.uint64) * _STEP)
        sampler.update(batch, np.zeros(n, dtype=np.int64), hashes)
        read += n
    found = sampler.finish()
    return pa.table({}) if found is None else found
