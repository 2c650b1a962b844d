"""Looking at the catalog, in a copy of it, and holding it to what the lake has."""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import inspect, text

from tidegauge.catalog import Catalog
from tidegauge.catalog.copying import copy_out, known_revisions, revision_of
from tidegauge.catalog.database import open_engine
from tidegauge.catalog.leases import PATIENCE_SECONDS
from tidegauge.catalog.tables import Model
from tidegauge.errors import TidegaugeError
from tidegauge.keeping.findings import Examination, Severity
from tidegauge.keeping.lake_checks import TableState
from tidegauge.keeping.lakefiles import LakeFiles
from tidegauge.lake.writing import stored_type
from tidegauge.profile import Baseline
from tidegauge.schema import arrow_type
from tidegauge.schema.retention import retention_of

#: News are worked on within seconds.
STUCK = timedelta(minutes=10)
#: An erasure waits for queries that began before, and for other servers.
ERASED_WITHIN = timedelta(hours=3)

_CODES = {"bad_catalog": "catalog_damaged", "no_catalog": "catalog_missing"}

LeaseSeen = tuple[str, int, int]
Tables = dict[tuple[str, str, str], TableState]


@dataclass(frozen=True)
class Known:
    """A model of the catalog.

    Parameters
    ----------
    project : str
    model : Model
    """

    project: str
    model: Model

    @property
    def key(self) -> tuple[str, str]:
        """Project and name."""
        return self.project, self.model.name

    def __str__(self) -> str:
        return f"{self.project}/{self.model.name}"


def look_at_catalog(url: str, copy: Path, found: Examination) -> Catalog | None:
    """Copy the catalog and look at the copy; return it, brought up to date.

    Returns
    -------
    Catalog or None
        None where it cannot be read; what depends on it is not looked at then.
    """
    known = known_revisions()
    try:
        revision = copy_out(url, copy)
    except TidegaugeError as error:
        if error.code == "other_revision":
            revision = _revision(url) or ""
            if revision in known:
                _older(revision, known[-1], found)
                found.unchecked.append("what the catalog holds: its tables are of before")
                return None
            _newer(revision, known[-1], found)
        else:
            found.add(
                _CODES.get(error.code, "catalog_unavailable"),
                Severity.ERROR,
                "catalog",
                error.message,
                "restore it from a back-up, or name the right one with --database-url",
            )
        return None
    if revision not in known:
        _newer(revision, known[-1], found)
        return None
    if revision != known[-1]:
        _older(revision, known[-1], found)
    if not _is_sound(copy, found):
        return None
    catalog = Catalog(copy)
    found.facts.append(
        f"catalog: revision {revision}, {len(catalog.models.all())} models, "
        f"{len(catalog.incidents.all())} incidents"
    )
    return catalog


def _revision(url: str) -> str | None:
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            return revision_of(connection)
    finally:
        engine.dispose()


def _older(revision: str, newest: str, found: Examination) -> None:
    found.add(
        "catalog_older",
        Severity.NOTE,
        "catalog",
        f"its tables are of revision {revision}; this version knows {newest}",
        "the next start of a server brings them up to date; take a back-up before",
    )


def _newer(revision: str, newest: str, found: Examination) -> None:
    found.add(
        "catalog_newer",
        Severity.ERROR,
        "catalog",
        f"its tables are of revision {revision}, and the newest known here is {newest}",
        "use the version of Tidegauge that made them",
    )


def _is_sound(copy: Path, found: Examination) -> bool:
    with closing(sqlite3.connect(copy)) as database:
        try:
            said = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
            dangling = database.execute("PRAGMA foreign_key_check").fetchall()
        except sqlite3.DatabaseError as error:
            said, dangling = str(error), []
    if said != "ok":
        found.add(
            "catalog_damaged",
            Severity.ERROR,
            "catalog",
            f"the database is damaged: {said}",
            "restore it from a back-up; the lake is not touched by this",
        )
        return False
    for table in sorted({row[0] for row in dangling}):
        count = sum(row[0] == table for row in dangling)
        found.add(
            "catalog_dangling",
            Severity.ERROR,
            f"catalog, table {table}",
            f"{count} rows belong to rows that are not there",
            "restore the catalog from a back-up, or delete these rows",
        )
    return True


