"""The second thread of a client with a spool: it sends what waits on disk.

The first thread (`Sender`) writes every batch to the spool before anybody tries to send it, so a
server that hangs holds up nothing, and a process that is killed leaves its batches behind whole.
Only a batch that the disk refuses stays "in hand", in memory: one at a time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

from tidegauge_client.batch import Answer, Batch
from tidegauge_client.complaints import Complaints
from tidegauge_client.delivery import Backoff
from tidegauge_client.errors import DamagedError, RefusedError, SpoolFullError, TransientError
from tidegauge_client.options import Options
from tidegauge_client.outbox import Outbox
from tidegauge_client.spool import Entry, Spool
from tidegauge_client.spool_folder import DAMAGED, REFUSED
from tidegauge_client.transport import Transport

TAKE_OVER_SECONDS = 10.0
"""How often it is looked for folders that ended processes left."""

PATIENCE = 3
"""A batch that the server failed at so often lets the others go first."""

DISK_SECONDS = 1.0
"""How often a disk that refused is asked again."""

SHORTEST_TRY = 0.01


class Courier:
    """Keeps batches in the spool and sends them from there, one request at a time.

    Parameters
    ----------
    spool : Spool
        Where they wait.
    transport : Transport
        Where to; this thread's alone.
    options : Options
        The retries and their pace.
    outbox : Outbox
        The books.
    complaints : Complaints
        What is said of trouble.
    """

    def __init__(
        self,
        spool: Spool,
        transport: Transport,
        options: Options,
        outbox: Outbox,
        complaints: Complaints,
    ) -> None:
        self.spool = spool
        self._transport = transport
        self._options = options
        self._backoff = Backoff.of(options)
        self._outbox = outbox
        self._complaints = complaints
        self._begin()

    def _begin(self) -> None:
        self._thread: threading.Thread | None = None
        self._in_hand: Batch | None = None
        self._hand_tries = 0
        self._stopped = False
        self._complete = False
        self._give_up_at: float | None = None
        self._not_before = 0.0
        self._held_until = 0.0
        self._take_over_at = 0.0
        self._failed_in_a_row = 0
        self._failed = 0
        self._failed_at_answer = 0
        self._answered = 0
        self._suspects: dict[int, tuple[int, int]] = {}
        self._looked_at_others = False

    def begin_anew_after_fork(self) -> None:
        """In a forked child: the parent sends its own; this one has a folder of its own, later."""
        self.spool.begin_anew()
        self._transport.forget_connection()
        self._begin()

    def accept(self, batch: Batch, wait: bool = True) -> None:
        """Take a batch from the outbox: to disk, or into the hand, or give it up.

        Waits as long as the disk refuses and the hand is full, unless told not to `wait`.
        """
        while not self._keep(batch):
            with self.spool.changed:
                if self._stopped or not wait:
                    break
                if self._in_hand is None:
                    self._in_hand, self._hand_tries = batch, 0
                    self.spool.changed.notify_all()
                    return
                self.spool.changed.wait(DISK_SECONDS)
        else:
            return
        self._lose(batch, "closed", "closed while the spool could not be written")

    def start(self) -> bool:
        """See that the thread runs; False if the system has none to give."""
        with self.spool.lock:
            if self._thread is not None and self._thread.is_alive():
                return True
            thread = threading.Thread(target=self.run, name="tidegauge-client-spool", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return False
            self._thread = thread
            return True

    def run(self) -> None:
        """Send what waits until told to stop, or until no more can come and nothing is left."""
        try:
            while (work := self._await_work()) is not None:
                try:
                    work()
                except Exception as error:  # a fault of ours must not end the thread
                    self._failure(TransientError(f"{type(error).__name__}: {error}"), "fault")
        finally:
            self._end()

    def take_over(self) -> None:
        """Take over what ended processes left, and count it."""
        self._take_over_at = time.monotonic() + TAKE_OVER_SECONDS
        try:
            batches, records = self.spool.take_over(self._outbox.took_over)
            left = 0 if self._looked_at_others else self.spool.left_by_others()
            self._looked_at_others = True
        except OSError as error:
            self._say("spool_unreadable", f"the spool can't be read: {error}")
            return
        if batches:
            self._complaints.info(
                f"{batches} batches ({records} records) that an ended process left in the spool "
                "are sent now"
            )
        if left:
            text = "folders of the spool are for another address or model, and have no process"
            tool = "python -m tidegauge_client spool FOLDER"
            self._complaints.say("left", f"{left} {text}: see {tool}", once=True)

    def await_sent(self, timeout: float | None, closing: bool = False) -> bool:
        """Wait until all that waits by now is answered for.

        Gives up when the server failed more often in a row than a request is tried again; and, if
        `closing`, when there is no time for another try.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        failed_before = self._failed
        barrier = self.spool.barrier()

        def over() -> bool:
            if barrier.remaining <= 0 and self._in_hand is None:
                return True
            if closing and deadline is not None and self._not_before > deadline:
                return True
            in_a_row = self._failed - max(failed_before, self._failed_at_answer)
            return self._stopped or in_a_row > self._options.max_retries

        try:
            with self.spool.changed:
                self.spool.changed.wait_for(over, timeout)
                return barrier.remaining <= 0 and self._in_hand is None
        finally:
            self.spool.lift(barrier)

    def expect_no_more(self, give_up_at: float | None = None) -> None:
        """Say that the outbox is closed and empty: the thread ends when all is sent."""
        with self.spool.changed:
            self._complete = True
            if give_up_at is not None:
                self._give_up_at = give_up_at
            self.spool.changed.notify_all()

    def stop(self, join_seconds: float) -> None:
        """End the thread after the request it is at; what is on disk stays there."""
        with self.spool.changed:
            self._stopped = True
            self.spool.changed.notify_all()
        thread = self._thread
        if thread is None:
            self._end()
        elif thread is not threading.current_thread():
            thread.join(join_seconds)

    def disk_refuses(self) -> bool:
        """Return whether a batch is in hand because the spool could not take it."""
        return self._in_hand is not None

    def _end(self) -> None:
        with self.spool.changed:
            in_hand, self._in_hand, self._stopped = self._in_hand, None, True
            self.spool.changed.notify_all()
        if in_hand is not None:
            self._lose(in_hand, "closed", "closed while the spool could not be written")
        self._transport.close()
        self.spool.leave()

    def _await_work(self) -> Callable[[], None] | None:
        """Return what to do next, when it is time for it; None at the end."""
        while True:
            with self.spool.changed:
                now = time.monotonic()
                if self._stopped or (self._give_up_at is not None and now > self._give_up_at):
                    return None
                if not self._complete and now >= self._take_over_at:
                    return self.take_over
                if now >= self._not_before:
                    if self._in_hand is not None:
                        return partial(self._send_in_hand, self._in_hand)
                    entry = self.spool.next(held=now >= self._held_until)
                    if entry is not None:
                        return partial(self._send, entry)
                if self._complete and self._in_hand is None and not self.spool.waiting()[0]:
                    return None
                moments = [self._not_before, self._held_until, self._take_over_at]
                moments += [] if self._give_up_at is None else [self._give_up_at]
                later = [moment for moment in moments if moment > now]
                self.spool.changed.wait(min(later) - now + 0.001 if later else TAKE_OVER_SECONDS)

    def _send(self, entry: Entry) -> None:
        try:
            parcel = self.spool.load(entry)
        except DamagedError as error:
            self._set_aside(entry, DAMAGED, {"why": str(error)}, str(error))
            return
        try:
            answer = self._transport.post_batch(parcel.batch, self._time_left(), parcel.path)
        except TransientError as error:
            self._wait_longer(entry, error)
        except RefusedError as error:
            self._server_is_there()
            why = {"status": error.status, "code": error.code, "message": error.message}
            self._set_aside(entry, REFUSED, why, f"{parcel.batch.kind} {error}")
        except Exception as error:  # a fault of ours, perhaps with this batch only
            text = f"{type(error).__name__}: {error}"
            self._wait_longer(entry, TransientError(text, perhaps_its_own=True))
        else:
            self._suspects.pop(entry.number, None)
            self._server_is_there()
            self._tell_quarantined(parcel.batch, answer)
            self._outbox.settle_kept(entry.records, answer)
            try:
                self.spool.sent(entry)
            except OSError as error:
                self._say("spool_unwritable", f"a sent batch can't leave the spool: {error}")

    def _send_in_hand(self, batch: Batch) -> None:
        try:
            answer = self._transport.post_batch(batch, self._time_left())
        except TransientError as error:
            self._failure(error, "in_hand")
            if not self._keep(batch):
                self._hand_tries += 1
                if self._hand_tries <= self._options.max_retries:
                    return
                self._lose(batch, "unreachable", f"gave up after {self._hand_tries} tries: {error}")
        except RefusedError as error:
            self._server_is_there()
            self._lose(batch, "refused", f"{batch.kind} {error}")
        else:
            self._server_is_there()
            self._tell_quarantined(batch, answer)
            self._outbox.settle(batch, answer)
        with self.spool.changed:
            self._in_hand = None
            self.spool.changed.notify_all()

    def _wait_longer(self, entry: Entry, error: TransientError) -> None:
        """Have a batch tried again; one that only it fails with does not block the others."""
        if not error.perhaps_its_own:
            self.spool.put_back(entry)
            self._failure(error)
            return
        tries, answered = self._suspects.get(entry.number, (0, self._answered))
        tries += 1
        self._suspects[entry.number] = (tries, answered)
        if tries > self._options.max_retries and self._answered > answered:
            del self._suspects[entry.number]
            text = f"gave up after {tries} tries, while others got through: {error}"
            self._set_aside(entry, REFUSED, {"why": text}, text)
            return
        self.spool.put_back(entry, last=tries >= PATIENCE)
        if tries > PATIENCE:
            self._outbox.note(str(error), retried=True)
            with self.spool.changed:
                self._held_until = time.monotonic() + self._backoff.delay(tries, error.retry_after)
                self._failed += 1
                self.spool.changed.notify_all()
        else:
            self._failure(error)

    def _failure(self, error: TransientError, kind: str = "retry") -> None:
        self.spool.stem()
        self._outbox.note(str(error), retried=True)
        waiting = "waits in memory" if kind == "in_hand" else "waits in the spool"
        self._complaints.say(kind, f"{waiting} and will be tried again: {error}")
        with self.spool.changed:
            self._failed_in_a_row += 1
            self._failed += 1
            delay = self._backoff.delay(self._failed_in_a_row, error.retry_after)
            self._not_before = time.monotonic() + delay
            self.spool.changed.notify_all()

    def _server_is_there(self) -> None:
        with self.spool.changed:
            self._failed_in_a_row = 0
            self._failed_at_answer = self._failed
            self._answered += 1
            self.spool.flowing = True

    def _keep(self, batch: Batch) -> bool:
        booked = partial(self._outbox.kept, batch)
        gave_way = self.spool.gave_way
        try:
            self.spool.keep(batch, self._transport.path(batch.kind), booked)
        except SpoolFullError as error:
            self._say("spool_full", f"{error}; new records wait in memory, and then are dropped")
            return False
        except OSError as error:
            text = f"the spool can't be written ({error}); new records wait in memory"
            self._say("spool_unwritable", f"{text}, and then are dropped")
            return False
        if self.spool.gave_way > gave_way:
            text = f"{self.spool.gave_way} batches that were set aside had to give way to new ones"
            self._complaints.say("gave_way", text)
        return True

    def _set_aside(self, entry: Entry, kind: str, why: dict[str, object], text: str) -> None:
        self._outbox.settle_kept(entry.records, None, why_dropped=kind)
        self._say(kind, f"{entry.records} records set aside in {kind}/ of the spool: {text}")
        try:
            self.spool.set_aside(entry, kind, why)
        except OSError as error:
            self._say("spool_unwritable", f"{entry.path} can't be set aside: {error}")

    def _tell_quarantined(self, batch: Batch, answer: Answer) -> None:
        if answer.quarantined:
            text = f"{answer.quarantined} {batch.kind} quarantined: {answer.first_reason()}"
            self._say("quarantined", text)

    def _lose(self, batch: Batch, why: str, text: str) -> None:
        self._say(why, f"{batch.records} records dropped: {text}")
        self._outbox.settle(batch, None, why_dropped=why)

    def _say(self, kind: str, text: str) -> None:
        self._outbox.note(text)
        self._complaints.say(kind, text)

    def _time_left(self) -> float | None:
        if self._give_up_at is None:
            return None
        left = self._give_up_at - time.monotonic()
        return min(max(left, SHORTEST_TRY), self._options.timeout)
