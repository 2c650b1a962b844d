"""A real PostgreSQL that tests start, stop and start again; its programs are Debian's."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import Any


def missing() -> str | None:
    """Return why no PostgreSQL can be started here, or None."""
    if _programs() is None:
        return "PostgreSQL's server programs are not installed: apt-get install postgresql"
    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is not installed"
    return None


class Postgres:
    """A server of its own on a Unix socket, with nothing in it.

    Use it as a context manager, or call ``start`` and ``close``.
    """

    def __init__(self) -> None:
        programs = _programs()
        assert programs is not None, missing()
        self.folder = Path(tempfile.mkdtemp(prefix="tidegauge-pg-"))
        data = self.folder / "data"
        self._control = [programs / "pg_ctl", "-D", data, "-w"]
        self._account = _account()
        if self._account is not None:
            shutil.chown(self.folder, self._account)
        initdb = [programs / "initdb", "-D", data, "-U", "tidegauge", "-A", "trust", "--no-sync"]
        self._run([*initdb, "-E", "UTF8", "--locale", "C"])

    def start(self) -> None:
        """Start the server, with what was in it before."""
        options = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}' -c fsync=off"
        self._run([*self._control, "-o", options, "-l", self.folder / "log", "start"])

    def stop(self) -> None:
        """Stop the server at once, and with it all of its connections."""
        self._run([*self._control, "-m", "immediate", "stop"])

    def close(self) -> None:
        """Stop the server if it runs, and delete what was in it."""
        if (self.folder / "data" / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def database(self) -> str:
        """Make a database and return its URL."""
        name = f"t{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name}")
        return f"postgresql://tidegauge@/{name}?host={self.folder}"

    def execute(self, statement: str) -> None:
        """Run a statement as the administrator."""
        import psycopg

        with psycopg.connect(
            host=str(self.folder), user="tidegauge", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement)

    def __enter__(self) -> Postgres:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, command: list[Any]) -> None:
        # The server keeps what it inherits open; a pipe would never end.
        options: dict[str, Any] = {"cwd": self.folder, "check": True}
        if self._account is not None:
            options["user"] = self._account
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)


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
