"""The exactly-once step from the raw topics: consume a batch, process it, write everything in one Kafka transaction.

Curated, dead-letter and outcome records and the consumed offsets become visible together or not at all (KIP-98,
KIP-447). The order that makes it right, for each batch:

1. `poll` (poll thread) consumes records (`streams.intake`) and stamps the batch with the current epoch.
2. `handle` (one at a time, another thread) drops the batch if the epoch moved: a rebalance or an abort happened.
3. The batch is processed against the dedupe windows, which are not changed.
4. Begin, produce, send offsets with the group's metadata, commit.
5. Committed: the new ids enter the windows. Aborted: they do not, the epoch moves, and the poll thread rewinds.

A rebalance runs inside `poll`; revoking waits for the batch in hand, so a partition is given away between batches.
What a fenced or fatally failed client leads to is decided here too: the process ends and is started anew.

Partitions are known by their numbers (`core.lanes`). A batch is of one lane; the window is shared by partition p of
both.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from core import kafka, transactions
from core.clock import Clock, SystemClock
from core.errors import InvariantError
from core.failpoints import hit
from core.lanes import Lanes
from core.log import get_logger
from core.metrics import counter, gauge, histogram, observe_many
from core.settings import Settings
from core.topics import Topics
from schemas import envelope
from schemas.contracts import Contracts
from streams import transaction
from streams.alerts import DeadLetterWatch
from streams.batch import PartitionResult, RawRecord, process
from streams.enrich.chain import Chain
from streams.intake import Intake
from streams.places import places
from streams.records import encode_dead_letter, encode_outcome
from streams.recovery import Recovery
from streams.restated import RestatedReader, group_of
from streams.tracing import trace_headers
from streams.transaction import Records, TransactionAbortedError
from streams.window import DedupeWindow, pack

log = get_logger(__name__)

_NO_EPOCH = -1  # of no batch that is handled
_NO_OFFSET = -1  # of no record
# How often what is not events is looked at.
_LOOK_S = 0.5
# Events of a batch and partition whose latency is looked up; each stands for as many others.
_LOOKED_AT = 50


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one `consume`, grouped by the number of their raw partition, in offset order.

    `serial` counts batches. `follows` holds for each partition the offset after the last record that was consumed
    before.
    """

    serial: int
    epoch: int
    partitions: dict[int, list[RawRecord]]
    follows: dict[int, int]

    @property
    def records(self) -> int:
        return sum(map(len, self.partitions.values()))


