"""Consumes the raw partitions of both lanes that the group gives this worker, live ones first.

Only the live topic is subscribed to. Whoever is given partition p of it takes p of the historic topic along, by hand:
so both are one worker's by construction, whatever the assignor does, and they change hands in one callback. The
historic lane has a consumer of its own that belongs to no group, because one consumer has one queue: 16 MiB of historic
records would lie in front of the next live one. Its offsets are committed as the live ones are, in the transaction
and under the generation of the group.

Whose turn it is, is told in `poll`. A historic batch is small and is begun only while nothing else is in hand, so a
live event waits for one of them at most. While more live events wait than a historic batch holds, the historic lane
gets one batch a second: it is slow then, and never stands still.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import groupby
from operator import methodcaller

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from core import kafka
from core.errors import InvariantError
from core.lanes import Lanes
from core.log import get_logger
from core.settings import Settings
from streams.batch import RawRecord

log = get_logger(__name__)

# How long a first live event is waited for: with nothing historic waiting, and while something does.
_QUIET_S = 0.1
_SHORT_S = 0.005
# How long more are gathered after it. Longer makes live events late, shorter makes many small transactions.
_GATHER_S = 0.01
# Records taken in one call; between two the bytes are counted.
_PORTION = 500
# How long the batch in hand is waited for before the next is gathered, or the other lane looked at.
_IDLE_WAIT_S = 0.1
# The historic lane gets a batch this often, however many live events wait.
_HISTORIC_AT_LEAST_S = 1.0
_PATIENCE_S = 5.0
# The historic lane's batches are small: more would only lie in memory.
_HISTORIC_QUEUE_KIB = 8_192

Records = dict[int, list[RawRecord]]
OnChange = Callable[[list[int]], None]


class Intake:
    """All calls belong to one thread. Partitions are given by their numbers (`core.lanes`).

    `on_assign(homes)` returns where each number continues, both lanes of each; `on_give_up(homes, how)` hears of
    partitions that go, before they do.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        group: str,
        instance: str,
        on_assign: Callable[[Consumer, list[int]], dict[int, int]],
        on_give_up: Callable[[list[int], str], None],
    ) -> None:
        self._settings = settings
        self._lanes = Lanes.of(settings)
        config = kafka.consumer(settings, group=group, instance=instance)
        self._live = Consumer(config)
        # As no member of the group: it is assigned by hand and commits nothing itself.
        reader = kafka.reader(settings, name=f"historic.{settings.streams_worker_id}")
        self._historic = Consumer(
            reader | {"enable.partition.eof": False, "queued.max.messages.kbytes": _HISTORIC_QUEUE_KIB}
        )
        self._on_assign = on_assign
        self._on_give_up = on_give_up
        self._owned: set[int] = set()
        self._paused = False
        self._historic_waits = False  # the last look found something
        self._live_waits = False  # more than a historic batch holds
        self._live_turn = True  # a historic batch was the last, or nothing was
        self._historic_at = time.monotonic()  # when it was last looked at
        self.joined = False

    def subscribe(self) -> None:
        self._live.subscribe([self._lanes.live], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)

    def pause(self, paused: bool) -> None:  # noqa: FBT001 (set by a flag's value)
        """Stop or continue consuming; polls go on, and so does the membership."""
        self._paused = paused

    def poll(self, idle: Callable[[float], bool]) -> Records:
        """The next records, all of one lane, by number and in offset order; empty when nothing came within a moment.

        `idle` waits at most so many seconds until nothing is in hand, and says whether that is so.

        Raises:
            InvariantError: the log was truncated under us.
            KafkaException: the client is dead.
        """
        self._apply_pause()
        # While little arrives a batch gathers events until the one before it is done, instead of waiting behind it.
        is_idle = idle(0.0 if self._live_waits else _IDLE_WAIT_S)
        if self._is_historic_turn(is_idle):
            self._historic_at = time.monotonic()
            found = self._gather(self._historic, self._settings.streams_historic_batch_events, 0.0)
            self._historic_waits = bool(found)
            if found:
                self._live_turn = True
                return found
        wait_s = _SHORT_S if self._historic_waits and not self._paused else _QUIET_S
        found = self._gather(self._live, self._settings.streams_batch_events, wait_s)
        self._live_turn = False
        self._live_waits = sum(map(len, found.values())) >= self._settings.streams_historic_batch_events
        return found

    def group_metadata(self) -> object:
        """What a transaction sends offsets with. Belongs to the thread that runs the rebalance callbacks: while one
        runs, librdkafka (2.16) never answers, and who asks from another thread would wait for ever.
        """
        return self._live.consumer_group_metadata()

    @property
    def group(self) -> Consumer:
        """The member of the group."""
        return self._live

    def ends(self) -> dict[int, int]:
        """The end of each owned partition as of the latest answer of the broker, where there was one."""
        found = {}
        for home in self._owned:
            for number in self._lanes.both(home):
                place = TopicPartition(self._lanes.topic(number), home)
                _, end = self._consumer_of(number).get_watermark_offsets(place, cached=True)
                if end >= 0:
                    found[number] = end
        return found

    def seek(self, offsets: dict[int, int]) -> bool:
        """Continue at these offsets; False if a partition was just assigned and is not fetching yet: seek again."""
        try:
            for number, offset in offsets.items():
                self._consumer_of(number).seek(self._place(number, offset))
        except KafkaException as error:
            if error.args[0].code() != KafkaError._STATE:
                raise
            return False
        return True

    def close(self) -> None:
        """Leave the group."""
        self._live.close()
        self._historic.close()

    def _is_historic_turn(self, is_idle: bool) -> bool:  # noqa: FBT001 (one thing that is known)
        if self._paused or self._live_turn or not self._owned:
            return False
        since_s = time.monotonic() - self._historic_at
        if self._live_waits:
            return since_s >= _HISTORIC_AT_LEAST_S
        # A batch that got lost on its way is in hand for ever.
        return is_idle or since_s >= _PATIENCE_S

    def _gather(self, consumer: Consumer, most: int, wait_s: float) -> Records:
        """Wait for a first record, then take what is there or comes within a moment, bounded in number and bytes."""
        messages = consumer.consume(1, wait_s)
        until = time.monotonic() + _GATHER_S * (wait_s > 0)
        room = self._settings.streams_batch_bytes - _size(messages)
        while messages and room > 0 and len(messages) < most:
            portion = min(_PORTION, most - len(messages))
            more = consumer.consume(portion, max(0.0, until - time.monotonic()))
            messages += more
            room -= _size(more)
            if len(more) < portion:
                break
        return self._records(messages)

    def _records(self, messages: list[Message]) -> Records:
        found: Records = {}
        # Records of one partition come one after the other, thousands of them, and a consumer has one topic.
        for partition, run in groupby(messages, methodcaller("partition")):
            records: list[RawRecord] = []
            for message in run:
                if message.error() is not None:
                    _failed(message)
                    continue
                records.append(RawRecord(message.offset(), message.timestamp()[1], message.key(), message.value()))
            if records:
                found.setdefault(self._lanes.number(message.topic(), partition), []).extend(records)
        return found

    def _apply_pause(self) -> None:
        assigned = self._live.assignment()
        if assigned:
            (self._live.pause if self._paused else self._live.resume)(assigned)

    def _consumer_of(self, number: int) -> Consumer:
        return self._live if self._lanes.lane(number) == "live" else self._historic

    def _place(self, number: int, offset: int) -> TopicPartition:
        return TopicPartition(self._lanes.topic(number), self._lanes.home(number), offset)

    # -- the group: these run inside a poll, or inside `close`

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        homes = [each.partition for each in partitions]
        if homes:
            start = self._on_assign(consumer, homes)
            live, historic = zip(*map(self._lanes.both, homes), strict=True)
            self._historic.incremental_assign([self._place(number, start[number]) for number in historic])
            consumer.incremental_assign([self._place(number, start[number]) for number in live])
            self._owned.update(homes)
        self.joined = True

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._give_up(partitions, "revoked")
        consumer.incremental_unassign(partitions)

    def _lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # Somebody else may own them already: nothing is committed, and a transaction in hand is refused by its
        # group generation.
        self._give_up(partitions, "lost")

    def _give_up(self, partitions: list[TopicPartition], how: str) -> None:
        homes = [each.partition for each in partitions]
        self._on_give_up(homes, how)
        mine = [home for home in homes if home in self._owned]
        if mine:
            self._historic.incremental_unassign([TopicPartition(self._lanes.historic, home) for home in mine])
        self._owned.difference_update(mine)


def _size(messages: list[Message]) -> int:
    return sum(map(len, messages))  # a message's length is its value's


def _failed(message: Message) -> None:
    error = message.error()
    if error.code() == KafkaError._AUTO_OFFSET_RESET:
        raise InvariantError(
            f"{message.topic()} was truncated under partition {message.partition()}: {error.str()}",
            hint="Raw records were deleted before they were processed: retention is shorter than the lag.",
        )
    if kafka.is_fatal(error):
        raise KafkaException(error)
    log.warning("streams.consumer_error", code=error.name(), error=error.str())
