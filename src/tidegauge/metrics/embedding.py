"""Drift of embedding columns, from the coordinated sample.

A vector counts where it has as many numbers as most of the baseline's, all of them finite. Others
are left out of every distance and make up ``dimension_error_share``: a model of another dimension
makes that 1, and the distances undefined. A missing vector is a question of ``missing_share``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tidegauge.metrics.registry import Family, Scale, Values, View, metric
from tidegauge.metrics.sampled import (
    Pair,
    hashes,
    of_whole,
    pairs_of_whole,
    values_of,
    with_p_value,
)
from tidegauge.metrics.significance import share_rise_p, share_variance
from tidegauge.metrics.two_domains import KERNEL_ROWS, kernel_discrepancy, told_apart
from tidegauge.profile.values import plain
from tidegauge.schema import ColumnType
from tidegauge.schema.types import WATCHED_ROLES

_VECTORS = frozenset({ColumnType.EMBEDDING})


@dataclass(frozen=True, eq=False)
class Vectors:
    """The vectors of one sample that have the right dimension.

    Parameters
    ----------
    rows : (n, d) float32 or float64
        All finite.
    ids : (n,) uint64
        Hash of each row's record.
    present : int
        Rows that hold anything.
    """

    rows: NDArray[np.floating]
    ids: NDArray[np.uint64]
    present: int

    @property
    def wrong(self) -> int:
        """Rows that hold something else than such a vector."""
        return self.present - len(self.rows)


def dimension_of(column: pa.Array) -> int:
    """Return the length that most vectors of a column have; 0 where there is none.

    Examples
    --------
    >>> dimension_of(pa.array([[1.0, 2.0], [3.0, 4.0], [5.0], None]))
    2
    """
    lengths = _lengths(plain(column))
    lengths = lengths[lengths > 0]
    return int(np.bincount(lengths).argmax()) if lengths.size else 0


def _lengths(column: pa.Array) -> NDArray[np.int64]:
    """Length of each vector, -1 where there is none: (row,) int64."""
    kind = column.type
    if not (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    ):
        return np.full(len(column), -1, dtype=np.int64)
    lengths = pc.list_value_length(column).fill_null(-1)
    return np.asarray(lengths.to_numpy(zero_copy_only=False), dtype=np.int64)


def vectors(column: pa.Array, ids: NDArray[np.uint64], dimension: int) -> Vectors:
    """Read the vectors of one dimension out of a column.

    Parameters
    ----------
    column : pyarrow array of length n
        Lists of numbers of any kind.
    ids : (n,) uint64
    dimension : int
        0 for none.

    Examples
    --------
    >>> held = pa.array([[1.0, 2.0], [3.0], None, [0.0, float("nan")]])
    >>> found = vectors(held, np.arange(4, dtype=np.uint64), 2)
    >>> found.rows.tolist(), found.present, found.wrong
    ([[1.0, 2.0]], 3, 2)
    """
    column = plain(column)
    present = len(column) - column.null_count
    right = (_lengths(column) == dimension) & (dimension > 0)
    picked = column if right.all() else column.filter(pa.array(right))
    try:
        rows = _numbers(picked, max(dimension, 1)) if right.any() else np.empty((0, dimension))
    except pa.ArrowException:  # lists of something else than numbers
        rows, right = np.empty((0, dimension)), np.zeros_like(right)
    whole = np.isfinite(rows).all(axis=1)
    if not whole.all():
        rows = rows[whole]
    return Vectors(rows, ids[right][whole], present)


def _numbers(column: pa.Array, dimension: int) -> NDArray[np.floating]:
    flat = pc.list_flatten(column)
    if not pa.types.is_float32(flat.type):
        flat = pc.cast(flat, pa.float64())
    rows: NDArray[np.floating] = flat.to_numpy(zero_copy_only=False).reshape(-1, dimension)
    return rows


def _read(view: View, dimension: int) -> tuple[Vectors, ...]:
    return view.once(
        ("vectors", dimension),
        lambda: tuple(
            vectors(column, hashes(table), dimension)
            for column, table in zip(values_of(view), view.samples, strict=True)
        ),
    )


def _pair(current: View, reference: View) -> tuple[tuple[Vectors, ...], Vectors]:
    """Vectors of the current windows, and of the baseline."""
    dimension = reference.once("dimension", lambda: dimension_of(values_of(reference)[0]))
    return _read(current, dimension), _read(reference, dimension)[0]


def _counted(held: tuple[Vectors, ...], view: View) -> tuple[Values, Values]:
    wrong = of_whole(view, (float(one.wrong) for one in held))
    return wrong, of_whole(view, (float(one.present) for one in held))


def _error_p(current: View, reference: View) -> Values:
    now, then = _pair(current, reference)
    p = share_rise_p(*_counted(now, current), *_counted((then,), reference))
    return p if len(then.rows) else np.full(p.shape, np.nan)


def _error_noise(view: View) -> Values:
    present = (len(column) - column.null_count for column in values_of(view))
    return share_variance(of_whole(view, map(float, present)))


@metric(
    "dimension_error_share",
    Family.QUALITY,
    types=_VECTORS,
    needs=("missing",),
    unit="share",
    scale=Scale.ARCSINE,
    judged=True,
    minimum_effect=0.01,
    noise=_error_noise,
    p_value=_error_p,
)
def dimension_error_share(current: View, reference: View) -> Values:
    """Share of vectors that are not finite numbers of the baseline's dimension.

    Among the vectors of the sample that are there; of the whole only. The baseline's dimension is
    that of most of its vectors.
    """
    now, then = _pair(current, reference)
    wrong, present = _counted(now, current)
    known = (present > 0) & (len(then.rows) > 0)
    return np.where(known, wrong / present, np.nan)


def _of_means(
    current: View, reference: View, distance: Callable[[Values, Values], float]
) -> Values:
    now, then = _pair(current, reference)
    if not len(then.rows):
        return of_whole(current, [np.nan] * len(now))
    base = reference.once("mean vector", lambda: _mean(then))
    return of_whole(
        current, (distance(_mean(one), base) if len(one.rows) else np.nan for one in now)
    )


def _mean(held: Vectors) -> Values:
    mean: Values = held.rows.mean(axis=0, dtype=np.float64)
    return mean


@metric(
    "embedding_mean_distance",
    Family.DRIFT,
    types=_VECTORS,
    roles=WATCHED_ROLES,
    needs=("missing",),
    scale=Scale.LOG,
)
def embedding_mean_distance(current: View, reference: View) -> Values:
    """Euclidean distance of the mean vector from the baseline's, over the sample."""
    return _of_means(current, reference, lambda x, y: float(np.linalg.norm(x - y)))


