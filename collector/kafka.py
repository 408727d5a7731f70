"""Publishes raw records with librdkafka and waits for their delivery reports, one object a request.

Delivery reports are served on the event loop by `poll`, every millisecond while something is in flight and rarely
otherwise. The library's own asyncio producer is no choice: it waits up to 100 ms for a report at low load.

Records travel in flights: what comes while one is under way goes with the next, together. An idempotent producer has
one request a partition under way as soon as that has five records, and while a second one is ready the library's thread
asks for the end of the first without a pause (librdkafka 2.16, `rd_kafka_toppar_producer_serve`: its wake-up time is
past then). With a linger shorter than an acknowledgement takes, that cost 13 to 50 µs a request. At a low rate a flight
starts at once.

A broker that is frozen, or gone, gives no error. So when one request has waited too long, all that wait are given up,
and the client forgets their records: what is not stored yet goes the same way, in its order, wherever the caller puts
it now. Decides nothing about that.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from collector.publisher import Done, Failure, Fate, Record
from core import kafka
from core.lifecycle import die
from core.log import get_logger
from core.settings import Settings
from core.topics import MAX_RAW_MESSAGE_BYTES, Topics

log = get_logger(__name__)

# Must cover the time in which the records of a flight are handed over: what comes behind waits for its end.
LINGER_MS = 1
# How long requests wait for the end of the flight before theirs. Longer lets one slow broker hold up what goes to the
# others, shorter makes the library's thread spin where acknowledgements take longer than that.
GATHER_S = 0.05
# More would hold up the event loop while they are handed over.
GATHERED_RECORDS = 4_000
# Bounds what an outage piles up in memory.
QUEUE_KIB = 128 * 1024
# How late an acknowledgement is noticed at most. uvloop's timers have this resolution, too.
BUSY_POLL_S = 0.001
# Idle, polling only serves errors of the client as a whole.
IDLE_POLL_S = 0.25
LOOK_TIMEOUT_S = 2.0
FLUSH_TIMEOUT_S = 2.0
LIBRARY_LOG_S = 5.0
# The library must not give up records one by one before we give up all of them: a later record of a key would be
# stored without the earlier one.
MESSAGE_TIMEOUT_MS = 300_000

_PERMANENT = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})


class _Pending:
    """The records of one request whose delivery reports are awaited, until `deadline` on the loop's clock."""

    __slots__ = ("_done", "_fates", "_left", "_reported", "deadline")

    def __init__(self, done: Done, count: int, deadline: float, reported: deque[_Pending]) -> None:
        """`reported` takes it when it is complete: what follows is not for a callback of the library."""
        self.deadline = deadline
        self._done: Done | None = done
        self._left = count
        self._reported = reported
        self._fates: list[Fate] = [Failure.RETRY] * count

    def report(self, at: int, error: KafkaError | None, message: Message | None = None) -> None:
        if error is None:
            assert message is not None  # noqa: S101 (the library gives one with each report)
            self._fates[at] = f"{message.topic()}-{message.partition()}-{message.offset()}"
        elif error.code() in _PERMANENT:
            self._fates[at] = Failure.TOO_LARGE
        self._left -= 1
        if not self._left:
            self._reported.append(self)

    def end(self) -> None:
        """Give up on what has no report. It may still be stored, or come to be: sending it again must be safe."""
        done, self._done = self._done, None
        if done is not None:
            done(self._fates.copy())


