"""A transaction whose end Kafka forgot holds offsets of a group for ever: whoever starts with its name ends it, and
stream workers with another name take its partitions over all the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from core import kafka, transactions
from core.lanes import Lanes
from core.lifecycle import Lifecycle
from core.settings import Settings
from core.topics import Topics
from infra import topics
from sinks.generations.handover import sink_group
from sinks.worker import SinkWorker
from streams.processor import Emit, Event, processor
from streams.processor.worker import ProcessorWorker, declared_topics
from streams.recovery import Recovery
from streams.restated import group_of
from tests.oracle.fleet import Fleet
from tests.oracle.forgotten import forget
from tests.oracle.stream_run import embedded_kafka, prefixed

pytestmark = pytest.mark.stack

_PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def kafka_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with embedded_kafka(Path(tmp_path_factory.mktemp("forgotten")) / "kafka") as settings:
        yield replace(settings, partitions=2)


def is_told(settings: Settings, group: str, topic: str) -> bool:
    """Whether Kafka says what the group committed of partition 0."""
    asker = Consumer(kafka.consumer(settings, group=group))
    try:
        asker.committed([TopicPartition(topic, 0)], timeout=1.0)
    except KafkaException:
        return False
    finally:
        asker.close()
    return True


def until(reached: Callable[[], bool], *, meanwhile: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not reached():
        meanwhile()
        time.sleep(0.02)
        assert time.monotonic() < deadline


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "LONGEST_S", 1.0)
    monkeypatch.setattr(transactions, "_ASK_S", 0.5)


def test_a_stream_worker_ends_its_own(kafka_settings: Settings) -> None:
    settings = prefixed(kafka_settings, "own")
    group, topic = group_of(settings), Lanes.of(settings).live
    forget(settings, transactional_id="own.streams.0", group=group, topic=topic)
    assert not is_told(settings, group, topic)
    with Fleet(settings) as fleet:
        fleet.add()
        until(lambda: fleet.calm, meanwhile=fleet.look)
        assert not [line for _, line in fleet.said() if line.get("event") == "streams.transaction_forgotten"]
        assert is_told(settings, group, topic)


def test_a_stream_worker_takes_over_without_another_ones(kafka_settings: Settings, impatient: None) -> None:
    settings = prefixed(kafka_settings, "others")
    group, topic = group_of(settings), Lanes.of(settings).live
    forget(settings, transactional_id="others.streams.gone", group=group, topic=topic)
    member = Consumer(kafka.consumer(settings, group=group))
    asked = time.monotonic()
    assert Recovery(settings).committed(member, [0, 1]) == dict.fromkeys(range(4), kafka.NO_OFFSET)
    assert time.monotonic() - asked > transactions.LONGEST_S
    assert not is_told(settings, group, topic)
    member.close()


def test_a_processor_ends_its_own(kafka_settings: Settings) -> None:
    settings = replace(prefixed(kafka_settings, "processed"), streams_worker_id="0")
    group, topic = "processed.processor.copy", Topics.named(settings.topic_prefix).curated
    forget(settings, transactional_id=f"{group}.0", group=group, topic=topic)
    assert not is_told(settings, group, topic)

    @processor(to="copies")
    def copy(events: list[Event]) -> Iterable[Emit]:
        return [Emit(event, event.properties) for event in events]

    topics.apply(settings, declared_topics(settings, copy))
    worker = ProcessorWorker(settings, copy)
    worker.start()
    until(lambda: worker.joined, meanwhile=worker.poll)
    assert is_told(settings, group, topic)


def test_a_sink_ends_its_own(kafka_settings: Settings, impatient: None) -> None:
    settings = replace(prefixed(kafka_settings, "stored"), clickhouse_url="http://127.0.0.1:1")
    group, topic = sink_group(settings), Topics.named(settings.topic_prefix).curated
    forget(settings, transactional_id=f"stored.sink.{settings.sink_worker_id}", group=group, topic=topic)
    assert not is_told(settings, group, topic)
    sink = SinkWorker(settings, Lifecycle("sink"))
    member = Consumer(kafka.consumer(settings, group=group))
    found = sink._committed(member, [TopicPartition(topic, 0)])
    assert [each.offset for each in found] == [kafka.NO_OFFSET]
    assert is_told(settings, group, topic)
    member.close()
