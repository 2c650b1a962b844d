"""As an operator lives it: a server under load is backed up, killed, lost, restored, started."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from harness import Api, Process, records
from kept_folders import place
from typer.testing import CliRunner

from tidegauge.cli import app
from tidegauge.keeping.backup import take_backup

_BATCH, _PAUSE = 200, 0.1  # 2,000 records a second.


class Load:
    """Sends records until it is stopped; knows what was acknowledged."""

    def __init__(self, address: str) -> None:
        self.sent: set[str] = set()
        self.acknowledged: set[str] = set()
        self._address = address
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with httpx.Client(base_url=self._address, timeout=5) as http:
            for batch in range(1_000_000):
                ids = [f"b{batch}-{row}" for row in range(_BATCH)]
                body = [
                    {**one, "prediction_id": name}
                    for one, name in zip(records(_BATCH), ids, strict=True)
                ]
                self.sent.update(ids)
                try:
                    answer = Api(http, "fares").post("predictions", json=body)
                except httpx.HTTPError:
                    return
                if answer.status_code == 202:
                    self.acknowledged.update(ids)
                if self._stop.wait(_PAUSE):
                    return


def command(*arguments: Any) -> None:
    run = CliRunner().invoke(app, [str(one) for one in arguments])
    assert run.exit_code == 0, run.output


def stored(address: str, wanted: set[str]) -> Counter[str]:
    """Return the ids that can be read, as soon as those that are wanted are among them."""
    with httpx.Client(base_url=address, timeout=30) as http:
        until = time.monotonic() + 20
        while True:
            found: Counter[str] = Counter()
            cursor: str | None = None
            while True:
                more = {} if cursor is None else {"cursor": cursor}
                page = Api(http, "fares").get("records", limit=5_000, **more)
                found.update(one["prediction_id"] for one in page["records"])
                cursor = page["next"]
                if cursor is None:
                    break
            if wanted <= found.keys() or time.monotonic() > until:
                return found
            time.sleep(0.3)


def wait(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_all_that_was_acknowledged_before_a_backup_is_there_once_after_the_server_was_lost(
    tmp_path: Path,
) -> None:
    data, shelf = tmp_path / "data", tmp_path / "shelf"
    server = Process(data, TIDEGAUGE_FLUSH_INTERVAL="0.7")
    assert server.address, server.end()
    load = Load(server.address)
    try:
        wait(lambda: len(load.acknowledged) > 1_500)
        command("backup", shelf, "--data", data)
        wait(lambda: len(load.acknowledged) > 3_000)
        before = set(load.acknowledged)
        count = len(before)

        def step(name: str) -> None:
            """More comes after the journal was copied, and after the catalog was."""
            nonlocal count
            if name in ("catalog", "default/fares/records"):
                wait(lambda: len(load.acknowledged) > count)
                count = len(load.acknowledged)

        take_backup(place(data), shelf, on_step=step)
    finally:
        server.kill()
        load.stop()
    shutil.rmtree(data)
    command("restore", shelf, "--data", data)
    server = Process(data)
    assert server.address, server.end()
    try:
        found = stored(server.address, before)
        doubled = [name for name, count in found.items() if count > 1]
        assert (before - found.keys(), doubled) == (set(), [])
        assert found.keys() <= load.sent
        with httpx.Client(base_url=server.address) as http:
            Api(http, "fares").post("predictions", json=records(3))
        assert len(stored(server.address, {"p0", "p1", "p2"})) == len(found) + 3
    finally:
        server.stop()
