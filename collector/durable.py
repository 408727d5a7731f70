"""What a 2xx stands for: every accepted event is acknowledged by Kafka, or fsynced in the local spool.

    DIRECT        Kafka takes the records. When it fails, or a request has waited too long, everything that waits goes
                  to the spool, and all that comes follows it there: nobody else waits for a broker that is away.
    SPOOLING      Once Kafka answers a look, the spool is drained, oldest first. What comes meanwhile queues behind it.
    HANDING_OVER  Little is left: what comes waits a moment, until the last of it is stored. Then DIRECT again, with
                  nothing having overtaken anything.

A process begins SPOOLING, behind what its dead predecessors left. With the spool full, broken or turned off, what Kafka
does not take is answered `RETRY`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import Any

from collector.kafka import KafkaPublisher
from collector.publisher import Done, Failure, Fate, Record
from collector.spool.drain import Drain, Step
from collector.spool.spool import Spool
from core import metrics
from core.clock import Clock, SystemClock
from core.log import get_logger
from core.settings import Settings
from core.topics import MAX_RAW_MESSAGE_BYTES

log = get_logger(__name__)

# How often Kafka is looked at: while it is away, and while it is there.
PROBE_S = 0.25
LOOK_S = 5.0
# A start waits this long for Kafka before the spool alone makes the process ready.
START_GRACE_S = 3.0
# A rest of at most this many records is drained in a moment; more would make requests wait noticeably for it.
HAND_OVER_RECORDS = 5_000
# If it takes longer, what waits is spooled after all.
HAND_OVER_S = 0.5
HAND_OVER_PAUSE_S = 1.0
# How long a batch that is on its way to Kafka keeps a process from ending.
CLOSE_S = 2.0
# What Kafka's framing adds to a record, at most.
_FRAMING_BYTES = 512


class Mode(Enum):
    DIRECT = "direct"
    SPOOLING = "spooling"
    HANDING_OVER = "handing over"


class DurablePublisher:
    """A `Publisher`. Call `start` on the running event loop before anything else, `close` at the end."""

    def __init__(
        self,
        settings: Settings,
        *,
        kafka: KafkaPublisher | None = None,
        spool: Spool | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._kafka = kafka or KafkaPublisher(settings)
        self._spool = spool or Spool(settings, clock=self._clock)
        self._drain = Drain(
            send=self._kafka.publish,
            set_aside=self._spool.aside.keep,
            rate=settings.spool_drain_rate,
            clock=self._clock,
            arrived=lambda: self._spool.stored,
        )
        self._mode = Mode.SPOOLING
        self._gate = asyncio.Event()  # closed while handing over
        self._gate.set()
        self._tripped = asyncio.Event()
        self._direct = asyncio.Event()  # ever
        self._kafka_trouble = "the raw topics were not seen yet"
        self._hand_over_records = min(HAND_OVER_RECORDS, int(settings.spool_drain_rate * HAND_OVER_S / 2))
        self._hand_over_until = 0.0
        self._next_hand_over = 0.0
        self._closing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._kafka.start()
        await self._spool.open()
        self._task = asyncio.create_task(self._run())

    async def wait_usable(self) -> None:
        """Until records go to Kafka, or it has been given the time and the spool takes them."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._direct.wait(), START_GRACE_S)
        while self.trouble():  # noqa: ASYNC110 (it has several causes, none of which tells of its end)
            await asyncio.sleep(PROBE_S)

    async def publish(self, records: Sequence[Record]) -> Sequence[Fate]:
        await self._gate.wait()
        if self._mode is not Mode.DIRECT:
            return await self._store(records)
        return await self._rescued(records, await self._kafka.publish(records))

    def submit(self, records: Sequence[Record], done: Done) -> None:
        if self._mode is Mode.DIRECT:  # the gate is open
            self._kafka.submit(records, partial(self._submitted, records, done))
        else:
            self._later(self.publish(records), done)

    def _submitted(self, records: Sequence[Record], done: Done, fates: Sequence[Fate]) -> None:
        if Failure.RETRY in fates:
            self._later(self._rescued(records, fates), done)
        else:
            done(fates)

    def _later(self, publishing: Coroutine[Any, Any, Sequence[Fate]], done: Done) -> None:
        async def run() -> None:
            done(await publishing)

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _rescued(self, records: Sequence[Record], fates: Sequence[Fate]) -> Sequence[Fate]:
        """Spool what Kafka did not take in time."""
        if Failure.RETRY not in fates:
            return fates
        self._trip("Kafka did not acknowledge events published just now")
        left = [at for at, fate in enumerate(fates) if fate is Failure.RETRY]
        stored = await self._store([records[at] for at in left])
        merged = list(fates)
        for at, fate in zip(left, stored, strict=True):
            merged[at] = fate
        return merged

    def trouble(self) -> str:
        spool = self._spool.trouble()
        return f"{self._kafka_trouble}; {spool}" if self._kafka_trouble and spool else ""

    def detail(self) -> Mapping[str, object]:
        return {
            "kafka": self._kafka_trouble or "ok",
            "spool": {
                "state": self._spool.trouble() or "ok",
                "mode": self._mode.value,
                "records": self._spool.records,
                "bytes": self._spool.bytes,
            },
        }

    async def close(self) -> None:
        """Hand over what is queued; what is spooled stays for the next process."""
        self._closing = True
        if self._task is not None:
            self._tripped.set()
            await asyncio.wait({self._task}, timeout=CLOSE_S)
            self._task.cancel()
        await self._kafka.close()
        await self._spool.close()

    async def _store(self, records: Sequence[Record]) -> Sequence[Fate]:
        fits = [len(r.key) + len(r.value) + _FRAMING_BYTES <= MAX_RAW_MESSAGE_BYTES for r in records]
        if all(fits):
            return await self._spool.store(records)
        stored = iter(await self._spool.store([record for record, fit in zip(records, fits, strict=True) if fit]))
        return [next(stored) if fit else Failure.TOO_LARGE for fit in fits]

    def _trip(self, trouble: str) -> None:
        self._kafka_trouble = trouble
        if self._mode is Mode.DIRECT:
            log.warning("publisher.spooling", trouble=trouble)
            self._set(Mode.SPOOLING)
            self._kafka.abandon()

    def _set(self, mode: Mode) -> None:
        self._mode = mode
        metrics.gauge("sluice_collector_spooling").set(mode is not Mode.DIRECT)
        if mode is Mode.HANDING_OVER:
            self._gate.clear()
        else:
            self._gate.set()
        if mode is Mode.DIRECT:
            self._tripped.clear()
            self._direct.set()
        else:
            self._tripped.set()

    async def _run(self) -> None:
        while not self._closing:
            try:
                await self._turn()
            except Exception:
                log.exception("spool.drain_failed")
                self._leave_hand_over()
                await asyncio.sleep(PROBE_S)

    async def _turn(self) -> None:
        """Look; then drain, or wait until there is something to do."""
        self._spool.report()
        await self._look()
        if self._kafka_trouble:
            self._leave_hand_over()
            await asyncio.sleep(PROBE_S)
        elif self._mode is Mode.DIRECT:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._tripped.wait(), LOOK_S)
        else:
            await self._drain_all()

    async def _look(self) -> None:
        trouble = await self._kafka.look()
        if trouble != self._kafka_trouble:
            log.info("publisher.looked", trouble=trouble)
        self._kafka_trouble = trouble
        if trouble and self._mode is Mode.DIRECT and not self._kafka.waiting:
            # Nobody has to find out by waiting.
            self._trip(trouble)
        # The dead may have left something since, and a disk that was broken may be whole again.
        await self._spool.open()
        if not self._spool.idle and self._mode is Mode.DIRECT:
            self._set(Mode.SPOOLING)

    async def _drain_all(self) -> None:
        """Until nothing is left and the mode is DIRECT, or Kafka fails."""
        while not self._spool.idle:
            if self._closing:
                return
            self._consider_hand_over()
            log_ = await self._spool.next_log()
            step = await self._drain.step(log_) if log_ is not None else Step.EMPTY
            if step is Step.NOT_TAKEN:
                self._kafka_trouble = "Kafka did not acknowledge spooled events"
                self._leave_hand_over()
                return
            if step is Step.EMPTY:
                await asyncio.sleep(0.001)  # what is left is about to be synced
            self._spool.report()
        self._set(Mode.DIRECT)
        log.info("publisher.direct")
        await self._spool.rest()
        self._spool.report()

    def _consider_hand_over(self) -> None:
        now = self._clock.monotonic()
        if self._mode is Mode.HANDING_OVER:
            if now > self._hand_over_until:
                self._leave_hand_over()
        elif self._spool.records <= self._hand_over_records and now >= self._next_hand_over:
            self._hand_over_until = now + HAND_OVER_S
            self._set(Mode.HANDING_OVER)

    def _leave_hand_over(self) -> None:
        if self._mode is Mode.HANDING_OVER:
            self._next_hand_over = self._clock.monotonic() + HAND_OVER_PAUSE_S
            self._set(Mode.SPOOLING)
