"""What is not final yet of a value over time: the band of an estimate, the hatching of a part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tidegauge.report.charts.ink import ink

#: How many strokes of a hatching there would be over a whole chart.
_STROKES = 170


def estimate_bands(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the layer of the estimates' intervals, where nothing was measured beside them.

    Parameters
    ----------
    rows : sequence of dict
        Of windows, ``a`` to ``b``, with the interval as ``xl`` and ``xu``, and ``v`` where there
        is a measured value.
    """
    held = [row for row in rows if "v" not in row and {"xl", "xu"} <= row.keys()]
    if not held:
        return []
    values = [{key: row[key] for key in ("a", "b", "xl", "xu")} for row in held]
    return [
        {
            "data": {"values": values},
            "mark": {"type": "rect", "fill": ink("referenceLine"), "opacity": 0.35, "clip": True},
            "encoding": {
                **_across("a", "b"),
                "y": {"field": "xl", "type": "quantitative"},
                "y2": {"field": "xu"},
            },
        }
    ]


def part_hatching(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the layer that hatches the intervals of values with a part of their labels.

    Parameters
    ----------
    rows : sequence of dict
        Of windows, ``a`` to ``b``, with the interval as ``cl`` and ``cu`` and the basis as ``k``.
    """
    held = [row for row in rows if row.get("k") == "partial" and {"cl", "cu"} <= row.keys()]
    if not held:
        return []
    apart = max((rows[-1]["b"] - rows[0]["a"]) / _STROKES, 1)
    strokes = [one for row in held for one in _strokes(row, apart)]
    mark = {"type": "rule", "stroke": ink("current"), "strokeWidth": 1, "opacity": 0.5}
    ends = {"y": {"field": "y", "type": "quantitative"}, "y2": {"field": "z"}}
    return [
        {
            "data": {"values": strokes},
            "mark": {**mark, "clip": True},
            "encoding": {**_across("p", "q"), **ends},
        }
    ]


def _strokes(row: dict[str, Any], apart: float) -> Iterable[dict[str, Any]]:
    """Return the slanted strokes that fill one window's interval, and its two edges."""
    low, high, start = row["cl"], row["cu"], row["a"]
    width = row["b"] - start
    count = max(1, round(width / apart))
    for at in range(count):
        ends = round(start + width * at / count), round(start + width * (at + 1) / count)
        yield {"p": ends[0], "q": ends[1], "y": low, "z": high}
    for edge in (low, high):
        yield {"p": start, "q": row["b"], "y": edge, "z": edge}


def _across(first: str, last: str) -> dict[str, Any]:
    x = {"field": first, "type": "temporal", "scale": {"type": "utc"}}
    return {"x": x, "x2": {"field": last}}
