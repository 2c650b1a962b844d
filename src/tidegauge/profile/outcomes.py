"""From scores, predictions and labels of one batch to the sums that performance is read from.

Only records with a label count here. What is a plain mean over records is summed exactly; what
needs the order of the scores (ROC AUC, average precision) reads two grids of score bins: the
baseline's own quantiles, and a fixed grid of logits for scores that leave that range.
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
from tidegauge.profile.values import numbers, truth
from tidegauge.schema import Role, Task

Arrays = dict[str, NDArray[Any]]

#: Bins of the fixed grid: 256 between logits of ±12, open at both ends.
LOGIT_BINS = 258
#: Equal-width bins of the score for the calibration error.
CALIBRATION_BINS = 10
_CLIP = 1e-15


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


def outcome_arrays(batch: pa.RecordBatch, layout: Layout, cells: Cells) -> Arrays | None:
    """Summarise what one batch tells about performance.

    Returns
    -------
    dict of name to array, or None
        None where the schema lacks a label, or both score and prediction.
    """
    label = layout.schema.role(Role.LABEL)
    if label is None or label.name not in batch.schema.names:
        return None
    task = layout.schema.task
    if task is Task.BINARY:
        return _binary(batch, layout, cells)
    if task is Task.MULTICLASS:
        return _multiclass(batch, layout, cells)
    if task is Task.REGRESSION:
        return _regression(batch, layout, cells)
    return None


def _column(batch: pa.RecordBatch, layout: Layout, role: Role) -> pa.Array | None:
    column = layout.schema.role(role)
    if column is None or column.name not in batch.schema.names:
        return None
    return batch.column(column.name)


def _binary(batch: pa.RecordBatch, layout: Layout, cells: Cells) -> Arrays | None:
    score_column = _column(batch, layout, Role.SCORE)
    prediction = _column(batch, layout, Role.PREDICTION)
    if score_column is None and prediction is None:
        return None
    positive = layout.schema.positive
    y = truth(_column(batch, layout, Role.LABEL), positive)
    scores = numbers(score_column)[0] if score_column is not None else None
    if prediction is not None:
        said = truth(prediction, positive)
    else:
        assert scores is not None
        said = np.where(np.isnan(scores), -1, scores >= 0.5).astype(np.int8)
    rows = np.flatnonzero((y >= 0) & (said >= 0))
    inner = cells.take(rows)
    pairs = y[rows].astype(np.int64) * 2 + said[rows]
    w, s = len(cells.slots), cells.segments
    out: Arrays = {"confusion": inner.histogram(pairs, 4).reshape(w, s, 2, 2)}
    if scores is not None:
        out |= _score_arrays(scores, y, layout, cells)
    return out


def _score_arrays(
    scores: NDArray[np.float64], y: NDArray[np.int8], layout: Layout, cells: Cells
) -> Arrays:
    with np.errstate(invalid="ignore"):
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
    tenth = np.minimum((p * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    return {
        "score_counts": fine.reshape(w, s, 2, bins.size),
        "logit_counts": logit.reshape(w, s, 2, LOGIT_BINS),
        "squared": inner.totals((p - t) ** 2),
        "log_loss": inner.totals(-np.where(t == 1, np.log(clipped), np.log1p(-clipped))),
        "log_loss_squares": inner.totals(
            np.where(t == 1, np.log(clipped), np.log1p(-clipped)) ** 2
        ),
        "score_total": inner.totals(p),
        "calibration_counts": inner.histogram(tenth, CALIBRATION_BINS),
        "calibration_scores": inner.histogram(tenth, CALIBRATION_BINS, p),
        "calibration_hits": inner.histogram(tenth, CALIBRATION_BINS, t.astype(np.float64)),
    }


def _multiclass(batch: pa.RecordBatch, layout: Layout, cells: Cells) -> Arrays | None:
    classes = CategoryBins(layout.classes)
    c = classes.size
    y, _ = classes.codes(encode(_column(batch, layout, Role.LABEL)))
    score_columns = [
        (layout.classes.index(column.class_), batch.column(column.name))
        for column in layout.schema.with_role(Role.SCORE)
        if column.class_ in layout.classes and column.name in batch.schema.names
    ]
    prediction = _column(batch, layout, Role.PREDICTION)
    scores = None
    if len(score_columns) == len(layout.classes) and score_columns:
        scores = np.column_stack([numbers(a)[0] for _, a in sorted(score_columns, key=_first)])
    if prediction is not None:
        said, _ = classes.codes(encode(prediction))
    elif scores is not None:
        said = np.where(np.isnan(scores).any(axis=1), c, np.nan_to_num(scores).argmax(axis=1))
    else:
        return None
    rows = np.flatnonzero((y < c) & (said < c))
    inner = cells.take(rows)
    w, s = len(cells.slots), cells.segments
    pairs = y[rows].astype(np.int64) * c + said[rows]
    out: Arrays = {"confusion": inner.histogram(pairs, c * c).reshape(w, s, c, c)}
    if scores is not None:
        out |= _class_scores(scores, y, cells, len(layout.classes))
    return out


def _first(pair: tuple[int, Any]) -> int:
    return pair[0]


def _class_scores(
    scores: NDArray[np.float64], y: NDArray[np.int32], cells: Cells, k: int
) -> Arrays:
    with np.errstate(invalid="ignore"):
        fine = ((scores >= 0) & (scores <= 1)).all(axis=1)
    rows = np.flatnonzero(fine & (y < k))
    p, t, inner = scores[rows], y[rows].astype(np.int64), cells.take(rows)
    true = np.zeros_like(p)
    true[np.arange(len(t)), t] = 1.0
    own = np.clip((p * true).sum(axis=1) / np.maximum(p.sum(axis=1), _CLIP), _CLIP, 1.0)
    best = p.argmax(axis=1) if len(p) else t
    confidence = p.max(axis=1) if len(p) else np.empty(0)
    tenth = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
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
        "squared": inner.totals(((p - true) ** 2).sum(axis=1)),
        "log_loss": inner.totals(-np.log(own)),
        "log_loss_squares": inner.totals(np.log(own) ** 2),
        "score_total": inner.totals(confidence),
        "calibration_counts": inner.histogram(tenth, CALIBRATION_BINS),
        "calibration_scores": inner.histogram(tenth, CALIBRATION_BINS, confidence),
        "calibration_hits": inner.histogram(tenth, CALIBRATION_BINS, (best == t).astype(float)),
    }


def _regression(batch: pa.RecordBatch, layout: Layout, cells: Cells) -> Arrays | None:
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
    return {
        "labelled": inner.counts(),
        "errors": inner.totals(e),
        "absolute": inner.totals(np.abs(e)),
        "squared": inner.totals(e * e),
        "fourth": inner.totals(e**4),
        "relative": inner.totals(np.abs(e) / np.maximum(np.abs(t), eps)),
        "label_total": inner.totals(t - about),
        "label_squares": inner.totals((t - about) ** 2),
    }
