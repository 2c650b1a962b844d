"""What a running server holds: catalog, journal, lake, engine, and the threads that serve them.

Routes, scheduler and pages reach everything through the `Runtime`; state that is kept in memory
(models, active baselines) is kept here and nowhere else.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol, TypeVar

from tidegauge.catalog import Catalog, Claim
from tidegauge.catalog.new_fields import Counted
from tidegauge.catalog.tables import Baseline as BaselineRow
from tidegauge.engine.lake import LakeEngine
from tidegauge.errors import BadInput, Conflict, NotFound, Unavailable
from tidegauge.lake.entries import JournalRequest, Receipt
from tidegauge.lake.flusher import Flushed
from tidegauge.lake.journal import Commit, Journal
from tidegauge.monitor.policy import Policies
from tidegauge.profile import Baseline
from tidegauge.schema import Schema
from tidegauge.schema.retention import Retention
from tidegauge.server import tracing
from tidegauge.server.bodies import Intake
from tidegauge.server.changing import prepare
from tidegauge.server.counted_lake import CountedLake
from tidegauge.server.erasing import TakingPart
from tidegauge.server.exposition import Counters
from tidegauge.server.facts import Facts
from tidegauge.server.flushing import TimedFlusher
from tidegauge.server.gathering import Gathering
from tidegauge.server.identity import server_id
from tidegauge.server.known import Baselines, Model, Models
from tidegauge.server.pulse import Pulse
from tidegauge.server.searching import SegmentSearch
from tidegauge.server.settings import Settings
from tidegauge.server.sightings import Sightings
from tidegauge.server.upkeep import Upkeep

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

__all__ = ["Model", "Runtime"]


class Scheduler(Protocol):
    """What closes windows; lives in ``scheduler.py``."""

    @property
    def alive(self) -> bool:
        """Whether its thread is there."""

    @property
    def leads(self) -> bool:
        """Whether it does the work; else another server's does."""

    @property
    def paused(self) -> str | None:
        """Why it cannot work at the moment, in words."""

    def start(self) -> None:
        """Begin to work in a thread of its own."""

    def stop(self) -> None:
        """End after what is being done."""

    def lag(self, model: Model) -> dict[str, int]:
        """Return windows to close, restatements to make, and windows closed, of one model."""

    def lags(self) -> dict[int, dict[str, int]]:
        """Return the same of all models, by their ids."""


