"""How a column's values spread over time: quantiles of a number, shares of a category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tidegauge.report.charts.ink import ink
from tidegauge.report.charts.spec import (
    SHARE,
    WINDOW,
    Spec,
    chart,
    d3_format,
    hover,
    lit,
    millis,
    rounded,
    taken,
    time_axis,
    titled,
)

_LEVELS = ("p05", "p25", "median", "p75", "p95")
_MOST = 7


def quantile_ribbon(
    windows: Sequence[tuple[datetime, datetime]],
    quantiles: Mapping[str, Sequence[float | None]],
    *,
    name: str,
    unit: str | None = None,
    expected: float | None = None,
    height: int = 180,
) -> Spec:
    """Draw the quantiles of a numeric column over its windows.

    Parameters
    ----------
    windows : sequence of (datetime, datetime)
    quantiles : mapping of str to sequence of float or None
        ``p05``, ``p25``, ``median``, ``p75``, ``p95``, each with one value a window.
    name : str
        Of the column.
    unit : str or None
    expected : float or None
        The baseline's median.
    height : int
        In pixels.

    Returns
    -------
    dict
        A Vega-Lite specification.
    """
    rows = []
    for at, (start, end) in enumerate(windows):
        row = _window(start, end)
        for level in _LEVELS:
            values = quantiles.get(level, ())
            row[level] = rounded(values[at]) if at < len(values) else None
        rows.append(row)
    value = {"scale": {"zero": False}, "axis": {"title": titled(name, unit)}}
    layers: list[dict[str, Any]] = [
        _area("p05", "p95", 0.45, value),
        _area("p25", "p75", 1.0, {}),
        {
            "mark": {"type": "line", "stroke": ink("current"), "strokeWidth": 1.6},
            "encoding": {"y": {"field": "median", "type": "quantitative"}},
        },
    ]
    if expected is not None and rounded(expected) is not None:
        layers.append(
            {
                "mark": {"type": "rule", "stroke": ink("expected"), "strokeDash": [2, 2]},
                "encoding": {"y": {"datum": rounded(expected)}},
            }
        )
    form = d3_format(unit)
    tip = [{"field": level, "format": form, "title": level} for level in reversed(_LEVELS)]
    layers.append(_pointer(tip))
    for layer in layers[:3]:
        layer["encoding"]["x"] = time_axis("t")
    description = f"Quantiles of {name} over time: 5 to 95 %, 25 to 75 % and median"
    about = taken({level: level for level in _LEVELS})
    return chart(
        description,
        height,
        data={"values": rows},
        transform=[{"calculate": "(datum.a + datum.b) / 2", "as": "t"}],
        layer=layers,
        usermeta=about,
    )


def share_ribbon(
    windows: Sequence[tuple[datetime, datetime]],
    shares: Mapping[str, Sequence[float | None]],
    *,
    name: str,
    height: int = 180,
) -> Spec:
    """Draw the shares of a categorical column's values over its windows, stacked.

    Parameters
    ----------
    windows : sequence of (datetime, datetime)
    shares : mapping of str to sequence of float or None
        One share a window for each value; beyond the seven largest they are summed as one.
    name : str
        Of the column.
    height : int
        In pixels.

    Returns
    -------
    dict
        A Vega-Lite specification.
    """
    kept = _largest(shares)
    rows = []
    for at, (start, end) in enumerate(windows):
        floor = 0.0
        for label, values in kept.items():
            portion = rounded(values[at]) if at < len(values) else None
            if portion is not None:
                roof = rounded(floor + portion)
                rows.append(
                    {**_window(start, end), "v": label, "p": portion, "f": floor, "g": roof}
                )
                floor = roof or floor
    y = {
        "field": "f",
        "type": "quantitative",
        "scale": {"domain": [0, 1], "clamp": True},
        "axis": {"title": "share of values", "format": ".0%"},
    }
    tip = [
        {"field": "window", "title": "window (UTC)"},
        {"field": "v", "title": name},
        {"field": "p", "format": SHARE, "title": "share"},
    ]
    shade = {
        "field": "v",
        "type": "nominal",
        "sort": None,
        "title": None,
        "scale": {"domain": list(kept), "range": _shades(len(kept))},
        "legend": {"orient": "right", "symbolType": "square", "labelLimit": 110},
    }
    return chart(
        f"Shares of the values of {name} over time",
        height,
        data={"values": rows},
        transform=[{"calculate": WINDOW, "as": "window"}],
        usermeta=taken({"v": "value", "p": "share"}),
        mark={"type": "rect"},
        encoding={
            "x": time_axis("a"),
            "x2": {"field": "b"},
            "y": y,
            "y2": {"field": "g"},
            "fill": shade,
            "tooltip": tip,
        },
    )


def _window(start: datetime, end: datetime) -> dict[str, Any]:
    a, b = millis(start), millis(end)
    return {"a": a, "b": b}


def _area(low: str, high: str, opacity: float, value: dict[str, Any]) -> dict[str, Any]:
    return {
        "mark": {"type": "area", "fill": ink("reference"), "opacity": opacity},
        "encoding": {
            "y": {"field": low, "type": "quantitative", **value},
            "y2": {"field": high},
        },
    }


def _pointer(tip: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "transform": [{"calculate": WINDOW, "as": "window"}],
        "params": [hover()],
        "mark": {"type": "rect", "fill": ink("current")},
        "encoding": {
            "x": time_axis("a"),
            "x2": {"field": "b"},
            "opacity": lit(),
            "tooltip": [{"field": "window", "title": "window (UTC)"}, *tip],
        },
    }


def _largest(shares: Mapping[str, Sequence[float | None]]) -> dict[str, Sequence[float | None]]:
    if len(shares) <= _MOST:
        return dict(shares)
    totals = {label: sum(x or 0.0 for x in values) for label, values in shares.items()}
    large = sorted(totals, key=lambda label: -totals[label])[: _MOST - 1]
    rest = [values for label, values in shares.items() if label not in large]
    kept = {label: values for label, values in shares.items() if label in large}
    summed = [sum(x or 0.0 for x in column) for column in zip(*rest, strict=False)]
    return {**kept, f"other ({len(rest)} values)": summed}


def _shades(n: int) -> list[dict[str, str]]:
    """Greys, dark to light: colour is for states."""
    return [ink(f"shade{at}") for at in range(n)]
