"""What is known of the streams without asking a worker: Kafka holds all of it.

Paused or not and the alerts stand in the control topic, lag is the raw topic's ends and what the group committed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from core import control, kafka
from core.clock import SystemClock
from core.control import ControlFollower
from core.errors import UnavailableError
from core.lanes import Lane, Lanes
from core.settings import Settings
from core.topics import Topics
from streams import alerts, pause
from streams.limits import Alert
from streams.pause import PAUSE_KEY, Pause

_TIMEOUT_S = 10.0


class WorkerAlert(msgspec.Struct, frozen=True):
    worker: str
    alert: Alert


class Lag(msgspec.Struct, frozen=True):
    """Of one raw partition: the offset that the workers go on at, the end of the log, and what waits between."""

    lane: Lane
    partition: int
    committed: int
    end: int
    waiting: int


class StreamsState(msgspec.Struct, frozen=True):
    pause: Pause
    alerts: list[WorkerAlert]
    partitions: list[Lag]

    @property
    def waiting(self) -> int:
        return sum(each.waiting for each in self.partitions)


def read(settings: Settings) -> StreamsState:
    """Raises UnavailableError if Kafka does not answer or has no topics of ours."""
    told = read_control(settings)
    return StreamsState(_pause(told.get(PAUSE_KEY)), list(_alerts(told)), read_lag(settings))


def read_pause(settings: Settings) -> Pause:
    """Raises UnavailableError if Kafka does not answer or has no topics of ours."""
    return _pause(read_control(settings).get(PAUSE_KEY))


def write_pause(settings: Settings, told: Pause) -> None:
    """Raises UnavailableError if Kafka does not store it in time."""
    stamped = msgspec.structs.replace(told, at_ms=SystemClock().now_ms())
    control.put(settings, {PAUSE_KEY: msgspec.json.encode(stamped)})


def read_control(settings: Settings) -> dict[str, bytes]:
    """What stands in the control topic.

    Raises UnavailableError if Kafka does not answer or has no topics of ours.
    """
    with _consumer(settings) as consumer:  # ends when Kafka is away, which following does not
        _partitions(consumer, Topics.named(settings.topic_prefix).control)
    found: dict[str, bytes | None] = {}
    follower = ControlFollower(settings, found.__setitem__, name="cli")
    try:
        follower.catch_up()
    except KafkaException as error:
        raise kafka.unavailable(error, "the control topic was read") from error
    finally:
        follower.close()
    return {key: value for key, value in found.items() if value is not None}


def read_lag(settings: Settings) -> list[Lag]:
    """Of all live partitions, then of all historic ones."""
    lanes = Lanes.of(settings)
    with _consumer(settings) as consumer:
        return [*_lag(consumer, "live", lanes.live), *_lag(consumer, "historic", lanes.historic)]


def _lag(consumer: Consumer, lane: Lane, topic: str) -> Iterator[Lag]:
    partitions = [TopicPartition(topic, partition) for partition in _partitions(consumer, topic)]
    committed = {p.partition: p.offset for p in consumer.committed(partitions, timeout=_TIMEOUT_S)}
    for each in partitions:
        low, end = kafka.watermarks(consumer, topic, each.partition)
        at = max(low, committed[each.partition])  # nothing is committed before the first event
        yield Lag(lane, each.partition, at, end, max(0, end - at))


@contextmanager
def _consumer(settings: Settings) -> Iterator[Consumer]:
    """A consumer that asks about the workers' group and never joins it."""
    consumer = Consumer(kafka.consumer(settings, group=f"{settings.topic_prefix}streams.raw"))
    try:
        yield consumer
    except KafkaException as error:
        raise kafka.unavailable(error, "the streams were looked up") from error
    finally:
        consumer.close()


def _partitions(consumer: Consumer, topic: str) -> list[int]:
    found = consumer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic]
    if found.error is not None:
        raise UnavailableError(
            f"there is no topic {topic}: {found.error.str()}",
            hint="`sluice topics` creates what is missing; SLUICE_TOPIC_PREFIX names another set.",
        )
    return sorted(found.partitions)


def _pause(value: bytes | None) -> Pause:
    try:
        return pause.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # Written by hand, then. Workers log it and stay as they were.
        return Pause(reason=f"the entry cannot be read: {error}")


def _alerts(told: dict[str, bytes]) -> Iterator[WorkerAlert]:
    for key, value in sorted(told.items()):
        if key.startswith(alerts.KEY_PREFIX):
            worker = key.removeprefix(alerts.KEY_PREFIX)
            yield from (WorkerAlert(worker, alert) for alert in alerts.decode(value))
