"""The inputs as groups of values: how the mix of two sides differs, and which column bears it.

Every column is cut into a few groups of values (quantile bins of the pooled rows, frequent words,
missing values). What is additive over these groups is all that this file knows: how much likelier
a row is on the current side, and what a column's own shift adds to a mean over rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse, special

from tidegauge.metrics.registry import Values
from tidegauge.metrics.sampled import held_in
from tidegauge.profile import CategoryBins, NumericBins
from tidegauge.profile.bins import coarse_groups
from tidegauge.profile.columns import encode
from tidegauge.profile.layout import Layout
from tidegauge.profile.values import numbers
from tidegauge.schema import ColumnType, Role

#: Groups of a numeric column, and of a categorical one beside the rest and what is missing.
GROUPS = 20
#: Rows that each group's effect is drawn towards none with.
_PRIOR = 10.0
#: So many times likelier a row may count at most.
_HEAVIEST = 50.0
_ROUNDS = 25
#: Parts of the cross-fitting.
_FOLDS = 5
_INPUTS = (Role.FEATURE, Role.SEGMENT)
_OUTPUTS = (Role.SCORE, Role.PREDICTION)
_TYPES = (ColumnType.NUMERIC, ColumnType.CATEGORICAL, ColumnType.BOOLEAN)


def inputs_of(layout: Layout) -> list[str]:
    """Return the columns that a model's inputs are told from; its outputs if it has none."""
    for roles in (_INPUTS, _OUTPUTS):
        found = [
            column.name
            for column in layout.schema
            if column.role in roles and column.type in _TYPES and column.name in layout.bins
        ]
        if found:
            return found
    return []


def outputs_of(layout: Layout) -> list[str]:
    """Return the columns of scores and predictions."""
    return [
        column.name
        for column in layout.schema
        if column.role in _OUTPUTS and column.type in _TYPES and column.name in layout.bins
    ]


@dataclass(frozen=True, eq=False)
class Groups:
    """Rows of both sides as indicators of groups of values.

    Parameters
    ----------
    names : tuple of str
    of : (G,) int64
        Which of the names each group belongs to.
    reference, current : sparse (n, G) matrices of 0 and 1
    """

    names: tuple[str, ...]
    of: NDArray[np.int64]
    reference: Any
    current: Any

    @classmethod
    def cut(
        cls, names: Sequence[str], layout: Layout, reference: pa.Table, current: pa.Table
    ) -> Groups:
        """Cut columns into groups; those that do not vary are left out."""
        kept: list[str] = []
        of: list[int] = []
        parts: list[tuple[list[NDArray[np.int64]], int]] = []
        for name in names:
            codes = [_codes(table, name, layout) for table in (reference, current)]
            coarse, size = _coarse(codes, layout, name)
            if size < 2:
                continue
            of += [len(kept)] * size
            kept.append(name)
            parts.append((coarse, size))
        sides = []
        for side, table in enumerate((reference, current)):
            n = len(table)
            if not parts:
                sides.append(sparse.csr_matrix((n, 0)))
                continue
            first = np.cumsum([0, *(size for _, size in parts)])[:-1]
            columns = np.stack(
                [at + coarse[side] for at, (coarse, _) in zip(first, parts, strict=True)], axis=1
            )
            starts = np.arange(n + 1) * len(parts)
            sides.append(
                sparse.csr_matrix(
                    (np.ones(columns.size), columns.ravel(), starts), shape=(n, len(of))
                )
            )
        return cls(tuple(kept), np.array(of, dtype=np.int64), *sides)


def _codes(table: pa.Table, name: str, layout: Layout) -> NDArray[np.int64]:
    """Return each row's bin; ``size`` where there is no value."""
    bins = layout.bins[name]
    values = held_in(table, name)
    if isinstance(bins, CategoryBins):
        return bins.codes(encode(values))[0].astype(np.int64)
    zone = layout.schema.timezone if layout.schema[name].type is ColumnType.DATETIME else None
    return np.minimum(bins.codes(numbers(values, zone)[0]), bins.size).astype(np.int64)


def _coarse(
    codes: Sequence[NDArray[np.int64]], layout: Layout, name: str
) -> tuple[list[NDArray[np.int64]], int]:
    """Join bins to groups of both sides' rows; return each side's, and how many occur."""
    bins = layout.bins[name]
    both = np.concatenate(codes)
    counts = np.bincount(both, minlength=bins.size + 1).astype(np.float64)
    group = np.zeros(bins.size + 1, dtype=np.int64)
    if isinstance(bins, NumericBins):
        starts = coarse_groups(counts[:-1], GROUPS)
        group[:-1] = np.searchsorted(starts, np.arange(bins.size), side="right") - 1
    else:
        frequent = np.argsort(-counts[:-1], kind="stable")[:GROUPS]
        group[:-1] = len(frequent)
        group[frequent] = np.arange(len(frequent))
    group[-1] = group[:-1].max(initial=0) + 1
    occurs, dense = np.unique(group[both], return_inverse=True)
    return np.split(dense.astype(np.int64), [len(codes[0])]), len(occurs)


