"""The page of a model's monitors: its budget, what shares it, thresholds, and how to change it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from tidegauge.metrics import find_metric
from tidegauge.metrics.result import Result
from tidegauge.monitor.document import dump_policies
from tidegauge.monitor.judge import ALONE
from tidegauge.monitor.policy import Against, FalseAlarms, Monitor
from tidegauge.report.format import duration, number, plural, share
from tidegauge.report.states import SEVERITY, shown_state
from tidegauge.server.known import Model
from tidegauge.server.pages.verdict import Verdict

_AGAINST = {
    Against.PREVIOUS: "the window before",
    Against.SAME_WEEKDAY: "the window a week earlier",
}


@dataclass(frozen=True)
class Said:
    """One monitor in words.

    Parameters
    ----------
    metric, columns, what, severity : str
    """

    metric: str
    columns: str
    what: str
    severity: str


@dataclass(frozen=True)
class Judged:
    """What was judged together in the newest window: a column, or a metric of the model.

    Parameters
    ----------
    column : str or None
    metrics : tuple of str
    share : float or None
        Of the budget; None where a threshold takes its place.
    state : str
        The worst of its results.
    bounded : bool
        Whether by thresholds alone.
    reason : str
        Why there is too little to tell, if so.
    """

    column: str | None
    metrics: tuple[str, ...]
    share: float | None
    state: str
    bounded: bool
    reason: str = ""


@dataclass(frozen=True)
class MonitorsView:
    """What the page shows.

    Parameters
    ----------
    verdict : Verdict
    said : tuple of Said
    judged : tuple of Judged
        The largest share first.
    text : str
        All of it as YAML, to be edited and applied.
    """

    verdict: Verdict
    said: tuple[Said, ...]
    judged: tuple[Judged, ...]
    text: str


def monitors_view(model: Model, results: Iterable[Result]) -> MonitorsView:
    """Put the page together.

    Parameters
    ----------
    model : Model
    results : iterable of Result
        Of the newest closed window, without segments.
    """
    policies = model.policies
    level = policies.false_alarms.level(model.window)
    about = (
        f"Any window of {duration(model.window.total_seconds())} may have one with a chance of "
        f"{share(level)}, all that is judged taken together. Alarms of thresholds come on top."
    )
    return MonitorsView(
        Verdict("shown", _budget(policies.false_alarms), about),
        tuple(_said(one) for one in policies.monitors),
        tuple(_judged(results, model, level)),
        f"model: {model.name}\n{dump_policies(policies)}",
    )


def _budget(budget: FalseAlarms) -> str:
    """Say the budget in a sentence.

    Examples
    --------
    >>> _budget(FalseAlarms()), _budget(FalseAlarms(0.5, timedelta(days=14)))
    ('1 window with a false alarm is to be expected in 30 days.',
     '1 window with a false alarm is to be expected in 28 days.')
    """
    if budget.count > 1 and float(budget.count).is_integer():
        windows = plural(int(budget.count), "window")
        return f"{windows} with false alarms are to be expected in {_span(budget.per)}."
    return f"1 window with a false alarm is to be expected in {_span(budget.per / budget.count)}."


def _span(span: timedelta) -> str:
    days = span / timedelta(days=1)
    return plural(int(days), "day") if days.is_integer() else duration(span.total_seconds())


def _said(monitor: Monitor) -> Said:
    metric = "drift" if monitor.metric == "*" and monitor.threshold else monitor.metric
    metric = "all metrics" if metric == "*" else metric
    return Said(metric, ", ".join(monitor.columns) or "all", says(monitor), monitor.severity or "")


def says(monitor: Monitor) -> str:
    """Say in words what a monitor changes.

    Examples
    --------
    >>> says(Monitor("psi", weight=2.0, minimum_effect=0.1))
    'twice the usual share of the budget; no alarm below a change of 0.1'
    """
    threshold = monitor.threshold
    if threshold is not None:
        where = ", each segment too" if threshold.segments else ""
        if threshold.evidently:
            return f"Evidently's threshold: alarm above 0.1{where}"
        if threshold.change is not None:
            than = f"more than {share(threshold.change)} from {_AGAINST[threshold.against]}"
            return f"alarm if it differs by {than}{where}"
        sides = (("above", threshold.above), ("below", threshold.below))
        told = " or ".join(f"{name} {number(at)}" for name, at in sides if at is not None)
        return f"alarm {told}{where}"
    parts = []
    if monitor.weight == 0:
        parts.append("not judged")
    elif monitor.weight != 1:
        times = {2.0: "twice", 0.5: "half"}.get(monitor.weight, f"{number(monitor.weight)} times")
        parts.append(f"{times} the usual share of the budget")
    if monitor.minimum_effect is not None:
        parts.append(f"no alarm below a change of {number(monitor.minimum_effect)}")
    return "; ".join(parts) or "judged, with the usual share of the budget"


def _judged(results: Iterable[Result], model: Model, level: float) -> Sequence[Judged]:
    together: dict[tuple[str | None, str, bool], list[Result]] = {}
    for one in _of_one_version(results):
        if one.level is None and shown_state(one) in ("shown", "not_applicable"):
            continue
        by_itself = one.metric if one.column is None else ""
        together.setdefault((one.column, by_itself, _bounded(one, model)), []).append(one)
    found = [_row(column, members, level, kind) for (column, _, kind), members in together.items()]
    return sorted(found, key=lambda row: (-(row.share or 0.0), row.column or "", row.metrics))


def _of_one_version(results: Iterable[Result]) -> list[Result]:
    """Leave the results of the version that most records are of."""
    held = list(results)
    most = max(held, key=lambda one: one.n_current, default=None)
    return [one for one in held if most is not None and one.version == most.version]


def _bounded(one: Result, model: Model) -> bool:
    """Whether a threshold takes the place of the budget."""
    column = model.schema[one.column] if one.column in model.schema.names else None
    monitor = model.policies.of(find_metric(one.metric), column)
    return monitor is not None and monitor.threshold is not None


def _row(column: str | None, members: Sequence[Result], level: float, bounded: bool) -> Judged:
    levels = [one.level for one in members if one.level is not None]
    worst = min((str(one.state) for one in members), key=lambda s: SEVERITY.get(s, len(SEVERITY)))
    return Judged(
        column,
        tuple(sorted(dict.fromkeys(one.metric for one in members))),
        sum(levels) / (ALONE * level) if levels else None,
        worst,
        bounded,
        next((one.reason for one in members if one.reason and worst == "too_few"), ""),
    )
