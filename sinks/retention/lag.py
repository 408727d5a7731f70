"""How old the record is that each consumer comes to next, against how long Kafka keeps it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from core import kafka
from core.settings import Settings
from core.topics import Topics, declared
from sinks.generations.handover import sink_group

_TIMEOUT_S = 10.0
# Above this share of the retention there is little time left to act.
_SHARE = 0.5
_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Lag:
    """The oldest record of a partition that `group` has not done yet. `behind_ms` is its age."""

    group: str
    topic: str
    partition: int
    behind_ms: int
    retention_ms: int
    lost: bool  # deleted already

    @property
    def warning(self) -> str:
        where = f"{self.group} is behind in {self.topic} partition {self.partition}"
        kept = f"which Kafka keeps for {self.retention_ms / _HOUR_MS:.1f} h"
        if self.lost:
            return f"{where}: records it has not read are deleted already, {kept}"
        return f"{where} by {self.behind_ms / _HOUR_MS:.1f} h, {kept}"


def too_far_behind(settings: Settings, groups: dict[str, list[str]]) -> Iterator[Lag]:
    """Partitions of which a group of `groups` (group: its topics) may lose records to retention.

    Raises:
        UnavailableError: Kafka does not answer.
    """
    retention = {each.name: int(each.config.get("retention.ms", "-1")) for each in declared(settings)}
    admin = AdminClient(kafka.common(settings))
    reader = Consumer(kafka.reader(settings, name="retention"))
    try:
        for group, topics in groups.items():
            answer = admin.list_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(group)], request_timeout=_TIMEOUT_S
            )[group]
            for each in answer.result(_TIMEOUT_S).topic_partitions:
                if each.topic in topics and each.offset >= 0 and retention[each.topic] > 0:
                    yield from _lag(reader, group, each, retention[each.topic])
    except KafkaException as error:
        raise kafka.unavailable(error, "the lag of the consumers was looked up") from error
    finally:
        reader.close()


def groups_of(settings: Settings) -> dict[str, list[str]]:
    """The sinks. The streams go by their outcomes, and stop by themselves where records are gone."""
    topics = Topics.named(settings.topic_prefix)
    return {sink_group(settings): [topics.raw, topics.curated, topics.dead_letters, topics.outcomes]}


def _lag(reader: Consumer, group: str, at: TopicPartition, retention_ms: int) -> Iterator[Lag]:
    low, high = kafka.watermarks(reader, at.topic, at.partition)
    if at.offset < low:
        yield Lag(group, at.topic, at.partition, retention_ms, retention_ms, lost=True)
    elif at.offset < high:
        reader.assign([TopicPartition(at.topic, at.partition, at.offset)])
        message = reader.poll(_TIMEOUT_S)
        if message is None or message.error() is not None:
            return
        behind = time.time_ns() // 1_000_000 - message.timestamp()[1]
        if behind > retention_ms * _SHARE:
            yield Lag(group, at.topic, at.partition, behind, retention_ms, lost=False)
