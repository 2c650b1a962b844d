"""What travels in one request, and what the server answers to it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["predictions", "labels"]

NDJSON = "application/x-ndjson"
ARROW_STREAM = "application/vnd.apache.arrow.stream"


def new_key() -> str:
    """Return an idempotency key: no two batches share one, all tries of one batch do."""
    return os.urandom(16).hex()


@dataclass(frozen=True, slots=True)
class Batch:
    """The records of one request; its key stays the same however often it is tried.

    Examples
    --------
    >>> batch = Batch("labels", NDJSON, b'{"prediction_id":"a1","label":1}', records=1)
    >>> batch.size, batch.key == Batch("labels", NDJSON, b"", 0).key
    (32, False)
    """

    kind: Kind
    content_type: str
    body: bytes
    records: int
    key: str = field(default_factory=new_key)

    @property
    def size(self) -> int:
        """The bytes of the body."""
        return len(self.body)


def burden(entry: bytes | Batch) -> tuple[int, int]:
    """Return the records and the bytes that a line or a batch takes of the outbox.

    Examples
    --------
    >>> burden(b'{"prediction_id":"a1"}')
    (1, 23)
    """
    if isinstance(entry, Batch):
        return entry.records, entry.size
    return 1, len(entry) + 1  # the line end counts


@dataclass(frozen=True, slots=True)
class Answer:
    """The server's account of one batch; ``errors`` are its reasons for the quarantined ones."""

    accepted: int
    repeated: int = 0
    quarantined: int = 0
    errors: tuple[dict[str, Any], ...] = ()

    def first_reason(self) -> str:
        """Return the first error in words.

        Examples
        --------
        >>> Answer(0, quarantined=1, errors=({"column": "age", "message": "not a number"},)
        ...     ).first_reason()
        'age: not a number'
        """
        if not self.errors:
            return "no reason given"
        first = self.errors[0]
        return f"{first.get('column')}: {first.get('message') or first.get('code')}"
