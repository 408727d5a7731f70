"""The exactly-once step from the raw topic: consume a batch, process it, write everything in one Kafka transaction.

Curated, dead-letter and outcome records and the consumed offsets become visible together or not at all (KIP-98,
KIP-447). The order that makes it right, for each batch:

1. `poll` (poll thread) consumes records and stamps the batch with the current epoch.
2. `handle` (one at a time, another thread) drops the batch if the epoch moved: a rebalance or an abort happened.
3. The batch is processed against the dedupe windows, which are not changed.
4. Begin, produce, send offsets with the group's metadata, commit.
5. Committed: the new ids enter the windows. Aborted: they do not, the epoch moves, and the poll thread rewinds.

A rebalance runs inside `poll`; revoking waits for the batch in hand, so a partition is given away between batches.
What a fenced or fatally failed client leads to is decided here too: the process ends and is started anew.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from core import kafka
from core.errors import InvariantError
from core.failpoints import hit
from core.log import get_logger
from core.metrics import counter, gauge, histogram
from core.settings import Settings
from core.topics import Topics
from schemas.contracts import Contracts
from streams import transaction
from streams.alerts import DeadLetterWatch
from streams.batch import PartitionResult, RawRecord, process
from streams.enrich.chain import Chain
from streams.records import encode_dead_letter, encode_outcome
from streams.recovery import Recovery
from streams.transaction import TransactionAbortedError
from streams.window import DedupeWindow, pack

log = get_logger(__name__)

_POLL_TIMEOUT_S = 0.1
_NO_EPOCH = -1  # of no batch that is handled
_NO_OFFSET = -1  # of no record


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one `consume`, grouped by partition, in offset order.

    `follows` holds for each partition the offset after the last record that was consumed before.
    """

    epoch: int
    partitions: dict[int, list[RawRecord]]
    follows: dict[int, int]

    @property
    def records(self) -> int:
        return sum(map(len, self.partitions.values()))


