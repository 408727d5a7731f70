"""Which tables a layer of retention is."""

from __future__ import annotations

from sinks.clickhouse import ClickHouse
from sinks.retention.policy import Layer
from sinks.rollups import discover

TABLES = {
    Layer.ARCHIVE: ("raw_archive_log",),
    Layer.EVENTS: ("events_log",),
    Layer.OUTCOMES: ("outcomes_log", "restated_outcomes_log"),
    Layer.DEAD_LETTERS: ("dead_letters_log",),
    Layer.AUDIT: ("audit_log",),
    Layer.ABUSE: ("abuse_log", "drops_log"),
}


def of_layer(server: ClickHouse, layer: Layer) -> tuple[str, ...]:
    if layer is not Layer.ROLLUPS:
        return TABLES[layer]
    return tuple(rollup.target.rpartition(".")[2].strip("`") for rollup in discover(server))
