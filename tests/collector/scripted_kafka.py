"""A Kafka that does as told, in place of `KafkaPublisher`: up, away, or storing without ever saying so."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from collector.kafka import KafkaPublisher
from collector.publisher import Done, Failure, Fate, Record


class ScriptedKafka:
    """`up` takes records. Away, each `publish` waits `ack_timeout_s` and fails; with `swallows` the records arrive all
    the same. `refuse` holds values that are too large, `refuse_together` those that are unless they come alone.
    """

    def __init__(self, *, up: bool = True, ack_timeout_s: float = 0.05) -> None:
        self.up = up
        self.swallows = False
        self.ack_timeout_s = ack_timeout_s
        self.delay_s = 0.0
        self.refuse: set[bytes] = set()
        self.refuse_together: set[bytes] = set()
        self.log: list[Record] = []
        self.calls = 0
        self.abandoned = 0
        self.waiting = 0
        self._back = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def as_publisher(self) -> KafkaPublisher:
        return cast("KafkaPublisher", self)

    def start(self) -> None:
        pass

    async def publish(self, records: Sequence[Record]) -> Sequence[Fate]:
        self.calls += 1
        self.waiting += 1
        try:
            return await self._publish(records)
        finally:
            self.waiting -= 1

    def submit(self, records: Sequence[Record], done: Done) -> None:
        async def run() -> None:
            done(await self.publish(records))

        self._tasks.append(asyncio.create_task(run()))

    async def _publish(self, records: Sequence[Record]) -> Sequence[Fate]:
        if not self.up:
            if self.swallows:
                self.log += records
            await self._give_up()
            return [Failure.RETRY] * len(records)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
            if not self.up:
                return [Failure.RETRY] * len(records)
        fates: list[Fate] = []
        for record in records:
            if record.value in self.refuse or (len(records) > 1 and record.value in self.refuse_together):
                fates.append(Failure.TOO_LARGE)
            else:
                fates.append(f"raw-0-{len(self.log)}")
                self.log.append(record)
        return fates

    async def _give_up(self) -> None:
        try:
            await asyncio.wait_for(self._back.wait(), self.ack_timeout_s)
        except TimeoutError:
            self.abandon()

    def abandon(self) -> None:
        self.abandoned += 1
        self._back.set()
        self._back = asyncio.Event()

    async def look(self) -> str:
        await asyncio.sleep(0)
        return "" if self.up else "Kafka does not answer: it is away"

    async def close(self) -> None:
        pass

    @property
    def values(self) -> list[Any]:
        return [record.value for record in self.log]
