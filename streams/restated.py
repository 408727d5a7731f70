"""Ids that a replay brings back enter the dedupe windows of the live workers before their rows can be read.

A repaired dead letter becomes a row without passing the streams. Its client may send it again; without this, that
would be a second row. So whoever restates announces the ids first, on a topic of their own:

1. `announce_restated` writes them to the partition that their events' raw partitions have in both lanes.
2. The worker that owns that partition adds them to its window, as having arrived when they were announced, and commits
   its offset of the topic in the group of the stream workers. Who takes the partition over reads them again, as far
   back as the window goes, so a rebuilt window has them too.
3. `announce_restated` returns once every such offset is committed, or the group has no members: whoever joins later
   reads them first.

What a worker had in hand just then may still be an event of these ids that passed as new. So whoever restates looks
for rows of them *after* this returned and once everything consumed until then is stored.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from confluent_kafka import Consumer, ConsumerGroupState, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from core import kafka
from core.errors import InvariantError, UnavailableError
from core.ids import DEDUPE_ID_BYTES
from core.lanes import Lanes
from core.log import get_logger
from core.settings import Settings
from core.topics import Topics
from core.watchdog import WATCHDOG
from schemas import record
from schemas.registry import bundled
from streams.places import places
from streams.window import pack

log = get_logger(__name__)

_SUBJECT = "restated_ids"
# A record of these is 300 KB.
_IDS_A_RECORD = 10_000
_TIMEOUT_S = 10.0
_LOOK_S = 0.2


class Restated(NamedTuple):
    """An event that comes back: number of its raw partition (`core.lanes`), raw offset, `core.ids.dedupe_id`."""

    number: int
    offset: int
    dedupe_id: bytes


class Announced(NamedTuple):
    """One record as a window takes it: packed ids, the place of each, when they were announced."""

    ids: bytes
    places: list[int]
    arrival_ms: int


def group_of(settings: Settings) -> str:
    """The consumer group of the stream workers."""
    return f"{settings.topic_prefix}streams.raw"


def announce_restated(settings: Settings, restated: Iterable[Restated], *, run: str, timeout_s: float = 60.0) -> int:
    """Make every live worker know these ids; returns their number. Announcing them again does no harm.

    Raises:
        UnavailableError: Kafka does not answer, or a worker has not taken them within `timeout_s` seconds.
    """
    try:
        ends, number = _written(settings, restated, run)
        _wait(settings, ends, timeout_s)
    except KafkaException as error:
        raise kafka.unavailable(error, "restated ids were announced") from error
    return number


def _written(settings: Settings, restated: Iterable[Restated], run: str) -> tuple[dict[int, int], int]:
    """The offset after the last record of each partition that was written to; how many ids were written."""
    ends: dict[int, int] = {}
    failures: list[str] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failures.append(error.str())
        else:
            ends[message.partition()] = max(ends.get(message.partition(), 0), message.offset() + 1)

    producer = Producer(kafka.producer(settings) | {"message.timeout.ms": int(_TIMEOUT_S * 1000)})
    topic = Topics.named(settings.topic_prefix).restated_ids
    lanes = Lanes.of(settings)
    homes: defaultdict[int, list[Restated]] = defaultdict(list)
    number = 0

    def write(home: int) -> None:
        producer.produce(topic, _encoded(lanes, homes.pop(home), run), partition=home, on_delivery=delivered)
        producer.poll(0)

    for number, each in enumerate(restated, 1):  # noqa: B007 (their number is an answer)
        home = lanes.home(each.number)
        homes[home].append(each)
        if len(homes[home]) == _IDS_A_RECORD:
            write(home)
    for home in list(homes):
        write(home)
    if producer.flush(_TIMEOUT_S + 1) or failures:
        raise UnavailableError(f"Kafka did not store restated ids: {failures[0] if failures else 'no answer'}")
    return ends, number


def _encoded(lanes: Lanes, restated: Sequence[Restated], run: str) -> bytes:
    at = [int(places([each.offset], lanes.lane(each.number))[0]) for each in restated]
    row = {"run": run, "ids": pack(each.dedupe_id for each in restated), "places": at}
    return record.write(bundled().get(_SUBJECT, 1), row)


def _wait(settings: Settings, ends: dict[int, int], timeout_s: float) -> None:
    topic, group = Topics.named(settings.topic_prefix).restated_ids, group_of(settings)
    admin = AdminClient(kafka.common(settings))
    asker = Consumer(kafka.consumer(settings, group=group))  # asks about the group and never joins it
    deadline = time.monotonic() + timeout_s
    try:
        while True:
            wanted = [TopicPartition(topic, home) for home in ends]
            taken = {each.partition: each.offset for each in asker.committed(wanted, timeout=_TIMEOUT_S)}
            waiting = sorted(home for home, end in ends.items() if taken[home] < end)
            if not waiting or not _has_members(admin, group):
                return
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"stream workers have not taken the restated ids of partitions {waiting} for {timeout_s:g} s",
                    hint="`sluice streams status` and the workers' logs say what they do. Announce them again.",
                )
            time.sleep(_LOOK_S)
    finally:
        asker.close()


def _has_members(admin: AdminClient, group: str) -> bool:
    found = admin.describe_consumer_groups([group], request_timeout=_TIMEOUT_S)[group].result(_TIMEOUT_S)
    return found.state not in {ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD} or bool(found.members)


class RestatedReader:
    """Reads the topic for one worker. Belongs to the poll thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = Topics.named(settings.topic_prefix).restated_ids
        self._reader = Consumer(self._config())
        self._next: dict[int, int] = {}  # partition → offset after what its window has
        self._told: dict[int, int] = {}  # partition → offset that was committed

    def take(self, home: int) -> Iterator[Announced]:
        """All that the window of a partition may still cover. What comes later is `new`'s."""
        since = time.time_ns() // 1_000_000 - self._settings.dedupe_window_hours * 3_600_000
        found = self._reader.offsets_for_times([TopicPartition(self._topic, home, since)], timeout=_TIMEOUT_S)[0]
        low, end = kafka.watermarks(self._reader, self._topic, home)
        at = max(low, found.offset) if found.offset >= 0 else end
        if at < end:
            reader = Consumer(self._config())
            try:
                reader.assign([TopicPartition(self._topic, home, at)])
                for message in kafka.read_to_end(reader, partitions=1):
                    yield _decoded(message)
                    at = message.offset() + 1
            finally:
                reader.close()
        self._next[home], self._told[home] = at, 0
        self._reader.incremental_assign([TopicPartition(self._topic, home, at)])

    def give_up(self, home: int) -> None:
        if self._next.pop(home, None) is not None:
            self._reader.incremental_unassign([TopicPartition(self._topic, home)])

    def new(self) -> Iterator[tuple[int, Announced]]:
        """What was announced since for partitions that are owned, without waiting.

        Raises:
            KafkaException: the client is dead.
        """
        while (message := self._reader.poll(0)) is not None:
            error = message.error()
            if error is not None:
                if kafka.is_fatal(error):
                    raise KafkaException(error)
            elif message.partition() in self._next:
                yield message.partition(), _decoded(message)
                self._next[message.partition()] = message.offset() + 1

    def tell(self, group: Consumer) -> None:
        """Commit how far the windows have it, for whoever waits. What a rebalance refuses is told later."""
        due = {home: at for home, at in self._next.items() if at > self._told[home]}
        if not due:
            return
        offsets = [TopicPartition(self._topic, home, at) for home, at in due.items()]
        try:
            with WATCHDOG.limit(kafka.COMMIT_LIMIT_S, "restated ids were acknowledged"):
                group.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            if kafka.is_fatal(error.args[0]):
                raise
            log.warning("streams.restated_not_told", error=error.args[0].str())
            return
        self._told |= due

    def close(self) -> None:
        self._reader.close()

    def _config(self) -> kafka.Config:
        return kafka.reader(self._settings, name=f"restated.{self._settings.streams_worker_id}")


def _decoded(message: Message) -> Announced:
    row = record.read(_SUBJECT, message.value() or b"")
    if len(row["ids"]) != len(row["places"]) * DEDUPE_ID_BYTES:
        raise InvariantError(f"restated ids at offset {message.offset()}: {len(row['places'])} places do not fit")
    return Announced(row["ids"], row["places"], message.timestamp()[1])
