"""The wire formats, found by content type.

To add one, write its file (a `Format` called ``FORMAT``) and put its module into `BUILT_IN`; in a
package of your own, name the `Format` as an entry point of the group ``tidegauge.formats``.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import ClassVar

from tidegauge.errors import BadInput
from tidegauge.ingest.parsed import Format, Parsed

BUILT_IN = (
    "tidegauge.ingest.json",
    "tidegauge.ingest.ndjson",
    "tidegauge.ingest.arrow_stream",
    "tidegauge.ingest.parquet",
)


class UnsupportedMediaType(BadInput):
    """A body in a format that is not read here; the message lists those that are."""

    code = "unsupported_media_type"
    status: ClassVar[int] = 415


@cache
def formats() -> tuple[Format, ...]:
    """Return all wire formats: the built-in ones, then those of installed packages.

    Examples
    --------
    >>> [format.name for format in formats()][:4]
    ['JSON', 'NDJSON', 'Arrow IPC stream', 'Parquet']
    """
    built_in = [import_module(module).FORMAT for module in BUILT_IN]
    plugged = [entry.load() for entry in entry_points(group="tidegauge.formats")]
    return (*built_in, *plugged)


def format_of(content_type: str | None) -> Format:
    """Return the wire format of a ``Content-Type`` header; parameters do not matter.

    Raises
    ------
    UnsupportedMediaType
        If no format has this content type.

    Examples
    --------
    >>> format_of("application/json; charset=utf-8").name
    'JSON'
    >>> format_of("text/html")
    Traceback (most recent call last):
    tidegauge.ingest.formats.UnsupportedMediaType: content type 'text/html' is not read here; send
    application/json, application/x-ndjson, application/vnd.apache.arrow.stream,
    application/vnd.apache.parquet...
    """
    wanted = (content_type or "").partition(";")[0].strip().lower()
    for format in formats():
        if wanted in format.media_types:
            return format
    accepted = ", ".join(format.media_types[0] for format in formats())
    what = f"content type {wanted!r} is not read here" if wanted else "there is no content type"
    raise UnsupportedMediaType(f"{what}; send {accepted}")


@lru_cache(maxsize=256)
def gives_rows(content_type: str | None) -> bool:
    """Tell whether bodies of a ``Content-Type`` become lists of rows.

    Examples
    --------
    >>> gives_rows("application/json"), gives_rows("application/vnd.apache.parquet")
    (True, False)
    """
    try:
        return format_of(content_type).rows
    except UnsupportedMediaType:
        return False


def parse(body: bytes, content_type: str | None) -> Parsed:
    """Read a body as its content type says.

    Raises
    ------
    BadInput
        If the content type is unknown (415), or the body is malformed.

    Examples
    --------
    >>> parse(b'[{"age": 42}]', "application/json")
    [{'age': 42}]
    """
    return format_of(content_type).read(body)
