"""What a metric is, and the list of all there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import StrEnum
from functools import cache, cached_property
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.errors import MissingExtra, NotFound
from tidegauge.profile import Bins, Profile
from tidegauge.profile.profile import ROWS, Array
from tidegauge.profile.sample import by_window
from tidegauge.schema import Column, ColumnType, Role, Schema, Task

Values = NDArray[np.float64]
T = TypeVar("T")

#: Asks for every metric there is.
ALL = "all"

#: Modules whose import registers the built-in metrics.
FAMILIES = (
    "drift",
    "quality",
    "performance",
    "probability",
    "ranking",
    "regression",
    "concept",
    "service",
    "staleness",
    "two_sample",
    "multivariate",
    "embedding",
    "text",
    "fairness",
)


class Family(StrEnum):
    """The question that a metric belongs to."""

    DRIFT = "drift"
    QUALITY = "quality"
    PERFORMANCE = "performance"
    SERVICE = "service"
    STALENESS = "staleness"
    FAIRNESS = "fairness"


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
    over : str
        The segment column whose segments are compared with one another; empty for none.
    """

    profile: Profile
    group: str
    over: str = ""

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

    @property
    def compared(self) -> tuple[slice, tuple[str, ...]]:
        """Where the segments that are compared lie on the segment axis, and their values."""
        for name, first, values in self.profile.layout.segment_groups:
            if name == self.over:
                return slice(first, first + len(values)), values
        return slice(0, 0), ()

    @cached_property
    def present(self) -> Values:
        """Records with a value in a bin: (window, segment) float64."""
        present: Values = self["counts"].sum(axis=-1).astype(np.float64)
        return present

    @cached_property
    def shares(self) -> Values:
        """Share of each bin: (window, segment, bin); NaN where there is no record."""
        with np.errstate(invalid="ignore", divide="ignore"):
            shares: Values = self["counts"] / self.present[..., None]
            return shares

    @cached_property
    def samples(self) -> tuple[pa.Table, ...]:
        """The coordinated sample of each window, all columns; without rows where there is none.

        Not divided by segment: what is read from it is of the whole.
        """
        return by_window(self.profile.sample, self.profile.windows)

    @cached_property
    def _kept(self) -> dict[object, Any]:
        return {}

    def once(self, key: object, make: Callable[[], T]) -> T:
        """Return what ``make`` gives, computed once for this view and key."""
        if key not in self._kept:
            self._kept[key] = make()
        kept: T = self._kept[key]
        return kept


Compute = Callable[[View, View], Values]
Interval = Callable[[View, View], tuple[Values, Values]]


@dataclass(frozen=True, eq=False)
class Linear:
    """Statistics that are linear in the counts of a column's bins, on the scale of judging.

    Parameters
    ----------
    value : (window, segment, part) float64
        NaN where a part is not defined.
    variance : (window, segment, part) float64
        Sampling variance of each.
    parts : tuple of str
        What each part is about, for people.
    """

    value: Values
    variance: Values
    parts: tuple[str, ...]


