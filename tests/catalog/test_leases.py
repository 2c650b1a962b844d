"""Leases on SQLite and PostgreSQL: one owner at a time, by nobody's clock; no other writes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from at_once import at_once
from sqlalchemy import text

from tidegauge.catalog import Alarm, Catalog, Claim, Term, WindowRow
from tidegauge.catalog.leases import PATIENCE_SECONDS
from tidegauge.errors import LeaseLost, Unavailable
from tidegauge.schema import Column, ColumnType, Schema

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SCHEMA = Schema((Column("age", ColumnType.NUMERIC),))


class Servers:
    """Claims of several servers to one lease, and the seconds that they count."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.seconds = 0.0

    def claim(self, owner: str) -> Claim:
        return Claim(self.catalog.leases, "scheduler", owner, clock=lambda: self.seconds)

    def pass_time(self, seconds: int, *claims: Claim) -> None:
        for _ in range(seconds):
            self.seconds += 1
            for claim in claims:
                claim.attend()


@pytest.fixture
def shared(postgres: Any) -> Iterator[Catalog]:
    """A catalog that several write to at the same time, as SQLite's have one writer."""
    with Catalog(postgres.database()) as opened:
        yield opened


@pytest.fixture
def servers(catalog: Catalog) -> Servers:
    return Servers(catalog)


def held(claim: Claim) -> Term:
    term = claim.attend()
    assert term is not None
    return term


def test_who_beats_keeps_the_lease(servers: Servers) -> None:
    first, second = servers.claim("a"), servers.claim("b")
    assert held(first).number == 1
    servers.pass_time(60, first, second)
    assert first.term == Term("scheduler", "a", 1)
    assert second.term is None


def test_who_is_not_heard_of_for_longer_than_patience_is_followed_by_another(
    servers: Servers,
) -> None:
    first, second = servers.claim("a"), servers.claim("b")
    held(first)
    servers.pass_time(5, first, second)
    killed_at = servers.seconds
    while second.term is None:
        servers.pass_time(1, second)
    assert PATIENCE_SECONDS <= servers.seconds - killed_at + 3 < PATIENCE_SECONDS + 5
    assert second.term.number == 2
    servers.pass_time(3, first, second)
    assert first.term is None
    servers.pass_time(60, first, second)
    assert second.term is not None and first.term is None


def test_a_lease_that_was_given_back_is_taken_at_once(servers: Servers) -> None:
    first, second = servers.claim("a"), servers.claim("b")
    held(first)
    assert second.attend() is None
    first.release()
    assert held(second).number == 2
    first.release()
    assert servers.claim("c").attend() is None


def test_a_server_that_comes_back_need_not_wait_for_itself(servers: Servers) -> None:
    term = held(servers.claim("a"))
    again = servers.claim("a")
    assert held(again).number == term.number + 1
    assert not servers.catalog.leases.beat(term)
    assert servers.catalog.leases.beat(held(again))


def test_the_catalog_being_gone_is_no_reason_to_take_over(servers: Servers) -> None:
    first, second = servers.claim("a"), servers.claim("b")
    held(first)
    servers.pass_time(2, first, second)
    look = servers.catalog.leases.look

    def gone(name: str) -> None:
        raise Unavailable("gone")

    servers.catalog.leases.look = gone
    for _ in range(60):
        servers.seconds += 1
        with pytest.raises(Unavailable):
            second.attend()
    servers.catalog.leases.look = look
    assert second.attend() is None
    servers.pass_time(20, first, second)
    assert first.term is not None


def test_of_many_who_take_a_lease_at_once_one_has_it(catalog: Catalog) -> None:
    for _ in range(3):
        seen = catalog.leases.look("scheduler")
        won = at_once(lambda i, seen=seen: catalog.leases.take("scheduler", f"owner {i}", seen))
        assert len([term for term in won if term is not None]) == 1


def test_nothing_is_written_under_a_term_that_has_ended(catalog: Catalog) -> None:
    model, _ = catalog.models.ensure("default", "fares", SCHEMA)
    term = catalog.leases.take("scheduler", "a", None)
    assert term is not None
    fenced = catalog.under(term)
    alarms = [Alarm("psi", NOW, NOW + DAY)]
    said = {"severity": "warning", "title": "x", "opened_at": NOW}
    incident, _ = fenced.incidents.open(model.id, None, "drift", alarms=alarms, **said)
    later = catalog.leases.take("scheduler", "b", catalog.leases.look("scheduler"))
    assert later is not None
    more = [Alarm("ks", NOW, NOW + DAY)]
    for write in (
        lambda: fenced.incidents.open(model.id, None, "drift", alarms=more, **said),
        lambda: fenced.incidents.extend(incident.id, more),
        lambda: fenced.incidents.restate(model.id, None, [NOW], []),
        lambda: fenced.incidents.resolve(incident.id, NOW),
        lambda: fenced.incidents.withdraw(incident.id),
        lambda: fenced.windows.record(model.id, [WindowRow(None, NOW, NOW + DAY)]),
        lambda: fenced.models.note(model.id, closed=1),
        lambda: fenced.news.done([1]),
    ):
        with pytest.raises(LeaseLost, match="'scheduler'"):
            write()
    assert catalog.incidents.get(incident.id).state == "open"
    assert catalog.incidents.alarms(incident.id) == alarms
    assert catalog.windows.between(model.id) == []
    catalog.under(later).incidents.extend(incident.id, more)
    assert len(catalog.incidents.alarms(incident.id)) == 2


def test_a_takeover_waits_for_what_is_being_written_and_beats_do_not(shared: Catalog) -> None:
    catalog = shared
    term = catalog.leases.take("scheduler", "a", None)
    assert term is not None
    taken: list[Term | None] = []
    seen = catalog.leases.look("scheduler")

    def take() -> None:
        taken.append(catalog.leases.take("scheduler", "b", seen))

    with catalog._database.under(term).writing() as session:
        session.execute(text("SELECT 1"))
        thread = threading.Thread(target=take)
        thread.start()
        time.sleep(0.3)
        assert not taken
    thread.join(10)
    assert taken[0] is not None and taken[0].number == 2
    with catalog._database.under(taken[0]).writing() as session:
        session.execute(text("SELECT 1"))
        started = time.monotonic()
        assert catalog.leases.beat(taken[0])
        assert time.monotonic() - started < 1


def test_who_stands_still_in_a_transaction_holds_up_no_takeover(shared: Catalog) -> None:
    catalog = shared
    term = catalog.leases.take("scheduler", "a", None)
    assert term is not None
    started = time.monotonic()
    with pytest.raises(Unavailable), catalog._database.under(term).writing() as session:
        session.execute(text("SELECT 1"))
        assert catalog.leases.take("scheduler", "b", catalog.leases.look("scheduler")) is not None
        session.execute(text("SELECT 1"))
    assert time.monotonic() - started < 9
