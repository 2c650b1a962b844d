"""Looking at the lake's tables and files without changing them, also while servers write there."""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from tidegauge.keeping.findings import Examination, Severity
from tidegauge.keeping.lakefiles import LOG, LakeFile, LakeFiles, TableFolder, files_named
from tidegauge.lake.columns import BATCH, INGESTED_AT, JOURNAL, ROW

#: Files that no version names are left alone for so long: a writer may be about to name them.
UNUSED_AFTER = timedelta(days=1)
#: A clock may be ahead by so much.
SKEW = timedelta(minutes=5)
_THREADS = 8
_TRIES = 5
#: Tables that are filled through journals.
_JOURNALLED = ("records", "labels", "quarantine")
_GROUP_ROWS = 2_000_000
_MEMORY = "512MB"


@dataclass
class TableState:
    """A table at the version that was looked at.

    Parameters
    ----------
    folder : TableFolder
    table : DeltaTable
    files : dict of str to (int, int or None)
        What it consists of: path below the lake, size, rows.
    whole : bool
        Whether all of its files can be read.
    """

    folder: TableFolder
    table: DeltaTable
    files: dict[str, tuple[int, int | None]]
    whole: bool = True
    columns: pa.Schema = field(default_factory=lambda: pa.schema([]))

    @property
    def rows(self) -> int:
        """How many rows its log tells of."""
        return sum(count or 0 for _, count in self.files.values())


def look_at_lake(
    lake: LakeFiles,
    found: Examination,
    *,
    quick: bool = False,
    on_step: Callable[[str], None] = lambda _: None,
    now: datetime | None = None,
) -> dict[tuple[str, str, str], TableState]:
    """Look at all tables; return those that can be opened, by project, model and kind."""
    now = now or datetime.now(UTC)
    states: dict[tuple[str, str, str], TableState] = {}
    for folder in lake.tables():
        on_step(str(folder))
        state = _opened(lake, folder, found)
        if state is None:
            continue
        states[folder.project, folder.model, folder.kind] = state
        there = {file.path: file for file in lake.below(folder.path)}
        _look_at_files(lake, state, there, found, quick=quick)
        _look_for_unused(lake, state, there.values(), now, found)
        _look_at_clock(state, now, found)
        if not quick and state.whole:
            _look_for_doubles(lake, state, found)
    files = sum(len(state.files) for state in states.values())
    rows = sum(state.rows for state in states.values())
    found.facts.append(f"lake {lake.root}: {len(states)} tables, {files:,} files, {rows:,} rows")
    if quick:
        found.unchecked.append("insides of the lake's files, and doubled rows: --quick was given")
    return states


def _opened(lake: LakeFiles, folder: TableFolder, found: Examination) -> TableState | None:
    try:
        table = lake.table(folder)
        columns: Any = table.schema().to_arrow()
        return TableState(folder, table, files_named(table, folder), columns=pa.schema(columns))
    except TableNotFoundError:
        if not lake.log(folder):
            return None  # Deleted since it was listed.
        reason = "its log begins nowhere"
    except (DeltaError, OSError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [repr(error)])[0]
    found.add(
        "table_unreadable",
        Severity.ERROR,
        str(folder),
        f"the table cannot be opened: {reason}",
        "restore it from a back-up; until then what comes for it waits in the journal",
    )
    return None


