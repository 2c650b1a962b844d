"""What every Vega-Lite specification begins with, and how its values are written."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from tidegauge.report.charts.ink import INK
from tidegauge.report.format import as_utc

#: A Vega-Lite specification.
Spec = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"

#: d3 formats for tooltips; the page's locale has thin spaces.
NUMBER, SHARE, COUNT = ",.3~r", ".3~p", ",d"

#: Expression of a moment in a tooltip.
MOMENT = "utcFormat({0}, '%-d %b %Y, %H:%M')"
#: Expression of a row's window, ``a`` to ``b``.
WINDOW = f"{MOMENT.format('datum.a')} + ' – ' + {MOMENT.format('datum.b')}"


def chart(description: str, height: int, **content: Any) -> Spec:
    """Return a specification as wide as its place.

    Parameters
    ----------
    description : str
        What a person who cannot see the chart is told.
    height : int
        Of the plotting area, in pixels.
    **content
        ``data``, ``layer``, …
    """
    params = [{"name": "ink", "value": dict(INK)}, *content.pop("params", [])]
    return {
        "$schema": SCHEMA,
        "description": description,
        "width": "container",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "params": params,
        **content,
    }


def rounded(value: float | None, digits: int = 5) -> float | None:
    """Return a value with so many significant digits; ``None`` for what is not finite.

    Examples
    --------
    >>> rounded(0.123456789), rounded(float("nan"))
    (0.12346, None)
    """
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}")


def millis(moment: datetime) -> int:
    """Return milliseconds since 1970 in UTC, as Vega counts time."""
    return round(as_utc(moment).timestamp() * 1000)


def finite(values: Iterable[float | None]) -> list[float]:
    """Return the values that can be drawn."""
    return [value for value in values if value is not None and math.isfinite(value)]


def d3_format(unit: str | None) -> str:
    """Return the d3 format of a value in a unit."""
    if unit == "share":
        return SHARE
    return COUNT if unit == "rows" else NUMBER


def titled(name: str, unit: str | None) -> str:
    """Return an axis title with its unit.

    Examples
    --------
    >>> titled("temp", "°F"), titled("missing_share", "share")
    ('temp (°F)', 'missing_share (%)')
    """
    if not unit:
        return name
    return f"{name} ({'%' if unit == 'share' else unit})"


def hover() -> dict[str, Any]:
    """Return the parameter that holds what is under the pointer."""
    return {
        "name": "hover",
        "select": {"type": "point", "on": "pointerover", "clear": "pointerout"},
    }


def lit(opacity: float = 0.08) -> dict[str, Any]:
    """Return an opacity channel that shows only what is under the pointer."""
    return {"condition": {"param": "hover", "empty": False, "value": opacity}, "value": 0}


#: How the keys of a row of a window are called by whoever takes it along.
WINDOW_KEYS = {"a": "window_start", "b": "window_end"}


def taken(columns: dict[str, str]) -> dict[str, Any]:
    """Return what a specification says of its rows: their columns' names, a window first."""
    return {"columns": {**WINDOW_KEYS, **columns}, "times": list(WINDOW_KEYS)}


def time_axis(field: str) -> dict[str, Any]:
    """Return the horizontal channel of milliseconds in UTC."""
    return {
        "field": field,
        "type": "temporal",
        "scale": {"type": "utc"},
        "axis": {"title": "time (UTC)", "grid": False, "labelOverlap": True},
    }
