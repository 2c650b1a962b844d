"""Real servers: most tests share one in this process, behind real sockets; some start their own."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tidegauge.server.settings import Settings

sys.path.insert(0, str(Path(__file__).parent))

from harness import Api, Process, running

_numbers = itertools.count()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any]]:
    settings = Settings(
        data=tmp_path_factory.mktemp("server"),
        port=0,
        flush_interval=timedelta(milliseconds=200),
        tick_interval=timedelta(milliseconds=200),
        max_body=1 << 20,
    )
    with running(settings) as server:
        yield server


@pytest.fixture(scope="session")
def address(shared: tuple[str, Any]) -> str:
    return shared[0]


@pytest.fixture(scope="session")
def http(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=30) as client:
        yield client


@pytest.fixture
def api(http: httpx.Client) -> Api:
    """A model of its own for each test, not there yet."""
    return Api(http, f"m{next(_numbers)}-{os.getpid()}")


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(**settings: str) -> Process:
        started.append(Process(tmp_path / "data", **settings))
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()
