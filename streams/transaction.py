"""One Kafka transaction of produced records and consumed offsets: all become visible together or not at all (KIP-98,
KIP-447). What an aborted or a fatal one leads to is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from confluent_kafka import KafkaException, Producer, TopicPartition

from core import kafka
from core.failpoints import hit

# Key, value, timestamp in milliseconds, headers.
Headers: TypeAlias = list[tuple[str, bytes]] | None
Records: TypeAlias = Iterable[tuple[bytes | None, bytes, int, Headers]]

_FULL_S = 0.1  # that a full queue is waited for at a time


class TransactionAbortedError(Exception):
    """The batch was rolled back and will be consumed again."""


def commit(producer: Producer, group: Any, *, produce: Callable[[], None], offsets: list[TopicPartition]) -> None:
    """Begin, `produce`, send `offsets` with `group`, commit.

    `group` is what `Consumer.consumer_group_metadata()` gave: asked while a rebalance callback runs it never answers.

    Raises:
        TransactionAbortedError: it was rolled back.
        KafkaException: the client is dead.
    """
    begun = False
    try:
        producer.begin_transaction()
        begun = True
        produce()
        kafka.retry(
            lambda: producer.send_offsets_to_transaction(offsets, group, kafka.CALL_TIMEOUT_S),
            "offsets were added to the transaction",
        )
        hit("streams.before_commit")
        kafka.retry(lambda: producer.commit_transaction(kafka.CALL_TIMEOUT_S), "the transaction was committed")
    except KafkaException as error:
        cause = error.args[0]
        if begun and cause.txn_requires_abort():
            kafka.retry(lambda: producer.abort_transaction(kafka.CALL_TIMEOUT_S), "the transaction was aborted")
            raise TransactionAbortedError(cause.str()) from error
        raise


def send_all(producer: Producer, topic: str, partition: int, records: Records) -> None:
    """Hand records of one partition to the producer."""
    produce = producer.produce
    for key, value, timestamp_ms, headers in records:
        try:
            # By position, which costs a quarter less: the two between are callbacks.
            produce(topic, value, key, partition, None, None, timestamp_ms, headers)
        except BufferError:
            producer.poll(_FULL_S)
            send(producer, topic, partition, key, value, timestamp=timestamp_ms, headers=headers)


def send(producer: Producer, topic: str, partition: int, key: bytes | None, value: bytes, **more: Any) -> None:
    """Hand one record to the producer, waiting while its queue is full. `more` is as `Producer.produce` takes it."""
    while True:
        try:
            producer.produce(topic, value, key, partition, **more)
            return
        except BufferError:
            producer.poll(_FULL_S)
