"""Raw records by number and offset (`core.lanes`): what an event was that left nothing but its outcome."""

from __future__ import annotations

import time

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message, TopicPartition

from core import kafka
from core.lanes import Lanes
from core.settings import Settings

_TIMEOUT_S = 5.0


class RawReader:
    """A consumer that is pointed at one place at a time."""

    def __init__(self, settings: Settings, *, name: str) -> None:
        self._lanes = Lanes.of(settings)
        self._consumer = Consumer(kafka.reader(settings, name=f"{name}.raw") | {"log_level": 0})

    def low(self, partition: int) -> int:
        """First offset that the log still has.

        Raises:
            UnavailableError: the broker does not answer.
        """
        place = self._place(partition)
        return kafka.watermarks(self._consumer, place.topic, place.partition, timeout_s=_TIMEOUT_S)[0]

    def read(self, partition: int, *, first: int, last: int, limit: int) -> list[Message] | None:
        """At most `limit` records from `first` on and up to `last`; None if they could not be had now."""
        self._consumer.assign([self._place(partition, first)])
        found: list[Message] = []
        deadline = time.monotonic() + _TIMEOUT_S
        while len(found) < limit and time.monotonic() < deadline:
            message = self._consumer.poll(0.1)
            if message is None:
                continue
            error = message.error()
            if error is None:
                if message.offset() > last:
                    return found
                found.append(message)
                if message.offset() == last:
                    return found
            elif error.code() == KafkaError._PARTITION_EOF:
                return found
            elif kafka.is_fatal(error):
                raise KafkaException(error)
        return found or None

    def _place(self, number: int, offset: int = OFFSET_INVALID) -> TopicPartition:
        return TopicPartition(self._lanes.topic(number), self._lanes.home(number), offset)

    def close(self) -> None:
        self._consumer.close()
