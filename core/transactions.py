"""Transactions that end, and those whose end Kafka forgot.

Kafka (4.3, killed while a transaction with offsets of a group was open) may write the end of that transaction
everywhere but to `__consumer_offsets`, and take it for ended. From then on the group's offsets are unstable (KIP-447):
whoever asks for them is never answered, so nobody can take the partitions over. The end of any later transaction of
the same producer ends the forgotten one too, whichever way it went (twmb/franz-go issue 581).
"""

from __future__ import annotations

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from core import kafka
from core.errors import UnavailableError
from core.log import get_logger
from core.settings import Settings

log = get_logger(__name__)

# No transaction that can still be committed is older: its own time-out, and the interval in which Kafka looks for
# those that are over (10 s unless it was set).
LONGEST_S = kafka.TRANSACTION_TIMEOUT_MS / 1000 + 15
# Of one question: shorter than most transactions would only ask more often.
_ASK_S = 5.0
_PAUSE_S = 0.1


class UnendedTransactionError(UnavailableError):
    """A transaction holds offsets for longer than any may: Kafka forgot to end it."""


def fence(producer: Producer, settings: Settings, *, group: str, topic: str) -> None:
    """Abort what a predecessor of the same transactional id left open, and refuse what it may still send.

    `topic` is any that the group reads.

    Raises:
        KafkaException: the client is dead, or Kafka did not answer for `kafka.GIVE_UP_S`.
    """
    kafka.retry(lambda: producer.init_transactions(kafka.CALL_TIMEOUT_S), "transactions were initialised")
    end_forgotten(producer, settings, group=group, topic=topic)


def end_forgotten(producer: Producer, settings: Settings, *, group: str, topic: str) -> None:
    """End a transaction of this producer that Kafka holds for ended while it holds offsets of the group: by one that
    sends an offset and is aborted.

    Raises:
        KafkaException: as `fence`.
    """
    asker = Consumer(kafka.consumer(settings, group=group))
    try:
        nobody = asker.consumer_group_metadata()  # of no member, so that no generation is asked for
    finally:
        asker.close()
    producer.begin_transaction()
    kafka.retry(
        lambda: producer.send_offsets_to_transaction([TopicPartition(topic, 0, 0)], nobody, kafka.CALL_TIMEOUT_S),
        "an offset was added to an empty transaction",
    )
    kafka.retry(lambda: producer.abort_transaction(kafka.CALL_TIMEOUT_S), "an empty transaction was aborted")


def committed(
    settings: Settings, consumer: Consumer, *, group: str, partitions: list[TopicPartition]
) -> list[TopicPartition]:
    """What the group committed, once no transaction holds an offset of `partitions`.

    Asked again while Kafka is away, and for a moment where it refuses: a group's coordinator may just have moved.
    May be called in a rebalance callback: raises none of Kafka's own errors, which would leave it as a `KafkaError`,
    and that is no `Exception`.

    Raises:
        UnendedTransactionError: one has held them for `LONGEST_S` while Kafka answered.
        UnavailableError: Kafka did not answer for `kafka.GIVE_UP_S`.
    """
    began = time.monotonic()
    held_since: float | None = None
    while True:
        try:
            found: list[TopicPartition] = consumer.committed(partitions, timeout=_ASK_S)
        except KafkaException as error:
            cause, waited_s = error.args[0], time.monotonic() - began
            patience_s = kafka.GIVE_UP_S if cause.code() == KafkaError._TIMED_OUT else kafka.CALL_TIMEOUT_S
            if kafka.is_fatal(cause) or waited_s > patience_s:
                raise kafka.unavailable(error, "committed offsets were looked up") from error
        else:
            return found
        try:
            committed_anyway(settings, group=group, partitions=partitions)
        except UnavailableError:
            held_since = None
            time.sleep(_PAUSE_S)
            continue
        if held_since is None:
            held_since = time.monotonic()
        elif time.monotonic() - held_since > LONGEST_S:
            raise UnendedTransactionError(
                f"a transaction has held offsets of {group} for more than {LONGEST_S:g} s: Kafka forgot to end it",
                hint="The worker that began it ends it when it is started again.",
            )


def committed_anyway(settings: Settings, *, group: str, partitions: list[TopicPartition]) -> list[TopicPartition]:
    """What the group committed, without regard to transactions that hold offsets.

    Raises:
        UnavailableError: Kafka does not answer.
    """
    asker = Consumer(kafka.consumer(settings, group=group) | {"isolation.level": "read_uncommitted"})
    try:
        found: list[TopicPartition] = asker.committed(partitions, timeout=_ASK_S)
    except KafkaException as error:
        raise kafka.unavailable(error, "committed offsets were looked up") from error
    finally:
        asker.close()
    return found
