"""The gauges of ``/metrics``: the journal's, and what was judged of each model last."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegauge.errors import NotFound, Unavailable
from tidegauge.lake.wildcard import ANY
from tidegauge.metrics import find_metric
from tidegauge.metrics.result import Basis
from tidegauge.server.exposition import CLOSED, MOST_MODELS, MOST_SERIES, Value
from tidegauge.server.known import Model
from tidegauge.server.lake_size import LakeSize
from tidegauge.server.shown import UNRESOLVED

if TYPE_CHECKING:
    from tidegauge.server.runtime import Runtime

#: Gauges of ages, by metric.
AGES = {name: f"tidegauge_{name}_seconds" for name in ("model_age", "baseline_age", "label_age")}
#: For how long the values of models are kept; a scrape costs nothing within it.
FRESH_SECONDS = 10.0
#: How long a scrape waits for them.
PATIENCE_SECONDS = 3.0
_log = logging.getLogger(__name__)


class ModelGauges:
    """Reads the gauges' values; those of a model anew only when its stored results changed.

    Parameters
    ----------
    runtime : Runtime
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._points: dict[int, tuple[int, datetime, list[Value]]] = {}
        self._held: list[Value] = []
        self._read_at = float("-inf")
        self._guard = threading.Lock()
        self._size = LakeSize(runtime.lake.root)
        self._reading: threading.Thread | None = None

    def __call__(self) -> Iterator[Value]:
        """Return the values as they are."""
        journal, intake = self._runtime.journal, self._runtime.intake
        yield Value("tidegauge_journal_entries", (), journal.depth())
        yield Value("tidegauge_journal_backlog_bytes", (), journal.backlog_bytes)
        yield Value("tidegauge_journal_queued_bytes", (), journal.queued_bytes)
        yield Value("tidegauge_journal_oldest_seconds", (), journal.oldest_age())
        limit = self._runtime.settings.max_backlog
        yield Value("tidegauge_journal_backlog_limit_bytes", (), limit)
        yield Value("tidegauge_requests_in_flight", (), intake.requests)
        flusher = self._runtime.flusher
        yield Value("tidegauge_flush_failing_tables", (), len(flusher.failing))
        if flusher.flushed_at is not None:
            yield Value("tidegauge_flush_last_timestamp_seconds", (), flusher.flushed_at)
        with suppress(OSError):
            free = shutil.disk_usage(self._runtime.settings.data).free
            yield Value("tidegauge_disk_free_bytes", (), free)
        yield Value("tidegauge_journal_damaged_pieces", (), journal.damaged)
        yield Value("tidegauge_process_threads", (), _threads())
        if self._runtime.scheduler is not None:
            holder = float(self._runtime.scheduler.leads)
            yield Value("tidegauge_scheduler_holder", (), holder)
        yield from self._kept()

    def forget(self) -> None:
        """Read everything anew at the next scrape."""
        self._read_at = float("-inf")

    def _kept(self) -> list[Value]:
        """Return the values of models; those of before, if catalog or lake do not answer soon."""
        with self._guard:
            reading = self._reading
            if reading is None and time.monotonic() - self._read_at > FRESH_SECONDS:
                reading = self._reading = threading.Thread(target=self._read, daemon=True)
                reading.start()
        if reading is not None:
            reading.join(PATIENCE_SECONDS)
        return self._held

    def _read(self) -> None:
        try:
            self._held = list(self._of_models())
        except Unavailable:
            pass  # readiness tells of it
        except Exception:
            _log.exception("what is known of models could not be read for /metrics")
        finally:
            with self._guard:
                self._read_at, self._reading = time.monotonic(), None

    def _of_models(self) -> Iterator[Value]:
        models = self._runtime.models()[:MOST_MODELS]
        names = {model.id: model for model in models}
        counts: Counter[tuple[str, str, str]] = Counter()
        for incident in self._runtime.catalog.incidents.all(states=UNRESOLVED):
            if incident.model_id in names:
                model = names[incident.model_id]
                counts[model.project, model.name, incident.severity] += 1
        for what, kind, amount in self._size.now():
            yield Value(f"tidegauge_lake_{what}", (kind,), amount)
        lags = self._runtime.lags()
        for model in models:
            for severity in ("critical", "warning", "info"):
                labels = model.project, model.name, severity
                yield Value("tidegauge_open_incidents", labels, counts[labels])
            if model.id in lags:
                yield from _work_of(model, lags[model.id])
            yield from self._newest(model)

    def _newest(self, model: Model) -> list[Value]:
        """Return what was judged of a model's newest closed window."""
        runtime = self._runtime
        version = runtime.lake.table_version(model.project, model.name, "points")
        closed = runtime.catalog.windows.closed_until(model.id)
        if version is None or closed is None:
            return []
        held = self._points.get(model.id)
        if held is None or held[:2] != (version, closed):
            points = runtime.engine.points(
                model.project, model.name, start=closed - model.window, end=closed, basis=ANY
            )
            values = list(_values(model, points.to_pylist(), closed))[:MOST_SERIES]
            held = self._points[model.id] = version, closed, values
        return held[2]


def _work_of(model: Model, lag: Mapping[str, int]) -> Iterator[Value]:
    """Say how far the closing of a model's windows has come."""
    name = model.project, model.name
    yield Value(CLOSED, name, lag["closed"])
    yield Value("tidegauge_windows_to_close", name, lag["windows"])
    behind = lag["windows"] * model.window.total_seconds()
    yield Value("tidegauge_window_lag_seconds", name, behind)
    yield Value("tidegauge_restatements_due", name, lag["restatements"])


def _threads() -> int:
    """Return how many threads the process has, Python's and others', where that can be told."""
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir())
    except OSError:
        return threading.active_count()


def _values(model: Model, rows: list[dict[str, Any]], closed: datetime) -> Iterator[Value]:
    versions = set()
    for row in rows:
        version = row["version"] or ""
        if row["metric"] in AGES and row["value"] is not None:
            yield Value(AGES[row["metric"]], (model.project, model.name, version), row["value"])
        if row["value"] is None or not _judged(row["metric"]):
            continue
        versions.add(version)
        labels = model.project, model.name, version, row["metric"], row["column"] or "", ""
        yield Value("tidegauge_metric_value", (*labels, row["basis"] or ""), row["value"])
        if row["basis"] == Basis.ESTIMATED:
            continue
        yield Value("tidegauge_metric_alarm", labels, float(row["state"] == "alarm"))
    for version in sorted(versions):
        named = model.project, model.name, version
        yield Value("tidegauge_window_end_seconds", named, closed.timestamp())


@cache
def _judged(metric: str) -> bool:
    try:
        return bool(find_metric(metric).judged)
    except NotFound:
        return False
