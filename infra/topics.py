"""Applies the declared topics to a cluster: creates what is missing, corrects settings, adds partitions where a topic
is declared to grow. Never removes anything.
"""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from core import kafka
from core.errors import ConfigError
from core.log import get_logger
from core.settings import Settings
from core.topics import Topic, declared

log = get_logger(__name__)
_TIMEOUT_S = 30


def apply(settings: Settings, wanted: list[Topic] | None = None) -> list[str]:
    """Make the cluster's topics what `core.topics` declares, or `wanted`; returns what was changed, in words.

    Idempotent.

    Raises:
        ConfigError: a topic exists with another number of partitions. Growing raw topics would move keys away from
            their dedupe window, so it is a migration and not done here.
        UnavailableError: the cluster does not answer.
    """
    admin = AdminClient(kafka.common(settings))
    wanted = declared(settings) if wanted is None else wanted
    try:
        existing = {name: len(meta.partitions) for name, meta in admin.list_topics(timeout=_TIMEOUT_S).topics.items()}
        _check_partitions(wanted, existing)
        changes = _create(admin, [topic for topic in wanted if topic.name not in existing])
        changes += _grow(admin, wanted, existing)
        changes += _configure(admin, [topic for topic in wanted if topic.name in existing])
    except KafkaException as error:
        raise kafka.unavailable(error, "topics were applied") from error
    for change in changes:
        log.info("topics.changed", change=change)
    return changes


def _check_partitions(wanted: list[Topic], existing: dict[str, int]) -> None:
    for topic in wanted:
        have = existing.get(topic.name, topic.partitions)
        if have > topic.partitions or (have < topic.partitions and not topic.grows):
            raise ConfigError(
                f"topic {topic.name} has {have} partitions, the settings say {topic.partitions}",
                hint=f"Set SLUICE_PARTITIONS={have}: growing is a drained migration, see docs/guarantees.md.",
            )


def _create(admin: AdminClient, topics: list[Topic]) -> list[str]:
    if not topics:
        return []
    futures = admin.create_topics(
        [
            NewTopic(t.name, num_partitions=t.partitions, replication_factor=t.replication_factor, config=t.config)
            for t in topics
        ],
        operation_timeout=_TIMEOUT_S,
    )
    for future in futures.values():
        try:
            future.result(_TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # somebody else applied at the same time
                raise
    return [f"created {t.name} with {t.partitions} partitions" for t in topics]


def _grow(admin: AdminClient, wanted: list[Topic], existing: dict[str, int]) -> list[str]:
    few = [topic for topic in wanted if existing.get(topic.name, topic.partitions) < topic.partitions]
    if few:
        futures = admin.create_partitions([NewPartitions(topic.name, topic.partitions) for topic in few])
        for future in futures.values():
            future.result(_TIMEOUT_S)
    return [f"grew {topic.name} to {topic.partitions} partitions" for topic in few]


def _configure(admin: AdminClient, topics: list[Topic]) -> list[str]:
    changes = []
    for topic in topics:
        resource = ConfigResource(ResourceType.TOPIC, topic.name)
        current = admin.describe_configs([resource])[resource].result(_TIMEOUT_S)
        wrong = {k: v for k, v in topic.config.items() if current[k].value != v}
        if wrong:
            alter = ConfigResource(
                ResourceType.TOPIC,
                topic.name,
                incremental_configs=[
                    ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                    for name, value in wrong.items()
                ],
            )
            admin.incremental_alter_configs([alter])[alter].result(_TIMEOUT_S)
            changes += [f"set {name}={value} on {topic.name}" for name, value in wrong.items()]
    return changes
