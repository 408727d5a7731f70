"""The engine's order of steps, against a consumer and a producer in memory: what a commit, an abort, a rebalance and
a fatal error leave behind. That Kafka keeps its part of it is for the tests with a broker.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from core.errors import InvariantError
from core.ids import dedupe_id
from core.settings import Settings
from schemas.contracts import bundled_contracts
from streams import engine as module
from streams.engine import Batch, StreamEngine
from streams.records import decode_outcome
from streams.window import DedupeWindow, pack
from tests.streams.raw_events import ARRIVAL_MS, raw_value

SETTINGS = Settings(kafka_bootstrap="127.0.0.1:1", topic_prefix="t.")
ABORTABLE = KafkaError(KafkaError._TIMED_OUT, "timed out", False, False, True)
RETRIABLE = KafkaError(KafkaError._TIMED_OUT, "slow", False, True, False)
FENCED = KafkaError(KafkaError._FENCED, "fenced", True, False, False)


@dataclass
class Message:
    at: int
    data: bytes | None = None
    failure: KafkaError | None = None

    def error(self) -> KafkaError | None:
        return self.failure

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


@dataclass
class FakeConsumer:
    """Holds a log of partition 0 and reads it from `position`."""

    config: dict[str, Any]
    log: list[Message] = field(default_factory=list)
    position: int = 0
    errors: deque[Message] = field(default_factory=deque)
    seek_error: KafkaError | None = None
    assigned: list[TopicPartition] = field(default_factory=list)
    paused: bool = False
    closed: bool = False
    handlers: dict[str, Any] = field(default_factory=dict)

    def subscribe(self, _topics: list[str], **handlers: Any) -> None:
        self.handlers = handlers

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        self.assigned += partitions
        self.position = partitions[0].offset

    def incremental_unassign(self, _partitions: list[TopicPartition]) -> None:
        self.assigned.clear()

    def assignment(self) -> list[TopicPartition]:
        return self.assigned

    def pause(self, _partitions: list[TopicPartition]) -> None:
        self.paused = True

    def resume(self, _partitions: list[TopicPartition]) -> None:
        self.paused = False

    def consume(self, number: int, _timeout: float) -> list[Message]:
        if self.errors:
            return [self.errors.popleft()]
        if self.paused:
            return []
        found = [m for m in self.log if m.at >= self.position][:number]
        self.position = found[-1].at + 1 if found else self.position
        return found

    def seek(self, to: TopicPartition) -> None:
        if self.seek_error is not None:
            raise KafkaException(self.seek_error)
        self.position = to.offset

    def consumer_group_metadata(self) -> str:
        return "group"

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeProducer:
    """Keeps what is produced in a transaction until it is committed. `failures` fail the next calls of a name."""

    config: dict[str, Any]
    pending: list[tuple[str, int, bytes]] = field(default_factory=list)
    pending_offsets: list[TopicPartition] = field(default_factory=list)
    committed: list[tuple[str, int, bytes]] = field(default_factory=list)
    offsets: dict[int, int] = field(default_factory=dict)
    failures: dict[str, deque[KafkaError]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    full: int = 0

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.failures.get(name):
            raise KafkaException(self.failures[name].popleft())

    def init_transactions(self, _timeout: float) -> None:
        self._called("init")

    def begin_transaction(self) -> None:
        self._called("begin")

    def produce(self, topic: str, value: bytes, _key: bytes | None, partition: int, *, timestamp: int) -> None:
        assert timestamp >= ARRIVAL_MS
        if self.full:
            self.full -= 1
            raise BufferError
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
        self.offsets |= {p.partition: p.offset for p in self.pending_offsets}
        self.pending = []

    def abort_transaction(self, _timeout: float) -> None:
        self._called("abort")
        self.pending, self.pending_offsets = [], []


class FakeRecovery:
    start = 0
    ids: list[bytes] = []  # noqa: RUF012 (set by a test)

    def __init__(self, _settings: Settings) -> None:
        pass

    def recover(self, _consumer: Any, _partition: int, window: DedupeWindow) -> int:
        window.add(pack(self.ids), offsets=range(len(self.ids)), arrival_ms=ARRIVAL_MS)
        return self.start


class Rig:
    """A started engine that owns partition 0."""

    def __init__(self) -> None:
        self.engine = StreamEngine(SETTINGS, contracts=bundled_contracts())
        self.consumer: FakeConsumer = self.engine._consumer
        self.producer: FakeProducer = self.engine._producer
        self.engine.start()
        self.assign()

    def assign(self) -> None:
        self.consumer.handlers["on_assign"](self.consumer, [TopicPartition("t.raw", 0)])

    def send(self, *values: bytes | None) -> None:
        for value in values:
            self.consumer.log.append(Message(len(self.consumer.log), value))

    def batch(self) -> Batch:
        batch = self.engine.poll()
        assert batch is not None
        return batch

    def window(self) -> DedupeWindow:
        return self.engine._windows[0]

    def stored(self, topic: str) -> list[bytes]:
        return [value for name, _, value in self.producer.committed if name == f"t.{topic}"]

    def outcomes(self) -> list[tuple[str, int, int]]:
        return [(r.outcome, r.first, r.count) for value in self.stored("outcomes") for r in decode_outcome(value).runs]


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.setattr(module, "Consumer", FakeConsumer)
    monkeypatch.setattr(module, "Producer", FakeProducer)
    monkeypatch.setattr(module, "Recovery", FakeRecovery)
    return Rig()


def test_a_batch_moves_records_and_offsets_together(rig: Rig) -> None:
    rig.send(raw_value(event_id="a"), b"junk", raw_value(event_id="a"), raw_value(event_id="b"))
    assert rig.engine.handle(rig.batch())
    assert rig.producer.calls == ["init", "begin", "offsets", "commit"]
    assert rig.producer.offsets == {0: 4}
    assert (len(rig.stored("curated")), len(rig.stored("dead_letters")), len(rig.stored("outcomes"))) == (2, 1, 1)
    assert rig.outcomes() == [("curated", 0, 1), ("dead_letter", 1, 1), ("duplicate", 2, 1), ("curated", 3, 1)]
    assert {partition for _, partition, _ in rig.producer.committed} == {0}


def test_ids_are_remembered_after_the_commit(rig: Rig) -> None:
    rig.send(raw_value(event_id="a"))
    assert rig.engine.handle(rig.batch())
    assert dedupe_id("demo", "a") in rig.window()
    rig.send(raw_value(event_id="a"))
    assert rig.engine.handle(rig.batch())
    assert rig.outcomes()[-1] == ("duplicate", 1, 1)


@pytest.mark.parametrize("step", ["offsets", "commit"])
def test_an_aborted_batch_leaves_no_trace_and_comes_again(rig: Rig, step: str) -> None:
    rig.producer.failures = {step: deque([ABORTABLE])}
    rig.send(raw_value(event_id="a"))
    assert not rig.engine.handle(rig.batch())
    assert rig.producer.calls[-1] == "abort"
    assert (rig.producer.committed, rig.producer.offsets, len(rig.window())) == ([], {}, 0)
    assert rig.engine.handle(rig.batch())
    assert rig.outcomes() == [("curated", 0, 1)], "its own ids must not make it a duplicate"


def test_batches_consumed_before_an_abort_are_dropped(rig: Rig) -> None:
    rig.send(raw_value(event_id="a"))
    first = rig.batch()
    rig.send(raw_value(event_id="b"))
    second = rig.batch()
    rig.producer.failures = {"commit": deque([ABORTABLE])}
    assert not rig.engine.handle(first)
    assert not rig.engine.handle(second), "the second would be committed before the first"
    assert rig.producer.committed == []
    again = rig.batch()
    assert [r.offset for r in again.partitions[0]] == [0, 1]
    assert rig.engine.handle(again)
    assert rig.outcomes() == [("curated", 0, 2)]


def test_a_retriable_error_is_no_abort(rig: Rig) -> None:
    rig.producer.failures = {"init": deque(), "offsets": deque([RETRIABLE]), "commit": deque([RETRIABLE])}
    rig.send(raw_value())
    assert rig.engine.handle(rig.batch())
    assert rig.producer.calls == ["init", "begin", "offsets", "offsets", "commit", "commit"]
    assert len(rig.stored("curated")) == 1


@pytest.mark.parametrize("step", ["begin", "commit"])
def test_a_fenced_producer_ends_the_worker(rig: Rig, step: str) -> None:
    rig.producer.failures = {step: deque([FENCED])}
    rig.send(raw_value())
    batch = rig.batch()
    with pytest.raises(KafkaException):
        rig.engine.handle(batch)
    assert "abort" not in rig.producer.calls
    assert len(rig.window()) == 0


def test_a_full_queue_is_waited_for(rig: Rig) -> None:
    rig.producer.full = 2
    rig.send(raw_value())
    assert rig.engine.handle(rig.batch())
    assert rig.producer.calls.count("poll") == 2
    assert len(rig.stored("curated")) == 1


def test_a_seek_too_early_is_done_by_a_later_poll(rig: Rig) -> None:
    rig.producer.failures = {"commit": deque([ABORTABLE])}
    rig.send(raw_value(event_id="a"), raw_value(event_id="b"))
    assert not rig.engine.handle(rig.batch())
    rig.consumer.seek_error = KafkaError(KafkaError._STATE, "not fetching")
    rig.consumer.position = 1
    assert not rig.engine.handle(rig.batch()), "read from the wrong place"
    rig.consumer.seek_error = None
    assert rig.engine.handle(rig.batch())
    assert rig.outcomes() == [("curated", 0, 2)]


def test_a_partition_given_away_takes_its_batches_along(rig: Rig) -> None:
    rig.send(raw_value(event_id="a"))
    held = rig.batch()
    rig.consumer.handlers["on_revoke"](rig.consumer, [TopicPartition("t.raw", 0)])
    assert not rig.engine.handle(held)
    assert rig.consumer.assigned == []
    rig.assign()
    assert not rig.engine.handle(held), "of an earlier assignment"
    assert rig.engine.handle(rig.batch())
    assert rig.outcomes() == [("curated", 0, 1)]


def test_a_lost_partition_commits_nothing(rig: Rig) -> None:
    rig.send(raw_value(event_id="a"))
    held = rig.batch()
    rig.consumer.handlers["on_lost"](rig.consumer, [TopicPartition("t.raw", 0)])
    assert not rig.engine.handle(held)
    assert rig.producer.committed == []


def test_a_takeover_continues_where_the_output_ends(monkeypatch: pytest.MonkeyPatch, rig: Rig) -> None:
    monkeypatch.setattr(FakeRecovery, "start", 1)
    monkeypatch.setattr(FakeRecovery, "ids", [dedupe_id("demo", "a")])
    rig.consumer.handlers["on_revoke"](rig.consumer, [TopicPartition("t.raw", 0)])
    rig.assign()
    rig.send(raw_value(event_id="a"), raw_value(event_id="a"), raw_value(event_id="b"))
    assert rig.engine.handle(rig.batch())
    assert rig.outcomes() == [("duplicate", 1, 1), ("curated", 2, 1)]


def test_an_offset_that_has_an_outcome_is_refused(rig: Rig) -> None:
    rig.send(raw_value(event_id="a"))
    batch = rig.batch()
    assert rig.engine.handle(batch)
    with pytest.raises(InvariantError, match="second outcome"):
        rig.engine.handle(batch)
    assert len(rig.stored("outcomes")) == 1


def test_a_truncated_log_stops_the_worker(rig: Rig) -> None:
    rig.consumer.errors.append(Message(0, failure=KafkaError(KafkaError._AUTO_OFFSET_RESET, "out of range")))
    with pytest.raises(InvariantError, match="truncated"):
        rig.engine.poll()


def test_consumer_errors_end_the_worker_only_when_fatal(rig: Rig) -> None:
    rig.consumer.errors.append(Message(0, failure=KafkaError(KafkaError._ALL_BROKERS_DOWN, "away")))
    assert rig.engine.poll() is None
    rig.consumer.errors.append(Message(0, failure=FENCED))
    with pytest.raises(KafkaException):
        rig.engine.poll()


def test_a_pause_stops_consuming_and_nothing_else(rig: Rig) -> None:
    rig.send(raw_value())
    rig.engine.pause(True)
    assert rig.engine.poll() is None
    assert rig.consumer.assigned
    rig.engine.pause(False)
    assert rig.batch().records == 1


def test_a_worker_without_a_share_has_joined(rig: Rig) -> None:
    other = Rig()
    assert other.engine.joined
    fresh = StreamEngine(SETTINGS, contracts=bundled_contracts())
    fresh.start()
    assert not fresh.joined
    consumer: FakeConsumer = fresh._consumer
    consumer.handlers["on_assign"](consumer, [])
    assert fresh.joined


def test_stopping_leaves_the_group(rig: Rig) -> None:
    rig.engine.stop()
    assert rig.consumer.closed


def test_dead_letters_are_judged_after_the_commit_and_outside_the_lock(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[list[int], int, bool]] = []

    def after(partitions: dict[int, Any], results: list[Any]) -> None:
        free = threading.Thread(target=lambda: heard.append((*seen, rig.engine._handling.acquire(timeout=5))))
        seen = ([*partitions], len(results[0].dead_letters))
        assert rig.producer.calls[-1] == "commit"
        free.start()
        free.join()

    monkeypatch.setattr(rig.engine.dead_letters, "after", after)
    rig.producer.failures = {"commit": deque([ABORTABLE])}
    rig.send(b"junk")
    assert not rig.engine.handle(rig.batch())
    assert heard == [], "an aborted batch comes again"
    assert rig.engine.handle(rig.batch())
    assert heard == [([0], 1, True)]
