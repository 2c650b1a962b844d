"""A server that runs keeps its tables small beside the requests, and says what it did."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from harness import Api, records, running

from tidegauge.lake.upkeep import Compacted
from tidegauge.server import upkeep
from tidegauge.server.settings import Settings


def settings(data: Path) -> Settings:
    return Settings(
        data=data,
        port=0,
        flush_interval=timedelta(seconds=0.05),
        upkeep_interval=timedelta(seconds=0.2),
    )


def test_a_server_joins_the_files_of_its_flushes_and_counts_them(tmp_path: Path) -> None:
    with (
        running(settings(tmp_path)) as (address, app),
        httpx.Client(base_url=address, timeout=30) as http,
    ):
        api = Api(http, "fares")
        most = 0
        for i in range(60):
            row = {**records(1)[0], "prediction_id": f"q{i}"}
            assert api.post("predictions", json=[row]).status_code == 202
            time.sleep(0.06)
            most = max(most, len(app.state.runtime.lake.files("default", "fares", "records")))
        until = time.monotonic() + 10
        while 'tidegauge_upkeep_files_total{what="joined"}' not in http.get("/metrics").text:
            assert time.monotonic() < until
            time.sleep(0.1)
        assert most < 40
        assert len(api.all_records(60)) == 60
        told = http.get("/metrics").text
        assert 'tidegauge_upkeep_seconds_count{work="compact"}' in told
        assert "tidegauge_upkeep_failures_total 0.0" in told


def test_a_step_that_takes_long_holds_up_no_request_and_one_that_fails_no_other_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, begun, seen = threading.Event(), threading.Event(), set()

    def slow(_: object, project: str, model: str, kind: str, **more: object) -> Compacted:
        del project, more
        seen.add(model)
        if model == "broken":
            raise OSError("the disk does not answer")
        begun.set()
        held.wait(20)
        return Compacted()

    monkeypatch.setattr(upkeep, "compact_step", slow)
    with (
        running(settings(tmp_path)) as (address, _),
        httpx.Client(base_url=address, timeout=30) as http,
    ):
        for name in ("broken", "fares"):
            assert Api(http, name).post("predictions", json=records(3)).status_code == 202
        assert begun.wait(20)
        assert Api(http, "fares").post("predictions", json=records(1)).status_code == 202
        assert len(Api(http, "fares").all_records(3)) == 3
        assert seen >= {"broken", "fares"}
        assert "tidegauge_upkeep_failures_total 0.0" not in http.get("/metrics").text
        held.set()
