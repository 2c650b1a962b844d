"""Whether the server says how it is: each part broken for real, and mended again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from at_once import in_a_loop
from harness import Process, records, running
from postgres import Postgres

from tidegauge.server.life import Life
from tidegauge.server.loop_lag import LoopLag
from tidegauge.server.readiness import Finding, Part, Readiness, _event_loop
from tidegauge.server.settings import Settings
from tidegauge.server.stopping import GentleServer

PATH = "/v1/projects/default/models/m"
FAST = {"TIDEGAUGE_FLUSH_INTERVAL": "0.1", "TIDEGAUGE_TICK_INTERVAL": "0.2"}
#: What a probe may take, though a part hangs and the machine is busy; in seconds.
BOUND = 4.0


def fast(data: Path, **more: Any) -> Settings:
    soon = timedelta(milliseconds=100)
    return Settings(data=data, port=0, flush_interval=soon, tick_interval=soon, **more)


def alive() -> Life:
    life = Life()
    life.begin("running")
    return life


def ready(address: str) -> tuple[int, dict[str, Any]]:
    began = time.monotonic()
    answer = httpx.get(f"{address}/readyz", timeout=10)
    assert time.monotonic() - began < BOUND
    found: dict[str, Any] = answer.json()
    return answer.status_code, found


def until(address: str, status: int, patience: float = 40.0) -> dict[str, Any]:
    """Return what it says once it has the status."""
    end = time.monotonic() + patience
    while True:
        code, found = ready(address)
        if code == status:
            return found
        assert time.monotonic() < end, found
        time.sleep(0.3)


def failed(found: dict[str, Any]) -> list[str]:
    return [name for name, check in found["checks"].items() if check["state"] == "failed"]


# A part that hangs


def test_a_part_that_hangs_is_named_in_time_asked_once_and_forgiven() -> None:
    go_on = threading.Event()
    asked = []

    def hangs() -> Finding:
        asked.append(1)
        go_on.wait(30)
        return Finding("ok", "")

    parts = (Part("disk", hangs), Part("other", lambda: Finding("ok", "fine")))
    readiness = Readiness(parts, alive(), patience=0.2, fresh=0.0)
    for _ in range(3):
        began = time.monotonic()
        report = readiness.report()
        assert time.monotonic() - began < 5
        (wrong,) = report.wrongs()
        assert wrong.startswith("disk: it has not answered for ")
        assert not report.wrongs(exclude=["disk"])
    since = next(check.since for check in report.checks if check.name == "disk")
    assert len(asked) == 1
    go_on.set()
    time.sleep(0.05)
    readiness.report()
    report = readiness.report()
    assert not report.wrongs()
    assert next(check.since for check in report.checks if check.name == "disk") > since


def test_probes_that_come_together_share_one_look() -> None:
    asked = []

    def slow() -> Finding:
        asked.append(1)
        time.sleep(0.1)
        return Finding("ok", "")

    readiness = Readiness((Part("slow", slow),), alive())
    with ThreadPoolExecutor(8) as pool:
        reports = [pool.submit(readiness.report) for _ in range(8)]
        assert not any(report.result().wrongs() for report in reports)
    assert len(asked) == 1


def test_parts_are_tried_at_the_same_time() -> None:
    barrier = threading.Barrier(3, timeout=5)

    def together() -> Finding:
        barrier.wait()
        return Finding("ok", "")

    parts = [Part(name, together) for name in "abc"]
    assert not Readiness(parts, alive()).report().wrongs()


def test_the_event_loops_lag_is_measured_and_warned_of() -> None:
    async def held_up(seconds: float) -> LoopLag:
        lag = LoopLag(every=0.01)
        lag.start()
        await asyncio.sleep(0.1)
        time.sleep(seconds)
        await asyncio.sleep(0.05)
        lag.stop()
        return lag

    lag = in_a_loop(held_up(0.7))
    assert 0.6 < lag.worst() < 2.0
    assert _event_loop(lag).state == "warning"
    assert lag.seconds.count() >= 5
    samples = {sample.name: sample.value for metric in lag.collect() for sample in metric.samples}
    assert samples["tidegauge_event_loop_lag_worst_seconds"] == lag.worst()
    assert samples["tidegauge_event_loop_lag_seconds_sum"] >= 0.6


# Parts broken for real


@contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """A file system in memory at a place, where this user may mount one."""
    place.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", str(place)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_told_and_that_it_has_room_again(tmp_path: Path) -> None:
    with (
        mounted(tmp_path / "data", "size=24m") as data,
        running(fast(data, min_free=4 << 20)) as (address, _),
    ):
        assert ready(address)[0] == 200
        with (data / "filler").open("wb") as filler, contextlib.suppress(OSError):
            while True:
                filler.write(bytes(1 << 16))
                filler.flush()
        found = until(address, 503)
        assert "disk" in failed(found)
        assert httpx.get(f"{address}/healthz").status_code == 200
        (data / "filler").unlink()
        until(address, 200)


def test_a_table_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    table = tmp_path / "lake" / "default" / "m" / "records"
    with running(fast(tmp_path)) as (address, _):
        with mounted(table, "ro"):
            answer = httpx.post(f"{address}{PATH}/predictions", json=records(3))
            assert answer.status_code == 202
            found = until(address, 503)
            assert failed(found) == ["flusher"]
            assert "records of default/m could not be written" in found["message"]
            assert httpx.get(f"{address}/readyz?exclude=flusher").status_code == 200
        until(address, 200)
        metrics = httpx.get(f"{address}/metrics").text
        assert "tidegauge_flush_failing_tables 0.0" in metrics
        counted = re.search(r'tidegauge_lake_failures_total{operation="(\w+)"} ([\d.]+)', metrics)
        assert counted is not None and float(counted[2]) >= 1


@contextmanager
def frozen(database: Postgres) -> Iterator[None]:
    """Have a database hang: nothing that it does goes on, and nobody is told."""
    postmaster = int((database.folder / "data" / "postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    processes = [postmaster, *map(int, children)]
    _signal(processes, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(processes, signal.SIGCONT)


def _signal(processes: list[int], sign: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):  # some come and go by themselves
            os.kill(process, sign)


def test_a_catalog_that_hangs_or_is_away_is_told_in_time(
    tmp_path: Path, postgres: Postgres
) -> None:
    settings = fast(tmp_path, database_url=postgres.database())
    with running(settings) as (address, _):
        assert ready(address)[0] == 200
        with frozen(postgres):
            found = until(address, 503)
            assert failed(found) == ["catalog"]
            assert "has not answered" in found["message"]
            assert httpx.get(f"{address}/healthz", timeout=1).status_code == 200
            # What is known is told all the same.
            metrics = httpx.get(f"{address}/metrics", timeout=6)
            assert "tidegauge_journal_entries 0.0" in metrics.text
        until(address, 200)
        postgres.stop()
        try:
            found = until(address, 503)
            assert "catalog" in failed(found) and "Traceback" not in str(found)
            metrics = httpx.get(f"{address}/metrics", timeout=6).text
            assert 'tidegauge_catalog_failures_total{error="' in metrics
        finally:
            postgres.start()
        until(address, 200)


def test_a_server_that_stands_by_is_ready(tmp_path: Path) -> None:
    shared = {"lake": str(tmp_path / "lake"), "database_url": f"sqlite:///{tmp_path / 'c.sqlite'}"}
    with (
        running(fast(tmp_path / "a", **shared)) as (first, _),
        running(fast(tmp_path / "b", **shared)) as (second, _),
    ):
        said = []
        for address in (first, second):
            checks = until(address, 200)["checks"]
            text = httpx.get(f"{address}/metrics").text
            (line,) = [x for x in text.splitlines() if x.startswith("tidegauge_scheduler_holder ")]
            said.append((line.split()[1], checks["scheduler"]["message"]))
        assert said == [
            ("1.0", "it closes windows"),
            ("0.0", "it stands by: another server closes windows"),
        ]


# Start and end


def test_while_it_starts_it_is_alive_and_not_ready(tmp_path: Path, postgres: Postgres) -> None:
    url = f"{postgres.database()}&connect_timeout=60"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "tidegauge.cli", "serve", "--port", str(port)]
    with contextlib.ExitStack() as stack:
        hanging = stack.enter_context(contextlib.ExitStack())
        hanging.enter_context(frozen(postgres))
        process = subprocess.Popen(
            [*command, "--data", str(tmp_path / "data")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TIDEGAUGE_DATABASE_URL": url},
        )
        stack.callback(process.communicate)
        stack.callback(process.kill)
        end = time.monotonic() + 60
        while True:
            try:
                assert httpx.get(f"{address}/healthz", timeout=5).status_code == 200
                break
            except httpx.TransportError:
                assert time.monotonic() < end and process.poll() is None
                time.sleep(0.1)
        code, found = ready(address)
        assert (code, found["code"]) == (503, "not_ready")
        assert "is starting" in found["message"]
        refused = httpx.get(f"{address}/v1/projects/default/models")
        assert (refused.status_code, refused.json()["code"]) == (503, "starting")
        assert refused.headers["retry-after"] == "1"
        hanging.close()
        until(address, 200)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert out.splitlines()[-1] == "Tidegauge has stopped."


def test_told_to_stop_it_says_so_first_and_then_drains(
    start_process: Callable[..., Process],
) -> None:
    server = start_process(**FAST, TIDEGAUGE_STOP_DELAY="1.5s")
    with httpx.Client(base_url=server.address) as http:
        assert http.get("/readyz").status_code == 200
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        answer = http.get("/readyz")
        assert answer.status_code == 503
        assert "told to stop" in answer.json()["message"]
        assert http.post(f"{PATH}/predictions", json=records(3)).status_code == 202
    assert server.end()[0] == 0


def test_told_twice_it_does_not_wait() -> None:
    server = GentleServer(uvicorn.Config("nothing:app"))
    server.life, server.delay = alive(), 60.0
    server.handle_exit(signal.SIGTERM, None)
    assert (server.life.phase, server.should_exit) == ("stopping", False)
    server.handle_exit(signal.SIGTERM, None)
    assert server.should_exit


# What Prometheus is told


def test_what_the_documents_alert_on_is_there_and_the_rules_are_right(
    http: httpx.Client, tmp_path: Path
) -> None:
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    rules = text.partition("```yaml\ngroups:")[2].partition("```")[0]
    assert rules.count("- alert: ") == 5
    path = tmp_path / "rules.yaml"
    path.write_text(f"groups:{rules}")
    told = {line.split()[2] for line in http.get("/metrics").text.splitlines() if "# TYPE" in line}
    for series in re.findall(r"tidegauge_\w+", rules):
        assert series in told, series
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    done = subprocess.run([promtool, "check", "rules", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout


def test_metrics_tell_of_the_server_itself(http: httpx.Client) -> None:
    http.post(f"{PATH}-own/predictions", json=records(2))
    time.sleep(1)
    text = http.get("/metrics").text
    for series in (
        'tidegauge_requests_total{code="202",kind="predictions"}',
        'tidegauge_request_seconds_bucket{kind="predictions",le="0.5"}',
        "tidegauge_event_loop_lag_seconds_bucket",
        "tidegauge_journal_commit_seconds_count",
        "tidegauge_flush_seconds_count",
        "tidegauge_scheduler_round_seconds_count",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_open_fds",
        "tidegauge_process_threads",
        'tidegauge_flush_rows_total{kind="records"}',
        "tidegauge_journal_written_bytes_total",
        'tidegauge_build_info{python="',
    ):
        assert any(line.startswith(series) for line in text.splitlines()), series
