"""The calibration curve: what happened at each score, smooth, monotone, and drawn to a line.

Learnt from few numbers a bin, so rows and profiles give the same curve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Values = NDArray[np.float64]

#: Groups of about equal weight that a curve is made of.
GROUPS = 40
_EDGE = 1e-6
_ROUNDS = 25


def logits(shares: Values) -> Values:
    """Return logits, those of 0 and 1 held at about ±14."""
    out: Values = special.logit(np.clip(shares, _EDGE, 1 - _EDGE))
    return out


@dataclass(frozen=True, eq=False)
class Calibration:
    """The probability of the class at each score.

    Parameters
    ----------
    knots : (knot,) float64, increasing
        Logits of scores.
    values : (knot,) float64, monotone
        Logits of the probability there.
    slope : float
        Of the line that the curve goes on with beyond the baseline's scores, half as steep.
    """

    knots: Values
    values: Values
    slope: float

    @classmethod
    def constant(cls, share: float) -> Calibration:
        """Return the curve of a class without a score: its share, whatever the score.

        Examples
        --------
        >>> Calibration.constant(0.25)(np.array([0.0, 0.9])).tolist()
        [0.25, 0.25]
        """
        return cls(np.zeros(1), logits(np.array([share])), 0.0)

    @classmethod
    def learn(cls, scores: Values, n: Values, hits: Values) -> Calibration:
        """Learn from bins of scores.

        A line in logits (Platt, 1999) comes first. About forty groups of scores are drawn to it,
        the more the less they vary about it beyond chance (beta-binomial, by moments), and made
        monotone by pooling adjacent violators.

        Parameters
        ----------
        scores : (bin,) float64, increasing
            Mean score of each.
        n, hits : (bin,) float64
            Labelled records, and those of the class.
        """
        held = n > 0
        z, n, hits = logits(scores[held]), n[held].astype(float), hits[held].astype(float)
        if not len(z):
            return cls(np.zeros(1), np.zeros(1), 1.0)
        start, slope = _line(z, n, hits)
        group = np.minimum((np.cumsum(n) - n / 2) / n.sum() * GROUPS, GROUPS - 1).astype(np.int64)
        _, group = np.unique(group, return_inverse=True)
        total: Values = np.bincount(group, n).astype(np.float64)
        knots = np.bincount(group, n * z) / total
        seen: Values = np.bincount(group, hits).astype(np.float64)
        line: Values = np.bincount(group, n * special.expit(start + slope * z)) / total
        drawn = _strength(total, seen, line)
        share = (seen + drawn * line) / (total + drawn) if np.isfinite(drawn) else line
        sign = 1.0 if slope >= 0 else -1.0
        values = sign * _monotone(sign * logits(share), total)
        return cls(knots, values, slope)

    def __call__(self, scores: Values) -> Values:
        """Return the probability of the class at each score, of any shape."""
        out: Values = special.expit(self.logit(scores))
        return out

    def logit(self, scores: Values) -> Values:
        """Return the logit of the probability at each score."""
        z = logits(scores)
        beyond = z - np.clip(z, self.knots[0], self.knots[-1])
        out: Values = np.interp(z, self.knots, self.values) + beyond * self.slope / 2
        return out


def _line(z: Values, n: Values, hits: Values) -> tuple[float, float]:
    """Logistic regression on one logit, drawn a little to the line of a right score."""
    x = np.stack((np.ones_like(z), z), axis=1)
    held = np.array([0.0, 1.0])
    right, prior = held.copy(), np.diag([0.01, 0.1])
    for _ in range(_ROUNDS):
        p = special.expit(x @ held)
        weighed = x * (n * p * (1 - p))[:, None]
        gradient = x.T @ (hits - n * p) - prior @ (held - right)
        step = np.linalg.solve(x.T @ weighed + prior, gradient)
        held = held + np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-8:
            break
    return float(held[0]), float(held[1])


def _strength(total: Values, seen: Values, line: Values) -> float:
    """How many records the line is worth against a group's own, by moments; ∞ if all chance."""
    spread = np.maximum(line * (1 - line), _EDGE)
    excess = ((seen - total * line) ** 2 / (total * spread) - 1.0).sum() + min(2, len(total))
    if excess <= 0:
        return float("inf")
    return float(np.clip((total - 1).sum() / excess - 1, 1.0, 1e9))


def _monotone(values: Values, weights: Values) -> Values:
    """Pool adjacent violators: the nearest rising sequence."""
    means: list[float] = []
    held: list[float] = []
    sizes: list[int] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        mean, mass, size = value, weight, 1
        while means and means[-1] > mean:
            last, heavy, many = means.pop(), held.pop(), sizes.pop()
            mean = (mean * mass + last * heavy) / (mass + heavy)
            mass, size = mass + heavy, size + many
        means.append(mean)
        held.append(mass)
        sizes.append(size)
    return np.repeat(means, sizes)
