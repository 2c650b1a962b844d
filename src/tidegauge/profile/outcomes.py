"""From scores, predictions and labels of one batch to the sums that performance is read from.

Only records with a label count here, but for the confidence, which needs none. What is a plain
mean over records is summed exactly; what needs the order of the scores (ROC AUC, average
precision) reads two grids of score bins: the baseline's own quantiles, and a fixed grid of
logits for scores that leave that range.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.profile.bins import CategoryBins, NumericBins
from tidegauge.profile.cells import Cells
from tidegauge.profile.columns import encode
from tidegauge.profile.layout import Layout
from tidegauge.profile.values import NO_TIME, column_of, numbers, truth
from tidegauge.schema import Role, Task

Arrays = dict[str, NDArray[Any]]

#: Bins of the fixed grid: 256 between logits of ±12, open at both ends.
LOGIT_BINS = 258
#: Equal-width bins of the score for the calibration error, closed on the right.
CALIBRATION_BINS = 10
#: Groups of predictions, of about equal weight in the baseline, that errors are summed in.
ERROR_GROUPS = 20
#: Equal-width bins of the confidence.
CONFIDENCE_BINS = 100
#: How far from 0 and 1 probabilities are held for the log loss, as in scikit-learn.
_CLIP = float(np.finfo(np.float64).eps)
_TENTHS = np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1]


def logit_codes(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin of each score on the fixed logit grid.

    Examples
    --------
    >>> logit_codes(np.array([0.0, 0.5, 1.0])).tolist()
    [0, 129, 257]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logits = np.log(scores) - np.log1p(-scores)
    codes: NDArray[np.int64] = np.clip((logits + 12.0) * (256 / 24) + 1.0, 0, 257).astype(np.int64)
    return codes


def outcome_arrays(
    batch: pa.RecordBatch, layout: Layout, cells: Cells, times: NDArray[np.int64] | None = None
) -> Arrays | None:
    """Summarise what one batch tells about performance.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
    layout : Layout
    cells : Cells
    times : (n,) int64, optional
        Event times, microseconds since 1970 (UTC).

    Returns
    -------
    dict of name to array, or None
        None where the schema lacks a label, or both score and prediction.
    """
    if layout.schema.role(Role.LABEL) is None:
        return None
    task = layout.schema.task
    if task is Task.BINARY:
        return _binary(batch, layout, cells, times)
    if task is Task.MULTICLASS:
        return _multiclass(batch, layout, cells, times)
    if task is Task.REGRESSION:
        return _regression(batch, layout, cells, times)
    return None


def confidence_arrays(batch: pa.RecordBatch, layout: Layout, cells: Cells) -> Arrays | None:
    """Summarise how sure the model was of its likeliest class, with or without labels.

    Returns
    -------
    dict of name to array, or None
        ``counts`` over equal-width bins of 0–1, and ``total``. None where the schema has no
        probabilities.
    """
    if layout.schema.task is Task.BINARY:
        scores = scores_of(batch, layout)
        if scores is None:
            return None
        sure = np.maximum(scores, 1.0 - scores)
    elif layout.schema.task is Task.MULTICLASS:
        _, table = class_table(batch, layout)
        if table is None:
            return None
        sure = table.max(axis=1)
    else:
        return None
    rows = np.flatnonzero((sure >= 0) & (sure <= 1))
    held, inner = sure[rows], cells.take(rows)
    return {
        "counts": inner.histogram(_hundredths(held), CONFIDENCE_BINS),
        "total": inner.totals(held),
    }


def _labelled(rows: NDArray[np.int64], cells: Cells, times: NDArray[np.int64] | None) -> Arrays:
    """Count the rows with a label, and tell the event time of the newest of them."""
    out: Arrays = {"labels": cells.take(rows).counts()}
    if times is not None:
        timed = rows[times[rows] != NO_TIME]
        out["labels_until"] = cells.take(timed).extremes(times[timed].astype(np.float64))[1]
    return out


def _hundredths(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.minimum((shares * CONFIDENCE_BINS).astype(np.int64), CONFIDENCE_BINS - 1)


def _column(batch: pa.RecordBatch, layout: Layout, role: Role) -> pa.Array | None:
    column = layout.schema.role(role)
    return None if column is None else column_of(batch, column.name)


def scores_of(batch: pa.RecordBatch, layout: Layout) -> NDArray[np.float64] | None:
    """Scores of a binary model; None where the schema has none that are numbers."""
    column = layout.schema.role(Role.SCORE)
    if column is None or not isinstance(layout.bins.get(column.name), NumericBins):
        return None
    return numbers(column_of(batch, column.name))[0]


def positives_said(
    batch: pa.RecordBatch, layout: Layout, scores: NDArray[np.float64] | None
) -> NDArray[np.int8] | None:
    """Return whether a binary model said the positive class of each row; -1 where nothing.

    By its prediction; in a schema that has none, whether the score is 0.5 or more.
    """
    prediction = _column(batch, layout, Role.PREDICTION)
    if prediction is not None:
        return truth(prediction, layout.schema.positive)
    if scores is None:
        return None
    return np.where(np.isfinite(scores), scores >= 0.5, -1).astype(np.int8)


def _binary(
    batch: pa.RecordBatch, layout: Layout, cells: Cells, times: NDArray[np.int64] | None
) -> Arrays | None:
    scores = scores_of(batch, layout)
    y = truth(_column(batch, layout, Role.LABEL), layout.schema.positive)
    said = positives_said(batch, layout, scores)
    if said is None:
        return None
    rows = np.flatnonzero((y >= 0) & (said >= 0))
    inner = cells.take(rows)
    pairs = y[rows].astype(np.int64) * 2 + said[rows]
    w, s = len(cells.slots), cells.segments
    out: Arrays = {
        **_labelled(np.flatnonzero(y >= 0), cells, times),
        "confusion": inner.histogram(pairs, 4).reshape(w, s, 2, 2),
    }
    if scores is not None:
        out |= _score_arrays(scores, y, layout, cells)
    return out


def _score_arrays(
    scores: NDArray[np.float64], y: NDArray[np.int8], layout: Layout, cells: Cells
) -> Arrays:
    rows = np.flatnonzero((y >= 0) & (scores >= 0) & (scores <= 1))
    p, t, inner = scores[rows], y[rows].astype(np.int64), cells.take(rows)
    clipped = np.clip(p, _CLIP, 1 - _CLIP)
    column = layout.schema.role(Role.SCORE)
    assert column is not None
    bins = layout.bins[column.name]
    assert isinstance(bins, NumericBins)
    w, s = len(cells.slots), cells.segments
    fine = inner.histogram(t * bins.size + bins.codes(p), 2 * bins.size)
    logit = inner.histogram(t * LOGIT_BINS + logit_codes(p), 2 * LOGIT_BINS)
    tenth = np.searchsorted(_TENTHS, p)
    loss = -np.where(t == 1, np.log(clipped), np.log1p(-clipped))
    squared = (p - t) ** 2
    return {
        "score_counts": fine.reshape(w, s, 2, bins.size),
        "logit_counts": logit.reshape(w, s, 2, LOGIT_BINS),
        "squared": inner.totals(squared),
        "fourth": inner.totals(squared**2),
        "log_loss": inner.totals(loss),
        "log_loss_squares": inner.totals(loss**2),
        "score_total": inner.totals(p),
        "score_squares": inner.totals(p * p),
        "calibration_counts": inner.histogram(tenth, CALIBRATION_BINS),
        "calibration_scores": inner.histogram(tenth, CALIBRATION_BINS, p),
        "calibration_hits": inner.histogram(tenth, CALIBRATION_BINS, t.astype(np.float64)),
    }


def class_table(
    batch: pa.RecordBatch, layout: Layout
) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
    """Scores by class: which classes have one, and (n, those classes); None without any."""
    held = {
        layout.classes.index(column.class_): column.name
        for column in layout.schema.with_role(Role.SCORE)
        if column.class_ in layout.classes
    }
    places = sorted(held)
    if not places:
        return np.empty(0, dtype=np.int64), None
    table = np.column_stack([numbers(column_of(batch, held[k]))[0] for k in places])
    return np.array(places, dtype=np.int64), table


def classes_said(
    batch: pa.RecordBatch,
    layout: Layout,
    places: NDArray[np.int64],
    scores: NDArray[np.float64] | None,
) -> NDArray[np.int64] | None:
    """Return the place of the class that was said of each row; one past the last where nothing.

    By the prediction; in a schema that has none, the class with the highest score.
    """
    prediction = _column(batch, layout, Role.PREDICTION)
    c = CategoryBins(layout.classes).size
    if prediction is not None:
        return CategoryBins(layout.classes).codes(encode(prediction))[0].astype(np.int64)
    if scores is None:
        return None
    known = np.isfinite(scores).sum(axis=1) == scores.shape[1]
    return np.where(known, places[np.nan_to_num(scores).argmax(axis=1)], c)


def _multiclass(
    batch: pa.RecordBatch, layout: Layout, cells: Cells, times: NDArray[np.int64] | None
) -> Arrays | None:
    classes = CategoryBins(layout.classes)
    c = classes.size
    y, _ = classes.codes(encode(_column(batch, layout, Role.LABEL)))
    places, scores = class_table(batch, layout)
    said = classes_said(batch, layout, places, scores)
    if said is None:
        return None
    rows = np.flatnonzero((y < c) & (said < c))
    inner = cells.take(rows)
    w, s = len(cells.slots), cells.segments
    pairs = y[rows].astype(np.int64) * c + said[rows]
    out: Arrays = {
        **_labelled(np.flatnonzero(y < c), cells, times),
        "confusion": inner.histogram(pairs, c * c).reshape(w, s, c, c),
    }
    if scores is not None:
        own = np.full(c + 1, -1)
        own[places] = np.arange(len(places))
        out |= _class_scores(scores, own[y], cells)
    return out


def _class_scores(scores: NDArray[np.float64], y: NDArray[np.int64], cells: Cells) -> Arrays:
    """Sums over records whose label is a class that has a score.

    Parameters
    ----------
    scores : (n, k) float64
    y : (n,) int64
        Column of ``scores`` that belongs to the label; -1 for none.
    cells : Cells
    """
    k = scores.shape[1]
    rows = np.flatnonzero(((scores >= 0) & (scores <= 1)).all(axis=1) & (y >= 0))
    p, t, inner = scores[rows], y[rows], cells.take(rows)
    true = np.zeros_like(p)
    true[np.arange(len(t)), t] = 1.0
    own = np.clip((p * true).sum(axis=1) / np.maximum(p.sum(axis=1), _CLIP), _CLIP, 1.0)
    squared = ((p - true) ** 2).sum(axis=1)
    best, confidence = p.argmax(axis=1), p.max(axis=1)
    tenth = np.searchsorted(_TENTHS, confidence)
    w, s = len(cells.slots), cells.segments
    ranks = np.stack(
        [
            inner.histogram(
                true[:, j].astype(np.int64) * LOGIT_BINS + logit_codes(p[:, j]), 2 * LOGIT_BINS
            ).reshape(w, s, 2, LOGIT_BINS)
            for j in range(k)
        ],
        axis=2,
    )
    return {
        "class_counts": ranks,
        "squared": inner.totals(squared),
        "fourth": inner.totals(squared**2),
        "log_loss": inner.totals(-np.log(own)),
        "log_loss_squares": inner.totals(np.log(own) ** 2),
        "score_total": inner.totals(confidence),
        "score_squares": inner.totals(confidence**2),
        "calibration_counts": inner.histogram(tenth, CALIBRATION_BINS),
        "calibration_scores": inner.histogram(tenth, CALIBRATION_BINS, confidence),
        "calibration_hits": inner.histogram(tenth, CALIBRATION_BINS, (best == t).astype(float)),
    }


def _regression(
    batch: pa.RecordBatch, layout: Layout, cells: Cells, times: NDArray[np.int64] | None
) -> Arrays | None:
    prediction = _column(batch, layout, Role.PREDICTION)
    if prediction is None:
        prediction = _column(batch, layout, Role.SCORE)
    if prediction is None:
        return None
    y = numbers(_column(batch, layout, Role.LABEL))[0]
    said = numbers(prediction)[0]
    rows = np.flatnonzero(np.isfinite(y) & np.isfinite(said))
    t, inner = y[rows], cells.take(rows)
    e = said[rows] - t
    column = layout.schema.role(Role.LABEL)
    bins = layout.bins.get(column.name) if column is not None else None
    about = float(np.median(bins.edges)) if isinstance(bins, NumericBins) else 0.0
    eps = np.finfo(np.float64).eps
    group = prediction_groups(said[rows], layout)
    return {
        **_labelled(np.flatnonzero(np.isfinite(y)), cells, times),
        "error_counts": inner.histogram(group, ERROR_GROUPS),
        "error_sums": inner.histogram(group, ERROR_GROUPS, e),
        "error_sizes": inner.histogram(group, ERROR_GROUPS, np.abs(e)),
        "error_squares": inner.histogram(group, ERROR_GROUPS, e * e),
        "labelled": inner.counts(),
        "errors": inner.totals(e),
        "absolute": inner.totals(np.abs(e)),
        "squared": inner.totals(e * e),
        "fourth": inner.totals(e**4),
        "relative": inner.totals(np.abs(e) / np.maximum(np.abs(t), eps)),
        "label_total": inner.totals(t - about),
        "label_squares": inner.totals((t - about) ** 2),
    }


def prediction_groups(said: NDArray[np.float64], layout: Layout) -> NDArray[np.int64]:
    """Return the group of each prediction: equally many of its bins make one.

    Parameters
    ----------
    said : (n,) float64
        Finite predictions.
    layout : Layout
    """
    column = layout.schema.role(Role.PREDICTION) or layout.schema.role(Role.SCORE)
    bins = None if column is None else layout.bins.get(column.name)
    if not isinstance(bins, NumericBins):
        return np.zeros(len(said), dtype=np.int64)
    groups: NDArray[np.int64] = bins.codes(said).astype(np.int64) * ERROR_GROUPS // bins.size
    return groups
