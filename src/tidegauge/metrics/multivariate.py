"""Drift of all features together, from the coordinated sample: what no single column shows.

Of the model as a whole, over its numeric, boolean and categorical features. Times are left out:
they always move on. Texts and embeddings have metrics of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidegauge.metrics.registry import Direction, Family, Scale, Values, View, metric
from tidegauge.metrics.sampled import Pair, hashes, held_in, of_whole, pairs_of_whole, with_p_value
from tidegauge.metrics.two_domains import KERNEL_ROWS, kernel_discrepancy, told_apart
from tidegauge.profile.bins import CategoryBins
from tidegauge.profile.columns import encode
from tidegauge.profile.profile import ROWS
from tidegauge.profile.values import numbers
from tidegauge.schema import Column, ColumnType, Role

_WORDS = frozenset({ColumnType.CATEGORICAL, ColumnType.BOOLEAN})
_USED = _WORDS | {ColumnType.NUMERIC}
#: Share of the variance that the kept components explain, as NannyML has it.
_EXPLAINED = 0.65
#: Below this a reconstruction error is nothing but rounding.
_ROUNDING = 1e-9


def features(view: View) -> list[Column]:
    """Return the columns that are looked at together."""
    schema = view.profile.layout.schema
    return [c for c in schema if c.role is Role.FEATURE and c.type in _USED]


def _numbers(table: pa.Table, name: str) -> Values:
    """Return a column's values, NaN where there is no finite one: (row,) float64."""
    values = numbers(held_in(table, name))[0]
    return np.where(np.isfinite(values), values, np.nan)


