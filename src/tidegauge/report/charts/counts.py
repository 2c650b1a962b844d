"""How many are in alarm, window by window: bars, those that did harm apart from the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidegauge.report.charts.happenings import TimeMark, shades, strips
from tidegauge.report.charts.ink import ink
from tidegauge.report.charts.spec import (
    COUNT,
    WINDOW,
    Spec,
    chart,
    hover,
    lit,
    millis,
    taken,
    time_axis,
)

_TAKEN = {"l": "with_harm", "q": "without_harm", "o": "of", "w": "which"}
_KINDS = ("with harm", "without harm")


@dataclass(frozen=True)
class Count:
    """What is in alarm in one window.

    Parameters
    ----------
    start, end : datetime
    loud, quiet : tuple of str
        Names of those that did harm, and of those that did none.
    total : int
        Of how many.
    """

    start: datetime
    end: datetime
    loud: tuple[str, ...] = ()
    quiet: tuple[str, ...] = ()
    total: int = 0


def alarm_counts(
    counts: Sequence[Count],
    *,
    title: str,
    tone: str = "alarm",
    brush: bool = False,
    height: int = 56,
    marks: Sequence[TimeMark] = (),
) -> Spec:
    """Draw a bar for each window in which anything is in alarm.

    Parameters
    ----------
    counts : sequence of Count
        In order of time.
    title : str
        What is counted ("columns").
    tone : str
        The colour of those that did harm: ``alarm`` or ``warning``.
    brush : bool
        Whether an interval can be drawn with the pointer.
    height : int
        In pixels.
    marks : sequence of TimeMark

    Returns
    -------
    dict
        A Vega-Lite specification.
    """
    rows = [_row(one) for one in counts]
    most = max((row["l"] + row["q"] for row in rows), default=0)
    both = bool(any(row["l"] for row in rows) and any(row["q"] for row in rows))
    fill = {
        "field": "kind",
        "type": "nominal",
        "scale": {"domain": list(_KINDS), "range": [ink(tone), ink("referenceLine")]},
        "legend": {"title": None, "orient": "top", "symbolType": "square"} if both else None,
    }
    y: dict[str, Any] = {
        "field": "bottom",
        "type": "quantitative",
        "scale": {"domain": [0, max(most, 1) * (1.25 if marks else 1)], "nice": False},
        "axis": {"title": title, "tickMinStep": 1, "tickCount": 3, "format": "d"},
    }
    params: list[dict[str, Any]] = [hover()]
    if brush:
        params.append({"name": "brush", "select": {"type": "interval", "encodings": ["x"]}})
    tip = [
        {"field": "window", "title": "window (UTC)"},
        {"field": "l", "title": "with harm", "format": COUNT},
        {"field": "q", "title": "without harm", "format": COUNT},
        {"field": "o", "title": "of", "format": COUNT},
        {"field": "w", "title": "which"},
    ]
    return chart(
        f"Number of {title} in alarm by window, at most {most}",
        height,
        data={"values": rows},
        usermeta=taken(_TAKEN),
        layer=[
            *shades(marks, "incident", rows[-1]["b"] if rows else None, 0, max(most, 1) * 1.25),
            _bars("0", "datum.l", _KINDS[0], y, fill),
            _bars("datum.l", "datum.l + datum.q", _KINDS[1], y, fill),
            {
                "transform": [{"calculate": WINDOW, "as": "window"}],
                "params": params,
                "mark": {"type": "rect", "fill": ink("current")},
                "encoding": {
                    "x": time_axis("a"),
                    "x2": {"field": "b"},
                    "opacity": lit(),
                    "tooltip": tip,
                },
            },
            *strips(marks, rows[-1]["b"] if rows else None),
        ],
    )


def _bars(
    low: str, high: str, kind: str, y: dict[str, Any], fill: dict[str, Any]
) -> dict[str, Any]:
    return {
        "transform": [
            {"calculate": low, "as": "bottom"},
            {"calculate": high, "as": "top"},
            {"calculate": f"'{kind}'", "as": "kind"},
            {"filter": "datum.top > datum.bottom"},
        ],
        "mark": {"type": "rect"},
        "encoding": {
            "x": time_axis("a"),
            "x2": {"field": "b"},
            "y": dict(y),
            "y2": {"field": "top"},
            "fill": fill,
        },
    }


def _row(one: Count) -> dict[str, Any]:
    row: dict[str, Any] = {
        "a": millis(one.start),
        "b": millis(one.end),
        "l": len(one.loud),
        "q": len(one.quiet),
        "o": one.total,
    }
    if one.loud or one.quiet:
        row["w"] = ", ".join((*one.loud, *one.quiet))
    return row