def _look_at_files(
    lake: LakeFiles,
    state: TableState,
    there: dict[str, LakeFile],
    found: Examination,
    *,
    quick: bool,
) -> None:
    for _ in range(_TRIES):
        if all(path in there for path in state.files):
            break
        # Replaced and deleted since the table was opened, perhaps.
        fresh = _opened(lake, state.folder, found)
        if fresh is None:
            return
        known, state.table, state.files = state.files, fresh.table, fresh.files
        there |= {file.path: file for file in lake.below(state.folder.path)}
        if known == state.files:
            break
    readable = []
    for path, (size, rows) in state.files.items():
        name = path.removeprefix(f"{state.folder.path}/")
        file = there.get(path)
        if file is None:
            state.whole = False
            found.add(
                "file_missing",
                Severity.ERROR,
                str(state.folder),
                f"{name} is not there{_rows(rows)}",
                "put the file back from a back-up (under files/lake there); it is named by its "
                "table's newest version",
            )
        elif file.size != size:
            state.whole = False
            found.add(
                "file_size",
                Severity.ERROR,
                str(state.folder),
                f"{name} has {file.size} bytes, and the table's log says {size}{_rows(rows)}",
                "put the file back from a back-up (under files/lake there)",
            )
        else:
            readable.append((path, rows))
    if quick:
        return
    with ThreadPoolExecutor(_THREADS, "doctor") as pool:
        for (path, rows), said in zip(
            readable, pool.map(lambda one: _footer(lake, one[0]), readable), strict=True
        ):
            name = path.removeprefix(f"{state.folder.path}/")
            if isinstance(said, str):
                state.whole = False
                found.add(
                    "file_unreadable",
                    Severity.ERROR,
                    str(state.folder),
                    f"{name} cannot be read{_rows(rows)}: {said}",
                    "put the file back from a back-up (under files/lake there)",
                )
            elif said is not None and rows is not None and said != rows:
                found.add(
                    "row_count",
                    Severity.ERROR,
                    str(state.folder),
                    f"{name} has {said} rows, and the table's log says {rows}",
                    "put the file back from a back-up (under files/lake there)",
                )


def _rows(count: int | None) -> str:
    return "" if count is None else f" ({count} rows)"


def _footer(lake: LakeFiles, path: str) -> int | str | None:
    """Return the rows that a file tells of, or why it cannot be read; None if it is gone now."""
    try:
        with lake.open(path) as file:
            return int(pq.read_metadata(file).num_rows)
    except FileNotFoundError:
        return None
    except (OSError, pa.ArrowException) as error:
        return (str(error).strip().splitlines() or [repr(error)])[0]


def _look_for_unused(
    lake: LakeFiles,
    state: TableState,
    there: Iterable[LakeFile],
    now: datetime,
    found: Examination,
) -> None:
    """Find what no version names: left by writers that crashed, or by upkeep that does not run."""
    old = [
        file
        for file in there
        if file.path not in state.files
        and LOG not in file.path.split("/")
        and file.changed_at is not None
        and now - file.changed_at > UNUSED_AFTER
    ]
    if not old:
        return
    size = sum(file.size for file in old)
    oldest = min(file.changed_at for file in old if file.changed_at is not None)

    def mend() -> str:
        """Delete them, but for those that the table has come to name."""
        fresh = files_named(lake.table(state.folder), state.folder)
        chosen = [file for file in old if file.path not in fresh]
        for file in chosen:
            lake.store.delete(file.path)
        return f"deleted {len(chosen)} files of {state.folder}"

    found.add(
        "unused_files",
        Severity.WARNING,
        str(state.folder),
        f"{len(old)} files ({size / 2**20:.1f} MiB) that its newest version does not have, the "
        f"oldest of {oldest:%Y-%m-%d}; a writer that was killed left them, or upkeep does not run",
        "delete them; the server's upkeep does that too",
        mend,
    )


def _look_at_clock(state: TableState, now: datetime, found: Examination) -> None:
    actions: Any = pa.table(state.table.get_add_actions(flatten=True))
    name = f"max.{INGESTED_AT}"
    if name not in actions.column_names:
        return
    newest = max((at for at in actions[name].to_pylist() if at is not None), default=None)
    if newest is None:
        return
    newest = newest.replace(tzinfo=UTC) if newest.tzinfo is None else newest
    if newest - now > SKEW:
        found.add(
            "clock_behind",
            Severity.WARNING,
            str(state.folder),
            f"its newest row came at {newest:%Y-%m-%d %H:%M} UTC, and it is "
            f"{now:%Y-%m-%d %H:%M} UTC here",
            "see to the clock of this machine, or of the one that wrote it (timedatectl); windows "
            "of live models close by the clock",
        )


