"""News on SQLite and PostgreSQL: what each flush brought, until somebody is done with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from at_once import at_once

from tidegauge.catalog import Catalog
from tidegauge.catalog.news import Unread
from tidegauge.lake.flusher import Flushed

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def flushed(model: str, number: int, journal: str = "j") -> Flushed:
    return Flushed(
        "default",
        model,
        records=10,
        labels=number,
        first_event=NOW + number * DAY,
        last_event=NOW + (number + 1) * DAY,
        first_offset=10 * number + 1,
        last_offset=10 * number + 10,
        journal=journal,
    )


def test_news_are_there_until_somebody_is_done_with_them(catalog: Catalog) -> None:
    catalog.news.add([])
    catalog.news.add([flushed("a", 0), flushed("b", 1)])
    catalog.news.add([flushed("a", 2, "k"), Flushed("default", "c", quarantined=1)])
    found = catalog.news.read()
    assert [(n.model, n.journal, n.first_offset, n.last_offset) for n in found] == [
        ("a", "j", 1, 10),
        ("b", "j", 11, 20),
        ("a", "k", 21, 30),
        ("c", "", 0, 0),
    ]
    assert (found[0].first_event, found[0].last_event) == (NOW, NOW + DAY)
    assert [n.id for n in catalog.news.read(limit=2)] == [found[0].id, found[1].id]
    others = catalog.news.read(but_not=[("default", "a"), ("x", "b")])
    assert [n.model for n in others] == ["b", "c"]
    catalog.news.done([])
    catalog.news.done([n.id for n in found[:2]])
    catalog.news.done([n.id for n in found[:2]])
    assert [n.id for n in catalog.news.read()] == [n.id for n in found[2:]]


def test_what_is_unread_is_summed_by_model(catalog: Catalog) -> None:
    catalog.news.add([flushed("a", 0), flushed("a", 3, "k"), flushed("b", 1)])
    whole = catalog.news.unread()
    assert whole == {
        ("default", "a"): Unread(20, 3, 0, NOW, NOW + 4 * DAY),
        ("default", "b"): Unread(10, 1, 0, NOW + DAY, NOW + 2 * DAY),
    }
    assert catalog.news.unread("default", "b") == {("default", "b"): whole["default", "b"]}
    assert catalog.news.unread("other") == {}


def test_news_of_several_servers_are_all_kept(catalog: Catalog) -> None:
    def send(number: int) -> None:
        for _ in range(5):
            catalog.news.add([flushed("a", number, f"j{number}")])

    assert at_once(send, threads=4) == [None] * 4
    assert catalog.news.unread()["default", "a"].records == 200


def test_more_news_than_one_statement_takes_are_done_with(catalog: Catalog) -> None:
    catalog.news.add([flushed("a", 0)] * 1_500)
    catalog.news.done([n.id for n in catalog.news.read(limit=2_000)])
    assert catalog.news.read() == []
