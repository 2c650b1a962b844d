"""Faults of what stands around a server: its senders, its clock, its catalog, its object store."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

from tests.torture.senders import ARROW, Account, Senders
from tests.torture.world import Outcome, World, counted, wait_for


def corrupt_batches(data: Path, times: int) -> Outcome:
    """Send what is no batch, or half of one, between good ones."""
    world, account = World(data), Account()
    load = Senders(world.where, account, 3, pause=0.005)
    statuses: list[int] = []
    bodies = [
        (b"\\x00\\xff" * 500, ARROW),
        (b'[{"prediction_id": "x", ', "application/json"),
        (b"ARROW1\\x00\\x00" + bytes(200), ARROW),
        (b"PAR1" + bytes(100) + b"PAR1", "application/vnd.apache.parquet"),
        (b"[" * 100_000, "application/json"),
        (json.dumps([{"prediction_id": None, "distance": "far"}] * 3).encode(), "application/json"),
        (b"", "application/json"),
        (b"\\x1f\\x8b\\x08 no gzip", "application/json; charset=utf-8"),
    ]
    try:
        world.start()
        load.start()
        assert wait_for(world.watch, 60, 0.1)
        assert load.go_on(5)
        for turn in range(times):
            body, kind = bodies[turn % len(bodies)]
            statuses.append(_posted(f"{world.address}", body, kind))
        load.finish()
        told = world.settled()
        world.stop()
        crashed = [status for status in statuses if status >= 500]
        kinds = {status: statuses.count(status) for status in sorted(set(statuses))}
        note = f"answered {kinds}; {told['records']} records stored"
        outcome = counted("corrupt batches in a good stream", times, world, account, note)
        outcome.lost += len(crashed)
        return outcome
    finally:
        world.close()


def jumping_clock(data: Path, times: int) -> Outcome:
    """Move the server's clock by hours, forwards and back, under load.

    The clock that only counts time stays as it is, as it does on a real machine.
    """
    library = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime*.so.1")), None)
    assert library is not None, "Debian's package faketime is not installed"
    offset = data.parent / "clock"
    offset.write_text("+0s")
    world = World(
        data,
        LD_PRELOAD=str(library),
        FAKETIME_TIMESTAMP_FILE=str(offset),
        FAKETIME_DONT_FAKE_MONOTONIC="1",
        FAKETIME_CACHE_DURATION="1",
        FAKETIME_NO_CACHE="1",
    )
    account = Account()
    load = Senders(world.where, account, 3, pause=0.01)
    jumps = ("+26h", "-3h", "+0s", "+400d", "-1d")
    try:
        world.start()
        load.start()
        assert wait_for(world.watch, 60, 0.1)
        for turn in range(times):
            assert load.go_on(10)
            offset.write_text(jumps[turn % len(jumps)])
        assert load.go_on(10)
        load.finish()
        world.settled()
        world.stop()
        return counted("clock jumps of hours and days", times, world, account)
    finally:
        world.close()


def catalog_away(data: Path, seconds: float) -> Outcome:
    """Stop PostgreSQL under load for a while: what comes meanwhile waits in the journal."""
    from tests.postgres import Postgres

    account = Account()
    with Postgres() as postgres:
        world = World(data, TIDEGAUGE_DATABASE_URL=postgres.database())
        load = Senders(world.where, account, 3, pause=0.02)
        try:
            world.start()
            load.start()
            assert wait_for(world.watch, 60, 0.1)
            assert load.go_on(20)
            postgres.stop()
            away = account.batches
            time.sleep(seconds)
            meanwhile = account.batches - away
            ready = _status(f"{world.address}/readyz")
            postgres.start()
            went_on = load.go_on(10)
            load.finish()
            world.settled()
            back = wait_for(lambda: _status(f"{world.address}/readyz") == 200, 30, 0.2)
            note = f"{meanwhile} batches acknowledged meanwhile"
            note += f"; readyz {ready} while it was away"
            world.stop()
            outcome = counted(f"catalog gone for {seconds:.0f} s", 1, world, account, note)
            outcome.lost += (not went_on) + (not back) + (ready == 200)
            return outcome
        finally:
            world.close()


def failing_store(data: Path, seconds: float) -> Outcome:
    """Have every fifth call to the object store fail, before or after it was carried out."""
    from tests.object_store import Moto, every, proxied

    account = Account()
    moto = Moto(data.parent / "moto.log")
    try:
        bucket = moto.bucket()
        with proxied(bucket) as (proxy, store):
            world = World(data, f"{store.url}/lake", store.options)
            # Looked at past the proxy, which cannot answer the process that it runs in.
            world.options = bucket.options
            load = Senders(world.where, account, 3, pause=0.02)
            try:
                world.start()
                load.start()
                assert wait_for(world.watch, 60, 0.1)
                assert load.go_on(10)
                proxy.plan = every(5)
                time.sleep(seconds)
                calls = sum(proxy.faults.values())
                proxy.plan = lambda *_: None
                load.finish()
                world.settled()
                world.stop()
                note = f"{calls} of {len(proxy.calls)} calls failed"
                return counted("object store fails one call in five", 1, world, account, note)
            finally:
                world.close()
    finally:
        moto.stop()


def _posted(address: str, body: bytes, kind: str) -> int:
    request = urllib.request.Request(
        f"{address}/v1/projects/default/models/rides/predictions",
        body,
        {"Content-Type": kind, "Idempotency-Key": uuid.uuid4().hex},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.read()
        return error.code


def _status(address: str) -> int:
    try:
        with urllib.request.urlopen(address, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def has_faketime() -> bool:
    """Whether the library that moves clocks is installed."""
    return any(Path("/usr/lib").glob("*/faketime/libfaketime*.so.1"))


def has_postgres() -> bool:
    """Whether PostgreSQL can be started here."""
    from tests.postgres import missing

    return missing() is None
