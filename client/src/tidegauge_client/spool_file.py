"""One batch as a file of the spool: a first line with a checksum, a header in JSON, the body.

::

    tidegauge-spool 1 7d2ab1c0 312 48211        magic, format, CRC-32, bytes of header and of body
    {"url": …, "path": …, "content_type": …, "key": …, "records": …, "created": …}
    the body, as it is sent

The CRC-32 is that of header and body. The key of the project is not in the file.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime

from tidegauge_client.batch import Batch
from tidegauge_client.errors import DamagedError

MAGIC = b"tidegauge-spool"
FORMAT = 1
FIRST_LINE_BYTES = 100
BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Parcel:
    """A batch with where it goes and when it was kept.

    Attributes
    ----------
    url : str
        The server, without a slash at the end.
    path : str
        The path and the query of the request.
    created : datetime
        When it was written to the spool.
    batch : Batch
        What is sent.
    """

    url: str
    path: str
    created: datetime
    batch: Batch


def encode(parcel: Parcel) -> list[bytes]:
    r"""Return the bytes of a file, in pieces: the body is not copied.

    Examples
    --------
    >>> batch = Batch("labels", "application/x-ndjson", b"{}\n", 1, key="k")
    >>> pieces = encode(Parcel("http://h", "/v1/labels", datetime(2026, 1, 1, tzinfo=UTC), batch))
    >>> decode(b"".join(pieces)).batch == batch
    True
    """
    batch = parcel.batch
    header = json.dumps(
        {
            "url": parcel.url,
            "path": parcel.path,
            "kind": batch.kind,
            "content_type": batch.content_type,
            "key": batch.key,
            "records": batch.records,
            "created": parcel.created.isoformat(),
        }
    ).encode()
    header += b"\n"
    checksum = zlib.crc32(batch.body, zlib.crc32(header))
    lengths = f"{checksum:08x} {len(header)} {batch.size}"
    return [b"%s %d %s\n" % (MAGIC, FORMAT, lengths.encode()), header, batch.body]


def decode(content: bytes) -> Parcel:
    """Return what a file holds.

    Raises
    ------
    DamagedError
        If it is not, byte for byte, what was written.

    Examples
    --------
    >>> decode(b"tidegauge-spool 1 00000000 10 10")
    Traceback (most recent call last):
    ...
    tidegauge_client.errors.DamagedError: it does not begin as a file of the spool
    """
    first, line_end, _ = content[:FIRST_LINE_BYTES].partition(b"\n")
    words = first.split(b" ")
    if not line_end or len(words) < 2 or words[0] != MAGIC:
        raise DamagedError("it does not begin as a file of the spool")
    if words[1] != b"%d" % FORMAT:
        text = words[1].decode("ascii", "replace")
        raise DamagedError(f"it has the format {text}; this client reads {FORMAT}")
    try:
        checksum, header_size, body_size = int(words[2], 16), int(words[3]), int(words[4])
    except (ValueError, IndexError):
        raise DamagedError("its first line is not readable") from None
    begin = len(first) + 1
    if len(content) != begin + header_size + body_size:
        promised = begin + header_size + body_size
        raise DamagedError(f"it has {len(content)} bytes, its first line says {promised}")
    body_begin = begin + header_size
    view = memoryview(content)
    if zlib.crc32(view[begin:]) != checksum:
        raise DamagedError("its checksum does not match its content")
    try:
        header = json.loads(content[begin:body_begin])
        if header["kind"] not in ("predictions", "labels"):
            raise DamagedError(f"it holds {header['kind']!r}, which this client does not know")
        batch = Batch(
            kind=header["kind"],
            content_type=str(header["content_type"]),
            body=content[body_begin:],
            records=int(header["records"]),
            key=str(header["key"]),
        )
        created = datetime.fromisoformat(header["created"]).astimezone(UTC)
        return Parcel(str(header["url"]), str(header["path"]), created, batch)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, DamagedError):
            raise
        raise DamagedError(f"its header is not readable: {error!r}") from None


def blocks(size: int) -> int:
    """Return the bytes of disk that a file of `size` bytes takes.

    Examples
    --------
    >>> blocks(1), blocks(4097)
    (4096, 8192)
    """
    return -(-size // BLOCK) * BLOCK