class StreamEngine:
    """One worker of the stream group. `poll` belongs to one thread, `handle` to one other."""

    def __init__(self, settings: Settings, *, contracts: Contracts) -> None:
        self._settings = settings
        self._contracts = contracts
        self._topics = Topics.named(settings.topic_prefix)
        self._group = f"{settings.topic_prefix}streams.raw"
        worker = f"{settings.topic_prefix}streams.{settings.streams_worker_id}"
        # Static membership and a stable transactional id: a restarted worker gets its partitions back at once, and
        # its first call aborts the transaction its predecessor left open.
        self._consumer = Consumer(kafka.consumer(settings, group=self._group, instance=worker))
        self._producer = Producer(kafka.transactional_producer(settings, transactional_id=worker))
        self._recovery = Recovery(settings)
        self._chain = Chain(settings)
        self.dead_letters = DeadLetterWatch(settings)
        self._handling = threading.RLock()  # closing the consumer revokes, in the same thread
        self._epoch = 0
        self._windows: dict[int, DedupeWindow] = {}
        self._next: dict[int, int] = {}  # partition → first offset that is not committed
        self._consumed: dict[int, int] = {}  # partition → offset after the last one consumed; the poll thread's
        self._group_metadata: Any = None  # as of the latest poll
        self._rewind = False
        self._paused = False
        self._joined = False

    def start(self) -> None:
        """Fence predecessors of the same worker id and join the group."""
        transaction.fence(self._producer)
        self._consumer.subscribe(
            [self._topics.raw], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    @property
    def joined(self) -> bool:
        """Whether the group gave this worker its share, which may be nothing."""
        return self._joined

    def pause(self, paused: bool) -> None:  # noqa: FBT001 (set by a flag's value)
        """Stop or continue consuming; the group membership stays."""
        self._paused = paused

    def use(self, contracts: Contracts) -> None:
        """Judge by these from the next batch on."""
        self._contracts = contracts

    def poll(self) -> Batch | None:
        """The next batch, or None when nothing came within a moment.

        Raises:
            InvariantError: the log was truncated under us.
            KafkaException: the client is dead.
        """
        with self._handling:
            epoch = self._rewind_if_needed()
        self._apply_pause()
        messages = self._consumer.consume(self._settings.streams_batch_events, _POLL_TIMEOUT_S)
        partitions: dict[int, list[RawRecord]] = {}
        for message in messages:
            error = message.error()
            if error is not None:
                self._consumer_error(message)
                continue
            partitions.setdefault(message.partition(), []).append(
                RawRecord(message.offset(), message.timestamp()[1], message.key(), message.value())
            )
        follows = {partition: self._consumed.get(partition, _NO_OFFSET) for partition in partitions}
        self._consumed |= {partition: records[-1].offset + 1 for partition, records in partitions.items()}
        # Asked for here, in the thread that runs the rebalance callbacks: while one runs, librdkafka (2.16) never
        # answers, and the thread that handles batches would wait for ever, with the lock that the callback waits for.
        self._group_metadata = self._consumer.consumer_group_metadata()
        return Batch(epoch, partitions, follows) if partitions else None

    def handle(self, batch: Batch) -> bool:
        """Process and commit `batch`; False if it was dropped or rolled back and will come again."""
        with self._handling:
            if batch.epoch != self._epoch:
                return False
            if not self._continues(batch):
                self._forget_consumed()
                return False
            hit("streams.after_consume")
            started = time.monotonic()
            contracts = self._contracts  # the same for the whole batch
            results = [
                process(p, records, window=self._windows[p], contracts=contracts, chain=self._chain)
                for p, records in batch.partitions.items()
            ]
            try:
                self._commit(results)
            except TransactionAbortedError as error:
                log.warning("streams.batch_aborted", reason=str(error), records=batch.records)
                self._forget_consumed()
                return False
            hit("streams.after_commit")
            self._remember(results)
            histogram("sluice_streams_transaction_seconds").observe(time.monotonic() - started)
            histogram("sluice_streams_batch_events").observe(batch.records)
        # Kafka may be slow to take what follows from it; a rebalance need not wait for that.
        self.dead_letters.after(batch.partitions, results)
        return True

    def stop(self) -> None:
        """Leave the group after the batch in hand."""
        with self._handling:
            self._consumer.close()

    def _continues(self, batch: Batch) -> bool:
        """Whether nothing that was consumed before `batch` got lost on its way here: its records would have no outcome.
        Offsets alone do not tell, because a log may have gaps.
        """
        for partition, records in batch.partitions.items():
            expected = self._next.get(partition, _NO_OFFSET)
            if records[0].offset < expected or partition not in self._windows:
                raise InvariantError(
                    f"partition {partition} brought offset {records[0].offset}, but {expected} was due: "
                    "it would get a second outcome"
                )
            if batch.follows[partition] != expected:
                log.warning("streams.batch_missing", partition=partition, due=expected, came=records[0].offset)
                return False
        return True

    # -- the transaction

    def _commit(self, results: list[PartitionResult]) -> None:
        def produce() -> None:
            for result in results:
                self._produce(result)

        offsets = [TopicPartition(self._topics.raw, r.partition, _last(r) + 1) for r in results]
        transaction.commit(self._producer, self._group_metadata, produce=produce, offsets=offsets)

    def _produce(self, result: PartitionResult) -> None:
        outcome = result.outcome
        if outcome is None:
            raise InvariantError(f"a batch of partition {result.partition} has no outcome")
        partition = result.partition
        for curated in result.curated:
            self._send(self._topics.curated, partition, curated.key, curated.value, curated.arrival_ms)
        for letter in result.dead_letters:
            self._send(self._topics.dead_letters, partition, None, encode_dead_letter(letter), letter.arrival_at)
        self._send(self._topics.outcomes, partition, None, encode_outcome(outcome), result.last_arrival_ms)

    def _send(self, topic: str, partition: int, key: bytes | None, value: bytes, timestamp_ms: int) -> None:
        transaction.send(self._producer, topic, partition, key, value, timestamp=timestamp_ms)

    def _remember(self, results: list[PartitionResult]) -> None:
        events = counter("sluice_streams_events_total")
        for result in results:
            window = self._windows[result.partition]
            window.add(pack(result.new_ids), offsets=result.new_offsets, arrival_ms=result.last_arrival_ms)
            self._next[result.partition] = _last(result) + 1
            gauge("sluice_streams_dedupe_ids").labels(str(result.partition)).set(len(window))
            for label, count in result.unplanned.items():
                counter("sluice_streams_unplanned_events_total").labels(label).inc(count)
            if result.outcome is not None:
                for run in result.outcome.runs:
                    events.labels(run.outcome).inc(run.count)

    def _forget_consumed(self) -> None:
        self._epoch += 1
        self._rewind = True

    # -- the consumer: everything below runs in the poll thread

    def _rewind_if_needed(self) -> int:
        if self._rewind:
            try:
                for partition, offset in self._next.items():
                    self._consumer.seek(TopicPartition(self._topics.raw, partition, offset))
            except KafkaException as error:
                if error.args[0].code() != KafkaError._STATE:
                    raise
                # Just assigned and not fetching yet: what this poll brings is dropped, the next one rewinds.
                return _NO_EPOCH
            self._consumed = dict(self._next)
            self._rewind = False
        return self._epoch

    def _apply_pause(self) -> None:
        assigned = self._consumer.assignment()
        if assigned:
            (self._consumer.pause if self._paused else self._consumer.resume)(assigned)

    def _consumer_error(self, message: Message) -> None:
        error = message.error()
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise InvariantError(
                f"the raw topic was truncated under partition {message.partition()}: {error.str()}",
                hint="Raw records were deleted before they were processed: retention is shorter than the lag.",
            )
        if kafka.is_fatal(error):
            raise KafkaException(error)
        log.warning("streams.consumer_error", code=error.name(), error=error.str())

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        with self._handling:
            start = [self._take(p.partition) for p in partitions]
            if start:
                consumer.incremental_assign(start)
            self._joined = True

    def _take(self, partition: int) -> TopicPartition:
        window = DedupeWindow(
            max_age_ms=self._settings.dedupe_window_hours * 3_600_000, max_ids=self._settings.dedupe_window_ids
        )
        started = time.monotonic()
        offset = self._recovery.recover(self._consumer, partition, window)
        self._windows[partition] = window
        self._next[partition] = self._consumed[partition] = offset
        gauge("sluice_streams_dedupe_ids").labels(str(partition)).set(len(window))
        log.info(
            "streams.partition_assigned",
            partition=partition,
            offset=offset,
            ids=len(window),
            seconds=round(time.monotonic() - started, 3),
        )
        return TopicPartition(self._topics.raw, partition, offset)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        with self._handling:  # waits for the batch in hand
            self._drop(partitions, "revoked")
            consumer.incremental_unassign(partitions)

    def _on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # Somebody else may own them already: nothing is committed, and a transaction in hand is refused by its
        # group generation.
        with self._handling:
            self._drop(partitions, "lost")

    def _drop(self, partitions: list[TopicPartition], how: str) -> None:
        for partition in partitions:
            self._windows.pop(partition.partition, None)
            self._next.pop(partition.partition, None)
            gauge("sluice_streams_dedupe_ids").labels(str(partition.partition)).set(0)
        # Queued batches may hold records of these partitions, which could come back to us from an earlier offset.
        self._forget_consumed()
        log.info("streams.partitions_given_up", partitions=[p.partition for p in partitions], how=how)


def _last(result: PartitionResult) -> int:
    if result.outcome is None:
        raise InvariantError(f"a batch of partition {result.partition} has no outcome")
    return result.outcome.last
