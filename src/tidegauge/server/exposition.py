"""What the server tells Prometheus: its own counters, and each model's newest judged results."""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    Info,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tidegauge.server.tallies import Durations, Tally
from tidegauge.version import __version__

#: Models with counters of their own; those beyond share the name `OTHER`.
MOST_MODELS = 2_000
#: Series of one model and version.
MOST_SERIES = 2_000
OTHER = "(other)"
_MODEL = ("project", "model")
_RESOURCE = (*_MODEL, "resource")
Family: TypeAlias = GaugeMetricFamily | CounterMetricFamily
_FLUSH_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
_COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_GROUP_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


@dataclass(frozen=True)
class Value:
    """One sample of a gauge.

    Parameters
    ----------
    name : str
    labels : tuple of str
        Values of the gauge's labels, in its order.
    value : float
    """

    name: str
    labels: tuple[str, ...]
    value: float


#: Counters that are asked for like gauges.
CLOSED = "tidegauge_windows_closed"
COUNTED = {CLOSED: ("Windows of event time that were closed.", _MODEL)}
#: Gauges by name: what they tell, and their labels.
GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "tidegauge_journal_entries": ("Acknowledged requests that wait for the lake.", ()),
    "tidegauge_journal_backlog_bytes": ("Bytes of these.", ()),
    "tidegauge_journal_backlog_limit_bytes": (
        "Bytes that may wait; from there on senders are told to come again.",
        (),
    ),
    "tidegauge_journal_queued_bytes": ("Bytes of requests that wait for their commit.", ()),
    "tidegauge_journal_oldest_seconds": ("How long the oldest entry has waited.", ()),
    "tidegauge_journal_damaged_pieces": (
        "Pieces of the journal that could not be read and are kept aside.",
        (),
    ),
    "tidegauge_requests_in_flight": ("Requests with records that are being worked on.", ()),
    "tidegauge_flush_failing_tables": ("Tables that could not be written lately.", ()),
    "tidegauge_flush_last_timestamp_seconds": ("When the last flush ended, in Unix seconds.", ()),
    "tidegauge_disk_free_bytes": ("Free bytes on the data folder's disk.", ()),
    "tidegauge_lake_files": (
        "Parquet files of the lake's tables on a local disk, with those to be cleaned up.",
        ("kind",),
    ),
    "tidegauge_lake_bytes": ("Bytes of these.", ("kind",)),
    "tidegauge_lake_log_entries": ("Commits in the logs of the lake's tables.", ("kind",)),
    "tidegauge_scheduler_holder": (
        "1 on the server that closes windows, 0 on one that stands by.",
        (),
    ),
    "tidegauge_window_lag_seconds": (
        "From the end of the newest closed window to the end of the newest that could be closed; "
        "told by the server that closes windows.",
        _MODEL,
    ),
    "tidegauge_windows_to_close": ("Windows that could be closed and are not yet.", _MODEL),
    "tidegauge_restatements_due": (
        "Closed windows to be computed again for late labels or records.",
        _MODEL,
    ),
    "tidegauge_process_threads": ("Threads of this process.", ()),
    "tidegauge_metric_value": (
        "A judged metric in the newest closed window, over the whole model; of performance also "
        "what is estimated (basis).",
        ("project", "model", "version", "metric", "column", "segment", "basis"),
    ),
    "tidegauge_metric_alarm": (
        "1 where that value is outside of what is expected, else 0.",
        ("project", "model", "version", "metric", "column", "segment"),
    ),
    "tidegauge_model_age_seconds": (
        "From the version's first record to the end of the newest closed window.",
        ("project", "model", "version"),
    ),
    "tidegauge_baseline_age_seconds": (
        "From the baseline's last record to the end of the newest closed window.",
        ("project", "model", "version"),
    ),
    "tidegauge_label_age_seconds": (
        "From the newest record with a label to the end of the newest closed window.",
        ("project", "model", "version"),
    ),
    "tidegauge_window_end_seconds": (
        "End of the newest closed window, in Unix seconds.",
        ("project", "model", "version"),
    ),
    "tidegauge_open_incidents": (
        "Incidents that are open or acknowledged.",
        ("project", "model", "severity"),
    ),
}


