"""Senders that never give up: each batch is sent again under its key until it is acknowledged."""

from __future__ import annotations

import http.client
import io
import json
import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

ARROW = "application/vnd.apache.arrow.stream"
START = datetime(2026, 1, 5, tzinfo=UTC)
#: Rows of a batch.
ROWS = 20


@dataclass
class Account:
    """What was sent and what was answered, by all senders together."""

    acknowledged: set[str] = field(default_factory=set)
    labelled: set[str] = field(default_factory=set)
    batches: int = 0
    #: Batches that were sent more than once, because nobody answered or on purpose.
    again: int = 0
    refused: list[str] = field(default_factory=list)
    #: Answers to one key that differ from its first.
    differing: list[str] = field(default_factory=list)
    slowest: float = 0.0
    guard: threading.Lock = field(default_factory=threading.Lock)


class Sender:
    """One connection that sends batch after batch, in a thread.

    Parameters
    ----------
    where : callable
        Returns the address of a server to send to, or None while there is none.
    account : Account
    name : str
        What its ids begin with.
    model : str
    pace : float
        Seconds of event time from one record to the next.
    pause : float
        Seconds between batches.
    """

    def __init__(
        self,
        where: Callable[[], str | None],
        account: Account,
        name: str,
        model: str = "rides",
        *,
        pace: float = 5.0,
        pause: float = 0.0,
        labels: bool = True,
        seed: int = 0,
    ) -> None:
        self._where = where
        self._account = account
        self._name = name
        self._path = f"/v1/projects/default/models/{model}"
        self._pace = pace
        self._pause = pause
        self._labels = labels
        self._random = random.Random(f"{name}{seed}")
        self._stop = threading.Event()
        self._connection: http.client.HTTPConnection | None = None
        self._address: str | None = None
        self._sent = 0
        #: What it was told that no sender may be told.
        self.failed: str | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> Sender:
        self._thread.start()
        return self

    def finish(self, patience: float = 60.0) -> None:
        """End after the batch that is being sent is acknowledged."""
        self._stop.set()
        self._thread.join(patience)
        assert not self._thread.is_alive(), f"{self._name}: its last batch was never acknowledged"
        assert self.failed is None, self.failed

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._send_one()
        finally:
            self._hang_up()

    def _send_one(self) -> None:
        rows = self._batch()
        body, kind = self._packed(rows)
        answer = self._until_acknowledged(f"{self._path}/predictions", body, kind)
        ids = [row["prediction_id"] for row in rows]
        with self._account.guard:
            self._account.batches += 1
            self._account.acknowledged.update(ids)
            if answer["accepted"] != len(rows):
                self._account.differing.append(f"{len(rows)} were sent, and told: {answer}")
        if self._labels and self._random.random() < 0.5:
            labels = [{"prediction_id": i, "label": hash(i) % 2 == 0} for i in ids[::2]]
            body = json.dumps(labels).encode()
            self._until_acknowledged(f"{self._path}/labels", body, "application/json")
            with self._account.guard:
                self._account.labelled.update(ids[::2])
        self._stop.wait(self._pause)

    def _batch(self) -> list[dict[str, Any]]:
        rows = []
        for _ in range(ROWS):
            moment = START + timedelta(seconds=self._sent * self._pace)
            odd = self._sent // 200 % 5 == 4
            rows.append(
                {
                    "prediction_id": f"{self._name}-{self._sent}",
                    "timestamp": moment.isoformat(),
                    "distance": self._random.gauss(9.0 if odd else 5.0, 1.0),
                    "zone": self._random.choice("abc"),
                    "score": self._random.random(),
                }
            )
            self._sent += 1
        return rows

    def _packed(self, rows: list[dict[str, Any]]) -> tuple[bytes, str]:
        if self._random.random() < 0.5:
            return json.dumps(rows).encode(), "application/json"
        table = pa.Table.from_pylist(rows)
        times = [datetime.fromisoformat(row["timestamp"]) for row in rows]
        table = table.set_column(1, "timestamp", pa.array(times, pa.timestamp("us", "UTC")))
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return sink.getvalue(), ARROW

    def _until_acknowledged(self, path: str, body: bytes, kind: str) -> dict[str, Any]:
        headers = {"Content-Type": kind, "Idempotency-Key": uuid.uuid4().hex}
        first = self._send(path, body, headers)
        if self._random.random() < 0.1:
            second = self._send(path, body, headers)
            if second != first:
                with self._account.guard:
                    self._account.differing.append(f"{first!r}, then {second!r}")
        told: dict[str, Any] = json.loads(first)
        return told

    def _send(self, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        tries = 0
        while True:
            tries += 1
            began = time.monotonic()
            try:
                status, answer = self._call(path, body, headers)
            except (OSError, http.client.HTTPException):
                self._hang_up()
                time.sleep(0.02)
                continue
            finally:
                if tries == 2:
                    with self._account.guard:
                        self._account.again += 1
            if status == 202:
                with self._account.guard:
                    self._account.slowest = max(self._account.slowest, time.monotonic() - began)
                return answer
            with self._account.guard:
                self._account.refused.append(f"{status} {answer[:300].decode()}")
            if status not in (429, 500, 503):
                self.failed = f"{status} {answer!r}"
                raise SystemExit
            time.sleep(0.1)

    def _call(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        address = self._where()
        if address is None:
            raise ConnectionError("no server at the moment")
        if self._connection is None or self._address != address:
            self._hang_up()
            self._address = address
            self._connection = http.client.HTTPConnection(
                address.removeprefix("http://"), timeout=20
            )
        self._connection.request("POST", path, body, headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Senders:
    """Several senders with one account.

    Parameters
    ----------
    where : callable
    account : Account
    count : int
    name : str
        What their names begin with.
    **options
        Of each.
    """

    def __init__(
        self,
        where: Callable[[], str | None],
        account: Account,
        count: int,
        name: str = "s",
        **options: Any,
    ) -> None:
        self._all = [Sender(where, account, f"{name}{n}", **options) for n in range(count)]
        self._account = account

    def start(self) -> Senders:
        for sender in self._all:
            sender.start()
        return self

    def finish(self) -> None:
        """End each after the batch that it is sending is acknowledged."""
        for sender in self._all:
            sender.finish()

    def go_on(self, batches: int = 5, patience: float = 60.0) -> bool:
        """Wait until so many more batches are acknowledged; False if they were not in time."""
        wanted = self._account.batches + batches
        until = time.monotonic() + patience
        while self._account.batches <= wanted and time.monotonic() < until:
            time.sleep(0.005)
        return self._account.batches > wanted