class StreamEngine:
    """One worker of the stream group. `poll` belongs to one thread, `handle` to one other."""

    def __init__(self, settings: Settings, *, contracts: Contracts, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._contracts = contracts
        self._topics = Topics.named(settings.topic_prefix)
        self._lanes = Lanes.of(settings)
        worker = f"{settings.topic_prefix}streams.{settings.streams_worker_id}"
        # Static membership and a stable transactional id: a restarted worker gets its partitions back at once, and
        # its first call aborts the transaction its predecessor left open.
        self._intake = Intake(
            settings,
            group=group_of(settings),
            instance=worker,
            on_assign=self._take,
            on_give_up=self._give_up,
        )
        self._producer = Producer(kafka.transactional_producer(settings, transactional_id=worker))
        self._recovery = Recovery(settings)
        self._restated = RestatedReader(settings)
        self._chain = Chain(settings)
        self.dead_letters = DeadLetterWatch(settings)
        self._handling = threading.RLock()  # closing the consumer revokes, in the same thread
        self._epoch = 0
        self._windows: dict[int, DedupeWindow] = {}  # by the partition of both lanes
        self._next: dict[int, int] = {}  # number → first offset that is not committed
        self._consumed: dict[int, int] = {}  # number → offset after the last one consumed; the poll thread's
        self._group_metadata: object = None  # as of the latest poll
        self._rewind = False
        self._polled = 0  # serial of the newest batch
        self._handled = 0
        self._idle = threading.Condition()
        self._looked_at = 0.0

    def start(self) -> None:
        """Fence predecessors of the same worker id and join the group."""
        transactions.fence(self._producer, self._settings, group=group_of(self._settings), topic=self._lanes.live)
        self._intake.subscribe()

    @property
    def joined(self) -> bool:
        """Whether the group gave this worker its share, which may be nothing."""
        return self._intake.joined

    def pause(self, paused: bool) -> None:  # noqa: FBT001 (set by a flag's value)
        """Stop or continue consuming; the group membership stays."""
        self._intake.pause(paused)

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
        partitions = self._intake.poll(self._is_idle)
        follows = {number: self._consumed.get(number, _NO_OFFSET) for number in partitions}
        self._consumed |= {number: records[-1].offset + 1 for number, records in partitions.items()}
        self._group_metadata = self._intake.group_metadata()
        now = time.monotonic()
        if now >= self._looked_at + _LOOK_S:
            self._looked_at = now
            self._take_restated()
            self._measure_lag()
        if not partitions:
            return None
        with self._idle:
            self._polled += 1
            return Batch(self._polled, epoch, partitions, follows)

    def handle(self, batch: Batch) -> bool:
        """Process and commit `batch`; False if it was dropped or rolled back and will come again."""
        try:
            return self._handle(batch)
        finally:
            with self._idle:
                self._handled = batch.serial
                self._idle.notify_all()

    def _handle(self, batch: Batch) -> bool:
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
                process(
                    number,
                    records,
                    window=self._window(number),
                    contracts=contracts,
                    chain=self._chain,
                    lane=self._lanes.lane(number),
                )
                for number, records in batch.partitions.items()
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
            self._intake.close()
            self._restated.close()

    def _is_idle(self, timeout_s: float) -> bool:
        """Whether nothing that was polled is in hand, waiting at most so long for it."""
        with self._idle:
            return self._idle.wait_for(lambda: self._handled >= self._polled, timeout_s)

    def _window(self, number: int) -> DedupeWindow:
        return self._windows[self._lanes.home(number)]

    def _continues(self, batch: Batch) -> bool:
        """Whether nothing that was consumed before `batch` got lost on its way here: its records would have no outcome.
        Offsets alone do not tell, because a log may have gaps.
        """
        for number, records in batch.partitions.items():
            expected = self._next.get(number)
            if expected is None or records[0].offset < expected:
                raise InvariantError(
                    f"raw partition {number} brought offset {records[0].offset}, but {expected} was due: "
                    "it would get a second outcome"
                )
            if batch.follows[number] != expected:
                log.warning("streams.batch_missing", partition=number, due=expected, came=records[0].offset)
                return False
        return True

    # -- the transaction

    def _commit(self, results: list[PartitionResult]) -> None:
        def produce() -> None:
            for result in results:
                self._produce(result)

        offsets = [
            TopicPartition(self._lanes.topic(r.partition), self._lanes.home(r.partition), _last(r) + 1) for r in results
        ]
        transaction.commit(self._producer, self._group_metadata, produce=produce, offsets=offsets)

    def _produce(self, result: PartitionResult) -> None:
        outcome = result.outcome
        if outcome is None:
            raise InvariantError(f"a batch of partition {result.partition} has no outcome")
        records = zip(result.fresh, result.values, strict=True)
        if result.traces:  # few clients send one
            trace = result.traces.get
            curated: Records = (
                (key, value, arrival_ms, trace_headers(trace(offset, "")))
                for (offset, arrival_ms, key, _), value in records
            )
        else:
            curated = ((key, value, arrival_ms, None) for (_, arrival_ms, key, _), value in records)
        letters: Records = (
            (None, encode_dead_letter(letter), letter.arrival_at, trace_headers(letter.traceparent))
            for letter in result.dead_letters
        )
        for topic, values in (
            (self._topics.curated, curated),
            (self._topics.dead_letters, letters),
            (self._topics.outcomes, [(None, encode_outcome(outcome), result.last_arrival_ms, None)]),
        ):
            transaction.send_all(self._producer, topic, result.partition, values)

    def _remember(self, results: list[PartitionResult]) -> None:
        events, codes, now_ms = counter("sluice_streams_events_total"), Counter[str](), self._clock.now_ms()
        for result in results:
            window, home = self._window(result.partition), self._lanes.home(result.partition)
            at = places(result.new_offsets, self._lanes.lane(result.partition))
            window.add(pack(result.new_ids), offsets=at, arrival_ms=result.last_arrival_ms)
            self._next[result.partition] = _last(result) + 1
            self._measure_window(home)
            codes.update(letter.code for letter in result.dead_letters)
            self._measure_latency(result, now_ms)
            for label, count in result.unplanned.items():
                counter("sluice_streams_unplanned_events_total").labels(label).inc(count)
            for outcome, count in result.counts.items():
                events.labels(outcome).inc(count)
        for code, number in codes.items():
            counter("sluice_streams_dead_letter_codes_total").labels(code).inc(number)

    def _measure_latency(self, result: PartitionResult, now_ms: int) -> None:
        fresh = result.fresh[:: 1 + len(result.fresh) // _LOOKED_AT]
        if fresh:
            waited_ms = [now_ms - envelope.decode(record.value or b"").received_at_ms for record in fresh]
            latency = histogram("sluice_streams_latency_seconds").labels(self._lanes.lane(result.partition))
            observe_many(latency, np.array(waited_ms) / 1000, weight=len(result.fresh) / len(fresh))

    def _measure_window(self, home: int) -> None:
        window, partition = self._windows[home], str(home)
        gauge("sluice_streams_dedupe_ids").labels(partition).set(len(window))
        gauge("sluice_streams_dedupe_horizon_seconds").labels(partition).set(window.reach_ms / 1000)
        for bound, ids in window.forgotten.items():
            gauge("sluice_streams_dedupe_forgotten_ids").labels(partition, bound).set(ids)

    def _forget_consumed(self) -> None:
        self._epoch += 1
        self._rewind = True

    # -- the intake: everything below runs in the poll thread

    def _rewind_if_needed(self) -> int:
        if self._rewind:
            if not self._intake.seek(self._next):
                return _NO_EPOCH  # what this poll brings is dropped, the next one rewinds
            self._consumed = dict(self._next)
            self._rewind = False
        return self._epoch

    def _take_restated(self) -> None:
        with self._handling:
            for home, announced in self._restated.new():
                self._windows[home].add(announced.ids, offsets=announced.places, arrival_ms=announced.arrival_ms)
                log.info("streams.ids_restated", partition=home, ids=len(announced.places))
        self._restated.tell(self._intake.group)

    def _measure_lag(self) -> None:
        """How far the commits are behind the log, and how much is in hand."""
        gauge("sluice_streams_queued_batches").set(self._polled - self._handled)
        for number, end in self._intake.ends().items():
            lag = max(0, end - self._next.get(number, end))
            labels = (self._lanes.lane(number), str(self._lanes.home(number)))
            gauge("sluice_streams_lag_events").labels(*labels).set(lag)

    def _take(self, group: Consumer, homes: list[int]) -> dict[int, int]:
        with self._handling:
            committed = self._recovery.committed(group, homes)
            for home in homes:
                self._recover(group, home, committed)
            return {number: self._next[number] for home in homes for number in self._lanes.both(home)}

    def _recover(self, group: Consumer, home: int, committed: dict[int, int]) -> None:
        window = DedupeWindow(
            max_age_ms=self._settings.dedupe_window_hours * 3_600_000, max_ids=self._settings.dedupe_window_ids
        )
        started = time.monotonic()
        offsets = self._recovery.recover(group, home, window, committed)
        for announced in self._restated.take(home):
            window.add(announced.ids, offsets=announced.places, arrival_ms=announced.arrival_ms)
        self._windows[home] = window
        self._next |= offsets
        self._consumed |= offsets
        self._measure_window(home)
        log.info(
            "streams.partition_assigned",
            partition=home,
            offsets={self._lanes.lane(number): offset for number, offset in offsets.items()},
            ids=len(window),
            seconds=round(time.monotonic() - started, 3),
        )

    def _give_up(self, homes: list[int], how: str) -> None:
        with self._handling:  # waits for the batch in hand
            for home in homes:
                self._windows.pop(home, None)
                self._restated.give_up(home)
                for number in self._lanes.both(home):
                    self._next.pop(number, None)
                    gauge("sluice_streams_lag_events").labels(self._lanes.lane(number), str(home)).set(0)
                gauge("sluice_streams_dedupe_ids").labels(str(home)).set(0)
            # Queued batches may hold records of these partitions, which could come back to us from an earlier offset.
            self._forget_consumed()
        log.info("streams.partitions_given_up", partitions=homes, how=how)


def _last(result: PartitionResult) -> int:
    if result.outcome is None:
        raise InvariantError(f"a batch of partition {result.partition} has no outcome")
    return result.outcome.last
