"""Who may call: browsers on other pages may not, since nothing is authenticated here."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from tidegauge.server.problems import Refused, problem_of

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class OriginGuard:
    """Refuses what a browser sends for a page that is not ours.

    A request that changes something must not carry the ``Origin`` of another site. While the
    server listens on a loopback address, its ``Host`` must be one as well or be allowed by name,
    so that no name that leads here by a trick of DNS is listened to.

    Parameters
    ----------
    app : ASGI application
    host : str
        The address that the server listens on.
    allowed : iterable of str
        Further host names; ``*`` for any.
    """

    def __init__(self, app: ASGIApp, host: str, allowed: Iterable[str] = ()) -> None:
        self.app = app
        names = {name.lower() for name in allowed}
        checked = is_loopback(host) and "*" not in names
        self._names = frozenset(_LOOPBACK | names | {host.lower()}) if checked else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http":
            refusal = self._refusal(scope)
            if refusal is not None:
                await problem_of(refusal)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Refused | None:
        host = origin = ""
        for name, value in scope["headers"]:
            if name == b"host":
                host = value.decode("latin-1")
            elif name == b"origin":
                origin = value.decode("latin-1")
        if self._names is not None and (called := host_name(host)) not in self._names:
            return Refused(
                f"the server does not answer to the host name {called!r}; call it as localhost, "
                "or name it in the setting allowed_hosts",
                code="unknown_host",
            )
        if origin and scope["method"] not in _SAFE and not _same(origin, host):
            return Refused(f"a page of {origin} may not change anything here", code="cross_origin")
        return None


def is_loopback(host: str) -> bool:
    """Tell whether an address reaches only from this machine.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0")
    (True, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=1024)
def host_name(header: str) -> str:
    """Return the name in a ``Host`` header, without its port.

    Examples
    --------
    >>> host_name("Localhost:8420"), host_name("[::1]:8420")
    ('localhost', '::1')
    """
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""


def _same(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False
