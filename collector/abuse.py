"""Requests that were refused for who sent them, counted by who and why and told now and then in the abuse topic."""

from __future__ import annotations

import threading
from collections import Counter
from typing import NamedTuple

from collector.network import cut
from core import metrics
from core.beside import Beside
from core.clock import Clock
from core.settings import Settings
from core.topics import Topics
from schemas import abuse

# Of one interval. More are counted together, without tenant, key and network.
_MAX_ROWS = 5_000


class _Row(NamedTuple):
    reason: str
    tenant: str
    key_id: str
    network: str


class AbuseLog:
    """`count` is called by the event loop, `told` by the thread that writes. Keeps no address that is not cut."""

    def __init__(self, settings: Settings, *, collector: str, clock: Clock) -> None:
        self._topic = Topics.named(settings.topic_prefix).abuse
        self._collector = collector
        self._clock = clock
        self._lock = threading.Lock()
        self._rows: Counter[_Row] = Counter()
        self._since = clock.now_ms()
        self._metric = metrics.counter("sluice_collector_abuse_total")

    def count(self, reason: str, *, address: str, tenant: str = "", key_id: str = "") -> None:
        row = _Row(reason, tenant, key_id, cut(address))
        self._metric.labels(reason).inc()
        with self._lock:
            if row not in self._rows and len(self._rows) >= _MAX_ROWS:
                row = _Row(reason, "", "", "")
            self._rows[row] += 1

    def told(self) -> list[Beside]:
        """Records of what was counted since the last call."""
        with self._lock:
            rows, self._rows = self._rows, Counter()
            since, self._since = self._since, self._clock.now_ms()
            until = self._since
        return [
            Beside(
                self._topic,
                row.key_id.encode(),
                abuse.encode(
                    abuse.Abuse(since=since, until=until, collector=self._collector, requests=requests, **row._asdict())
                ),
            )
            for row, requests in rows.items()
        ]
