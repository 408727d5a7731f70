"""What a topic is to the tables: its identity, and how far they hold it."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from core import kafka
from core.errors import StateError
from core.settings import Settings
from sinks.clickhouse import ClickHouse
from sinks.plan import Source
from sinks.tables import Table

_TIMEOUT_S = 10.0


def identify(settings: Settings, server: ClickHouse, topics: Sequence[str]) -> dict[str, Source]:
    """The topics' identities, checked against what filled the tables, and noted where nothing did yet.

    Raises:
        StateError: the tables were filled from another topic of this name.
        UnavailableError: Kafka or ClickHouse does not answer.
    """
    found = identities(settings, topics)
    for topic, source in found.items():
        _check(server, topic, source)
    return found


def identities(settings: Settings, topics: Sequence[str]) -> dict[str, Source]:
    """What Kafka calls the topics, which a topic that is made anew under its name does not inherit.

    Raises:
        UnavailableError: Kafka does not answer, or has no such topic.
    """
    admin = AdminClient(kafka.common(settings))
    try:
        cluster = admin.describe_cluster(request_timeout=_TIMEOUT_S).result(_TIMEOUT_S)
        described = admin.describe_topics(TopicCollection(list(topics)), request_timeout=_TIMEOUT_S)
        return {
            topic: Source(cluster.cluster_id, str(future.result(_TIMEOUT_S).topic_id))
            for topic, future in described.items()
        }
    except KafkaException as error:
        raise kafka.unavailable(error, "the topics were described") from error


def _check(server: ClickHouse, topic: str, source: Source) -> None:
    known = server.rows("SELECT cluster_id, topic_id FROM sources WHERE topic = {topic:String}", topic=topic)
    if not known:
        server.execute(
            "INSERT INTO sources (topic, topic_id, cluster_id) VALUES ({t:String}, {i:String}, {c:String})",
            t=topic,
            i=source.topic_id,
            c=source.cluster_id,
        )
    elif [source.cluster_id, source.topic_id] not in known:
        raise StateError(
            f"the tables were filled from another topic {topic}: its offsets mean other records",
            hint="Use the Kafka state that belongs to this database, or another SLUICE_CLICKHOUSE_DATABASE.",
        )


def stored_up_to(server: ClickHouse, table: Table, partition: int) -> int | None:
    """The last offset of the topic's partition that the table holds; None if it holds none."""
    # Restated rows stand in no topic.
    own = f"{table.of_partition} AND run = ''" if table.is_restated else table.of_partition
    rows, last = server.rows(
        # Names and conditions are constants of ours; the partition is bound by the server.
        f"SELECT count(), max({table.offset_column}) FROM {table.name} WHERE {own}",  # noqa: S608
        partition=partition,
    )[0]
    return last if rows else None
