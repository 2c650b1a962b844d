"""Bodies of requests: read as they stream in, within bounds, and unpacked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
from fastapi import Request
from starlette.types import Scope

from tidegauge.errors import BadInput, Overloaded
from tidegauge.ingest import UnsupportedMediaType
from tidegauge.server.problems import TooLarge
from tidegauge.server.settings import Settings

#: Content encodings and their names in Arrow.
ENCODINGS = {"gzip": "gzip", "x-gzip": "gzip", "zstd": "zstd"}
_CHUNK = 1 << 20
#: A body that comes at this pace is waited for however long it is, in bytes a second.
_PACE = 64 << 10


class Intake:
    """How much is being read and worked on at the moment; more than the bounds is refused.

    Parameters
    ----------
    max_requests : int
    max_bytes : int

    Examples
    --------
    >>> intake = Intake(max_requests=1, max_bytes=100)
    >>> with intake.admit():
    ...     with intake.admit():
    ...         pass
    Traceback (most recent call last):
    tidegauge.errors.Overloaded: 1 requests are being worked on; send again in a moment
    """

    def __init__(self, max_requests: int, max_bytes: int) -> None:
        self.max_requests = max_requests
        self.max_bytes = max_bytes
        self.requests = 0
        self.bytes = 0

    def admit(self) -> _Admission:
        """Let a request in; what ``with`` gives takes each further number of bytes that it holds.

        Raises
        ------
        Overloaded
            If there are too many, or they hold too much.
        """
        return _Admission(self)


class _Admission:
    """A request's place in an `Intake`, from its first byte to its answer."""

    __slots__ = ("_held", "_intake")

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._held = 0

    def __enter__(self) -> Callable[[int], None]:
        intake = self._intake
        if intake.requests >= intake.max_requests:
            raise Overloaded(
                f"{intake.requests} requests are being worked on; send again in a moment"
            )
        intake.requests += 1
        return self._take

    def _take(self, size: int) -> None:
        intake = self._intake
        # One request alone may always go on: its own size has a bound of its own.
        if intake.bytes > self._held and intake.bytes + size > intake.max_bytes:
            raise Overloaded(
                f"{intake.bytes >> 20} MiB of requests are being worked on; send again in a moment"
            )
        self._held += size
        intake.bytes += size

    def __exit__(self, *_: object) -> None:
        self._intake.requests -= 1
        self._intake.bytes -= self._held


class TooSlow(BadInput):
    """A body that took too long to come; its connection is closed."""

    code = "too_slow"
    status: ClassVar[int] = 408


def header(scope: Scope, name: bytes) -> str | None:
    """Return a header of a request, None where it has none; by its name in lower case."""
    for told, value in scope["headers"]:
        if told == name:
            text: str = value.decode("latin-1")
            return text
    return None


async def read_body(request: Request, limit: int, take: Callable[[int], None]) -> bytes:
    """Read a whole body.

    Parameters
    ----------
    request : Request
    limit : int
        Bytes it may have, as sent.
    take : callable
        Of `Intake.admit`.

    Raises
    ------
    TooLarge
        As soon as it is known: by its declared length, or while it streams in.
    TooSlow
        If it takes longer than the setting ``request_timeout``.
    """
    parts: list[bytes] = []
    await _read(request, limit, take, parts.append)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def save_body(request: Request, limit: int, path: Path) -> int:
    """Write a body to a file as it streams in, and return its size."""
    with path.open("wb") as file:
        await _read(request, limit, lambda _: None, file.write)
        return file.tell()


async def _read(
    request: Request, limit: int, take: Callable[[int], None], use: Callable[[bytes], object]
) -> None:
    declared = header(request.scope, b"content-length")
    if declared is not None and declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    settings: Settings = request.app.state.settings
    allowed = settings.request_timeout.total_seconds()
    until = asyncio.get_running_loop().time() + allowed
    receive = request.receive
    size = 0
    try:
        async with asyncio.timeout_at(until) as bound:
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise BadInput("the connection ended before the body did", code="cut_off")
                chunk: bytes = message.get("body", b"")
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                take(len(chunk))
                use(chunk)
                if not message.get("more_body"):
                    return
                bound.reschedule(until + size / _PACE)
    except TimeoutError:
        raise TooSlow(
            f"only {size} bytes of the body came within {allowed:g} s; send smaller batches, or "
            "let the server wait longer (setting request_timeout)"
        ) from None


def unpacked(body: bytes, encoding: str | None, limit: int) -> bytes:
    """Return a body without its ``Content-Encoding``.

    Raises
    ------
    UnsupportedMediaType
        For an encoding that is not known.
    TooLarge
        If it unpacks to more than the limit; no more than that is ever held.
    BadInput
        If it is not what it claims to be.

    Examples
    --------
    >>> import gzip
    >>> unpacked(gzip.compress(b"[]"), "gzip", 100)
    b'[]'
    """
    name = (encoding or "identity").strip().lower()
    if name == "identity":
        return body
    codec = codec_of(name)
    parts: list[bytes] = []
    size = 0
    try:
        with pa.CompressedInputStream(pa.BufferReader(body), codec) as stream:
            while chunk := stream.read(_CHUNK):
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                parts.append(chunk)
    except (OSError, pa.ArrowException) as error:
        raise _not_encoded(name, error) from None
    return b"".join(parts)


def unpack_file(path: Path, encoding: str | None, limit: int) -> None:
    """Replace a file by what it unpacks to; as `unpacked`."""
    name = (encoding or "identity").strip().lower()
    if name == "identity":
        return
    codec = codec_of(name)
    packed = path.with_suffix(".packed")
    path.replace(packed)
    size = 0
    try:
        with (
            pa.CompressedInputStream(pa.OSFile(str(packed)), codec) as stream,
            path.open("wb") as file,
        ):
            while chunk := stream.read(_CHUNK):
                size += file.write(chunk)
                if size > limit:
                    raise _too_large(limit)
    except (OSError, pa.ArrowException) as error:
        raise _not_encoded(name, error) from None
    finally:
        packed.unlink()


def codec_of(encoding: str) -> str:
    """Return Arrow's name of a content encoding.

    Raises
    ------
    UnsupportedMediaType
        If it is not known.
    """
    if encoding not in ENCODINGS:
        raise UnsupportedMediaType(
            f"content encoding {encoding!r} is not read here; send gzip, zstd or none",
            code="unsupported_encoding",
        )
    return ENCODINGS[encoding]


def _not_encoded(name: str, error: Exception) -> BadInput:
    said = str(error).partition("\n")[0]
    return BadInput(f"the body is not {name}: {said}", code="bad_encoding")


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"the body has more than {limit} bytes; send smaller batches, or let the server take more "
        "(settings max_body, max_baseline)"
    )