def look_at_models(
    catalog: Catalog,
    lake: LakeFiles,
    tables: Tables,
    waiting: set[tuple[str, str]],
    url: str,
    idle: bool,
    found: Examination,
) -> None:
    """Hold what the catalog says of each model to what the lake has.

    Parameters
    ----------
    waiting : set of (project, model)
        Models whose records are in a journal.
    url : str
        Of the catalog itself, for mending.
    idle : bool
        Whether no server works on it.
    """
    models = [Known(project.name, model) for project, model in catalog.models.all()]
    for one in models:
        _look_at_table(catalog, one, tables, waiting, found)
        _look_at_types(one, tables, found)
        _look_at_baseline(catalog, one, lake, found)
        _look_at_windows(catalog, one, lake, tables, url, idle, found)
    known = {one.key for one in models}
    for project, name in sorted({key[:2] for key in tables} - known):
        kinds = [kind for p, m, kind in tables if (p, m) == (project, name)]
        rows = sum(tables[project, name, kind].rows for kind in kinds)
        found.add(
            "table_without_model",
            Severity.WARNING,
            f"{project}/{name}",
            f"the lake has tables ({', '.join(kinds)}; {rows} rows) of a model that the catalog "
            "does not know",
            "the model's next records make it again, and its tables count again; or delete its "
            "folder in the lake",
        )
    _look_at_incidents(catalog, models, found)


def _look_at_table(
    catalog: Catalog,
    one: Known,
    tables: Tables,
    waiting: set[tuple[str, str]],
    found: Examination,
) -> None:
    if (*one.key, "records") in tables or one.key in waiting:
        return
    recorded = sum(window.n_records for window in catalog.windows.between(one.model.id))
    broken = any(
        finding.code == "table_unreadable" and finding.where == f"{one}/records"
        for finding in found.findings
    )
    if recorded and not broken:
        found.add(
            "model_without_table",
            Severity.ERROR,
            str(one),
            f"the catalog tells of {recorded} records in closed windows, and the lake has no "
            "table of records",
            "see to it that the lake is the right one (--lake); else restore it from a back-up",
        )


def _look_at_types(one: Known, tables: Tables, found: Examination) -> None:
    state = tables.get((*one.key, "records"))
    if state is None:
        return
    names = {name.lower(): name for name in state.columns.names}
    for column in one.model.schema:
        name = names.get(column.name.lower())
        if name is None:
            continue
        held, wanted = stored_type(state.columns.field(name).type), arrow_type(column)
        both = pa.types.is_timestamp(held) and pa.types.is_timestamp(wanted)
        if name == column.name and (held == wanted or both):
            continue
        found.add(
            "type_differs",
            Severity.ERROR,
            f"{one}, column {column.name}",
            f"is {column.type.value} ({wanted}) in the schema, and the table has it as "
            f"{name} of type {held}",
            "put the schema again (tidegauge apply, or the schema's page): stored values are "
            "widened to it where that is possible; what does not fit goes to quarantine",
        )


def _look_at_baseline(catalog: Catalog, one: Known, lake: LakeFiles, found: Examination) -> None:
    active = catalog.baselines.active(one.model.id)
    if active is None:
        return
    try:
        read = Baseline.from_bytes(lake.store.read(active.profile_path))
        reason = None if read.id == active.id else f"it is that of baseline {read.id}"
    except FileNotFoundError:
        reason = f"there is no {active.profile_path} in the lake"
    except (TidegaugeError, OSError, ValueError, KeyError, pa.ArrowException) as error:
        reason = f"{active.profile_path}: {error}"
    if reason is not None:
        found.add(
            "baseline_unreadable",
            Severity.ERROR,
            str(one),
            f"the profile of its active baseline {active.id} cannot be read: {reason}",
            "put the file back from a back-up (under lake there), or set the baseline again "
            "(tidegauge baseline set); until then no window of the model is judged",
        )


def _look_at_windows(
    catalog: Catalog,
    one: Known,
    lake: LakeFiles,
    tables: Tables,
    url: str,
    idle: bool,
    found: Examination,
) -> None:
    """Look whether what was computed of closed windows is there."""
    closed = {
        (window.version, window.start)
        for window in catalog.windows.between(one.model.id)
        if window.state == "closed" and window.n_records and window.profiled_at is not None
    }
    kept = _kept_since(one.model)
    for kind in ("profiles", "points"):
        state = tables.get((*one.key, kind))
        if state is None and any(
            finding.code == "table_unreadable" and finding.where == f"{one}/{kind}"
            for finding in found.findings
        ):
            continue
        if state is not None and not state.whole:
            continue
        stored = set() if state is None else _windows_of(lake, state)
        if stored is None:
            found.unchecked.append(f"{kind} of {one}: its files went while they were read")
            continue
        missing = sorted(
            (key for key in closed - stored if kept is None or key[1] >= kept),
            key=lambda key: key[1],
        )
        if not missing:
            continue
        starts = sorted({start for _, start in missing})
        first = _recorded_since(one.model)
        again = [start for start in starts if first is None or start >= first]
        if (*one.key, "records") not in tables or not again:
            mend, remedy = None, "their records are gone; restore the table from a back-up"
        elif idle:
            mend = _restating(url, one, again)
            remedy = "have them computed again from their records when the server starts"
        else:
            mend = None
            remedy = "with the servers stopped, --mend has them computed again at the next start"
        found.add(
            f"window_without_{kind}",
            Severity.WARNING,
            str(one),
            f"{len(missing)} closed windows have no stored {kind}, the first of "
            f"{starts[0]:%Y-%m-%d %H:%M}",
            remedy,
            mend,
        )


