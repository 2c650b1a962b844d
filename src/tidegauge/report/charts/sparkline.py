"""Sparklines and band bars as inline SVG: some hundred bytes each, so thousands are cheap."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import isfinite

from tidegauge.report.charts.spec import finite

Number = float | None

_WIDTH, _HEIGHT, _PAD = 120, 28, 3
_MOST = 80


def sparkline(
    values: Sequence[Number],
    lower: Sequence[Number] = (),
    upper: Sequence[Number] = (),
    states: Sequence[str] = (),
    *,
    label: str,
    bases: Sequence[str | None] = (),
    width: int = _WIDTH,
    height: int = _HEIGHT,
) -> str:
    """Draw values over windows with their band, and a dot for every alarm.

    Parameters
    ----------
    values : sequence of float or None
        One a window; ``None`` or NaN leaves a gap.
    lower, upper : sequence of float or None
        Bounds of what is not an alarm, one a window; empty for none.
    states : sequence of str
        One a window.
    label : str
        What it shows, for the hover and for readers that do not see it.
    bases : sequence of str or None
        ``estimated`` windows are drawn dashed.
    width, height : int
        In pixels.

    Returns
    -------
    str
        An ``<svg>`` of class ``spark``; its colours are the style sheet's.

    Examples
    --------
    >>> sparkline([0.1, 0.2, 0.9], states=["ok", "ok", "alarm"], label="ks")[:29]
    '<svg class="spark" role="img"'
    """
    n = len(values)
    keep = _thinned(values, states)
    scale = _Scale.of([*values, *lower, *upper], n, width, height)
    parts = [_head("spark", width, height, label)]
    if lower or upper:
        parts.append(_band(scale, lower, upper, keep))
    solid, dashed = _paths(scale, values, bases, keep)
    if solid:
        parts.append(f'<path class="line" d="{solid}"/>')
    if dashed:
        parts.append(f'<path class="line guess" d="{dashed}"/>')
    for at in keep:
        state = states[at] if at < len(states) else "ok"
        if state in ("alarm", "warning", "too_few") and scale.drawn(values[at]):
            x, y = scale.x(at), scale.y(values[at])
            parts.append(f'<circle class="{state}" cx="{x}" cy="{y}" r="2.2"/>')
    parts.append("</svg>")
    return "".join(parts)


def band_bar(
    value: Number,
    expected: Number,
    lower: Number,
    upper: Number,
    state: str,
    *,
    label: str,
    width: int = 72,
) -> str:
    """Draw one value on the line of what was expected: the band, the expected tick, the value.

    Parameters
    ----------
    value, expected, lower, upper : float or None
    state : str
    label : str
        What it shows, for the hover and for readers that do not see it.
    width : int
        In pixels.

    Returns
    -------
    str
        An ``<svg>`` of class ``bandbar``; empty where nothing bounds the value.
    """
    known = finite((value, expected, lower, upper))
    if value is None or not isfinite(value) or len(known) < 2 or not finite((lower, upper)):
        return ""
    height, middle = 10, 5
    low, high = min(known), max(known)
    if lower is None and value >= 0:
        low = min(low, 0.0)
    room = (high - low) * 0.12 or abs(high) * 0.1 or 1.0
    low, high = low - (0 if low == 0 else room), high + room

    def x(number: float) -> float:
        return round((number - low) / (high - low) * (width - 6) + 3, 1)

    left = 0.0 if lower is None else x(lower)
    right = float(width) if upper is None else x(upper)
    parts = [
        _head("bandbar", width, height, label),
        f'<line class="axis" x1="0" x2="{width}" y1="{middle}" y2="{middle}"/>',
        f'<rect class="band" x="{left}" y="1" width="{max(right - left, 1):.1f}" height="8"/>',
    ]
    if expected is not None and isfinite(expected):
        at = x(expected)
        parts.append(f'<line class="expected" x1="{at}" x2="{at}" y1="1" y2="9"/>')
    parts.append(f'<circle class="{escape(state)}" cx="{x(value)}" cy="{middle}" r="3"/></svg>')
    return "".join(parts)


def _head(kind: str, width: int, height: int, label: str) -> str:
    text = escape(label, quote=True)
    return (
        f'<svg class="{kind}" role="img" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" aria-label="{text}"><title>{text}</title>'
    )


class _Scale:
    """Places on the paper."""

    def __init__(self, low: float, high: float, n: int, width: int, height: int) -> None:
        self.low, self.span = low, (high - low) or 1.0
        self.flat = high == low
        self.step = (width - 2 * _PAD) / max(n - 1, 1)
        self.height = height - 2 * _PAD

    @classmethod
    def of(cls, values: Sequence[Number], n: int, width: int, height: int) -> _Scale:
        known = finite(values) or [0.0]
        return cls(min(known), max(known), n, width, height)

    def x(self, at: int) -> float:
        return round(_PAD + at * self.step, 1)

    def y(self, value: Number) -> float:
        assert value is not None
        up = 0.5 if self.flat else (value - self.low) / self.span
        return round(_PAD + (1 - up) * self.height, 1)

    @staticmethod
    def drawn(value: Number) -> bool:
        return value is not None and isfinite(value)


def _thinned(values: Sequence[Number], states: Sequence[str]) -> list[int]:
    """Return which windows are drawn: of each handful the least, the greatest and the alarms."""
    n = len(values)
    if n <= _MOST:
        return list(range(n))
    keep: set[int] = {0, n - 1}
    handful = -(-2 * n // _MOST)
    for start in range(0, n, handful):
        block = range(start, min(start + handful, n))
        known = [at for at in block if _Scale.drawn(values[at])]
        if known:
            keep.add(min(known, key=lambda at: values[at] or 0.0))
            keep.add(max(known, key=lambda at: values[at] or 0.0))
        else:
            keep.add(start)
        alarmed = [at for at in known if at < len(states) and states[at] == "alarm"]
        keep.update(alarmed[:1])
    return sorted(keep)


def _band(
    scale: _Scale, lower: Sequence[Number], upper: Sequence[Number], keep: Sequence[int]
) -> str:
    floor, roof = scale.low, scale.low + scale.span
    tops: list[tuple[float, float]] = []
    bottoms: list[tuple[float, float]] = []
    for at in keep:
        low = lower[at] if at < len(lower) else None
        high = upper[at] if at < len(upper) else None
        if scale.drawn(low) or scale.drawn(high):
            x = scale.x(at)
            tops.append((x, scale.y(high if scale.drawn(high) else roof)))
            bottoms.append((x, scale.y(low if scale.drawn(low) else floor)))
    points = [*_bends(tops), *_bends(bottoms)[::-1]]
    text = " ".join(f"{x},{y}" for x, y in points)
    return f'<polygon class="band" points="{text}"/>' if tops else ""


def _bends(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Leave out the points along which an edge stays level."""
    last = len(points) - 1
    return [
        point
        for at, point in enumerate(points)
        if at in (0, last) or not points[at - 1][1] == point[1] == points[at + 1][1]
    ]


def _paths(
    scale: _Scale, values: Sequence[Number], bases: Sequence[str | None], keep: Sequence[int]
) -> tuple[str, str]:
    """Return the path of what was measured and of what was estimated, broken at gaps."""
    solid: list[str] = []
    dashed: list[str] = []
    before: tuple[str, bool] | None = None
    for at in keep:
        value = values[at]
        if not scale.drawn(value):
            before = None
            continue
        guess = at < len(bases) and bases[at] == "estimated"
        point = f"{scale.x(at)},{scale.y(value)}"
        path = dashed if guess else solid
        if before is None or before[1] != guess:
            path.append(f"M{before[0]}L{point}" if before else f"M{point}h.1")
        else:
            path.append(f"L{point}")
        before = (point, guess)
    return "".join(solid), "".join(dashed)
