"""Counters and histograms that cost a request next to nothing; collected when they are scraped.

They hold plain numbers by their labels' values, one lock, and no objects for each label: an update
takes a fraction of a microsecond, where `prometheus_client`'s own takes several.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

_Labels = tuple[str, ...]


class Tally(Collector):
    """A counter by labels.

    Parameters
    ----------
    name : str
        Without ``_total``.
    tells : str
    labels : sequence of str

    Examples
    --------
    >>> tally = Tally("tidegauge_requests", "Requests.", ("code",))
    >>> tally.add(("202",)); tally.add(("202",), 2)
    >>> tally.value(("202",))
    3.0
    """

    def __init__(self, name: str, tells: str, labels: Sequence[str] = ()) -> None:
        self._about = (name, tells, tuple(labels))
        self._guard = threading.Lock()
        self._values: dict[_Labels, float] = {} if labels else {(): 0.0}

    def add(self, labels: _Labels = (), amount: float = 1.0) -> None:
        """Count."""
        with self._guard:
            self._values[labels] = self._values.get(labels, 0.0) + amount

    def value(self, labels: _Labels = ()) -> float:
        """Return what was counted."""
        return self._values.get(labels, 0.0)

    def describe(self) -> Iterator[Metric]:
        """Name the counter."""
        yield self._family()

    def collect(self) -> Iterator[Metric]:
        """Return the counter with its values."""
        family = self._family()
        for labels, value in list(self._values.items()):
            family.add_metric(list(labels), value)
        yield family

    def _family(self) -> CounterMetricFamily:
        name, tells, labels = self._about
        return CounterMetricFamily(name, tells, labels=labels)


class Durations(Collector):
    """A histogram by labels; of seconds, mostly.

    Parameters
    ----------
    name : str
    tells : str
    bounds : sequence of float
        Upper bounds of the buckets, in order, without infinity.
    labels : sequence of str

    Examples
    --------
    >>> held = Durations("tidegauge_commit_seconds", "Commits.", (0.01, 0.1))
    >>> for seconds in (0.004, 0.05, 3.0):
    ...     held.observe(seconds)
    >>> [sample.value for metric in held.collect() for sample in metric.samples]
    [1.0, 2.0, 3.0, 3.0, 3.054]
    """

    def __init__(
        self, name: str, tells: str, bounds: Sequence[float], labels: Sequence[str] = ()
    ) -> None:
        self._about = (name, tells, tuple(labels))
        self._bounds = tuple(bounds)
        self._guard = threading.Lock()
        # Of each: counts of every bucket and beyond, then the sum.
        self._held: dict[_Labels, list[float]] = {}
        if not labels:
            self._held[()] = self._empty()

    def _empty(self) -> list[float]:
        return [0.0] * (len(self._bounds) + 2)

    def observe(self, value: float, labels: _Labels = ()) -> None:
        """Note one value."""
        place = bisect_left(self._bounds, value)
        with self._guard:
            held = self._held.get(labels)
            if held is None:
                held = self._held[labels] = self._empty()
            held[place] += 1
            held[-1] += value

    def count(self, labels: _Labels = ()) -> int:
        """Return how many values were noted."""
        return int(sum(self._held.get(labels, [0.0])[:-1]))

    def describe(self) -> Iterator[Metric]:
        """Name the histogram."""
        yield self._family()

    def collect(self) -> Iterator[Metric]:
        """Return the histogram with its values."""
        family = self._family()
        with self._guard:
            copied = {labels: list(held) for labels, held in self._held.items()}
        for labels, (*counts, total) in copied.items():
            buckets, so_far = [], 0.0
            for bound, count in zip((*self._bounds, float("inf")), counts, strict=True):
                so_far += count
                buckets.append(("+Inf" if bound == float("inf") else str(bound), so_far))
            family.add_metric(list(labels), buckets, sum_value=total)
        yield family

    def _family(self) -> HistogramMetricFamily:
        name, tells, labels = self._about
        return HistogramMetricFamily(name, tells, labels=labels)
