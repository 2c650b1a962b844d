"""The scales on which a metric's variation from window to window is nearly symmetric."""

from __future__ import annotations

import numpy as np

from tidegauge.metrics.registry import Scale, Values

_SMALL = 1e-9


def forward(scale: Scale, value: Values, n: Values) -> Values:
    """Carry values to a scale.

    Parameters
    ----------
    scale : Scale
    value : float64 array
    n : array that broadcasts against it
        Records that each value rests on; keeps shares of 0 and 1 apart from the ends.

    Examples
    --------
    >>> float(forward(Scale.LOG, np.array(1.0), np.array(10)))
    0.0
    """
    if scale is Scale.LOG:
        return np.log(np.maximum(value, _SMALL))
    if scale is Scale.ARCSINE:
        share = (np.clip(value, 0, 1) * n + 0.375) / (n + 0.75)
        return np.arcsin(np.sqrt(share))
    if scale is Scale.LOGIT:
        share = (np.clip(value, 0, 1) * n + 0.5) / (n + 1.0)
        return np.log(share) - np.log1p(-share)
    return np.asarray(value, dtype=np.float64)


def back(scale: Scale, value: Values, n: Values | float = np.inf) -> Values:
    """Carry values from a scale back to the metric's own unit.

    Parameters
    ----------
    scale : Scale
    value : float64 array
    n : array that broadcasts against it
        Records that the value rests on.

    Examples
    --------
    >>> round(float(back(Scale.ARCSINE, np.array(0.5235987756))), 6)
    0.25
    >>> share, n = np.array(0.01), np.array(50.0)
    >>> round(float(back(Scale.ARCSINE, forward(Scale.ARCSINE, share, n), n)), 6)
    0.01
    """
    if scale is Scale.LOG:
        return np.exp(np.minimum(value, 700.0))
    if scale is Scale.ARCSINE:
        share = np.sin(np.clip(value, 0, np.pi / 2)) ** 2
        return np.clip(share + (0.75 * share - 0.375) / n, 0.0, 1.0)
    if scale is Scale.LOGIT:
        share = 1.0 / (1.0 + np.exp(-np.clip(value, -700, 700)))
        return np.clip(share + (share - 0.5) / n, 0.0, 1.0)
    return value
