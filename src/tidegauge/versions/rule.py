"""How sure one wants to be: the level of intervals, the power, and whether one may look often."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from tidegauge.errors import BadInput


@dataclass(frozen=True)
class Rule:
    """How sure one wants to be.

    Parameters
    ----------
    level : float
        Of two-sided intervals. A challenger that is worse by the margin is shipped at most with a
        chance of (1 − level) / 2 at one look.
    power : float
        Chance of "ship" that the number of records asked for shall give two equal versions.
    planned : float or None
        None for one look. Else intervals hold however often one looks, and are tightest at about
        this number of records; to be chosen before looking.

    Examples
    --------
    >>> round(Rule().reach(1000), 3), round(Rule(planned=5000).reach(5000), 2)
    (1.96, 3.04)
    """

    level: float = 0.95
    power: float = 0.8
    planned: float | None = None

    def __post_init__(self) -> None:
        for name, value, low in (("level", self.level, 0.5), ("power", self.power, 0.0)):
            if not low < value < 1:
                raise BadInput(
                    f"{name} {value:g} is not between {low:g} and 1; write 0.95 for 95 %",
                    code="bad_level",
                )
        if self.planned is not None and not 1 <= self.planned < float("inf"):
            raise BadInput(
                f"anytime {self.planned:g} is no number of records; give about how many records "
                "a decision is expected after, such as 5000",
                code="bad_level",
            )

    @property
    def wrong(self) -> float:
        """The chance of a wrong "ship", at most."""
        return (1 - self.level) / 2

    def reach(self, records: float, tests: int = 1) -> float:
        """Return how many standard errors an interval reaches to both sides.

        Looking often: an asymptotic confidence sequence by a normal mixture. Source:
        Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), theorem 2.2.

        Parameters
        ----------
        records : float
            That it rests on.
        tests : int
            Of how many of which any one may be wrong (Bonferroni).
        """
        alpha = (1 - self.level) / max(tests, 1)
        if self.planned is None:
            return -float(special.ndtri(alpha / 2))
        whole = 1 - self.level
        rho = (-2 * np.log(whole) + np.log(-2 * np.log(whole) + 1)) / self.planned
        t = max(records, 1.0) * rho
        return float(np.sqrt(2 * (t + 1) / t * np.log(np.sqrt(t + 1) / alpha)))
