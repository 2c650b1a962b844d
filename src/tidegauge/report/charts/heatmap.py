"""Where and when: states over segments and windows (or any two groupings)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidegauge.report.charts.ink import ink
from tidegauge.report.charts.spec import COUNT, WINDOW, Spec, chart, hover, millis, taken, time_axis

_ROW = 20
_TAKEN = {"r": "row", "s": "state", "n": "alarms", "m": "n_current", "w": "worst"}


@dataclass(frozen=True)
class HeatCell:
    """One cell.

    Parameters
    ----------
    row : str
        A segment's value, for instance.
    state : str
    column : str
        A heading, where cells do not stand on a time axis.
    start, end : datetime or None
        The window, where they do.
    alarms : int
        How many results alarm in it: the more, the stronger the colour.
    records : int
    told : str
        What the hover adds ("dep_delay ks 0.4, …").
    href : str or None
        Where a click leads.
    """

    row: str
    state: str
    column: str = ""
    start: datetime | None = None
    end: datetime | None = None
    alarms: int = 0
    records: int = 0
    told: str = ""
    href: str | None = None


def heatmap(cells: Sequence[HeatCell], *, rows: str, columns: str = "window") -> Spec:
    """Draw cells by state: nothing for well, alarms the stronger the more, too few as rings.

    Parameters
    ----------
    cells : sequence of HeatCell
        In the order in which rows and columns are to stand.
    rows, columns : str
        What the two directions are.

    Returns
    -------
    dict
        A Vega-Lite specification.
    """
    timed = any(cell.start is not None for cell in cells)
    most = max((cell.alarms for cell in cells), default=1) or 1
    values = [_value(cell, most) for cell in cells]
    order = list(dict.fromkeys(cell.row for cell in cells))
    y = {
        "field": "r",
        "type": "nominal",
        "sort": order,
        "title": rows,
        "axis": {"labelLimit": 130, "ticks": False, "domain": False},
    }
    x: dict[str, Any] = time_axis("a")
    if not timed:
        x = {
            "field": "x",
            "type": "nominal",
            "sort": list(dict.fromkeys(cell.column for cell in cells)),
            "title": columns,
            "axis": {"labelLimit": 110, "labelAngle": -40, "ticks": False, "domain": False},
        }
    place: dict[str, Any] = {"x": x, "y": y, **({"x2": {"field": "b"}} if timed else {})}
    tip = [
        {"field": "r", "title": rows},
        {"field": "window", "title": "window (UTC)"} if timed else {"field": "x", "title": columns},
        {"field": "s", "title": "state"},
        {"field": "n", "title": "alarms", "format": COUNT},
        {"field": "m", "title": "records", "format": COUNT},
        {"field": "w", "title": "worst"},
    ]
    steps = [{"calculate": "isValid(datum.o) ? datum.o : 1", "as": "o"}]
    steps += [{"calculate": WINDOW, "as": "window"}] if timed else []
    return chart(
        f"State of each {rows} by {columns}",
        _ROW * max(len(order), 1),
        data={"values": values},
        usermeta=taken(_TAKEN) if timed else {"columns": {"x": columns, **_TAKEN}},
        layer=[
            {
                "transform": steps,
                "params": [hover()],
                "mark": {"type": "rect", "strokeWidth": 1},
                "encoding": {
                    **place,
                    "fill": _fill(),
                    "fillOpacity": {"field": "o", "type": "quantitative", "scale": None},
                    "stroke": {
                        "condition": {
                            "param": "hover",
                            "empty": False,
                            "value": ink("current"),
                        },
                        "value": ink("paper"),
                    },
                    "tooltip": tip,
                    "href": {"field": "h"},
                },
            },
            {
                "transform": [{"filter": "datum.s == 'too few' || isValid(datum.w)"}, *_middle()],
                "mark": {"type": "point", "strokeWidth": 1.2, "size": 22, "opacity": 1},
                "encoding": {
                    "x": {**x, "field": "t"} if timed else x,
                    "y": y,
                    "shape": {
                        "field": "s",
                        "type": "nominal",
                        "legend": None,
                        "scale": {
                            "domain": ["alarm", "warning", "too few"],
                            "range": ["triangle-up", "diamond", "circle"],
                        },
                    },
                    "stroke": {
                        "condition": {"test": "datum.s != 'too few'", "value": ink("paper")},
                        "value": ink("unknown"),
                    },
                    "fill": {
                        "condition": {"test": "datum.s != 'too few'", "value": ink("paper")},
                        "value": ink("band"),
                    },
                },
            },
        ],
    )


def _middle() -> list[dict[str, Any]]:
    return [{"calculate": "(datum.a + datum.b) / 2", "as": "t"}]


def _fill() -> dict[str, Any]:
    return {
        "condition": [
            {"test": "datum.s == 'alarm'", "value": ink("alarm")},
            {"test": "datum.s == 'warning'", "value": ink("warning")},
        ],
        "value": ink("band"),
    }


def _value(cell: HeatCell, most: int) -> dict[str, Any]:
    loud = cell.state in ("alarm", "warning")
    value: dict[str, Any] = {
        "r": cell.row,
        "s": cell.state.replace("_", " "),
        "m": cell.records,
    }
    if loud:
        strength = round(0.45 + 0.55 * cell.alarms / most, 2)
        value |= {"n": cell.alarms, "w": cell.told, "o": strength}
    if cell.start is not None and cell.end is not None:
        value |= {"a": millis(cell.start), "b": millis(cell.end)}
    else:
        value["x"] = cell.column
    if cell.href:
        value["h"] = cell.href
    return value
