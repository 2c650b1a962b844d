"""The parts that a change adds up from, as bars with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tidegauge.report.charts.ink import ink
from tidegauge.report.charts.spec import Spec, chart, d3_format, finite, hover, lit, rounded, titled

_ROW = 26
#: Room for the numbers, as a share of what is drawn.
_NUMBERS = 0.3
_SHADES = {"whole": "current", "half": "shade2", "piece": "shade4"}
_TAKEN = {"r": "part", "v": "value", "l": "lower", "u": "upper"}


@dataclass(frozen=True)
class PartRow:
    """One part.

    Parameters
    ----------
    name : str
    value, lower, upper : float
        With its 95 % interval.
    text : str
        The value as it is written.
    kind : str
        ``whole`` for the change itself, ``half`` for what it is split into, ``piece`` for what
        that is split into again.
    """

    name: str
    value: float
    lower: float
    upper: float
    text: str
    kind: str = "piece"


def parts_chart(rows: Sequence[PartRow], *, title: str, unit: str | None, said: str) -> Spec:
    """Draw the parts of a change below one another.

    Parameters
    ----------
    rows : sequence of PartRow
    title : str
        Of what changed.
    unit : str or None
    said : str
        The change in words, for who sees no chart, and for the page to put beside it.

    Returns
    -------
    dict
        A Vega-Lite specification.

    Examples
    --------
    >>> row = PartRow("total", -0.04, -0.05, -0.03, "−0.04 ± 0.01", "whole")
    >>> parts_chart([row], title="roc_auc", unit=None, said="It fell.")["usermeta"]["said"]
    'It fell.'
    """
    values = [
        {
            "r": one.name,
            "v": rounded(one.value),
            "l": rounded(one.lower),
            "u": rounded(one.upper),
            "t": one.text,
            "k": one.kind,
        }
        for one in rows
    ]
    drawn = finite(end for one in rows for end in (one.value, one.lower, one.upper)) or [0.0]
    low, high = min(*drawn, 0.0), max(*drawn, 0.0)
    room = (high - low) or 1.0
    scale = {"domain": [low - 0.04 * room, high + _NUMBERS * room], "nice": False}
    axis: dict[str, Any] = {"title": f"change of {titled(title, unit)}", "tickCount": 6}
    axis |= {"grid": True, "gridColor": ink("grid")}
    axis["format"] = ".3~p" if unit == "share" else ".3~r"
    x = {"field": "v", "type": "quantitative", "scale": scale, "axis": axis}
    y: dict[str, Any] = {
        "field": "r",
        "type": "nominal",
        "sort": None,
        "title": None,
        "axis": {"labelLimit": 150, "ticks": False, "domain": False},
    }
    form = d3_format(unit)
    tip = [
        {"field": "r", "title": "part"},
        {"field": "v", "title": "change", "format": form},
        {"field": "l", "title": "95 % from", "format": form},
        {"field": "u", "title": "95 % to", "format": form},
    ]
    fills = [
        {"test": f"datum.k == '{kind}'", "value": ink(shade)} for kind, shade in _SHADES.items()
    ]
    ends = {"x": {**x, "field": "l"}, "x2": {"field": "u"}, "y": y}
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "bar", "height": {"band": 0.5}},
            "encoding": {
                "x": x,
                "y": y,
                "fill": {"condition": fills, "value": ink("shade4")},
            },
        },
        {"mark": {"type": "rule", "stroke": ink("text"), "strokeWidth": 1.2}, "encoding": ends},
        {
            "mark": {"type": "rule", "stroke": ink("expected"), "strokeWidth": 1},
            "encoding": {"x": {"datum": 0}},
        },
        {
            "transform": [
                {"calculate": "max(datum.u, 0)", "as": "z"},
                {"calculate": "width < 330 ? split(datum.t, ' ')[0] : datum.t", "as": "s"},
            ],
            "mark": {"type": "text", "align": "left", "dx": 8, "fill": ink("text"), "fontSize": 11},
            "encoding": {"x": {**x, "field": "z"}, "y": y, "text": {"field": "s"}},
        },
        {
            "params": [hover()],
            "mark": {"type": "bar", "fill": ink("current"), "height": {"band": 1}},
            "encoding": {
                "x": {"value": 0},
                "x2": {"value": "width"},
                "y": y,
                "opacity": lit(),
                "tooltip": tip,
            },
        },
    ]
    return chart(
        said,
        max(len(rows), 1) * _ROW,
        data={"values": values},
        layer=layers,
        usermeta={"columns": _TAKEN, "times": [], "said": said},
    )
