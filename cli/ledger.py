"""Accounts for every raw offset: reads the outcome topic and says what became of what, and what has no outcome yet."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from core import kafka
from core.errors import InvariantError, UnavailableError
from core.lanes import Lanes
from core.settings import Settings
from core.topics import Topics
from streams.records import Outcome, decode_outcome

_TIMEOUT_S = 10.0
_UPDATE_S = 2.0


@dataclass(slots=True)
class Ledger:
    """Outcomes by kind, and how far each raw partition of both lanes (`core.lanes`) is covered.

    `covered` is the offset after the last raw record with an outcome, `ends` the end of the raw log.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    covered: dict[int, int] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return all(self.covered.get(partition, 0) >= end for partition, end in self.ends.items())

    @property
    def pending(self) -> int:
        return sum(max(0, end - self.covered.get(partition, 0)) for partition, end in self.ends.items())


class LedgerReader:
    """Follows the outcome topic. `update` reads what is new."""

    def __init__(self, settings: Settings) -> None:
        self._topics = Topics.named(settings.topic_prefix)
        self._consumer = Consumer(kafka.reader(settings, name="ledger"))
        self._lanes = self._look_up(settings)
        self._partitions = self._lanes.numbers
        self.ledger = Ledger()
        for number in self._partitions:
            low, _ = self._raw_watermarks(number)
            self.ledger.covered[number] = low
        self._lows = dict(self.ledger.covered)
        starts = [
            TopicPartition(self._topics.outcomes, p, self._watermarks(self._topics.outcomes, p)[0])
            for p in self._partitions
        ]
        self._position = {start.partition: start.offset for start in starts}
        self._consumer.assign(starts)

    def update(self) -> Ledger:
        """Read outcomes to the present end and look up the raw log's ends.

        Raises:
            InvariantError: a raw record has two outcomes, or one was passed over.
        """
        ends = {p: self._watermarks(self._topics.outcomes, p)[1] for p in self._partitions}
        # The end of a partition is told once, not at every look: what was told is kept. An open transaction holds
        # readers back from the end; the next update goes on.
        deadline = time.monotonic() + _UPDATE_S
        while any(self._position[p] < end for p, end in ends.items()) and time.monotonic() < deadline:
            message = self._consumer.poll(0.2)
            if message is not None:
                self._take(message)
        self.ledger.ends = {number: self._raw_watermarks(number)[1] for number in self._partitions}
        return self.ledger

    def close(self) -> None:
        self._consumer.close()

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is None:
            self._add(decode_outcome(message.value()))
            self._position[message.partition()] = message.offset() + 1
        elif error.code() == KafkaError._PARTITION_EOF:
            self._position[message.partition()] = message.offset()
        elif kafka.is_fatal(error):
            raise KafkaException(error)

    def _add(self, outcome: Outcome) -> None:
        covered = self.ledger.covered[outcome.raw_partition]
        if outcome.last < covered:
            # Its raw records are past retention: still counted, there is nothing left to compare with.
            self._count(outcome)
            return
        # Kafka may have deleted the first records of a batch.
        follows = outcome.first == covered or outcome.first < covered == self._lows[outcome.raw_partition]
        if not follows or outcome.records != outcome.last - outcome.first + 1:
            raise InvariantError(
                f"raw partition {outcome.raw_partition}: outcomes cover up to {covered}, "
                f"the next one {outcome.first} to {outcome.last} with {outcome.records} records"
            )
        self.ledger.covered[outcome.raw_partition] = outcome.last + 1
        self._count(outcome)

    def _count(self, outcome: Outcome) -> None:
        for run in outcome.runs:
            self.ledger.outcomes[run.outcome] += run.count

    def _look_up(self, settings: Settings) -> Lanes:
        """The lanes as the cluster has them: the ledger is right whatever the settings say."""
        raw = self._topics.raw
        try:
            found = self._consumer.list_topics(raw, timeout=_TIMEOUT_S).topics[raw].partitions
        except KafkaException as error:
            raise kafka.unavailable(error, "the raw topic was looked up") from error
        return replace(Lanes.of(settings), partitions=len(found))

    def _raw_watermarks(self, number: int) -> tuple[int, int]:
        return self._watermarks(self._lanes.topic(number), self._lanes.home(number))

    def _watermarks(self, topic: str, partition: int) -> tuple[int, int]:
        return kafka.watermarks(self._consumer, topic, partition)


def wait_until_complete(reader: LedgerReader, *, timeout_s: float) -> Ledger:
    """Wait until every raw offset has an outcome.

    Raises:
        UnavailableError: `timeout_s` passed without any progress.
    """
    deadline = time.monotonic() + timeout_s
    before = -1
    while True:
        ledger = reader.update()
        if ledger.complete:
            return ledger
        if ledger.pending != before:
            before, deadline = ledger.pending, time.monotonic() + timeout_s
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"{ledger.pending} raw records have had no outcome for {timeout_s:g} s",
                hint="The stream worker's log says why: logs/streams.log in the state folder.",
            )
        time.sleep(0.1)
