"""A comparison as one offline HTML file."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from tidegauge.metrics.registry import Family
from tidegauge.metrics.result import State
from tidegauge.report.charts import Spec, timeline
from tidegauge.report.data import ReportData
from tidegauge.report.environment import environment
from tidegauge.report.sections.columns import ColumnGroup, column_groups, metric_names
from tidegauge.report.sections.embedded import embedded
from tidegauge.report.sections.fairness import fairness_of
from tidegauge.report.sections.heat import columns_by_window, segment_maps
from tidegauge.report.sections.overall import of_family, overall_state
from tidegauge.report.sections.tables import (
    as_results,
    in_state,
    segment_name,
    segmented,
    whole,
    worst,
)
from tidegauge.report.sections.tracks import tracks, window_count
from tidegauge.report.states import shown_state

#: Model-level metrics drawn over time, and how many windows all of them may have together.
_MOST_TIMELINES = 6
_MOST_POINTS = 1500
_WORST_SEGMENTS = 15


@dataclass(frozen=True)
class OverTime:
    """One model-level metric over windows."""

    metric: str
    spec: Spec


def render_report(data: ReportData) -> str:
    """Draw a comparison as one HTML file that loads nothing from anywhere.

    Parameters
    ----------
    data : ReportData

    Returns
    -------
    str
        A whole document, at most about 1.5 MB for 50 columns.
    """
    performance = of_family(data, Family.PERFORMANCE)
    ranked = performance + [one for one in data.performance if one not in performance]
    alarms = segmented(in_state(data.results, State.ALARM))
    strongest = worst(alarms, _WORST_SEGMENTS, ("segment", "column", "metric"))
    of_whole = whole(data.results)
    groups = column_groups(data, of_whole)
    template = environment().get_template("report/report.html")
    return template.render(
        data=data,
        home="",
        static=None,
        status=overall_state(data),
        groups=groups,
        facts=_facts(groups),
        performance=performance,
        judged=[one for one in ranked if shown_state(one) != "shown"],
        shown=[one for one in ranked if shown_state(one) == "shown"],
        over_time=_over_time(data, of_whole),
        windows=window_count(of_whole) if data.window else 0,
        when=columns_by_window(of_whole) if data.window else None,
        maps=segment_maps(data.results, data.segments),
        worst_segments=as_results(strongest),
        fairness=fairness_of(data),
        segment_name=segment_name,
        results=embedded(data.results, of_whole),
        metrics=metric_names(data),
    )


def _facts(groups: list[ColumnGroup]) -> list[tuple[str, int, str]]:
    """State, how many columns, and where they stand: for the line under the verdict."""
    out: dict[str, tuple[str, int, str]] = {}
    for group in groups:
        _, known, where = out.get(group.state, ("", 0, f"#columns-{group.key}"))
        out[group.state] = (group.state, known + len(group.rows), where)
    return list(out.values())


def _over_time(data: ReportData, of_whole: pa.Table) -> list[OverTime]:
    if not data.window:
        return []
    judged = sorted(data.performance, key=lambda one: shown_state(one) == "shown")
    ranked = list(dict.fromkeys(one.metric for one in judged))
    units = {one.metric: one.unit for one in data.performance}
    found = tracks(of_whole, {("", metric) for metric in ranked})
    guesses = tracks(of_whole, {("", metric) for metric in ranked}, estimated=True)
    made: list[OverTime] = []
    room = _MOST_POINTS
    for metric in ranked[:_MOST_TIMELINES]:
        unit, parts = units[metric], [held.get(("", metric)) for held in (found, guesses)]
        size = sum(len(track.starts) for track in parts if track is not None)
        if not size or (made and room < size):
            continue
        room -= size
        measured, guess = (() if track is None else track.results(unit) for track in parts)
        spec = timeline(measured, title=metric, unit=unit, estimated=guess)
        made.append(OverTime(metric, spec))
    return made
