"""The answer on top of every surface, and what it rests on."""

from __future__ import annotations

from tidegauge.metrics.registry import Family, all_metrics
from tidegauge.metrics.result import Basis, Result, State
from tidegauge.report.data import ReportData


def overall_state(data: ReportData) -> str:
    """Return the one state that answers "is it working?".

    Parameters
    ----------
    data : ReportData

    Returns
    -------
    str
        ``alarm``; ``too_few`` where nothing could be judged; else ``ok``.
    """
    if data.alarms > 0:
        return "alarm"
    judged = [one.headline.state for one in data.columns if one.headline]
    measured = [one for one in data.performance if one.basis is not Basis.ESTIMATED]
    judged += [one.state for one in measured if not was_asked_for(one)]
    return "ok" if State.OK in judged else "too_few"


def of_family(data: ReportData, family: Family) -> list[Result]:
    """Return the model-level results of one family."""
    known = all_metrics()
    return [
        one
        for one in data.performance
        if (known[one.metric].family if one.metric in known else Family.PERFORMANCE) is family
    ]


def was_asked_for(result: Result) -> bool:
    """Whether a result is there only since somebody asked for its metric by name."""
    known = all_metrics().get(result.metric)
    return known is not None and known.asked
