"""The sink's consumer loop: partitions of several topics in, blocks out, one at a time of each.

For each block: commit the plan (offset = the block's first record), write, go on. The next plan's commit says that
this block is done; when there is no next one, a plain commit does. Whose turn it is, is told in `turns`; inserts of
several partitions run at once (`inserts`), live ones first. A server that is away pauses nothing but inserts:
polling goes on, so the group is kept, and buffers are bounded by pausing partitions.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from itertools import groupby

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from core import failpoints, kafka, metrics, transactions
from core.errors import InvariantError, SluiceError, UnavailableError
from core.failpoints import hit
from core.lanes import Lanes
from core.lifecycle import Lifecycle
from core.log import configure, get_logger
from core.metrics import counter
from core.settings import Settings
from core.topics import Topics
from core.watchdog import WATCHDOG
from sinks.clickhouse import ClickHouse, ServerError
from sinks.generations.handover import sink_group
from sinks.generations.record import live_generation
from sinks.healing import DayHealer
from sinks.held import next_offset, require_held
from sinks.inserts import Inserts
from sinks.partition import RETRY_MAX_S, PartitionBuffer
from sinks.patience import patiently
from sinks.plan import Plan, Source
from sinks.refusals import Refusals
from sinks.row import Row
from sinks.source import identify
from sinks.tables import Table, filled
from sinks.turns import Turns
from sinks.writer import Block, RowsRefusedError, Writer, can_insert_alone

log = get_logger(__name__)

_POLL_S = 0.05
# While inserts are under way, whose end is looked for after each poll.
_SHORT_POLL_S = 0.01
# What is read ahead while a block is inserted makes up the next ones: little of it, and blocks stay small, which the
# engine pays for once for each view.
_PREFETCH = {"queued.max.messages.kbytes": 65_536}
# More is no matter of rows but of the table or of whoever writes the topic.
_MOST_REFUSED_IN_A_ROW = 100


@dataclass(frozen=True, slots=True)
class Feed:
    """A topic, the table it fills, and what writes there."""

    topic: str
    table: Table
    writer: Writer


class SinkWorker:
    """One member of the sink group. Everything but first inserts happens in one thread, between two polls."""

    def __init__(self, settings: Settings, lifecycle: Lifecycle) -> None:
        self._settings = settings
        self._lifecycle = lifecycle
        self._server = ClickHouse(settings)
        self._consumer = Consumer(
            kafka.consumer(
                settings,
                group=sink_group(settings),
                instance=f"{settings.topic_prefix}sink.{settings.sink_worker_id}",
            )
            | _PREFETCH
        )
        self._feeds: dict[str, Feed] = {}
        self._buffers: dict[tuple[str, int], PartitionBuffer] = {}
        self._unproven: dict[tuple[str, int], int] = {}  # offsets by which tables are to be asked
        self._prove_at = 0.0
        self._live: dict[str, int] = {}  # generation that live rows of the last day went to
        names = Topics.named(settings.topic_prefix)
        self._turns = Turns(Lanes.of(settings), names, places=settings.sink_inserts_at_once)
        self._inserts = Inserts(settings.sink_inserts_at_once)
        self._days = DayHealer(settings)
        self._refusals = Refusals(settings, self._consumer)
        self._refused_in_a_row = 0
        self._joined = False

    def run(self) -> None:
        """Run until told to drain.

        Raises:
            UnavailableError: a server was away for longer than `patience.PATIENCE_S` when something had to be known.
        """
        try:
            self._run()
        except (UnavailableError, ServerError) as error:
            if not self._lifecycle.draining:
                raise
            log.warning("sink.stopped_while_it_waited", error=error.message)

    def _run(self) -> None:
        self._feeds = patiently(self._lifecycle, self._all_feeds)
        self._consumer.subscribe(
            [*self._feeds], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )
        patiently(self._lifecycle, self._days.resume)
        try:
            while not self._lifecycle.draining:
                self._poll()
                if self._proven():
                    self._write_due(linger_s=self._settings.sink_linger_ms / 1000)
                self._commit_idle()
                self._bound_buffers()
                if self._joined:
                    self._lifecycle.ready()
        finally:
            self._consumer.close()  # revokes: what is stored is committed, the rest comes again

    def _all_feeds(self) -> dict[str, Feed]:
        tables = filled(Topics.named(self._settings.topic_prefix))
        sources = identify(self._settings, self._server, [*tables])
        return {topic: self._feed(topic, table, sources[topic]) for topic, table in tables.items()}

    def _feed(self, topic: str, table: Table, source: Source) -> Feed:
        writer = Writer(
            self._server,
            table,
            source,
            commit_plan=partial(self._commit_plan, topic),
            after_doubt=self._days.request,
            table_alone=not table.has_views or can_insert_alone(self._server),
        )
        return Feed(topic, table, writer)

    # -- rows in

    def _poll(self) -> None:
        now = time.monotonic()
        timeout_s = _SHORT_POLL_S if self._inserts.under_way else _POLL_S
        messages = self._consumer.consume(self._settings.sink_batch_rows, timeout_s)
        # They come in runs of one partition; a pass over all for each thing asked is half the cost of a loop.
        places = [(message.topic(), message.partition()) for message in messages]
        start = 0
        for place, run in groupby(places):
            end = start + sum(1 for _ in run)
            self._take(place, messages[start:end], now)
            start = end

    def _take(self, place: tuple[str, int], messages: list[Message], now: float) -> None:
        errors = [message.error() for message in messages]
        if errors.count(None) < len(errors):
            for message in messages:
                if message.error() is not None:
                    self._consumer_error(message)
            messages = [message for message in messages if message.error() is None]
        buffer = self._buffers.get(place)
        if buffer is None or not messages:
            return
        rows = zip(
            [message.offset() for message in messages],
            [message.timestamp()[1] for message in messages],
            [message.value() for message in messages],
            [message.key() for message in messages],
            strict=True,
        )
        buffer.extend([*map(Row._make, rows)], now=now)

    def _consumer_error(self, message: Message) -> None:
        error = message.error()
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise InvariantError(
                f"{message.topic()} was truncated under partition {message.partition()}: {error.str()}",
                hint="Records were deleted before they were stored: replay their window from the raw topic.",
            )
        if kafka.is_fatal(error):
            raise KafkaException(error)
        log.warning("sink.consumer_error", code=error.name(), error=error.str())

    def _bound_buffers(self) -> None:
        full: list[TopicPartition] = []
        free: list[TopicPartition] = []
        for buffer in self._buffers.values():
            is_full = buffer.full(max_rows=self._settings.sink_batch_rows)
            (full if is_full else free).append(TopicPartition(buffer.topic, buffer.number))
        if full:
            self._consumer.pause(full)
        if free:
            self._consumer.resume(free)

    # -- blocks out

    def _proven(self) -> bool:
        """Whether the tables hold what comes before the partitions' offsets; False: not known yet.

        Raises:
            StateError: they do not.
        """
        if not self._unproven:
            return True
        if time.monotonic() < self._prove_at:
            return False
        try:
            for topic, feed in self._feeds.items():
                offsets = {number: offset for (of, number), offset in self._unproven.items() if of == topic}
                if offsets:
                    require_held(self._settings, self._server, feed.table, topic, offsets)
        except (UnavailableError, ServerError) as error:
            if not error.retryable:
                raise
            log.warning("sink.tables_not_compared_yet", error=error.message, retry_s=RETRY_MAX_S)
            self._prove_at = time.monotonic() + RETRY_MAX_S
            return False
        self._unproven.clear()
        return True

    def _write_due(self, *, linger_s: float) -> None:
        self._settle()
        waiting = [*self._buffers.values()]
        while True:
            under_way = self._inserts.under_way
            now = time.monotonic()
            due = [each for each in waiting if each not in under_way and self._is_due(each, linger_s, now)]
            buffer = self._turns.next(due, under_way, now=now)
            if buffer is None:
                return
            waiting.remove(buffer)
            if buffer.block is not None or self._plan(buffer):
                self._write(buffer)

    def _is_due(self, buffer: PartitionBuffer, linger_s: float, now: float) -> bool:
        if buffer.retry_at > now:
            return False
        linger_s = self._turns.linger_s(buffer, linger_s, now=now)
        return buffer.block is not None or buffer.due(
            now=now, max_rows=self._settings.sink_batch_rows, linger_s=linger_s
        )

    def _plan(self, buffer: PartitionBuffer) -> bool:
        """Take the next block in hand, its plan committed; False: try again later."""
        block = buffer.plan_block(max_rows=self._settings.sink_batch_rows)
        hit("sink.before_plan")
        if not block.uncertain and block.has_day and not self._announce(buffer, block):
            buffer.give_back(block)
            return False
        hit("sink.after_plan")
        buffer.block = block
        return True

    def _write(self, buffer: PartitionBuffer) -> None:
        """Begin the insert of the block in hand. One in doubt is settled here and now, with nothing else under way."""
        block, feed = buffer.block, self._feeds[buffer.topic]
        if block is None:
            return
        if not block.has_day:  # nothing is sent of it, so it has no plan
            self._isolate(buffer, block, RowsRefusedError("its timestamp on the topic is of no day that a table holds"))
            return
        if not block.uncertain:
            self._inserts.begin(buffer, partial(feed.writer.write, block))
            return
        self._inserts.wait()
        self._settle()
        try:
            feed.writer.write(block)
        except SluiceError as error:
            self._failed(buffer, block, error)
        else:
            self._stored(buffer, block)

    def _settle(self) -> None:
        """Go on with partitions whose insert has ended. Those that went to another sink are its own by now."""
        for buffer, error in self._inserts.ended():
            if self._buffers.get((buffer.topic, buffer.number)) is not buffer or buffer.block is None:
                continue
            if error is None:
                self._stored(buffer, buffer.block)
            elif isinstance(error, SluiceError):
                self._failed(buffer, buffer.block, error)
            else:
                raise error

    def _failed(self, buffer: PartitionBuffer, block: Block, error: SluiceError) -> None:
        if isinstance(error, RowsRefusedError):
            self._isolate(buffer, block, error)
        elif isinstance(error, (UnavailableError, ServerError)) and error.retryable:
            self._wait(buffer, error)
        else:
            raise error

    def _stored(self, buffer: PartitionBuffer, block: Block) -> None:
        self._refused_in_a_row = 0
        buffer.widen(max_rows=self._settings.sink_batch_rows)
        buffer.failures = 0
        buffer.block = None
        buffer.next_offset = block.plan.last + 1
        buffer.committed = False
        buffer.waiting_since = time.monotonic()
        table = self._feeds[buffer.topic].table.name
        counter("sluice_sink_rows_total").labels(table).inc(len(block.rows))
        log.debug("sink.stored", table=table, partition=buffer.number, rows=len(block.rows), plan=str(block.plan))

    def _isolate(self, buffer: PartitionBuffer, block: Block, error: RowsRefusedError) -> None:
        """Half as many rows the next time; a row that is refused alone becomes a dead letter.

        Raises:
            InvariantError: nothing but refusals for a long time: it is not the rows.
        """
        buffer.block = None
        if len(block.rows) > 1:
            log.warning(
                "sink.rows_refused", topic=buffer.topic, partition=buffer.number, rows=len(block.rows), why=error.reason
            )
            buffer.narrow(block)
            return
        if self._refused_in_a_row >= _MOST_REFUSED_IN_A_ROW:
            raise InvariantError(
                f"{self._refused_in_a_row} rows one after the other were refused: {error.reason}",
                hint="The rest is in Kafka, unread. Find the cause in the log or in the dead letters before going on.",
            )
        (row,) = block.rows
        try:
            self._refusals.refuse(buffer.topic, self._feeds[buffer.topic].table, buffer.number, row, error.reason)
        except UnavailableError as away:
            buffer.block = block
            self._wait(buffer, away)
            return
        self._refused_in_a_row += 1
        buffer.next_offset = row.offset + 1
        buffer.committed = True

    def _wait(self, buffer: PartitionBuffer, error: SluiceError) -> None:
        wait_s = buffer.put_off(now=time.monotonic())
        log.warning(
            "sink.server_unavailable",
            topic=buffer.topic,
            partition=buffer.number,
            error=error.message,
            retry_s=round(wait_s, 3),
        )

    def _commit_idle(self) -> None:
        """Say that partitions without anything in hand are done."""
        done = [b for b in self._buffers.values() if not b.committed and b.block is None and not b.waiting]
        for buffer in done:
            if self._commit(TopicPartition(buffer.topic, buffer.number, buffer.next_offset)):
                buffer.committed = True
                hit("sink.after_commit")

    # -- commits

    def _announce(self, buffer: PartitionBuffer, block: Block) -> bool:
        """Commit the plan of a block that was never sent, for the generation that is live; False: try again later.

        A table whose days are not restated has one generation. Else which one is live is asked after the commit. A run
        that takes the day over opens the new generation first and looks for plans then, so it sees this plan and waits,
        or this sees the new generation (`generations.handover`).
        """
        if not self._feeds[buffer.topic].table.is_restated:
            return self._try_commit_plan(buffer.topic, block.partition, block.plan)
        day = block.arrival_day
        while True:
            block.plan = block.plan.in_generation(self._live.get(day, 0))
            if not self._try_commit_plan(buffer.topic, block.partition, block.plan):
                return False
            try:
                live = live_generation(self._server, day)
            except (UnavailableError, ServerError) as error:
                if not error.retryable:
                    raise
                self._wait(buffer, error)
                return False
            if live == block.plan.generation:
                return True
            self._live = {day: live}

    def _try_commit_plan(self, topic: str, partition: int, plan: Plan) -> bool:
        return self._commit(TopicPartition(topic, partition, plan.first, metadata=str(plan)))

    def _commit_plan(self, topic: str, partition: int, plan: Plan) -> None:
        if not self._try_commit_plan(topic, partition, plan):
            raise UnavailableError(f"the plan {plan} of partition {partition} of {topic} could not be committed")

    def _commit(self, offset: TopicPartition) -> bool:
        """Commit one partition, so that no answer is a mixture; False if it must be tried again later."""
        try:
            with WATCHDOG.limit(kafka.COMMIT_LIMIT_S, f"partition {offset.partition} of {offset.topic} was committed"):
                self._consumer.commit(offsets=[offset], asynchronous=False)
        except KafkaException as error:
            cause = error.args[0]
            if kafka.is_fatal(cause):
                raise
            log.warning(
                "sink.commit_failed",
                topic=offset.topic,
                partition=offset.partition,
                code=cause.name(),
                error=cause.str(),
            )
            return False
        return True

    # -- assignment: everything below runs inside a poll

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._joined = True  # also with nothing to do: more sinks than partitions
        if not partitions:
            return
        for found in self._committed(consumer, partitions):
            buffer = self._resume(consumer, found)
            self._buffers[buffer.topic, buffer.number] = buffer
            log.info(
                "sink.partition_assigned",
                topic=buffer.topic,
                partition=buffer.number,
                offset=buffer.next_offset,
                plan=str(buffer.pending or ""),
            )
        consumer.incremental_assign(
            [TopicPartition(p.topic, p.partition, self._buffers[p.topic, p.partition].next_offset) for p in partitions]
        )

    def _committed(self, consumer: Consumer, partitions: list[TopicPartition]) -> list[TopicPartition]:
        # A sink that was killed while it refused a row leaves a transaction open.
        group = sink_group(self._settings)
        try:
            return transactions.committed(self._settings, consumer, group=group, partitions=partitions)
        except transactions.UnendedTransactionError as error:
            log.error("sink.transaction_forgotten", error=error.message)  # noqa: TRY400 (known)
            self._refusals.end_forgotten()
            return transactions.committed(self._settings, consumer, group=group, partitions=partitions)

    def _resume(self, consumer: Consumer, found: TopicPartition) -> PartitionBuffer:
        topic, number = found.topic, found.partition
        if found.offset >= 0:
            self._unproven[topic, number] = found.offset
            return PartitionBuffer(topic, number, found.offset, pending=Plan.parse(found.metadata))
        low, _ = kafka.watermarks(consumer, topic, number)
        # The group lost its offsets (they expire): what is stored says where to continue, never the topic's begin.
        table = self._feeds[topic].table
        following = patiently(self._lifecycle, lambda: next_offset(self._settings, self._server, table, topic, number))
        return PartitionBuffer(topic, number, low if following is None else following)

    def _on_revoke(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            self._unproven.pop((partition.topic, partition.partition), None)
            buffer = self._buffers.pop((partition.topic, partition.partition), None)
            if buffer is None:
                continue
            # Whoever has it next begins where this commits. What did not end well is in doubt, and its plan says so.
            if self._inserts.finish(buffer) and buffer.block is not None:
                self._stored(buffer, buffer.block)
            if not buffer.committed and buffer.block is None:
                self._commit(TopicPartition(buffer.topic, buffer.number, buffer.next_offset))

    def _on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            self._unproven.pop((partition.topic, partition.partition), None)
            self._buffers.pop((partition.topic, partition.partition), None)


def run(settings: Settings) -> None:
    """Run a sink until SIGTERM."""
    lifecycle = Lifecycle("sink")
    configure(process="sink", level=settings.log_level, form=settings.log_format)
    failpoints.arm(settings.failpoint, state_dir=settings.state_dir)
    lifecycle.install_signal_handlers()
    metrics.serve(settings.metrics_port)
    SinkWorker(settings, lifecycle).run()
    lifecycle.stopped()
