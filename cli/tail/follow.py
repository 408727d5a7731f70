"""Follows the topics that tell what became of events. Belongs to no group, commits nothing, waits for nobody.

Curated records and dead letters tell of themselves; a duplicate is known from its outcome, by offset, and its raw
record is fetched. Order is that of each raw partition; what lay in the log already is sorted by time as well, in
portions of those that are wanted. Which are is the caller's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from cli.tail.filters import ALL_OUTCOMES
from cli.tail.raw import RawReader
from cli.tail.repeats import is_repeat, repeats_span
from cli.tail.sighting import Sighting, from_curated, from_dead_letter, from_raw
from core import kafka
from core.errors import UnavailableError
from core.settings import Settings
from core.topics import Topics
from streams.records import Outcome, OutcomeKind, decode_outcome

_TIMEOUT_S = 5.0
_PORTION = 500
# Sorted together; more would hold back a long past for long, and in memory.
_SORTED_TOGETHER = 5_000

OnBroker = Callable[[bool], None]


@dataclass(slots=True)
class _Repeats:
    """Duplicates of one outcome that are still to be fetched: raw offsets `next` to `last`."""

    outcome: Outcome
    next: int
    last: int


class Follower:
    """Those that it `wants`, from `since_ms` on (epoch milliseconds) or from now. `on_broker` hears False when the
    broker goes, True when it is back.

    Raises:
        UnavailableError: Kafka does not answer, or has no topics of ours.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        name: str,
        outcomes: frozenset[OutcomeKind] = ALL_OUTCOMES,
        since_ms: int | None = None,
        wants: Callable[[Sighting], bool] = lambda _sighting: True,
        on_broker: OnBroker,
    ) -> None:
        topics = Topics.named(settings.topic_prefix)
        by_kind: dict[OutcomeKind, str] = {
            "curated": topics.curated,
            "dead_letter": topics.dead_letters,
            "duplicate": topics.outcomes,
        }
        self._topics = {by_kind[kind]: kind for kind in outcomes}
        self._probe = topics.raw
        self._since_ms = since_ms or 0
        self._wants = wants
        self._on_broker = on_broker
        self._troubled = self._away = False
        self._repeats: deque[_Repeats] = deque()
        self._held: list[Sighting] = []
        config = kafka.reader(settings, name=name) | {"log_level": 0, "error_cb": self._on_error}
        self._consumer = Consumer(config)
        self._raw = RawReader(settings, name=name)
        try:
            starts = self._starts(since_ms)
        except KafkaException as error:
            self.close()
            raise kafka.unavailable(error, "the topics were looked up") from error
        except UnavailableError:
            self.close()
            raise
        self._behind = {(start.topic, start.partition) for start in starts}
        self._consumer.assign(starts)

    def poll(self, timeout_s: float) -> list[Sighting]:
        """What was seen since the last call, oldest first; empty if nothing came within `timeout_s`."""
        first = self._consumer.poll(0 if self._repeats and not self._away else timeout_s)
        if first is not None:
            for message in [first, *self._consumer.consume(_PORTION - 1, 0)]:
                self._held.extend(filter(self._wants, self._taken(message)))
        if self._troubled or self._away:
            self._look_for_broker()
        self._held.extend(filter(self._wants, self._repeated()))
        if (self._behind or self._repeats) and len(self._held) < _SORTED_TOGETHER:
            return []
        found = sorted(self._held, key=lambda s: (s.arrival_ms, s.raw_partition, s.raw_offset))
        self._held = []
        return found

    def close(self) -> None:
        self._consumer.close()
        self._raw.close()

    def _starts(self, since_ms: int | None) -> list[TopicPartition]:
        known = self._consumer.list_topics(timeout=_TIMEOUT_S).topics
        missing = sorted(topic for topic in self._topics if topic not in known)
        if missing:
            raise UnavailableError(
                f"Kafka has no topic {missing[0]}", hint="`sluice topics` creates them; SLUICE_TOPIC_PREFIX names them."
            )
        places = [TopicPartition(topic, number) for topic in self._topics for number in known[topic].partitions]
        if since_ms is None:
            return [self._end(place) for place in places]
        asked = [TopicPartition(place.topic, place.partition, since_ms) for place in places]
        found = self._consumer.offsets_for_times(asked, timeout=_TIMEOUT_S)
        return [place if place.offset >= 0 else self._end(place) for place in found]

    def _end(self, place: TopicPartition) -> TopicPartition:
        # An offset, not "the end": that is looked up at the first fetch, and what came until then would be missed.
        _, high = kafka.watermarks(self._consumer, place.topic, place.partition, timeout_s=_TIMEOUT_S)
        return TopicPartition(place.topic, place.partition, high)

    def _taken(self, message: Message) -> Iterator[Sighting]:
        error = message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                self._behind.discard((message.topic(), message.partition()))
            elif kafka.is_fatal(error) or error.code() == KafkaError._AUTO_OFFSET_RESET:
                raise kafka.unavailable(KafkaException(error), f"{message.topic()} was read")
            return
        kind = self._topics[message.topic()]
        if kind == "duplicate":
            outcome = decode_outcome(message.value())
            if span := repeats_span(outcome):
                self._repeats.append(_Repeats(outcome, *span))
            return
        yield (from_curated if kind == "curated" else from_dead_letter)(message.value())

    def _repeated(self) -> Iterator[Sighting]:
        """A portion of the duplicates that are known by offset only."""
        if not self._repeats or self._away:
            return
        repeats = self._repeats[0]
        partition, last = repeats.outcome.raw_partition, repeats.last
        try:
            low = self._raw.low(partition)
            repeats.next = max(repeats.next, low)  # what the log no longer has cannot be shown
            messages = self._raw.read(partition, first=repeats.next, last=last, limit=_PORTION) if low <= last else []
        except (KafkaException, UnavailableError):
            return  # asked again at the next poll
        if messages is None:
            return
        for message in messages:
            repeats.next = message.offset() + 1
            arrival_ms = message.timestamp()[1]
            # The outcome is of a batch that may have begun before.
            if is_repeat(repeats.outcome, message.offset()) and arrival_ms >= self._since_ms:
                value = message.value() or b""
                yield from_raw("duplicate", partition, message.offset(), arrival_ms=arrival_ms, value=value)
        if not messages or repeats.next > last:
            self._repeats.popleft()

    def _on_error(self, error: KafkaError) -> None:
        if error.code() in {KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE}:
            self._troubled = True

    def _look_for_broker(self) -> None:
        # A lost connection is no lost broker, and one that is back says nothing until something is written: ask.
        self._troubled = False
        try:
            self._consumer.list_topics(self._probe, timeout=1.0)
            away = False
        except KafkaException:
            away = True
        if away != self._away:
            self._away = away
            self._on_broker(not away)