def _kept_since(model: Model) -> datetime | None:
    """Return since when profiles are kept, where the model says so."""
    span = retention_of(model.settings).profiles
    return None if span is None else datetime.now(UTC) - span + timedelta(days=1)


def _recorded_since(model: Model) -> datetime | None:
    """Return since when records are kept: only windows with records can be computed again."""
    told: Any = model.settings.get("records_from")
    return None if told is None else datetime.fromisoformat(told)


def _windows_of(lake: LakeFiles, state: TableState) -> set[tuple[str | None, datetime]] | None:
    keys: set[tuple[str | None, datetime]] = set()
    try:
        for path in state.files:
            with lake.open(path) as file:
                read = pq.read_table(file, columns=["version", "window_start"])
            keys |= {(row["version"], row["window_start"]) for row in _distinct(read)}
    except (OSError, pa.ArrowException):
        return None
    return keys


def _distinct(read: pa.Table) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        read.group_by(["version", "window_start"]).aggregate([]).to_pylist()
    )
    return found


def _restating(url: str, one: Known, starts: list[datetime]) -> Callable[[], str]:
    def mend() -> str:
        """Note in the model's progress that windows are due."""
        now = datetime.now(UTC).isoformat()
        with Catalog(url) as catalog:
            progress = dict(catalog.models.get(*one.key).progress)
            due = {**progress.get("due", {}), **{start.isoformat(): now for start in starts}}
            catalog.models.note_all({one.model.id: {**progress, "due": due}})
        return f"{len(starts)} windows of {one} are computed again when the server starts"

    return mend


def _look_at_incidents(catalog: Catalog, models: list[Known], found: Examination) -> None:
    names = {one.model.id: str(one) for one in models}
    empty: dict[str, list[int]] = defaultdict(list)
    for incident in catalog.incidents.all():
        if not catalog.incidents.alarms(incident.id):
            empty[names.get(incident.model_id, "?")].append(incident.id)
    for where, ids in sorted(empty.items()):
        found.add(
            "incident_without_alarms",
            Severity.WARNING,
            where,
            f"{len(ids)} incidents have no alarm any more (numbers {_few(ids)})",
            "resolve them by hand; nothing will",
        )


def _few(ids: list[int]) -> str:
    shown = ", ".join(str(one) for one in ids[:5])
    return f"{shown}, …" if len(ids) > 5 else shown


def look_at_work(catalog: Catalog, running: bool, found: Examination) -> None:
    """Look for work that nobody does: news, and erasures."""
    now = datetime.now(UTC)
    news = catalog.news.read(1)
    if news and running and now - news[0].at > STUCK:
        found.add(
            "news_stuck",
            Severity.WARNING,
            f"{news[0].project}/{news[0].model}",
            f"what came at {news[0].at:%Y-%m-%d %H:%M} UTC was not worked on yet",
            "the log of the server that schedules says why",
        )
    for erasure, project, model in catalog.erasures.unfinished():
        if now - erasure.requested_at > ERASED_WITHIN:
            found.add(
                "erasure_unfinished",
                Severity.WARNING,
                f"{project}/{model}",
                f"erasure {erasure.id}, asked for at {erasure.requested_at:%Y-%m-%d %H:%M} UTC, "
                f"is not done (it is {erasure.state})",
                "start all servers that hold records of it; one that is gone for good has to be "
                "forgotten",
            )


def look_at_lease(url: str, first: LeaseSeen | None, began: float, found: Examination) -> None:
    """Look whether somebody schedules, where a server runs; up to 13 seconds after the first look.

    Parameters
    ----------
    first : (str, int, int) or None
        What `lease_seen` returned, and on the monotonic clock when that was.
    began : float
    """
    while True:
        now = lease_seen(url)
        if now is not None and now != first and now[0]:
            return
        if time.monotonic() - began > PATIENCE_SECONDS + 3:
            break
        time.sleep(0.25)
    found.add(
        "lease_stuck",
        Severity.ERROR,
        "catalog",
        "a server runs, and for 13 s nobody has kept the lease of the scheduler: no window is "
        "closed",
        "the servers' logs say why; starting one again does no harm",
    )


def lease_seen(url: str) -> LeaseSeen | None:
    """Return owner, term and beat of the scheduler's lease; None where there is none."""
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("leases"):
                return None
            row = connection.execute(
                text("SELECT owner, term, beat FROM leases WHERE name = 'scheduler'")
            ).one_or_none()
            return None if row is None else (row[0], row[1], row[2])
    finally:
        engine.dispose()
