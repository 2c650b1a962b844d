"""What a metric is, and the list of all there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from functools import cache, cached_property
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.errors import NotFound
from tidegauge.profile import Bins, NumericBins, Profile
from tidegauge.profile.profile import ROWS, Array
from tidegauge.schema import Column, ColumnType, Task

Values = NDArray[np.float64]

#: Modules whose import registers the built-in metrics.
FAMILIES = ("drift", "quality", "performance", "service")


class Family(StrEnum):
    """The question that a metric belongs to."""

    DRIFT = "drift"
    QUALITY = "quality"
    PERFORMANCE = "performance"
    SERVICE = "service"


class Direction(StrEnum):
    """Which values are worse."""

    LOWER_IS_BETTER = "lower_is_better"
    HIGHER_IS_BETTER = "higher_is_better"
    NEITHER = "neither"


class Scale(StrEnum):
    """Where a metric's variation from window to window is nearly symmetric."""

    IDENTITY = "identity"
    LOG = "log"
    ARCSINE = "arcsine"
    LOGIT = "logit"


@dataclass(frozen=True, eq=False)
class View:
    """One profile as seen by one metric: a column's arrays, or those of a whole group.

    A reference has one window, so its arrays broadcast against the current ones.

    Parameters
    ----------
    profile : Profile
    group : str
        A column name, or one of the groups that belong to no column.
    """

    profile: Profile
    group: str

    def __getitem__(self, name: str) -> Array:
        return self.profile.arrays[self.group][name]

    def __contains__(self, name: object) -> bool:
        return self.group in self.profile.arrays and name in self.profile.arrays[self.group]

    @property
    def rows(self) -> Array:
        """Number of records: (window, segment)."""
        return self.profile.arrays[ROWS]["n"]

    @property
    def column(self) -> Column:
        """The schema's entry for the column."""
        return self.profile.layout.schema[self.group]

    @property
    def bins(self) -> Bins:
        """The column's bins."""
        return self.profile.layout.bins[self.group]

    @cached_property
    def present(self) -> Values:
        """Records with a value in a bin: (window, segment) float64."""
        return self["counts"].sum(axis=-1).astype(np.float64)

    @cached_property
    def shares(self) -> Values:
        """Share of each bin: (window, segment, bin); NaN where there is no record."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self["counts"] / self.present[..., None]


Compute = Callable[[View, View], Values]


@dataclass(frozen=True)
class Metric:
    """One statistic, with what is needed to show and to judge it.

    Parameters
    ----------
    name : str
        The field's standard term.
    family : Family
    compute : callable
        ``(current, reference) -> (window, segment) float64``; NaN where it is not defined.
        ``reference`` has one window.
    summary : str
        One sentence for people, with the formula's name.
    group : str
        ``""`` for a metric of single columns, else the array group that it reads.
    types : frozenset of ColumnType
        Column types it applies to (column metrics only).
    tasks : frozenset of Task
        Tasks it applies to; empty for any.
    needs : tuple of str
        Arrays without which it does not apply.
    unit : str
        ``"share"``, ``"column"`` (the column's own unit), ``"s"``, ``"rows"``, ….
    direction : Direction
    scale : Scale
        The scale on which its variation between windows is judged.
    judged : bool
        Whether it is the one that is judged for its question; others are shown.
    minimum_effect : float
        The smallest change that can be an alarm, in the metric's unit, or as a share of what
        is expected where ``relative`` is true.
    relative : bool
    noise : callable, optional
        ``(view) -> (window, segment)``: its sampling variance on ``scale``, if it is known.
    p_value : callable, optional
        ``(current, reference) -> (window, segment)`` under "nothing changed", sampling noise
        alone.
    uses_reference : bool
        Whether ``compute`` reads the reference at all.
    """

    name: str
    family: Family
    compute: Compute = field(repr=False)
    summary: str = ""
    group: str = ""
    types: frozenset[ColumnType] = frozenset()
    tasks: frozenset[Task] = frozenset()
    needs: tuple[str, ...] = ()
    unit: str = ""
    direction: Direction = Direction.LOWER_IS_BETTER
    scale: Scale = Scale.IDENTITY
    judged: bool = False
    minimum_effect: float = 0.0
    relative: bool = False
    noise: Callable[[View], Values] | None = field(default=None, repr=False)
    p_value: Compute | None = field(default=None, repr=False)
    uses_reference: bool = True

    def unit_for(self, column: Column | None) -> str | None:
        """Return the unit of a value, the column's own where the metric is in that."""
        if self.unit != "column":
            return self.unit or None
        return None if column is None else column.unit


_REGISTERED: dict[str, Metric] = {}


def metric(name: str, family: Family, **about: Any) -> Callable[[Compute], Compute]:
    """Register the decorated function as a metric; its first docstring line is the summary.

    Parameters
    ----------
    name : str
    family : Family
    **about
        Further fields of :class:`Metric`.
    """

    def register(compute: Compute) -> Compute:
        summary = (compute.__doc__ or "").strip().splitlines()[0]
        _REGISTERED[name] = Metric(name, family, compute, summary=summary, **about)
        return compute

    return register


@cache
def all_metrics() -> dict[str, Metric]:
    """Return every metric by name, the built-in families first, then those of other packages.

    Examples
    --------
    >>> all_metrics()["psi"].family
    <Family.DRIFT: 'drift'>
    """
    for family in FAMILIES:
        import_module(f"tidegauge.metrics.{family}")
    for point in entry_points(group="tidegauge.metrics"):
        point.load()
    return dict(_REGISTERED)


def find_metric(name: str) -> Metric:
    """Return a metric by name.

    Raises
    ------
    NotFound
        With the nearest name that exists.
    """
    known = all_metrics()
    if name not in known:
        close = get_close_matches(name, known, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise NotFound(f"no metric {name!r}{hint}", code="unknown_metric")
    return known[name]


def is_numeric(view: View) -> bool:
    """Whether a column view has numeric bins."""
    return isinstance(view.bins, NumericBins)
