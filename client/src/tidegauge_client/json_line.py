"""One record as one line of JSON: what Python values become on the wire.

JSON knows no NaN and no Infinity: the first is sent as null, the others as the strings
``"Infinity"`` and ``"-Infinity"``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from tidegauge_client.errors import UnsendableError
from tidegauge_client.times import zoned_text


class LineEncoder:
    """Turns records into lines of JSON.

    Most records go through the C encoder of the standard library at once. Only one that holds
    something JSON lacks (NaN, lone surrogates, a stranger's type) is rebuilt value by value.

    Parameters
    ----------
    zone : tzinfo or None
        What a time without a zone means; None refuses such times.

    Examples
    --------
    >>> LineEncoder(None).line({"prediction_id": "a1", "age": float("nan"), "fare": Decimal("7.5")})
    b'{"prediction_id":"a1","age":null,"fare":7.5}'
    """

    def __init__(self, zone: tzinfo | None) -> None:
        self.zone = zone
        self._encode: Callable[[object], str] = json.JSONEncoder(
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
            default=lambda value: _converted(value, zone, "?"),
        ).encode

    def line(self, record: Mapping[str, object]) -> bytes:
        """Return `record` as JSON, without a line end.

        Raises
        ------
        UnsendableError
            If a value has no JSON form; the message names its column.
        """
        try:
            return self._encode(record).encode()
        except (TypeError, ValueError, RecursionError):
            plain = {
                str(name): _plain(value, self.zone, str(name)) for name, value in record.items()
            }
        return self._encode(plain).encode()


def id_text(value: object, column: str = "prediction_id") -> str:
    """Return an id as text, so that ``7`` logged and ``"7"`` labelled are one prediction.

    Examples
    --------
    >>> id_text(7), id_text(b"a1")
    ('7', 'a1')
    """
    plain = value if type(value) is str else _plain(value, None, column)
    if plain is None or plain == "":
        raise UnsendableError(column, "is missing")
    if isinstance(plain, list | dict):
        raise UnsendableError(column, f"a {type(value).__name__} is not an id")
    return str(plain)


def _plain(value: object, zone: tzinfo | None, column: str, depth: int = 0) -> Any:
    """Return `value` in types that JSON has."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return float(value) if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")
    if depth > 20:
        raise UnsendableError(column, "is nested more than 20 deep")
    if isinstance(value, list | tuple):
        return [_plain(item, zone, column, depth + 1) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item, zone, column, depth + 1) for key, item in value.items()}
    return _plain(_converted(value, zone, column), zone, column, depth + 1)


def _converted(value: Any, zone: tzinfo | None, column: str) -> object:
    """Return a value of a type that JSON lacks as one (or a container) of those it has."""
    if isinstance(value, datetime):  # pandas' NaT is one too, and differs from itself
        return zoned_text(value, zone, column) if value == value else None
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return float(value) if not value.is_nan() else None
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        try:
            return bytes(value).decode("utf-8")
        except UnicodeDecodeError:
            raise UnsendableError(column, "bytes that are not UTF-8 text") from None
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    return _converted_foreign(value, column)


def _converted_foreign(value: Any, column: str) -> object:
    """Return a value of NumPy, pandas or the like, known by its shape: nothing is imported."""
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    if kind == "M" or kind == "m":  # NumPy hands out nanoseconds as bare numbers: ask for less
        return value.astype(f"{'datetime' if kind == 'M' else 'timedelta'}64[us]").tolist()
    if hasattr(value, "tolist"):
        return value.tolist()
    if type(value).__name__ == "NAType":
        return None
    raise UnsendableError(column, f"a {type(value).__name__} has no form in JSON")
