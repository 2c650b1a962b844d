"""A metric over time: its band, its alarms, and what else happened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from tidegauge.metrics.result import Basis, Result, State
from tidegauge.report.charts.happenings import TimeMark, shades, strips
from tidegauge.report.charts.ink import ink
from tidegauge.report.charts.spec import (
    COUNT,
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
from tidegauge.report.charts.uncertain import estimate_bands, part_hatching
from tidegauge.report.format import interval

_HEIGHT = 180
#: From so many windows on, only what is wrong is marked.
_CROWDED = 100
#: How each basis of a performance value is drawn: its dashes, and how wide its line is.
_WIDE, _THIN = 1.6, 1.2
_DASHES = {"final": [1, 0], "partial": [7, 2], "estimated": [3, 3]}
_TAKEN = {
    "v": "value",
    "e": "expected",
    "l": "lower",
    "u": "upper",
    "n": "n_current",
    "s": "state",
    "k": "basis",
    "w": "reason",
    "cl": "ci_lower",
    "cu": "ci_upper",
    "x": "estimated",
    "xl": "estimated_ci_lower",
    "xu": "estimated_ci_upper",
}


def timeline(
    results: Sequence[Result],
    *,
    title: str,
    unit: str | None = None,
    marks: Sequence[TimeMark] = (),
    estimated: Sequence[Result] = (),
    second: Sequence[Result] = (),
    names: tuple[str, str] = ("", ""),
    brush: bool = False,
    height: int = _HEIGHT,
    zero: bool = False,
) -> Spec:
    """Draw a metric's results over their windows.

    Measured values are a solid line; those with some of their labels a long-dashed one with
    open points on a hatched interval; estimated ones a thin dashed one, on a plain interval where
    nothing was measured. A band shows what is not an alarm, a triangle what is one.

    Parameters
    ----------
    results : sequence of Result
        With ``window_start`` and ``window_end``, in order of time; those without are left out.
    title : str
        Of the value axis.
    unit : str or None
    marks : sequence of TimeMark
    estimated : sequence of Result
        What was estimated, of these windows and others.
    second : sequence of Result
        Another series, drawn thin and grey (the other version, another segment).
    names : (str, str)
        What the two series are called.
    brush : bool
        Whether an interval can be drawn with the pointer; the parameter ``brush`` then changes.
    height : int
        In pixels.
    zero : bool
        Whether the value axis begins at zero.

    Returns
    -------
    dict
        A Vega-Lite specification.
    """
    rows = _rows(results, estimated)
    low, high = _extent(rows, marks, zero)
    layers = [*_backdrop(rows, marks, low, high)]
    if second:
        layers.append(_other(second, names[1]))
    layers += _lines(rows, title, unit, names[0], brush)
    layers += strips(marks, rows[-1]["b"] if rows else None)
    domain = {"domain": [low, high], "nice": True, "zero": zero} if high > low else {"zero": zero}
    axis = {"title": titled(title, unit), "format": ".3~p"} if unit == "share" else None
    for layer in layers:
        layer["encoding"].setdefault("x", time_axis("t"))
    first = layers[0]["encoding"].setdefault("y", {"datum": low})
    first |= {"scale": domain, "axis": axis or {"title": titled(title, unit)}}
    spread = f"{title} from {_span(results)}" if rows else f"{title}: no windows"
    return chart(
        spread,
        height,
        data={"values": rows},
        transform=[{"calculate": "(datum.a + datum.b) / 2", "as": "t"}],
        layer=layers,
        usermeta=taken(_TAKEN),
    )


def _span(results: Sequence[Result]) -> str:
    known = [r for r in results if r.window_start and r.window_end]
    return interval(known[0].window_start, known[-1].window_end) if known else "no time"


def _rows(results: Sequence[Result], estimated: Sequence[Result]) -> list[dict[str, Any]]:
    """One row a window; what it has not is left out, and so is ``final`` where all are."""
    mixed = bool(estimated) or any(r.basis not in (None, Basis.FINAL) for r in results)
    guessed = {one.window_start: one for one in estimated if one.value is not None}
    rows: list[dict[str, Any]] = []
    for result in _with_windows(results, guessed.values()):
        if result.window_start is None or result.window_end is None:
            continue
        row = {
            "a": millis(result.window_start),
            "b": millis(result.window_end),
            "v": rounded(result.value),
            "e": rounded(result.expected),
            "l": rounded(result.lower),
            "u": rounded(result.upper),
        }
        part = result.basis is Basis.PARTIAL
        if part:
            row |= {"cl": rounded(result.ci_lower), "cu": rounded(result.ci_upper)}
        guess = guessed.get(result.window_start)
        if guess is not None:
            ends = rounded(guess.ci_lower), rounded(guess.ci_upper)
            row |= {"x": rounded(guess.value), "xl": ends[0], "xu": ends[1]}
            row["e"] = rounded(guess.expected) if row["e"] is None else row["e"]
        rows.append({key: value for key, value in row.items() if value is not None})
        alone = guess is not None and "v" not in rows[-1]
        rows[-1]["n"] = guess.n_current if alone and guess is not None else result.n_current
        rows[-1]["s"] = "not judged" if alone else str(result.state)
        if result.reason and (part or result.state is not State.OK) and not alone:
            rows[-1]["w"] = result.reason
        if mixed:
            rows[-1]["k"] = str(Basis.ESTIMATED if alone else result.basis or Basis.FINAL)
    return rows


def _with_windows(results: Sequence[Result], others: Iterable[Result]) -> list[Result]:
    """Return results with those windows of others that they lack, empty, in order of time."""
    known = {one.window_start for one in results}
    empty = [
        Result(one.metric, window_start=one.window_start, window_end=one.window_end)
        for one in others
        if one.window_start not in known
    ]
    if not empty:
        return list(results)
    timed = [one for one in (*results, *empty) if one.window_start is not None]
    return sorted(timed, key=lambda one: one.window_start or datetime.max)


def _extent(
    rows: Sequence[dict[str, Any]], marks: Sequence[TimeMark], zero: bool
) -> tuple[float, float]:
    """Return the least and greatest of what is drawn, so that open bands have an end."""
    drawn = ("v", "e", "l", "u", "x", "cl", "cu")
    known = [row[key] for row in rows for key in drawn if key in row]
    known += [row[key] for row in rows if "v" not in row for key in ("xl", "xu") if key in row]
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    room = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    low = 0.0 if zero or 0 <= low <= (high - low) * 0.25 else low - room
    head = 2.5 if any(mark.kind == "incident" for mark in marks) else 1.0
    return float(f"{low:.4g}"), float(f"{high + head * room:.4g}")


def _value(field: str) -> dict[str, Any]:
    return {"field": field, "type": "quantitative"}


def _backdrop(
    rows: Sequence[dict[str, Any]], marks: Sequence[TimeMark], low: float, high: float
) -> list[dict[str, Any]]:
    layers: list[dict[str, Any]] = []
    last = rows[-1]["b"] if rows else None
    layers += shades(marks, "baseline", last, low, high)
    bounded = any("l" in row or "u" in row for row in rows)
    if bounded:
        layers.append(
            {
                "transform": [
                    {"filter": "isValid(datum.l) || isValid(datum.u)"},
                    {"calculate": f"isValid(datum.l) ? datum.l : {low!r}", "as": "bottom"},
                    {"calculate": f"isValid(datum.u) ? datum.u : {high!r}", "as": "top"},
                ],
                "mark": {"type": "area", "fill": ink("band"), "clip": True},
                "encoding": {"y": _value("bottom"), "y2": {"field": "top"}},
            }
        )
    if any("e" in row for row in rows):
        layers.append(
            {
                "mark": {
                    "type": "line",
                    "stroke": ink("expected"),
                    "strokeWidth": 1,
                    "strokeDash": [2, 2],
                },
                "encoding": {"y": _value("e")},
            }
        )
    layers += shades(marks, "incident", last, low, high)
    return [*layers, *estimate_bands(rows), *part_hatching(rows)]


def _lines(
    rows: Sequence[dict[str, Any]], title: str, unit: str | None, name: str, brush: bool
) -> list[dict[str, Any]]:
    guessed = any("x" in row for row in rows)
    bases = [basis for basis in _DASHES if any(row.get("k") == basis for row in rows)]
    if guessed and "estimated" not in bases:
        bases.append("estimated")
    line: dict[str, Any] = {
        "mark": {"type": "line", "stroke": ink("current"), "strokeWidth": _WIDE},
        "encoding": {"y": _value("v")},
    }
    if bases:
        line["data"] = {"values": [*_runs(rows), *_guesses(rows)]}
        line["encoding"]["detail"] = {"field": "g", "type": "nominal"}
        thin = {"test": "datum.k == 'estimated'", "value": _THIN}
        line["encoding"]["strokeWidth"] = {"condition": thin, "value": _WIDE}
        line["encoding"]["strokeDash"] = {
            "field": "k",
            "type": "nominal",
            "scale": {"domain": bases, "range": [_DASHES[basis] for basis in bases]},
            "legend": {"title": None, "orient": "top", "symbolType": "stroke", "symbolSize": 300},
        }
    form = d3_format(unit)
    tip = [
        {"field": "window", "title": "window (UTC)"},
        {"field": "v", "format": form, "title": name or title},
        {"field": "e", "format": form, "title": "expected"},
        {"field": "l", "format": form, "title": "alarm below"},
        {"field": "u", "format": form, "title": "alarm above"},
        {"field": "n", "format": COUNT, "title": "records"},
        {"field": "s", "title": "state"},
    ]
    if bases:
        tip.append({"field": "k", "title": "labels"})
    if guessed:
        tip.append({"field": "x", "format": form, "title": "estimated"})
        tip.append({"field": "xl", "format": form, "title": "estimate from (95 %)"})
        tip.append({"field": "xu", "format": form, "title": "estimate to"})
    if any("cl" in row for row in rows):
        tip.append({"field": "cl", "format": form, "title": "with all labels from (95 %)"})
        tip.append({"field": "cu", "format": form, "title": "with all labels to"})
    if any("w" in row for row in rows):
        tip.append({"field": "w", "title": "reason"})
    params: list[dict[str, Any]] = [hover()]
    if brush:
        params.append({"name": "brush", "select": {"type": "interval", "encodings": ["x"]}})
    pointer = {
        "transform": [{"calculate": WINDOW, "as": "window"}],
        "params": params,
        "mark": {"type": "rect", "fill": ink("current")},
        "encoding": {
            "x": time_axis("a"),
            "x2": {"field": "b"},
            "opacity": lit(),
            "tooltip": tip,
        },
    }
    return [line, _points(bool(bases), crowded=len(rows) > _CROWDED), pointer]


def _points(mixed: bool, *, crowded: bool) -> dict[str, Any]:
    """Every window that says something of its own: alarms, too few records, not yet final."""
    open_ = " || datum.k != 'final'" if mixed and not crowded else ""
    full = "datum.k == 'final' && " if mixed else ""
    states = ["alarm", "warning", "too_few"]
    return {
        "transform": [
            {"filter": f"isValid(datum.v) && (datum.s != 'ok'{open_})"},
            {"calculate": f"{full}datum.s != 'too_few'", "as": "full"},
        ],
        "mark": {"type": "point", "strokeWidth": 1.4, "opacity": 1},
        "encoding": {
            "y": _value("v"),
            "shape": {
                "field": "s",
                "type": "nominal",
                "legend": None,
                "scale": {
                    "domain": [*states, "ok"],
                    "range": ["triangle-up", "diamond", "circle", "circle"],
                },
            },
            "size": {
                "condition": {"test": "datum.s == 'alarm'", "value": 30 if crowded else 70},
                "value": 26,
            },
            "stroke": {
                "condition": [
                    {"test": f"datum.s == '{state}'", **_as_value(name)}
                    for state, name in zip(states, ("alarm", "warning", "unknown"), strict=True)
                ],
                **_as_value("current"),
            },
            "fill": {
                "condition": [
                    {"test": "!datum.full", **_as_value("paper")},
                    {"test": "datum.s == 'alarm'", **_as_value("alarm")},
                    {"test": "datum.s == 'warning'", **_as_value("warning")},
                ],
                **_as_value("paper"),
            },
        },
    }


def _as_value(name: str) -> dict[str, Any]:
    return {"value": ink(name)}


def _middle(row: dict[str, Any]) -> int:
    return int(row["a"] + row["b"]) // 2


def _runs(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Cut the line at gaps and where its basis changes; neighbours of two bases stay joined."""
    out: list[dict[str, Any]] = []
    run, before = 0, None
    for row in rows:
        if "v" not in row:
            before, run = None, run + 1
            continue
        if before is not None and before["k"] != row["k"]:
            run += 1
            out.append({"t": _middle(before), "v": before["v"], "k": row["k"], "g": run})
        out.append({"t": _middle(row), "v": row["v"], "k": row["k"], "g": run})
        before = row
    return out


def _guesses(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Cut the estimates' line at gaps."""
    out: list[dict[str, Any]] = []
    run = -1
    for row in rows:
        if "x" in row:
            out.append({"t": _middle(row), "v": row["x"], "k": "estimated", "g": run})
        else:
            run -= 1
    return out


def _other(results: Sequence[Result], name: str) -> dict[str, Any]:
    held = _rows(results, ())
    rows = [{"t": _middle(row), "v": row.get("v"), "g": name or "second"} for row in held]
    return {
        "data": {"values": rows},
        "mark": {"type": "line", "stroke": ink("referenceLine"), "strokeWidth": 1.4},
        "encoding": {"y": _value("v")},
    }
