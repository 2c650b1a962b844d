"""Erasures in the catalog: durable, unfinished until done, and ids leave every byte of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegauge.catalog import Catalog
from tidegauge.catalog.erasures import ErasureState, digest_of
from tidegauge.errors import NotFound
from tidegauge.schema import Column, ColumnType, Schema

SCHEMA = Schema((Column("age", ColumnType.NUMERIC),))


@pytest.fixture
def model_id(catalog: Catalog) -> int:
    catalog.projects.ensure("default")
    model, _ = catalog.models.ensure("default", "fares", SCHEMA)
    return model.id


def test_an_erasure_is_unfinished_until_it_is_done(catalog: Catalog, model_id: int) -> None:
    made = catalog.erasures.ask(model_id, ["b", "a", "b"], actor="ann")
    assert (made.asked, made.ids, made.digest) == (2, ["a", "b"], digest_of({"a", "b"}))
    (row,) = catalog.erasures.unfinished()
    assert (row[0].id, row[1], row[2]) == (made.id, "default", "fares")
    catalog.erasures.advance(made.id, ErasureState.PURGING, 1, {"rows": {"records": 3}})
    assert catalog.erasures.get(model_id, made.id).receipt == {"rows": {"records": 3}}
    catalog.erasures.forget_ids(made.id, {"rows": {"records": 3}})
    catalog.erasures.finish(made.id)
    assert catalog.erasures.unfinished() == []
    done = catalog.erasures.get(model_id, made.id)
    assert (done.state, done.ids, done.asked) == ("done", None, 2) and done.done_at is not None
    assert [one.id for one in catalog.erasures.of_model(model_id)] == [made.id]
    (entry,) = [one for one in catalog.audit.all() if one.action == "records.erase"]
    assert (entry.actor, entry.subject) == ("ann", "fares")
    with pytest.raises(NotFound):
        catalog.erasures.get(model_id + 1, made.id)


def test_servers_are_known_until_they_are_forgotten_and_what_they_did_counts_once(
    catalog: Catalog, model_id: int
) -> None:
    erasures = catalog.erasures
    erasures.join("s1", "one:/data")
    erasures.join("s1", "two:/data")
    assert erasures.servers() == {"s1": "two:/data"}
    made = erasures.ask(model_id, ["a"], actor="ann")
    erasures.emptied(made.id, "s1", {"damaged": 1})
    erasures.emptied(made.id, "s1", {"damaged": 0})
    erasures.cleared(made.id, "s1", 2)
    part = erasures.parts(made.id)["s1"]
    assert (part.cleared, part.found) == (2, {"damaged": 1})
    erasures.leave("s1")
    with pytest.raises(NotFound):
        erasures.leave("s1")


def test_ids_that_were_forgotten_are_in_no_byte_of_the_file_or_its_log(tmp_path: Path) -> None:
    ids = [f"person-{i}-7f3a" for i in range(500)]
    with Catalog(tmp_path / "catalog.sqlite") as catalog:
        catalog.projects.ensure("default")
        model, _ = catalog.models.ensure("default", "fares", SCHEMA)
        made = catalog.erasures.ask(model.id, ids, actor="ann")
        assert any(b"7f3a" in path.read_bytes() for path in tmp_path.iterdir())
        catalog.erasures.forget_ids(made.id, {})
        assert not any(b"7f3a" in path.read_bytes() for path in tmp_path.iterdir())
