"""The named colours of charts."""

from __future__ import annotations

#: Colours on light paper, by name. The style sheet has the same as ``--ink-…`` (a test holds
#: them together), for light and dark; a page puts its own in before it draws.
INK = {
    "reference": "#cfd3d8",
    "referenceLine": "#98a0a9",
    "current": "#29313a",
    "band": "#e9ebed",
    "expected": "#7d8690",
    "baseline": "#f3f4f5",
    "grid": "#e6e7e9",
    "text": "#565e67",
    "paper": "#ffffff",
    "alarm": "#b3261e",
    "warning": "#8a5a00",
    "unknown": "#4d57b0",
    "shade0": "#414a55",
    "shade1": "#626c78",
    "shade2": "#838c97",
    "shade3": "#a2a9b2",
    "shade4": "#bfc4ca",
    "shade5": "#d8dbdf",
    "shade6": "#eceef0",
}


def ink(name: str) -> dict[str, str]:
    """Return a colour by its name, as an expression of the specification.

    Examples
    --------
    >>> ink("alarm")
    {'expr': 'ink.alarm'}
    """
    assert name in INK, name
    return {"expr": f"ink.{name}"}
