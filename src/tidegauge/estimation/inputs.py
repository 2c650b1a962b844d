"""Rows of a table as numbers to learn from: features and segment columns, coded by their bins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.profile.bins import CategoryBins, NumericBins
from tidegauge.profile.columns import encode
from tidegauge.profile.layout import Layout
from tidegauge.profile.values import numbers
from tidegauge.schema import ColumnType, Role

Values = NDArray[np.float64]

#: At most so many columns are learnt from: those that tell most, where there are more.
MOST_COLUMNS = 60
#: Values of a category that the linear part knows by themselves.
_OWN_VALUES = 12
#: How far out a number counts in the linear part, in its own spreads.
_FAR = 4.0
#: From where on either end of a number has a slope of its own.
_HINGE = 1.0
_LEAST_SHARE = 0.005
_ROLES = frozenset({Role.FEATURE, Role.INTERMEDIATE, Role.SEGMENT})


def column_in(rows: pa.Table, name: str) -> pa.Array:
    """Return a column of a table as one array; nulls where it has none of this name."""
    if name not in rows.column_names:
        return pa.nulls(len(rows))
    held = rows[name].combine_chunks()
    return held.combine_chunks() if isinstance(held, pa.ChunkedArray) else held


@dataclass(frozen=True, eq=False)
class Inputs:
    """Which columns are read, and how.

    Parameters
    ----------
    layout : Layout
    names : tuple of str
        Numeric, boolean and categorical features, intermediate values and segment columns.
    """

    layout: Layout
    names: tuple[str, ...]

    @classmethod
    def of(cls, layout: Layout) -> Inputs:
        """Return the inputs of a model: those of its columns that have bins."""
        used = (ColumnType.NUMERIC, ColumnType.BOOLEAN, ColumnType.CATEGORICAL)
        return cls(
            layout,
            tuple(
                c.name
                for c in layout.schema
                if c.role in _ROLES and c.type in used and c.name in layout.bins
            ),
        )

    @property
    def worded(self) -> NDArray[np.bool_]:
        """Which columns hold categories: (column,)."""
        held = [isinstance(self.layout.bins[name], CategoryBins) for name in self.names]
        return np.array(held, dtype=np.bool_)

    def matrix(self, rows: pa.Table) -> Values:
        """Return rows as numbers, categories as their bin: (row, column); NaN where missing."""
        out = np.full((len(rows), len(self.names)), np.nan)
        for at, name in enumerate(self.names):
            bins = self.layout.bins[name]
            held = column_in(rows, name)
            if isinstance(bins, NumericBins):
                values = numbers(held)[0]
                out[:, at] = np.where(np.isfinite(values), values, np.nan)
            else:
                codes = bins.codes(encode(held))[0]
                out[:, at] = np.where(codes < bins.size, codes, np.nan)
        return out

    def keeping(self, places: NDArray[np.int64]) -> Inputs:
        """Return some of the inputs."""
        return Inputs(self.layout, tuple(self.names[i] for i in places))


def telling(x: Values, worded: NDArray[np.bool_], residuals: Values) -> NDArray[np.int64]:
    """Return the places of the columns that tell most about residuals, in their own order.

    Each column is cut into at most ten groups of equal weight (its values, if it holds
    categories, and what is missing); Σ (Σ r)² / n over the groups ranks it.

    Parameters
    ----------
    x : (row, column) float64
    worded : (column,) bool
    residuals : (row,) float64
        Of about the same spread.
    """
    if x.shape[1] <= MOST_COLUMNS:
        return np.arange(x.shape[1])
    told = np.zeros(x.shape[1])
    for at in range(x.shape[1]):
        known = np.isfinite(x[:, at])
        if worded[at]:
            codes = np.where(known, x[:, at], -1).astype(np.int64) + 1
        else:
            cuts = np.quantile(x[known, at], np.arange(1, 10) / 10) if known.any() else []
            codes = np.where(known, np.searchsorted(cuts, x[:, at]) + 1, 0)
        n = np.bincount(codes)
        total = np.bincount(codes, residuals)
        told[at] = (total**2 / np.maximum(n, 1)).sum() - (n > 0).sum() * residuals.var()
    return np.sort(np.argsort(-told, kind="stable")[:MOST_COLUMNS])


def levelled(x: Values, worded: NDArray[np.bool_] | None = None, levels: int = 100) -> Values:
    """Return numbers as the mean of their quantile group, categories as they are.

    Trees grow many times quicker on few different numbers, and split between them as well for
    numbers that were not levelled.

    Parameters
    ----------
    x : (row, column) float64
    worded : (column,) bool, optional
        Columns to leave alone.
    levels : int

    Examples
    --------
    >>> levelled(np.array([[1.0], [2.0], [3.0], [6.0]]), levels=2).ravel().tolist()
    [1.5, 1.5, 4.5, 4.5]
    """
    out = x.copy()
    for at in range(x.shape[1]):
        known = np.flatnonzero(np.isfinite(x[:, at]))
        if (worded is not None and worded[at]) or not len(known):
            continue
        values = x[known, at]
        cuts = np.unique(np.quantile(values, np.arange(1, levels) / levels))
        if len(cuts) < levels - 1 and len(np.unique(values)) <= levels:
            continue
        group = np.searchsorted(cuts, values)
        n = np.bincount(group)
        means = np.bincount(group, values) / np.maximum(n, 1)
        out[known, at] = means[group]
    return out


@dataclass(frozen=True, eq=False)
class Design:
    """How inputs become the columns of a linear model: about mean 0, spread 1, all finite.

    Numbers have a hinge at either side; what is missing has a column of its own, and so have
    frequent categories. Beyond the ends of what was learnt from, a number counts in part only
    (``further``), and none for more than four spreads.

    Parameters
    ----------
    worded : (column,) bool
    centres, scales : (column,) float64
    ends : (2, column) float64
        Between them lie 98 of 100 numbers, in spreads.
    blank : (column,) bool
        Whether "missing" has a column.
    own : tuple of (column, category)
        Categories with a column.
    """

    worded: NDArray[np.bool_]
    centres: Values
    scales: Values
    ends: Values
    blank: NDArray[np.bool_]
    own: tuple[tuple[int, int], ...]

    @classmethod
    def learn(cls, x: Values, worded: NDArray[np.bool_]) -> Design:
        """Learn middles and spreads from rows: (row, column)."""
        n, d = x.shape
        centres, scales, ends = np.zeros(d), np.ones(d), np.zeros((2, d))
        blank = np.zeros(d, dtype=np.bool_)
        own: list[tuple[int, int]] = []
        for at in range(d):
            known = x[np.isfinite(x[:, at]), at]
            missing = 1 - len(known) / max(n, 1)
            blank[at] = _LEAST_SHARE < missing < 1 - _LEAST_SHARE
            if not len(known):
                continue
            if worded[at]:
                share = np.bincount(known.astype(np.int64))[:_OWN_VALUES] / n
                held = np.flatnonzero((share > _LEAST_SHARE) & (share < 1 - _LEAST_SHARE))
                own += [(at, int(code)) for code in held]
                continue
            least, low, centres[at], high, most = np.quantile(known, [0.01, 0.16, 0.5, 0.84, 0.99])
            spread = (high - low) / 2
            if not spread > 0:
                centres[at], spread = known.mean(), known.std()
            scales[at] = spread if np.isfinite(spread) and spread > 0 else np.inf
            with np.errstate(over="ignore"):
                ends[:, at] = (np.array([least, most]) - centres[at]) / scales[at]
        return cls(worded, centres, scales, np.clip(ends, -_FAR, _FAR), blank, tuple(own))

    def rows(self, x: Values, further: float = 1.0) -> Values:
        """Return the design of rows: (row, design column).

        Parameters
        ----------
        x : (row, column) float64
        further : float
            How much of its way beyond an end a number counts: 0 to 1.
        """
        numeric = np.flatnonzero(~self.worded)
        with np.errstate(over="ignore", invalid="ignore"):
            z = (x[:, numeric] - self.centres[numeric]) / self.scales[numeric]
        missing = np.isnan(x)
        z = np.clip(np.where(np.isnan(z), 0.0, z), -_FAR, _FAR)
        inside = np.clip(z, *self.ends[:, numeric])
        z = inside + further * (z - inside)
        # Hinges let both ends lead elsewhere than the middle.
        parts = [z, np.maximum(z - _HINGE, 0.0), np.maximum(-z - _HINGE, 0.0)]
        parts += [missing[:, self.blank].astype(np.float64)]
        parts += [(x[:, at] == code).astype(np.float64)[:, None] for at, code in self.own]
        return np.concatenate(parts, axis=1)
