"""What a page is asked for, as its address says it, and the addresses of other pages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from tidegauge.errors import BadInput
from tidegauge.profile.layout import OTHER
from tidegauge.schema import Schema
from tidegauge.schema.divisions import CROSS

_MOST = 1000
#: What asks for the search in the address of a segment column's page.
SEARCH = "search=yes"


@dataclass(frozen=True)
class Asked:
    """The part of an address behind the question mark.

    Parameters
    ----------
    start, end : datetime or None
        The range of time; open where there is none.
    version : str or None
        Only of this version; whichever served, by default.
    segment : (column, value) or None
    metric : str or None
        A metric to be drawn beside those that are judged.
    window : str or None
        Of a column's page: start of the window whose distribution is drawn, or ``all``.
    """

    start: datetime | None = None
    end: datetime | None = None
    version: str | None = None
    segment: tuple[str, str] | None = None
    metric: str | None = None
    window: str | None = None

    @property
    def segment_json(self) -> str | None:
        """The segment as results have it; of a combination each column with its value."""
        if self.segment is None:
            return None
        columns, values = (text.split(CROSS) for text in self.segment)
        if self.segment[1] == OTHER:
            values = [OTHER] * len(columns)
        if len(columns) != len(values):
            return json.dumps(dict([self.segment]))
        return json.dumps(dict(zip(columns, values, strict=True)))

    @property
    def segment_text(self) -> str | None:
        """The segment as addresses have it."""
        if self.segment_json is None:
            return None
        return ",".join(f"{name}:{value}" for name, value in json.loads(self.segment_json).items())

    def query(self) -> str:
        """Return it as an address has it, ``?`` included; empty where nothing is asked.

        Examples
        --------
        >>> Asked(start=datetime(2026, 1, 1, tzinfo=UTC), segment=("carrier", "UA")).query()
        '?start=2026-01-01&segment=carrier:UA'
        """
        values = {
            "start": None if self.start is None else time_text(self.start),
            "end": None if self.end is None else time_text(self.end),
            "version": self.version,
            "segment": self.segment_text,
            "metric": self.metric,
            "window": self.window,
        }
        text = urlencode({k: v for k, v in values.items() if v is not None}, safe=":,")
        return f"?{text}" if text else ""


def segment_of(text: str) -> tuple[str, str]:
    """Return the column and the value of a segment as results have it.

    Examples
    --------
    >>> segment_of('{"carrier": "UA"}'), segment_of('{"carrier": "UA", "origin": "EWR"}')
    (('carrier', 'UA'), ('carrier × origin', 'UA × EWR'))
    """
    held: dict[str, str] = json.loads(text)
    values = [str(value) for value in held.values()]
    rest = set(values) == {OTHER}
    return CROSS.join(held), OTHER if rest else CROSS.join(values)


def read_query(query: Mapping[str, str], schema: Schema | None = None) -> Asked:
    """Read the part of an address behind the question mark; what is not ours is left alone.

    Parameters
    ----------
    query : mapping
    schema : Schema, optional
        The model's, for segments.

    Raises
    ------
    BadInput
        If a time is none, the range is the wrong way round, or the segment is not one.
    """
    start, end = read_time(query.get("start"), "start"), read_time(query.get("end"), "end")
    if start is not None and end is not None and end <= start:
        raise BadInput("the end of the range is not after its start; swap them", code="bad_range")
    return Asked(
        start,
        end,
        query.get("version", "")[:_MOST] or None,
        read_segment(query.get("segment"), schema),
        query.get("metric", "")[:_MOST] or None,
        query.get("window", "")[:_MOST] or None,
    )


def read_time(text: str | None, name: str = "time") -> datetime | None:
    """Read a time as people type it; without a zone it is UTC, as everything on pages.

    Raises
    ------
    BadInput

    Examples
    --------
    >>> read_time("2026-01-01").isoformat(), read_time("2026-01-01T01:00+01:00").isoformat()
    ('2026-01-01T00:00:00+00:00', '2026-01-01T00:00:00+00:00')
    """
    text = (text or "").strip()
    if not text:
        return None
    try:
        # A plus sign that was not encoded arrives as a space.
        sent = text.replace(" ", "+") if "T" in text else text
        time = datetime.fromisoformat(sent)
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        return time + timedelta(0)
    except (ValueError, OverflowError):
        raise BadInput(
            f"{name}: {text[:60]!r} is no time; write 2026-01-31 or 2026-01-31T06:00Z",
            code="bad_time",
        ) from None


def time_text(moment: datetime) -> str:
    """Write a time as an address has it.

    Examples
    --------
    >>> time_text(datetime(2026, 1, 1, tzinfo=UTC)), time_text(datetime(2026, 1, 1, 6, tzinfo=UTC))
    ('2026-01-01', '2026-01-01T06:00Z')
    """
    moment = moment.astimezone(UTC)
    if not (moment.hour or moment.minute or moment.second or moment.microsecond):
        return f"{moment:%Y-%m-%d}"
    spec = "minutes" if not (moment.second or moment.microsecond) else "auto"
    return moment.isoformat(timespec=spec).replace("+00:00", "Z")


def read_segment(text: str | None, schema: Schema | None) -> tuple[str, str] | None:
    """Read ``column:value``, of a combination ``column:value,column:value``.

    Raises
    ------
    BadInput
        If it names no segment column of the model.
    """
    if not text:
        return None
    found = None if schema is None else schema.segment_in(text)
    if found is None:
        there = "none" if schema is None else ", ".join(schema.segments) or "none"
        raise BadInput(
            f"segment: {text[:60]!r} names no segment column of this model (there are: {there}); "
            "write column:value, or column:value,column:value of a combination",
            code="unknown_segment",
        )
    return segment_of(json.dumps(found))


@dataclass(frozen=True)
class Links:
    """The addresses of one model's pages; what is asked for goes along.

    Parameters
    ----------
    project, name : str
    asked : Asked
    """

    project: str
    name: str
    asked: Asked = Asked()

    @property
    def base(self) -> str:
        """The model's page, as it is by default."""
        return f"/projects/{quote(self.project, safe='')}/models/{quote(self.name, safe='')}"

    @property
    def api(self) -> str:
        """The model in the API."""
        return f"/v1{self.base}"

    def model(self, **changes: Any) -> str:
        """The model's page."""
        return self.base + self._asked(changes)

    def column(self, column: str, **changes: Any) -> str:
        """A column's page."""
        return f"{self.base}/columns/{quote(column, safe='')}" + self._asked(changes)

    def drawing(self, kind: str, column: str, **changes: Any) -> str:
        """A specification that a column's page fetches."""
        return f"{self.base}/{kind}/{quote(column, safe='')}" + self._asked(changes)

    def segments(self, column: str, *, search: bool = False, **changes: Any) -> str:
        """A segment column's page; with the search for the worst segments, if it is asked for."""
        asked = self._asked({"segment": None, **changes})
        if search:
            asked += ("&" if asked else "?") + SEARCH
        return f"{self.base}/segments/{quote(column, safe='')}" + asked

    def incidents(self, **changes: Any) -> str:
        """The list of incidents."""
        return f"{self.base}/incidents" + self._asked(changes)

    def monitors(self) -> str:
        """The page of the budget and the monitors."""
        return f"{self.base}/monitors"

    def quarantine(self) -> str:
        """The page of what did not fit."""
        return f"{self.base}/quarantine"

    def schema(self) -> str:
        """The page of the schema."""
        return f"{self.base}/schema"

    def versions(self, **wanted: str | None) -> str:
        """The page that holds two versions against each other."""
        query = urlencode({k: v for k, v in wanted.items() if v}, safe=":,=%")
        return f"{self.base}/versions" + (f"?{query}" if query else "")

    def incident(self, number: int) -> str:
        """An incident's page."""
        return f"{self.base}/incidents/{number}"

    def window(self, start: datetime) -> str:
        """A window's page."""
        return self.windows + time_text(start) + self._asked({"start": None, "end": None})

    @property
    def windows(self) -> str:
        """What the address of a window's page begins with."""
        return f"{self.base}/windows/"

    def records(self, start: datetime, end: datetime) -> str:
        """Records in the API."""
        return f"{self.api}/records?start={_zoned(start)}&end={_zoned(end)}"

    def metrics(self, start: datetime, end: datetime, **wanted: str) -> str:
        """Results in the API."""
        more = urlencode(wanted, safe=":,*")
        span = f"start={_zoned(start)}&end={_zoned(end)}"
        return f"{self.api}/metrics?{span}{'&' + more if more else ''}"

    def _asked(self, changes: Mapping[str, Any]) -> str:
        kept = {"window": None, "metric": None, **changes}
        return replace(self.asked, **kept).query()


def _zoned(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
