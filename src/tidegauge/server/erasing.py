"""Erasing the records of some ids, everywhere: what every server does, and what the lease holder.

Every step can be done twice, and what is done is noted in the catalog; so an erasure goes on where
it was, whoever is killed when. In order:

1. Every server moves its journal into the lake, until no file of it is older than the request, and
   takes what quotes records out of stored answers.
2. The lease holder takes the rows out of the lake's tables and of the baselines' samples.
3. Queries that began before get the time to end.
4. Every server throws away its copies of old files, and ends commits that it had begun.
5. The lease holder deletes the old files, then the ids in the catalog.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tidegauge.catalog import Catalog
from tidegauge.catalog.erasures import ErasureState
from tidegauge.catalog.tables import Erasure, ErasurePart
from tidegauge.errors import LeaseLost, Unavailable
from tidegauge.lake.erasing import (
    ERASED,
    Erased,
    Ids,
    count_rows,
    count_unreadable,
    erase_rows,
    is_gone,
)
from tidegauge.lake.names import TableKind
from tidegauge.lake.swapping import discard
from tidegauge.lake.upkeep import unused_files
from tidegauge.profile import Baseline
from tidegauge.profile.sample import without
from tidegauge.schema import Role

if TYPE_CHECKING:
    from tidegauge.server.runtime import Runtime

_log = logging.getLogger(__name__)

#: For so long a server that does not answer is waited for, before the others begin.
PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 1.0


class TakingPart:
    """What this server does of all erasures in its own folder, in a thread of its own.

    Parameters
    ----------
    runtime : Runtime
    server : str
        Its id.
    """

    def __init__(self, runtime: Runtime, server: str) -> None:
        self._runtime = runtime
        self._server = server
        self._joined = False
        #: By erasure, the first segment of the journal that began after it.
        self._first_after: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look for erasures."""
        self._thread = threading.Thread(target=self._run, name="erasing", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the step that goes on."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.look()
            except Unavailable:
                pass  # The pulse has said that the catalog does not answer.
            except Exception:
                _log.exception("this server's part of an erasure failed; it is tried again")
            self._stop.wait(_LOOK_SECONDS)

    def look(self) -> None:
        """Do what is to be done now.

        Raises
        ------
        Unavailable
            When the catalog does not answer.
        """
        erasures = self._runtime.catalog.erasures
        if not self._joined:
            erasures.join(self._server, self._runtime.where)
            self._joined = True
        unfinished = erasures.unfinished()
        known = {row.id for row, _, _ in unfinished}
        self._first_after = {one: at for one, at in self._first_after.items() if one in known}
        for row, project, model in unfinished:
            mine = erasures.parts(row.id).get(self._server)
            if mine is None:
                self._empty(row, project, model)
            elif row.state == ErasureState.CLEARING and mine.cleared < row.turn:
                self._clear(row, project, model)

    def _empty(self, row: Erasure, project: str, model: str) -> None:
        """Have the journal hold nothing of before; what is in it goes to the lake."""
        runtime = self._runtime
        if row.id not in self._first_after:
            self._first_after[row.id] = runtime.journal.roll()
        runtime.flusher.flush_now()
        if runtime.journal.oldest_segment() < self._first_after[row.id]:
            return
        found = {
            "answers": runtime.journal.redact(project, model),
            "damaged": runtime.journal.damaged,
        }
        runtime.catalog.erasures.emptied(row.id, self._server, found)

    def _clear(self, row: Erasure, project: str, model: str) -> None:
        """Throw away copies of old files; what was being written is committed after this."""
        runtime = self._runtime
        with runtime.replaying:  # What left quarantine meanwhile is in its table after this.
            runtime.flusher.flush_now()
        runtime.lake.tidy_copies(at_once=True)
        runtime.forget_baseline(project, model)
        runtime.catalog.erasures.cleared(row.id, self._server, row.turn)


@dataclass
class _Purge:
    """Old files that wait for the queries that may read them."""

    turn: int
    until: float
    files: dict[TableKind, set[str]] = field(default_factory=dict)
    asked_at: float | None = None


class Eraser:
    """What the lease holder does of all erasures, a step of each at a time.

    Parameters
    ----------
    runtime : Runtime
    catalog : Catalog
        As it is written under the lease's term.
    require : callable
        Raises where the work is another server's by now.
    """

    def __init__(self, runtime: Runtime, catalog: Catalog, require: Callable[[], None]) -> None:
        self._runtime = runtime
        self._catalog = catalog
        self._require = require
        self._first_seen: dict[str, float] = {}
        self._purges: dict[str, _Purge] = {}
        self._failures: dict[str, tuple[int, float]] = {}

    def advance(self) -> None:
        """Bring all erasures a step further; one that fails does not hold up the others.

        Raises
        ------
        LeaseLost, Unavailable
        """
        for row, project, model in self._catalog.erasures.unfinished():
            self._require()
            count, again = self._failures.get(row.id, (0, 0.0))
            if time.monotonic() < again:
                continue
            try:
                _Step(self, row, project, model).take()
                self._failures.pop(row.id, None)
            except (LeaseLost, Unavailable):
                raise
            except Exception:
                wait = min(2.0**count, 60.0)
                self._failures[row.id] = count + 1, time.monotonic() + wait
                _log.exception("erasure %s failed; trying again in %.0f s", row.id, wait)


class _Step:
    """One step of one erasure."""

    def __init__(self, eraser: Eraser, row: Erasure, project: str, model: str) -> None:
        self._eraser = eraser
        self._row = row
        self._names = (project, model)
        self._runtime = eraser._runtime
        self._catalog = eraser._catalog
        self._receipt: dict[str, Any] = dict(row.receipt)
        self._state = ErasureState(row.state)
        self._turn = row.turn

    def take(self) -> None:
        """Do what comes next, if it is time."""
        if self._row.ids is None:
            self._end()
            return
        parts = self._catalog.erasures.parts(self._row.id)
        servers = self._catalog.erasures.servers()
        missing = {one: name for one, name in servers.items() if one not in parts}
        if self._state in (ErasureState.OPEN, ErasureState.WAITING):
            self._begin(parts, missing)
        elif self._state is ErasureState.PURGING:
            self._wait_for_queries()
        else:
            self._delete_old(parts, servers, missing)

    def _begin(self, parts: Mapping[str, ErasurePart], missing: Mapping[str, str]) -> None:
        """Take the rows out, once all servers that answer have emptied their journals."""
        self._settle()
        if self._state is ErasureState.WAITING and set(parts) == set(self._receipt["servers"]):
            if missing == self._receipt.get("missing"):
                return
            if not missing:  # Somebody said that they are gone for good.
                self._end()
                return
        first = self._eraser._first_seen.setdefault(self._row.id, time.monotonic())
        if not parts or (missing and time.monotonic() - first < PATIENCE_SECONDS):
            return
        ids = self._ids()
        for kind in ERASED:
            self._erase(kind, ids)
        self._erase_samples()
        self._receipt["unreadable"] = count_unreadable(self._runtime.lake, *self._names, ids)
        self._receipt["servers"] = sorted(parts)
        self._receipt.pop("missing", None)
        self._turn += 1
        self._save(ErasureState.PURGING)
        self._wait_for_queries()

    def _ids(self) -> Ids:
        return Ids(self._row.ids or (), self._columns())

    def _columns(self) -> set[str]:
        """Return the columns that hold the records' ids, or ever did."""
        schemas = [one.schema for one in self._catalog.models.schemas(self._row.model_id)]
        found = [schema.role(Role.PREDICTION_ID) for schema in schemas]
        return {column.name for column in found if column is not None}

    def _erase(self, kind: TableKind, ids: Ids) -> None:
        """Take the rows out of one table, each part counted once whatever happens between."""
        lake = self._runtime.lake

        def intend(part: Erased) -> None:
            pending = self._receipt.pop("pending", None)
            if part.paths:
                if pending is not None:
                    self._count(pending)
                self._receipt["pending"] = {
                    "table": kind,
                    "rows": part.rows,
                    "files": part.files,
                    "paths": list(part.paths),
                }
            self._save(self._state)

        erase_rows(lake, *self._names, kind, ids, before=intend, go_on=self._eraser._require)
        pending = self._receipt.pop("pending", None)
        if pending is not None:
            self._count(pending)
            self._save(self._state)

    def _settle(self) -> None:
        """Count the part that was being committed when somebody ended, if it was.

        Before anybody joins the files that it would have replaced.
        """
        pending = self._receipt.pop("pending", None)
        if pending is None:
            return
        if is_gone(self._runtime.lake, *self._names, pending["table"], pending["paths"]):
            self._count(pending)
        self._save(self._state)

    def _count(self, pending: Mapping[str, Any]) -> None:
        for what in ("rows", "files"):
            held = dict(self._receipt.get(what, {}))
            held[pending["table"]] = held.get(pending["table"], 0) + pending[what]
            self._receipt[what] = held

    def _erase_samples(self) -> None:
        """Take the ids' rows out of the samples that baselines hold."""
        store, ids, columns = self._runtime.lake.store, self._row.ids or (), self._columns()
        for row in self._catalog.baselines.all(self._row.model_id):
            self._eraser._require()
            try:
                held = Baseline.from_bytes(store.read(row.profile_path))
            except FileNotFoundError:
                continue
            sample = held.profile.sample
            if sample is None:
                continue
            kept = without(sample, ids, columns)
            rows = sample.num_rows - kept.num_rows
            if not rows:
                continue
            windows = len(set(sample["_window"].to_pylist()))
            changed = _changed_windows(sample, kept)
            profile = replace(held.profile, sample=kept)
            # Counted before it is written: a second time there is nothing to be counted.
            told = {"baseline": row.id, "rows": rows, "windows": changed, "of_windows": windows}
            others = [one for one in self._receipt.get("samples", []) if one["baseline"] != row.id]
            self._receipt["samples"] = [*others, told]
            self._save(self._state)
            store.write(row.profile_path, replace(held, profile=profile).to_bytes())

    def _wait_for_queries(self) -> None:
        purge = self._eraser._purges.get(self._row.id)
        if purge is None or purge.turn != self._turn:
            grace = self._runtime.settings.erase_grace.total_seconds()
            purge = _Purge(self._turn, time.monotonic() + grace)
            for kind in ERASED:
                purge.files[kind] = self._unused(kind)
            self._eraser._purges[self._row.id] = purge
        if time.monotonic() >= purge.until:
            self._save(ErasureState.CLEARING)

    def _unused(self, kind: TableKind) -> set[str]:
        return set(unused_files(self._runtime.lake, *self._names, kind, hours=0))

    def _delete_old(
        self,
        parts: Mapping[str, ErasurePart],
        servers: Mapping[str, str],
        missing: Mapping[str, str],
    ) -> None:
        """Delete old files once no server reads or is about to commit one; then end."""
        purge = self._eraser._purges.get(self._row.id)
        if purge is None or purge.turn != self._turn:
            # Another process knew which files they are.
            self._save(ErasureState.PURGING)
            self._wait_for_queries()
            return
        behind = {
            one: servers[one]
            for one, part in parts.items()
            if part.cleared < self._turn and one in servers
        }
        now = time.monotonic()
        purge.asked_at = now if purge.asked_at is None else purge.asked_at
        if behind and now - purge.asked_at < PATIENCE_SECONDS:
            return
        if self._turn == self._receipt.get("last_turn", 1) and self._came_meanwhile():
            self._receipt["last_turn"] = self._turn  # Once more, and no more than that.
            self._save(ErasureState.OPEN)
            return
        for kind, listed in purge.files.items():
            self._eraser._require()
            old = sorted(listed & self._unused(kind))
            discard(self._runtime.lake, *self._names, kind, old)
            held = dict(self._receipt.get("purged", {}))
            if old:
                held[kind] = held.get(kind, 0) + len(old)
                self._receipt["purged"] = held
            purge.files[kind] = set()
        self._erase_samples()  # A baseline that was being made meanwhile may have had some.
        self._catalog.erasures.forget_examples(self._row.model_id)
        if behind or missing:
            self._receipt["missing"] = dict(missing) | behind
            self._save(ErasureState.CLEARING if behind else ErasureState.WAITING)
            return
        self._end()

    def _came_meanwhile(self) -> bool:
        """Whether rows of the ids came to the tables since they were taken out."""
        ids, lake = self._ids(), self._runtime.lake
        return any(count_rows(lake, *self._names, kind, ids) for kind in ERASED)

    def _end(self) -> None:
        """Forget the ids, then say that all is done."""
        if self._row.ids is not None:
            self._receipt.pop("missing", None)
            parts = self._catalog.erasures.parts(self._row.id)
            servers = self._catalog.erasures.servers()
            for what in ("answers", "damaged"):
                told = {one: int(part.found.get(what, 0)) for one, part in parts.items()}
                self._receipt[what] = {servers.get(one, one): n for one, n in told.items() if n}
        self._catalog.erasures.forget_ids(self._row.id, self._receipt)
        self._catalog.erasures.finish(self._row.id)
        self._eraser._purges.pop(self._row.id, None)
        _log.info("erasure %s is done: %s rows", self._row.id, self._receipt.get("rows", {}))

    def _save(self, state: ErasureState) -> None:
        self._state = state
        self._catalog.erasures.advance(self._row.id, state, self._turn, self._receipt)


def _changed_windows(sample: Any, kept: Any) -> int:
    """Return in how many windows a sample has fewer rows than before."""
    before = sample["_window"].value_counts().to_pylist()
    after = {one["values"]: one["counts"] for one in kept["_window"].value_counts().to_pylist()}
    return sum(one["counts"] != after.get(one["values"], 0) for one in before)
