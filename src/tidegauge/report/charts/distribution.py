"""Two distributions drawn over each other."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import isfinite
from typing import Any

from tidegauge.profile.layout import OTHER
from tidegauge.report.charts.ink import ink
from tidegauge.report.charts.spec import (
    MOMENT,
    NUMBER,
    SHARE,
    Spec,
    chart,
    hover,
    lit,
    rounded,
    titled,
)
from tidegauge.report.data import Histogram

_MOST_LABELS = 14
_ROW = 26


@dataclass(frozen=True)
class Heights:
    """What is drawn for each bin: shares, or densities where bins are not of one width."""

    reference: tuple[float, ...]
    current: tuple[float, ...]
    dense: bool

    @property
    def top(self) -> float:
        """The greatest of all."""
        return max((*self.reference, *self.current), default=0.0)


def heights(histogram: Histogram) -> Heights:
    """Return how high each bin of a histogram stands.

    Examples
    --------
    >>> heights(Histogram((0.0, 1.0, 3.0), (), (0.5, 0.5), (0.2, 0.8))).current
    (0.2, 0.4)
    """
    reference = tuple(x if isfinite(x) else 0.0 for x in histogram.reference)
    current = tuple(x if isfinite(x) else 0.0 for x in histogram.current)
    widths = [b - a for a, b in zip(histogram.edges, histogram.edges[1:], strict=False)]
    if not widths or max(widths) - min(widths) <= 1e-6 * max(widths) or min(widths) <= 0:
        return Heights(reference, current, dense=False)
    return Heights(
        tuple(x / width for x, width in zip(reference, widths, strict=False)),
        tuple(x / width for x, width in zip(current, widths, strict=False)),
        dense=True,
    )


def merged(histogram: Histogram, most: int = _MOST_LABELS) -> Histogram:
    """Return a categorical histogram of its largest values and one for the others.

    Parameters
    ----------
    histogram : Histogram
        With labels; the order of those kept stays.
    most : int
        How many bars at most, the one for the others included.

    Examples
    --------
    >>> merged(Histogram((), ("a", "b", "c"), (0.6, 0.3, 0.1), (0.6, 0.1, 0.3)), most=2).labels
    ('a', '(other): 2 values')
    """
    if len(histogram.labels) <= most:
        return histogram
    labels = histogram.labels
    sizes = [max(r, c) for r, c in zip(histogram.reference, histogram.current, strict=True)]
    named = [at for at in range(len(labels)) if labels[at] != OTHER]
    kept = sorted(sorted(named, key=lambda at: -sizes[at])[: most - 1])
    rest = [at for at in range(len(labels)) if at not in kept]
    name = OTHER if OTHER in labels else f"{OTHER}: {len(rest)} values"
    return Histogram(
        (),
        (*(labels[at] for at in kept), name),
        (*(histogram.reference[at] for at in kept), sum(histogram.reference[at] for at in rest)),
        (*(histogram.current[at] for at in kept), sum(histogram.current[at] for at in rest)),
    )


def distribution(
    histogram: Histogram,
    *,
    name: str,
    unit: str | None = None,
    alarm: bool = False,
    dates: bool = False,
    sides: tuple[str, str] = ("reference", "current"),
) -> Spec:
    """Draw the current distribution over the reference's.

    Parameters
    ----------
    histogram : Histogram
    name : str
        Of the column: the axis title.
    unit : str or None
    alarm : bool
        Whether the current side is drawn in the colour of an alarm.
    dates : bool
        Whether edges are seconds since 1970.
    sides : (str, str)
        What the two are called.

    Returns
    -------
    dict
        A Vega-Lite specification.
    """
    spec = (
        _bars(histogram, name, alarm, sides)
        if histogram.labels
        else _steps(histogram, name, unit, alarm, dates, sides)
    )
    spec["usermeta"] = _taken(histogram, sides, dates)
    spec["description"] = f"Distribution of {name}: {sides[1]} over {sides[0]}"
    return spec


def _taken(histogram: Histogram, sides: tuple[str, str], dates: bool) -> dict[str, Any]:
    """Say how the rows are called by whoever takes them along."""
    if histogram.labels:
        return {"columns": {"v": "value", "r": sides[0], "c": sides[1]}}
    columns = {"a": "from", "b": "to", "r": sides[0], "c": sides[1]}
    return {"columns": columns, "whole": "b", "times": ["a", "b"] if dates else []}


def _color(sides: tuple[str, str], alarm: bool) -> dict[str, Any]:
    return {
        "field": "side",
        "type": "nominal",
        "title": None,
        "scale": {
            "domain": list(sides),
            "range": [ink("reference"), ink("alarm" if alarm else "current")],
        },
        "legend": {"orient": "top", "direction": "horizontal", "symbolType": "square", "offset": 4},
    }


def _named(side: str) -> list[dict[str, Any]]:
    """Say which side a layer draws, so that the legend can."""
    return [{"calculate": json.dumps(side), "as": "side"}]


def _steps(
    histogram: Histogram,
    name: str,
    unit: str | None,
    alarm: bool,
    dates: bool,
    sides: tuple[str, str],
) -> Spec:
    drawn = heights(histogram)
    factor = 1000.0 if dates else 1.0
    rows: list[dict[str, Any]] = [
        {
            "a": rounded(left * factor, 13 if dates else 6),
            "b": rounded(right * factor, 13 if dates else 6),
            "r": rounded(histogram.reference[at]),
            "c": rounded(histogram.current[at]),
        }
        for at, (left, right) in enumerate(zip(histogram.edges, histogram.edges[1:], strict=False))
    ]
    if drawn.dense:
        for at, row in enumerate(rows):
            row["x"], row["y"] = rounded(drawn.reference[at]), rounded(drawn.current[at])
    reference, current = ("x", "y") if drawn.dense else ("r", "c")
    if rows:
        last = rows[-1]
        rows.append({"a": last["b"], reference: last[reference], current: last[current]})
    title = "density" if drawn.dense else "share of values"
    axis: dict[str, Any] = {"title": titled(name, unit), "grid": False}
    x: dict[str, Any] = {"field": "a", "type": "quantitative", "axis": axis}
    x["scale"] = {"zero": False, "nice": False}
    span = f"format(datum.a, '{NUMBER}') + ' – ' + format(datum.b, '{NUMBER}')"
    if dates:
        x |= {"type": "temporal", "scale": {"type": "utc"}}
        axis["title"] = f"{name} (UTC)"
        span = f"{MOMENT.format('datum.a')} + ' – ' + {MOMENT.format('datum.b')}"
    axis_y = {"title": title} if drawn.dense else {"title": title, "format": ".2~p"}
    tip = [
        {"field": "span", "title": titled(name, unit)},
        {"field": "r", "format": SHARE, "title": sides[0]},
        {"field": "c", "format": SHARE, "title": sides[1]},
        {"field": "gap", "format": "+.3~p", "title": "change"},
    ]
    return chart(
        "",
        200,
        data={"values": rows},
        encoding={"x": x},
        layer=[
            {
                "transform": _named(sides[0]),
                "mark": {"type": "area", "interpolate": "step-after"},
                "encoding": {
                    "y": {"field": reference, "type": "quantitative", "axis": axis_y},
                    "color": _color(sides, alarm),
                },
            },
            {
                "transform": _named(sides[1]),
                "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 1.75},
                "encoding": {
                    "y": {"field": current, "type": "quantitative"},
                    "color": _color(sides, alarm),
                },
            },
            {
                "transform": [
                    {"filter": "isValid(datum.b)"},
                    {"calculate": span, "as": "span"},
                    {"calculate": "datum.c - datum.r", "as": "gap"},
                ],
                "params": [hover()],
                "mark": {"type": "rect", "fill": ink("current")},
                "encoding": {
                    "x2": {"field": "b"},
                    "opacity": lit(),
                    "tooltip": tip,
                },
            },
        ],
    )


def _bars(histogram: Histogram, name: str, alarm: bool, sides: tuple[str, str]) -> Spec:
    shown = merged(histogram)
    rows = [
        {"v": label, "r": rounded(r), "c": rounded(c)}
        for label, r, c in zip(shown.labels, shown.reference, shown.current, strict=True)
    ]
    y = {
        "field": "v",
        "type": "nominal",
        "sort": None,
        "title": name,
        "axis": {"labelLimit": 130, "ticks": False, "domain": False},
    }
    share: dict[str, Any] = {
        "field": "r",
        "type": "quantitative",
        "axis": {"title": "share of values", "format": ".2~p"},
    }
    tip = [
        {"field": "v", "title": name},
        {"field": "r", "format": SHARE, "title": sides[0]},
        {"field": "c", "format": SHARE, "title": sides[1]},
        {"field": "gap", "format": "+.3~p", "title": "change"},
    ]
    return chart(
        "",
        _ROW * max(len(rows), 2),
        data={"values": rows},
        encoding={"y": y},
        layer=[
            {
                "transform": _named(sides[0]),
                "mark": {"type": "bar", "height": {"band": 0.86}},
                "encoding": {
                    "x": share,
                    "color": _color(sides, alarm),
                },
            },
            {
                "transform": _named(sides[1]),
                "mark": {"type": "bar", "height": {"band": 0.34}},
                "encoding": {
                    "x": {"field": "c", "type": "quantitative"},
                    "color": _color(sides, alarm),
                },
            },
            {
                "transform": [{"calculate": "datum.c - datum.r", "as": "gap"}],
                "params": [hover()],
                "mark": {"type": "rect", "fill": ink("current")},
                "encoding": {"opacity": lit(), "tooltip": tip},
            },
        ],
    )
