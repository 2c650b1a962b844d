"""What the server tells Prometheus: its own counters, and each model's newest judged results."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

#: Models with counters of their own; those beyond share the name `OTHER`.
MOST_MODELS = 2_000
#: Series of one model and version.
MOST_SERIES = 2_000
OTHER = "(other)"
_MODEL = ("project", "model")
Family: TypeAlias = GaugeMetricFamily | CounterMetricFamily
_FLUSH_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


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


#: The counter of closed windows, which is asked for like a gauge.
CLOSED_TELLS = "Windows of event time that were closed."
#: Gauges by name: what they tell, and their labels.
CLOSED = "tidegauge_windows_closed"
GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "tidegauge_journal_entries": ("Acknowledged requests that wait for the lake.", ()),
    "tidegauge_journal_backlog_bytes": ("Bytes of these.", ()),
    "tidegauge_journal_queued_bytes": ("Bytes of requests that wait for their commit.", ()),
    "tidegauge_journal_oldest_seconds": ("How long the oldest entry has waited.", ()),
    "tidegauge_requests_in_flight": ("Requests with records that are being worked on.", ()),
    "tidegauge_flush_failing_tables": ("Tables that could not be written lately.", ()),
    "tidegauge_metric_value": (
        "A judged metric in the newest closed window, over the whole model.",
        ("project", "model", "version", "metric", "column", "segment"),
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
    >>> counters.accepted.labels(*counters.model("default", "demo")).inc(5)
    >>> counters.registry.get_sample_value(
    ...     "tidegauge_records_accepted_total", {"project": "default", "model": "demo"})
    5.0
    >>> counters.registry.get_sample_value("tidegauge_journal_entries")
    3.0
    """

    def __init__(self, gauges: Callable[[], Iterable[Value]]) -> None:
        self.registry = CollectorRegistry()
        self._models: set[tuple[str, str]] = set()
        self._guard = threading.Lock()
        self.accepted = self._counter("records_accepted", "Records taken in, durable.")
        self.quarantined = self._counter("records_quarantined", "Records and labels kept aside.")
        self.repeated = self._counter("records_repeated", "Repeats inside of a request.")
        self.labels = self._counter("labels_accepted", "Labels taken in, durable.")
        self.refused = Counter(
            "tidegauge_requests_refused",
            "Requests with records that were answered 4xx, by code.",
            ("code",),
            registry=self.registry,
        )
        self.flush_seconds = Histogram(
            "tidegauge_flush_seconds",
            "Duration of moving what is journalled to the lake.",
            buckets=_FLUSH_BUCKETS,
            registry=self.registry,
        )
        self.flush_failures = Counter(
            "tidegauge_flush_failures",
            "Tables that could not be written, each time.",
            registry=self.registry,
        )
        self.registry.register(_Gauges(gauges))

    def _counter(self, name: str, tells: str) -> Counter:
        return Counter(f"tidegauge_{name}", tells, _MODEL, registry=self.registry)

    def model(self, project: str, model: str) -> tuple[str, str]:
        """Return the labels of a model; so many that no scrape grows without bound."""
        with self._guard:
            if (project, model) not in self._models:
                if len(self._models) >= MOST_MODELS:
                    return OTHER, OTHER
                self._models.add((project, model))
        return project, model


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
    families[CLOSED] = CounterMetricFamily(CLOSED, CLOSED_TELLS, labels=_MODEL)
    return families
