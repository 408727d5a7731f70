"""Every metric, once: names are a `Literal`, so a misspelt one does not type-check, and docs/metrics.md is made from
the table. The registry and its text format are prometheus_client's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Counter, Gauge, Histogram, start_http_server

MetricName = Literal[
    "sluice_collector_requests_total",
    "sluice_collector_events_total",
    "sluice_collector_refused_total",
    "sluice_collector_descriptors_exhausted_total",
    "sluice_collector_publish_seconds",
    "sluice_collector_spooling",
    "sluice_collector_spool_bytes",
    "sluice_collector_spool_records",
    "sluice_collector_spool_oldest_seconds",
    "sluice_collector_spool_stored_total",
    "sluice_collector_spool_fsyncs_total",
    "sluice_collector_spool_drained_total",
    "sluice_collector_spool_adopted_total",
    "sluice_collector_spool_set_aside_total",
    "sluice_collector_spool_damage_total",
    "sluice_collector_bootstrap_requests_total",
    "sluice_collector_diverted_events_total",
    "sluice_collector_limited_requests_total",
    "sluice_collector_limit_evictions",
    "sluice_collector_limit_unlocked",
    "sluice_collector_abuse_total",
    "sluice_streams_events_total",
    "sluice_streams_latency_seconds",
    "sluice_streams_lag_events",
    "sluice_streams_queued_batches",
    "sluice_streams_unplanned_events_total",
    "sluice_streams_dead_letters_total",
    "sluice_streams_dead_letter_codes_total",
    "sluice_streams_dead_letter_alert",
    "sluice_streams_dead_letter_halts_total",
    "sluice_streams_contract_refused",
    "sluice_streams_paused",
    "sluice_streams_batch_events",
    "sluice_streams_transaction_seconds",
    "sluice_streams_dedupe_ids",
    "sluice_streams_dedupe_horizon_seconds",
    "sluice_streams_dedupe_forgotten_ids",
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
    local: bool = False  # changed by one thread only: `core.local_metrics` has it


_LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0)

METRICS: tuple[Metric, ...] = (
    Metric(
        "sluice_collector_requests_total", "counter", "HTTP requests to the collect endpoint.", ("status",), local=True
    ),
    Metric("sluice_collector_events_total", "counter", "Events judged by the collector.", ("verdict",), local=True),
    Metric("sluice_collector_refused_total", "counter", "Requests refused before any endpoint saw them.", ("code",)),
    Metric(
        "sluice_collector_descriptors_exhausted_total",
        "counter",
        "Seconds in which no file or connection could be opened: new connections were reset.",
    ),
    Metric(
        "sluice_collector_publish_seconds",
        "histogram",
        "From publish to the acknowledgement of Kafka or of the spool.",
        (),
        _LATENCY,
        local=True,
    ),
    Metric("sluice_collector_spooling", "gauge", "1 while events go to the local spool instead of Kafka."),
    Metric("sluice_collector_spool_bytes", "gauge", "Size of the spool's files."),
    Metric("sluice_collector_spool_records", "gauge", "Spooled records that Kafka does not have yet."),
    Metric("sluice_collector_spool_oldest_seconds", "gauge", "Age of the oldest of them."),
    Metric("sluice_collector_spool_stored_total", "counter", "Records written to the spool."),
    Metric("sluice_collector_spool_fsyncs_total", "counter", "Commits of the spool, one sync each."),
    Metric("sluice_collector_spool_drained_total", "counter", "Spooled records that Kafka has taken."),
    Metric("sluice_collector_spool_adopted_total", "counter", "Folders with records taken over from dead processes."),
    Metric("sluice_collector_spool_set_aside_total", "counter", "Spooled records that Kafka refuses for their size."),
    Metric(
        "sluice_collector_spool_damage_total",
        "counter",
        "Damage met: torn tails cut off, places that hold no readable record, files that cannot be read.",
        ("kind",),
    ),
    Metric("sluice_collector_bootstrap_requests_total", "counter", "Requests that used the bootstrap key.", local=True),
    Metric(
        "sluice_collector_diverted_events_total", "counter", "Events led through the historic lane: a tenant's flood."
    ),
    Metric("sluice_collector_limited_requests_total", "counter", "Times a rate limit was used up.", ("limit",)),
    Metric("sluice_collector_limit_evictions", "gauge", "Clients forgotten by the rate limits for want of room.", ()),
    Metric("sluice_collector_limit_unlocked", "gauge", "Checks of rate limits without a lock: its holder hung.", ()),
    Metric("sluice_collector_abuse_total", "counter", "Refused keys and requests above a limit.", ("reason",)),
    Metric("sluice_streams_events_total", "counter", "Raw records given an outcome.", ("outcome",)),
    Metric(
        "sluice_streams_latency_seconds",
        "histogram",
        "From the collector's receiving of an event to the commit of its curated record; estimated by a sample.",
        ("lane",),
        _LATENCY,
    ),
    Metric("sluice_streams_lag_events", "gauge", "Raw records without an outcome yet.", ("lane", "partition")),
    Metric("sluice_streams_queued_batches", "gauge", "Batches consumed and not handled yet.", ()),
    Metric(
        "sluice_streams_unplanned_events_total",
        "counter",
        "Events with properties that their contract does not declare.",
        ("contract",),
    ),
    Metric("sluice_streams_dead_letters_total", "counter", "Dead letters by the contract they broke.", ("contract",)),
    Metric("sluice_streams_dead_letter_codes_total", "counter", "Dead letters by the code of their reason.", ("code",)),
    Metric("sluice_streams_dead_letter_alert", "gauge", "1 while too many events break the contract.", ("contract",)),
    Metric("sluice_streams_dead_letter_halts_total", "counter", "Times a contract halted the streams.", ("contract",)),
    Metric(
        "sluice_streams_contract_refused",
        "gauge",
        "1 for a released contract that this worker cannot use: what was in force before still is.",
        ("contract",),
    ),
    Metric("sluice_streams_paused", "gauge", "1 while this worker is told not to consume.", ()),
    Metric("sluice_streams_batch_events", "histogram", "Raw records in one transaction.", (), _SIZES),
    Metric("sluice_streams_transaction_seconds", "histogram", "One batch, begin to commit.", (), _LATENCY),
    Metric("sluice_streams_dedupe_ids", "gauge", "Event ids in the dedupe window.", ("partition",)),
    Metric(
        "sluice_streams_dedupe_horizon_seconds",
        "gauge",
        "How far back the dedupe window reaches: from its oldest ids to its newest.",
        ("partition",),
    ),
    Metric(
        "sluice_streams_dedupe_forgotten_ids",
        "gauge",
        "Ids that the window forgot since the partition was taken, by the bound that ended first: time or count.",
        ("partition", "bound"),
    ),
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


def row(name: MetricName) -> Metric:
    """The table's."""
    return _BY_NAME[name]


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


def observe_many(of: Histogram, values: NDArray[np.float64], *, weight: float = 1.0) -> None:
    """Observe each of `values` as if it had come `weight` times.

    By attributes that prometheus_client keeps to itself, because it offers nothing of the kind.
    """
    counts = np.bincount(np.searchsorted(of._upper_bounds, values), minlength=len(of._buckets))
    for bucket, number in zip(of._buckets, counts.tolist(), strict=True):
        if number:
            bucket.inc(number * weight)
    of._sum.inc(float(values.sum()) * weight)


def serve(port: int) -> None:
    """Serve `/metrics` on loopback from a daemon thread; nothing if `port` is 0."""
    if port:
        start_http_server(port, addr="127.0.0.1")
