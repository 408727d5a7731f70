"""Configuration of every librdkafka client of ours, from settings. Knows no topic by name and no record format.

The values that matter for the guarantees stand here once, with what breaks if they change.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message, TopicPartition

from core.client_log import CLIENT_LOG
from core.errors import ConfigError, UnavailableError
from core.log import get_logger
from core.settings import Settings
from core.topics import MAX_MESSAGE_BYTES
from core.watchdog import WATCHDOG

log = get_logger(__name__)

Config = dict[str, Any]

# What `committed()` answers where a group has committed nothing.
NO_OFFSET = OFFSET_INVALID

# A member that is silent this long is thought dead and its partitions are given away. 6 s is the broker's floor;
# longer makes a takeover slower, shorter is refused.
SESSION_TIMEOUT_MS = 6_000
HEARTBEAT_INTERVAL_MS = 1_000
# A transaction left open by a killed worker holds readers back this long, and a takeover waits for it.
TRANSACTION_TIMEOUT_MS = 10_000
# Reconnect fast: a broker that restarts is back in seconds, and the default backs off to 10 s.
RECONNECT_BACKOFF_MAX_MS = 500
# How long a call is repeated against a broker that is away before the process gives up and is started anew.
GIVE_UP_S = 120.0
# Time-out that transactional calls are given, and when one that does not keep it is taken for stuck.
CALL_TIMEOUT_S = 10.0
CALL_LIMIT_S = 2 * CALL_TIMEOUT_S
# A synchronous commit has no time-out of its own; librdkafka gives its request up after a minute.
COMMIT_LIMIT_S = 90.0

# `KafkaError.fatal()` is False for these although the client is dead for good (librdkafka issue tracker; tried on
# 2.16): whoever sees one must end the process.
FATAL_CODES = frozenset(
    {
        KafkaError._FATAL,
        KafkaError._FENCED,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.PRODUCER_FENCED,
        KafkaError.UNRELEASED_INSTANCE_ID,
    }
)
# Normal while a rebalance runs: what was being committed stays pending until the next assignment.
REBALANCE_CODES = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError.UNKNOWN_MEMBER_ID,
    }
)

# A client's lines come out where it is polled. One that nobody polls, as an AdminClient or an idle producer, would
# gather them; its calls raise.
_SILENT: Config = {"log_level": 0}
_LOGGED: Config = {"log_level": 3, "logger": CLIENT_LOG}


def common(settings: Settings) -> Config:
    """What every client needs to reach and trust the cluster.

    Raises:
        ConfigError: no cluster is named, or SASL settings are incomplete.
    """
    if not settings.kafka_bootstrap:
        raise ConfigError(
            "no Kafka is configured",
            hint="Set SLUICE_KAFKA_BOOTSTRAP, or run inside a stack that `sluice up` started.",
        )
    config: Config = {
        "bootstrap.servers": settings.kafka_bootstrap,
        "security.protocol": settings.kafka_security_protocol,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": RECONNECT_BACKOFF_MAX_MS,
        **_SILENT,
    }
    if settings.kafka_security_protocol.startswith("SASL"):
        if not (settings.kafka_sasl_mechanism and settings.kafka_sasl_username and settings.kafka_sasl_password):
            raise ConfigError(
                "SLUICE_KAFKA_SECURITY_PROTOCOL asks for SASL", hint="Set the SLUICE_KAFKA_SASL_* settings."
            )
        config["sasl.mechanism"] = settings.kafka_sasl_mechanism
        config["sasl.username"] = settings.kafka_sasl_username
        config["sasl.password"] = settings.kafka_sasl_password
    for key, value in (
        ("ssl.ca.location", settings.kafka_ssl_ca_file),
        ("ssl.certificate.location", settings.kafka_ssl_certificate_file),
        ("ssl.key.location", settings.kafka_ssl_key_file),
        ("ssl.key.password", settings.kafka_ssl_key_password),
    ):
        if value:
            config[key] = value
    return config


def producer(settings: Settings) -> Config:
    """A producer whose delivery report means: stored by all in-sync replicas, once, in order."""
    return _sender(settings) | _LOGGED


def _sender(settings: Settings) -> Config:
    return common(settings) | {
        "acks": "all",
        "enable.idempotence": True,
        "retry.backoff.max.ms": RECONNECT_BACKOFF_MAX_MS,
        "compression.type": "lz4",
        # The client's own limit is 1 MB: a dead letter around a larger raw record would be refused for ever.
        "message.max.bytes": MAX_MESSAGE_BYTES,
    }


def transactional_producer(settings: Settings, *, transactional_id: str) -> Config:
    return _sender(settings) | {
        "transactional.id": transactional_id,
        "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
        # Shorter would give up on a broker that restarts within the transaction's time.
        "message.timeout.ms": TRANSACTION_TIMEOUT_MS,
        # The end of a transaction sends what waits, whatever this says: so messages are gathered until then, or until a
        # batch is full. At 5 ms the client made three times as many batches, and they cost it twice as much.
        "linger.ms": 100,
        "queue.buffering.max.messages": 1_000_000,
        # A batch's curated records and more; who produces waits while it is full.
        "queue.buffering.max.kbytes": 1 << 17,
        "batch.num.messages": 10_000,
        # A delivery report per event costs more than encoding it; the commit reports failure for all.
        "delivery.report.only.error": True,
    }


def consumer(settings: Settings, *, group: str, instance: str = "") -> Config:
    """A read-committed consumer that commits only what it is told to.

    `instance` makes the membership static: a killed process that restarts under the same name gets its partitions
    back at once. Classic protocol on purpose: under the newer one a killed static member is refused for 45 s.
    """
    config = common(settings) | {
        **_LOGGED,
        "group.id": group,
        "group.protocol": "classic",
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": SESSION_TIMEOUT_MS,
        "heartbeat.interval.ms": HEARTBEAT_INTERVAL_MS,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        # `earliest` and `latest` skip silently after a truncation; an error is loud.
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        # The default (1 s) leaves the consumer idle after its queue was full.
        "fetch.queue.backoff.ms": 10,
        "fetch.wait.max.ms": 100,
        # What is fetched and not consumed yet; one answer of the broker may come on top.
        "queued.max.messages.kbytes": 16_384,
        "fetch.max.bytes": 16 * 1024 * 1024,
    }
    if instance:
        config["group.instance.id"] = instance
    return config


def reader(settings: Settings, *, name: str) -> Config:
    """A consumer outside any group's life: it is assigned by hand, commits nothing and learns where partitions end."""
    config = consumer(settings, group=f"{settings.topic_prefix}reader.{name}")
    for key in ("session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"):
        del config[key]
    return config | {"enable.partition.eof": True}


