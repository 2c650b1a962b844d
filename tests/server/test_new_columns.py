"""Fields that the schema does not know: counted once each, accepted by a person, read back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pyarrow as pa
import pytest
from harness import START, Api, records

from tidegauge.catalog import Catalog
from tidegauge.catalog.new_fields import Counted
from tidegauge.schema import Column, ColumnType, Schema
from tidegauge.server.runtime import Runtime


def send(api: Api, first: int, n: int, **more: Any) -> None:
    rows = [{**row, **more} for row in records(first + n)[first:]]
    answer = api.post("predictions", json=rows)
    assert answer.json()["accepted"] == n, answer.text
    api.record(f"p{first + n - 1}")


def fresh(api: Api) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in api.get("schema/new-columns")["columns"]}


def accept(api: Api, columns: Any, **more: str) -> httpx.Response:
    return api.post("schema/accept", json={"columns": columns, **more})


def test_fields_are_counted_once_with_the_type_that_they_look_like(api: Api) -> None:
    send(api, 0, 3)
    assert fresh(api) == {}
    before = datetime.now(UTC)
    send(api, 3, 4, price=3.5, gate="B7", fast=True, seen="2026-01-01T00:00:00Z", deep={"a": [1]})
    send(api, 7, 2, price=7, gate=12, vector=[0.5, 1], words=["a"], note="x" * 100)
    found = fresh(api)
    assert {name: (one["type"], one["rows"]) for name, one in found.items()} == {
        "price": ("numeric", 6),
        "gate": ("categorical", 6),
        "fast": ("boolean", 4),
        "seen": ("datetime", 4),
        "deep": (None, 4),
        "vector": ("embedding", 2),
        "words": (None, 2),
        "note": ("text", 2),
    }
    assert found["price"]["example"] == "7"
    first, last = (datetime.fromisoformat(found["price"][k]) for k in ("first_seen", "last_seen"))
    assert before - timedelta(seconds=1) <= first <= last
    assert fresh(api) == found
    send(api, 9, 1, price=1.0)
    assert fresh(api)["price"]["rows"] == 7


def test_an_accepted_column_is_read_back_to_where_it_began(
    api: Api, shared: tuple[str, Any]
) -> None:
    send(api, 0, 1)
    send(api, 1, 1, **{"price a/b~c\"'": 3.5, "gate": "B7", "fast": True})
    send(api, 2, 1, **{"price a/b~c\"'": "12", "gate": 7, "fast": 0})
    wanted = {"price a/b~c\"'": {"type": "numeric", "unit": "EUR"}, "gate": None, "fast": "boolean"}
    answer = accept(api, wanted, by="ana", reason="release 12")
    assert answer.status_code == 200, answer.text
    send(api, 3, 1, **{"price a/b~c\"'": 9.0, "gate": "C1", "fast": False})
    runtime: Runtime = shared[1].state.runtime
    model = runtime.get("default", api.model)
    end = START + timedelta(days=1)
    rows = pa.Table.from_batches(
        runtime.engine.batches("default", api.model, model.schema, START, end)
    ).sort_by("prediction_id")
    # Text is no number, also where it was set aside; numbers are texts of categories.
    assert rows["price a/b~c\"'"].to_pylist() == [None, 3.5, None, 9.0]
    assert rows["gate"].to_pylist() == [None, "B7", "7", "C1"]
    assert rows["fast"].to_pylist() == [None, True, False, False]
    assert api.record("p1")["gate"] == "B7"
    assert fresh(api) == {}


def test_the_history_tells_who_changed_what_when_and_why(api: Api) -> None:
    send(api, 0, 2, gate="B7")
    send(api, 2, 2, price=1.5)
    assert accept(api, ["price"], by="ana", reason="release 12").status_code == 200
    newest, first = api.get("schema/history")["schemas"]
    assert (newest["number"], newest["by"], newest["reason"]) == (2, "ana", "release 12")
    assert [change["words"] for change in newest["changes"]] == ["price added: numeric, feature"]
    assert newest["created_at"].endswith("Z")
    assert (first["number"], first["changes"]) == (1, [])
    assert "price" in [column["name"] for column in newest["schema"]["columns"]]
    assert accept(api, ["price"]).json()["code"] == "known_column"


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        (["nope"], "unknown_column"),
        ([], "no_columns"),
        (["_own"], "reserved_column"),
        (["AGE"], "duplicate_column"),
        (["a\nb"], "bad_column_name"),
        (["deep"], "nested_column"),
        ({"gate": "colour"}, "bad_schema"),
        ({"gate": {"type": "text", "role": "prediction_id"}}, "fixed_role"),
        ({"gate": {"type": "text", "role": "score"}}, "bad_schema"),
    ],
)
def test_dangerous_names_and_types_are_refused_in_words(api: Api, columns: Any, code: str) -> None:
    send(api, 0, 1)
    send(api, 1, 1, gate="B7", _own=1, AGE=3, deep={"a": 1}, **{"a\nb": 1})
    answer = accept(api, columns)
    assert 400 <= answer.status_code < 500
    assert answer.json()["code"] == code, answer.text
    assert len(api.get("schema/history")["schemas"]) == 1


def test_names_beyond_what_is_kept_are_counted_as_left_out(api: Api) -> None:
    send(api, 0, 1)
    send(api, 1, 1, **{f"field {i}": i for i in range(250)})
    found = api.get("schema/new-columns")
    assert len(found["columns"]) == 200
    assert found["left_out"] == 50


def test_a_count_that_another_server_made_meanwhile_is_not_overwritten(tmp_path: Any) -> None:
    with Catalog(tmp_path / "catalog.db") as catalog:
        catalog.projects.ensure("default")
        schema = Schema((Column("age", ColumnType.NUMERIC),))
        model, _ = catalog.models.ensure("default", "m", schema)
        book, now = catalog.new_fields, datetime.now(UTC)
        before = book.get(model.id)
        mine = Counted(before.turn, now, {"j": 3}, {"x": {}}, 0)
        assert book.save(model.id, mine)
        assert not book.save(model.id, mine)
        held = book.get(model.id)
        assert (held.turn, held.counted) == (1, {"j": 3})
        assert book.save(model.id, Counted(held.turn, now, {"j": 5}, {"x": {}}, 0))
        assert book.get(model.id).counted == {"j": 5}
