"""HTTP connections: uvicorn's, with bounds on what a client may send before its request begins."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Bytes that the request line and all headers of a request may have together, or little more.
MAX_HEAD = 64 << 10
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: text/plain; charset=utf-8\r\ncontent-length: 58\r\nconnection: close\r\n\r\n"
    b"the request line and headers together exceed 65536 bytes.\n"
)


def http_options() -> dict[str, Any]:
    """Return what uvicorn is told of its loop and its protocols.

    Examples
    --------
    >>> http_options()["ws"]
    'none'
    """
    return {
        "loop": "asyncio" if sys.platform == "win32" else "uvloop",
        "http": Connection,
        "ws": "none",
        "access_log": False,
        "server_header": False,
        "timeout_keep_alive": 75,
    }


class Connection(HttpToolsProtocol):
    """Knows since when its client owes the head of a request, and takes no head without end.

    uvicorn itself waits for a first request for ever, and keeps whatever headers come.
    """

    head_since: float | None = None
    _head_size = 0

    def connection_made(self, transport: Any) -> None:
        """Wait for a first request."""
        super().connection_made(transport)
        self.head_since = self.loop.time()

    def on_message_begin(self) -> None:
        """Take note that a head begins."""
        self.head_since = self.loop.time()
        self._head_size = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin to work on the request."""
        self.head_since = None
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Take what came, unless it is too much of a head."""
        super().data_received(data)
        if self.head_since is not None:
            # The parser keeps what it has of a header, and tells nobody before its end.
            self._head_size += len(data)
            if self._head_size > MAX_HEAD and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()

    def cut_off(self) -> None:
        """Close the connection; there is no request that could be answered."""
        if not self.transport.is_closing():
            self.transport.close()


def cut_off_headless(connections: Iterable[Any], seconds: float) -> None:
    """Close the connections that have owed the head of a request for too long."""
    for connection in list(connections):
        since = getattr(connection, "head_since", None)
        if since is not None and connection.loop.time() - since > seconds:
            connection.cut_off()
