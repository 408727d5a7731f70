"""The offsets that the sinks' group has committed, asked and set from outside the group."""

from __future__ import annotations

import time
from collections.abc import Mapping

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from core import kafka
from core.errors import StateError
from core.settings import Settings
from core.topics import Topics
from sinks.clickhouse import ClickHouse
from sinks.generations.handover import sink_group
from sinks.source import stored_up_to
from sinks.tables import filled

_TIMEOUT_S = 10.0
# A member that was killed belongs to the group until its session ends.
_EMPTY_S = 2 * kafka.SESSION_TIMEOUT_MS / 1000
_BETWEEN_S = 0.5


def committed(settings: Settings) -> dict[str, dict[int, int]]:
    """Next offset by topic and partition. A block that is being written begins there.

    Raises:
        UnavailableError: Kafka does not answer.
    """
    group = sink_group(settings)
    admin = AdminClient(kafka.common(settings))
    try:
        asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], request_timeout=_TIMEOUT_S)
        found: list[TopicPartition] = asked[group].result(_TIMEOUT_S).topic_partitions
    except KafkaException as error:
        raise kafka.unavailable(error, "the sinks' offsets were looked up") from error
    out: dict[str, dict[int, int]] = {}
    for each in found:
        if each.offset >= 0:
            out.setdefault(each.topic, {})[each.partition] = each.offset
    return out


def rewind(settings: Settings, wanted: Mapping[str, Mapping[int, int]]) -> None:
    """Let the sinks go on from `wanted`. No sink may run.

    Raises:
        StateError: a sink runs, or Kafka has deleted records from there on.
        UnavailableError: Kafka does not answer.
    """
    places = [TopicPartition(t, p, offset) for t, found in wanted.items() for p, offset in found.items()]
    _require_kept(settings, places)
    deadline = time.monotonic() + _EMPTY_S
    while trouble := _alter(settings, places):
        if time.monotonic() > deadline:
            raise StateError(
                f"the sinks' offsets could not be set: {trouble}", hint="Stop all sinks of this group first."
            )
        time.sleep(_BETWEEN_S)


def _alter(settings: Settings, places: list[TopicPartition]) -> str:
    """What is in the way; empty if the offsets are set."""
    admin = AdminClient(kafka.common(settings))
    request = ConsumerGroupTopicPartitions(sink_group(settings), places)
    try:
        done = admin.alter_consumer_group_offsets([request], request_timeout=_TIMEOUT_S)[request.group_id]
        return next((each.error.str() for each in done.result(_TIMEOUT_S).topic_partitions if each.error), "")
    except KafkaException as error:
        return str(error.args[0].str())


def beginnings(settings: Settings) -> dict[str, dict[int, int]]:
    """The first offset that Kafka keeps of each partition of the topics that fill tables.

    Raises:
        UnavailableError: Kafka does not answer.
    """
    reader = Consumer(kafka.reader(settings, name="offsets"))
    try:
        return {
            topic: {
                partition: reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=_TIMEOUT_S)[0]
                for partition in reader.list_topics(topic, timeout=_TIMEOUT_S).topics[topic].partitions
            }
            for topic in filled(Topics.named(settings.topic_prefix))
        }
    except KafkaException as error:
        raise kafka.unavailable(error, "the topics were looked up") from error
    finally:
        reader.close()


def stored(settings: Settings) -> dict[str, dict[int, int]]:
    """For each partition the offset behind the last that its table holds; where it holds none, the first Kafka keeps.

    Raises:
        UnavailableError: Kafka or ClickHouse does not answer.
    """
    server, tables = ClickHouse(settings), filled(Topics.named(settings.topic_prefix))
    out = beginnings(settings)
    for topic, partitions in out.items():
        for partition in partitions:
            last = stored_up_to(server, tables[topic], partition)
            if last is not None:
                partitions[partition] = last + 1
    return out


def _require_kept(settings: Settings, places: list[TopicPartition]) -> None:
    reader = Consumer(kafka.reader(settings, name="offsets"))
    try:
        for place in places:
            low, _ = reader.get_watermark_offsets(TopicPartition(place.topic, place.partition), timeout=_TIMEOUT_S)
            if low > place.offset:
                raise StateError(
                    f"Kafka has deleted {place.topic}, partition {place.partition}, from {place.offset} to {low - 1}",
                    hint="Those records are lost to this table. Replay their window from the raw topic.",
                )
    except KafkaException as error:
        raise kafka.unavailable(error, "the topics were looked up") from error
    finally:
        reader.close()
