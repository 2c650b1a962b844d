"""What tests of all folders share: how Hypothesis runs; a Chromium and a PostgreSQL a process."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

from object_store import Moto, Store

sys.path.insert(0, str(Path(__file__).parent))

# The same examples on every run, and no example fails for a busy machine.
settings.register_profile(
    "tidegauge", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.load_profile("tidegauge")

CHROMIUM = Path("/usr/bin/chromium")


def missing(reason: str) -> None:
    """Skip for want of a real part; fail where real parts are demanded."""
    if os.environ.get("TIDEGAUGE_REQUIRE_REAL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright."""
    if not CHROMIUM.exists():
        missing(f"{CHROMIUM} is missing: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        instance = play.chromium.launch(
            executable_path=str(CHROMIUM),
            args=[
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
            ],
        )  # fmt: skip
        yield instance
        instance.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A PostgreSQL server; each test makes databases of its own in it."""
    from postgres import Postgres
    from postgres import missing as what_is_missing

    if (reason := what_is_missing()) is not None:
        missing(reason)
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe, which finds what keeps people out."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        missing("axe is missing: pip install axe-playwright-python")
        raise AssertionError
    return (Path(found.origin).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    """An S3 server."""
    server = Moto(tmp_path_factory.mktemp("moto") / "log")
    yield server
    server.stop()


@pytest.fixture
def bucket(moto: Moto) -> Store:
    """A bucket of its own for each test."""
    return moto.bucket()
