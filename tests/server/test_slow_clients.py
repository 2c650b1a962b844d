"""Clients that send slowly, without end, or too much; on real sockets, to a server as a process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from harness import Process, records

PATH = "/v1/projects/default/models/m/predictions"
JSON = {"Content-Type": "application/json"}
MIB = 1 << 20


def connect(address: str) -> socket.socket:
    url = httpx.URL(address)
    return socket.create_connection((url.host, url.port or 80), timeout=20)


def head(address: str, length: int) -> bytes:
    host = httpx.URL(address).netloc.decode()
    return (
        f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def all_of(connection: socket.socket) -> bytes:
    """Return what comes until the other side closes."""
    parts = []
    try:
        while part := connection.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def in_flight(address: str) -> float:
    lines = httpx.get(f"{address}/metrics", timeout=20).text.splitlines()
    return next(float(x.split()[1]) for x in lines if x.startswith("tidegauge_requests_in_flight "))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a server that waits for two seconds."""
    data = tmp_path_factory.mktemp("slow")
    server = Process(data, TIDEGAUGE_REQUEST_TIMEOUT="2", TIDEGAUGE_MAX_BODY=str(MIB))
    yield server.address
    server.stop()


def test_two_hundred_slow_clients_are_cut_off_beside_a_good_one(address: str) -> None:
    assert httpx.post(f"{address}{PATH}", json=records(3), timeout=20).status_code == 202
    body = json.dumps(records(1)).encode()
    began = time.monotonic()
    silent = [connect(address) for _ in range(50)]
    no_head = [connect(address) for _ in range(50)]
    no_body = [connect(address) for _ in range(50)]
    trickling = [connect(address) for _ in range(50)]
    for slow in no_head:
        slow.sendall(head(address, len(body))[:40])
    for slow in [*no_body, *trickling]:
        slow.sendall(head(address, len(body)))
    done = threading.Event()

    def trickle() -> None:
        for place in range(len(body) - 1):
            for slow in trickling:
                try:
                    slow.sendall(body[place : place + 1])
                except OSError:
                    continue
            if done.wait(0.2):
                return

    feeding = threading.Thread(target=trickle)
    feeding.start()
    try:
        with httpx.Client(base_url=address, timeout=20) as good:
            while time.monotonic() - began < 1.5:
                assert good.post(PATH, content=body, headers=JSON).status_code == 202
            assert in_flight(address) >= 100
            for slow in [*silent, *no_head]:
                assert all_of(slow) == b""
            for slow in [*no_body, *trickling]:
                answer = all_of(slow)
                assert answer.startswith(b"HTTP/1.1 408 "), answer[:100]
                assert b"connection: close" in answer.lower()
                assert b'"code":"too_slow"' in answer
            assert time.monotonic() - began < 20
            assert good.post(PATH, content=body, headers=JSON).status_code == 202
            assert in_flight(address) == 0
    finally:
        done.set()
        feeding.join()
        for slow in [*silent, *no_head, *no_body, *trickling]:
            slow.close()


def test_the_rest_of_a_refused_body_is_not_waited_for_without_end(address: str) -> None:
    began = time.monotonic()
    with connect(address) as endless:
        endless.sendall(head(address, 10 * MIB))
        assert endless.recv(65_536).startswith(b"HTTP/1.1 413 ")
        with pytest.raises(OSError):
            while time.monotonic() - began < 30:
                endless.sendall(b"x")
                time.sleep(0.1)
    assert time.monotonic() - began < 20


def test_a_body_that_keeps_coming_is_waited_for(address: str) -> None:
    body = json.dumps(records(2000)).encode()
    step = len(body) // 8 + 1
    assert step < 64 << 10
    with connect(address) as steady:
        steady.sendall(head(address, len(body)))
        for place in range(0, len(body), step):
            steady.sendall(body[place : place + step])
            time.sleep(0.35)
        assert steady.recv(65_536).startswith(b"HTTP/1.1 202 ")


def test_a_head_without_end_is_refused(address: str) -> None:
    with connect(address) as endless:
        endless.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
        try:
            for _ in range(64):
                endless.sendall(b"x" * 16_384)
        except OSError:
            pass
        assert all_of(endless)[:13] in (b"HTTP/1.1 431 ", b"")
    assert httpx.get(f"{address}/healthz", timeout=20).status_code == 200


#: A server whose disk takes nothing more once a file of this name is there.
STUCK = """
import os, sys, threading
from pathlib import Path
stuck, sync = Path(sys.argv.pop(1)), os.fdatasync
def slow(descriptor):
    while stuck.exists():
        threading.Event().wait(0.05)
    sync(descriptor)
os.fdatasync = slow
from tidegauge.cli import main
main()
"""


@pytest.fixture
def stuck(tmp_path: Path) -> Iterator[tuple[str, int, Path]]:
    """Yield address, process id and the file that makes the disk stick."""
    file = tmp_path / "stuck"
    command = ["serve", "--data", str(tmp_path / "data"), "--port", "0"]
    limits = {
        "TIDEGAUGE_MAX_REQUEST_BYTES": str(48 * MIB),
        "TIDEGAUGE_MAX_QUEUED": str(16 * MIB),
        "TIDEGAUGE_MAX_BODY": str(8 * MIB),
    }
    server = subprocess.Popen(
        [sys.executable, "-c", STUCK, str(file), *command],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **limits},
    )
    assert server.stdout is not None
    address = next(word for word in server.stdout.readline().split() if word.startswith("http"))
    yield address, server.pid, file
    file.unlink(missing_ok=True)
    server.terminate()
    server.communicate(timeout=30)


def resident(pid: int, field: str = "VmRSS") -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(field))


def test_a_flood_before_a_stuck_disk_is_refused_before_memory_runs_over(
    stuck: tuple[str, int, Path],
) -> None:
    address, pid, file = stuck
    assert httpx.post(f"{address}{PATH}", json=records(3), timeout=20).status_code == 202
    row = {**records(1)[0], "carrier": "x" * 200}
    body = json.dumps([{**row, "prediction_id": f"p{i:06d}"} for i in range(12_000)]).encode()
    assert 3 * MIB < len(body) < 5 * MIB
    before = resident(pid)
    file.touch()
    codes: list[int] = []

    def send() -> None:
        with httpx.Client(base_url=address, timeout=60) as http:
            for _ in range(8):
                answer = http.post(PATH, content=body, headers=JSON)
                codes.append(answer.status_code)
                if answer.status_code == 429:
                    assert int(answer.headers["retry-after"]) >= 1

    senders = [threading.Thread(target=send) for _ in range(30)]
    for sender in senders:
        sender.start()
    until = time.monotonic() + 60
    while codes.count(429) < 150 and time.monotonic() < until:
        time.sleep(0.1)
    assert codes.count(429) >= 150
    assert 202 not in codes
    # At most 48 MiB of bodies, what two workers make of a body each, and twice the queue's 16 MiB;
    # while 600 MiB were sent.
    assert resident(pid, "VmHWM") - before < 256 * MIB
    assert httpx.get(f"{address}/healthz", timeout=10).status_code == 200
    file.unlink()
    for sender in senders:
        sender.join(60)
    assert set(codes) == {202, 429}
    assert httpx.post(f"{address}{PATH}", json=records(3), timeout=30).status_code == 202
