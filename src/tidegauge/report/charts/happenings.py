"""What happened, as layers of a chart over time: incidents, the baseline, versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidegauge.report.charts.ink import ink
from tidegauge.report.charts.spec import millis, time_axis

#: The colours of incidents' tones, and of the baseline.
_TONES = {"warning": "warning", "quiet": "referenceLine", "baseline": "baseline"}
_FILL = {
    "condition": [
        {"test": f"datum.tone == '{tone}'", "value": ink(name)} for tone, name in _TONES.items()
    ],
    "value": ink("alarm"),
}


@dataclass(frozen=True)
class TimeMark:
    """Something that happened, drawn on a time axis.

    Parameters
    ----------
    kind : str
        ``incident`` (shaded, in the colour of its tone), ``elsewhere`` (an incident of something
        else: only its strip on top), ``baseline`` (a shaded region) or ``version`` (a line, also
        for deployments and baseline changes).
    start : datetime
    end : datetime or None
        ``None`` for a moment, or for what is still going on.
    label : str
        What the hover says.
    href : str or None
        Where a click leads.
    tone : str
        Of an incident: ``alarm``, ``warning`` or, where it did no harm, ``quiet``.
    """

    kind: str
    start: datetime
    end: datetime | None = None
    label: str = ""
    href: str | None = None
    tone: str = "alarm"


def shades(
    marks: Sequence[TimeMark], kind: str, last: int | None, low: float, high: float
) -> list[dict[str, Any]]:
    """Return a layer that shades the time of some marks; none where there are none.

    Parameters
    ----------
    marks : sequence of TimeMark
    kind : str
        Which of them: ``incident`` or ``baseline``.
    last : int or None
        Where what goes on ends, in milliseconds.
    low, high : float
        Between which values.
    """
    rows = [_row(mark, last) for mark in marks if mark.kind == kind]
    if not rows:
        return []
    encoding = {
        "x": time_axis("a"),
        "x2": {"field": "b"},
        "y": {"datum": low},
        "y2": {"datum": high},
        "fill": _FILL,
        "opacity": {"value": 1 if kind == "baseline" else 0.09},
    }
    return [{"data": {"values": rows}, "mark": {"type": "rect"}, "encoding": encoding}]


def strips(marks: Sequence[TimeMark], last: int | None) -> list[dict[str, Any]]:
    """Return layers with incidents as a strip on top, to hover and click, and named versions.

    Parameters
    ----------
    marks : sequence of TimeMark
    last : int or None
        Where what goes on ends, in milliseconds.
    """
    layers: list[dict[str, Any]] = []
    incidents = [_row(mark, last) for mark in marks if mark.kind in ("incident", "elsewhere")]
    if incidents:
        layers.append(
            {
                "data": {"values": incidents},
                "mark": {"type": "rect", "cursor": "pointer"},
                "encoding": {
                    "x": time_axis("a"),
                    "x2": {"field": "b"},
                    "y": {"value": 0},
                    "y2": {"value": 6},
                    "fill": _FILL,
                    "href": {"field": "href"},
                    "tooltip": [{"field": "label", "title": "incident"}],
                },
            }
        )
    moments = [_row(mark, last) for mark in marks if mark.kind == "version"]
    if moments:
        where = {"data": {"values": moments}}
        tip = [{"field": "label", "title": "what happened"}]
        layers.append(
            {
                **where,
                "mark": {"type": "rule", "stroke": ink("expected"), "strokeWidth": 1},
                "encoding": {"x": time_axis("a"), "tooltip": tip},
            }
        )
        layers.append(
            {
                **where,
                "mark": {
                    "type": "text",
                    "align": "left",
                    "baseline": "top",
                    "dx": 4,
                    "dy": 8,
                    "fill": ink("text"),
                    "limit": 110,
                },
                "encoding": {
                    "x": time_axis("a"),
                    "y": {"value": 0},
                    "text": {"field": "label"},
                    "href": {"field": "href"},
                    "tooltip": tip,
                },
            }
        )
    return layers


def _row(mark: TimeMark, last: int | None) -> dict[str, Any]:
    start = millis(mark.start)
    row: dict[str, Any] = {
        "tone": "baseline" if mark.kind == "baseline" else mark.tone,
        "a": start,
        "b": millis(mark.end) if mark.end else max(last or start, start),
        "label": mark.label,
    }
    if mark.href:
        row["href"] = mark.href
    return row
