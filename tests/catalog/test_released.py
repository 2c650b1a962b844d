"""Catalogs of every revision that ever was are opened, brought up to date, and read."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, select, text

from tidegauge.catalog import Catalog
from tidegauge.catalog.copying import known_revisions, revision_of
from tidegauge.catalog.database import Database, open_engine
from tidegauge.catalog.tables import Base
from tidegauge.errors import Conflict
from tidegauge.schema import ColumnType

RELEASED = Path(__file__).parent / "released"
REVISIONS = known_revisions()
#: Two rows in each table that a revision has; what does not survive a step, and why.
LOST = {"leases": "0004"}  # They went by the clock; nobody holds one after an upgrade.


def load(url: str, revision: str) -> str:
    """Make a catalog as a revision left it; returns its URL."""
    if url.startswith("postgresql"):
        import psycopg

        script = (RELEASED / f"{revision}.postgresql.sql").read_text()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(script.encode())
        return url
    with closing(sqlite3.connect(url)) as database:
        database.executescript((RELEASED / f"{revision}.sqlite.sql").read_text())
        database.execute("PRAGMA journal_mode = WAL")
    return f"sqlite:///{url}"


def tables_of(url: str) -> dict[str, int]:
    """Return how many rows each table has."""
    engine = open_engine(url)
    with engine.connect() as connection:
        names = inspect(connection).get_table_names()
        counts = {
            name: connection.execute(text(f'SELECT count(*) FROM "{name}"')).scalar_one()
            for name in names
        }
    engine.dispose()
    return counts


def test_every_revision_is_kept_for_both_databases() -> None:
    wanted = {f"{one}.{kind}.sql" for one in REVISIONS for kind in ("sqlite", "postgresql")}
    there = {path.name for path in RELEASED.iterdir()}
    assert there == wanted, "run scripts/dump_catalog.py for a new revision, and commit its files"


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_catalog_of_any_revision_is_brought_up_to_date_with_all_that_is_in_it(
    url: str, revision: str
) -> None:
    made = load(url, revision)
    before = tables_of(made)
    assert all(count == 2 for name, count in before.items() if name != "alembic_version")
    with Catalog(made) as catalog:
        after = tables_of(made)
        _read(catalog)
    assert set(after) == {*Base.metadata.tables, "alembic_version"}
    kept = {name for name in before if LOST.get(name, "") <= revision}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    _every_row_is_read(made)


def _read(catalog: Catalog) -> None:
    first, second = sorted((model for _, model in catalog.models.all()), key=lambda one: one.id)
    assert (first.name, second.name) == ("fares", "Größe €")
    assert (first.window, second.window) == (timedelta(days=1), timedelta(hours=1))
    assert first.schema["age"].type is ColumnType.NUMERIC and len(first.schema) == 4
    assert first.progress == {"seen_offset": 12, "closed_until": "2026-01-06T00:00:00+00:00"}
    assert first.monitors == {}
    active = catalog.baselines.active(first.id)
    assert active is not None and active.profile_path == "default/fares/baselines/b1.arrow"
    assert len(catalog.models.schemas(first.id)) == 1
    (window,) = catalog.windows.between(first.id)
    assert (window.version, window.state) == (None, "closed")
    assert window.start == datetime(2026, 1, 5, 5, tzinfo=UTC)
    incidents = catalog.incidents.all()
    assert [one.state for one in incidents] == ["resolved", "open"]
    (alarm,) = catalog.incidents.alarms(incidents[1].id)
    assert (alarm.metric, alarm.column, alarm.segment) == ("psi", "age", None)
    # And it goes on: what is new has numbers and places of its own.
    project = catalog.projects.ensure("another")
    assert project.id not in (1, 2)
    catalog.news.read()
    lease = catalog.leases.look("scheduler")
    assert catalog.leases.take("scheduler", "a new server", lease) is not None


def _every_row_is_read(url: str) -> None:
    database = Database(url)
    with database.reading() as session:
        for mapper in Base.registry.mappers:
            assert session.scalars(select(mapper.class_)).all() is not None
    database.close()


def test_a_catalog_of_a_newer_tidegauge_is_refused_and_left_as_it_is(url: str) -> None:
    made = load(url, REVISIONS[-1])
    engine = open_engine(made)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Conflict, match="made by a newer Tidegauge"):
        Catalog(made)
    with engine.connect() as connection:
        assert revision_of(connection) == "9999"
    engine.dispose()


KILLED = """
import os, sys
from alembic import op
from tidegauge.catalog import Catalog
make, made = op.create_table, []
def create_table(*arguments, **options):
    if len(made) == {after}:
        os.kill(os.getpid(), 9)
    made.append(1)
    return make(*arguments, **options)
op.create_table = create_table
Catalog(sys.argv[1])
"""


@pytest.mark.parametrize("after", [1, 4])
def test_an_upgrade_that_is_killed_in_the_middle_begins_anew_at_the_next_start(
    url: str, after: int
) -> None:
    made = load(url, "0003")
    before = tables_of(made)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED.format(after=after), made], capture_output=True, timeout=60
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    _settle(made)
    assert tables_of(made) == before
    with Catalog(made) as catalog:
        _read(catalog)


def _settle(url: str) -> None:
    """Wait until PostgreSQL has noticed that its client is gone."""
    if not url.startswith("postgresql"):
        return
    name = re.findall(r"/(\w+)\?", url)[0]
    engine = open_engine(url)
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()"
    )
    until = time.monotonic() + 20
    with engine.connect() as connection:
        while connection.execute(query, {"name": name}).scalar_one():
            assert time.monotonic() < until
            connection.rollback()
            time.sleep(0.05)
    engine.dispose()


def test_two_servers_that_start_at_once_bring_a_catalog_up_to_date_once(url: str) -> None:
    made = load(url, "0001")
    opening = "import sys; from tidegauge.catalog import Catalog; Catalog(sys.argv[1]).close()"
    processes: list[Any] = [
        subprocess.Popen([sys.executable, "-c", opening, made], stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=60)[1] for process in processes] == [b"", b""]
    with Catalog(made) as catalog:
        _read(catalog)
