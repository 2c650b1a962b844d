"""Several servers, one lake, one catalog: all take records, one closes windows, none twice."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from at_once import at_once
from fleet import DAY, START, TAKEOVER, Fleet, Server, catalog_away, records, wait_for
from postgres import Postgres

pytestmark = pytest.mark.xdist_group("several servers")


@pytest.fixture(scope="module")
def fleet(postgres: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Three servers, and a model with a baseline and some days; each test sends further ones."""
    with Fleet(tmp_path_factory.mktemp("fleet"), postgres.database(), 3) as fleet:
        fleet.post(fleet.servers[0], "baselines", records(-30, 30))
        for _ in range(3):
            fleet.send_day()
        yield fleet


def held_by(fleet: Fleet) -> Server:
    wait_for(lambda: fleet.holder() is not None)
    found = fleet.holder()
    assert found is not None
    return found


def test_all_take_records_and_each_window_is_closed_once(fleet: Fleet) -> None:
    for _ in range(3):
        fleet.send_day()
    fleet.require_all_judged()
    assert set(fleet.judged()) == {START + n * DAY for n in range(fleet.days - 1)}
    wait_for(lambda: sum("it closes windows" in one for one in _said(fleet)) == 1)
    assert sum("another server closes windows" in one for one in _said(fleet)) == 2


def _said(fleet: Fleet) -> list[str]:
    return [server.http.get("/readyz").text for server in fleet.servers]


def test_news_of_all_are_judged_once_and_what_is_wrong_is_one_incident(fleet: Fleet) -> None:
    for _ in range(3):
        fleet.send_day()
    fleet.require_all_judged()
    (incident,) = fleet.incidents()
    assert incident.first_window == START


def test_what_one_server_is_told_all_go_by_soon(fleet: Fleet) -> None:
    first, second, third = fleet.servers
    path = "/v1/projects/default/models/m/monitors"
    text = {"monitors": [{"metric": "psi", "columns": "age", "threshold": {"above": 0.2}}]}
    first.http.put(path, json=text).raise_for_status()
    wait_for(lambda: second.http.get(path).json() == first.http.get(path).json(), 5)
    fleet.post(second, "baselines", records(-30, 30))
    (active,) = [b for b in fleet.catalog.baselines.all(1) if b.active]
    found = "/v1/projects/default/models/m"
    wait_for(lambda: third.http.get(found).json()["baseline"] == active.id, 5)
    wait_for(lambda: _progress(fleet).get("baseline_id") == active.id)
    fleet.require_all_judged()


def _progress(fleet: Fleet) -> dict[str, Any]:
    return dict(fleet.catalog.models.get("default", "m").progress)


def test_a_holder_that_is_killed_is_followed_by_another_within_15_s(fleet: Fleet) -> None:
    holder = held_by(fleet)
    fleet.send_day()
    holder.tell(signal.SIGKILL)
    holder.ended()
    killed = time.monotonic()
    others = fleet.others(holder)
    fleet.send_day(others)
    wait_for(lambda: fleet.holder() not in (holder, None), TAKEOVER)
    took = time.monotonic() - killed
    until = START + (fleet.days - 1) * DAY
    # It learns of the model what the one before knew, and closes then.
    wait_for(lambda: fleet.catalog.windows.closed_until(1) == until, 30)
    closed = time.monotonic() - killed
    print(
        f"\nkill -9 of the holder: lease taken over after {took:.1f} s, window after {closed:.1f} s"
    )
    assert took < TAKEOVER
    holder.start()
    fleet.send_day()
    fleet.require_all_judged()
    assert held_by(fleet) is not holder


def test_a_holder_that_stood_still_and_comes_back_writes_nothing_more(fleet: Fleet) -> None:
    holder = held_by(fleet)
    fleet.send_day()
    wait_for(lambda: fleet.catalog.news.read())
    time.sleep(0.15)  # In the middle of its round, as likely as not.
    holder.tell(signal.SIGSTOP)
    stopped = time.monotonic()
    others = fleet.others(holder)
    fleet.send_day(others)
    wait_for(lambda: fleet.holder() not in (holder, None), TAKEOVER)
    print(f"\nSIGSTOP of the holder: lease taken over after {time.monotonic() - stopped:.1f} s")
    fleet.send_day(others)
    until = START + (fleet.days - 1) * DAY
    wait_for(lambda: fleet.catalog.windows.closed_until(1) == until)
    holder.tell(signal.SIGCONT)
    fleet.send_day()
    fleet.require_all_judged()
    assert held_by(fleet) is not holder
    assert "another server closes windows" in holder.http.get("/readyz").text


def test_a_holder_that_is_told_to_stop_gives_the_work_away_at_once(fleet: Fleet) -> None:
    holder = held_by(fleet)
    fleet.send_day([holder])
    began = time.monotonic()
    holder.tell(signal.SIGTERM)
    wait_for(lambda: fleet.holder() not in (holder, None), 5)
    print(f"\nSIGTERM of the holder: lease taken over after {time.monotonic() - began:.1f} s")
    assert holder.ended() == 0
    fleet.send_day(fleet.others(holder))
    fleet.require_all_judged()
    holder.start()


def test_first_records_of_a_model_at_several_servers_at_once_make_one_model(fleet: Fleet) -> None:
    sent: Counter[str] = Counter()

    def send(number: int) -> Any:
        rows = records(0).slice(0, 50).drop_columns(["label"])
        ids = [f"s{number}-{i}" for i in range(50)]
        rows = rows.set_column(0, "prediction_id", pa.array(ids))
        rows = rows.append_column(f"own{number}", pa.array([float(number)] * 50))
        sent.update(ids)
        return fleet.post(fleet.servers[number], "predictions", rows, "at-once")

    answers = at_once(send, threads=3)
    assert [answer["accepted"] for answer in answers] == [50] * 3, answers
    wait_for(lambda: fleet.stored("at-once") == sent)
    model = fleet.catalog.models.get("default", "at-once")
    assert model.schema_number == 1
    own = [name for name in model.schema.names if name.startswith("own")]
    assert len(own) == 1


def test_columns_that_several_servers_learn_at_once_are_all_learnt(fleet: Fleet) -> None:
    first = records(0).slice(0, 50).drop_columns(["label"])
    fleet.post(fleet.servers[0], "predictions", first, "learning")
    later = {"latency_ms": pa.array([5.0] * 10), "trace_id": pa.array(["t"] * 10)}
    later["status"] = pa.array(["ok"] * 10)

    def send(number: int) -> Any:
        name = list(later)[number]
        rows = records(0).slice(0, 10).drop_columns(["label"])
        rows = rows.set_column(0, "prediction_id", pa.array([f"{name}{i}" for i in range(10)]))
        return fleet.post(
            fleet.servers[number], "predictions", rows.append_column(name, later[name]), "learning"
        )

    answers = at_once(send, threads=3)
    assert [answer["accepted"] for answer in answers] == [10] * 3, answers
    assert set(later) <= set(fleet.catalog.models.get("default", "learning").schema.names)
    wait_for(lambda: sum(fleet.stored("learning").values()) == 80)


def test_records_are_taken_while_the_catalog_is_away_and_nothing_is_lost(
    tmp_path: Path, postgres: Any
) -> None:
    del postgres  # That there is one; this test stops its own.
    with Postgres() as server:
        print("\n" + catalog_away(tmp_path, server, 6.0))