def retry(call: Callable[[], object], doing: str, *, give_up_s: float = GIVE_UP_S) -> None:
    """Repeat a transactional call while its error is retriable, as librdkafka asks for.

    Raises:
        KafkaException: an error that is not retriable, or the last one after `give_up_s` seconds.
    """
    deadline = time.monotonic() + give_up_s
    while True:
        try:
            with WATCHDOG.limit(CALL_LIMIT_S, doing):
                call()
        except KafkaException as error:
            cause = error.args[0]
            if not cause.retriable() or time.monotonic() > deadline:
                raise
            log.warning("kafka.retrying", doing=doing, error=cause.str())
            time.sleep(0.1)
        else:
            return


def read_to_end(consumer: Consumer, *, partitions: int) -> Iterator[Message]:
    """Messages of a `reader` up to the present end of its `partitions` assigned partitions.

    Ended by the end-of-partition events, because the position of an empty partition never moves. One message a call:
    `consume` would wait for its whole number or its whole time-out.

    Raises:
        KafkaException: the client is dead, or a partition was truncated.
    """
    ended: set[int] = set()
    while len(ended) < partitions:
        message = consumer.poll(1.0)
        if message is None:
            continue
        error = message.error()
        if error is None:
            yield message
        elif error.code() == KafkaError._PARTITION_EOF:
            ended.add(message.partition())
        elif is_fatal(error) or error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise KafkaException(error)


def watermarks(consumer: Consumer, topic: str, partition: int, *, timeout_s: float = CALL_TIMEOUT_S) -> tuple[int, int]:
    """The first offset that the log still has, and the one after its last record.

    Asked again for a while: a topic just created has no leader yet, and a client learns late that a broker which was
    started anew leads again.

    Raises:
        UnavailableError: no answer came. Not Kafka's own error, which would leave the callback of a rebalance as a
            `KafkaError`, and that is no `Exception`.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=timeout_s)
        except KafkaException as error:
            if is_fatal(error.args[0]) or time.monotonic() > deadline:
                raise unavailable(error, f"the ends of {topic} were looked up") from error
            time.sleep(0.1)
        else:
            return low, high


def partitions_of(settings: Settings, topic: str) -> int:
    """How many partitions `topic` has in Kafka, whatever the settings say.

    Raises:
        UnavailableError: Kafka does not answer, or has no such topic.
    """
    consumer = Consumer(reader(settings, name="look"))
    try:
        found = consumer.list_topics(topic, timeout=CALL_TIMEOUT_S).topics[topic].partitions
    except KafkaException as error:
        raise unavailable(error, f"the topic {topic} was looked up") from error
    finally:
        consumer.close()
    if not found:
        raise UnavailableError(f"Kafka has no topic {topic}", hint="`sluice topics` creates it.")
    return len(found)


def is_fatal(error: KafkaError) -> bool:
    return error.code() in FATAL_CODES or error.fatal()


def unavailable(error: KafkaException, doing: str) -> UnavailableError:
    """`error` as an error of ours."""
    cause = error.args[0]
    return UnavailableError(
        f"Kafka did not answer while {doing}: {cause.str()}", hint="Is it running? `SLUICE_KAFKA_BOOTSTRAP` names it."
    )
