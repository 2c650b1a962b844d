"""A server killed while it replays: each row is stored once, whenever that was."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from harness import Process, records

from tidegauge.lake.tables import Lake

MODEL = "/v1/projects/default/models/m"
ROWS = 12_000


def replay_and_kill(server: Process, after: float) -> None:
    def ask() -> None:
        with contextlib.suppress(httpx.HTTPError):
            httpx.post(f"{server.address}{MODEL}/quarantine/replay", timeout=60)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(after)
    server.kill()
    asking.join(60)


@pytest.mark.parametrize("moments", [(0.15, 0.5, 1.0)])
def test_a_replay_that_is_killed_loses_and_doubles_nothing(
    start_process: Callable[..., Process], tmp_path: Path, moments: tuple[float, ...]
) -> None:
    settings = {"TIDEGAUGE_FLUSH_INTERVAL": "0.2"}
    server = start_process(**settings)
    rows: list[dict[str, Any]] = records(ROWS + 1)
    with httpx.Client(base_url=server.address + MODEL, timeout=60) as http:
        assert http.post("/predictions", json=rows[:1]).json()["accepted"] == 1
        for first in range(1, ROWS, 2_000):
            part = [{**row, "age": "old"} for row in rows[first : first + 2_000]]
            assert http.post("/predictions", json=part).json()["quarantined"] == len(part)
        schema = http.get("/schema").json()
        for column in schema["columns"]:
            if column["name"] == "age":
                column["type"] = "text"
        assert http.put("/schema", json=schema).status_code == 200
    for after in moments:
        replay_and_kill(server, after)
        server = start_process(**settings)
    done = httpx.post(f"{server.address}{MODEL}/quarantine/replay", timeout=60).json()
    assert done["stayed"] == 0
    again = httpx.post(f"{server.address}{MODEL}/quarantine/replay", timeout=60).json()
    assert (again["replayed"], again["repeated"], again["stayed"]) == (0, 0, 0)
    server.stop()
    lake = Lake(tmp_path / "data" / "lake")
    records_table = lake.open_table("default", "m", "records")
    left = lake.open_table("default", "m", "quarantine")
    assert records_table is not None and left is not None
    stored = pa.table(records_table.to_pyarrow_table())["prediction_id"].to_pylist()
    assert len(stored) == len(set(stored)) == ROWS + 1
    assert left.count() == 0
