"""The offsets that the sinks' group has committed, asked and set from outside the group."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from core import kafka
from core.errors import StateError
from core.settings import Settings
from core.topics import Topics
from sinks.clickhouse import ClickHouse
from sinks.generations.handover import sink_group
from sinks.held import gone_before, next_offset
from sinks.tables import filled

_TIMEOUT_S = 10.0
# A member that was killed belongs to the group until its session ends.
_EMPTY_S = 2 * kafka.SESSION_TIMEOUT_MS / 1000
_BETWEEN_S = 0.2


@dataclass(frozen=True, slots=True)
class Gap:
    """Records `first` to `last` that the sinks want and Kafka has deleted."""

    topic: str
    partition: int
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.topic}, partition {self.partition}: {self.first} to {self.last}"


class GapError(StateError):
    """The sinks cannot go on where they should without leaving records out."""

    code = "gap"

    def __init__(self, gaps: Sequence[Gap]) -> None:
        super().__init__(
            f"Kafka has deleted records that the tables do not hold: {'; '.join(map(str, gaps))}",
            hint="`sluice restore --rewind --accept-gaps` lets the sinks go on behind them. Events among them come "
            "back by `sluice replay`, from the raw topic or the archive.",
        )
        self.gaps = gaps


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


def require_idle(settings: Settings) -> None:
    """Wait until no sink belongs to the group.

    Raises:
        StateError: one does, for longer than a killed one.
        UnavailableError: Kafka does not answer.
    """
    group = sink_group(settings)
    admin = AdminClient(kafka.common(settings))
    deadline = time.monotonic() + _EMPTY_S
    while True:
        try:
            asked = admin.describe_consumer_groups([group], request_timeout=_TIMEOUT_S)
            members = asked[group].result(_TIMEOUT_S).members
        except KafkaException as error:
            raise kafka.unavailable(error, "the sinks' group was looked up") from error
        if not members:
            return
        if time.monotonic() > deadline:
            names = sorted(each.group_instance_id or each.client_id for each in members)
            raise StateError(f"sinks run: {', '.join(names)}", hint="Stop all of them first.")
        time.sleep(_BETWEEN_S)


def rewind(settings: Settings, wanted: Mapping[str, Mapping[int, int]], *, accept_gaps: bool = False) -> list[Gap]:
    """Let the sinks go on from `wanted`; returns what they leave out because Kafka has deleted it.

    Raises:
        GapError: Kafka has deleted records from there on, and gaps are not accepted. Nothing is set.
        StateError: a sink runs.
        UnavailableError: Kafka does not answer.
    """
    first = beginnings(settings)
    places: list[TopicPartition] = []
    gaps: list[Gap] = []
    for topic, found in wanted.items():
        for partition, offset in found.items():
            low = first.get(topic, {}).get(partition, offset)
            if low > offset:
                gaps.append(Gap(topic, partition, offset, low - 1))
            places.append(TopicPartition(topic, partition, max(low, offset)))
    if gaps and not accept_gaps:
        raise GapError(gaps)
    require_idle(settings)
    _alter(settings, places)
    return gaps


def _alter(settings: Settings, places: list[TopicPartition]) -> None:
    admin = AdminClient(kafka.common(settings))
    request = ConsumerGroupTopicPartitions(sink_group(settings), places)
    try:
        done = admin.alter_consumer_group_offsets([request], request_timeout=_TIMEOUT_S)[request.group_id]
        trouble = next((each.error.str() for each in done.result(_TIMEOUT_S).topic_partitions if each.error), "")
    except KafkaException as error:
        raise kafka.unavailable(error, "the sinks' offsets were set") from error
    if trouble:
        raise StateError(f"the sinks' offsets could not be set: {trouble}", hint="Stop all sinks first.")


def beginnings(settings: Settings) -> dict[str, dict[int, int]]:
    """The first offset that Kafka keeps of each partition of the topics that fill tables.

    Raises:
        UnavailableError: Kafka does not answer.
    """
    reader = Consumer(kafka.reader(settings, name="offsets"))
    try:
        return {
            topic: {
                partition: kafka.watermarks(reader, topic, partition)[0]
                for partition in reader.list_topics(topic, timeout=_TIMEOUT_S).topics[topic].partitions
            }
            for topic in filled(Topics.named(settings.topic_prefix))
        }
    except KafkaException as error:
        raise kafka.unavailable(error, "the topics were looked up") from error
    finally:
        reader.close()


def stored(settings: Settings) -> dict[str, dict[int, int]]:
    """For each partition the offset behind the last that its table holds.

    Where it holds none that is the first there was; or the first that Kafka keeps, if retention deletes rows.

    Raises:
        UnavailableError: Kafka or ClickHouse does not answer.
    """
    server, tables = ClickHouse(settings), filled(Topics.named(settings.topic_prefix))
    out = beginnings(settings)
    for topic, partitions in out.items():
        table = tables[topic]
        deleted = bool(gone_before(server, table))
        for partition, first in partitions.items():
            following = next_offset(settings, server, table, topic, partition)
            partitions[partition] = following if following is not None else first if deleted else 0
    return out
