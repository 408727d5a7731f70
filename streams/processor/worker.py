"""A processor's process: consume a batch, run its step, write everything in one Kafka transaction.

Consumed offsets and produced records become visible together or not at all, as in `streams.engine`. A plain loop in
one thread, without Faust: there is nothing else to do while a batch is processed, a rebalance happens between batches
by itself, and whoever runs the process supervises it. What ends the process:

1. SIGTERM: after the batch in hand.
2. An event that a processor declared with on_error="stop" raises on: nothing of its batch is written.
3. A fenced or dead client, a truncated source, progress that was lost: started anew, it continues or says why not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from core import failpoints, kafka, metrics, topics, transactions
from core.errors import ConfigError, InvariantError, StateError
from core.failpoints import hit
from core.lanes import Lanes
from core.lifecycle import Lifecycle
from core.log import configure, get_logger
from core.metrics import counter, histogram
from core.settings import Settings
from core.topics import Topic, Topics
from core.watchdog import WATCHDOG
from schemas.registry import registry_at
from streams import transaction
from streams.processor.declaration import Processor
from streams.processor.step import Result, SourceRecord, Step
from streams.tracing import traceparent_of
from streams.transaction import TransactionAbortedError

log = get_logger(__name__)
T = TypeVar("T")

_POLL_S = 0.1
_TIMEOUT_S = 10.0


class ProcessorWorker:
    """One worker of a processor's group. Single-threaded: everything happens inside `poll` or between two."""

    def __init__(self, settings: Settings, processor: Processor[Any]) -> None:
        self._settings = settings
        self._processor = processor
        self._step = Step(processor, registry_at(settings.schemas_dir))
        self._source = f"{settings.topic_prefix}{processor.source}"
        self._group = f"{settings.topic_prefix}processor.{processor.name}"
        worker = f"{self._group}.{settings.streams_worker_id}"
        self._consumer = Consumer(kafka.consumer(settings, group=self._group, instance=worker))
        self._producer = Producer(kafka.transactional_producer(settings, transactional_id=worker))
        self._next: dict[int, int] = {}  # partition → first offset that is not committed
        self._rewind = False
        self._given_up = 0  # how often partitions were given up
        self.joined = False

    def start(self) -> None:
        """Fence predecessors of the same worker id and join the group.

        Raises:
            ConfigError: there is no source topic, or it has another number of partitions than the settings say.
            UnavailableError: the cluster does not answer.
        """
        self._check_source()
        transactions.fence(self._producer, self._settings, group=self._group, topic=self._source)
        self._consumer.subscribe(
            [self._source], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def run(self, lifecycle: Lifecycle) -> None:
        """Run until told to drain."""
        try:
            self.start()
            while not lifecycle.draining:
                records = self.poll()
                if records:
                    self.handle(records)
                if self.joined:
                    lifecycle.ready()
        finally:
            self._consumer.close()

    def poll(self) -> list[SourceRecord]:
        """The next batch, by partition and offset; empty when nothing came within a moment.

        Raises:
            InvariantError: the log was truncated under us.
            KafkaException: the client is dead.
        """
        in_place, given_up = self._rewind_if_needed(), self._given_up
        messages = self._consumer.consume(self._settings.streams_batch_events, _POLL_S)
        for message in messages:
            if message.error() is not None:
                self._consumer_error(message)
        if not in_place or given_up != self._given_up:
            # Read from the wrong place, or partly of partitions that may be another's by now.
            self._rewind = True
            return []
        records = [
            SourceRecord(m.partition(), m.offset(), m.timestamp()[1], m.key(), m.value(), traceparent_of(m.headers()))
            for m in messages
            if m.error() is None
        ]
        return sorted(records, key=lambda record: record[:2])

    def handle(self, records: list[SourceRecord]) -> bool:
        """Process and commit a batch; False if it was rolled back and will come again.

        Raises:
            ProcessorStoppedError: an event failed, and the processor is declared to stop.
        """
        after = self._after(records)
        hit("streams.after_consume")
        started = time.monotonic()
        result = self._step.run(records)
        offsets = [TopicPartition(self._source, partition, offset) for partition, offset in after.items()]
        try:
            group = self._consumer.consumer_group_metadata()  # in the one thread there is
            transaction.commit(self._producer, group, produce=lambda: self._produce(result), offsets=offsets)
        except TransactionAbortedError as error:
            log.warning("processor.batch_aborted", reason=str(error), records=len(records))
            self._rewind = True
            return False
        hit("streams.after_commit")
        self._next |= after
        self._count(result, time.monotonic() - started)
        return True

    def _after(self, records: list[SourceRecord]) -> dict[int, int]:
        """The offset after the batch of each partition. Raises InvariantError if a record would count twice."""
        after: dict[int, int] = {}
        for record in records:
            expected = after.get(record.partition, self._next.get(record.partition))
            if expected is None or record.offset < expected:
                raise InvariantError(
                    f"partition {record.partition} brought offset {record.offset}, but {expected} was due: "
                    "it would be processed twice"
                )
            after[record.partition] = record.offset + 1
        return after

    def _produce(self, result: Result) -> None:
        for each in result.written:
            topic = f"{self._settings.topic_prefix}{each.topic}"
            transaction.send(
                self._producer,
                topic,
                each.partition,
                each.key,
                each.value,
                timestamp=each.timestamp_ms,
                headers=each.headers,
            )

    def _count(self, result: Result, seconds: float) -> None:
        name = self._processor.name
        for outcome, count in result.counts.items():
            counter("sluice_processor_events_total").labels(name, outcome).inc(count)
        counter("sluice_processor_records_total").labels(name).inc(len(result.written))
        histogram("sluice_processor_batch_seconds").labels(name).observe(seconds)
        if result.first_failure:
            log.warning(
                "processor.dead_lettered", events=result.counts["dead_letter"], first_reason=result.first_failure
            )

    # -- the consumer

    def _check_source(self) -> None:
        try:
            known = self._consumer.list_topics(self._source, timeout=_TIMEOUT_S).topics[self._source]
        except KafkaException as error:
            raise kafka.unavailable(error, f"the topic {self._source} was looked up") from error
        if known.error is not None:
            raise ConfigError(
                f"{self._processor.name}: there is no topic {self._source}",
                hint="`source` is curated, or the dead letters of a processor that was started before.",
            )
        have, wanted = len(known.partitions), len(Lanes.of(self._settings).numbers)
        if have != wanted:
            raise ConfigError(
                f"topic {self._source} has {have} partitions, the settings say {wanted}",
                hint=f"Set SLUICE_PARTITIONS={have // 2}: there are two lanes.",
            )

    def _rewind_if_needed(self) -> bool:
        """Whether the consumer stands where the last commit ends."""
        if self._rewind:
            try:
                for partition, offset in self._next.items():
                    self._consumer.seek(TopicPartition(self._source, partition, offset))
            except KafkaException as error:
                if error.args[0].code() != KafkaError._STATE:
                    raise
                return False  # just assigned and not fetching yet
            self._rewind = False
        return True

    def _consumer_error(self, message: Message) -> None:
        error = message.error()
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise InvariantError(
                f"the topic {self._source} was truncated under partition {message.partition()}: {error.str()}",
                hint="Records were deleted before they were processed: retention is shorter than the lag.",
            )
        if kafka.is_fatal(error):
            raise KafkaException(error)
        log.warning("processor.consumer_error", code=error.name(), error=error.str())

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.joined = True  # also with nothing to do: more workers than partitions
        if not partitions:
            return
        found = transactions.committed(self._settings, consumer, group=self._group, partitions=partitions)
        new = [self._beginning(each.partition) for each in found if each.offset == kafka.NO_OFFSET]
        if new:
            # Before the first record is written: from here on, records without an offset mean that offsets were lost.
            with WATCHDOG.limit(kafka.COMMIT_LIMIT_S, "where to begin was committed"):
                _answered(lambda: consumer.commit(offsets=new, asynchronous=False), "where to begin was committed")
        start = [each for each in found if each.offset != kafka.NO_OFFSET] + new
        self._next |= {each.partition: each.offset for each in start}
        consumer.incremental_assign([TopicPartition(self._source, each.partition, each.offset) for each in start])
        log.info("processor.partitions_assigned", offsets={each.partition: each.offset for each in start})

    def _beginning(self, partition: int) -> TopicPartition:
        """Where a group without an offset begins. Raises StateError if it must have had one."""
        for name in self._processor.topics:
            topic = f"{self._settings.topic_prefix}{name}"
            low, high = self._watermarks(topic, partition)
            if high > low:
                raise StateError(
                    f"{self._processor.name} has no offsets of {self._source}, but {topic} holds records: "
                    "from the beginning, they would be written a second time",
                    hint=f"Delete its topics ({', '.join(self._processor.topics)}) to begin anew, or give it another "
                    "name and other topics.",
                )
        return TopicPartition(self._source, partition, self._watermarks(self._source, partition)[0])

    def _watermarks(self, topic: str, partition: int) -> tuple[int, int]:
        return kafka.watermarks(self._consumer, topic, partition)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._give_up(partitions, "revoked")
        consumer.incremental_unassign(partitions)

    def _on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._give_up(partitions, "lost")

    def _give_up(self, partitions: list[TopicPartition], how: str) -> None:
        for each in partitions:
            self._next.pop(each.partition, None)
        self._given_up += 1
        log.info("processor.partitions_given_up", partitions=[each.partition for each in partitions], how=how)


def _answered(call: Callable[[], T], doing: str) -> T:
    """The answer to `call`, repeated for a while: a topic just created may have no leader yet.

    Raises:
        UnavailableError: no answer came. Not Kafka's own error, which would leave the callback of a rebalance as a
            `KafkaError`, and that is no `Exception`.
    """
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            return call()
        except KafkaException as error:
            if kafka.is_fatal(error.args[0]) or time.monotonic() > deadline:
                raise kafka.unavailable(error, doing) from error
            time.sleep(0.1)


def declared_topics(settings: Settings, processor: Processor[Any]) -> list[Topic]:
    """The topics that the processor writes to, kept and configured as the curated topic is.

    Raises:
        ConfigError: an output is to be framed with an id that is not known here.
    """
    if settings.schema_registry_url and any(output.schema for output in processor.outputs):
        raise ConfigError(
            f"{processor.name}: an output has a schema, and SLUICE_SCHEMA_REGISTRY_URL is set",
            hint="Its records would name the ids of lock.json, not that registry's. Write JSON, or bytes of your own.",
        )
    name = Topics.named(settings.topic_prefix).curated
    curated = next(each for each in topics.declared(settings) if each.name == name)
    return [replace(curated, name=f"{settings.topic_prefix}{each}") for each in processor.topics]


def run(settings: Settings, processor: Processor[Any]) -> None:
    """Run a worker of `processor` until SIGTERM."""
    lifecycle = Lifecycle(f"processor {processor.name}")
    configure(process=f"processor-{processor.name}", level=settings.log_level, form=settings.log_format)
    failpoints.arm(settings.failpoint, state_dir=settings.state_dir)
    lifecycle.install_signal_handlers()
    metrics.serve(settings.metrics_port)
    ProcessorWorker(settings, processor).run(lifecycle)
    lifecycle.stopped()
