"""What a model's people ask of its alarms: a budget of false ones, and monitors of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from fnmatch import fnmatchcase

from tidegauge.metrics.registry import Family, Metric, all_metrics
from tidegauge.schema import Column, ColumnType

#: The chance of any false alarm in a comparison that has no windows, so no time scale.
SINGLE = 0.05
#: However generous the budget, a window's chance of a false alarm stays below this.
_MOST = 0.5
#: Types of columns for which Evidently has a threshold on drift.
_EVIDENTLY = frozenset({ColumnType.NUMERIC, ColumnType.CATEGORICAL, ColumnType.BOOLEAN})


def fits(name: str, pattern: str) -> bool:
    """Whether a name is the one that is meant; ``*`` stands for anything, all else for itself.

    Examples
    --------
    >>> fits("fare_usd", "fare_*"), fits("fare[usd]", "fare[usd]")
    (True, True)
    """
    plain = pattern.replace("[", "[[]").replace("?", "[?]")
    return fnmatchcase(name, plain)


@dataclass(frozen=True)
class FalseAlarms:
    """How many windows with a false alarm a model may be expected to have.

    Parameters
    ----------
    count : float
        Expected number of windows with any false alarm, greater than 0.
    per : timedelta
        In so much time.

    Examples
    --------
    >>> round(FalseAlarms().level(timedelta(days=1)), 4)
    0.0333
    """

    count: float = 1.0
    per: timedelta = timedelta(days=30)

    def level(self, width: timedelta | None) -> float:
        """Return the chance of any false alarm that one window may have.

        Parameters
        ----------
        width : timedelta or None
            Of a window; ``None`` for a comparison without windows, which may have ``SINGLE``.
        """
        if width is None:
            return SINGLE
        return min(self.count * (width / self.per), _MOST)


class Against(StrEnum):
    """What a relative threshold is held against."""

    PREVIOUS = "previous"
    SAME_WEEKDAY = "same_weekday"


@dataclass(frozen=True)
class Threshold:
    """Bounds that take the place of the budget; these alarms are counted by nobody.

    Give ``above`` or ``below`` or both; or ``change`` with ``against``; or ``evidently``.

    Parameters
    ----------
    above, below : float or None
        In the metric's unit: a value beyond is an alarm.
    change : float or None
        Share of the value held against, such as 0.3: a value that differs by more is an alarm,
        in either direction for a metric without a better one, else only where it is worse.
    against : Against
        The window before, or the one a week earlier.
    evidently : bool
        0.1 on the Wasserstein distance over the reference's standard deviation (numeric columns)
        and on the Jensen–Shannon distance (categorical ones), in place of the budget's question
        whether the column drifted.
    segments : bool
        Whether each segment is held to it too, not only the whole.
    """

    above: float | None = None
    below: float | None = None
    change: float | None = None
    against: Against = Against.PREVIOUS
    evidently: bool = False
    segments: bool = False


@dataclass(frozen=True)
class Monitor:
    """What one or more metrics are watched for, and how.

    Parameters
    ----------
    metric : str
        Name of a metric; may hold ``*``. For a threshold as Evidently has it, ``"*"``.
    columns : tuple of str
        Columns it is about; names may hold ``*``. Empty for all, and the model's own metrics.
    weight : float
        Share of the budget beside the other judged statistics' 1; 0 switches these alarms off.
    minimum_effect : float or None
        The smallest change that can be an alarm, in place of the metric's own.
    threshold : Threshold or None
        In place of the budget.
    severity : str or None
        ``critical``, ``warning`` or ``info``, in place of what the evidence says.
    """

    metric: str
    columns: tuple[str, ...] = ()
    weight: float = 1.0
    minimum_effect: float | None = None
    threshold: Threshold | None = None
    severity: str | None = None

    def covers(self, metric: Metric, column: Column | None) -> bool:
        """Whether a metric of a column (``None``: of the model) is watched by this monitor."""
        if not fits(metric.name, self.metric):
            return False
        if self.threshold is not None and self.threshold.evidently:
            drifts = metric.family is Family.DRIFT
            if not drifts or column is None or column.type not in _EVIDENTLY:
                return False
        if not self.columns:
            return True
        return column is not None and any(fits(column.name, c) for c in self.columns)


@dataclass(frozen=True)
class Policies:
    """A model's budget and monitors; of several monitors that cover a metric, the last counts.

    Parameters
    ----------
    false_alarms : FalseAlarms
    monitors : tuple of Monitor

    Examples
    --------
    >>> from tidegauge.metrics import find_metric
    >>> quiet = Monitor("missing_share", ("note",), weight=0)
    >>> policies = Policies(monitors=(quiet,))
    >>> policies.of(find_metric("missing_share"), None) is None
    True
    """

    false_alarms: FalseAlarms = field(default_factory=FalseAlarms)
    monitors: tuple[Monitor, ...] = ()

    def of(self, metric: Metric, column: Column | None) -> Monitor | None:
        """Return the monitor that says how a metric of a column is watched, if any does."""
        covering = (m for m in reversed(self.monitors) if m.covers(metric, column))
        return next(covering, None)

    def asked(self) -> frozenset[str]:
        """Return the metrics that monitors name; those that are computed only if asked for, then.

        Examples
        --------
        >>> sorted(Policies(monitors=(Monitor("ps*"), Monitor("*"))).asked())
        ['psi']
        """
        named = {one.metric for one in self.monitors} - {"*"}
        return frozenset(n for n in all_metrics() if any(fits(n, p) for p in named))
