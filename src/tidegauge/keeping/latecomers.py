"""What a restored lake has and its catalog was not told of: rows that came while it was copied."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from tidegauge.catalog import Catalog
from tidegauge.keeping.shelf import Backup
from tidegauge.lake.columns import BATCH, INGESTED_AT, JOURNAL
from tidegauge.lake.flusher import Flushed
from tidegauge.lake.names import folder_name
from tidegauge.schema import Role

_KINDS = ("records", "labels", "quarantine")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def news_since(backup: Backup, catalog: Catalog, since: datetime) -> list[Flushed]:
    """Return what reached the lake of a back-up since a moment, as flushes tell it.

    Some of it the catalog may have been told of before; being told twice does no harm.

    Parameters
    ----------
    backup : Backup
    catalog : Catalog
        The back-up's, brought up to date.
    since : datetime
    """
    files = _files_by_table(backup)
    found: list[Flushed] = []
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        for project, model in catalog.models.all():
            role = model.schema.role(Role.TIMESTAMP)
            time = "timestamp" if role is None else role.name
            for kind in _KINDS:
                folder = f"lake/{folder_name(project.name)}/{folder_name(model.name)}/{kind}"
                for row in _journals(database, files.get(folder, []), time, since):
                    found.append(_flushed(project.name, model.name, kind, row))
    return found


def _files_by_table(backup: Backup) -> dict[str, list[str]]:
    tables: dict[str, list[str]] = {}
    for file in backup.manifest.files:
        if file.shared:
            folder = file.path.rsplit("/", 2)[0]
            tables.setdefault(folder, []).append(str(backup.place(file)))
    return tables


def _journals(
    database: duckdb.DuckDBPyConnection, files: list[str], time: str, since: datetime
) -> list[Any]:
    """Return per journal: its id, first and last offset, rows, first and last event time."""
    if not files:
        return []
    source = "read_parquet($files, union_by_name = true, hive_partitioning = false)"
    described = database.execute(f"DESCRIBE SELECT * FROM {source}", {"files": files}).fetchall()
    columns = {row[0]: row[1] for row in described}
    if not {JOURNAL, BATCH} <= columns.keys():
        return []
    quoted = '"' + time.replace('"', '""') + '"'
    timed = columns.get(time, "").startswith("TIMESTAMP")
    event = f"epoch_us({quoted})" if timed else "NULL::BIGINT"
    query = (
        f"SELECT {JOURNAL}, min({BATCH}), max({BATCH}), count(*), min({event}), max({event})"
        f" FROM {source} WHERE {INGESTED_AT} >= $since AND {BATCH} IS NOT NULL"
        f" AND {JOURNAL} IS NOT NULL GROUP BY 1 ORDER BY 1"
    )
    return database.execute(query, {"files": files, "since": since}).fetchall()


def _flushed(project: str, model: str, kind: str, row: Any) -> Flushed:
    journal, first, last, count, first_event, last_event = row
    records = kind == "records"
    bounds = [
        None if time is None or not records else _EPOCH + timedelta(microseconds=time)
        for time in (first_event, last_event)
    ]
    return Flushed(
        project,
        model,
        records=count if records else 0,
        labels=count if kind == "labels" else 0,
        quarantined=count if kind == "quarantine" else 0,
        first_event=bounds[0],
        last_event=bounds[1],
        last_offset=last,
        first_offset=first,
        journal=journal,
    )
