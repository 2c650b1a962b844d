"""A catalog on SQLite, and one on a real PostgreSQL that the tests start and stop."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tidegauge.catalog import Catalog


def _programs() -> Path | None:
    """Return the folder with PostgreSQL's server programs, the newest there is."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def _account() -> str | None:
    """Return whose account the server runs under: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in names), None)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """Start a server and return a function that makes a database and returns its URL."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL's server programs are not installed")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed")
    account = _account()
    folder = Path(tempfile.mkdtemp(prefix="tidegauge-pg-"))
    as_account: dict[str, Any] = {"check": True, "cwd": folder, "capture_output": True}
    if account is not None:
        shutil.chown(folder, account)
        as_account["user"] = account
    data = folder / "data"
    initdb = [programs / "initdb", "-D", data, "-U", "tidegauge", "-A", "trust", "--no-sync"]
    options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
    control = [programs / "pg_ctl", "-D", data, "-w"]
    try:
        subprocess.run([*initdb, "-E", "UTF8", "--locale", "C"], **as_account)
        start = [*control, "-o", options, "-l", folder / "log", "start"]
        # The server keeps what it inherits open; a pipe would never end.
        as_account["capture_output"] = False
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(start, **as_account, **quiet)
        try:
            yield lambda: _database(folder)
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **as_account, **quiet)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _database(folder: Path) -> str:
    import psycopg

    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(
        host=str(folder), user="tidegauge", dbname="postgres", autocommit=True
    ) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql://tidegauge@/{name}?host={folder}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new catalog may be."""
    if request.param == "sqlite":
        return str(tmp_path / "catalog.db")
    made: str = request.getfixturevalue("postgresql")()
    return made


@pytest.fixture
def catalog(url: str) -> Iterator[Catalog]:
    with Catalog(url) as opened:
        opened.projects.ensure("default")
        yield opened
