"""Makes what Kafka leaves behind when it is killed at the wrong moment: a transaction that holds offsets of a group
and that its coordinator knows nothing of.

By two requests no client library offers (Kafka protocol guide: InitProducerId 1, TxnOffsetCommit 2), to a broker that
was told not to ask its coordinator whether the transaction is there.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from core import kafka, transactions
from core.settings import Settings

_INIT_PRODUCER_ID, _TXN_OFFSET_COMMIT = (22, 1), (28, 2)
_TIMEOUT_S = 10.0
_BROKER = "1"


def forget(settings: Settings, *, transactional_id: str, group: str, topic: str) -> None:
    """Leave a transaction of that producer open on the group's offset of partition 0 of `topic`."""
    _find_coordinators(settings, transactional_id, group, topic)
    with _unverified(settings):
        answer = _ask(settings, _INIT_PRODUCER_ID, _text(transactional_id) + struct.pack(">i", 10_000))
        error, producer_id, epoch = struct.unpack_from(">hqh", answer, 4)
        assert error == 0
        offset = struct.pack(">iqi", 0, 7, -1) + _text("")
        topics = struct.pack(">i", 1) + _text(topic) + struct.pack(">i", 1) + offset
        head = _text(transactional_id) + _text(group) + struct.pack(">qh", producer_id, epoch)
        deadline = time.monotonic() + _TIMEOUT_S
        while struct.unpack(">h", _ask(settings, _TXN_OFFSET_COMMIT, head + topics)[-2:]) != (0,):
            assert time.monotonic() < deadline, "the broker goes on asking its coordinator"
            time.sleep(0.1)


def _find_coordinators(settings: Settings, transactional_id: str, group: str, topic: str) -> None:
    # Kafka makes its own topics when a client looks for who coordinates.
    Producer(kafka.transactional_producer(settings, transactional_id=transactional_id)).init_transactions(_TIMEOUT_S)
    asker = Consumer(kafka.consumer(settings, group=group))
    transactions.committed(settings, asker, group=group, partitions=[TopicPartition(topic, 0)])
    asker.close()


@contextmanager
def _unverified(settings: Settings) -> Iterator[None]:
    admin = AdminClient(kafka.common(settings))
    for value in ("false", "true"):
        entry = ConfigEntry(
            "transaction.partition.verification.enable", value, incremental_operation=AlterConfigOpType.SET
        )
        broker = ConfigResource(ResourceType.BROKER, _BROKER, incremental_configs=[entry])
        admin.incremental_alter_configs([broker])[broker].result(_TIMEOUT_S)
        if value == "false":
            yield


def _ask(settings: Settings, request: tuple[int, int], body: bytes) -> bytes:
    """The answer after its correlation id."""
    host, _, port = settings.kafka_bootstrap.partition(":")
    message = struct.pack(">hhi", *request, 1) + _text("test") + body
    with socket.create_connection((host, int(port)), _TIMEOUT_S) as connection, connection.makefile("rb") as answers:
        connection.sendall(struct.pack(">i", len(message)) + message)
        (size,) = struct.unpack(">i", answers.read(4))
        return answers.read(size)[4:]


def _text(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()
