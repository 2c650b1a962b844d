"""Rendered pages, kept for as long as what they rest on is the same."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True)
class Sheet:
    """A rendered page.

    Parameters
    ----------
    body : bytes
    tag : str
        Changes with the content.
    status : int
    media_type : str
    """

    body: bytes
    tag: str
    status: int = 200
    media_type: str = "text/html; charset=utf-8"

    @classmethod
    def of(cls, text: str | bytes, status: int = 200, media_type: str = "") -> Sheet:
        """Return a page of some text."""
        body = text.encode("utf-8", "replace") if isinstance(text, str) else text
        tag = sha256(body).hexdigest()[:20]
        return cls(body, tag, status, media_type or cls.media_type)


class HeldSheets:
    """Keeps pages by what they are of; the least recently used ones go first.

    Parameters
    ----------
    most_bytes : int

    Examples
    --------
    >>> held = HeldSheets(100)
    >>> held.put("/", "1", Sheet.of("x" * 60))
    >>> held.get("/", "1").status, held.get("/", "2")
    (200, None)
    """

    def __init__(self, most_bytes: int = 64 << 20) -> None:
        self._most = most_bytes
        self._held: OrderedDict[str, tuple[str, Sheet]] = OrderedDict()
        self._bytes = 0
        self._guard = threading.Lock()

    def get(self, address: str, stamp: str) -> Sheet | None:
        """Return the page of an address, if it was made from what has this stamp."""
        with self._guard:
            held = self._held.get(address)
            if held is None or held[0] != stamp:
                return None
            self._held.move_to_end(address)
            return held[1]

    def put(self, address: str, stamp: str, sheet: Sheet) -> None:
        """Keep a page in place of the one that its address had."""
        with self._guard:
            before = self._held.pop(address, None)
            self._held[address] = stamp, sheet
            self._bytes += len(sheet.body) - (len(before[1].body) if before else 0)
            while self._bytes > self._most:
                self._bytes -= len(self._held.popitem(last=False)[1][1].body)

    def forget(self) -> None:
        """Let go of every page."""
        with self._guard:
            self._held.clear()
            self._bytes = 0
