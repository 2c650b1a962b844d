"""How far a window's calibration curve lies from the baseline's: by its inputs, by its labels.

All in logits. What sampled rows lead the relation to expect moves the curve group by group of
scores; labels that are known already shift and tilt it as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Values = NDArray[np.float64]

#: Sampled rows that a group is drawn to its whole with, where not all records are in the sample.
_DRAWN = 5.0
_HARDLY = 0.5
#: No curve is moved, and no shift thought possible, beyond this.
_FAR = 4.0
_EDGE = 1e-6


def sigma(x: Values) -> Values:
    """Return the logistic function."""
    out: Values = special.expit(x)
    return out


def logit(p: Values) -> Values:
    """Return logits, held at about ±14."""
    out: Values = special.logit(np.clip(p, _EDGE, 1 - _EDGE))
    return out


@dataclass(frozen=True, eq=False)
class Moves:
    """How far each group of scores is moved by what the relation expects of sampled rows.

    The axes are (window, segment, part, said, group); part 0 is of records without a label, 1 of
    those with one.

    Parameters
    ----------
    by_fold : (fold, …) float64
    noise : (…) float64
        Variance, where not all records are in the sample.
    """

    by_fold: Values
    noise: Values

    @property
    def mean(self) -> Values:
        """The moves themselves."""
        mean: Values = self.by_fold.mean(axis=0)
        return mean


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over the sampled rows of each (window, segment, part, said, group).

    Parameters
    ----------
    n : (…) float64
    usual : (…) float64
        Of what the baseline's curve says.
    expected : (fold, …) float64
        Of what the relation expects.
    gaps, squares : (…) float64
        Of the differences of the two.
    """

    n: Values
    usual: Values
    expected: Values
    gaps: Values
    squares: Values


def moved(sums: Sums, population: Values) -> Moves:
    """Return the moves: each group drawn to its segment, that to the window, that to none.

    Parameters
    ----------
    sums : Sums
    population : (window, segment, part, said, group) float64
        All records, sampled or not.
    """
    inner = (3, 4)
    n, usual, expected = sums.n, sums.usual, sums.expected
    drawn = _draw(n, population)
    none = np.zeros((len(expected), *n.shape[:1], 1, 1, 1, 1))

    def over(values: Values, axes: tuple[int, ...], whole: bool) -> Values:
        held = values[..., :1, :, :, :] if whole else values
        out: Values = held.sum(axis=tuple(axis - 5 for axis in axes), keepdims=True)
        return out

    parent = none
    for axes, whole in (((2, 3, 4), True), (inner, True), (inner, False)):
        parts = [over(v, axes, whole) for v in (n, usual, population)]
        parent = _towards(
            over(expected, axes, whole), parts[1], parts[0], parent, _draw(parts[0], parts[2])
        )
    by_fold = _towards(expected, usual, n, parent, drawn)
    cell = [over(v, inner, False) for v in (n, sums.gaps, sums.squares)]
    with np.errstate(all="ignore"):
        spread = np.nan_to_num(np.maximum(cell[2] / cell[0] - (cell[1] / cell[0]) ** 2, 0.0))
        rate = np.where(n > 0, usual / n, 0.5)
        left = 1.0 - np.minimum(np.where(population > 0, n / population, 1.0), 1.0)
    noise = spread / (n + drawn) * left / np.maximum(rate * (1 - rate), 0.02) ** 2
    return Moves(by_fold, np.minimum(noise, _FAR))


def _draw(n: Values, population: Values) -> Values:
    with np.errstate(all="ignore"):
        share = np.where(population > 0, np.minimum(n / population, 1.0), 0.0)
    return _DRAWN * (1.0 - share) + _HARDLY


def _towards(expected: Values, usual: Values, n: Values, parent: Values, drawn: Values) -> Values:
    """Return the logit of the mean expectation less that of the usual one, drawn to a parent."""
    with np.errstate(all="ignore"):
        rate = np.where(n > 0, usual / n, 0.5)
    at = logit(rate)
    prior = sigma(at + parent)
    out: Values = np.clip(logit((expected + drawn * prior) / (n + drawn)) - at, -_FAR, _FAR)
    return out


@dataclass(frozen=True, eq=False)
class Level:
    """What labels that are known tell of a whole curve: its shift and its tilt.

    Parameters
    ----------
    mean : (window, segment, 2) float64
    root : (window, segment, 2, 2) float64
        Cholesky factor of the covariance.
    """

    mean: Values
    root: Values