def _look_for_doubles(lake: LakeFiles, state: TableState, found: Examination) -> None:
    """Find rows that came through one journal at one place and are there twice."""
    if state.folder.kind not in _JOURNALLED:
        return
    by_day: dict[str, list[str]] = defaultdict(list)
    for path in sorted(state.files):
        by_day[path.rsplit("/", 2)[1]].append(path)
    scratch = tempfile.mkdtemp(prefix="tidegauge-")
    doubles, days = 0, []
    broken: dict[str, str] = {}
    try:
        with duckdb.connect() as database:
            database.execute(f"SET memory_limit = '{_MEMORY}'")
            database.execute("SET temp_directory = ?", [scratch])
            # An entry's rows have the same dates whenever they are written.
            for group in _groups(state, by_day):
                paths = [path for day in group for path in by_day[day]]
                if count := _doubles(database, lake, paths, broken):
                    doubles += count
                    days += [day for day in group if _doubles(database, lake, by_day[day], broken)]
    except FileNotFoundError:
        found.unchecked.append(f"doubled rows of {state.folder}: files went while it was read")
        return
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        found.unchecked.append(f"doubled rows of {state.folder}: {reason}")
        return
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for path, reason in broken.items():
        found.add(
            "file_unreadable",
            Severity.ERROR,
            str(state.folder),
            f"{path.removeprefix(f'{state.folder.path}/')} cannot be read"
            f"{_rows(state.files[path][1])}: {reason}",
            "put the file back from a back-up (under files/lake there)",
        )
    if doubles:
        more = f" and {len(days) - 1} other days" if len(days) > 1 else ""
        found.add(
            "doubled_rows",
            Severity.ERROR,
            str(state.folder),
            f"{doubles} rows are there more than once, under {days[0]}{more}: they have the same "
            f"{JOURNAL}, {BATCH} and {ROW}",
            "of records with one prediction_id the first counts, so no result changes; restore a "
            "back-up to be rid of them, and report this",
        )


def _groups(state: TableState, by_day: dict[str, list[str]]) -> Iterator[list[str]]:
    """Put dates together, as many as are looked at in one go."""
    group: list[str] = []
    rows = 0
    for day, paths in by_day.items():
        group.append(day)
        rows += sum(state.files[path][1] or 0 for path in paths)
        if rows >= _GROUP_ROWS:
            yield group
            group, rows = [], 0
    if group:
        yield group


def _doubles(
    database: duckdb.DuckDBPyConnection, lake: LakeFiles, paths: list[str], broken: dict[str, str]
) -> int:
    """Count the rows of some files that are there before; of each file three columns are read.

    Files whose rows cannot be read are put among the broken ones.
    """
    parts = []
    for path in paths:
        try:
            parts += _places(lake, path)
        except FileNotFoundError:
            raise
        except (OSError, pa.ArrowException) as error:
            broken[path] = (str(error).strip().splitlines() or [repr(error)])[0]
    if not parts:
        return 0
    rows = pa.concat_tables(parts, promote_options="default")
    keys = ", ".join(rows.column_names)
    database.register("part", rows)
    found = database.execute(
        f"SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM part"
        f" WHERE {BATCH} IS NOT NULL GROUP BY {keys} HAVING n > 1)"
    ).fetchall()
    database.unregister("part")
    return int(found[0][0])


def _places(lake: LakeFiles, path: str) -> list[pa.Table]:
    """Read where a file's rows came from; nothing where that is not told."""
    with lake.open(path) as source:
        footer = pq.read_metadata(source)
        names = [name for name in (JOURNAL, BATCH, ROW) if name in footer.schema.names]
        if BATCH not in names or ROW not in names:
            return []
        coded = [name for name in names if name == JOURNAL]
        file = pq.ParquetFile(source, metadata=footer, read_dictionary=coded)
        return [file.read(columns=names)]
