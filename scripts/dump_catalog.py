"""Write small databases as the catalog's revisions have them, for tests of upgrades.

Usage: scripts/dump_catalog.py [REVISION ...]     (by default those that are not there yet)

Each is made by the real steps up to its revision, on SQLite and on a real PostgreSQL, gets two rows
in every table, and is written as SQL text to tests/catalog/released. A revision that was released
is never written again: it stands for what people have.
"""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from alembic import command
from sqlalchemy import (
    JSON,
    Boolean,
    Connection,
    DateTime,
    Float,
    Integer,
    MetaData,
    Table,
    insert,
    null,
)

from tidegauge.catalog.copying import known_revisions
from tidegauge.catalog.database import migrations, open_engine

ROOT = Path(__file__).parents[1]
RELEASED = ROOT / "tests/catalog/released"
START = datetime(2026, 1, 5, tzinfo=UTC)
SCHEMA: dict[str, Any] = {
    "columns": [
        {"name": "prediction_id", "type": "text", "role": "prediction_id"},
        {"name": "timestamp", "type": "datetime", "role": "timestamp"},
        {"name": "age", "type": "numeric", "role": "feature"},
        {"name": "carrier", "type": "categorical", "role": "segment"},
    ]
}
PROGRESS = {"seen_offset": 12, "closed_until": "2026-01-06T00:00:00+00:00"}

#: What columns hold where any text or number would not do: (row) to value.
VALUES: dict[str, Callable[[int], Any]] = {
    "projects.name": lambda row: ("default", "Zweig")[row],
    "projects.folded": lambda row: ("default", "zweig")[row],
    "models.name": lambda row: ("fares", "Größe €")[row],
    "models.folded": lambda row: ("fares", "größe €")[row],
    "models.window_seconds": lambda row: (86_400, 3_600)[row],
    "models.lateness_seconds": lambda row: 3_600,
    "models.label_horizon_seconds": lambda row: 864_000,
    "models.restate_interval_seconds": lambda row: 600,
    "models.task": lambda row: (None, "binary")[row],
    "models.schema": lambda row: SCHEMA,
    "models.settings": lambda row: {},
    "models.monitors": lambda row: ({}, {"false_alarms": {"count": 1, "per": "30d"}})[row],
    "models.progress": lambda row: PROGRESS,
    "schema_revisions.schema": lambda row: SCHEMA,
    "versions.name": lambda row: ("", "2")[row],
    "baselines.active": lambda row: row == 1,
    "baselines.model_id": lambda row: 1,
    "baselines.source": lambda row: "upload",
    "baselines.profile_path": lambda row: f"default/fares/baselines/b{row}.arrow",
    "windows.state": lambda row: "closed",
    "windows.version": lambda row: ("", "2")[row],
    "windows.basis": lambda row: (None, "final")[row],
    "incidents.kind": lambda row: ("drift", "performance")[row],
    "incidents.severity": lambda row: "warning",
    "incidents.state": lambda row: ("open", "resolved")[row],
    "incidents.model_id": lambda row: 1,
    "incident_alarms.model_id": lambda row: 1,
    "incident_alarms.metric": lambda row: "psi",
    "incident_alarms.column": lambda row: ("age", "carrier")[row],
    "incident_alarms.segment": lambda row: ("", '{"carrier": "UA"}')[row],
    "leases.name": lambda row: ("scheduler", "upkeep")[row],
    "leases.owner": lambda row: ("server-1", "")[row],
    "news.project": lambda row: "default",
    "news.model": lambda row: "fares",
    "counters.name": lambda row: ("models", "others")[row],
    "new_fields.counted": lambda row: {"journal-1": 7},
    "new_fields.fields": lambda row: {"weight": {"count": 3}},
    "erasures.ids": lambda row: (["p1", "p2"], None)[row],
    "erasures.state": lambda row: ("open", "done")[row],
    "erasures.receipt": lambda row: ({}, {"rows": {"records": 2}})[row],
}


