"""The one result that frame, JSON, HTML and HTTP share."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import pyarrow as pa


class State(StrEnum):
    """What a result says about its threshold."""

    OK = "ok"
    ALARM = "alarm"
    TOO_FEW = "too_few"
    NOT_APPLICABLE = "not_applicable"


class Basis(StrEnum):
    """From which labels a performance value comes."""

    ESTIMATED = "estimated"
    PARTIAL = "partial"
    FINAL = "final"


_TIME = pa.timestamp("us", "UTC")

#: Results as a table; ``segment`` is JSON text, or null for the whole.
RESULT_SCHEMA = pa.schema(
    [
        ("metric", pa.string()),
        ("column", pa.string()),
        ("segment", pa.string()),
        ("model", pa.string()),
        ("version", pa.string()),
        ("window_start", _TIME),
        ("window_end", _TIME),
        ("value", pa.float64()),
        ("unit", pa.string()),
        ("direction", pa.string()),
        ("expected", pa.float64()),
        ("lower", pa.float64()),
        ("upper", pa.float64()),
        ("p_value", pa.float64()),
        ("effect", pa.float64()),
        ("n_reference", pa.int64()),
        ("n_current", pa.int64()),
        ("state", pa.string()),
        ("basis", pa.string()),
        ("computed_at", _TIME),
        ("spread", pa.float64()),
        ("level", pa.float64()),
        ("reason", pa.string()),
        ("ci_lower", pa.float64()),
        ("ci_upper", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Result:
    """One metric of one column (or of the model), segment and window, judged.

    ``lower`` and ``upper`` bound what is not an alarm; both are ``None`` where the metric is
    shown and not judged. ``effect`` is the distance from what was expected, in the metric's
    unit, and ``spread`` the standard deviation of that distance if nothing changed. An alarm's
    ``p_value`` does not pass ``level``, its share of the false-alarm budget. ``reason`` says what
    the numbers cannot: which value of a category, how many records are wanting. ``ci_lower`` and
    ``ci_upper`` are the 95 % interval of the value, ``None`` where it is not known: of an estimated
    or partial one, of what it will be once every label is there; of a final one, of what records
    like these lead to. Times are aware UTC.

    Examples
    --------
    >>> Result(metric="psi", column="age", value=float("nan")).to_json()["value"] is None
    True
    """

    metric: str
    column: str | None = None
    segment: dict[str, str] | None = None
    model: str | None = None
    version: str | None = None
    window_start: datetime | None = None
    window_end: datetime | None = None
    value: float | None = None
    unit: str | None = None
    direction: str = "neither"
    expected: float | None = None
    lower: float | None = None
    upper: float | None = None
    p_value: float | None = None
    effect: float | None = None
    n_reference: int = 0
    n_current: int = 0
    state: State = State.OK
    basis: Basis | None = None
    computed_at: datetime | None = None
    spread: float | None = None
    level: float | None = None
    reason: str | None = None
    ci_lower: float | None = None
    ci_upper: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON holds it: no NaN, times as ISO 8601 in UTC."""
        return {key: plain(value) for key, value in asdict(self).items()}


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it.

    Examples
    --------
    >>> plain(float("inf")) is None
    True
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, StrEnum):
        return value.value
    return value
