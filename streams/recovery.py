"""Where a partition of both lanes continues and what its dedupe window holds, from its own committed output.

No second log can disagree with the outcome topic: it moved in the same transactions as the offsets. A worker that was
killed or frozen may still hold one open, and may wake up and commit it, until it is fenced or times out. So, in this
order:

1. The group's offsets are looked up, which Kafka answers only once no transaction holds an offset of the partitions
   (KIP-447). One that has sent its offsets may not have sent its outcome record yet: the topic would not show it. One
   that has not is refused, because its group generation is over. Where Kafka forgot to end a transaction, the longest
   time that one may take is waited for instead.
2. The outcome topic is read once no transaction is open on it: the first step can end before the last records of that
   transaction are marked as committed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
from confluent_kafka import OFFSET_END, Consumer, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from core import kafka, transactions
from core.errors import InvariantError, UnavailableError
from core.ids import DEDUPE_ID_BYTES
from core.lanes import Lane, Lanes
from core.log import get_logger
from core.settings import Settings
from core.topics import Topics
from streams.places import places
from streams.records import Outcome, decode_outcome
from streams.restated import group_of
from streams.window import DedupeWindow, Offsets

log = get_logger(__name__)

_TIMEOUT_S = 10.0
# The last outcome lies this close to the end even when many transactions were aborted after it.
_TAIL_RECORDS = 1_000


def remember(window: DedupeWindow, outcome: Outcome, *, arrival_ms: int, lane: Lane = "live") -> None:
    """Add the ids of a committed batch, as the worker that wrote the outcome did."""
    offsets = curated_offsets(outcome)
    if len(offsets) * DEDUPE_ID_BYTES != len(outcome.ids):
        raise InvariantError(
            f"the outcome of raw offsets {outcome.first} to {outcome.last} counts {len(offsets)} curated records, "
            f"but holds {len(outcome.ids)} bytes of ids"
        )
    window.add(outcome.ids, offsets=places(offsets, lane), arrival_ms=arrival_ms)


def curated_offsets(outcome: Outcome) -> Offsets:
    """Raw offset of each curated record of a batch, in order; too low behind a gap of the log inside a run."""
    runs = [run for run in outcome.runs if run.outcome == "curated"]
    counts = np.array([run.count for run in runs], np.int64)
    # Position in the batch's curated records plus what the record's run is ahead of it.
    ahead = np.array([run.first for run in runs], np.int64) - (np.cumsum(counts) - counts)
    offsets: Offsets = np.arange(counts.sum(), dtype=np.int64) + np.repeat(ahead, counts)
    return offsets


class Recovery:
    """Reads outcomes of partitions that a worker takes over."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topics = Topics.named(settings.topic_prefix)
        self._lanes = Lanes.of(settings)
        self._admin = AdminClient(kafka.common(settings))

    def committed(self, group_consumer: Consumer, homes: list[int]) -> dict[int, int]:
        """What the group committed of both lanes of these partitions, by number, once no transaction holds an offset
        of any of them: one question for all, because each may have to wait.

        Raises:
            UnavailableError: Kafka does not answer.
        """
        numbers = [number for home in homes for number in self._lanes.both(home)]
        logs = [TopicPartition(self._lanes.topic(number), self._lanes.home(number)) for number in numbers]
        group = group_of(self._settings)
        try:
            found = transactions.committed(self._settings, group_consumer, group=group, partitions=logs)
        except transactions.UnendedTransactionError as error:
            # Nobody can commit it any more, and the outcomes say where to continue.
            log.error("streams.transaction_forgotten", partitions=homes, error=error.message)  # noqa: TRY400 (known)
            found = transactions.committed_anyway(self._settings, group=group, partitions=logs)
        return {self._lanes.number(each.topic, each.partition): each.offset for each in found}

    def recover(
        self, group_consumer: Consumer, home: int, window: DedupeWindow, committed: dict[int, int]
    ) -> dict[int, int]:
        """Fill `window` with what both lanes of partition `home` have seen; returns where each number continues.

        The outcomes say where: the offset after the last that has one. A partition without outcomes starts at its
        beginning, whatever the group committed.
        """
        numbers = self._lanes.both(home)
        logs = [TopicPartition(self._lanes.topic(number), home) for number in numbers]
        starts = {}
        for number, raw in zip(numbers, logs, strict=True):
            last: Outcome | None = None
            for outcome, arrival_ms in self._outcomes(number):
                remember(window, outcome, arrival_ms=arrival_ms, lane=self._lanes.lane(number))
                last = outcome
            low, _ = kafka.watermarks(group_consumer, raw.topic, home)
            start = starts[number] = last.last + 1 if last else low
            if committed[number] not in {start, kafka.NO_OFFSET}:
                log.warning("streams.offset_differs", partition=number, committed=committed[number], continues_at=start)
        return starts

    def _outcomes(self, partition: int) -> Iterator[tuple[Outcome, int]]:
        end = self._wait_until_stable(partition)
        reader = Consumer(kafka.reader(self._settings, name=f"recovery.{self._settings.streams_worker_id}"))
        try:
            start = self._window_start(reader, partition, end)
            if start < end:
                reader.assign([TopicPartition(self._topics.outcomes, partition, start)])
                for message in kafka.read_to_end(reader, partitions=1):
                    yield decode_outcome(message.value()), message.timestamp()[1]
        finally:
            reader.close()

    def _window_start(self, reader: Consumer, partition: int, end: int) -> int:
        since = time.time_ns() // 1_000_000 - self._settings.dedupe_window_hours * 3_600_000
        found = reader.offsets_for_times([TopicPartition(self._topics.outcomes, partition, since)], timeout=_TIMEOUT_S)[
            0
        ]
        by_time = end if found.offset == OFFSET_END or found.offset < 0 else found.offset
        low, _ = kafka.watermarks(reader, self._topics.outcomes, partition)
        return max(low, min(by_time, end - _TAIL_RECORDS))

    def _wait_until_stable(self, partition: int) -> int:
        """The end of the outcome partition, once no transaction is open below it."""
        deadline = time.monotonic() + transactions.LONGEST_S
        while True:
            stable = self._end(partition, IsolationLevel.READ_COMMITTED)
            high = self._end(partition, IsolationLevel.READ_UNCOMMITTED)
            if stable >= high:
                return high
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"a transaction on partition {partition} of {self._topics.outcomes} does not end",
                    hint="Kafka may have forgotten it: `kafka-transactions.sh find-hanging` tells, `abort` ends it.",
                )
            time.sleep(0.1)

    def _end(self, partition: int, isolation: IsolationLevel) -> int:
        where = TopicPartition(self._topics.outcomes, partition)
        try:
            futures = self._admin.list_offsets(
                {where: OffsetSpec.latest()}, isolation_level=isolation, request_timeout=_TIMEOUT_S
            )
            return int(futures[where].result().offset)
        except KafkaException as error:
            raise kafka.unavailable(error, "the end of the outcomes was looked up") from error
