"""Values side by side, each with its interval and the band of what is no alarm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tidegauge.report.charts.ink import ink
from tidegauge.report.charts.spec import (
    COUNT,
    Spec,
    chart,
    d3_format,
    finite,
    hover,
    lit,
    rounded,
    titled,
)

_ROW = 22
_TAKEN = {
    "r": "row",
    "v": "value",
    "cl": "ci_lower",
    "cu": "ci_upper",
    "e": "expected",
    "l": "lower",
    "u": "upper",
    "n": "n_current",
    "s": "state",
    "k": "basis",
    "w": "reason",
}


@dataclass(frozen=True)
class IntervalRow:
    """One value.

    Parameters
    ----------
    name : str
    value, ci_lower, ci_upper : float or None
        The value and its 95 % interval.
    expected, lower, upper : float or None
        What was expected, and what bounds an alarm.
    state : str
        ``ok``, ``alarm`` or ``too_few``.
    records : int
    told : str
        What the hover adds.
    href : str or None
        Where a click leads.
    basis : str
        ``estimated`` and ``partial`` are drawn otherwise than what all labels tell.
    """

    name: str
    value: float | None
    ci_lower: float | None = None
    ci_upper: float | None = None
    expected: float | None = None
    lower: float | None = None
    upper: float | None = None
    state: str = "ok"
    records: int = 0
    told: str = ""
    href: str | None = None
    basis: str = ""


def intervals(
    rows: Sequence[IntervalRow],
    *,
    title: str,
    unit: str | None = None,
    whole: float | None = None,
) -> Spec:
    """Draw values below one another on one axis, with their intervals and their bands.

    Parameters
    ----------
    rows : sequence of IntervalRow
        In the order in which they are to stand.
    title : str
        Of the values.
    unit : str or None
    whole : float or None
        The value of all records, a line through all rows.

    Returns
    -------
    dict
        A Vega-Lite specification.

    Examples
    --------
    >>> intervals([IntervalRow("UA", 0.7, 0.6, 0.8)], title="roc_auc")["height"]
    44
    """
    values = [_row(one) for one in rows]
    order = list(dict.fromkeys(one.name for one in rows))
    drawn = finite(
        end for one in rows for end in (one.value, one.ci_lower, one.ci_upper, one.expected, whole)
    )
    low, high = (min(drawn), max(drawn)) if drawn else (0.0, 1.0)
    room = (high - low) * 0.06 or abs(high) * 0.05 or 1.0
    domain = [rounded(low - room, 4), rounded(high + room, 4)]
    axis = {"title": titled(title, unit), "grid": True, "gridColor": ink("grid"), "tickCount": 6}
    axis["format"] = ".3~p" if unit == "share" else ".3~r"
    x: dict[str, Any] = {
        "field": "v",
        "type": "quantitative",
        "scale": {"domain": domain, "nice": False, "zero": False},
        "axis": axis,
    }
    y = {
        "field": "r",
        "type": "nominal",
        "sort": order,
        "title": None,
        "axis": {"labelLimit": 150, "ticks": False, "domain": False},
    }
    colour = _by_state({"ok": "current", "alarm": "alarm", "too few": "unknown"})
    form = d3_format(unit)
    tip = [
        {"field": "r", "title": "segment"},
        {"field": "v", "title": title, "format": form},
        {"field": "cl", "title": "95 % from", "format": form},
        {"field": "cu", "title": "95 % to", "format": form},
        {"field": "e", "title": "expected", "format": form},
        {"field": "n", "title": "records", "format": COUNT},
        {"field": "s", "title": "state"},
        {"field": "k", "title": "labels"},
        {"field": "w", "title": "note"},
    ]
    first, last = domain
    layers: list[dict[str, Any]] = [
        {
            "transform": [
                {"filter": "isValid(datum.l) || isValid(datum.u)"},
                {"calculate": f"isValid(datum.l) ? max(datum.l, {first}) : {first}", "as": "p"},
                {"calculate": f"isValid(datum.u) ? min(datum.u, {last}) : {last}", "as": "q"},
            ],
            "mark": {"type": "bar", "fill": ink("band"), "height": {"band": 0.72}},
            "encoding": {"x": {**x, "field": "p"}, "x2": {"field": "q"}, "y": y},
        },
        {
            "transform": [{"filter": "isValid(datum.e)"}],
            "mark": {"type": "tick", "color": ink("expected"), "thickness": 1.5, "bandSize": 13},
            "encoding": {"x": {**x, "field": "e"}, "y": y},
        },
        {
            "transform": [{"filter": "isValid(datum.cl) && isValid(datum.cu)"}],
            "mark": {"type": "rule", "strokeWidth": 1.8},
            "encoding": {
                "x": {**x, "field": "cl"},
                "x2": {"field": "cu"},
                "y": y,
                "stroke": colour,
                "strokeDash": {
                    "condition": {"test": "datum.k == 'estimated'", "value": [4, 3]},
                    "value": [1, 0],
                },
            },
        },
        {
            "mark": {"type": "point", "size": 46, "strokeWidth": 1.4, "opacity": 1},
            "encoding": {
                "x": x,
                "y": y,
                "stroke": colour,
                "fill": _fill(),
                "shape": {
                    "field": "s",
                    "type": "nominal",
                    "legend": None,
                    "scale": {
                        "domain": ["ok", "alarm", "too few"],
                        "range": ["circle", "triangle-up", "circle"],
                    },
                },
            },
        },
        {
            "params": [hover()],
            "transform": [
                {"calculate": str(first), "as": "p"},
                {"calculate": str(last), "as": "q"},
            ],
            "mark": {"type": "bar", "fill": ink("current"), "height": {"band": 0.95}},
            "encoding": {
                "x": {**x, "field": "p"},
                "x2": {"field": "q"},
                "y": y,
                "opacity": lit(),
                "tooltip": tip,
                "href": {"field": "h"},
            },
        },
    ]
    if whole is not None and finite([whole]):
        line = {
            "data": {"values": [{"v": rounded(whole)}]},
            "mark": {"type": "rule", "color": ink("referenceLine"), "strokeDash": [2, 2]},
            "encoding": {"x": x},
        }
        layers.insert(1, line)
    return chart(
        f"{title} of each segment, with its 95 % interval and the band of what is no alarm",
        _ROW * max(len(order), 2),
        data={"values": values},
        usermeta={"columns": _TAKEN},
        layer=layers,
    )


def _by_state(colours: dict[str, str]) -> dict[str, Any]:
    (usual, name), *others = colours.items()
    del usual
    tests = [{"test": f"datum.s == '{state}'", "value": ink(one)} for state, one in others]
    return {"condition": tests, "value": ink(name)}


def _fill() -> dict[str, Any]:
    """Hollow where there are too few records or no labels, grey where some labels are wanting."""
    return {
        "condition": [
            {"test": "datum.s == 'too few' || datum.k == 'estimated'", "value": ink("paper")},
            {"test": "datum.k == 'partial'", "value": ink("referenceLine")},
            {"test": "datum.s == 'alarm'", "value": ink("alarm")},
        ],
        "value": ink("current"),
    }


def _row(one: IntervalRow) -> dict[str, Any]:
    row: dict[str, Any] = {
        "r": one.name,
        "v": rounded(one.value),
        "cl": rounded(one.ci_lower),
        "cu": rounded(one.ci_upper),
        "e": rounded(one.expected),
        "l": rounded(one.lower),
        "u": rounded(one.upper),
    }
    row = {key: value for key, value in row.items() if value is not None}
    row |= {"n": one.records, "s": one.state.replace("_", " ")}
    if one.basis in ("estimated", "partial"):
        row["k"] = one.basis
    if one.told:
        row["w"] = one.told
    if one.href:
        row["h"] = one.href
    return row