class Runtime:
    """Everything that a server holds, opened together and closed together.

    Parameters
    ----------
    settings : Settings

    Attributes
    ----------
    settings : Settings
    catalog : Catalog
    lake : Lake
    journal : Journal
    flusher : Flusher
    engine : LakeEngine
    facts : Facts
        What is stored of each model.
    sightings : Sightings
        Of models' versions.
    segment_search : SegmentSearch
        Worst segments of stored records, when somebody asks.
    counters : Counters
        The server's own Prometheus metrics.
    intake : Intake
        Bounds what is being worked on; belongs to the event loop.
    gathering : Gathering
        Takes requests with records; belongs to the event loop.
    workers, heavy_workers : ThreadPoolExecutor
        For requests with records; for baselines and the like, one at a time.
    claim : Claim
        This server's to the work that one server at a time does; its ``term`` is None while another
        one does it.
    pulse : Pulse
        Keeps the claim, and asks the catalog what other servers changed.
    scheduler : Scheduler or None
        Where that part is there.
    upkeep : Upkeep
        Of the lake's tables.
    taking_part : TakingPart
        In erasures.

    Raises
    ------
    Conflict
        When another process holds the data folder.
    BadInput, Unavailable
        When the lake cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.scratch = settings.data / "tmp"
        _make_folders(settings.data, self.scratch)
        self.journal = Journal(
            settings.data / "journal",
            max_queued_bytes=settings.max_queued,
            max_backlog_bytes=settings.max_backlog,
            min_free_bytes=settings.min_free,
        )
        try:
            _empty(self.scratch)
            self.lake = _reached_lake(settings)
            try:
                self.catalog = Catalog(settings.catalog_url)
            except BaseException:
                self.lake.close()
                raise
        except BaseException:
            self.journal.close()
            raise
        cores = os.cpu_count() or 2
        self.engine = LakeEngine(
            self.lake,
            # Half of the cores: a large window that is closed must not hold up what comes in.
            threads=max(1, cores // 2),
            label_horizon=settings.label_horizon,
            aside=self._aside,
        )
        self._models = Models(self.catalog, settings)
        self._baselines = Baselines(self.catalog, self.lake.store)
        self.facts = Facts(self.lake, self.engine)
        self.sightings = Sightings(self.catalog)
        self.segment_search = SegmentSearch(self)
        gauges = import_module("tidegauge.server.gauges").ModelGauges(self)
        self.counters = Counters(gauges)
        self.journal.on_commit = self._on_commit
        self.catalog.on_error(self.counters.catalog_failed)
        self.lake.on_failure = self.counters.lake_failed
        self.flusher = TimedFlusher(
            self.journal,
            self.lake,
            settings.flush_interval.total_seconds(),
            self._on_flush,
            on_time=self._on_flush_time,
            on_table=self.counters.flushed,
            on_end=self._note_versions,
        )
        self.intake = Intake(settings.max_requests, settings.max_request_bytes)
        # One for two cores: checking keeps the interpreter, and more threads only fight for it.
        self.workers = ThreadPoolExecutor(max(1, min(cores // 2, 8)), "ingest")
        self.gathering = Gathering(self)
        self.heavy_workers = ThreadPoolExecutor(1, "baseline")
        self.creating = threading.RLock()
        self.replaying = threading.Lock()
        #: By model: what was counted of fields that its schema does not know (``newcomers.py``).
        self.new_fields: dict[int, tuple[int | None, float, Counted]] = {}
        self.claim = Claim(self.catalog.leases, "scheduler", server_id(settings.data))
        self.pulse = Pulse([self.refresh, self.claim.attend])
        self.scheduler: Scheduler | None = _scheduler(self)
        self.taking_part = TakingPart(self, self.claim.owner)
        self.upkeep = Upkeep(self)
        for collector in self.upkeep.figures.collectors():
            self.counters.registry.register(collector)
        self._listeners: list[Callable[[list[Flushed]], None]] = []
        self._waiting: Counter[tuple[str, str]] = Counter()
        self._waiting_guard = threading.Lock()
        self._running = False
        self._stopped = False

    def start(self) -> None:
        """Begin to flush and to schedule."""
        if self._running:
            return
        self._running = True
        self.refresh()
        self.pulse.start()
        self.flusher.start()
        if self.scheduler is not None:
            self.scheduler.start()
        self.upkeep.start()
        self.taking_part.start()

    def stop(self) -> None:
        """End all work, bring what is journalled to the lake, and close; a second time is fine."""
        if self._stopped:
            return
        self._stopped = True
        self.workers.shutdown(wait=True, cancel_futures=True)
        self.heavy_workers.shutdown(wait=True, cancel_futures=True)
        if self.scheduler is not None and self._running:
            self.scheduler.stop()
        self.upkeep.stop()
        self.taking_part.stop()
        self.pulse.stop()
        with suppress(Unavailable):
            self.claim.release()
        try:
            self.flusher.stop()
        except Exception:
            _log.exception("the last flush failed; the journal keeps what it has")
        self._note_versions(everything=True)
        self.journal.close()
        self.engine.close()
        self.lake.close()
        self.catalog.close()

    async def in_thread(self, work: Callable[..., _T], *arguments: Any) -> _T:
        """Run blocking work in a thread that no request with records waits for."""
        return await asyncio.to_thread(work, *arguments)

    # Models

    def find(self, project: str, model: str) -> Model | None:
        """Return a model, or None; from memory where it is known there."""
        return self._models.find(project, model)

    def get(self, project: str, model: str) -> Model:
        """Return a model.

        Raises
        ------
        NotFound
            Naming what it may have been meant to be.
        """
        found = self._models.find(project, model)
        if found is None:
            raise NotFound(
                f"no model {model!r} in project {project!r}"
                f"{self._models.hint(project, model)}; its first records make it",
                code="unknown_model",
            )
        return found

    def models(self, project: str | None = None) -> list[Model]:
        """Return the models of a project, or of all, by name; from memory."""
        return self._models.list(project)

    def refresh(self) -> None:
        """Read what other servers changed in the catalog since the last look."""
        self._baselines.refresh(self._models.refresh())

    def _aside(self, project: str, model: str) -> frozenset[str]:
        known = self._models.find(project, model)
        return frozenset() if known is None else known.aside

    def create(self, project: str, model: str, schema: Schema) -> Model:
        """Return a model, made with this schema if it is not there."""
        with self.creating:
            return self._models.create(project, model, schema)

    def grow(self, known: Model, change: Callable[[Schema], Schema]) -> Model:
        """Give a model a schema made from the one it has, whoever else changes that meanwhile.

        Parameters
        ----------
        known : Model
        change : callable
            Takes the model's schema and returns the one it should have; called again where another
            server gave the model another schema in between.

        Raises
        ------
        Conflict
            As of :meth:`put_schema`.
        """
        while (schema := change(known.schema)) != known.schema:
            number = known.schema_number
            try:
                return self.put_schema(known.project, known.name, schema, number=number)
            except Conflict as error:
                if error.code != "schema_moved":
                    raise
            known = self._models.read(known)
        return known

    def put_schema(
        self,
        project: str,
        model: str,
        schema: Schema,
        actor: str = "api",
        reason: str = "",
        *,
        number: int | None = None,
    ) -> Model:
        """Give a model a schema; it is made if it is not there.

        Parameters
        ----------
        project, model : str
        schema : Schema
        actor, reason : str
            Who changes it and why, for the schema's history.
        number : int, optional
            The number of the schema that this one was made from.

        Raises
        ------
        Conflict
            If records are stored that have another type in a column, which is not a narrower one;
            ``schema_moved`` if the model has another schema by now than the one with this number.
        """
        known = self._models.find(project, model)
        if known is not None:
            self.flusher.flush_now()
            prepare(self, known, schema)
        with self.creating:
            return self._models.put_schema(project, model, schema, actor, reason, number)

    def put_policies(
        self, project: str, model: str, policies: Policies, actor: str = "api"
    ) -> Model:
        """Give a model another budget and monitors, from the next window that is closed.

        Raises
        ------
        NotFound
        """
        with self.creating:
            return self._models.put_policies(self.get(project, model), policies, actor)

    # Baselines

    def baseline(self, model: Model) -> Baseline | None:
        """Return a model's active baseline; from memory where it is there."""
        return self._baselines.active(model)

    def baselines(self, model: Model) -> Sequence[BaselineRow]:
        """Return the catalog's entries of all of a model's baselines, the newest first."""
        return self._baselines.list(model)

    def put_baseline(
        self, model: Model, baseline: Baseline, *, source: str, first_under: Catalog | None = None
    ) -> BaselineRow:
        """Store a baseline and make it the model's active one.

        Parameters
        ----------
        source : str
            Where it comes from: ``upload``, ``records``, ``first_windows``.
        first_under : Catalog, optional
            The catalog as the scheduler writes it, for a baseline that is the first or none.
        """
        row = self._baselines.put(model, baseline, source=source, first_under=first_under)
        self.refresh()
        return row

    def put_retention(
        self, project: str, model: str, retention: Retention, actor: str = "api"
    ) -> Model:
        """Have a model's records and profiles kept for another time.

        Raises
        ------
        NotFound
        """
        with self.creating:
            return self._models.put_retention(self.get(project, model), retention, actor)

    def forget_baseline(self, project: str, model: str) -> None:
        """Read a model's baseline anew: its file was changed."""
        known = self._models.find(project, model)
        if known is not None:
            self._baselines.forget(known.id)

    @property
    def where(self) -> str:
        """Host and data folder, for people."""
        return f"{socket.gethostname()}:{self.settings.data.absolute()}"

    # What comes in

    def append(self, request: JournalRequest) -> Future[Receipt]:
        """Hand a request to the journal; its rows count as waiting until they are in the lake.

        Its keys have been claimed, and are the journal's from now on.

        Raises
        ------
        Overloaded
            If the journal takes no more at the moment.
        """
        model = request.project, request.model
        rows = sum(entry.table.num_rows for entry in request.entries)

        def settle(future: Future[Receipt]) -> None:
            if future.cancelled() or future.exception():
                self._wait_for(model, -rows)

        # Counted before: the flusher may have moved them before anybody learns that they are there.
        self._wait_for(model, rows)
        try:
            future = self.journal.append(request, claimed=True)
        except BaseException:
            self._wait_for(model, -rows)
            raise
        future.add_done_callback(settle)
        return future

    def on_flush(self, listener: Callable[[list[Flushed]], None]) -> None:
        """Have a function called after each flush with what it brought, in the flusher's thread."""
        self._listeners.append(listener)

    def told_of(self, news: list[Flushed]) -> None:
        """Hand on what came into the lake past the journal, as what a flush brought is."""
        self.catalog.news.add(news)
        for listener in self._listeners:
            listener(news)

    def waiting(self, model: Model) -> int:
        """Return how many of a model's records and labels are not in the lake yet."""
        with self._waiting_guard:
            return max(0, self._waiting[model.project, model.name])

    def lag(self, model: Model) -> dict[str, int]:
        """Return what still has to be done for a model, and how many windows were closed.

        Returns
        -------
        dict
            ``records`` not in the lake yet; from the scheduler ``windows`` to close,
            ``restatements`` to make, and windows ``closed``.
        """
        # Rows first: what is flushed between the two is among the news then.
        waiting = self.waiting(model)
        done = {"windows": 0, "restatements": 0, "closed": 0}
        if self.scheduler is not None:
            done = self.scheduler.lag(model)
        return {**done, "records": waiting}

    def lags(self) -> dict[int, dict[str, int]]:
        """Return what the scheduler has to do for every model, by the models' ids."""
        return {} if self.scheduler is None else self.scheduler.lags()

    def _on_flush(self, flushed: list[Flushed]) -> None:
        self.catalog.news.add(flushed)
        for listener in self._listeners:
            try:
                listener(flushed)
            except Exception:
                _log.exception("a listener to flushes failed")
        for one in flushed:
            brought = one.records + one.labels + one.quarantined
            self._wait_for((one.project, one.model), -brought)

    def _note_versions(self, *, everything: bool = False) -> None:
        try:
            self.sightings.note(everything=everything)
        except Unavailable:
            pass  # Kept for the next time; the pulse has said that the catalog does not answer.
        except Exception:
            _log.exception("versions could not be noted in the catalog")

    def _wait_for(self, model: tuple[str, str], rows: int) -> None:
        with self._waiting_guard:
            self._waiting[model] = max(0, self._waiting[model] + rows)

    def _on_commit(self, commit: Commit) -> None:
        seconds, requests, size = commit.seconds, commit.requests, commit.bytes
        self.counters.committed(seconds, requests, size)
        tracing.done("journal.commit", seconds, sampled=True, requests=requests, bytes=size)

    def _on_flush_time(self, seconds: float, failures: int) -> None:
        self.counters.flush_seconds.observe(seconds)
        if failures:
            self.counters.flush_failures.add((), failures)


def _scheduler(runtime: Runtime) -> Scheduler | None:
    if find_spec("tidegauge.server.scheduler") is None:
        return None
    made: Scheduler = import_module("tidegauge.server.scheduler").Scheduler(runtime)
    return made


def _reached_lake(settings: Settings) -> CountedLake:
    lake = CountedLake(
        settings.lake_root,
        settings.lake_options,
        cache=settings.data / "cache",
        cache_bytes=settings.cache_size,
        spared=2 * settings.min_free,  # Taking in comes before looking.
    )
    try:
        lake.check(writing=True)
    except BaseException:
        lake.close()
        raise
    return lake


def _make_folders(*folders: Any) -> None:
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(
                f"the data folder {folder} cannot be made: {error.strerror}; name another with "
                "--data",
                code="bad_data_folder",
            ) from None


def _empty(folder: Any) -> None:
    """Throw away what an earlier process left half-done."""
    for left in folder.iterdir():
        if left.is_file():
            left.unlink()