def likelier(groups: Groups) -> Values:
    """Return how much likelier each reference row is on the current side: (n,), mean 1.

    A logistic regression on the groups, ridge-penalised, tells the sides apart; its odds are the
    ratio of densities. At most ``_HEAVIEST``, so that no row decides alone.
    """
    n, m = groups.reference.shape[0], groups.current.shape[0]
    if not groups.names or not n or not m:
        return np.ones(n)
    rows = sparse.vstack((groups.reference, groups.current), format="csr")
    y = np.repeat([0.0, 1.0], [n, m])
    # Both sides weigh the same, so that an effect of none is a ratio of one.
    weight = np.repeat([(n + m) / 2 / n, (n + m) / 2 / m], [n, m])
    beta = np.zeros(rows.shape[1])
    for _ in range(_ROUNDS):
        p = special.expit(rows @ beta)
        slope = rows.T @ (weight * (y - p)) - _PRIOR / 4 * beta
        curve = (rows.T @ sparse.diags(weight * p * (1 - p)) @ rows).toarray()
        curve[np.diag_indices_from(curve)] += _PRIOR / 4
        step = np.linalg.solve(curve, slope)
        beta += np.clip(step, -4.0, 4.0)
        if np.abs(step).max(initial=0.0) < 1e-6:
            break
    odds = np.exp(np.clip(groups.reference @ beta, -20.0, 20.0))
    odds = np.minimum(odds / odds.mean(), _HEAVIEST)
    ratio: Values = odds / odds.mean()
    return ratio


@dataclass(frozen=True, eq=False)
class Borne:
    """What each column's shift adds to a mean, and how each row of either side moves that.

    Parameters
    ----------
    value : (column,) float64
    reference, current : (n, column) float64
        Influence of every row: the variance of a value is that of their means.
    """

    value: Values
    reference: Values
    current: Values


def borne(groups: Groups, worth: Values) -> Borne:
    """Split the shift of a mean over the columns, as far as it is additive over them.

    Parameters
    ----------
    groups : Groups
    worth : (n,) float64
        What each reference row adds to the mean.

    Notes
    -----
    Least squares of ``worth`` on the groups, in the reference, with a ridge of ten rows; a
    column's part is the change of its groups' shares times their effects. Variances are the
    sandwich's (White, 1980), together with those of the shares.
    """
    x, z = groups.reference, groups.current
    n, m = x.shape[0], z.shape[0]
    mean_x, mean_z = np.asarray(x.mean(axis=0)).ravel(), np.asarray(z.mean(axis=0)).ravel()
    centred = worth - worth.mean()
    gram = (x.T @ x).toarray() / n - np.outer(mean_x, mean_x)
    gram[np.diag_indices_from(gram)] += _PRIOR / n
    inverse = np.linalg.inv(gram)
    beta = inverse @ ((x.T @ centred) / n)
    rest = centred - (x @ beta - mean_x @ beta)
    moved = mean_z - mean_x
    values, own, theirs = [], [], []
    for at in range(len(groups.names)):
        mine = groups.of == at
        effect = np.where(mine, beta, 0.0)
        values.append(float(moved @ effect))
        # How the groups' effects, weighed with the shift, follow from each row.
        pull = inverse @ np.where(mine, moved, 0.0)
        own.append((x @ pull - mean_x @ pull) * rest - (x @ effect - mean_x @ effect))
        theirs.append(z @ effect - mean_z @ effect)
    empty = np.empty((n, 0)), np.empty((m, 0))
    return Borne(
        np.array(values),
        np.stack(own, axis=1) if own else empty[0],
        np.stack(theirs, axis=1) if theirs else empty[1],
    )


def foretold(groups: Groups, outcomes: Values) -> tuple[Values, Values]:
    """Return what the groups of a row lead one to expect of it, learnt on the reference.

    Least squares with a ridge, cross-fitted in five parts: a reference row is told by the others.

    Parameters
    ----------
    outcomes : (n, m) float64
        Of the reference rows.

    Returns
    -------
    (n, m) and (rows of the current side, m) float64
    """
    x, z = groups.reference, groups.current
    n = x.shape[0]
    own = np.zeros(outcomes.shape)
    new = np.zeros((z.shape[0], outcomes.shape[1]))
    part = np.random.default_rng(0).permutation(n) % _FOLDS
    for fold in range(_FOLDS):
        seen, left = np.flatnonzero(part != fold), np.flatnonzero(part == fold)
        if not len(seen):
            continue
        mean = outcomes[seen].mean(axis=0)
        rows = x[seen]
        usual = np.asarray(rows.mean(axis=0)).ravel()
        gram = (rows.T @ rows).toarray() - len(seen) * np.outer(usual, usual)
        gram[np.diag_indices_from(gram)] += _PRIOR
        beta = np.linalg.solve(gram, rows.T @ (outcomes[seen] - mean))
        own[left] = mean + x[left] @ beta - usual @ beta
        new += (mean + z @ beta - usual @ beta) / _FOLDS
    return own, new
