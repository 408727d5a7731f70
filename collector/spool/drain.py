"""Takes the oldest records of a log back to Kafka, in their order, one batch after the other.

1. A batch is read, sent, and waited for: the next one leaves when every record of it is stored. So no record overtakes
   another of its key, whatever fails.
2. A record that is refused for its size is sent once more alone, because Kafka judges whole requests. Refused again, it
   is set aside with the reason: it must not hold up those behind it.
3. Only then is the batch acknowledged. A crash before that sends it twice, which is recognised downstream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from functools import partial
from typing import TypeVar

from collector.publisher import Failure, Fate, Record
from collector.spool.log import Batch, SpoolLog
from core import metrics
from core.clock import Clock
from core.failpoints import hit
from core.log import get_logger

log = get_logger(__name__)
Result = TypeVar("Result")

# One batch waits for one acknowledgement: fewer make the way to Kafka and back the bound, more make a crash send more
# records twice. A window of the file (1 MiB) bounds it too.
BATCH_RECORDS = 5_000
# A batch is sent at once, so at a low rate it is a small one.
BATCH_S = 0.25
# What is handed to the client at once: the event loop serves others in between.
CHUNK_RECORDS = 250
# Of a Kafka that has just come back, as long as it has not taken anything.
FIRST_BATCH_RECORDS = 50
REFUSED = "Kafka refused it for its size"

Send = Callable[[Sequence[Record]], Awaitable[Sequence[Fate]]]
SetAside = Callable[[Record, str], None]


class Step(Enum):
    MOVED = "moved"
    EMPTY = "empty"
    NOT_TAKEN = "not taken"  # Kafka did not acknowledge it: the same records come again


class Drain:
    """`rate` is in records a second, and comes on top of twice what `arrived` meanwhile: a spool that grows while it is
    drained shrinks all the same.
    """

    def __init__(
        self, *, send: Send, set_aside: SetAside, rate: float, clock: Clock, arrived: Callable[[], int] = lambda: 0
    ) -> None:
        self._send = send
        self._set_aside = set_aside
        self._rate = rate
        self._most = min(BATCH_RECORDS, max(FIRST_BATCH_RECORDS, int(rate * BATCH_S)))
        self._clock = clock
        self._arrived = arrived
        self._arrived_before = arrived()
        self._due = 0.0
        self._proven = False
        self.moved = 0

    async def step(self, log_: SpoolLog) -> Step:
        """One batch of `log_`. Raises OSError if it cannot be read or a record cannot be set aside."""
        await self._pace()
        most = self._most if self._proven else FIRST_BATCH_RECORDS
        batch = await _in_thread(partial(log_.read, most))
        if batch is None:
            return Step.EMPTY
        self._proven = await self._deliver(batch)
        if not self._proven:
            return Step.NOT_TAKEN
        hit("collector.before_spool_acknowledge")
        await _in_thread(partial(log_.acknowledge, batch))
        self._count(len(batch.records))
        return Step.MOVED

    async def _deliver(self, batch: Batch) -> bool:
        """Whether every record of it is stored or set aside."""
        fates = await self._send_in_chunks(batch.records)
        if Failure.RETRY in fates:
            return False
        for record, fate in zip(batch.records, fates, strict=True):
            if fate is Failure.TOO_LARGE:
                [alone] = await self._send([record])
                if alone is Failure.RETRY:
                    return False
                if alone is Failure.TOO_LARGE:
                    await _in_thread(partial(self._set_aside, record, REFUSED))
                    metrics.counter("sluice_collector_spool_set_aside_total").inc()
                    log.error("spool.set_aside", bytes=len(record.value), reason=REFUSED)
        return True

    async def _send_in_chunks(self, records: list[Record]) -> list[Fate]:
        chunks = []
        for start in range(0, len(records), CHUNK_RECORDS):
            chunks.append(asyncio.ensure_future(self._send(records[start : start + CHUNK_RECORDS])))
            await asyncio.sleep(0)
        return [fate for chunk in chunks for fate in await chunk]

    async def _pace(self) -> None:
        pause = self._due - self._clock.monotonic()
        if pause > 0:
            await asyncio.sleep(pause)

    def _count(self, records: int) -> None:
        self.moved += records
        metrics.counter("sluice_collector_spool_drained_total").inc(records)
        arrived = self._arrived()
        extra = max(0, records - 2 * (arrived - self._arrived_before))
        self._arrived_before = arrived
        # What was not used of the time before is not made up for.
        self._due = max(self._due, self._clock.monotonic() - 0.1) + extra / self._rate


async def _in_thread(call: Callable[[], Result]) -> Result:
    return await asyncio.get_running_loop().run_in_executor(None, call)
