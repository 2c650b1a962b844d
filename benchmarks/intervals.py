"""95 % intervals of what was counted: of a share, and of a mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special

LEVEL = 0.95


def wilson(found: int, of: int) -> tuple[float, float]:
    """Return the interval of a share. Source: Wilson (1927).

    Examples
    --------
    >>> low, high = wilson(8, 10)
    >>> round(low, 3), round(high, 3)
    (0.49, 0.943)
    """
    z = float(special.ndtri((1 + LEVEL) / 2))
    share, spread = found / of, z**2 / of
    centre = (share + spread / 2) / (1 + spread)
    reach = z * np.sqrt(share * (1 - share) / of + spread / (4 * of)) / (1 + spread)
    return max(float(centre - reach), 0.0), min(float(centre + reach), 1.0)


def of_mean(values: Sequence[float]) -> tuple[float, float]:
    """Return Student's interval of a mean; as wide as can be for a single value.

    Examples
    --------
    >>> low, high = of_mean([1.0, 2.0, 3.0])
    >>> round(low, 2), round(high, 2)
    (-0.48, 4.48)
    """
    if len(values) < 2:
        return float("-inf"), float("inf")
    held = np.asarray(values, dtype=np.float64)
    reach = special.stdtrit(len(held) - 1, (1 + LEVEL) / 2) * held.std(ddof=1) / np.sqrt(len(held))
    return float(held.mean() - reach), float(held.mean() + reach)
