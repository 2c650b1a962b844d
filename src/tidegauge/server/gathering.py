"""Requests with records on their way through the event loop: small ones of a kind go together.

While requests of a lane are being checked and made durable, what else comes on that lane gathers,
and is worked on together next; already while the disk is writing, as soon as it is enough. A
request that finds its lane free never waits for company.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from tidegauge.errors import Overloaded, TidegaugeError
from tidegauge.lake.answers import Released
from tidegauge.server.posts import Account, Lane, Post
from tidegauge.server.receiving import Outcome, receive

if TYPE_CHECKING:
    from tidegauge.server.runtime import Runtime

#: How many gathered requests are enough.
ENOUGH = 16
#: How many requests are worked on together at most, and how many bytes of bodies.
MOST_POSTS = 256
MOST_BYTES = 512 << 10


@dataclass(frozen=True, slots=True, eq=False)
class _Ticket:
    """A request that waits; its future gives its account, or the error that it is told."""

    post: Post
    future: asyncio.Future[Account | BaseException]

    def settle(self, result: Account | BaseException) -> None:
        if not self.future.done():
            self.future.set_result(result)


@dataclass(slots=True, eq=False)
class _Group:
    """Requests that are worked on together, and how much of them is not durable yet."""

    tickets: Sequence[_Ticket]
    lane: Lane | None
    open: int = 0

    def settle(self, error: BaseException) -> None:
        for ticket in self.tickets:
            ticket.settle(error)


@dataclass(slots=True, eq=False)
class _Busy:
    """A lane on which something is going on.

    Parameters
    ----------
    gathered : deque of _Ticket
    checking : bool
        Whether a worker is busy with a group of it.
    groups : int
        How many are not all durable.
    """

    gathered: deque[_Ticket] = field(default_factory=deque)
    checking: bool = False
    groups: int = 0


class Gathering:
    """Has requests worked on in threads, and tells each what became of it.

    Belongs to the event loop that calls it.

    Parameters
    ----------
    runtime : Runtime
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lanes: dict[Lane, _Busy] = {}

    async def take(self, post: Post) -> Account:
        """Have a request checked and stored; returns once that is durable.

        Raises
        ------
        TidegaugeError
            If the request as a whole cannot be used, or not now.
        """
        ticket = _Ticket(post, asyncio.get_running_loop().create_future())
        self._admit(ticket)
        result = await ticket.future
        if isinstance(result, Account):
            return result
        try:
            # One error may be that of many requests: each raises it from here. Where it began is
            # of interest only if nobody foresaw it.
            raise result.with_traceback(None) if isinstance(result, TidegaugeError) else result
        finally:
            del result, ticket  # Else the error would keep this frame, and the frame the error.

    def _admit(self, ticket: _Ticket) -> None:
        post = ticket.post
        if not post.is_small:
            self._work(_Group([ticket], None))
            return
        lane = post.lane
        busy = self._lanes.get(lane)
        if busy is None:
            busy = self._lanes[lane] = _Busy()
        busy.gathered.append(ticket)
        self._go_on(lane)

    def _go_on(self, lane: Lane) -> None:
        """Work on what has gathered on a lane, if it is time for that."""
        busy = self._lanes[lane]
        gathered = busy.gathered
        if busy.checking or (busy.groups and len(gathered) < ENOUGH):
            return
        if not gathered:
            del self._lanes[lane]
            return
        busy.checking = True
        busy.groups += 1
        self._work(_Group(_some(gathered), lane))

    def _work(self, group: _Group) -> None:
        loop = asyncio.get_running_loop()
        try:
            done = self._runtime.workers.submit(self._receive, loop, group)
        except RuntimeError:  # The workers have ended.
            self._worked(group, _stopping())
            return
        done.add_done_callback(partial(_call, loop, self._worked, group))

    def _receive(self, loop: asyncio.AbstractEventLoop, group: _Group) -> None:
        """Work on requests; runs in a worker."""
        outcomes = receive(self._runtime, [ticket.post for ticket in group.tickets])
        # One more, for the worker itself: `_worked` comes after all others that are done by then.
        group.open = 1 + sum(bool(outcome.accounts) for outcome in outcomes)
        for outcome in outcomes:
            outcome.future.add_done_callback(partial(_call, loop, self._settle, group, outcome))

    def _worked(self, group: _Group, done: Future[None]) -> None:
        """Take note that a worker has handed over all that it could."""
        error = _stopping().exception() if done.cancelled() else done.exception()
        if error is not None:
            group.settle(error)
            group.open = 1
        if group.lane is not None:
            self._lanes[group.lane].checking = False
        self._close(group)

    def _settle(self, group: _Group, outcome: Outcome, future: Future[Any]) -> None:
        """Tell requests what became of them."""
        some = [group.tickets[place] for place in outcome.places]
        error = future.exception()
        if isinstance(error, Released):
            for ticket in some:
                self._admit(ticket)
        elif error is not None:
            for ticket in some:
                ticket.settle(error)
        elif not outcome.accounts:
            for ticket in some:
                ticket.settle(Account(future.result()))
        else:
            self._count(some[0].post, outcome.accounts)
            for ticket, account in zip(some, outcome.accounts, strict=True):
                ticket.settle(account)
        if outcome.accounts:
            self._close(group)

    def _close(self, group: _Group) -> None:
        """Take note that a part of a group is done, and go on with what has gathered meanwhile."""
        group.open -= 1
        if group.lane is not None:
            if not group.open:
                self._lanes[group.lane].groups -= 1
            self._go_on(group.lane)

    def _count(self, post: Post, accounts: Iterable[Account]) -> None:
        accepted = repeated = quarantined = 0
        for account in accounts:
            accepted += account.accepted
            repeated += account.repeated
            quarantined += account.quarantined
        self._runtime.counters.count(
            post.project,
            post.model,
            post.resource,
            accepted=accepted,
            repeated=repeated,
            quarantined=quarantined,
        )


def _call(loop: asyncio.AbstractEventLoop, *call: Any) -> None:
    """Call something in the loop's thread, unless the loop has ended: then nobody waits."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(*call)


def _some(gathered: deque[_Ticket]) -> list[_Ticket]:
    """Take from a lane what is worked on next."""
    taken = [gathered.popleft()]
    size = len(taken[0].post.body)
    while gathered and len(taken) < MOST_POSTS:
        size += len(gathered[0].post.body)
        if size > MOST_BYTES:
            break
        taken.append(gathered.popleft())
    return taken


def _stopping() -> Future[None]:
    failed: Future[None] = Future()
    failed.set_exception(Overloaded("the server is stopping; send again in a moment"))
    return failed