class KafkaPublisher:
    """Call `start` on the running event loop before anything else, `close` at the end."""

    def __init__(self, settings: Settings) -> None:
        topics = Topics.named(settings.topic_prefix)
        self._live, self._historic = topics.raw, topics.raw_historic
        self._ack_timeout_s = settings.collector_ack_timeout_ms / 1000
        self._producer: Any = Producer(
            kafka.producer(settings)
            | {
                "linger.ms": LINGER_MS,
                "message.max.bytes": MAX_RAW_MESSAGE_BYTES,
                "queue.buffering.max.kbytes": QUEUE_KIB,
                "message.timeout.ms": max(MESSAGE_TIMEOUT_MS, 2 * settings.collector_ack_timeout_ms),
                "error_cb": _on_client_error,
            },
            # Otherwise the library writes lines of its own form to standard error.
            logger=_library_log(),
        )
        # In the order of their deadlines: all get the same time.
        self._pending: dict[_Pending, None] = {}
        self._reported: deque[_Pending] = deque()
        # What waits for the flight before it, since when, and how many records that is.
        self._gathered: list[tuple[Sequence[Record], _Pending]] = []
        self._gathered_at = 0.0
        self._gathered_records = 0
        self._timer: asyncio.TimerHandle | None = None
        self._busy = False
        self._closed = False

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(0, self._tick)

    async def publish(self, records: Sequence[Record]) -> Sequence[Fate]:
        """One fate a record, when all are known or the deadline has passed."""
        fates: asyncio.Future[Sequence[Fate]] = self._loop.create_future()
        self.submit(records, lambda found: None if fates.done() else fates.set_result(found))
        return await fates

    def submit(self, records: Sequence[Record], done: Done) -> None:
        """`done` gets what `publish` returns, later."""
        now = self._loop.time()
        pending = _Pending(done, len(records), now + self._ack_timeout_s, self._reported)
        self._pending[pending] = None
        self._gather(records, pending, now)

    @property
    def waiting(self) -> int:
        """Requests whose records are not acknowledged yet."""
        return len(self._pending)

    def abandon(self) -> None:
        """Give up on everything that waits, and let the client forget it: it would only arrive late, and double."""
        pending, self._pending = self._pending, {}
        self._gathered.clear()
        self._gathered_records = 0
        self._producer.purge(in_queue=True, in_flight=True, blocking=False)
        for one in pending:
            one.end()

    async def look(self) -> str:
        """Why Kafka cannot take records, "" if it answers and knows the raw topics."""
        return await self._loop.run_in_executor(None, self._look)

    async def close(self) -> None:
        """Hand over what is still queued, then stop. Nobody may publish any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._send()
        left = await self._loop.run_in_executor(None, self._producer.flush, FLUSH_TIMEOUT_S)
        if left:
            log.warning("publisher.unflushed", records=left)

    def _gather(self, records: Sequence[Record], pending: _Pending, now: float) -> None:
        """Into the next flight. It starts with the next turn of the loop if none is under way."""
        if not self._gathered:
            self._gathered_at = now
            if not self._busy and not self._closed:
                self._busy = True
                self._loop.call_soon(self._start)
        self._gathered.append((records, pending))
        self._gathered_records += len(records)
        if self._gathered_records >= GATHERED_RECORDS:
            self._send()

    def _start(self) -> None:
        self._send()
        if not self._closed:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(BUSY_POLL_S, self._tick)

    def _send(self) -> None:
        gathered, self._gathered = self._gathered, []
        self._gathered_records = 0
        produce, live, historic_ = self._producer.produce, self._live, self._historic
        for records, pending in gathered:
            report = pending.report
            for at, (key, value, historic) in enumerate(records):
                told = partial(report, at)
                try:
                    produce(historic_ if historic else live, value, key, on_delivery=told)
                except BufferError:
                    told(KafkaError(KafkaError._QUEUE_FULL))
                except KafkaException as error:
                    told(error.args[0])
        self._end_reported()

    def _end_reported(self) -> None:
        while self._reported:
            pending = self._reported.popleft()
            self._pending.pop(pending, None)
            pending.end()

    def _tick(self) -> None:
        self._producer.poll(0)
        self._end_reported()
        now = self._loop.time()
        oldest = next(iter(self._pending), None)
        if oldest is not None and now >= oldest.deadline:
            log.warning("publisher.overdue", requests=len(self._pending), after_s=self._ack_timeout_s)
            self.abandon()
        if self._gathered and (not len(self._producer) or now - self._gathered_at >= GATHER_S):
            self._send()
        self._busy = len(self._producer) > 0
        if not self._closed:
            self._timer = self._loop.call_later(BUSY_POLL_S if self._busy else IDLE_POLL_S, self._tick)

    def _look(self) -> str:
        """Blocks. Lists all topics, because asking for one creates it on clusters that create topics on demand."""
        try:
            topics = self._producer.list_topics(timeout=LOOK_TIMEOUT_S).topics
        except KafkaException as error:
            return f"Kafka does not answer: {error.args[0].str()}"
        missing = [topic for topic in (self._live, self._historic) if topic not in topics]
        return f"topic {missing[0]} does not exist" if missing else ""


class _Seldom(logging.Filter):
    """One line in `every_s` seconds: the library tells of each attempt to reach a broker that is away."""

    def __init__(self, *, every_s: float) -> None:
        super().__init__()
        self._every_s = every_s
        self._at = -every_s

    def filter(self, record: logging.LogRecord) -> bool:
        passes = record.created - self._at >= self._every_s
        if passes:
            self._at = record.created
        return passes


def _library_log() -> logging.Logger:
    logger = logging.getLogger("librdkafka")
    if not logger.filters:
        logger.addFilter(_Seldom(every_s=LIBRARY_LOG_S))
    return logger


def _on_client_error(error: KafkaError) -> None:
    if kafka.is_fatal(error):
        # The producer is dead for good, whatever it answers from here on; a new process gets a new one.
        die("publisher.fatal", error=error.str())
    log.debug("publisher.client_error", error=error.str())
