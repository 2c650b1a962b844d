"""``Client``: what a service or a job calls. The work is done by the sender behind it."""

from __future__ import annotations

import os
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from tidegauge_client.batch import ARROW_STREAM, Kind, burden, new_key
from tidegauge_client.delivery import Backoff, deliver
from tidegauge_client.errors import ClosedError, NaiveTimeError
from tidegauge_client.frames import arrow_reader, entries
from tidegauge_client.json_line import LineEncoder, id_text
from tidegauge_client.options import MIB, Options
from tidegauge_client.sender import Sender
from tidegauge_client.stats import Stats
from tidegauge_client.times import event_time, zone_named

BASELINE_IN_MEMORY = 64 * MIB
"""A larger baseline waits in a temporary file while it is sent."""


class Client:
    """Sends one model's predictions and labels, from a thread of its own.

    `log_one` and `label_one` belong in a scoring path: they neither wait nor raise. `log`, `label`
    and `baseline` belong in a job: they tell the caller what is wrong, and wait rather than lose.
    All may be called from any thread, and from processes forked later.

    Parameters
    ----------
    url : str
        The server, such as ``"http://localhost:8420"``.
    project, model : str
        Whose records these are.
    version : str, optional
        The model's version, for records that don't name one in a ``version`` column.
    key : str, optional
        The project's key.
    timezone : str, optional
        What a time without a zone means, such as ``"UTC"``. Without it such times are not sent.
    queue_records, queue_bytes : int
        The most that waits in memory; what is newer is dropped, and counted.
    batch_records : int
        The most single records in one request.
    batch_bytes : int
        The most bytes in one request.
    flush_interval : float
        Seconds that a single record may wait for others to share its request.
    timeout : float
        Seconds for connecting, sending and awaiting an answer, each.
    max_retries : int
        How often a request is tried again after a lost connection, a 408, a 429 or a 5xx answer.
        The default keeps trying for about four minutes. What waits in a spool is tried until it is
        answered for; only a batch that fails while others get through is set aside after as many.
    backoff, max_backoff : float
        Seconds: retry number *n* comes within ``min(max_backoff, backoff * 2 ** (n - 1))``, at
        random, or after the server's ``Retry-After``.
    exit_timeout : float
        Seconds that `close` and the end of the process wait for what is left to be sent.
    spool : path, optional
        A folder on a local disk, which clients and processes may share: every batch is written
        there before it is sent, and deleted when the server has answered for it. So a killed
        process loses only the records that still wait for others to share their request, and a
        server may be away for as long as there is room. Not on Windows.
    spool_bytes : int
        The most bytes of disk that the folder may take; when it is full, the newest records wait
        in memory as they do without a spool, and then are dropped, and counted.

    Raises
    ------
    ValueError
        If the address, the key, the zone or a limit makes no sense, or `spool` is no folder.

    Examples
    --------
    The server need not be there:

    >>> client = Client("http://localhost:1", model="flight-delay", version="3")
    >>> client.log_one("a1", {"age": 42}, score=0.7)
    True
    >>> client.stats.queued
    1
    >>> client.close(timeout=0)
    False
    """

    def __init__(
        self,
        url: str,
        *,
        model: str,
        project: str = "default",
        version: str | None = None,
        key: str | None = None,
        timezone: str | None = None,
        queue_records: int = Options.queue_records,
        queue_bytes: int = Options.queue_bytes,
        batch_records: int = Options.batch_records,
        batch_bytes: int = Options.batch_bytes,
        flush_interval: float = Options.flush_interval,
        timeout: float = Options.timeout,
        max_retries: int = Options.max_retries,
        backoff: float = Options.backoff,
        max_backoff: float = Options.max_backoff,
        exit_timeout: float = Options.exit_timeout,
        spool: str | os.PathLike[str] | None = None,
        spool_bytes: int = Options.spool_bytes,
    ) -> None:
        # Imports httpx: here rather than with the package, which must import fast, and rather than
        # in the thread, which may begin when the interpreter already ends.
        from tidegauge_client.transport import Transport

        self._options = Options(
            queue_records=queue_records,
            queue_bytes=queue_bytes,
            batch_records=batch_records,
            batch_bytes=batch_bytes,
            flush_interval=flush_interval,
            timeout=timeout,
            max_retries=max_retries,
            backoff=backoff,
            max_backoff=max_backoff,
            exit_timeout=exit_timeout,
            spool=None if spool is None else Path(spool).absolute(),
            spool_bytes=spool_bytes,
        )
        self._encoder = LineEncoder(zone_named(timezone))
        self._transport = Transport(url, project, model, version, key, timeout)
        self._sender = Sender(self._transport, self._options)
        weakref.finalize(self, self._sender.stop_when_empty).atexit = False

    def __repr__(self) -> str:
        """Show where the records go, and no key."""
        return f"<tidegauge_client.Client {self._transport.address}>"

    def log_one(
        self,
        prediction_id: object,
        features: Mapping[str, object] | None = None,
        *,
        timestamp: datetime | date | str | float | None = None,
        **columns: object,
    ) -> bool:
        """Queue one prediction; never waits, never raises.

        Parameters
        ----------
        prediction_id : object
            What its label will name it by; sent as text.
        features : mapping, optional
            The model's inputs, by column.
        timestamp : datetime, str or float, optional
            When it was made (a number: Unix seconds); now, if not given.
        **columns
            What else is known: ``score``, ``prediction``, ``latency_ms``, ``trace_id``, …. A column
            here comes before a feature of the same name, and so do the id and the time.

        Returns
        -------
        bool
            Whether it was queued; else it is counted as dropped, and a warning says why.
        """
        try:
            record: dict[str, object] = {**features} if features else {}
            record.update(columns)
            if timestamp is None and "timestamp" not in record:
                timestamp = datetime.now(UTC).isoformat()
            return self._queue_line("predictions", prediction_id, record, timestamp=timestamp)
        except Exception as error:
            return self._drop_one(error)

    def label_one(
        self,
        prediction_id: object,
        label: object,
        timestamp: datetime | date | str | float | None = None,
        observed_at: datetime | date | str | float | None = None,
    ) -> bool:
        """Queue one label; never waits, never raises.

        Parameters
        ----------
        prediction_id : object
            The prediction that it belongs to.
        label : object
            What turned out to be true.
        timestamp : datetime, str or float, optional
            When the prediction was made: makes it cheap to find.
        observed_at : datetime, str or float, optional
            When the label became known; when it arrives, if not given.

        Returns
        -------
        bool
            Whether it was queued; else it is counted as dropped, and a warning says why.
        """
        try:
            times = {"timestamp": timestamp, "observed_at": observed_at}
            return self._queue_line("labels", prediction_id, {"label": label}, **times)
        except Exception as error:
            return self._drop_one(error)

    def log(self, frame: Any, *, block: bool = True, timeout: float | None = None) -> int:
        """Queue the predictions of a frame, a row each.

        Parameters
        ----------
        frame : frame
            Anything with ``__arrow_c_stream__``, a pandas DataFrame, a list of dicts, or a dict of
            lists. Sent as Arrow if PyArrow is there and can hold it, else as JSON.
        block : bool
            Wait for room in the queue, rather than drop what does not fit.
        timeout : float, optional
            The most seconds to wait for room; what does not fit by then is dropped. By default as
            long as it takes: if the server is away, until the retries of each request are used up;
            with a spool, until the disk has taken what is before it.

        Returns
        -------
        int
            How many rows were queued; the others are counted as dropped.

        Raises
        ------
        ValueError
            If a time column has no zone, or the columns differ in length. Nothing is queued then.
        TypeError
            If `frame` is not a frame.
        ClosedError
            If the client is closed.
        """
        return self._queue_frame("predictions", frame, block, timeout)

    def label(self, frame: Any, *, block: bool = True, timeout: float | None = None) -> int:
        """Queue the labels of a frame, a row each.

        Its columns are ``prediction_id`` and ``label``, and may be ``timestamp`` and
        ``observed_at``, as for `label_one`. Parameters, result and errors are those of `log`.

        Raises
        ------
        ValueError
            Also if ``prediction_id`` or ``label`` is missing.
        """
        return self._queue_frame("labels", frame, block, timeout)

    def baseline(self, frame: Any, *, timeout: float = 300.0) -> dict[str, Any]:
        """Upload a frame as the baseline, and wait for the answer. Needs PyArrow.

        Parameters
        ----------
        frame : frame
            As for `log`.
        timeout : float
            Seconds for one request.

        Returns
        -------
        dict
            The server's answer.

        Raises
        ------
        RefusedError
            If the server refuses it.
        UnreachableError
            If no answer came, after all retries.
        ValueError, TypeError, ClosedError
            As for `log`.
        """
        self._must_be_open()
        reader = arrow_reader(frame)
        if reader is None:
            raise TypeError(
                f"a {type(frame).__name__} could not be read as an Arrow frame, which a baseline "
                "is sent as: is tidegauge-client[arrow] installed, and each column of one type?"
            )
        from tidegauge_client import arrow

        reader = arrow.wire_ready(reader, self._encoder.zone)
        with (
            tempfile.SpooledTemporaryFile(BASELINE_IN_MEMORY) as file,
            closing(self._transport.another()) as transport,
        ):
            arrow.write(reader, file)
            length, key = file.tell(), new_key()
            return deliver(
                lambda: transport.post(
                    transport.path("baselines"),
                    ARROW_STREAM,
                    key,
                    _chunks(file),
                    timeout,
                    length,
                ),
                Backoff.of(self._options),
                pause=_sleep,
            )

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that was queued so far is acknowledged, or dropped.

        With a spool, that is also all that waits in it, with what ended processes left. It gives up
        (the batches stay on disk, and are still sent later) when the server failed ``max_retries``
        times in a row.

        Returns
        -------
        bool
            False if that took longer than `timeout` seconds, or with a spool was given up. `stats`
            tells what was dropped.
        """
        return self._sender.flush(timeout)

    @property
    def stats(self) -> Stats:
        """What became of the records so far."""
        return self._sender.stats()

    def close(self, timeout: float | None = None) -> bool:
        """Send what is left within `timeout` seconds (``exit_timeout``), and take no more.

        Returns
        -------
        bool
            Whether all was settled in time; the rest is counted as dropped. With a spool the rest
            is on disk, for the next process: that is made sure of even if `timeout` is 0.
        """
        return self._sender.close(self._options.exit_timeout if timeout is None else timeout)

    def __enter__(self) -> Self:
        """Return the client, which the end of the block closes."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the client."""
        self.close()

    def _queue_line(
        self, kind: Kind, prediction_id: object, columns: dict[str, object], **times: object
    ) -> bool:
        record = {"prediction_id": None, **columns}
        record["prediction_id"] = id_text(prediction_id)
        for column, moment in times.items():
            if moment is not None:
                record[column] = event_time(moment, self._encoder.zone, column)
        return self._sender.offer(kind, self._encoder.line(record))

    def _queue_frame(self, kind: Kind, frame: Any, block: bool, timeout: float | None) -> int:
        self._must_be_open()
        deadline = None if timeout is None else time.monotonic() + timeout
        queued = 0

        def drop(why: str, text: str) -> None:
            self._sender.drop(1, why, text)

        for entry in entries(kind, frame, self._encoder, self._options, drop):
            patience = 0.0 if not block else None
            if block and deadline is not None:
                patience = max(0.0, deadline - time.monotonic())
            if self._sender.offer(kind, entry, patience):
                queued += burden(entry)[0]
        return queued

    def _drop_one(self, error: Exception) -> bool:
        naive = isinstance(error, NaiveTimeError)
        text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        self._sender.drop(1, "naive_time" if naive else "unsendable", text, once=naive)
        return False

    def _must_be_open(self) -> None:
        if self._sender.outbox.closed:
            raise ClosedError("the client is closed")


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return True


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield a file from its beginning, for each try anew."""
    file.seek(0)
    while chunk := file.read(MIB):
        yield chunk
