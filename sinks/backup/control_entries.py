"""Entries of the control topic on their way into a backup and out of it: a line each, key and value in base64."""

from __future__ import annotations

import base64

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from core import control, kafka
from core.settings import Settings
from core.topics import Topics


class _Entry(msgspec.Struct, frozen=True):
    key: bytes
    value: bytes


def lines(settings: Settings) -> bytes:
    """The newest value of each key.

    Raises:
        UnavailableError: Kafka does not answer.
    """
    found = [(key, value) for key, value in _newest(settings).items() if value is not None]
    entries = [{"key": _text(key), "value": _text(value)} for key, value in found]
    return b"".join(msgspec.json.encode(each) + b"\n" for each in entries)


def restore(settings: Settings, saved: bytes) -> int:
    """Write the entries of `saved` that the topic does not have; what it has is newer. Returns their number.

    Raises:
        UnavailableError: Kafka does not answer.
    """
    have = _newest(settings)
    entries = [msgspec.json.decode(line, type=_Entry) for line in saved.splitlines()]
    missing: dict[str, bytes | None] = {each.key.decode(): each.value for each in entries if each.key not in have}
    if missing:
        control.put(settings, missing)
    return len(missing)


def _newest(settings: Settings) -> dict[bytes, bytes | None]:
    """None is for a key that was removed."""
    newest: dict[bytes, bytes | None] = {}
    reader = Consumer(kafka.reader(settings, name="backup"))
    reader.assign([TopicPartition(Topics.named(settings.topic_prefix).control, 0, 0)])
    try:
        for message in kafka.read_to_end(reader, partitions=1):
            newest[message.key() or b""] = message.value()
    except KafkaException as error:
        raise kafka.unavailable(error, "the control topic was read") from error
    finally:
        reader.close()
    return newest


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
