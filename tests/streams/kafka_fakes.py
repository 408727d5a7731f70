"""Kafka clients in memory, for tests of the order of steps: what a commit, an abort, a rebalance and a fatal error
leave behind. That Kafka keeps its part of it is for the tests with a broker.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from core import kafka

ARRIVAL_MS = 1_700_000_000_000
ABORTABLE = KafkaError(KafkaError._TIMED_OUT, "timed out", False, False, True)
RETRIABLE = KafkaError(KafkaError._TIMED_OUT, "slow", False, True, False)
# What fencing calls, before the first batch.
STARTED = ["init", "begin", "offsets", "abort"]
FENCED = KafkaError(KafkaError._FENCED, "fenced", True, False, False)


@dataclass
class Message:
    """Of partition 0."""

    at: int
    data: bytes | None = None
    failure: KafkaError | None = None
    of: str = "t.raw"
    sent_with: list[tuple[str, bytes]] | None = None

    def error(self) -> KafkaError | None:
        return self.failure

    def topic(self) -> str:
        return self.of

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return 2, ARRIVAL_MS + self.at

    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes | None:
        return self.data

    def headers(self) -> list[tuple[str, bytes]] | None:
        return self.sent_with

    def __len__(self) -> int:
        return len(self.data or b"")


@dataclass
class FakeConsumer:
    """Holds a log of partition 0 of one topic, read from `position`. `during` happens inside the next consume."""

    config: dict[str, Any]
    log: list[Message] = field(default_factory=list)
    position: int = 0
    errors: deque[Message] = field(default_factory=deque)
    during: Callable[[], None] | None = None
    seek_error: KafkaError | None = None
    asked: list[tuple[int, float]] = field(default_factory=list)  # by each consume: how many, how long
    topics: set[str] = field(default_factory=set)
    partitions: int = 2
    low: int = 0
    full_topics: set[str] = field(default_factory=set)
    committed_offsets: dict[int, int] = field(default_factory=dict)
    unanswered: deque[KafkaError] = field(default_factory=deque)
    subscribed: list[str] = field(default_factory=list)
    assigned: list[TopicPartition] = field(default_factory=list)
    paused: bool = False
    closed: bool = False
    handlers: dict[str, Any] = field(default_factory=dict)

    def subscribe(self, topics: list[str], **handlers: Any) -> None:
        self.subscribed, self.handlers = topics, handlers

    def send(self, *values: bytes | None, topic: str = "t.raw") -> None:
        for value in values:
            self.log.append(Message(len(self.log), value, of=topic))

    # -- what it is asked

    def list_topics(self, name: str, timeout: float) -> Any:
        assert timeout
        error = None if name in self.topics else KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
        partitions = dict.fromkeys(range(self.partitions))
        return SimpleNamespace(topics={name: SimpleNamespace(error=error, partitions=partitions)})

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert timeout
        return [
            TopicPartition(p.topic, p.partition, self.committed_offsets.get(p.partition, kafka.NO_OFFSET))
            for p in partitions
        ]

    def get_watermark_offsets(
        self, where: TopicPartition, timeout: float = 0.0, cached: bool = False
    ) -> tuple[int, int]:
        if cached:
            return 0, len(self.log) if self.log else -1_001
        assert timeout
        if self.unanswered:
            raise KafkaException(self.unanswered.popleft())
        return self.low, self.low + (where.topic in self.full_topics)

    def assignment(self) -> list[TopicPartition]:
        return self.assigned

    def consumer_group_metadata(self) -> str:
        return "group"

    # -- what it does

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> None:
        assert not asynchronous
        self.committed_offsets |= {p.partition: p.offset for p in offsets}

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        self.assigned += partitions
        self.position = partitions[0].offset

    def incremental_unassign(self, _partitions: list[TopicPartition]) -> None:
        self.assigned.clear()

    def pause(self, _partitions: list[TopicPartition]) -> None:
        self.paused = True

    def resume(self, _partitions: list[TopicPartition]) -> None:
        self.paused = False

    def consume(self, number: int, timeout: float) -> list[Message]:
        self.asked.append((number, timeout))
        if self.errors:
            return [self.errors.popleft()]
        if self.paused:
            return []
        found = [m for m in self.log if m.at >= self.position][:number]
        self.position = found[-1].at + 1 if found else self.position
        if self.during is not None:
            during, self.during = self.during, None
            during()
        return found

    def seek(self, to: TopicPartition) -> None:
        if self.seek_error is not None:
            raise KafkaException(self.seek_error)
        self.position = to.offset

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeProducer:
    """Keeps what is produced in a transaction until it is committed. `failures` fail the next calls of a name, `full`
    says how many records find its queue full. `offsets` are by topic and partition.
    """

    config: dict[str, Any]
    pending: list[tuple[str, int, bytes]] = field(default_factory=list)
    pending_offsets: list[TopicPartition] = field(default_factory=list)
    committed: list[tuple[str, int, bytes]] = field(default_factory=list)
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    failures: dict[str, deque[KafkaError]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    timestamps: list[int] = field(default_factory=list)
    headers: list[Any] = field(default_factory=list)
    full: int = 0

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.failures.get(name):
            raise KafkaException(self.failures[name].popleft())

    def init_transactions(self, _timeout: float) -> None:
        self._called("init")

    def begin_transaction(self) -> None:
        self._called("begin")

    def produce(
        self,
        topic: str,
        value: bytes,
        _key: bytes | None,
        partition: int,
        _callback: None = None,
        _on_delivery: None = None,
        timestamp: int = 0,
        headers: Any = None,
    ) -> None:
        if self.full:
            self.full -= 1
            raise BufferError
        self.timestamps.append(timestamp)
        self.headers.append(headers)
        self.pending.append((topic, partition, value))

    def poll(self, _timeout: float) -> int:
        self.calls.append("poll")
        return 0

    def send_offsets_to_transaction(self, offsets: list[TopicPartition], group: str, _timeout: float) -> None:
        assert group == "group"
        self._called("offsets")
        self.pending_offsets = offsets

    def commit_transaction(self, _timeout: float) -> None:
        self._called("commit")
        self.committed += self.pending
        self.offsets |= {(p.topic, p.partition): p.offset for p in self.pending_offsets}
        self.pending = []

    def abort_transaction(self, _timeout: float) -> None:
        self._called("abort")
        self.pending, self.pending_offsets = [], []
