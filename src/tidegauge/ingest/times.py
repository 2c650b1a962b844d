"""Times in requests: ISO 8601 texts with a zone, and what is wrong with others."""

from __future__ import annotations

import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa
import pyarrow.compute as pc

from tidegauge.errors import BadInput
from tidegauge.ingest.raw import shown
from tidegauge.schema.arrow import TIMESTAMP

#: How far ahead of the clock a timestamp may be.
AHEAD = datetime.timedelta(minutes=10)

_INT64 = pa.int64()
#: Microseconds since 1970 of the first and the last time that a `datetime` can be.
_FIRST = -62_135_596_800_000_000
_LAST = 253_402_300_799_999_999
_FORM = "ISO 8601 with a zone, as '2026-01-01T00:00:00Z'"


class Unfit(Exception):
    """A value that does not fit its column."""

    def __init__(self, message: str, code: str = "type_error") -> None:
        super().__init__(message)
        self.code = code


def read_time(value: object, zone: str | None) -> datetime.datetime:
    """Return one time in UTC.

    Parameters
    ----------
    value : object
        ISO 8601 text, or what came instead of it.
    zone : str, optional
        The zone of a time that names none; without it such a time is refused.

    Raises
    ------
    Unfit
        If it is no time, or has no zone.

    Examples
    --------
    >>> read_time("2026-01-01T00:00:00+01:00", None).isoformat()
    '2025-12-31T23:00:00+00:00'
    >>> read_time("2026-01-01", "UTC").isoformat()
    '2026-01-01T00:00:00+00:00'
    >>> read_time("2026-01-01T00:00:00", None)
    Traceback (most recent call last):
    tidegauge.ingest.times.Unfit: "2026-01-01T00:00:00" has no time zone; send ISO 8601 with a
    zone, as '2026-01-01T00:00:00Z'
    """
    if not isinstance(value, str):
        raise Unfit(f"{shown(value)} is no time; send {_FORM}")
    try:
        time = datetime.datetime.fromisoformat(value.strip().upper())
    except ValueError:
        raise Unfit(f"{shown(value)} is no time; send {_FORM}") from None
    if time.tzinfo is None:
        if zone is None:
            raise Unfit(f"{shown(value)} has no time zone; send {_FORM}", "naive_timestamp")
        time = time.replace(tzinfo=_zone(zone))
    try:
        return time.astimezone(datetime.UTC)
    except OverflowError:
        raise Unfit(f"{shown(value)} is outside of the years 1 to 9999") from None


def localized(naive: Any, zone: str) -> Any:
    """Return Arrow times without a zone as UTC, read in the given zone.

    In the hour that an autumn has twice the earlier is taken; of the hour that a spring lacks,
    its end.

    Examples
    --------
    >>> naive = pa.array(["2026-07-01"]).cast(pa.timestamp("us"))
    >>> str(localized(naive, "UTC").cast(pa.string())[0])
    '2026-07-01 00:00:00.000000Z'
    """
    if zone == "UTC":
        return naive.cast(TIMESTAMP)
    try:
        return pc.assume_timezone(naive, zone, ambiguous="earliest", nonexistent="latest").cast(
            TIMESTAMP
        )
    except pa.ArrowException:
        raise _unknown(zone) from None


def outside_of_years(times: Any) -> bool:
    """Tell whether a time is in no calendar of four-digit years.

    Examples
    --------
    >>> outside_of_years(pa.array([0, 2**60]).cast(TIMESTAMP))
    True
    """
    bounds: Any = pc.min_max(times.cast(_INT64)).as_py()
    least, greatest = bounds["min"], bounds["max"]
    return least is not None and (least < _FIRST or greatest > _LAST)


def ahead_of(times: Any, now: datetime.datetime) -> list[int]:
    """Return the places of times that are too far ahead of the clock."""
    limit: Any = pa.scalar(now + AHEAD, TIMESTAMP)
    return places(pc.greater(times, limit))


def places(mask: Any) -> list[int]:
    """Return where a mask is true.

    Examples
    --------
    >>> places(pa.array([True, None, False, True]))
    [0, 3]
    """
    if not pc.any(mask).as_py():
        return []
    whole = mask.combine_chunks() if isinstance(mask, pa.ChunkedArray) else mask
    found: Any = pc.indices_nonzero(whole.fill_null(False))
    return list(found.to_pylist())


def _zone(zone: str) -> datetime.tzinfo:
    if zone == "UTC":
        return datetime.UTC
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _unknown(zone) from None


def _unknown(zone: str) -> BadInput:
    return BadInput(
        f"the schema's time zone {zone!r} is not known here; install the time zone data (tzdata)",
        code="unknown_timezone",
    )