def fill(connection: Connection) -> None:
    """Put two rows into every table that is there."""
    metadata = MetaData()
    metadata.reflect(connection)
    for table in metadata.sorted_tables:
        if table.name != "alembic_version":
            connection.execute(table.delete())
            for at in range(2):
                connection.execute(insert(table).values(_row(table, at)))
            _count_on(connection, table)


def _row(table: Table, at: int) -> dict[str, Any]:
    row = {}
    for column in table.columns:
        told = VALUES.get(f"{table.name}.{column.name}")
        value = told(at) if told is not None else _any(column, at)
        row[column.name] = null() if value is None else value  # None would be JSON's own null.
    return row


def _any(column: Any, at: int) -> Any:
    kind = column.type
    if column.foreign_keys:
        (key,) = column.foreign_keys
        target = key.column
        told = VALUES.get(f"{target.table.name}.{target.name}")
        return told(at) if told is not None else _any(target, at)
    if isinstance(kind, DateTime):
        moment = START + timedelta(days=at, hours=len(column.name))
        return moment.replace(tzinfo=None) if _is_sqlite(column) else moment
    if isinstance(kind, JSON):
        return {"row": at}
    if isinstance(kind, Boolean):
        return at == 1
    if isinstance(kind, Integer):
        return at + 1
    if isinstance(kind, Float):
        return None if column.nullable and at else 0.25 + at
    return None if column.nullable and at else f"{column.name} {at}"


def _is_sqlite(column: Any) -> bool:
    return not column.type.timezone


def _count_on(connection: Connection, table: Table) -> None:
    if connection.dialect.name == "postgresql" and table.autoincrement_column is not None:
        name = f"'{table.name}', '{table.autoincrement_column.name}'"
        connection.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence({name}), 2)")


def make(url: str, revision: str) -> None:
    """Make a catalog as it was at a revision."""
    engine = open_engine(url)
    config = migrations()
    with engine.execution_options(writes=True).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        fill(connection)
    engine.dispose()


def dump_sqlite(revision: str) -> str:
    """Return a revision's database on SQLite as SQL."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalog.sqlite"
        make(f"sqlite:///{path}", revision)
        with closing(sqlite3.connect(path)) as database:
            return "\n".join(database.iterdump()) + "\n"


def dump_postgresql(server: Any, programs: Path, revision: str) -> str:
    """Return a revision's database on PostgreSQL as SQL that any version of it reads."""
    url = server.database()
    make(url, revision)
    name = re.findall(r"/(\w+)\?", url)[0]
    asked = [programs / "pg_dump", "-h", server.folder, "-U", "tidegauge", "--inserts"]
    asked += ["--no-owner", "--no-privileges", name]
    text = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    kept = [
        line
        for line in text.splitlines()
        if line and not line.startswith(("--", "\\", "SET ", "SELECT pg_catalog.set_config"))
    ]
    return "\n".join(kept) + "\n"


def main(revisions: list[str]) -> None:
    """Write the dumps of some revisions, or of those without one."""
    sys.path.insert(0, str(ROOT / "tests"))
    from postgres import Postgres, _programs, missing

    RELEASED.mkdir(exist_ok=True)
    chosen = revisions or [
        one for one in known_revisions() if not (RELEASED / f"{one}.sqlite.sql").exists()
    ]
    if (reason := missing()) is not None:
        raise SystemExit(reason)
    programs = _programs()
    assert programs is not None
    with Postgres() as server:
        for revision in chosen:
            (RELEASED / f"{revision}.sqlite.sql").write_text(dump_sqlite(revision))
            (RELEASED / f"{revision}.postgresql.sql").write_text(
                dump_postgresql(server, programs, revision)
            )
            print(f"written: tests/catalog/released/{revision}.*.sql")


if __name__ == "__main__":
    main(sys.argv[1:])
