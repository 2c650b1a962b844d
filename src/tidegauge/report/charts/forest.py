"""Differences with their intervals, each in its own margins: a forest plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tidegauge.report.charts.ink import ink
from tidegauge.report.charts.spec import Spec, chart, finite, hover, lit, rounded

_ROW = 24
#: Margins that the chart reaches to both sides, at least and at most.
_LEAST, _MOST = 1.5, 4.0
_TAKEN = {
    "r": "metric",
    "d": "difference_in_margins",
    "l": "lower_in_margins",
    "u": "upper_in_margins",
    "t": "told",
}


@dataclass(frozen=True)
class ForestRow:
    """One difference.

    Parameters
    ----------
    name : str
    difference, lower, upper : float
        In margins: 0 is equal, −1 is worse by the margin, what is better is positive.
    state : str
        ``alarm`` beyond the margin, ``unknown`` if the margin lies within the interval, else
        ``ok``.
    gate : bool
        Whether the verdict rests on it: drawn filled.
    told : str
        What the hover says.
    """

    name: str
    difference: float
    lower: float
    upper: float
    state: str
    gate: bool
    told: str


def forest(rows: Sequence[ForestRow], *, worse: str = "worse", better: str = "better") -> Spec:
    """Draw differences with their intervals against zero and the margin.

    Parameters
    ----------
    rows : sequence of ForestRow
        In the order in which they are to stand.
    worse, better : str
        What the two sides are called.

    Returns
    -------
    dict
        A Vega-Lite specification.

    Examples
    --------
    >>> forest([ForestRow("roc_auc", 0.1, -0.4, 0.6, "ok", True, "+0.001")])["height"]
    48
    """
    ends = finite(abs(end) for row in rows for end in (row.lower, row.upper))
    reach = min(max([_LEAST, *(1.1 * end for end in ends)]), _MOST)
    values = [
        {
            "r": row.name,
            "d": rounded(row.difference),
            "l": rounded(row.lower),
            "u": rounded(row.upper),
            "s": row.state if row.gate else "other",
            "g": row.gate,
            "t": row.told,
        }
        for row in rows
    ]
    order = list(dict.fromkeys(row.name for row in rows))
    x: dict[str, Any] = {
        "field": "d",
        "type": "quantitative",
        "scale": {"domain": [-reach, reach], "nice": False},
        "axis": {
            "title": f"← {worse} · margins · {better} →",
            "titleLimit": 320,
            "grid": False,
            "format": "~g",
            "tickCount": 5,
        },
    }
    y = {
        "field": "r",
        "type": "nominal",
        "sort": order,
        "title": None,
        "axis": {"labelLimit": 190, "ticks": False, "domain": False},
    }
    color = {
        "field": "s",
        "type": "nominal",
        "legend": None,
        "scale": {
            "domain": ["ok", "other", "unknown", "alarm"],
            "range": [ink("current"), ink("expected"), ink("unknown"), ink("alarm")],
        },
    }
    # What lies outside is drawn at the edge, as an arrow.
    shape = {
        "field": "k",
        "type": "nominal",
        "legend": None,
        "scale": {
            "domain": ["ok", "other", "unknown", "alarm", "left", "right"],
            "range": ["circle", "circle", "square", "diamond", "triangle-left", "triangle-right"],
        },
    }
    tip = [{"field": "r", "title": "metric"}, {"field": "t", "title": "difference"}]
    return chart(
        "Difference of the versions by metric, with its interval, in margins",
        _ROW * max(len(order), 2),
        data={"values": values},
        usermeta={"columns": _TAKEN},
        layer=[
            _line(0.0, x, "referenceLine", []),
            _line(-1.0, x, "alarm", [4, 3]),
            {
                "transform": [
                    {"calculate": f"clamp(datum.l, {-reach}, {reach})", "as": "a"},
                    {"calculate": f"clamp(datum.u, {-reach}, {reach})", "as": "b"},
                ],
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {
                    "x": {**x, "field": "a"},
                    "x2": {"field": "b"},
                    "y": y,
                    "color": color,
                },
            },
            {
                "transform": [
                    {"calculate": f"clamp(datum.d, {-0.985 * reach}, {0.985 * reach})", "as": "c"},
                    {"calculate": _kind(reach), "as": "k"},
                ],
                "mark": {"type": "point", "size": 52, "strokeWidth": 1.6, "opacity": 1},
                "encoding": {
                    "x": {**x, "field": "c"},
                    "y": y,
                    "color": color,
                    "shape": shape,
                    "fill": {
                        "condition": [
                            {"test": "datum.g && datum.s == 'alarm'", "value": ink("alarm")},
                            {"test": "datum.g && datum.s == 'unknown'", "value": ink("unknown")},
                            {"test": "datum.g", "value": ink("current")},
                        ],
                        "value": ink("paper"),
                    },
                },
            },
            {
                "params": [hover()],
                "transform": [
                    {"calculate": f"{-reach}", "as": "a"},
                    {"calculate": f"{reach}", "as": "b"},
                ],
                "mark": {"type": "bar", "fill": ink("current"), "height": {"band": 0.9}},
                "encoding": {
                    "x": {**x, "field": "a"},
                    "x2": {"field": "b"},
                    "y": y,
                    "opacity": lit(),
                    "tooltip": tip,
                },
            },
        ],
    )


def _kind(reach: float) -> str:
    """Return the expression of the sign that a difference is drawn by."""
    return f"datum.d < {-reach} ? 'left' : datum.d > {reach} ? 'right' : datum.s"


def _line(at: float, x: dict[str, Any], colour: str, dash: list[int]) -> dict[str, Any]:
    return {
        "data": {"values": [{"d": at}]},
        "mark": {"type": "rule", "strokeWidth": 1.25, "strokeDash": dash, "color": ink(colour)},
        "encoding": {"x": x},
    }
