"""Metrics of one thread say in the registry what the others say."""

from __future__ import annotations

from prometheus_client import REGISTRY, generate_latest

from core import local_metrics


def test_a_counter_with_a_label() -> None:
    counter = local_metrics.counter("sluice_collector_events_total")
    before = REGISTRY.get_sample_value("sluice_collector_events_total", {"verdict": "retry"}) or 0.0
    counter.add("retry")
    counter.add("retry", 4)
    assert REGISTRY.get_sample_value("sluice_collector_events_total", {"verdict": "retry"}) == before + 5
    assert local_metrics.counter("sluice_collector_events_total") is counter


def test_a_histogram() -> None:
    histogram = local_metrics.histogram("sluice_collector_publish_seconds")

    def value(suffix: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(f"sluice_collector_publish_seconds_{suffix}", labels) or 0.0

    before = {le: value("bucket", le=le) for le in ("0.001", "0.0025", "10.0", "+Inf")}
    total = value("sum")
    for seconds in (0.001, 0.002, 11.0):
        histogram.observe(seconds)
    assert {le: value("bucket", le=le) - before[le] for le in before} == {"0.001": 1, "0.0025": 2, "10.0": 2, "+Inf": 3}
    assert abs(value("sum") - total - 11.003) < 1e-9
    assert b'sluice_collector_publish_seconds_bucket{le="+Inf"}' in generate_latest()
