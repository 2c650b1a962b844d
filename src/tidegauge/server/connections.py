"""HTTP connections: uvicorn's, with bounds on what a client may owe."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Bytes that the request line and all headers of a request may have together, or little more.
MAX_HEAD = 64 << 10
#: Connections and files that are asked for; many systems grant 1,024 to who does not ask.
MOST_DESCRIPTORS = 65_536
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
    """Knows what its client owes, and since when; takes no head of a request without end.

    uvicorn itself waits for a first request for ever, as it does for the rest of a body after the
    answer, and keeps whatever headers come.
    """

    #: Since when the client owes a head, or the rest of a body that nobody waits for.
    owes_since: float | None = None
    _in_head = True
    _head_size = 0

    def connection_made(self, transport: Any) -> None:
        """Wait for a first request."""
        super().connection_made(transport)
        self.owes_since = self.loop.time()

    def on_message_begin(self) -> None:
        """Take note that a head begins."""
        self.owes_since = self.loop.time()
        self._in_head = True
        self._head_size = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin to work on the request."""
        self.owes_since = None
        self._in_head = False
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Take note where an answer was given before the body had come."""
        if self.cycle.response_complete and self.cycle.more_body:
            self.owes_since = self.loop.time()
        super().on_response_complete()

    def on_message_complete(self) -> None:
        """Take note that the client owes nothing."""
        self.owes_since = None
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Take what came, unless it is too much of a head."""
        super().data_received(data)
        if self._in_head:
            # The parser keeps what it has of a header, and tells nobody before its end.
            self._head_size += len(data)
            if self._head_size > MAX_HEAD and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()

    def cut_off(self) -> None:
        """Close the connection; there is no request that could be answered."""
        if not self.transport.is_closing():
            self.transport.close()


def take_descriptors() -> None:
    """Let this process have as many connections and files as the system grants it."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def cut_off_late(connections: Iterable[Any], seconds: float) -> None:
    """Close the connections whose clients have owed something for too long."""
    for connection in list(connections):
        since = getattr(connection, "owes_since", None)
        if since is not None and connection.loop.time() - since > seconds:
            connection.cut_off()
