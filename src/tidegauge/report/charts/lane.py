"""Charts that stand under each other over one time axis."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidegauge.report.charts.spec import Spec, millis


@dataclass(frozen=True)
class Lane:
    """What charts over one time axis share.

    Parameters
    ----------
    start, end : datetime
        What the axis covers, whatever the chart has of it.
    gutter : int
        Room for the labels of the value axis, in pixels, so that the plots line up.
    link : str
        What the address of a window's page begins with; the window's start is appended, and a
        click on it leads there. Empty for nowhere.
    """

    start: datetime
    end: datetime
    gutter: int = 40
    link: str = ""

    def hold(self, spec: Spec, title: str = "", most: float | None = None) -> Spec:
        """Return a chart over time as it stands on this axis.

        Parameters
        ----------
        spec : dict
        title : str
            Of the value axis, where the chart's own is too long.
        most : float, optional
            What no value can pass: the axis is not labelled beyond it, if there is room on top.

        Examples
        --------
        >>> from datetime import UTC
        >>> axis = Lane(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
        >>> chart = {"mark": "rule", "encoding": {"x": {"field": "a", "type": "temporal"}}}
        >>> axis.hold(chart)["layer"][-1]["data"]
        {'values': [{'a': 1767225600000}, {'a': 1767312000000}]}
        """
        held: Spec = _copied(spec)
        if "layer" not in held:
            held["layer"] = [{name: held.pop(name) for name in ("mark", "encoding")}]
        for part in _parts(held):
            encoding = part.get("encoding", {})
            if encoding.get("x", {}).get("type") == "temporal":
                encoding["x"].setdefault("axis", {})["title"] = None
            if encoding.get("y", {}).get("axis") is not None:
                encoding["y"]["axis"] |= {"minExtent": self.gutter, "maxExtent": self.gutter}
                encoding["y"]["axis"] |= {"title": title} if title else {}
                if most is not None:
                    beyond = f"datum.value > {most * 1.0001!r} ? '' : datum.label"
                    encoding["y"]["axis"]["labelExpr"] = beyond
            if self.link and any(one.get("name") == "hover" for one in part.get("params", ())):
                part.setdefault("transform", []).append(_address(self.link))
                part["encoding"]["href"] = {"field": "h", "type": "nominal"}
                part["mark"]["cursor"] = "pointer"
        held["layer"].append(self._extent())
        return held

    def _extent(self) -> dict[str, Any]:
        """A layer that draws nothing and stretches the axis over the whole range.

        A domain that is given by name cannot: of several layers Vega-Lite makes a wrong union.
        """
        ends = [{"a": millis(self.start)}, {"a": millis(self.end)}]
        x = {"field": "a", "type": "temporal", "scale": {"type": "utc"}, "axis": {"title": None}}
        return {
            "data": {"values": ends},
            "mark": {"type": "point", "opacity": 0},
            "encoding": {"x": x},
        }


def _copied(value: Any) -> Any:
    """Copy a specification, but not its rows."""
    if isinstance(value, dict):
        return {key: one if key == "data" else _copied(one) for key, one in value.items()}
    return [_copied(one) for one in value] if isinstance(value, list) else value


def _parts(spec: Spec) -> Iterator[dict[str, Any]]:
    yield spec
    yield from spec.get("layer", ())


def _address(link: str) -> dict[str, str]:
    start = "utcFormat(datum.a, '%Y-%m-%dT%H:%M:%SZ')"
    return {"calculate": f"{json.dumps(link)} + {start}", "as": "h"}
