"""Traffic made comparable: both versions' records weighted to the mix that both of them serve.

The chance that a record went to the challenger, given its inputs, is fitted by logistic
regression; each record then counts with the chance that it had gone to the other version
(overlap weights). Those are bounded, balance every input's mean exactly, and stand for the
traffic that either version could have got. Source: Li, Morgan and Zaslavsky (2018).

What no logged input tells apart, the time of day or who asked, is not adjusted for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.profile.columns import encode
from tidegauge.profile.values import numbers, rows_of
from tidegauge.schema import Column, ColumnType
from tidegauge.versions.influence import Floats

#: Columns of the design at most, of which those of one input at most.
_MOST, _MOST_VALUES = 120, 12
#: Share of the pooled records that a value needs for a column of its own.
_RARE = 0.005
_RIDGE = 1e-6
_STEPS = 25
#: Share of the traffic that must be common.
LEAST_OVERLAP = 0.05


@dataclass(frozen=True, eq=False)
class Mix:
    """What makes two versions' records comparable.

    Parameters
    ----------
    champion, challenger : (n,) float64
        Weights of each version's records.
    design : (n, p) float64
        Inputs of all records, the champion's first; a constant among them.
    residual : (n,) float64
        Which version a record went to (1 for the challenger), less its chance of that.
    slope : (n,) float64
        Derivative of a record's weight by the linear predictor.
    inverse : (p, p) float64
        Of the information about the coefficients.
    overlap : float
        Share of the traffic that is common: 1 where both got the same mix, 0 where none is.
    apart, before : str, float
        The input that the two differ in most, and by how many standard deviations.
    after : float
        The same, weighted: how far apart the worst input is left.
    """

    champion: Floats
    challenger: Floats
    design: Floats
    residual: Floats
    slope: Floats
    inverse: Floats
    overlap: float
    apart: str
    before: float
    after: float

    def estimated(self, psi: Floats) -> Floats:
        """Return what fitting the chances adds to each record's contribution.

        Parameters
        ----------
        psi : (n,) float64
            Derivative of the statistic by each record's weight.
        """
        derivative = self.design.T @ (self.slope * psi)
        added: Floats = (self.design @ (self.inverse @ derivative)) * self.residual
        return added


def effective(weights: Floats) -> float:
    """Return how many records of equal weight would tell as much: (Σw)² / Σw².

    Examples
    --------
    >>> effective(np.array([1.0, 1.0, 0.0]))
    2.0
    """
    squares = float(weights @ weights)
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def mix_of(champion: pa.Table, challenger: pa.Table, columns: tuple[Column, ...]) -> Mix | None:
    """Fit the chances of records, and weigh them.

    Parameters
    ----------
    champion, challenger : pyarrow.Table
        The inputs of each version's records.
    columns : tuple of Column
        Inputs that both have.

    Returns
    -------
    Mix or None
        None where there is no input to tell the traffic by.
    """
    parts, names = _design(champion, challenger, columns)
    if not parts:
        return None
    n, first = len(champion) + len(challenger), len(champion)
    went = np.zeros(n)
    went[first:] = 1.0
    design = np.column_stack([np.ones(n), *parts])
    chance, inverse = _fit(design, went)
    weights = np.where(went > 0, 1.0 - chance, chance)
    share = len(challenger) / n
    common = (
        float(weights[:first].mean()) / share + float(weights[first:].mean()) / (1.0 - share)
    ) / 2
    gaps = _gaps(design[:, 1:], went, np.ones(n))
    left = _gaps(design[:, 1:], went, weights)
    worst = int(np.argmax(gaps))
    return Mix(
        champion=weights[:first],
        challenger=weights[first:],
        design=design,
        residual=went - chance,
        slope=np.where(went > 0, -1.0, 1.0) * chance * (1.0 - chance),
        inverse=inverse,
        overlap=min(common, 1.0),
        apart=names[worst],
        before=float(gaps[worst]),
        after=float(left.max()),
    )


def _gaps(design: Floats, went: Floats, weights: Floats) -> Floats:
    """Return how far apart both versions' means are, in standard deviations of all records."""
    there, here = weights * went, weights * (1.0 - went)
    spread = design.std(axis=0)
    apart = there @ design / there.sum() - here @ design / here.sum()
    return np.asarray(np.abs(apart) / np.where(spread > 0, spread, 1.0), dtype=np.float64)