@dataclass(frozen=True, eq=False)
class Encoding:
    """How rows become numbers, learnt from the baseline's sample.

    Missing numbers become the baseline's mean, missing words its most frequent one. Every word
    becomes its share among the baseline's (0 if it never occurred there). Then every column is
    scaled to the baseline's mean 0 and variance 1. Source: NannyML's reconstruction error.

    Parameters
    ----------
    columns : sequence of Column
    words : mapping of column name to (words, their shares)
        The most frequent first.
    means, scales : (column,) float64
    """

    columns: Sequence[Column]
    words: dict[str, tuple[pa.Array, Values]]
    means: Values
    scales: Values

    @classmethod
    def learn(cls, table: pa.Table, columns: Sequence[Column]) -> Encoding:
        """Learn from the baseline's rows."""
        words = {c.name: _shares(table, c.name) for c in columns if c.type in _WORDS}
        blank = cls(columns, words, np.zeros(len(columns)), np.ones(len(columns)))
        rows = blank.rows(table, fill=False)
        known = np.isfinite(rows)
        means = np.where(known, rows, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        rows = np.where(known, rows, means)
        varied = rows.min(axis=0, initial=np.inf) < rows.max(axis=0, initial=-np.inf)
        scales = np.where(varied, rows.std(axis=0) if len(rows) else 1.0, 1.0)
        return cls(columns, words, means, scales)

    def rows(self, table: pa.Table, *, fill: bool = True) -> Values:
        """Return rows of a sample as numbers: (row, column) float64, all finite if filled."""
        out = np.empty((len(table), len(self.columns)))
        for at, column in enumerate(self.columns):
            if column.name in self.words:
                out[:, at] = self._share_of_words(table, column.name)
            else:
                out[:, at] = _numbers(table, column.name)
        if fill:
            out = (np.where(np.isnan(out), self.means, out) - self.means) / self.scales
        return out

    def _share_of_words(self, table: pa.Table, name: str) -> Values:
        words, shares = self.words[name]
        held = encode(held_in(table, name))
        place = pc.index_in(held.dictionary, value_set=words).fill_null(len(words))
        by_word = np.append(shares, 0.0)[place.to_numpy(zero_copy_only=False)]
        codes = held.indices.fill_null(len(by_word)).to_numpy(zero_copy_only=False)
        most = shares[0] if len(shares) else 0.0
        out: Values = np.append(by_word, most)[codes]
        return out


def _shares(table: pa.Table, name: str) -> tuple[pa.Array, Values]:
    """Return the words of a column and the share of each; what is missing is the first word."""
    held = encode(held_in(table, name))
    codes = pc.drop_null(held.indices).to_numpy(zero_copy_only=False)
    counts = np.bincount(codes, minlength=len(held.dictionary)).astype(np.float64)
    names = np.array(held.dictionary.to_pylist(), dtype=object)
    order = np.lexsort((names, -counts)) if len(names) else np.empty(0, dtype=np.int64)
    counts = counts[order]
    if len(counts):
        counts[0] += held.indices.null_count
    return held.dictionary.take(pa.array(order)), counts / max(len(held), 1)


def _encoded(current: View, reference: View) -> tuple[Values, list[Values]]:
    """Return the baseline's rows, and those of each window, as numbers on one scale."""
    (then,) = reference.samples
    encoding = Encoding.learn(then, features(reference))
    return encoding.rows(then), [encoding.rows(table) for table in current.samples]


@metric(
    "domain_classifier",
    Family.DRIFT,
    group=ROWS,
    needs=("n",),
    asked=True,
    requires="sklearn",
)
def domain_classifier(current: View, reference: View) -> Values:
    """ROC AUC of a classifier that tells current rows from the baseline's; 0.5 if nothing changed.

    Gradient-boosted trees over the features of the sample, missing values as they are, five
    parts. NannyML warns from 0.65 on.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    columns = features(reference)
    if not columns:
        return of_whole(current, [np.nan] * len(current.samples))
    model = HistGradientBoostingClassifier(
        max_iter=30,
        max_leaf_nodes=15,
        early_stopping=False,
        categorical_features=np.array([c.type in _WORDS for c in columns]),
        random_state=0,
    )
    (then,) = reference.samples
    y = codes(then, reference, columns)
    return of_whole(
        current,
        (
            told_apart(model, codes(now, reference, columns), y, hashes(now), hashes(then))
            for now in current.samples
        ),
    )


def codes(table: pa.Table, reference: View, columns: Sequence[Column]) -> Values:
    """Return rows as numbers with words as the number of their bin; NaN where missing."""
    out = np.empty((len(table), len(columns)))
    for at, column in enumerate(columns):
        bins = reference.profile.layout.bins[column.name]
        if isinstance(bins, CategoryBins):
            code = bins.codes(encode(held_in(table, column.name)))[0]
            out[:, at] = np.where(code < bins.size, code, np.nan)
        else:
            out[:, at] = _numbers(table, column.name)
    return out


@metric(
    "pca_reconstruction_error",
    Family.DRIFT,
    group=ROWS,
    needs=("n",),
    direction=Direction.NEITHER,
    scale=Scale.LOG,
    asked=True,
)
def pca_reconstruction_error(current: View, reference: View) -> Values:
    """Error of rebuilding rows from the baseline's principal components, over its error there.

    1 if nothing changed, more where features no longer move together as they did. Components
    are kept up to 65 % of the variance of the baseline's sample; the error of a row is the
    Euclidean distance. Not defined where they leave nothing out. Source: NannyML.
    """
    then, now = _encoded(current, reference)
    base = components(then)
    usual = _rebuilt_error(then, base)
    if not usual > _ROUNDING:
        return of_whole(current, [np.nan] * len(now))
    return of_whole(current, (_rebuilt_error(rows, base) / usual for rows in now))


def components(rows: Values) -> Values:
    """Return the principal components that explain 65 % of the variance: (column, component)."""
    if len(rows) < 2 or not np.isfinite(rows).all():
        return np.empty((rows.shape[1], 0))
    centred = rows - rows.mean(axis=0)
    variances, vectors = np.linalg.eigh(centred.T @ centred)
    variances = np.maximum(variances[::-1], 0.0)
    if not variances.sum() > 0:
        return np.empty((rows.shape[1], 0))
    explained = np.cumsum(variances / variances.sum())
    kept = int(np.searchsorted(explained, _EXPLAINED, side="right")) + 1
    base: Values = vectors[:, ::-1][:, :kept]
    return base


def _rebuilt_error(rows: Values, base: Values) -> float:
    if len(rows) == 0 or base.shape[1] == 0:
        return float("nan")
    return float(np.linalg.norm(rows - (rows @ base) @ base.T, axis=1).mean())


@with_p_value("mmd", Family.DRIFT, group=ROWS, needs=("n",))
def mmd(current: View, reference: View) -> Pair:
    """Squared maximum mean discrepancy of the features, by a Gaussian kernel; 0 if nothing changed.

    Unbiased, so it may be below 0; the width of the kernel is the median distance. Over the first
    1,000 rows of each sample, encoded as for ``pca_reconstruction_error``, with the p-value of 199
    permutations. Source: Gretton et al. (2012).
    """
    then, now = _encoded(current, reference)
    kept = [_usable(rows) for rows in (then, *now)]
    return pairs_of_whole(current, (kernel_discrepancy(rows, kept[0]) for rows in kept[1:]))


def _usable(rows: Values) -> Any:
    return rows[np.isfinite(rows).all(axis=1)][:KERNEL_ROWS]