@metric(
    "embedding_cosine_distance",
    Family.DRIFT,
    types=_VECTORS,
    roles=WATCHED_ROLES,
    needs=("missing",),
    scale=Scale.LOG,
    asked=True,
)
def embedding_cosine_distance(current: View, reference: View) -> Values:
    """Cosine distance of the mean vector from the baseline's, 0 (same way) to 2, over the sample.

    Of vectors that have a common part, as those of most models; where the means are nearly 0 it
    is nothing but noise. Not defined where either mean is 0.
    """
    return _of_means(current, reference, _cosine)


def _cosine(x: Values, y: Values) -> float:
    lengths = float(np.linalg.norm(x) * np.linalg.norm(y))
    if not lengths > 0:
        return float("nan")
    return float(np.clip(1.0 - x @ y / lengths, 0.0, 2.0))


@with_p_value(
    "embedding_mmd", Family.DRIFT, types=_VECTORS, roles=WATCHED_ROLES, needs=("missing",)
)
def embedding_mmd(current: View, reference: View) -> Pair:
    """Squared maximum mean discrepancy of the vectors, by a Gaussian kernel; 0 if nothing changed.

    As ``mmd``, over the vectors as they are. Source: Gretton et al. (2012).
    """
    now, then = _pair(current, reference)
    y = then.rows[:KERNEL_ROWS].astype(np.float64)
    return pairs_of_whole(
        current, (kernel_discrepancy(one.rows[:KERNEL_ROWS].astype(np.float64), y) for one in now)
    )


@metric(
    "embedding_domain_classifier",
    Family.DRIFT,
    types=_VECTORS,
    roles=WATCHED_ROLES,
    needs=("missing",),
    asked=True,
    requires="sklearn",
)
def embedding_domain_classifier(current: View, reference: View) -> Values:
    """ROC AUC of a classifier that tells current vectors from the baseline's; 0.5 if unchanged.

    Logistic regression over the scaled vectors of the sample, five parts.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=50))
    now, then = _pair(current, reference)
    return of_whole(
        current, (told_apart(model, one.rows, then.rows, one.ids, then.ids) for one in now)
    )
