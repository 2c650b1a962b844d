"""What a model said about all records, labelled or not: what performance is estimated from.

Of numbers nothing stands here: the prediction's own column has its bins and sums.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.profile.bins import CategoryBins, NumericBins
from tidegauge.profile.cells import Cells
from tidegauge.profile.layout import Layout
from tidegauge.profile.outcomes import (
    LOGIT_BINS,
    Arrays,
    class_table,
    classes_said,
    logit_codes,
    positives_said,
    scores_of,
)
from tidegauge.schema import Role, Task

#: So many bins of the logit grid make a coarse one, but for the two at the open ends.
_TOGETHER = 8
#: Coarse bins of logits: the ends, and 32 between them.
COARSE_LOGITS = 2 + (LOGIT_BINS - 2) // _TOGETHER


def coarse_logits(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the coarse bin of each bin of the logit grid.

    Examples
    --------
    >>> coarse_logits(np.array([0, 1, 8, 9, 256, 257])).tolist()
    [0, 1, 1, 2, 32, 33]
    """
    coarse: NDArray[np.int64] = (codes + (_TOGETHER - 1)) // _TOGETHER
    return coarse


def answer_arrays(batch: pa.RecordBatch, layout: Layout, cells: Cells) -> Arrays | None:
    """Summarise what was said about the records of one batch, by class and score.

    Returns
    -------
    dict of name to array, or None
        Of a binary model ``said_scores``: (window, segment, said class, bin of the score). Of
        several classes ``said_class_scores``: (window, segment, said class, scored class, coarse
        logit bin), and ``class_scores``: (window, segment, scored class, logit bin). None where
        nothing can be estimated: without a label in the schema, or without probabilities.
    """
    if layout.schema.role(Role.LABEL) is None:
        return None
    if layout.schema.task is Task.BINARY:
        return _binary(batch, layout, cells)
    if layout.schema.task is Task.MULTICLASS:
        return _multiclass(batch, layout, cells)
    return None


def _binary(batch: pa.RecordBatch, layout: Layout, cells: Cells) -> Arrays | None:
    scores = scores_of(batch, layout)
    column = layout.schema.role(Role.SCORE)
    if scores is None or column is None:
        return None
    bins = layout.bins[column.name]
    assert isinstance(bins, NumericBins)
    said = positives_said(batch, layout, scores)
    assert said is not None
    codes = bins.codes(scores).astype(np.int64)
    codes += said * np.int64(bins.size)
    usable = (said >= 0) & (scores >= 0) & (scores <= 1)
    if not usable.all():
        rows = np.flatnonzero(usable)
        codes, cells = codes[rows], cells.take(rows)
    held = cells.histogram(codes, 2 * bins.size)
    return {"said_scores": held.reshape(len(cells.slots), cells.segments, 2, bins.size)}


def _multiclass(batch: pa.RecordBatch, layout: Layout, cells: Cells) -> Arrays | None:
    places, scores = class_table(batch, layout)
    if scores is None:
        return None
    c, k = CategoryBins(layout.classes).size, len(places)
    said = classes_said(batch, layout, places, scores)
    assert said is not None
    rows = np.flatnonzero(((scores >= 0) & (scores <= 1)).all(axis=1) & (said < c))
    inner, said = cells.take(rows), said[rows].astype(np.int64)
    w, s = len(cells.slots), cells.segments
    by_said = np.zeros((w, s, c, k, COARSE_LOGITS), dtype=np.int64)
    by_class = np.zeros((w, s, k, LOGIT_BINS), dtype=np.int64)
    for j in range(k):
        codes = logit_codes(scores[rows, j])
        by_class[:, :, j] = inner.histogram(codes, LOGIT_BINS)
        both = said * COARSE_LOGITS + coarse_logits(codes)
        by_said[:, :, :, j] = inner.histogram(both, c * COARSE_LOGITS).reshape(
            w, s, c, COARSE_LOGITS
        )
    return {"said_class_scores": by_said, "class_scores": by_class}
