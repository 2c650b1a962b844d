"""Bodies of requests for the load generator: built once, and given fresh ids before each sending.

Records have a prediction id, a time, 20 numeric features and a score. All bodies of one kind have
the same length, so that what is sent costs the generator little more than copying it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
import orjson
import pyarrow as pa

#: Columns beside prediction id, time and score.
FEATURES = 20
_ID = b"@" * 14
_MICROS = 1_000_000
_SEED = 20_260_101


class Bodies(Protocol):
    """Makes one body after another for one connection."""

    media_type: str
    records: int
    size: int

    def body(self, number: int, second: int) -> bytes | memoryview:
        """Return a body whose ids hold a number and whose event times are a second since 1970."""


def columns(records: int) -> dict[str, pa.Array]:
    """Return the records of one body, with ids that are places to be filled."""
    random = np.random.default_rng(_SEED)
    mark = _ID.decode()
    named = {
        "prediction_id": pa.array([f"{mark}-{i:06d}" for i in range(records)]),
        "timestamp": pa.array(np.full(records, _SEED), pa.timestamp("us", "UTC")),
    }
    for i in range(FEATURES):
        named[f"feature_{i:02d}"] = pa.array(random.normal(size=records))
    named["score"] = pa.array(random.random(records))
    return named


class JsonBodies:
    """An array of objects, or one object where a body has one record."""

    media_type = "application/json"

    def __init__(self, records: int) -> None:
        rows = pa.table(columns(records)).to_pylist()
        self._rows = [{**row, "timestamp": "@time@"} for row in rows]
        self.records = records
        self._at = -1
        self._parts: list[bytes] = []
        self.size = len(self.body(0, int(time.time())))

    def body(self, number: int, second: int) -> bytes:
        """Return a body; that of another second is put together once."""
        if second != self._at:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second)).encode()
            whole = self._rows[0] if self.records == 1 else self._rows
            self._parts = orjson.dumps(whole).replace(b"@time@", stamp).split(_ID)
            self._at = second
        return (b"%014x" % number).join(self._parts)


class ArrowBodies:
    """An Arrow IPC stream; the same memory is filled anew each time, so one connection owns it."""

    media_type = "application/vnd.apache.arrow.stream"

    def __init__(self, records: int) -> None:
        table = pa.table(columns(records))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        body = bytearray(sink.getvalue())
        width = len(_ID) + 7
        first = body.find(_ID)
        texts = np.frombuffer(body, np.uint8, records * width, first)
        self._ids = texts.reshape(records, width)[:, : len(_ID)]
        first = body.find(np.full(8, _SEED, np.int64).tobytes())
        self._times = np.frombuffer(body, np.int64, records, first)
        self._body = memoryview(body)
        self.records = records
        self.size = len(body)

    def body(self, number: int, second: int) -> memoryview:
        """Return the one body, filled anew."""
        self._ids[:] = np.frombuffer(b"%014x" % number, np.uint8)
        self._times[:] = second * _MICROS
        return self._body


#: How bodies of each kind are made.
KINDS: dict[str, Callable[[], Bodies]] = {
    "json": lambda: JsonBodies(500),
    "arrow": lambda: ArrowBodies(10_000),
    "single": lambda: JsonBodies(1),
}
