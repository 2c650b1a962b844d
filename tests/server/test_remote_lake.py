"""A server whose lake is on an object store: from requests to pages, through faults."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import orjson
import pytest
from deltalake import DeltaTable
from fleet import ROWS, Fleet, wait_for
from fleet import records as a_days_records
from harness import Process
from object_store import HASTE, Store, every, proxied
from postgres import Postgres
from test_scheduler import Watched, records

Starter = Callable[..., Watched]


def settings(store: Store, **options: str) -> dict[str, str]:
    return {
        "TIDEGAUGE_LAKE": f"{store.url}/a/lake",
        "TIDEGAUGE_LAKE_OPTIONS": orjson.dumps(store.options | options).decode(),
        "TIDEGAUGE_FLUSH_INTERVAL": "0.2",
        "TIDEGAUGE_TICK_INTERVAL": "0.2",
    }


@pytest.fixture
def watch(start_process: Callable[..., Process]) -> Iterator[Starter]:
    opened: list[Watched] = []

    def start(store: Store, **options: str) -> Watched:
        server = start_process(**settings(store, **options))
        assert server.address, server.end()
        opened.append(Watched(server.address))
        opened[-1].process = server
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def stored(store: Store, kind: str) -> list[str]:
    """Return the ids in a table, as any reader of Delta Lake finds them."""
    url = f"{store.url}/a/lake/default/m/{kind}"
    table = DeltaTable(url, storage_options=store.options).to_pyarrow_table()
    ids: list[str] = table["prediction_id"].to_pylist()
    return sorted(ids)


def test_with_one_call_in_five_failing_records_become_pages_once_and_only_once(
    bucket: Store, watch: Starter, tmp_path: Path
) -> None:
    with proxied(bucket) as (proxy, store):
        proxy.plan = every(5)
        model = watch(store, **HASTE)
        model.client.baseline(records(-30, 30, rows=50))
        sent = [records(day, 1, rows=50) for day in range(6)]
        for table in sent[:4]:
            model.send(table)
        assert model.settled(3)["lag"]["closed"] == 3
        before = model.points("row_count")
        assert [point["value"] for point in before] == [50] * 3
        page = httpx.get(f"{model.address}/projects/default/models/m")
        assert page.status_code == 200 and "age" in page.text
        model.process.kill()
        assert not (tmp_path / "data" / "lake").exists()
        cache = tmp_path / "data" / "cache"
        assert any(cache.rglob("*.parquet"))
        shutil.rmtree(cache)

        again = watch(store, **HASTE)
        assert again.points("row_count") == before
        assert httpx.get(f"{again.address}/projects/default/models/m").status_code == 200
        for table in sent[4:]:
            again.send(table)
        again.settled(2)
        assert [point["value"] for point in again.points("row_count")] == [50] * 5
        name = sent[0]["prediction_id"][7].as_py()
        found = again.http.get("/models/m/records", params={"prediction_id": name}).json()
        assert found["prediction_id"] == name
        assert min(proxy.faults.values()) > 10
    ids = sorted(name for table in sent for name in table["prediction_id"].to_pylist())
    assert stored(bucket, "records") == ids
    assert stored(bucket, "labels") == ids


def test_a_lake_that_cannot_be_reached_ends_the_start_in_words(
    bucket: Store, start_process: Callable[..., Process]
) -> None:
    missing = Store(bucket.endpoint, "no-such-bucket")
    begun = time.monotonic()
    code, out, err = start_process(**settings(missing)).end()
    assert (code, out) == (2, "")
    assert err == (
        "tidegauge: error: the lake at s3://no-such-bucket/a/lake: there is no such bucket; make "
        "it, or set another lake\n"
    )
    assert time.monotonic() - begun < 20


@pytest.mark.slow
def test_servers_share_it_while_calls_fail_and_one_is_killed(
    bucket: Store, postgres: Postgres, tmp_path: Path
) -> None:
    with proxied(bucket) as (proxy, store):
        proxy.plan = every(5)
        options = orjson.dumps(store.options | HASTE).decode()
        with Fleet(
            tmp_path, postgres.database(), 2, bucket, TIDEGAUGE_LAKE_OPTIONS=options
        ) as fleet:
            fleet.post(fleet.servers[0], "baselines", a_days_records(-30, 30))
            for day in range(3):
                fleet.send(a_days_records(day))
            wait_for(lambda: len(fleet.points()) == 2, 60)
            holder = fleet.holder()
            assert holder is not None
            holder.close()
            holder.start()
            for day in range(3, 5):
                fleet.send(a_days_records(day))
            wait_for(lambda: len(fleet.points()) == 4, 60)
            wait_for(lambda: fleet.stored() == fleet.acknowledged, 60)
            assert [point["value"] for point in fleet.points()] == [ROWS] * 4
            assert not [alarm for alarm, times in Counter(fleet.alarms()).items() if times > 1]
        assert min(proxy.faults.values()) > 20
