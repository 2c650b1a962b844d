"""From requests' bodies to entries of the journal; runs in worker threads, knows no HTTP routes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from tidegauge.errors import Overloaded, TidegaugeError
from tidegauge.ingest import Checked, Parsed, parse
from tidegauge.lake.entries import Entry, JournalRequest
from tidegauge.server.bodies import unpacked
from tidegauge.server.checking import check, check_together
from tidegauge.server.posts import Account, Post, account_of, account_of_all

if TYPE_CHECKING:
    from tidegauge.server.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What requests that were worked on together wait for now.

    Parameters
    ----------
    places : sequence of int
        Which ones: their places among all.
    future : Future
        Done once their records are durable, or fails with what all of them are to be told. For a
        request whose key another has it gives that one's answer, or fails with
        `tidegauge.lake.answers.Released`: then the key is free again.
    accounts : sequence of Account
        What each of them is told then; none where the future gives the answer.
    """

    places: Sequence[int]
    future: Future[Any]
    accounts: Sequence[Account] = ()


def receive(runtime: Runtime, posts: Sequence[Post]) -> list[Outcome]:
    """Check the records of requests, and hand them to the journal.

    Several requests are all small and of one lane. Each comes to what it would have come to alone:
    only of those about whose records there is nothing to say are the records stored as one.

    Returns
    -------
    list of Outcome
        Each request is in one of them.
    """
    outcomes: list[Outcome] = []
    mine: list[int] = []
    for place, post in enumerate(posts):
        try:
            key = post.journal_key
            earlier = key and runtime.journal.claim(post.project, post.model, key)
        except Exception as error:
            outcomes.append(_failed(place, error))
            continue
        if earlier:
            outcomes.append(Outcome((place,), earlier))
        else:
            mine.append(place)
    if len(mine) > 1:
        mine = _together(runtime, posts, mine, outcomes)
    outcomes += [_alone(runtime, posts[place], place) for place in mine]
    return outcomes


def _alone(runtime: Runtime, post: Post, place: int) -> Outcome:
    try:
        _refuse_in_time(runtime, post)
        taken = check(runtime, post, _parsed(runtime, post))
        account, entries = account_of(taken.checked), taken.entries(post)
    except BaseException as error:
        key = post.journal_key
        if key is not None:
            runtime.journal.release(post.project, post.model, key)
        if not isinstance(error, Exception):
            raise
        return _failed(place, error)
    return _append(runtime, [post], [place], entries, [account])


def _refuse_in_time(runtime: Runtime, post: Post) -> None:
    """Refuse what the journal would have to refuse, before it costs anything to check it."""
    journal, size = runtime.journal, len(post.body)
    queued, waiting = journal.queued_bytes, journal.queued_bytes + journal.backlog_bytes
    if queued and queued + size > journal.max_queued_bytes:
        raise Overloaded(f"{queued >> 20} MiB of requests wait for their commit; send again")
    if waiting and waiting + size > journal.max_backlog_bytes:
        raise Overloaded(
            f"{waiting >> 20} MiB of acknowledged records wait for the lake; send again",
            retry_after=5.0,
        )


def _together(
    runtime: Runtime, posts: Sequence[Post], places: Iterable[int], outcomes: list[Outcome]
) -> list[int]:
    """Store what can be stored together; return the places of those that have to go alone."""
    alone: list[int] = []
    bodies: dict[int, list[Any]] = {}
    for place in places:
        try:
            records = _parsed(runtime, posts[place])
        except Exception:  # Alone, it meets its own.
            records = []
        if isinstance(records, list) and records:
            bodies[place] = records
        else:
            alone.append(place)
    while len(bodies) > 1:
        some = [posts[place] for place in bodies]
        try:
            taken = check_together(runtime, some[0], list(bodies.values()))
            if taken is None:
                break
            told_of = _told_of(taken.checked, bodies)
            entries = () if told_of else taken.entries(some[0])
        except Exception:  # Alone, each meets its own.
            break
        if not told_of:
            accounts = [account_of_all(len(records)) for records in bodies.values()]
            outcomes.append(_append(runtime, some, list(bodies), entries, accounts))
            return sorted(alone)
        alone += told_of
        for place in told_of:
            del bodies[place]
    return sorted([*alone, *bodies])


def _told_of(checked: Checked, bodies: dict[int, list[Any]]) -> list[int]:
    """Return the places of requests of which there is more to say than that all is well."""
    sizes = [len(records) for records in bodies.values()]
    wrong = checked.quarantined.column("index").to_numpy()
    found = set(np.searchsorted(list(accumulate(sizes)), wrong, side="right").tolist())
    if checked.repeated:
        found.update(i for i, size in enumerate(sizes) if size > 1)
    return [place for i, place in enumerate(bodies) if i in found]


def _parsed(runtime: Runtime, post: Post) -> Parsed:
    body = unpacked(post.body, post.encoding, runtime.settings.max_body)
    return parse(body, post.content_type)


def _append(
    runtime: Runtime,
    posts: Sequence[Post],
    places: Sequence[int],
    entries: tuple[Entry, ...],
    accounts: Sequence[Account],
) -> Outcome:
    answers = {
        key: account.answer
        for post, account in zip(posts, accounts, strict=True)
        if (key := post.journal_key) is not None
    }
    request = JournalRequest(posts[0].project, posts[0].model, entries, answers)
    try:
        future: Future[Any] = runtime.append(request)
    except Exception as error:
        future = Future()
        future.set_exception(error)
    return Outcome(places, future, accounts)


def _failed(place: int, error: Exception) -> Outcome:
    if isinstance(error, TidegaugeError):
        error = error.with_traceback(None)  # It would keep the request's body.
    future: Future[Any] = Future()
    future.set_exception(error)
    return Outcome((place,), future)
