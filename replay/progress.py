"""How far the live pipeline has come with each raw partition: what is beyond that is not for a replay to touch."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple, cast

import fastavro
from confluent_kafka import Consumer, KafkaException, TopicPartition

from core import kafka
from core.errors import UnavailableError
from core.settings import Settings
from core.topics import Topics
from schemas import framing
from sinks.clickhouse import ClickHouse
from sinks.generations.handover import Committed

_BETWEEN_LOOKS_S = 0.1


def stored_through(
    settings: Settings, server: ClickHouse, plans: Callable[[], Mapping[int, Committed]]
) -> dict[int, int]:
    """For each number of a raw partition the last raw offset up to which every outcome is stored, curated rows too.

    The outcomes are asked first. A curated record is written with its outcome or before: so what the sinks had not
    stored when they are asked afterwards is behind what they report, or behind the outcomes.

    Raises:
        UnavailableError: Kafka or ClickHouse does not answer.
    """
    through: dict[int, int] = dict(server.rows("SELECT raw_partition, max(last) FROM outcomes GROUP BY raw_partition"))
    committed = plans()
    out = {}
    with _curated(settings) as curated:
        for number, last in through.items():
            waiting = curated.first_after(number, committed[number].offset if number in committed else 0)
            out[number] = min(last, waiting.raw_offset - 1) if waiting is not None else last
    return out


def wait_until_stored(
    settings: Settings, plans: Callable[[], Mapping[int, Committed]], *, partitions: int, timeout_s: float
) -> None:
    """Return once everything that is on the curated topic now is stored.

    Raises:
        UnavailableError: it is not within `timeout_s` seconds, or Kafka does not answer.
    """
    with _curated(settings) as curated:
        left = {partition: curated.end(partition) for partition in range(partitions)}
        deadline = time.monotonic() + timeout_s
        while True:
            committed = plans()
            for partition, end in list(left.items()):
                position = committed[partition].offset if partition in committed else 0
                # Markers of transactions take offsets, and nobody commits behind them.
                waiting = curated.first_after(partition, position) if position < end else None
                if waiting is None or waiting.offset >= end:
                    del left[partition]
            if not left:
                return
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"the sinks have not stored the curated partitions {sorted(left)} within {timeout_s:g} s",
                    hint="Are they up? `sluice status` tells.",
                )
            time.sleep(_BETWEEN_LOOKS_S)


class _Waiting(NamedTuple):
    """A curated record that is not stored yet."""

    offset: int
    raw_offset: int


class _Curated:
    """Looks into the partitions of the curated topic."""

    def __init__(self, consumer: Consumer, topic: str) -> None:
        self._consumer = consumer
        self._topic = topic

    def end(self, partition: int) -> int:
        return self._bounds(partition)[1]

    def first_after(self, partition: int, position: int) -> _Waiting | None:
        """The first record from `position` on; None if there is none."""
        low, high = self._bounds(partition)
        if position >= high:
            return None
        self._consumer.assign([TopicPartition(self._topic, partition, max(position, low))])
        try:
            for message in kafka.read_to_end(self._consumer, partitions=1):
                return _Waiting(message.offset(), _raw_offset(message.value()))
        finally:
            self._consumer.unassign()
        return None

    def _bounds(self, partition: int) -> tuple[int, int]:
        return kafka.watermarks(self._consumer, self._topic, partition)


@contextmanager
def _curated(settings: Settings) -> Iterator[_Curated]:
    consumer = Consumer(kafka.reader(settings, name="replay.progress"))
    try:
        yield _Curated(consumer, Topics.named(settings.topic_prefix).curated)
    except KafkaException as error:
        raise kafka.unavailable(error, "the curated topic was looked up") from error
    finally:
        consumer.close()


def _raw_offset(value: bytes) -> int:
    schema, at = framing.opened(value, "event")
    return int(cast("dict[str, int]", fastavro.schemaless_reader(io.BytesIO(value[at:]), schema.plain))["raw_offset"])
