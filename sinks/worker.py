"""The sink's consumer loop: curated partitions in, blocks out, one at a time.

For each block: commit the plan (offset = the block's first record), write, go on. The next plan's commit says that
this block is done; when there is no next one, a plain commit does. A server that is away pauses nothing but inserts:
polling goes on, so the group is kept, and buffers are bounded by pausing partitions.
"""

from __future__ import annotations

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from core import failpoints, kafka, metrics
from core.errors import InvariantError, StateError, UnavailableError
from core.failpoints import hit
from core.lifecycle import Lifecycle
from core.log import configure, get_logger
from core.metrics import counter
from core.settings import Settings
from core.topics import Topics
from core.watchdog import WATCHDOG
from sinks.block import Row
from sinks.clickhouse import ClickHouse
from sinks.generations.handover import sink_group
from sinks.generations.record import live_generation
from sinks.partition import PartitionBuffer
from sinks.plan import Plan, Source
from sinks.rollups import RollupHealer
from sinks.writer import Block, Writer

log = get_logger(__name__)

_POLL_S = 0.05
_TIMEOUT_S = 10.0
_RETRY_FIRST_S = 0.2
_RETRY_MAX_S = 5.0
# Rows waiting per partition beyond which it is paused, in blocks.
_BUFFERED_BLOCKS = 2