def gradient_of(eta: Values, tilt: Values, n: Values, hits: Values) -> tuple[Values, Values]:
    """Return gradient (window, segment, 2) and information (…, 2, 2) of shift and tilt.

    Parameters
    ----------
    eta : (window, segment, said, bin) float64
        Logits of the curve.
    tilt : (window, segment, bin) float64
        What a unit of tilt adds to them.
    n, hits : (window, segment, said, bin) float64
        Labelled records, and those of the positive class.
    """
    p = sigma(eta)
    left = (hits - n * p).sum(axis=2)
    weight = (n * p * (1 - p)).sum(axis=2)
    gradient = np.stack((left.sum(axis=-1), (left * tilt).sum(axis=-1)), axis=-1)
    plain, mixed = weight.sum(axis=-1), (weight * tilt).sum(axis=-1)
    square = (weight * tilt**2).sum(axis=-1)
    rows = np.stack((np.stack((plain, mixed), -1), np.stack((mixed, square), -1)), axis=-2)
    return gradient, rows


def level_of(eta: Values, tilt: Values, n: Values, hits: Values, wobble: Values) -> Level:
    """Return shift and tilt after the labels that are known.

    Before them, both are thought to vary as they did between the baseline's windows (``wobble``,
    the two variances). Labels that contradict this widen it to what they ask for (empirical
    Bayes), so few labels move little and many move all the way.
    """
    gradient, information = gradient_of(eta, tilt, n, hits)
    inverse = np.linalg.inv(information + 1e-9 * np.eye(2))
    hat = np.einsum("wsij,wsj->wsi", inverse, gradient)
    surplus = hat**2 - np.einsum("wsii->wsi", inverse)
    some = information[..., 0, 0, None] > 1.0
    variance = np.where(some, np.maximum(surplus, wobble), wobble)
    prior = 1.0 / np.clip(variance, 1e-8, _FAR)
    mean = np.zeros_like(gradient)
    for _ in range(4):
        about = eta + (mean[..., :1] + mean[..., 1:] * tilt)[:, :, None]
        gradient, information = gradient_of(about, tilt, n, hits)
        covariance = np.linalg.inv(information + prior[..., None] * np.eye(2))
        step = np.einsum("wsij,wsj->wsi", covariance, gradient - mean * prior)
        mean = np.clip(mean + np.clip(step, -1.0, 1.0), -_FAR, _FAR)
    root = np.linalg.cholesky(covariance + 1e-14 * np.eye(2)).astype(np.float64)
    return Level(mean, root)


def wobble_of(eta: Values, tilt: Values, n: Values, hits: Values) -> Values:
    """Return the variances of shift and tilt between windows, beyond chance: (2,).

    Of the windows' wholes; see ``between``.
    """
    gradient, information = gradient_of(eta[:, :1], tilt[:, :1], n[:, :1], hits[:, :1])
    enough = np.flatnonzero(information[:, 0, 0, 0] > 5.0)
    inverse = np.linalg.inv(information[enough, 0] + 1e-9 * np.eye(2))
    hat = np.einsum("wij,wj->wi", inverse, gradient[enough, 0])
    return np.minimum(between(hat, np.einsum("wii->wi", inverse)), 1.0)


def between(values: Values, noise: Values) -> Values:
    """Return the variance of values between windows beyond their sampling noise: (part,).

    By moments (DerSimonian and Laird, 1986), drawn to 0 the more it could be chance: by
    1 − 1/t², t being the excess in standard errors. 0 with fewer than five windows.

    Parameters
    ----------
    values, noise : (window, part) float64

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> values = rng.normal(scale=[[2.0, 1.0]], size=(400, 2))
    >>> [bool(v > 2.5) for v in between(values, np.ones((400, 2)))]
    [True, False]
    """
    freedom = len(values) - 1
    if freedom < 4:
        return np.zeros(values.shape[1])
    weight = 1.0 / noise
    middle = (weight * values).sum(axis=0) / weight.sum(axis=0)
    excess = np.maximum((weight * (values - middle) ** 2).sum(axis=0) - freedom, 0.0)
    scale = weight.sum(axis=0) - (weight**2).sum(axis=0) / weight.sum(axis=0)
    t = np.maximum(excess**2 / (2 * freedom), 1e-12)
    out: Values = excess / scale * np.maximum(1.0 - 1.0 / t, 0.0)
    return out