Decompose = Callable[[View, View], Linear]


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
    roles : frozenset of Role
        Column roles it applies to (column metrics only); empty for any.
    tasks : frozenset of Task
        Tasks it applies to; empty for any.
    needs : tuple of str
        Arrays without which it does not apply.
    unit : str
        ``"share"``, ``"column"`` (the column's own unit), ``"label"`` and ``"label²"`` (the
        label's), ``"s"``, ``"rows"``, ….
    direction : Direction
    scale : Scale
        The scale on which its variation between windows is judged.
    judged : bool
        Whether it is the one that is judged for its question; others are shown.
    minimum_effect : float
        The smallest change that can be an alarm, in the metric's unit, or as a share of what
        is expected where ``relative`` is true.
    relative : bool
    yardstick : callable, optional
        ``(reference) -> (1, segment)``: what ``minimum_effect`` is a share of, where that is
        neither the metric's unit nor what is expected. ``evaluate`` resolves it.
    by_task : mapping of Task to mapping of field to value
        Fields that are different for a task.
    noise : callable, optional
        ``(view) -> (window, segment)``: its sampling variance on ``scale``, if it is known.
    enough : callable, optional
        ``(view) -> (window, segment) bool``: where there is enough to judge it, if that asks for
        more than a number of records.
    p_value : callable, optional
        ``(current, reference) -> (window, segment)`` under "nothing changed", sampling noise
        alone.
    interval : callable, optional
        ``(current, reference) -> (lower, upper)``, each (window, segment): the 95 % interval of
        the value, where it does not follow from ``noise``.
    linear : callable, optional
        ``(current, reference) -> Linear``: the statistics that are judged in its place, on
        ``scale``; by default its own value.
    fewest : int
        Records that a window needs to be judged; the number of records itself needs none.
    weight : float
        Of a judged metric's p-value beside the others of its column.
    pooled : bool
        Whether columns vary alike from window to window in this metric, so that each column's
        variance can be told better from all of them.
    slow : bool
        Whether a judged metric is also tested over several windows, for slow drift.
    uses_reference : bool
        Whether ``compute`` reads the reference at all.
    asked : bool
        Computed only where somebody asks for it by name; then shown, like every metric that is
        not judged.
    requires : str
        The module of an optional part without which it cannot be computed.
    over_segments : bool
        Whether it compares the segments of a segment column with one another: then there is one
        value for each such column, of the whole alone, and views know the column as ``over``.
    reason : callable, optional
        ``(current, reference) -> (window, segment)`` of str or None: what the value cannot say.
    records : callable, optional
        ``(view) -> (window, segment) int64``: the records that the value rests on, where that is
        another number than the group tells.
    """

    name: str
    family: Family
    compute: Compute = field(repr=False)
    summary: str = ""
    group: str = ""
    types: frozenset[ColumnType] = frozenset()
    roles: frozenset[Role] = frozenset()
    tasks: frozenset[Task] = frozenset()
    needs: tuple[str, ...] = ()
    unit: str = ""
    direction: Direction = Direction.LOWER_IS_BETTER
    scale: Scale = Scale.IDENTITY
    judged: bool = False
    minimum_effect: float = 0.0
    relative: bool = False
    yardstick: Callable[[View], Values] | None = field(default=None, repr=False)
    by_task: Mapping[Task, Mapping[str, Any]] = field(
        default_factory=dict, repr=False, compare=False
    )
    noise: Callable[[View], Values] | None = field(default=None, repr=False)
    enough: Callable[[View], NDArray[np.bool_]] | None = field(default=None, repr=False)
    p_value: Compute | None = field(default=None, repr=False)
    interval: Interval | None = field(default=None, repr=False)
    linear: Decompose | None = field(default=None, repr=False)
    fewest: int = 30
    weight: float = 1.0
    pooled: bool = False
    slow: bool = True
    uses_reference: bool = True
    asked: bool = False
    requires: str = ""
    over_segments: bool = False
    reason: Callable[[View, View], NDArray[np.object_]] | None = field(default=None, repr=False)
    records: Callable[[View], NDArray[np.int64]] | None = field(default=None, repr=False)

    def applies_to(self, column: Column | None, task: Task | None) -> bool:
        """Whether it is a metric of such a column (``None``: of the model) and task.

        One over segments applies to any column by which a model is divided; which ones these are,
        the layout of a profile says.
        """
        if self.tasks and task not in self.tasks:
            return False
        if self.over_segments:
            return column is not None
        if column is None or self.group:
            return column is None and bool(self.group)
        return column.type in self.types and (not self.roles or column.role in self.roles)

    def within(self, schema: Schema) -> Metric:
        """Return the metric as it is for one model: its task's fields, its label's unit.

        Examples
        --------
        >>> from tidegauge.schema import Column, ColumnType, Role, Schema, Task
        >>> minutes = Column("delay", ColumnType.NUMERIC, Role.LABEL, unit="min")
        >>> all_metrics()["mse"].within(Schema((minutes,), Task.REGRESSION)).unit
        'min²'
        """
        changes = {} if schema.task is None else dict(self.by_task.get(schema.task, {}))
        unit = changes.get("unit", self.unit)
        if unit in ("label", "label²"):
            label = schema.role(Role.LABEL)
            own = label.unit if label is not None else None
            changes["unit"] = own + unit.removeprefix("label") if own else ""
        return replace(self, **changes) if changes else self

    def check(self) -> None:
        """Make sure that what the metric needs is installed.

        Raises
        ------
        MissingExtra
            With the command that installs it.
        """
        if self.requires and find_spec(self.requires) is None:
            raise MissingExtra(
                f"metric {self.name!r} needs scikit-learn: pip install 'tidegauge[multivariate]'"
            )

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
        close = get_close_matches(name.casefold(), known, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise NotFound(
            f"no metric {name!r}{hint}; docs/metrics.md lists all", code="unknown_metric"
        )
    return known[name]


def selected(names: str | Iterable[str] = ()) -> list[Metric]:
    """Return the metrics that are always computed, and those asked for by name.

    Parameters
    ----------
    names : str or iterable of str
        ``"all"`` asks for every metric.

    Raises
    ------
    NotFound
        With the nearest name that exists.
    MissingExtra
        If what one of them needs is not installed.

    Examples
    --------
    >>> len(selected("mmd")) - len(selected())
    1
    """
    wanted = [names] if isinstance(names, str) else list(names)
    found = {find_metric(name).name for name in wanted if name != ALL}
    metrics = [
        one for one in all_metrics().values() if not one.asked or ALL in wanted or one.name in found
    ]
    for one in metrics:
        one.check()
    return metrics
