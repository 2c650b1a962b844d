"""The doctor: journal, catalog and lake looked at one by one and held to one another.

Nothing is changed here; a finding that can be mended brings what would do it. Journals are read
first, then a copy of the catalog, then the lake, so that beside running servers each later part has
at least what an earlier one tells of.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tidegauge.errors import BadInput, TidegaugeError
from tidegauge.keeping.catalog_checks import (
    lease_seen,
    look_at_catalog,
    look_at_lease,
    look_at_models,
    look_at_work,
)
from tidegauge.keeping.findings import Examination, Severity
from tidegauge.keeping.installation import Installation
from tidegauge.keeping.journal_checks import JournalState, Source, look_at_journal, look_at_waiting
from tidegauge.keeping.lake_checks import TableState, look_at_lake
from tidegauge.keeping.lakefiles import LakeFiles


def examine(
    installation: Installation,
    *,
    quick: bool = False,
    min_free: int = 512 << 20,
    on_step: Callable[[str], None] | None = None,
) -> Examination:
    """Look at everything of an installation; changes nothing, and servers may run.

    Parameters
    ----------
    installation : Installation
    quick : bool
        Leave out what reads the lake's files.
    min_free : int
        Free bytes below which servers take nothing in.
    on_step : callable, optional
        Told what is being looked at.

    Raises
    ------
    BadInput
        If a data folder is not there, or may not be read.
    """
    installation.require()
    try:
        return _examined(installation, quick, min_free, on_step or (lambda _: None))
    except PermissionError as error:
        raise BadInput(
            f"{error.filename} may not be read; run this as the user that the server runs as",
            code="no_rights",
        ) from None


def _examined(
    installation: Installation, quick: bool, min_free: int, say: Callable[[str], None]
) -> Examination:
    found = Examination()
    say("journals")
    journals = [look_at_journal(folder, found) for folder in installation.folders]
    running = any(journal.running for journal in journals)
    scratch = Path(tempfile.mkdtemp(prefix="tidegauge-"))
    try:
        say("catalog")
        catalog = look_at_catalog(installation.catalog, scratch / "catalog.sqlite", found)
        began = time.monotonic()
        lease = lease_seen(installation.catalog) if catalog is not None and running else None
        try:
            with closing(LakeFiles(installation.lake, installation.lake_options)) as lake:
                tables = _tables(lake, found, quick, say)
                say("journals and lake")
                known = set()
                if catalog is not None:
                    known = {(p.name, m.name) for p, m in catalog.models.all()}
                for journal in journals:
                    look_at_waiting(journal, _progress(tables), known, found)
                if catalog is not None and tables is not None:
                    say("catalog and lake")
                    waiting = {(source[0], source[1]) for j in journals for source in j.entries}
                    look_at_models(
                        catalog, lake, tables, waiting, installation.catalog, not running, found
                    )
            if catalog is not None:
                look_at_work(catalog, running, found)
                if running:
                    say("leases")
                    look_at_lease(installation.catalog, lease, began, found)
        finally:
            if catalog is not None:
                catalog.close()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for journal in journals:
        _look_at_room(journal, min_free, found)
    if running:
        found.unchecked.append(
            "what only a stopped server lets go of: whether the newest segment of its journal "
            "ends whole"
        )
    return found


def _tables(
    lake: LakeFiles, found: Examination, quick: bool, say: Callable[[str], None]
) -> dict[tuple[str, str, str], TableState] | None:
    try:
        if lake.local("") is None:  # Of a folder that would make it.
            lake.store.check()
        return look_at_lake(lake, found, quick=quick, on_step=say)
    except TidegaugeError as error:
        said = error.message
    except OSError as error:
        said = str(error)
    found.add(
        "lake_unavailable",
        Severity.ERROR,
        lake.root,
        said,
        "what comes waits in the journal until the lake can be reached again",
    )
    return None


def _progress(
    tables: dict[tuple[str, str, str], TableState] | None,
) -> Callable[[Source], int]:
    """Return what tells how far a table has come with a journal."""

    def come(source: Source) -> int:
        state = (tables or {}).get(source[:3])
        return 0 if state is None else state.table.transaction_version(source[3]) or 0

    return come


def _look_at_room(journal: JournalState, min_free: int, found: Examination) -> None:
    free = shutil.disk_usage(journal.folder).free
    if free < 2 * min_free:
        found.add(
            "disk_full" if free < min_free else "disk_filling",
            Severity.ERROR if free < min_free else Severity.WARNING,
            str(journal.folder),
            f"{free >> 20} MiB are free; below {min_free >> 20} MiB servers take nothing in",
            "make room, or lower TIDEGAUGE_MIN_FREE",
        )
