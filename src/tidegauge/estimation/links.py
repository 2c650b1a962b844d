"""Generalised linear steps: a link, ridge regression about an offset, and weighing layers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import special

Values = NDArray[np.float64]

_ROUNDS = 8
_STEP = 3.0
#: How sure a coefficient is thought to be near zero: 1 / variance.
_PRIOR = 20.0
_EDGE = 1e-6


class Link(StrEnum):
    """How a mean follows from a sum of terms."""

    #: Of probabilities.
    LOGIT = "logit"
    #: Of amounts above zero, whose spread grows with them.
    LOG = "log"
    #: Of any numbers, of a spread of about 1.
    IDENTITY = "identity"

    def mean(self, eta: Values) -> Values:
        """Return the mean of each sum."""
        if self is Link.LOGIT:
            out: Values = special.expit(eta)
            return out
        return np.exp(np.clip(eta, -50, 50)) if self is Link.LOG else eta

    def sum(self, mean: Values) -> Values:
        """Return the sum that gives each mean."""
        if self is Link.LOGIT:
            out: Values = special.logit(np.clip(mean, _EDGE, 1 - _EDGE))
            return out
        return np.log(np.maximum(mean, 1e-300)) if self is Link.LOG else mean

    def working(self, target: Values, eta: Values) -> tuple[Values, Values]:
        """Return the residuals on the scale of the sum, and their weights."""
        mean = self.mean(eta)
        if self is Link.LOGIT:
            weight = np.maximum(mean * (1 - mean), _EDGE)
            return (target - mean) / weight, weight
        if self is Link.LOG:
            return target / mean - 1.0, np.ones_like(mean)
        return target - mean, np.ones_like(mean)


def ridge(link: Link, design: Values, target: Values, offset: Values) -> Values:
    """Return coefficients (the constant first) about an offset, drawn to zero.

    Parameters
    ----------
    design : (row, column) float64
        Columns of about spread 1.
    target, offset : (row,) float64
    """
    x = np.concatenate((np.ones((len(design), 1)), design), axis=1)
    prior = np.full(x.shape[1], _PRIOR)
    prior[0] = 1e-3
    held = np.zeros(x.shape[1])
    for _ in range(_ROUNDS):
        residual, weight = link.working(target, offset + x @ held)
        weighed = x * weight[:, None]
        step = np.linalg.solve(x.T @ weighed + np.diag(prior), weighed.T @ residual - prior * held)
        held += np.clip(step, -_STEP, _STEP)
        if np.abs(step).max() < 1e-4 or link is Link.IDENTITY:
            break
    return held


@dataclass(frozen=True, eq=False)
class Weights:
    """How much each layer counts, as held-out rows have it: a constant and a factor a layer."""

    constant: float
    factors: Values

    def applied(self, offset: Values, layers: Values) -> Values:
        """Return the sum of the offset and the weighed layers: layers (row, layer)."""
        out: Values = offset + self.constant + layers @ self.factors
        return out


def weigh(link: Link, layers: Values, target: Values, offset: Values) -> Weights:
    """Find out how much layers, predicted for rows they have not seen, help.

    Each factor is drawn to zero by 1 − 1/t² (James and Stein), so a layer that found nothing adds
    nothing; none is below 0 or above 1.3.
    """
    n, count = layers.shape
    x = np.concatenate((np.ones((n, 1)), layers), axis=1)
    held = np.zeros(count + 1)
    held[1:] = 1.0
    information = np.eye(count + 1)
    for _ in range(_ROUNDS):
        residual, weight = link.working(target, offset + x @ held)
        weighed = x * weight[:, None]
        information = x.T @ weighed + 1e-6 * np.eye(count + 1)
        step = np.linalg.solve(information, weighed.T @ residual)
        held += np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-5:
            break
    residual, weight = link.working(target, offset + x @ held)
    dispersion = float((weight * residual**2).mean())
    error = np.sqrt(np.maximum(np.diag(np.linalg.inv(information)), 0.0) * dispersion)
    with np.errstate(divide="ignore", invalid="ignore"):
        squared = np.where(error > 0, (held / error) ** 2, 0.0)
        kept = np.where(squared > 0, np.maximum(1.0 - 1.0 / squared, 0.0), 0.0)
    factors = np.clip(held[1:] * kept[1:], 0.0, 1.3)
    return Weights(float(held[0] * kept[0]), factors)
