"""The control topic: little state that every process follows, such as released contracts and whether to pause.

Compacted, one partition: the latest value of each key is the state. Each process reads it for itself, from the start
to the present end before it reports ready and on from there. No consumer group: each process needs all of it.

Knows keys and bytes. What a value means is its reader's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from core import kafka
from core.beside import Beside
from core.errors import UnavailableError
from core.log import get_logger
from core.settings import Settings
from core.topics import Topics

log = get_logger(__name__)

# Called with a key and its newest value; None says that the key was removed.
Handler = Callable[[str, bytes | None], None]
_BEGINNING = 0
_PUT_TIMEOUT_S = 10.0


class ControlFollower:
    """Follows the topic for one process. All calls belong to one thread, which is the one `handler` runs in.

    A handler that raises takes its thread's loop down with it: state that cannot be applied is not skipped here.
    """

    def __init__(self, settings: Settings, handler: Handler, *, name: str) -> None:
        self._topic = Topics.named(settings.topic_prefix).control
        self._consumer = Consumer(kafka.reader(settings, name=f"control.{name}"))
        self._handler = handler
        self.stored_at_ms = 0  # when the entry that `handler` is given was written
        self.caught_up = False  # whether all that was there at the start has been taken

    def catch_up(self) -> None:
        """Read all that is there now.

        Raises:
            KafkaException: the client is dead.
        """
        self.begin()
        for message in kafka.read_to_end(self._consumer, partitions=1):
            self._take(message)
        self.caught_up = True

    def begin(self) -> None:
        """Start at the first entry without waiting for any: `poll` takes them, and `caught_up` says when."""
        self._consumer.assign([TopicPartition(self._topic, 0, _BEGINNING)])

    def poll(self, wait_s: float = 0) -> None:
        """Take what came since. Waits up to `wait_s` for the first of it.

        Raises:
            KafkaException: the client is dead, or entries are missing that it should have read.
        """
        while (message := self._consumer.poll(wait_s)) is not None:
            wait_s = 0
            error = message.error()
            if error is None:
                self._take(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                self.caught_up = True
            elif kafka.is_fatal(error) or error.code() == KafkaError._AUTO_OFFSET_RESET:
                raise KafkaException(error)

    def close(self) -> None:
        self._consumer.close()

    def _take(self, message: Message) -> None:
        key = (message.key() or b"").decode("utf-8", "replace")
        self.stored_at_ms = message.timestamp()[1]
        self._handler(key, message.value())


def put(settings: Settings, entries: Mapping[str, bytes | None], *, first: Sequence[Beside] = ()) -> None:
    """Write `first`, then keys with their new values, and wait until all are stored.

    Raises:
        UnavailableError: Kafka did not store them in time. Some of them may be stored: write again.
    """
    topic = Topics.named(settings.topic_prefix).control
    failures: list[str] = []
    config = kafka.producer(settings) | {
        "message.timeout.ms": int(_PUT_TIMEOUT_S * 1000),
        # Half a second of waiting for a producer id, and an entry that is stored twice is stored.
        "enable.idempotence": False,
        "linger.ms": 0,
    }
    producer = Producer(config)
    for each in (*first, *(Beside(topic, key.encode(), value) for key, value in entries.items())):
        producer.produce(
            each.topic,
            each.value,
            each.key,
            on_delivery=lambda error, _: failures.append(error.str()) if error else None,
        )
    left = producer.flush(_PUT_TIMEOUT_S + 1)
    if left or failures:
        raise UnavailableError(
            f"Kafka did not store it: {failures[0] if failures else 'no answer'}",
            hint="Is it running? `SLUICE_KAFKA_BOOTSTRAP` names it.",
        )
