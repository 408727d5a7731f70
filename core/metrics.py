"""Every metric, once: names are a `Literal`, so a misspelt one does not type-check, and docs/metrics.md is made from
the table. The registry and its text format are prometheus_client's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from prometheus_client import Counter, Gauge, Histogram, start_http_server

MetricName = Literal[
    "sluice_collector_requests_total",
    "sluice_collector_events_total",
    "sluice_collector_refused_total",
    "sluice_collector_publish_seconds",
    "sluice_collector_diverted_events_total",
    "sluice_collector_bootstrap_requests_total",
    "sluice_streams_events_total",
    "sluice_streams_unplanned_events_total",
    "sluice_streams_dead_letters_total",
    "sluice_streams_dead_letter_alert",
    "sluice_streams_dead_letter_halts_total",
    "sluice_streams_paused",
    "sluice_streams_batch_events",
    "sluice_streams_transaction_seconds",
    "sluice_streams_dedupe_ids",
    "sluice_streams_enrich_events_total",
    "sluice_streams_enrich_seconds_total",
    "sluice_streams_enrich_cache_misses_total",
    "sluice_streams_enrich_over_budget_total",
    "sluice_streams_enrich_geo_files_total",
    "sluice_processor_events_total",
    "sluice_processor_records_total",
    "sluice_processor_batch_seconds",
    "sluice_sink_rows_total",
    "sluice_sink_insert_seconds",
    "sluice_sink_refused_rows_total",
    "sluice_sink_retries_total",
]


@dataclass(frozen=True, slots=True)
class Metric:
    name: MetricName
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0)

METRICS: tuple[Metric, ...] = (
    Metric("sluice_collector_requests_total", "counter", "HTTP requests to the collect endpoint.", ("status",)),
    Metric("sluice_collector_events_total", "counter", "Events judged by the collector.", ("verdict",)),
    Metric("sluice_collector_refused_total", "counter", "Requests refused before any endpoint saw them.", ("code",)),
    Metric("sluice_collector_publish_seconds", "histogram", "From publish to Kafka's acknowledgement.", (), _LATENCY),
    Metric("sluice_collector_bootstrap_requests_total", "counter", "Requests that used the bootstrap key."),
    Metric(
        "sluice_collector_diverted_events_total", "counter", "Events led through the historic lane: a tenant's flood."
    ),
    Metric("sluice_streams_events_total", "counter", "Raw records given an outcome.", ("outcome",)),
    Metric(
        "sluice_streams_unplanned_events_total",
        "counter",
        "Events with properties that their contract does not declare.",
        ("contract",),
    ),
    Metric("sluice_streams_dead_letters_total", "counter", "Dead letters by the contract they broke.", ("contract",)),
    Metric("sluice_streams_dead_letter_alert", "gauge", "1 while too many events break the contract.", ("contract",)),
    Metric("sluice_streams_dead_letter_halts_total", "counter", "Times a contract halted the streams.", ("contract",)),
    Metric("sluice_streams_paused", "gauge", "1 while this worker is told not to consume.", ()),
    Metric("sluice_streams_batch_events", "histogram", "Raw records in one transaction.", (), _SIZES),
    Metric("sluice_streams_transaction_seconds", "histogram", "One batch, begin to commit.", (), _LATENCY),
    Metric("sluice_streams_dedupe_ids", "gauge", "Event ids in the dedupe window.", ("partition",)),
    Metric("sluice_streams_enrich_events_total", "counter", "Events by step: done, failed or off.", ("step", "result")),
    Metric("sluice_streams_enrich_seconds_total", "counter", "Time that steps of the enrichment took.", ("step",)),
    Metric("sluice_streams_enrich_cache_misses_total", "counter", "Answers that no cache of the step held.", ("step",)),
    Metric(
        "sluice_streams_enrich_over_budget_total", "counter", "Times a step was switched off as too slow.", ("step",)
    ),
    Metric("sluice_streams_enrich_geo_files_total", "counter", "Geo databases opened or refused.", ("result",)),
    Metric(
        "sluice_processor_events_total",
        "counter",
        "Events of a processor: processed, dead_letter, or skipped as another contract's.",
        ("processor", "result"),
    ),
    Metric("sluice_processor_records_total", "counter", "Records that a processor wrote.", ("processor",)),
    Metric(
        "sluice_processor_batch_seconds",
        "histogram",
        "One batch of a processor to its commit.",
        ("processor",),
        _LATENCY,
    ),
    Metric("sluice_sink_rows_total", "counter", "Rows stored in ClickHouse.", ("table",)),
    Metric("sluice_sink_insert_seconds", "histogram", "One insert, sent to answered.", (), _LATENCY),
    Metric("sluice_sink_refused_rows_total", "counter", "Rows that ClickHouse refused: dead letters.", ("table",)),
    Metric(
        "sluice_sink_retries_total", "counter", "Inserts sent again, by what the first attempt ended with.", ("cause",)
    ),
)
_BY_NAME = {metric.name: metric for metric in METRICS}


@cache
def counter(name: MetricName) -> Counter:
    metric = _BY_NAME[name]
    return Counter(name, metric.help, metric.labels)


@cache
def gauge(name: MetricName) -> Gauge:
    metric = _BY_NAME[name]
    return Gauge(name, metric.help, metric.labels)


@cache
def histogram(name: MetricName) -> Histogram:
    metric = _BY_NAME[name]
    return Histogram(name, metric.help, metric.labels, buckets=metric.buckets)


def serve(port: int) -> None:
    """Serve `/metrics` on loopback from a daemon thread; nothing if `port` is 0."""
    if port:
        start_http_server(port, addr="127.0.0.1")