def _fit(design: Floats, went: Floats) -> tuple[Floats, Floats]:
    """Return chances and the inverse information, by Newton's steps with a hair of ridge."""
    n, p = design.shape
    share = float(went.mean())
    beta = np.zeros(p)
    beta[0] = np.log(share / (1.0 - share))
    ridge = np.full(p, _RIDGE * n)
    ridge[0] = 0.0
    chance = np.full(n, share)
    information = np.eye(p)
    for _ in range(_STEPS):
        information = (design * (chance * (1.0 - chance))[:, None]).T @ design
        information[np.diag_indices(p)] += ridge + 1e-12 * n
        step = np.linalg.solve(information, design.T @ (went - chance) - ridge * beta)
        # Where inputs tell the versions apart wholly there is no end to the way: short steps.
        beta = beta + step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
        chance = _logistic(design @ beta)
        if float(np.abs(step).max()) < 1e-8:
            break
    return chance, np.asarray(np.linalg.inv(information), dtype=np.float64)


def _logistic(values: Floats) -> Floats:
    held = np.clip(values, -30.0, 30.0)
    return np.asarray(1.0 / (1.0 + np.exp(-held)), dtype=np.float64)


def _design(
    champion: pa.Table, challenger: pa.Table, columns: tuple[Column, ...]
) -> tuple[list[Floats], list[str]]:
    """Return standardised columns of all records, and the input that each is of."""
    parts: list[Floats] = []
    names: list[str] = []
    lean = len(columns) * 4 > _MOST
    for column in columns:
        pieces = [_whole(table, column.name) for table in (champion, challenger)]
        if column.type is ColumnType.NUMERIC:
            values = np.concatenate([numbers(piece)[0] for piece in pieces])
            found = _numeric(values, lean=lean)
        else:
            found = _values(pieces, 2 if lean else _MOST_VALUES)
        for one in found[: max(0, _MOST - len(parts))]:
            spread = float(one.std())
            if spread > 0:
                parts.append((one - float(one.mean())) / spread)
                names.append(column.name)
    return parts, names


def _whole(table: pa.Table, name: str) -> pa.Array:
    column = table[name].combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    return column


def _numeric(values: Floats, *, lean: bool) -> list[Floats]:
    """Return a number's rank, its quarters, and whether it is missing."""
    known = np.isfinite(values)
    if not known.any():
        return []
    middle = float(np.median(values[known]))
    filled = np.where(known, values, middle)
    low, high = np.quantile(values[known], [0.01, 0.99])
    found = [np.clip(filled, low, high) if high > low else filled]
    if not lean:
        edges = np.unique(np.quantile(values[known], [0.25, 0.5, 0.75]))
        found += [(filled > edge).astype(np.float64) for edge in edges]
    if not known.all():
        found.append(known.astype(np.float64))
    return found


def _values(pieces: list[pa.Array], most: int) -> list[Floats]:
    """Return one column of 0 and 1 for each frequent value; the others are the rest."""
    coded: list[tuple[list[str | None], NDArray[np.int64]]] = []
    for piece in pieces:
        encoded = encode(piece)
        words = [*encoded.dictionary.to_pylist(), None]
        coded.append((words, np.asarray(rows_of(encoded, len(words) - 1), dtype=np.int64)))
    total = sum(len(codes) for _, codes in coded)
    counts: dict[str | None, int] = {}
    for words, codes in coded:
        for word, n in zip(words, np.bincount(codes, minlength=len(words)), strict=True):
            counts[word] = counts.get(word, 0) + int(n)
    ranked = sorted(counts, key=lambda word: (-counts[word], str(word)))
    kept = [word for word in ranked if counts[word] >= _RARE * total][:most]
    if len(kept) == len([word for word in ranked if counts[word]]):
        kept = kept[1:]
    return [
        np.concatenate(
            [
                np.array([w == word for w in words], dtype=np.float64)[codes]
                for words, codes in coded
            ]
        )
        for word in kept
    ]
