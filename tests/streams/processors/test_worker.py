"""The worker's order of steps, against a consumer and a producer in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from core import transactions
from core.errors import ConfigError, InvariantError, StateError, UnavailableError
from core.lifecycle import Lifecycle, Phase
from core.settings import Settings
from core.topics import declared
from streams.processor import Emit, Event, Output, processor
from streams.processor import worker as module
from streams.processor.step import ProcessorStoppedError
from streams.processor.worker import ProcessorWorker, declared_topics
from tests.streams.kafka_fakes import ABORTABLE, FENCED, STARTED, FakeConsumer, FakeProducer, Message
from tests.streams.processors.records import value

SETTINGS = Settings(kafka_bootstrap="127.0.0.1:1", topic_prefix="t.", partitions=2, streams_worker_id="w")


@processor(to="out", schema="order_completed", on_error="stop")
def numbers(events: list[Event]) -> Iterable[Emit]:
    for event in events:
        yield Emit(event, event.properties["n"])


class Rig:
    """A started worker, not yet given a partition."""

    def __init__(self, declared: Any = numbers) -> None:
        self.worker = ProcessorWorker(SETTINGS, declared)
        self.consumer: FakeConsumer = self.worker._consumer
        self.consumer.topics, self.consumer.partitions = {"t.curated"}, 4
        self.producer: FakeProducer = self.worker._producer

    def assign(self, *partitions: int) -> None:
        self.consumer.handlers["on_assign"](self.consumer, [TopicPartition("t.curated", p) for p in partitions])

    def revoke(self, how: str = "on_revoke") -> None:
        self.consumer.handlers[how](self.consumer, [TopicPartition("t.curated", 0)])

    def send(self, *values: bytes) -> None:
        self.consumer.send(*values, topic="t.curated")

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
    monkeypatch.setattr(transactions, "Consumer", FakeConsumer)


@pytest.fixture
def rig(fakes: None) -> Rig:
    rig = Rig()
    rig.worker.start()
    rig.assign(0)
    return rig


def test_records_and_offsets_move_together(rig: Rig) -> None:
    rig.send(number(1), value(event="page_view"), number(2))
    assert rig.step()
    assert rig.producer.calls == [*STARTED, "begin", "offsets", "commit"]
    assert (rig.written(), rig.producer.offsets) == ([b"1", b"2"], {("t.curated", 0): 3})


def test_events_of_others_move_the_offset_too(rig: Rig) -> None:
    rig.send(value(event="page_view"))
    assert rig.step()
    assert (rig.written(), rig.producer.offsets) == ([], {("t.curated", 0): 1})


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
    assert (rig.written(), rig.producer.offsets) == ([b"1", b"2"], {("t.curated", 0): 2})


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
    assert rig.producer.calls == STARTED
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


def test_the_trace_of_an_event_goes_on(rig: Rig) -> None:
    sent_with = [("other", b"x"), ("traceparent", b"00-a-b-01")]
    rig.consumer.log += [
        Message(0, number(1), of="t.curated", sent_with=sent_with),
        Message(1, number(2), of="t.curated"),
    ]
    assert rig.step()
    assert rig.producer.headers == [[("traceparent", b"00-a-b-01")], None]


def test_a_fenced_producer_ends_the_worker(rig: Rig) -> None:
    rig.producer.failures = {"commit": deque([FENCED])}
    rig.send(number(1))
    with pytest.raises(KafkaException):
        rig.step()
    assert "abort" not in rig.producer.calls[len(STARTED) :]


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
    assert rig.producer.calls == STARTED


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
    rig.consumer.partitions = 8
    with pytest.raises(ConfigError, match="has 8 partitions, the settings say 4") as caught:
        rig.worker.start()
    assert caught.value.hint == "Set SLUICE_PARTITIONS=4: there are two lanes."


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
    assert (phases, rig.producer.offsets) == ([Phase.STARTING], {("t.curated", 0): 1})
    assert rig.consumer.closed


# -- its topics


def test_its_topics_are_as_curated_is() -> None:
    curated, *_ = [t for t in declared(SETTINGS) if t.name == "t.curated"]
    found = declared_topics(SETTINGS, numbers)
    assert [topic.name for topic in found] == ["t.out", "t.numbers.dead_letters"]
    assert all((topic.partitions, topic.config) == (4, curated.config) for topic in found)


def test_a_schema_beside_an_external_registry_is_refused() -> None:
    @processor(to=Output("out", schema="session_start"))
    def framed(event: Event) -> Iterable[Emit]:
        return ()

    settings = Settings(schema_registry_url="http://registry.example")
    with pytest.raises(ConfigError, match="SLUICE_SCHEMA_REGISTRY_URL is set"):
        declared_topics(settings, framed)
    assert declared_topics(settings, numbers)
