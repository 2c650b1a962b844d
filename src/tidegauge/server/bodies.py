"""Bodies of requests: read as they stream in, within bounds, and unpacked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from fastapi import Request
from starlette.requests import ClientDisconnect

from tidegauge.errors import BadInput, Overloaded
from tidegauge.ingest import UnsupportedMediaType
from tidegauge.server.problems import TooLarge

#: Content encodings and their names in Arrow.
ENCODINGS = {"gzip": "gzip", "x-gzip": "gzip", "zstd": "zstd"}
_CHUNK = 1 << 20


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

    @contextmanager
    def admit(self) -> Iterator[Callable[[int], None]]:
        """Let a request in; what is yielded takes each further number of bytes that it holds.

        Raises
        ------
        Overloaded
            If there are too many, or they hold too much.
        """
        if self.requests >= self.max_requests:
            raise Overloaded(
                f"{self.requests} requests are being worked on; send again in a moment"
            )
        held = 0

        def take(size: int) -> None:
            nonlocal held
            # One request alone may always go on: its own size has a bound of its own.
            if self.bytes > held and self.bytes + size > self.max_bytes:
                raise Overloaded(
                    f"{self.bytes >> 20} MiB of requests are being worked on; send again in a "
                    "moment"
                )
            held += size
            self.bytes += size

        self.requests += 1
        try:
            yield take
        finally:
            self.requests -= 1
            self.bytes -= held


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
    """
    body = bytearray()
    async for chunk in _chunks(request, limit, take):
        body += chunk
    return bytes(body)


async def save_body(request: Request, limit: int, path: Path) -> int:
    """Write a body to a file as it streams in, and return its size."""
    size = 0
    with path.open("wb") as file:
        async for chunk in _chunks(request, limit, lambda _: None):
            size += file.write(chunk)
    return size


async def _chunks(
    request: Request, limit: int, take: Callable[[int], None]
) -> AsyncIterator[bytes]:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            take(len(chunk))
            yield chunk
    except ClientDisconnect:
        raise BadInput("the connection ended before the body did", code="cut_off") from None


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
