"""Times on the wire: ISO 8601 that carries its zone, or nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, tzinfo

from tidegauge_client.errors import NaiveTimeError, UnsendableError


def zone_named(name: str | None) -> tzinfo | None:
    """Return the zone that naive times are declared to be in.

    Examples
    --------
    >>> zone_named("UTC"), zone_named(None)
    (datetime.timezone.utc, None)
    >>> zone_named("Europe/Atlantis")
    Traceback (most recent call last):
    ...
    ValueError: timezone 'Europe/Atlantis' is not known; give a name such as 'UTC' or 'Europe/Paris'
    """
    if name is None:
        return None
    if name.upper() == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"timezone {name!r} is not known; give a name such as 'UTC' or 'Europe/Paris'"
        ) from None


def zoned_text(moment: datetime, zone: tzinfo | None, column: str) -> str:
    """Return `moment` as text with its zone; a naive one is read in `zone`.

    Raises
    ------
    NaiveTimeError
        If neither the moment nor the client knows a zone.

    Examples
    --------
    >>> zoned_text(datetime(2026, 1, 1), UTC, "timestamp")
    '2026-01-01T00:00:00+00:00'
    """
    if moment.utcoffset() is None:
        if zone is None:
            raise NaiveTimeError(column)
        moment = moment.replace(tzinfo=zone)
    return moment.isoformat()


def event_time(moment: object, zone: tzinfo | None, column: str) -> object:
    """Return what a caller gave as a time, in a form that the wire encoder takes.

    A number is Unix seconds, a date is its midnight; text is left to the server to read.

    Examples
    --------
    >>> event_time(0, None, "timestamp")
    datetime.datetime(1970, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """
    if isinstance(moment, bool):
        raise UnsendableError(column, f"{moment} is not a time")
    if isinstance(moment, int | float):
        try:
            return datetime.fromtimestamp(moment, UTC)
        except (ValueError, OverflowError, OSError):
            raise UnsendableError(
                column, f"{moment!r} is not a time in Unix seconds (is it in milliseconds?)"
            ) from None
    if isinstance(moment, date) and not isinstance(moment, datetime):
        return datetime.combine(moment, time(), zone)
    return moment
