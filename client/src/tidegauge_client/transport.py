"""One HTTP request and what its outcome means; the only file that knows httpx.

It is imported when a client is made, not with the package: httpx alone costs more than the rest.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterable
from copy import copy
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any
from urllib.parse import quote

import httpx

from tidegauge_client.batch import Answer, Batch
from tidegauge_client.errors import RefusedError, TransientError
from tidegauge_client.version import __version__

LARGEST_ANSWER = 4 * 1024 * 1024
"""The most bytes of an answer that are read: ours are far smaller; a proxy may answer anything."""

LONGEST_MESSAGE = 1_000


class Transport:
    """The address of one model on one server, and the connection to it.

    Parameters
    ----------
    url, project, model : str
        Where the records go.
    version : str or None
        The model's version, for records that name none.
    key : str or None
        The bearer key.
    timeout : float
        Seconds for each of connecting, sending and awaiting the answer.

    Attributes
    ----------
    url, address : str
        The server, and the model on it.

    Raises
    ------
    ValueError
        If `url` is not a complete http or https address, or a name or the key can't be sent.
    """

    def __init__(
        self,
        url: str,
        project: str,
        model: str,
        version: str | None,
        key: str | None,
        timeout: float,
    ) -> None:
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ValueError(f"url {url!r} is not an address: {error}") from None
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ValueError(f"url must be like 'http://localhost:8420', not {url!r}")
        if not project or not model:
            raise ValueError("project and model must not be empty")
        self.url = url.rstrip("/")
        self._model = f"/v1/projects/{quote(project, safe='')}/models/{quote(model, safe='')}"
        self.address = f"{self.url}{self._model}"
        self._version = "" if version is None else f"?version={quote(version, safe='')}"
        self._headers = {"User-Agent": f"tidegauge-client/{__version__}"}
        if key is not None:
            if not key.isascii() or not key.isprintable():
                raise ValueError("key must be printable ASCII (does it end in a line end?)")
            self._headers["Authorization"] = f"Bearer {key}"
        self._timeout = timeout
        self._certificates = _ready_to_send()
        self._http: httpx.Client | None = None

    def path(self, resource: str) -> str:
        """Return the path and the query that `resource` is sent to."""
        return f"{self._model}/{resource}{self._version if resource == 'predictions' else ''}"

    def another(self) -> Transport:
        """Return a transport to the same place with a connection of its own."""
        twin = copy(self)
        twin.forget_connection()
        return twin

    def post_batch(
        self, batch: Batch, timeout: float | None = None, path: str | None = None
    ) -> Answer:
        """Send `batch` once, to `path` if not to this model, and return the server's account of it.

        Raises
        ------
        TransientError
            If another try may succeed.
        RefusedError
            If it will not.
        """
        content = self.post(
            path or self.path(batch.kind), batch.content_type, batch.key, batch.body, timeout
        )
        try:
            return Answer(
                accepted=int(content["accepted"]),
                repeated=int(content.get("repeated", 0)),
                quarantined=int(content.get("quarantined", 0)),
                errors=tuple(content.get("errors") or ()),
            )
        except (KeyError, TypeError, ValueError):
            raise _no_account(self.address) from None

    def post(
        self,
        path: str,
        content_type: str,
        key: str,
        body: bytes | Iterable[bytes],
        timeout: float | None = None,
        length: int | None = None,
    ) -> dict[str, Any]:
        """Send `body` once and return the JSON object that the server answers."""
        headers = {"Content-Type": content_type, "Idempotency-Key": key}
        if length is not None:
            headers["Content-Length"] = str(length)
        patience = timeout or self._timeout
        try:
            with self._connection().stream(
                "POST", f"{self.url}{path}", content=body, headers=headers, timeout=patience
            ) as response:
                content = _limited(response, patience)
        except httpx.RequestError as error:
            away = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            raise TransientError(
                f"{self.address}: {type(error).__name__}: {error or 'no answer in time'}",
                perhaps_its_own=not away,
            ) from error
        return _content(response, content, self.address)

    def forget_connection(self) -> None:
        """Leave the connection to the process that opened it: a forked child opens its own."""
        self._http = None

    def close(self) -> None:
        """Close the connection; a later request opens another."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def _connection(self) -> httpx.Client:
        if self._http is None:
            self._http = httpx.Client(
                headers=self._headers, timeout=self._timeout, verify=self._certificates
            )
        return self._http


@cache
def _ready_to_send() -> ssl.SSLContext:
    """Return the certificates to trust, and have all imported that a first request imports.

    Both hold up every thread for tens of milliseconds, so they are done once, and when a client is
    made: not with the first record, in the midst of scoring. And a fork while the sending thread
    imports would leave the child with half a module, locked for ever.
    """
    certificates = httpx.create_ssl_context()
    httpx.Client(verify=certificates).close()
    "localhost".encode("idna")
    return certificates


def _limited(response: httpx.Response, patience: float) -> bytes:
    """Return the body of an answer: no more of it than ours can have, and in bounded time."""
    pieces, size, until = [], 0, time.monotonic() + patience
    for piece in response.iter_bytes():
        pieces.append(piece)
        size += len(piece)
        if size > LARGEST_ANSWER:
            raise httpx.ReadError(f"an answer of more than {LARGEST_ANSWER} bytes")
        if time.monotonic() > until:
            raise httpx.ReadTimeout("the answer took too long to arrive")
    return b"".join(pieces)


def _content(response: httpx.Response, body: bytes, address: str) -> dict[str, Any]:
    """Return the JSON object of a good answer; raise for any other."""
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if response.is_success:
        if not isinstance(content, dict):
            raise _no_account(address)
        return content
    problem = content if isinstance(content, dict) else {}
    # Ours say `code` and `message`; RFC 9457 has `title` and `detail`, proxies plain text.
    code = str(problem.get("code") or problem.get("title") or response.reason_phrase)
    text = problem.get("message") or problem.get("detail") or body[:200].decode("utf-8", "replace")
    message = str(text).strip()[:LONGEST_MESSAGE]
    status = response.status_code
    if status in (408, 429) or status >= 500:
        raise TransientError(
            f"{address} answered {status} ({code[:100]}): {message}",
            retry_after=retry_after_seconds(response.headers.get("Retry-After")),
            perhaps_its_own=status not in (429, 503, 507),
        )
    if response.is_redirect:
        message = f"moved to {response.headers.get('Location')}: give the final address as url"
    raise RefusedError(status, code[:100], message)


def _no_account(address: str) -> TransientError:
    return TransientError(
        f"{address} answered well but not as a Tidegauge server does (is a proxy in between?)"
    )


def retry_after_seconds(header: str | None) -> float | None:
    """Return the seconds of a Retry-After header (RFC 9110, 10.2.3: a number or a date).

    Examples
    --------
    >>> retry_after_seconds("2"), retry_after_seconds("soon"), retry_after_seconds(None)
    (2.0, None, None)
    >>> retry_after_seconds("Wed, 21 Oct 2015 07:28:00 GMT")
    0.0
    """
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
