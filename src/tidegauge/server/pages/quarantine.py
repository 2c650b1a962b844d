"""The page of a model's quarantine: what did not fit, why, and checking it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson
from starlette.requests import Request

from tidegauge.engine.quarantine import Chosen, Group, Kept, QuarantineReader
from tidegauge.report.format import count, plural
from tidegauge.server.pages.asked import Asked
from tidegauge.server.pages.framing import frame, model_of
from tidegauge.server.pages.held import Sheet
from tidegauge.server.pages.rendering import render
from tidegauge.server.pages.serving import Clock, Desk
from tidegauge.server.pages.verdict import Verdict

#: Groups and rows that are shown at once, and letters of a record.
MOST_GROUPS, MOST_ROWS, MOST_LETTERS = 100, 20, 20_000
_FIELDS = ("resource", "code", "column")
_WORDS = {
    "type_error": "of another type",
    "missing_prediction_id": "without prediction id",
    "missing_timestamp": "without time",
    "missing_label": "without label",
    "naive_timestamp": "time without a zone",
    "future_timestamp": "ahead of the clock",
    "not_an_object": "not an object",
    "bad_ndjson": "not JSON",
    "unstorable": "cannot be stored",
}


@dataclass(frozen=True)
class ShownGroup:
    """One group, with its addresses.

    Parameters
    ----------
    group : Group
    what : str
        What is wrong, in words.
    record : str
        Of its newest row, laid out.
    href : str
        Where its rows are.
    chosen : bool
        Whether these are shown.
    fields : mapping
        What a form says to mean it.
    """

    group: Group
    what: str
    record: str
    href: str
    chosen: bool
    fields: Mapping[str, str]


@dataclass(frozen=True)
class ShownRow:
    """One row, its record laid out."""

    row: Kept
    record: str


@dataclass(frozen=True)
class QuarantineView:
    """What the page shows.

    Parameters
    ----------
    verdict : Verdict
    groups : tuple of ShownGroup
    more : int
        Groups that are not shown.
    chosen : ShownGroup or None
        The group whose rows are shown.
    rows : tuple of ShownRow
    following : str or None
        Address of older rows.
    """

    verdict: Verdict
    groups: tuple[ShownGroup, ...]
    more: int
    chosen: ShownGroup | None
    rows: tuple[ShownRow, ...]
    following: str | None


def quarantine_page(desk: Desk, request: Request, clock: Clock) -> Sheet:
    """What did not fit, why, and checking it again."""
    found = model_of(desk, request)
    standing = desk.reading.standing(found)
    names = found.project, found.name
    version = desk.runtime.lake.table_version(*names, "quarantine")
    clock.lap("stamp")
    query = request.query_params

    def make() -> str:
        reader = QuarantineReader(desk.runtime.engine)
        groups, count_of = reader.groups(*names, limit=MOST_GROUPS)
        chosen = _chosen(query)
        rows: Sequence[Kept] = ()
        following = None
        if chosen is not None:
            rows, following = reader.rows(
                *names, chosen, limit=MOST_ROWS, cursor=query.get("cursor")
            )
        clock.lap("read")
        view = quarantine_view(
            found.name,
            reader.count(*names),
            groups,
            count_of,
            chosen,
            rows,
            following,
            query,
        )
        clock.lap("view")
        values = frame(standing, Asked(), None, "quarantine")
        address = str(request.base_url).rstrip("/")
        return render("quarantine.html", {**values, "view": view, "address": address})

    address = f"{request.url.path}?{request.url.query}"
    sheet = desk.held(clock, address, f"{standing.stamp}-{version}", make)
    clock.lap("render")
    return sheet


def quarantine_view(
    name: str,
    total: int,
    groups: Sequence[Group],
    count_of: int,
    chosen: Chosen | None,
    rows: Sequence[Kept],
    following: str | None,
    query: Mapping[str, str],
) -> QuarantineView:
    """Put the page together.

    Parameters
    ----------
    name : str
        Of the model.
    total : int
        Rows in quarantine.
    groups : sequence of Group
        The largest first.
    count_of : int
        How many groups there are in all.
    chosen : Chosen or None
        The group that is opened.
    rows : sequence of Kept
        Its rows, as many as are shown.
    following : str or None
        Cursor of older ones.
    query : mapping
        The address's; what a replay came to stands there.
    """
    shown = tuple(_shown(group, chosen) for group in groups)
    more = None
    if following is not None and chosen is not None:
        more = f"?{urlencode({**_said(chosen), 'cursor': following})}#rows"
    return QuarantineView(
        _verdict(name, total, query),
        shown,
        count_of - len(groups),
        next((one for one in shown if one.chosen), None),
        tuple(ShownRow(row, laid_out(row.record)) for row in rows),
        more,
    )


def laid_out(record: str) -> str:
    """Return a record over several lines, where it is JSON; else as it is.

    Examples
    --------
    >>> print(laid_out('{"a":1}'))
    {
      "a": 1
    }
    >>> laid_out("{broken")
    '{broken'
    """
    try:
        text = orjson.dumps(orjson.loads(record), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        text = record
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}\n…"


def _verdict(name: str, total: int, query: Mapping[str, str]) -> Verdict:
    done = {key: _number(query.get(key)) for key in ("replayed", "repeated", "stayed")}
    told = ""
    if query.get("replayed"):
        told = f"{plural(done['replayed'], 'row')} fitted and {_are(done['replayed'])} stored now"
        if done["repeated"]:
            told += f", {count(done['repeated'])} had been stored before"
        told += f"; {count(done['stayed'])} did not fit still."
    if not total:
        return Verdict("ok", f"Nothing of {name} is in quarantine.", told)
    about = (
        "They are kept whole, and count in no metric. Mend the schema or the sender, then replay: "
        "what fits then is stored, each row once."
    )
    sentence = f"{plural(total, 'row')} of {name} did not fit, and {_are(total)} kept aside."
    return Verdict("shown", sentence, told or about)


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else 0


def _chosen(query: Mapping[str, str]) -> Chosen | None:
    if not any(name in query for name in _FIELDS):
        return None
    return Chosen(**{name: query[name][:1000] for name in _FIELDS if name in query})


def _said(chosen: Chosen) -> dict[str, str]:
    values: dict[str, Any] = {name: getattr(chosen, name) for name in _FIELDS}
    return {name: value for name, value in values.items() if value is not None}


def _shown(group: Group, chosen: Chosen | None) -> ShownGroup:
    own = Chosen(group.resource, group.code or "", group.column or "")
    fields = _said(own)
    return ShownGroup(
        group,
        _WORDS.get(group.code, group.code),
        laid_out(group.record),
        f"?{urlencode(fields)}#rows",
        chosen == own,
        fields,
    )
