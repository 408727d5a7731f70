"""The worker's order of steps, against a consumer and a producer in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from core import kafka
from core.errors import ConfigError, InvariantError, StateError, UnavailableError
from core.lifecycle import Lifecycle, Phase
from core.settings import Settings
from core.topics import declared
from streams.processor import Emit, Event, Output, processor
from streams.processor import worker as module
from streams.processor.step import ProcessorStoppedError
from streams.processor.worker import ProcessorWorker, declared_topics
from tests.streams.processors.records import ARRIVAL_MS, value

SETTINGS = Settings(kafka_bootstrap="127.0.0.1:1", topic_prefix="t.", partitions=2, streams_worker_id="w")
ABORTABLE = KafkaError(KafkaError._TIMED_OUT, "timed out", False, False, True)
FENCED = KafkaError(KafkaError._FENCED, "fenced", True, False, False)


@processor(to="out", schema="order_completed", on_error="stop")
def numbers(events: list[Event]) -> Iterable[Emit]:
    for event in events:
        yield Emit(event, event.properties["n"])


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
        return 1, ARRIVAL_MS

    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes | None:
        return self.data


@dataclass
class FakeConsumer:
    """Holds a log of partition 0 and reads it from `position`. `during` happens inside the next consume."""

    config: dict[str, Any]
    log: list[Message] = field(default_factory=list)
    position: int = 0
    low: int = 0
    partitions: int = 2
    topics: set[str] = field(default_factory=lambda: {"t.curated"})
    committed_offsets: dict[int, int] = field(default_factory=dict)
    full_topics: set[str] = field(default_factory=set)
    during: Callable[[], None] | None = None
    unanswered: deque[KafkaError] = field(default_factory=deque)
    seek_error: KafkaError | None = None
    handlers: dict[str, Any] = field(default_factory=dict)
    closed: bool = False

    def list_topics(self, name: str, timeout: float) -> Any:
        assert timeout
        error = None if name in self.topics else KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
        return SimpleNamespace(
            topics={name: SimpleNamespace(error=error, partitions=dict.fromkeys(range(self.partitions)))}
        )

    def subscribe(self, topics: list[str], **handlers: Any) -> None:
        assert topics == ["t.curated"]
        self.handlers = handlers

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert timeout > kafka.TRANSACTION_TIMEOUT_MS / 1000
        return [
            TopicPartition(p.topic, p.partition, self.committed_offsets.get(p.partition, kafka.NO_OFFSET))
            for p in partitions
        ]

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> None:
        assert not asynchronous
        self.committed_offsets |= {p.partition: p.offset for p in offsets}

    def get_watermark_offsets(self, where: TopicPartition, timeout: float) -> tuple[int, int]:
        assert timeout
        if self.unanswered:
            raise KafkaException(self.unanswered.popleft())
        return self.low, self.low + (where.topic in self.full_topics)

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        self.position = partitions[0].offset

    def incremental_unassign(self, _partitions: list[TopicPartition]) -> None:
        pass

    def consume(self, number: int, _timeout: float) -> list[Message]:
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

    def consumer_group_metadata(self) -> str:
        return "group"

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeProducer:
    """Keeps what is produced in a transaction until it is committed."""

    config: dict[str, Any]
    pending: list[tuple[str, int, bytes]] = field(default_factory=list)
    pending_offsets: dict[int, int] = field(default_factory=dict)
    committed: list[tuple[str, int, bytes]] = field(default_factory=list)
    offsets: dict[int, int] = field(default_factory=dict)
    failures: dict[str, deque[KafkaError]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.failures.get(name):
            raise KafkaException(self.failures[name].popleft())

    def init_transactions(self, _timeout: float) -> None:
        self._called("init")

    def begin_transaction(self) -> None:
        self._called("begin")

    def produce(
        self, topic: str, value: bytes, key: bytes | None, partition: int, *, timestamp: int, headers: Any
    ) -> None:
        assert (key, timestamp, headers) == (b"k", ARRIVAL_MS, None)
        self.pending.append((topic, partition, value))

    def send_offsets_to_transaction(self, offsets: list[TopicPartition], group: str, _timeout: float) -> None:
        assert group == "group"
        self._called("offsets")
        self.pending_offsets = {p.partition: p.offset for p in offsets}

    def commit_transaction(self, _timeout: float) -> None:
        self._called("commit")
        self.committed += self.pending
        self.offsets |= self.pending_offsets
        self.pending = []

    def abort_transaction(self, _timeout: float) -> None:
        self._called("abort")
        self.pending = []


class Rig:
    """A started worker, not yet given a partition."""

    def __init__(self, declared: Any = numbers) -> None:
        self.worker = ProcessorWorker(SETTINGS, declared)
        self.consumer: FakeConsumer = self.worker._consumer
        self.producer: FakeProducer = self.worker._producer

    def assign(self, *partitions: int) -> None:
        self.consumer.handlers["on_assign"](self.consumer, [TopicPartition("t.curated", p) for p in partitions])

    def revoke(self, how: str = "on_revoke") -> None:
        self.consumer.handlers[how](self.consumer, [TopicPartition("t.curated", 0)])

    def send(self, *values: bytes) -> None:
        self.consumer.log += [Message(len(self.consumer.log) + n, each) for n, each in enumerate(values)]

    def step(self) -> bool:
        records = self.worker.poll()
        return bool(records) and self.worker.handle(records)

    def written(self) -> list[bytes]:
        assert {(topic, partition) for topic, partition, _ in self.producer.committed} <= {("t.out", 0)}
        return [each for _, _, each in self.producer.committed]


def number(n: Any) -> bytes:
    return value(properties={"n": n})


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Consumer", FakeConsumer)
    monkeypatch.setattr(module, "Producer", FakeProducer)


@pytest.fixture
def rig(fakes: None) -> Rig:
    rig = Rig()
    rig.worker.start()
    rig.assign(0)
    return rig


def test_records_and_offsets_move_together(rig: Rig) -> None:
    rig.send(number(1), value(event="page_view"), number(2))
    assert rig.step()
    assert rig.producer.calls == ["init", "begin", "offsets", "commit"]
    assert (rig.written(), rig.producer.offsets) == ([b"1", b"2"], {0: 3})


def test_events_of_others_move_the_offset_too(rig: Rig) -> None:
    rig.send(value(event="page_view"))
    assert rig.step()
    assert (rig.written(), rig.producer.offsets) == ([], {0: 1})


def test_its_clients_go_by_processor_and_worker(rig: Rig) -> None:
    assert rig.consumer.config["group.id"] == "t.processor.numbers"
    assert rig.consumer.config["group.instance.id"] == "t.processor.numbers.w"
    assert rig.consumer.config["isolation.level"] == "read_committed"
    assert rig.producer.config["transactional.id"] == "t.processor.numbers.w"


@pytest.mark.parametrize("step", ["offsets", "commit"])
def test_an_aborted_batch_comes_again(rig: Rig, step: str) -> None:
    rig.producer.failures = {step: deque([ABORTABLE])}
    rig.send(number(1))
    assert not rig.step()
    assert (rig.producer.calls[-1], rig.written(), rig.producer.offsets) == ("abort", [], {})
    rig.send(number(2))
    assert rig.step()
    assert (rig.written(), rig.producer.offsets) == ([b"1", b"2"], {0: 2})


def test_a_seek_too_early_is_done_by_a_later_poll(rig: Rig) -> None:
    rig.producer.failures = {"commit": deque([ABORTABLE])}
    rig.send(number(1), number(2))
    assert not rig.step()
    rig.consumer.seek_error = KafkaError(KafkaError._STATE, "not fetching")
    rig.consumer.position = 1
    assert not rig.step(), "read from the wrong place"
    rig.consumer.seek_error = None
    assert rig.step()
    assert rig.written() == [b"1", b"2"]


@pytest.mark.parametrize("how", ["on_revoke", "on_lost"])
def test_what_came_along_with_a_rebalance_is_dropped_and_read_again(rig: Rig, how: str) -> None:
    def given_and_taken() -> None:
        rig.revoke(how)
        rig.assign(0)

    rig.send(number(1))
    rig.consumer.during = given_and_taken
    assert not rig.step()
    assert "begin" not in rig.producer.calls
    assert rig.step()
    assert rig.written() == [b"1"]


def test_a_partition_given_away_is_not_written_for(rig: Rig) -> None:
    rig.send(number(1))
    rig.consumer.during = rig.revoke
    assert not rig.step()
    assert not rig.producer.committed
    rig.consumer.position = 0
    with pytest.raises(InvariantError, match="offset 0, but None was due"):
        rig.step()


def test_a_record_that_comes_twice_is_refused(rig: Rig) -> None:
    rig.send(number(1))
    assert rig.step()
    rig.consumer.position = 0
    with pytest.raises(InvariantError, match="processed twice"):
        rig.step()


def test_a_fenced_producer_ends_the_worker(rig: Rig) -> None:
    rig.producer.failures = {"commit": deque([FENCED])}
    rig.send(number(1))
    with pytest.raises(KafkaException):
        rig.step()
    assert "abort" not in rig.producer.calls


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        (KafkaError._AUTO_OFFSET_RESET, InvariantError),
        (KafkaError._FENCED, KafkaException),
        (KafkaError._ALL_BROKERS_DOWN, None),
    ],
)
def test_errors_of_the_consumer(rig: Rig, code: int, raised: type[Exception] | None) -> None:
    rig.consumer.log = [Message(0, failure=KafkaError(code))]
    if raised is None:
        assert not rig.step()
        return
    with pytest.raises(raised):
        rig.step()


def test_stop_begins_no_transaction(rig: Rig) -> None:
    rig.send(number(1), value(properties={}))
    with pytest.raises(ProcessorStoppedError):
        rig.step()
    assert "begin" not in rig.producer.calls


# -- where it begins


def test_a_new_group_begins_at_the_oldest_record_and_notes_it(fakes: None) -> None:
    rig = Rig()
    rig.worker.start()
    rig.consumer.low = 7
    rig.assign(0, 1)
    assert (rig.consumer.position, rig.consumer.committed_offsets) == (7, {0: 7, 1: 7})


def test_a_known_group_continues(fakes: None) -> None:
    rig = Rig()
    rig.worker.start()
    rig.consumer.committed_offsets = {0: 5}
    rig.consumer.full_topics = {"t.out", "t.numbers.dead_letters"}
    rig.assign(0)
    assert rig.consumer.position == 5


@pytest.mark.parametrize("topic", ["t.out", "t.numbers.dead_letters"])
def test_lost_offsets_are_not_begun_anew(fakes: None, topic: str) -> None:
    rig = Rig()
    rig.worker.start()
    rig.consumer.full_topics = {topic}
    with pytest.raises(StateError, match=f"{topic} holds records"):
        rig.assign(0)
    assert rig.consumer.committed_offsets == {}


def test_a_topic_without_a_leader_is_waited_for(fakes: None) -> None:
    rig = Rig()
    rig.worker.start()
    rig.consumer.unanswered = deque([KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION)])
    rig.assign(0)
    assert rig.consumer.committed_offsets == {0: 0}


def test_what_stays_unanswered_is_an_error_of_ours(fakes: None) -> None:
    rig = Rig()
    rig.worker.start()
    rig.consumer.unanswered = deque([FENCED])
    with pytest.raises(UnavailableError, match=r"the ends of t\.out were looked up"):
        rig.assign(0)


def test_more_workers_than_partitions_are_ready_too(fakes: None) -> None:
    rig = Rig()
    rig.worker.start()
    assert not rig.worker.joined
    rig.assign()
    assert rig.worker.joined


def test_a_source_that_is_not_there_or_of_another_shape(fakes: None) -> None:
    rig = Rig()
    rig.consumer.topics = set()
    with pytest.raises(ConfigError, match=r"there is no topic t\.curated"):
        rig.worker.start()
    rig = Rig()
    rig.consumer.partitions = 4
    with pytest.raises(ConfigError, match="has 4 partitions, the settings say 2") as caught:
        rig.worker.start()
    assert caught.value.hint == "Set SLUICE_PARTITIONS=4."


def test_its_life(fakes: None) -> None:
    rig = Rig()
    lifecycle = Lifecycle("test")
    rig.send(number(1))
    phases: list[Phase] = []

    def watch(events: list[Event]) -> None:
        phases.append(lifecycle.phase)
        lifecycle.drain(reason="test")

    rig.consumer.during = lambda: rig.assign(0)
    rig.worker._step._processor = processor(to="out", name="numbers")(watch)
    rig.worker.run(lifecycle)
    assert (phases, rig.producer.offsets, rig.consumer.closed) == ([Phase.STARTING], {0: 1}, True)


# -- its topics


def test_its_topics_are_as_curated_is() -> None:
    curated, *_ = [t for t in declared(SETTINGS) if t.name == "t.curated"]
    found = declared_topics(SETTINGS, numbers)
    assert [topic.name for topic in found] == ["t.out", "t.numbers.dead_letters"]
    assert all((topic.partitions, topic.config) == (2, curated.config) for topic in found)


def test_a_schema_beside_an_external_registry_is_refused() -> None:
    @processor(to=Output("out", schema="session_start"))
    def framed(event: Event) -> Iterable[Emit]:
        return ()

    settings = Settings(schema_registry_url="http://registry.example")
    with pytest.raises(ConfigError, match="SLUICE_SCHEMA_REGISTRY_URL is set"):
        declared_topics(settings, framed)
    assert declared_topics(settings, numbers)