class Counters:
    """Counters of this process, in a registry of their own.

    Parameters
    ----------
    gauges : callable
        Returns the gauges' values when they are asked for.

    Examples
    --------
    >>> counters = Counters(lambda: [Value("tidegauge_journal_entries", (), 3.0)])
    >>> counters.count("default", "demo", "predictions", accepted=5)
    >>> counters.registry.get_sample_value("tidegauge_records_accepted_total",
    ...     {"project": "default", "model": "demo", "resource": "predictions"})
    5.0
    >>> counters.registry.get_sample_value("tidegauge_journal_entries")
    3.0
    """

    def __init__(self, gauges: Callable[[], Iterable[Value]]) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        about = {"version": __version__, "python": platform.python_version()}
        Info("tidegauge_build", "What is running here.", registry=registry).info(about)
        self._models: set[tuple[str, str]] = set()
        self._guard = threading.Lock()
        self.accepted = self._tally("records_accepted", "Taken in, durable.", _RESOURCE)
        self.quarantined = self._tally("records_quarantined", "Kept aside, durable.", _RESOURCE)
        self.repeated = self._tally("records_repeated", "Repeats inside of a request.", _RESOURCE)
        self.refused = Counter(
            "tidegauge_requests_refused",
            "Requests with records that were answered 4xx, by code.",
            ("code",),
            registry=registry,
        )
        self._of_journal()
        self._of_flusher()
        self.round_seconds = Histogram(
            "tidegauge_scheduler_round_seconds",
            "Duration of a look at every model for windows to close or restate.",
            buckets=_FLUSH_BUCKETS,
            registry=registry,
        )
        self.restated = self._tally("windows_restated", "Windows that were computed again.", _MODEL)
        self.catalog_failures = self._tally(
            "catalog_failures", "Calls of the catalog's database that failed, by error.", ("error",)
        )
        self.lake_failures = self._tally(
            "lake_failures",
            "Calls of the lake's store that failed, by what was done: check, log, read, write.",
            ("operation",),
        )
        registry.register(_Gauges(gauges))

    def _of_journal(self) -> None:
        self.commit_seconds = Durations(
            "tidegauge_journal_commit_seconds",
            "Duration of a commit of the journal, until it is on disk.",
            _COMMIT_BUCKETS,
        )
        self.commit_requests = Durations(
            "tidegauge_journal_commit_requests",
            "Requests that share a commit of the journal.",
            _GROUP_BUCKETS,
        )
        self.registry.register(self.commit_seconds)
        self.registry.register(self.commit_requests)
        self.written = self._tally("journal_written_bytes", "Bytes written to the journal.")

    def _of_flusher(self) -> None:
        self.flush_seconds = Histogram(
            "tidegauge_flush_seconds",
            "Duration of moving what is journalled to the lake.",
            buckets=_FLUSH_BUCKETS,
            registry=self.registry,
        )
        kind = ("kind",)
        self.flush_rows = self._tally("flush_rows", "Rows moved to the lake, by table.", kind)
        self.flush_bytes = self._tally(
            "flush_bytes", "Bytes of rows moved to the lake, in memory, by table.", kind
        )
        self.flush_failures = self._tally(
            "flush_failures", "Tables that could not be written, each time."
        )

    def _tally(self, name: str, tells: str, labels: tuple[str, ...] = ()) -> Tally:
        made = Tally(f"tidegauge_{name}", tells, labels)
        self.registry.register(made)
        return made

    def count(
        self,
        project: str,
        model: str,
        resource: str,
        *,
        accepted: int = 0,
        repeated: int = 0,
        quarantined: int = 0,
    ) -> None:
        """Count what a request brought."""
        labels = (*self.model(project, model), resource)
        self.accepted.add(labels, accepted)
        if repeated:
            self.repeated.add(labels, repeated)
        if quarantined:
            self.quarantined.add(labels, quarantined)

    def committed(self, seconds: float, requests: int, size: int) -> None:
        """Note a commit of the journal: its duration, how many requests share it, its bytes."""
        self.commit_seconds.observe(seconds)
        self.commit_requests.observe(requests)
        self.written.add((), size)

    def flushed(self, kind: str, rows: int, size: int) -> None:
        """Note rows that were written to a table, with their bytes in memory."""
        self.flush_rows.add((kind,), rows)
        self.flush_bytes.add((kind,), size)

    def catalog_failed(self, error: str) -> None:
        """Note that a call of the catalog's database failed, with the kind of the error."""
        self.catalog_failures.add((error,))

    def lake_failed(self, what: str) -> None:
        """Note that a call of the lake's store failed, with what was done."""
        self.lake_failures.add((what,))

    def model(self, project: str, model: str) -> tuple[str, str]:
        """Return the labels of a model; so many that no scrape grows without bound."""
        name = project, model
        if name in self._models:
            return name
        with self._guard:
            if len(self._models) >= MOST_MODELS:
                return OTHER, OTHER
            self._models.add(name)
        return name


class _Gauges(Collector):
    """Asks for values when it is scraped."""

    def __init__(self, gauges: Callable[[], Iterable[Value]]) -> None:
        self._gauges = gauges

    def describe(self) -> Iterator[Metric]:
        """Name the gauges without asking for their values."""
        yield from _families().values()

    def collect(self) -> Iterator[Metric]:
        """Return the gauges with their values."""
        families = _families()
        for value in self._gauges():
            families[value.name].add_metric(list(value.labels), value.value)
        yield from families.values()


def _families() -> dict[str, Family]:
    families: dict[str, Family] = {
        name: GaugeMetricFamily(name, tells, labels=labels)
        for name, (tells, labels) in GAUGES.items()
    }
    for name, (tells, labels) in COUNTED.items():
        families[name] = CounterMetricFamily(name, tells, labels=labels)
    return families
