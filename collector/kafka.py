"""Publishes raw records with librdkafka and waits for their delivery reports, one future a request.

Delivery reports are served on the event loop by `poll`, every millisecond while something is in flight and rarely
otherwise. The library's own asyncio producer is no choice: it waits up to 100 ms for a report at low load.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from collector.publisher import Failure, Fate, Record
from core import kafka
from core.clock import Clock, SystemClock
from core.lifecycle import die
from core.log import get_logger
from core.settings import Settings
from core.topics import MAX_RAW_MESSAGE_BYTES, Topics

log = get_logger(__name__)

# 5 caps few connections at a low rate, 0 costs 40 % more CPU.
LINGER_MS = 1
# Bounds what an outage piles up in memory: beyond it, requests are told to come back.
QUEUE_KIB = 128 * 1024
# How late an acknowledgement is noticed at most. uvloop's timers have this resolution, too.
BUSY_POLL_S = 0.001
# Idle, polling only serves errors of the client as a whole.
IDLE_POLL_S = 0.25
# How often the cluster is asked whether it knows the raw topics: until it does, and from then on.
FIRST_LOOK_S = 0.25
LOOK_S = 5.0
LOOK_TIMEOUT_S = 2.0
# A failed publish makes the collector not ready for this long, unless one succeeds. Longer keeps a healed collector
# out of rotation, where no success could come from.
FAILURE_MEMORY_S = 10.0
FLUSH_TIMEOUT_S = 2.0

_PERMANENT = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})


class _Pending:
    """The records of one request whose delivery reports are awaited."""

    __slots__ = ("_fates", "_left", "done")

    def __init__(self, done: asyncio.Future[Sequence[Fate]], count: int) -> None:
        self.done = done
        self._left = count
        self._fates: list[Fate] = [Failure.RETRY] * count

    def report(self, at: int, error: KafkaError | None, message: Message | None = None) -> None:
        if error is None:
            assert message is not None  # noqa: S101 (the library gives one with each report)
            self._fates[at] = f"{message.topic()}-{message.partition()}-{message.offset()}"
        elif error.code() in _PERMANENT:
            self._fates[at] = Failure.TOO_LARGE
        self._left -= 1
        if not self._left:
            self.expire()

    def expire(self) -> None:
        """Give up on what has no report. It may still be stored: the verdict is `retry`, and ids make that safe."""
        if not self.done.done():
            self.done.set_result(list(self._fates))


class KafkaPublisher:
    """A `Publisher`. Call `start` on the running event loop before anything else, `close` at the end."""

    def __init__(self, settings: Settings, *, clock: Clock | None = None) -> None:
        topics = Topics.named(settings.topic_prefix)
        self._live, self._historic = topics.raw, topics.raw_historic
        self._ack_timeout_s = settings.collector_ack_timeout_ms / 1000
        self._clock = clock or SystemClock()
        self._producer: Any = Producer(
            kafka.producer(settings)
            | {
                "linger.ms": LINGER_MS,
                "message.max.bytes": MAX_RAW_MESSAGE_BYTES,
                "queue.buffering.max.kbytes": QUEUE_KIB,
                # Nobody waits for a report any longer, so nothing is to be sent any more.
                "message.timeout.ms": settings.collector_ack_timeout_ms,
                "error_cb": _on_client_error,
            },
            # Otherwise the library writes lines of its own form to standard error.
            logger=logging.getLogger("librdkafka"),
        )
        self._timer: asyncio.TimerHandle | None = None
        self._busy = False
        self._closed = False
        self._looks: asyncio.Task[None] | None = None
        self._seen = asyncio.Event()
        self._look_trouble = "the raw topics were not seen yet"
        self._publish_trouble = ""
        self._failed_at = 0.0

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(0, self._tick)
        self._looks = self._loop.create_task(self._look())

    async def wait_seen(self) -> None:
        """Until the cluster has shown the raw topics once."""
        await self._seen.wait()

    async def publish(self, records: Sequence[Record]) -> Sequence[Fate]:
        pending = _Pending(self._loop.create_future(), len(records))
        for at, record in enumerate(records):
            self._produce(record, partial(pending.report, at))
        self._wake()
        deadline = self._loop.call_later(self._ack_timeout_s, pending.expire)
        try:
            fates = await pending.done
        finally:
            deadline.cancel()
        self._remember(fates)
        return fates

    def trouble(self) -> str:
        if self._look_trouble:
            return self._look_trouble
        if self._publish_trouble and self._clock.monotonic() - self._failed_at < FAILURE_MEMORY_S:
            return self._publish_trouble
        return ""

    async def close(self) -> None:
        """Hand over what is still queued, then stop. Nobody may publish any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._looks is not None:
            self._looks.cancel()
        left = await self._loop.run_in_executor(None, self._producer.flush, FLUSH_TIMEOUT_S)
        if left:
            log.warning("publisher.unflushed", records=left)

    def _produce(self, record: Record, report: Callable[..., None]) -> None:
        try:
            topic = self._historic if record.historic else self._live
            self._producer.produce(topic, record.value, record.key, on_delivery=report)
        except BufferError:
            report(KafkaError(KafkaError._QUEUE_FULL))
        except KafkaException as error:
            report(error.args[0])

    def _wake(self) -> None:
        """Poll soon: there is something to wait for."""
        if not self._busy and not self._closed:
            self._busy = True
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(BUSY_POLL_S, self._tick)

    def _tick(self) -> None:
        self._producer.poll(0)
        self._busy = len(self._producer) > 0
        if not self._closed:
            self._timer = self._loop.call_later(BUSY_POLL_S if self._busy else IDLE_POLL_S, self._tick)

    def _remember(self, fates: Sequence[Fate]) -> None:
        if Failure.RETRY in fates:
            self._failed_at = self._clock.monotonic()
            if not self._publish_trouble:
                log.warning("publisher.failing", records=fates.count(Failure.RETRY))
            self._publish_trouble = "Kafka did not acknowledge events published just now"
        elif self._publish_trouble:
            log.info("publisher.recovered")
            self._publish_trouble = ""

    async def _look(self) -> None:
        while True:
            before = self._look_trouble
            self._look_trouble = await self._loop.run_in_executor(None, self._look_once)
            if self._look_trouble != before:
                log.info("publisher.looked", trouble=self._look_trouble)
            if not self._look_trouble:
                self._seen.set()
            await asyncio.sleep(FIRST_LOOK_S if self._look_trouble else LOOK_S)

    def _look_once(self) -> str:
        """Blocks. Lists all topics, because asking for one creates it on clusters that create topics on demand."""
        try:
            topics = self._producer.list_topics(timeout=LOOK_TIMEOUT_S).topics
        except KafkaException as error:
            return f"Kafka does not answer: {error.args[0].str()}"
        missing = [topic for topic in (self._live, self._historic) if topic not in topics]
        return f"topic {missing[0]} does not exist" if missing else ""


def _on_client_error(error: KafkaError) -> None:
    if kafka.is_fatal(error):
        # The producer is dead for good, whatever it answers from here on; a new process gets a new one.
        die("publisher.fatal", error=error.str())
    log.debug("publisher.client_error", error=error.str())
