"""The style sheet and scripts: for a server that hands them out, and for a page that holds them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True)
class Asset:
    """One file as it is sent.

    Parameters
    ----------
    name : str
        As it stands in an address: ``tidegauge.css``.
    body : bytes
    media_type : str
    encoding : str or None
        ``Content-Encoding`` of the body: ``gzip`` or none.
    tag : str
        Changes with the content: for ``ETag``, and for ``?v=…`` in an address.
    """

    name: str
    body: bytes
    media_type: str
    encoding: str | None
    tag: str


#: What stands in an address, and the file and type behind it.
_FILES = {
    "tidegauge.css": ("tidegauge.css", "text/css; charset=utf-8"),
    "tidegauge.js": ("tidegauge.js", "text/javascript; charset=utf-8"),
    "charts.min.js": ("vendor/charts.min.js.gz", "text/javascript; charset=utf-8"),
    "charts.licenses.txt": ("vendor/LICENSES.txt", "text/plain; charset=utf-8"),
}


@cache
def assets() -> dict[str, Asset]:
    """Return every file that pages may ask for, by its name in an address.

    Examples
    --------
    >>> assets()["charts.min.js"].encoding
    'gzip'
    """
    return {name: _read(name, *about) for name, about in _FILES.items()}


def _read(name: str, path: str, media_type: str) -> Asset:
    body = (STATIC / path).read_bytes()
    encoding = "gzip" if path.endswith(".gz") else None
    return Asset(name, body, media_type, encoding, sha256(body).hexdigest()[:12])


@cache
def style_sheet() -> str:
    """Return the style sheet, to stand inside a page."""
    return (STATIC / "tidegauge.css").read_text(encoding="utf-8")


@cache
def script() -> str:
    """Return the pages' own script, to stand inside a page."""
    return (STATIC / "tidegauge.js").read_text(encoding="utf-8")


@cache
def packed_charts() -> str:
    """Return the charts' script, gzipped and in Base64: the page unpacks it when it draws."""
    return base64.b64encode(assets()["charts.min.js"].body).decode("ascii")
