"""Counters and histograms for one thread's hot path: a tenth of the cost of those that any thread may change.

Rows of the same table (`core.metrics`), in the same registry. Whoever scrapes may see a request half counted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from functools import cache

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from core.metrics import MetricName, row


class LocalCounter(Collector):
    """Has one label, or none, which is written ""."""

    def __init__(self, name: MetricName) -> None:
        self._row = row(name)
        self._counts: dict[str | int, int] = {}
        REGISTRY.register(self)

    def add(self, label: str | int = "", count: int = 1) -> None:
        counts = self._counts
        counts[label] = counts.get(label, 0) + count

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(self._row.name, self._row.help, labels=self._row.labels)
        for label, count in self._counts.copy().items():
            family.add_metric([str(label)] if self._row.labels else [], count)
        yield family


class LocalHistogram(Collector):
    """Has no labels."""

    def __init__(self, name: MetricName) -> None:
        self._row = row(name)
        self._counts = [0] * (len(self._row.buckets) + 1)
        self._sum = 0.0
        REGISTRY.register(self)

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._row.buckets, value)] += 1
        self._sum += value

    def collect(self) -> Iterator[Metric]:
        below, buckets = 0, []
        for bound, count in zip((*map(str, self._row.buckets), "+Inf"), self._counts, strict=True):
            below += count
            buckets.append((bound, below))
        family = HistogramMetricFamily(self._row.name, self._row.help)
        family.add_metric([], buckets, self._sum)
        yield family


@cache
def counter(name: MetricName) -> LocalCounter:
    return LocalCounter(name)


@cache
def histogram(name: MetricName) -> LocalHistogram:
    return LocalHistogram(name)
