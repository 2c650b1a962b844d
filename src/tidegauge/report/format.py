"""How numbers, units and times are written, for every page, report and terminal.

At most three significant digits, thin spaces between thousands and before units, ``—`` for
none, a true minus sign. Times are UTC.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TypeGuard

NONE = "—"
#: Narrow no-break space: between thousands, and between a number and its unit.
THIN = "\u202f"

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_COUNTED = frozenset({"rows", "values", "records", "windows", "labels", "requests"})
#: Below this a p-value is as good as none.
_NEVER = 1e-50
_SPANS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


def known(value: float | None) -> TypeGuard[float]:
    """Whether a value is a finite number.

    Examples
    --------
    >>> known(0.0), known(None), known(float("nan"))
    (True, False, False)
    """
    return value is not None and math.isfinite(value)


def number(value: float | None) -> str:
    """Write a number with at most three significant digits.

    Examples
    --------
    >>> number(0.31249), number(12345.6), number(-2), number(None), number(float("nan"))
    ('0.312', '12\u202f300', '−2', '—', '—')
    >>> number(1.234e-7), number(float("inf"))
    ('1.23×10⁻⁷', '∞')
    """
    if value is None or math.isnan(value):
        return NONE
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if size == 0:
        return "0"
    if size < 1e-4 or size >= 1e9:
        mantissa, exponent = f"{size:.2e}".split("e")
        text = power(float(mantissa), int(exponent))
    elif size < 1000 and float(size).is_integer():
        text = str(int(size))
    else:
        digits = 2 - math.floor(math.log10(size))
        rounded = round(size, digits)
        if rounded >= 1000:
            text = f"{rounded:,.0f}".replace(",", THIN)
        else:
            text = f"{rounded:.{max(0, digits)}f}"
            text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"−{text}" if value < 0 else text


def power(mantissa: float, exponent: int) -> str:
    """Write a number as a power of ten.

    Examples
    --------
    >>> power(1.2, -7)
    '1.2×10⁻⁷'
    """
    return f"{mantissa:g}×10{str(exponent).translate(_SUPERSCRIPT)}"


def count(value: float | None) -> str:
    """Write a count, whole.

    Examples
    --------
    >>> count(1234567), count(None)
    ('1\u202f234\u202f567', '—')
    """
    if not known(value):
        return NONE
    return f"{value:,.0f}".replace(",", THIN).replace("-", "−")


def share(value: float | None) -> str:
    """Write a share of 0–1 in per cent.

    Examples
    --------
    >>> share(0.0312), share(0), share(1), share(1e-7)
    ('3.12\u202f%', '0\u202f%', '100\u202f%', '<\u202f0.001\u202f%')
    """
    if not known(value):
        return NONE
    if 0 < abs(value) < 1e-5:
        return f"<{THIN}0.001{THIN}%"
    return f"{number(value * 100)}{THIN}%"


def duration(seconds: float | None) -> str:
    """Write a span of time in the unit that suits it.

    Examples
    --------
    >>> duration(0.0123), duration(90), duration(7200), duration(86400 * 3)
    ('12.3\u202fms', '1.5\u202fmin', '2\u202fh', '3\u202fd')
    """
    if not known(seconds):
        return NONE
    if 0 < abs(seconds) < 1:
        return f"{number(seconds * 1000)}{THIN}ms"
    for length, unit in _SPANS:
        if abs(seconds) >= length:
            return f"{number(seconds / length)}{THIN}{unit}"
    return f"{number(seconds)}{THIN}s"


def quantity(value: float | None, unit: str | None = None) -> str:
    """Write a value in its unit.

    Parameters
    ----------
    value : float or None
    unit : str or None
        ``share`` is written in per cent, counts (``rows``, ``values``) whole, ``s`` as a
        duration; any other unit follows the number.

    Examples
    --------
    >>> quantity(0.5, "share"), quantity(12345, "rows"), quantity(3.14159, "nats")
    ('50\u202f%', '12\u202f345\u202frows', '3.14\u202fnats')
    """
    if not known(value) or not unit:
        return number(value)
    if unit == "share":
        return share(value)
    if unit == "s":
        return duration(value)
    text = count(value) if unit in _COUNTED and float(value).is_integer() else number(value)
    return f"{text}{THIN}{unit}"


def signed(value: float | None, unit: str | None = None) -> str:
    """Write a change, with its sign.

    Examples
    --------
    >>> signed(0.0123), signed(-1), signed(0)
    ('+0.0123', '−1', '0')
    """
    text = quantity(value, unit)
    return f"+{text}" if known(value) and value > 0 else text


def p_value(value: float | None) -> str:
    """Write a p-value to two digits.

    Examples
    --------
    >>> p_value(0.0341), p_value(3.2e-9), p_value(1e-80), p_value(None)
    ('0.034', '3.2×10⁻⁹', '<\u202f1×10⁻⁵⁰', '—')
    """
    if not known(value):
        return NONE
    if value < _NEVER:
        return f"<{THIN}{power(1.0, -50)}"
    if value >= 0.001:
        return f"{value:.2g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return power(float(mantissa), int(exponent))


def plural(amount: int, one: str, many: str | None = None) -> str:
    """Write a count with its noun.

    Examples
    --------
    >>> plural(1, "alarm"), plural(12, "alarm")
    ('1 alarm', '12 alarms')
    """
    return f"{count(amount)} {one if amount == 1 else many or one + 's'}"


def size(amount: int) -> str:
    """Write an amount of bytes.

    Examples
    --------
    >>> size(512), size(1536), size(5 << 30)
    ('512 bytes', '1.5 KiB', '5 GiB')
    """
    value, unit = float(amount), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{number(value)} {unit}"


def day(moment: datetime) -> str:
    """Write a date.

    Examples
    --------
    >>> day(datetime(2013, 6, 4, tzinfo=UTC))
    '4 Jun 2013'
    """
    return f"{moment.day} {moment:%b %Y}"


def instant(moment: datetime | None) -> str:
    """Write a moment in UTC, to the minute; seconds only where there are any.

    Examples
    --------
    >>> instant(datetime(2013, 6, 4, 13, 5, tzinfo=UTC))
    '4 Jun 2013, 13:05 UTC'
    """
    if moment is None:
        return NONE
    moment = as_utc(moment)
    return f"{day(moment)}, {_clock(moment)} UTC"


def interval(start: datetime | None, end: datetime | None) -> str:
    """Write a half-open interval ``[start, end)`` as people say it.

    Examples
    --------
    >>> interval(datetime(2013, 6, 4, tzinfo=UTC), datetime(2013, 6, 5, tzinfo=UTC))
    '4 Jun 2013'
    >>> interval(datetime(2013, 6, 4, 13, tzinfo=UTC), datetime(2013, 6, 4, 14, tzinfo=UTC))
    '4 Jun 2013, 13:00–14:00 UTC'
    >>> interval(datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 4, 1, tzinfo=UTC))
    '1 Jan – 31 Mar 2013'
    """
    if start is None or end is None:
        return NONE if start is None and end is None else f"{instant(start)} – {instant(end)}"
    start, end = as_utc(start), as_utc(end)
    if _midnight(start) and _midnight(end) and end > start:
        last = end - timedelta(days=1)
        if last == start:
            return day(start)
        first = f"{start.day} {start:%b}" if start.year == last.year else day(start)
        return f"{first} – {day(last)}"
    if start.date() == end.date():
        return f"{day(start)}, {_clock(start)}–{_clock(end)} UTC"
    return f"{day(start)}, {_clock(start)} – {day(end)}, {_clock(end)} UTC"


def span(first: datetime | None, last: datetime | None) -> str:
    """Write from when to when there are records: by day where that is exact enough.

    Examples
    --------
    >>> span(datetime(2013, 1, 1, 0, 4, tzinfo=UTC), datetime(2013, 1, 30, 23, 58, tzinfo=UTC))
    '1 Jan – 30 Jan 2013'
    """
    if first is None or last is None or last - first < timedelta(days=3):
        return interval(first, last)
    first, last = as_utc(first), as_utc(last)
    began = f"{first.day} {first:%b}" if first.year == last.year else day(first)
    return f"{began} – {day(last)}"


def ago(moment: datetime | None, now: datetime) -> str:
    """Write how long ago (or ahead) a moment is.

    Examples
    --------
    >>> ago(datetime(2013, 6, 4, tzinfo=UTC), datetime(2013, 6, 4, 3, tzinfo=UTC))
    '3 hours ago'
    """
    if moment is None:
        return NONE
    seconds = (as_utc(now) - as_utc(moment)).total_seconds()
    size = abs(seconds)
    for length, name in ((86400 * 365.25, "year"), (86400 * 30.44, "month"), (86400, "day")):
        if size >= 2 * length or (name == "day" and size >= length):
            return _told(size / length, name, seconds)
    for length, name in ((3600, "hour"), (60, "minute")):
        if size >= length:
            return _told(size / length, name, seconds)
    return "just now"


def as_utc(moment: datetime) -> datetime:
    """Return a moment in UTC; a naive one is read as UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _told(amount: float, name: str, seconds: float) -> str:
    words = plural(int(amount), name)
    return f"{words} ago" if seconds >= 0 else f"in {words}"


def _midnight(moment: datetime) -> bool:
    return not (moment.hour or moment.minute or moment.second or moment.microsecond)


def _clock(moment: datetime) -> str:
    return f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}"
