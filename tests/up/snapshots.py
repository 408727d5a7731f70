"""Made-up snapshots for the tests of what is shown."""

from __future__ import annotations

from typing import Any

from cli.up.snapshot import Addresses, Figures, Process, Rates, Snapshot

AT_MS = 1_800_000_000_000
REASON = "exit code 70 (INTERNAL), after: streams.batch_failed: KafkaException: broker transport failure"


def process(name: str, **fields: Any) -> Process:
    ready: dict[str, Any] = {"state": "ready", "pid": 4100, "up_s": 190.0, "rss_bytes": 68 << 20}
    return Process(name=name, **(ready | fields))


def snapshot(**fields: Any) -> Snapshot:
    """A healthy stack with some traffic; `fields` make it another one."""
    usual: dict[str, Any] = {
        "pid": 4000,
        "phase": "running",
        "state_dir": "/srv/shop/.sluice",
        "at_ms": AT_MS,
        "monotonic_s": 500.0,
        "up_s": 200.0,
        "processes": (
            process("kafka", pid=4001, rss_bytes=412 << 20),
            process("clickhouse", pid=4002, rss_bytes=1500 << 20),
            process("sink", pid=4003),
            process("streams", pid=4004),
            process("collector", pid=4005, up_s=8.0, restarts=2),
            process("registry", pid=4006),
        ),
        "figures": Figures(
            received=1_234_567,
            curated=1_230_000,
            duplicates=4_000,
            dead_letters=500,
            rows=1_229_950,
            waiting_streams=67,
            waiting_sink=50,
            newest_row_at_ms=AT_MS - 1_500,
            disk_used_bytes=143 << 20,
            disk_free_bytes=51 << 30,
        ),
        "rates": Rates(received=812.4, curated=810.0, duplicates=2.25, dead_letters=0.0, rows=805.0),
        "addresses": Addresses(
            collector_url="http://127.0.0.1:19001",
            clickhouse_url="http://127.0.0.1:19002",
            kafka_bootstrap="127.0.0.1:19003",
            registry_url="http://127.0.0.1:19004",
            key_hint="slc_live_abc…",
            key_file="/srv/shop/.sluice/endpoints.json",
            log_folder="/srv/shop/.sluice/logs",
        ),
    }
    return Snapshot(**(usual | fields))
