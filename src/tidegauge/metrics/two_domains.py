"""Two methods for rows of any kind: kernel discrepancy, and a classifier that tells them apart.

``multivariate.py`` takes them to whole records, ``embedding.py`` to vectors, ``text.py`` to texts.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.metrics.registry import Values

#: Rows of each side that the kernel matrix is made of.
KERNEL_ROWS = 1_000
#: Permutations behind a p-value, so that the smallest is 1 / 200.
PERMUTATIONS = 199
#: Parts of the cross-validation.
FOLDS = 5
#: Rows of each side below which a classifier has nothing to learn from.
CLASSIFIER_ROWS = 25
#: Squared distances below this share of the squared lengths are nothing but rounding.
_ROUNDING = 1e-13
_SEED = 0


def kernel_discrepancy(x: Values, y: Values) -> tuple[float, float]:
    """Return the squared maximum mean discrepancy of two samples, and its p-value.

    With the kernel exp(−d² / median d²), the median taken over all pairs of both samples; the
    unbiased estimate, which may be below 0. The p-value is the share of permutations that reach
    it, with a fixed seed. Source: Gretton et al. (2012), "A kernel two-sample test".

    Parameters
    ----------
    x : (n, d) float64
    y : (m, d) float64

    Returns
    -------
    squared discrepancy, p-value : float
        NaN where a side has fewer than two rows.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> value, p = kernel_discrepancy(x, x + 1.0)
    >>> round(value, 2), p
    (0.2, 0.005)
    """
    n, m = len(x), len(y)
    if min(n, m) < 2 or x.shape[1] == 0:
        return float("nan"), float("nan")
    kernel = _kernel(np.concatenate((x, y)))
    mine = np.zeros((n + m, 1 + PERMUTATIONS))
    mine[:n] = 1.0
    np.random.default_rng(_SEED).permuted(mine[:, 1:], axis=0, out=mine[:, 1:])
    towards = kernel @ mine
    within_x = (mine * towards).sum(axis=0)
    between = towards.sum(axis=0) - within_x
    within_y = kernel.sum() - within_x - 2.0 * between
    found = within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2.0 * between / (n * m)
    # Sums that are the same but for rounding count as reached.
    reached = found[1:] >= found[0] - 1e-12
    return float(found[0]), float((1 + reached.sum()) / (1 + PERMUTATIONS))


def _kernel(rows: Values) -> Values:
    """Kernel of every pair, 0 on the diagonal."""
    varied = (rows != rows[0]).any(axis=0)
    rows = rows[:, varied] - rows[:, varied].mean(axis=0)
    lengths = (rows * rows).sum(axis=1)
    both = lengths[:, None] + lengths
    squares = both - 2.0 * (rows @ rows.T)
    squares[squares <= _ROUNDING * both] = 0.0
    pairs = squares[np.triu_indices(len(rows), 1)]
    width = float(np.median(pairs)) or float(pairs.mean()) or 1.0
    kernel: Values = np.exp(-squares / width)
    np.fill_diagonal(kernel, 0.0)
    return kernel


def told_apart(
    model: Any, x: Any, y: Any, ids_x: NDArray[np.uint64], ids_y: NDArray[np.uint64]
) -> float:
    """Return how well a classifier tells current rows from reference rows it has not seen.

    Parameters
    ----------
    model : scikit-learn classifier
    x : (n, d) matrix, dense or sparse
        Current rows.
    y : (m, d) matrix
        Reference rows.
    ids_x : (n,) uint64
        Hash of each row's record. A record goes to a part by it, so one that is on both sides is
        never learnt from and tested at once: the same rows on both sides give 0.5.
    ids_y : (m,) uint64

    Returns
    -------
    float
        Mean area under the ROC curve over the parts of a cross-validation: 0.5 is "not at all",
        1 is "always". NaN where a side has fewer than 25 rows.
    """
    if min(len(ids_x), len(ids_y)) < CLASSIFIER_ROWS:
        return float("nan")
    from threadpoolctl import threadpool_limits

    rows = _stacked(x, y)
    current = np.repeat([1, 0], [len(ids_x), len(ids_y)])
    fold = folds(ids_x, ids_y)
    areas = []
    # So little work is quicker in one thread: on a busy machine others only wait for each other.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        for part in range(FOLDS):
            seen, held_out = fold != part, fold == part
            if len(np.unique(current[seen])) == 2 == len(np.unique(current[held_out])):
                told = _with_values(rows, seen)
                model.fit(told[seen], current[seen])
                scores = model.predict_proba(told[held_out])[:, 1]
                mine = current[held_out] == 1
                areas.append(_area(scores[mine], scores[~mine]))
    return float(np.mean(areas)) if areas else float("nan")


def _area(mine: Values, others: Values) -> float:
    """Area under the ROC curve: the chance that one of mine has the higher score, ties by half."""
    ranked = np.sort(others)
    below = np.searchsorted(ranked, mine, "left") + np.searchsorted(ranked, mine, "right")
    return float(below.mean() / (2 * len(others)))


def folds(ids_x: NDArray[np.uint64], ids_y: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the part of each row, those of ``x`` first: one part for one id.

    Ids of one side, of the other and of both are each dealt out evenly.

    Examples
    --------
    >>> ids = np.array([7, 3, 5], dtype=np.uint64)
    >>> folds(ids, ids[:2]).tolist()
    [1, 0, 0, 1, 0]
    """
    parts = []
    for ids, others in ((ids_x, ids_y), (ids_y, ids_x)):
        shared = np.isin(ids, others)
        part = np.empty(len(ids), dtype=np.int64)
        for group in (shared, ~shared):
            part[group] = np.unique(ids[group], return_inverse=True)[1] % FOLDS
        parts.append(part)
    return np.concatenate(parts)


def _with_values(rows: Any, seen: NDArray[np.bool_]) -> Any:
    """Put 0 in columns that hold nothing in the rows to learn from: no tree can be made of them."""
    if not isinstance(rows, np.ndarray):
        return rows
    blank = np.isnan(rows[seen]).all(axis=0)
    return np.where(blank, 0.0, rows) if blank.any() else rows


def _stacked(x: Any, y: Any) -> Any:
    if isinstance(x, np.ndarray):
        return np.concatenate((x, y))
    from scipy import sparse

    return sparse.vstack((x, y), format="csr")
