"""The Kafka publisher against librdkafka's mock broker; brokers that die in earnest are the fault suite's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

import collector.kafka
from collector.kafka import IDLE_POLL_S, KafkaPublisher
from collector.publisher import Failure, Record
from core.settings import Settings
from core.topics import MAX_RAW_MESSAGE_BYTES, Topics
from tests.collector.conftest import MockCluster

Result = TypeVar("Result")
RAW = Topics.named("sluice.").raw
PARTITIONS = 4  # of every topic of the mock broker


def with_publisher(settings: Settings, use: Callable[[KafkaPublisher], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        publisher = KafkaPublisher(settings)
        publisher.start()
        try:
            return await use(publisher)
        finally:
            await publisher.close()

    return asyncio.run(run())


@pytest.fixture
def reachable(cluster: MockCluster) -> Settings:
    settings = Settings(kafka_bootstrap=cluster.bootstrap, collector_ack_timeout_ms=5_000)
    cluster.create_topics(settings)
    return settings


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(collector.kafka, "FLUSH_TIMEOUT_S", 0.2)
    monkeypatch.setattr(collector.kafka, "LOOK_TIMEOUT_S", 0.2)
    return Settings(kafka_bootstrap="127.0.0.1:1", collector_ack_timeout_ms=300)


def stored(bootstrap: str, count: int) -> dict[bytes, list[bytes]]:
    """The values of the raw topic by key, in order."""
    consumer: Any = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "log_level": 0})
    consumer.assign([TopicPartition(RAW, partition, 0) for partition in range(PARTITIONS)])
    found: dict[bytes, list[bytes]] = {}
    for message in consumer.consume(count, timeout=3):
        assert message.error() is None
        found.setdefault(message.key(), []).append(message.value())
    consumer.close()
    return found


def test_every_record_is_stored_in_order_of_its_key(reachable: Settings) -> None:
    records = [Record(b"demo|%d" % (number % 7), b"%d" % number) for number in range(500)]
    fates = with_publisher(reachable, lambda publisher: publisher.publish(records))
    # A receipt says where the record is: nothing else was written here.
    receipts = sorted(str(fate) for fate in fates)
    assert receipts == sorted({f"{RAW}-{p}-{o}" for p in range(PARTITIONS) for o in range(500)} & set(receipts))
    wanted: dict[bytes, list[bytes]] = {}
    for record in records:
        wanted.setdefault(record.key, []).append(record.value)
    assert stored(reachable.kafka_bootstrap, 500) == wanted


def test_a_record_kafka_never_takes_costs_only_itself(reachable: Settings) -> None:
    records = [Record(b"k", b"a"), Record(b"k", b"x" * (MAX_RAW_MESSAGE_BYTES + 1)), Record(b"k", b"b")]
    first, refused, second = with_publisher(reachable, lambda publisher: publisher.publish(records))
    assert refused is Failure.TOO_LARGE
    assert (str(first)[-2:], str(second)[-2:]) == ("-0", "-1")
    assert stored(reachable.kafka_bootstrap, 2) == {b"k": [b"a", b"b"]}


def test_many_requests_at_once(reachable: Settings) -> None:
    async def use(publisher: KafkaPublisher) -> Sequence[Any]:
        return await asyncio.gather(*(publisher.publish([Record(b"%d" % n, b"v")]) for n in range(300)))

    assert len({fate for [fate] in with_publisher(reachable, use) if isinstance(fate, str)}) == 300


def test_a_look_tells_what_is_wrong(cluster: MockCluster) -> None:
    settings = Settings(kafka_bootstrap=cluster.bootstrap)

    async def use(publisher: KafkaPublisher) -> list[str]:
        first = await publisher.look()
        cluster.create_topics(settings)
        return [first, await publisher.look()]

    assert with_publisher(settings, use) == [f"topic {RAW} does not exist", ""]


def test_a_look_at_nobody(unreachable: Settings) -> None:
    assert with_publisher(unreachable, lambda publisher: publisher.look()).startswith("Kafka does not answer")


def test_no_acknowledgement_in_time_means_retry(unreachable: Settings) -> None:
    async def use(publisher: KafkaPublisher) -> tuple[Any, float]:
        loop = asyncio.get_running_loop()
        started = loop.time()
        failed = await publisher.publish([Record(b"k", b"a"), Record(b"k", b"b")])
        return failed, loop.time() - started

    failed, took = with_publisher(unreachable, use)
    assert failed == [Failure.RETRY] * 2
    assert 0.2 < took < 2


def test_a_full_queue_means_retry_at_once(unreachable: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector.kafka, "QUEUE_KIB", 1)

    async def use(publisher: KafkaPublisher) -> Any:
        waiting = asyncio.create_task(publisher.publish([Record(b"k", b"x" * 1000)] * 2))
        await asyncio.sleep(0)
        full = await asyncio.wait_for(publisher.publish([Record(b"k", b"x" * 1000)]), 0.1)
        await waiting
        return full

    assert with_publisher(unreachable, use) == [Failure.RETRY]


def test_one_that_waited_too_long_ends_the_waiting_of_all(
    unreachable: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stayed behind in the client would be stored late, and once more."""
    forgotten: list[str] = []
    real = collector.kafka._Pending.report

    def report(self: Any, at: int, error: KafkaError, message: Any = None) -> None:
        forgotten.append(error.name())
        real(self, at, error, message)

    monkeypatch.setattr(collector.kafka._Pending, "report", report)

    async def use(publisher: KafkaPublisher) -> tuple[Any, float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        first = asyncio.create_task(publisher.publish([Record(b"k", b"a")]))
        await asyncio.sleep(0.2)
        fates = await asyncio.gather(first, *(publisher.publish([Record(b"k", b"b")] * 2) for _ in range(5)))
        took = loop.time() - began
        await asyncio.sleep(2 * IDLE_POLL_S)  # in which the library reports what it has forgotten
        return fates, took

    fates, took = with_publisher(unreachable, use)
    assert fates == [[Failure.RETRY], *[[Failure.RETRY] * 2] * 5]
    assert 0.25 < took < 2
    assert forgotten == ["_PURGE_QUEUE"] * 11


def test_what_was_abandoned_can_be_published_again(reachable: Settings) -> None:
    async def use(publisher: KafkaPublisher) -> Any:
        waiting = asyncio.create_task(publisher.publish([Record(b"k", b"%d" % n) for n in range(100)]))
        await asyncio.sleep(0)
        publisher.abandon()
        given_up = await waiting
        assert set(given_up) == {Failure.RETRY}
        return await publisher.publish([Record(b"k", b"%d" % n) for n in range(100)])

    fates = with_publisher(reachable, use)
    assert all(isinstance(fate, str) for fate in fates)
    # Each at least once; a first time may have arrived before it was abandoned.
    values = stored(reachable.kafka_bootstrap, 200)[b"k"]
    assert values[-100:] == [b"%d" % n for n in range(100)]


@pytest.mark.parametrize(
    ("code", "dies"), [(KafkaError._FENCED, True), (KafkaError._FATAL, True), (KafkaError._ALL_BROKERS_DOWN, False)]
)
def test_only_a_dead_client_ends_the_process(monkeypatch: pytest.MonkeyPatch, code: int, dies: bool) -> None:
    deaths: list[str] = []
    monkeypatch.setattr(collector.kafka, "die", lambda event, **_: deaths.append(event))
    collector.kafka._on_client_error(KafkaError(code))
    assert deaths == ["publisher.fatal"] * dies


def test_an_idle_publisher_hardly_polls(reachable: Settings) -> None:
    class Counting:
        def __init__(self, inner: Any) -> None:
            self.inner = inner
            self.polls = 0

        def __len__(self) -> int:
            return len(self.inner)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def poll(self, timeout: float) -> int:
            self.polls += 1
            return int(self.inner.poll(timeout))

    async def use(publisher: KafkaPublisher) -> int:
        await publisher.publish([Record(b"k", b"v")])
        await asyncio.sleep(0.05)
        counting = Counting(publisher._producer)
        publisher._producer = counting
        await asyncio.sleep(3 * IDLE_POLL_S)
        return counting.polls

    assert with_publisher(reachable, use) <= 4


def test_close_hands_over_what_is_queued(reachable: Settings) -> None:
    async def run() -> None:
        publisher = KafkaPublisher(replace(reachable, collector_ack_timeout_ms=5_000))
        publisher.start()
        task = asyncio.create_task(publisher.publish([Record(b"k", b"late")]))
        await asyncio.sleep(0)
        await publisher.close()
        task.cancel()

    asyncio.run(run())
    assert stored(reachable.kafka_bootstrap, 1) == {b"k": [b"late"]}
