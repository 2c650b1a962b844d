"""The daemon thread that empties the outbox onto the wire, and its life: start, fork, stop."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from tidegauge_client import lifetime
from tidegauge_client.batch import Answer, Batch, Kind, burden
from tidegauge_client.complaints import Complaints
from tidegauge_client.delivery import Backoff, deliver
from tidegauge_client.errors import RefusedError, TransientError, UnreachableError
from tidegauge_client.options import Options
from tidegauge_client.outbox import Outbox
from tidegauge_client.stats import Stats

if TYPE_CHECKING:
    from tidegauge_client.courier import Courier
    from tidegauge_client.transport import Transport

JOIN_SECONDS = 1.0
"""How long a close waits for the thread to end once all is settled."""

HURRIED_JOIN_SECONDS = 0.2
"""How long a close waits for a thread that is in the midst of a request."""

DISK_SECONDS = 10.0
"""The most that a close waits for a disk that takes its time, even if it is told to hurry."""


class Sender:
    """Sends what the outbox holds, one request at a time, until told to stop.

    With a spool it only writes batches to disk, and leaves it to the `Courier` to send them.

    The thread starts with the first record, not before, so that a server may fork first; it starts
    anew in a forked child. It holds no reference to the `Client`.

    Parameters
    ----------
    transport : Transport
        Where to.
    options : Options
        The bounds, the pace and the retries.
    """

    def __init__(self, transport: Transport, options: Options) -> None:
        self.outbox = Outbox(options)
        self.options = options
        self.complaints = Complaints()
        self._transport = transport
        self._thread: threading.Thread | None = None
        self._abandoned = threading.Event()
        self._give_up_at: float | None = None
        self.courier = self._courier()
        lifetime.watch(self)

    def offer(self, kind: Kind, entry: bytes | Batch, timeout: float | None = 0.0) -> bool:
        """Queue an entry and see that somebody sends it.

        Waits for room at most `timeout` seconds, None for ever; what doesn't fit then is dropped.
        """
        if timeout != 0 and not self._running() and not self._start():
            timeout = 0.0  # nobody will make room
        if self.outbox.offer(kind, entry, timeout):
            if not self._running():
                self._start()
            return True
        records, size = burden(entry)
        if self.outbox.closed:
            self.drop(records, "closed", "the client is closed")
        elif self.outbox.could_ever_hold(entry):
            self.drop(records, "queue_full", "the queue is full: the newest records are dropped")
        else:
            self.drop(records, "too_large", f"{size} bytes are more than the queue may hold")
        return False

    def drop(self, records: int, why: str, text: str, once: bool = False) -> None:
        """Count records that will not be sent, and say so now and then."""
        total = self.outbox.drop(records, why, text)
        self.complaints.say(why, f"{text} ({total} dropped for this reason so far)", once)

    def flush(self, timeout: float | None) -> bool:
        """Wait until all that is queued by now, and all that waits in the spool, is settled."""
        deadline = None if timeout is None else time.monotonic() + timeout
        if self.outbox.stats().queued and not self._running() and not self._start():
            return False
        if not self.outbox.await_settled(timeout):
            return False
        if self.courier is None:
            return True
        self.courier.take_over()
        if self.courier.spool.waiting()[0] and not self.courier.start():
            return False
        return self.courier.await_sent(_left(deadline))

    def close(self, timeout: float) -> bool:
        """Send what is left within `timeout` seconds, drop or keep the rest, stop the threads.

        Returns
        -------
        bool
            Whether everything was settled in time.
        """
        if self._abandoned.is_set():
            return False
        deadline = time.monotonic() + timeout
        pending = self.outbox.stats().queued
        self.outbox.close()
        if pending and not self._running() and not self._start():
            self._run(give_up_at=deadline)
        if self.courier is not None:
            return self._close_spool(self.courier, deadline, timeout)
        settled = self.outbox.await_settled(max(0.0, deadline - time.monotonic()))
        if not settled:
            self._abandon(timeout)
        elif self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(JOIN_SECONDS)
        return settled

    def _close_spool(self, courier: Courier, deadline: float, timeout: float) -> bool:
        """Have all written to disk, whatever the deadline, and as much as possible sent by it."""
        disk_deadline = max(deadline, time.monotonic() + DISK_SECONDS)
        while not (on_disk := self.outbox.await_settled(0.02)):
            now = time.monotonic()
            if now > disk_deadline or (now > deadline and courier.disk_refuses()):
                break
        courier.expect_no_more(deadline)
        if courier.spool.waiting()[0] and not courier.start():
            courier.run()
        sent = on_disk and courier.await_sent(_left(deadline), closing=True)
        if not on_disk:
            self._abandon(timeout)
        courier.stop(JOIN_SECONDS if sent else HURRIED_JOIN_SECONDS)
        if not sent:
            self._abandoned.set()
            if left := self.outbox.stats().spooled:
                self.complaints.say("closed_spooled", f"closed with {left} records in the spool")
        return sent

    def _abandon(self, timeout: float) -> None:
        left = self.outbox.stats().queued
        self._abandoned.set()
        self.outbox.discard("closed")
        text = f"closed after {timeout:g} s with {left} records not sent"
        self.outbox.note(text)
        self.complaints.say("closed_early", text)

    def begin_anew_after_fork(self) -> None:
        """In a forked child: the parent sends its own queue, this one starts empty."""
        closed = self.outbox.closed
        self.outbox.begin_anew()
        if closed:
            self.outbox.close()
        self._abandoned = threading.Event()
        self._thread = None
        self._transport.forget_connection()
        if self.courier is not None:
            self.courier.begin_anew_after_fork()

    def stats(self) -> Stats:
        """Return the books, with what the spool holds."""
        books = self.outbox.stats()
        if self.courier is None:
            return books
        batches, size, age = self.courier.spool.waiting()
        return replace(books, spooled_batches=batches, spooled_bytes=size, spooled_oldest=age)

    def stop_when_empty(self) -> None:
        """Let the thread end by itself: nobody can queue any more."""
        self.outbox.close()

    def _running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _start(self) -> bool:
        with self.outbox.lock:
            if self._running():
                return True
            thread = threading.Thread(target=self._run, name="tidegauge-client", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system has no thread to give; close() then sends by itself
                return False
            self._thread = thread
        lifetime.finish_with_multiprocessing()
        return True

    def _run(self, give_up_at: float | None = None) -> None:
        self._give_up_at = give_up_at
        while (batch := self.outbox.take()) is not None:
            try:
                if self.courier is None:
                    self._send(batch)
                else:
                    self.courier.accept(batch, wait=give_up_at is None)
                    if give_up_at is None:
                        self.courier.start()
            except Exception as error:  # a fault of ours must cost one batch, not all that follow
                self._lose(batch, "fault", f"{type(error).__name__}: {error}")
        self._transport.close()
        if self.courier is not None:
            self.courier.expect_no_more()

    def _courier(self) -> Courier | None:
        if self.options.spool is None:
            return None
        from tidegauge_client.courier import Courier
        from tidegauge_client.spool import Spool

        transport = self._transport.another()
        spool = Spool(
            self.options.spool, self.options.spool_bytes, transport.url, transport.address
        )
        return Courier(spool, transport, self.options, self.outbox, self.complaints)

    def _send(self, batch: Batch) -> None:
        try:
            answer = deliver(
                lambda: self._attempt(batch),
                Backoff.of(self.options),
                pause=self._pause,
                on_retry=self._on_retry,
            )
        except (RefusedError, UnreachableError) as error:
            why = "refused" if isinstance(error, RefusedError) else "unreachable"
            self._lose(batch, why, f"{batch.kind} {error}")
            return
        if answer.quarantined:
            text = f"{answer.quarantined} {batch.kind} quarantined: {answer.first_reason()}"
            self.outbox.note(text)
            self.complaints.say("quarantined", text)
        self.outbox.settle(batch, answer)  # last: who waits for it finds all else said

    def _attempt(self, batch: Batch) -> Answer:
        left = None if self._give_up_at is None else self._give_up_at - time.monotonic()
        if left is not None:
            left = min(max(left, 0.01), self.options.timeout)
        return self._transport.post_batch(batch, left)

    def _pause(self, seconds: float) -> bool:
        """Wait before a retry; False if there is no time or no wish left for one."""
        if self._give_up_at is not None and time.monotonic() + seconds > self._give_up_at:
            return False
        return not self._abandoned.wait(seconds)

    def _on_retry(self, error: TransientError) -> None:
        self.outbox.note(str(error), retried=True)
        self.complaints.say("retry", f"will be tried again: {error}")

    def _lose(self, batch: Batch, why: str, text: str) -> None:
        self.outbox.note(text)
        self.complaints.say(why, f"{batch.records} records dropped: {text}")
        self.outbox.settle(batch, None, why_dropped=why)


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())
