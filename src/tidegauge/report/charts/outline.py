"""The two distributions of a column, small enough for a row of a table: inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tidegauge.report.charts.distribution import heights, merged
from tidegauge.report.data import Histogram

_WIDTH, _HEIGHT = 160, 36
_MOST_BARS = 24


def outline(histogram: Histogram | None, *, label: str, key: str = "", alarm: bool = False) -> str:
    """Draw the reference as a filled shape and the current distribution as a line over it.

    Parameters
    ----------
    histogram : Histogram or None
    label : str
        What it shows, for readers that do not see it.
    key : str
        The element's id, so that ``<use href="#key">`` draws it again, larger.
    alarm : bool
        Whether the line has the colour of an alarm.

    Returns
    -------
    str
        An ``<svg>`` of class ``outline``; empty where there is nothing to draw.

    Examples
    --------
    >>> outline(None, label="age")
    ''
    """
    if histogram is None:
        return ""
    shown = merged(histogram, _MOST_BARS) if histogram.labels else histogram
    drawn = heights(shown)
    if drawn.top <= 0:
        return ""
    size = _HEIGHT - 2
    reference = [round(size * (1 - x / drawn.top)) for x in drawn.reference]
    current = [round(size * (1 - x / drawn.top), 1) for x in drawn.current]
    if shown.labels:
        body = _bars(reference, current)
    else:
        body = _steps(_places(shown.edges), reference, current)
    identity = f' id="{escape(key, quote=True)}"' if key else ""
    state = " alarm" if alarm else ""
    return (
        f'<svg class="outline{state}"{identity} role="img" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'preserveAspectRatio="none" aria-label="{escape(label, quote=True)}">{body}</svg>'
    )


def _places(edges: Sequence[float]) -> list[float]:
    span = (edges[-1] - edges[0]) or 1.0
    return [round((edge - edges[0]) / span * _WIDTH, 1) for edge in edges]


def _steps(x: Sequence[float], reference: Sequence[float], current: Sequence[float]) -> str:
    bottom = _HEIGHT - 2
    filled = "".join(f"V{_short(y)}H{_short(x[at + 1])}" for at, y in enumerate(reference))
    line = "".join(f"V{_short(y)}H{_short(x[at + 1])}" for at, y in enumerate(current))
    return (
        f'<path class="then" d="M0,{bottom}{filled}V{bottom}Z"/>'
        f'<path class="now" d="M0,{bottom}{line}V{bottom}"/>'
    )


def _bars(reference: Sequence[float], current: Sequence[float]) -> str:
    bottom = _HEIGHT - 2
    slot = _WIDTH / len(reference)
    then, now = [], []
    for at, (r, c) in enumerate(zip(reference, current, strict=True)):
        left = at * slot
        then.append(_bar(left + slot * 0.1, slot * 0.8, r, bottom))
        now.append(_bar(left + slot * 0.33, slot * 0.34, c, bottom))
    return f'<path class="then" d="{"".join(then)}"/><path class="now bar" d="{"".join(now)}"/>'


def _bar(x: float, width: float, top: float, bottom: float) -> str:
    return f"M{_short(x)},{bottom}V{_short(top)}h{_short(width)}V{bottom}Z"


def _short(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
