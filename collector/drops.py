"""Events that were understood and not stored, counted by tenant, event and reason and told in the drops topic.

1. Counts only grow, from 0 at the begin of the process's life, its epoch.
2. A record says what has changed since the last one that Kafka acknowledged, and the total of everything. One is on its
   way at a time. What is not acknowledged is told again, with the same sequence and the counts of then: an outage costs
   nothing, and a record that arrived all the same is known by its sequence.
3. The first record is written at the start, the last, which lists everything, at the end. A process that is killed
   takes with it what it had not told: that its epoch has no closing record shows it.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple, Protocol

from core.beside import Beside
from core.clock import Clock
from core.settings import Settings
from core.topics import Topics
from schemas import drops

# Of one epoch; each takes memory and a place in the closing record. Beyond it events of a tenant are counted without
# their names, and beyond twice as many without their tenant.
MAX_ROWS = 1_000
# What names of events look like. Others could be anything, and nothing else of a dropped event is written.
_NAME = re.compile(r"[A-Za-z0-9_.:$/ -]{1,100}")


class Dropped(NamedTuple):
    """One event. `reason` is the code of its verdict."""

    tenant: str
    event: str
    reason: str


class Told(Protocol):
    def __call__(self, *, stored: bool) -> None: ...


class Telling(NamedTuple):
    """A record to be written. `told` is to be called with whether Kafka has it."""

    record: Beside
    told: Told


class DropLog:
    """`count` is called by the event loop, everything else by the thread that writes."""

    def __init__(self, settings: Settings, *, collector: str, clock: Clock) -> None:
        self._topic = Topics.named(settings.topic_prefix).drops
        self._collector = collector
        self._clock = clock
        self._epoch = secrets.token_hex(16)
        self._lock = threading.Lock()
        self._totals: Counter[Dropped] = Counter()
        # As of the last record that Kafka has.
        self._known: Counter[Dropped] = Counter()
        self._since = clock.now_ms()
        self._sequence = 0
        self._under_way = False

    def count(self, dropped: Iterable[Dropped]) -> None:
        with self._lock:
            for each in dropped:
                self._totals[self._row(each)] += 1

    def telling(self, *, closing: bool = False) -> Telling | None:
        """What is to be told now, None if that is nothing or a record is on its way still."""
        with self._lock:
            totals = self._totals.copy()
        changed = totals - self._known
        if not closing and (self._under_way or (self._sequence and not changed)):
            return None
        self._under_way = True
        until = max(self._clock.now_ms(), self._since)
        rows = totals if closing else changed
        record = drops.Drops(
            collector=self._collector,
            epoch=self._epoch,
            sequence=self._sequence,
            since=self._since,
            until=until,
            closing=closing,
            total=totals.total(),
            drops=tuple(drops.Drop(*row, changed[row], totals[row]) for row in sorted(rows)),
        )
        beside = Beside(self._topic, self._epoch.encode(), drops.encode(record))
        return Telling(beside, partial(self._told, totals, until))

    def _told(self, totals: Counter[Dropped], until: int, *, stored: bool) -> None:
        self._under_way = False
        if stored:
            self._known, self._since = totals, until
            self._sequence += 1

    def _row(self, dropped: Dropped) -> Dropped:
        row = dropped if _NAME.fullmatch(dropped.event) else dropped._replace(event="")
        if row not in self._totals and len(self._totals) >= MAX_ROWS:
            row = row._replace(event="")
        if row not in self._totals and len(self._totals) >= 2 * MAX_ROWS:
            row = row._replace(tenant="")
        return row