class SinkWorker:
    """One member of the sink group. Single-threaded: everything happens between two polls."""

    def __init__(self, settings: Settings, lifecycle: Lifecycle) -> None:
        self._settings = settings
        self._lifecycle = lifecycle
        self._topic = Topics.named(settings.topic_prefix).curated
        self._server = ClickHouse(settings)
        self._consumer = Consumer(
            kafka.consumer(
                settings,
                group=sink_group(settings),
                instance=f"{settings.topic_prefix}sink.{settings.sink_worker_id}",
            )
        )
        self._buffers: dict[int, PartitionBuffer] = {}
        self._live: dict[str, int] = {}  # generation that live rows of the last day went to
        self._retry_s = _RETRY_FIRST_S
        self._joined = False

    def run(self) -> None:
        """Run until told to drain."""
        healer = RollupHealer(self._server)
        writer = Writer(
            self._server,
            self._identify_source(),
            commit_plan=self._commit_plan,
            heal_rollups=lambda bounds, token: healer.heal(bounds, token=token),
        )
        self._consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )
        try:
            while not self._lifecycle.draining:
                self._poll()
                self._write_due(writer, linger_s=self._settings.sink_linger_ms / 1000)
                self._commit_idle()
                self._bound_buffers()
                if self._joined:
                    self._lifecycle.ready()
        finally:
            self._consumer.close()  # revokes: what is stored is committed, the rest comes again

    # -- rows in

    def _poll(self) -> None:
        now = time.monotonic()
        for message in self._consumer.consume(self._settings.sink_batch_rows, _POLL_S):
            if message.error() is not None:
                self._consumer_error(message)
                continue
            buffer = self._buffers.get(message.partition())
            if buffer is not None:
                buffer.add(Row(message.offset(), message.timestamp()[1], message.value()), now=now)

    def _consumer_error(self, message: Message) -> None:
        error = message.error()
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise InvariantError(
                f"the curated topic was truncated under partition {message.partition()}: {error.str()}",
                hint="Curated records were deleted before they were stored: replay their window from the raw topic.",
            )
        if kafka.is_fatal(error):
            raise KafkaException(error)
        log.warning("sink.consumer_error", code=error.name(), error=error.str())

    def _bound_buffers(self) -> None:
        limit = self._settings.sink_batch_rows * _BUFFERED_BLOCKS
        full: list[TopicPartition] = []
        free: list[TopicPartition] = []
        for buffer in self._buffers.values():
            (full if len(buffer.waiting) >= limit else free).append(TopicPartition(self._topic, buffer.number))
        if full:
            self._consumer.pause(full)
        if free:
            self._consumer.resume(free)

    # -- blocks out

    def _write_due(self, writer: Writer, *, linger_s: float) -> None:
        max_rows = self._settings.sink_batch_rows
        for buffer in list(self._buffers.values()):
            now = time.monotonic()
            if buffer.retry_at > now:
                continue
            if buffer.block is None:
                if not buffer.due(now=now, max_rows=max_rows, linger_s=linger_s):
                    continue
                block = buffer.plan_block(max_rows=max_rows)
                hit("sink.before_plan")
                if not block.uncertain and not self._announce(buffer, block):
                    buffer.give_back(block)
                    continue
                hit("sink.after_plan")
                buffer.block = block
            self._write(writer, buffer)

    def _write(self, writer: Writer, buffer: PartitionBuffer) -> None:
        block = buffer.block
        if block is None:
            return
        try:
            writer.write(block)
        except UnavailableError as error:
            self._wait(buffer, error)
            return
        self._retry_s = _RETRY_FIRST_S
        buffer.block = None
        buffer.next_offset = block.plan.last + 1
        buffer.committed = False
        buffer.waiting_since = time.monotonic()
        counter("sluice_sink_rows_total").labels("events_log").inc(len(block.rows))
        log.debug("sink.stored", partition=buffer.number, rows=len(block.rows), plan=str(block.plan))

    def _wait(self, buffer: PartitionBuffer, error: UnavailableError) -> None:
        log.warning("sink.server_unavailable", partition=buffer.number, error=error.message, retry_s=self._retry_s)
        buffer.retry_at = time.monotonic() + self._retry_s
        self._retry_s = min(_RETRY_MAX_S, self._retry_s * 2)

    def _commit_idle(self) -> None:
        """Say that partitions without anything in hand are done."""
        done = [b for b in self._buffers.values() if not b.committed and b.block is None and not b.waiting]
        for buffer in done:
            if self._commit(TopicPartition(self._topic, buffer.number, buffer.next_offset)):
                buffer.committed = True
                hit("sink.after_commit")

    # -- commits

    def _announce(self, buffer: PartitionBuffer, block: Block) -> bool:
        """Commit the plan of a block that was never sent, for the generation that is live; False: try again later.

        Which one is live is asked after the commit. A run that takes the day over opens the new generation first and
        looks for plans then, so it sees this plan and waits, or this sees the new generation (`generations.handover`).
        """
        day = block.arrival_day
        while True:
            block.plan = block.plan.in_generation(self._live.get(day, 0))
            if not self._try_commit_plan(block.partition, block.plan):
                return False
            try:
                live = live_generation(self._server, day)
            except UnavailableError as error:
                self._wait(buffer, error)
                return False
            if live == block.plan.generation:
                return True
            self._live = {day: live}

    def _try_commit_plan(self, partition: int, plan: Plan) -> bool:
        return self._commit(TopicPartition(self._topic, partition, plan.first, metadata=str(plan)))

    def _commit_plan(self, partition: int, plan: Plan) -> None:
        if not self._try_commit_plan(partition, plan):
            raise UnavailableError(f"the plan {plan} of partition {partition} could not be committed")

    def _commit(self, offset: TopicPartition) -> bool:
        """Commit one partition, so that no answer is a mixture; False if it must be tried again later."""
        try:
            with WATCHDOG.limit(kafka.COMMIT_LIMIT_S, f"partition {offset.partition} was committed"):
                self._consumer.commit(offsets=[offset], asynchronous=False)
        except KafkaException as error:
            cause = error.args[0]
            if kafka.is_fatal(cause):
                raise
            log.warning("sink.commit_failed", partition=offset.partition, code=cause.name(), error=cause.str())
            return False
        return True

    # -- assignment: everything below runs inside a poll

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._joined = True  # also with nothing to do: more sinks than partitions
        if not partitions:
            return
        for found in consumer.committed(partitions, timeout=_TIMEOUT_S):
            buffer = self._resume(consumer, found)
            self._buffers[buffer.number] = buffer
            log.info(
                "sink.partition_assigned",
                partition=buffer.number,
                offset=buffer.next_offset,
                plan=str(buffer.pending or ""),
            )
        consumer.incremental_assign(
            [TopicPartition(self._topic, p.partition, self._buffers[p.partition].next_offset) for p in partitions]
        )

    def _resume(self, consumer: Consumer, found: TopicPartition) -> PartitionBuffer:
        if found.offset >= 0:
            return PartitionBuffer(found.partition, found.offset, pending=Plan.parse(found.metadata))
        low, _ = consumer.get_watermark_offsets(TopicPartition(self._topic, found.partition), timeout=_TIMEOUT_S)
        rows, stored = self._server.rows(
            "SELECT count(), max(raw_offset) FROM events_log WHERE raw_partition = {partition:UInt32}",
            partition=found.partition,
        )[0]
        return PartitionBuffer(found.partition, low, stored_up_to=stored if rows else None)

    def _on_revoke(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            buffer = self._buffers.pop(partition.partition, None)
            if buffer is not None and not buffer.committed and buffer.block is None:
                self._commit(TopicPartition(self._topic, buffer.number, buffer.next_offset))

    def _on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            self._buffers.pop(partition.partition, None)

    # -- source

    def _identify_source(self) -> Source:
        """The curated topic's identity, checked against what filled the tables."""
        admin = AdminClient(kafka.common(self._settings))
        try:
            cluster = admin.describe_cluster(request_timeout=_TIMEOUT_S).result(_TIMEOUT_S)
            topic = admin.describe_topics(TopicCollection([self._topic]), request_timeout=_TIMEOUT_S)[self._topic]
            source = Source(cluster.cluster_id, str(topic.result(_TIMEOUT_S).topic_id))
        except KafkaException as error:
            raise kafka.unavailable(error, "the curated topic was described") from error
        known = self._server.rows(
            "SELECT cluster_id, topic_id FROM sources WHERE topic = {topic:String}", topic=self._topic
        )
        if known and [source.cluster_id, source.topic_id] not in known:
            raise StateError(
                f"the tables were filled from another topic {self._topic}: its offsets mean other events",
                hint="Use the Kafka state that belongs to this database, or another SLUICE_CLICKHOUSE_DATABASE.",
            )
        if not known:
            self._server.execute(
                "INSERT INTO sources (topic, topic_id, cluster_id) VALUES ({t:String}, {i:String}, {c:String})",
                t=self._topic,
                i=source.topic_id,
                c=source.cluster_id,
            )
        return source


def run(settings: Settings) -> None:
    """Run a sink until SIGTERM."""
    lifecycle = Lifecycle("sink")
    configure(process="sink", level=settings.log_level, form=settings.log_format)
    failpoints.arm(settings.failpoint, state_dir=settings.state_dir)
    lifecycle.install_signal_handlers()
    metrics.serve(settings.metrics_port)
    SinkWorker(settings, lifecycle).run()
    lifecycle.stopped()
