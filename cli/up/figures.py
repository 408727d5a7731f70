"""Where the figures come from: offsets and outcomes in Kafka, counts in ClickHouse, bytes on disk.

Each source is called from one thread (`cli.up.poller`), connects at its first call and raises whatever its client
raises when there is no answer. Nothing here changes anything.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from core import kafka
from core.control import ControlFollower
from core.lanes import Lanes
from core.settings import Settings
from core.topics import Topics
from sinks.clickhouse import ClickHouse
from streams.pause import PAUSE_KEY, Pause
from streams.pause import decode as decode_pause
from streams.records import decode_outcome

_ANSWER_S = 3.0
# librdkafka writes its troubles to standard error, across the view. They are seen in what is missing.
_SILENT = {"log_level": 0}
# Longer saves wake-ups of the broker while nothing comes; what comes is delivered at once all the same.
_FETCH_WAIT_MS = 1_000
_OUTCOMES_A_CALL = 2_000
# A call waits this long for its whole number: shorter wakes up for nothing, longer shows what came late.
_OUTCOMES_WAIT_S = 0.5


_Place = tuple[str, int]  # topic and partition


@dataclass(frozen=True, slots=True)
class Waiting:
    """Ends of the raw partitions by number (`core.lanes`); events without an outcome; events without a row."""

    raw_ends: dict[int, int]
    committed: dict[int, int]
    streams: int
    sink: int


class OffsetSource:
    """Committed offsets of both groups against the ends of their topics."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topics = Topics.named(settings.topic_prefix)
        self._lanes = Lanes.of(settings)
        self._admin: AdminClient | None = None

    def __call__(self) -> Waiting:
        admin = self._admin = self._admin or AdminClient(kafka.common(self._settings))
        numbers, raw, curated = self._lanes.numbers, self._raw, self._curated
        # Committed first: an end that is read later can only make the lag larger, never negative.
        decided = self._committed(admin, f"{self._settings.topic_prefix}streams.raw", map(raw, numbers))
        stored = self._committed(admin, f"{self._settings.topic_prefix}sink.events", map(curated, numbers))
        ends = self._ends(admin, [*map(raw, numbers), *map(curated, numbers)])
        return Waiting(
            raw_ends={n: ends[raw(n)] for n in numbers},
            committed={n: decided[raw(n)] for n in numbers},
            streams=sum(max(0, ends[raw(n)] - decided[raw(n)]) for n in numbers),
            sink=sum(records_between(stored[curated(n)], ends[curated(n)]) for n in numbers),
        )

    def _raw(self, number: int) -> _Place:
        return self._lanes.topic(number), self._lanes.home(number)

    def _curated(self, number: int) -> _Place:
        return self._topics.curated, number

    def _committed(self, admin: AdminClient, group: str, places: Iterable[_Place]) -> dict[_Place, int]:
        wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(*place) for place in places])
        answer = admin.list_consumer_group_offsets([wanted], request_timeout=_ANSWER_S)[group].result(_ANSWER_S)
        # A group that has committed nothing starts at the beginning.
        return {(found.topic, found.partition): max(0, found.offset) for found in answer.topic_partitions}

    def _ends(self, admin: AdminClient, places: Iterable[_Place]) -> dict[_Place, int]:
        wanted = {TopicPartition(*place): OffsetSpec.latest() for place in places}
        answers = admin.list_offsets(wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=_ANSWER_S)
        return {(tp.topic, tp.partition): future.result(_ANSWER_S).offset for tp, future in answers.items()}


def records_between(committed: int, end: int) -> int:
    """Events between two offsets of a topic that is written in transactions.

    Each transaction ends in a marker, which takes an offset and is no event. There is at least one; with several
    transactions waiting, the answer is too large by their number less one.
    """
    return max(0, end - committed - 1)


@dataclass(frozen=True, slots=True)
class Decided:
    """Outcomes by kind, and the raw offset at which counting began, by partition."""

    outcomes: dict[str, int]
    first: dict[int, int]


class OutcomeSource:
    """Follows the outcome topic from the oldest record on. Each call waits a moment for new ones."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = Topics.named(settings.topic_prefix).outcomes
        self._consumer: Consumer | None = None
        self._outcomes: Counter[str] = Counter()
        self._first: dict[int, int] = {}

    def __call__(self) -> Decided:
        consumer = self._consumer = self._consumer or self._connect()
        for message in consumer.consume(_OUTCOMES_A_CALL, _OUTCOMES_WAIT_S):
            error = message.error()
            if error is None:
                self._add(message.value())
            elif kafka.is_fatal(error):
                self._consumer = None
                raise KafkaException(error)
        return Decided(dict(self._outcomes), dict(self._first))

    def _connect(self) -> Consumer:
        self._outcomes.clear()
        self._first.clear()
        config = kafka.reader(self._settings, name="up") | _SILENT
        config |= {"fetch.wait.max.ms": _FETCH_WAIT_MS, "enable.partition.eof": False, "auto.offset.reset": "earliest"}
        consumer = Consumer(config)
        consumer.assign([TopicPartition(self._topic, p, OFFSET_BEGINNING) for p in Lanes.of(self._settings).numbers])
        return consumer

    def _add(self, value: bytes) -> None:
        outcome = decode_outcome(value)
        self._first.setdefault(outcome.raw_partition, outcome.first)
        for run in outcome.runs:
            self._outcomes[run.outcome] += run.count


class PauseSource:
    """Whether the stream workers are told to pause, as the control topic has it now."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._follower: ControlFollower | None = None
        self._pause = Pause()

    def __call__(self) -> Pause:
        if self._follower is None:
            follower = ControlFollower(self._settings, self._take, name="up")
            follower.catch_up()
            self._follower = follower
        self._follower.poll()
        return self._pause

    def _take(self, key: str, value: bytes | None) -> None:
        if key == PAUSE_KEY:
            with suppress(msgspec.DecodeError, UnicodeDecodeError):  # workers stay as they were, too
                self._pause = decode_pause(value)


@dataclass(frozen=True, slots=True)
class Stored:
    rows: int
    newest_at_ms: int | None


class RowSource:
    """Counts rows, which ClickHouse knows without reading any, and looks for the newest only if there are others."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._server: ClickHouse | None = None
        self._last: Stored | None = None

    def __call__(self) -> Stored:
        server = self._server = self._server or ClickHouse(self._settings)
        rows = int(server.scalar("SELECT count() FROM events_log WHERE generation = 0"))
        if self._last is None or rows != self._last.rows:
            self._last = Stored(rows, self._newest(server) if rows else None)
        return self._last

    def _newest(self, server: ClickHouse) -> int:
        return int(
            server.scalar(
                "SELECT toUnixTimestamp64Milli(max(arrival_at)) FROM events_log "
                "WHERE generation = 0 AND arrival_day = (SELECT max(arrival_day) FROM events_log WHERE generation = 0)"
            )
        )


@dataclass(frozen=True, slots=True)
class Disk:
    used_bytes: int
    free_bytes: int


class DiskSource:
    """What the state folder takes up, and what is left on its disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self) -> Disk:
        return Disk(sum(_sizes(self._folder)), shutil.disk_usage(self._folder).free)


def _sizes(folder: Path) -> Iterator[int]:
    """Allocated bytes of all files below: Kafka's indexes are sparse and look larger than they are."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        yield from _sizes(Path(entry.path))
                    else:
                        yield entry.stat(follow_symlinks=False).st_blocks * 512
                except FileNotFoundError:
                    continue  # engines remove files all the time
    except FileNotFoundError:
        return
